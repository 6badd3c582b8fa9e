"""A machine that does something else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOP = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
while True:
    end = time.perf_counter() + 0.05
    while time.perf_counter() < end:
        pass
    time.sleep(0.05)
"""


@contextmanager
def half_a_core_busy(begun: Path) -> Iterator[None]:
    """Keep half a core busy from when there is something at that path until the block ends."""
    busy = subprocess.Popen([sys.executable, "-c", LOOP, begun])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()
