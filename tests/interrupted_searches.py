"""Searches that are interrupted at work, and what is left of them then."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
from small_searches import started

from dlas.hardware.targets import target_file
from dlas.interfaces.targets.target import Target

RECORDS = 4
"""Lines that the log has when the search is interrupted, at least."""


def interrupted(program: str, target: Target, log: Path, how: signal.Signals) -> str:
    """What a search wrote to its standard error until the signal ended it, with every process of its own.

    The program is given the paths of the target's file and of the log.
    """
    told = log.parent / "target.json"
    target_file.write(target, told)
    asker = started(program, told, log, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not log.exists() or log.read_text().count("\n") < RECORDS:
        assert time.monotonic() < deadline, "nothing was measured"
        time.sleep(0.05)
    processes = psutil.Process(asker.pid).children(recursive=True)
    assert len(processes) >= 3  # the worker, and what builds and times
    asker.send_signal(how)
    _, errors = asker.communicate(timeout=60)
    assert asker.returncode == -how
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive
    return errors
