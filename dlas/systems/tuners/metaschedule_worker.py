"""The process that MetaSchedule searches in: a request on standard input, JSON lines on standard output.

    {"command": "tune" | "transfer" | "replay", "tasks": [{"workload": ...}, ...], "target": ..., ...}

When its standard input closes, this process and all that it started end, whatever they are doing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """Serve one request."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TVM prints is no answer
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_asker, daemon=True).start()

    def report(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    from dlas.errors import UserError
    from dlas.systems.tuners.metaschedule_replay import replay
    from dlas.systems.tuners.metaschedule_search import tune
    from dlas.systems.tuners.metaschedule_transfer import transfer

    try:
        {"tune": tune, "transfer": transfer, "replay": replay}[request["command"]](request, report)
    except UserError as error:  # a lost board, say
        report({"problem": error.problem, "key": error.key, "remedy": error.remedy})
    except OSError as error:  # a full disk, say
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to save, and idle measuring processes would take a second each to join


def _end_with_the_asker() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
