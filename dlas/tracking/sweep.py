"""Frame of the points of one command: all are checked before the first starts, and the table
follows the last.

Hydra 1.3 turns the exceptions of a callback into warnings and does not call `on_multirun_end` when it was
stopped. So the methods here leave by SystemExit, and `abandon` is there for whoever catches the rest.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from dlas.config import Stack, composing, identity, unheard
from dlas.errors import UserError, require
from dlas.files import folders
from dlas.tracking import delivery, jobs, leftovers, objectives, remote
from dlas.tracking import store as tracking
from dlas.tracking.delivery import Place
from dlas.tracking.embedded import fresh

# Environment variables through which a point, maybe in another process, learns of its sweep.
PARENT, POINTS, UNCHECKED = "DLAS_SWEEP", "DLAS_POINTS", "DLAS_UNCHECKED"
SHARED = "DLAS_SHARED"
"""The overrides that all points have, as JSON in hexadecimal digits: Hydra would read quotes and commas."""

REPEATED = "DLAS_REPEATED"
"""The numbers of the points that are the same as one before them, for their compiler."""

EVERY = "every point"
"""What UNCHECKED says where the points are found on the way."""

MISTAKE, FAILURE, NOT_SENT = 2, 1, 3
# Which points are made again where nothing is said of it.
SWEPT, ALL = "failed", "all"
LOST_SECONDS = 2.0
"""Time that jobs have to end when their launcher gave up."""

log = logging.getLogger("dlas.run")


@dataclass(frozen=True)
class Led:
    """A sweep that this process leads: its run, where runs go, its points by name as far as they are certain,
    its launcher, and what ends its heartbeat."""

    run: tracking.OpenRun
    place: Place
    points: tuple[str, ...]
    launcher: str
    end_beating: Callable[[], None]


_led: list[Led] = []


def stopping(method: Callable[..., None]) -> Callable[..., None]:
    """Have the method of a callback leave with an exit status where it raises."""

    @functools.wraps(method)
    def called(*arguments: Any, **named: Any) -> None:
        try:
            method(*arguments, **named)
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(MISTAKE)
        except Exception:
            traceback.print_exc()
            sys.exit(FAILURE)

    return called


class SweepCallback(Callback):
    """The callback of Hydra that `hydra.callbacks.sweep` in conf/config.yaml names.

    `begin` starts, once the config is right, what takes seconds until it can check. `check` is given the
    stacks of the points before the first one starts, and Hydra's own part of the config; it returns those
    that could not be checked. `fingerprint` gives the hash by which a point's earlier run is found.
    """

    def __init__(
        self,
        begin: Callable[[], object],
        check: Callable[[Sequence[Stack], DictConfig], Sequence[Stack]],
        fingerprint: Callable[[Stack], str],
    ) -> None:
        self._begin = begin
        self._check = check
        self._fingerprint = fingerprint

    @stopping
    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a single point and its store; leave where an earlier run is to be taken."""
        stack = composing.stack_of(config)
        require_one_store([stack])
        _tell_unheard([stack], [composing.overridden(config)])
        self._begin()
        known = self._earlier([stack], ALL)
        if known:
            _conclude(list(known.values()), {run.run_id for run in known.values()})
            sys.exit()
        with made_ahead(stack) as make:
            os.environ[UNCHECKED] = _identities(self._check([stack], config.hydra))
            _tell_places(_store_of(stack, make), stack)

    @stopping
    def on_run_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Print the table of a single point."""
        place = _place_of(composing.stack_of(config))
        run = delivery.fetch(place, job_return.return_value)
        store = None if tracking.UNSENT in run.tags else delivery.reach(place)
        if store is not None:
            _register(store, [run])
        _conclude([run])

    @stopping
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check every point that has no earlier run, open the sweep's run and tell the points its id; leave
        where no point is to be made."""
        composing.require_launcher(config)
        points = composing.sweep_points(config)
        with composing.naming(points):
            stacks = composing.stacks_of(points)
            require_one_store(stacks)
        self._begin()
        searching = composing.searches(config)
        if searching:
            _minimize(config, stacks[0].objectives)
        typed = [composing.overridden(point) for point in points]
        _tell_unheard(stacks, typed)
        typed = [unheard.without(given, stack) for given, stack in zip(typed, stacks, strict=True)]
        again = unheard.repeated(stacks)
        known = self._earlier(stacks, ALL if searching else SWEPT)
        taken = list(dict.fromkeys(run.run_id for run in known.values()))
        left = [place for place in range(len(stacks)) if place not in known and place not in again]
        if not left:
            _conclude(list({run.run_id: run for run in known.values()}.values()), taken)
            sys.exit()
        with made_ahead(stacks[0]) as make:
            with composing.naming(points), of_all(left):
                unchecked = _identities(self._check([stacks[place] for place in left], config.hydra))
            store = _store_of(stacks[0], make)
        _tell_places(store, stacks[0])
        overrides = composing.overridden(config)
        tags = {"dlas.overrides": " ".join(overrides)}
        run = tracking.start_sweep(store, f"sweep {run_name(overrides)}".strip(), tags, taken)
        certain = composing.tells_points(config)
        shared = frozenset(typed[0]).intersection(*typed[1:]) if certain else frozenset[str]()
        names = tuple(_differing(typed[place], shared) for place in left) if certain else ()
        end_beating = jobs.keep_beating(store, run.run_id)
        _led.append(Led(run, _place_of(stacks[0]), names, composing.launcher(config), end_beating))
        told = {
            PARENT: run.run_id,
            POINTS: str(len(points) - len(again)) if certain else "",
            REPEATED: " ".join(map(str, again)) if certain else "",
            SHARED: json.dumps(sorted(shared)).encode().hex(),
            UNCHECKED: EVERY if searching else unchecked,
        }
        for name, value in told.items():
            config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{name}='{value}'")

    @stopping
    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Close the sweep's run and print the table of its points."""
        led = _led.pop()
        led.end_beating()
        delivery.send_again(led.place)
        records = delivery.points(led.place, led.run.store, led.run.run_id)
        _note_outcome(led, records)
        finished = all(record.status == "FINISHED" for record in records)
        delivery.end_sweep(led.place, led.run, "FINISHED" if finished else "FAILED")
        _conclude(records, _not_of(records, led.run.run_id))

    def _earlier(self, stacks: Sequence[Stack], rerun: str) -> dict[int, tracking.Record]:
        """The earlier runs that are taken, by the places of their points. `rerun` is that of points which say
        nothing of it. What dead processes left in the store is cleared up, but no store is made."""
        first = stacks[0]
        if not tracking.is_there(tracking.store_uri(Path(first.artifacts), first.tracking.uri)):
            return {}
        store, kept = _opened(first), _place_of(first)
        _clear_up(kept, store)
        found = {}
        for place, stack in enumerate(stacks):
            run = delivery.earlier(kept, store, self._fingerprint(stack), stack.rerun or rerun)
            if run is not None:
                found[place] = run
        return found


