from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn
from torch.nn.utils import prune

from dlas import config, models
from dlas.compression import block_pruning, channel_pruning, magnitude_pruning, weight_pruning
from dlas.compression.finetuning import Finetune
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset
from dlas.models import checkpoint, counting, evaluation, training
from dlas.models.mobilenetv2 import mobilenetv2
from dlas.models.resnet import resnet20
from dlas.models.vgg import VGG

WEIGHTS = weight_pruning.Settings("weight_pruning")
BLOCKS = block_pruning.Settings("block_pruning")
TRAIN = config.Train(epochs=5)
SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def dense(digits: ImageDataset) -> nn.Module:
    return training.train(tiny(), digits, TRAIN, seed=0)


def parsed(*overrides: str) -> config.Stack:
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return config.parse(compose("config", list(overrides)))


def tiny() -> VGG:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VGG(((16,), (16,), (32,), (32,), (32,)), 10)


def first(dataset: ImageDataset, count: int) -> ImageDataset:
    return dataclasses.replace(
        dataset, train_images=dataset.train_images[:count], train_labels=dataset.train_labels[:count]
    )


def weights(model: nn.Module) -> dict[str, np.ndarray]:
    return {
        name: layer.get_parameter("weight").detach().numpy()
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }


def prunable(model: nn.Module) -> dict[str, nn.Module]:
    """All but the classifier, which comes last in these networks, and depthwise convolutions."""
    *inner, _ = weights(model)
    layers = {name: model.get_submodule(name) for name in inner}
    return {name: layer for name, layer in layers.items() if getattr(layer, "groups", 1) == 1}


def flat_weights(model: nn.Module) -> np.ndarray:
    """Of the layers that are pruned."""
    return np.concatenate([weights(model)[name].ravel() for name in prunable(model)])


def sparsity(model: nn.Module) -> float:
    return float(np.mean(flat_weights(model) == 0))


def zero(model: nn.Module, fraction: float, block: tuple[int, int] = (1, 1)) -> None:
    chosen = magnitude_pruning.prunable_weights(model, SHAPE).values()
    divided = [weight for weight in chosen if magnitude_pruning.divides(block, weight)]
    magnitude_pruning.zero_smallest_blocks(divided, fraction, block)


def zeroed(factory: Callable[[int], nn.Module], fraction: float, block: tuple[int, int]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = factory(10)
    zero(model, fraction, block)
    return model


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.987])
@pytest.mark.parametrize("factory", [resnet20, mobilenetv2])
def test_the_weights_that_go_are_those_that_torch_chooses(
    factory: Callable[[int], nn.Module], fraction: float
) -> None:
    pruned = zeroed(factory, fraction, (1, 1))
    theirs = zeroed(factory, 0, (1, 1))
    chosen = [(layer, "weight") for layer in prunable(theirs).values()]
    prune.global_unstructured(chosen, prune.L1Unstructured, amount=fraction)
    for name, weight in weights(pruned).items():
        expected = theirs.get_submodule(name).weight.detach().numpy()
        np.testing.assert_array_equal(weight, expected)
    assert abs(np.sum(flat_weights(pruned) == 0) - fraction * flat_weights(pruned).size) <= 1


def test_batch_norm_depthwise_and_the_classifier_stay() -> None:
    pruned, whole = zeroed(mobilenetv2, 0.9, (1, 1)), zeroed(mobilenetv2, 0, (1, 1))
    others = whole.state_dict().keys() - {f"{name}.weight" for name in prunable(whole)}
    assert {"classifier.weight", "classifier.bias", "features.2.conv.1.0.weight"} <= others
    assert len(others) > 250
    assert all(torch.equal(pruned.state_dict()[name], whole.state_dict()[name]) for name in others)


