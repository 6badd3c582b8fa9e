"""The store of runs: the only module that knows MLflow.

A sweep is a parent run, a point is a run under it, and a redeploy is one under its point; earlier versions
put redeploys under the sweep. Runs are made through `MlflowClient` rather than `mlflow.start_run`: its exit
hook would mark a run that was stopped by Ctrl-C as FINISHED.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas.errors import UserError, require
from dlas.processes import identity
from dlas.tracking import experiment_kind, files, output, remote
from dlas.tracking.embedded import fresh, location, schema
from dlas.tracking.embedded.address import SQLITE, address_of, database_at

if TYPE_CHECKING:
    from mlflow import MlflowClient

BUNDLE = "bundle"
OUTPUT = "log.txt"
REPORT = "report"
# Tags that a run carries: what it is, why it failed, which run it repeats.
KIND, ERROR, ORIGINAL = "dlas.kind", "dlas.error", "dlas.original"
# The stage results that a point took, `<stage>/<key>` each, in order.
STAGES = "dlas.stages"
# Prefix of the metrics that tell how many seconds each stage took that the point made from its beginning.
SECONDS = "seconds."
# The process that writes a run, and when it was last heard of (seconds since the epoch).
PROCESS, HEARTBEAT = "dlas.process", "dlas.heartbeat"
# Beginning of the error of a run that was closed since its process was taken to be over.
LEFT = "its process is over"
# What the numbers of a point depend on, as one hash; the runs that a sweep took instead of making them again.
FINGERPRINT, EARLIER = "dlas.fingerprint", "dlas.earlier"
# The id that a run has where it was made, where that is another one.
ORIGIN = "dlas.origin"
# Of the record of a run that waits to be sent: its folder. No store has it.
UNSENT = "dlas.unsent"
# What tells of a board that did not hold still: while the network was timed, while its kernels were chosen.
UNSTEADY = ("dlas.unsteady", "dlas.unsteady_choices")
# Tag of a point that no other one of its sweep beats: true.
FRONT = "dlas.front"
# Tag by which MLflow's UI shows that a folder of a run is a model.
MODELS = "mlflow.log-model.history"
SWEEP = "sweep"
# The statuses of runs that make a new one needless, by what `rerun` says.
COUNTED: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "failed": ("FINISHED",),
    "unsteady": ("FINISHED", "FAILED"),
    "none": ("FINISHED", "FAILED"),
}
# MLflow's own tag by which a run points at the one above it, and its limits.
PARENT = "mlflow.parentRunId"
BATCH, PARAM_CHARACTERS, TAG_CHARACTERS = 100, 6000, 8000
CLIENT_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
# Without these MLflow's client asks the server for addresses of files in the store behind it, and fetches
# them there: that store may be out of the client's reach.
THROUGH_SERVER = ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD")
# Without it MLflow's UI starts 15 processes instead of 2.
SERVER_ENVIRONMENT = {**CLIENT_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

log = logging.getLogger("dlas.tracking")


@dataclass(frozen=True)
class Store:
    """An experiment of an MLflow store."""

    client: MlflowClient
    uri: str
    experiment_id: str


@dataclass(frozen=True)
class Record:
    """A run as the store tells it. `status` is RUNNING, FINISHED, FAILED or KILLED."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    ended: float
    """Time at which the run ended, in seconds since the epoch; infinite for one that goes on."""
    files: str | None = None
    """Where the run's files are, as the store tells it; None of a run that no store has yet."""


@dataclass(frozen=True)
class Number:
    """A value of a metric."""

    name: str
    value: float
    time: int
    """Time at which it was logged, in milliseconds since the epoch."""
    step: int


