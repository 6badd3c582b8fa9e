"""The search of `dlas.systems.tuners.parameters`: from the cost rule's choice to its neighbours, and on.

Of what is left to try, the candidates that differ from the fastest one so far in the fewest parameters come
first, and among those the most promising by the algorithm's order. A layer is done when several in a row were
no faster.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import tvm

from dlas.errors import UserError
from dlas.hardware.candidates import Failed, Timed, time_candidates
from dlas.hardware.target import Target, tvm_target
from dlas.systems import linking
from dlas.systems.operands import arguments, representative_weight, tolerance
from dlas.systems.tuners.building_processes import Builders
from dlas.systems.tuners.parameter_space import Measured, of_tasks, space
from dlas.systems.tuners.task import TuningTask

ROUND = 6
"""Candidates of one layer that are built, and then timed, together."""

PATIENCE = 18
"""Candidates in a row that are no faster before a layer is done."""

FASTER = 0.99
"""Of the fastest ratio so far: a smaller gain is noise."""


class Layer:
    """A task's search: what can be tried, what was measured."""

    def __init__(self, task: TuningTask, target: Target, measured: Sequence[Measured]) -> None:
        self.task = task
        self.rule, *others = space(task, target)
        self.left = {_description(asdict(other)): other for other in others}
        self.fastest, self.ratio = self.rule, 1.0
        self.rule_seconds: float | None = None
        self.tried = self.since_faster = 0
        for one in measured:
            self.count(one)

    def count(self, one: Measured) -> None:
        """Take in one measurement."""
        candidate = self.left.pop(_description(one.parameters), None)
        self.tried += 1
        self.since_faster += 1
        if one.ratio is None:
            return
        self.rule_seconds = one.rule_seconds
        if candidate is not None and one.ratio < self.ratio * FASTER:
            self.fastest, self.ratio, self.since_faster = candidate, one.ratio, 0

    def candidates(self, most: int) -> list[Any]:
        """What to try next."""
        left = sorted(self.left.values(), key=lambda other: _differences(other, self.fastest))
        return left[: min(most, ROUND, PATIENCE - self.since_faster)]

    @property
    def done(self) -> bool:
        """Whether nothing is left to try, or too many in a row were no faster."""
        return not self.left or self.since_faster >= PATIENCE

    @property
    def seconds(self) -> float | None:
        """Of its fastest kernel, for all layers that share it; None where nothing was measured yet."""
        return None if self.rule_seconds is None else self.task.count * self.rule_seconds * self.ratio

    @property
    def worth(self) -> tuple[bool, float]:
        """Of searching it next: what was never measured first, by its work, then by time per measurement."""
        if not self.tried:
            return True, self.task.count * self.task.workload.macs
        return False, (self.seconds or 0.0) / self.tried


def measure(
    tasks: Sequence[TuningTask], target: Target, trials: int, log: Path
) -> Generator[dict[str, Any], None, None]:
    """Measure until the log holds `trials` records of these tasks or all are done; the caller holds the
    board. Yields how it stands after every round."""
    measured, per_layer = of_tasks(log, tasks), max(1, trials // len(tasks))
    layers = [Layer(task, target, measured[task.key]) for task in tasks]
    builders = Builders(target.cores)
    try:
        while (remaining := trials - sum(layer.tried for layer in layers)) > 0:
            ready = [layer for layer in layers if not layer.done]
            if not ready:
                return
            layer = max(ready, key=lambda one: one.worth)
            candidates = layer.candidates(min(remaining, per_layer))
            for one in _round(layer, candidates, target, builders):
                _append(log, one)
                layer.count(one)
            yield _standing(layers)
    finally:
        builders.shutdown()


def _append(log: Path, measured: Measured) -> None:
    try:
        with log.open("a") as file:
            file.write(json.dumps(asdict(measured)) + "\n")
    except OSError as error:
        raise UserError(f"the tuning log can't be written: {error}", key="tuner") from None


def _round(layer: Layer, candidates: Sequence[Any], target: Target, builders: Builders) -> list[Measured]:
    """The candidates built in parallel with nothing being timed, then checked and timed beside the rule's."""
    task = layer.task
    with tempfile.TemporaryDirectory(prefix="dlas-") as scratch:
        paths = [Path(scratch) / f"{number}.so" for number in range(len(candidates) + 1)]
        pairs = zip([layer.rule, *candidates], paths, strict=True)
        asked = [(task, target, chosen, path) for chosen, path in pairs]
        rule, *failures = builders.build(lambda one: build(*one), asked)
        if rule is not None:
            raise UserError(f"the untuned kernel of {task.key}: {rule.reason}", key="tuner")
        weight = representative_weight(task.workload, task.density)
        operands = arguments(task.workload, task.algorithm, weight)
        libraries = [path for path, failure in zip(paths[1:], failures, strict=True) if failure is None]
        timed = iter(time_candidates(paths[0], libraries, operands, tolerance(task.workload), target))
    outcomes = [next(timed) if failure is None else failure for failure in failures]
    return [_record(task, target, one, outcome) for one, outcome in zip(candidates, outcomes, strict=True)]


def build(task: TuningTask, target: Target, chosen: Any, path: Path) -> None:
    """Write the library of one candidate; in a process that builds."""
    function = import_module(task.algorithm).kernel_with(task.workload, target, chosen)
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    linking.export(tvm.compile(module, tvm_target(target)), target, path)


def _record(task: TuningTask, target: Target, chosen: Any, outcome: Timed | Failed) -> Measured:
    described, measured_for = asdict(chosen), str(tvm_target(target))
    if isinstance(outcome, Failed):
        return Measured(task.key, measured_for, described, None, None, outcome.reason)
    return Measured(task.key, measured_for, described, outcome.seconds, outcome.replaced_seconds, "")


def _description(parameters: dict[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True)


def _differences(one: Any, other: Any) -> int:
    return sum(getattr(one, field.name) != getattr(other, field.name) for field in fields(one))


def _standing(layers: Sequence[Layer]) -> dict[str, Any]:
    times = [layer.seconds for layer in layers]
    known = [time for time in times if time is not None]
    estimated = sum(known) if len(known) == len(times) else None
    return {"trials": sum(layer.tried for layer in layers), "estimated": estimated}
