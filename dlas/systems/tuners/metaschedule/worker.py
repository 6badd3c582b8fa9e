"""The process that MetaSchedule searches in: a request, JSON lines on standard output.

    {"command": "tune" | "transfer" | "replay", "tasks": [{"workload": ...}, ...], "target": ..., ...}

An answer {"question": ...} waits for a line of JSON on standard input; the others wait for nothing.
When its standard input closes, this process and all that it started end, whatever they are doing.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


def main() -> None:
    """Import what every request takes, and serve them."""
    import dlas.systems.tuners.metaschedule.replay
    import dlas.systems.tuners.metaschedule.search
    import dlas.systems.tuners.metaschedule.transfer  # noqa: F401
    from dlas.systems.tuners.common.worker_process import serve_requests

    serve_requests(work)


def work(request: dict[str, Any]) -> None:
    """Serve one request."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TVM prints is no answer
    replies: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def report(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    def ask(question: dict[str, Any]) -> None:
        report({"question": question})
        replies.get()

    from tvm.support import popen_pool

    from dlas.errors import UserError
    from dlas.systems.tuners.common import popen_pools
    from dlas.systems.tuners.common.board_questions import GIVE_BACK, TAKE
    from dlas.systems.tuners.metaschedule.replay import replay
    from dlas.systems.tuners.metaschedule.search import tune
    from dlas.systems.tuners.metaschedule.transfer import transfer

    popen_pools.serve_pools(popen_pool)
    threading.Thread(target=_listen, args=(replies,), daemon=True).start()  # no thread may be there before

    @contextmanager
    def board() -> Iterator[None]:
        ask({"board": TAKE})
        yield
        ask({"board": GIVE_BACK})

    commands: dict[str, Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None]] = {
        "tune": partial(tune, board=board),
        "transfer": partial(transfer, board=board),
        "replay": replay,
    }
    try:
        commands[request["command"]](request, report)
    except UserError as error:  # a lost board, say
        report({"problem": error.problem, "key": error.key, "remedy": error.remedy})
    except OSError as error:  # a full disk, say
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to save, and idle measuring processes would take a second each to join


def _listen(replies: queue.SimpleQueue[Any]) -> None:
    """Pass on what the asker replies; when the asker goes away, kill this process group."""
    for line in sys.stdin:
        replies.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
