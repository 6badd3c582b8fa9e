"""Points at one pace: of a machine whose pace is known, beside yardsticks that follow it as is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from open_points import start_point
from scipy.stats import f_oneway
from synthetic_points import point
from test_statistics import STILL, later

from dlas import tracking
from dlas.analysis import front, intervals
from dlas.analysis import grid as grids
from dlas.analysis.interactions.shares import shares
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.pace import at_one_pace, notes
from dlas.analysis.statistics import one_way
from dlas.analysis.tables import closing, comparing
from dlas.bundle import writing
from dlas.hardware.results import measurement
from dlas.hardware.results.measurement import Measurement, Session
from dlas.report import reading
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import Record

YARDSTICKS = {"compute": 0.5, "memory": 4.0, "kernels": 1.0}
"""Typical milliseconds of each."""
SCATTER = 0.005
"""Standard deviation between sessions of one library at one pace, of the log latency."""
SESSIONS = 8


def timed(
    chance: np.random.Generator,
    seed: int,
    own: float,
    paces: Mapping[str, float],
    *,
    log: float = 0.0,
    restless: Mapping[str, float] = MappingProxyType({}),
) -> MeasuredPoint:
    """A point of exp(`log`) ms at the pace 0, timed at the pace `own`, beside yardsticks at these of theirs.
    Sessions of those that are `restless` scatter by so much. Paces are logarithms, above 0 slower."""

    def medians(middle: float, scatter: float = SCATTER) -> tuple[float, ...]:
        return tuple(np.exp(middle + chance.normal(0, scatter, SESSIONS)).tolist())

    sessions = medians(log + own)
    ratios = {}
    for name, pace in paces.items():
        beside = medians(math.log(YARDSTICKS[name]) + pace, restless.get(name, SCATTER))
        ratios[name] = tuple(np.divide(sessions, beside).tolist())
    return point(*sessions, more={"yardstick_ratios": ratios, "accuracy_deployed": 0.9}, seed=str(seed))


def alike(chance: np.random.Generator, paces: Sequence[float], shared: bool = True) -> list[MeasuredPoint]:
    """Points of one library at these paces, which the yardsticks share, or which are the library's alone."""
    return [
        timed(chance, seed, pace, dict.fromkeys(YARDSTICKS, pace if shared else 0.0))
        for seed, pace in enumerate(paces)
    ]


def unbeaten(points: Sequence[MeasuredPoint]) -> int:
    return front.standings(points, front.aims(points)).count(front.Standing.UNBEATEN)


DRIFTING = [0.08 * math.sin(at) for at in range(12)]
"""Paces of a machine that is up to 17 % slower at one time than at another."""


def test_a_drift_that_the_yardsticks_share_is_taken_out_and_told() -> None:
    raw = alike(np.random.default_rng(0), DRIFTING)
    assert unbeaten(raw) < len(raw)
    found = at_one_pace(raw)
    assert unbeaten(found) == len(found)
    latencies = [one.latency_ms for one in found]
    assert max(latencies) / min(latencies) < 1.02  # type: ignore[type-var, operator]
    (told,) = notes(found)
    assert "up to 17 %" in told
    assert told in closing.table(found).notes
    assert told in comparing.points(found).notes


def test_what_the_yardsticks_do_not_share_is_the_points_own() -> None:
    raw = alike(np.random.default_rng(0), DRIFTING, shared=False)
    assert at_one_pace(raw) == raw
    assert notes(raw) == []


def test_milliseconds_are_those_at_the_typical_pace() -> None:
    paces = [0.0] * 9 + [0.1] * 3
    found = at_one_pace(alike(np.random.default_rng(0), paces))
    assert [one.latency_ms for one in found] == pytest.approx([1.0] * 12, rel=0.01)


def test_to_be_brought_to_one_pace_twice_changes_nothing() -> None:
    once = at_one_pace(alike(np.random.default_rng(0), DRIFTING))
    assert at_one_pace(once) == once
    apart = at_one_pace(once[:1])
    assert apart[0].pace is None
    assert apart[0].latency_ms == pytest.approx(math.exp(np.log(once[0].session_medians_ms).mean()))


def test_runs_that_do_not_tell_their_yardsticks_stay_as_they_were_measured_and_that_is_told() -> None:
    known = alike(np.random.default_rng(0), DRIFTING)
    old = [replace(one, run_id=f"old {one.run_id}", yardstick_ratios={}) for one in known[:3]]
    short = replace(old[0], run_id="short", session_medians_ms=known[3].session_medians_ms[:3])
    found = at_one_pace([*known, *old, short])
    assert found[len(known) :] == [*old, short]
    assert [one.pace is None for one in found[: len(known)]] == [False] * len(known)
    assert any("the pace of its moment: 4 points" in line for line in notes(found))
    assert any("the pace of its moment: 3 points" in line for line in notes(old))
    assert notes([short, short]) == []


def test_each_machine_and_each_board_has_a_pace_of_its_own() -> None:
    chance = np.random.default_rng(0)
    here = [replace(one, tags={"dlas.cpu": "A"}) for one in alike(chance, DRIFTING)]
    there = [replace(one, tags={"dlas.cpu": "B"}) for one in alike(chance, [0.5 + one for one in DRIFTING])]
    emulated = [replace(one, emulated=True) for one in alike(chance, [2.0 + one for one in DRIFTING])]
    found = at_one_pace([*here, *there, *emulated])
    assert found == [*at_one_pace(here), *at_one_pace(there), *at_one_pace(emulated)]
    typical = [np.median([one.latency_ms for one in part]) for part in (found[:12], found[12:24], found[24:])]
    assert np.log(typical) == pytest.approx([0.0, 0.5, 2.0], abs=0.03)