@pytest.mark.parametrize("block", [(1, 4), (8, 1), (2, 3)])
def test_the_blocks_that_go_are_the_smallest_of_all_layers(block: tuple[int, int]) -> None:
    rows, columns = block
    whole, pruned = weights(zeroed(resnet20, 0, block)), weights(zeroed(resnet20, 0.7, block))
    *inner, _ = whole
    kept_sums, gone_sums, divided = [], [], []
    for name, weight in whole.items():
        before, after = (w.reshape(len(w), -1) for w in (weight, pruned[name]))
        if name not in inner or before.shape[0] % rows or before.shape[1] % columns:
            np.testing.assert_array_equal(after, before)
            continue
        divided.append(name)
        for row in range(0, before.shape[0], rows):
            for column in range(0, before.shape[1], columns):
                place = np.s_[row : row + rows, column : column + columns]
                total = np.abs(before[place], dtype=np.float64).sum()
                if np.array_equal(after[place], before[place]):
                    kept_sums.append(total)
                else:
                    assert not after[place].any()
                    gone_sums.append(total)
    assert max(gone_sums) <= min(kept_sums) * (1 + 1e-6)
    assert abs(len(gone_sums) - 0.7 * (len(gone_sums) + len(kept_sums))) <= 1
    assert "layer3.2.conv2" in divided


def test_the_sparsity_rises_cubically_to_its_end() -> None:
    assert magnitude_pruning.sparsity_schedule(0.8, 1) == [0.8]
    assert magnitude_pruning.sparsity_schedule(0.8, 2) == pytest.approx([0.7, 0.8])
    assert magnitude_pruning.sparsity_schedule(0.8, 4) == pytest.approx([0.4625, 0.7, 0.7875, 0.8])


def test_zeros_stay_zero_under_momentum_and_weight_decay(digits: ImageDataset) -> None:
    train = config.Train(momentum=0.95, weight_decay=0.05)
    whole, model = tiny(), tiny()
    settings = dataclasses.replace(WEIGHTS, sparsity=0.6, steps=1, finetune=Finetune(1, 0.05))
    pruned = weight_pruning.compress(model, first(digits, 320), settings, train, seed=0)
    zero(whole, 0.6)
    np.testing.assert_array_equal(flat_weights(pruned) == 0, flat_weights(whole) == 0)
    kept = flat_weights(whole) != 0
    assert np.mean(flat_weights(pruned)[kept] != flat_weights(whole)[kept]) > 0.99
    assert sparsity(model) == 0, "the given network stays whole"
    assert list(pruned.state_dict()) == list(model.state_dict())


def test_every_step_of_fine_tuning_sees_the_zeros(digits: ImageDataset) -> None:
    """The first images through the network after an optimizer step must meet pruned weights."""
    seen = []

    def look(layer: nn.Module, _: tuple[torch.Tensor]) -> None:
        if layer.training:
            seen.append(float((layer.weight == 0).float().mean()))

    model = tiny()
    model.features[4].register_forward_pre_hook(look)
    settings = dataclasses.replace(WEIGHTS, sparsity=0.5, steps=1, finetune=Finetune(1))
    pruned = weight_pruning.compress(model, first(digits, 160), settings, config.Train(), seed=0)
    final = float((pruned.features[4].weight == 0).float().mean())
    assert len(seen) == 5
    assert set(seen) == {final}
    assert final > 0


