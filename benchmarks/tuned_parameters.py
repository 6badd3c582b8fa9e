"""Kernels for sparse and integer weights, tuned against untuned, for every distinct layer of the networks.

    python benchmarks/tuned_parameters.py [--networks resnet18 random] [--kinds csr:0.8 bsr8x1:0.8 int8]
                                          [--algorithm direct] [--trials 18] [--layers 5]

Every layer is searched with so many trials, then its tuned and its untuned kernel take turns in a process
that took no part in the search. Figures are the tuned time over the untuned one: below 1 is faster. A layer
for which the search finds nothing keeps its untuned kernel and counts as 1. The last lines tell which
parameters the tuned kernels changed most often: what they always change is a fault of the cost rule.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import tvm
from layers import NETWORKS, RANDOM, layers_of, short

from dlas import config
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.candidates import Timed, time_candidates
from dlas.hardware.timing.deployment import exclusive_board
from dlas.interfaces.targets.target import Target
from dlas.interfaces.tuning import DENSE, TuningTask, rounded_density
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.compilers.tvm import linking
from dlas.systems.program.operands import arguments, representative_weight, tolerance
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.kernel_parameters import tuning as parameters
from dlas.systems.tuners.kernel_parameters.space import of_tasks, space

KINDS = ("csr:0.8", "csr:0.9", "bsr8x1:0.8", "int8")


def main() -> None:
    options = _options()
    target = resolve(config.Target(name="host", cores=options.threads))
    threads, cpu = target.placement.threads, target.code.cpu
    print(f"{threads} threads, {cpu}, {options.algorithm}, {options.trials} trials a layer")
    for kind in options.kinds:
        tasks = [
            task
            for network in options.networks
            for workload in list(layers_of(network))[: options.layers]
            if (task := task_of(workload, kind, options.algorithm)) is not None
        ]
        compare(kind, tasks, options.trials, target)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS, RANDOM], default=["resnet18"])
    parser.add_argument("--kinds", nargs="+", default=KINDS, help="int8, or <format>:<sparsity>")
    parser.add_argument("--algorithm", default="direct")
    parser.add_argument("--trials", type=int, default=18)
    parser.add_argument("--layers", type=int, help="only so many of each network")
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def task_of(workload: ConvWorkload, kind: str, algorithm: str) -> TuningTask | None:
    """None where the algorithm's kernels of this kind do not serve the layer, or it is one pixel."""
    name, _, sparsity = kind.partition(":")
    density = rounded_density(1 - float(sparsity)) if sparsity else DENSE
    if name == "int8":
        variant = f"{algorithm}_int8"
        workload = replace(workload, dtype="int8", input_zero=3, output_zero=0, activation="relu")
    else:
        variant = f"{algorithm}_sparse"
        workload = replace(workload, format=name)
    served = ALGORITHMS.load(variant)
    if served.unsupported(workload) or workload.out_height * workload.out_width == 1:
        return None
    input_block, output_block = served.layouts(workload)
    placed = replace(workload, input_block=input_block, output_block=output_block)
    return TuningTask(placed, variant, density=density)


def compare(kind: str, tasks: list[TuningTask], trials: int, target: Target) -> None:
    """Print the table of a kind of kernels."""
    print(f"\n{kind:60} {'untuned us':>10} {'trials':>6} {'tuned':>6}  changed")
    ratios: list[float] = []
    changed: Counter[str] = Counter()
    for task in tasks:
        with tempfile.TemporaryDirectory(prefix="dlas-") as scratch:
            log = Path(scratch) / "parameters.json"
            tuning = parameters.tune([task], target, trials, log, TuningStore(Path(scratch) / "store"))
            found = parameters.best_schedules(log, [task], target.code).found
            tuned = found.get(task.key)
            untuned = ALGORITHMS.load(task.algorithm).kernel(task.workload, target.code)
            timed = in_turn(task, untuned, tuned or untuned, target, Path(scratch))
            changes = changes_of(log, task, target) if tuned is not None else {}
        ratio = timed.seconds / timed.replaced_seconds if tuned is not None else 1.0
        ratios.append(ratio)
        changed.update(changes.keys())
        told = ", ".join(f"{name} {before} -> {after}" for name, (before, after) in changes.items())
        name = short(task.workload)
        print(
            f"{name:60} {timed.replaced_seconds * 1e6:10.1f} {tuning.trials:6} {ratio:6.2f}  {told}",
            flush=True,
        )
    slower = sum(ratio > 1 for ratio in ratios)
    print(f"geometric mean {geometric_mean(ratios):.2f}, best {min(ratios):.2f}, ", end="")
    print(f"worst {max(ratios):.2f}, {slower} slower")
    print("changed:", ", ".join(f"{name} in {count}" for name, count in changed.most_common()) or "nothing")


def in_turn(
    task: TuningTask,
    untuned: tvm.tirx.PrimFunc,
    tuned: tvm.tirx.PrimFunc,
    target: Target,
    scratch: Path,
) -> Timed:
    paths = [scratch / "untuned.so", scratch / "tuned.so"]
    for function, path in zip((untuned, tuned), paths, strict=True):
        module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
        linking.export(tvm.compile(module, tvm_target(target.code)), target.code, target.linker, path)
    weight = representative_weight(task.workload, task.density)
    operands = arguments(task.workload, task.algorithm, weight)
    with exclusive_board(target):
        [timed] = time_candidates(paths[0], paths[1:], operands, tolerance(task.workload), target)
    if not isinstance(timed, Timed):
        raise SystemExit(f"{task.key}: {timed.reason}")
    return timed


def changes_of(log: Path, task: TuningTask, target: Target) -> Mapping[str, tuple[Any, Any]]:
    """What the fastest parameters of the log change of the cost rule's."""
    rule = asdict(space(task, target.code)[0])
    ran = [one for one in of_tasks(log, [task])[task.key] if one.ratio is not None]
    best = min(ran, key=lambda one: one.ratio or 0.0).parameters
    return {name: (rule[name], value) for name, value in best.items() if rule[name] != value}


if __name__ == "__main__":
    main()
