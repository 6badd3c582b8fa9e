"""The results as a JSON document, with all that the terminal tells."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dlas.files import documents
from dlas.files.documents import Document
from dlas.hardware.results import limit as limits
from dlas.hardware.results import spread
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.statistics import Interval
from dlas.redeployment import Redeployed, Size
from dlas.verdicts.result import Mean, Result, Results

DOCUMENT = Document("results of a redeployment")


def write(results: Results, path: Path) -> None:
    """Write the results; times in milliseconds, ratios now over then, intervals as [low, high]."""
    documents.write(DOCUMENT, path, values(results))


def values(results: Results) -> dict[str, Any]:
    """The document's values, as docs/redeploying.md tells of them."""
    return {
        "fail_above": results.fail_above,
        "exit_status": results.exit_status,
        "stopped": results.stopped is not None,
        "counts": dict(results.counts),
        "mean": _mean(results.mean),
        "points": [_point(point, results) for point in results.points],
        "left_out": [{"run": one.run, "name": one.name, "status": one.status} for one in results.left_out],
    }


def _point(point: Result, results: Results) -> dict[str, Any]:
    limit = results.fail_above
    judged = None if limit is None else point.judged(limit)
    return {
        "asked": point.asked,
        "name": point.name,
        "outcome": "failed" if point.outcome is None else point.outcome.value,
        "told": point.told,
        "judged": None if judged is None else judged.value,
        "problem": point.problem or None,
        "logged": point.logged,
        "seconds": point.seconds,
        **({} if point.found is None else _found(point.found, limit)),
    }


def _found(found: Redeployed, limit: float | None) -> dict[str, Any]:
    made = found.rebuilt
    kernels = () if made is None else made.kernels or ()
    return {
        "original": None if found.original is None else _measured(found.original),
        "batches": [compared(one, found.sizes.get(one.new.batch), limit) for one in found.batches],
        "differences": {name: {"then": old, "now": new} for name, (old, new) in found.differences.items()},
        "rebuilt": None
        if made is None
        else {
            "target": made.target.name,
            "kernels": [
                {"name": one.name, "carried": one.carried, "reason": one.reason or None} for one in kernels
            ],
        },
    }


def compared(comparison: Comparison, size: Size | None = None, limit: float | None = None) -> dict[str, Any]:
    """The values of a comparison, with the bytes of what was deployed and the judgement by a limit where
    there are any."""
    comparable, changed = comparison.comparable, comparison.instructions
    return {
        "batch": comparison.new.batch,
        "then": _measured(comparison.old),
        "now": _measured(comparison.new),
        "ratio": comparison.ratio if comparable else None,
        "interval": _ends(comparison.interval if comparable else None),
        "compared": _compared_by(comparison),
        "raw_ratio": comparison.raw_ratio if comparable else None,
        "smallest_seen": comparison.smallest_seen if comparable else None,
        "outcome": comparison.outcome.value,
        "told": comparison.verdict,
        "judged": None if limit is None else limits.judged(comparison, limit).value,
        "instructions": None if changed is None else asdict(changed),
        "library_bytes": None if size is None else asdict(size),
        "unsteady": list(comparison.unsteady),
        "yardsticks": {name: _pace(comparison, name) for name in comparison.yardsticks} if comparable else {},
    }


def _compared_by(comparison: Comparison) -> str:
    if comparison.paired:
        return "pairs"
    return "+".join(comparison.mix) or "milliseconds"


def _pace(comparison: Comparison, yardstick: str) -> dict[str, Any]:
    return {
        "ratio": comparison.board_ratio(yardstick),
        "interval": _ends(comparison.board_interval(yardstick)),
    }


def _measured(measured: Measurement) -> dict[str, Any]:
    return {
        **replace(measured, larger={}).summary(),
        "sessions": len(measured.sessions),
        "samples": len(measured.samples_ms),
        "threads": measured.threads,
        "memory_bytes": None if measured.memory is None else measured.memory.peak_bytes,
        "start_ms": None if measured.start is None else measured.start.whole_ms,
        "spread": spread.source(measured),
    }


def _mean(mean: Mean | None) -> dict[str, Any] | None:
    if mean is None:
        return None
    return {"ratio": mean.ratio, "interval": _ends(mean.interval), "points": mean.points}


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
