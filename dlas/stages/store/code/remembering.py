"""Code that is read before a run begins, so that a change of it meanwhile is noticed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dlas
from dlas.stages.store.code.closure import code_of
from dlas.stages.store.code.first_read import as_first_read


def remember(roots: Iterable[str]) -> None:
    """Read this package and the code behind `roots` now, so that a later change of it is noticed.

    Keys are made one stage after the other, while Python imports most modules at the start. UserError as
    `code_of`.
    """
    for path in sorted(Path(dlas.__file__).parent.rglob("*.py")):
        as_first_read(path)
    code_of(roots)
