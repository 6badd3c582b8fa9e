"""Refusal of files of a set of images: all of them in one message."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.errors import UserError

SHOWN_FILES = 5


def require_none(problems: Sequence[str], what: str, key: str) -> None:
    """UserError that counts the problems and says the first few, unless there are none. `what` follows the
    number."""
    if not problems:
        return
    named = sorted(problems)[:SHOWN_FILES]
    more = f" and {len(problems) - len(named)} more" if len(problems) > len(named) else ""
    raise UserError(
        f"{len(problems)} {what}: {', '.join(named)}{more}",
        key=key,
        remedy="mend or remove them; none is skipped, since every accuracy depends on which there are",
    )
