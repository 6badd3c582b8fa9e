"""What a sweep came to, as MLflow shows it: metrics of its run, a tag of its points that are not beaten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dlas.analysis import front, pace
from dlas.analysis.front import Standing
from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import FRONT, PARENT, UNSENT, OpenRun, Record


def note(sweep: OpenRun, points: Sequence[Record]) -> None:
    """Log the metrics on the sweep's run, and the tag `dlas.front` on those of the sweep's own points that no
    other one of it beats. Points of earlier sweeps keep their tags, and those that wait to be sent get none.

    Raises whatever the store's client raises.
    """
    found = measured_points(points)
    sweep.log(metrics=metrics(found))
    at_one_pace = pace.at_one_pace(found)
    standings = front.standings(at_one_pace, front.aims(at_one_pace))
    for point, standing in zip(points, standings, strict=True):
        own = point.tags.get(PARENT) == sweep.run_id and UNSENT not in point.tags
        if own and standing is Standing.UNBEATEN:
            OpenRun(sweep.store, point.run_id).log(tags={FRONT: "true"})


def metrics(points: Sequence[MeasuredPoint]) -> dict[str, float]:
    """Numbers of points, of those that finished and failed; the lowest median in milliseconds, and the best
    accuracy of what runs. Emulated times count where all are."""
    ended = Counter(point.status for point in points)
    found: dict[str, float] = {
        "sweep.points": len(points),
        "sweep.finished": ended[FINISHED],
        "sweep.failed": ended["FAILED"],
    }
    timed = [point for point in points if point.timed]
    real = [point for point in timed if not point.emulated] or timed
    medians = [point.latency_ms for point in real if point.latency_ms is not None]
    if medians:
        found["sweep.fastest_median_ms"] = min(medians)
    finished = [point for point in points if point.status == FINISHED]
    accuracies = [value for value in map(front.accuracy, finished) if value is not None]
    if accuracies:
        found["sweep.best_accuracy"] = max(accuracies)
    return found
