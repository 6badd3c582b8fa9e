"""Runs of the store as measured points: what the analysis works on."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from dlas.analysis.measured_point import LAYERS, MeasuredPoint
from dlas.hardware.results import roofs
from dlas.tracking.store import ERROR, Record

SESSIONS, UNSTEADY, EMULATED = "dlas.session_medians_ms", "dlas.unsteady", "dlas.emulated"
RATIOS = "dlas.yardstick_ratios."
"""Tags of a point: the median latency of each session, why its times are not to be trusted, what emulated
its board; and how those begin that have each session's median over what a yardstick took beside it."""

SETTING_OF = {layer: "compression" if layer == "compression" else f"{layer}.name" for layer in LAYERS}
"""Parameter of a run that tells the choice of each layer."""

WITH_MODEL = ("train.",)
"""Groups of settings that a model's own YAML may set."""

PATHS = (".module", ".factory", ".root")
"""Ends of settings that say where code or data is: their choice has a name."""

PLACES = frozenset({"artifacts", "rerun", "timeout", "objectives", "tracking.uri", "tracking.experiment"})
"""Settings that say where and when a point is made, and nothing of it."""

METRICS = {
    "median_ms": "latency.median_ms",
    "low_ms": "latency.ci_low_ms",
    "high_ms": "latency.ci_high_ms",
    "first_ms": "latency.first_ms",
    "cold_ms": "latency.cold_ms",
    "accuracy_dense": "accuracy.dense",
    "accuracy_compressed": "accuracy.compressed",
    "accuracy_deployed": "accuracy.deployed",
    "parameters_dense": "params.dense",
    "parameters_remaining": "params.remaining",
    "macs_dense": "macs.dense",
    "macs_remaining": "macs.remaining",
    "dense_bytes": "bytes.dense",
    "format_bytes": "bytes.format",
    "library_bytes": "library.bytes",
    "memory_bytes": "memory.peak_bytes",
    "runtime_memory_bytes": "memory.runtime_bytes",
    "loaded_memory_bytes": "memory.loaded_bytes",
    "first_run_memory_bytes": "memory.first_run_bytes",
    "runtime_ms": "start.runtime_ms",
    "load_ms": "start.load_ms",
    "start_ms": "start.whole_ms",
    "expected_speedup": "speedup.expected",
    "tuning_trials": "tuning.trials",
    "layers_tuned": "tuning.layers_tuned",
}
"""Metric of a run behind each number of a measured point."""


def measured_points(records: Sequence[Record]) -> list[MeasuredPoint]:
    """The measured point of each run. What a run lacks, or has as no finite number, is None."""
    further = _further([record.params for record in records])
    return [_measured_point(record, further) for record in records]


def _measured_point(record: Record, further: Sequence[str]) -> MeasuredPoint:
    params, tags = record.params, record.tags
    chosen = {layer: params.get(key) for layer, key in SETTING_OF.items()}
    chosen |= {key: params.get(key) for key in further}
    numbers = {name: _finite(record.metrics.get(metric)) for name, metric in METRICS.items()}
    return MeasuredPoint(
        run_id=record.run_id,
        name=record.name,
        status=record.status,
        choices={key: value for key, value in chosen.items() if value is not None},
        error=tags.get(ERROR, ""),
        session_medians_ms=_listed(tags.get(SESSIONS, "")),
        yardstick_ratios=_ratios(tags),
        pace=None,
        target_kind=params.get("target.kind"),
        roofs=roofs.of_metrics(record.metrics),
        emulated=EMULATED in tags,
        unsteady=tags.get(UNSTEADY, ""),
        tags=tags,
        **numbers,
    )


def _finite(value: float | None) -> float | None:
    """The value; None where there is none, or it isn't finite. MLflow's databases keep infinity as the
    largest number that there is."""
    if value is None or not math.isfinite(value) or abs(value) == sys.float_info.max:
        return None
    return value


def _listed(written: str) -> tuple[float, ...]:
    """The numbers of the sessions that a tag lists; none where it is cut off or no list of positive ones."""
    try:
        numbers = tuple(float(one) for one in written.split())
    except ValueError:
        return ()
    return numbers if all(math.isfinite(one) and one > 0 for one in numbers) else ()


def _ratios(tags: Mapping[str, str]) -> dict[str, tuple[float, ...]]:
    """The ratios that tags list, by the names of the yardsticks."""
    written = {key.removeprefix(RATIOS): text for key, text in tags.items() if key.startswith(RATIOS)}
    return {name: ratios for name, text in written.items() if (ratios := _listed(text))}


def _further(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys of the settings, beside the layers' choices, that differ between points and don't follow from the
    choice of their layer. A setting that only some points have, as those of one compression, differs where
    it differs between these."""
    found = []
    for key in sorted({key for params in settings for key in params} - PLACES - {*SETTING_OF.values()}):
        values = {params[key] for params in settings if key in params}
        if len(values) > 1 and not key.endswith((*PATHS, ".name")) and not _follows(key, settings):
            found.append(key)
    return found


def _follows(key: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Whether the choice of the setting's layer tells its value."""
    layer = "model" if key.startswith(WITH_MODEL) else key.partition(".")[0]
    choice = SETTING_OF.get(layer)
    if choice is None or layer == "compression":
        return False
    values: dict[str, set[str]] = {}
    for params in settings:
        if key in params:
            values.setdefault(params.get(choice, ""), set()).add(params[key])
    return all(len(each) == 1 for each in values.values())
