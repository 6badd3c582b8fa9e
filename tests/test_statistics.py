"""Statistics of latencies against SciPy's, and the verdicts drawn from them."""

import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dlas.hardware.results import statistics
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement, Session
from dlas.hardware.targets import run_environment, steadiness
from dlas.hardware.targets.steadiness import State

GENERATOR = np.random.default_rng(3)
LATENCIES = GENERATOR.gamma(9.0, 0.4, 150)
SLOWER = GENERATOR.gamma(9.0, 0.5, 120)


def ratio(new: np.ndarray, old: np.ndarray, axis: int) -> np.ndarray:
    return np.median(new, axis=axis) / np.median(old, axis=axis)


def test_intervals_are_those_of_scipy() -> None:
    options = {
        "method": "percentile",
        "n_resamples": 10_000,
        "vectorized": True,
        "rng": np.random.default_rng(1),
    }
    of_median = scipy.stats.bootstrap((LATENCIES,), np.median, **options).confidence_interval
    ours = statistics.median_interval(LATENCIES)
    assert (ours.low, ours.high) == pytest.approx((of_median.low, of_median.high), rel=0.01)
    of_ratio = scipy.stats.bootstrap((SLOWER, LATENCIES), ratio, **options).confidence_interval
    ours = statistics.ratio_interval(SLOWER, LATENCIES)
    assert (ours.low, ours.high) == pytest.approx((of_ratio.low, of_ratio.high), rel=0.01)


def test_pairs_share_what_the_machine_did_meanwhile() -> None:
    """Its pace, a random walk here, cancels; and the interval holds the true ratio as often as it says: of
    100 trials fewer than 88 would be a chance of 1 in 1000."""
    kept = 0
    for trial in range(100):
        random = np.random.default_rng(trial)
        pace = np.exp(np.cumsum(random.normal(0, 0.1, 41)))
        new, old = 1.1 * random.gamma(50, 0.02, 41), random.gamma(50, 0.02, 41)
        found = statistics.paired_ratio_interval(new * pace, old * pace)
        still = statistics.paired_ratio_interval(new, old)
        assert (found.low, found.high) == pytest.approx((still.low, still.high))
        kept += found.low <= 1.1 <= found.high
    assert kept >= 88


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    """95 % of 100 trials: fewer than 88 would be a chance of 1 in 1000."""
    truth = scipy.stats.gamma.median(9.0, scale=0.4)
    trials = (
        statistics.median_interval(np.random.default_rng(trial).gamma(9.0, 0.4, 40)) for trial in range(100)
    )
    assert sum(found.low <= truth <= found.high for found in trials) >= 88


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60), st.sampled_from([10, 50, 90, 99]))
def test_percentiles_are_those_of_scipy(samples: list[float], percent: int) -> None:
    expected = scipy.stats.mstats.mquantiles(samples, percent / 100, alphap=1, betap=1)[0]
    assert statistics.percentile(samples, percent) == pytest.approx(expected)


def test_outliers_are_pointed_at() -> None:
    samples = [*LATENCIES[:50], 40.0]
    scores = (samples - np.median(samples)) / scipy.stats.median_abs_deviation(samples, scale="normal")
    assert statistics.outliers(samples) == tuple(np.flatnonzero(np.abs(scores) > 3.5))
    assert 50 in statistics.outliers(samples)


@pytest.mark.parametrize(("samples", "expected"), [([1.0] * 9, ()), ([1.0] * 20 + [2.0], (20,)), ([5.0], ())])
def test_outliers_among_equal_samples(samples: list[float], expected: tuple[int, ...]) -> None:
    assert statistics.outliers(samples) == expected


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_what_is_no_row_of_numbers_is_refused(samples: list) -> None:
    with pytest.raises(ValueError, match="sample"):
        statistics.median(samples)


STILL = State(
    "2026-01-01T00:00:00.000+00:00", 100.0, 4, "performance", 2000.0, 50.0, 0.1, 400.0, 0.0, 10.0, 7
)


def later(**changes: object) -> State:
    """Two seconds of this process' own work on two cores after `STILL`."""
    after = {"uptime_seconds": 102.0, "busy_seconds": 404.0, "own_seconds": 14.0}
    return State(**{**vars(STILL), **after, **changes})


def measured(samples_ms: np.ndarray, after: State, sessions: int = 6) -> Measurement:
    parts = [
        Session(9_000_000, tuple(int(sample * 1e6) for sample in part), STILL, after)
        for part in np.split(samples_ms, sessions)
    ]
    return Measurement(len(samples_ms) // sessions, 1, 2, tuple(parts))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"busy_seconds": 405.5}, "other processes used 0.7 of 4 cores"),
        ({"busy_seconds": 420.0}, "other processes used 4.0 of 4 cores"),
        ({"stolen_seconds": 1.0}, "hypervisor"),
        ({"throttled": 8}, "heat"),
        ({"frequency_mhz": 1500.0}, "2000 to 1500 MHz"),
        ({"asleep_seconds": 61.0}, "slept for 61 s"),
        ({"clock_source": "hpet"}, "clock source went from None to hpet"),
    ],
)
def test_a_board_that_moves_is_marked(changes: dict, reason: str) -> None:
    assert steadiness.unsteadiness(STILL, later()) == ()
    (found,) = steadiness.unsteadiness(STILL, later(**changes))
    assert reason in found.reason


