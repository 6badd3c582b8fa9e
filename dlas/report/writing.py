"""The files of a report: the page, the short report in Markdown, every table in three forms, the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from dlas.analysis.table import CSV, LATEX, MARKDOWN, Table, as_markdown, number_columns
from dlas.figures.drawing import Drawing, png_file, svg_file
from dlas.report.page import parts
from dlas.report.sections import Section

PAGE, SHORT = "report.html", "report.md"
TABLES, FIGURES = "tables", "figures"

FORMS = {"csv": CSV, "md": MARKDOWN, "tex": LATEX}


def write(folder: Path, title: str, head: Sequence[str], sections: Sequence[Section]) -> None:
    """Write the page, the short report and the tables into the folder, which may be there already."""
    (folder / TABLES).mkdir(parents=True, exist_ok=True)
    _write(folder / PAGE, parts(title, head, sections))
    _write(folder / SHORT, [short(title, head, sections)])
    for table in tables(sections):
        _write_table(folder / TABLES, table)


def write_figures(folder: Path, sections: Sequence[Section]) -> None:
    """Write every figure as SVG and as PNG."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for drawing in drawings(sections):
        (folder / FIGURES / f"{drawing.name}.svg").write_bytes(svg_file(drawing))
        (folder / FIGURES / f"{drawing.name}.png").write_bytes(png_file(drawing))


def short(title: str, head: Sequence[str], sections: Sequence[Section]) -> str:
    """The report in Markdown: its sentences, and the points that are not beaten."""
    lines = [f"# {title}", *head]
    for section in sections:
        if section.sentences:
            lines.append("\n".join([f"## {section.title}", "", *(f"- {one}" for one in section.sentences)]))
        lines += [as_markdown(table).rstrip() for table in section.tables if table.name == "front"]
    return "\n\n".join(lines) + "\n"


def tables(sections: Sequence[Section]) -> list[Table]:
    """Every table of the report."""
    return [table for section in sections for table in (*section.tables, *section.files)]


def drawings(sections: Sequence[Section]) -> list[Drawing]:
    """Every figure of the report."""
    return [drawing for section in sections for drawing in section.figures]


def _write_table(folder: Path, table: Table) -> None:
    """Write all forms of the table side by side, as its rows may be made anew each time they are gone
    through."""
    numbers = number_columns(table)
    with ExitStack() as opened:
        files = [
            (form, opened.enter_context(_opened(folder / f"{table.name}.{ending}")))
            for ending, form in FORMS.items()
        ]
        for form, file in files:
            file.write(form.head(table, numbers))
        for row in table.rows:
            for form, file in files:
                file.write(form.row(row))
        for form, file in files:
            file.write(form.foot(table))


def _write(path: Path, texts: Iterable[str]) -> None:
    with _opened(path) as file:
        file.writelines(texts)


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")