@contextmanager
def of_all(left: Sequence[int]) -> Iterator[None]:
    """Have a UserError about one of the points at these places tell its place among all."""
    try:
        yield
    except UserError as error:
        error.point = None if error.point is None else left[error.point]
        raise


def _not_of(records: Sequence[tracking.Record], sweep: str) -> list[str]:
    """The ids of those that are of another sweep, or none."""
    return [record.run_id for record in records if record.tags.get(tracking.PARENT) != sweep]


def is_led_here() -> bool:
    """Whether this process makes its points one after the other, and is no helper of the one that leads."""
    return bool(_led) or PARENT not in os.environ


def count_led() -> int:
    """Number of points that are made for the sweep which this process leads; 1 where it leads none."""
    return len(_led[-1].points) if _led else 1


def short_name(overrides: list[str]) -> str:
    """Name of a point: the overrides that not all points of its sweep have."""
    shared = os.environ.get(SHARED)
    return _differing(overrides, frozenset(json.loads(bytes.fromhex(shared)) if shared else ()))


def _differing(overrides: list[str], shared: frozenset[str]) -> str:
    return run_name([override for override in overrides if override not in shared]) or run_name(overrides)


def is_unchecked(stack: Stack) -> bool:
    """Whether the point is one that could not be checked with the others."""
    unchecked = os.environ.get(UNCHECKED, "")
    return unchecked == EVERY or identity(stack) in unchecked.split()


