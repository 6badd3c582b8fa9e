"""An MLflow server on loopback, which keeps its runs and their files in a folder, and may die of an upload.

    python mortal_server.py <folder> <port> [<uploads>]

With a number of uploads it kills itself (SIGKILL) in the middle of the next one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from command import environment

STARTS_WITHIN_SECONDS = 180


def main(folder: str, port: str, uploads: str = "") -> None:
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/server.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/files",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    from mlflow.server import app
    from werkzeug.serving import make_server

    left = int(uploads) if uploads else sys.maxsize

    def mortal(environ: dict[str, Any], start_response: Any) -> Any:
        nonlocal left
        if environ["REQUEST_METHOD"] == "PUT":
            left -= 1
            if left < 0:
                environ["wsgi.input"].read(1)
                os.kill(os.getpid(), signal.SIGKILL)
        return app.wsgi_app(environ, start_response)

    make_server("127.0.0.1", int(port), mortal, threaded=True).serve_forever()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, port: int, uploads: int | None = None) -> Iterator[str]:
    """The address of a server that runs meanwhile, unless it dies before."""
    told = [] if uploads is None else [str(uploads)]
    server = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(port), *told],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not _answers(port):
            assert server.poll() is None, f"the server ended with {server.returncode}"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
