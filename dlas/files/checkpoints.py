"""Checkpoints of long work: where it stands, saved now and then, so that it goes on from there after a kill.

    def work(checkpoints: Checkpoints) -> None:
        state = checkpoints.take()              what an earlier attempt saved at this place
        ...
        if checkpoints.are_due:
            checkpoints.save(State(values, tensors))

Work of several parts that follow each other gives each of them `checkpoints.at(<its name>)`: only the part
that is going on has a state, and `reached` tells which part that was. In a folder lie

    work.json                   the place and the values, and the name and the sha256 of
    work-<number>.safetensors   the tensors

The first is renamed into its place when the second is on the disk. What is not as it was saved is not used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.errors import UserError
from dlas.files import documents, durable
from dlas.files.documents import Document

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

DOCUMENT = Document("checkpoint")

WORK = "work"
"""Name of the files of the work itself."""


@dataclass(frozen=True)
class State:
    """Where work stands: all that it takes to go on."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values, whole numbers below 2**63."""
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Checkpoints:
    """Checkpoints that keep nothing: those of work that nobody goes on with."""

    def at(self, part: str) -> Checkpoints:
        """The checkpoints of one of several parts that follow each other. A state that is saved there takes
        the place of that of the part before."""
        return self

    def beside(self, name: str) -> Checkpoints:
        """Checkpoints of a state of its own, which stays while the work goes on from part to part."""
        return self

    @property
    def reached(self) -> str | None:
        """The part that the saved state is of; None where none is saved of any part."""
        return None

    def take(self) -> State | None:
        """The state that an earlier attempt saved at this very place; None where there is none. It is given
        once."""
        return None

    def save(self, state: State) -> None:
        """Save the state now: it is on the disk when this returns. A disk that can't take it costs a warning,
        and the state before it stays."""

    @property
    def are_due(self) -> bool:
        """Whether it is time to save a state: enough of it has gone by since the last one."""
        return False


NOWHERE = Checkpoints()


class Damaged(ValueError):
    """Tells what of a checkpoint is not as it was saved."""


@dataclass
class _Slot:
    """The files of one state, and what is known of them. Time is that of a clock that nobody sets."""

    folder: Path
    name: str
    asked: bool = False
    found: State | None = None
    """The state of an earlier attempt, until it is taken or another is saved."""
    place: tuple[str, ...] = ()
    """Where `found` was saved."""
    number: int = 0
    saved: float = field(default_factory=time.monotonic)
    """Time at which the work began, or was saved last, in seconds of `time.monotonic`."""

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.json"

    def ask(self) -> None:
        """Read what an earlier attempt left, once."""
        if self.asked:
            return
        self.asked = True
        if not self.path.exists():
            return
        try:
            self.place, self.number, self.found = _read(self.path)
        except (Damaged, OSError) as error:
            log.warning("the checkpoint %s is not used, since it is damaged: %s", self.path, error)


def in_folder(folder: Path, seconds: float) -> Checkpoints:
    """Checkpoints in the folder, which is made for the first of them; `seconds` lie between two."""
    return _Stored(_Slot(folder, WORK), seconds)


@dataclass(frozen=True)
class _Stored(Checkpoints):
    slot: _Slot
    seconds: float
    place: tuple[str, ...] = ()

    def at(self, part: str) -> _Stored:
        return replace(self, place=(*self.place, part))

    def beside(self, name: str) -> _Stored:
        return _Stored(_Slot(self.slot.folder, name), self.seconds)

    @property
    def reached(self) -> str | None:
        self.slot.ask()
        depth, place = len(self.place), self.slot.place
        below = self.slot.found is not None and len(place) > depth and place[:depth] == self.place
        return place[depth] if below else None

    def take(self) -> State | None:
        self.slot.ask()
        if self.slot.place != self.place:
            return None
        found, self.slot.found = self.slot.found, None
        return found

    def save(self, state: State) -> None:
        from safetensors import SafetensorError

        self.slot.ask()
        self.slot.found = None
        try:
            _write(self.slot.path, self.slot.number + 1, self.place, state)
            self.slot.number += 1
        except (OSError, SafetensorError) as error:
            log.warning("where the work stands could not be saved in %s: %s", self.slot.folder, error)
        self.slot.saved = time.monotonic()

    @property
    def are_due(self) -> bool:
        return time.monotonic() - self.slot.saved >= self.seconds


def _write(path: Path, number: int, place: tuple[str, ...], state: State) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(exist_ok=True)
    tensors = path.with_name(f"{path.stem}-{number}.safetensors")
    save_file(dict(state.tensors), tensors)
    durable.sync(tensors)
    kept = {"number": number, "place": list(place), "values": state.values, "sha256": _digest_of(tensors)}
    durable.write(path, documents.text(DOCUMENT, {**kept, "digest": _digest(kept)}))
    for other in path.parent.glob(f"{path.stem}-*.safetensors"):
        if other != tensors:
            other.unlink()


def _read(path: Path) -> tuple[tuple[str, ...], int, State]:
    """The place, the number and the state in the file; `Damaged` where it is not as it was saved."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        kept = documents.read(DOCUMENT, path)
        if kept.pop("digest", None) != _digest(kept):
            raise Damaged("its values are not as they were saved")
        tensors = path.with_name(f"{path.stem}-{kept['number']}.safetensors")
        if _digest_of(tensors) != kept["sha256"]:
            raise Damaged(f"{tensors.name} is not as it was saved")
        return tuple(kept["place"]), kept["number"], State(kept["values"], load_file(tensors))
    except FileNotFoundError as error:
        raise Damaged(f"{Path(error.filename).name} is missing") from None
    except (UserError, SafetensorError, LookupError) as error:
        raise Damaged(str(error)) from None


def _digest(kept: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
