"""The stored results as a table."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.printable import aligned
from dlas.stages.command.units import age_text, size_text
from dlas.stages.command.uses import Uses
from dlas.stages.store.contents import Stored

HEADINGS = ("result", "size", "last used", "runs")


def table(results: Sequence[Stored], uses: Uses, now: float) -> str:
    """One line for each result, the last used first, and their sum."""
    if not results:
        return "nothing is stored"
    lines: list[Sequence[str]] = [HEADINGS]
    for stored in sorted(results, key=lambda each: each.used, reverse=True):
        runs = ", ".join(f"{use.run_id} {use.status}" for use in uses.get(stored.name, ())) or "-"
        lines.append((stored.name, size_text(stored.bytes), age_text(now - stored.used), runs))
    whole = sum(stored.bytes for stored in results)
    return "\n".join([*aligned(lines), "", f"{len(results)} results, {size_text(whole)}"])
