"""A bundle's libraries made again in a process of its own, since a forged program may crash TVM's compiler.

That process alone imports TVM.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dlas import crashes
from dlas.bundle.layout import Bundle
from dlas.errors import UserError
from dlas.hardware.no_torch import with_modules_of_this_process
from dlas.interfaces.targets.target import Target
from dlas.printable import printable, printable_lines

CPU_SECONDS = 2 * 60 * 60
"""Limit of processor time, in seconds, of the process and of each that it starts: a network of 160 layers
takes minutes of it, and waiting for a board none."""


@dataclass(frozen=True)
class Carried:
    """A kernel that the bundle's run kept tuned, and whether it still is."""

    name: str
    carried: bool
    """Whether its tuned schedule is in the rebuilt library."""
    reason: str


@dataclass(frozen=True)
class Rebuilt:
    """The libraries made again, and their kernels."""

    library: Path
    larger: Mapping[int, Path]
    """Libraries for larger batches, by batch size."""
    yardsticks: Mapping[str, Path]
    """Libraries of the yardsticks, the networks that are always the same, by name."""
    target: Target
    kernels: tuple[Carried, ...] | None
    """None where the compiler has kernels of its own."""


def rebuilt_apart(
    bundle: Bundle,
    target: Target,
    destination: Path,
    batch_sizes: Iterable[int] = (),
    yardsticks: Iterable[str] = (),
    trusted: Collection[str] = (),
    cpu_seconds: int = CPU_SECONDS,
) -> Rebuilt:
    """The result of dlas.bundle.rebuild.rebuilt, called in a process of its own; errors as there.

    Raises UserError that names the bundle, too, where the process crashes, has no memory left or uses more
    than `cpu_seconds` of processor time. Warnings are printed as they come, and what the compiler prints once
    the libraries are made.
    """
    with tempfile.TemporaryDirectory(prefix="dlas-rebuild-") as temporary:
        folder = Path(temporary)
        request = {
            "bundle": str(bundle.root.absolute()),
            "target": asdict(target),
            "destination": str(destination.absolute()),
            "batch_sizes": list(batch_sizes),
            "yardsticks": list(yardsticks),
            "trusted": list(trusted),
            "cpu_seconds": cpu_seconds,
        }
        (folder / "request.json").write_text(json.dumps(request))
        command = [sys.executable, "-m", "dlas.bundle.rebuild_worker", str(folder)]
        ended = subprocess.run(
            command, env=with_modules_of_this_process(os.environ), stdin=subprocess.DEVNULL
        )
        answer, said = folder / "answer.json", _said(folder / "said.txt")
        if ended.returncode != 0 or not answer.exists():
            raise UserError(
                f"its files make no library: the process that compiles them {_end(ended.returncode, said)}",
                key=printable(bundle.root),
            )
        values = json.loads(answer.read_text())
    if "problem" in values:
        raise UserError(**values)
    if said:
        print(said, file=sys.stderr)
    return Rebuilt(
        Path(values["library"]),
        {int(size): Path(path) for size, path in values["larger"].items()},
        {name: Path(path) for name, path in values["yardsticks"].items()},
        target,
        None if values["kernels"] is None else tuple(Carried(**kernel) for kernel in values["kernels"]),
    )


def _said(file: Path) -> str:
    return printable_lines(file.read_text(errors="replace").strip()) if file.exists() else ""


def _end(returncode: int, said: str) -> str:
    if returncode < 0:
        return crashes.crash(returncode)
    return f"{crashes.end(returncode)}{f': {printable(said.splitlines()[-1])}' if said else ''}"
