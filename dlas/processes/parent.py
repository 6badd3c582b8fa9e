"""What binds a process to the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Option of prctl that has a process die with its parent: Linux, include/uapi/linux/prctl.h."""


def die_with_parent(parent: int | None = None) -> None:
    """Have this process die with its parent (Linux): else a killed parent leaves work behind that nobody
    waits for, a timing that no lock guards. It ends at once where its parent, given by its number, is dead by
    now: the kernel tells of no earlier death."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        sys.exit("the process that asked for this one is gone")
