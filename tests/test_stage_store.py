"""The store of stage results: crashes, damage, and a user's own code, by stages that cost nothing."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from open_points import start_point

from dlas import config, tracking
from dlas.datasets.dataset import from_arrays
from dlas.errors import UserError
from dlas.files.checkpoints import Checkpoints, State
from dlas.pipeline import dense_network, run_point
from dlas.stages.__main__ import main
from dlas.stages.command import clearing, explaining
from dlas.stages.command.clearing import Limits
from dlas.stages.network import Network
from dlas.stages.stage import Kept, Stage, counted_by, nothing
from dlas.stages.store import contents, store
from dlas.stages.store.code import first_read
from dlas.stages.store.entry import Entry
from dlas.stages.store.store import StageStore

DAY = 86400.0
BLANK = np.zeros((4, 3, 32, 32), np.uint8), np.arange(4)
IMAGES = from_arrays("blank", 4, BLANK, BLANK, mirrorable=False, statistics=((0.0,) * 3, (1.0,) * 3))
KEEP_ALL = Limits(seconds=1e12, bytes=10**18)


@dataclass(frozen=True, kw_only=True)
class Text(Kept):
    text: str


@dataclass(frozen=True, kw_only=True)
class Copy(Stage[Text]):
    """The text, after that of an earlier one."""

    text: str
    after: Text | None = None

    stage = "copy"

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        before = "" if self.after is None else self.after.text
        (folder / "part").mkdir(exist_ok=True)
        (folder / "part" / "text.txt").write_text(before + self.text)

    def read(self, folder: Path) -> Text:
        return Text(folder=folder, text=(folder / "part" / "text.txt").read_text())


@pytest.fixture
def kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> StageStore:
    caplog.set_level(logging.INFO)
    return StageStore(tmp_path / "stages")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged since the last time."""
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return messages


def test_a_result_is_made_once(kept: StageStore, caplog: pytest.LogCaptureFixture) -> None:
    first = kept.obtain(Copy(text="a"))
    assert kept.obtain(Copy(text="a")) == first
    assert told(caplog) == ["copy: started", "copy: finished earlier"]
    assert kept.obtain(Copy(text="b")).key != first.key
    described = json.loads((first.folder / "entry.json").read_text())
    assert described["inputs"]["fields"] == {"text": "a", "after": None}
    assert described["files"]["part/text.txt"]["bytes"] == 1


