"""The process that those of points are forked from: it imports what they need, and computes nothing.

    python -m dlas.point_server <file descriptor of the asker's socket>

Threads don't outlive a fork, so that nothing here may start those of torch or TVM.
"""

from __future__ import annotations

import socket
import sys


def prepare() -> None:
    """Import what points take, and read this package's code: a later change of it is noticed, since the
    processes have the code as it was."""

    import dlas.pipeline
    import dlas.plan
    import dlas.stages.rehearsal
    from dlas.stages.store import code

    code.remember([dlas.pipeline.__name__])


if __name__ == "__main__":
    prepare()
    from dlas.processes.apart import serve_work

    serve_work(socket.socket(fileno=int(sys.argv[1])))
