"""Convolution layers as Ansor's tasks: the project's TE computes, registered under one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tvm import auto_scheduler
from tvm.target import Target

from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS

REQUESTED: set[str] = set()
"""Algorithms of the request. Processes that build its candidates get no request, and have none here."""


@auto_scheduler.register_workload
def conv2d_layer(workload: str, algorithm: str) -> list[Any]:
    """The tensors of `algorithm` (a name of the registry) for the workload of that key; ValueError for one
    that was not requested, which a record may name, and which is not imported."""
    if REQUESTED and algorithm not in REQUESTED:
        raise ValueError(f"the algorithm {algorithm!r} was not asked for")
    return ALGORITHMS.load(algorithm).compute(ConvWorkload.from_key(workload))


def allow(algorithms: Iterable[str]) -> None:
    """Allow records to name these algorithms."""
    REQUESTED.update(algorithms)


def search_task(task: Mapping[str, Any], target: str) -> auto_scheduler.SearchTask:
    """Ansor's task for one requested task: {"workload": key, "algorithm": its name, ...}."""
    allow([task["algorithm"]])
    arguments = (task["workload"], task["algorithm"])
    return auto_scheduler.SearchTask(func=conv2d_layer, args=arguments, target=Target(target))
