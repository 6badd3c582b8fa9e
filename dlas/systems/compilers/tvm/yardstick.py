"""Small networks that are always the same: their times show the board's own pace.

names(target) -> the yardsticks that it has; SHAPES[name]; build(name, target, linker, library)

What slows a board down slows one kind of work more than another: a neighbour that uses the memory slows what
waits for memory. So there are several, and a network is compared beside the one that follows it best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from dlas.interfaces.program import ConvLayer, LoweredProgram, Parameter
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.program.packing import packed

if TYPE_CHECKING:
    from tvm import te

COMPUTE, MEMORY, KERNELS = "compute", "memory", "kernels"
"""Names of the yardsticks: one convolution; one pass over an array that no core's cache holds; many kernels
that are each over in microseconds."""

ALGORITHM = "direct"

WORKLOAD = ConvWorkload(1, 64, 32, 32, 64, (3, 3), padding=(1, 1, 1, 1))
"""Workload of a layer in the first stage of a ResNet for 32x32 images: 38 million
multiply-accumulates, 0.7 MB."""

LAYER = ConvLayer("yardstick", WORKLOAD, ALGORITHM, ALGORITHM)

SHAPES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {COMPUTE: WORKLOAD.input_shape, MEMORY: (1, 16, 512, 512), KERNELS: (1, 32, 32, 32)}
)
"""Shapes of the float32 inputs. That of `memory` has 16 MB, and its output as many; that of `kernels` is the
smallest that is shared out over threads."""

KERNEL_CALLS = 48
"""Kernels that `kernels` calls, one after another."""

OPT_LEVEL = 3


def names(target: CodeTarget) -> tuple[str, ...]:
    """The yardsticks that there are for the target, the one that every target has first."""
    return (COMPUTE,) if target.kind == "cuda" else (COMPUTE, MEMORY, KERNELS)


def build(name: str, target: CodeTarget, linker: str | None, library: Path) -> None:
    """Write the library of a yardstick; UserError where nothing is there to link it for the target."""
    from dlas.systems.compilers.tvm.building import build_library

    program = (
        _convolution() if name == COMPUTE else _chain(SHAPES[name], KERNEL_CALLS if name == KERNELS else 1)
    )
    build_library(program, {}, target, linker, OPT_LEVEL, library)


def _convolution() -> LoweredProgram:
    from tvm import relax

    from dlas.systems.program import kernels

    weight = np.random.default_rng(0).standard_normal(WORKLOAD.weight_shape).astype("float32")
    (array,) = packed(LAYER, weight)
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(WORKLOAD.input_shape, "float32"))
    parameter = relax.Var("weight", relax.TensorType(array.shape, "float32"))
    with builder.function("main", [image, parameter], attrs={"num_input": 1}):
        kernel = builder.add_func(kernels.definition(LAYER), LAYER.kernel)
        output = relax.TensorType(WORKLOAD.output_shape, "float32")
        with builder.dataflow():
            found = builder.emit_output(relax.call_tir(kernel, [image, parameter], output))
        builder.emit_func_output(found)
    return LoweredProgram(builder.get(), (LAYER,), (Parameter("weight", LAYER.name),), {"weight": weight})


def _chain(shape: tuple[int, ...], calls: int) -> LoweredProgram:
    """A network that adds one to each element so many times, by a kernel each."""
    from tvm import relax

    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(shape, "float32"))
    with builder.function("main", [image], attrs={"num_input": 1}):
        with builder.dataflow():
            found = image
            for _ in range(calls - 1):
                found = builder.emit_te(_plus_one(shape), found)
            found = builder.emit_output(builder.emit_te(_plus_one(shape), found))
        builder.emit_func_output(found)
    return LoweredProgram(builder.get(), (), (), {})


def _plus_one(shape: tuple[int, ...]) -> Callable[[te.Tensor], te.Tensor]:
    from tvm import te

    def plus_one(given: te.Tensor) -> te.Tensor:
        return te.compute(shape, lambda *index: given(*index) + 1.0, name="plus_one")

    return plus_one
