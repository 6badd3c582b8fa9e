"""Progress where there is no terminal: every line that is written, and once a minute how far the work is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dlas.points.view import Told
from dlas.points.view.written import Written, write

SECONDS = 60.0
"""Time between two lines on one thing."""


class Lines:
    """Lines on the standard output and the standard error. Of a progress bar they show its end, and before
    that how it stands each minute. Every line that is written begins with the name."""

    def __init__(self, told: Told, now: Callable[[], float] = time.monotonic, name: str = "") -> None:
        self._told = told
        self._begin = f"{name}: ".encode(errors="replace") if name else b""
        self._now = now
        self._next = now() + SECONDS
        self._written = {1: Written(), 2: Written()}

    @contextmanager
    def shown(self) -> Iterator[Lines]:
        """This view; at the end it shows the lines that were not ended."""
        try:
            yield self
        finally:
            for stream, written in self._written.items():
                self._write(stream, written.end())

    def wrote(self, stream: int, written: bytes) -> None:
        """Show the lines that are ended."""
        self._write(stream, self._written[stream].lines(written))

    def tick(self) -> None:
        """Show, once a minute, the lines that are not ended, and how far the work is."""
        if self._now() < self._next:
            return
        self._next = self._now() + SECONDS
        for stream, written in self._written.items():
            self._write(stream, [written.unended] if written.unended else [])
        _write(2, ["; ".join(self._told()).encode(errors="replace")])

    def _write(self, stream: int, lines: list[bytes]) -> None:
        _write(stream, [self._begin + line for line in lines])


def _write(stream: int, lines: list[bytes]) -> None:
    if lines:
        write(sys.stdout if stream == 1 else sys.stderr, b"".join(line + b"\n" for line in lines))
