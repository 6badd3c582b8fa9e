"""Direct convolution on integers, in whichever layout its input and output lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlas.algorithms.shared.integer.convolution import Convolution, Plane
from dlas.algorithms.shared.integer.depthwise import RowTile, depthwise, row_tiles
from dlas.algorithms.shared.integer.dot_products import dot_product
from dlas.algorithms.shared.integer.kernel import integer_kernel
from dlas.algorithms.shared.integer.packing import group_words
from dlas.algorithms.shared.integer.tile import IntegerTile, tiles
from dlas.algorithms.shared.integer.words import words_of
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget


def parameters(workload: ConvWorkload, target: CodeTarget) -> tuple[IntegerTile, ...] | tuple[RowTile, ...]:
    """Tiles that a tuner may try, the cost rule's choice first."""
    if workload.is_depthwise:
        return row_tiles(workload, target)
    top, left, bottom, right = workload.padding
    pixels = (workload.height + top + bottom) * (workload.width + left + right)
    words = workload.groups * group_words(workload) * pixels
    plane = (workload.out_height, workload.out_width)
    return tiles(workload, plane, words, dot_product(target, workload.weight_limit), target)


def kernel_with(workload: ConvWorkload, target: CodeTarget, chosen: Any) -> Any:
    """The kernel in TensorIR with one of its `parameters`; it reads the words of its input where they lie."""
    if workload.is_depthwise:
        return depthwise(workload, target, chosen)
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
        Convolution(workload, plane, dot, arguments).write(chosen)
    return builder.get()
