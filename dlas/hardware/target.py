"""What a declared target means: nulls asked of LLVM and the operating system, vector registers of the CPU.

resolve(config.Target) -> Target
tvm_target(Target) -> tvm.target.Target
this_machine() -> Machine; misfits(Target, Machine) -> reasons; require_fit(Target)
write(Target, target.json), read(target.json) -> Target
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlas import config
from dlas.errors import UserError
from dlas.hardware import instruction_sets
from dlas.hardware.instruction_sets import architecture

if TYPE_CHECKING:
    import tvm

VECTOR_REGISTERS = MappingProxyType(
    {
        "x86_64": (("avx512f", 64, 32), ("avx", 32, 16), ("sse2", 16, 16)),
        "aarch64": (("neon", 16, 32),),
    }
)
"""Per architecture, widest first: the extension that brings them, bytes of one register, their number."""

SYSTEMS = MappingProxyType({"linux": "linux", "darwin": "macos", "macos": "macos", "macosx": "macos"})
"""Spellings of an operating system, in a triple or from Python."""


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


@dataclass(frozen=True)
class Machine:
    """What a machine can run."""

    architecture: str
    system: str
    instruction_sets: tuple[str, ...]


def resolve(declared: config.Target) -> Target:
    """The target that `declared` stands for.

    Raises UserError (target.triple, target.cpu, target.cores) for what LLVM does not know, and for a null
    that only a machine at hand could answer when another machine is meant.
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
    foreign = declared.triple is not None and not _of_this_machine(declared.triple)
    if foreign and (declared.cpu is None or declared.cores is None):
        missing = "cpu" if declared.cpu is None else "cores"
        raise UserError(
            f"null stands for this machine's, but {triple} is another machine",
            key=f"target.{missing}",
            remedy=f"Give target.cpu and target.cores of the {triple} board.",
        )
    cores = usable_cores() if declared.cores is None else declared.cores
    if cores < 1 or (declared.triple is None and cores > usable_cores()):
        raise UserError(
            f"{cores} cores can't be used here",
            key="target.cores",
            remedy=f"1 to {usable_cores()} for this machine, or null for all of them.",
        )
    cpu = declared.cpu or codegen.llvm_get_system_cpu()
    if not codegen.llvm_is_valid_cpu(cpu, triple):
        raise UserError(
            f"LLVM knows no CPU {cpu!r} for {triple}", key="target.cpu", remedy=_spelling_help(cpu, triple)
        )
    features = () if declared.cpu else _hidden_from_this_machine(triple, cpu)
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
    )


def tvm_target(target: Target) -> tvm.target.Target:
    """The target as TVM's compiler takes it."""
    from tvm.target import Target as TvmTarget

    return TvmTarget(
        {
            "kind": "llvm",
            "mtriple": target.triple,
            "mcpu": target.cpu,
            "num-cores": target.cores,
            **({"mattr": list(target.features)} if target.features else {}),
        }
    )


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def this_machine() -> Machine:
    """The machine that this process runs on; imports no TVM on Linux."""
    return Machine(
        architecture=architecture(platform.machine()),
        system=SYSTEMS.get(platform.system().lower(), platform.system().lower()),
        instruction_sets=instruction_sets.of_this_machine(),
    )


def misfits(target: Target, machine: Machine) -> tuple[str, ...]:
    """The reasons why a library made for `target` can't run on `machine`; none when it can."""
    if architecture(target.triple) != machine.architecture:
        return (f"it is {architecture(target.triple)} code, and this machine is {machine.architecture}",)
    reasons = []
    if _system(target.triple) != machine.system:
        reasons.append(f"it is made for {_system(target.triple)}, and this machine runs {machine.system}")
    missing = [name for name in target.instruction_sets if name not in machine.instruction_sets]
    if missing:
        reasons.append(f"it is made for {target.cpu}, and this machine's CPU lacks {', '.join(missing)}")
    return tuple(reasons)


def require_fit(target: Target, what: str = "the library") -> None:
    """UserError (target) with every reason unless a library made for `target` runs on this machine."""
    reasons = misfits(target, this_machine())
    if reasons:
        raise UserError(
            f"{what} does not run on this machine: {'; '.join(reasons)}",
            key="target",
            remedy=f"Run it on a {target.cpu} ({target.triple}), or build it for this machine.",
        )


def write(target: Target, path: Path) -> None:
    """As plain JSON."""
    path.write_text(json.dumps(asdict(target), indent=2) + "\n")


def read(path: Path) -> Target:
    """The target that `write` wrote; UserError for anything else."""
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        known = {field.name for field in fields(Target)}
        if set(values) != known:
            raise ValueError(f"its keys are {', '.join(sorted(values))}")
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Target(**{**values, **lists})
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"{path.name} does not describe a target: {error}", key=str(path)) from None


def _of_this_machine(triple: str) -> bool:
    machine = SYSTEMS.get(platform.system().lower(), platform.system().lower())
    return architecture(triple) == architecture(platform.machine()) and _system(triple) == machine


def _system(triple: str) -> str:
    words = [word.rstrip("0123456789.") for word in triple.lower().split("-")[1:]]
    return next((SYSTEMS[word] for word in words if word in SYSTEMS), "an unknown system")


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
