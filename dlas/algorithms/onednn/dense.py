"""Convolution by oneDNN, whose kernels for AVX-512 read and write activations in blocks of 16 channels.

TVM's threads share the output channels out among them. Each calls oneDNN, which has no threads of its own
here, for its part; the function that does so is C in the library (`c_code`). It finds oneDNN when the library
runs, where `dlas.hardware.sessions.process.onednn` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.algorithms.layout import physical_shape
from dlas.algorithms.onednn.shim import CODE, FUNCTION
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    import tvm

    from dlas.interfaces.targets.code_target import CodeTarget

LANES = 16
"""Channels of a block: float32 in a register of AVX-512."""

ACTIVATIONS = ("", "relu", "relu6")
"""By the numbers that the C function knows them by."""

FAILED = "oneDNN can't be loaded (pip install 'dlas[mixed]' brings it), or does not compute this convolution"


def unsupported(workload: ConvWorkload) -> str:
    """What has float32, output channels in blocks, and no groups but a channel each, is served."""
    if workload.dtype != "float32" or workload.format != "dense":
        return "onednn serves dense float32 weights, so far"
    if workload.groups > 1 and not workload.is_depthwise:
        return "onednn serves groups of one channel only, so far"
    if workload.out_channels % LANES:
        return f"onednn serves output channels in blocks of {LANES} only, so far"
    if workload.in_channels % LANES and workload.in_channels > LANES:
        return f"onednn serves input channels in blocks of {LANES}, or fewer than that, so far"
    return ""


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHW16c, and for an input of fewer channels NCHW."""
    return _input_block(workload), LANES


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """OIHW weights as oneDNN's OIhw16i16o; as Ohwi16o for few input channels, for a depthwise layer as
    Goihw16g."""
    inner = _input_block(workload) if not workload.is_depthwise else 1
    _, channels, height, width = workload.weight_shape
    blocked = weight.reshape(-1, LANES, channels // inner, inner, height, width)
    order = (0, 2, 4, 5, 3, 1) if inner > 1 else (0, 3, 4, 5, 2, 1)
    return (np.ascontiguousarray(blocked.transpose(*order)),)


def kernel(workload: ConvWorkload, target: CodeTarget) -> tvm.tirx.PrimFunc:
    """Kernel of (data, weight, bias?, residual?, output)."""
    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as T

    from dlas.algorithms.shared.tir_arrays import tasks

    def argument(name: str, shape: tuple[int, ...]) -> Any:
        return T.arg(name, T.buffer(shape, "float32", layout=None))

    packed = pack_weight(workload, np.zeros(workload.weight_shape, np.float32))[0].shape
    output_shape = physical_shape(workload.output_shape, LANES)
    instructions = workload.macs / LANES
    with IRBuilder() as builder:
        with T.prim_func(s_tir=True):
            T.func_attr({"tirx.noalias": True})
            data = argument("data", physical_shape(workload.input_shape, workload.input_block))
            weight = argument("weight", packed)
            bias = argument("bias", (workload.out_channels,)) if workload.bias else weight
            residual = argument("residual", output_shape) if workload.residual else weight
            output = argument("output", output_shape)
            arrays = [array.data for array in (data, weight, bias, residual, output)]
            parts = _parts(workload, target, instructions)
            with tasks(workload.batch * parts, instructions) as task:
                status = T.call_extern("int32", FUNCTION, task, parts, *_numbers(workload), *arrays)
                with T.Assert(status == 0, FAILED):
                    T.evaluate(0)
        return builder.get()


def c_code() -> str:
    """The function that the kernels call."""
    return CODE


def _input_block(workload: ConvWorkload) -> int:
    return 1 if workload.in_channels % LANES else LANES


def _parts(workload: ConvWorkload, target: CodeTarget, instructions: float) -> int:
    """Parts of an image's output channels: one for each core, where it pays to wake them."""
    from dlas.algorithms.shared.tir_arrays import MIN_PARALLEL_INSTRUCTIONS

    pays = instructions >= MIN_PARALLEL_INSTRUCTIONS
    return min(target.cores, workload.out_channels // LANES) if pays else 1


def _numbers(workload: ConvWorkload) -> tuple[int, ...]:
    """The convolution as the C function is told it, field by field."""
    return (
        workload.in_channels,
        workload.height,
        workload.width,
        workload.out_channels,
        workload.out_height,
        workload.out_width,
        *workload.kernel,
        *workload.stride,
        *workload.padding,
        *workload.dilation,
        int(workload.is_depthwise),
        int(workload.bias),
        int(workload.residual),
        ACTIVATIONS.index(workload.activation),
    )
