"""Names of operators that a runtime tells the kind of, and no name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def numbered(kinds: Iterable[str]) -> list[str]:
    """The kind of each operator, with a number among those of its kind."""
    met: Counter[str] = Counter()
    names = []
    for kind in kinds:
        met[kind] += 1
        names.append(f"{kind}, {met[kind]}")
    return names
