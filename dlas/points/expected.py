"""How long the steps of a point may take: as long as those that are alike took in earlier runs.

What a person declared decides which are alike, so that nothing has to be read or made to know it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlas import config
from dlas.points import steps
from dlas.points.steps import Step
from dlas.processes import identity
from dlas.tracking import store as tracking

LATEST = 50
"""Earlier runs, the latest, that are looked at."""

ASKED = ("dataset.name", "model.name")
"""Parameters that earlier runs share with a point."""


@dataclass(frozen=True)
class Earlier:
    """Runs of this machine that tell how long steps take."""

    runs: Sequence[tracking.Record]

    def by_step(self, stack: config.Stack) -> dict[str, float]:
        """Seconds that steps of the point may take, by their names: the median of those that are alike, in
        proportion to their unit. Steps like which there is none are left out."""
        params = config.flat(stack)
        found = ((step.name, self._seconds(step, params)) for step in steps.of(stack))
        return {name: seconds for name, seconds in found if seconds is not None}

    def _seconds(self, step: Step, params: Mapping[str, str]) -> float | None:
        metric, wanted = f"{tracking.SECONDS}{step.name}", step.decisive(params)
        took = [
            run.metrics[metric] / _units(step, run.params)
            for run in self.runs
            if metric in run.metrics and step.decisive(run.params) == wanted and _units(step, run.params) > 0
        ]
        return statistics.median(took) * _units(step, params) if took else None


def _units(step: Step, params: Mapping[str, str]) -> float:
    return float(params[step.unit]) if step.unit else 1.0


def earlier(store: tracking.Store, stack: config.Stack) -> Earlier:
    """The earlier runs that may tell about the point, from one look into the store for all points of a
    command that share what is asked for: a look takes 0.2 s of computing."""
    params = config.flat(stack)
    asked = {name: params[name] for name in ASKED}
    looked = (store.uri, store.experiment_id, *asked.values())
    if looked not in _looked:
        found = tracking.alike(store, asked, LATEST)
        _looked[looked] = Earlier([run for run in found if _is_of_this_machine(run)])
    return _looked[looked]


_looked: dict[tuple[str, ...], Earlier] = {}


def _is_of_this_machine(run: tracking.Record) -> bool:
    process = identity.parsed(run.tags.get(tracking.PROCESS, ""))
    return process is not None and process.host == identity.this().host
