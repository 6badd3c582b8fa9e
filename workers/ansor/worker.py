"""The TVM 0.19 side of the Ansor tuner: a request, JSON lines on standard output.

    {"command": "tune" | "replay" | "sample", "target": ..., "tasks": [{"workload": ...}, ...], ...}

An answer {"question": ...} waits for a line of JSON on standard input; the others wait for nothing.
Standard input stays open for as long as the answers are wanted: when it closes, this process and all that
it started end, whatever they are doing.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from functools import partial
from typing import Any


def main() -> None:
    """Import what every request takes, and serve them."""
    packages = sys.argv.pop(1)
    sys.path.append(packages)
    import tvm

    if is_right(tvm.__version__):
        import replaying  # noqa: F401
        import searching  # noqa: F401
    from dlas.systems.tuners.common.worker_process import serve_requests

    serve_requests(work)


def is_right(version: str) -> bool:
    return version.startswith("0.19.")


def work(request: dict[str, Any]) -> None:
    """Serve one request."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TVM prints is no answer
    replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
    sys.path.extend(root for root in request["import_roots"] if root not in sys.path)

    def report(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    def ask(question: dict[str, Any]) -> Any:
        report({"question": question})
        return replies.get()

    import tvm

    report({"tvm": tvm.__version__})
    if not is_right(tvm.__version__):
        return
    from replaying import replay, sample
    from searching import tune
    from tvm.contrib import popen_pool

    from dlas.systems.tuners.common import popen_pools

    popen_pools.serve_pools(popen_pool)
    threading.Thread(target=listen, args=(replies,), daemon=True).start()  # no thread may be there before
    commands = {"tune": partial(tune, ask=ask), "replay": replay, "sample": sample}
    commands[request["command"]](request, report)
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to save, and idle measuring processes would take a second each to join


def listen(replies: queue.SimpleQueue[Any]) -> None:
    """Pass on what the asker replies; when the asker goes away, kill this process group."""
    for line in sys.stdin:
        replies.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
