"""The multiply-accumulates (MACs) that a kernel spends."""

from __future__ import annotations

import numpy as np

from dlas.algorithms.shared.sparse.formats import stored_fraction
from dlas.interfaces.workload import ConvWorkload


def spent_macs(workload: ConvWorkload, weight: np.ndarray) -> int:
    """MACs that a kernel of the workload spends on an OIHW weight, whichever algorithm it has: those of the
    weights that its format stores, which are all for a dense one."""
    if workload.format == "dense":
        return workload.macs
    return workload.macs // weight.size * round(stored_fraction(workload, weight) * weight.size)
