"""Which runs use which stored results, as the store of runs tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas import config, tracking


@dataclass(frozen=True)
class Use:
    """One run that took a result."""

    run_id: str
    run_name: str
    status: str
    unfinished: bool
    """Whether the run, or the sweep that it belongs to, is still going on."""


def uses(artifacts: Path, where: config.Tracking) -> Mapping[str, Sequence[Use]]:
    """By the name of the result. UserError where the runs' store can't be reached."""
    if not tracking.is_there(tracking.store_uri(artifacts, where.uri)):
        return {}
    store = tracking.open_store(artifacts, where.uri, where.experiment)
    going_on = {record.run_id for record in tracking.running(store)}
    found: dict[str, list[Use]] = defaultdict(list)
    for record in tracking.with_stages(store):
        unfinished = bool({record.run_id, record.tags.get(tracking.PARENT, "")} & going_on)
        for name in record.tags[tracking.STAGES].split():
            found[name].append(Use(record.run_id, record.name, record.status, unfinished))
    return found


def of_run(artifacts: Path, where: config.Tracking, run_id: str) -> list[str]:
    """The names of the results that a run took, in order; UserError where it doesn't tell."""
    store = tracking.open_store(artifacts, where.uri, where.experiment)
    record = tracking.fetch(store, run_id)
    names = record.tags.get(tracking.STAGES, "").split()
    config.require(bool(names), "run", f"'{run_id}' does not tell its stages", "the id of a later point")
    return names
