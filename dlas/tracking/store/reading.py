"""Reading of runs, by their ids and by what they carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlas.errors import UserError, first_line
from dlas.tracking import remote
from dlas.tracking.store import files
from dlas.tracking.store.client import client_errors
from dlas.tracking.store.entities import Record, Store
from dlas.tracking.store.names import (
    BUNDLE,
    COMPARISON,
    EARLIER,
    KIND,
    ORIGIN,
    PARENT,
    REDEPLOYMENT,
    STAGES,
    SWEEP,
)
from dlas.tracking.store.opening import failure

PAGE = 200
"""Runs that are asked for at a time: MLflow takes up to a megabyte of memory for ten."""

UNDER = {
    REDEPLOYMENT: "a redeployment, whose results lie under its point",
    COMPARISON: "a comparison, whose results lie under its first point or its sweep",
}
"""What runs are that are neither points nor sweeps, by their kind."""


def fetch(store: Store, run_id: str) -> Record:
    """The run; UserError (run) where the store has none of that id, or none that the user may read,
    (tracking.uri) where it fails."""
    try:
        return _record(store.client.get_run(run_id))
    except client_errors() as error:
        remedy = f"the id on the run's page in MLflow ({remote.shown(store.uri)})"
        if _of_no_run(error):
            problem = f"there is no run '{run_id}': {first_line(error)}"
        elif _is_denied(error):
            problem = f"there is no run '{run_id}' that you may read: {first_line(error)}"
            remedy += ", and the right to read its experiment"
        else:
            raise failure(error) or error from None
        raise UserError(problem, key="run", remedy=remedy) from None


def fetch_made(store: Store, run_id: str) -> Record:
    """The run of a point or a sweep; UserError where the store has none of that id, or one that lies under
    these."""
    run = fetch(store, run_id)
    what = UNDER.get(run.tags.get(KIND, ""))
    if what is not None:
        remedy = f"run={run.tags[PARENT]}" if PARENT in run.tags else "the id of a point's own run"
        problem = f"'{run_id}' is {what}"
        raise UserError(problem, key="run", remedy=remedy)
    return run


def has(store: Store, run_id: str) -> bool:
    """Whether the store has a run of that id."""
    try:
        store.client.get_run(run_id)
    except client_errors() as error:
        if _of_no_run(error):
            return False
        raise
    return True


def _of_no_run(error: Exception) -> bool:
    """Whether MLflow says that it has no run of an id, or that no run could have it."""
    return getattr(error, "error_code", None) in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _is_denied(error: Exception) -> bool:
    """Whether MLflow refuses to read a run. A server with authorization does so too where it has none of the
    id: who may not read a run is not told that it exists."""
    return getattr(error, "error_code", None) == "PERMISSION_DENIED"


def kept(store: Store, run_id: str) -> Record | None:
    """The run of that id; None where there is none, or it was deleted."""
    from mlflow.entities import LifecycleStage

    if not has(store, run_id):
        return None
    run = store.client.get_run(run_id)
    return None if run.info.lifecycle_stage == LifecycleStage.DELETED else _record(run)


def of_origin(store: Store, origin: str) -> Record | None:
    """The run that has another id where it was made; None where no run of the store came from there."""
    found = found_by(store, _experiments(store), f"tags.`{ORIGIN}` = '{origin}'")
    return found[0] if found else None


def fetch_bundle(store: Store, run_id: str, destination: Path) -> Path:
    """Copy the run's bundle under `destination`, and return its folder; `UserError` where it has none."""
    fetch(store, run_id)
    if not files.sizes(store, run_id, BUNDLE):
        raise UserError(
            f"the run '{run_id}' has no bundle", key="run", remedy="a run whose status is FINISHED"
        )
    return files.download(store, run_id, BUNDLE, destination)


def fetch_file(store: Store, run: Record, place: Path, destination: Path) -> Path:
    """A file or a folder of a run that the store has, to be read: where it lies if that is on a disk of this
    machine, else copied under `destination`; UserError where it can't be had. The store is not asked for the
    run again, which would take longer than the file."""
    assert run.files is not None
    unreadable: tuple[type[Exception], ...] = (OSError, *client_errors())
    try:
        folder = files.folder_from(store, run.run_id, run.files)
        if folder is not None and (folder / place).exists():
            return folder / place
        return files.download_from(store, run.run_id, run.files, place.as_posix(), destination)
    except unreadable:
        problem = f"the run '{run.run_id}' has no {place.as_posix()}, or it can't be fetched"
        raise UserError(problem, key="run", remedy="a finished run of this store") from None


