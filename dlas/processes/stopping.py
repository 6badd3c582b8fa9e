"""Stops of a command: Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt, once.

with on_signals():
    ...
status(stop)      the exit status that tells of it
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLOSING_SECONDS = 5.0
"""Seconds after a stop in which another one is passed over: it would only spoil the closing."""


class Stopped(KeyboardInterrupt):
    """A stop by the signal of that number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.number = number


def status(stop: KeyboardInterrupt) -> int:
    """The exit status of a command that was stopped so, as in shells: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


@contextmanager
def on_signals() -> Iterator[None]:
    """Have each of `SIGNALS` raise Stopped in the block; after a stop, to the end of the process. Changes
    nothing for one that is ignored, as nohup asks for, nor outside the main thread."""
    stopped_at: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped_at
        now = time.monotonic()
        again = stopped_at is not None and now - stopped_at < CLOSING_SECONDS
        stopped_at = now
        if not again:
            raise Stopped(number)

    here = threading.current_thread() is threading.main_thread()
    before = {each: signal.getsignal(each) for each in SIGNALS if here}
    heard = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
    for each in heard:
        signal.signal(each, stop)
    try:
        yield
    finally:
        if stopped_at is None:
            for each, handler in heard.items():
                signal.signal(each, handler)
