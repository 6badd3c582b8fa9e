"""The record of a bundle's schedules beside the tuner's log: `tuning/choices.json`.

Version 1 named the tuner by the dotted path of its module.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from dlas.files import documents
from dlas.files.documents import Document, Values
from dlas.plugins.registry import TUNERS
from dlas.printable import printable
from dlas.systems.program.kernel_choice import KernelChoice

FILE = "choices.json"


@dataclass(frozen=True)
class Choices:
    """The schedule of each kernel in a library, and the tuner that searched."""

    tuner: str
    """Name in dlas.plugins.registry.TUNERS, or a dotted path."""
    opt_level: int
    kernels: tuple[KernelChoice, ...]


def write(choices: Choices, path: Path) -> None:
    """Write the choices as JSON."""
    documents.write(DOCUMENT, path, asdict(choices))


def read(path: Path) -> Choices:
    """The choices that `write`, or an earlier version, wrote; UserError for anything else."""
    return documents.checked(Choices, documents.read(DOCUMENT, path), DOCUMENT, printable(path))


def _with_lasting_name(values: Values) -> Values:
    return {**values, "tuner": TUNERS.name(values["tuner"])}


DOCUMENT = Document("list of chosen kernels", version=2, converters=(_with_lasting_name,))
