"""The variants of direct convolution."""

from __future__ import annotations

from dlas.interfaces.variants import Variants

VARIANTS = {
    "direct": Variants(
        dense="dlas.algorithms.direct.dense",
        sparse="dlas.algorithms.direct.sparse",
        int8="dlas.algorithms.direct.int8",
        cuda="dlas.algorithms.direct.cuda",
    )
}
