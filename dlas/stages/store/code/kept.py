"""Sources as earlier processes read them: to parse this package takes longer than to import it.

They are kept beside Python's bytecode and by the same rules: none is kept where Python may write no
bytecode, and PYTHONPYCACHEPREFIX names another place. What is kept of a source goes by its whole content, by
the version of Python, and by the code that parses: it is what parsing would give.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from dlas.stages.store.code.imports import Import
from dlas.stages.store.code.source import Source, parsed

MOST_KEPT = 4000
"""Number of sources above which only those are kept that this process used."""

_known: dict[str, Source] = {}
"""What this process found or parsed, by the hash of content and package."""

_unsaved: set[str] = set()


def source(content: bytes, package: str) -> Source:
    """The source of a module with this content; its relative imports start from `package`. SyntaxError where
    it is no Python."""
    name = hashlib.sha256(package.encode() + b"\0" + content).hexdigest()
    if name not in _known:
        there = _found().get(name)
        _known[name] = parsed(content, package) if there is None else _of_plain(there)
        if there is None:
            _unsaved.add(name)
    return _known[name]


def save() -> None:
    """Keep what this process parsed for later ones; a folder or disk that won't have it costs only time."""
    place = _place()
    if not _unsaved or place is None or sys.dont_write_bytecode:
        return
    kept = {**_read(place), **{name: _plain(_known[name]) for name in _unsaved}}
    if len(kept) > MOST_KEPT:
        kept = {name: _plain(each) for name, each in _known.items()}
    _unsaved.clear()
    written = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(exist_ok=True, parents=True)
        written.write_text(json.dumps({"parsed_by": _parser(), "sources": kept}), encoding="utf-8")
        written.replace(place)
    except OSError:
        with suppress(OSError):
            written.unlink(missing_ok=True)


@cache
def _found() -> Mapping[str, Any]:
    """What earlier processes kept, as it was when this one first asked."""
    place = _place()
    return {} if place is None else _read(place)


def _place() -> Path | None:
    try:
        return Path(cache_from_source(__file__)).with_suffix(".json")
    except NotImplementedError:  # a Python that keeps no bytecode
        return None


def _read(place: Path) -> dict[str, Any]:
    try:
        told = json.loads(place.read_text(encoding="utf-8"))
        return dict(told["sources"]) if told["parsed_by"] == _parser() else {}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or only half of it
        return {}


@cache
def _parser() -> str:
    """What decides how a source is read: Python, and the modules here."""
    code = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"\0".join([sys.version.encode(), *code])).hexdigest()


def _plain(told: Source) -> list[Any]:
    imports = [[each.module, each.name, sorted(each.used), each.needed_at] for each in told.imports]
    exports = None if told.exports is None else {name: list(where) for name, where in told.exports.items()}
    return [told.digest, imports, list(told.unseen), exports]


def _of_plain(told: Iterable[Any]) -> Source:
    digest, imports, unseen, exports = told
    return Source(
        digest,
        tuple(Import(module, name, frozenset(used), at) for module, name, used, at in imports),
        tuple(unseen),
        None if exports is None else {name: (module, origin) for name, (module, origin) in exports.items()},
    )
