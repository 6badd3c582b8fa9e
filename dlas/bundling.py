"""What a finished point leaves behind: the files of its bundle, its metrics and its tags."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dlas import config, documents, stages
from dlas.bundle import Bundle, seal
from dlas.datasets.dataset import ImageDataset
from dlas.hardware import machine, measurement, reference, target
from dlas.hardware.deployment import Yardstick
from dlas.hardware.kernels import KernelTime
from dlas.hardware.measurement import Measurement
from dlas.hardware.target import Target
from dlas.layer_table import LayerRow, layer_rows, write_layers
from dlas.models import counting, precision
from dlas.systems import program, tuning

REFERENCE_IMAGES = 16
"""Test images kept in the bundle with their expected outputs."""


@dataclass(frozen=True)
class Results:
    """Everything that the stages of one point gave."""

    stack: config.Stack
    target: Target
    dataset: ImageDataset
    trained: stages.Network
    compressed: stages.Network
    lowered: stages.Lowered
    tuned: stages.Tuned
    kernels: stages.Kernels
    library: stages.Library
    deployed: stages.Deployed
    batches: tuple[stages.Batch, ...]
    yardstick: Yardstick | None
    timing: Measurement
    profile: list[KernelTime]

    @cached_property
    def layers(self) -> list[LayerRow]:
        """The per-layer table."""
        return layer_rows(self.lowered.program, self.kernels.choices, self.profile)


def fill(folder: Path, found: Results) -> None:
    """Write every file of the bundle into `folder`, then its manifest."""
    bundle = Bundle(folder)
    bundle.make_folders()
    bundle.config.write_text(config.to_yaml(found.stack))
    shutil.copy(found.compressed.weights, bundle.model / "model.safetensors")
    for part in (program.PROGRAM, program.LAYERS, program.WEIGHTS):
        shutil.copy(found.lowered.folder / part, bundle.model / part)
    candidates = found.lowered.folder / stages.CANDIDATES
    if candidates.exists():
        shutil.copy(candidates, folder)
    for log in (found.tuned.folder / name for name in tuning.LOGS):
        if log.exists():
            shutil.copy(log, bundle.tuning)
    shutil.copy(found.tuned.summary, bundle.tuning)
    choices = json.loads((found.kernels.folder / "choices.json").read_text())
    schedules = {"tuner": found.stack.tuner.module, "opt_level": found.stack.compiler.opt_level}
    (bundle.tuning / "choices.json").write_text(
        json.dumps({**schedules, "kernels": choices}, indent=1) + "\n"
    )
    shutil.copy(found.library.path, bundle.library)
    for batch in found.batches:
        shutil.copy(batch.library.path, bundle.library_of(batch.size))
        bundle.program_of(batch.size).mkdir()
        for part in (program.PROGRAM, program.LAYERS):
            shutil.copy(batch.lowered.folder / part, bundle.program_of(batch.size))
    if found.yardstick is not None:
        shutil.copy(found.yardstick.library, bundle.yardstick)
    target.write(found.target, bundle.target)
    reference.write(reference.first(found.deployed.reference, REFERENCE_IMAGES), bundle.reference)
    measurement.write(found.timing, bundle.timing)
    write_layers(found.layers, bundle.layers)
    documents.write(machine.ENVIRONMENT, bundle.environment, machine.environment())
    seal(folder, point=config.identity(found.stack), stages=_stage_keys(found))


def metrics(found: Results) -> dict[str, float]:
    """Accuracies are fractions of 1, latencies milliseconds, MACs per image.

    What remains are the parameters, and the MACs, that are neither gone with their channel nor zero.
    """
    image, bits = found.dataset.image_shape, precision.bits(found.compressed.module)
    dense, compressed = found.trained.module, precision.architecture(found.compressed.module)
    parameters, macs = counting.parameters(dense), counting.macs(dense, image)
    remaining_parameters = counting.nonzero_parameters(compressed)
    remaining_macs = counting.remaining_macs(compressed, image)
    return {
        "accuracy.dense": found.trained.accuracy,
        "accuracy.compressed": found.compressed.accuracy,
        "accuracy.deployed": found.deployed.accuracy,
        "params.dense": parameters,
        "params.remaining": remaining_parameters,
        "macs.dense": macs,
        "macs.remaining": remaining_macs,
        "bytes.dense": counting.dense_bytes(parameters, counting.FLOAT32_BITS),
        "bytes.format": sum(array.nbytes for array in found.lowered.program.packed_arrays()),
        "compression.ratio": counting.compression_ratio(parameters, remaining_parameters),
        "speedup.expected": counting.expected_speedup(macs, remaining_macs, bits),
        "library.bytes": found.library.path.stat().st_size,
        "tuning.trials": found.tuned.trials,
        "tuning.failed": found.tuned.failed,
        "tuning.seconds": found.tuned.seconds,
        "tuning.layers_tuned": sum(row.schedule == "tuned" for row in found.layers),
        **measurement.metrics(found.timing),
    }


def tags(found: Results) -> dict[str, str]:
    """What a reader of the numbers has to know: fallbacks, untuned layers, an unsteady or emulated board."""
    fallbacks = [f"{row.layer}: {row.fallback_reason}" for row in found.layers if row.fallback_reason]
    untuned = [row.layer for row in found.layers if row.workload and row.schedule == "untuned"]
    tuned = any(choice.tuned for choice in found.kernels.choices)
    noted = {
        "dlas.fallbacks": "; ".join(fallbacks),
        "dlas.untuned_layers": ", ".join(untuned),
        "dlas.tuning_stopped": found.tuned.stopped,
        "dlas.untuned_batches": ", ".join(str(batch.size) for batch in found.batches) if tuned else "",
        "dlas.unsteady": "; ".join(found.timing.unsteady_at_any_size),
        "dlas.emulated": found.timing.environment["cpu"] if found.timing.emulated else "",
    }
    return {name: text for name, text in noted.items() if text}


def _stage_keys(found: Results) -> dict[str, str]:
    return {
        "train": found.trained.key,
        "compress": found.compressed.key,
        "lower": found.lowered.key,
        "tune": found.tuned.key,
        "kernels": found.kernels.key,
        "build": found.library.key,
    }
