from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_pruning
from hydra import compose, initialize_config_dir
from torch import nn

from dlas import config
from dlas.compression import channel_pruning
from dlas.compression.finetuning import Finetune
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset
from dlas.models import checkpoint, counting, evaluation, training
from dlas.models.mobilenetv2 import mobilenetv2
from dlas.models.resnet import resnet18
from dlas.models.vgg import VGG, vgg16

SHAPE = (3, 32, 32)
PRUNING = channel_pruning.Settings("channel_pruning")


def tiny() -> VGG:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VGG(((16,), (16,), (32,), (32,), (32,)), 10)


def depthwise(classes: int) -> nn.Module:
    """The inverted bottleneck of a mobile network in small: 1x1, depthwise 3x3, 1x1."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 16, 3, groups=16, bias=False),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 24, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, classes),
    )


def grouped(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.Conv2d(16, 32, 3, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def halved(factory: Callable[[int], nn.Module]) -> nn.Module:
    return channel_pruning.prune_channels(factory(10), SHAPE, 0.5, 8)


def convolution_channels(model: nn.Module) -> list[int]:
    return [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("factory", [vgg16, resnet18])
def test_half_the_channels_leave_a_quarter_of_the_network(factory: Callable[[int], nn.Module]) -> None:
    dense = factory(10)
    pruned = channel_pruning.prune_channels(dense, SHAPE, 0.5, 8)
    assert convolution_channels(pruned) == [channels // 2 for channels in convolution_channels(dense)]
    assert counting.parameters(pruned) / counting.parameters(dense) == pytest.approx(0.25, abs=0.005)
    assert counting.macs(pruned, SHAPE) / counting.macs(dense, SHAPE) == pytest.approx(0.25, abs=0.005)
    assert pruned(torch.zeros(1, *SHAPE)).shape == (1, 10)


def test_the_pruned_resnet18_is_the_one_known_from_torch_pruning() -> None:
    """2,797,610 parameters of 11,173,962 were measured with the library alone."""
    assert counting.parameters(halved(resnet18)) == 2_797_610


def test_remaining_macs_agree_with_torch_pruning() -> None:
    """Its counter takes batch norm, activations and pooling in; those are a few percent."""
    pruned = halved(vgg16)
    theirs, parameters = torch_pruning.utils.count_ops_and_params(pruned, torch.zeros(1, *SHAPE))
    assert counting.parameters(pruned) == parameters
    assert counting.macs(pruned, SHAPE) == pytest.approx(theirs, rel=0.03)


def test_the_network_that_was_given_stays_whole() -> None:
    dense = tiny()
    before = {name: tensor.clone() for name, tensor in dense.state_dict().items()}
    channel_pruning.prune_channels(dense, SHAPE, 0.5, 8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in dense.state_dict().items())


def test_the_channels_of_least_l1_norm_go() -> None:
    """In a chain, a channel's norm is that of its own filter and of what the next layer does with it."""
    dense = tiny()
    with torch.no_grad():
        for kept in (1, 5, 6, 12):
            dense.features[0].weight[kept] *= 100
    pruned = channel_pruning.prune_channels(dense, SHAPE, 0.75, 4)
    first = pruned.get_submodule("features.0")
    assert torch.equal(first.get_parameter("weight"), dense.features[0].weight[[1, 5, 6, 12]])


@pytest.mark.parametrize(
    ("ratio", "round_to", "remaining"),
    [
        (0.0, 8, [16, 16, 32, 32, 32]),
        (0.3, 1, [11, 11, 22, 22, 22]),
        (0.3, 4, [12, 12, 24, 24, 24]),
        (0.9, 1, [2, 2, 3, 3, 3]),
        (0.9, 16, [16, 16, 16, 16, 16]),
        (0.99, 1, [1, 1, 1, 1, 1]),
        (0.5, 64, [16, 16, 32, 32, 32]),
    ],
)
def test_what_remains_is_the_nearest_multiple(ratio: float, round_to: int, remaining: list[int]) -> None:
    pruned = channel_pruning.prune_channels(tiny(), SHAPE, ratio, round_to)
    assert convolution_channels(pruned) == remaining
    assert pruned(torch.zeros(1, *SHAPE)).shape == (1, 10)


