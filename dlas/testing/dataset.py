"""Conformance suite of datasets."""

from __future__ import annotations

from dlas import config
from dlas.datasets.shared.faults import faults_of
from dlas.interfaces.dataset import Dataset
from dlas.plugins import contracts


def check_dataset(module: Dataset, settings: config.Dataset) -> None:
    """Load the images twice. AssertionError where they are others than the settings say, or not the same."""
    lacking = contracts.of_module(module, Dataset)
    assert not lacking, "; ".join(lacking)
    assert isinstance(settings, module.Settings), "settings are its own Settings"
    found = module.load(settings)
    assert module.load(settings).digest == found.digest, "it loads other images the second time"
    faults = faults_of(found, settings)
    assert not faults, "; ".join(faults)
    assert min(found.std) > 0, "images are divided by std"
