"""The variants of oneDNN's convolutions."""

from __future__ import annotations

from dlas.interfaces.variants import Variants

VARIANTS = {"onednn": Variants(dense="dlas.algorithms.onednn.dense")}
