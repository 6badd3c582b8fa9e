"""What a declared target means: nulls asked of LLVM and the operating system, vector registers of the CPU.

resolve(config.Target) -> Target
tvm_target(Target) -> tvm.target.Target
this_machine() -> Machine; misfits(Target, Machine) -> reasons; require_fit(Target)
write(Target, target.json), read(target.json) -> Target without its linker and its board's address
"""

from __future__ import annotations

import platform
import re
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlas import config
from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document
from dlas.hardware.targets import gpu, instruction_sets, machine
from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.machine import SYSTEMS
from dlas.hardware.targets.machine import Machine as Machine
from dlas.hardware.targets.machine import this_machine as this_machine
from dlas.hardware.targets.machine import usable_cores as usable_cores
from dlas.printable import printable

if TYPE_CHECKING:
    import tvm

VECTOR_REGISTERS = MappingProxyType(
    {
        "x86_64": (("avx512f", 64, 32), ("avx", 32, 16), ("sse2", 16, 16)),
        "aarch64": (("neon", 16, 32),),
        "riscv64": (("v", 16, 32), ("d", 8, 32)),
    }
)
"""Per architecture, widest first: the extension that brings them, bytes of one register, their number.

RISC-V's vectors have 16 bytes at least; without them its registers for doubles are what there is.
"""

OF_THE_READER = frozenset({"linker", "rpc"})
"""Of a target, what is never taken from a file that somebody else may have written: a command that would be
run, and an address that would be connected to."""

WORD = re.compile(r"\w[\w.+-]{0,99}")
"""A name: no path that leads elsewhere, and no further words of a command line."""

EXTENSION = re.compile(r"[+-]?[\w.-]{1,100}")
MOST_EXTENSIONS, MOST_CORES = 500, 4096
"""Of a target that is read from a file."""

ABI = MappingProxyType({"riscv64": {"mabi": "lp64d"}})
"""Where LLVM has to be told that floating-point arguments go in registers, as every Linux has it there."""


@dataclass(frozen=True)
class Target:
    """What code is generated for."""

    name: str
    triple: str
    cpu: str
    cores: int
    vector_bytes: int
    vector_registers: int
    features: tuple[str, ...] = ()
    """LLVM features beyond the CPU's own, `+name` or `-name`."""
    instruction_sets: tuple[str, ...] = ()
    """The extensions that the generated code may use: a machine without one of them can't run it."""
    affinity: tuple[int, ...] = ()
    """The cores to run on, by number; none leaves them to the system."""
    linker: str | None = None
    emulated: bool = False
    reach: str = "local"
    rpc: config.Rpc = field(default_factory=config.Rpc)
    smt: bool = True
    """Whether several hardware threads of one core are used."""
    kind: str = "cpu"
    """What computes: the CPU, or with cuda a GPU beside it."""
    arch: str = ""
    """The compute capability of that GPU, such as sm_87."""


@dataclass(frozen=True)
class Address:
    """Where a board is now; a null is what its target says."""

    host: str | None = None
    port: int | None = None
    key: str | None = None


def resolve(declared: config.Target) -> Target:
    """The target that `declared` stands for.

    Raises UserError (target.triple, target.cpu, target.cores) for what LLVM does not know, and for a null
    that only a machine at hand could answer when another machine is meant, or (target.arch) this one cannot.
    """
    from tvm.target import codegen

    triple = declared.triple or codegen.llvm_get_system_triple()
    if architecture(triple) not in VECTOR_REGISTERS:
        known = ", ".join(VECTOR_REGISTERS)
        raise UserError(
            f"architecture {architecture(triple)!r} is not one that code is generated for",
            key="target.triple",
            remedy=f"Name a triple of {known}, such as aarch64-linux-gnu, or null for this machine.",
        )
    foreign = declared.triple is not None and not of_this_machine(declared.triple)
    if foreign and (declared.cpu is None or declared.cores is None):
        missing = "cpu" if declared.cpu is None else "cores"
        raise UserError(
            f"null stands for this machine's, but {triple} is another machine",
            key=f"target.{missing}",
            remedy=f"Give target.cpu and target.cores of the {triple} board.",
        )
    cores = _usable(declared) if declared.cores is None else declared.cores
    if cores < 1 or (declared.triple is None and cores > usable_cores()):
        raise UserError(
            f"{cores} cores can't be used here",
            key="target.cores",
            remedy=f"1 to {usable_cores()} for this machine, or null for all of them.",
        )
    cpu = declared.cpu or codegen.llvm_get_system_cpu()
    features = tuple(declared.features)
    _require_known(triple, cpu, features)
    if declared.cpu is None:
        features = (*_hidden_from_this_machine(triple, cpu), *features)
    extensions = instruction_sets.of_llvm_cpu(triple, cpu, features)
    vector_bytes, vector_registers = _vector_registers(triple, cpu, extensions)
    return Target(
        name=declared.name,
        triple=triple,
        cpu=cpu,
        cores=cores,
        vector_bytes=vector_bytes,
        vector_registers=vector_registers,
        features=features,
        instruction_sets=extensions,
        affinity=tuple(declared.affinity or ()),
        smt=declared.smt,
        linker=declared.linker,
        emulated=declared.emulated,
        reach=declared.reach,
        rpc=declared.rpc,
        kind=declared.kind,
        arch=_arch(declared) if declared.kind == "cuda" else "",
    )


