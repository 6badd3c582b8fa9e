"""Stages that choose by timing, and what their results tell of the board while they did.

Such a result can be made once more. It gets a key of its own then, since other results were made from the
first one: `attempt` counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas.stages.stage import Result, Stage

FILE = "decision.json"


@dataclass(frozen=True, kw_only=True)
class Decision(Stage[Result]):
    """A stage whose result was chosen by timing: its `make` calls `write`."""

    attempt: int = 0
    """Number of results of the same inputs before this one, each chosen on an unsteady board."""


def write(unsteady: Sequence[str], folder: Path) -> None:
    """Write the reasons to doubt a choice into the folder of its result; none where the board held still."""
    (folder / FILE).write_text(json.dumps({"unsteady": list(unsteady)}, indent=1) + "\n")


def read(folder: Path) -> tuple[str, ...]:
    """The reasons that `write` wrote."""
    return tuple(json.loads((folder / FILE).read_text())["unsteady"])
