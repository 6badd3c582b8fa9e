"""Work that ends when its time is up, as Ctrl-C would end it."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class _TimeIsUp(Exception):
    pass


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Leave the block after so long, wherever it is; infinite for never."""

    def ring(*_: object) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds if math.isfinite(seconds) else 0)
    try:
        yield
    except _TimeIsUp:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
