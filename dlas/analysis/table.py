"""A table, its cells, and its forms: aligned text, CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dlas.analysis import digits
from dlas.hardware.results.statistics import Interval
from dlas.printable import aligned, printable

NOTHING = "-"
"""Text of a cell that has nothing to say."""

LATEX = {
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
MARKDOWN = {character: f"\\{character}" for character in "\\`*_[]<>|#~$"}
FORMULA = ("=", "+", "-", "@")
"""First characters of what a spreadsheet would take for a formula."""


@dataclass(frozen=True)
class Cell:
    """An entry of a table."""

    text: str
    """Text as a person reads it, in the digits that the measurement supports."""
    value: float | None = None
    """The number behind it in full, to sort by and to compute with; None for a text."""
    best: bool = False
    """Whether it is the best of its row, or can't be told from the best."""


@dataclass(frozen=True)
class Table:
    """Rows under headings."""

    name: str
    """Short name, of which files are named."""
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
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


def as_csv(table: Table) -> str:
    """The table as CSV (RFC 4180), with every number in full. A text that a spreadsheet would compute has an
    apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(table.headings)
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def as_markdown(table: Table) -> str:
    """The table in the Markdown of GitHub; the best of a row is bold."""
    heads = [_escaped(heading, MARKDOWN) for heading in table.headings]
    lines = [heads, ["---:" if _is_number(table, at) else "---" for at in range(len(heads))]]
    for row in table.rows:
        cells = [_escaped(cell.text, MARKDOWN) for cell in row]
        lines.append([f"**{each}**" if cell.best else each for cell, each in zip(row, cells, strict=True)])
    notes = [_escaped(note, MARKDOWN) for note in table.notes]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([f"### {_escaped(table.title, MARKDOWN)}", body, *notes]) + "\n"


def as_latex(table: Table) -> str:
    """The table as LaTeX's `tabular`, with the rules of the package booktabs; the best of a row is bold."""
    columns = "".join("r" if _is_number(table, at) else "l" for at in range(len(table.headings)))
    heads = " & ".join(_escaped(heading, LATEX) for heading in table.headings)
    lines = [rf"% {printable(table.title)}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rf"{heads} \\"]
    lines.append(r"\midrule")
    for row in table.rows:
        cells = [_escaped(cell.text, LATEX) for cell in row]
        bold = [rf"\textbf{{{each}}}" if cell.best else each for cell, each in zip(row, cells, strict=True)]
        lines.append(rf"{' & '.join(bold)} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


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


def _is_number(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows]
    return any(cell.value is not None for cell in cells)


def _escaped(words: str, by: Mapping[str, str]) -> str:
    return "".join(by.get(character, character) for character in words)
