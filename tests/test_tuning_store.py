"""The tuning store: kept as measured, shared by networks and processes, and what a budget means with it."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from small_searches import TASKS, ansor_settings, started

from dlas.errors import UserError
from dlas.hardware.targets import target_file
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.tuners.ansor import tuner as ansor
from dlas.systems.tuners.ansor import worker as ansor_worker
from dlas.systems.tuners.common.tuning_store import TuningStore

NEW = TuningTask(replace(TASKS[0].workload, out_channels=8), "direct")
ADD = """
import pathlib
from dlas.hardware.targets import target_file
from dlas.systems.tuners.common.tuning_store import TuningStore
from small_searches import TASKS
host = target_file.read(pathlib.Path(sys.argv[2]))
shelf = TuningStore(pathlib.Path(sys.argv[1])).shelf("ansor-0.19", host)
for index in range(60):
    shelf.add(TASKS[0], [f"{sys.argv[3]}{index}" + "x" * 5000, f"both{index}"])
"""


@pytest.fixture(scope="module")
def store(host: Target, tmp_path_factory: pytest.TempPathFactory) -> TuningStore:
    """Four candidates of the two layers of `TASKS`, measured for one network."""
    folder = tmp_path_factory.mktemp("tuning")
    kept = TuningStore(folder / "store")
    assert ansor.tune(TASKS, host, ansor_settings(4), folder / "log.json", kept).trials == 4
    return kept


@pytest.fixture
def nothing_to_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the worker, a search that asks it for anything is refused."""
    monkeypatch.setattr(ansor_worker, "FOLDER", tmp_path / "nowhere")


def layers(log: Path) -> Counter[str]:
    """Records by task."""
    return Counter(ansor.read(line).task for line in log.read_text().splitlines())


@pytest.mark.usefixtures("nothing_to_measure")
def test_a_network_whose_layers_are_in_the_store_is_tuned_at_once(
    store: TuningStore, host: Target, tmp_path: Path
) -> None:
    log = tmp_path / "log.json"
    another_name = replace(host, name="same machine")
    tuning = ansor.tune(TASKS[::-1], another_name, ansor_settings(4), log, store)
    assert tuning.trials == 4
    assert tuning.best.keys() == layers(log).keys() == {task.key for task in TASKS}


@pytest.mark.usefixtures("nothing_to_measure")
def test_a_log_holds_the_records_of_its_own_layers_only(
    store: TuningStore, host: Target, tmp_path: Path
) -> None:
    log = tmp_path / "log.json"
    held = len(store.shelf(ansor.VERSION, host).records(TASKS[0]))
    assert ansor.tune(TASKS[:1], host, ansor_settings(held), log, store).trials == held
    assert layers(log) == {TASKS[0].key: held}


def test_a_network_with_one_new_layer_tunes_that(store: TuningStore, host: Target, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    before = {task.key: len(store.shelf(ansor.VERSION, host).records(task)) for task in TASKS}
    ansor.tune([*TASKS, NEW], host, ansor_settings(4), log, store)
    assert layers(log) == before | {NEW.key: 2}  # its third of the budget, and no more of the others
    assert len(store.shelf(ansor.VERSION, host).records(NEW)) == 2


@pytest.mark.usefixtures("nothing_to_measure")
def test_another_target_finds_nothing(store: TuningStore, host: Target, tmp_path: Path) -> None:
    more = replace(host, code=replace(host.code, cores=host.code.cores + 1))
    with pytest.raises(UserError, match="no environment"):
        ansor.tune(TASKS, more, ansor_settings(4), tmp_path / "log.json", store)


@pytest.mark.usefixtures("nothing_to_measure")
def test_what_is_no_record_is_named(store: TuningStore, host: Target, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    log.write_text('{"v": "v0.6"}\n')
    with pytest.raises(UserError, match="line 1 of the tuning log is no record of Ansor, or was cut off"):
        ansor.tune(TASKS, host, ansor_settings(4), log, TuningStore(tmp_path / "store"))
    foreign = store.shelf(ansor.VERSION, host).file(TASKS[1]).read_text()
    log.write_text(foreign)
    with pytest.raises(UserError, match="line 1 of the tuning log is a record of another network's layer"):
        ansor.tune(TASKS[:1], host, ansor_settings(4), log, TuningStore(tmp_path / "store"))


def test_two_processes_may_write_at_once(host: Target, tmp_path: Path) -> None:
    target_file.write(host, tmp_path / "target.json")
    writers = [started(ADD, tmp_path, tmp_path / "target.json", name) for name in "ab"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    found = TuningStore(tmp_path).shelf("ansor-0.19", host).records(TASKS[0])
    expected = {f"{name}{index}" + "x" * 5000 for name in "ab" for index in range(60)}
    assert len(found) == len(set(found))
    assert set(found) == expected | {f"both{index}" for index in range(60)}


def test_who_reads_a_store_while_it_is_brought_up_to_date_reads_all_of_its_file(
    host: Target, tmp_path: Path
) -> None:
    earlier = '{"schema": 1}\n'
    (tmp_path / "store.json").write_text(earlier)
    with (tmp_path / "store.json").open() as reading:
        TuningStore(tmp_path).shelf("ansor-0.19", host)
        assert reading.read() == earlier
    assert json.loads((tmp_path / "store.json").read_text())["schema"] > 1


def test_a_full_disk_is_told_and_loses_nothing_that_was_there(host: Target, tmp_path: Path) -> None:
    """A limit on a file's size cuts a write off as a full disk does."""
    target_file.write(host, tmp_path / "target.json")
    shelf = TuningStore(tmp_path).shelf("ansor-0.19", host)
    shelf.add(TASKS[0], ["first"])
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n{ADD}"
    writer = started(limited, tmp_path, tmp_path / "target.json", "a", stderr=subprocess.PIPE)
    _, said = writer.communicate(timeout=120)
    assert "UserError: artifacts: the tuning store can't be written: File too large" in said
    assert shelf.records(TASKS[0]) == ["first", "a0" + "x" * 5000, "both0"]
    shelf.add(TASKS[0], ["more"])
    assert shelf.records(TASKS[0])[-1] == "more"


def test_a_record_that_was_cut_off_is_written_over(host: Target, tmp_path: Path) -> None:
    shelf = TuningStore(tmp_path).shelf("ansor-0.19", host)
    shelf.add(TASKS[0], ["first", "second"])
    file = shelf.file(TASKS[0])
    os.truncate(file, file.stat().st_size - 3)
    assert shelf.records(TASKS[0]) == ["first"]
    shelf.add(TASKS[0], ["third"])
    assert file.read_text() == "first\nthird\n"
