"""How long a store on another machine may be away.

At the start of a command it has to answer at once. In the middle of one MLflow's client asks again, 7 times
in 4 minutes: MLFLOW_HTTP_REQUEST_MAX_RETRIES and its like, which MLflow reads at every request, set that.
What can be told later, such as a heartbeat, is tried once and holds nothing up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dlas.processes import environment

ANSWER_SECONDS = 2.0
"""Time within which a store has to answer at the start, where nothing else is set. A command asks after 1 to
1.3 s of CPU time: it has said so within 5 s where it gets half a core."""

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
"""MLflow's own setting of the time that an answer may take. Where a user has it, it counts at the start."""


def answer_seconds() -> float:
    """Time within which a store has to answer at the start of a command, in seconds."""
    with suppress(KeyError, ValueError):  # MLflow refuses what is no number
        return float(os.environ[TIMEOUT])
    return ANSWER_SECONDS


def once() -> dict[str, str]:
    """The environment in which MLflow's client, and that for S3, try a request once."""
    return {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        TIMEOUT: f"{answer_seconds():.0f}",
        "AWS_MAX_ATTEMPTS": "1",
    }


@contextmanager
def hasty() -> Iterator[None]:
    """Have each request of MLflow's client tried once, and given up after `answer_seconds`."""
    with environment.changed(once()):
        yield