def test_most_weights_can_go_from_a_trained_network(
    digits: ImageDataset, dense: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    pruned = weight_pruning.compress(dense, digits, dataclasses.replace(WEIGHTS, sparsity=0.7), TRAIN, seed=0)
    assert "compression.weight_pruning.finetune" in capsys.readouterr().err
    count = flat_weights(pruned).size
    assert abs(sparsity(pruned) - 0.7) <= 1 / count
    assert evaluation.accuracy(pruned, digits) > evaluation.accuracy(dense, digits) - 0.02
    assert counting.remaining_macs(pruned, (3, 32, 32)) < 0.6 * counting.macs(pruned, (3, 32, 32))


def test_the_seed_decides_the_pruned_network(digits: ImageDataset) -> None:
    settings = dataclasses.replace(WEIGHTS, steps=2, finetune=Finetune(1))
    few = first(digits, 96)
    once, again, other = (
        flat_weights(weight_pruning.compress(tiny(), few, settings, config.Train(), seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_another_step_of_compression_keeps_the_zeros(digits: ImageDataset) -> None:
    pruned = zeroed(lambda _: tiny(), 0.6, (1, 1))
    settings = channel_pruning.Settings("channel_pruning", "", ratio=0.0, finetune=Finetune(1))
    after = channel_pruning.compress(pruned, first(digits, 96), settings, config.Train(), seed=0)
    np.testing.assert_array_equal(flat_weights(after) == 0, flat_weights(pruned) == 0)
    assert not np.array_equal(flat_weights(after), flat_weights(pruned))


@pytest.mark.parametrize(("method", "settings"), [(weight_pruning, WEIGHTS), (block_pruning, BLOCKS)])
def test_a_pruned_network_is_restored_from_its_file(
    method: object, settings: config.Compression, digits: ImageDataset, tmp_path: Path
) -> None:
    settings = dataclasses.replace(settings, steps=1, finetune=Finetune(1))
    pruned = method.compress(tiny(), first(digits, 96), settings, config.Train(), 0)
    checkpoint.save(pruned, tmp_path / "pruned.safetensors")
    restored = method.restore(tiny(), tmp_path / "pruned.safetensors")
    images = digits.normalized(digits.test_images[:8])
    np.testing.assert_array_equal(evaluation.logits(restored, images), evaluation.logits(pruned, images))
    assert sparsity(restored) == sparsity(pruned) > 0.7


class Tied(nn.Module):
    """Two convolutions of one weight, one of a weight of its own, and a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.own = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.again.weight = self.first.weight
        self.up, self.head = nn.ConvTranspose2d(3, 3, 2, 2), nn.Linear(3, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.up(self.own(self.again(self.first(images)).relu())).mean((2, 3)))


def test_a_weight_that_layers_share_is_pruned_once_and_stays_shared(
    digits: ImageDataset, tmp_path: Path
) -> None:
    settings = dataclasses.replace(WEIGHTS, sparsity=0.5, steps=1, finetune=Finetune(1))
    pruned = weight_pruning.compress(Tied(), first(digits, 96), settings, config.Train(), 0)
    zeros = [int((layer.weight == 0).sum()) for layer in (pruned.first, pruned.own, pruned.up)]
    assert sum(zeros) == (2 * 81) // 2
    assert zeros[2] == 0
    checkpoint.save(pruned, tmp_path / "pruned.safetensors")
    restored = weight_pruning.restore(Tied(), tmp_path / "pruned.safetensors")
    images = torch.from_numpy(digits.normalized(digits.test_images[:4]))
    assert restored.again.weight is restored.first.weight
    assert torch.equal(restored(images), pruned(images))


def test_layers_that_the_block_does_not_divide_stay_dense_and_are_named(
    digits: ImageDataset, caplog: pytest.LogCaptureFixture
) -> None:
    """The first convolution has 3 * 3 * 3 columns."""
    settings = dataclasses.replace(BLOCKS, block=[1, 4], finetune=Finetune(epochs=0))
    pruned = block_pruning.compress(tiny(), digits, settings, config.Train(), seed=0)
    (warning,) = caplog.messages
    assert warning.endswith("1x4 do not divide them: features.0")
    before, after = weights(tiny()), weights(pruned)
    np.testing.assert_array_equal(after["features.0"], before["features.0"])
    assert np.mean(after["features.8"] == 0) > 0.5


def test_a_block_that_divides_no_layer_is_refused(digits: ImageDataset) -> None:
    settings = dataclasses.replace(BLOCKS, block=[7, 1])
    with pytest.raises(UserError, match="blocks of 7x1 divide no layer") as caught:
        block_pruning.compress(tiny(), digits, settings, config.Train(), seed=0)
    assert caught.value.key == "compression.block_pruning.block"


def test_a_layer_that_lost_all_its_weights_is_named(
    digits: ImageDataset, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny()
    with torch.no_grad():
        model.features[0].weight *= 1e-3
    settings = dataclasses.replace(WEIGHTS, finetune=Finetune(epochs=0))
    weight_pruning.compress(model, digits, settings, config.Train(), seed=0)
    assert "no weight is left in features.0" in caplog.text


@pytest.mark.parametrize(("method", "settings"), [(weight_pruning, WEIGHTS), (block_pruning, BLOCKS)])
def test_a_fine_tuning_that_diverges_blames_its_own_setting(
    method: object, settings: config.Compression, digits: ImageDataset
) -> None:
    settings = dataclasses.replace(settings, finetune=Finetune(learning_rate=1e12))
    with pytest.raises(UserError, match="the loss became") as caught:
        method.compress(tiny(), first(digits, 320), settings, config.Train(), 0)
    assert caught.value.key == f"{settings.key}.finetune.learning_rate"


@pytest.mark.parametrize("defaults", [WEIGHTS, BLOCKS])
def test_the_declared_settings_are_the_defaults(defaults: config.Compression) -> None:
    assert parsed(f"compression={defaults.name}").compression == {defaults.name: defaults}


@pytest.mark.parametrize("value", ["0", "0.0", "0.995", "auto"])
def test_a_sparsity_is_a_number_or_auto(value: str) -> None:
    found = parsed("compression=weight_pruning", f"compression.weight_pruning.sparsity={value}")
    assert str(found.compression["weight_pruning"].sparsity) == value


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("weight_pruning", "sparsity", "1"),
        ("weight_pruning", "sparsity", "1.0"),
        ("weight_pruning", "sparsity", "-0.1"),
        ("weight_pruning", "sparsity", "autoo"),
        ("weight_pruning", "sparsity", "nan"),
        ("weight_pruning", "sparsity", "null"),
        ("weight_pruning", "sparsity", "[0.5]"),
        ("weight_pruning", "max_drop", "-0.01"),
        ("weight_pruning", "max_drop", "nan"),
        ("weight_pruning", "max_drop", "1"),
        ("weight_pruning", "steps", "0"),
        ("weight_pruning", "steps", "1.5"),
        ("weight_pruning", "finetune.epochs", "-1"),
        ("weight_pruning", "finetune.learning_rate", "0"),
        ("block_pruning", "sparsity", "1.0"),
        ("block_pruning", "block", "8"),
        ("block_pruning", "block", "[8]"),
        ("block_pruning", "block", "[0,4]"),
        ("block_pruning", "block", "[1,2,3]"),
        ("block_pruning", "block", "8x1"),
        ("channel_pruning", "ratio", "autoo"),
        ("channel_pruning", "max_drop", "2"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_key(name: str, setting: str, value: str) -> None:
    key = f"compression.{name}.{setting}"
    with pytest.raises(UserError) as caught:
        parsed(f"compression={name}", f"{key}={value}")
    assert caught.value.key == key
    assert caught.value.remedy


def test_the_per_layer_table_shows_the_zeros(tmp_path: Path) -> None:
    from dlas.bundle import writing
    from dlas.pipeline import run_point

    stack = parsed(
        "model=resnet20",
        "compression=weight_pruning",
        "algo=gemm",
        "tuner=none",
        "timing=quick",
        "timing.runs=2",
        "train.epochs=0",
        "compression.weight_pruning.sparsity=0.8",
        "compression.weight_pruning.finetune.epochs=0",
        f"artifacts={tmp_path / 'artifacts'}",
    )
    (tmp_path / "bundle").mkdir()
    metrics = writing.metrics(run_point(stack, tmp_path / "bundle"))
    expected = models.build(stack.model, 10, stack.seed)
    for reached in (0.8 * 19 / 27, 0.8 * 26 / 27, 0.8):
        zero(expected, reached)
    with (tmp_path / "bundle" / "layers.csv").open() as file:
        rows = {row["layer"]: row for row in csv.DictReader(file) if row["workload"]}
    convolutions = {name: weight for name, weight in weights(expected).items() if weight.ndim == 4}
    assert rows.keys() == {*convolutions, "fc"}
    for name, weight in convolutions.items():
        assert float(rows[name]["sparsity"]) == pytest.approx(np.mean(weight == 0), abs=1e-9), name
    assert sum(np.sum(weight == 0) for weight in convolutions.values()) == round(
        0.8 * flat_weights(expected).size
    )
    zeros = np.sum(flat_weights(expected) == 0)
    assert metrics["params.remaining"] == counting.parameters(expected) - zeros
    assert metrics["compression.ratio"] == metrics["params.dense"] / metrics["params.remaining"] > 4
    assert metrics["bytes.dense"] == 4 * metrics["params.dense"]
    assert metrics["bytes.format"] == pytest.approx(metrics["bytes.dense"], rel=0.05), "zeros are stored"
    assert metrics["macs.remaining"] < 0.5 * metrics["macs.dense"]
    assert metrics["speedup.expected"] == 1, "zeros are multiplied"
