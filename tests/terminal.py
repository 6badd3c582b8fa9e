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
from command import REPOSITORY, in_terminal

INTERRUPT = b"\x03"
SECONDS = 600.0


Start = Callable[[int], tuple[int, Callable[[], int]]]
"""Starts a command that leads the terminal of a file descriptor; gives the number of its process, and what
waits for its exit status."""


def warm(module: str, *arguments: str) -> Start:
    """`python -m dlas.<module> <arguments>`, forked by the process that has its imports behind it. No other
    such command may be asked for before its end."""
    return lambda terminal: in_terminal(os.ttyname(terminal), module, *arguments)


def program(command: Sequence[str], environment: Mapping[str, str]) -> Start:
    """A program, in an environment without the size of another terminal: xdist gives one to its processes."""
    of_no_size = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}

    def start(terminal: int) -> tuple[int, Callable[[], int]]:
        process = os.fork()
        if not process:
            os.login_tty(terminal)
            os.chdir(REPOSITORY)
            os.execve(command[0], list(command), {"TERM": "xterm", **of_no_size})
        return process, lambda: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    return start


class Terminal:
    """A command that runs in a terminal of its own, as it leads a session there."""

    def __init__(self, start: Start, columns: int = 80, lines: int = 24) -> None:
        self.written = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=100_000)
        self._emulator = pyte.ByteStream(self._screen)
        self._terminal, of_command = pty.openpty()
        fcntl.ioctl(of_command, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._pid, self._ended = start(of_command)
        os.close(of_command)

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
        return self._ended()

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
