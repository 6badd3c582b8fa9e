"""The variants of convolution as matrix multiplication."""

from __future__ import annotations

from dlas.interfaces.variants import Variants

VARIANTS = {
    "gemm": Variants(
        dense="dlas.algorithms.gemm.dense",
        sparse="dlas.algorithms.gemm.sparse",
        int8="dlas.algorithms.gemm.int8",
        cuda="dlas.algorithms.gemm.cuda",
    )
}
