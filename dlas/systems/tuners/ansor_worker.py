"""The process that holds TVM 0.19: started for one request, ended with its answers or its asker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlas
from dlas.errors import UserError

FOLDER = Path(dlas.__file__).parents[1] / "workers" / "ansor"
REMEDY = "Make it with: make ansor-worker"
TAIL_LINES = 15


def answers(request: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
    """Ask a worker and yield its answers as they come.

    When the iteration ends, however it ends, the worker and every process that it started are gone.
    UserError where its environment is missing or not the one it should be, or where it dies.
    """
    python = FOLDER / ".venv" / "bin" / "python"
    if not python.exists():
        raise UserError(
            f"the Ansor worker has no environment at {python.parents[1]}", key="tuner", remedy=REMEDY
        )
    with tempfile.TemporaryDirectory(prefix="ansor-", ignore_cleanup_errors=True) as scratch:
        log = Path(scratch) / "worker.txt"
        worker = _start(python, request, log)
        try:
            assert worker.stdout is not None
            version = json.loads(worker.stdout.readline() or '{"tvm": null}')["tvm"]
            if version is not None and not version.startswith("0.19."):
                raise UserError(
                    f"the Ansor worker's environment holds TVM {version}, and Ansor is in 0.19 only",
                    key="tuner",
                    remedy=REMEDY,
                )
            for line in worker.stdout:
                yield json.loads(line)
            if worker.wait() != 0:
                raise _death(worker.returncode, log)
        finally:
            _end(worker)


def _start(python: Path, request: Mapping[str, Any], log: Path) -> subprocess.Popen[str]:
    """The worker, asked; its errors go to `log`, and the candidates that it builds beside it."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TVM_"))},
        "PYTHONPATH": str(FOLDER),
        "TVM_NUM_THREADS": str(request["cores"]),
        "TMPDIR": str(log.parent),
    }
    with log.open("wb") as errors:
        worker = subprocess.Popen(
            [python, FOLDER / "worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,
        )
    assert worker.stdin is not None
    roots = {_import_root(task["algorithm"]) for task in request["tasks"]} | {_import_root("dlas")}
    with suppress(BrokenPipeError):  # it died at once: reading its answers tells how
        worker.stdin.write(json.dumps({**request, "import_roots": sorted(roots)}) + "\n")
        worker.stdin.flush()
    return worker


def _import_root(module: str) -> str:
    """The folder from which the top-level package of `module` is imported."""
    spec = find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {module!r}", name=module)
    origin = Path(spec.origin).resolve()
    return str(origin.parents[1] if spec.submodule_search_locations else origin.parent)


def _end(worker: subprocess.Popen[str]) -> None:
    """Kill the worker's process group: it leads one of its own, with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            pipe.close()


def _death(code: int, log: Path) -> UserError:
    """What to tell of a worker that ended with `code`; its log is copied to where it stays."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    tail = "".join(f"\n    {line}" for line in lines)
    with tempfile.NamedTemporaryFile(prefix="ansor-worker-", suffix=".txt", delete=False) as kept:
        kept.write(log.read_bytes())
    return UserError(f"the Ansor worker {how}:{tail}", key="tuner", remedy=f"Its full log is {kept.name}")
