"""The TVM 0.19 side of the Ansor tuner: a request on standard input, JSON lines on standard output.

    {"command": "tune" | "replay" | "sample", "target": ..., "tasks": [{"workload": ...}, ...], ...}

Standard input stays open for as long as the answers are wanted: when it closes, this process and all that
it started end, whatever they are doing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TVM prints is no answer
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_the_asker, daemon=True).start()
    sys.path.extend(root for root in request["import_roots"] if root not in sys.path)

    def report(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")

    import tvm

    report({"tvm": tvm.__version__})
    if not tvm.__version__.startswith("0.19."):
        return
    from replaying import replay, sample
    from searching import tune

    {"tune": tune, "replay": replay, "sample": sample}[request["command"]](request, report)
    answers.close()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to save, and idle measuring processes would take a second each to join


def end_with_the_asker() -> None:
    """Wait for the asker to go away, and kill this process group."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
