"""The parts of a bundle, by their places in its folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dlas.hardware.sessions.runners import TVM

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
"""File of the signature of the manifest's bytes, where somebody signed them; it is no part
of what is sealed."""

REGISTERED = "registered_model_meta"
"""File that MLflow writes beside the model of a registry that it loads; it is no part of what is sealed."""


@dataclass(frozen=True)
class Bundle:
    """The places of a bundle's parts."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def signature(self) -> Path:
        return self.root / SIGNATURE

    @property
    def config(self) -> Path:
        """The resolved stack."""
        return self.root / "config.yaml"

    @property
    def overrides(self) -> Path:
        """File of the overrides as they were typed, one a line."""
        return self.root / "overrides.txt"

    @property
    def model(self) -> Path:
        """Folder of the lowered program and its weights."""
        return self.root / "model"

    @property
    def tuning(self) -> Path:
        """Folder of the tuner's own log."""
        return self.root / "tuning"

    @property
    def library(self) -> Path:
        return self.root / "library" / "model.so"

    def library_of(self, batch: int) -> Path:
        """The library of TVM's for runs of `batch` images."""
        return self.library if batch == 1 else self.library.with_name(f"model-b{batch}.so")

    def network_of(self, batch: int) -> Path:
        """Folder of the files that a compiler of whole networks wrote for runs of `batch` images."""
        return self.library.with_name("network" if batch == 1 else f"network-b{batch}")

    def libraries(self, compiler: str, batches: Iterable[int]) -> dict[int, Path]:
        """What the compiler made for runs of so many images: TVM a file, any other a folder."""
        place = self.library_of if compiler == TVM else self.network_of
        return {batch: place(batch) for batch in batches}

    def program_of(self, batch: int) -> Path:
        """Folder of the program lowered for a batch larger than 1; its weights lie in `model`."""
        return self.model / f"batch{batch}"

    def yardstick(self, name: str) -> Path:
        """The library of a network that is always the same, if the timing used it: `compute` has the place of
        the only one that there was at first."""
        file = "yardstick.so" if name == "compute" else f"yardstick-{name}.so"
        return self.root / "library" / file

    @property
    def mlflow_model(self) -> Path:
        """File that tells MLflow how to load the bundle."""
        return self.root / "MLmodel"

    @property
    def target(self) -> Path:
        return self.root / "library" / "target.json"

    @property
    def reference(self) -> Path:
        """Folder of inputs and expected outputs."""
        return self.root / "reference"

    @property
    def timing(self) -> Path:
        return self.root / "timing.json"

    @property
    def layers(self) -> Path:
        """The per-layer table."""
        return self.root / "layers.csv"

    @property
    def roofs(self) -> Path:
        """The measured peak and bandwidth of the machine, if they were."""
        return self.root / "roofs.json"

    @property
    def environment(self) -> Path:
        return self.root / "environment.json"

    def make_folders(self) -> None:
        """Make every folder that a bundle has."""
        for folder in (self.model, self.tuning, self.library.parent, self.reference):
            folder.mkdir(parents=True, exist_ok=True)
