"""The plan of a command: all that is known of its points before the first one starts.

python -m dlas.run --plan -m model=vgg16,resnet18
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from dlas import config
from dlas.config import composing
from dlas.points import expected, plan_text, process, steps
from dlas.points.expected import Earlier
from dlas.points.plan_text import Planned
from dlas.tracking import delivery, remote, sweep
from dlas.tracking import store as tracking
from dlas.tracking.sweep import SweepCallback

log = logging.getLogger("dlas.run")


class PlanCallback(SweepCallback):
    """The callback of Hydra that is taken where a plan is asked for.

    It checks the points, prints what is known of them, and leaves: nothing is made, and nothing written to
    the store of runs.
    """

    @sweep.stopping
    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Print the plan of a single point."""
        self._print([config], sweep.ALL, config.hydra)

    @sweep.stopping
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Print the plan of a sweep."""
        known = composing.tells_points(config)
        if not known:
            log.info("this sweeper finds its points on the way: the plan is of the one that all start from")
        self._print(composing.sweep_points(config), sweep.SWEPT if known else sweep.ALL, config.hydra)

    def _print(self, points: Sequence[DictConfig], rerun: str, hydra: DictConfig) -> None:
        with composing.naming(points):
            stacks = composing.stacks_of(points)
            sweep.require_one_store(stacks)
        artifacts, kept = Path(stacks[0].artifacts), stacks[0].tracking
        store = tracking.find_store(artifacts, kept.uri, kept.experiment)
        place = delivery.Place(artifacts, kept.uri, kept.experiment)
        runs = [
            delivery.earlier(place, store, self._fingerprint(stack), stack.rerun or rerun) for stack in stacks
        ]
        left = [place for place, run in enumerate(runs) if run is None]
        with composing.naming(points), sweep.of_all(left):
            known = process.foresee([stacks[place] for place in left], hydra) if left else {}
        ahead = {place: known.get(number) for number, place in enumerate(left)}
        took = _Took(store)
        planned = [
            Planned(name, run, ahead.get(place), steps.of(stack), took.by_step(stack) if run is None else {})
            for place, (name, stack, run) in enumerate(
                zip(composing.names(points), stacks, runs, strict=True)
            )
        ]
        uri = remote.shown(tracking.store_uri(artifacts, kept.uri))
        log.info("runs go to %s (experiment %s), files to %s", uri, kept.experiment, artifacts)
        print(plan_text.told(planned))
        sys.exit()


class _Took:
    """How long the steps of points may take, from one look into the store for all points that are alike."""

    def __init__(self, store: tracking.Store | None) -> None:
        self._store = store
        self._looked: dict[tuple[str, str], Earlier] = {}

    def by_step(self, stack: config.Stack) -> dict[str, float]:
        """Seconds by the name of the step; none where nothing is known."""
        if self._store is None:
            return {}
        asked = (stack.dataset.name, stack.model.name)
        if asked not in self._looked:
            self._looked[asked] = expected.earlier(self._store, stack)
        return self._looked[asked].by_step(stack)
