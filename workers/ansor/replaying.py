"""Schedules as text: the best ones in a log, or random ones, lowered to plain loops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from layers import search_task
from lowering import lowered
from results import mean_seconds
from tvm.auto_scheduler import RandomModel, RecordReader, SketchPolicy

from dlas.errors import last_line

SAMPLED_AT_LEAST = 16
"""Minimum number of random schedules to draw: of fewer, Ansor may find that all are invalid."""

Report = Callable[[dict[str, Any]], None]


def replay(request: Mapping[str, Any], report: Report) -> None:
    """Report the `best` fastest schedules in `log` of each task, fastest first, as text, or the reason why
    one does not apply.

    Two kinds of logs are not replayed: of one that was measured for another target, and is not asked for as
    `foreign`, the target is reported; of one that Ansor can't read, the problem.
    """
    tasks = [search_task(task, request["target"]) for task in request["tasks"]]
    measured = defaultdict(list)
    asked = {task.workload_key for task in tasks}
    try:
        records = list(RecordReader(request["log"]))
    except Exception as error:  # TVM's errors have no class of their own
        problem = f"Ansor can't read its tuning log: {last_line(error)}"
        report({"problem": problem, "key": request["log"], "remedy": ""})
        return
    for record, result in records:
        if record.task.workload_key not in asked:
            continue
        if str(record.task.target) != str(tasks[0].target) and not request["foreign"]:
            report({"foreign": str(record.task.target)})
            return
        if result.error_no == 0:
            measured[record.task.workload_key].append((mean_seconds(result), record.state))
    for index, task in enumerate(tasks):
        fastest = sorted(measured[task.workload_key], key=lambda timed: timed[0])[: request["best"]]
        for seconds, state in fastest:
            try:
                report({"task": index, "seconds": seconds, "script": lowered(task, state)})
            except Exception as error:  # TVM's errors have no class of their own
                report({"task": index, "refused": last_line(error)})


def sample(request: Mapping[str, Any], report: Report) -> None:
    """Report `samples` random schedules of each task as text, none of them measured."""
    for index, asked in enumerate(request["tasks"]):
        task = search_task(asked, request["target"])
        params = {
            "sample_init_min_population": max(SAMPLED_AT_LEAST, request["samples"]),
            "evolutionary_search_population": max(SAMPLED_AT_LEAST, request["samples"]),
            "evolutionary_search_num_iters": 2,
        }
        policy = SketchPolicy(task, RandomModel(), params=params, seed=request["seed"] + index, verbose=0)
        sampled = list(policy.sample_initial_population())
        evolved = list(policy.evolutionary_search(sampled, request["samples"] // 2))
        for state in (evolved + sampled)[: request["samples"]]:
            report({"task": index, "script": lowered(task, state)})
