"""The texts and the times of measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm.auto_scheduler import MeasureInput, MeasureResult
from tvm.auto_scheduler.measure_record import dump_record_to_string


def mean_seconds(result: MeasureResult) -> float:
    return float(np.mean([cost.value for cost in result.costs]))


def texts(inputs: Sequence[MeasureInput], results: Sequence[MeasureResult]) -> list[str]:
    """The lines of Ansor's log with these results."""
    return [dump_record_to_string(*pair).strip() for pair in zip(inputs, results, strict=True)]
