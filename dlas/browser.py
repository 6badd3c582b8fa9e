"""A page opened in the person's browser, once its server answers.

python -m dlas.browser <address>

It is a process of its own, as the one that asks for it becomes the server.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import webbrowser
from urllib.parse import urlsplit

TOLD_BY = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
"""Environment variables that tell of a browser with windows. Without one `webbrowser` takes a browser of the
terminal, which would cover what the server prints there."""

PATIENCE_SECONDS = 120.0


def open_when_served(address: str) -> None:
    """Start a process that opens the address once something listens there; nothing where no browser is."""
    if any(os.environ.get(name) for name in TOLD_BY):
        quiet = subprocess.DEVNULL
        command = [sys.executable, "-P", "-m", "dlas.browser", address]
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)


def main() -> int:
    """Open the given address; returns 1 where nothing listens there or no browser takes it."""
    address = sys.argv[1]
    return 0 if _is_served(address) and webbrowser.open(address) else 1


def _is_served(address: str) -> bool:
    """Whether something listens at the address within `PATIENCE_SECONDS`."""
    parts = urlsplit(address)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
