"""A measurement as metrics of a run."""

from __future__ import annotations

import re

from dlas.hardware.results import footprints
from dlas.hardware.results.measurement.measured import Measurement

NOT_IN_A_NAME = re.compile(r"[^\w.-]+")
"""Characters that MLflow allows in no name of a metric."""


def metrics(measurement: Measurement) -> dict[str, float]:
    """The latencies, images per second, memory, starts, measured energies and counts, as a run of the store
    names them: those of a batch of 4 are `latency_b4.median_ms`, and so on."""
    found: dict[str, float] = {}
    for one in measurement.batches:
        found |= _metrics(one, "" if one.batch == 1 else f"_b{one.batch}")
    return found


def _metrics(measurement: Measurement, size: str) -> dict[str, float]:
    names = ("median_ms", "ci_low_ms", "ci_high_ms", "first_ms", "cold_ms", "p10_ms", "p90_ms", "p99_ms")
    summary = measurement.summary()
    latencies = {f"latency{size}.{name}": float(summary[name]) for name in names if name in summary}
    energies = {
        f"energy{size}.{NOT_IN_A_NAME.sub('_', meter)}_mj_measured": each
        for meter, each in measurement.energy_mj.items()
    }
    return {
        **latencies,
        f"throughput{size}.images_per_s": measurement.images_per_second,
        **footprints.metrics(measurement.memory, measurement.start, size),
        **energies,
        **{f"counted{size}.{name}": value for name, value in measurement.counted.items()},
    }
