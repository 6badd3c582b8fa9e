"""A core of its own for each thread that computes, so that none waits for another one of its own process.

    with kept_apart(): start_threads()

TVM binds the workers of its pool to cores, other runtimes don't; all leave the calling thread, which computes
as well, free to be on any core. Linux may have it on a worker's, and needs longer to move it than the runs of
a session last: some sessions took a quarter longer than others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

THREADS = Path("/proc/self/task")


@contextmanager
def kept_apart() -> Iterator[None]:
    """Give each worker that the block starts a core, which its runtime chose or else the last that is free,
    and keep the calling thread off these. A runtime may start some workers as it loads a network and others
    with its first run; where no core is left for the later ones they share those of the earlier, which idle
    then, since PyTorch has such pools. Nothing changes where there are no more cores than workers, so that a
    runtime may mean the calling thread to wait while they compute; nor without Linux, to tell of them."""
    if not THREADS.is_dir():
        yield
        return
    before, caller = _threads(), threading.get_native_id()
    own, everywhere = os.sched_getaffinity(caller), _everywhere()
    os.sched_setaffinity(caller, everywhere)  # what it starts may be where it may be itself
    yield
    workers = sorted(_threads() - before)
    if not workers:
        os.sched_setaffinity(caller, own)
        return
    free = own if len(workers) < len(own) else set(everywhere)
    if len(workers) >= len(free):
        return
    for worker in workers:
        chosen = os.sched_getaffinity(worker)
        core = min(chosen) if len(chosen) == 1 else max(free)
        os.sched_setaffinity(worker, {core})
        free.discard(core)
    if free:
        os.sched_setaffinity(caller, free)


@cache
def _everywhere() -> frozenset[int]:
    """The cores of the calling thread before any worker had one of its own."""
    return frozenset(os.sched_getaffinity(threading.get_native_id()))


def _threads() -> set[int]:
    return {int(thread.name) for thread in THREADS.iterdir()}
