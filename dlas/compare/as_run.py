"""Points that were timed again, as a run of the store: under the first of them, or under their sweep."""

from __future__ import annotations

from dlas import tracking
from dlas.compare.again import Timed
from dlas.hardware.results import measurement
from dlas.tracking import delivery
from dlas.tracking.delivery import Kept, tables


def keep(kept: Kept, found: Timed) -> str | None:
    """Keep what was found, on disk first; returns the run's id, None where the store can only be read.

    Metrics have names of their own, with the place of the point among those of the tag `dlas.compared`: of
    MLflow's table the columns of points are to have points alone.
    """
    if not tracking.is_writable(kept.store):
        print(f"not logged {tracking.shown(kept.store.uri)} can only be read")
        return None
    points, comparisons = found.asked.points, found.comparisons
    verdicts = [f"{point.run_id}: {one.verdict}" for point, one in zip(points[1:], comparisons, strict=True)]
    tags = {"dlas.verdict": "; ".join(verdicts)}
    if found.unsteady:
        tags["dlas.unsteady"] = "; ".join(found.unsteady)
    run = delivery.comparison(kept.place, kept.store, found.asked.above, [one.run_id for one in points], tags)
    with delivery.delivering(run):
        files = run.folder / "comparison"
        files.mkdir()
        for point, measured in zip(points, found.measured, strict=True):
            measurement.write(measured, files / f"{point.run_id}.json")
        tables.write(run.folder, found.table)
        run.note(metrics=_metrics(found))
    print(f"logged     run {run.own_id}")
    return run.own_id


def _metrics(found: Timed) -> dict[str, float]:
    metrics = {"comparison.sessions": float(len(found.measured[0].sessions))}
    for place, one in enumerate(found.measured, 1):
        metrics |= {
            f"comparison.{place}.median_ms": one.median_ms,
            f"comparison.{place}.ci_low_ms": one.interval_ms.low,
            f"comparison.{place}.ci_high_ms": one.interval_ms.high,
        }
    for place, comparison in enumerate(found.comparisons, 2):
        metrics |= {
            f"comparison.{place}.ratio": comparison.ratio,
            f"comparison.{place}.ratio_ci_low": comparison.interval.low,
            f"comparison.{place}.ratio_ci_high": comparison.interval.high,
        }
    return metrics
