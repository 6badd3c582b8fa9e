"""The search over parameters: its log, what becomes of failures, going on, and the kernel at its end."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dlas.errors import UserError
from dlas.hardware.timing import candidates
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Tuning, TuningTask, rounded_density
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.tuners import transfer
from dlas.systems.tuners import tuning as systems_tuning
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.kernel_parameters import tuning as parameters

LAYER = ConvWorkload(1, 32, 10, 10, 32, (3, 3), padding=(1, 1, 1, 1), bias=True)
SPARSE = TuningTask(replace(LAYER, format="csr"), "direct_sparse", count=2, density=18)
INTEGER = TuningTask(replace(LAYER, dtype="int8", output_zero=3), "direct_int8")
TASKS = [SPARSE, INTEGER]
FAILING = TuningTask(ConvWorkload(1, 4, 8, 8, 4, (1, 1)), "failing_parameters")


def tune(tasks: list[TuningTask], host: Target, trials: int, log: Path) -> Tuning:
    """With the store beside the log."""
    return parameters.tune(tasks, host, trials, log, TuningStore(log.parent / "store"))


def lines(log: Path, *, again: bool = False) -> list[dict[str, object]]:
    """What a log tells of every candidate, or of those that were timed again in the end."""
    told = [json.loads(line) for line in log.read_text().splitlines()]
    return [one for one in told if one["again"] == again]


@pytest.fixture(scope="module")
def log(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four candidates of each layer."""
    path = tmp_path_factory.mktemp("tuning") / "parameters.json"
    tuning = tune(TASKS, host, 8, path)
    assert (tuning.trials, tuning.failed) == (8, 0)
    assert tuning.best.keys() == {task.key for task in TASKS}
    return path


def test_every_line_tells_a_candidate_and_the_kernel_beside_it(log: Path) -> None:
    for one in lines(log):
        assert 0 < one["seconds"] < 0.1
        assert 0 < one["rule_seconds"] < 0.1
        assert not one["error"]
    described = [(one["task"], json.dumps(one["parameters"])) for one in lines(log)]
    assert len(set(described)) == 8


def test_a_larger_search_goes_on_from_the_store(log: Path, host: Target, tmp_path: Path) -> None:
    copy = tmp_path / "parameters.json"
    store = TuningStore(log.parent / "store")
    assert parameters.tune(TASKS, host, 10, copy, store).trials == 10
    assert set(log.read_text().splitlines()) < set(copy.read_text().splitlines())


def test_a_search_that_was_cut_off_goes_on(log: Path, host: Target, tmp_path: Path) -> None:
    copy = tmp_path / "parameters.json"
    kept = log.read_text().splitlines(keepends=True)[:3]
    copy.write_text("".join(kept) + '{"task": "dlas.algo')
    assert tune(TASKS, host, 5, copy).trials == 5
    assert copy.read_text().startswith("".join(kept))


def test_a_winner_is_timed_again_and_that_time_counts(log: Path, host: Target, tmp_path: Path) -> None:
    copy = tmp_path / "parameters.json"
    told = [one for one in lines(log) if one["task"] == SPARSE.key]
    lucky = told[0]["parameters"]
    told[0]["seconds"] = told[0]["rule_seconds"] / 1000
    copy.write_text("".join(json.dumps(one) + "\n" for one in told))
    tuning = tune([SPARSE], host, len(told) + 1, copy)
    assert tuning.trials == len(told) + 1  # it is no further trial
    assert tuning.best[SPARSE.key] > told[0]["seconds"]
    (again,) = (one for one in lines(copy, again=True) if one["parameters"] == lucky)
    assert again["seconds"] > again["rule_seconds"] / 100
    slower = [again | {"seconds": 2 * again["rule_seconds"]}]
    copy.write_text("".join(json.dumps(one) + "\n" for one in [told[0], *slower]))
    assert not parameters.best_schedules(copy, [SPARSE], host.code).found


def test_a_layer_gets_the_parameters_of_similar_ones_and_one_without_any_is_named(
    log: Path, host: Target, tmp_path: Path
) -> None:
    """With `tuner=transfer`: those that gained something, where its kernel offers them."""
    of_integer = [one for one in lines(log) if one["task"] == INTEGER.key]
    for one, gain in zip(of_integer, (1.0, 0.9, 0.5, 1.1), strict=True):
        one["seconds"] = gain * one["rule_seconds"]
    store = TuningStore(tmp_path / "store")
    shelf = store.shelf(parameters.version_in_store(), host)
    shelf.add(INTEGER, [json.dumps(one) for one in of_integer])
    similar = replace(INTEGER, workload=replace(INTEGER.workload, height=12, output_zero=5))
    declared = transfer.Settings("transfer", transfer.__name__, candidates=2)
    tuning = systems_tuning.tune([similar, SPARSE], host, declared, tmp_path, store)
    assert tuning.best.keys() == {similar.key}
    measured = [one["parameters"] for one in lines(tmp_path / systems_tuning.PARAMETERS)]
    assert measured == [of_integer[2]["parameters"], of_integer[1]["parameters"]]
    schedules = systems_tuning.best_schedules(transfer.__name__, tmp_path, [similar, SPARSE], host.code)
    assert schedules.missing[SPARSE.key] == "the store has no schedule of a similar layer that fits"


