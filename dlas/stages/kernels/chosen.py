"""The schedule of each kernel, as the stages that choose it leave it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dlas.stages.stage import Kept
from dlas.systems.program import kernels
from dlas.systems.program.kernel_choice import KernelChoice
from dlas.systems.program.kernels import Scheduled

CHOICES, KERNELS = "choices.json", "kernels.json"


@dataclass(frozen=True, kw_only=True)
class Kernels(Kept):
    """The schedule chosen for each kernel."""

    choices: tuple[KernelChoice, ...]
    tuned: Scheduled
    """The tuned kernels that were chosen; all others have their algorithms' own schedules."""
    unsteady: tuple[str, ...] = ()
    """Reasons to doubt the times by which they were chosen."""


def write(choices: Sequence[KernelChoice], tuned: Scheduled, folder: Path) -> None:
    """Write the choices and the chosen kernels into `folder`."""
    kernels.write(tuned, folder / KERNELS)
    (folder / CHOICES).write_text(json.dumps([asdict(choice) for choice in choices], indent=1) + "\n")


def read(folder: Path) -> Kernels:
    """The choices that `write` wrote."""
    return Kernels(
        folder=folder,
        choices=tuple(KernelChoice(**each) for each in json.loads((folder / CHOICES).read_text())),
        tuned=kernels.read(folder / KERNELS),
    )
