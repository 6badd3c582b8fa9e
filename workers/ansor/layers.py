"""Convolution layers as Ansor's tasks: the project's TE computes, registered under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import auto_scheduler
from tvm.target import Target

from dlas.algorithms.workload import ConvWorkload
from dlas.registry import ALGORITHMS


@auto_scheduler.register_workload
def conv2d_layer(workload: str, algorithm: str) -> list[Any]:
    """The tensors of `algorithm` (a name of dlas.registry) for the workload of that key."""
    return ALGORITHMS.load(algorithm).compute(ConvWorkload.from_key(workload))


def search_task(task: Mapping[str, Any], target: str) -> auto_scheduler.SearchTask:
    """Ansor's task for one requested task: {"workload": key, "algorithm": its name, ...}."""
    arguments = (task["workload"], task["algorithm"])
    return auto_scheduler.SearchTask(func=conv2d_layer, args=arguments, target=Target(target))
