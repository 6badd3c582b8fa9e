"""Targets made from declared ones: LLVM and the operating system are asked what nulls stand for."""

from __future__ import annotations

from dlas import config
from dlas.config.layers.target import MAX_L2_BYTES, MIN_L2_BYTES
from dlas.errors import UserError
from dlas.hardware.targets import caches, gpu, instruction_sets, machine
from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.llvm import require_known
from dlas.hardware.targets.triples import of_this_machine
from dlas.hardware.targets.vector_registers import VECTOR_REGISTERS
from dlas.interfaces.targets.code_target import L2_BYTES_UNTOLD, CodeTarget
from dlas.interfaces.targets.placement import Placement
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target


def resolve(declared: config.Target) -> Target:
    """The target that `declared` stands for.

    Raises UserError (target.triple, target.cpu, target.cores) for what LLVM does not know, and for a null
    that only a machine at hand could answer when another machine is meant, or (target.arch) this one cannot;
    and (target.affinity) for cores that this machine, where it is the board, does not have.
    """
    _require_affinity(declared)
    triple, cores = _triple(declared), _cores(declared)
    return Target(
        name=declared.name,
        code=_code_target(declared, triple, cores),
        placement=Placement(cores, tuple(declared.affinity or ()), declared.smt, declared.emulated),
        reach=_reach(declared),
        linker=declared.linker,
    )


def _require_affinity(declared: config.Target) -> None:
    lacking = machine.lacking(declared.affinity or ()) if declared.reach == "local" else []
    if lacking:
        raise UserError(
            f"this machine has no cores {', '.join(map(str, lacking))}",
            key="target.affinity",
            remedy=f"of these: {', '.join(map(str, machine.usable()))}; or null",
        )


def _code_target(declared: config.Target, triple: str, cores: int) -> CodeTarget:
    from tvm.target import codegen

    cpu = declared.cpu or codegen.llvm_get_system_cpu()
    features = tuple(declared.features)
    require_known(triple, cpu, features)
    if declared.cpu is None:
        features = (*_hidden_from_this_machine(triple, cpu), *features)
    extensions = instruction_sets.of_llvm_cpu(triple, cpu, features)
    vector_bytes, vector_registers = _vector_registers(triple, cpu, extensions)
    return CodeTarget(
        triple=triple,
        cpu=cpu,
        cores=cores,
        vector_bytes=vector_bytes,
        vector_registers=vector_registers,
        features=features,
        instruction_sets=extensions,
        kind=declared.kind,
        arch=_arch(declared) if declared.kind == "cuda" else "",
        l2_bytes=declared.l2_bytes or _l2_bytes(declared, triple),
    )


def _triple(declared: config.Target) -> str:
    from tvm.target import codegen

    triple: str = declared.triple or codegen.llvm_get_system_triple()
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
    return triple


def _cores(declared: config.Target) -> int:
    cores = _usable(declared) if declared.cores is None else declared.cores
    if cores < 1 or (declared.triple is None and cores > machine.usable_cores()):
        raise UserError(
            f"{cores} cores can't be used here",
            key="target.cores",
            remedy=f"1 to {machine.usable_cores()} for this machine, or null for all of them.",
        )
    return cores


def _usable(declared: config.Target) -> int:
    cores = declared.affinity or machine.usable()
    return min(len(cores if declared.smt else machine.first_threads(cores)), machine.usable_cores())


def _l2_bytes(declared: config.Target, triple: str) -> int:
    """Bytes of the second-level cache of this machine's cores, where the code runs here and the system tells
    a size that can be; else `L2_BYTES_UNTOLD`."""
    here = declared.reach == "local" and of_this_machine(triple)
    told = caches.l2_bytes(min(declared.affinity or machine.usable())) if here else None
    return told if told is not None and MIN_L2_BYTES <= told <= MAX_L2_BYTES else L2_BYTES_UNTOLD


def _arch(declared: config.Target) -> str:
    arch = declared.arch or gpu.arch()
    if not arch:
        raise UserError(
            "null stands for the GPU of this machine, and there is none that CUDA can use",
            key="target.arch",
            remedy=f"It takes {gpu.NEEDED}. For the GPU of a board: target=jetson_orin_gpu, or one like it.",
        )
    return arch


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


def _reach(declared: config.Target) -> Reach:
    if declared.reach == "local":
        return Reach()
    return Reach(declared.reach, declared.rpc.host, declared.rpc.port, declared.rpc.key)
