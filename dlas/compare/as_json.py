"""Points that were timed again, as a JSON document."""

from __future__ import annotations

from pathlib import Path

from dlas.compare.again import Timed
from dlas.files import documents
from dlas.files.documents import Document
from dlas.verdicts import as_json

DOCUMENT = Document("results of a comparison")


def write(found: Timed, logged: str | None, path: Path) -> None:
    """Write what was found, and the id of the run that keeps it; as docs/reports.md tells of it."""
    first, *others = found.asked.points
    documents.write(
        DOCUMENT,
        path,
        {
            "logged": logged,
            "compared_with": {"run": first.run_id, "name": first.name},
            "points": [
                {"run": point.run_id, "name": point.name, **as_json.compared(one)}
                for point, one in zip(others, found.comparisons, strict=True)
            ],
        },
    )
