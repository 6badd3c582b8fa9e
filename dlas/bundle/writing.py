"""The result of a finished point: the files of its bundle, its metrics and its tags."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dlas import config
from dlas.bundle import Bundle, mlflow_model, seal, speedup
from dlas.bundle.layer_table import LayerRow, layer_rows, write_layers
from dlas.files import documents
from dlas.hardware.results import measurement, reference, roofs, spread
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.targets import machine, target_file
from dlas.hardware.timing.single_kernels import KernelTime
from dlas.interfaces.images import ImageDataset
from dlas.interfaces.targets.target import Target
from dlas.models import counting, precision
from dlas.models.fidelity import layers_without_signal
from dlas.models.precision import FLOAT32_BITS, INTEGER_BITS
from dlas.stages.deployment import Deployed
from dlas.stages.kernels.chosen import Kernels
from dlas.stages.kernels.tuning import Tuned
from dlas.stages.library import Library
from dlas.stages.machine.roofs import MeasuredRoofs
from dlas.stages.machine.yardstick import Yardsticks
from dlas.stages.network import WEIGHTS, Network
from dlas.stages.program.declared import Lowered
from dlas.stages.program.fastest import CANDIDATES
from dlas.stages.stage import Kept
from dlas.systems.choices import record
from dlas.systems.choices.record import Choices
from dlas.systems.program import program
from dlas.systems.tuners import tuning

REFERENCE_IMAGES = 16
"""Test images kept in the bundle with their expected outputs."""


@dataclass(frozen=True)
class Batch:
    """The network built for runs of several images."""

    size: int
    lowered: Lowered
    library: Library


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that the stages of one point gave."""

    stack: config.Stack
    target: Target
    dataset: ImageDataset
    dense: Network
    compressed: Network
    lowered: Lowered
    tuned: Tuned
    kernels: Kernels
    library: Library
    deployed: Deployed
    batches: tuple[Batch, ...]
    yardsticks: Yardsticks | None
    roofs: MeasuredRoofs | None
    """None where they were not measured."""
    timing: Measurement
    profile: list[KernelTime]

    @cached_property
    def layers(self) -> list[LayerRow]:
        """The per-layer table."""
        return layer_rows(
            self.lowered.program,
            self.kernels.choices,
            self.kernels.unsteady,
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
        return precision.bits(self.compressed.module) == INTEGER_BITS

    @property
    def float_layers(self) -> list[str]:
        """The layers that an int8 network computes in float32."""
        return speedup.float_layers(self.macs, self.lowered.program) if self.is_integer else []


def fill(folder: Path, found: Results) -> None:
    """Write every file of the bundle into `folder`, then its manifest."""
    bundle = Bundle(folder)
    bundle.make_folders()
    bundle.config.write_text(config.to_yaml(found.stack), encoding="utf-8")
    shutil.copy(found.compressed.weights, bundle.model / WEIGHTS)
    for part in (program.PROGRAM, program.LAYERS, program.WEIGHTS):
        shutil.copy(found.lowered.folder / part, bundle.model / part)
    candidates = found.lowered.folder / CANDIDATES
    if candidates.exists():
        shutil.copy(candidates, folder)
    for log in (found.tuned.folder / name for name in tuning.LOGS):
        if log.exists():
            shutil.copy(log, bundle.tuning)
    shutil.copy(found.tuned.summary, bundle.tuning)
    chosen = Choices(found.stack.tuner.registered, found.stack.compiler.opt_level, found.kernels.choices)
    record.write(chosen, bundle.tuning / record.FILE)
    shutil.copy(found.library.path, bundle.library)
    for batch in found.batches:
        shutil.copy(batch.library.path, bundle.library_of(batch.size))
        bundle.program_of(batch.size).mkdir()
        for part in (program.PROGRAM, program.LAYERS):
            shutil.copy(batch.lowered.folder / part, bundle.program_of(batch.size))
    if found.yardsticks is not None:
        for name, path in found.yardsticks.paths.items():
            shutil.copy(path, bundle.yardstick(name))
    if found.roofs is not None:
        shutil.copy(found.roofs.path, bundle.roofs)
    target_file.write(found.target, bundle.target)
    kept = reference.first(found.deployed.reference, REFERENCE_IMAGES)
    reference.write(kept, bundle.reference)
    mlflow_model.write(bundle.mlflow_model, kept.inputs, kept.outputs)
    measurement.write(found.timing, bundle.timing)
    write_layers(found.layers, bundle.layers)
    documents.write(machine.ENVIRONMENT, bundle.environment, machine.environment())
    seal(folder, point=config.identity(found.stack), stages=_stage_keys(found))


def metrics(found: Results) -> dict[str, float]:
    """Metrics of a point: accuracies are fractions of 1, latencies milliseconds, MACs per image.

    The remaining parameters, and MACs, are those that were not removed with their channel and are not zero.
    The expected speedup counts what the kernels use of that.
    """
    image = found.dataset.image_shape
    dense, compressed = found.dense.module, precision.architecture(found.compressed.module)
    parameters, macs = counting.parameters(dense), counting.macs(dense, image)
    remaining_parameters = counting.nonzero_parameters(compressed)
    other_bits = FLOAT32_BITS if found.is_integer else precision.bits(found.compressed.module)
    return {
        "accuracy.dense": found.dense.accuracy,
        "accuracy.compressed": found.compressed.accuracy,
        "accuracy.deployed": found.deployed.accuracy,
        "params.dense": parameters,
        "params.remaining": remaining_parameters,
        "macs.dense": macs,
        "macs.remaining": counting.remaining_macs(compressed, image),
        "bytes.dense": counting.dense_bytes(parameters, counting.FLOAT32_BITS),
        "bytes.format": sum(array.nbytes for array in found.lowered.program.packed_arrays()),
        "compression.ratio": counting.compression_ratio(parameters, remaining_parameters),
        "speedup.expected": speedup.expected(macs, found.macs, found.lowered.program, other_bits),
        "library.bytes": found.library.path.stat().st_size,
        "tuning.trials": found.tuned.trials,
        "tuning.failed": found.tuned.failed,
        "tuning.seconds": found.tuned.seconds,
        "tuning.layers_tuned": sum(row.schedule == "tuned" for row in found.layers),
        **measurement.metrics(found.timing),
        **({} if found.roofs is None else roofs.metrics(found.roofs.roofs)),
    }


def tags(found: Results) -> dict[str, str]:
    """Tags that a reader of the numbers has to know: fallbacks, untuned layers, layers of an int8 network in
    float32 or without their signal, a board that was emulated, or unsteady as it timed the network, kernels
    to choose from or its roofs; its CPU; the main source of the samples' spread; and the sessions' medians
    in milliseconds, which say how well the latency is known."""
    fallbacks = [f"{row.layer}: {row.fallback_reason}" for row in found.layers if row.fallback_reason]
    untuned = [row.layer for row in found.layers if row.workload and row.schedule == "untuned"]
    tuned = any(choice.tuned for choice in found.kernels.choices)
    noted = {
        "dlas.session_medians_ms": " ".join(f"{median:.6g}" for median in found.timing.session_medians_ms),
        "dlas.fallbacks": "; ".join(fallbacks),
        "dlas.untuned_layers": ", ".join(untuned),
        "dlas.float_layers": ", ".join(found.float_layers),
        "dlas.lost_signal": layers_without_signal(precision.signal_to_noise(found.compressed.module)),
        "dlas.tuning_stopped": found.tuned.stopped,
        "dlas.untuned_batches": ", ".join(str(batch.size) for batch in found.batches) if tuned else "",
        "dlas.unsteady": "; ".join(found.timing.unsteady_at_any_size),
        "dlas.spread": spread.source(found.timing) or "",
        "dlas.unsteady_choices": _unsteady_choices(found),
        "dlas.unsteady_roofs": "; ".join(found.roofs.roofs.unsteady if found.roofs else ()),
        "dlas.cpu": str(found.timing.environment.get("cpu", "")),
        "dlas.emulated": found.timing.environment["cpu"] if found.timing.emulated else "",
    }
    return {name: text for name, text in noted.items() if text}


def _unsteady_choices(found: Results) -> str:
    """What was chosen by timing while the board did not hold still, with the reasons; "" for nothing."""
    doubts = {"algorithms": found.lowered.unsteady, "tuned kernels": found.kernels.unsteady}
    return "; ".join(f"{what}: {', '.join(reasons)}" for what, reasons in doubts.items() if reasons)


def _stage_keys(found: Results) -> dict[str, str]:
    """Keys of the stages' results by the names of the stages; of several results of one, that of the final
    network for one image."""
    batches = [kept for batch in found.batches for kept in (batch.lowered, batch.library)]
    first: list[Kept] = [found.dense, found.compressed, found.lowered, found.tuned, found.kernels]
    beside = [kept for kept in (found.yardsticks, found.roofs) if kept is not None]
    last = [*beside, found.library, found.deployed]
    return {kept.stage: kept.key for kept in (*batches, *first, *last)}
