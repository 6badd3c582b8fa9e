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
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from dlas.config import Stack, composing, unheard
from dlas.errors import UserError, require
from dlas.processes import slurm
from dlas.tracking import delivery, jobs
from dlas.tracking import store as tracking
from dlas.tracking.sweep.closing import FAILURE, MISTAKE, conclude, not_of
from dlas.tracking.sweep.leading import Led, led_here, note_outcome
from dlas.tracking.sweep.membership import (
    EVERY,
    PARENT,
    PLANNED,
    POINTS,
    REPEATED,
    SHARED,
    UNCHECKED,
    differing,
    identities,
    planned,
    run_name,
)
from dlas.tracking.sweep.places import (
    clear_up,
    made_ahead,
    opened,
    place_of,
    require_one_store,
    store_of,
    tell_places,
)

# Which points are made again where nothing is said of it.
SWEPT, ALL = "failed", "all"

log = logging.getLogger("dlas.run")


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

    `begin` starts, once a point is right, what takes seconds until it can check; it may be called again while
    the other points are composed, which takes seconds where they are many. `check` is given the
    stacks of the points before the first one starts, and Hydra's own part of the config; it returns those
    that could not be checked. `fingerprint` gives the hash by which a point's earlier run is found, `code`
    that of the code which makes it.
    """

    def __init__(
        self,
        begin: Callable[[], object],
        check: Callable[[Sequence[Stack], DictConfig], Sequence[Stack]],
        fingerprint: Callable[[Stack], str],
        code: Callable[[Stack], str],
    ) -> None:
        self._begin = begin
        self._check = check
        self._fingerprint = fingerprint
        self._code = code

    @stopping
    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a single point and its store; leave where an earlier run is to be taken."""
        stack = composing.stack_of(config)
        require_one_store([stack])
        _tell_unheard([stack], [composing.overridden(config)])
        self._begin()
        known = self._earlier([stack], ALL)
        if known:
            conclude(list(known.values()), place_of(stack), {run.run_id for run in known.values()})
            sys.exit()
        with made_ahead(stack) as make:
            os.environ[UNCHECKED] = identities(self._check([stack], config.hydra))
            tell_places(store_of(stack, make), stack)

    @stopping
    def on_run_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Print the table of a single point."""
        place = place_of(composing.stack_of(config))
        run = delivery.fetch(place, job_return.return_value)
        store = None if tracking.UNSENT in run.tags else delivery.reach(place)
        if store is not None:
            from dlas.tracking.outcome import models

            models.register(store, [run])
        conclude([run], place)

    @stopping
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check every point that has no earlier run, open the sweep's run and tell the points its id; leave
        where no point is to be made."""
        composing.require_launcher(config)
        if composing.launcher(config) == composing.SLURM_LAUNCHER:
            slurm.warn_of_lost_jobs()
        points = composing.sweep_points(config, self._begin)
        with composing.naming(points):
            stacks = composing.stacks_of(points)
            require_one_store(stacks)
        self._begin()
        searching = composing.searches(config)
        if searching:
            minimize(config, stacks[0].objectives)
        typed = [point.overrides for point in points]
        _tell_unheard(stacks, typed)
        heard = [unheard.without(given, stack) for given, stack in zip(typed, stacks, strict=True)]
        again = unheard.repeated(stacks)
        known = self._earlier(stacks, ALL if searching else SWEPT)
        taken = list(dict.fromkeys(run.run_id for run in known.values()))
        left = [place for place in range(len(stacks)) if place not in known and place not in again]
        if not left:
            found = list({run.run_id: run for run in known.values()}.values())
            conclude(found, place_of(stacks[0]), taken)
            sys.exit()
        with made_ahead(stacks[0]) as make:
            with composing.naming(points), of_all(left):
                unchecked = identities(self._check([stacks[place] for place in left], config.hydra))
            store = store_of(stacks[0], make)
        tell_places(store, stacks[0])
        overrides = composing.overridden(config)
        tags = {"dlas.overrides": shlex.join(overrides)}
        run = tracking.start_sweep(store, f"sweep {run_name(overrides)}".strip(), tags, taken)
        certain = composing.tells_points(config)
        shared = frozenset[str]() if searching else frozenset(heard[0]).intersection(*heard[1:])
        names = tuple(differing(heard[place], shared) for place in left) if certain else ()
        end_beating = jobs.keep_beating(store, run.run_id)
        apart = composing.launcher(config) != composing.BASIC_LAUNCHER
        folder = Path(config.hydra.sweep.dir)
        led_here.append(Led(run, place_of(stacks[0]), names, composing.launcher(config), folder, end_beating))
        told = {
            PARENT: run.run_id,
            POINTS: str(len(points) - len(again)) if certain else "",
            REPEATED: " ".join(map(str, again)) if certain else "",
            SHARED: json.dumps(sorted(shared)).encode().hex(),
            UNCHECKED: EVERY if searching else unchecked,
            PLANNED: planned([(stack, self._code(stack)) for stack in stacks])
            if apart and not searching
            else "",
        }
        for name, value in told.items():
            config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{name}='{value}'")
        composing.note_checked(config)

    @stopping
    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Close the sweep's run and print the table of its points."""
        led = led_here.pop()
        led.end_beating()
        delivery.send_again(led.place)
        records = delivery.points(led.place, led.run.store, led.run.run_id)
        note_outcome(led, records)
        finished = all(record.status == "FINISHED" for record in records)
        delivery.end_sweep(led.place, led.run, "FINISHED" if finished else "FAILED")
        conclude(records, led.place, not_of(records, led.run.run_id))

    def _earlier(self, stacks: Sequence[Stack], rerun: str) -> dict[int, tracking.Record]:
        """The earlier runs that are taken, by the places of their points. `rerun` is that of points which say
        nothing of it. What dead processes left in the store is cleared up, but no store is made."""
        first = stacks[0]
        if not tracking.is_there(tracking.store_uri(Path(first.artifacts), first.tracking.uri)):
            return {}
        store, kept = opened(first), place_of(first)
        clear_up(kept, store)
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


def minimize(config: DictConfig, wanted: Sequence[str]) -> None:
    """Have the sweeper look for less of each objective; UserError where there is none."""
    remedy = "such as objectives=[latency_ms,top1_error]"
    require(bool(wanted), "objectives", "says not what this sweeper is to search for", remedy)
    with open_dict(config.hydra.sweeper):
        config.hydra.sweeper.direction = ["minimize"] * len(wanted)


def _tell_unheard(stacks: Sequence[Stack], typed: Sequence[Sequence[str]]) -> None:
    for sentence in unheard.told(stacks, typed):
        log.info("%s", sentence)
