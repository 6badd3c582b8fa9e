"""The process that those of points are forked from: it imports what they need, and computes nothing.

    python -m dlas.points.server <file descriptor of the asker's socket>

The check of points does not wait for what only their making takes: that is imported while the check goes on.
Threads don't outlive a fork, so that nothing here may start those of torch or TVM.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from dlas.processes.lasting import lasting

PIPELINE = "dlas.pipeline"

CHECKING = (
    "torch",
    "tvm",
    "torch._dynamo",
    "torch.export._trace",  # with the one above, 1200 modules that the first export of a network takes
    PIPELINE,
    "dlas.points.plan",
    "dlas.stages.checks.rehearsal",
    "pydantic",
)
"""The modules that the check of points imports, with all that these import."""

MAKING = (
    "sklearn.datasets",
    "sklearn.model_selection",
    "scipy.optimize",
    "scipy.stats",
    "dlas.points.view.page",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)
"""The further ones that most points import: a quarter of the time that all take."""


def go_on() -> None:
    """Go on: nobody is asked whether this is still wanted."""


def prepare(between: Callable[[], None] = go_on) -> None:
    """Import what the check of points takes, and read this package's code: a later change of it is noticed,
    since the processes have the code as it was. `between` is called before each import."""
    from dlas.systems.compilers.tvm.symbols import read_before_torch

    read_before_torch()
    for module in CHECKING:
        between()
        _take(module)
    from dlas.stages.store.code.remembering import remember

    with lasting():
        remember([PIPELINE])


def further() -> Iterator[str]:
    """Import what points take beside that, one module at each step; at last look up what each of them would,
    how operators are taken apart."""
    for module in MAKING:
        _take(module)
        yield module
    from dlas.models.graph import decompositions

    with lasting():
        decompositions.tables()


def _take(module: str) -> None:
    with lasting():
        import_module(module)


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

    serve_work(asker, further())
