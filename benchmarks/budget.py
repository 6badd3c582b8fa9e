"""What a budgeted sweep would have found of a grid whose points were all made, untuned and tuned.

    python benchmarks/budget.py <id of the sweep's run> [--artifacts artifacts] [--uri <address of the store>]

The grid may be that of `experiment=dlas_small`. For several margins: how many points would have been tuned,
what share of the front of accuracy and latency they hold, and at what share of the time that tuning took, and
of the time that all steps of the tuned points took. The untuned points, which only a budgeted sweep makes,
count there. The front is that of the tuned points' medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlas import config, tracking
from dlas.analysis.front import near_front
from dlas.analysis.pace import at_one_pace
from dlas.points.steps import TIMING
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import Record

MARGINS = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
APART = ("tuner", "tracking", "artifacts", "rerun", "timeout", "objectives")
"""Settings in which an untuned point may differ from the tuned one."""

OWN = ("tune", "kernels", "build", "deploy", "lower-batch", TIMING, "bundle")
"""Steps that a tuned point doesn't share with the untuned one."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sweep")
    parser.add_argument("--artifacts", type=Path, default=config.default_artifacts())
    parser.add_argument("--uri")
    asked = parser.parse_args()
    store = tracking.open_store(asked.artifacts, asked.uri)
    points = [run for run in tracking.points(store, asked.sweep) if run.status == "FINISHED"]
    untuned = {_key(run): run for run in points if run.params["tuner.name"] == "none"}
    tuned = {_key(run): run for run in points if run.params["tuner.name"] != "none"}
    both = [key for key in tuned if key in untuned]
    if not both:
        raise SystemExit("no point of this sweep was made both untuned and tuned")
    print(f"{len(both)} points were made both ways, {len(points) - 2 * len(both)} otherwise")
    if not _seconds([tuned[key] for key in both]):
        raise SystemExit("this sweep's tuner measured nothing: its schedules were there before")
    screened, grid = [untuned[key] for key in both], [tuned[key] for key in both]
    front = {place for place in range(len(grid)) if _is_on_front(grid[place], grid)}
    shared = sum(_whole(run) - _own(run) for run in (*screened, *grid))
    print("margin  tuned  share of the front  share of the time of tuning  of the whole time")
    for margin in MARGINS:
        near = near_front(at_one_pace(measured_points(screened)), margin)
        found = len(front.intersection(near)) / len(front)
        chosen = [grid[place] for place in near]
        spent = _seconds(chosen) / _seconds(grid)
        whole = (shared + sum(map(_own, (*screened, *chosen)))) / (shared + sum(map(_own, grid)))
        print(f"{margin:6.2f}  {len(near):5}  {found:18.2f}  {spent:27.2f}  {whole:17.2f}")


def _key(run: Record) -> str:
    kept: Mapping[str, str] = {
        name: value for name, value in run.params.items() if name.partition(".")[0] not in APART
    }
    return repr(sorted(kept.items()))


def _is_on_front(point: Record, grid: Sequence[Record]) -> bool:
    accuracy, latency = (point.metrics[name] for name in ("accuracy.deployed", "latency.median_ms"))
    return not any(
        other.metrics["accuracy.deployed"] >= accuracy and other.metrics["latency.median_ms"] < latency
        for other in grid
        if other.params["target.name"] == point.params["target.name"]
    )


def _seconds(points: Sequence[Record]) -> float:
    return sum(point.metrics["tuning.seconds"] for point in points)


def _whole(point: Record) -> float:
    """Seconds of the steps that were made for the point."""
    return sum(_steps(point).values())


def _own(point: Record) -> float:
    """Those of them that no untuned or tuned twin shares."""
    return sum(seconds for step, seconds in _steps(point).items() if step.partition(".")[0] in OWN)


def _steps(point: Record) -> dict[str, float]:
    metrics = point.metrics.items()
    return {
        name.removeprefix(tracking.SECONDS): took
        for name, took in metrics
        if name.startswith(tracking.SECONDS)
    }


if __name__ == "__main__":
    main()
