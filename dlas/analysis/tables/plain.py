"""Tables of plain values as tables for people."""

from __future__ import annotations

from dlas.analysis import table as plain
from dlas.analysis.tables.table import NOTHING, Cell, Table, text

DIGITS = 3
"""Significant digits of a number that comes without an interval."""


def shown(table: plain.Table) -> Table:
    """The same table, its numbers with three digits, and in full behind them."""
    rows = tuple(tuple(map(_cell, row)) for row in table.rows)
    return Table(table.name, table.title, table.columns, rows, table.notes)


def _cell(value: plain.Value) -> Cell:
    if value is None:
        return Cell(NOTHING)
    if isinstance(value, str):
        return text(value)
    return Cell(str(value) if isinstance(value, int) else f"{value:.{DIGITS}g}", float(value))
