"""A content-addressed store of stage results: nothing is computed twice, a crash leaves no halves.

<root>/<stage>/<key>/              the files of one result, and `entry.json`
<root>/<stage>/<key>.unfinished/   what an attempt that is going on, or was interrupted, has made so far
<root>/<stage>/<key>.checkpoint/   where its work stands
<root>/<stage>/<key>.damaged/      a result that was not as it had been stored
<root>/<stage>/<key>.lock          held by whoever makes or removes it
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from filelock import FileLock

from dlas.files import checkpoints, durable
from dlas.stages.stage import Kept, Result, Stage
from dlas.stages.store import entry
from dlas.stages.store.key import inputs_of, key_of

log = logging.getLogger(__name__)

LOCK, UNFINISHED, CHECKPOINT = ".lock", ".unfinished", ".checkpoint"
DAMAGED, REMOVED = ".damaged", ".removed"


def tell_nobody(*what: object) -> None:
    """Tell nobody that a result was used, or that work began."""


@dataclass(frozen=True)
class StageStore:
    """Folders `<root>/<stage>/<key>`, each complete: it was made elsewhere and renamed into place."""

    root: Path
    on_use: Callable[[Kept], None] = tell_nobody
    """Function that is told of each result that is obtained."""
    on_start: Callable[[str, bool], None] = tell_nobody
    """Function that is told the name of each stage whose work begins, and whether an interrupted attempt left
    something to go on from."""
    level: int = logging.INFO
    """Level at which the log tells what is started, and what was finished earlier."""

    save_seconds: ClassVar[float] = 30.0
    """Seconds of work after which a long stage saves where it stands."""

    def obtain(self, stage: Stage[Result]) -> Result:
        """The result of the stage, made now unless an earlier run finished it.

        Two processes asking for the same result make it once: the second waits. A stored result that is not
        as it was stored is set aside, with a warning, and made again; nothing else is. UserError for one that
        a later version of dlas stored.
        """
        inputs = inputs_of(stage)
        folder = self.root / stage.stage / key_of(inputs)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(with_suffix(folder, LOCK)):
            if folder.exists() and not _set_aside_if_damaged(folder):
                log.log(self.level, "%s: finished earlier", stage.stage)
            else:
                log.log(self.level, "%s: started", stage.stage)
                self.on_start(stage.stage, is_begun(folder))
                _make(stage, inputs, folder, self.save_seconds)
            shutil.rmtree(with_suffix(folder, CHECKPOINT), ignore_errors=True)
            entry.touch(folder)
        result = stage.read(folder)
        self.on_use(result)
        return result

    def find(self, stage: Stage[Result]) -> Path | None:
        """The folder of the stage's stored result, which nobody is told of; None where there is none, or a
        damaged one."""
        folder = self.root / stage.stage / key_of(inputs_of(stage))
        if not folder.exists():
            return None
        found = folder.stat()
        return None if _damage(folder, found.st_ino, found.st_mtime_ns) else folder


def with_suffix(folder: Path, suffix: str) -> Path:
    """Path beside the folder of a result: its lock, the checkpoints of its work, or its unfinished, damaged
    or removed form."""
    return folder.with_name(folder.name + suffix)


def is_begun(folder: Path) -> bool:
    """Whether an interrupted attempt at the result left something to go on from."""
    unfinished = with_suffix(folder, UNFINISHED)
    return with_suffix(folder, CHECKPOINT).exists() or (unfinished.exists() and any(unfinished.iterdir()))


def _make(stage: Stage[Result], inputs: entry.Inputs, folder: Path, save_seconds: float) -> None:
    unfinished = with_suffix(folder, UNFINISHED)
    unfinished.mkdir(exist_ok=True)
    try:
        stage.make(unfinished, checkpoints.in_folder(with_suffix(folder, CHECKPOINT), save_seconds))
    except BaseException:
        if not any(unfinished.iterdir()):
            unfinished.rmdir()  # there is nothing to go on from
        raise
    entry.write(unfinished, stage.stage, inputs)
    _write_through(unfinished)
    unfinished.rename(folder)
    durable.sync(folder.parent)


def _set_aside_if_damaged(folder: Path) -> bool:
    """Rename the stored result out of its place if it is damaged; whether it was."""
    found = folder.stat()
    damage = _damage(folder, found.st_ino, found.st_mtime_ns)
    if not damage:
        return False
    aside = with_suffix(folder, DAMAGED)
    log.warning("the stored result %s is made again, since it is damaged: %s", folder, damage)
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    return True


@cache
def _damage(folder: Path, inode: int, changed: int) -> str:
    """The damage to a stored result; its files are read once by each process.

    One that is made again is another folder: of another `inode`, or `changed` at another time.
    """
    return entry.damage(folder)


def _write_through(folder: Path) -> None:
    """Write every file and folder below `folder` to the disk; it is there when this returns."""
    for path, _, files in os.walk(folder):
        for name in files:
            durable.sync(Path(path, name))
        durable.sync(Path(path))
