"""All that the numbers of a finished point depend on and that can be known without any work, as one hash.

It is that of the point's identity, its code, the files of its images, and, where the target is this machine,
of this machine; where the runtime of another compiler runs the network on a board elsewhere, of its versions.
The code is everything that the pipeline and the chosen implementations import: more than the keys of stages
hold, since the code that times a library is in none of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dlas import config
from dlas.plugins.registry import NETWORK_COMPILERS, variants
from dlas.stages.store.code import closure
from dlas.stages.store.code.first_read import as_first_read

PIPELINE, RUNNERS = "dlas.pipeline", "dlas.hardware.sessions.runners"
STAND_INS = ("direct", "spatial_pack")
"""Algorithms that serve the layers which the declared one can't."""


def of(stack: config.Stack, runtime: Mapping[str, str] | None) -> str:
    """The hash (hex), equal for two points only where a run of one tells the numbers of the other.

    `runtime` has the versions of what runs the library on a board elsewhere, where that is not TVM's runtime;
    None where the board does not tell them.
    """
    parts = [
        config.identity(stack),
        code_of(stack),
        *files_of(stack.dataset),
        socket.gethostname() if stack.target.reach == "local" else runtime,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def files_of(dataset: config.Dataset) -> tuple[str | None, ...]:
    """The hashes (hex) of the paths, sizes and times of change of the files in each of the set's folders;
    None for a folder that is not set."""
    settings = dataclasses.asdict(dataset)
    folders = (settings["root"], settings.get("calibration_root"))
    return tuple(None if each is None else _files(Path(each).expanduser().absolute()) for each in folders)


def code_of(stack: config.Stack) -> str:
    """The hash (hex) of the code that makes the point."""
    own = stack.compiler.has_own_kernels
    algorithms = [variants(name) for name in (*stack.algorithms, *STAND_INS)]
    kernels = {
        module for made in algorithms for module in (made.dense, made.sparse, made.int8, made.cuda) if module
    }
    roots = {
        PIPELINE,
        stack.dataset.implementation,
        stack.model.implementation.rpartition(".")[0],
        *(step.implementation for step in stack.compression.values()),
        *kernels,
        NETWORK_COMPILERS.path(stack.compiler.name) if own else stack.tuner.implementation,
        f"{RUNNERS}.{stack.compiler.runtime}",
    }
    files = [hashlib.sha256(as_first_read(file)).hexdigest() for file in stack.tuner.worker_files]
    return hashlib.sha256(json.dumps([_code(tuple(sorted(roots))), files]).encode()).hexdigest()


@cache
def _code(roots: tuple[str, ...]) -> list[dict[str, str]]:
    found = closure.code_of(roots)
    return [dict(found.modules), dict(found.packages)]


@cache
def _files(folder: Path) -> str:
    """The hash of the paths, sizes and times of change of all files below the folder; links are followed."""
    found: list[tuple[str, int, int]] = []
    seen: set[str] = set()
    for path, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:  # links in circles
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            file = Path(path, name)
            if file.exists():
                told = file.stat()
                found.append((str(file.relative_to(folder)), told.st_size, told.st_mtime_ns))
    return hashlib.sha256(json.dumps([str(folder), sorted(found)]).encode()).hexdigest()
