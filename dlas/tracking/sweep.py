"""Frame of the points of one command: all are checked before the first starts, and the table
follows the last.

Hydra 1.3 turns the exceptions of a callback into warnings and does not call `on_multirun_end` when it was
stopped. So the methods here leave by SystemExit, and `abandon` is there for whoever catches the rest.
"""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from dlas.config import Stack, composing
from dlas.errors import UserError
from dlas.files import folders
from dlas.tracking import store as tracking
from dlas.tracking import summary

# Environment variables through which a point, maybe in another process, learns of its sweep.
PARENT, POINTS = "DLAS_SWEEP", "DLAS_POINTS"
MISTAKE, FAILURE = 2, 1

log = logging.getLogger("dlas.run")

_led: list[tracking.OpenRun] = []


def _stopping(method: Callable[..., None]) -> Callable[..., None]:
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

    `check` is given the stacks of all points before the first one starts.
    """

    def __init__(self, check: Callable[[Sequence[Stack]], None]) -> None:
        self._check = check

    @_stopping
    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a single point and its store."""
        stack = composing.stack_of(config)
        _require_one_store([stack])
        self._check([stack])
        _tell_places(_store_of(stack), stack)

    @_stopping
    def on_run_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Print the table of a single point."""
        store = _store_of(composing.stack_of(config))
        _conclude([tracking.fetch(store, job_return.return_value)])

    @_stopping
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check every point, open the sweep's run and tell the points its id."""
        points = composing.sweep_points(config)
        with composing.naming(points):
            stacks = composing.stacks_of(points)
            _require_one_store(stacks)
            self._check(stacks)
        store = _store_of(stacks[0])
        _tell_places(store, stacks[0])
        overrides = composing.overridden(config)
        tags = {"dlas.overrides": " ".join(overrides)}
        run = tracking.start_sweep(store, f"sweep {run_name(overrides)}".strip(), tags)
        _led.append(run)
        for name, value in ((PARENT, run.run_id), (POINTS, str(len(points)))):
            config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{name}='{value}'")

    @_stopping
    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Close the sweep's run and print the table of its points."""
        run = _led.pop()
        records = tracking.points(run.store, run.run_id)
        finished = all(record.status == "FINISHED" for record in records)
        tracking.close(run, "FINISHED" if finished else "FAILED")
        _conclude(records)


def run_name(overrides: list[str]) -> str:
    """Name of a run: the choices by which a person tells runs apart, without the places
    where they are kept."""
    return " ".join(item for item in overrides if not item.startswith(("artifacts=", "tracking.", "hydra.")))


def abandon(status: str) -> None:
    """End the sweep that this process still leads, if any, and print what there is of its table."""
    while _led:
        run = _led.pop()
        tracking.close(run, status)
        print(summary.table(tracking.points(run.store, run.run_id)))


def _require_one_store(stacks: list[Stack]) -> None:
    """UserError where the points have several."""
    first = stacks[0]
    if any((stack.artifacts, stack.tracking) != (first.artifacts, first.tracking) for stack in stacks):
        remedy = "leave artifacts and tracking out of the sweep"
        raise UserError("the points of one sweep share one store", key="artifacts", remedy=remedy)


def _store_of(stack: Stack) -> tracking.Store:
    """The store of a point; raises `UserError` before any work."""
    artifacts = Path(stack.artifacts)
    folders.require_writable(artifacts)
    with folders.disk_troubles(artifacts):
        return tracking.open_store(artifacts, stack.tracking.uri, stack.tracking.experiment)


def _tell_places(store: tracking.Store, stack: Stack) -> None:
    """Say, as the first line of a run, where it writes."""
    uri, experiment = tracking.shown(store.uri), stack.tracking.experiment
    log.info("runs go to %s (experiment %s), files to %s", uri, experiment, stack.artifacts)


def _conclude(records: list[tracking.Record]) -> None:
    """Print the table, and leave with an exit status that says whether every point was finished."""
    print(summary.table(records))
    if any(record.status != "FINISHED" for record in records):
        sys.exit(FAILURE)
