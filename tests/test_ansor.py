"""Real Ansor searches: the native log, the budget, going on after an interruption, the messages."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import REPOSITORY
from interrupted_searches import interrupted
from sampled_schedules import compiled, largest_error
from small_searches import SMALL, TASKS, ansor_settings, by_ansor

from dlas.errors import UserError
from dlas.hardware import no_torch
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners import none
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.ansor import worker as ansor_worker
from dlas.systems.tuners.common.tuning_store import TuningStore

TUNE = """
import pathlib
from dlas.hardware.targets import target_file
from small_searches import TASKS, by_ansor
by_ansor(TASKS, target_file.read(pathlib.Path(sys.argv[1])), 24, pathlib.Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def log(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning") / "ansor.json"
    tuning = by_ansor(TASKS, host, 5, path)
    assert tuning.trials == 5
    assert tuning.best.keys() == {task.key for task in TASKS}
    assert all(0 < seconds < 0.1 for seconds in tuning.best.values())
    return path


def test_the_log_is_ansors_own(log: Path) -> None:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["v"] for record in records] == ["v0.6"] * 5
    program = (
        "import sys; from tvm.auto_scheduler import RecordReader;"
        "print([inp.task.workload_key for inp, res in RecordReader(sys.argv[1])])"
    )
    python = ansor_worker.FOLDER / ".venv" / "bin" / "python"
    printed = subprocess.run([python, "-c", program, log], capture_output=True, text=True, check=True).stdout
    assert printed.count(SMALL.key) >= 1
    assert printed.count("gemm") >= 1
    assert printed.count("conv2d_layer") == 5


def test_the_best_schedules_equal_pytorch(log: Path, host: Target) -> None:
    schedules = ansor.best_schedules(log, TASKS, host.code)
    assert not schedules.missing
    functions = compiled([schedules.found[task.key] for task in TASKS], host.code)
    for task, function in zip(TASKS, functions, strict=True):
        assert largest_error(function, task.workload, task.algorithm) < 1e-5


def test_a_schedule_that_no_longer_applies_is_told(log: Path, host: Target, tmp_path: Path) -> None:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    spoiled = [record for record in records if SMALL.key in record["i"][0][0]]
    for record in spoiled:
        for step in record["i"][1][1]:
            step[1] = 99  # the stage that it is about
    path = tmp_path / "ansor.json"
    path.write_text("".join(json.dumps(record) + "\n" for record in spoiled))
    schedules = ansor.best_schedules(path, TASKS, host.code)
    assert not schedules.found
    assert schedules.missing[TASKS[0].key].startswith("its schedule no longer applies: ")


def test_a_truncated_log_is_refused(log: Path, host: Target, tmp_path: Path) -> None:
    path = tmp_path / "ansor.json"
    path.write_text(log.read_text()[:-40])
    with pytest.raises(UserError, match="line 5 of the tuning log is no record of Ansor, or was cut off"):
        ansor.best_schedules(path, TASKS, host.code)


def test_a_finished_search_is_not_done_again_and_a_larger_one_goes_on(
    log: Path, host: Target, tmp_path: Path
) -> None:
    copy = tmp_path / "ansor.json"
    copy.write_bytes(log.read_bytes())
    assert by_ansor(TASKS, host, 5, copy).trials == 5
    assert copy.read_bytes() == log.read_bytes()
    assert by_ansor(TASKS, host, 6, copy).trials == 6
    assert copy.read_bytes().startswith(log.read_bytes())
    assert len(copy.read_text().splitlines()) == 6


def test_a_budget_below_the_number_of_layers_goes_to_where_most_work_is(host: Target, tmp_path: Path) -> None:
    path = tmp_path / "ansor.json"
    assert by_ansor(TASKS, host, 1, path).trials == 1
    schedules = ansor.best_schedules(path, TASKS, host.code)
    assert schedules.found.keys() == {TASKS[0].key}
    assert schedules.missing == {TASKS[1].key: "no candidate of it was measured with success"}


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_an_interrupted_search_leaves_no_process_and_a_log_to_go_on_with(
    how: signal.Signals, host: Target, tmp_path: Path
) -> None:
    path = tmp_path / "ansor.json"
    errors = interrupted(TUNE, host, path, how)
    assert how != signal.SIGINT or errors.rstrip().endswith("KeyboardInterrupt")
    with path.open("a") as file:
        file.write('{"i": [["[\\"conv2d_')  # as a crash of the machine may leave it
    before = path.read_text().count("\n")
    assert by_ansor(TASKS, host, before + 1, path).trials == before + 1
    assert all(json.loads(line)["v"] == "v0.6" for line in path.read_text().splitlines())


def test_a_layer_starts_from_the_schedules_of_its_relative(
    log: Path, host: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = TuningStore(shutil.copytree(log.parent / "store", tmp_path / "store"))
    wider = replace(SMALL, in_channels=12, out_channels=48, height=7, width=7, residual=True)
    unlike = replace(SMALL, kernel=(1, 1), padding=(0, 0, 0, 0))
    tasks = [TuningTask(wider, TASKS[0].algorithm), TuningTask(unlike, TASKS[0].algorithm)]
    path = tmp_path / "ansor.json"
    with caplog.at_level("INFO"):
        tuning = ansor.tune(tasks, host, ansor_settings(6), path, store)
    assert (tuning.trials, tuning.failed) == (6, 0)
    theirs = [kinds(record) for record in steps(log, TASKS[0])]
    first, *others = steps(path, tasks[0])
    assert kinds(first) in theirs
    splits = [step for step in first if step[0] == "SP"]
    assert {wider.in_channels, wider.height} <= {extent for _, _, _, extent, _, _ in splits}
    assert all(extent % math.prod(lengths) == 0 for _, _, _, extent, lengths, _ in splits)
    seeded = ansor.read(path.read_text().splitlines()[0])
    assert seeded.task == tasks[0].key
    assert tuning.best[tasks[0].key] <= seeded.seconds
    assert f"a schedule of {SMALL.key} does not fit {tasks[1].key}: it has the stages padded" in caplog.text
    assert others, "the search went on"
    (function,) = compiled([ansor.best_schedules(path, tasks, host.code).found[tasks[0].key]], host.code)
    assert largest_error(function, wider, tasks[0].algorithm) < 1e-5


def steps(log: Path, task: TuningTask) -> list[list[list[Any]]]:
    """Of every record of the task, in order."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [record["i"][1][1] for record in records if task.workload.key in record["i"][0][0]]


def kinds(steps: list[list[Any]]) -> list[list[Any]]:
    """A schedule without its tile sizes and its stages, whose numbers a further argument shifts."""
    loop_only = {"SP": slice(1), "CA": slice(1, 2)}
    return [[kind, *more[loop_only.get(kind, slice(None))]] for kind, _, *more in steps]


@pytest.mark.slow
def test_a_candidate_that_crashes_is_a_failure_of_its_own(host: Target, tmp_path: Path) -> None:
    path = tmp_path / "ansor.json"
    crashing = TuningTask(SMALL, "crashing_algorithm")
    tuning = by_ansor([crashing, TASKS[0]], host, 4, path)
    assert tuning.trials == 4
    assert 1 <= tuning.failed < 4
    assert tuning.best.keys() == {TASKS[0].key}
    assert ansor.best_schedules(path, [crashing], host.code).missing.keys() == {crashing.key}


def test_zero_trials_are_refused() -> None:
    with pytest.raises(UserError, match=r"tuner\.trials: 0 is too few"):
        ansor_settings(0)
    with pytest.raises(UserError, match=r"tuner\.population"):
        replace(ansor_settings(1), population=-5)


def test_a_missing_environment_names_the_command_that_makes_it(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ansor_worker, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="no environment") as error:
        by_ansor(TASKS, host, 1, tmp_path / "ansor.json")
    assert error.value.remedy.endswith("make ansor-worker")


def worker_folder(folder: Path, python: Path, program: str) -> Path:
    """A worker's folder whose Python is `python`, without torch, and whose worker.py is `program`."""
    executable = folder / ".venv" / "bin" / "python"
    executable.parent.mkdir(parents=True)
    path = f"{Path(no_torch.__file__).parent}:{REPOSITORY}"
    executable.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {python} "$@"\n')
    executable.chmod(0o755)
    (folder / "worker.py").write_text(program)
    return folder


def test_an_environment_with_another_tvm_is_refused(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (ansor_worker.FOLDER / "worker.py").read_text()
    folder = worker_folder(tmp_path, Path(sys.executable), program)
    monkeypatch.setattr(ansor_worker, "FOLDER", folder)
    with pytest.raises(UserError, match=r"holds TVM 0\.27.* Ansor is in 0\.19") as error:
        by_ansor(TASKS, host, 1, tmp_path / "ansor.json")
    assert error.value.remedy.endswith("make ansor-worker")


def test_a_worker_that_dies_is_quoted_and_its_log_kept(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import os, sys\nprint('no memory left', file=sys.stderr, flush=True)\nos.abort()"
    monkeypatch.setattr(ansor_worker, "FOLDER", worker_folder(tmp_path, Path(sys.executable), program))
    with pytest.raises(UserError, match=r"(?s)killed by SIGABRT.*no memory left") as error:
        by_ansor(TASKS, host, 1, tmp_path / "ansor.json")
    kept = Path(error.value.remedy.rpartition(" ")[2])
    assert "no memory left" in kept.read_text()
    kept.unlink()


def test_another_machines_target_is_refused(host: Target, tmp_path: Path) -> None:
    foreign = "aarch64-linux-gnu" if os.uname().machine == "x86_64" else "x86_64-linux-gnu"
    with pytest.raises(UserError, match="measures its candidates on this machine"):
        by_ansor(TASKS, replace(host, code=replace(host.code, triple=foreign)), 1, tmp_path / "ansor.json")


def test_no_tuning_finds_nothing_and_says_so(host: Target, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    settings = none.Settings("none", "dlas.systems.tuners.none")
    assert none.tune(TASKS, host, settings, path, TuningStore(tmp_path / "store")).trials == 0
    assert not path.exists()
    schedules = none.best_schedules(path, TASKS, host.code)
    assert not schedules.found
    assert set(schedules.missing.values()) == {"not tuned"}
