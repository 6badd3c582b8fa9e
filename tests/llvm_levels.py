"""How far LLVM optimizes the kernels of a test.

Bundles hold what its level 3 makes. Level 0 computes the same sums, and takes LLVM half of the time: larger
grids are built by it. Each file has kernels at level 3, too, and `exhaustive` has all of them at level 3.
"""

from __future__ import annotations

import pytest

from dlas.testing.algorithm import LLVM_LEVEL

by_level = pytest.mark.parametrize("level", [0, pytest.param(LLVM_LEVEL, marks=pytest.mark.exhaustive)])


def by_examples(few: int, many: int) -> pytest.MarkDecorator:
    """So many random examples at level 0, and `exhaustive` more at level 3."""
    exhaustive = pytest.param(LLVM_LEVEL, many, marks=pytest.mark.exhaustive)
    return pytest.mark.parametrize(("level", "examples"), [(0, few), exhaustive])
