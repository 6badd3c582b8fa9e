"""One point in full, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlas.analysis import digits, intervals
from dlas.analysis.measured_point import LAYERS, MeasuredPoint
from dlas.analysis.phrases import counted
from dlas.analysis.table import as_text, without_empty_columns
from dlas.analysis.tables.closing import few_sessions, keeps_nothing
from dlas.analysis.tables.layers import slowest
from dlas.hardware.results import spread
from dlas.hardware.results.measurement import Measurement
from dlas.printable import aligned, printable

if TYPE_CHECKING:
    from dlas.analysis.layer_row import LayerRow

UNTUNED = "dlas.untuned_layers"

WARNINGS = {
    "dlas.fallbacks": "layers with another algorithm than the declared one",
    UNTUNED: "layers without a tuned schedule",
    "dlas.float_layers": "layers in float32",
    "dlas.lost_signal": "layers whose signal int8 loses",
    "dlas.tuning_stopped": "the search",
    "dlas.untuned_batches": "batch sizes without tuned schedules",
}
"""Tags of a run that warn of something, and what they list."""


def described(
    point: MeasuredPoint, timing: Measurement | None, layers: Sequence[LayerRow], redeploy: str
) -> str:
    """The point's choices, accuracy, latency, sizes, slowest layers and warnings, and the command that
    redeploys it where there is a bundle. `timing` and `layers` are those of it, as far as there are any."""
    lines = [
        ("point", point.name),
        ("run", f"{point.run_id}  {point.status}"),
        *((layer, point.choices[layer]) for layer in LAYERS if layer in point.choices),
        *_accuracy(point),
        *_latency(point, timing),
        *_sizes(point),
        *_start(timing),
        *_tuning(point),
        *_warnings(point),
        *([("failed", point.error)] if point.error else []),
    ]
    told = aligned([(name, printable(words)) for name, words in lines])
    parts = ["\n".join(told)]
    if layers:
        parts.append(as_text(without_empty_columns(slowest(layers, point.roofs))))
    if timing is not None:
        parts.append(f"Deploy it again: {redeploy}")
    return "\n\n".join(parts)


def _accuracy(point: MeasuredPoint) -> list[tuple[str, str]]:
    known = {
        "dense": point.accuracy_dense,
        "compressed": point.accuracy_compressed,
        "deployed": point.accuracy_deployed,
    }
    told = [f"{name} {value:.4f}" for name, value in known.items() if value is not None]
    return [("accuracy", ", ".join(told))] if told else []


def _latency(point: MeasuredPoint, timing: Measurement | None) -> list[tuple[str, str]]:
    value, interval = point.latency_ms, intervals.latency_interval(point)
    if value is None or interval is None:
        return []
    span = digits.supported_range(value, interval)
    words = f"{digits.supported(value, interval)} ms, {span}"
    if timing is not None:
        sessions = counted(len(timing.sessions), "session")
        words += f"; {len(timing.samples_ms)} samples in {sessions}, {counted(timing.threads, 'thread')}"
    further = {"first": point.first_ms, "cold": point.cold_ms}
    if timing is not None:
        further |= {"p90": timing.percentile_ms(90), "p99": timing.percentile_ms(99)}
    more = [f"{name} {digits.supported(ms)} ms" for name, ms in further.items() if ms is not None]
    lines = [("latency", words), *([("", ", ".join(more))] if more else [])]
    lines += [("", note) for note in few_sessions([point])]
    lines += [("unsteady", point.unsteady)] if point.unsteady else []
    source = None if timing is None else spread.source(timing)
    lines += [] if source is None else [("spread", f"mainly from {source}")]
    lines += [] if timing is None else _counted(timing)
    emulated = f"by {point.tags.get('dlas.emulated', '')}: such times say nothing about a real board"
    return lines + ([("emulated", emulated)] if point.emulated else [])


def _counted(timing: Measurement) -> list[tuple[str, str]]:
    """What the processor counted of a run, or why it counted nothing."""
    units = {"instructions": "instructions on one thread", "cache_misses": "cache misses"}
    found = timing.counted
    told = [f"{digits.scaled_count(found[name])} {unit}" for name, unit in units.items() if name in found]
    told += [f"{found['clock_mhz']:.0f} MHz"] if "clock_mhz" in found else []
    missing = next((one.missing for one in timing.counts if one.missing), "")
    told += [f"no instructions: {missing}"] if missing else []
    return [("counted", ", ".join(told))] if told else []


def _sizes(point: MeasuredPoint) -> list[tuple[str, str]]:
    sizes = {
        "weights": point.format_bytes,
        "dense weights": point.dense_bytes,
        "library": point.library_bytes,
        "memory": point.memory_bytes,
    }
    told = [f"{name} {digits.scaled_bytes(value)}" for name, value in sizes.items() if value is not None]
    lines = [("sizes", ", ".join(told))] if told else []
    for name, of, left in (
        ("parameters", point.parameters_dense, point.parameters_remaining),
        ("MACs", point.macs_dense, point.macs_remaining),
    ):
        if of is not None and left is not None:
            lines.append((name, f"{digits.scaled_count(of)}, of which {digits.scaled_count(left)} remain"))
    if point.expected_speedup is not None:
        lines.append(("expected", f"{point.expected_speedup:.2f}x of the dense network's speed"))
    return lines


def _start(timing: Measurement | None) -> list[tuple[str, str]]:
    """What memory and the start consist of."""
    if timing is None or timing.start is None:
        return []
    memory, start = timing.memory, timing.start
    lines = []
    if memory is not None:
        parts = {
            "the runtime": memory.runtime_bytes,
            "the network": memory.loaded_bytes,
            "the first run": memory.first_run_bytes,
        }
        told = ", ".join(f"{digits.scaled_bytes(value)} by {name}" for name, value in parts.items())
        whole = digits.scaled_bytes(memory.process_peak_bytes)
        lines.append(("memory", f"{told}; with Python and NumPy {whole} at most"))
    parts_ms = {
        "importing the runtime": start.runtime_ms,
        "loading the network": start.load_ms,
        "the first run": start.first_ms,
    }
    told = ", ".join(f"{name} {digits.supported(value)} ms" for name, value in parts_ms.items())
    return [*lines, ("start", f"{digits.supported(start.whole_ms)} ms: {told}")]


def _tuning(point: MeasuredPoint) -> list[tuple[str, str]]:
    if not point.tuning_trials:
        return []
    kept = "no tuned kernel kept" if keeps_nothing(point) else f"{point.layers_tuned or 0:.0f} layers tuned"
    return [("tuning", f"{point.tuning_trials:.0f} trials, {kept}")]


def _warnings(point: MeasuredPoint) -> list[tuple[str, str]]:
    asked = dict(WARNINGS)
    if not point.tuning_trials:
        del asked[UNTUNED]  # nobody asked for tuned ones
    return [("warning", f"{words}: {point.tags[tag]}") for tag, words in asked.items() if tag in point.tags]
