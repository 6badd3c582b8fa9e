"""The search of parameters: from the cost rule's choice to its neighbours, and on.

Of what is left to try, the candidates that differ from the fastest one so far in the fewest parameters come
first, and among those the most promising by the algorithm's order. A layer is done when several in a row were
no faster. In the end the fastest are timed again, at length.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import tvm

from dlas.errors import UserError
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.timing.candidates import TURNS, Failed, Timed, time_candidates
from dlas.hardware.timing.deployment import exclusive_board
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import TuningTask
from dlas.systems.compilers.tvm import linking
from dlas.systems.program.operands import arguments, representative_weight, tolerance
from dlas.systems.tuners.common.building_processes import Builders
from dlas.systems.tuners.kernel_parameters.space import (
    GAIN,
    Measured,
    algorithm_of,
    description,
    of_tasks,
    space,
)

ROUND = 6
"""Candidates of one layer that are built, and then timed, together."""

PATIENCE = 18
"""Candidates in a row that are no faster before a layer is done."""

FASTER = 0.99
"""Share of the fastest time so far, as a ratio, that a faster one may take: a smaller gain is noise."""

FINALISTS = 3
"""Candidates of a layer that are timed again when the search ends: the fastest of many is
so by chance, too."""

FINAL_TURNS = 12
"""Turns of each finalist with the cost rule's kernel, in a process of their own."""


class Layer:
    """The search of a task: its candidates and their measurements."""

    def __init__(self, task: TuningTask, target: CodeTarget, measured: Sequence[Measured]) -> None:
        self.task = task
        self.rule, *others = space(task, target)
        self.offered = {_described(other): other for other in others}
        self.known: dict[str, Measured] = {}
        self.fastest, self.ratio = self.rule, 1.0
        self.rule_seconds: float | None = None
        self.since_faster = 0
        for one in measured:
            self.count(one)

    def count(self, one: Measured) -> None:
        """Count one measurement."""
        self.known[one.candidate] = one
        self.rule_seconds = one.rule_seconds or self.rule_seconds
        if one.again:
            ranked = self._gaining()
            self.fastest, self.ratio = ranked[0] if ranked else (self.rule, 1.0)
            return
        self.since_faster += 1
        if one.ratio is not None and one.candidate in self.offered and one.ratio < self.ratio * FASTER:
            self.fastest, self.ratio, self.since_faster = self.offered[one.candidate], one.ratio, 0

    def candidates(self, most: int) -> list[Any]:
        """The candidates to measure next, at most `most`."""
        left = self.untried(self.offered)
        left.sort(key=lambda other: _differences(other, self.fastest))
        return left[: min(most, ROUND, PATIENCE - self.since_faster)]

    def untried(self, described: Iterable[str]) -> list[Any]:
        """The described candidates that the algorithm offers, and that were not measured."""
        ones = [one for one in dict.fromkeys(described) if one in self.offered and one not in self.known]
        return [self.offered[one] for one in ones]

    @property
    def done(self) -> bool:
        """Whether the layer's search is done: nothing is left to try, or too many in a row were no faster."""
        return self.offered.keys() <= self.known.keys() or self.since_faster >= PATIENCE

    @property
    def tried(self) -> int:
        """Number of candidates that were measured."""
        return len(self.known)

    def finalists(self) -> list[Any]:
        """The candidates to time again: the fastest that gain anything, or none where the very fastest was
        timed again already."""
        gaining = [candidate for candidate, _ in self._gaining()]
        again = [self.known[_described(candidate)].again for candidate in gaining]
        if not gaining or again[0]:
            return []
        return [candidate for candidate, done in zip(gaining, again, strict=True) if not done][:FINALISTS]

    def _gaining(self) -> list[tuple[Any, float]]:
        """The candidates that gain anything over the cost rule's kernel, with their ratios,
        the fastest first."""
        found = [
            (self.offered[described], one.ratio)
            for described, one in self.known.items()
            if described in self.offered and one.ratio is not None and one.ratio <= GAIN
        ]
        return sorted(found, key=lambda pair: pair[1])

    @property
    def seconds(self) -> float | None:
        """Seconds of the fastest kernel, for all layers that share it; None where nothing
        was measured yet."""
        return None if self.rule_seconds is None else self.task.count * self.rule_seconds * self.ratio

    @property
    def worth(self) -> tuple[bool, float]:
        """Priority of the layer: what was never measured comes first, by its work; then by time
        per measurement."""
        if not self.tried:
            return True, self.task.count * self.task.workload.macs
        return False, (self.seconds or 0.0) / self.tried


