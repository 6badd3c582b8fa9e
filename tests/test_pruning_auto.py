"""`sparsity=auto` and `ratio=auto`."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dlas import config
from dlas.compression import automatic, channel_pruning, weight_pruning
from dlas.compression.finetuning import Finetune
from dlas.datasets.dataset import from_arrays
from dlas.errors import UserError
from dlas.files import checkpoints
from dlas.files.checkpoints import NOWHERE, Checkpoints
from dlas.interfaces.images import ImageDataset
from dlas.models import evaluation, training
from dlas.models.vgg import VGG

KEY = "compression.weight_pruning.sparsity"
TENTHS = [tenth / 10 for tenth in range(1, 10)]


@pytest.fixture(scope="module")
def dense(digits: ImageDataset) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VGG(((16,), (16,), (32,), (32,), (32,)), 10)
    return training.train(model, digits, config.Train(epochs=4), seed=0)


class Readable(nn.Module):
    """Reads the label from the first pixel, and errs where the second, 0 to 99, is below `errors`."""

    def __init__(self, errors: int) -> None:
        super().__init__()
        self.errors = errors

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images[:, 0, 0].round()
        wrong = pixels[:, 1] < self.errors
        return nn.functional.one_hot((pixels[:, 0].long() + wrong) % 10, 10).float()


def readable_images() -> ImageDataset:
    """500 images of which every fifth, drawn as automatic draws it, has an order of its own from 0 to 99."""
    labels = np.repeat(np.arange(10), 50)
    images = np.zeros((500, 1, 1, 2), np.uint8)
    images[:, 0, 0, 0] = labels
    plain = from_arrays("readable", 10, (images, labels), (images, labels), mirrorable=False)
    plain = dataclasses.replace(plain, mean=(0.0,), std=(1 / 255,))
    marked = dataclasses.replace(plain, train_labels=labels, train_images=np.arange(500))
    held = automatic.held_out(marked, 0, KEY).test_images
    images[held, 0, 0, 1] = np.arange(100)
    return dataclasses.replace(plain, train_images=images)


class Trial:
    """A compression that costs `errors(fraction)` of 100 held-out images, and counts its calls."""

    def __init__(self, errors: dict[float, int], stop_at: int = 99) -> None:
        self.errors = errors
        self.calls = Counter()
        self.stop_at = stop_at

    def __call__(self, fraction: float, dataset: ImageDataset, place: Checkpoints) -> nn.Module:
        if self.calls.total() == self.stop_at:
            raise KeyboardInterrupt
        self.calls[fraction] += 1
        return Readable(self.errors[fraction])


def found(trial: Trial, max_drop: float, kept: Checkpoints = NOWHERE) -> float:
    return automatic.highest(trial, TENTHS, readable_images(), max_drop, KEY, 0, kept)


def kept_in(folder: Path) -> Checkpoints:
    """Checkpoints of what is worth it whatever time went by."""
    return checkpoints.in_folder(folder, math.inf)


def tries_in(folder: Path) -> dict[float, float]:
    state = kept_in(folder).beside(automatic.TRIES).take()
    assert state is not None
    return {float(fraction): top1 for fraction, top1 in state.values.items()}


COSTS = dict(zip([0.0, *TENTHS], [3, 3, 3, 4, 5, 8, 8, 13, 40, 90], strict=True))


@pytest.mark.parametrize("drop", [0, 1, 2, 4, 5, 9, 10, 36, 37, 86, 87])
def test_the_highest_that_a_look_at_every_candidate_would_find(drop: int) -> None:
    """In hundredths, some exactly at the limit."""
    trial = Trial(COSTS)
    assert found(trial, drop / 100) == max(f for f in TENTHS if COSTS[f] - COSTS[0.0] <= drop)
    assert trial.calls.total() <= 5
    assert max(trial.calls.values()) == 1


def test_where_nothing_holds_the_limit_is_named() -> None:
    trial = Trial({fraction: 3 + (fraction > 0) for fraction in COSTS})
    with pytest.raises(UserError, match=r"even 0.1 costs more than max_drop=0.005") as caught:
        found(trial, 0.005)
    assert caught.value.key == KEY


def test_an_interrupted_search_goes_on_from_its_finished_tries(tmp_path: Path) -> None:
    interrupted, resumed, whole = Trial(COSTS, stop_at=3), Trial(COSTS), Trial(COSTS)
    with pytest.raises(KeyboardInterrupt):
        found(interrupted, 0.05, kept_in(tmp_path))
    assert found(resumed, 0.05, kept_in(tmp_path)) == found(whole, 0.05) == 0.6
    assert interrupted.calls + resumed.calls == whole.calls
    assert resumed.calls.total() == whole.calls.total() - 3
    assert tries_in(tmp_path) == {fraction: (100 - COSTS[fraction]) / 100 for fraction in whole.calls}


def test_every_try_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    trial = Trial(COSTS)
    with caplog.at_level(logging.INFO, "dlas"):
        found(trial, 0.05)
    for fraction in trial.calls:
        assert any(message.startswith(f"{KEY}: {fraction:.2g}") for message in caplog.messages)
    assert caplog.messages[-1] == f"{KEY}: auto found 0.60"


def test_the_images_that_judge_are_training_images_held_out_of_every_class(digits: ImageDataset) -> None:
    split = automatic.held_out(digits, 0, KEY)
    assert (len(split.train_labels), len(split.test_labels)) == (1150, 287)
    shares = np.bincount(split.test_labels) / np.bincount(digits.train_labels)
    assert np.all(np.abs(shares - 0.2) < 0.01)
    together = np.concatenate([split.train_images, split.test_images])
    assert sorted(image.tobytes() for image in together) == sorted(
        image.tobytes() for image in digits.train_images
    )
    again, other = (automatic.held_out(digits, seed, KEY).test_images for seed in (0, 1))
    np.testing.assert_array_equal(again, split.test_images)
    assert not np.array_equal(other, split.test_images)
    assert split.image_shape == digits.image_shape


def test_images_that_cannot_be_split_are_refused(digits: ImageDataset) -> None:
    few = dataclasses.replace(
        digits, train_images=digits.train_images[:8], train_labels=digits.train_labels[:8]
    )
    with pytest.raises(UserError, match="no training images can be held out") as caught:
        automatic.held_out(few, 0, KEY)
    assert caught.value.key == KEY


def test_auto_prunes_far_within_its_limit_and_as_the_found_sparsity_would(
    digits: ImageDataset, dense: nn.Module, tmp_path: Path
) -> None:
    train = config.Train()
    settings = weight_pruning.Settings(
        "weight_pruning", "", sparsity="auto", max_drop=0.02, steps=1, finetune=Finetune(1)
    )
    pruned = weight_pruning.compress(dense, digits, settings, train, 0, kept_in(tmp_path))
    tries = tries_in(tmp_path)
    allowed = [fraction for fraction in tries if tries[0.0] - tries[fraction] <= 0.02 + 1e-9]
    chosen = max(allowed)
    assert chosen >= 0.5
    assert any(fraction > chosen for fraction in tries), "a higher one was tried and cost too much"

    split = automatic.held_out(digits, 0, KEY)
    declared = dataclasses.replace(settings, sparsity=chosen)
    on_the_others = weight_pruning.compress(dense, split, declared, train, 0)
    assert evaluation.accuracy(on_the_others, split) == tries[chosen]
    expected = weight_pruning.compress(dense, digits, declared, train, 0).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in pruned.state_dict().items())


def test_the_test_set_has_no_part_in_it(digits: ImageDataset, dense: nn.Module, tmp_path: Path) -> None:
    """With other test labels, and so another accuracy, the same tries are made."""
    settings = channel_pruning.Settings(
        "channel_pruning", "", ratio="auto", max_drop=0.05, round_to=1, finetune=Finetune(1)
    )
    images, labels = digits.train_images[::2], digits.train_labels[::2]
    right = dataclasses.replace(digits, train_images=images, train_labels=labels)
    wrong = dataclasses.replace(right, test_labels=(digits.test_labels + 1) % 10)
    kept = []
    for name, dataset in (("right", right), ("wrong", wrong)):
        place = kept_in(tmp_path / name)
        pruned = channel_pruning.compress(dense, dataset, settings, config.Train(), 0, place)
        kept.append(tries_in(tmp_path / name))
    assert kept[0] == kept[1]
    tries = kept[0]
    chosen = max(fraction for fraction in tries if tries[0.0] - tries[fraction] <= 0.05 + 1e-9)
    assert chosen >= 0.1
    widths = [layer.out_channels for layer in pruned.modules() if isinstance(layer, nn.Conv2d)]
    assert widths == [channel_pruning.remaining_channels(width, chosen, 1) for width in (16, 16, 32, 32, 32)]
