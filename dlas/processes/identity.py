"""Which process something belongs to, so that another one can tell whether it is over."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

PROC = Path("/proc")
STARTED_FIELD = 19
"""Place of a process's start among what follows its name in /proc/<pid>/stat (proc_pid_stat(5), field 22)."""


@dataclass(frozen=True)
class Identity:
    """A process, told from every other one on any machine."""

    host: str
    boot: str
    """The id of the start of the system that it runs in."""
    namespace: str
    """The namespace that its number is from: containers have their own."""
    pid: str
    started: str
    """Time of its start, in clock ticks since that of the system: numbers are used again."""

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))

    def is_over(self) -> bool | None:
        """Whether the process has ended; None where that can't be seen from here."""
        here = this()
        if self.host != here.host:
            return None
        if self.boot != here.boot:
            return True
        if self.namespace != here.namespace:
            return None
        return _started(self.pid) != self.started


def this() -> Identity:
    """The identity of this process."""
    return _of(os.getpid())


def parsed(text: str) -> Identity | None:
    """The identity that was written as `text`; None for any other text."""
    found = dict(re.findall(r"(\w+)=(\S+)", text))
    names = [field.name for field in fields(Identity)]
    return Identity(**found) if sorted(found) == sorted(names) else None


@cache
def _of(pid: int) -> Identity:
    return Identity(
        host=socket.gethostname(),
        boot=(PROC / "sys/kernel/random/boot_id").read_text().strip(),
        namespace=str((PROC / "self/ns/pid").readlink()),
        pid=str(pid),
        started=_started(str(pid)),
    )


def _started(pid: str) -> str:
    """When the process started; "" where there is none of that number, or a dead one that is not buried."""
    try:
        told = (PROC / pid / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if told[0] in "ZX" else told[STARTED_FIELD]
