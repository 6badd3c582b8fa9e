"""The untuned schedules against the bare loop nest of one layer, in turn in one process.

python benchmarks/untuned.py
"""

from __future__ import annotations

import tvm
from threads import use_threads
from turns import in_turn
from tvm import te

from dlas import config
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS

COMPARED = ("direct", "gemm", "spatial_pack")
LAYER = ConvWorkload(1, 64, 32, 32, 64, (3, 3), padding=(1, 1, 1, 1))


def main() -> None:
    target = resolve(config.Target(name="host")).code
    use_threads(target.cores)
    print(f"{target.cores} threads, {target.cpu}")
    print(f"\n{LAYER.key}")
    for algorithm in COMPARED:
        nest, scheduled = layer_medians(algorithm, target)
        print(f"  {algorithm:12} loop nest / untuned schedule = {nest / scheduled:.0f}")


def layer_medians(algorithm: str, target: CodeTarget) -> tuple[float, float]:
    """Milliseconds of the unscheduled loop nest and of the untuned schedule."""
    module = ALGORITHMS.load(algorithm)
    function = te.create_prim_func(module.compute(LAYER)).with_attr("global_symbol", "main")
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    module.schedule(sch, LAYER, target)
    arrays = [tvm.runtime.empty(tensor.shape, tensor.dtype) for tensor in module.compute(LAYER)]
    built = [tvm.compile(tvm.IRModule({"main": f}), tvm_target(target)) for f in (function, sch.mod["main"])]
    nest, scheduled = in_turn([lambda kernel=kernel: kernel["main"](*arrays) for kernel in built], runs=5)
    return nest, scheduled


if __name__ == "__main__":
    main()
