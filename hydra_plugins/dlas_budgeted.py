"""`hydra/sweeper=budgeted`: every point of a grid is made untuned, and those near the front are tuned.

Hydra finds sweepers in packages of this name only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn

log = logging.getLogger("dlas.run")


class BudgetedSweeper(BasicSweeper):
    """A sweeper that launches a grid twice: all of it untuned, then what may be on the front tuned.

    `margin` is how many times as much tuning may gain one point as another.
    """

    def __init__(self, margin: float, params: Any = None) -> None:
        super().__init__(max_batch_size=None, params=params)
        self._margin = margin

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Make the points; returns what became of those of each launch."""
        from dlas.analysis.front import near_front
        from dlas.analysis.pace import at_one_pace
        from dlas.config import composing
        from dlas.tracking import sweep
        from dlas.tracking.measured_points import measured_points

        assert self.config is not None
        tuned = composing.combinations(self.config)
        screened = composing.screened(tuned)
        first = self._launched(screened, 0)
        found = at_one_pace(measured_points(sweep.records([job.return_value for job in first])))
        near = [screened[place] for place in near_front(found, self._margin)]
        chosen = [one for one in tuned if composing.untuned(one) in near and composing.UNTUNED not in one]
        log.info(
            "screened: %d of %d points may be on the front, and are tuned: %s",
            *(len(chosen), len(tuned), "; ".join(map(sweep.run_name, chosen)) or "none"),
        )
        return [first, self._launched(chosen, len(screened))]

    def _launched(self, points: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
        assert self.launcher is not None
        return self.launcher.launch(points, initial_job_idx=first) if points else []


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="budgeted",
    node={"_target_": f"{__name__}.BudgetedSweeper", "margin": 2.0, "params": None},
    provider="dlas",
)
