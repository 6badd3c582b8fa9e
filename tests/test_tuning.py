"""A network whose kernels are written in TE and in TensorIR, tuned as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_searches import metaschedule_settings
from torch import nn

from dlas.hardware.timing.deployment import run
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.systems.choices import scheduling
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.tuners import none, tuning
from dlas.systems.tuners.common.tuning_store import TuningStore

IMAGE = (1, 16, 12, 12)
TRIALS = 6


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Three layers, 80 % of whose weights are zero: blocks of eight outputs divide those of two."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(16, 32, 3, padding=1), nn.Conv2d(32, 20, 3, padding=1), nn.Conv2d(20, 24, 1)]
    with torch.no_grad():
        for layer in layers:
            kept = torch.rand(1, *layer.weight.shape[1:]) < 0.2
            layer.weight.mul_(kept)
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU()))).eval()


@pytest.fixture(scope="module")
def program(network: nn.Module) -> LoweredProgram:
    return lower(network, IMAGE, "direct", "bsr8x1")


@pytest.mark.slow
def test_each_kernel_is_searched_in_its_own_way(
    network: nn.Module, program: LoweredProgram, host: Target, tmp_path: Path
) -> None:
    assert [layer.workload.format for layer in program.layers] == ["bsr8x1", "dense", "bsr8x1"]
    tasks = list(scheduling.kernel_tasks(program).values())
    kept = [float((layer.weight != 0).float().mean()) for layer in network[::2]]
    for task, fraction in zip([tasks[0], tasks[2]], [kept[0], kept[2]], strict=True):
        assert task.density / 100 == pytest.approx(fraction, rel=0.2)
    assert tasks[1].density == 100
    store = TuningStore(tmp_path / "store")
    found = tuning.tune(tasks, host, metaschedule_settings(TRIALS), tmp_path, store)
    assert (found.trials, found.failed) == (TRIALS, 0)
    assert found.best.keys() == {task.key for task in tasks}
    measured = [json.loads(line)["task"] for line in (tmp_path / tuning.PARAMETERS).read_text().splitlines()]
    assert set(measured) == {tasks[0].key, tasks[2].key}
    searched = [json.loads(line)[0] for line in (tmp_path / tuning.SCHEDULES).read_text().splitlines()]
    assert set(searched) == {tasks[1].key}

    tuner = "dlas.systems.tuners.metaschedule"
    schedules = tuning.best_schedules(tuner, tmp_path, tasks, host.code)
    assert schedules.found.keys() | schedules.missing.keys() == {task.key for task in tasks}
    chosen = scheduling.choose(program, schedules, host, 3, tmp_path)
    assert {choice.kernel for choice in chosen.choices if choice.tuned} == chosen.tuned.keys()
    assert all(choice.reason for choice in chosen.choices)

    image = np.random.default_rng(1).standard_normal(IMAGE).astype(np.float32)
    forced = {
        layer.kernel: schedules.found[task.key]
        for layer, task in zip(program.layers, tasks, strict=True)
        if task.key in schedules.found
    }
    build_library(program, forced, host.code, None, 3, tmp_path / "model.so")
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(run(tmp_path / "model.so", image, host), expected, rtol=1e-4, atol=1e-5)


def test_no_tuning_measures_nothing(program: LoweredProgram, host: Target, tmp_path: Path) -> None:
    tasks = list(scheduling.kernel_tasks(program).values())
    declared = none.Settings("none", "dlas.systems.tuners.none")
    assert tuning.tune(tasks, host, declared, tmp_path, TuningStore(tmp_path / "store")).trials == 0
    assert not list(tmp_path.iterdir())
    schedules = tuning.best_schedules(declared.module, tmp_path, tasks, host.code)
    assert set(schedules.missing.values()) == {"not tuned"}
