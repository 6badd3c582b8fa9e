"""The process that holds TVM 0.19 (workers/ansor)."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlas
from dlas.errors import UserError
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.tuners.common import tiles, worker_process, worker_side
from dlas.systems.tuners.common.worker_process import Reply, no_questions

FOLDER = Path(dlas.__file__).parents[1] / "workers" / "ansor"
REMEDY = "Make it with: make ansor-worker"

OF_THIS_PACKAGE = (tiles, worker_side)
"""Modules of this package that the worker imports, beside those of algorithms: named here, they count in the
keys of what it finds."""


def answers(request: Mapping[str, Any], reply: Reply = no_questions) -> Generator[dict[str, Any], None, None]:
    """Ask a worker and yield its answers as they come: see worker_process.ask.

    UserError where its environment is missing or not the one it should be, or where it dies.
    """
    python = FOLDER / ".venv" / "bin" / "python"
    if not python.exists():
        raise UserError(
            f"the Ansor worker has no environment at {python.parents[1]}", key="tuner", remedy=REMEDY
        )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TVM_"))},
        "PYTHONPATH": str(FOLDER),
        "TVM_NUM_THREADS": str(request["cores"]),
    }
    modules = {ALGORITHMS.path(task["algorithm"]) for task in request["tasks"]}
    request = {**request, "import_roots": sorted({_import_root(module) for module in modules})}
    command: list[str | Path] = [python, FOLDER / "worker.py", _import_root("dlas")]
    with closing(worker_process.ask("Ansor", command, environment, request, reply)) as told:
        version = next(told)["tvm"]
        if not version.startswith("0.19."):
            raise UserError(
                f"the Ansor worker's environment holds TVM {version}, and Ansor is in 0.19 only",
                key="tuner",
                remedy=REMEDY,
            )
        yield from told


def worker_files() -> tuple[Path, ...]:
    """The worker's own code, and the requirements of its environment."""
    return (*sorted(FOLDER.glob("*.py")), *FOLDER.glob("requirements.txt"))


def _import_root(module: str) -> str:
    """The folder from which the top-level package of `module` is imported."""
    spec = find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {module!r}", name=module)
    origin = Path(spec.origin).resolve()
    return str(origin.parents[1] if spec.submodule_search_locations else origin.parent)
