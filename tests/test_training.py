from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from dlas import config
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset
from dlas.models import evaluation, training
from dlas.models.augmentation import MAX_SHIFT, augmented
from dlas.models.vgg import VGG


def first(dataset: ImageDataset, count: int) -> ImageDataset:
    return dataclasses.replace(
        dataset, train_images=dataset.train_images[:count], train_labels=dataset.train_labels[:count]
    )


def tiny(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VGG(((8,), (16,), (16,), (32,), (32,)), 10)


def weights(model: nn.Module) -> np.ndarray:
    return torch.cat([tensor.flatten().double() for tensor in model.state_dict().values()]).numpy()


def test_a_small_network_learns_digits(digits: ImageDataset) -> None:
    model = training.train(tiny(), digits, config.Train(epochs=4), seed=0)
    assert not model.training
    assert evaluation.accuracy(model, digits) > 0.9


def test_the_seed_decides_the_trained_weights(digits: ImageDataset) -> None:
    few, once = first(digits, 128), config.Train(epochs=1)
    trained, again, other = (weights(training.train(tiny(), few, once, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(trained, again)
    assert not np.array_equal(trained, other)


def test_training_leaves_the_global_random_state_alone(digits: ImageDataset) -> None:
    before = torch.get_rng_state()
    training.train(tiny(), first(digits, 32), config.Train(epochs=1), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_epochs_leave_the_weights_alone(digits: ImageDataset) -> None:
    model = training.train(tiny(), digits, config.Train(epochs=0), seed=0)
    np.testing.assert_array_equal(weights(model), weights(tiny()))
    assert not model.training


@pytest.mark.parametrize(("images", "batch_size", "steps"), [(33, 32, 2), (31, 32, 1), (96, 32, 3)])
def test_every_image_is_seen_once_an_epoch(
    digits: ImageDataset, images: int, batch_size: int, steps: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one image over, the last batch must not be that image alone: batch norm could not train on it."""
    training.train(tiny(), first(digits, images), config.Train(epochs=2, batch_size=batch_size), seed=0)
    assert f"{2 * steps}/{2 * steps}" in capsys.readouterr().err


def test_the_progress_bar_shows_loss_and_accuracy_on_stderr(
    digits: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    training.train(tiny(), first(digits, 64), config.Train(epochs=1), seed=0, key="train.tiny")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "train.tiny" in shown.err
    assert "loss=" in shown.err
    assert "accuracy=" in shown.err


def test_a_loss_that_is_not_finite_stops_the_training(digits: ImageDataset) -> None:
    with pytest.raises(UserError, match="loss") as caught:
        training.train(tiny(), digits, config.Train(epochs=1, learning_rate=1e12), seed=0)
    assert caught.value.key == "train.learning_rate"


@pytest.mark.parametrize(
    "device",
    [
        "gpu",
        "cuda:99",
        "cpu:256",
        pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")),
    ],
)
def test_a_device_that_is_not_there_is_named(digits: ImageDataset, device: str) -> None:
    with pytest.raises(UserError) as caught:
        training.available_device(device)
    assert caught.value.key == "train.device"
    assert repr(device) in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_training_on_a_gpu_gives_a_network_on_the_cpu(digits: ImageDataset) -> None:
    model = training.train(tiny(), digits, config.Train(epochs=4, device="cuda"), seed=0)
    assert evaluation.accuracy(model, digits) > 0.9


def shifts_of(image: np.ndarray) -> list[bytes]:
    padded = np.pad(image, ((0, 0), (MAX_SHIFT,) * 2, (MAX_SHIFT,) * 2))
    steps = range(2 * MAX_SHIFT + 1)
    height, width = image.shape[1:]
    return [padded[:, top : top + height, left : left + width].tobytes() for top in steps for left in steps]


def varied(mirrorable: bool) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(0).integers(1, 256, (200, 3, 8, 8), dtype=np.uint8)
    return images, augmented(images, mirrorable, np.random.default_rng(1))


def test_images_that_must_not_be_mirrored_are_only_shifted() -> None:
    images, results = varied(mirrorable=False)
    assert all(result.tobytes() in shifts_of(image) for image, result in zip(images, results, strict=True))


def test_half_of_the_mirrorable_images_are_mirrored() -> None:
    images, results = varied(mirrorable=True)
    shifted = [result.tobytes() in shifts_of(image) for image, result in zip(images, results, strict=True)]
    mirrored = [
        result[:, :, ::-1].tobytes() in shifts_of(image)
        for image, result in zip(images, results, strict=True)
    ]
    assert all(plain != mirror for plain, mirror in zip(shifted, mirrored, strict=True))
    assert 70 <= sum(mirrored) <= 130


NARROW_SHORTCUT = """
from torch import nn

from dlas import config, datasets
from dlas.models import training

digits = datasets.load(config.Dataset("digits", "dlas.datasets.digits"))
shortcut = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 1, stride=2))
network = nn.Sequential(shortcut, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
training.train(network, digits, config.Train(epochs=1, batch_size=31), seed=0)
"""


def test_a_narrow_strided_shortcut_is_trained_on_every_cpu() -> None:
    """In a process of its own: oneDNN's gradient of such a layer may end it."""
    ended = subprocess.run([sys.executable, "-c", NARROW_SHORTCUT], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
