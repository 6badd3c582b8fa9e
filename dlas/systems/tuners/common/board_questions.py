"""A worker's questions for the board: it asks before it times candidates, and gives the board back after.

{"board": "take"} -> true, once no other process times on the board; {"board": "give back"} -> true
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from dlas.hardware.timing.deployment import exclusive_board
from dlas.interfaces.targets.target import Target
from dlas.systems.tuners.common.worker_process import Reply

TAKE, GIVE_BACK = "take", "give back"


@contextmanager
def board_on_request(target: Target) -> Iterator[Reply]:
    """A function that answers such questions; a board that was not given back is free again
    when the block ends."""
    with ExitStack() as held:

        def reply(question: Mapping[str, Any]) -> object:
            if question["board"] == TAKE:
                held.enter_context(exclusive_board(target))
            else:
                held.pop_all().close()
            return True

        yield reply
