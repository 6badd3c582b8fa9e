"""A table of plain values, which any format can be made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows below headings; numbers are kept as numbers, None is what there is nothing to say of."""

    name: str
    """Short name in lower case, for a file."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...] = ()
    """Sentences that a reader of the rows has to know."""
