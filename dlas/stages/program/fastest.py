"""The network as a program that is not scheduled yet, each layer by the fastest of several kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.models import precision
from dlas.stages import target_parts
from dlas.stages.program.lowering import Lowered
from dlas.stages.stage import counted_by
from dlas.stages.store import decision
from dlas.stages.store.decision import Decision
from dlas.systems.choices import fastest
from dlas.systems.choices.declared_algorithm import serving_modules
from dlas.systems.choices.kind import Kind
from dlas.systems.choices.lowering import lowered
from dlas.systems.graph.importing import import_network
from dlas.systems.graph.sites import conv_sites
from dlas.systems.program import program

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.interfaces.images import ImageDataset
    from dlas.interfaces.targets.target import Target
    from dlas.stages.network import Network

CANDIDATES = "candidates.csv"


@dataclass(frozen=True, kw_only=True)
class LowerFastest(Decision[Lowered]):
    """The program with every layer by the fastest of several kernels, timed in the network on the target."""

    network: Network
    dataset: ImageDataset
    """The dataset whose first test image the kernels are timed on."""
    kinds: tuple[Kind, ...]
    target: Target = field(metadata=counted_by(target_parts.code_and_placement))
    """The board to time on. How it is reached and what links for it are not counted: another board of its
    kind is as fast."""
    opt_level: int

    stage = "lower"

    def named_modules(self) -> Sequence[str]:
        integer = precision.is_int8(self.network.module)
        return [module for kind in self.kinds for module in serving_modules(kind, integer=integer)]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        images = self.dataset.normalized(self.dataset.test_images[:1])
        imported = import_network(precision.exportable(self.network.module, batch=1), images.shape)
        sites = conv_sites(imported)
        with TemporaryDirectory(prefix="dlas-") as scratch:
            chosen = fastest.choose(
                imported, sites, self.kinds, self.target, self.opt_level, images, Path(scratch)
            )
        fastest.write_candidates(chosen.candidates, folder / CANDIDATES)
        decision.write(chosen.unsteady, folder)
        program.save(lowered(imported, sites, chosen.layers), folder)

    def read(self, folder: Path) -> Lowered:
        return Lowered(folder=folder, program=program.load(folder), unsteady=decision.read(folder))
