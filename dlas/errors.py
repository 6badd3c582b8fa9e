"""The one exception that a person reads: what was wrong, where, and what would be right."""

from __future__ import annotations

from dlas.printable import printable_lines


class UserError(Exception):
    """A mistake or a missing thing that the person at the keyboard can mend; printed without a traceback."""

    def __init__(self, problem: str, *, key: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.key = key
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return printable_lines(f"{where}{self.problem}{remedy}")


def last_line(error: Exception) -> str:
    """The last line of an exception's message, where TVM names the cause; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def require(fits: bool, key: str, problem: str, remedy: str) -> None:
    """Raise `UserError` unless the value fits."""
    if not fits:
        raise UserError(problem, key=key, remedy=remedy)
