"""The declared stack as dataclasses: one choice per layer, and every rule about what is right."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dataset:
    """Layer 1. `module` offers `load(config: Dataset) -> datasets.dataset.ImageDataset`."""

    name: str
    module: str
    root: str | None = None


@dataclass(frozen=True)
class Model:
    """Layer 2. `factory` is the dotted name of a function `(classes: int) -> torch.nn.Module`."""

    name: str
    factory: str


@dataclass(frozen=True)
class Train:
    """How the dense model is trained (SGD with momentum, OneCycle)."""

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    device: str = "cpu"


@dataclass(frozen=True)
class Compression:
    """Layer 3. `module` offers `Settings`, a subclass of this one, and `compress`."""

    name: str
    module: str


@dataclass(frozen=True)
class Algo:
    """Layer 4. `module` offers the four functions of `dlas.algorithms`."""

    name: str
    module: str


@dataclass(frozen=True)
class Format:
    """Layer 4. How the weights are stored."""

    name: str


@dataclass(frozen=True)
class Compiler:
    """Layer 5."""

    name: str
    opt_level: int = 3


@dataclass(frozen=True)
class Tuner:
    """Layer 5. `module` offers `Settings`, a subclass of this one, and `tune`."""

    name: str
    module: str


@dataclass(frozen=True)
class Target:
    """Layer 6: as declared; what a null stands for is asked of LLVM and the operating system."""

    name: str
    triple: str | None = None
    cpu: str | None = None
    cores: int | None = None


@dataclass(frozen=True)
class Timing:
    name: str
    runs: int = 150
    warmup: int = 1


@dataclass(frozen=True)
class Tracking:
    uri: str | None = None
    experiment: str = "dlas"


@dataclass(frozen=True)
class Stack:
    """One point: everything that was declared."""

    dataset: Dataset
    model: Model
    compression: Compression
    algo: Algo
    format: Format
    compiler: Compiler
    tuner: Tuner
    target: Target
    timing: Timing
    train: Train = field(default_factory=Train)
    tracking: Tracking = field(default_factory=Tracking)
    seed: int = 0
    artifacts: str = "artifacts"
