"""What this machine has at most, in the fresh process: see dlas.hardware.timing.roofs.

Peaks are those of the fastest run, as in STREAM: all that else goes on makes a run slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil

from dlas.hardware.sessions import repeated, tvm_runtime
from dlas.hardware.targets import caches

MIN_RUN_NS = 1_000_000
"""Minimum time of a run of arithmetic: 1 ms, against which waking the threads is little. On a busy machine a
short run is more likely to have all its cores for itself."""

MIN_TOTAL_NS, MIN_RUNS = 150_000_000, 10
"""Minimum time of all runs of a kernel together, 150 ms, and their minimum number."""

FIRST_ROUNDS, MOST_ROUNDS, TRIES = 1 << 12, 1 << 30, 3
"""Rounds of the first runs, the largest number that is tried, and how often each number is: one run may have
waited for another process."""

TIMES_CACHE = 4
"""Size of a streamed array, in sizes of the largest cache: the rule of STREAM."""

MEMORY_PARTS = 8
"""Smallest number of parts of the free memory of which an array may have one; there are three arrays."""

VALUE_BYTES = 4

OPERANDS = MappingProxyType({"float32": 0.5, "int32": 0x01010101})
"""Value of every operand by its data type: sums in float32 stay below 1, and a word of bytes is four ones."""


def measured(library: Path, peaks: Iterable[Mapping[str, Any]], block: int) -> dict[str, Any]:
    """By the name of each kernel its `work` in a run, in operations or bytes, and its `samples_ns`; and the
    number of `threads`, and the `array_bytes` of a streamed array.

    `block` is the number of values that the arrays are streamed by.
    """
    kernels, threads = tvm_runtime.loaded(library), tvm_runtime.threads()
    rates = {peak["name"]: _arithmetic(kernels[peak["name"]], threads, peak) for peak in peaks}
    size = _array_bytes()
    blocks = max(1, size // (VALUE_BYTES * block * threads))
    rates |= _streams(kernels["read"], kernels["triad"], threads, blocks, block)
    return {"threads": threads, "array_bytes": threads * blocks * block * VALUE_BYTES, "rates": rates}


def _array_bytes() -> int:
    """Bytes of an array that is much larger than the caches, if there is the memory for three of them."""
    return min(TIMES_CACHE * caches.largest_bytes(), int(psutil.virtual_memory().available) // MEMORY_PARTS)


def _arithmetic(kernel: Callable[..., None], threads: int, peak: Mapping[str, Any]) -> dict[str, Any]:
    operands = tvm_runtime.tensor(np.full(peak["operands"], OPERANDS[peak["dtype"]], peak["dtype"]))
    sums = tvm_runtime.tensor(np.zeros(threads * peak["sums"], peak["dtype"]))
    rounds = FIRST_ROUNDS

    def enough() -> bool:
        runs = (repeated.nanoseconds(kernel, threads, rounds, operands, sums) for _ in range(TRIES))
        return min(runs) >= MIN_RUN_NS

    while rounds < MOST_ROUNDS and not enough():
        rounds *= 2
    return _rated(threads * rounds * peak["operations"], kernel, threads, rounds, operands, sums)


def _streams(
    read: Callable[..., None], triad: Callable[..., None], threads: int, blocks: int, block: int
) -> dict[str, Any]:
    """The rates of both streams, over arrays whose pages each thread has written where it reads them."""
    values = threads * blocks * block
    arrays = [tvm_runtime.view(_aligned(values)) for _ in range(3)]
    for first in range(3):
        triad(threads, blocks, *arrays[first:], *arrays[:first])
    sums = tvm_runtime.tensor(np.zeros(threads * block, "float32"))
    array_bytes = values * VALUE_BYTES
    return {
        "read": _rated(array_bytes, read, threads, blocks, arrays[0], sums),
        "triad": _rated(3 * array_bytes, triad, threads, blocks, *arrays),
    }


def _rated(work: int, kernel: Callable[..., None], *arguments: Any) -> dict[str, Any]:
    """What one run of the kernel does, and the nanoseconds of its runs."""
    samples = repeated.samples_ns(kernel, arguments, MIN_RUNS, MIN_TOTAL_NS)
    return {"work": work, "samples_ns": samples}


def _aligned(values: int) -> np.ndarray:
    """An array of float32 whose pages nothing has touched.

    NumPy asks the system for huge pages. With small ones a stream waits for the translation of addresses, and
    has been seen to reach little more than half as much.
    """
    spare = tvm_runtime.ALIGNMENT // VALUE_BYTES
    found = np.empty(values + spare, np.float32)
    first = -found.ctypes.data % tvm_runtime.ALIGNMENT // VALUE_BYTES
    return found[first : first + values]
