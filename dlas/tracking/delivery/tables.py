"""Tables among the files of a run, as MLflow's `log_table` writes them and its UI shows them.

MLflow's own function sends a table at once, and fetches it first; here a run's files are whole on disk before
they are sent.
"""

from __future__ import annotations

import json
from pathlib import Path

from dlas.analysis.table import NOTHING, Cell, Table

TABLES = "tables"
"""Folder of the tables among a run's files."""

LOGGED = "mlflow.loggedArtifacts"
"""Tag by which MLflow knows which files are tables."""


def write(files: Path, table: Table) -> None:
    """Write the table among these files of a run; numbers are in full, and what is not known is null."""
    folder = files / TABLES
    folder.mkdir(exist_ok=True)
    rows = [[_value(cell) for cell in row] for row in table.rows]
    content = {"columns": table.headings, "data": rows}
    (folder / f"{table.name}.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def tags(files: Path) -> dict[str, str]:
    """The tag that names the tables among these files of a run; nothing where there are none."""
    found = [path.relative_to(files).as_posix() for path in sorted((files / TABLES).glob("*.json"))]
    named = [{"path": path, "type": "table"} for path in found]
    return {LOGGED: json.dumps(named)} if named else {}


def _value(cell: Cell) -> str | float | None:
    if cell.value is not None:
        return int(cell.value) if cell.value.is_integer() else cell.value
    return None if cell.text == NOTHING else cell.text
