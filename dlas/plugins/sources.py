"""Definitions of a module, read from its source: nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Literal

from dlas.plugins.finding import module_spec

VALUES = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set)
"""Expressions whose values cannot be called."""


@dataclass(frozen=True)
class Definition:
    """Definition behind a name of a module. It is unknown where only running the source would tell."""

    kind: Literal["missing", "value", "function", "unknown"]
    signature: Signature | None = None
    """Signature of a function; None for all others, and where it is not known."""


MISSING, VALUE, UNKNOWN = Definition("missing"), Definition("value"), Definition("unknown")


def definition(module: str, name: str) -> Definition:
    """Definition that `from module import name` would give. Names that the module imports are followed."""
    return _definition(module, name, frozenset())


def _definition(module: str, name: str, asked: frozenset[tuple[str, str]]) -> Definition:
    spec = module_spec(module)
    if spec is None or not spec.has_location or not str(spec.origin).endswith(".py"):
        return UNKNOWN
    if (module, name) in asked:
        return UNKNOWN
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    asked |= {(module, name)}
    found = MISSING
    for statement in _statements(Path(str(spec.origin))):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == "__getattr__":
            return UNKNOWN
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            found = UNKNOWN if statement.decorator_list else _function(statement.args)
        elif isinstance(statement, ast.ClassDef) and statement.name == name:
            found = _constructor(statement)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if alias.name == "*":
                    given = _definition(_absolute(statement, package), name, asked)
                    found = found if given is MISSING else given
                elif (alias.asname or alias.name) == name:
                    origin = _absolute(statement, package)
                    given = _definition(origin, alias.name, asked)
                    found = UNKNOWN if given is MISSING else given
        elif isinstance(statement, ast.Import):
            if name in [alias.asname or alias.name.partition(".")[0] for alias in statement.names]:
                found = VALUE
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            for target, value in _assigned(statement):
                if target == name:
                    found = _value(module, value, asked)
    if found is MISSING and module_spec(f"{module}.{name}") is not None:
        return VALUE  # a module
    return found


@cache
def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _statements(path: Path) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported, under conditions too; none where it can't be read."""
    tree = _parsed(path)
    waiting: list[ast.stmt] = [] if tree is None else list(tree.body)
    while waiting:
        statement = waiting.pop(0)
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            inner = [*statement.body, *getattr(statement, "orelse", ()), *getattr(statement, "finalbody", ())]
            handled = [each for handler in getattr(statement, "handlers", ()) for each in handler.body]
            waiting = [*inner, *handled, *waiting]


def _assigned(statement: ast.Assign | ast.AnnAssign) -> Iterator[tuple[str, ast.expr]]:
    """The names that get a value, with the expression of it."""
    value = statement.value
    assert value is not None
    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=False)
            yield from ((each.id, part) for each, part in pairs if isinstance(each, ast.Name))
        elif isinstance(target, ast.Tuple):
            yield from ((each.id, value) for each in ast.walk(target) if isinstance(each, ast.Name))


def _value(module: str, value: ast.expr, asked: frozenset[tuple[str, str]]) -> Definition:
    if isinstance(value, ast.Lambda):
        return _function(value.args)
    if isinstance(value, ast.Name):
        return _definition(module, value.id, asked)
    return VALUE if isinstance(value, VALUES) else UNKNOWN


def _constructor(statement: ast.ClassDef) -> Definition:
    """Definition of calling the class, by its `__init__`; unknown where another class may have that."""
    for inner in statement.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__" and not inner.decorator_list:
            parameters = list(_signature(inner.args).parameters.values())
            return Definition("function", Signature(parameters[1:]))
    return UNKNOWN


def _function(arguments: ast.arguments) -> Definition:
    return Definition("function", _signature(arguments))


def _signature(arguments: ast.arguments) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    only = len(arguments.posonlyargs)
    parameters = [
        Parameter(
            each.arg,
            Parameter.POSITIONAL_ONLY if index < only else Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if index < without else None,
        )
        for index, each in enumerate(positional)
    ]
    if arguments.vararg is not None:
        parameters.append(Parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL))
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        given = Parameter.empty if default is None else None
        parameters.append(Parameter(each.arg, Parameter.KEYWORD_ONLY, default=given))
    if arguments.kwarg is not None:
        parameters.append(Parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD))
    return Signature(parameters)


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    if not statement.level:
        return statement.module or ""
    around = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*around, statement.module] if statement.module else around)