def moved(target: Target, address: Address) -> Target:
    """The target, its board at another address."""
    known = {part: value for part, value in asdict(address).items() if value is not None}
    return replace(target, rpc=replace(target.rpc, **known))


def on_board(made_for: Target, board: Target) -> Target:
    """`made_for`, run on the board of another target; UserError (target) where that can't run its code."""
    there = Machine(architecture(board.triple), system(board.triple), board.instruction_sets, board.arch)
    on_cpu = made_for.kind == "cpu" and board.kind != "cpu"
    reasons = (f"it computes on the CPU, and {board.name} is a GPU",) if on_cpu else ()
    require_no((*reasons, *misfits(made_for, there, board.name)), made_for, board.name)
    reached = ("name", "cores", "affinity", "smt", "emulated", "reach", "rpc")
    return replace(made_for, **{part: getattr(board, part) for part in reached})


def tvm_target(target: Target) -> tvm.target.Target:
    """The target as TVM's compiler takes it."""
    from tvm.target import Target as TvmTarget

    cpu = {
        "kind": "llvm",
        "mtriple": target.triple,
        "mcpu": target.cpu,
        "num-cores": target.cores,
        **({"mattr": list(target.features)} if target.features else {}),
        **ABI.get(architecture(target.triple), {}),
    }
    return TvmTarget({"kind": "cuda", "arch": target.arch, "host": cpu} if target.kind == "cuda" else cpu)


def misfits(target: Target, found: Machine, what: str = "this machine") -> tuple[str, ...]:
    """The reasons why a library made for `target` can't run on the machine; none when it can."""
    if architecture(target.triple) != found.architecture:
        return (f"it is {architecture(target.triple)} code, and {what} is {found.architecture}",)
    reasons = []
    if system(target.triple) != found.system:
        reasons.append(f"it is made for {system(target.triple)}, and {what} runs {found.system}")
    missing = [name for name in target.instruction_sets if name not in found.instruction_sets]
    if missing:
        reasons.append(f"it is made for {target.cpu}, and {what}'s CPU lacks {', '.join(missing)}")
    if target.kind == "cuda" and target.arch != found.gpu:
        there = f"{what}'s GPU is {found.gpu}" if found.gpu else f"{what} has none that CUDA can use"
        reasons.append(f"it is made for a GPU of {target.arch}, and {there}")
    return tuple(reasons)


def require_fit(target: Target) -> None:
    """UserError (target) with every reason unless a library made for `target` runs on this machine."""
    require_no(misfits(target, this_machine(target.kind)), target, "this machine")


class DoesNotFit(UserError):
    """The library can't run on its board."""


def require_no(reasons: tuple[str, ...], target: Target, machine: str) -> None:
    """DoesNotFit (target) that tells the reasons, if there are any."""
    if reasons:
        there, needed = f"a {target.cpu} ({target.triple})", ""
        if target.kind == "cuda":
            there, needed = f"{there} with a GPU of {target.arch}", f" A GPU takes {gpu.NEEDED}."
        raise DoesNotFit(
            f"the library does not run on {machine}: {'; '.join(reasons)}",
            key="target",
            remedy=f"Run it on {there}, or build it for {machine}.{needed}",
        )


def write(target: Target, path: Path) -> None:
    """As plain JSON, without its linker and without where its board is: who reads it has their own."""
    described = {name: value for name, value in asdict(target).items() if name not in OF_THE_READER}
    documents.write(DOCUMENT, path, described)


def read(path: Path) -> Target:
    """The target that `write` wrote, its values within the bounds of declared ones; UserError for anything
    else. It has no linker, and its board's address is the one that is taken where none is declared."""
    source = printable(path)
    values = documents.read(DOCUMENT, path)
    if strange := sorted(
        set(values) - {known.name for known in fields(Target)} | set(values) & OF_THE_READER
    ):
        raise UserError(f"is no target: it has {printable(', '.join(strange))}", key=source)
    found = documents.checked(Target, values, DOCUMENT, source)
    if problem := _out_of_bounds(found):
        raise UserError(f"is no target: {printable(problem)}", key=source)
    return found


