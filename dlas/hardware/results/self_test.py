"""The worth of a board's numbers, from deployments of one and the same library (an A/A test).

    alarms(deployments) -> share of pairs; smallest_difference(deployments) -> factor

R. Kohavi et al., "Trustworthy Online Controlled Experiments" (2020), chapter 19, tells of A/A tests. Pairs
that share a deployment are not independent: their mean is right all the same, and less exact than their
number suggests (W. Hoeffding, "A Class of Statistics with Asymptotically Normal Distribution", 1948).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.difference import POWER
from dlas.hardware.results.measurement import Measurement, Session

MAX_FACTOR = 4.0
"""Largest slowdown that is tried: a board that can't tell this one can't tell anything."""

STEPS = 10
"""Steps of the bisection between 1 and the largest factor: they narrow it to 0.3 %."""


def outcomes(deployments: Sequence[Measurement]) -> Counter[Outcome]:
    """Number of pairs with each outcome, over all pairs; the earlier of a pair is its older side."""
    return Counter(Comparison(old, new).outcome for old, new in combinations(deployments, 2))


def alarms(deployments: Sequence[Measurement]) -> float:
    """The share of pairs in which the library is said to be slower or faster than itself."""
    found = outcomes(deployments)
    return (found[Outcome.SLOWER] + found[Outcome.FASTER]) / found.total()


def smallest_difference(deployments: Sequence[Measurement]) -> float | None:
    """The factor by which a library has to be slower for `POWER` of the pairs to say so; None for one beyond
    `MAX_FACTOR`."""

    def seen(factor: float) -> float:
        slowed = [scaled(deployment, factor) for deployment in deployments]
        pairs = combinations(range(len(deployments)), 2)
        told = [Comparison(deployments[old], slowed[new]).outcome for old, new in pairs]
        return told.count(Outcome.SLOWER) / len(told)

    return smallest_factor(seen)


def smallest_factor(seen: Callable[[float], float]) -> float | None:
    """The factor at which `seen`, which grows with it, reaches `POWER`: by bisection, rounded up. None for
    one beyond `MAX_FACTOR`."""
    low, high = 1.0, MAX_FACTOR
    if seen(high) < POWER:
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) >= POWER else (middle, high)
    return high


def scaled(measured: Measurement, factor: float) -> Measurement:
    """The measurement as if every run had taken `factor` times as long."""

    def slowed(session: Session) -> Session:
        samples = tuple(round(sample * factor) for sample in session.samples_ns)
        return replace(session, first_ns=round(session.first_ns * factor), samples_ns=samples)

    return replace(measured, sessions=tuple(slowed(session) for session in measured.sessions))
