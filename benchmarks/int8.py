"""Integer kernels against the best float32 kernel, for every distinct layer of the networks.

    python benchmarks/int8.py [--networks resnet18 random] [--layers 5] [--threads 1] [--cpu znver3]
                              [--float32 direct gemm spatial_pack] [--int8 direct_int8 spatial_pack_int8]

All kernels are untuned, and each reads and writes the layout that it asks for. Figures are the best float32
kernel's time over ours: above 1 is faster. The last line of a network weighs its layers by their time.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from statistics import geometric_mean

from layers import NETWORKS, RANDOM, kernel_call, layers_of, short
from threads import use_threads
from turns import in_turn

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload

FLOAT32 = ("direct", "gemm", "spatial_pack")
INT8 = ("direct_int8", "gemm_int8", "spatial_pack_int8")
ROUNDS, PAUSE_SECONDS, BLOCK_MILLISECONDS = 7, 0.0, 10


def main() -> None:
    options = _options()
    target = resolve(config.Target(name="host", cpu=options.cpu, cores=options.threads)).code
    use_threads(target.cores)
    print(f"{target.cores} threads, {target.cpu}")
    sums, every = [], []
    for network in options.networks:
        layers = dict(list(layers_of(network).items())[: options.layers])
        summed, ratios = compare(network, layers, options, target)
        every += ratios
        if network != RANDOM:
            sums.append(summed)
    print(f"\nall layers: geometric mean {geometric_mean(every):.2f}, worst {min(every):.2f}")
    if sums:
        print(f"sums of a network's layers: geometric mean {geometric_mean(sums):.2f}, worst {min(sums):.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [*NETWORKS, RANDOM]
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--float32", nargs="+", default=FLOAT32, help="float32 algorithms to be faster than")
    parser.add_argument("--int8", nargs="+", default=INT8)
    parser.add_argument("--layers", type=int, help="only so many of each network")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu", help="LLVM's name of the CPU to build for")
    return parser.parse_args()


def compare(
    network: str, layers: Mapping[ConvWorkload, int], options: argparse.Namespace, target: CodeTarget
) -> tuple[float, list[float]]:
    """Print the table of a network; returns the ratio of its layers' sums, and each layer's best ratio."""
    names = options.int8
    print(
        f"\n{network:60} {'times':>5} {'float32 us':>10} {'by':>13} "
        + " ".join(f"{name:>18}" for name in names)
    )
    best, float_total, int8_total = [], 0.0, 0.0
    for workload, count in layers.items():
        by_float, by_int8 = layer_medians(workload, options, target)
        algorithm, taken = min(by_float.items(), key=lambda item: item[1])
        fastest = min(by_int8.values())
        best.append(taken / fastest)
        float_total, int8_total = float_total + count * taken, int8_total + count * fastest
        cells = [f"{taken / by_int8[name]:18.2f}" if name in by_int8 else f"{'-':>18}" for name in names]
        row = f"{short(workload):60} {count:5} {taken * 1e3:10.1f} {algorithm:>13} "
        print(row + " ".join(cells), flush=True)
    ratio = float_total / int8_total
    summed = f"sum of all layers {ratio:.2f}"
    print(f"best: geometric mean {geometric_mean(best):.2f}, worst {min(best):.2f}, {summed}")
    return ratio, best


def layer_medians(
    workload: ConvWorkload, options: argparse.Namespace, target: CodeTarget
) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of the float32 and of the integer algorithms that serve the layer."""
    built = {name: kernel_call(name, workload, target) for name in options.float32}
    integer = replace(workload, dtype="int8", input_zero=3, output_zero=0, activation="relu")
    built |= {name: kernel_call(name, integer, target) for name in options.int8}
    calls = {name: call for name, call in built.items() if call}
    [first] = in_turn([next(iter(calls.values()))], runs=1, rounds=3, pause=0)
    runs = max(2, min(200, round(BLOCK_MILLISECONDS / first)))
    times = dict(zip(calls, in_turn(list(calls.values()), runs, ROUNDS, PAUSE_SECONDS), strict=True))
    by_int8 = {name: times.pop(name) for name in options.int8 if name in times}
    return times, by_int8


if __name__ == "__main__":
    main()
