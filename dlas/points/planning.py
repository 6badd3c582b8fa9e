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
from dlas.config import composing, unheard
from dlas.points import checking, expected, plan_text, steps
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
        alone = composing.Point(tuple(composing.overridden(config)), composing.stack_of(config))
        self._print([alone], sweep.ALL, config.hydra)

    @sweep.stopping
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Print the plan of a sweep."""
        searching = composing.searches(config)
        if searching:
            log.info("this sweeper finds its points on the way: the plan is of the one that all start from")
        elif not composing.tells_points(config):
            log.info("this sweeper tunes what may be on the front of the untuned points: the plan is of all")
        self._print(
            composing.sweep_points(config, self._begin), sweep.ALL if searching else sweep.SWEPT, config.hydra
        )

    def _print(self, points: Sequence[composing.Point], rerun: str, hydra: DictConfig) -> None:
        with composing.naming(points):
            stacks = composing.stacks_of(points)
            sweep.require_one_store(stacks)
        for sentence in unheard.told(stacks, [point.overrides for point in points]):
            log.info("%s", sentence)
        again = unheard.repeated(stacks)
        points = [point for place, point in enumerate(points) if place not in again]
        stacks = [stack for place, stack in enumerate(stacks) if place not in again]
        self._begin()
        artifacts, kept = Path(stacks[0].artifacts), stacks[0].tracking
        store = tracking.find_store(artifacts, kept.uri, kept.experiment)
        place = delivery.Place(artifacts, kept.uri, kept.experiment)
        runs = [
            delivery.earlier(place, store, self._fingerprint(stack), stack.rerun or rerun) for stack in stacks
        ]
        left = [place for place, run in enumerate(runs) if run is None]
        with composing.naming(points), sweep.of_all(left):
            ahead = checking.foresee([stacks[place] for place in left], hydra) if left else checking.NOTHING
        known = {left[number]: foreseen for number, foreseen in ahead.known.items()}
        failing = {left[number]: error for number, error in ahead.failing.items()}
        names = [
            name or sweep.run_name(list(point.overrides))
            for name, point in zip(composing.names(points), points, strict=True)
        ]
        planned = [
            Planned(
                names[place],
                runs[place],
                known.get(place),
                steps.of(stack),
                _seconds(store, stack),
                failing.get(place),
            )
            for place, stack in enumerate(stacks)
        ]
        uri = remote.shown(tracking.store_uri(artifacts, kept.uri))
        log.info("runs go to %s (experiment %s), files to %s", uri, kept.experiment, artifacts)
        print(plan_text.told(planned))
        sys.exit()


def _seconds(store: tracking.Store | None, stack: config.Stack) -> dict[str, float]:
    """Seconds that the steps of the point may take, by their names."""
    return {} if store is None else expected.earlier(store, stack).by_step(stack)