def test_one_yardstick_alone_does_not_tell_how_well_it_is_followed() -> None:
    raw = alike(np.random.default_rng(0), DRIFTING)
    alone = [replace(one, yardstick_ratios={"compute": one.yardstick_ratios["compute"]}) for one in raw]
    found = at_one_pace(alone)
    assert [one.latency_ms for one in found] == pytest.approx([one.latency_ms for one in raw])
    assert unbeaten(raw) < unbeaten(found) == len(raw)
    (told,) = notes(found)
    assert "as they were measured" in told
    assert "up to 17 %" in told


def test_a_difference_is_found_beside_a_drift_that_is_larger() -> None:
    chance = np.random.default_rng(0)
    raw = [
        timed(chance, seed, pace, dict.fromkeys(YARDSTICKS, pace), log=0.04 * (seed % 2))
        for seed, pace in enumerate(DRIFTING)
    ]
    found = at_one_pace(raw)
    star, beaten = front.Standing.UNBEATEN, front.Standing.BEATEN
    assert front.standings(found, [front.LATENCY]) == [star, beaten] * 6
    assert front.standings(raw, [front.LATENCY]) != [star, beaten] * 6


def test_a_yardstick_that_the_networks_are_unlike_says_little() -> None:
    chance = np.random.default_rng(0)
    raw = []
    for seed, pace in enumerate(DRIFTING):
        paces = {"compute": pace, "kernels": pace, "memory": pace + chance.normal(0, 0.05)}
        raw.append(timed(chance, seed, pace, paces, log=0.05 * (seed % 2), restless={"memory": 0.1}))
    found = at_one_pace(raw)
    assert all(one.pace is not None and "memory" not in one.pace.yardsticks for one in found)
    star, beaten = front.Standing.UNBEATEN, front.Standing.BEATEN
    assert front.standings(found, [front.LATENCY]) == [star, beaten] * 6


@pytest.mark.parametrize(
    ("moves", "unshared"), [(0.0, 0.0), (0.03, 0.004), (0.03, 0.015)], ids=["still", "nearly", "apart"]
)
def test_intervals_hold_the_truth_as_often_as_they_say(moves: float, unshared: float) -> None:
    """The machine `moves`, and a network and the yardsticks leave its pace by as much, each on its own: both
    as standard deviations of the logarithm."""
    chance = np.random.default_rng(1)
    held = looked = claimed = 0
    for _ in range(40):
        points = []
        for seed in range(16):
            pace = chance.normal(0, moves)
            of_kind = {name: pace + chance.normal(0, unshared) for name in YARDSTICKS}
            points.append(timed(chance, seed, pace + chance.normal(0, unshared), of_kind))
        found = at_one_pace(points)
        for one, other in zip(found[::2], found[1::2], strict=True):
            ratio = intervals.latency_ratio(one, other)
            assert ratio is not None
            held, looked = held + (not ratio.resolved), looked + 1
        grid = grids.of(found)
        (share,) = shares(grid, grid.noise).shares
        assert share.p_value is not None
        claimed += share.p_value < 0.05
    assert 0.93 <= held / looked <= 0.99
    assert claimed <= 5


def test_an_analysis_of_variance_is_that_of_scipy() -> None:
    chance = np.random.default_rng(0)
    groups = [chance.normal(mean, 1, size) for mean, size in ((0, 4), (1, 7), (0.3, 12))]
    assert one_way.analysis(groups).p_value == pytest.approx(f_oneway(*groups).pvalue)
    assert one_way.analysis([np.ones(3), np.ones(2)]).p_value == 1
    assert one_way.analysis([np.ones(3), np.zeros(2)]).p_value == 0


def measured() -> Measurement:
    """A network of 4 ms in four sessions, beside yardsticks of 2 and 8 ms."""

    def sessions(ns: int) -> tuple[Session, ...]:
        return (Session(2 * ns, (ns,), STILL, later()),) * 4

    beside = {"compute": sessions(2_000_000), "memory": sessions(8_000_000)}
    return Measurement(1, 0, 2, sessions(4_000_000), yardsticks=beside)


def test_a_run_tells_the_yardsticks_beside_its_sessions(tmp_path: Path) -> None:
    libraries = {name: tmp_path / f"{name}.so" for name in ("compute", "memory")}
    for name, path in libraries.items():
        path.write_text(name)
    tags = writing.yardstick_tags(libraries, measured())
    (told,) = measured_points([Record("id", "run", "FINISHED", {}, {}, tags, ended=0.0)])
    assert told.yardstick_ratios == {"compute": (2.0,) * 4, "memory": (0.5,) * 4}
    libraries["memory"].write_text("another")
    again = writing.yardstick_tags(libraries, measured())
    assert {name for name in tags if tags[name] != again[name]} == {"dlas.yardsticks"}


def test_what_runs_of_earlier_versions_do_not_tell_their_bundles_do(tmp_path: Path) -> None:
    store = tracking.open_store(tmp_path / "artifacts")
    sweep = tracking.start_sweep(store, "sweep", {})
    (tmp_path / "bundle").mkdir()
    measurement.write(measured(), tmp_path / "bundle" / "timing.json")
    for name, beside in (("beside yardsticks", "True"), ("without", "False")):
        run = start_point(store, name, {"dlas.session_medians_ms": "4 4 4 4"}, sweep.run_id)
        run.log(params={"timing.yardstick": beside}, metrics={"latency.median_ms": 4.0})
        run.log_files(tmp_path / "bundle", "bundle")
        tracking.close(run, "FINISHED")
    runs = tracking.points(store, sweep.run_id)
    found = {one.name: one.yardstick_ratios for one in reading.with_sessions(store, runs, tmp_path)}
    assert found == {"beside yardsticks": {"compute": (2.0,) * 4, "memory": (0.5,) * 4}, "without": {}}
