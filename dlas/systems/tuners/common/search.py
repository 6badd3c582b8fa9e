"""Search for any tuner: the budget, the store of what was measured before, the progress bar.

The budget is of candidates measured for the whole model, whenever they were measured: records of its layers
in the store count. Layers that the store has nothing of are searched first, each with its share.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dlas import config
from dlas.errors import UserError
from dlas.hardware.targets.fitting import misfits
from dlas.hardware.targets.machine import this_machine
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import LayerTuning, Record, Tuning, TuningTask
from dlas.interfaces.tuning_records import RecordsOfTarget, TuningRecords
from dlas.printable import printable
from dlas.systems.tuners.common.tuning_store import whole_lines

logger = logging.getLogger(__name__)

NO_GAIN = 0.01
"""Smallest gain that counts, as a share of all layers' time: measurements differ by as much."""

NOT_MEASURED = "no candidate of it was measured with success"
"""Reason of a task without a schedule where nothing more is known."""


@dataclass(frozen=True)
class SearchSettings(config.Tuner):
    """Settings of a search: how much to measure, and how thoroughly to search between measurements."""

    trials: int = 128
    """Candidates to measure for the whole model, spread over its layers; those in the store count."""
    population: int = 64
    """Candidates that the cost model ranks in each generation."""
    generations: int = 2
    """Generations of the evolutionary search before each round of measurements."""
    patience: int = 256
    """Trials without a gain after which the search ends: in so many the layers' time fell
    by less than 1 %."""

    def __post_init__(self) -> None:
        for name in ("trials", "population", "generations", "patience"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"{getattr(self, name)} is too few",
                    key=f"tuner.{name}",
                    remedy="Give 1 or more, or choose tuner=none to keep the untuned schedules.",
                )


def is_searchable(task: TuningTask) -> bool:
    """Whether the task's algorithm is written in TE."""
    from dlas.systems.program import kernels

    return kernels.is_searchable(task.algorithm)


@dataclass(frozen=True)
class Searcher:
    """A tuner that searches."""

    name: str
    """Name for people."""
    version: str
    """Name in the store, with the version of the tuner's TVM: other versions' records are not read."""
    read: Callable[[str], Record]
    """The record in a line of its log; ValueError where it is none of its own."""
    measure: Callable[[Sequence[TuningTask], int, Path], Generator[Sequence[str], None, None]]
    """(tasks, trials, known): measures candidates until the file `known` and the new records together hold so
    many of these tasks. It has the board for itself while it times candidates.

    It yields lines of records as soon as they are measured, and writes none of them down.
    """
    serves: Callable[[TuningTask], bool] = is_searchable
    """Whether the tuner can search a task; tasks that it can't are left out."""


def search(
    searcher: Searcher,
    tasks: Sequence[TuningTask],
    target: Target,
    trials: int,
    log: Path,
    store: TuningRecords,
    patience: float = math.inf,
) -> Tuning:
    """Search until `trials` candidates of these tasks are measured, those in `store` with them, or until
    `patience` trials in a row gained next to nothing.

    `log` ends with every record of these tasks, and none of others. Records are in the store as soon as
    they are measured. On any exception, KeyboardInterrupt with it, both hold whole records only, and the
    next search goes on with them. A second search into the same records waits, and finds what the first
    measured; the searcher itself holds the board while it times candidates, and only then. UserError where a
    target that is here is not this machine.
    """
    budget = partial(_rounds, trials=trials)
    return _searched(searcher, tasks, target, log, store, budget, patience)


def measure_new(
    searcher: Searcher,
    tasks: Sequence[TuningTask],
    target: Target,
    candidates: int,
    log: Path,
    store: TuningRecords,
) -> Tuning:
    """Measure at most `candidates` of each task that `store` has no time of; for the rest see `search`."""

    def rounds(state: _SearchState) -> list[_Round]:
        new = [task for key, task in state.tasks.items() if key not in state.best]
        return [_Round(new, candidates * len(new))] if new else []

    return _searched(searcher, tasks, target, log, store, rounds, patience=math.inf)


def _searched(
    searcher: Searcher,
    tasks: Sequence[TuningTask],
    target: Target,
    log: Path,
    store: TuningRecords,
    rounds: Callable[[_SearchState], list[_Round]],
    patience: float,
) -> Tuning:
    """Search in the rounds that are still to do, given the log and the store."""
    if target.reach.is_local and (reasons := misfits(target.code, this_machine())):
        raise UserError(
            f"{searcher.name} measures its candidates on this machine, which does not run them: "
            f"{'; '.join(reasons)}",
            key="tuner",
            remedy="Tune on a machine of the target's kind, or use tuner=none.",
        )
    tasks = [task for task in tasks if searcher.serves(task)]
    if not tasks:
        return Tuning()
    seconds, stopped = 0.0, ""
    with _search_state(searcher, tasks, log, store.shelf(searcher.version, target)) as state:
        if rounds(state):
            with state.shelf.alone():
                start = time.monotonic()
                state.take_from_store()  # what another process measured meanwhile
                stopped = _measure(searcher, rounds(state), state, patience)
                seconds = time.monotonic() - start
                logger.info("%s", state.told())
                if stopped:
                    logger.info("%s", stopped)
    return Tuning(state.measured.total(), state.failed, seconds, state.best, state.layers(), stopped)


