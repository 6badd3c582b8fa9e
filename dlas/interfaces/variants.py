"""The table of an algorithm's variants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variants:
    """Where the kernels of one algorithm are: dotted paths of modules, None where it has no such kernels.

    A family of algorithms is a package, and its module `variants` has the table:

        VARIANTS = {"mine": Variants(dense="my_package.mine.dense", sparse="my_package.mine.sparse")}

    The keys of dlas's own are the names that are written to disk. An algorithm of a user's own is known by
    the dotted path of its dense kernels, whatever the key. The table is read from its source, since nothing
    is imported to find a name; so it is written out, in text alone.
    """

    dense: str
    """For weights as they are, in floating point."""
    sparse: str | None = None
    """For weights of which a sparse format leaves out zeros."""
    int8: str | None = None
    """For int8 weights and activations."""
    cuda: str | None = None
    """The schedule for GPUs of what `dense` computes."""
