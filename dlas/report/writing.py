"""The files of a report: the page, the short report in Markdown, every table in three forms, the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from dlas.analysis.table import CSV, LATEX, MARKDOWN, Table, write_forms
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
        lines += [MARKDOWN.text(table).rstrip() for table in section.tables if table.name == "front"]
    return "\n\n".join(lines) + "\n"


def tables(sections: Sequence[Section]) -> list[Table]:
    """Every table of the report."""
    return [table for section in sections for table in (*section.tables, *section.files)]


def drawings(sections: Sequence[Section]) -> list[Drawing]:
    """Every figure of the report."""
    return [drawing for section in sections for drawing in section.figures]


def _write_table(folder: Path, table: Table) -> None:
    """Write the table in every form beside each other."""
    with ExitStack() as opened:
        files = {
            form: opened.enter_context(_opened(folder / f"{table.name}.{ending}"))
            for ending, form in FORMS.items()
        }
        write_forms(table, files)


def _write(path: Path, texts: Iterable[str]) -> None:
    with _opened(path) as file:
        file.writelines(texts)


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")
