"""What is tried of a point before anything is trained: its network, and the way of it to kernels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas.models import precision, trial
from dlas.models.trial import Trial
from dlas.stages.checks.untrained import untrained
from dlas.stages.stage import Kept, Stage
from dlas.systems.choices.declared_algorithm import assigned, serving_modules
from dlas.systems.choices.kind import Kind
from dlas.systems.choices.lowering import require_same_layers
from dlas.systems.graph.importing import import_network
from dlas.systems.graph.sites import ConvSite, conv_sites

if TYPE_CHECKING:
    from torch import nn

    from dlas import config
    from dlas.files.checkpoints import Checkpoints

STAND_INS = "stand_ins.json"


@dataclass(frozen=True)
class StandIn:
    """A layer that its declared kernel can't serve, and what takes its place."""

    layer: str
    kind: Kind
    """The kernel that was declared."""
    served_by: str
    """Algorithm that serves it."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Rehearsed(Kept):
    """The way of an untrained network to its kernels."""

    stand_ins: tuple[StandIn, ...]
    """The layers that each kind of kernels can't serve."""


@dataclass(frozen=True, kw_only=True)
class TryNetwork(Stage[Kept]):
    """The network, untrained, tried by itself: UserError where it cannot be right."""

    trial: Trial

    stage = "try"

    def named_modules(self) -> Sequence[str]:
        return (self.trial.code,)

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        trial.run(self.trial)

    def read(self, folder: Path) -> Kept:
        return Kept(folder=folder)


@dataclass(frozen=True, kw_only=True)
class Rehearse(Stage[Rehearsed]):
    """The network, untrained, compressed step by step, imported and given its kernels: UserError where one of
    these cannot be."""

    tried: Kept
    """The result of `TryNetwork` for this network."""
    trial: Trial
    steps: tuple[config.Compression, ...]
    kinds: tuple[Kind, ...]
    batch_sizes: tuple[int, ...]
    """Numbers of images that a library is built for: 1, and others."""

    stage = "rehearse"

    def named_modules(self) -> Sequence[str]:
        serving = [name for kind in self.kinds for name in serving_modules(kind, integer=True)]
        return [self.trial.code, *(step.implementation for step in self.steps), *serving]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        network = untrained(self.trial, self.steps)
        single = self._layers(network, 1)
        found = [each for site in single for kind in self.kinds for each in _stand_ins(site, kind)]
        for size in self.batch_sizes[1:]:
            require_same_layers([site.name for site in single], self._layers(network, size), size)
        (folder / STAND_INS).write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")

    def read(self, folder: Path) -> Rehearsed:
        told = json.loads((folder / STAND_INS).read_text())
        found = tuple(StandIn(**{**each, "kind": Kind(**each["kind"])}) for each in told)
        return Rehearsed(folder=folder, stand_ins=found)

    def _layers(self, network: nn.Module, batch: int) -> list[ConvSite]:
        shape = (batch, *self.trial.image_shape)
        return conv_sites(import_network(precision.exportable(network, batch), shape))


def _stand_ins(site: ConvSite, kind: Kind) -> list[StandIn]:
    """The kernel that serves the layer in the place of the declared one, if that can't."""
    layer = assigned(site, kind.algorithm, kind.weight_format)
    if not layer.fallback_reason:
        return []
    return [StandIn(site.name, kind, layer.algorithm, layer.fallback_reason)]
