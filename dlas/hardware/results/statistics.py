"""Small pure functions over samples of latency. Outliers are pointed at, never deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000
"""Number of bootstrap samples: ten times what Efron and Tibshirani (1993) ask for a percentile interval, so
that its ends hold still."""

FEWEST_PAIRS = 6
"""Fewest pairs whose signs can tell something: all of six agree by chance once in 32 times (2 / 2**6)."""

AT_ONCE = 1 << 20
"""Numbers held in memory at a time."""

OUTLIER_SCORE = 3.5
"""The cut-off that Iglewicz and Hoaglin (1993) recommend for their modified z-score."""

MAD_TO_SIGMA = 0.6745
"""The 75th percentile of the standard normal: the median absolute deviation of a normal sample, in sigmas."""

MEAN_AD_TO_SIGMA = 0.7979
"""sqrt(2 / pi): the mean absolute deviation of a normal sample, in sigmas."""


@dataclass(frozen=True)
class Interval:
    """The values from `low` to `high`, both included."""

    low: float
    high: float


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the middle two."""
    return float(np.median(_checked(samples)))


def percentile(samples: Sequence[float], percent: float) -> float:
    """The `percent`th percentile, linear between samples (Hyndman and Fan 1996, type 7)."""
    return float(np.percentile(_checked(samples), percent))


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """The bootstrap percentile interval of the median (Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, chapter 13), at `CONFIDENCE`.

    The samples are taken as independent. Those of one session share its luck, so two sessions may differ by
    more than their intervals say.
    """
    return _percentile_interval(_resampled_medians(samples, np.random.default_rng(seed)))


def ratio_of_medians(new: Sequence[float], old: Sequence[float]) -> float:
    """median(new) / median(old): above 1 the new one is slower."""
    return median(new) / median(old)


def ratio_interval(new: Sequence[float], old: Sequence[float], seed: int = 0) -> Interval:
    """The bootstrap percentile interval of `ratio_of_medians`, both sides resampled on their own."""
    generator = np.random.default_rng(seed)
    return _percentile_interval(_resampled_medians(new, generator) / _resampled_medians(old, generator))


def paired_ratio_interval(new: Sequence[float], old: Sequence[float]) -> Interval:
    """The confidence interval of the median of new / old over pairs that were taken right after each other:
    the ratios that the sign test does not reject (W. J. Conover, Practical Nonparametric Statistics, 1999,
    sections 3.1 and 3.2), at `CONFIDENCE`.

    What both of a pair met, such as the machine's pace, cancels; no form of the spread is assumed. At least
    six pairs, since of fewer no outcome is improbable enough.
    """
    from scipy.stats import quantile_test

    ratios = _checked(new) / _checked(old)
    if ratios.size < FEWEST_PAIRS:
        raise ValueError(f"{ratios.size} pairs are too few for an interval, {FEWEST_PAIRS} are enough")
    found = quantile_test(ratios, q=1.0, p=0.5).confidence_interval(CONFIDENCE)
    return Interval(float(found.low), float(found.high))


def geometric_mean(values: Sequence[float]) -> float:
    """The exponential of the mean of the logarithms of positive values; a single value as it is, to the last
    digit."""
    return values[0] if len(values) == 1 else float(np.exp(np.log(_checked(values)).mean()))


def geometric_mean_interval(values: Sequence[float]) -> Interval:
    """Student's interval of the geometric mean of at least two values, at `CONFIDENCE`: that of the mean of
    their logarithms. In the middle of a distribution that is symmetric there, it is the median's as well."""
    from scipy.special import stdtrit

    logs = np.log(_checked(values))
    half = stdtrit(logs.size - 1, (1 + CONFIDENCE) / 2) * logs.std(ddof=1) / np.sqrt(logs.size)
    return Interval(float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half)))


def log_deviation(values: Sequence[float]) -> float:
    """The standard deviation of the logarithms of at least two values."""
    return float(np.log(_checked(values)).std(ddof=1))


def outliers(samples: Sequence[float]) -> tuple[int, ...]:
    """Positions of the samples whose modified z-score is beyond `OUTLIER_SCORE`.

    Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): 0.6745 (x - median) / MAD. Where more than
    half of the samples are equal the MAD is 0, and the mean absolute deviation stands in for it.
    """
    deviations = np.abs(_checked(samples) - median(samples))
    mad, mean_ad = float(np.median(deviations)), float(np.mean(deviations))
    sigma = mad / MAD_TO_SIGMA if mad > 0 else mean_ad / MEAN_AD_TO_SIGMA
    if sigma == 0:
        return ()
    return tuple(int(position) for position in np.flatnonzero(deviations / sigma > OUTLIER_SCORE))


def _checked(samples: Sequence[float]) -> np.ndarray:
    array = np.asarray(samples, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"samples are a row of at least one number, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("a sample is not a finite number")
    return array


def _resampled_medians(samples: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    array = _checked(samples)
    rows = max(1, AT_ONCE // array.size)
    counts = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    return np.concatenate([np.median(generator.choice(array, (n, array.size)), axis=1) for n in counts])


def _percentile_interval(resampled: np.ndarray) -> Interval:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Interval(float(low), float(high))
