"""MLflow's own UI on the project's store.

python -m dlas.ui [port=5000] [artifacts=<folder>] [tracking.uri=<uri>]
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dlas import config
from dlas.errors import UserError

MISTAKE = 2
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Options:
    """What can be asked for."""

    port: int = 5000
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        config.require(0 < self.port < 2**16, "port", f"{self.port} is no port", "1 to 65535")


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-ui` command; does not return while the UI runs."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(given):
        print(__doc__)
        return 0
    try:
        serve(config.options(Options, given))
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    return 0


def serve(options: Options) -> None:
    """Makes this process the UI's server; raises `UserError` where the port is taken or there is no store."""
    from dlas import tracking
    from dlas.files import folders

    artifacts = Path(options.artifacts or config.default_artifacts()).expanduser().absolute()
    uri = tracking.store_uri(artifacts, options.tracking.uri)
    if tracking.is_server(uri):
        print(f"the runs are kept by an MLflow server, which has the UI: {uri}")
        return
    _require_free(options.port)
    if options.tracking.uri is None:
        folders.require_writable(artifacts)
    tracking.open_store(artifacts, uri, options.tracking.experiment)
    print(
        f"MLflow's UI on {uri}\n\n    http://{HOST}:{options.port}\n\nready in half a minute; Ctrl-C stops it"
    )
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--backend-store-uri", uri, "--host", HOST, "--port", str(options.port)]
    os.execve(sys.executable, command, {**os.environ, **tracking.SERVER_ENVIRONMENT})


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            remedy = f"another one: python -m dlas.ui port={port + 1}"
            raise UserError(f"{port} cannot be had: {error.strerror}", key="port", remedy=remedy) from None


if __name__ == "__main__":
    sys.exit(main())
