"""CPUs and features that TVM's LLVM knows, and a code target as TVM's compiler takes it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlas.errors import UserError
from dlas.hardware.targets.instruction_sets import architecture
from dlas.interfaces.targets.code_target import CodeTarget

if TYPE_CHECKING:
    import tvm

ABI = MappingProxyType({"riscv64": {"mabi": "lp64d"}})
"""Options of TVM's LLVM for an ABI, by architecture: on riscv64 it has to be told that floating-point
arguments go in registers, as every Linux has it there."""


def tvm_target(target: CodeTarget) -> tvm.target.Target:
    """The target as TVM's compiler takes it."""
    from tvm.target import Target as TvmTarget

    return TvmTarget(compiler_options(target))


def compiler_options(target: CodeTarget) -> dict[str, Any]:
    """Options that TVM's compiler takes for the target, as plain JSON."""
    cpu = {
        "kind": "llvm",
        "mtriple": target.triple,
        "mcpu": target.cpu,
        "num-cores": target.cores,
        **({"mattr": list(target.features)} if target.features else {}),
        **ABI.get(architecture(target.triple), {}),
    }
    return {"kind": "cuda", "arch": target.arch, "host": cpu} if target.kind == "cuda" else cpu


def require_known(triple: str, cpu: str, features: tuple[str, ...]) -> None:
    """UserError (target.cpu, target.features) for what LLVM does not know."""
    from tvm.target import codegen

    if not codegen.llvm_is_valid_cpu(cpu, triple):
        raise UserError(
            f"LLVM knows no CPU {cpu!r} for {triple}", key="target.cpu", remedy=_spelling_help(cpu, triple)
        )
    _require_features(triple, cpu, features)


def _require_features(triple: str, cpu: str, features: tuple[str, ...]) -> None:
    """UserError for features that LLVM does not know; itself it only prints a warning. A feature that it
    knows is there once it is added."""
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


def _spelling_help(cpu: str, triple: str) -> str:
    from difflib import get_close_matches

    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    known = [
        str(name) for name in codegen.llvm_get_cpu_archlist(TvmTarget({"kind": "llvm", "mtriple": triple}))
    ]
    close = get_close_matches(cpu, known, n=5)
    return f"Did you mean {', '.join(close)}?" if close else f"It knows {', '.join(sorted(known))}."
