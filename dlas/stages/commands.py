"""What `python -m dlas.stages` does: each command a function of what was typed, to the text that is told."""

from __future__ import annotations

import time
from pathlib import Path

from dlas import config
from dlas.stages import clearing, contents, explaining, listing, units, uses
from dlas.stages.clearing import Cleared, Limits


def listed(artifacts: str | None, where: config.Tracking) -> str:
    """The table of what is stored."""
    folder = _artifacts(artifacts)
    return listing.table(contents.results(_root(folder)), uses.uses(folder, where), time.time())


def explained(name: str, artifacts: str | None, where: config.Tracking) -> str:
    """Why a result, or each of those that a run took, is not the nearest other one."""
    folder = _artifacts(artifacts)
    names = [name] if "/" in name else uses.of_run(folder, where, name)
    return "\n".join(line for each in names for line in explaining.why(_root(folder), each))


def cleared(keep: str, size: str, artifacts: str | None, where: config.Tracking, *, dry: bool) -> str:
    """What went, or would go with `dry`."""
    folder = _artifacts(artifacts)
    limits = Limits(units.seconds(keep, "keep"), units.size(size, "size"))
    users = uses.uses(folder, where)
    needed = {name for name, found in users.items() if any(use.unfinished for use in found)}
    return _told(clearing.clear(_root(folder), limits, needed, time.time(), dry=dry), dry)


def _told(found: Cleared, dry: bool) -> str:
    verb = "would go" if dry else "went"
    lines = [f"{each.name}  {units.size_text(each.bytes)}" for each in (*found.results, *found.left_behind)]
    count = f"{len(found.results)} results and {len(found.left_behind)} of interrupted work"
    return "\n".join([*lines, f"{count} {verb}, {units.size_text(found.bytes)}"])


def _artifacts(given: str | None) -> Path:
    return Path(given or config.default_artifacts()).expanduser().absolute()


def _root(artifacts: Path) -> Path:
    return artifacts / "stages"
