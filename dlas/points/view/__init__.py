"""What the command shows while points are checked and made: all that these write, and how far they are.

On a terminal the lines that tell how far stand below what is written, and are drawn anew (`live`); elsewhere
they are written once a minute (`lines`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Told = Callable[[], Sequence[str]]
"""Function that gives the lines which tell how far the work is."""

NO_CURSOR = ("", "dumb", "unknown")
"""What TERM says of a terminal whose cursor can't be moved."""


class View(Protocol):
    """What is shown of the work in another process."""

    def wrote(self, stream: int, written: bytes) -> None:
        """Show what it wrote: to 1, its standard output, or to 2, its standard error."""

    def tick(self) -> None:
        """Show how far it is now. It is called about once a second."""


Opening = Callable[[Told], AbstractContextManager[View]]
"""Way to open a view."""


@contextmanager
def fitting(told: Told) -> Iterator[View]:
    """The view that fits where the standard error goes, for a process that has it for itself."""
    if sys.stderr.isatty() and os.environ.get("TERM", "") not in NO_CURSOR:
        from dlas.points.view.live import Live

        with Live(told).shown() as live:
            yield live
    else:
        with in_lines(told) as lines:
            yield lines


@contextmanager
def in_lines(told: Told, name: str = "") -> Iterator[View]:
    """The view that several processes may have on one standard error: what is written begins with the name in
    every line."""
    from dlas.points.view.lines import Lines

    with Lines(told, name=name).shown() as lines:
        yield lines
