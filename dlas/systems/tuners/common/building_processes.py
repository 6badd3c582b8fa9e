"""Processes that build candidates, several at once; a crash or a long time costs the candidate alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

from tvm.support.popen_pool import PopenWorker

from dlas.errors import last_line
from dlas.hardware.timing.candidates import Failed
from dlas.systems.tuners.common import popen_pools

BUILD_SECONDS = 60


class Builders:
    """Processes that build, so many at once, which find the modules that this one finds."""

    def __init__(self, processes: int) -> None:
        self._threads = ThreadPoolExecutor(processes)
        self._workers = [_Worker(_finder_of_modules()) for _ in range(processes)]
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def build(self, function: Callable[[Any], object], asked: Iterable[Any]) -> list[Failed | None]:
        """Call `function` with each of `asked`, in parallel; None where that ended well."""
        return [*self._threads.map(partial(self._built, function), asked)]

    def shutdown(self) -> None:
        """End the processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()

    def _built(self, function: Callable[[Any], object], asked: Any) -> Failed | None:
        worker = self._free.get()
        try:
            worker.send(function, (asked,), timeout=BUILD_SECONDS)
            worker.recv()
        except TimeoutError:
            return Failed(f"it was not built within {BUILD_SECONDS} s")
        except Exception as error:  # whatever it raised, or that its process ended
            return Failed(f"it could not be built: {last_line(error)}")
        finally:
            self._free.put(worker)
        return None


class _Worker(PopenWorker):
    """A worker whose process has no torch."""

    def _start(self) -> None:
        popen_pools.start(self)


def _finder_of_modules() -> Callable[[], None]:
    path = list(sys.path)

    def find() -> None:
        sys.path[:] = path

    return find
