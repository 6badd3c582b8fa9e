"""The tuned or the untuned schedule for each kernel: what is faster in the network, on the target."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.stages import target_parts
from dlas.stages.kernels import chosen
from dlas.stages.kernels.chosen import Kernels
from dlas.stages.stage import counted_by, nothing
from dlas.stages.store import decision
from dlas.stages.store.decision import Decision
from dlas.systems.choices import gains, scheduling
from dlas.systems.program.kernels import scheduling_modules
from dlas.systems.tuners import tuning

if TYPE_CHECKING:
    from dlas import config
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.target import Target
    from dlas.stages.kernels.tuning import Tuned
    from dlas.stages.machine.roofs import MeasuredRoofs
    from dlas.stages.program.lowering import Lowered

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ChooseKernels(Decision[Kernels]):
    """The choice between each kernel's tuned schedule and its algorithm's own."""

    lowered: Lowered
    tuned: Tuned
    tuner: config.Tuner
    target: Target = field(metadata=counted_by(target_parts.code_and_placement))
    """The board to time on. How it is reached and what links for it are not counted: another board of its
    kind is as fast."""
    opt_level: int
    roofs: MeasuredRoofs | None = field(metadata=counted_by(nothing))
    """What the machine has at most, which is only printed beside the kernels' times; None where it isn't
    known."""

    stage = "kernels"

    def named_modules(self) -> Sequence[str]:
        return [self.tuner.implementation, *scheduling_modules(self.lowered.program.layers, self.target.code)]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        program = self.lowered.program
        kernels = scheduling.kernel_tasks(program)
        tasks = list(kernels.values())
        schedules = tuning.best_schedules(self.tuner.registered, self.tuned.folder, tasks, self.target.code)
        for reason, layers in scheduling.without_schedule(program, schedules).items():
            log.info("no tuned schedule for %s: %s", ", ".join(layers), reason)
        with TemporaryDirectory(prefix="dlas-") as scratch:
            found = scheduling.choose(program, schedules, self.target, self.opt_level, Path(scratch))
        bounds = None if self.roofs is None else self.roofs.roofs.bounds
        for line in gains.table(found.choices, kernels, found.network, bounds).splitlines():
            log.info("%s", line)
        chosen.write(found.choices, found.tuned, folder)
        decision.write(found.unsteady, folder)

    def read(self, folder: Path) -> Kernels:
        return replace(chosen.read(folder), unsteady=decision.read(folder))
