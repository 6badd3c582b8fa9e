"""The imports of a module, wherever in its source they stand, and what is used of each."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

EVERYTHING = "*"
"""Mark of a module that is used as a whole, as in `from module import *`."""

IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


@dataclass(frozen=True)
class Import:
    """An import: `from module import name`, or `import module` where the name is empty."""

    module: str
    name: str
    used: frozenset[str]
    """The attributes that are read of the import; `EVERYTHING` where it is used in another way."""
    needed_at: int = 0
    """The line of an import that must succeed; 0 of one that may fail."""


def imports(nodes: list[ast.AST], package: str) -> Iterator[Import]:
    """The imports among the nodes of a module; relative ones start from `package`."""
    used = _attributes(nodes)
    optional = _optional(nodes)
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.asname is None and "." in alias.name
                read = frozenset({EVERYTHING}) if whole else used(alias.asname or alias.name)
                yield Import(alias.name, "", read, 0 if node in optional else node.lineno)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, package)
            for alias in node.names:
                read = used(alias.asname or alias.name)
                yield Import(module, alias.name, read, 0 if node in optional else node.lineno)
        else:
            for name in _started(node):
                yield Import(name, "", frozenset({EVERYTHING}))
    for call in _import_calls(nodes):
        if name := _called_for(call, package):
            yield Import(name, "", frozenset({EVERYTHING}), 0 if call in optional else call.lineno)


def unseen(nodes: list[ast.AST], package: str) -> list[int]:
    """The lines that import a module by a name which is no text in the source."""
    return sorted(call.lineno for call in _import_calls(nodes) if not _called_for(call, package))


def _optional(nodes: list[ast.AST]) -> set[ast.AST]:
    """Nodes under a condition, or where a failed import is caught."""
    return {inner for node in nodes if _may_be_skipped(node) for inner in ast.walk(node)}


def _may_be_skipped(node: ast.AST) -> bool:
    if isinstance(node, ast.Try):
        return any(handler.type is None or _names(handler.type) & IMPORT_ERRORS for handler in node.handlers)
    if isinstance(node, ast.With):
        return any(
            "suppress" in _names(item.context_expr) and _names(item.context_expr) & IMPORT_ERRORS
            for item in node.items
        )
    return isinstance(node, ast.If)


def _names(expression: ast.AST) -> set[str]:
    """Every name in the expression, with those of attributes."""
    return {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(expression)}


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The dotted name of the module that is imported from."""
    return _resolved("." * node.level + (node.module or ""), package)


def _resolved(name: str, package: str) -> str:
    """The absolute name; one that begins with dots is taken from `package`."""
    relative = name.lstrip(".")
    level = len(name) - len(relative)
    if not level:
        return name
    parts = package.split(".")
    around = parts[: len(parts) - level + 1]
    return ".".join([*around, relative] if relative else around)


def _started(node: ast.AST) -> list[str]:
    """The modules that are named as text where Python is told to run one."""
    if not isinstance(node, ast.List | ast.Tuple):
        return []
    texts = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
    return [module for flag, module in pairwise(texts) if flag == "-m" and isinstance(module, str)]


def _import_calls(nodes: list[ast.AST]) -> list[ast.Call]:
    """Calls of Python's functions that import a module by its name."""
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    functions = ("import_module", "__import__")
    return [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) in functions]


def _called_for(call: ast.Call, package: str) -> str:
    """The module that such a call imports; "" where the source does not tell."""
    given = dict(enumerate(call.args)) | {each.arg: each.value for each in call.keywords}
    name, start = given.get(0, given.get("name")), given.get(1, given.get("package"))
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return ""
    if not name.value.startswith("."):
        return name.value
    if isinstance(start, ast.Constant) and isinstance(start.value, str):
        return _resolved(name.value, start.value)
    return _resolved(name.value, package) if getattr(start, "id", "") in ("__package__", "__name__") else ""


def _attributes(nodes: list[ast.AST]) -> Callable[[str], frozenset[str]]:
    """A function from a name in a module to the attributes that are read of it."""
    read: dict[str, set[str]] = {}
    only: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read.setdefault(node.value.id, set()).add(node.attr)
            only.add(id(node.value))
    for node in nodes:
        if isinstance(node, ast.Name) and id(node) not in only:
            read.setdefault(node.id, set()).add(EVERYTHING)
    return lambda name: frozenset(read.get(name, ()))
