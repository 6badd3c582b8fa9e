"""Post-training quantization: int8 weights with a scale per output channel, uint8 activations, calibrated.

PyTorch's export quantization (torchao, PT2E) observes the activations on calibration images and places
quantize and dequantize operations; the systems layer makes integer convolutions of what is between them.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.compression.rehearsal import random_images, refusal, require_run
from dlas.errors import UserError
from dlas.files.checkpoints import NOWHERE, Checkpoints
from dlas.users_code import told

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset

log = logging.getLogger(__name__)

OBSERVERS = ("histogram", "minmax")

CALIBRATED = 2
"""Random images that a rehearsal calibrates on."""


@dataclass(frozen=True)
class Settings(config.Compression):
    """Settings of quantization: how the ranges of activations are found."""

    images: int = 128
    """Training images to calibrate on; the test set is never touched."""
    observer: str = "histogram"
    """`histogram` cuts off what costs least squared error, `minmax` takes the whole range."""

    weight_bits: int = 8
    """7 halves the weights' steps: x86 CPUs without VNNI then multiply two at once without overflow."""

    def __post_init__(self) -> None:
        few = f"{self.images} are too few"
        config.require(self.images >= 1, f"{self.key}.images", few, "1 or more, 128 is plenty")
        known = self.observer in OBSERVERS
        unknown = f"'{self.observer}' is no observer"
        config.require(known, f"{self.key}.observer", unknown, f"one of: {', '.join(OBSERVERS)}")
        bits = self.weight_bits
        config.require(
            bits in (7, 8), f"{self.key}.weight_bits", f"weights of {bits} bits are not supported", "8 or 7"
        )

    @property
    def data_type(self) -> str:
        """Data type of the weights after this step: int8."""
        return "int8"


def rehearse(model: nn.Module, image_shape: tuple[int, int, int], settings: Settings) -> nn.Module:
    """`model` quantized, calibrated on random images; UserError where it cannot be."""
    from dlas.models.quantized import calibrated

    network = copy.deepcopy(model).eval()
    try:
        images = random_images(image_shape, CALIBRATED)
        quantized = calibrated(network, images, settings.observer, settings.weight_bits).eval()
    except UserError:
        raise
    except Exception as error:  # torch.export and torchao raise whatever they like
        raise refusal(settings, f"the network cannot be quantized: {told(error)}") from error
    require_run(quantized, image_shape, settings)
    return quantized


def compress(
    model: nn.Module,
    dataset: ImageDataset,
    settings: Settings,
    train: config.Train,
    seed: int,
    checkpoints: Checkpoints = NOWHERE,
) -> nn.Module:
    """`model` quantized, calibrated on `settings.images` of the training images."""
    import torch

    from dlas.datasets.shared.calibration import calibration_images
    from dlas.models.fidelity import layers_without_signal
    from dlas.models.quantized import calibrated

    network = copy.deepcopy(model).eval()
    images = torch.from_numpy(dataset.normalized(calibration_images(dataset, settings.images, seed)))
    quantized = calibrated(network, images, settings.observer, settings.weight_bits).eval()
    if lost := layers_without_signal(quantized.signal_to_noise):
        log.warning("%s: noise is not far from the signal of layers, or drowns it: %s", settings.key, lost)
    return quantized


def restore(model: nn.Module, weights: Path) -> nn.Module:
    """The quantized network, made from the float32 one and the state that `checkpoint.save` kept."""
    from dlas.models.quantized import load

    return load(copy.deepcopy(model).eval(), weights).eval()