def test_of_several_sessions_the_worst_of_each_kind_is_told() -> None:
    ends = [
        later(busy_seconds=405.5),
        later(busy_seconds=408.0, stolen_seconds=1.0),
        later(stolen_seconds=3.0),
    ]
    sessions = tuple(Session(9, (9, 9), STILL, after) for after in ends)
    worst = (
        steadiness.unsteadiness(STILL, ends[1])[0].reason,
        steadiness.unsteadiness(STILL, ends[2])[0].reason,
    )
    assert Measurement(2, 1, 2, sessions).unsteady == worst
    apart = Measurement(2, 1, 2, sessions[:2], larger={4: sessions[1:]})
    assert apart.unsteady != worst
    assert apart.unsteady_at_any_size == worst


def test_a_governor_that_changes_the_clock_is_marked() -> None:
    saving = State(**{**vars(STILL), "governor": "powersave"})
    (found,) = steadiness.unsteadiness(saving, later(governor="powersave"))
    assert "powersave" in found.reason


def test_the_clocks_are_the_kernel_s() -> None:
    found = steadiness.state()
    assert found.clock_source == run_environment.of_this_machine()["clock_source"]
    since_start = float(Path("/proc/uptime").read_text().split()[0])
    assert found.uptime_seconds + found.asleep_seconds == pytest.approx(since_start, abs=5.0)


def test_work_beside_is_seen_on_this_machine() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as beside:
        before = steadiness.state()
        time.sleep(1.0)
        found = steadiness.unsteadiness(before, steadiness.state())
        beside.kill()
    assert any("other processes used" in one.reason for one in found)


@pytest.mark.parametrize(
    ("factor", "changes", "verdict"),
    [
        (1.0, {}, "same"),
        (1.0, {"busy_seconds": 408.0}, "same"),
        (1.5, {}, "slower by a factor of 1.50"),
        (0.5, {}, "faster by a factor of 2.00"),
        (1.5, {"busy_seconds": 408.0}, "can't tell: now other processes used"),
    ],
)
def test_verdicts(factor: float, changes: dict, verdict: str) -> None:
    old = np.random.default_rng(0).normal(10.0, 0.3, 150)
    comparison = Comparison(measured(old, later()), measured(old * factor, later(**changes)))
    assert comparison.verdict.startswith(verdict)
    assert comparison.verdict.startswith(comparison.outcome.value)
    assert comparison.interval.low <= comparison.ratio <= comparison.interval.high


@pytest.mark.parametrize(
    ("library", "yardstick", "cpu", "verdict"),
    [
        (1.5, 1.0, "A", "slower by a factor of 1.50"),
        (1.5, 1.5, "A", "same"),
        (
            0.5,
            0.4,
            "A",
            "can't tell: the board's own pace differs, its yardstick compute took 0.40 times as long",
        ),
        (1.5, 1.2, "A", "slower by a factor of 1.25"),
        (1.5, 1.5, "B", "slower by a factor of 1.50"),
        (
            1.2,
            1.5,
            "A",
            "can't tell: the board's own pace differs, its yardstick compute took 1.50 times as long",
        ),
    ],
)
def test_a_board_of_another_pace_is_told_from_a_slower_library(
    library: float, yardstick: float, cpu: str, verdict: str
) -> None:
    samples = np.random.default_rng(0).normal(10.0, 0.3, 150)

    def side(own: float, beside: float, cpu: str) -> Measurement:
        found, other = measured(samples * own, later()), measured(samples * 0.1 * beside, later())
        return replace(found, yardsticks={"compute": other.sessions}, environment={"cpu": cpu})

    assert Comparison(side(1.0, 1.0, "A"), side(library, yardstick, cpu)).verdict == verdict


def test_a_kernel_that_keeps_more_memory_makes_no_other_machine() -> None:
    samples = np.random.default_rng(0).normal(10.0, 0.3, 150)

    def with_memory(size: int) -> Measurement:
        return replace(measured(samples, later()), environment={"cpu": "A", "memory_bytes": size})

    here = with_memory(25_276_514_304)
    assert Comparison(here, with_memory(25_276_502_016)).same_machine
    assert not Comparison(here, with_memory(33_000_000_000)).same_machine