def test_sparse_layers_are_kept_apart_by_density(log: Path, host: Target) -> None:
    shelf = TuningStore(log.parent / "store").shelf(parameters.version_in_store(), host)
    assert shelf.records(SPARSE)
    assert not shelf.records(replace(SPARSE, density=50))
    assert [rounded_density(fraction) for fraction in (0.2, 0.17, 1.0, 0.0)] == [18, 18, 100, 1]


def test_the_log_alone_gives_the_fastest_kernel(log: Path, host: Target, tmp_path: Path) -> None:
    """The same TensorIR each time, with the parameters that were fastest beside the cost rule's."""
    copy = tmp_path / "parameters.json"
    spoiled = [one | {"seconds": one["rule_seconds"]} for one in lines(log)]
    for task in TASKS:
        of_task = [one for one in spoiled if one["task"] == task.key]
        of_task[2]["seconds"] = of_task[2]["rule_seconds"] / 2
    copy.write_text("".join(json.dumps(one) + "\n" for one in spoiled))
    found = parameters.best_schedules(copy, TASKS, host.code).found
    again = parameters.best_schedules(copy, TASKS, host.code).found
    for task in TASKS:
        chosen = [one for one in spoiled if one["task"] == task.key][2]["parameters"]
        algorithm = ALGORITHMS.load(task.algorithm)
        (offered,) = (one for one in algorithm.parameters(task.workload, host.code) if asdict(one) == chosen)
        expected = algorithm.kernel_with(task.workload, host.code, offered).script()
        assert found[task.key].script() == again[task.key].script() == expected
        assert expected != algorithm.kernel(task.workload, host.code).script()


def test_parameters_that_gain_nothing_are_not_taken(log: Path, host: Target, tmp_path: Path) -> None:
    copy = tmp_path / "parameters.json"
    slow = [one | {"seconds": one["rule_seconds"]} for one in lines(log)]
    copy.write_text("".join(json.dumps(one) + "\n" for one in slow))
    schedules = parameters.best_schedules(copy, TASKS, host.code)
    assert not schedules.found
    assert set(schedules.missing.values()) == {
        "none of 4 other parameters was faster than those of the cost rule"
    }


def test_parameters_that_no_kernel_takes_are_told(log: Path, host: Target, tmp_path: Path) -> None:
    copy = tmp_path / "parameters.json"
    one = next(one for one in lines(log) if one["task"] == SPARSE.key)
    strange = one | {"parameters": one["parameters"] | {"vectors": 1000}, "seconds": 1e-9}
    copy.write_text(json.dumps(strange) + "\n")
    schedules = parameters.best_schedules(copy, TASKS, host.code)
    assert "'vectors': 1000" in schedules.missing[SPARSE.key]
    assert schedules.missing[INTEGER.key] == "no candidate of it was measured with success"


def test_a_log_of_another_target_is_refused_unless_asked_for(log: Path, host: Target) -> None:
    other = replace(host.code, cores=host.code.cores + 6)
    with pytest.raises(UserError, match="the tuning log was measured for"):
        parameters.best_schedules(log, TASKS, other)
    parameters.best_schedules(log, TASKS, other, foreign=True)


@pytest.mark.parametrize("last", ['{"task": "dlas.algo', '{"v": "v0.6"}', "[1, 2]"])
def test_a_line_that_is_no_record_is_named(log: Path, host: Target, tmp_path: Path, last: str) -> None:
    copy = tmp_path / "parameters.json"
    whole = log.read_text()
    copy.write_text(whole + last)
    number = whole.count("\n") + 1
    with pytest.raises(
        UserError, match=f"line {number} of the tuning log is no record of the search over parameters"
    ):
        parameters.best_schedules(copy, TASKS, host.code)


def test_what_the_cost_rule_prefers_by_now_is_not_called_tuned(
    log: Path, host: Target, tmp_path: Path
) -> None:
    copy = tmp_path / "parameters.json"
    one = next(one for one in lines(log) if one["task"] == SPARSE.key)
    rule = asdict(ALGORITHMS.load(SPARSE.algorithm).parameters(SPARSE.workload, host.code)[0])
    copy.write_text(json.dumps(one | {"parameters": rule, "seconds": 1e-9}) + "\n")
    assert not parameters.best_schedules(copy, [SPARSE], host.code).found


def test_candidates_that_fail_are_recorded(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "TIME_LIMIT_SECONDS", 15)
    path = tmp_path / "parameters.json"
    tuning = tune([FAILING], host, 50, path)
    assert (tuning.trials, tuning.failed) == (5, 4)
    errors = {one["parameters"]["name"]: one["error"] for one in lines(path)}
    assert "SIGABRT" in errors["crash"]
    assert "did not finish within 15 s" in errors["hang"]
    assert errors["wrong"] == "its output is wrong by 0.5 of the largest"
    assert "dlas_no_such_function" in errors["unlinked"]
    assert errors["added"] == ""
    assert tuning.best.keys() == {FAILING.key}


def test_a_search_with_nothing_left_to_try_ends(host: Target, tmp_path: Path) -> None:
    """Of one pixel of one channel there are two kernels, for every CPU: the cost rule's and one other."""
    one_pixel = ConvWorkload(1, 4, 1, 1, 1, (1, 1), bias=True, dtype="int8", output_zero=3)
    only = TuningTask(one_pixel, "gemm_int8")
    assert len(ALGORITHMS.load(only.algorithm).parameters(one_pixel, host.code)) == 2
    assert tune([only], host, 50, tmp_path / "parameters.json").trials == 1
