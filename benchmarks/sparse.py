"""Sparse kernels against our own best dense kernel, layer by layer, over sparsities.

    python benchmarks/sparse.py [--networks resnet18 vgg16 random] [--layers 5] [--threads 1]
                                [--sparsities 0.8 0.9] [--cpu znver3]

The layers are the distinct ungrouped 3x3 and 1x1 convolutions of the networks, and some drawn at random. Per
layer the fastest dense kernel of all algorithms, and the fastest of each format, all of them untuned, take
turns in one process with equal threads; figures are medians over the turns. Weights (of CSR), or 8x1 blocks
(of BSR), are zero at random places.

The speedup is the dense time over the format's, the expected one 1 / (1 - sparsity). Winograd multiplies
2.25 or 4 times less than the others, and with transformed weights, of which none is zero: speedups are given
over the best dense kernel without it, where pruning alone decides, and over the best of all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, nan
from statistics import geometric_mean, median

import numpy as np
import tvm
from layers import NETWORKS, RANDOM, layers_of, short
from threads import use_threads

from dlas import config
from dlas.algorithms.layout import physical_shape
from dlas.algorithms.shared.sparse.formats import random_weight
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.program import kernels

DENSE = ("direct", "gemm", "spatial_pack")
WINOGRAD = ("winograd_f2", "winograd_f4")
SPARSE = ("direct_sparse", "gemm_sparse")
FORMATS = ("csr", "bsr8x1")
SPARSITIES = (0.5, 0.6, 0.8, 0.9, 0.95)
KERNELS = ((3, 3), (1, 1))
ROUNDS, PAUSE_SECONDS = 11, 0.01
TURN_SECONDS = 0.005
"""A turn repeats a kernel for about so long."""


def main() -> None:
    options = _options()
    target = resolve(config.Target(name="host", cpu=options.cpu, cores=options.threads)).code
    use_threads(target.cores)
    print(f"{target.cores} threads, {target.cpu}")
    columns = [(name, sparsity) for name in FORMATS for sparsity in options.sparsities]
    title = "speedup over the best dense kernel of all"
    print(f"{title:44}{'dense us':>9}{'all us':>9} {'by':>12} {heads(columns)}")
    rows = []
    for network in options.networks:
        layers = [layer for layer in layers_of(network) if served(layer)]
        for workload in layers[: options.layers]:
            name, dense, best, times = compare(workload, columns, target)
            rows.append((dense, best, times))
            cells = " ".join(f"{best / taken:6.2f}" for taken in times)
            print(f"{short(workload):44}{dense * 1e6:9.1f}{best * 1e6:9.1f} {name:>12} {cells}", flush=True)
    print("\nover the best dense kernel without Winograd:")
    summarize(columns, [[dense / taken for taken in times] for dense, _, times in rows])
    print("\nover the best dense kernel of all:")
    summarize(columns, [[best / taken for taken in times] for _, best, times in rows])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    networks = ("resnet18", "vgg16", RANDOM)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS, RANDOM], default=networks)
    parser.add_argument("--sparsities", nargs="+", type=float, default=SPARSITIES)
    parser.add_argument("--layers", type=int, help="only so many of each network")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu", help="LLVM's name of the CPU to build for")
    return parser.parse_args()


def served(workload: ConvWorkload) -> bool:
    return workload.kernel in KERNELS and workload.groups == 1 and workload.out_height > 1


def heads(columns: Sequence[tuple[str, float]]) -> str:
    return " ".join(f"{name[:3]}.{round(sparsity * 100):02}" for name, sparsity in columns)


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel and its arguments."""

    name: str
    module: tvm.runtime.Module
    arguments: tuple[tvm.runtime.Tensor, ...]

    def seconds(self, runs: int) -> float:
        evaluator = self.module.time_evaluator("main", tvm.cpu(), number=runs)
        return float(evaluator(*self.arguments).mean)