@dataclass(frozen=True)
class OpenRun:
    """A run that is being written."""

    store: Store
    run_id: str

    def log(
        self,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log parameters, metrics and tags in as few requests as MLflow allows."""
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        self.log_numbers([Number(name, float(value), now, 0) for name, value in (metrics or {}).items()])
        self.log_texts(params or {}, tags or {})

    def log_numbers(self, numbers: Sequence[Number]) -> None:
        """Log metrics with times of their own; one that is there already is not logged twice."""
        from mlflow.entities import Metric

        metrics = [Metric(one.name, one.value, one.time, one.step) for one in numbers]
        for start in range(0, len(metrics), BATCH):
            self.store.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])

    def log_texts(self, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log parameters, which are never changed again, and tags."""
        from mlflow.entities import Param, RunTag

        settings = [Param(name, value[:PARAM_CHARACTERS]) for name, value in params.items()]
        labels = [RunTag(name, value[:TAG_CHARACTERS]) for name, value in tags.items()]
        for start in range(0, max(len(settings), len(labels)), BATCH):
            batch = slice(start, start + BATCH)
            self.store.client.log_batch(self.run_id, params=settings[batch], tags=labels[batch])

    def log_files(self, folder: Path, inside: str | None = None) -> None:
        """Copy what lies in the folder to the run's own page, into the folder `inside` where one is given."""
        files.upload(self.store, self.run_id, folder, inside)

    def log_output(self, written: Path) -> None:
        """Put what a killed point wrote on the run's own page; where that fails, nothing else does."""
        try:
            output.settle(written)
            files.upload_file(self.store, self.run_id, written)
        except Exception as error:  # whatever the store's client raises
            log.warning("what the point wrote could not be kept: %s", first_line(error))


def store_uri(artifacts: Path, uri: str | None) -> str:
    """Address of the store: `tracking.uri`, else MLFLOW_TRACKING_URI, else sqlite in the artifacts folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or embedded_uri(artifacts)


def embedded_uri(artifacts: Path) -> str:
    """Address of the database in the artifacts folder."""
    return address_of(artifacts / "mlflow.db")


def is_writable(store: Store) -> bool:
    """Whether runs can be written, as far as it shows: not where a database can only be read."""
    return not store.uri.startswith(SQLITE) or location.is_writable(database_at(store.uri))


def is_there(uri: str) -> bool:
    """Whether there may be a store at the address: not where it is a database that was never made."""
    return not uri.startswith(SQLITE) or database_at(uri).exists()


def open_store(artifacts: Path, uri: str | None = None, experiment: str = "dlas") -> Store:
    """The store, for a command that starts: made if it is not there yet; several processes may ask at once.

    Raises `UserError` naming `tracking.uri` where it cannot be used; within seconds, where it is a server.
    """
    address = store_uri(artifacts, uri)
    remote.require_answer(address)
    _quiet()
    remote.require_usable(address, lambda: _connected(address, experiment, None))
    return join_store(artifacts, address, experiment)


@contextmanager
def made_ahead(artifacts: Path, uri: str | None = None) -> Iterator[fresh.Make | None]:
    """What makes the store's database, which a thread is making meanwhile; None where it is there, and where
    the store is not that of the artifacts folder."""
    address = store_uri(artifacts, uri)
    if address != embedded_uri(artifacts) or is_there(address):
        yield None
    else:
        with fresh.made_ahead(artifacts, _make_database) as make:
            yield make


def join_store(
    artifacts: Path, uri: str | None = None, experiment: str = "dlas", make: fresh.Make | None = None
) -> Store:
    """The store, in the middle of a command: a server may be away for some minutes. `make` makes a database
    that is not there yet, in another way than at once.

    Raises `UserError` naming `tracking.uri` where it cannot be opened.
    """
    import filelock

    address = store_uri(artifacts, uri)
    try:
        if not address.startswith(SQLITE):
            # A server says itself where files go; a database has them go to a folder of this machine.
            own = None if remote.is_server(address) else (artifacts / "mlruns").absolute().as_uri()
            return _connected(address, experiment, own)
        problem = f"{address}: what follows a ? is no part of the database's path"
        require("?" not in address, "tracking.uri", problem, "%3F for one in its name")
        database = database_at(address)
        if database.exists() and not location.is_writable(database):
            _quiet()
            schema.require_current(database)
            return _connected(address, experiment, None)
        database.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that make one fresh database break it for good.
        with filelock.FileLock(f"{database}.lock"):
            if database.exists():
                _quiet()
                schema.upgrade(database)
                location.settle(database)
            else:
                (make or _make_database)(database)
            return _connected(address, experiment, location.folder(database).as_uri())
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"{address} cannot be opened: {error}", key="tracking.uri", remedy="a writable place"
        ) from None
    except _client_errors() as error:
        if remote.is_server(address):
            raise remote.explained(address, error) from None
        remedy = "sqlite:////<absolute path>/mlflow.db or the address of an MLflow server"
        raise UserError(
            f"{address} cannot be opened: {first_line(error)}", key="tracking.uri", remedy=remedy
        ) from None


def require_place_for_files(store: Store) -> None:
    """UserError where a store on another machine can't keep the files of runs."""
    if not store.uri.startswith(SQLITE):
        place = str(store.client.get_experiment(store.experiment_id).artifact_location)
        remote.require_place_for_files(store.uri, place)


def start_sweep(store: Store, name: str, tags: Mapping[str, str], earlier: Sequence[str] = ()) -> OpenRun:
    """A parent run; `close` it when its points are done. Runs of `earlier` sweeps count as points of it."""
    parts = [earlier[start : start + BATCH] for start in range(0, len(earlier), BATCH)]
    taken = {f"{EARLIER}.{number}": " ".join(part) for number, part in enumerate(parts)}
    return create(store, name, {**tags, **taken, KIND: SWEEP})


def create(store: Store, name: str, tags: Mapping[str, str], *, started: int | None = None) -> OpenRun:
    """A run that this process writes. It began at `started`, in milliseconds since the epoch, or just now."""
    from mlflow.tracking.context.registry import resolve_tags

    process = {PROCESS: str(identity.this()), HEARTBEAT: str(int(time.time()))}
    given = resolve_tags({**process, **tags})
    labels = {key: value[:TAG_CHARACTERS] for key, value in given.items()}
    experiment_kind.put_right(store.client, store.experiment_id)
    run = store.client.create_run(store.experiment_id, start_time=started, tags=labels, run_name=name)
    return OpenRun(store, run.info.run_id)


def _under(parent: str | None) -> dict[str, str]:
    return {PARENT: parent} if parent else {}


def close(run: OpenRun, status: str) -> None:
    """End a run that is still RUNNING as FINISHED, FAILED or KILLED; one that has ended stays as it is."""
    take_back(run)
    if run.store.client.get_run(run.run_id).info.status == "RUNNING":
        run.store.client.set_terminated(run.run_id, status)


def take_back(run: OpenRun) -> None:
    """Have a run RUNNING again that another process closed as left by a process that is over, which is this
    one: where clocks jump, or those of two machines differ, a heartbeat looks old."""
    found = run.store.client.get_run(run.run_id)
    if found.info.status == "KILLED" and found.data.tags.get(ERROR, "").startswith(LEFT):
        run.store.client.update_run(run.run_id, status="RUNNING")
        run.store.client.delete_tag(run.run_id, ERROR)


def start_point(store: Store, name: str, tags: Mapping[str, str], parent: str | None = None) -> OpenRun:
    """A point's run, under the sweep's run `parent` if it has one."""
    return create(store, name, {**tags, **_under(parent), KIND: "point"})


def log_report(store: Store, sweep: str, folder: Path, short: str) -> None:
    """Put the folder of a report on the sweep's run, and the short report, in Markdown, where MLflow shows a
    run's description."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    files.upload(store, sweep, folder, REPORT)
    store.client.set_tag(sweep, MLFLOW_RUN_NOTE, short[:TAG_CHARACTERS])


def fetch(store: Store, run_id: str) -> Record:
    """The run, or `UserError` where the store has none of that id."""
    try:
        return _record(store.client.get_run(run_id))
    except _client_errors() as error:
        remedy = f"the id on the run's page in MLflow ({store.uri})"
        raise UserError(
            f"there is no run '{run_id}': {first_line(error)}", key="run", remedy=remedy
        ) from None


def has(store: Store, run_id: str) -> bool:
    """Whether the store has a run of that id."""
    from mlflow.exceptions import ErrorCode, MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    try:
        store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return False
        raise
    return True


def kept(store: Store, run_id: str) -> Record | None:
    """The run of that id; None where there is none, or it was deleted."""
    from mlflow.entities import LifecycleStage

    if not has(store, run_id):
        return None
    run = store.client.get_run(run_id)
    return None if run.info.lifecycle_stage == LifecycleStage.DELETED else _record(run)


def of_origin(store: Store, origin: str) -> Record | None:
    """The run that has another id where it was made; None where no run of the store came from there."""
    found = _found(store, _experiments(store), f"tags.`{ORIGIN}` = '{origin}'")
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
    """Copy a file or a folder of a run that the store has under `destination`; UserError where it can't be
    had. The store is not asked for the run again, which would take longer than the file."""
    assert run.files is not None
    unreadable: tuple[type[Exception], ...] = (OSError, *_client_errors())
    try:
        return files.download_from(store, run.run_id, run.files, place.as_posix(), destination)
    except unreadable:
        problem = f"the run '{run.run_id}' has no {place.as_posix()}, or it can't be fetched"
        raise UserError(problem, key="run", remedy="a finished run of this store") from None


def finished(store: Store, run_id: str) -> tuple[list[Record], list[Record]]:
    """The finished runs that an id stands for, itself or the points of a sweep; and the sweep's other points.

    Raises `UserError` where there is no such run, or a sweep without a finished point.
    """
    run = fetch(store, run_id)
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
            found += _found(store, [store.experiment_id], f"attributes.run_id IN ({listed})")
    chosen = f"tags.`{PARENT}` = '{sweep}' and tags.`{KIND}` = 'point'"
    return found + _found(store, [store.experiment_id], chosen)


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


def earlier(store: Store, fingerprint: str, rerun: str) -> Record | None:
    """The run that tells what a new one of the same fingerprint would; None where it is to be made.

    `rerun` says which are made again: `all`; `failed`: those that have no finished run; `unsteady`: those
    whose finished runs are all `is_unsteady`; `none`: those that have neither a finished nor a failed one. A
    run that was stopped tells nothing.
    """
    if not COUNTED[rerun]:
        return None
    chosen = f"tags.`{FINGERPRINT}` = '{fingerprint}' and tags.`{KIND}` = 'point'"
    return telling(_found(store, [store.experiment_id], chosen), rerun)


def telling(found: Sequence[Record], rerun: str) -> Record | None:
    """The one of these runs of a point that tells what a new one would; `rerun` as `earlier` has it."""
    of_status = [[run for run in found if run.status == status] for status in COUNTED[rerun]]
    taken = next((runs for runs in of_status if runs), [])
    if rerun == "unsteady":
        taken = [run for run in taken if not is_unsteady(run)]
    return taken[-1] if taken else None


def is_unsteady(run: Record) -> bool:
    """Whether the run was timed, or its kernels were chosen by timing, while the board did not hold still."""
    return not run.tags.keys().isdisjoint(UNSTEADY)


def find_store(artifacts: Path, uri: str | None = None, experiment: str = "dlas") -> Store | None:
    """The store, to be read; None where it is not there yet, since nothing is made.

    Raises `UserError` naming `tracking.uri` where it cannot be used; within seconds, where it is a server.
    """
    address = store_uri(artifacts, uri)
    if not is_there(address):
        return None
    remote.require_answer(address)
    _quiet()
    from mlflow import MlflowClient

    def find() -> object:
        return MlflowClient(tracking_uri=address).get_experiment_by_name(experiment)

    remote.require_usable(address, find)
    try:
        if address.startswith(SQLITE):
            schema.require_current(database_at(address))
        client = MlflowClient(tracking_uri=address)
        known = client.get_experiment_by_name(experiment)
    except _client_errors() as error:
        raise UserError(
            f"{address} cannot be opened: {first_line(error)}", key="tracking.uri", remedy="one that answers"
        ) from None
    return None if known is None else Store(client, address, known.experiment_id)


def existing_store(artifacts: Path, uri: str | None = None, experiment: str = "dlas") -> Store:
    """The store, to be read; UserError where there is none of these runs."""
    found = find_store(artifacts, uri, experiment)
    if found is None:
        where = remote.shown(store_uri(artifacts, uri))
        problem = f"there are no runs of the experiment '{experiment}' in {where}"
        raise UserError(problem, key="artifacts", remedy="artifacts=<folder>, tracking.uri=<address>")
    return found


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
    return _found(store, _experiments(store), f"tags.`{STAGES}` LIKE '%'")


def experiments(store: Store) -> dict[str, Store]:
    """All experiments of the store, by their names."""
    found = store.client.search_experiments()
    return {one.name: Store(store.client, store.uri, one.experiment_id) for one in found}


def runs(store: Store) -> list[Record]:
    """All runs of the experiment that DLAS made, sweeps and redeploys among them."""
    return _found(store, [store.experiment_id], f"tags.`{KIND}` LIKE '%'")


def unfinished(store: Store) -> list[Record]:
    """The runs of all experiments, sweeps among them, that go on, were stopped or failed."""
    return _found(store, _experiments(store), "attributes.status != 'FINISHED'")


def running(store: Store) -> list[Record]:
    """The runs of all experiments, sweeps among them, that go on or were left."""
    return _found(store, _experiments(store), "attributes.status = 'RUNNING'")


def _experiments(store: Store) -> list[str]:
    return [experiment.experiment_id for experiment in store.client.search_experiments()]


def _found(store: Store, experiments: list[str], chosen: str) -> list[Record]:
    """The runs that `chosen` selects, in the order in which they started."""
    found: list[Record] = []
    token: str | None = None
    while token is None or token:
        page = store.client.search_runs(
            experiments, chosen, order_by=["attributes.start_time ASC"], page_token=token
        )
        found += [_record(run) for run in page]
        token = page.token or ""
    return found


def _connected(uri: str, experiment: str, artifact_location: str | None) -> Store:
    _quiet()
    from mlflow import MlflowClient
    from mlflow.entities import LifecycleStage

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        # Without a place of its own, artifacts would go to ./mlruns of wherever the process stands.
        tags = {experiment_kind.KIND: experiment_kind.MODEL_TRAINING}
        made = client.create_experiment(experiment, artifact_location=artifact_location, tags=tags)
        return Store(client, uri, made)
    if known.lifecycle_stage == LifecycleStage.DELETED:
        remedy = "another name, or `mlflow experiments restore`"
        raise UserError(
            f"the experiment '{experiment}' was deleted", key="tracking.experiment", remedy=remedy
        )
    return Store(client, uri, known.experiment_id)


def _make_database(database: Path) -> None:
    _quiet()
    fresh.make(database)


def _quiet() -> None:
    """Silence MLflow, before it is imported: no telemetry, no word on git or migrations, no error
    logged and raised. Files go by way of the server, unless the user has it otherwise."""
    os.environ.update(CLIENT_ENVIRONMENT)
    for name in THROUGH_SERVER:
        os.environ.setdefault(name, "false")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _record(run: Any) -> Record:
    info, data = run.info, run.data
    ended = math.inf if info.end_time is None else info.end_time / 1000
    told = data.params, data.metrics, data.tags
    return Record(info.run_id, info.run_name, info.status, *told, ended, info.artifact_uri)


def _client_errors() -> tuple[type[Exception], ...]:
    """What is raised where a store, or a database that is none, can't be read."""
    from mlflow.exceptions import MlflowException

    return MlflowException, sqlite3.Error


def first_line(error: BaseException) -> str:
    """The first line of what an exception says; its type where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
