"""A table, its cells, and its forms: aligned text, CSV, Markdown, LaTeX.

CSV, Markdown and LaTeX are written row by row, as tables may be long.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO, TypeAlias

from dlas.analysis import digits
from dlas.hardware.results.statistics import Interval
from dlas.printable import aligned, printable

NOTHING = "-"
"""Text of a cell that has nothing to say."""

IN_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
    }
)
IN_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#~$"})
FORMULA = ("=", "+", "-", "@")
"""First characters of what a spreadsheet would take for a formula."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An entry of a table."""

    text: str
    """Text as a person reads it, in the digits that the measurement supports."""
    value: float | None = None
    """The number behind it in full, to sort by and to compute with; None for a text."""
    best: bool = False
    """Whether it is the best of its row, or can't be told from the best."""


Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings."""

    name: str
    """Short name, of which files are named."""
    title: str
    headings: tuple[str, ...]
    rows: Collection[Row]
    """A tuple, or where there are very many something that makes them anew each time that they are gone
    through."""
    notes: tuple[str, ...] = ()
    """Sentences below the table."""


def text(words: object) -> Cell:
    """A cell of words, on one line and without what does not print; `NOTHING` for none."""
    return Cell(printable(words) if words not in ("", None) else NOTHING)


def three_digits(value: float) -> str:
    """A number that comes without an interval, in three significant digits."""
    return f"{value:.3g}"


def number(value: float | None, form: Callable[[float], str] = three_digits) -> Cell:
    """A cell of a number as `form` writes it; `NOTHING` for none."""
    return Cell(NOTHING) if value is None else Cell(form(value), float(value))


def measured(value: float | None, interval: Interval | None, unit: str = "") -> tuple[Cell, Cell]:
    """A cell of a number in the digits that its interval supports, and one of the interval."""
    if value is None or interval is None:
        return Cell(NOTHING), Cell(NOTHING)
    shown = Cell(f"{digits.supported(value, interval)}{unit}", value)
    return shown, Cell(digits.supported_range(value, interval))


def as_text(table: Table, *, title: bool = True) -> str:
    """The table in aligned columns for a terminal; the best of a row has a star behind it."""
    written = [[_starred(cell) for cell in row] for row in table.rows]
    lines = aligned([table.headings, *written])
    return "\n".join([*([table.title, ""] if title else []), *lines, *table.notes])


@dataclass(frozen=True)
class Form:
    """A form of a table that is written row by row."""

    head: Callable[[Table, Sequence[bool]], str]
    """What stands before the rows, by whether each column has numbers."""
    row: Callable[[Row], str]
    foot: Callable[[Table], str]

    def text(self, table: Table) -> str:
        """The table in this form."""
        file = io.StringIO()
        write_forms(table, {self: file})
        return file.getvalue()


def write_forms(table: Table, files: Mapping[Form, TextIO]) -> None:
    """Write the table in several forms, each to its file; its rows are made once for all of them."""
    numbers = number_columns(table)
    for form, file in files.items():
        file.write(form.head(table, numbers))
    for row in table.rows:
        for form, file in files.items():
            file.write(form.row(row))
    for form, file in files.items():
        file.write(form.foot(table))


def number_columns(table: Table) -> list[bool]:
    """Whether each column has a number."""
    found = [False] * len(table.headings)
    for row in table.rows:
        for at, cell in enumerate(row):
            if cell.value is not None:
                found[at] = True
    return found


def without_empty_columns(table: Table) -> Table:
    """The table without the columns that say nothing in any row."""
    kept = [
        at
        for at in range(len(table.headings))
        if not table.rows or any(row[at].text not in ("", NOTHING) for row in table.rows)
    ]
    rows = tuple(tuple(row[at] for at in kept) for row in table.rows)
    return replace(table, headings=tuple(table.headings[at] for at in kept), rows=rows)


def _starred(cell: Cell) -> str:
    return f"{cell.text} *" if cell.best else cell.text


def _plain(cell: Cell) -> str:
    if cell.value is not None:
        return repr(float(cell.value))
    if cell.text == NOTHING:
        return ""
    return f"'{cell.text}" if cell.text.startswith(FORMULA) else cell.text


def _csv_row(words: Iterable[str]) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(words)
    return file.getvalue()


def _markdown_head(table: Table, numbers: Sequence[bool]) -> str:
    heads = _markdown_row([heading.translate(IN_MARKDOWN) for heading in table.headings])
    rule = _markdown_row(["---:" if is_number else "---" for is_number in numbers])
    return f"### {table.title.translate(IN_MARKDOWN)}\n\n{heads}{rule}"


def _markdown_row(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |\n"


def _markdown_cell(cell: Cell) -> str:
    words = cell.text.translate(IN_MARKDOWN)
    return f"**{words}**" if cell.best else words


def _latex_head(table: Table, numbers: Sequence[bool]) -> str:
    columns = "".join("r" if is_number else "l" for is_number in numbers)
    heads = _latex_row(heading.translate(IN_LATEX) for heading in table.headings)
    begin = rf"\begin{{tabular}}{{{columns}}}"
    return f"% {printable(table.title)}\n{begin}\n\\toprule\n{heads}\\midrule\n"


def _latex_row(words: Iterable[str]) -> str:
    return rf"{' & '.join(words)} \\" + "\n"


def _latex_cell(cell: Cell) -> str:
    words = cell.text.translate(IN_LATEX)
    return rf"\textbf{{{words}}}" if cell.best else words


CSV = Form(
    lambda table, _: _csv_row(table.headings),
    lambda row: _csv_row(map(_plain, row)),
    lambda _: "",
)
"""RFC 4180, every number in full; a text that a spreadsheet would compute has an apostrophe before it."""

MARKDOWN = Form(
    _markdown_head,
    lambda row: _markdown_row(map(_markdown_cell, row)),
    lambda table: "".join(f"\n{note.translate(IN_MARKDOWN)}\n" for note in table.notes),
)
"""Markdown of GitHub; the best of a row is bold."""

LATEX = Form(
    _latex_head,
    lambda row: _latex_row(map(_latex_cell, row)),
    lambda _: "\\bottomrule\n\\end{tabular}\n",
)
"""LaTeX's `tabular`, with the rules of the package booktabs; the best of a row is bold."""
