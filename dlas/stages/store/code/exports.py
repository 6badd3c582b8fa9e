"""The names that an `__init__` takes from other modules and offers as its own."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from dlas.stages.store.code.imports import EVERYTHING, absolute
from dlas.stages.store.code.running import assigns


def exports(tree: ast.Module, package: str) -> Mapping[str, tuple[str, str]] | None:
    """The re-exported names, where the module consists of nothing else."""
    found: dict[str, tuple[str, str]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            module = absolute(statement, package)
            found |= {alias.asname or alias.name: (module, alias.name) for alias in statement.names}
        elif not (isinstance(statement, ast.Assign) and assigns(statement, "__all__")):
            return None
    return None if EVERYTHING in found else found
