"""Configs as the quick loader composes them, against those of Hydra's own."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, Node

from dlas.config import config_folder
from dlas.config.loading import PointLoader, point_loader

POINTS = [
    ["model=resnet18", "seed=1"],
    ["model=resnet18", "seed=2", "tuner.trials=7"],
    ["model=resnet20", "seed=2", "train.epochs=1"],
    ["model=resnet20", "compression=[weight_pruning,int8]", "compression.int8.weight_bits=7"],
    ["model=resnet20", "compression=none", "target=raspberrypi5", "timing=thorough"],
    ["model=resnet18", "algo=auto", "algo.candidates=[direct,gemm]", "format=csr", "timing=quick"],
    ["model=vgg16", "dataset=cifar10", "tuner=none", "~train.device"],
    ["model=vgg16", "+anything={a: [1, 2], b: null}", "hydra.job.name=other"],
    ["model=resnet18", "seed=1"],
]
"""Overrides in an order in which what was merged before is of use, and is of none."""

OWN_POINTS = [
    ["+own=first"],
    ["+own=second", "model=resnet18"],
    ["+own=second", "model=vgg16"],
    ["+own=first"],
]

OWN = {
    "own/first.yaml": "# @package _global_\ndefaults: [override /model: vgg16, _self_]\nown: 1\n",
    "own/second.yaml": "# @package _global_\ndefaults: [/extra: '${own}']\ntrain: {epochs: 9}\n",
    "extra/second.yaml": "a: 1\n",
}
"""Options with lists of defaults of their own: one overrides another's choice, one follows it."""

MISTAKES = ["model=resnet19", "model=null", "train.epoch=1", "train.epochs=[", "+model=vgg16"]


@pytest.fixture
def loader() -> Iterator[ConfigLoaderImpl]:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        found = GlobalHydra.instance().config_loader()
        assert isinstance(found, ConfigLoaderImpl)
        yield found


def described(node: Node) -> Any:
    """All that OmegaConf holds of it."""
    about = type(node), {**vars(node._metadata), "key": str(node._metadata.key)}
    if node._is_none() or node._is_missing() or node._is_interpolation():
        return about, node._value()
    if isinstance(node, DictConfig):
        return about, [(key, described(node._get_node(key))) for key in node]
    if isinstance(node, ListConfig):
        return about, [described(node._get_node(place)) for place in range(len(node))]
    return about, node._value()


def sweep(loader: ConfigLoaderImpl, *overrides: str) -> DictConfig:
    return loader.load_configuration("config", ["seed=1,2", *overrides], RunMode.MULTIRUN)


def test_points_are_what_hydra_composes(loader: ConfigLoaderImpl) -> None:
    master, quick = sweep(loader), PointLoader(loader)
    for point in POINTS:
        composed = quick.load_sweep_config(master, point)
        assert described(composed) == described(loader.load_sweep_config(master, point)), point
        composed.train = composed.model = None  # what is done to one is not done to the next


def test_lists_of_defaults_count(loader: ConfigLoaderImpl, tmp_path: Path) -> None:
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    master, quick = sweep(loader, f"hydra.searchpath=[{tmp_path}]"), PointLoader(loader)
    for point in OWN_POINTS:
        composed = quick.load_sweep_config(master, point)
        assert described(composed) == described(loader.load_sweep_config(master, point)), point
    assert composed.model.name == "vgg16"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_as_hydra_tells_them(loader: ConfigLoaderImpl, mistake: str) -> None:
    master, quick = sweep(loader), PointLoader(loader)
    quick.load_sweep_config(master, [])
    found = []
    for one in (quick, loader):
        with pytest.raises(Exception) as told:  # noqa: PT011 - whichever it is
            one.load_sweep_config(master, [mistake])
        found.append((told.type, str(told.value), str(told.value.__cause__)))
    assert found[0] == found[1]


def test_it_goes_to_another_process_without_what_it_read(loader: ConfigLoaderImpl) -> None:
    master, quick = sweep(loader), point_loader()
    assert GlobalHydra.instance().config_loader() is quick is point_loader()
    composed = quick.load_sweep_config(master, ["model=vgg16"])
    sent = pickle.dumps(quick)
    assert len(sent) < len(pickle.dumps(composed))
    assert described(pickle.loads(sent).load_sweep_config(master, ["model=vgg16"])) == described(composed)
