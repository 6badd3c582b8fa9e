"""Correction of p-values for how many hypotheses were looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def adjusted(p_values: Sequence[float]) -> list[float]:
    """The p-values by which the chance of a single false claim among all stays below their level.

    Holm (1979), A simple sequentially rejective multiple test procedure. It asks nothing of how the tests
    depend on each other, which those on one grid do.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    left = np.arange(len(values), 0, -1)
    raised = np.minimum(np.maximum.accumulate(values[order] * left), 1.0)
    result = np.empty_like(values)
    result[order] = raised
    return [float(value) for value in result]
