"""The end of a process in words for a person."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from types import MappingProxyType

MEANINGS: Mapping[int, str] = MappingProxyType(
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


def end(returncode: int) -> str:
    """What ended a process: "was killed by SIGSEGV", "ended with exit code 1"."""
    if returncode < 0:
        return f"was killed by {signal_of(returncode)}"
    return f"ended with exit code {returncode}"


def crash(returncode: int) -> str:
    """The end of a process that a signal ended, with what that tells; `returncode` is minus its number."""
    return f"crashed ({signal_of(returncode)}): {meaning(returncode) or 'it was stopped'}"


def signal_of(returncode: int) -> str:
    """The name of the signal that ended a process; of those for real time, which have none, the number."""
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def meaning(returncode: int) -> str:
    """What the signal that ended a process tells; "" where it was none, or tells nothing."""
    return MEANINGS.get(-returncode, "")