def _out_of_bounds(target: Target) -> str:
    """What is wrong with a target that somebody else described; "" where nothing is."""
    for name in ("name", "triple", "cpu"):
        if not WORD.fullmatch(getattr(target, name)):
            return f"its {name} is {getattr(target, name)!r}"
    for name, extensions in (("features", target.features), ("instruction_sets", target.instruction_sets)):
        if len(extensions) > MOST_EXTENSIONS or not all(map(EXTENSION.fullmatch, extensions)):
            return f"its {name} are {list(extensions)}"
    if not 1 <= target.cores <= MOST_CORES or max(target.affinity, default=0) >= MOST_CORES:
        return f"it has {target.cores} cores, {list(target.affinity)}, of at most {MOST_CORES}"
    registers = VECTOR_REGISTERS.get(architecture(target.triple), ())
    if (target.vector_bytes, target.vector_registers) not in {known[1:] for known in registers}:
        vectors = f"{target.vector_registers} vector registers of {target.vector_bytes} bytes"
        return f"{target.triple} has no {vectors}"
    if target.reach not in config.REACHES:
        return f"its reach is {target.reach!r}"
    try:
        config.Target(
            target.name,
            cores=target.cores,
            affinity=list(target.affinity) or None,
            features=list(target.features),
            kind=target.kind,
            arch=target.arch or None,
        )
    except UserError as error:
        return f"{error.key}, {error.problem}"
    return ""


def _without_reader(values: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had the linker, which is a command, and the address of whoever made the library."""
    return {name: value for name, value in values.items() if name not in OF_THE_READER}


DOCUMENT = Document("target", version=2, converters=(_without_reader,))


def require_known(target: Target) -> None:
    """UserError (target.cpu, target.features) for what LLVM does not know."""
    _require_known(target.triple, target.cpu, target.features)


def of_values(values: dict[str, Any]) -> Target:
    """The target whose `asdict` it is, as JSON gives it back; ValueError or TypeError for anything else."""
    needed = {known.name for known in fields(Target) if _is_needed(known)}
    if not needed <= set(values) <= {known.name for known in fields(Target)}:
        raise ValueError(f"its keys are {', '.join(sorted(values))}")
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Target(**{**values, **lists, "rpc": config.Rpc(**values.get("rpc", {}))})


def _is_needed(known: Field[Any]) -> bool:
    return known.default is MISSING and known.default_factory is MISSING


def of_this_machine(triple: str) -> bool:
    """Whether the triple has this machine's architecture and operating system."""
    here = architecture(platform.machine()) == architecture(triple)
    return here and machine.system() == system(triple)


def system(triple: str) -> str:
    """The operating system of a triple: linux, macos."""
    words = [word.rstrip("0123456789.") for word in triple.lower().split("-")[1:]]
    return next((SYSTEMS[word] for word in words if word in SYSTEMS), "an unknown system")


def _require_known(triple: str, cpu: str, features: tuple[str, ...]) -> None:
    from tvm.target import codegen

    if not codegen.llvm_is_valid_cpu(cpu, triple):
        raise UserError(
            f"LLVM knows no CPU {cpu!r} for {triple}", key="target.cpu", remedy=_spelling_help(cpu, triple)
        )
    _require_features(triple, cpu, features)


def _require_features(triple: str, cpu: str, features: tuple[str, ...]) -> None:
    """LLVM itself only prints a warning. A feature that it knows is there once it is added."""
    unknown = [name for name in features if name[1:] not in _features(triple, cpu, f"+{name[1:]}")]
    if unknown:
        raise UserError(
            f"LLVM knows no feature {', '.join(unknown)} for {triple}",
            key="target.features",
            remedy=f"llc -mtriple={triple} -mattr=help lists them",
        )


def _features(triple: str, cpu: str, more: str) -> set[str]:
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    described = {"kind": "llvm", "mtriple": triple, "mcpu": cpu, "mattr": [more]}
    return {str(name) for name in codegen.llvm_get_cpu_features(TvmTarget(described))}


def _arch(declared: config.Target) -> str:
    arch = declared.arch or gpu.arch()
    if not arch:
        raise UserError(
            "null stands for the GPU of this machine, and there is none that CUDA can use",
            key="target.arch",
            remedy=f"It takes {gpu.NEEDED}. For the GPU of a board: target=jetson_orin_gpu, or one like it.",
        )
    return arch


def _usable(declared: config.Target) -> int:
    cores = declared.affinity or machine.usable()
    return len(cores if declared.smt else machine.first_threads(cores))


def _hidden_from_this_machine(triple: str, cpu: str) -> tuple[str, ...]:
    """Features to take away: a virtual machine may lack what LLVM takes its CPU model to have."""
    expected = instruction_sets.of_llvm_cpu(triple, cpu)
    present = instruction_sets.of_this_machine()
    return tuple(f"-{name}" for name in expected if name not in present)


def _vector_registers(triple: str, cpu: str, extensions: tuple[str, ...]) -> tuple[int, int]:
    for extension, vector_bytes, count in VECTOR_REGISTERS[architecture(triple)]:
        if extension in extensions:
            return vector_bytes, count
    raise UserError(
        f"{cpu} has no vector registers that code is generated for",
        key="target.cpu",
        remedy=f"Name a CPU with {VECTOR_REGISTERS[architecture(triple)][-1][0]}.",
    )


def _spelling_help(cpu: str, triple: str) -> str:
    from difflib import get_close_matches

    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    known = [
        str(name) for name in codegen.llvm_get_cpu_archlist(TvmTarget({"kind": "llvm", "mtriple": triple}))
    ]
    close = get_close_matches(cpu, known, n=5)
    return f"Did you mean {', '.join(close)}?" if close else f"It knows {', '.join(sorted(known))}."
