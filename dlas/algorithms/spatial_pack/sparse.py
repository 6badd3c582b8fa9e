"""Sparse weights between activations in NCHWc: those of direct convolution take them apart into planes."""

from __future__ import annotations

from dlas.algorithms.direct import sparse as direct
from dlas.algorithms.shared.sparse.formats import unsupported_weights
from dlas.algorithms.spatial_pack import dense
from dlas.interfaces.workload import ConvWorkload


def unsupported(workload: ConvWorkload) -> str:
    """Say what dense spatial pack does not serve, or what the format cannot hold; "" where neither."""
    return dense.unsupported(workload) or unsupported_weights(workload)


def layouts(workload: ConvWorkload) -> tuple[int, int]:
    """NCHWc, as dense spatial pack."""
    return dense.layouts(workload)


pack_weight, kernel = direct.pack_weight, direct.kernel

parameters, kernel_with = direct.parameters, direct.kernel_with
