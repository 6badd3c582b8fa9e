"""The commands of `python -m dlas.stages`, each a function from its options to the text to print."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from dlas.stages.command import clearing, explaining, listing, units
from dlas.stages.command.clearing import Cleared, Limits
from dlas.stages.command.uses import Uses, needed
from dlas.stages.store import contents


def listed(root: Path, uses: Uses) -> str:
    """The table of what is stored in `root`."""
    return listing.table(contents.results(root), contents.checkpoints(root), uses, time.time())


def explained(root: Path, names: Sequence[str]) -> str:
    """The differences between each of these results and the nearest other one."""
    return "\n".join(explaining.why(root, names))


def cleared(root: Path, limits: Limits, uses: Uses, *, dry: bool) -> str:
    """The results that were removed or, with `dry`, would be."""
    now = time.time()
    return _told(clearing.clear(root, limits, needed(uses, limits.seconds, now), now, dry=dry), dry)


def _told(found: Cleared, dry: bool) -> str:
    verb = "would go" if dry else "went"
    lines = [f"{each.name}  {units.size_text(each.bytes)}" for each in (*found.results, *found.left_behind)]
    count = f"{len(found.results)} results and {len(found.left_behind)} of interrupted work"
    return "\n".join([*lines, f"{count} {verb}, {units.size_text(found.bytes)}"])
