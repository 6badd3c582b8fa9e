"""Linking of object files to a shared library: for this machine by its C compiler, for another
by a cross-linker."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dlas.errors import UserError
from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.triples import of_this_machine, system
from dlas.interfaces.targets.code_target import CodeTarget

INSTALL = "pip install 'dlas[boards]' brings one, ziglang's ld.lld; so does Debian's package binutils-{gnu}"


def export(
    executable: Any, target: CodeTarget, linker: str | None, destination: Path, c_code: Collection[str] = ()
) -> None:
    """Write the compiled module or VM executable as a shared library that the target can load, with the
    functions of `c_code` in it, which a C compiler has to link then.

    Raises UserError (target.linker) where nothing can link for it: what to install.
    """
    command = [*link_command(target, linker), *(["-O2"] if c_code else [])]

    def link(library: str, objects: list[str], **options: Any) -> None:
        files = [Path(f"{library}.{place}.c") for place in range(len(c_code))]
        for file, code in zip(files, c_code, strict=True):
            file.write_text(code, encoding="utf-8")
        linked = [*objects, *map(os.fspath, files)]
        done = subprocess.run(
            [*command, "-shared", "-o", library, *linked], capture_output=True, text=True, errors="replace"
        )
        for file in files:
            file.unlink()
        if done.returncode != 0:
            said = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
            raise UserError(f"{shlex.join(command)} could not link: {said}", key="target.linker")

    link.output_format = "so"  # type: ignore[attr-defined]  # how TVM asks what the function makes
    link.get_target_triple = lambda: target.triple  # type: ignore[attr-defined]
    executable.export_library(str(destination), fcompile=link)


def link_command(target: CodeTarget, linker: str | None) -> list[str]:
    """The declared linker, or the first one found that links for the target."""
    if linker is not None:
        return _declared(linker)
    if of_this_machine(target.triple):
        return _of_this_machine()
    if system(target.triple) != "linux":
        raise UserError(
            f"there is no default linker for {target.triple}: only Linux has one here",
            key="target.linker",
            remedy="target.linker=<a command that takes -shared -o library objects>",
        )
    gnu = f"{architecture(target.triple)}-linux-gnu"
    for name in (f"{gnu}-ld", "ld.lld", f"{gnu}-gcc"):
        if shutil.which(name) is not None:
            return [name]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-P", "-m", "ziglang", "ld.lld"]
    raise UserError(
        f"no linker for {target.triple} was found",
        key="target.linker",
        remedy=INSTALL.format(gnu=gnu.replace("_", "-")),
    )


def programs(target: CodeTarget, linker: str | None) -> list[Path]:
    """The files of the programs in the command that links for the target."""
    found = map(shutil.which, link_command(target, linker))
    return [Path(program).resolve() for program in found if program is not None]


def _declared(linker: str) -> list[str]:
    command = shlex.split(linker)
    if not command or shutil.which(command[0]) is None:
        raise UserError(
            f"there is no command {linker!r}",
            key="target.linker",
            remedy="a command that takes -shared -o library objects, such as ld.lld, or null to look for one",
        )
    return command


def _of_this_machine() -> list[str]:
    for name in ("cc", "gcc"):
        if shutil.which(name) is not None:
            return [name, "-fPIC"]
    raise UserError(
        "no C compiler was found to link the library",
        key="compiler",
        remedy="Install one that answers to `cc`, such as Debian's package gcc.",
    )
