"""The result of a finished point: the files of its bundle, its metrics and its tags."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dlas import config
from dlas.analysis.layer_row import LayerRow
from dlas.bundle import Bundle, libraries, mlflow_model, seal, speedup
from dlas.bundle.layer_table import layer_rows, write_layers
from dlas.bundle.libraries import Batch, ChosenKernels
from dlas.data_types import FLOAT32_BITS
from dlas.files import documents, folders
from dlas.hardware.results import measurement, reference, roofs, spread
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.targets import run_environment, target_file
from dlas.hardware.timing.single_kernels import KernelTime
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.targets.target import Target
from dlas.models import counting, precision
from dlas.models.fidelity import layers_without_signal
from dlas.stages.deployment import Deployed
from dlas.stages.libraries.library import Library
from dlas.stages.machine.roofs import MeasuredRoofs
from dlas.stages.machine.yardstick import Yardsticks
from dlas.stages.network import WEIGHTS, Network
from dlas.stages.stage import Kept
from dlas.systems.choices import record
from dlas.systems.choices.record import Choices
from dlas.systems.program.packing import packed_arrays

REFERENCE_IMAGES = 16
"""Test images kept in the bundle with their expected outputs."""

DIGEST = 16
"""Characters of the digest of the yardsticks."""

GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the stages of one point gave."""

    stack: config.Stack
    target: Target
    dataset: ImageDataset
    dense: Network
    compressed: Network
    chosen: ChosenKernels | None
    """None where the compiler has kernels of its own."""
    library: Library
    deployed: Deployed
    batches: tuple[Batch, ...]
    yardsticks: Yardsticks | None
    roofs: MeasuredRoofs | None
    """None where they were not measured."""
    timing: Measurement
    profile: list[KernelTime]
    runtime: Mapping[str, str]
    """Versions of what runs the library on a board elsewhere, where that is not TVM's runtime."""
    integer_macs: int | None = None
    """MACs per image of an int8 network that the runtime of another compiler computes in int8; None where it
    is not known."""

    @cached_property
    def layers(self) -> list[LayerRow]:
        """The per-layer table; empty where the compiler has kernels of its own, which may serve several."""
        if self.chosen is None:
            return []
        return layer_rows(
            self.chosen.lowered.program,
            self.chosen.kernels.choices,
            self.chosen.kernels.unsteady,
            self.profile,
            precision.signal_to_noise(self.compressed.module),
        )

    @cached_property
    def macs(self) -> dict[str, int]:
        """MACs per image of each layer of the compressed network, zeros included."""
        network = precision.architecture(self.compressed.module)
        return counting.macs_by_layer(network, self.dataset.image_shape)

    @property
    def is_integer(self) -> bool:
        """Whether the compressed network is one in int8."""
        return precision.is_int8(self.compressed.module)

    @property
    def float_layers(self) -> list[str]:
        """The layers that an int8 network computes in float32, as far as its kernels are known."""
        if self.chosen is None or not self.is_integer:
            return []
        return speedup.float_layers(self.macs, self.chosen.lowered.program)


def fill(folder: Path, found: Results) -> None:
    """Write every file of the bundle into `folder`, then its manifest."""
    bundle = Bundle(folder)
    bundle.make_folders()
    bundle.config.write_text(config.to_yaml(found.stack), encoding="utf-8")
    shutil.copy(found.compressed.weights, bundle.model / WEIGHTS)
    if found.chosen is None:
        libraries.copy_networks(bundle, found.library, found.batches)
    else:
        libraries.copy_kernels(bundle, found.library, found.batches, found.chosen)
        record.write(_choices(found.stack, found.chosen), bundle.tuning / record.FILE)
    if found.yardsticks is not None:
        for name, path in found.yardsticks.paths.items():
            shutil.copy(path, bundle.yardstick(name))
    if found.roofs is not None:
        shutil.copy(found.roofs.path, bundle.roofs)
    runtime = None if found.chosen else libraries.runtime(found.library, found.target, found.runtime)
    target_file.write(found.target, bundle.target, runtime)
    kept = reference.first(found.deployed.reference, REFERENCE_IMAGES)
    reference.write(kept, bundle.reference)
    mlflow_model.write(bundle.mlflow_model, kept.inputs, kept.outputs)
    measurement.write(found.timing, bundle.timing)
    write_layers(found.layers, bundle.layers)
    documents.write(run_environment.DOCUMENT, bundle.environment, run_environment.of_this_machine())
    seal(folder, point=config.identity(found.stack), stages=_stage_keys(found))


