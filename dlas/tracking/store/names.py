"""Names that runs carry: tags, metrics, parts of their files; and what MLflow allows of each."""

from __future__ import annotations

BUNDLE = "bundle"
OUTPUT = "log.txt"
REPORT = "report"
# Tags that a run carries: what it is, why it failed, which run it repeats.
KIND, ERROR, ORIGINAL = "dlas.kind", "dlas.error", "dlas.original"
# The stage results that a point took, `<stage>/<key>` each, in order.
STAGES = "dlas.stages"
# Prefix of the metrics that tell how many seconds each stage took that the point made from its beginning.
SECONDS = "seconds."
# The process that writes a run, and when it was last heard of (seconds since the epoch).
PROCESS, HEARTBEAT = "dlas.process", "dlas.heartbeat"
# Beginning of the error of a run that was closed since its process was taken to be over.
LEFT = "its process is over"
# What the numbers of a point depend on, as one hash; the runs that a sweep took instead of making them again.
FINGERPRINT, EARLIER = "dlas.fingerprint", "dlas.earlier"
# The id that a run has where it was made, where that is another one.
ORIGIN = "dlas.origin"
# Of the record of a run that waits to be sent: its folder. No store has it.
UNSENT = "dlas.unsent"
# What tells of a board that did not hold still: while the network was timed, while its kernels were chosen.
UNSTEADY = ("dlas.unsteady", "dlas.unsteady_choices")
# Tag of a point that no other one of its sweep beats: true.
FRONT = "dlas.front"
# Metric that is logged before others: MLflow's page that compares runs opens on the first one of them.
FIRST = "latency.median_ms"
# Tag by which MLflow's UI shows that a folder of a run is a model.
MODELS = "mlflow.log-model.history"
SWEEP, REDEPLOYMENT, COMPARISON = "sweep", "redeploy", "comparison"
# The runs that a comparison timed beside each other, in order.
COMPARED = "dlas.compared"
# MLflow's own tag by which a run points at the one above it, and its limits.
PARENT = "mlflow.parentRunId"
BATCH, PARAM_CHARACTERS, TAG_CHARACTERS = 100, 6000, 8000
