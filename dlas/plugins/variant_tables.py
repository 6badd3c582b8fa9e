"""Tables of variants, read from their source: nothing is imported, and nothing of them runs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dlas.errors import UserError
from dlas.interfaces.variants import Variants
from dlas.plugins.finding import module_spec

MODULE, TABLE = "variants", "VARIANTS"


def table_beside(module: str) -> Mapping[str, Variants]:
    """The table of the package around `module` (a dotted path); empty where it has none.

    UserError where the table is not written out.
    """
    spec = module_spec(f"{module.rpartition('.')[0]}.{MODULE}") if "." in module else None
    return {} if spec is None or not spec.has_location or spec.origin is None else table(Path(spec.origin))


@cache
def table(file: Path) -> Mapping[str, Variants]:
    """The table that the file defines; empty where it defines none, UserError where it is not written out."""
    try:
        statements = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"this table of variants cannot be read: {error}", key=str(file)) from None
    for statement in statements:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and TABLE in _assigned(statement):
            return _written_out(statement.value, file)
    return {}


def _assigned(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _written_out(value: ast.expr | None, file: Path) -> Mapping[str, Variants]:
    try:
        if not isinstance(value, ast.Dict):
            raise ValueError("it is no dict")
        names = [ast.literal_eval(key) for key in value.keys if key is not None]
        found = dict(zip(names, map(_entry, value.values), strict=True))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{TABLE} is not written out: {error}",
            key=str(file),
            remedy=f'{TABLE} = {{"mine": Variants(dense="my_package.dense", sparse="my_package.sparse")}}',
        ) from None
    return found


def _entry(value: ast.expr) -> Variants:
    if not isinstance(value, ast.Call) or value.args:
        raise ValueError("a value is no Variants with its fields by name")
    fields = {keyword.arg or "**": ast.literal_eval(keyword.value) for keyword in value.keywords}
    modules = [module for module in fields.values() if module is not None]
    if not all(isinstance(module, str) for module in modules):
        raise ValueError("a module is named by its dotted path")
    return Variants(**fields)
