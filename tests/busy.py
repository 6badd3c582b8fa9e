"""A machine that does something else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOOP = """
import time
while True:
    end = time.perf_counter() + 0.05
    while time.perf_counter() < end:
        pass
    time.sleep(0.05)
"""


@contextmanager
def half_a_core_busy() -> Iterator[None]:
    """Keep half a core busy until the block ends."""
    busy = subprocess.Popen([sys.executable, "-c", LOOP])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()
