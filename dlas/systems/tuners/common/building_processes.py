"""Processes that build candidates, several at once; a crash or a long time costs the candidate alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from tvm.support.popen_pool import PopenPoolExecutor, StatusKind

from dlas.hardware.no_torch import torch_kept_out
from dlas.hardware.timing.candidates import Failed

BUILD_SECONDS = 60


class Builders:
    """So many processes, which find the modules that this one finds."""

    def __init__(self, processes: int) -> None:
        self._pool = PopenPoolExecutor(processes, BUILD_SECONDS, _finder_of_modules())

    def build(self, function: Callable[[Any], object], asked: Iterable[Any]) -> list[Failed | None]:
        """Call `function` with each of `asked`, in parallel; None where that ended well."""
        with torch_kept_out():  # those that are not there yet are started now
            return [_failure(ended) for ended in self._pool.map_with_error_catching(function, asked)]

    def shutdown(self) -> None:
        """End them."""
        self._pool.shutdown()


def _finder_of_modules() -> Callable[[], None]:
    path = list(sys.path)

    def find() -> None:
        sys.path[:] = path

    return find


def _failure(ended: Any) -> Failed | None:
    if ended.status == StatusKind.COMPLETE:
        return None
    if ended.status == StatusKind.TIMEOUT:
        return Failed(f"it was not built within {BUILD_SECONDS} s")
    lines = str(ended.value).strip().splitlines() or [type(ended.value).__name__]
    return Failed(f"it could not be built: {lines[-1].strip()}")
