"""Direct convolution on integers, in whichever layout its input and output lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlas.algorithms.integer.convolution import Convolution, Plane
from dlas.algorithms.integer.depthwise import depthwise
from dlas.algorithms.integer.dot_products import dot_product
from dlas.algorithms.integer.kernel import integer_kernel
from dlas.algorithms.integer.packing import is_depthwise
from dlas.algorithms.integer.words import words_of
from dlas.algorithms.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.hardware.target import Target


def kernel(workload: ConvWorkload, target: Target) -> Any:
    """The kernel in TensorIR; it reads the words of its input where they lie."""
    if is_depthwise(workload):
        return depthwise(workload, target)
    dot = dot_product(target, workload.weight_limit)
    with integer_kernel(workload, workload.out_width) as (builder, arguments):
        words = words_of(workload, dot, arguments.data)
        plane = Plane(
            rows=workload.out_height,
            columns=workload.out_width,
            stride=workload.stride,
            words=words,
            offset=lambda word, r, s: words.index(
                0, word, r * workload.dilation[0], s * workload.dilation[1]
            ),
        )
        Convolution(workload, plane, dot, arguments).write(target)
    return builder.get()
