"""The turns in which a session takes its samples: the words between it and the process that gives the turns.

A session says that it is ready by one byte, and waits for a line: `TURN`, or `END` with the CPU time that the
sessions beside it have taken by then, in seconds. That time is no other work beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

KEY = "turns"
"""Key of a request with what `asked` gives; a request without it is for a session by itself."""

TURN, END = "turn", "end"
READY = b"."
MAX_LINE_BYTES = 80


class Turns(Protocol):
    """The turns of a session."""

    @property
    def unkept(self) -> int:
        """Number of runs at the start of a turn that are not kept: the caches hold what others left."""
        ...

    @property
    def others_seconds(self) -> float:
        """CPU time, by now, of the sessions beside this one, in seconds; before the first turn, what they had
        taken when this one began."""
        ...

    def of(self, runs: int) -> Iterator[int]:
        """The number of samples to take in each turn, `runs` in all, each once it is this session's turn;
        then the turn to end."""
        ...


@dataclass(frozen=True)
class Alone:
    """All samples at once, of a session by itself."""

    unkept: int = 0
    others_seconds: float = 0.0

    def of(self, runs: int) -> Iterator[int]:
        yield runs


@dataclass
class InTurn:
    """Turns that the starting process gives."""

    count: int
    told: int
    """Descriptor of what that process says."""
    telling: int
    others_seconds: float
    unkept: int = 1

    def of(self, runs: int) -> Iterator[int]:
        for size in sizes(runs, self.count):
            self._next()
            yield size
        _, seconds = self._next().split()
        self.others_seconds = float(seconds)

    def _next(self) -> str:
        """What it says next, once it is told that this session is ready."""
        os.write(self.telling, READY)
        return os.read(self.told, MAX_LINE_BYTES).decode()


def asked(count: int, told: int, telling: int, others_seconds: float) -> dict[str, Any]:
    """The part of a request by which a session takes its turns: `told` and `telling` are descriptors, by
    which it is told of them and says that it is ready."""
    return {"count": count, "told": told, "telling": telling, "others_seconds": others_seconds}


def of(request: Mapping[str, Any]) -> Turns:
    """The turns that a request asks for."""
    return InTurn(**request[KEY]) if KEY in request else Alone()


def sizes(runs: int, count: int) -> list[int]:
    """The number of samples of each of `count` turns, `runs` in all; they differ by one at most."""
    return [(runs * (turn + 1)) // count - (runs * turn) // count for turn in range(count)]
