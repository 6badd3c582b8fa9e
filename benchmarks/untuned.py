"""The untuned schedules against the bare loop nest, and against PyTorch eager on whole networks.

    python benchmarks/untuned.py

Everything runs in one process with as many threads for PyTorch as for TVM. The two take turns, a block of
runs each with a pause before it, so that neither's idle threads disturb the other; figures are medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import geometric_mean, median
from tempfile import TemporaryDirectory

import torch
import tvm
from tvm import te

from dlas import config, models
from dlas.algorithms.workload import ConvWorkload
from dlas.hardware.target import Target, resolve, tvm_target
from dlas.models.batch_norm import fold_batch_norm
from dlas.systems.building import build_library
from dlas.systems.lowering import lower

ALGORITHMS = ("dlas.algorithms.direct", "dlas.algorithms.gemm")
NETWORKS = {"vgg16": "dlas.models.vgg.vgg16", "resnet18": "dlas.models.resnet.resnet18"}
LAYER = ConvWorkload(1, 64, 32, 32, 64, (3, 3), padding=(1, 1, 1, 1))
IMAGE = (1, 3, 32, 32)
ROUNDS, RUNS, PAUSE_SECONDS = 7, 20, 0.3


def main() -> None:
    target = resolve(config.Target(name="host"))
    torch.set_num_threads(target.cores)
    print(f"{target.cores} threads, {target.cpu}")
    print(f"\n{LAYER.key}")
    for algorithm in ALGORITHMS:
        nest, scheduled = layer_medians(algorithm, target)
        print(f"  {short(algorithm):8} loop nest / untuned schedule = {nest / scheduled:.0f}")
    ratios = [network_ratio(name, factory, target) for name, factory in NETWORKS.items()]
    print(f"\ngeometric mean, best algorithm / eager: {geometric_mean(ratios):.2f}")


def layer_medians(algorithm: str, target: Target) -> tuple[float, float]:
    """Milliseconds of the unscheduled loop nest and of the untuned schedule."""
    module = import_module(algorithm)
    function = te.create_prim_func(module.compute(LAYER)).with_attr("global_symbol", "main")
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    module.schedule(sch, LAYER, target)
    arrays = [tvm.runtime.empty(tensor.shape, tensor.dtype) for tensor in module.compute(LAYER)]
    built = [tvm.compile(tvm.IRModule({"main": f}), tvm_target(target)) for f in (function, sch.mod["main"])]
    nest, scheduled = in_turn([lambda kernel=kernel: kernel["main"](*arrays) for kernel in built], runs=5)
    return nest, scheduled


def network_ratio(name: str, factory: str, target: Target) -> float:
    """The latency of the better algorithm over PyTorch eager's."""
    network = models.build(config.Model(name, factory), classes=10).eval()
    image = torch.zeros(IMAGE)
    with TemporaryDirectory() as folder:
        mains = [deployed(network, algorithm, target, Path(folder)) for algorithm in ALGORITHMS]
        tensor = tvm.runtime.tensor(image.numpy())
        with torch.inference_mode():
            eager, *ours = in_turn([lambda: network(image), *[lambda m=m: m(tensor) for m in mains]], RUNS)
    print(f"\n{name}: PyTorch eager {eager:.2f} ms")
    for algorithm, latency in zip(ALGORITHMS, ours, strict=True):
        print(f"  {short(algorithm):8} {latency:8.2f} ms   / eager = {latency / eager:.2f}")
    return min(ours) / eager


def deployed(network: torch.nn.Module, algorithm: str, target: Target, folder: Path) -> Callable[..., object]:
    library = folder / f"{short(algorithm)}.so"
    build_library(lower(fold_batch_norm(network), IMAGE, algorithm), {}, target, 3, library)
    machine = tvm.runtime.vm.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    return machine["main"]  # type: ignore[no-any-return]


def in_turn(functions: list[Callable[[], object]], runs: int) -> list[float]:
    """The median milliseconds of each, over blocks of `runs` taken in turn."""
    samples: list[list[float]] = [[] for _ in functions]
    for _ in range(ROUNDS):
        for function, taken in zip(functions, samples, strict=True):
            time.sleep(PAUSE_SECONDS)
            function()
            for _ in range(runs):
                start = time.perf_counter()
                function()
                taken.append((time.perf_counter() - start) * 1e3)
    return [median(taken) for taken in samples]


def short(algorithm: str) -> str:
    return algorithm.rpartition(".")[2]


if __name__ == "__main__":
    main()
