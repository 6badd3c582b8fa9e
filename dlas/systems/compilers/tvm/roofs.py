"""Kernels that show what a machine has at most: arithmetic in registers, and streams from main memory.

    peaks(target) -> the arithmetic ones; build(target, linker, library)

They measure the two roofs of the roofline model (Williams, Waterman and Patterson 2009, Roofline: An
Insightful Visual Performance Model for Multicore Architectures). The streams are a sum over one array, and
the triad of STREAM (McCalpin 1995, Memory Bandwidth and Machine Balance in Current High Performance
Computers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from dlas.algorithms.shared.integer.dot_products import BYTES, DotProduct, broadcast, dot_product
from dlas.algorithms.shared.tir_arrays import load, store
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.timing.roofs import FLOAT32, INT8, READ, STREAM_BLOCK, TRIAD, Peak
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import INT8_MAX
from dlas.systems.compilers.tvm import linking

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

CHAINS_PER_REGISTERS = 3 / 4
"""Chains of additions, as a share of the vector registers: a chain waits for its last addition, so there have
to be as many as the units take meanwhile, 8 on most CPUs; the other registers hold operands."""

FACTOR = 3.0
"""Factor of the triad, as in STREAM."""


def build(target: CodeTarget, linker: str | None, library: Path) -> None:
    """Write the library of all kernels; UserError where nothing is there to link it for the target."""
    kernels = {READ: _read(target), TRIAD: _triad(target)}
    kernels |= {peak.name: _arithmetic(target, peak) for peak in peaks(target)}
    module = tvm.IRModule({name: kernel.with_attr("global_symbol", name) for name, kernel in kernels.items()})
    linking.export(tvm.compile(module, tvm_target(target)), target, linker, library)


def peaks(target: CodeTarget) -> tuple[Peak, ...]:
    """What the arithmetic kernels for the target do: multiply-adds in float32 and, where the target has an
    instruction for them, dot products of int8."""
    found = [_peak(target, FLOAT32, "float32", target.lanes, 2)]
    dot = _dot(target)
    if dot is not None:
        found.append(_peak(target, INT8, "int32", dot.lanes, 2 * BYTES))
    return tuple(found)


def _peak(target: CodeTarget, name: str, dtype: str, lanes: int, operations: int) -> Peak:
    """A peak of so many `operations` in each lane of an addition."""
    sums = _chains(target) * lanes
    return Peak(name, dtype, operands=2 * lanes, sums=sums, operations=sums * operations)


def _chains(target: CodeTarget) -> int:
    return int(target.vector_registers * CHAINS_PER_REGISTERS)


def _dot(target: CodeTarget) -> DotProduct | None:
    """The dot product that is one instruction of the target; None where there is none."""
    dot = dot_product(target, INT8_MAX)
    return dot if dot.cost == 1 else None


def _arithmetic(target: CodeTarget, peak: Peak) -> PrimFunc:
    """A kernel (threads, rounds, operands, sums): each thread adds to sums in registers so many times.

    `operands` fill two registers; `sums` are written so that no addition is left out as unused.
    """
    chains, add = _chains(target), _adding(target, peak)
    lanes = peak.sums // chains
    with _kernel() as builder:
        threads, rounds = T.arg("threads", T.int32()), T.arg("rounds", T.int32())
        operands = T.arg("operands", T.Buffer((peak.operands,), peak.dtype))
        sums = T.arg("sums", T.Buffer((threads * peak.sums,), peak.dtype))
        with T.parallel(threads) as thread:
            first, second = (T.bind(load(operands, at * lanes, lanes)) for at in range(2))
            registers = [T.alloc_buffer((lanes,), peak.dtype) for _ in range(chains)]
            for register in registers:
                store(register, 0, first, lanes)
            with T.serial(rounds):
                for register in registers:
                    store(register, 0, add(load(register, 0, lanes), first, second), lanes)
            for chain, register in enumerate(registers):
                store(sums, thread * peak.sums + chain * lanes, load(register, 0, lanes), lanes)
    return builder.get()


def _adding(target: CodeTarget, peak: Peak) -> Callable[[Any, Any, Any], Any]:
    """What a chain does to its sum with two operands."""
    dot = _dot(target)
    if peak.name == INT8 and dot is not None:
        return dot.add
    return lambda total, first, second: total * first + second


def _read(target: CodeTarget) -> PrimFunc:
    """A kernel (threads, blocks, data, sums) that adds up an array of so many blocks for each thread."""
    with _kernel() as builder:
        threads, blocks = T.arg("threads", T.int32()), T.arg("blocks", T.int32())
        data = T.arg("data", T.Buffer((threads * blocks * STREAM_BLOCK,), "float32"))
        sums = T.arg("sums", T.Buffer((threads * STREAM_BLOCK,), "float32"))
        with T.parallel(threads) as thread:
            registers = [
                (first, T.alloc_buffer((target.lanes,), "float32"))
                for first in range(0, STREAM_BLOCK, target.lanes)
            ]
            for _, register in registers:
                store(register, 0, broadcast(T.float32(0), target.lanes), target.lanes)
            with T.serial(blocks) as block:
                start = (thread * blocks + block) * STREAM_BLOCK
                for first, register in registers:
                    total = load(register, 0, target.lanes) + load(data, start + first, target.lanes)
                    store(register, 0, total, target.lanes)
            for first, register in registers:
                store(
                    sums,
                    thread * STREAM_BLOCK + first,
                    load(register, 0, target.lanes),
                    target.lanes,
                )
    return builder.get()


def _triad(target: CodeTarget) -> PrimFunc:
    """A kernel (threads, blocks, result, first, second): result = first + `FACTOR` * second."""
    with _kernel() as builder:
        threads, blocks = T.arg("threads", T.int32()), T.arg("blocks", T.int32())
        size = threads * blocks * STREAM_BLOCK
        result, first, second = (
            T.arg(name, T.Buffer((size,), "float32")) for name in ("result", "first", "second")
        )
        factor = broadcast(T.float32(FACTOR), target.lanes)
        with T.parallel(threads) as thread, T.serial(blocks) as block:
            start = (thread * blocks + block) * STREAM_BLOCK
            for at in range(0, STREAM_BLOCK, target.lanes):
                total = load(first, start + at, target.lanes) + factor * load(
                    second, start + at, target.lanes
                )
                store(result, start + at, total, target.lanes)
    return builder.get()


@contextmanager
def _kernel() -> Iterator[IRBuilder]:
    """Write a kernel; the builder's `get()` is the PrimFunc, after the block."""
    builder = IRBuilder()
    with builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"tirx.noalias": True})
        yield builder
