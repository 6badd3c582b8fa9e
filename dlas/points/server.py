"""The process that those of points are forked from: it imports what they need, and computes nothing.

    python -m dlas.points.server <file descriptor of the asker's socket>

Threads don't outlive a fork, so that nothing here may start those of torch or TVM.
"""

from __future__ import annotations

import socket
import sys
from importlib import import_module

TAKEN = (
    "dlas.pipeline",
    "dlas.points.plan",
    "dlas.stages.checks.rehearsal",
    "pydantic",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.model_selection",
    "torch._dynamo",
    "torch.export._trace",  # with the one above, 1200 modules that the first export of a network takes
)
"""The modules that most points import, with all that these import."""


def prepare() -> None:
    """Import what points take, and read this package's code: a later change of it is noticed, since the
    processes have the code as it was."""
    for module in TAKEN:
        import_module(module)
    from dlas.stages.store import code

    code.remember(TAKEN[:1])


if __name__ == "__main__":
    prepare()
    from dlas.processes.apart import serve_work

    serve_work(socket.socket(fileno=int(sys.argv[1])))
