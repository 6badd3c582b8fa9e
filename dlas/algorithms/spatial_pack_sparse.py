"""Sparse weights between activations in NCHWc: the kernels of `direct_sparse` take them apart into planes."""

from __future__ import annotations

from dlas.algorithms import direct_sparse, spatial_pack
from dlas.algorithms.sparse.formats import unsupported_weights
from dlas.algorithms.workload import ConvWorkload


def unsupported(workload: ConvWorkload) -> str:
    """What dense spatial pack does not serve, and what the format does not hold."""
    return spatial_pack.unsupported(workload) or unsupported_weights(workload)


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHWc, as dense spatial pack."""
    return spatial_pack.layouts(workload)


pack_weight, kernel = direct_sparse.pack_weight, direct_sparse.kernel

parameters, kernel_with = direct_sparse.parameters, direct_sparse.kernel_with
