"""Whole networks by untuned kernels: every algorithm, the fastest of them layer by layer, and int8.

    python benchmarks/networks.py [--networks resnet18 resnet50] [--cpu znver3]

PyTorch eager and the libraries take turns in one process with as many threads each; figures are medians. With
`--cpu` of an AVX2 machine, hold PyTorch to AVX2 as well: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import geometric_mean
from tempfile import TemporaryDirectory

import torch
import tvm
from layers import NETWORKS
from threads import use_threads
from torch import nn
from turns import in_turn

from dlas import config, models
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.target import Target
from dlas.models.quantized import calibrated
from dlas.systems.choices import fastest
from dlas.systems.choices.fastest import Kind
from dlas.systems.choices.lowering import lowered
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.graph.importing import import_network
from dlas.systems.graph.sites import conv_sites

FLOAT32 = ("direct", "gemm", "spatial_pack", "winograd_f2", "winograd_f4")
INT8 = ("direct", "gemm", "spatial_pack")
OPT_LEVEL = 3
RUNS, ROUNDS = 4, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--cpu", help="LLVM's name of the CPU to build for")
    parser.add_argument("--weight-bits", type=int, choices=[7, 8], default=8, help="of int8")
    options = parser.parse_args()
    target = resolve(config.Target(name="host", cpu=options.cpu))
    use_threads(target.placement.threads)
    threads, cpu = target.placement.threads, target.code.cpu
    print(f"{threads} threads, {cpu}, PyTorch {torch.backends.cpu.get_cpu_capability()}")
    found = [compare(name, target, options.weight_bits) for name in options.networks]
    for label, ratios in zip(
        ("auto / eager", "auto / best algorithm", "auto / int8"), zip(*found, strict=True), strict=True
    ):
        print(f"{label}: geometric mean {geometric_mean(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


def compare(name: str, target: Target, weight_bits: int) -> tuple[float, float, float]:
    """The latency of algo=auto over PyTorch eager's, over the best single algorithm's, and over int8's."""
    factory, size = NETWORKS[name]
    network = models.build(config.Model(name, factory), classes=10).eval()
    image = torch.rand(1, 3, size, size)
    with TemporaryDirectory() as float32, TemporaryDirectory() as int8:
        mains = {
            **deployed(network, image, FLOAT32, target, Path(float32)),
            "int8": deployed(quantized(network, image, weight_bits), image, INT8, target, Path(int8))["auto"],
        }
        tensor = tvm.runtime.tensor(image.numpy())
        with torch.inference_mode():
            eager, *ours = in_turn(
                [lambda: network(image), *(lambda main=main: main(tensor) for main in mains.values())],
                RUNS,
                ROUNDS,
            )
    latencies = dict(zip(mains, ours, strict=True))
    print(f"\n{name}: PyTorch eager {eager:.2f} ms; latency / eager:")
    print(
        "  " + "  ".join(f"{kind} {latency / eager:.2f}" for kind, latency in latencies.items()), flush=True
    )
    auto, best = latencies["auto"], min(latencies[name] for name in FLOAT32 if name in latencies)
    return auto / eager, auto / best, auto / latencies["int8"]


def deployed(
    network: nn.Module, image: torch.Tensor, algorithms: Sequence[str], target: Target, scratch: Path
) -> dict[str, Callable[..., object]]:
    """The network by each algorithm that serves any layer, and as `auto` by the fastest for each."""
    program = by_fastest(network, image, algorithms, target, scratch)
    start = time.perf_counter()
    build_library(program, {}, target.code, target.linker, OPT_LEVEL, scratch / "auto.so")
    print(f"  a library of {len(program.layers)} layers was built in {time.perf_counter() - start:.1f} s")
    libraries = {name: scratch / f"{name}.so" for name in (*algorithms, "auto")}
    return {name: entry(library) for name, library in libraries.items() if library.exists()}


def by_fastest(
    network: nn.Module, image: torch.Tensor, algorithms: Sequence[str], target: Target, scratch: Path
) -> LoweredProgram:
    """The network by the fastest algorithm for each layer; its library by each is left in `scratch`."""
    imported = import_network(network, image.shape)
    sites = conv_sites(imported)
    kinds = [Kind(algorithm, "dense") for algorithm in algorithms]
    chosen = fastest.choose(imported, sites, kinds, target, OPT_LEVEL, image.numpy(), scratch)
    return lowered(imported, sites, chosen.layers)


def quantized(network: nn.Module, image: torch.Tensor, weight_bits: int) -> nn.Module:
    """In int8, calibrated on `image`: its speed is that of any calibration."""
    return calibrated(network, image, "minmax", weight_bits).exportable(len(image))


def entry(library: Path) -> Callable[..., object]:
    """The network that a library holds."""
    machine = tvm.runtime.vm.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    return machine["main"]  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
