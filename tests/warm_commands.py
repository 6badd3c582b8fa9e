"""Starts the project's commands by forking, from a process that has imported what they import, and read the
package's own code as stages do for their keys: 15 s less for each run.

    python warm_commands.py <path of its socket>

It serves all test processes that connect, each by a fork of its own, and ends at the end of its standard
input. A line of JSON asks for commands, a line tells the numbers of their processes, and one their exit
statuses. Each has a process, an environment and streams or a terminal of its own, as when a user starts it. A
new store of runs is a copy of one that MLflow made here: its 68 migrations take 3 s.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import itertools
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import shared

from dlas import tracking
from dlas.points import process, server
from dlas.processes import apart
from dlas.processes.fork_server import ForkServer
from dlas.stages.store.store import StageStore
from dlas.tracking.store import opening

READY = "ready"

TAKEN = (
    "git",
    "hydra.experimental.callback",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.tracking",
    "torch_pruning",
    "dlas.points.checking",
    "dlas.points.expected",
    "dlas.tracking.delivery",
    "dlas.tracking.outcome",
    "dlas.tracking.sweep",
)
"""What commands import beside what their points take."""


def main(address: str) -> None:
    import_everything()
    keep_a_store()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print(READY, flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                serve(connection)
                os._exit(0)
            connection.close()


def serve(connection: socket.socket) -> None:
    """Do what a test process asks for, until it ends."""
    with connection.makefile("rw") as asker:

        def tell(answer: object) -> None:
            asker.write(json.dumps(answer) + "\n")
            asker.flush()

        tell(READY)
        for line in asker:
            children = [start(asked) for asked in json.loads(line)]
            tell(children)
            statuses = [os.waitpid(child, 0)[1] for child in children]
            tell([os.waitstatus_to_exitcode(status) for status in statuses])


def start(asked: dict[str, Any]) -> int:
    """Start the command; returns the number of its process."""
    terminal = None if asked["terminal"] is None else os.open(asked["terminal"], os.O_RDWR | os.O_NOCTTY)
    child = os.fork()
    if not child:
        if terminal is None:
            redirect(asked)
        else:
            os.login_tty(terminal)
        run(asked)
    if terminal is not None:
        os.close(terminal)
    if asked["killed_at"] is not None:
        kill(child, Path(asked["stderr"]), *asked["killed_at"])
    return child


def kill(child: int, written: Path, text: str, seconds: float) -> None:
    """Kill the command so many seconds after it wrote the text, unless it ends before."""
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if written.exists() and text in written.read_text(errors="replace"):
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)  # it is not buried yet, so the number is its own
            return
        time.sleep(0.002)


def kill_in_call(function: str, number: int) -> None:
    """Kill this command, and whichever of its processes it is, before the `number`th call in that process of
    the function of that dotted name, which has to be called by its module's name. Long work saves where it
    stands after each step then."""
    command, calls = os.getpid(), itertools.count(1)
    module_name, _, name = function.rpartition(".")
    module = importlib.import_module(module_name)
    called = getattr(module, name)

    def calling(*arguments: Any) -> Any:
        if next(calls) == number:
            for process in (command, os.getpid()):
                os.kill(process, signal.SIGKILL)
        return called(*arguments)

    setattr(module, name, calling)
    StageStore.save_seconds = 0.0


def import_everything() -> None:
    """Import what commands and their points take, read its code, and look for no garbage among it."""
    gc.disable()
    os.environ.update(tracking.CLIENT_ENVIRONMENT)
    for module in TAKEN:
        importlib.import_module(module)
    import torch
    from hydra.core.plugins import Plugins

    import dlas.pipeline

    for module in server.MAKING:
        importlib.import_module(module)
    from dlas.models.graph import decompositions, exporting
    from dlas.plugins.registry import ALGORITHMS, COMPRESSIONS, DATASETS, FACTORIES, TUNERS
    from dlas.points.fingerprint import RUNNERS
    from dlas.stages.store.code import kept
    from dlas.stages.store.code.closure import code_of

    Plugins.instance()  # it imports every plugin
    exporting.exported(torch.nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 3, 3))  # the first one imports modules
    decompositions.tables()
    FACTORIES.names()
    plugins = (ALGORITHMS, COMPRESSIONS, DATASETS, TUNERS)
    chosen = [registry.path(name) for registry in plugins for name in registry.names()]
    code_of([dlas.pipeline.__name__, f"{RUNNERS}.tvm", "user_models", *chosen], Path.read_bytes)
    kept.save()
    server.prepare()


def keep_a_store() -> None:
    """Let every new store of runs be a copy of the one that the test processes share."""
    ready = shared.made_once("mlflow.db", opening._make_database)
    opening._make_database = lambda database: shutil.copyfile(ready, database)


def keep_a_server() -> None:
    """Fork the process that forks those of points, instead of starting one that imports everything again:
    this one has."""
    ours, theirs = socket.socketpair()
    if not os.fork():
        channel = os.dup2(theirs.detach(), 3)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        os.setsid()
        apart.serve_work(socket.socket(fileno=channel))
    theirs.close()
    process.server = cache(lambda: ForkServer(ours))


def redirect(asked: dict[str, Any]) -> None:
    """Nothing to the command's standard input, and its output to files."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT), stream)


def run(asked: dict[str, Any]) -> None:
    """The command, to the end of this process."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None
    for library in asked["loaded"]:
        ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
    sys.argv = ["", *asked["arguments"]]
    if asked["killed_in"] is not None:
        kill_in_call(*asked["killed_in"])
    if asked["module"] == "run":
        keep_a_server()
    code: object = 0
    try:
        runpy.run_module(f"dlas.{asked['module']}", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # what was imported takes seconds to be cleared up
