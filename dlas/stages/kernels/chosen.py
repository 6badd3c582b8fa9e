"""The schedule of each kernel, as the stages that choose it leave it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tvm

from dlas.stages.stage import Kept
from dlas.systems.program.kernel_choice import KernelChoice

CHOICES, KERNELS = "choices.json", "kernels.json"


@dataclass(frozen=True, kw_only=True)
class Kernels(Kept):
    """The schedule chosen for each kernel."""

    choices: tuple[KernelChoice, ...]
    tuned: Mapping[str, tvm.tirx.PrimFunc]
    """The scheduled kernels in the place of their algorithms' own, by name."""


def write(choices: Sequence[KernelChoice], tuned: Mapping[str, tvm.tirx.PrimFunc], folder: Path) -> None:
    """Keep what was chosen."""
    (folder / KERNELS).write_text(tvm.ir.save_json(tvm.IRModule(dict(tuned))))
    (folder / CHOICES).write_text(json.dumps([asdict(choice) for choice in choices], indent=1) + "\n")


def read(folder: Path) -> Kernels:
    """What `write` kept."""
    kernels = tvm.ir.load_json((folder / KERNELS).read_text())
    return Kernels(
        folder=folder,
        choices=tuple(KernelChoice(**each) for each in json.loads((folder / CHOICES).read_text())),
        tuned={var.name_hint: kernel for var, kernel in kernels.functions_items()},
    )
