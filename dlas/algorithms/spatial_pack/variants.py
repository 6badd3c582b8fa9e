"""The variants of spatial pack."""

from __future__ import annotations

from dlas.interfaces.variants import Variants

VARIANTS = {
    "spatial_pack": Variants(
        dense="dlas.algorithms.spatial_pack.dense",
        sparse="dlas.algorithms.spatial_pack.sparse",
        int8="dlas.algorithms.spatial_pack.int8",
    )
}
