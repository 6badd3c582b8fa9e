"""What a killed process leaves behind: runs that stay RUNNING, scratch folders."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from command import environment
from open_points import start_point

from dlas import tracking
from dlas.files import folders
from dlas.processes import identity
from dlas.tracking import delivery

PROGRAM = """
import os, signal, sys
from pathlib import Path
from dlas import tracking
from dlas.files import folders
from open_points import start_point
artifacts = Path(sys.argv[1])
store = tracking.open_store(artifacts)
sweep = tracking.start_sweep(store, "sweep", {})
point = start_point(store, "point", {}, sweep.run_id)
with folders.scratch_folder(artifacts, point.run_id) as folder:
    (folder / "half").write_text("written")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture
def store(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> tracking.Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.open_store(artifacts)


def status(store: tracking.Store, run_id: str) -> str:
    return tracking.fetch(store, run_id).status


def test_what_a_killed_process_left_is_closed_and_removed(store: tracking.Store, artifacts: Path) -> None:
    ours = start_point(store, "goes on", {})
    searched = os.pathsep.join(sys.path)
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(artifacts)], env=environment({"PYTHONPATH": searched})
    )
    assert killed.returncode == -9
    with folders.scratch_folder(artifacts, ours.run_id) as folder:
        assert len(list((artifacts / "unfinished").glob("*/reserve"))) == 2
        closed = tracking.close_left(store)
        assert {run.tags["dlas.kind"] for run in closed} == {"sweep", "point"}
        for run in closed:
            assert status(store, run.run_id) == "KILLED"
            assert "its process is over" in tracking.fetch(store, run.run_id).tags["dlas.error"]
        assert status(store, ours.run_id) == "RUNNING"
        (removed,) = folders.remove_left(artifacts, time.time())
        assert removed.name in {run.run_id for run in closed}
        assert folder.is_dir()
    assert not list((artifacts / "unfinished").iterdir())
    assert not tracking.close_left(store)
    tracking.close(ours, "FINISHED")


@pytest.mark.parametrize(
    ("lived", "beaten", "closed"),
    [
        ({}, 0, False),
        ({"started": "1"}, 0, True),  # its number is that of another process now
        ({"boot": "another"}, 0, True),
        ({"host": "elsewhere"}, 60, False),
        ({"host": "elsewhere"}, 86400, True),
        ({"namespace": "pid:[1]"}, 60, False),
        ({"namespace": "pid:[1]"}, 86400, True),
    ],
)
def test_a_run_is_closed_only_where_its_process_is_known_to_be_over(
    store: tracking.Store, lived: dict[str, str], beaten: int, closed: bool
) -> None:
    run = start_point(store, "one", {})
    process = replace(identity.this(), **lived)
    run.log(tags={"dlas.process": str(process), "dlas.heartbeat": str(int(time.time()) - beaten)})
    tracking.close_left(store)
    assert status(store, run.run_id) == ("KILLED" if closed else "RUNNING")
    tracking.close(run, "FINISHED")


def test_a_heartbeat_keeps_a_run_of_another_machine(store: tracking.Store) -> None:
    run = start_point(store, "one", {})
    process = replace(identity.this(), host="elsewhere")
    run.log(tags={"dlas.process": str(process), "dlas.heartbeat": "0"})
    tracking.beat(store, [run.run_id])
    assert not tracking.close_left(store)
    tracking.close(run, "FINISHED")


def test_runs_of_versions_that_named_no_process_are_left_alone(store: tracking.Store) -> None:
    run = start_point(store, "one", {})
    store.client.delete_tag(run.run_id, "dlas.process")
    assert not tracking.close_left(store)
    tracking.close(run, "FINISHED")


def test_scratch_folders_of_versions_that_named_no_process_stay_for_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "unfinished" / "old"
    (folder / "bundle").mkdir(parents=True)
    assert not folders.remove_left(tmp_path, time.time() + 80000)
    assert folder.is_dir()
    assert folders.remove_left(tmp_path, time.time() + 90000) == [folder]
    assert not folder.exists()


HOLDS = """
import sys
from dataclasses import replace
from pathlib import Path
from dlas.files import folders
from dlas.processes import identity
from dlas.tracking import delivery
here = identity.this()
identity.this = lambda: replace(here, host="elsewhere")
with folders.scratch_folder(Path(sys.argv[1]), "theirs") as bundle:
    print("there", flush=True)
    sys.stdin.read()
    assert bundle.is_dir()
"""


def test_scratch_folders_of_living_processes_elsewhere_stay_whatever_the_clock_says(tmp_path: Path) -> None:
    """Such as those of a container on this machine: its processes can't be seen from here, but their locks
    can."""
    searched = os.pathsep.join(sys.path)
    theirs = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment({"PYTHONPATH": searched}),
    )
    assert theirs.stdout is not None
    assert theirs.stdout.readline() == b"there\n"
    for jump in (400 * 86400, -400 * 86400):
        assert not folders.remove_left(tmp_path, time.time() + jump)
    theirs.kill()
    theirs.communicate()
    assert not folders.remove_left(tmp_path, time.time())
    (left,) = folders.remove_left(tmp_path, time.time() + 90000)
    assert left.name == "theirs"


def test_a_living_run_that_a_jump_of_the_clock_closed_goes_on(store: tracking.Store, artifacts: Path) -> None:
    place = delivery.Place(artifacts, None, "dlas")
    run, failed = (delivery.begin(place, store, name, {}, None) for name in ("one", "two"))
    beaten = start_point(store, "three", {})
    process = replace(identity.this(), host="elsewhere")
    for each in (run.own_id, failed.own_id, beaten.run_id):
        tags = {"dlas.process": str(process), "dlas.heartbeat": str(int(time.time()) - 86400)}
        tracking.OpenRun(store, each).log(tags=tags)
    assert len(tracking.close_left(store)) == 3
    tracking.beat(store, [beaten.run_id])
    assert status(store, beaten.run_id) == "RUNNING"
    assert not tracking.close_left(store)
    with delivery.delivering(run):
        pass
    with pytest.raises(ValueError, match="own"), delivery.delivering(failed):
        raise ValueError("its own reason")
    tracking.close(beaten, "FINISHED")
    found = [tracking.fetch(store, each) for each in (run.own_id, failed.own_id, beaten.run_id)]
    assert [each.status for each in found] == ["FINISHED", "FAILED", "FINISHED"]
    assert [each.tags.get("dlas.error") for each in found] == [None, "its own reason", None]
