"""Real MetaSchedule searches: TVM's own records, the budget, the replay, what becomes of failures."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import tvm
from interrupted_searches import interrupted
from sampled_schedules import compiled, largest_error
from small_searches import SMALL, TASKS, by_metaschedule, metaschedule_settings, started

from dlas.errors import UserError
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.metaschedule import tuner as metaschedule

TUNE = """
import pathlib
from dlas.hardware.targets import target_file
from small_searches import TASKS, by_metaschedule
by_metaschedule(TASKS, target_file.read(pathlib.Path(sys.argv[1])), 40, pathlib.Path(sys.argv[2]))
"""
READ = """
import json, pathlib
from dlas.systems.tuners.metaschedule import intrinsics
intrinsics.register("x86_64")
from tvm.s_tir.meta_schedule.database import JSONDatabase, Workload
from tvm import IRModule
from dlas.systems.tuners.common.task import definition
from small_searches import TASKS
folder = pathlib.Path(sys.argv[1])
keys = [task.key for task in TASKS]
workloads = [Workload(IRModule({"main": definition(task)})).as_json() for task in TASKS]
(folder / "workloads.json").write_text("".join(json.dumps(workload) + "\\n" for workload in workloads))
lines = [json.loads(line) for line in (folder / "log.json").read_text().splitlines()]
records = [[keys.index(key), record] for key, record in lines]
(folder / "records.json").write_text("".join(json.dumps(record) + "\\n" for record in records))
print(len(JSONDatabase(str(folder / "workloads.json"), str(folder / "records.json"))))
"""


@pytest.fixture(scope="module")
def log(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning") / "log.json"
    tuning = by_metaschedule(TASKS, host, 3, path)
    assert (tuning.trials, tuning.failed) == (3, 0)
    assert all(0 < seconds < 0.1 for seconds in tuning.best.values())
    return path


def test_records_are_tvms_own(log: Path) -> None:
    read, _ = started(READ, log.parent, stdout=subprocess.PIPE).communicate()
    assert read.strip() == "3"


def test_the_best_schedules_equal_pytorch_and_are_the_same_again(log: Path, host: Target) -> None:
    schedules = metaschedule.best_schedules(log, TASKS, host.code)
    assert not schedules.missing
    functions = [schedules.found[task.key] for task in TASKS]
    for task, function in zip(TASKS, compiled(functions, host.code), strict=True):
        assert largest_error(function, task.workload, task.algorithm) < 1e-5
    again = metaschedule.best_schedules(log, TASKS, host.code)
    assert [tvm.ir.save_json(again.found[task.key]) for task in TASKS] == [
        tvm.ir.save_json(function) for function in functions
    ]


def test_a_larger_search_goes_on(log: Path, host: Target, tmp_path: Path) -> None:
    copy = tmp_path / "log.json"
    store = TuningStore(log.parent / "store")
    assert metaschedule.tune(TASKS, host, metaschedule_settings(4), copy, store).trials == 4
    assert set(log.read_text().splitlines()) < set(copy.read_text().splitlines())


def test_a_log_of_another_target_is_refused_unless_asked_for(log: Path, host: Target) -> None:
    other = replace(host.code, cores=host.code.cores + 6)
    with pytest.raises(UserError, match="the tuning log was measured for"):
        metaschedule.best_schedules(log, TASKS, other)
    assert not metaschedule.best_schedules(log, TASKS, other, foreign=True).missing


def test_a_schedule_that_no_longer_applies_is_told(log: Path, host: Target, tmp_path: Path) -> None:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    spoiled = [[key, record] for key, record in records if key == TASKS[0].key]
    for _, record in spoiled:
        record[0][0][0][2][0] = "no_such_block"  # of the first instruction, GetSBlock, the name
    path = tmp_path / "log.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in spoiled))
    schedules = metaschedule.best_schedules(path, TASKS, host.code)
    assert schedules.missing[TASKS[0].key].startswith("its schedule no longer applies: ")
    assert schedules.missing[TASKS[1].key] == "no candidate of it was measured with success"


def test_a_truncated_and_a_foreign_log_are_refused(log: Path, host: Target, tmp_path: Path) -> None:
    path, whole = tmp_path / "log.json", log.read_text()
    for content, line in (
        (whole[:-40], 3),
        (whole + '{"i": [["[]"]], "r": [[0.1], 0]}\n', 4),
        ("no JSON", 1),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=f"line {line} of the tuning log is no record of MetaSchedule"):
            metaschedule.best_schedules(path, TASKS, host.code)


@pytest.mark.slow
def test_a_candidate_that_crashes_is_a_failure_of_its_own(host: Target, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    crashing = TuningTask(SMALL, "crashing_algorithm")
    tuning = by_metaschedule([crashing, TASKS[0]], host, 4, path)
    assert tuning.trials == 4
    assert 1 <= tuning.failed < 4
    assert tuning.best.keys() == {TASKS[0].key}
    assert metaschedule.best_schedules(path, [crashing], host.code).missing.keys() == {crashing.key}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_search_leaves_no_process_and_is_gone_on_with(
    how: signal.Signals, host: Target, tmp_path: Path
) -> None:
    path = tmp_path / "log.json"
    interrupted(TUNE, host, path, how)
    before = path.read_text().count("\n")
    assert by_metaschedule(TASKS, host, before + 1, path).trials == before + 1


def test_zero_trials_are_refused() -> None:
    with pytest.raises(UserError, match=r"tuner\.trials: 0 is too few"):
        metaschedule_settings(0)
