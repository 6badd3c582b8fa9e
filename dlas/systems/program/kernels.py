"""The kernel of a convolution layer, in TE or in TensorIR."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import tvm
from tvm import te

from dlas.errors import UserError
from dlas.interfaces.algorithm import CallingAlgorithm, TEAlgorithm, TensorIRAlgorithm, TunableAlgorithm
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.plugins.registry import ALGORITHMS, variants

OPAQUE = 8
"""TVM's operator pattern for "do not fuse into this": a kernel is scheduled for its own shape."""

ANY_CPU = CodeTarget(triple="", cpu="generic", cores=1, vector_bytes=16, vector_registers=16)
"""Target that kernels in TensorIR are written for in a program that is not scheduled yet."""


Scheduled = Mapping[str, tvm.tirx.PrimFunc]
"""Scheduled kernels by their names."""


def write(kernels: Scheduled, path: Path) -> None:
    """Write the kernels as TVM's own JSON."""
    path.write_text(tvm.ir.save_json(tvm.IRModule(dict(kernels))))


def read(path: Path) -> Scheduled:
    """The kernels that `write` wrote."""
    module = tvm.ir.load_json(path.read_text())
    return {var.name_hint: kernel for var, kernel in module.functions_items()}


def definition(layer: ConvLayer) -> tvm.tirx.PrimFunc:
    """The layer's computation as a PrimFunc, for any target."""
    algorithm = ALGORITHMS.load(layer.algorithm)
    if isinstance(algorithm, TEAlgorithm):
        function = te.create_prim_func(algorithm.compute(layer.workload))
    else:
        assert isinstance(algorithm, TensorIRAlgorithm), layer.algorithm
        function = algorithm.kernel(layer.workload, ANY_CPU)
    return function.with_attrs({"global_symbol": layer.kernel, "op_pattern": OPAQUE})


def untuned(layer: ConvLayer, target: CodeTarget) -> tvm.tirx.PrimFunc:
    """The layer's kernel by its algorithm's own schedule; UserError (target) where it has none for a GPU."""
    if target.kind == "cuda":
        return _for_gpu(layer, target)
    algorithm = ALGORITHMS.load(layer.algorithm)
    if not isinstance(algorithm, TEAlgorithm):
        assert isinstance(algorithm, TensorIRAlgorithm), layer.algorithm
        return algorithm.kernel(layer.workload, target)
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": definition(layer)}))
    algorithm.schedule(sch, layer.workload, target)
    return sch.mod["main"]


def _for_gpu(layer: ConvLayer, target: CodeTarget) -> tvm.tirx.PrimFunc:
    scheduling, short = variants(layer.algorithm).cuda, layer.algorithm.rpartition(".")[2]
    if scheduling is None:
        raise UserError(
            f"layer {layer.name} is computed by {short}, which has no schedule for a GPU",
            key="target",
            remedy="a point of algo=direct or algo=gemm, with dense weights that are not int8",
        )
    kernel: tvm.tirx.PrimFunc
    kernel = import_module(scheduling).schedule(definition(layer), layer.workload, target)
    return kernel


def c_code(layers: Iterable[ConvLayer]) -> list[str]:
    """The C that kernels of these layers call, each text once."""
    algorithms = [ALGORITHMS.load(name) for name in sorted({layer.algorithm for layer in layers})]
    return [one.c_code() for one in algorithms if isinstance(one, CallingAlgorithm)]


def scheduling_modules(layers: Iterable[ConvLayer], target: CodeTarget) -> list[str]:
    """The modules that hold the kernels of these layers and their own schedules for the target."""
    algorithms = sorted({layer.algorithm for layer in layers})
    gpu = [variants(algorithm).cuda for algorithm in algorithms] if target.kind == "cuda" else []
    own = [ALGORITHMS.path(algorithm) for algorithm in algorithms]
    return [*own, *(module for module in gpu if module is not None)]


def has_parameters(algorithm: str) -> bool:
    """Whether the algorithm is written in TensorIR with parameters, which a tuner can choose."""
    return isinstance(ALGORITHMS.load(algorithm), TunableAlgorithm)


def is_searchable(algorithm: str) -> bool:
    """Whether the algorithm is written in TE, whose schedules a tuner can search."""
    return isinstance(ALGORITHMS.load(algorithm), TEAlgorithm)
