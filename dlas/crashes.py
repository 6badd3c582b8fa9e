"""The end of a process that a signal ended, in words for a person."""

from __future__ import annotations

import signal
from types import MappingProxyType

MEANINGS = MappingProxyType(
    {
        signal.SIGILL: "it met an instruction that this CPU does not have",
        signal.SIGSEGV: "it read or wrote memory that is not its own",
        signal.SIGBUS: "its file is cut short, or it read memory that is not there",
        signal.SIGFPE: "it divided by zero",
        signal.SIGABRT: "it aborted",
        signal.SIGKILL: "the system killed it, most often for want of memory",
        signal.SIGXCPU: "it used up the processor time that it may have",
    }
)


def crash(returncode: int) -> str:
    """The end of a process in words; its `returncode` is the number of the signal that ended it, negative."""
    ended_by = signal.Signals(-returncode)
    return f"crashed ({ended_by.name}): {MEANINGS.get(ended_by, 'it was stopped')}"
