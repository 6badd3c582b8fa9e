"""Searches whose candidates run on a board: this machine's own side of one, behind RPC."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from types import ModuleType

import boards
import pytest
from sampled_schedules import compiled, largest_error
from test_parameters import FAILING, INTEGER

from dlas.errors import UserError
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Tuning, TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.tuners import transfer
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.common.search.settings import SearchSettings
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.kernel_parameters import tuning as parameters
from dlas.systems.tuners.metaschedule import tuner as metaschedule

pytestmark = pytest.mark.slow

TASK = TuningTask(ConvWorkload(1, 8, 16, 16, 16, (3, 3), bias=True), "direct")
CRASHING = replace(TASK, algorithm="reading_astray")
NOT_CARRIED = replace(TASK, algorithm="crashing_algorithm")


def tune(tuner: ModuleType, tasks: list[TuningTask], board: Target, trials: int, log: Path) -> Tuning:
    """With the store beside the log."""
    name = tuner.__name__
    settings = SearchSettings(name, name, trials=trials, population=32, generations=1)
    found: Tuning = tuner.tune(tasks, board, settings, log, TuningStore(log.parent / "store"))
    return found


@pytest.mark.parametrize("tuner", [ansor, metaschedule], ids=["ansor", "metaschedule"])
def test_candidates_are_measured_on_the_board(tuner: ModuleType, tmp_path: Path) -> None:
    port, log = boards.free_port(), tmp_path / "log.json"
    with boards.served(port) as server:
        board = boards.here(port)
        found = tune(tuner, [TASK], board, 4, log)
        if tuner is metaschedule:
            similar = replace(TASK, workload=replace(TASK.workload, out_channels=32))
            settings = transfer.Settings("transfer", transfer.__name__, candidates=1)
            store = TuningStore(tmp_path / "store")
            assert transfer.tune([similar], board, settings, tmp_path / "other.json", store).trials == 1
        boards.end(server)
        assert server.stderr is not None
        assert server.stderr.read().count("serving") >= found.trials
    assert (found.trials, found.failed) == (4, 0)
    assert 0 < found.best[TASK.key] < 1
    schedule = tuner.best_schedules(log, [TASK], board.code).found[TASK.key]
    (function,) = compiled([schedule], board.code)
    assert largest_error(function, TASK.workload, TASK.algorithm) < 1e-5


def test_what_crashes_there_or_cannot_be_carried_over_is_recorded_as_failed(tmp_path: Path) -> None:
    port, log = boards.free_port(), tmp_path / "log.json"
    with boards.served(port):
        found = tune(ansor, [TASK, CRASHING, NOT_CARRIED], boards.here(port), 6, log)
    assert found.trials == 6
    assert found.best.keys() == {TASK.key}
    told = {
        json.loads(json.loads(line)["i"][0][0])[2]: json.loads(line)["r"]
        for line in log.read_text().splitlines()
    }
    assert told["reading_astray"][:2] == [[1e10], 4]  # Ansor's number for an error while it ran
    assert told["crashing_algorithm"][:2] == [[1e10], 2]  # and for one while it was built


@pytest.mark.parametrize("tuner", [ansor, metaschedule], ids=["ansor", "metaschedule"])
def test_a_search_ends_with_its_board_and_goes_on_with_it(tuner: ModuleType, tmp_path: Path) -> None:
    port, log = boards.free_port(), tmp_path / "log.json"
    board = boards.here(port)
    with boards.served(port) as server:
        threading.Thread(target=end_after, args=(server, log, 2), daemon=True).start()
        with pytest.raises(UserError, match="board") as ended:
            tune(tuner, [TASK], board, 24, log)
    assert ended.value.key == "target.rpc"
    measured = log.read_text().splitlines()
    assert 2 <= len(measured) < 24
    assert all(tuner.read(line).seconds is not None for line in measured)
    with boards.served(port):
        found = tune(tuner, [TASK], board, len(measured) + 1, log)
    assert (found.trials, found.failed) == (len(measured) + 1, 0)
    assert log.read_text().splitlines()[: len(measured)] == measured


def end_after(server: Popen[str], log: Path, records: int) -> None:
    """End the board as soon as so many candidates are measured."""
    while not log.exists() or log.read_text().count("\n") < records:
        time.sleep(0.05)
    boards.end(server)


def test_parameters_are_measured_on_the_board_and_what_crashes_there_is_a_failure(tmp_path: Path) -> None:
    port, log, trials = boards.free_port(), tmp_path / "parameters.json", 3
    with boards.served(port) as server:
        store = TuningStore(tmp_path / "store")
        found = parameters.tune([INTEGER, FAILING], boards.here(port), trials, log, store)
        boards.end(server)
    assert (found.trials, found.failed) == (trials, 1)
    assert 0 < found.best[INTEGER.key] < 1
    told = [json.loads(line) for line in log.read_text().splitlines()]
    (crashed,) = (one for one in told if one["error"])
    assert crashed["parameters"] == {"name": "crash"}
    assert "SIGABRT" in crashed["error"]
