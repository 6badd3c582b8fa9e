"""Why a result was made anew: which of its inputs differ from those of the nearest other result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlas.errors import UserError
from dlas.stages.store import contents, entry
from dlas.stages.store.entry import Entry

ABSENT = "-"

SHOWN = 8
"""Names shown in a line."""


@dataclass(frozen=True)
class Difference:
    """One input of two results."""

    what: str
    here: Any
    there: Any

    @property
    def is_code(self) -> bool:
        """Whether the input is a module or a file."""
        return self.what.partition(".")[0] in ("modules", "files")

    @property
    def name(self) -> str:
        """Name of the setting, the package or the module."""
        return self.what.partition(".")[2]


def why(root: Path, names: Sequence[str]) -> list[str]:
    """Lines that explain the results of these names (`<stage>/<key>`, or the start of a key), and those of
    their inputs that are results themselves, each pair once. UserError where there is no such result."""
    lines, pairs = list[str](), set[tuple[Path, Path]]()
    for here in (_folder(root, name) for name in names):
        described = _read(here)
        others = _others(root, here)
        if not others:
            lines.append(f"{_name(here)}: no other result of {described.stage} is stored to compare it with")
            continue
        found = {path: differences(described, other) for path, other in others.items()}
        nearest = min(found, key=lambda path: (len(found[path]), -(path / entry.ENTRY).stat().st_mtime))
        lines += _told(root, here, nearest, pairs)
    return lines


def differences(here: Entry, there: Entry) -> list[Difference]:
    """The inputs in which the two results differ."""
    ours, theirs = _flat(here.inputs), _flat(there.inputs)
    return [
        Difference(what, ours.get(what, ABSENT), theirs.get(what, ABSENT))
        for what in sorted(ours.keys() | theirs.keys())
        if ours.get(what, ABSENT) != theirs.get(what, ABSENT)
    ]


def told(found: Sequence[Difference]) -> list[str]:
    """The differences for a person: settings and versions one by one, then code, in a line for each way."""
    values = [f"{each.name}: {each.here} here, {each.there} there" for each in found if not each.is_code]
    code = [each for each in found if each.is_code]
    here = [each.name for each in code if each.there == ABSENT]
    there = [each.name for each in code if each.here == ABSENT]
    both = [each.name for each in code if ABSENT not in (each.here, each.there)]
    ways = (("code that differs", both), ("code used here alone", here), ("code used there alone", there))
    return [*values, *(f"{way}: {_some(names)}" for way, names in ways if names)]


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _told(root: Path, here: Path, there: Path, pairs: set[tuple[Path, Path]]) -> list[str]:
    """Lines on two results and on their inputs, but for the `pairs` that were told before, to which they are
    added."""
    if (here, there) in pairs:
        return []
    pairs.add((here, there))
    found = differences(_read(here), _read(there))
    lines = [f"{_name(here)} differs from {_name(there)} in", *(f"    {line}" for line in told(found))]
    for each in found:
        inputs = root / str(each.here), root / str(each.there)
        if each.what.startswith("fields.") and all((path / entry.ENTRY).is_file() for path in inputs):
            lines += _told(root, *inputs, pairs)
    return lines


def _folder(root: Path, name: str) -> Path:
    found = [each.path for each in contents.results(root) if each.name.startswith(name) and "/" in name]
    if len(found) != 1:
        problem = (
            f"the names of {len(found)} results start so" if found else f"no result of that name is in {root}"
        )
        raise UserError(problem, key=name, remedy="<stage>/<key> as `list` shows them, or the id of a run")
    return found[0]


def _read(folder: Path) -> Entry:
    try:
        return entry.read(folder)
    except entry.Damaged as error:
        problem = f"it does not tell what went into it: {error}"
        raise UserError(problem, key=_name(folder), remedy="a result that this version made") from None


def _others(root: Path, here: Path) -> dict[Path, Entry]:
    """The entries of all other results of the same stage, by folder; those that this version can't read are
    left out."""
    found = {}
    for other in contents.results(root):
        if other.path != here and other.path.parent == here.parent:
            with suppress(entry.Damaged, entry.Newer):
                found[other.path] = entry.read(other.path)
    return found


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _flat(nested: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(nested, list):
        nested = {str(index): value for index, value in enumerate(nested)}
    if not isinstance(nested, Mapping):
        return {prefix: nested}
    return {
        name: leaf
        for key, value in nested.items()
        for name, leaf in _flat(value, f"{prefix}.{key}" if prefix else str(key)).items()
    }
