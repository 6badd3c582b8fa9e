"""Progress on a terminal: what is written scrolls by above, and how far the work is stands below and is drawn
anew."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress

import rich.live
from rich.console import Console, Group
from rich.text import Text

from dlas.points.view import Told
from dlas.points.view.written import Written, write

SECONDS = 0.25
"""Shortest time between two drawings for a progress bar alone."""

OWN = 0
"""Number of the stream that the command itself writes to."""


class _Terminal(Console):
    """A terminal whose cursor stays: a command that is killed could not show it again."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class Live:
    """The live view. Nothing runs beside the command for it: it is drawn when something is written, and once
    a second."""

    def __init__(self, told: Told, now: Callable[[], float] = time.monotonic) -> None:
        self._told = told
        self._now = now
        self._drawn = now()
        self.errors = sys.stderr
        self._console = _Terminal(file=sys.stderr, force_terminal=True, highlight=False, markup=False)
        self._written = {OWN: Written(), 1: Written(), 2: Written()}
        self._live = rich.live.Live(
            get_renderable=self._below,
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    @contextmanager
    def shown(self) -> Iterator[Live]:
        """This view; at the end what stands below is gone, and all that was written is above."""
        with ExitStack() as undone:
            undone.enter_context(self._live)
            above = _Above(self)
            undone.enter_context(redirect_stderr(above))
            for handler in logging.getLogger().handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is self.errors:
                    handler.setStream(above)
                    undone.callback(handler.setStream, self.errors)
            try:
                yield self
            finally:
                for stream, written in self._written.items():
                    self._show(stream, written.end())

    def wrote(self, stream: int, written: bytes) -> None:
        """Show the lines that are ended above, and one that is not below."""
        if stream == 1 and not sys.stdout.isatty():
            write(sys.stdout, written)
            return
        ended = self._written[stream].lines(written)
        self._show(stream, ended)
        if ended or self._now() - self._drawn >= SECONDS:
            self.tick()

    def tick(self) -> None:
        """Draw what stands below."""
        self._drawn = self._now()
        with suppress(OSError):  # the terminal is closed: that is told by a signal
            self._live.refresh()

    def _show(self, stream: int, lines: list[bytes]) -> None:
        with suppress(OSError):
            for line in lines:
                self._console.print(_text(line), soft_wrap=True)

    def _below(self) -> Group:
        unended = [_text(written.unended) for written in self._written.values() if written.unended]
        lines = [*unended, *(Text(line, style="bold") for line in self._told())]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


class _Above(io.TextIOBase):
    """The standard error of this process while the view is shown."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def write(self, text: str, /) -> int:
        self._live.wrote(OWN, text.encode(errors="replace"))
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._live.errors.fileno()


def _text(line: bytes) -> Text:
    return Text.from_ansi(line.decode(errors="replace"))