def searchable(tasks: Sequence[TuningTask]) -> list[TuningTask]:
    """The tasks whose algorithm is written in TE."""
    return [task for task in tasks if is_searchable(task)]


def not_searchable(tasks: Sequence[TuningTask], tuner: str) -> dict[str, str]:
    """The reason of each task that is not `searchable`, by its key."""
    reason = f"its kernel is written in TensorIR, which {tuner} does not search"
    served = searchable(tasks)
    return {task.key: reason for task in tasks if task not in served}


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
        _record(log, number, line, name, read)


def _record(log: Path, number: int, line: str, name: str, read: Callable[[str], Record]) -> Record:
    try:
        return read(line)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        problem = f"line {number} of the tuning log is no record of {name}, or was cut off"
        raise UserError(problem, key=str(log)) from None


def _rounds(state: _SearchState, trials: int) -> list[_Round]:
    """The rounds that are still to measure, one after the other.

    New layers get their share of the budget even where the store holds more of the others than the whole
    budget; what an interrupted search of these very tasks measured has come out of it already.
    """
    tasks, new = [*state.tasks.values()], state.unmeasured()
    share = math.ceil(trials * len(new) / len(tasks))
    if state.resumed:
        share = min(share, max(trials - state.measured.total(), len(new)))
    first = [_Round(new, share)] if 0 < len(new) < len(tasks) else []
    last = [_Round(tasks, trials)] if state.measured.total() + (share if first else 0) < trials else []
    return [*first, *last]


def _measure(searcher: Searcher, rounds: Sequence[_Round], state: _SearchState, patience: float) -> str:
    """Measure the rounds; the reason why it ended before they did, "" where it did not."""
    measured = state.measured.total()
    left = _Patience(patience, measured, len(state.best), state.estimate())
    aim = max((measured - state.of(one.tasks) + one.trials for one in rounds), default=measured)
    with _progress_bar(searcher.name, aim, measured) as show:
        for one in rounds:
            with closing(searcher.measure(one.tasks, one.trials, state.log)) as batches:
                for records in batches:
                    state.take(records)
                    show(state.measured.total(), state.standing())
                    measured = state.measured.total()
                    if measured < aim and not left.lasts(state):
                        return (
                            f"stopped after {measured} of {aim} trials: "
                            f"the last {patience} gained less than {NO_GAIN:.0%} of the layers' time"
                        )
    return ""


@dataclass(frozen=True)
class _Round:
    """A round: tasks that are searched together until they have `trials` records."""

    tasks: Sequence[TuningTask]
    trials: int


@dataclass
class _Patience:
    """Trials that the search may still go on without a gain."""

    trials: float
    gained_at: int
    """Number of the trial with the last gain."""
    served: int
    """Number of layers with a time at the last gain."""
    estimate: float
    """Seconds of all these layers at the last gain."""

    def lasts(self, state: _SearchState) -> bool:
        """Whether the search may go on: one of the last `trials` gave a layer its first time, or
        they gained enough."""
        measured, served, estimate = state.measured.total(), len(state.best), state.estimate()
        if served > self.served or estimate < (1 - NO_GAIN) * self.estimate:
            self.gained_at, self.served, self.estimate = measured, served, estimate
        return measured - self.gained_at < self.trials


@dataclass
class _SearchState:
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
        record = _record(self.log, number, line, self.searcher.name, self.searcher.read)
        if record.task not in self.tasks:
            problem = f"line {number} of the tuning log is a record of another network's layer"
            raise UserError(problem, key=str(self.log))
        return record


@contextmanager
def _search_state(
    searcher: Searcher, tasks: Sequence[TuningTask], log: Path, shelf: RecordsOfTarget
) -> Iterator[_SearchState]:
    """The state of a search from its log and the store. Before and after, a record that was
    cut off is removed."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise UserError(f"the tuning log can't be written: {error}", key="tuner") from None
    _cut_partial_record(log)
    state = _SearchState(
        searcher, {task.key: task for task in tasks}, log, shelf, resumed=log.stat().st_size > 0
    )
    state.count(whole_lines(log.read_text()))
    state.take_from_store()
    try:
        yield state
    finally:
        _cut_partial_record(log)


def _cut_partial_record(log: Path) -> None:
    content = log.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with log.open("r+b") as file:
            file.truncate(whole)


@contextmanager
def _progress_bar(name: str, trials: int, measured: int) -> Iterator[Callable[[int, str], None]]:
    from tqdm import tqdm

    with tqdm(total=trials, initial=measured, desc=name, unit="trial") as bar:

        def show(measured: int, standing: str) -> None:
            bar.n = measured
            bar.set_postfix_str(standing, refresh=False)
            bar.refresh()

        yield show


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
