"""The recipes that the configs give, at full size, on the data set that every machine has."""

from __future__ import annotations

import copy

import pytest
from hydra import compose, initialize_config_dir

from dlas import config, models
from dlas.compression import channel_pruning, weight_pruning
from dlas.datasets.dataset import ImageDataset
from dlas.models import evaluation, training


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        "resnet20",
        pytest.param("resnet18", marks=pytest.mark.exhaustive),
        pytest.param("vgg16", marks=pytest.mark.exhaustive),
    ],
)
def test_the_default_recipes_hold_on_digits(network: str, digits: ImageDataset) -> None:
    """95 % dense; half of the channels, or four fifths of the weights, gone within one point of that; of
    resnet20, which is small already, in every run of the tests."""
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        stack = config.parse(compose("config", [f"model={network}", "dataset=digits"]))
    dense = training.train(models.build(stack.model, 10), digits, stack.train, seed=0)
    accuracy = evaluation.accuracy(dense, digits)
    assert accuracy >= 0.95
    for recipe in (channel_pruning, weight_pruning):
        settings = recipe.Settings(recipe.__name__, recipe.__name__)
        pruned = recipe.compress(copy.deepcopy(dense), digits, settings, stack.train, seed=0)
        assert evaluation.accuracy(pruned, digits) >= accuracy - 0.01
