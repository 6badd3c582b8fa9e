"""The TVM 0.19 side of the Ansor tuner: see `dlas.systems.tuners.common.worker_side`, which it finds in the
folder that it is given.

    {"command": "tune" | "replay" | "sample", "target": ..., "tasks": [{"workload": ...}, ...], ...}
"""

from __future__ import annotations

import sys
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
    from dlas.systems.tuners.common.worker_side import serve_requests

    serve_requests(work)


def is_right(version: str) -> bool:
    return version.startswith("0.19.")


def work(request: dict[str, Any]) -> None:
    """Serve one request."""
    from dlas.systems.tuners.common.worker_side import Asker

    asker = Asker()
    sys.path.extend(root for root in request["import_roots"] if root not in sys.path)
    import tvm

    asker.report({"tvm": tvm.__version__})
    if not is_right(tvm.__version__):
        return
    from replaying import replay, sample
    from searching import tune
    from tvm.contrib import popen_pool

    commands = {"tune": partial(tune, ask=asker.ask), "replay": replay, "sample": sample}
    asker.do(partial(commands[request["command"]], request, asker.report), popen_pool)


if __name__ == "__main__":
    main()
