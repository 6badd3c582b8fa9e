"""The runs that used each stored result of a stage, as the store of runs tells."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from dlas import config, tracking
from dlas.errors import UserError
from dlas.stages.command.uses import Use, Uses


def uses(artifacts: Path, where: config.Tracking) -> Uses | None:
    """The recorded uses of all results; None where no run was ever stored. UserError where the runs' store
    can't be reached."""
    if not tracking.is_there(tracking.store_uri(artifacts, where.uri)):
        return None
    store = tracking.open_store(artifacts, where.uri, where.experiment)
    stopped = {record.run_id: record.ended for record in tracking.unfinished(store)}
    found: dict[str, list[Use]] = defaultdict(list)
    for record in tracking.with_stages(store):
        over = [
            stopped[each] for each in (record.run_id, record.tags.get(tracking.PARENT)) if each in stopped
        ]
        for name in record.tags[tracking.STAGES].split():
            found[name].append(Use(record.run_id, record.status, max(over, default=None)))
    return found


def required(artifacts: Path, where: config.Tracking) -> Uses:
    """The recorded uses of all results, as `uses` gives them; UserError (tracking.uri) where there is no
    store of runs to tell."""
    found = uses(artifacts, where)
    if found is None:
        address = tracking.shown(tracking.store_uri(artifacts, where.uri))
        raise UserError(
            f"there is no store of runs at {address}: nothing tells which results an unfinished sweep needs",
            key="tracking.uri",
            remedy="the address that the runs were given, by tracking.uri or by MLFLOW_TRACKING_URI",
        )
    return found


def of_run(artifacts: Path, where: config.Tracking, run_id: str) -> list[str]:
    """The names of the results that a run used, in order; UserError where the run doesn't tell."""
    store = tracking.existing_store(artifacts, where.uri, where.experiment)
    record = tracking.fetch(store, run_id)
    names = record.tags.get(tracking.STAGES, "").split()
    config.require(bool(names), "run", f"'{run_id}' does not tell its stages", "the id of a later point")
    return names
