"""What was measured: sessions, what follows from them, their file, their metrics.

measurement.median_ms, .interval_ms, .first_ms, .percentile_ms(90), .outliers, .unsteady
measurement.batches -> one measurement for each batch size, itself the first
write(Measurement, timing.json), read(timing.json) -> Measurement
"""

from dlas.hardware.results.measurement.document import read, write
from dlas.hardware.results.measurement.measured import ENOUGH_SESSIONS, Measurement, of_sessions
from dlas.hardware.results.measurement.metrics import metrics
from dlas.hardware.results.measurement.session import NS_PER_MS, Session, session

__all__ = [
    "ENOUGH_SESSIONS",
    "NS_PER_MS",
    "Measurement",
    "Session",
    "metrics",
    "of_sessions",
    "read",
    "session",
    "write",
]
