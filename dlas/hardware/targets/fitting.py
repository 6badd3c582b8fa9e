"""Check that a machine can run code that is made for a code target."""

from __future__ import annotations

from dataclasses import replace

from dlas.errors import UserError
from dlas.hardware.targets import gpu
from dlas.hardware.targets.instruction_sets import architecture
from dlas.hardware.targets.machine import Machine, this_machine
from dlas.hardware.targets.triples import system
from dlas.interfaces.compiler import NetworkNotTaken
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.plugins.registry import NETWORK_COMPILERS

VNNI, NARROW_BITS = frozenset({"avx512vnni", "avxvnni"}), 7
"""Extensions of x86 with dot products of bytes, and the bits of weights that CPUs without them sum right."""


class DoesNotFit(UserError):
    """The library can't run on its board."""

    def __init__(
        self, problem: str, *, key: str, remedy: str, reasons: tuple[str, ...], machine: str
    ) -> None:
        super().__init__(problem, key=key, remedy=remedy)
        self.reasons = reasons
        self.machine = machine


def misfits(target: CodeTarget, found: Machine, what: str = "this machine") -> tuple[str, ...]:
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


def require_fit(target: CodeTarget) -> None:
    """UserError (target) with every reason unless a library made for `target` runs on this machine."""
    require_no(misfits(target, this_machine(target.kind)), target, "this machine")


def require_no(reasons: tuple[str, ...], target: CodeTarget, machine: str) -> None:
    """DoesNotFit (target) that tells the reasons, if there are any."""
    if reasons:
        there, needed = f"a {target.cpu} ({target.triple})", ""
        if target.kind == "cuda":
            there, needed = f"{there} with a GPU of {target.arch}", f" A GPU takes {gpu.NEEDED}."
        raise DoesNotFit(
            f"the library does not run on {machine}: {'; '.join(reasons)}",
            key="target",
            remedy=f"Run it on {there}, or build it for {machine}.{needed}",
            reasons=reasons,
            machine=machine,
        )


def require_data_type(compiler: str, data_type: str) -> None:
    """NetworkNotTaken where the compiler does not take networks of the data type."""
    asked = NETWORK_COMPILERS.load(compiler)
    if data_type not in asked.DATA_TYPES:
        raise NetworkNotTaken(
            f"{compiler} takes no network in {data_type}: {asked.NOT_TAKEN[data_type]}",
            key="compression",
            remedy=f"compiler=tvm, or a network in {' or '.join(asked.DATA_TYPES)}",
        )


def require_float16(compiler: str, target: CodeTarget, key: str) -> None:
    """NetworkNotTaken (`key`) where the runtime of the compiler would compute a float16 network in float32,
    or not at all, on the target's CPU."""
    needed = NETWORK_COMPILERS.load(compiler).FLOAT16
    extension = needed.get(architecture(target.triple))
    if needed and extension not in target.instruction_sets:
        wanted = " or ".join(f"{name} ({where})" for where, name in needed.items())
        raise NetworkNotTaken(
            f"{compiler} computes in float16 by {wanted}, which the CPU {target.cpu} does not have",
            key=key,
            remedy="compiler=tvm, or a network in float32",
        )


def require_exact_int8(compiler: str, target: CodeTarget, weight_bits: int) -> None:
    """NetworkNotTaken where an int8 network with weights of so many bits would come out wrong: x86 CPUs
    without VNNI add two products of bytes in 16 bits, which those of 8 bits overflow."""
    is_x86 = architecture(target.triple) == "x86_64"
    if is_x86 and weight_bits > NARROW_BITS and VNNI.isdisjoint(target.instruction_sets):
        raise NetworkNotTaken(
            f"sums of {compiler} overflow with weights of {weight_bits} bits on the CPU {target.cpu}, which "
            "has no VNNI",
            key="compression.int8.weight_bits",
            remedy=f"compression.int8.weight_bits={NARROW_BITS}, or compiler=tvm",
        )


def on_board(made_for: Target, board: Target) -> Target:
    """The code of `made_for`, placed and reached as the board of another target; UserError (target) where
    that can't run it."""
    asked = board.code
    there = Machine(architecture(asked.triple), system(asked.triple), asked.instruction_sets, asked.arch)
    on_cpu = made_for.code.kind == "cpu" and asked.kind != "cpu"
    reasons = (f"it computes on the CPU, and {board.name} is a GPU",) if on_cpu else ()
    require_no((*reasons, *misfits(made_for.code, there, board.name)), made_for.code, board.name)
    return replace(made_for, name=board.name, placement=board.placement, reach=board.reach)
