"""The table that ends a sweep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dlas.printable import aligned
from dlas.tracking.store import ERROR, UNSENT, Record, is_unsteady

BEST, EMULATED, UNSENT_STATUS = "*", "emulated", "not sent yet"
# Settings that follow from a choice whose name is already shown.
IMPLIED = (".module", ".factory")
# Settings that say where and when a point is made, and nothing of it.
NO_CHOICES = frozenset({"artifacts", "rerun", "timeout", "tracking.uri", "tracking.experiment"})
OUTCOMES = ("top1 dense", "compressed", "deployed", "median ms", "95% interval", "expected", "status", "run")


def table(points: Sequence[Record], earlier: Collection[str] = ()) -> str:
    """One line a point: its choices, accuracies, latency, MLflow run; the fastest finished one is marked, and
    so are those whose runs are `earlier` ones."""
    if not points:
        return "no point was started"
    varied = _varied([point.params for point in points])
    fastest = best(points)
    lines = [["", *(_heading(key) for key in varied), *OUTCOMES]]
    for point in points:
        choices = [point.params.get(key, "-") for key in varied]
        lines.append([BEST if point is fastest else "", *choices, *_outcome(point, earlier)])
    closing = [f"{BEST} the lowest latency"] if fastest else []
    if any(_is_emulated(point) for point in points):
        closing.append(f"{EMULATED}: such times say nothing about a real board")
    unsteady = sum(is_unsteady(point) for point in points)
    if unsteady:
        told = f"unsteady: the board did not hold still for {unsteady} of {len(points)} points"
        closing.append(f"{told}, which their runs' tags tell of; rerun=unsteady makes them again")
    skipped = sum(point.run_id in earlier for point in points)
    if skipped:
        told = f"earlier: {skipped} of {len(points)} points have this run and were not made again"
        closing.append(f"{told}; rerun=all makes them")
    waiting = sum(UNSENT in point.tags for point in points)
    if waiting:
        told = f"{UNSENT_STATUS}: {waiting} of {len(points)} points are kept on this disk"
        closing.append(f"{told}; python -m dlas.sync sends them")
    closing += [f"{point.name}: {point.tags[ERROR]}" for point in points if ERROR in point.tags]
    return "\n".join(["", *aligned(lines), "", *closing, "Look closer: make ui  (or: python -m dlas.ui)"])


def best(points: Sequence[Record]) -> Record | None:
    """The finished point with the lowest median latency; emulated times don't compete with real ones."""
    timed = [point for point in points if point.status == "FINISHED" and "latency.median_ms" in point.metrics]
    if len({_is_emulated(point) for point in timed}) > 1:
        timed = [point for point in timed if not _is_emulated(point)]
    return min(timed, key=lambda point: point.metrics["latency.median_ms"], default=None)


def _is_emulated(point: Record) -> bool:
    return "dlas.emulated" in point.tags


def _varied(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Names of the settings in the table: model and algorithm always, then every setting that all points have
    and that is not the same in all."""
    shared = set.intersection(*(set(params) for params in settings)) - NO_CHOICES
    differing = sorted(
        key for key in shared if len({params[key] for params in settings}) > 1 and not key.endswith(IMPLIED)
    )
    always = ["model.name", "algo.name"]
    return always + [key for key in differing if key not in always]


def _heading(key: str) -> str:
    return key.removesuffix(".name")


def _outcome(point: Record, earlier: Collection[str]) -> list[str]:
    accuracies = [_number(point, f"accuracy.{which}", ".4f") for which in ("dense", "compressed", "deployed")]
    low, high = (_number(point, f"latency.ci_{end}_ms", ".3f") for end in ("low", "high"))
    interval = "-" if "-" in (low, high) else f"{low} to {high}"
    speedup = _number(point, "speedup.expected", ".2f")
    median = _number(point, "latency.median_ms", ".3f") + (f" {EMULATED}" if _is_emulated(point) else "")
    return [
        *accuracies,
        median,
        interval,
        speedup if speedup == "-" else f"{speedup}x",
        _status(point, earlier),
        point.run_id,
    ]


def _status(point: Record, earlier: Collection[str]) -> str:
    if UNSENT in point.tags:
        return f"{point.status}, {UNSENT_STATUS}"
    return f"{point.status} earlier" if point.run_id in earlier else point.status


def _number(point: Record, metric: str, form: str) -> str:
    return format(point.metrics[metric], form) if metric in point.metrics else "-"
