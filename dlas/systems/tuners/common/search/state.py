"""The state of a search: what was measured of each task, in its log and in the store."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dlas.errors import UserError
from dlas.interfaces.tuning import LayerTuning, Record, TuningTask
from dlas.interfaces.tuning_records import RecordsOfTarget
from dlas.systems.tuners.common.search.log import cut_partial_record, record_of
from dlas.systems.tuners.common.search.searcher import Searcher
from dlas.systems.tuners.common.tuning_store import whole_lines


@dataclass
class SearchState:
    """The state of a search: its log, and what the log's records say. Each record is in the store too."""

    searcher: Searcher
    tasks: Mapping[str, TuningTask]
    log: Path
    shelf: RecordsOfTarget
    resumed: bool
    """Whether an interrupted search had begun the log."""
    lines: int = 0
    """Number of records in the log."""
    times: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Seconds of each candidate, by the task's key and the candidate's name; None where it failed."""
    first: dict[str, float] = field(default_factory=dict)
    """Seconds of each task's first candidate that ran, by the task's key."""

    @property
    def best(self) -> dict[str, float]:
        """Seconds of each task's fastest candidate, by the task's key."""
        ran = {key: [one for one in times.values() if one is not None] for key, times in self.times.items()}
        return {key: min(seconds) for key, seconds in ran.items() if seconds}

    @property
    def measured(self) -> Counter[str]:
        """Number of measured candidates, by the task's key."""
        return Counter({key: len(times) for key, times in self.times.items()})

    @property
    def failed(self) -> int:
        """Number of measured candidates that failed."""
        return sum(one is None for times in self.times.values() for one in times.values())

    def take(self, records: Sequence[str]) -> None:
        """Write records into the log and the store, and count them."""
        try:
            with self.log.open("a") as file:
                file.writelines(f"{record}\n" for record in records)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"the tuning log can't be written: {error}",
                key="tuner",
                remedy="Make room on its disk and start again: the search goes on from what was measured.",
            ) from None
        self.count(records)

    def count(self, lines: Sequence[str]) -> None:
        """Count records that the log holds, and put those into the store that it lacks."""
        of_task: dict[str, list[str]] = {}
        for number, line in enumerate(lines, self.lines + 1):
            record = self._record(line, number)
            of_task.setdefault(record.task, []).append(line)
            self.times.setdefault(record.task, {})[record.candidate or str(number)] = record.seconds
            if record.seconds is not None:
                self.first.setdefault(record.task, record.seconds)
        for task, records in of_task.items():
            self.shelf.add(self.tasks[task], records)
        self.lines += len(lines)

    def take_from_store(self) -> None:
        """Take the records that the store has of these tasks, and the log has not."""
        present = set(whole_lines(self.log.read_text()))
        stored = [record for task in self.tasks.values() for record in self.shelf.records(task)]
        self.take([record for record in stored if record not in present])

    def of(self, tasks: Sequence[TuningTask]) -> int:
        """Number of records of these tasks."""
        measured = self.measured
        return sum(measured[task.key] for task in tasks)

    def estimate(self) -> float:
        """Seconds of all layers that have a time, together."""
        return sum(self.tasks[key].count * seconds for key, seconds in self.best.items())

    def standing(self) -> str:
        """The state as a text for the progress bar."""
        timed, all_layers = len(self.best), len(self.tasks)
        if timed < all_layers:
            return f"{timed} of {all_layers} layers have a time"
        return f"convolutions {self.estimate() * 1e3:.3g} ms"

    def told(self) -> str:
        """What the search found, in a sentence. It compares nothing: what a kernel gains is known in the
        network alone."""
        trials = f"{self.measured.total()} trials, {self.failed} failed"
        return f"{trials}: {len(self.best)} of {len(self.tasks)} kernels have a schedule that runs"

    def layers(self) -> tuple[LayerTuning, ...]:
        """The course of the search for each task."""
        measured, first, best = self.measured, self.first, self.best
        return tuple(
            LayerTuning(key, task.count, measured[key], _ms(first.get(key)), _ms(best.get(key)))
            for key, task in self.tasks.items()
        )

    def unmeasured(self) -> list[TuningTask]:
        """The tasks without any record."""
        return [task for key, task in self.tasks.items() if not self.times.get(key)]

    def _record(self, line: str, number: int) -> Record:
        record = record_of(self.log, number, line, self.searcher.name, self.searcher.read)
        if record.task not in self.tasks:
            problem = f"line {number} of the tuning log is a record of another network's layer"
            raise UserError(problem, key=str(self.log))
        return record


@contextmanager
def search_state(
    searcher: Searcher, tasks: Sequence[TuningTask], log: Path, shelf: RecordsOfTarget
) -> Iterator[SearchState]:
    """The state of a search from its log and the store. Before and after, a record that was
    cut off is removed."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise UserError(f"the tuning log can't be written: {error}", key="tuner") from None
    cut_partial_record(log)
    state = SearchState(
        searcher, {task.key: task for task in tasks}, log, shelf, resumed=log.stat().st_size > 0
    )
    state.count(whole_lines(log.read_text()))
    state.take_from_store()
    try:
        yield state
    finally:
        cut_partial_record(log)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