def finished(store: Store, run_id: str) -> tuple[list[Record], list[Record]]:
    """The finished runs that an id stands for, itself or the points of a sweep; and the sweep's other points.

    Raises `UserError` where there is no such run, or a sweep without a finished point.
    """
    run = fetch_made(store, run_id)
    if run.tags.get(KIND) != SWEEP:
        return [run], []
    found = points(store, run_id)
    done = [point for point in found if point.status == "FINISHED"]
    if not done:
        raise UserError(
            f"no point of the sweep '{run_id}' is finished", key="run", remedy="the id of another run"
        )
    return done, [point for point in found if point not in done]


def points(store: Store, sweep: str) -> list[Record]:
    """The points of a sweep: first those that it took from earlier ones, then its own in the order in which
    they started."""
    found = []
    for name, taken in sorted(fetch(store, sweep).tags.items()):
        if name.startswith(f"{EARLIER}."):
            listed = ", ".join(f"'{run}'" for run in taken.split())
            found += found_by(store, [store.experiment_id], f"attributes.run_id IN ({listed})")
    chosen = f"tags.`{PARENT}` = '{sweep}' and tags.`{KIND}` = 'point'"
    return found + found_by(store, [store.experiment_id], chosen)


def newest_sweep(store: Store) -> Record | None:
    """The sweep that was started last; None where there is none."""
    found = store.client.search_runs(
        [store.experiment_id],
        f"tags.`{KIND}` = '{SWEEP}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return _record(found[0]) if found else None


def sweep_points(store: Store, run_id: str) -> list[Record]:
    """The points of the sweep of that id; UserError where there is no such run, or it is no sweep."""
    if fetch(store, run_id).tags.get(KIND) != SWEEP:
        raise UserError(f"'{run_id}' is no sweep", key="sweep", remedy="the id of a sweep's own run")
    return points(store, run_id)


def alike(store: Store, params: Mapping[str, str], most: int) -> list[Record]:
    """The last points, `most` at most, that have these parameters, the newest first, however they ended."""
    chosen = [f"params.`{name}` = '{value}'" for name, value in params.items() if "'" not in value]
    found = store.client.search_runs(
        [store.experiment_id],
        " and ".join([f"tags.`{KIND}` = 'point'", *chosen]),
        order_by=["attributes.start_time DESC"],
        max_results=most,
    )
    return [_record(run) for run in found]


def with_stages(store: Store) -> list[Record]:
    """The runs of all experiments that tell which stage results they used."""
    return found_by(store, _experiments(store), f"tags.`{STAGES}` LIKE '%'")


def runs(store: Store) -> list[Record]:
    """All runs of the experiment that DLAS made, sweeps and redeploys among them."""
    return found_by(store, [store.experiment_id], f"tags.`{KIND}` LIKE '%'")


def unfinished(store: Store) -> list[Record]:
    """The runs of all experiments, sweeps among them, that go on, were stopped or failed."""
    return found_by(store, _experiments(store), "attributes.status != 'FINISHED'")


def running(store: Store) -> list[Record]:
    """The runs of all experiments, sweeps among them, that go on or were left."""
    return found_by(store, _experiments(store), "attributes.status = 'RUNNING'")


def _experiments(store: Store) -> list[str]:
    return [experiment.experiment_id for experiment in store.client.search_experiments()]


def found_by(store: Store, experiments: list[str], chosen: str) -> list[Record]:
    """The runs that `chosen` selects, in the order in which they started."""
    found: list[Record] = []
    token: str | None = None
    while token is None or token:
        page = store.client.search_runs(
            experiments, chosen, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        found += [_record(run) for run in page]
        token = page.token or ""
    return found


def _record(run: Any) -> Record:
    info, data = run.info, run.data
    ended = math.inf if info.end_time is None else info.end_time / 1000
    told = data.params, data.metrics, data.tags
    return Record(info.run_id, info.run_name, info.status, *told, ended, info.artifact_uri)
