"""The files of a report: the page, the short report in Markdown, every table in three forms, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlas.analysis.table import Table, as_csv, as_latex, as_markdown
from dlas.figures.drawing import Drawing, png_file, svg_file
from dlas.report.page import page
from dlas.report.sections import Section

PAGE, SHORT = "report.html", "report.md"
TABLES, FIGURES = "tables", "figures"

FORMS = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


def write(folder: Path, title: str, head: Sequence[str], sections: Sequence[Section]) -> None:
    """Write the page, the short report and the tables into the folder, which may be there already."""
    (folder / TABLES).mkdir(parents=True, exist_ok=True)
    _write(folder / PAGE, page(title, head, sections))
    _write(folder / SHORT, short(title, head, sections))
    for table in tables(sections):
        for ending, form in FORMS.items():
            _write(folder / TABLES / f"{table.name}.{ending}", form(table))


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


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
