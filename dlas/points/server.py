"""The process that those of points are forked from: it imports what they need, and computes nothing.

    python -m dlas.points.server <file descriptor of the asker's socket>

Threads don't outlive a fork, so that nothing here may start those of torch or TVM.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
from collections.abc import Callable
from importlib import import_module

PIPELINE = "dlas.pipeline"

TAKEN = (
    "torch",
    "tvm",
    "torch._dynamo",
    "torch.export._trace",  # with the one above, 1200 modules that the first export of a network takes
    PIPELINE,
    "dlas.points.plan",
    "dlas.stages.checks.rehearsal",
    "pydantic",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.model_selection",
    "dlas.points.view.page",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
"""The modules that most points import, with all that these import."""


def go_on() -> None:
    """Go on: nobody is asked whether this is still wanted."""


def prepare(between: Callable[[], None] = go_on) -> None:
    """Import what points take, and read this package's code: a later change of it is noticed, since the
    processes have the code as it was.

    What imports make stays: no garbage is looked for among it, here or in the processes. `between` is called
    before each import.
    """
    gc.disable()
    for module in TAKEN:
        between()
        import_module(module)
    from dlas.stages.store.code.remembering import remember

    remember([PIPELINE])
    gc.freeze()
    gc.enable()


def end_if_left(asker: socket.socket) -> None:
    """End this process if its asker has."""
    end = select.poll()
    end.register(asker, select.POLLHUP)
    if end.poll(0):
        os._exit(0)


if __name__ == "__main__":
    asker = socket.socket(fileno=int(sys.argv[1]))
    prepare(lambda: end_if_left(asker))
    from dlas.processes.apart import serve_work

    serve_work(asker)