DAMAGES = {
    "changed": lambda folder: (folder / "part" / "text.txt").write_text("x"),
    "cut": lambda folder: (folder / "part" / "text.txt").write_text(""),
    "missing": lambda folder: (folder / "part" / "text.txt").unlink(),
    "added": lambda folder: (folder / "more.txt").write_text(""),
    "emptied": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
    "empty files": lambda folder: [path.write_bytes(b"") for path in folder.rglob("*.*")],
    "a file": lambda folder: [shutil.rmtree(folder), folder.write_text("")],
    "no entry": lambda folder: (folder / "entry.json").unlink(),
    "no JSON": lambda folder: (folder / "entry.json").write_text("{"),
    "no entry's JSON": lambda folder: (folder / "entry.json").write_text("[1]"),
    "other inputs": lambda folder: (folder / "entry.json").write_text(
        (folder / "entry.json").read_text().replace('"text": "a"', '"text": "b"')
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_named_and_made_again_and_nothing_else(
    damage: str, kept: StageStore, caplog: pytest.LogCaptureFixture
) -> None:
    first = kept.obtain(Copy(text="a"))
    second = kept.obtain(Copy(text="b", after=first))
    DAMAGES[damage](first.folder)
    told(caplog)
    again = kept.obtain(Copy(text="a"))
    assert again == first
    warning, started = told(caplog)
    assert str(first.folder) in warning
    assert "damaged" in warning
    assert started == "copy: started"
    assert kept.obtain(Copy(text="b", after=again)) == second
    assert told(caplog) == ["copy: finished earlier"]
    assert first.folder.with_suffix(".damaged").exists()


def test_a_result_of_a_later_version_is_refused_and_left_as_it_is(kept: StageStore) -> None:
    folder = kept.obtain(Copy(text="a")).folder
    later = (folder / "entry.json").read_text().replace('"version": 1', '"version": 2')
    (folder / "entry.json").write_text(later)
    with pytest.raises(UserError, match="a later version of dlas") as caught:
        kept.obtain(Copy(text="a"))
    assert caught.value.key == str(folder)
    assert (folder / "entry.json").read_text() == later
    assert [each.path for each in contents.left_behind(kept.root) if each.path.suffix == ".damaged"] == []
    other = kept.obtain(Copy(text="b"))
    assert "no other result" in explaining.why(kept.root, [other.name])[0]


class Killed(BaseException):
    """Ends the work as nothing that the code expects."""


@pytest.mark.parametrize("moment", ["before the entry", "before the rename"])
def test_what_is_killed_before_the_rename_is_never_used(
    moment: str, kept: StageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        place = (store.entry, "write") if moment == "before the entry" else (store, "_write_through")
        patched.setattr(*place, kill)
        with pytest.raises(Killed):
            kept.obtain(Copy(text="a"))
    assert contents.results(kept.root) == []
    (unfinished,) = [each for each in contents.left_behind(kept.root) if each.path.suffix == ".unfinished"]
    (unfinished.path / "part" / "text.txt").write_text("half")
    told(caplog)
    assert kept.obtain(Copy(text="a")).text == "a"
    assert told(caplog) == ["copy: started"]
    assert not unfinished.path.exists()


@dataclass(frozen=True, kw_only=True)
class Counts(Stage[Text]):
    """Counts up to a number; it is killed before each for which there is a file in the folder of the
    store."""

    to: int
    root: Path = field(metadata=counted_by(nothing))

    stage = "counts"

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        saved = checkpoints.take()
        for number in range(0 if saved is None else saved.values["next"], self.to):
            if (self.root / f"kill{number}").exists():
                raise Killed
            with (self.root / "counted").open("a") as file:
                file.write(str(number))
            checkpoints.save(State({"next": number + 1}))
        (folder / "text.txt").write_text("done")

    def read(self, folder: Path) -> Text:
        return Text(folder=folder, text=(folder / "text.txt").read_text())


def test_interrupted_work_goes_on_from_its_checkpoint_which_goes_with_the_result(
    kept: StageStore, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.root.mkdir()
    work = Counts(to=5, root=kept.root)
    begun: list[bool] = []
    noted = replace(kept, on_start=lambda stage, interrupted: begun.append(interrupted))
    for number in (2, 4):
        (kept.root / f"kill{number}").touch()
        with pytest.raises(Killed):
            noted.obtain(work)
        (kept.root / f"kill{number}").unlink()
        assert main(["list", f"artifacts={kept.root.parent}"]) == 0
        assert "interrupted: goes on from here" in capsys.readouterr().out
    assert noted.obtain(work).text == "done"
    assert begun == [False, True, True]
    assert (kept.root / "counted").read_text() == "01234"
    assert [each.path.suffix for each in contents.left_behind(kept.root)] == [".lock"]


def test_a_checkpoint_of_other_work_is_not_gone_on_from(kept: StageStore) -> None:
    """Such as that of a stage whose settings were edited since."""
    kept.root.mkdir()
    (kept.root / "kill2").touch()
    with pytest.raises(Killed):
        kept.obtain(Counts(to=5, root=kept.root))
    (kept.root / "kill2").unlink()
    kept.obtain(Counts(to=4, root=kept.root))
    assert (kept.root / "counted").read_text() == "01" + "0123"
    assert len(contents.checkpoints(kept.root)) == 1


def test_all_is_on_the_disk_before_the_rename(kept: StageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    folder = kept.obtain(Copy(text="a")).folder
    unfinished = folder.with_suffix(".unfinished")
    parts = [unfinished / "part" / "text.txt", unfinished / "entry.json", unfinished / "part", unfinished]
    assert set(synced[:-1]) == {str(part) for part in parts}
    assert synced[-1] == str(folder.parent)


def aged(folder: Path, days: float, now: float) -> None:
    """As if it had been used so long ago."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (now - days * DAY,) * 2)


NOW = 2e9


def test_clearing_takes_the_oldest_first_until_the_limits_hold(kept: StageStore) -> None:
    made = {text: kept.obtain(Copy(text=text)) for text in "abcd"}
    for days, text in enumerate("dcba"):
        aged(made[text].folder, days + 1, NOW)
    sizes = {each.name: each.bytes for each in contents.results(kept.root)}
    room = sum(sizes.values()) - 1

    def cleared(limits: Limits, needed: tuple[str, ...] = (), dry: bool = True) -> list[str]:
        found = clearing.clear(kept.root, limits, needed, NOW, dry=dry).results
        return ["".join(text for text in made if made[text].name == each.name) for each in found]

    assert cleared(KEEP_ALL) == []
    assert cleared(replace(KEEP_ALL, seconds=2.5 * DAY)) == ["a", "b"]
    assert cleared(replace(KEEP_ALL, bytes=room)) == ["a"]
    assert cleared(replace(KEEP_ALL, bytes=0), needed=(made["b"].name,)) == ["a", "c", "d"]
    assert len(contents.results(kept.root)) == 4
    assert cleared(replace(KEEP_ALL, bytes=0), needed=(made["b"].name,), dry=False) == ["a", "c", "d"]
    assert [each.name for each in contents.results(kept.root)] == [made["b"].name]
    assert [each.path.suffix for each in contents.left_behind(kept.root)] == []
    assert kept.obtain(Copy(text="a")).text == "a"


def test_clearing_leaves_what_is_locked_or_was_used_a_moment_ago(kept: StageStore) -> None:
    locked, fresh, old = (kept.obtain(Copy(text=text)) for text in "abc")
    for result, days in ((locked, 9), (fresh, 0.001), (old, 9)):
        aged(result.folder, days, NOW)
    with store.FileLock(locked.folder.with_suffix(".lock")):
        found = clearing.clear(kept.root, Limits(0, 0), (), NOW, dry=False)
        assert [each.name for each in found.results] == [old.name]
        assert locked.folder.with_suffix(".lock").exists()
    assert {each.name for each in contents.results(kept.root)} == {locked.name, fresh.name}


def test_clearing_takes_what_dead_processes_left_and_results_of_earlier_versions(kept: StageStore) -> None:
    folder = kept.root / "train"
    left = (("new.unfinished", 0.5), ("older.unfinished", 2), ("bad.damaged", 2))
    begun = (("going.checkpoint", 20), ("given up.checkpoint", 40))
    for name, days in (("old", 40), *left, *begun):
        (folder / name).mkdir(parents=True)
        (folder / name / "inputs.json").write_text("{}")
        aged(folder / name, days, NOW)
    (folder / "older.lock").touch()
    found = clearing.clear(kept.root, Limits(30 * DAY, 10**9), (), NOW, dry=False)
    assert [each.name for each in found.results] == ["train/old"]
    gone = ["train/bad.damaged", "train/given up.checkpoint", "train/older.unfinished"]
    assert sorted(each.name for each in found.left_behind) == gone
    assert sorted(path.name for path in folder.iterdir()) == ["going.checkpoint", "new.unfinished"]


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """A store of two chains of results, and runs that took them: one goes on, one ended long ago."""
    folder = tmp_path / "artifacts"
    runs = tracking.open_store(folder)
    kept = StageStore(folder / "stages")
    for name in ("ended", "going on"):
        first = kept.obtain(Copy(text=name))
        second = kept.obtain(Copy(text="!", after=first))
        run = start_point(runs, name, {tracking.STAGES: f"{first.name} {second.name}"})
        if name == "ended":
            tracking.close(run, "FINISHED")
        for result in (first, second):
            aged(result.folder, 100, folder.stat().st_mtime)
    return folder


def test_a_run_is_not_looked_for_in_a_store_that_was_never_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "ffff", f"artifacts={tmp_path}"]) == 1
    assert capsys.readouterr().err.startswith("artifacts: there are no runs")
    assert not list(tmp_path.iterdir())


def test_list_why_and_gc_tell_of_a_store_and_its_runs(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str, status: int = 0) -> str:
        assert main([*arguments, f"artifacts={artifacts}"]) == status
        captured = capsys.readouterr()
        return captured.out if status == 0 else captured.err

    listed = said("list")
    assert len([line for line in listed.splitlines() if line.startswith("copy/")]) == 4
    assert listed.count("FINISHED") == listed.count("RUNNING") == 2
    assert "100 d ago" in listed
    assert "4 results" in listed
    (run_id,) = {line.split()[-2] for line in listed.splitlines() if line.endswith("FINISHED")}
    (other,) = {line.split()[-2] for line in listed.splitlines() if line.endswith("RUNNING")}
    assert "text: ended here, going on there" in said("why", run_id)
    name = next(line.split()[0] for line in listed.splitlines() if line.endswith("RUNNING"))
    assert said("why", name).startswith(f"{name} differs from copy/")
    assert explaining.why(artifacts / "stages", [name, name]) == said("why", name).splitlines()
    assert "no result of that name" in said("why", "copy/ffff", status=1)
    assert "there is no run" in said("why", "ffff", status=1)
    assert "2 results" in said("gc", "keep=30d", "dry=true")
    assert said("list") == listed
    assert "2 results and 0 of interrupted work went" in said("gc", "keep=30d")
    left = said("list")
    assert other in left
    assert run_id not in left
    assert "0 results" in said("gc", "keep=30d", "size=0B")


def test_gc_keeps_what_a_stopped_sweep_goes_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within the time that unused results are kept for; a point of each sweep had finished."""
    runs = tracking.open_store(tmp_path)
    for status in ("FINISHED", "KILLED", "FAILED"):
        kept = StageStore(tmp_path / "stages").obtain(Copy(text=status))
        sweep = tracking.start_sweep(runs, "sweep", {})
        point = start_point(runs, "point", {tracking.STAGES: kept.name}, sweep.run_id)
        tracking.close(point, "FINISHED")
        tracking.close(sweep, status)
        aged(kept.folder, 100, kept.folder.stat().st_mtime)
    for keep, gone in (("0d", "3 results"), ("30d", "1 results")):
        assert main(["gc", f"keep={keep}", "size=0B", "dry=true", f"artifacts={tmp_path}"]) == 0
        assert gone in capsys.readouterr().out


def test_gc_without_a_store_of_runs_is_refused_and_list_is_not(
    kept: StageStore, capsys: pytest.CaptureFixture[str]
) -> None:
    made = kept.obtain(Copy(text="a"))
    aged(made.folder, 100, NOW)
    assert main(["gc", "size=0B", f"artifacts={kept.root.parent}"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("tracking.uri: ")
    assert "MLFLOW_TRACKING_URI" in told
    assert main(["list", f"artifacts={kept.root.parent}"]) == 0
    assert made.name in capsys.readouterr().out


def test_differences_are_told_by_what_they_are_in() -> None:
    def described(**packages: str) -> Entry:
        code = {"dlas.models.resnet": packages["torch"], "mine.net": "ab"}
        inputs = {"fields": {"settings": {"epochs": 2}}, "modules": code, "packages": packages, "files": {}}
        return Entry("train", inputs, {}, "")

    here, there = described(torch="2.13"), described(torch="2.12", tqdm="4")
    assert explaining.told(explaining.differences(here, there)) == [
        "torch: 2.13 here, 2.12 there",
        "tqdm: - here, 4 there",
        "code that differs: dlas.models.resnet",
    ]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ([], "command"),
        (["clear"], "command"),
        (["why"], "why"),
        (["list", "x"], "x"),
        (["gc", "keep=long"], "keep"),
        (["gc", "size=20"], "size"),
        (["gc", "kep=3d"], "kep"),
    ],
)
def test_a_mistake_is_one_plain_message(
    arguments: list[str], key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, f"artifacts={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith(f"{key}: ")
    assert list(tmp_path.iterdir()) == []


BLOCKS = "import torch\nfrom torch import nn\n\ndef block():\n    return nn.Conv2d(3, 4, 3, stride=2)\n"
FACTORY = (
    "import os\nfrom torch import nn\nfrom users_blocks import block\n\n"
    "def net(classes):\n"
    "    act = nn.ReLU6 if os.environ.get('USERS_ACT') else nn.ReLU\n"
    "    return nn.Sequential(block(), act(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))\n"
)


@pytest.fixture
def users_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A factory of a user's own and the helper that it imports."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "users_blocks.py").write_text(BLOCKS)
    (folder / "users_net.py").write_text(FACTORY)
    for name in ("users_net", "users_blocks"):
        monkeypatch.delitem(sys.modules, name, raising=False)  # of another test's folder
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_changed_helper_of_a_users_factory_trains_the_network_again(
    users_network: Path, kept: StageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def trained() -> Network:
        """As a new process trains it, which has nothing of the user's imported yet."""
        monkeypatch.setattr(first_read, "_first", {})
        for name in ("users_net", "users_blocks"):
            sys.modules.pop(name, None)
        shutil.rmtree(users_network / "__pycache__", ignore_errors=True)
        model = config.Model("mine", "users_net.net")
        return dense_network(model, config.Train(epochs=1, batch_size=2), 0, IMAGES, kept)

    helper = users_network / "users_blocks.py"
    first = trained()
    assert trained().key == first.key
    assert told(caplog) == ["train: started", "train: finished earlier"]
    helper.write_text("# A comment.\n" + BLOCKS)
    assert trained().key == first.key
    helper.write_text(BLOCKS.replace("stride=2", "stride=1"))
    assert trained().key != first.key
    assert told(caplog) == ["train: finished earlier", "train: started"]
    helper.write_text(BLOCKS)
    assert trained().key == first.key
    told(caplog)
    monkeypatch.setenv("USERS_ACT", "1")
    assert trained().key != first.key
    assert told(caplog) == ["train: started"]


def test_a_helper_that_is_edited_while_a_run_is_at_work_is_noticed(
    users_network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has imported it by then, and no key was made yet."""
    monkeypatch.setattr(first_read, "_first", {})
    helper = users_network / "users_blocks.py"
    edits = f"open({str(helper)!r}, 'a').write('MORE = 1\\n')\n"
    (users_network / "users_editing.py").write_text(f"{FACTORY}\n{edits}")
    overrides = [
        "model=resnet20",
        "model.factory=users_editing.net",
        "dataset=digits",
        "train.epochs=0",
        "tuner=none",
        f"artifacts={tmp_path}",
    ]
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        stack = config.parse(compose("config", overrides))
    with pytest.raises(UserError, match="changed while the run was at work") as caught:
        run_point(stack, tmp_path / "bundle")
    assert caught.value.key == str(helper)


def test_a_module_that_is_gone_is_refused_and_never_skipped(kept: StageStore) -> None:
    model = config.Model("mine", "users_gone.net")
    with pytest.raises(UserError, match="users_gone"):
        dense_network(model, config.Train(epochs=0), 0, IMAGES, kept)
