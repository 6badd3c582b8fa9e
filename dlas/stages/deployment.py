"""The library run on its board, and its answers checked against PyTorch's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlas.hardware.results import reference
from dlas.hardware.sessions import runners
from dlas.hardware.timing import deployment
from dlas.models import evaluation, precision
from dlas.stages import target_parts
from dlas.stages.stage import Kept, Stage, counted_by

if TYPE_CHECKING:
    from dlas.files.checkpoints import Checkpoints
    from dlas.hardware.results.reference import Reference
    from dlas.interfaces.images import ImageDataset
    from dlas.interfaces.targets.target import Target
    from dlas.stages.libraries.library import Library
    from dlas.stages.network import Network

EXPECTED, ACCURACY = "expected.npy", "accuracy.json"


@dataclass(frozen=True, kw_only=True)
class Deployed(Kept):
    """The library's outputs on the whole test set, checked."""

    reference: Reference
    accuracy: float
    """Top-1 of the library's outputs, as a fraction of 1."""


@dataclass(frozen=True, kw_only=True)
class Deploy(Stage[Deployed]):
    """The library run on every test image; UserError unless it answers as PyTorch does."""

    network: Network
    library: Library
    dataset: ImageDataset
    target: Target = field(metadata=counted_by(target_parts.code_and_reach))
    """The board. Which of its cores are used is not counted: they decide how fast a library answers."""
    runtime: Mapping[str, str] = field(default_factory=dict)
    """The versions of what runs the library on a board elsewhere, where that is not TVM's runtime. Those of
    this machine belong to the runner's code."""

    stage = "deploy"

    def named_modules(self) -> Sequence[str]:
        return [f"{runners.__name__}.{self.library.runner}"]

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        images = self._images()
        expected = evaluation.logits(self.network.module, images)
        answers = self._reference(images, expected)
        found = deployment.run(self.library.path, images, self.target, runner=self.library.runner)
        reference.require_match(answers, found)
        np.save(folder / EXPECTED, expected, allow_pickle=False)
        accuracy = {"top1": evaluation.top1(found, self.dataset.test_labels)}
        (folder / ACCURACY).write_text(json.dumps(accuracy, indent=1) + "\n")

    def read(self, folder: Path) -> Deployed:
        expected = np.load(folder / EXPECTED, allow_pickle=False)
        accuracy = json.loads((folder / ACCURACY).read_text())["top1"]
        return Deployed(folder=folder, reference=self._reference(self._images(), expected), accuracy=accuracy)

    def _images(self) -> np.ndarray:
        return self.dataset.normalized(self.dataset.test_images)

    def _reference(self, images: np.ndarray, expected: np.ndarray) -> Reference:
        return reference.of_precision(images, expected, precision.bits(self.network.module))
