"""Tuning records of earlier versions, which named algorithms by their dotted paths, in today's names.

Each tuner writes its records in its own way. In all of them, and in the names of their files, a dotted path
of dlas stands for an algorithm and for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dlas.plugins.registry import ALGORITHMS

DOTTED = re.compile(rf"\b{re.escape(ALGORITHMS.room)}\.\w+")


def with_lasting_names(text: str) -> str:
    """The lines of a log, or the name of a file, with every algorithm by its name."""
    return DOTTED.sub(lambda found: ALGORITHMS.name(found[0]), text)


def brought_up_to_date(folder: Path, logs: Iterable[str], copy: Path) -> Path:
    """The folder with these logs in today's names: `folder` itself, or the new folder `copy`."""
    found = {name: (folder / name).read_text() for name in logs if (folder / name).exists()}
    renamed = {name: with_lasting_names(text) for name, text in found.items()}
    if renamed == found:
        return folder
    copy.mkdir(parents=True)
    for name, text in renamed.items():
        (copy / name).write_text(text)
    return copy
