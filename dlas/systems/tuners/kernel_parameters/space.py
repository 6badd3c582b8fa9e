"""The parameters that kernels in TensorIR offer, and the lines of the log of a search over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlas.errors import UserError
from dlas.interfaces.algorithm import TunableAlgorithm
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.tuning import TuningTask
from dlas.plugins.registry import ALGORITHMS

NAME = "the search over parameters"

GAIN = 0.98
"""Share of the cost rule's time from which on a candidate gains anything: what is closer to 1 is noise, and
the rule's own kernel stays."""


@dataclass(frozen=True)
class Measured:
    """A line of a log: a candidate that was measured."""

    task: str
    target: str
    parameters: dict[str, Any]
    seconds: float | None
    rule_seconds: float | None
    error: str
    again: bool = False
    """Whether the candidate was timed before: this time counts."""

    @property
    def candidate(self) -> str:
        """Name of the candidate: the same for the same parameters."""
        return description(self.parameters)

    @property
    def ratio(self) -> float | None:
        """Ratio of the candidate's time to that of the cost rule's kernel."""
        if self.seconds is None or self.rule_seconds is None:
            return None
        return self.seconds / self.rule_seconds


def description(parameters: dict[str, Any]) -> str:
    """A text that is the same for the same parameters."""
    return json.dumps(parameters, sort_keys=True)


def algorithm_of(task: TuningTask) -> TunableAlgorithm:
    """The algorithm of a task whose kernels have parameters."""
    algorithm = ALGORITHMS.load(task.algorithm)
    assert isinstance(algorithm, TunableAlgorithm), task.algorithm
    return algorithm


def space(task: TuningTask, target: CodeTarget) -> tuple[Any, ...]:
    """All parameters that may be tried, the cost rule's choice first."""
    return algorithm_of(task).parameters(task.workload, target)


def has_choice(task: TuningTask, target: CodeTarget) -> bool:
    """Whether there is anything to try beside the cost rule's choice."""
    return len(space(task, target)) > 1


def offered(task: TuningTask, target: CodeTarget, described: dict[str, Any]) -> Any | None:
    """The parameters with that description in a log; None where the algorithm offers none such."""
    return next((one for one in space(task, target) if asdict(one) == described), None)


def of_tasks(log: Path, tasks: Sequence[TuningTask]) -> dict[str, list[Measured]]:
    """The measurements of these tasks in the log, by task: the last one of each candidate."""
    measured: dict[str, dict[str, Measured]] = {task.key: {} for task in tasks}
    for number, line in enumerate(log.read_text(errors="replace").splitlines() if log.exists() else (), 1):
        try:
            one = Measured(**json.loads(line))
        except (ValueError, TypeError):
            problem = f"line {number} of the tuning log is no record of {NAME}, or was cut off"
            raise UserError(problem, key=str(log)) from None
        if one.task in measured:
            measured[one.task][one.candidate] = one
    return {task: [*last.values()] for task, last in measured.items()}
