"""Counters of the processor and the kernel for the calling thread, by Linux's perf_event_open(2).

    with counting(INSTRUCTIONS) as counter:
        counter.start(); [work]; counter.stop(); counter.count()

Other threads are not counted, nor what the kernel does for this one: without that `perf_event_paranoid` may
be 2, as most systems have it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")

SYSTEM_CALLS: Mapping[tuple[str, int], int] = MappingProxyType(
    {("x86_64", 8): 298, ("aarch64", 8): 241, ("riscv64", 8): 241, ("armv7l", 4): 364}
)
"""Number of perf_event_open by the machine and the bytes of a pointer (Linux, arch/*/…/syscall*.tbl and
include/uapi/asm-generic/unistd.h)."""

HARDWARE, SOFTWARE = 0, 1
"""Types of events: include/uapi/linux/perf_event.h, perf_type_id, as all numbers below."""

ENABLE, DISABLE, RESET = 0x2400, 0x2401, 0x2403
THIS_THREAD, ANY_CPU, NO_GROUP, CLOSE_ON_EXEC = 0, -1, -1, 8
TIMES_ENABLED_AND_RUNNING = 0b11
DISABLED, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR = 1 << 0, 1 << 5, 1 << 6


@dataclass(frozen=True)
class Event:
    """Something that is counted."""

    type: int
    config: int


CYCLES, INSTRUCTIONS, CACHE_MISSES = Event(HARDWARE, 0), Event(HARDWARE, 1), Event(HARDWARE, 3)
"""Cycles of the core, instructions that were retired, misses of what the kernel calls the last cache."""

TASK_CLOCK, PAGE_FAULTS = Event(SOFTWARE, 1), Event(SOFTWARE, 2)
"""Nanoseconds that the thread had a core, pages that it had to be given."""


class _Attributes(ctypes.Structure):
    """struct perf_event_attr in its first version, which every kernel takes (PERF_ATTR_SIZE_VER0)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("bp_address", ctypes.c_uint64),
    )


@dataclass
class Counter:
    """A counter of the calling thread."""

    descriptor: int

    def start(self) -> None:
        """Count from 0 on."""
        fcntl.ioctl(self.descriptor, RESET, 0)
        self.go_on()

    def go_on(self) -> None:
        """Count on."""
        fcntl.ioctl(self.descriptor, ENABLE, 0)

    def stop(self) -> None:
        """Count no further."""
        fcntl.ioctl(self.descriptor, DISABLE, 0)

    def count(self) -> int | None:
        """Number of events between start and stop; None where others had the counter for some of the time."""
        count, enabled, running = struct.unpack("QQQ", os.read(self.descriptor, 24))
        return int(count) if enabled == running else None


@contextmanager
def counting(event: Event) -> Iterator[Counter]:
    """A counter that stands still at 0; OSError where there is none, see `reason`."""
    descriptor = _opened(event)
    try:
        yield Counter(descriptor)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Why there is no such counter, as a sentence's end."""
    if error.errno in (errno.EACCES, errno.EPERM):
        level = PARANOID.read_text().strip() if PARANOID.exists() else "not told"
        return (
            f"the kernel does not allow it: kernel.perf_event_paranoid is {level}, and 2 or less is needed; "
            "containers may forbid perf_event_open, too"
        )
    if error.errno == errno.ENOSYS:
        return "this system has no perf_event_open that is known here"
    return f"this machine has no such counter, as most virtual ones ({os.strerror(error.errno or 0)})"


def _opened(event: Event) -> int:
    number = SYSTEM_CALLS.get((platform.machine(), ctypes.sizeof(ctypes.c_void_p)))
    if number is None or platform.system() != "Linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    attributes = _Attributes(
        type=event.type,
        size=ctypes.sizeof(_Attributes),
        config=event.config,
        read_format=TIMES_ENABLED_AND_RUNNING,
        flags=DISABLED | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR,
    )
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    arguments = (ctypes.byref(attributes), THIS_THREAD, ANY_CPU, NO_GROUP, ctypes.c_ulong(CLOSE_ON_EXEC))
    descriptor = int(system_call(ctypes.c_long(number), *arguments))
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return descriptor