def _choices(stack: config.Stack, chosen: ChosenKernels) -> Choices:
    return Choices(stack.tuner.registered, stack.compiler.opt_level, chosen.kernels.choices)


def metrics(found: Results) -> dict[str, float]:
    """Metrics of a point: accuracies are fractions of 1, latencies milliseconds, MACs per image.

    The remaining parameters, and MACs, are those that were not removed with their channel and are not zero.
    The expected speedup counts what the kernels use of that.
    """
    image = found.dataset.image_shape
    dense, compressed = found.dense.module, precision.architecture(found.compressed.module)
    parameters, macs = counting.parameters(dense), counting.macs(dense, image)
    remaining_parameters = counting.nonzero_parameters(compressed)
    return {
        "accuracy.dense": found.dense.accuracy,
        "accuracy.compressed": found.compressed.accuracy,
        "accuracy.deployed": found.deployed.accuracy,
        "params.dense": parameters,
        "params.remaining": remaining_parameters,
        "macs.dense": macs,
        "macs.remaining": counting.remaining_macs(compressed, image),
        **_known("macs.int8", _int8_macs(found)),
        "bytes.dense": counting.dense_bytes(parameters, FLOAT32_BITS),
        "compression.ratio": counting.compression_ratio(parameters, remaining_parameters),
        **_known("speedup.expected", _expected_speedup(found, macs)),
        "library.bytes": folders.size(found.library.path),
        **(_kernel_metrics(found, found.chosen) if found.chosen is not None else {}),
        **measurement.metrics(found.timing),
        **({} if found.roofs is None else roofs.metrics(found.roofs.roofs)),
    }


def _known(name: str, value: float | None) -> dict[str, float]:
    """The metric, where there is one."""
    return {} if value is None else {name: value}


def _int8_macs(found: Results) -> int | None:
    """MACs per image that are computed in int8; None where the network is not one in int8, or it is not
    known."""
    if found.chosen is None or not found.is_integer:
        return found.integer_macs
    floating = sum(found.macs.get(name, 0) for name in found.float_layers)
    return sum(found.macs.values()) - floating


def _expected_speedup(found: Results, dense_macs: int) -> float | None:
    """The expected speedup; None of an int8 network where it is not known what of it the runtime of another
    compiler computes in float32."""
    bits = precision.bits(found.compressed.module)
    if found.chosen is not None:
        program, other_bits = found.chosen.lowered.program, FLOAT32_BITS if found.is_integer else bits
        return speedup.expected(dense_macs, found.macs, program, other_bits)
    if found.integer_macs is not None:
        return speedup.expected_of_mixed(dense_macs, sum(found.macs.values()), found.integer_macs)
    return None if found.is_integer else speedup.expected(dense_macs, found.macs, None, bits)


def _kernel_metrics(found: Results, chosen: ChosenKernels) -> dict[str, float]:
    """What only kernels that were chosen here tell."""
    return {
        "bytes.format": sum(array.nbytes for array in packed_arrays(chosen.lowered.program)),
        "tuning.trials": chosen.tuned.trials,
        "tuning.failed": chosen.tuned.failed,
        "tuning.seconds": chosen.tuned.seconds,
        "tuning.layers_tuned": sum(row.schedule == "tuned" for row in found.layers),
    }


