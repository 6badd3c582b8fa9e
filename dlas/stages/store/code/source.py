"""Source of one module: what counts of it, and what it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from dlas.stages.store.code.exports import exports
from dlas.stages.store.code.imports import Import, imports, unseen
from dlas.stages.store.code.running import running


@dataclass(frozen=True)
class Source:
    """What decides of a module, by its source."""

    digest: str
    imports: tuple[Import, ...]
    unseen: tuple[int, ...]
    """The lines that import a module by a name which is no text in the source."""
    exports: Mapping[str, tuple[str, str]] | None
    """The names that an `__init__` re-exports, with module and name there; None where it does more."""


def parsed(content: bytes, package: str) -> Source:
    """The source of a module with this content; its relative imports start from `package`. SyntaxError where
    it is no Python."""
    tree = ast.parse(content)
    nodes = list(running(tree))
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return Source(
        digest, tuple(imports(nodes, package)), tuple(unseen(nodes, package)), exports(tree, package)
    )


def of_bytes(content: bytes) -> Source:
    """The source of a module that is no Python, such as a compiled one: it counts as it is."""
    return Source(hashlib.sha256(content).hexdigest(), (), (), None)
