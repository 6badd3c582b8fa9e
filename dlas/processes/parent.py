"""What binds a process to the one that started it."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Option of prctl that has a process die with its parent: Linux, include/uapi/linux/prctl.h."""


def die_with_parent() -> None:
    """Have this process die with its parent (Linux): else a killed parent leaves work behind that nobody
    waits for, a timing that no lock guards."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
