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
from omegaconf import DictConfig, ListConfig, Node, open_dict

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

SETTINGS = [
    ["model=resnet18"],
    ["model=resnet18", "seed=2", "train.epochs=1"],
    ["model=resnet18", "train.epochs=1", "seed=2", "artifacts='a, b=c'", 'dataset.root="x y"'],
    ["model=resnet18", "~train.device"],
    ["model=resnet18", "~train", "+train.epochs=3"],
    ["model=resnet18", "~train.device=cpu", "++train.device=cuda", "++seed=5"],
    ["model=resnet18", "+anything={a: [1, 2], b: null}", "+anything.c=\\${seed}", "seed=${train.epochs}"],
    ["model=resnet18", "train={epochs: 4}", "train.epochs=5"],
    ["model=resnet18", "model={mean: [0.5]}", "model.std=[0.5]", "objectives=[latency_ms,top1_error]"],
    ["model=resnet18", "timing.runs=7", "hydra.job.name=other"],
    ["model=resnet18", "timing.runs=8", "hydra.job.name=other"],
    ["model=resnet18", "timing.runs=9", "hydra.job.name=other"],
    ["model=resnet18", "+hydra={job: {name: another}}"],
    ["compression=[weight_pruning,int8]", "compression.int8.weight_bits=7"],
    ["compression=[weight_pruning,int8]", "compression.weight_pruning.sparsity=0.7"],
    ["compression=[int8,weight_pruning]", "compression.weight_pruning.sparsity=0.7"],
    ["compression=[weight_pruning,int8]", "~compression.int8"],
    ["model=resnet18", "seed=2"],
]
"""Overrides of which several choose the same options, and set what these say, remove it or add to it."""

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

MISTAKES = [
    *(
        "model=resnet19",
        "model=null",
        "train.epoch=1",
        "train.epochs=[",
        "+model=vgg16",
        "+seed=3",
        "seed=1,2",
    ),
    *("~nothing", "~seed=4", "seed@here=1", "train.epochs.more=1"),
]


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
    for seed in (1, 2):
        quick.load_declared(master, [f"seed={seed}"])
    found = []
    for load in (loader.load_sweep_config, quick.load_sweep_config, quick.load_declared):
        with pytest.raises(Exception) as told:  # noqa: PT011 - whichever it is
            load(master, [mistake])
        found.append((told.type, str(told.value), str(told.value.__cause__)))
    assert found[0] == found[1] == found[2]


def without_hydra(composed: DictConfig) -> Any:
    with open_dict(composed):
        del composed["hydra"]
    return described(composed)


def test_what_is_declared_is_what_hydra_composes(loader: ConfigLoaderImpl) -> None:
    master, quick = sweep(loader), PointLoader(loader)
    for point in [*SETTINGS, *POINTS]:
        declared = quick.load_declared(master, point)
        assert described(declared) == without_hydra(loader.load_sweep_config(master, point)), point
        declared.train = declared.model = None  # what is done to one is not done to the next


def test_what_is_declared_by_options_of_ones_own_is_what_hydra_composes(
    loader: ConfigLoaderImpl, tmp_path: Path
) -> None:
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    master, quick = sweep(loader, f"hydra.searchpath=[{tmp_path}]"), PointLoader(loader)
    for point in [[*own, *more] for more in ([], ["seed=1"], ["seed=2"]) for own in OWN_POINTS]:
        declared = quick.load_declared(master, point)
        assert described(declared) == without_hydra(loader.load_sweep_config(master, point)), point


def test_it_goes_to_another_process_without_what_it_read(loader: ConfigLoaderImpl) -> None:
    master, quick = sweep(loader), point_loader()
    assert GlobalHydra.instance().config_loader() is quick is point_loader()
    composed = quick.load_sweep_config(master, ["model=vgg16"])
    sent = pickle.dumps(quick)
    assert len(sent) < len(pickle.dumps(composed))
    assert described(pickle.loads(sent).load_sweep_config(master, ["model=vgg16"])) == described(composed)
