"""What measurements and errors say."""

from __future__ import annotations

import numpy as np
from tvm.auto_scheduler import MeasureResult


def mean_seconds(result: MeasureResult) -> float:
    return float(np.mean([cost.value for cost in result.costs]))


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
