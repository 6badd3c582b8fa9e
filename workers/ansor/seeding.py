"""Schedules of a layer's relatives made to fit the layer, for its search to start from.

The steps of a relative's record are taken one after the other: on the stage of the same name, and with tiles
adapted to the loop that they split in the layer. What follows from these sizes, Ansor works out anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tvm.auto_scheduler import ComputeDAG, MeasureInput, SearchTask
from tvm.auto_scheduler.loop_state import State
from tvm.auto_scheduler.measure_record import load_record_from_string
from tvm.te import PlaceholderOp

from dlas.errors import last_line
from dlas.systems.tuners.common.tiles import adapted_tiles

Step = list[Any]
"""A step as a record has it: its kind, the stage that it is about, and more."""

SPLIT, COMPUTE_AT = "SP", "CA"
ADD_A_STAGE = ("CHW", "RF")
"""Kinds of steps that add a stage, cache write and rfactor: the new one takes the place of the stage that
they are about, which comes next."""

MAX_INNERMOST = 64
"""Largest innermost tile, as in the search itself: its parameter max_innermost_split_factor."""


class DoesNotFit(Exception):
    """Tells why a relative's steps do not fit the layer."""


def seeds(
    task: SearchTask,
    relatives: Sequence[tuple[str, str]],
    count: int,
    measured: Collection[str],
    refuse: Callable[[str, str], None],
) -> list[MeasureInput]:
    """At most `count` candidates for the layer, none of them equal or `measured` before.

    `relatives` are workloads' keys with a record of each, the most promising first. `refuse` is told the
    workload and the reason where a record does not fit.
    """
    found: dict[str, MeasureInput] = {}
    for workload, line in relatives:
        if len(found) >= count:
            break
        record = json.loads(line)
        try:
            steps = adapted_steps(record, task)
            if (text := json.dumps(steps)) not in measured:
                found.setdefault(text, MeasureInput(task, applied(record, steps, task)))
        except Exception as error:  # TVM's errors have no class of their own
            refuse(workload, last_line(error))
    return [*found.values()]


def steps_in(log: Path, task: SearchTask) -> set[str]:
    """The steps of the task's candidates in the log, as JSON."""
    lines = log.read_text().splitlines() if log.exists() else []
    inputs = [json.loads(line)["i"] for line in lines]
    return {json.dumps(state[1]) for asked, state in inputs if asked[0] == task.workload_key}


def adapted_steps(record: dict[str, Any], task: SearchTask) -> list[Step]:
    """The steps of another layer's record, for this one; DoesNotFit where its stages are others."""
    (other, *_), (_, steps) = record["i"]
    stages = same_stages(other, task.workload_key)
    found: list[Step] = []
    for kind, stage, *more in steps:
        here = stages[stage]
        if kind == SPLIT:
            iterator, _, lengths, inner_to_outer = more
            loop = applied(record, found, task).stages[here].iters[iterator]
            extent = int(loop.range.extent)
            _, *lengths = adapted_tiles(extent, [extent, *lengths], MAX_INNERMOST)
            more = [iterator, extent, lengths, inner_to_outer]
        elif kind == COMPUTE_AT:
            where, iterator = more
            more = [stages[where], iterator]
        elif kind in ADD_A_STAGE:
            moved = [place + (place >= here) for place in stages]
            stages = [*moved[:stage], here, *moved[stage:]]
        found.append([kind, here, *more])
    return found


def applied(record: dict[str, Any], steps: Sequence[Step], task: SearchTask) -> State:
    """The layer after these steps, every loop with its extent; the rest of `record` is of no matter."""
    (_, *more), (stages, _) = record["i"]
    text = json.dumps({**record, "i": [[task.workload_key, *more], [stages, steps]]})
    loaded, _ = load_record_from_string(text)
    return task.compute_dag.infer_bound_from_state(loaded.state)


def same_stages(workload_key: str, other: str) -> list[int]:
    """The number in another layer of each stage of a layer; DoesNotFit unless both compute the same ones."""
    mine, its = stages_of(workload_key), stages_of(other)
    computed, there = ([name for name, given in each if not given] for each in (mine, its))
    if computed != there:
        raise DoesNotFit(f"it has the stages {', '.join(computed)}, and the layer {', '.join(there)}")
    numbers = {name: number for number, (name, _) in enumerate(its)}
    return [numbers.get(name, -1) for name, _ in mine]  # no step is about what is given


@cache
def stages_of(workload_key: str) -> list[tuple[str, bool]]:
    """The names of the stages, and whether each is given to the kernel."""
    operators = [stage.op for stage in ComputeDAG(workload_key).get_init_state().stages]
    return [(operator.name, isinstance(operator, PlaceholderOp)) for operator in operators]
