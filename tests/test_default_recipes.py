"""The recipes that the configs give: a few images of each, and of three networks the whole, to the end."""

from __future__ import annotations

import copy
import dataclasses
from types import ModuleType

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from dlas import config, models
from dlas.compression import channel_pruning, weight_pruning
from dlas.compression.finetuning import Finetune
from dlas.interfaces.images import ImageDataset
from dlas.models import evaluation, training

RECIPES = (channel_pruning, weight_pruning)


def recipe_of(network: str) -> config.Stack:
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return config.parse(compose("config", [f"model={network}", "dataset=digits"]))


def few(digits: ImageDataset) -> ImageDataset:
    """One batch."""
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    return dataclasses.replace(digits, **{name: getattr(digits, name)[:16] for name in parts})


@pytest.mark.parametrize("network", ["resnet20", "resnet18", "vgg16", "mobilenetv1", "mobilenetv2"])
def test_a_step_of_the_default_recipe_changes_every_layer(network: str, digits: ImageDataset) -> None:
    stack = recipe_of(network)
    untrained = models.build(stack.model, 10)
    once = dataclasses.replace(stack.train, epochs=1)
    trained = training.train(copy.deepcopy(untrained), few(digits), once, seed=0)
    pairs = zip(untrained.parameters(), trained.parameters(), strict=True)
    layers = [(before, after) for before, after in pairs if before.ndim > 1]
    assert layers
    assert all((before != after).any() and after.isfinite().all() for before, after in layers)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_default_settings_of_pruning_leave_a_network_that_computes(
    recipe: ModuleType, digits: ImageDataset
) -> None:
    stack, images = recipe_of("resnet20"), few(digits)
    dense = models.build(stack.model, 10)
    settings = recipe.Settings(recipe.__name__, recipe.__name__, finetune=Finetune(epochs=1))
    pruned = recipe.compress(copy.deepcopy(dense), images, settings, stack.train, seed=0)
    assert np.isfinite(evaluation.logits(pruned, images.normalized(images.test_images))).all()
    left, all_of_it = (sum(int((w != 0).sum()) for w in model.parameters()) for model in (pruned, dense))
    assert left < 0.8 * all_of_it


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet20", "resnet18", "vgg16"])
def test_the_default_recipes_hold_on_digits(network: str, digits: ImageDataset) -> None:
    """95 % dense; half of the channels, or four fifths of the weights, gone within one point of that."""
    stack = recipe_of(network)
    dense = training.train(models.build(stack.model, 10), digits, stack.train, seed=0)
    accuracy = evaluation.accuracy(dense, digits)
    assert accuracy >= 0.95
    for recipe in RECIPES:
        settings = recipe.Settings(recipe.__name__, recipe.__name__)
        pruned = recipe.compress(copy.deepcopy(dense), digits, settings, stack.train, seed=0)
        assert evaluation.accuracy(pruned, digits) >= accuracy - 0.01
