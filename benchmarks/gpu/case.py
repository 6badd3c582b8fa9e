"""A network in a data type, its images, and what PyTorch answers on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn

from dlas import config, models
from dlas.hardware.results import reference
from dlas.hardware.results.reference import Reference
from dlas.models import precision
from dlas.models.precision import Float16

WARMUP, RUNS = 20, 100
"""Runs that are not counted, and those whose median is taken."""

NETWORKS = {
    "resnet18": ("dlas.models.resnet.resnet18", 32),
    "mobilenetv2_imagenet": ("dlas.models.mobilenetv2.mobilenetv2_imagenet", 224),
    "resnet50": ("dlas.models.resnet.resnet50", 224),
}
"""Factories of networks and the sides of their images."""

DATA_TYPES = ("float32", "float16")
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A network with random weights, to be run by several compilers."""

    name: str
    data_type: str
    """float32 or float16, in which it computes; images and logits are float32."""

    @cached_property
    def network(self) -> nn.Module:
        torch.manual_seed(0)
        network = models.build(config.Model(self.name, NETWORKS[self.name][0]), classes=CLASSES).eval()
        return network if self.data_type == "float32" else Float16(network).eval()

    @cached_property
    def image(self) -> torch.Tensor:
        """(1, 3, side, side), float32."""
        side = NETWORKS[self.name][1]
        return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))

    @cached_property
    def expected(self) -> Reference:
        """The logits by PyTorch on the CPU, with the tolerance that a point of this data type has."""
        with torch.inference_mode():
            logits = self.network(self.image).numpy()
        return reference.of_precision(self.image.numpy(), logits, precision.bits(self.network))

    def require_right(self, logits: np.ndarray) -> None:
        """UserError where the logits are not PyTorch's."""
        reference.require_match(self.expected, logits)
