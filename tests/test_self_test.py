"""What a board's numbers are worth: simulated boards of known scatter, and this machine."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from command import dlas
from test_statistics import STILL, later

from dlas.hardware.results import measurement, self_test
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.difference import POWER
from dlas.hardware.results.measurement import Measurement, Session

RUNS, SESSIONS = 50, 6


def deployments(count: int, between: float, within: float, seed: int = 0) -> list[Measurement]:
    """A library of 10 ms: relative scatter of deployments as a whole, and of the sessions in each."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        pace = 10e6 * (1 + between * random.standard_normal())
        paces = pace * (1 + within * random.standard_normal(SESSIONS))
        samples = [random.normal(each, 0.001 * each, RUNS).astype(int) for each in paces]
        sessions = [Session(20_000_000, tuple(map(int, each)), STILL, later()) for each in samples]
        found.append(Measurement(RUNS, 1, 2, tuple(sessions)))
    return found


def test_sessions_that_scatter_raise_few_alarms() -> None:
    rates = [self_test.alarms(deployments(10, 0.0, 0.08, seed)) for seed in range(6)]
    assert np.mean(rates) <= 0.05


def test_a_board_that_changes_between_deployments_is_found_out() -> None:
    assert self_test.alarms(deployments(10, 0.2, 0.01)) > 0.5


def test_outcomes_are_those_of_every_pair() -> None:
    found = deployments(6, 0.05, 0.05)
    outcomes = [Comparison(old, new).outcome for old, new in combinations(found, 2)]
    assert self_test.outcomes(found) == {outcome: outcomes.count(outcome) for outcome in set(outcomes)}


def test_what_is_resolved_is_seen_and_half_of_it_is_not() -> None:
    factor = self_test.smallest_difference(deployments(8, 0.0, 0.04))
    assert factor is not None
    fresh = deployments(12, 0.0, 0.04, seed=5)

    def seen(slowdown: float) -> float:
        pairs = [
            Comparison(old, self_test.scaled(new, slowdown)).outcome for old, new in combinations(fresh, 2)
        ]
        return pairs.count(Outcome.SLOWER) / len(pairs)

    assert seen(1 + (factor - 1) * 1.5) >= POWER
    assert seen(1 + (factor - 1) * 0.5) < POWER


def test_a_steadier_board_resolves_more() -> None:
    still, moving = (self_test.smallest_difference(deployments(6, 0.0, scatter)) for scatter in (0.002, 0.08))
    assert still is not None
    assert moving is not None
    assert 1.0 < still < 1.02 < 1.06 < moving


def test_a_board_that_never_holds_still_resolves_nothing() -> None:
    (restless,) = deployments(1, 0.0, 0.01)
    busy = later(busy_seconds=408.0)
    sessions = tuple(Session(one.first_ns, one.samples_ns, STILL, busy) for one in restless.sessions)
    found = [Measurement(RUNS, 1, 2, sessions)] * 4
    assert self_test.smallest_difference(found) is None
    assert self_test.alarms(found) == 0


@pytest.mark.parametrize("threshold", [1.1, 1.73, 3.9])
def test_the_factor_is_found_by_bisection(threshold: float) -> None:
    found = self_test.smallest_factor(lambda factor: float(factor >= threshold))
    assert found is not None
    assert threshold <= found <= threshold + 0.003


@pytest.mark.slow
def test_this_machine_is_checked(tmp_path: Path) -> None:
    short = ["timing.sessions=4", "timing.runs=10", "timing.budget=0"]
    ended = dlas("board", "check", "deployments=2", *short, f"artifacts={tmp_path}")
    assert ended.returncode in (0, 3), ended.stderr
    for said in ("deployed   2 times, 4 sessions each", "pairs      1: ", "alarms ", "resolves "):
        assert said in ended.stdout
    kept = [measurement.read(tmp_path / "checks" / "host" / f"{number}.json") for number in (1, 2)]
    assert [len(found.samples_ms) for found in kept] == [40, 40]
    assert list(kept[0].yardsticks) == ["memory", "kernels"], "compute is what was deployed"


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (["deployments=1"], "deployments: 1 have no two to compare", 2),
        (["timing=quick"], "timing: quick has too few sessions", 2),
        (["target=abacus"], "target: there is no option 'abacus'", 2),
        (["bundle=/nowhere"], "there is no bundle", 1),
        (["target=hikey970", "rpc.port=1"], "no board is listening at 127.0.0.1:1", 1),
    ],
)
def test_a_mistake_is_told(arguments: list[str], said: str, status: int, tmp_path: Path) -> None:
    ended = dlas("board", "check", *arguments, f"artifacts={tmp_path}")
    assert ended.returncode == status
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
