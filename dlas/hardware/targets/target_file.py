"""A target in a file, target.json: without the reader's own, which are the linker and the board's address.

Where a compiler with kernels of its own made the library, the file tells the runtime that it runs by.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlas import config
from dlas.config.layers.compiler import TVM
from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document, Values
from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.vector_registers import VECTOR_REGISTERS
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.printable import printable

WORD = re.compile(r"\w[\w.+-]{0,99}")
"""A name: no path that leads elsewhere, and no further words of a command line."""

EXTENSION = re.compile(r"[+-]?[\w.-]{1,100}")
MAX_EXTENSIONS, MAX_CORES = 500, 4096
MAX_TEXTS, MAX_CHARACTERS = 100, 200


@dataclass(frozen=True)
class Runtime:
    """The runtime that a library was made for and timed by, where that is not TVM's."""

    compiler: str
    """Name of the compiler, and of what runs its files."""
    versions: dict[str, str]
    """Versions of its packages: of those that run the library as they were on its board."""
    settings: dict[str, str]
    """Settings by their own names, for a reader: whoever runs the library again takes those of their dlas."""


@dataclass(frozen=True)
class _Written:
    """Fields of the file."""

    name: str
    code: CodeTarget
    placement: Placement
    reach: str = "local"
    runtime: Runtime | None = None


def _without_reader(values: Values) -> Values:
    """Values of version 1 without the linker, which is a command, and the address of whoever made the
    library."""
    return {name: value for name, value in values.items() if name not in ("linker", "rpc")}


def _in_parts(values: Values) -> Values:
    """Values of version 2 in parts: it had all fields in one row, and one number for the cores of the code
    and of the placement."""
    left = dict(values)
    placement = {name: left.pop(name) for name in ("affinity", "smt", "emulated") if name in left}
    whole: Values = {name: left.pop(name) for name in ("name", "reach") if name in left}
    return {**whole, "code": left, "placement": {"threads": left["cores"], **placement}}


def _with_runtime(values: Values) -> Values:
    """Values of version 3 with the runtime: there was none but TVM's."""
    return {**values, "runtime": None}


DOCUMENT = Document("target", version=4, converters=(_without_reader, _in_parts, _with_runtime))


def write(target: Target, path: Path, runtime: Runtime | None = None) -> None:
    """Write the target as plain JSON. Of the way to its board only the kind is written: who reads the file
    has an address of their own."""
    written = _Written(target.name, target.code, target.placement, target.reach.way, runtime)
    documents.write(DOCUMENT, path, asdict(written))


def read(path: Path) -> Target:
    """The target that `write` wrote, its values within the bounds of declared ones; UserError for anything
    else. It has no linker, and its board's address is the one that is taken where none is declared."""
    found = _read(path)
    return Target(found.name, found.code, found.placement, Reach(found.reach))


def runtime(path: Path) -> Runtime | None:
    """The runtime of the library that the target is told beside; None for TVM's. UserError as `read`."""
    return _read(path).runtime


def compiler(path: Path) -> str:
    """Name of the compiler of the library that the target is told beside, and of its runner. UserError as
    `read`."""
    found = runtime(path)
    return TVM if found is None else found.compiler


def _read(path: Path) -> _Written:
    source = printable(path)
    values = documents.read(DOCUMENT, path)
    found = documents.checked(_Written, values, DOCUMENT, source)
    if strange := sorted(_keys(values) - _keys(asdict(found))):
        raise UserError(f"is no target: it has {printable(', '.join(strange))}", key=source)
    if problem := _out_of_bounds(found):
        raise UserError(f"is no target: {printable(problem)}", key=source)
    return found


def _keys(values: dict[str, Any]) -> set[str]:
    """Keys of the document and of its parts."""
    parts = [(name, part) for name, part in values.items() if isinstance(part, dict)]
    return {*values, *(f"{name}.{inner}" for name, part in parts for inner in part)}


def _strange(runtime: Runtime) -> str:
    """Say what is wrong with a runtime that somebody else described; "" where nothing is."""
    known = NETWORK_COMPILERS.names()
    if runtime.compiler not in known:
        return f"it is for the compiler {runtime.compiler!r}, and there is {', '.join(known)}"
    texts = [*runtime.versions.items(), *runtime.settings.items()]
    if len(texts) > MAX_TEXTS or any(len(text) > MAX_CHARACTERS for pair in texts for text in pair):
        return "its runtime has versions or settings of another form"
    return ""


def _out_of_bounds(found: _Written) -> str:
    """Say what is wrong with a target that somebody else described; "" where nothing is."""
    code, placement = found.code, found.placement
    for what, word in (("name", found.name), ("triple", code.triple), ("cpu", code.cpu)):
        if not WORD.fullmatch(word):
            return f"its {what} is {word!r}"
    for what, extensions in (("features", code.features), ("instruction_sets", code.instruction_sets)):
        if len(extensions) > MAX_EXTENSIONS or not all(map(EXTENSION.fullmatch, extensions)):
            return f"its {what} are {list(extensions)}"
    if not (1 <= code.cores <= MAX_CORES and 1 <= placement.threads <= MAX_CORES):
        return f"it has {code.cores} cores and {placement.threads} threads, of at most {MAX_CORES}"
    if max(placement.affinity, default=0) >= MAX_CORES:
        return f"its affinity is {list(placement.affinity)}, of at most {MAX_CORES} cores"
    registers = VECTOR_REGISTERS.get(architecture(code.triple), ())
    if (code.vector_bytes, code.vector_registers) not in {known[1:] for known in registers}:
        vectors = f"{code.vector_registers} vector registers of {code.vector_bytes} bytes"
        return f"{code.triple} has no {vectors}"
    if found.reach not in config.REACHES:
        return f"its reach is {found.reach!r}"
    if found.runtime is not None and (problem := _strange(found.runtime)):
        return problem
    try:
        config.Target(
            found.name,
            cores=placement.threads,
            affinity=list(placement.affinity) or None,
            features=list(code.features),
            kind=code.kind,
            arch=code.arch or None,
            l2_bytes=code.l2_bytes,
        )
    except UserError as error:
        return f"{error.key}, {error.problem}"
    return ""
