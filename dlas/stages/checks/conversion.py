"""What is tried of a point whose compiler takes the whole network, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.compression.rehearsal import random_images
from dlas.config.layers.compiler import TVM
from dlas.errors import UserError
from dlas.hardware.results import reference
from dlas.hardware.sessions import runners
from dlas.hardware.sessions.process import LibraryFailed
from dlas.hardware.timing import deployment
from dlas.interfaces.compiler import NetworkNotTaken
from dlas.models import evaluation, precision
from dlas.models.trial import Trial
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.stages import target_parts
from dlas.stages.checks.rehearsal import Rehearsed
from dlas.stages.checks.untrained import untrained
from dlas.stages.libraries import conversion
from dlas.stages.stage import Kept, Stage, counted_by

if TYPE_CHECKING:
    from torch import nn

    from dlas import config
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.targets.target import Target


@dataclass(frozen=True, kw_only=True)
class RehearseConversion(Stage[Rehearsed]):
    """The network, untrained, compressed step by step, and given to a compiler as a whole: UserError where
    one of these cannot be, NetworkNotTaken where the compiler can't take it, or what it wrote does not run or
    answers otherwise than PyTorch."""

    tried: Kept
    """The result of `TryNetwork` for this network."""
    trial: Trial
    steps: tuple[config.Compression, ...]
    compiler: str
    target: Target = field(metadata=counted_by(target_parts.code_and_reach))
    """The board that it is run on. Which of its cores are used is not counted."""
    batch_sizes: tuple[int, ...]

    stage = "rehearse"

    def named_modules(self) -> Sequence[str]:
        steps = (step.implementation for step in self.steps)
        compiler, runner = NETWORK_COMPILERS.path(self.compiler), f"{runners.__name__}.{self.compiler}"
        return [self.trial.code, *steps, compiler, runner]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        network = untrained(self.trial, self.steps)
        for size in self.batch_sizes:
            with TemporaryDirectory(prefix="dlas-") as scratch:
                shape = (size, *self.trial.image_shape)
                code = self.target.code
                program = conversion.convert(network, shape, self.compiler, code, Path(scratch))
                with conversion.naming_layers(program):
                    self._require_right(network, Path(scratch), size)

    def _require_right(self, network: nn.Module, library: Path, batch: int) -> None:
        images = random_images(self.trial.image_shape, batch).numpy()
        try:
            found = deployment.run(library, images, self.target, batch, runner=self.compiler)
        except LibraryFailed as error:
            problem = f"{self.compiler} can't run the network: {error.problem}"
            raise NetworkNotTaken(problem, key="compiler", remedy=f"compiler={TVM}") from error
        bits = precision.bits(network)
        expected = reference.of_untrained(images, evaluation.logits(network, images), bits)
        try:
            reference.require_match(expected, found, self.compiler)
        except UserError as error:
            problem = f"{error.problem}, of the untrained network ({error.remedy})"
            raise NetworkNotTaken(problem, key="compiler", remedy=f"compiler={TVM}") from error

    def read(self, folder: Path) -> Rehearsed:
        return Rehearsed(folder=folder, stand_ins=())
