"""The part of a module's source that runs: comments, docstrings, and types for the reader decide nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Remove, in place, what does not run from the tree; yields every node that is left."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [kept for each in block for kept in _kept(each)])
        waiting += ast.iter_child_nodes(node)


def _kept(statement: ast.AST) -> list[ast.AST]:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return []
    if isinstance(statement, ast.Assign) and assigns(statement, "__version__"):
        return []
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in (
        getattr(statement.test, "id", ""),
        getattr(statement.test, "attr", ""),
    ):
        return [kept for each in statement.orelse for kept in _kept(each)]
    return [statement]


def assigns(statement: ast.Assign, name: str) -> bool:
    """Whether the statement gives that name a value, and no other."""
    return [getattr(target, "id", "") for target in statement.targets] == [name]
