"""A small network that is always the same: its time shows the board's own pace.

build(target, linker, library); INPUT
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.program.program import ConvLayer, LoweredProgram, Parameter

ALGORITHM = "direct"

WORKLOAD = ConvWorkload(1, 64, 32, 32, 64, (3, 3), padding=(1, 1, 1, 1))
"""Workload of a layer in the first stage of a ResNet for 32x32 images: 38 million
multiply-accumulates, 0.7 MB."""

LAYER = ConvLayer("yardstick", WORKLOAD, ALGORITHM, ALGORITHM)

INPUT = np.zeros(WORKLOAD.input_shape, "float32")

OPT_LEVEL = 3


def build(target: CodeTarget, linker: str | None, library: Path) -> None:
    """Write the library of the yardstick; UserError where nothing is there to link it for the target."""
    from dlas.systems.compilers.tvm.building import build_library

    build_library(_program(), {}, target, linker, OPT_LEVEL, library)


def _program() -> LoweredProgram:
    from tvm import relax

    from dlas.systems.program import kernels

    weight = np.random.default_rng(0).standard_normal(WORKLOAD.weight_shape).astype("float32")
    (packed,) = LAYER.packed(weight)
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(WORKLOAD.input_shape, "float32"))
    parameter = relax.Var("weight", relax.TensorType(packed.shape, "float32"))
    with builder.function("main", [image, parameter], attrs={"num_input": 1}):
        kernel = builder.add_func(kernels.definition(LAYER), LAYER.kernel)
        output = relax.TensorType(WORKLOAD.output_shape, "float32")
        with builder.dataflow():
            found = builder.emit_output(relax.call_tir(kernel, [image, parameter], output))
        builder.emit_func_output(found)
    return LoweredProgram(builder.get(), (LAYER,), (Parameter("weight", LAYER.name),), {"weight": weight})
