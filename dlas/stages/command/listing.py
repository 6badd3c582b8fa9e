"""The stored results as a table."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.printable import aligned
from dlas.stages.command.units import age_text, size_text
from dlas.stages.command.uses import Uses
from dlas.stages.store.contents import Stored

HEADINGS = ("result", "size", "last used", "runs")


INTERRUPTED = "interrupted: goes on from here"


def table(results: Sequence[Stored], checkpoints: Sequence[Stored], uses: Uses, now: float) -> str:
    """One line for each result and each checkpoint of interrupted work, the last used first, and their
    sum."""
    if not results and not checkpoints:
        return "nothing is stored"
    lines: list[Sequence[str]] = [HEADINGS]
    for stored in sorted((*results, *checkpoints), key=lambda each: each.used, reverse=True):
        runs = ", ".join(f"{use.run_id} {use.status}" for use in uses.get(stored.name, ())) or "-"
        told = INTERRUPTED if stored in checkpoints else runs
        lines.append((stored.name, size_text(stored.bytes), age_text(now - stored.used), told))
    whole = sum(stored.bytes for stored in (*results, *checkpoints))
    counted = f"{len(results)} results" + (
        f" and {len(checkpoints)} of interrupted work" if checkpoints else ""
    )
    return "\n".join([*aligned(lines), "", f"{counted}, {size_text(whole)}"])
