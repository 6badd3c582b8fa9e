"""A terminal for a command: a real pseudo-terminal, and what a terminal emulator makes of it (pyte)."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte
from command import REPOSITORY

INTERRUPT = b"\x03"
SECONDS = 600.0


class Terminal:
    """A command that runs in a terminal of its own, as it leads a session there."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self.written = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=100_000)
        self._emulator = pyte.ByteStream(self._screen)
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.chdir(REPOSITORY)
            os.execve(command[0], list(command), {"TERM": "xterm", **_of_no_size(environment)})

    def type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def send(self, number: int) -> None:
        os.kill(self._pid, number)

    def read_until(self, seen: Callable[[], bool]) -> bool:
        """Take what is written until something is seen, or all is written; whether it was seen."""
        until = time.monotonic() + SECONDS
        while not seen():
            ready, _, _ = select.select([self._terminal], [], [], max(until - time.monotonic(), 0))
            assert ready, f"nothing for {SECONDS:g} s after: {self.text}"
            try:
                part = os.read(self._terminal, 1 << 16)
            except OSError:  # the command ended
                return seen()
            self.written += part
            self._emulator.feed(part)
        return True

    def end(self) -> int:
        """The exit status of the command, once it has ended by itself."""
        self.read_until(lambda: False)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    @property
    def screen(self) -> list[str]:
        """The lines that stand on the screen, less empty ones."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def text(self) -> str:
        """All that was written, as it stands on the screen and above it; lines that were too long are as they
        were broken."""
        width = self._screen.columns
        above = ["".join(line[at].data for at in range(width)).rstrip() for line in self._screen.history.top]
        return "\n".join([*above, *(line.rstrip() for line in self._screen.display)]).rstrip()

    @property
    def cursor_is_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)


def _of_no_size(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the size of another terminal, which xdist gives to its processes."""
    return {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
