"""Layer 2: how its network is trained, where its weights are not given."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dlas.errors import require

DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Train:
    """Training of the dense model (SGD with momentum, OneCycle)."""

    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    device: str = "cpu"

    def __post_init__(self) -> None:
        require(self.epochs >= 0, "train.epochs", f"{self.epochs} is negative", "0 or more")
        require(self.batch_size >= 1, "train.batch_size", f"{self.batch_size} is too small", "1 or more")
        rate = self.learning_rate
        require(0 < rate < math.inf, "train.learning_rate", f"{rate} is no step", "more than 0")
        require(0 <= self.momentum < 1, "train.momentum", f"{self.momentum} is out of range", "0 to below 1")
        decay = self.weight_decay
        require(0 <= decay < math.inf, "train.weight_decay", f"{decay} is out of range", "0 or more")
        known = DEVICE.fullmatch(self.device) is not None
        require(
            known, "train.device", f"'{self.device}' is no device", "cpu, cuda, cuda:0 (and so on) or mps"
        )
