"""Choices by timing: what an unsteady board's are told by, and when they are made again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tiny_library
from busy import half_a_core_busy
from command import REPOSITORY, environment

from dlas import config
from dlas.files.checkpoints import Checkpoints
from dlas.hardware.boards import lock
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.race import Turns, race, simplest
from dlas.stages.stage import Kept, counted_by, nothing
from dlas.stages.store import decision
from dlas.stages.store.attempts import decided
from dlas.stages.store.decision import Decision
from dlas.stages.store.store import StageStore

SLOW, FAST = Turns((2.0, 2.2, 1.9, 2.1, 2.0, 2.3, 2.0, 2.1)), Turns((1.0, 1.1, 0.9, 1.0, 1.2, 1.0, 1.0, 1.1))
LIKE_FAST = Turns((1.1, 1.0, 0.9, 0.99, 1.3, 0.9, 1.0, 1.0))


@dataclass(frozen=True, kw_only=True)
class Choice(Kept):
    unsteady: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Choose(Decision[Choice]):
    """A choice on a board that is as `boards` tells, one after the other."""

    boards: Iterator[tuple[str, ...]] = field(metadata=counted_by(nothing))

    stage = "choose"

    def make(self, folder: Path, checkpoints: Checkpoints) -> None:
        decision.write(next(self.boards), folder)

    def read(self, folder: Path) -> Choice:
        return Choice(folder=folder, unsteady=decision.read(folder))


def test_an_unsteady_choice_is_made_again_when_asked_and_the_first_steady_one_is_kept(tmp_path: Path) -> None:
    used: list[Kept] = []
    store = StageStore(tmp_path, used.append)
    stage = Choose(boards=iter([("busy",), ("busier",), (), ("never made",)]))

    first = decided(store, stage, anew=False)
    assert (first.unsteady, decided(store, stage, anew=False)) == (("busy",), first)
    second = decided(store, stage, anew=True)
    assert (second.unsteady, decided(store, stage, anew=False)) == (("busier",), second)
    third = decided(store, stage, anew=True)
    assert third.unsteady == ()
    assert decided(store, stage, anew=True) == decided(store, stage, anew=False) == third

    keys = {first.key, second.key, third.key}
    assert len(keys) == 3
    assert {path.name for path in (tmp_path / "choose").iterdir() if path.is_dir()} == keys
    assert used == [first, first, second, second, third, third, third]


def test_a_tie_goes_to_the_first() -> None:
    assert simplest([LIKE_FAST, FAST, SLOW]) == simplest([FAST, LIKE_FAST, SLOW]) == 0
    assert simplest([SLOW, LIKE_FAST, FAST]) == 1
    assert simplest([SLOW]) == 0
    assert simplest([SLOW, FAST], share=0.4) == 0


def test_a_race_beside_other_work_tells_of_it(tmp_path: Path) -> None:
    host = resolve(config.Target("host", cores=1))
    library = tiny_library.export_matmul(tvm_target(host.code), tmp_path / "matmul.so")
    with half_a_core_busy(tmp_path):
        found = race([library, library], tiny_library.images(1), host)
    assert "others" in {doubt.kind for doubt in found.unsteadiness}
    one, other = (contender.turns for contender in found.contenders)
    assert len(one.ms) == len(other.ms) >= 15
    assert one.over(other).low <= one.over(other).high


def test_too_few_turns_tell_nothing() -> None:
    assert Turns(FAST.ms[:6]).beats(Turns(SLOW.ms[:6]))
    with pytest.raises(ValueError, match="too few"):
        Turns(FAST.ms[:5]).beats(Turns(SLOW.ms[:5]))


TAKE = "from dlas.hardware.boards import lock\nwith lock.held({!r}, 'it', limit=0): pass"


def test_processes_with_temporary_folders_of_their_own_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(lock.LOCKS)
    board = f"test-{os.getpid()}"
    taking = [sys.executable, "-c", TAKE.format(board)]
    elsewhere = environment({"TMPDIR": str(tmp_path)})

    def ended() -> subprocess.CompletedProcess[str]:
        return subprocess.run(taking, env=elsewhere, cwd=REPOSITORY, capture_output=True, text=True)

    try:
        with lock.held(board, "it"):
            assert "another process" in ended().stderr
        assert ended().returncode == 0
    finally:
        lock.lock_file(board).unlink()


def test_a_folder_that_holds_no_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(lock.LOCKS, str(tmp_path / "file" / "locks"))
    assert tempfile.gettempdir() in str(lock.lock_file("x"))
    assert str(tmp_path / "file") in caplog.text