def position(number: int) -> str:
    """The place of a point in its sweep, from 0, as the log tells it; "" of a single one."""
    if PARENT not in os.environ:
        return ""
    place = number + 1 - sum(each < number for each in _repeated())
    return f"[{place}/{os.environ[POINTS]}] " if os.environ[POINTS] else f"[{place}] "


def is_repeated(number: int) -> bool:
    """Whether the point of that number is the same as one before it, for its compiler."""
    return number in _repeated()


def _repeated() -> list[int]:
    return [int(number) for number in os.environ.get(REPEATED, "").split()]


def _tell_unheard(stacks: Sequence[Stack], typed: Sequence[Sequence[str]]) -> None:
    for sentence in unheard.told(stacks, typed):
        log.info("%s", sentence)


def told(place: Place, run_id: str, wanted: Sequence[str]) -> str | float | tuple[float, ...] | None:
    """What the sweeper is told of a point: the id of its run, or its values for the objectives that are
    wanted, None where it has none."""
    if not wanted or PARENT not in os.environ:
        return run_id
    values = objectives.values(delivery.fetch(place, run_id), wanted)
    return values[0] if values is not None and len(values) == 1 else values


def take(store: tracking.Store | None, earlier: tracking.Record, number: int) -> None:
    """Count an earlier run as the point of that number of this process's sweep, if it is none of it yet."""
    sweep = os.environ.get(PARENT)
    if store is None or sweep is None or earlier.tags.get(tracking.PARENT) == sweep:
        return
    tags = tracking.fetch(store, sweep).tags
    if not any(earlier.run_id in text for name, text in tags.items() if name.startswith(tracking.EARLIER)):
        tracking.OpenRun(store, sweep).log(tags={f"{tracking.EARLIER}.search.{number}": earlier.run_id})


def records(run_ids: Sequence[str]) -> list[tracking.Record]:
    """Runs of the sweep that this process leads."""
    return [delivery.fetch(_led[-1].place, run_id) for run_id in run_ids]


def _identities(stacks: Sequence[Stack]) -> str:
    return " ".join(identity(stack) for stack in stacks)


def run_name(overrides: list[str]) -> str:
    """Name of a run: the choices by which a person tells runs apart, without the places
    where they are kept."""
    return " ".join(
        item
        for item in overrides
        if not item.startswith(("artifacts=", "tracking.", "hydra.", "objectives="))
    )


def launcher() -> str | None:
    """The launcher of the sweep that this process still leads, where its jobs are processes of their own."""
    return next((led.launcher for led in _led if led.launcher != composing.BASIC_LAUNCHER), None)


def abandon(status: str) -> None:
    """End the sweep that this process still leads, if any, when it is KILLED its jobs too; print what there
    is of its table, and the points that were not begun."""
    while _led:
        led = _led.pop()
        led.end_beating()
        delivery.end_sweep(led.place, led.run, status)
        if led.launcher != composing.BASIC_LAUNCHER:
            _end_jobs(led, status)
        begun = delivery.points(led.place, led.run.store, led.run.run_id)
        _note_outcome(led, begun)
        taken = _not_of(begun, led.run.run_id)
        _print_table(begun, taken)
        left = Counter(led.points) - Counter(point.name for point in begun if point.run_id not in taken)
        if left:
            print(f"not begun, {left.total()} of {len(led.points)} points:")
            print("".join(f"  {name}\n" for name in left.elements()), end="")


def _end_jobs(led: Led, status: str) -> None:
    """Have the jobs of a KILLED sweep end, and close the runs of those that ended with their launcher."""
    if status == "KILLED":
        jobs.stop(led.run.store, led.run.run_id)
    else:
        jobs.wait_for_ends(led.run.store, led.run.run_id, LOST_SECONDS)
    try:
        _clear_up(led.place, led.run.store)
    except Exception as error:  # the store may be what failed
        log.warning("runs of jobs that ended are closed by the next command: %s", error)


