"""One session in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlas.hardware.sessions.process import starting


def run_session(request: Mapping[str, Any], folder: Path, time_limit: float) -> None:
    """Do what `request` asks (`starting.start`) in a process of its own; its file is written to `folder`.

    Raises LibraryFailed where it can't be loaded, crashes, or takes longer than `time_limit` seconds.
    """
    start = starting.start(request, folder)
    try:
        ended = subprocess.run(
            start.command,
            cwd=folder,
            env=start.environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
        )
    except subprocess.TimeoutExpired:
        raise starting.too_slow(request, time_limit) from None
    starting.require_done(request, ended.returncode, ended.stderr)
