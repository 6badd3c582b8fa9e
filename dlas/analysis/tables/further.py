"""Columns that the closing table has where they are asked for: what a point costs beside its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dlas.analysis import digits
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.table import Cell, number

FURTHER: Mapping[str, tuple[str, Callable[[MeasuredPoint], Cell]]] = {
    "memory": ("memory", lambda point: number(point.memory_bytes, digits.scaled_bytes)),
    "memory.runtime": ("of runtime", lambda point: number(point.runtime_memory_bytes, digits.scaled_bytes)),
    "memory.network": ("of network", lambda point: number(point.loaded_memory_bytes, digits.scaled_bytes)),
    "memory.run": ("of first run", lambda point: number(point.first_run_memory_bytes, digits.scaled_bytes)),
    "start": ("start ms", lambda point: number(point.start_ms, digits.supported)),
    "start.runtime": ("import ms", lambda point: number(point.runtime_ms, digits.supported)),
    "start.network": ("load ms", lambda point: number(point.load_ms, digits.supported)),
    "start.run": ("first ms", lambda point: number(point.first_ms, digits.supported)),
    "files": ("files", lambda point: number(point.library_bytes, digits.scaled_bytes)),
}
"""Heading of each column and the cell of a point, by the name of the column."""
