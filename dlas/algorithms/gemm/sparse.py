"""Convolution as a sparse matrix times a dense one: the weights times the im2col matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlas.algorithms.gemm import dense
from dlas.algorithms.shared.sparse import rows
from dlas.algorithms.shared.sparse.formats import pack, unsupported_weights
from dlas.algorithms.shared.sparse.tiling import SparseTiling, tiling, tilings
from dlas.algorithms.shared.sparse.views import im2col
from dlas.interfaces.workload import ConvWorkload

if TYPE_CHECKING:
    import tvm

    from dlas.interfaces.targets.code_target import CodeTarget


def unsupported(workload: ConvWorkload) -> str:
    """Say what dense GEMM does not serve, or what the format cannot hold; "" where neither."""
    return dense.unsupported(workload) or unsupported_weights(workload)


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHW in and out."""
    return 1, 1


def pack_weight(workload: ConvWorkload, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays of the workload's format: see `pack`."""
    return pack(im2col(workload), weight)


def kernel(workload: ConvWorkload, target: CodeTarget) -> tvm.tirx.PrimFunc:
    """Kernel of (data, *packed weight, bias?, residual?, output)."""
    return kernel_with(workload, target, tiling(im2col(workload), target))


def parameters(workload: ConvWorkload, target: CodeTarget) -> tuple[SparseTiling, ...]:
    """Tilings that a tuner may try, the kernel's own choice first."""
    return tilings(im2col(workload), target)


def kernel_with(workload: ConvWorkload, target: CodeTarget, chosen: SparseTiling) -> tvm.tirx.PrimFunc:
    """The kernel with one of its `parameters`."""
    return rows.kernel(im2col(workload), chosen)
