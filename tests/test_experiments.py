"""Whole studies: each experiment file opens with the command that runs it."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from dlas import config
from dlas.config import composing

FOLDER = config.config_folder()
COMMANDS = [
    (file.stem, command[1])
    for file in sorted((FOLDER / "experiment").glob("*.yaml"))
    for command in re.finditer(r"python -m dlas\.run -m (.+)", file.read_text().partition("\ndefaults:")[0])
]


def composed(*overrides: str, mode: RunMode = RunMode.MULTIRUN) -> DictConfig:
    with initialize_config_dir(str(FOLDER), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        return hydra.compose_config("config", list(overrides), run_mode=mode)


def grid(*typed: str) -> list[list[str]]:
    """The overrides of each point of a command."""
    with initialize_config_dir(str(FOLDER), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        return composing.combinations(hydra.compose_config("config", list(typed), run_mode=RunMode.MULTIRUN))


def stack(overrides: list[str]) -> config.Stack:
    return composing.stack_of(composed(*overrides, mode=RunMode.RUN))


def test_every_experiment_opens_with_a_command() -> None:
    assert {name for name, _ in COMMANDS} == {path.stem for path in Path(FOLDER, "experiment").glob("*.yaml")}


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_the_command_of_an_experiment_makes_points(name: str, command: str) -> None:
    if name == "search":
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = shlex.split(command)
    assert f"experiment={name}" in arguments
    points = grid(*arguments)
    for overrides in (points[0], points[-1]):  # of each grid they differ in every choice
        stack(overrides)


def test_the_study_of_small_images_is_the_papers_grid() -> None:
    networks, algorithms = ("vgg16", "resnet18", "mobilenetv2"), ("direct", "gemm", "spatial_pack")
    compressions = ("none", "weight_pruning", "channel_pruning", "float16", "int8")
    wanted = itertools.product(networks, compressions, algorithms, ("none", "ansor"))
    found = grid("experiment=dlas_cifar10")
    assert sorted(found) == sorted(
        [
            *(f"model={model}", f"compression={compression}", f"algo={algorithm}", f"tuner={tuner}"),
            "experiment=dlas_cifar10",
        ]
        for model, compression, algorithm, tuner in wanted
    )
    first = stack(found[0])
    assert (first.dataset.name, first.timing.runs) == ("cifar10", 150)


def test_what_an_experiment_chooses_may_be_typed_otherwise() -> None:
    found = grid("experiment=dlas_small", "algo=gemm", "compression=none", "timing=paper")
    assert len(found) == 4
    last = stack(found[-1])
    assert (last.algo.name, last.timing.name, last.compression) == ("gemm", "paper", {})


TOLD = ("tuner=ansor", "tuner.trials=2", "+tuner.x=2", "++tuner.trials=2", "~tuner")


@pytest.mark.parametrize("told", TOLD)
def test_what_a_tuner_is_told_is_nothing_to_a_screened_point(told: str) -> None:
    (point,) = composing.screened(grid("algo=gemm", told, "+mytuner=2"))
    assert point == ["algo=gemm", "+mytuner=2", "tuner=none"]


def test_an_experiment_is_no_setting_of_a_point() -> None:
    named = stack(["experiment=budgeted", "model=resnet20"])
    assert config.identity(named) == config.identity(stack(["tuner=metaschedule", "model=resnet20"]))
