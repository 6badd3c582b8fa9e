"""What all searches have in common, by a searcher that has its times from a list."""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import test_parameters
from small_searches import TASKS, by_ansor, by_metaschedule

from dlas.hardware.timing import deployment
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Record, Tuning, TuningTask
from dlas.systems.tuners.common.search.searcher import Searcher
from dlas.systems.tuners.common.search.searching import search
from dlas.systems.tuners.common.search.settings import SearchSettings
from dlas.systems.tuners.common.tuning_store import TuningStore

FAILED = None
FIRST, SECOND = TASKS
"""The first stands for three layers."""


def listed(times: Sequence[tuple[TuningTask, float | None]]) -> Searcher:
    """A searcher whose candidates take what `times` says, one after the other."""

    def read(line: str) -> Record:
        task, seconds, _ = json.loads(line)
        return Record(task, seconds)

    def measure(tasks: Sequence[TuningTask], trials: int, known: Path) -> Generator[list[str], None, None]:
        for number in range(len(known.read_text().splitlines()), trials):
            task, seconds = times[number]
            yield [json.dumps([task.key, seconds, number])]

    return Searcher("A list", "list-1", read, measure)


def searched(
    times: Sequence[tuple[TuningTask, float | None]], host: Target, folder: Path, patience: float = math.inf
) -> Tuning:
    log, store = folder / "log.json", TuningStore(folder / "store")
    return search(listed(times), TASKS, host, len(times), log, store, patience)


def test_what_each_layer_had_is_told(host: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    times = [(FIRST, FAILED), (FIRST, 0.004), (SECOND, FAILED), (FIRST, 0.002), (FIRST, 0.003)]
    tuning = searched(times, host, tmp_path)
    first, second = tuning.layers
    assert (first.task, first.count, first.trials) == (FIRST.key, 3, 4)
    assert (first.first_ms, first.best_ms) == pytest.approx((4, 2))
    assert (second.trials, second.first_ms, second.best_ms) == (1, None, None)
    assert (tuning.trials, tuning.failed, tuning.stopped) == (5, 2, "")
    assert caplog.messages[-1] == "5 trials, 2 failed: 1 of 2 kernels have a schedule that runs"


def test_a_search_ends_when_nothing_gets_better_and_says_so(
    host: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    times = [(FIRST, 0.1), (SECOND, 0.1), (FIRST, 0.05), *[(FIRST, 0.0499)] * 9]
    tuning = searched(times, host, tmp_path, patience=4)
    assert tuning.trials == 7
    assert tuning.stopped.startswith("stopped after 7 of 12 trials")
    assert caplog.messages[-1] == tuning.stopped


def test_slow_gains_and_new_layers_keep_a_search_going(host: Target, tmp_path: Path) -> None:
    falling = [(FIRST, 0.1 * 0.996**step) for step in range(20)]
    assert searched([*falling, (SECOND, 5.0)], host, tmp_path, patience=4).trials == 21


def test_a_search_that_goes_on_has_its_patience_again(host: Target, tmp_path: Path) -> None:
    times = [(SECOND, 0.1), *[(FIRST, 0.1)] * 20]
    assert searched(times, host, tmp_path, patience=4).trials == 6
    assert searched(times, host, tmp_path, patience=4).trials == 10


def test_no_patience_is_refused() -> None:
    settings = SearchSettings("any", "dlas.systems.tuners.metaschedule")
    with pytest.raises(Exception, match=r"tuner\.patience: 0 is too few"):
        replace(settings, patience=0)


@pytest.mark.parametrize(
    ("tune", "task"),
    [
        (by_ansor, TASKS[0]),
        (by_metaschedule, TASKS[0]),
        (test_parameters.tune, test_parameters.SPARSE),
    ],
    ids=["ansor", "metaschedule", "parameters"],
)
def test_candidates_are_built_while_another_process_times_and_timed_after_it(
    tune: Callable[[list[TuningTask], Target, int, Path], Tuning],
    task: TuningTask,
    host: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = tmp_path / "log.json"
    with ThreadPoolExecutor(1) as aside:
        with deployment.exclusive_board():
            search = aside.submit(tune, [task], host, 1, log)
            while not (search.done() or "waiting" in caplog.text):
                time.sleep(0.05)
            assert "waiting: another process is timing on this machine" in caplog.text
            assert {".so", ".tar"} & {path.suffix for path in tmp_path.rglob("*")}, "a candidate is built"
            assert not log.read_text()
        assert search.result().trials == 1