@pytest.mark.parametrize("factory", [resnet18, mobilenetv2, depthwise, grouped])
def test_a_pruned_network_is_restored_from_its_file(
    factory: Callable[[int], nn.Module], tmp_path: Path
) -> None:
    pruned = halved(factory).eval()
    checkpoint.save(pruned, tmp_path / "pruned.safetensors")
    restored = factory(10)
    checkpoint.load_resized(restored, tmp_path / "pruned.safetensors")
    images = np.random.default_rng(0).standard_normal((4, *SHAPE), dtype=np.float32)
    np.testing.assert_array_equal(evaluation.logits(restored, images), evaluation.logits(pruned, images))
    assert repr(restored) == repr(pruned)
    assert convolution_channels(restored) != convolution_channels(factory(10))


def test_pruning_costs_a_small_network_little_after_fine_tuning(
    digits: ImageDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    train = config.Train(epochs=5)
    dense = training.train(tiny(), digits, train, seed=0)
    settings = dataclasses.replace(PRUNING, ratio=0.25, round_to=4, finetune=Finetune(epochs=3))
    pruned = channel_pruning.compress(dense, digits, settings, train, seed=0)
    assert "compression.channel_pruning.finetune" in capsys.readouterr().err
    assert counting.macs(pruned, SHAPE) < 0.7 * counting.macs(dense, SHAPE)
    assert evaluation.accuracy(pruned, digits) > evaluation.accuracy(dense, digits) - 0.03


def test_without_epochs_nothing_is_trained(digits: ImageDataset) -> None:
    settings = dataclasses.replace(PRUNING, finetune=Finetune(epochs=0))
    pruned = channel_pruning.compress(tiny(), digits, settings, config.Train(), seed=0)
    expected = channel_pruning.prune_channels(tiny(), SHAPE, 0.5, 8)
    for name, tensor in pruned.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name])


def test_a_fine_tuning_that_diverges_blames_its_own_setting(digits: ImageDataset) -> None:
    settings = dataclasses.replace(PRUNING, finetune=Finetune(learning_rate=1e12))
    with pytest.raises(UserError) as caught:
        channel_pruning.compress(tiny(), digits, settings, config.Train(), seed=0)
    assert caught.value.key == "compression.channel_pruning.finetune.learning_rate"


def stack(*overrides: str) -> config.Stack:
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return config.parse(compose("config", ["compression=channel_pruning", *overrides]))


def parsed(*overrides: str) -> config.Compression:
    return stack(*overrides).compression["channel_pruning"]


def test_the_declared_settings_are_the_defaults_and_can_be_changed() -> None:
    assert parsed() == PRUNING
    changed = parsed(
        "compression.channel_pruning.ratio=0.25", "compression.channel_pruning.finetune.epochs=0"
    )
    assert changed == dataclasses.replace(PRUNING, ratio=0.25, finetune=Finetune(epochs=0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("compression.channel_pruning.ratio", "1"),
        ("compression.channel_pruning.ratio", "-0.1"),
        ("compression.channel_pruning.ratio", "nan"),
        ("compression.channel_pruning.ratio", "half"),
        ("compression.channel_pruning.round_to", "0"),
        ("compression.channel_pruning.round_to", "1.5"),
        ("compression.channel_pruning.finetune.epochs", "-1"),
        ("compression.channel_pruning.finetune.learning_rate", "0"),
        ("compression.channel_pruning.finetune.learning_rate", "inf"),
        ("compression.channel_pruning.finetune.batch_size", "0"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_key(key: str, value: str) -> None:
    with pytest.raises(UserError) as caught:
        parsed(f"{key}={value}")
    assert caught.value.key == key
    assert caught.value.remedy
