"""A redeployed point as a run of the store, under the point's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlas.files import documents
from dlas.hardware.results import measurement
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.targets import run_environment
from dlas.redeployment import Redeployed

if TYPE_CHECKING:
    from dlas.tracking.delivery import Place
    from dlas.tracking.store import Record, Store


def keep(place: Place, store: Store, original: Record, found: Redeployed) -> str | None:
    """Keep the result as a run under the original, on disk first; returns its id, None where the store can
    only be read."""
    from dlas import tracking
    from dlas.tracking import delivery

    comparison, made = found.comparison, found.rebuilt
    if not tracking.is_writable(store):
        print(f"not logged {tracking.shown(store.uri)} can only be read")
        return None
    tags = {"dlas.verdict": found.verdict, "dlas.rebuilt": "false" if made is None else made.target.name}
    if comparison.new.emulated:
        tags["dlas.emulated"] = str(comparison.new.environment["cpu"])
    if unsteady := comparison.new.unsteady_at_any_size:
        tags["dlas.unsteady"] = "; ".join(unsteady)
    run = delivery.redeploy(place, store, original, f"redeploy of {original.run_id}", tags)
    with delivery.delivering(run):
        files = run.folder / "redeploy"
        files.mkdir()
        measurement.write(comparison.new, files / "timing.json")
        if comparison.paired:
            measurement.write(comparison.old, files / "stored.json")
        documents.write(run_environment.DOCUMENT, files / "environment.json", comparison.new.environment)
        run.note(metrics=_metrics(found))
    print(f"logged     run {run.own_id}")
    return run.own_id


def _metrics(found: Redeployed) -> dict[str, float]:
    """Metrics under names of their own: MLflow's table has one column for all runs with a metric of a name,
    and the columns of points are to have points alone."""
    measured = measurement.metrics(found.comparison.new)
    metrics = {f"redeploy.{name}": value for name, value in measured.items()}
    for one in found.batches:
        of_size = "" if one.new.batch == 1 else f"_b{one.new.batch}"
        metrics |= _ratio(one, of_size)
        if one.new.batch in found.sizes:
            metrics[f"redeploy{of_size}.library.bytes"] = found.sizes[one.new.batch].now
    if found.rebuilt is not None and found.rebuilt.kernels is not None:
        metrics["redeploy.schedules_carried"] = sum(kernel.carried for kernel in found.rebuilt.kernels)
        metrics["redeploy.schedules_left"] = sum(not kernel.carried for kernel in found.rebuilt.kernels)
    return metrics


def _ratio(comparison: Comparison, size: str) -> dict[str, float]:
    if not comparison.comparable:
        return {}
    interval = comparison.interval
    return {
        f"redeploy{size}.ratio": comparison.ratio,
        f"redeploy{size}.ratio_ci_low": interval.low,
        f"redeploy{size}.ratio_ci_high": interval.high,
    }
