"""Conformance suite of steps of compression."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import config
from dlas.files import checkpoints
from dlas.interfaces.compression import Compression
from dlas.plugins import contracts

if TYPE_CHECKING:
    from torch import nn

    from dlas.interfaces.images import ImageDataset

SEED = 0


def check_compression(
    module: Compression,
    settings: config.Compression,
    model: nn.Module,
    dataset: ImageDataset,
    train: config.Train,
    folder: Path,
) -> None:
    """Rehearse, compress the model, compress it again from the checkpoints that the first time left in
    `folder`, and restore what was made from a file there. AssertionError where it is not the same, or where
    the model that was given is changed."""
    import torch

    from dlas.models import checkpoint

    lacking = contracts.of_module(module, Compression)
    assert not lacking, "; ".join(lacking)
    assert isinstance(settings, module.Settings), "settings are its own Settings"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.from_numpy(dataset.normalized(dataset.test_images[:2]))
    rehearsed = module.rehearse(model, dataset.image_shape, settings)
    made, again = (
        module.compress(
            model, dataset, settings, train, SEED, checkpoints.in_folder(folder / "checkpoint", seconds)
        )
        for seconds in (0.0, math.inf)
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), (
        "it changes the network that it is given"
    )
    checkpoint.save(made, folder / "weights.safetensors")
    restored = module.restore(model, folder / "weights.safetensors")
    with torch.no_grad():
        foreseen, answer, second, third = (each.eval()(images) for each in (rehearsed, made, again, restored))
    assert answer.shape == (len(images), dataset.classes), "it gives a number for each class"
    assert foreseen.shape == answer.shape, "it rehearses another network than it makes"
    assert torch.equal(answer, second), "it makes another network by the same seed"
    assert torch.equal(answer, third), "what it restores is not what it made"
