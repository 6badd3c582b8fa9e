"""The recipes that the configs give, at full size, on the data set that every machine has."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
from hydra import compose, initialize_config_dir

from dlas import config, datasets, models
from dlas.compression import channel_pruning, weight_pruning
from dlas.models import evaluation, training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "recipes"), [("vgg16", [channel_pruning]), ("resnet20", [channel_pruning, weight_pruning])]
)
def test_the_default_recipes_hold_on_digits(model: str, recipes: list[ModuleType]) -> None:
    """95 % dense; half of the channels, or four fifths of the weights, gone within one point of that."""
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        stack = config.parse(compose("config", [f"model={model}", "dataset=digits"]))
    digits = datasets.load(stack.dataset)
    dense = training.train(models.build(stack.model, 10), digits, stack.train, seed=0)
    accuracy = evaluation.accuracy(dense, digits)
    assert accuracy >= 0.95
    for recipe in recipes:
        settings = recipe.Settings(recipe.__name__, recipe.__name__)
        pruned = recipe.compress(copy.deepcopy(dense), digits, settings, stack.train, seed=0)
        assert evaluation.accuracy(pruned, digits) >= accuracy - 0.01
