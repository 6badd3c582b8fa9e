"""MLflow's own UI on the project's store, opened at the points of the newest sweep.

    python -m dlas.ui [port=5000] [browser=false] [artifacts=<folder>] [tracking.uri=<uri>]

The page is printed, and opened where there is a browser with windows; browser=false only prints it.

Exit status: 0 stopped; 1 it could not be started; 2 a mistake in the arguments.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from dlas import command_line, config
from dlas.browser import open_when_served
from dlas.command_line import Work
from dlas.errors import UserError
from dlas.printable import printable

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    port: int = 5000
    browser: bool = True
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        config.require(0 < self.port < 2**16, "port", f"{self.port} is no port", "1 to 65535")


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-ui` command; does not return while the UI runs."""
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    options = config.options(Options, given)
    return lambda: serve(options)


def serve(options: Options) -> None:
    """Make this process the UI's server; UserError where the port is taken, or the store can't be opened."""
    from dlas import tracking
    from dlas.files import folders
    from dlas.tracking.ui import page

    artifacts = command_line.artifacts_folder(options.artifacts)
    uri = tracking.store_uri(artifacts, options.tracking.uri)
    if tracking.is_server(uri):
        print(f"the runs are kept by an MLflow server, which has the UI: {tracking.shown(uri)}")
        return
    _require_free(options.port)
    if options.tracking.uri is None:
        folders.require_writable(artifacts)
    store = tracking.open_store(artifacts, uri, options.tracking.experiment)
    sweep = tracking.newest_sweep(store)
    shown = page.of_experiment(store) if sweep is None else page.of_sweep(store, sweep)
    address = f"http://{HOST}:{options.port}{shown}"
    print(f"MLflow's UI on {tracking.shown(uri)}\n\n    {address}\n")
    if sweep is not None:
        print(printable(f"the points of the newest sweep, {sweep.run_id}: {sweep.name}"))
        if taken := page.count_elsewhere(sweep):
            print(f"without {taken} of earlier sweeps; all: python -m dlas.show sweep={sweep.run_id}")
    print("ready in half a minute; Ctrl-C stops it")
    sys.stdout.flush()
    if options.browser:
        open_when_served(address)
    command = [sys.executable, "-P", "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--host", HOST, "--port", str(options.port)]
    # An address may hold a password, and everybody on this machine sees the arguments of a process.
    store_of_ui = {"MLFLOW_BACKEND_STORE_URI": uri}
    os.execve(sys.executable, command, {**os.environ, **tracking.SERVER_ENVIRONMENT, **store_of_ui})


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            remedy = f"another one: python -m dlas.ui port={port + 1}"
            raise UserError(
                f"cannot listen at port {port}: {error.strerror}", key="port", remedy=remedy
            ) from None


if __name__ == "__main__":
    sys.exit(main())
