"""Which kernels are kept tuned: right ones, faster in the network; the library answers as PyTorch does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.deployment import run
from dlas.interfaces.program import ConvLayer, LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Schedules
from dlas.systems.choices.lowering import lower
from dlas.systems.choices.scheduling import (
    FASTER,
    SLOWER,
    TIE,
    TOO_LITTLE,
    choose,
    kernel_tasks,
    without_schedule,
)
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.program import kernels
from dlas.systems.program.kernel_choice import KernelChoice

IMAGE = (1, 16, 24, 24)


@pytest.fixture(scope="module")
def host() -> Target:
    """One core of it: a kernel on more waits for those that other processes keep busy."""
    return resolve(config.Target("host", cores=1))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    widths = (16, 32, 48, 16)
    convolutions = [nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(widths)]
    return nn.Sequential(*(part for conv in convolutions for part in (conv, nn.ReLU()))).eval()


def scheduled(layer: ConvLayer, host: Target, algorithm: str = "direct") -> object:
    return kernels.untuned(replace(layer, algorithm=algorithm), host.code)


def chosen(
    program: LoweredProgram, found: dict[int, object], host: Target, folder: Path
) -> tuple[list[KernelChoice], dict[str, object]]:
    """What is chosen where the tuner found these kernels, by the index of their layer."""
    keys = [task.key for task in kernel_tasks(program).values()]
    schedules = Schedules(
        found={keys[index]: function for index, function in found.items()},
        missing={key: "not found" for index, key in enumerate(keys) if index not in found},
    )
    found = choose(program, schedules, host, 3, folder)
    return found.choices, found.tuned


def test_layers_without_a_schedule_are_named_by_the_reason(network: nn.Module) -> None:
    program = lower(network, IMAGE, "direct")
    first, second, third = (task.key for task in kernel_tasks(program).values())
    schedules = Schedules(missing={first: "no relative", second: "wrong", third: "no relative"})
    assert without_schedule(program, schedules) == {"no relative": ["0", "4"], "wrong": ["2"]}


def test_kernels_that_are_right_and_faster_are_kept(network: nn.Module, host: Target, tmp_path: Path) -> None:
    program = lower(network, IMAGE, "untuned_loops")
    first, second, _ = program.layers
    without_relu = replace(second, workload=replace(second.workload, activation=""))
    found = {0: scheduled(first, host), 1: scheduled(without_relu, host)}
    choices, tuned = chosen(program, found, host, tmp_path)
    assert [choice.kernel for choice in choices] == [layer.kernel for layer in program.layers]
    assert [choice.tuned for choice in choices] == [True, False, False]
    assert tuned.keys() == {first.kernel}
    faster, wrong, missing = choices
    assert faster.reason == FASTER
    assert faster.tuned_ms < faster.untuned_ms
    assert "wrong by" in wrong.reason
    assert missing.reason == "not found"

    library = tmp_path / "model.so"
    build_library(program, tuned, host.code, None, 3, library)
    image = np.random.default_rng(1).standard_normal(IMAGE).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(run(library, image, host), expected, rtol=1e-4, atol=1e-5)


def test_a_slower_kernel_is_left(network: nn.Module, host: Target, tmp_path: Path) -> None:
    program = lower(network, IMAGE, "direct")
    first, second, third = program.layers
    found = {0: scheduled(first, host, "untuned_loops"), 1: scheduled(second, host, "untuned_loops")}
    choices, tuned = chosen(program, found, host, tmp_path)
    assert not tuned
    assert [choice.reason for choice in choices[:2]] == [SLOWER] * 2
    assert all(choice.tuned_ms > choice.untuned_ms for choice in choices[:2])
    assert third.kernel == choices[2].kernel


def test_a_network_that_gains_nothing_stays_untuned(network: nn.Module, host: Target, tmp_path: Path) -> None:
    """The same code twice: by chance some kernels are faster, and the network must not be told faster."""
    program = lower(network, IMAGE, "direct")
    found = {index: scheduled(layer, host) for index, layer in enumerate(program.layers)}
    choices, tuned = chosen(program, found, host, tmp_path)
    assert {choice.kernel for choice in choices if choice.tuned} == tuned.keys()
    for choice in choices:
        assert (choice.tuned_ms < choice.untuned_ms) >= choice.tuned
        if choice.tuned_ms < choice.untuned_ms and not choice.tuned:
            assert choice.reason in (TIE, TOO_LITTLE)
