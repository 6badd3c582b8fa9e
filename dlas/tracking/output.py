"""What a point wrote to its streams, as its run's page shows it."""

from __future__ import annotations

from pathlib import Path


def settle(written: Path) -> None:
    """Leave of each progress bar in the file what it was in the end; there may be no file."""
    if written.is_file():
        lines = written.read_bytes().decode(errors="replace").split("\n")
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        written.write_text(text, encoding="utf-8")
