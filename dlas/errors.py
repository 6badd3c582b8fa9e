"""The one exception that a person reads: what was wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dlas.printable import last_line_of, printable_lines


class UserError(Exception):
    """A mistake or a missing thing that the person at the keyboard can mend; printed without a traceback."""

    def __init__(self, problem: str, *, key: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.key = key
        self.remedy = remedy
        self.point: int | None = None
        """Place, among the points of a sweep, of the one that is wrong; None where it is told of none."""
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        remedy = f"\n  {self.remedy}" if self.remedy else ""
        return printable_lines(f"{where}{self.problem}{remedy}")


def last_line(error: Exception) -> str:
    """The last line of an exception's message, where TVM names the cause; its type where it says nothing."""
    return last_line_of(str(error), type(error).__name__)


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; its type where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def require(fits: bool, key: str, problem: str, remedy: str) -> None:
    """Raise `UserError` unless the value fits."""
    if not fits:
        raise UserError(problem, key=key, remedy=remedy)


@contextmanager
def at_point(place: int) -> Iterator[None]:
    """Have a UserError tell the place of the point that it is about."""
    try:
        yield
    except UserError as error:
        error.point = place if error.point is None else error.point
        raise
