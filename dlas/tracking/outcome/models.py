"""Finished points in MLflow's registry of models: each a version that `mlflow.pyfunc.load_model` loads.

A version has no files of its own. It names the bundle by the id of its run, and so follows files that move.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.errors import first_line
from dlas.tracking import remote
from dlas.tracking import store as tracking
from dlas.tracking.measured_points import measured_points
from dlas.tracking.outcome import aliases
from dlas.tracking.store import BATCH, BUNDLE, MODELS, UNSENT, Record, Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

log = logging.getLogger("dlas.tracking")


def register(store: Store, points: Sequence[Record]) -> None:
    """Have each finished point whose bundle MLflow can load be a version of its model, and each alias name
    the version that `aliases.chosen` says, of these points and of those that bear it so far.

    Points of one name compete where their CPU is the same: an alias that names a point of another CPU, or one
    whose run was deleted, is given away. Where the registry takes nothing, the log tells why.
    """
    models = [point for point in points if _is_model(point)]
    if not models:
        return
    try:
        with remote.hasty():
            _register(store, models)
    except Exception as error:  # whatever the store's client raises
        log.warning("not in MLflow's registry of models: %s", first_line(error))


def _register(store: Store, points: Sequence[Record]) -> None:
    versions = _versions(store, [point.run_id for point in points])
    by_name: dict[str, list[tuple[Record, MeasuredPoint]]] = defaultdict(list)
    for point, seen in zip(points, measured_points(points), strict=True):
        by_name[aliases.name_of(seen)].append((point, seen))
    for name, together in by_name.items():
        model = _model(store, name)
        for point, _ in together:
            if point.run_id not in versions:
                source = f"runs:/{point.run_id}/{BUNDLE}"
                made = store.client.create_model_version(
                    name, source, point.run_id, description=point.name, await_creation_for=0
                )
                versions[point.run_id] = str(made.version)
        _give_aliases(store, model, [seen for _, seen in together], versions)


def _give_aliases(
    store: Store, model: RegisteredModel, points: Sequence[MeasuredPoint], versions: dict[str, str]
) -> None:
    """Have the aliases of the model name the versions of the points that they are due to."""
    from dlas.analysis import pace  # SciPy is behind it

    last = points[-1]
    others = _other_bearers(store, model, {point.run_id for point in points}, versions)
    rivals = [point for point in (*others, *points) if aliases.compete(point, last)]
    for alias, point in aliases.chosen(pace.at_one_pace(rivals)).items():
        if str(model.aliases.get(alias)) != versions[point.run_id]:
            store.client.set_registered_model_alias(model.name, alias, versions[point.run_id])


def _other_bearers(
    store: Store, model: RegisteredModel, known: Collection[str], versions: dict[str, str]
) -> list[MeasuredPoint]:
    """The points that bear an alias of the model so far, but for the runs that are known, and those that are
    gone. Their versions are added to `versions`."""
    found = []
    for version in dict.fromkeys(map(str, model.aliases.values())):
        run_id = str(store.client.get_model_version(model.name, version).run_id)
        versions.setdefault(run_id, version)
        run = None if run_id in known else tracking.kept(store, run_id)
        if run is not None:
            found.append(run)
    return measured_points(found)


def _is_model(point: Record) -> bool:
    """Whether the store has the bundle of the point, and MLflow can load that."""
    return point.status == FINISHED and MODELS in point.tags and UNSENT not in point.tags


def _versions(store: Store, run_ids: Sequence[str]) -> dict[str, str]:
    """The versions that there are of these runs, by their ids."""
    found = {}
    for start in range(0, len(run_ids), BATCH):
        listed = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + BATCH])
        for version in store.client.search_model_versions(f"run_id IN ({listed})"):
            found[str(version.run_id)] = str(version.version)
    return found


def _model(store: Store, name: str) -> RegisteredModel:
    """The registered model of that name, made where there is none."""
    from mlflow.exceptions import ErrorCode, MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

    try:
        return store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        return store.client.get_registered_model(name)
