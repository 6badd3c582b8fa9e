"""A library as a stage leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlas.stages.stage import Kept


@dataclass(frozen=True, kw_only=True)
class Library(Kept):
    """What a compiler made of the network, to be run by the runtime of that compiler."""

    path: Path
    """The file of TVM's library, or the folder of another compiler's files."""
    runner: str
    """The name of the compiler, which is that of what runs its files."""
