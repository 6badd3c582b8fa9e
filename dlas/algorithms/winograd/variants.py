"""The variants of Winograd convolution."""

from __future__ import annotations

from dlas.interfaces.variants import Variants

VARIANTS = {
    "winograd_f2": Variants(dense="dlas.algorithms.winograd.f2"),
    "winograd_f4": Variants(dense="dlas.algorithms.winograd.f4"),
}