def measure(
    tasks: Sequence[TuningTask], target: Target, trials: int, known: Path
) -> Generator[list[str], None, None]:
    """Measure until these tasks have `trials` candidates, those of the log `known` with them, or are done;
    then time the fastest again. Yields the records of every round."""
    layers, per_layer = _layers(tasks, target.code, known), max(1, trials // len(tasks))
    with _Bench(target) as bench:
        while (remaining := trials - sum(layer.tried for layer in layers)) > 0:
            ready = [layer for layer in layers if not layer.done]
            if not ready:
                break
            layer = max(ready, key=lambda one: one.worth)
            yield bench.measure(layer, layer.candidates(min(remaining, per_layer)))
        for layer in layers:
            yield from bench.confirm(layer)


def transfer(
    tasks: Sequence[TuningTask],
    target: Target,
    relatives: Mapping[str, Sequence[str]],
    most: int,
    known: Path,
) -> Generator[list[str], None, None]:
    """Measure at most `most` parameters of each task's `relatives`, lines of a log, the most promising first.
    Those that the task's algorithm does not offer are left out. Yields the records of every round."""
    layers = _layers(tasks, target.code, known)
    with _Bench(target) as bench:
        for layer in layers:
            theirs = [Measured(**json.loads(line)).candidate for line in relatives[layer.task.key]]
            if fitting := layer.untried(theirs)[:most]:
                yield bench.measure(layer, fitting)
                yield from bench.confirm(layer)


def _layers(tasks: Sequence[TuningTask], target: CodeTarget, known: Path) -> list[Layer]:
    measured = of_tasks(known, tasks)
    return [Layer(task, target, measured[task.key]) for task in tasks]


class _Bench:
    """Builds candidates, each once, and times them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.builders = Builders(target.code.cores)
        self.folder = tempfile.TemporaryDirectory(prefix="dlas-")
        self.built: dict[tuple[str, str], Path | Failed] = {}
        """Libraries, or why there is none, by the task's key and the candidate's name."""

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.builders.shutdown()
        self.folder.cleanup()

    def measure(self, layer: Layer, candidates: Sequence[Any]) -> list[str]:
        """The records of the candidates, timed for the first time."""
        return _counted(layer, self._round(layer, candidates, TURNS))

    def confirm(self, layer: Layer) -> Iterator[list[str]]:
        """Time the candidates that seem fastest once more, until the fastest is one that was;
        yields their records."""
        while finalists := layer.finalists():
            timed = self._round(layer, finalists, FINAL_TURNS)
            yield _counted(layer, [replace(one, again=True) for one in timed])

    def _round(self, layer: Layer, candidates: Sequence[Any], turns: int) -> list[Measured]:
        """Build the candidates in parallel, with nothing being timed, then check and time them beside
        the rule's kernel."""
        task, target = layer.task, self.target
        rule, *built = self._libraries(task, [layer.rule, *candidates])
        if isinstance(rule, Failed):
            raise UserError(f"the untuned kernel of {task.key}: {rule.reason}", key="tuner")
        weight = representative_weight(task.workload, task.density)
        operands = arguments(task.workload, task.algorithm, weight)
        libraries = [one for one in built if isinstance(one, Path)]
        with exclusive_board(target):
            timed = iter(time_candidates(rule, libraries, operands, tolerance(task.workload), target, turns))
        outcomes = [one if isinstance(one, Failed) else next(timed) for one in built]
        return [
            _record(task, target.code, one, outcome)
            for one, outcome in zip(candidates, outcomes, strict=True)
        ]

    def _libraries(self, task: TuningTask, candidates: Sequence[Any]) -> list[Path | Failed]:
        """The library of each candidate of the task, or why it has none."""
        names = [(task.key, _described(one)) for one in candidates]
        new = {name: one for name, one in zip(names, candidates, strict=True) if name not in self.built}
        paths = [Path(self.folder.name) / f"{len(self.built) + number}.so" for number in range(len(new))]
        asked = [(task, self.target, one, path) for one, path in zip(new.values(), paths, strict=True)]
        failures = self.builders.build(lambda one: build(*one), asked)
        made = [failure or path for path, failure in zip(paths, failures, strict=True)]
        self.built |= dict(zip(new, made, strict=True))
        return [self.built[name] for name in names]


def _counted(layer: Layer, measured: Sequence[Measured]) -> list[str]:
    """Count the measurements for the layer; returns their records."""
    for one in measured:
        layer.count(one)
    return [json.dumps(asdict(one)) for one in measured]


def build(task: TuningTask, target: Target, chosen: Any, path: Path) -> None:
    """Write the library of one candidate; runs in a process that builds."""
    function = algorithm_of(task).kernel_with(task.workload, target.code, chosen)
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    linking.export(tvm.compile(module, tvm_target(target.code)), target.code, target.linker, path)


def _record(task: TuningTask, target: CodeTarget, chosen: Any, outcome: Timed | Failed) -> Measured:
    described, measured_for = asdict(chosen), str(tvm_target(target))
    if isinstance(outcome, Failed):
        return Measured(task.key, measured_for, described, None, None, outcome.reason)
    return Measured(task.key, measured_for, described, outcome.seconds, outcome.replaced_seconds, "")


def _described(chosen: Any) -> str:
    return description(asdict(chosen))


def _differences(one: Any, other: Any) -> int:
    return sum(getattr(one, field.name) != getattr(other, field.name) for field in fields(one))
