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
from pathlib import Path

THREADS = Path("/proc/self/task")


@contextmanager
def kept_apart() -> Iterator[None]:
    """Give each worker that the block starts a core, which its runtime chose or else the last that is free,
    and keep the calling thread off these. Nothing changes where there are no more cores than workers, so that
    a runtime may mean the calling thread to wait while they compute; nor without Linux, to tell of them."""
    if not THREADS.is_dir():
        yield
        return
    before = _threads()
    yield
    workers = sorted(_threads() - before)
    free = os.sched_getaffinity(0)
    if len(workers) >= len(free):
        return
    for worker in workers:
        chosen = os.sched_getaffinity(worker)
        core = min(chosen) if len(chosen) == 1 else max(free)
        os.sched_setaffinity(worker, {core})
        free.discard(core)
    if free:
        os.sched_setaffinity(threading.get_native_id(), free)


def _threads() -> set[int]:
    return {int(thread.name) for thread in THREADS.iterdir()}
