"""The log of a search: a record of each candidate that was measured, a line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlas.errors import UserError
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.tuning import Record
from dlas.printable import printable


def foreign_log(log: Path, measured_for: str, target: CodeTarget) -> UserError:
    """The error for a log of schedules that were measured for another target."""
    return UserError(
        f"the tuning log was measured for {printable(measured_for)}, not for {target.cpu} ({target.triple}) "
        f"with {target.cores} cores: what is fast there may be slow or not run here",
        key=str(log),
        remedy="Tune for this target.",
    )


def require_records(log: Path, name: str, read: Callable[[str], Record]) -> None:
    """UserError unless every line of `log`, where there is one, is a record of the tuner called `name`."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for number, line in enumerate(lines, 1):
        record_of(log, number, line, name, read)


def record_of(log: Path, number: int, line: str, name: str, read: Callable[[str], Record]) -> Record:
    """The record in the line of this number; UserError where it is none of the tuner called `name`."""
    try:
        return read(line)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        problem = f"line {number} of the tuning log is no record of {name}, or was cut off"
        raise UserError(problem, key=str(log)) from None


def cut_partial_record(log: Path) -> None:
    """Remove the last record where it was cut off."""
    content = log.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with log.open("r+b") as file:
            file.truncate(whole)
