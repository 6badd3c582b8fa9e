"""What tuners have measured, as a tuner may read and add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dlas.interfaces.targets.target import Target
    from dlas.interfaces.tuning import TuningTask


class TuningRecords(Protocol):
    """Records of all tuners for all targets."""

    def shelf(self, tuner: str, target: Target, /) -> RecordsOfTarget:
        """Give those of one tuner for one target, whatever the target is called.

        UserError where a newer version wrote them, or an older one did and they can't be written.
        """
        ...


class RecordsOfTarget(Protocol):
    """Records of one tuner for one target."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other searches for these records out of the block: the next one finds what this one measured.
        UserError where they can't be written."""
        ...

    def records(self, task: TuningTask, /) -> list[str]:
        """Give the records of the task, in the order in which they were measured."""
        ...

    def add(self, task: TuningTask, records: Sequence[str], /) -> None:
        """Append the records that are not there yet; they are on the disk when this returns."""
        ...

    def tasks(self, algorithm: str, /) -> list[TuningTask]:
        """Give the tasks by `algorithm`, as it is now or once was, that there are records of."""
        ...

    def file(self, task: TuningTask, /) -> Path:
        """Give the file that the records of the task are in, for messages."""
        ...
