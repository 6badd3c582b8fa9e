"""The process that makes a bundle's libraries again: `python -m dlas.bundle.rebuild_worker <folder>`.

    request.json    {"bundle": …, "target": …, "destination": …, "batch_sizes": […], "trusted": […],
                    "cpu_seconds": …}
    answer.json     what a Rebuilt has without its target, or {"problem": …, "key": …, "remedy": …}
    said.txt        what the compiler, and what it starts, print

lie in the folder. Warnings of this package go to standard error as they come.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlas.bundle.layout import Bundle
from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document
from dlas.interfaces.targets.target import Target
from dlas.printable import printable, printable_lines
from dlas.processes.parent import die_with_parent

TARGET = Document("target of a rebuild")

LIKELIEST = "1000"
"""Score of a process that Linux ends first where there is no memory left."""


def main(folder: Path) -> None:
    """Serve the request in the folder."""
    die_with_parent()
    _print_to(folder / "said.txt")
    request = json.loads((folder / "request.json").read_text())
    _limit(request["cpu_seconds"])
    (folder / "answer.json").write_text(json.dumps(answer(request)))


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer: the libraries that were made, or what keeps the bundle from making any, whatever
    TVM makes of it."""
    from dlas.systems.tuners.common.worker_process import WorkerDied

    try:
        return _made(request)
    except WorkerDied as death:
        said = death.lines[-1] if death.lines else ""
        problem = f"the bundle's tuning log makes no library: {death.how}: {said}"
        return _refusal(UserError(printable(problem), key="bundle", remedy=death.remedy))
    except UserError as error:
        return _refusal(error)
    except OSError as error:  # a full disk, say
        return _refusal(UserError(printable(error)))
    except Exception as error:  # TVM's have no class of their own
        said = next(iter(str(error).strip().splitlines()), "")
        problem = f"the bundle's files make no library: {type(error).__name__}: {said}"
        return _refusal(UserError(printable(problem), key="bundle"))


def _made(request: Mapping[str, Any]) -> dict[str, Any]:
    from dlas.bundle.rebuild import rebuilt

    made = rebuilt(
        Bundle(Path(request["bundle"])),
        documents.checked(Target, request["target"], TARGET, "the request"),
        Path(request["destination"]),
        request["batch_sizes"],
        request["yardsticks"],
        request["trusted"],
    )
    return {
        "library": str(made.library),
        "larger": {size: str(path) for size, path in made.larger.items()},
        "yardsticks": {name: str(path) for name, path in made.yardsticks.items()},
        "kernels": None if made.kernels is None else [vars(kernel) for kernel in made.kernels],
    }


def _refusal(error: UserError) -> dict[str, Any]:
    return {"problem": error.problem, "key": error.key, "remedy": error.remedy}


def _print_to(file: Path) -> None:
    """Write to the file whatever is printed from now on; warnings go where standard error went."""
    terminal = os.fdopen(os.dup(2), "w", buffering=1)
    handler = logging.StreamHandler(terminal)
    handler.setFormatter(_OnItsLine("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    with file.open("wb") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)


class _OnItsLine(logging.Formatter):
    """Formats messages without characters that do not print, since they may quote the bundle."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def _limit(cpu_seconds: int) -> None:
    """Limit the processor time of this process and of those that it starts: SIGXCPU ends what uses more.
    Where memory runs out, Linux ends this process first."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    within = cpu_seconds if most == resource.RLIM_INFINITY else min(cpu_seconds, most)
    resource.setrlimit(resource.RLIMIT_CPU, (within, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(LIKELIEST)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
