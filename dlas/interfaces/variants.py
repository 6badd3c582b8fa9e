"""The table of an algorithm's variants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variants:
    """Modules with the kernels of one algorithm: dotted paths, None where it has no such kernels.

    A family of algorithms is a package, and its module `variants` has the table:

        VARIANTS = {"mine": Variants(dense="my_package.mine.dense", sparse="my_package.mine.sparse")}

    The keys of dlas's own are the names that are written to disk. An algorithm of a user's own is known by
    the dotted path of its dense kernels, whatever the key. The table is read from its source, since nothing
    is imported to find a name; so it is written out, in text alone.
    """

    dense: str
    """Module for weights as they are, in floating point."""
    sparse: str | None = None
    """Module for weights of which a sparse format leaves out zeros."""
    int8: str | None = None
    """Module for int8 weights and activations."""
    cuda: str | None = None
    """The schedule for GPUs of what `dense` computes."""
