"""Writing of runs. A sweep is a parent run, a point is a run under it, and a redeploy is one under its point;
earlier versions put redeploys under the sweep.

Runs are made through `MlflowClient` rather than `mlflow.start_run`: its exit hook would mark a run that was
stopped by Ctrl-C as FINISHED.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas.errors import first_line
from dlas.processes import identity
from dlas.tracking import experiment_kind, output
from dlas.tracking.store import files
from dlas.tracking.store.entities import Number, Store
from dlas.tracking.store.names import (
    BATCH,
    EARLIER,
    ERROR,
    FIRST,
    HEARTBEAT,
    KIND,
    LEFT,
    PARAM_CHARACTERS,
    PROCESS,
    REPORT,
    SWEEP,
    TAG_CHARACTERS,
)

log = logging.getLogger("dlas.tracking")


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
        first = [metric for metric in metrics if metric.key == FIRST]
        rest = [metric for metric in metrics if metric.key != FIRST]
        for batch in (first, *(rest[start : start + BATCH] for start in range(0, len(rest), BATCH))):
            if batch:
                self.store.client.log_batch(self.run_id, metrics=batch)

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


def remove(store: Store, run_id: str) -> None:
    """Move a run to those that MLflow shows no more, and can bring back."""
    store.client.delete_run(run_id)


def log_report(store: Store, sweep: str, folder: Path, short: str) -> None:
    """Put the folder of a report on the sweep's run, and the short report, in Markdown, where MLflow shows a
    run's description."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    files.upload(store, sweep, folder, REPORT)
    store.client.set_tag(sweep, MLFLOW_RUN_NOTE, short[:TAG_CHARACTERS])