def tags(found: Results) -> dict[str, str]:
    """Tags that a reader of the numbers has to know: fallbacks, untuned layers, layers of an int8 network in
    float32 or without their signal, a board that was emulated, or unsteady as it timed the network, kernels
    to choose from or its roofs; its CPU, cores and memory; the main source of the samples' spread; the
    sessions' medians in milliseconds, which say how well the latency is known; and their ratios to the
    yardsticks beside them, which tell the board's own pace."""
    fallbacks = [f"{row.layer}: {row.fallback_reason}" for row in found.layers if row.fallback_reason]
    untuned = [row.layer for row in found.layers if row.workload and row.schedule == "untuned"]
    chosen = found.chosen
    tuned = chosen is not None and any(choice.tuned for choice in chosen.kernels.choices)
    noted = {
        "dlas.session_medians_ms": _listed(found.timing.session_medians_ms),
        **({} if found.yardsticks is None else yardstick_tags(found.yardsticks.paths, found.timing)),
        "dlas.fallbacks": "; ".join(fallbacks),
        "dlas.untuned_layers": ", ".join(untuned),
        "dlas.float_layers": ", ".join(found.float_layers),
        "dlas.lost_signal": layers_without_signal(precision.signal_to_noise(found.compressed.module)),
        "dlas.tuning_stopped": chosen.tuned.stopped if chosen else "",
        "dlas.untuned_batches": ", ".join(str(batch.size) for batch in found.batches) if tuned else "",
        "dlas.unsteady": "; ".join(found.timing.unsteady_at_any_size),
        "dlas.spread": spread.source(found.timing) or "",
        "dlas.unsteady_choices": _unsteady_choices(chosen) if chosen else "",
        "dlas.unsteady_roofs": "; ".join(found.roofs.roofs.unsteady if found.roofs else ()),
        "dlas.cpu": str(found.timing.environment.get("cpu", "")),
        "dlas.machine": _machine(found.timing.environment),
        "dlas.emulated": found.timing.environment["cpu"] if found.timing.emulated else "",
    }
    return {name: text for name, text in noted.items() if text}


def _listed(numbers: Sequence[float]) -> str:
    """A number for each session, as a tag tells them."""
    return " ".join(f"{number:.6g}" for number in numbers)


def yardstick_tags(libraries: Mapping[str, Path], timing: Measurement) -> dict[str, str]:
    """Tags of a point that was timed beside these yardsticks: each session's median over what each yardstick
    took beside it, and one digest of the yardsticks' libraries, by which points are known that were timed
    beside the same ones."""
    content = hashlib.sha256()
    for _, library in sorted(libraries.items()):
        content.update(library.read_bytes())
    ratios = {f"dlas.yardstick_ratios.{name}": _listed(timing.paces(name)) for name in timing.yardsticks}
    return {**ratios, "dlas.yardsticks": content.hexdigest()[:DIGEST]}


def _machine(environment: Mapping[str, Any]) -> str:
    """What tells machines of one CPU apart, as far as it was found: `2 cores, 7.8 GiB`."""
    cores, memory = environment.get("cores"), environment.get("memory_bytes")
    return f"{cores} cores, {memory / GIB:.1f} GiB" if cores and memory else ""


def _unsteady_choices(chosen: ChosenKernels) -> str:
    """What was chosen by timing while the board did not hold still, with the reasons; "" for nothing."""
    doubts = {"algorithms": chosen.lowered.unsteady, "tuned kernels": chosen.kernels.unsteady}
    return "; ".join(f"{what}: {', '.join(reasons)}" for what, reasons in doubts.items() if reasons)


def _stage_keys(found: Results) -> dict[str, str]:
    """Keys of the stages' results by the names of the stages; of several results of one, that of the final
    network for one image."""
    batches = [kept for batch in found.batches for kept in (batch.lowered, batch.library) if kept is not None]
    chosen: list[Kept] = []
    if found.chosen is not None:
        chosen = [found.chosen.lowered, found.chosen.tuned, found.chosen.kernels]
    first: list[Kept] = [found.dense, found.compressed, *chosen]
    beside = [kept for kept in (found.yardsticks, found.roofs) if kept is not None]
    last = [*beside, found.library, found.deployed]
    return {kept.stage: kept.key for kept in (*batches, *first, *last)}
