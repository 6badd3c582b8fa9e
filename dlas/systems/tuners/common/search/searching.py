"""Search for any tuner: the budget, the store of what was measured before, the progress bar.

The budget is of candidates measured for the whole model, whenever they were measured: records of its layers
in the store count. Layers that the store has nothing of are searched first, each with its share.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dlas.errors import UserError
from dlas.hardware.targets.fitting import misfits
from dlas.hardware.targets.machine import this_machine
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import Tuning, TuningTask
from dlas.interfaces.tuning_records import TuningRecords
from dlas.systems.tuners.common.search.searcher import Searcher
from dlas.systems.tuners.common.search.state import SearchState, search_state

logger = logging.getLogger(__name__)

NO_GAIN = 0.01
"""Smallest gain that counts, as a share of all layers' time: measurements differ by as much."""


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

    def rounds(state: SearchState) -> list[_Round]:
        new = [task for key, task in state.tasks.items() if key not in state.best]
        return [_Round(new, candidates * len(new))] if new else []

    return _searched(searcher, tasks, target, log, store, rounds, patience=math.inf)


def _searched(
    searcher: Searcher,
    tasks: Sequence[TuningTask],
    target: Target,
    log: Path,
    store: TuningRecords,
    rounds: Callable[[SearchState], list[_Round]],
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
    with search_state(searcher, tasks, log, store.shelf(searcher.version, target)) as state:
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


def _rounds(state: SearchState, trials: int) -> list[_Round]:
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


def _measure(searcher: Searcher, rounds: Sequence[_Round], state: SearchState, patience: float) -> str:
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

    def lasts(self, state: SearchState) -> bool:
        """Whether the search may go on: one of the last `trials` gave a layer its first time, or
        they gained enough."""
        measured, served, estimate = state.measured.total(), len(state.best), state.estimate()
        if served > self.served or estimate < (1 - NO_GAIN) * self.estimate:
            self.gained_at, self.served, self.estimate = measured, served, estimate
        return measured - self.gained_at < self.trials


@contextmanager
def _progress_bar(name: str, trials: int, measured: int) -> Iterator[Callable[[int, str], None]]:
    from tqdm import tqdm

    with tqdm(total=trials, initial=measured, desc=name, unit="trial") as bar:

        def show(measured: int, standing: str) -> None:
            bar.n = measured
            bar.set_postfix_str(standing, refresh=False)
            bar.refresh()

        yield show