def compare(
    workload: ConvWorkload, columns: Sequence[tuple[str, float]], target: CodeTarget
) -> tuple[str, float, float, list[float]]:
    """The fastest dense algorithm; seconds of the fastest without Winograd, of the fastest of all, and of the
    fastest kernel in each column."""
    dense = [fastest(built(names, workload, [0.0], target)[0]) for names in (DENSE, WINOGRAD)]
    sparse = []
    for name in FORMATS:
        sparsities = [sparsity for column, sparsity in columns if column == name]
        candidates = built(SPARSE, replace(workload, format=name), sparsities, target)
        sparse += [fastest(kernels_of_one) for kernels_of_one in candidates]
    plain, winograd, *times = in_turn([*dense, *sparse])
    best, name = min(
        (taken, kernel.name) for taken, kernel in zip((plain, winograd), dense, strict=True) if kernel
    )
    return name, plain, best, times


def built(
    algorithms: Sequence[str], workload: ConvWorkload, sparsities: Sequence[float], target: CodeTarget
) -> list[list[Kernel]]:
    """For each sparsity, the kernels of the algorithms that serve the layer, on random numbers."""
    modules = {name: ALGORITHMS.load(name) for name in algorithms}
    found: list[list[Kernel]] = [[] for _ in sparsities]
    for name, algorithm in modules.items():
        if algorithm.unsupported(workload):
            continue
        input_block, output_block = algorithm.layouts(workload)
        placed = replace(workload, input_block=input_block, output_block=output_block)
        function = kernels.untuned(ConvLayer("", placed, algorithm.__name__, algorithm.__name__), target)
        main = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
        module = tvm.compile(main, tvm_target(target)).mod
        for sparsity, of_sparsity in zip(sparsities, found, strict=True):
            packed = algorithm.pack_weight(
                placed, random_weight(workload, 1 - sparsity, np.random.default_rng(0))
            )
            of_sparsity.append(Kernel(name, module, arguments(placed, packed)))
    return found


def arguments(workload: ConvWorkload, packed: Sequence[np.ndarray]) -> tuple[tvm.runtime.Tensor, ...]:
    random = np.random.default_rng(0)
    data = random.standard_normal(physical_shape(workload.input_shape, workload.input_block), np.float32)
    bias = random.standard_normal(workload.out_channels, np.float32)
    output = np.empty(physical_shape(workload.output_shape, workload.output_block), np.float32)
    return tuple(tvm.runtime.tensor(array) for array in (data, *packed, bias, output))


def fastest(candidates: Sequence[Kernel]) -> Kernel | None:
    if not candidates:
        return None
    return min(zip(in_turn(candidates, rounds=3), candidates, strict=True), key=lambda pair: pair[0])[1]


def in_turn(turns: Sequence[Kernel | None], rounds: int = ROUNDS) -> list[float]:
    """The median seconds of each kernel, over turns that go round; nan where there is none."""
    runs = [max(1, ceil(TURN_SECONDS / kernel.seconds(1))) if kernel else 0 for kernel in turns]
    samples: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for kernel, count, taken in zip(turns, runs, samples, strict=True):
            if kernel:
                time.sleep(PAUSE_SECONDS)
                kernel.seconds(1)
                taken.append(kernel.seconds(count))
    return [median(taken) if taken else nan for taken in samples]


def summarize(columns: Sequence[tuple[str, float]], rows: list[list[float]]) -> None:
    heading = ("format", "sparsity", "layers", "speedup", "of expected", "worst", "> 1")
    print(" ".join(f"{name:>11}" for name in heading))
    for index, (name, sparsity) in enumerate(columns):
        speedups = [row[index] for row in rows if not np.isnan(row[index])]
        mean, faster = geometric_mean(speedups), np.mean(np.array(speedups) > 1)
        print(
            f"{name:>11} {sparsity:11} {len(speedups):11} {mean:11.2f} {mean * (1 - sparsity):11.0%}"
            f" {min(speedups):11.2f} {faster:11.0%}"
        )


if __name__ == "__main__":
    main()