def _minimize(config: DictConfig, wanted: Sequence[str]) -> None:
    """Have the sweeper look for less of each objective; UserError where there is none."""
    remedy = "such as objectives=[latency_ms,top1_error]"
    require(bool(wanted), "objectives", "says not what this sweeper is to search for", remedy)
    with open_dict(config.hydra.sweeper):
        config.hydra.sweeper.direction = ["minimize"] * len(wanted)


def require_one_store(stacks: list[Stack]) -> None:
    """UserError where the points have several."""
    first = stacks[0]
    if any((stack.artifacts, stack.tracking) != (first.artifacts, first.tracking) for stack in stacks):
        remedy = "leave artifacts and tracking out of the sweep"
        raise UserError("the points of one sweep share one store", key="artifacts", remedy=remedy)


def _opened(stack: Stack) -> tracking.Store:
    """The store of a point, as the command starts; raises `UserError` before any work."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts):
        store = tracking.open_store(artifacts, stack.tracking.uri, stack.tracking.experiment)
    tracking.require_place_for_files(store)
    return store


@contextmanager
def made_ahead(stack: Stack) -> Iterator[fresh.Make | None]:
    """What makes the store's database, which is being made meanwhile; None where none is to be made."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts), tracking.made_ahead(artifacts, stack.tracking.uri) as make:
        yield make


def _store_of(stack: Stack, make: fresh.Make | None) -> tracking.Store:
    """The store of a point, later on; if it is not there yet, it is made here, once all points are
    checked."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts):
        return tracking.join_store(artifacts, stack.tracking.uri, stack.tracking.experiment, make)


def _tell_places(store: tracking.Store, stack: Stack) -> None:
    """Say, as the first line of a run, where it writes."""
    uri, experiment = remote.shown(store.uri), stack.tracking.experiment
    log.info("runs go to %s (experiment %s), files to %s", uri, experiment, stack.artifacts)


def _place_of(stack: Stack) -> Place:
    """Where the run of a point goes."""
    return Place(Path(stack.artifacts), stack.tracking.uri, stack.tracking.experiment)


def _clear_up(place: Place, store: tracking.Store) -> None:
    """Send what waits, close the runs of other processes that are over, with what they wrote, and remove
    their scratch folders."""
    artifacts = place.artifacts
    delivery.send_all(place, store)
    for run in leftovers.close_left(store, [folder.name for folder in delivery.folders(artifacts)]):
        written = folders.scratch(artifacts, run.run_id) / delivery.FILES / tracking.OUTPUT
        if written.is_file():
            tracking.OpenRun(store, run.run_id).log_output(written)
    for folder in folders.remove_left(artifacts, time.time()):
        log.info("%s was left by a process that is over: removed", folder)


def _note_outcome(led: Led, points: Sequence[tracking.Record]) -> None:
    """Have the store tell what the sweep came to; a warning where it can't be told."""
    _register(led.run.store, points)
    from dlas.tracking.outcome import marks  # SciPy is behind it, as behind the table

    try:
        with remote.hasty():
            marks.note(led.run, points)
    except Exception as error:  # whatever the store's client raises
        log.warning("the sweep's run lacks what the table says: %s", tracking.first_line(error))


def _register(store: tracking.Store, points: Sequence[tracking.Record]) -> None:
    from dlas.tracking.outcome import models

    models.register(store, points)


def _print_table(points: Sequence[tracking.Record], earlier: Collection[str]) -> None:
    from dlas.tracking.outcome import summary  # SciPy is behind it: a refused config does not wait for it

    print(summary.table(points, earlier))


def _conclude(records: Sequence[tracking.Record], earlier: Collection[str] = ()) -> None:
    """Print the table, and leave with an exit status that says whether every point was finished."""
    _print_table(records, earlier)
    if any(record.status != "FINISHED" for record in records):
        sys.exit(FAILURE)
    if any(tracking.UNSENT in record.tags for record in records):
        sys.exit(NOT_SENT)