def test_another_number_of_threads_on_one_machine_is_no_matter_of_the_library() -> None:
    samples = np.random.default_rng(0).normal(10.0, 0.3, 150)
    old, new = measured(samples, later()), replace(measured(samples * 1.5, later()), threads=1)
    assert Comparison(old, new).verdict == "can't tell: it ran on 2 threads then and on 1 now"
    elsewhere = replace(new, environment={"cpu": "B"})
    assert Comparison(old, elsewhere).verdict == "slower by a factor of 1.50"


def test_a_measurement_s_interval_is_over_sessions() -> None:
    """Sessions of 10 and 12 ms, each with little scatter of its own."""
    random = np.random.default_rng(0)
    parts = [random.normal(pace, 0.01, 25) for pace in (10.0, 12.0, 10.2, 11.7, 10.4, 11.9)]
    found = measured(np.concatenate(parts), later())
    logs = np.log([np.median(part) for part in parts])
    expected = scipy.stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    ends = (found.interval_ms.low, found.interval_ms.high)
    assert ends == pytest.approx((np.exp(expected.low), np.exp(expected.high)), rel=1e-6)
    assert found.median_ms == pytest.approx(scipy.stats.gmean([np.median(part) for part in parts]))
    few = measured(np.concatenate(parts[:3]), later(), 3)
    samples = statistics.median_interval(few.samples_ms)
    assert few.interval_ms.low == samples.low <= few.median_ms
    assert few.interval_ms.high == max(samples.high, few.median_ms)
    assert (found.summary()["ci_over"], few.summary()["ci_over"]) == ("sessions", "samples")


def test_a_session_a_side_is_too_little_for_a_difference_and_enough_for_the_same() -> None:
    old = np.random.default_rng(0).normal(10.0, 0.3, 150)
    once = measured(old, later(), 1)
    assert "too few" in Comparison(once, measured(old * 1.5, later(), 1)).verdict
    assert Comparison(once, measured(old, later(), 1)).verdict == "same"


def test_sessions_of_one_library_that_differ_are_no_difference() -> None:
    """As seen on a real machine: fresh processes of one library took from 1.66 to 2.31 ms."""
    random = np.random.default_rng(1)
    verdicts = []
    for _ in range(200):
        paces = random.uniform(1.66, 2.31, (2, 6))
        old, new = (np.concatenate([random.normal(pace, 0.01, 50) for pace in side]) for side in paces)
        verdicts.append(Comparison(measured(old, later()), measured(new, later())).verdict)
    alarms = sum(not verdict.startswith(("same", "can't tell")) for verdict in verdicts)
    assert alarms <= 0.05 * len(verdicts)


def test_the_verdict_is_found_where_torch_is_kept_out() -> None:
    script = (
        "from dlas.hardware.results import difference;"
        "from dlas.hardware.sessions import session; session.keep_torch_out();"
        "print(difference.of_ratios([2.0, 2.1, 2.2]).interval(0.05).low);"
        "import torch"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    expected = scipy.stats.ttest_1samp(np.log([2.0, 2.1, 2.2]), 0.0).confidence_interval(0.95)
    assert float(ended.stdout) == pytest.approx(np.exp(expected.low))
    assert "torch is kept out" in ended.stderr


def test_scattered_samples_tell_nothing() -> None:
    old, new = np.random.default_rng(0).gamma(2.0, 5.0, (2, 12))
    assert Comparison(measured(old, later()), measured(new, later())).verdict.startswith("can't tell")


def test_the_environment_is_told_without_importing_the_packages() -> None:
    script = (
        "import sys, json; from dlas.hardware.targets.run_environment import of_this_machine;"
        "found = of_this_machine();"
        "print(json.dumps([found, sorted({'torch', 'tvm', 'mlflow'} & sys.modules.keys())]))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    import json

    import tvm

    environment, imported = json.loads(told.stdout)
    assert imported == []
    assert environment["python"] == platform.python_version()
    assert environment["packages"]["apache-tvm"].startswith(tvm.__version__)
    assert environment["kernel"].endswith(platform.release())


def test_what_differs_is_told_by_its_key() -> None:
    old = {"python": "3.11.2", "packages": {"numpy": "2.4.0", "torch": "2.13"}, "cpu": None}
    new = {"python": "3.11.2", "packages": {"numpy": "2.5.0"}, "cpu": "A"}
    assert run_environment.differences(old, new) == {
        "packages.numpy": ("2.4.0", "2.5.0"),
        "packages.torch": ("2.13", None),
        "cpu": (None, "A"),
    }


def test_what_an_earlier_version_did_not_ask_for_is_no_difference() -> None:
    told = {"cpu": "A", "clock_source": "tsc"}
    assert run_environment.differences({"cpu": "A"}, told) == {}
    assert run_environment.differences({**told, "clock_source": "hpet"}, told) == {
        "clock_source": ("hpet", "tsc")
    }
