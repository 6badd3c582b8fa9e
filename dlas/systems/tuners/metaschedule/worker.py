"""The process that MetaSchedule searches in: see `dlas.systems.tuners.common.worker_side`.

{"command": "tune" | "transfer" | "replay", "tasks": [{"workload": ...}, ...], "target": ..., ...}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dlas.systems.tuners.common.worker_side import Asker, serve_requests


def main() -> None:
    """Import what every request takes, and serve them."""
    import dlas.systems.tuners.metaschedule.replay
    import dlas.systems.tuners.metaschedule.search
    import dlas.systems.tuners.metaschedule.transfer  # noqa: F401

    serve_requests(work)


def work(request: dict[str, Any]) -> None:
    """Serve one request."""
    asker = Asker()
    from tvm.support import popen_pool

    from dlas.systems.tuners.common.board_questions import GIVE_BACK, TAKE
    from dlas.systems.tuners.metaschedule.replay import replay
    from dlas.systems.tuners.metaschedule.search import tune
    from dlas.systems.tuners.metaschedule.transfer import transfer

    @contextmanager
    def board() -> Iterator[None]:
        asker.ask({"board": TAKE})
        yield
        asker.ask({"board": GIVE_BACK})

    commands: dict[str, Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None]] = {
        "tune": partial(tune, board=board),
        "transfer": partial(transfer, board=board),
        "replay": replay,
    }
    asker.do(partial(commands[request["command"]], request, asker.report), popen_pool)


if __name__ == "__main__":
    main()
