"""The untuned schedule of functions that are no convolutions: pooling, concatenation,
element-wise arithmetic."""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from math import prod
from operator import mul
from typing import TYPE_CHECKING

import tvm
from tvm import tirx
from tvm.tirx import IterVar

from dlas.algorithms.shared.dense.tiling import MIN_PARALLEL_VALUES, largest_divisor
from dlas.interfaces.targets.code_target import MAX_LANES, MIN_LANES

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV, SBlockRV

ENOUGH_TASKS = 32
"""Tasks that suffice to keep the cores busy: loops are fused, from the outermost on, until
there are as many."""


def schedule_plainly(function: tvm.tirx.PrimFunc) -> tvm.tirx.PrimFunc:
    """Schedule outer loops in parallel where there is enough to do, reductions inside them, a
    vector innermost.

    The vector is the channels of a block in NCHWc and the columns of a plane in NCHW. Of a chain of
    element-wise operators only the end is stored; a pooling's border is filled within its own tasks.
    """
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": function}))
    for block in _blocks(sch):
        if _is_chained(sch, block) and all(map(partial(_is_element_wise, sch), sch.get_consumers(block))):
            sch.compute_inline(block)
    reductions = []
    for block in reversed(_blocks(sch)):
        borders = [producer for producer in sch.get_producers(block) if _is_chained(sch, producer)]
        task, reduction = _schedule(sch, block)
        for border in borders if task and reduction else []:
            sch.compute_at(border, task, preserve_unit_loops=True)
        reductions += [(block, reduction)] if reduction else []
    for block, reduction in reductions:
        sch.decompose_reduction(block, reduction)
    return sch.mod["main"]


def _blocks(sch: Schedule) -> list[SBlockRV]:
    return list(sch.get_child_blocks(sch.get_sblock("root")))


def _is_chained(sch: Schedule, block: SBlockRV) -> bool:
    """Whether the block is element-wise and what it computes is read by one other block alone."""
    return _is_element_wise(sch, block) and len(sch.get_consumers(block)) == 1


def _is_element_wise(sch: Schedule, block: SBlockRV) -> bool:
    return _is_plain(sch, block) and not _reduces(sch, block)


def _is_plain(sch: Schedule, block: SBlockRV) -> bool:
    """Whether the block stores one element; else there are loops in it, as around a window of which the
    size differs from place to place."""
    return isinstance(sch.get(block).body, tirx.BufferStore)


def _reduces(sch: Schedule, block: SBlockRV) -> bool:
    return any(axis.iter_type != IterVar.DataPar for axis in sch.get(block).iter_vars)


def _schedule(sch: Schedule, block: SBlockRV) -> tuple[LoopRV | None, LoopRV | None]:
    """Order, share out and vectorize the block's loops; returns the loop over tasks and the outermost over a
    reduction, where there are such."""
    kinds = [axis.iter_type for axis in sch.get(block).iter_vars]
    loops = sch.get_loops(block)
    own = list(zip(loops[len(loops) - len(kinds) :], kinds, strict=False))
    spatial = [loop for loop, kind in own if kind == IterVar.DataPar]
    reduced = [loop for loop, kind in own if kind == IterVar.CommReduce]
    if not spatial or len(spatial) + len(reduced) < len(kinds):
        return None, None
    work = prod(_extent(sch, loop) for loop in (*spatial, *reduced))
    in_order = not _is_plain(sch, block) or _slides(sch, block)
    outer, vector = (spatial, []) if in_order else _vector(sch, spatial)
    sch.reorder(*outer, *reduced, *vector)
    for loop in vector:
        sch.vectorize(loop)
    task = None
    if len(loops) == len(kinds):
        tasks = list(accumulate((_extent(sch, loop) for loop in outer), mul))
        count = next((index for index, fused in enumerate(tasks, 1) if fused >= ENOUGH_TASKS), len(outer))
        task = sch.fuse(*outer[:count]) if count > 1 else outer[0]
        if work >= MIN_PARALLEL_VALUES:
            sch.parallel(task)
    return task, reduced[0] if reduced else None


def _slides(sch: Schedule, block: SBlockRV) -> bool:
    """Whether a window slides along the innermost dimension: LLVM shuffles such vectors better than it
    would gather them."""
    innermost = sch.get(block).reads[0].region[-1].min if _reduces(sch, block) else None
    return not isinstance(innermost, tirx.Var | tirx.IntImm | None)


def _vector(sch: Schedule, spatial: list[LoopRV]) -> tuple[list[LoopRV], list[LoopRV]]:
    """The loops outside of the vector, and the vector's own, if there is one."""
    wide = [loop for loop in spatial if _extent(sch, loop) > 1]
    if not wide:
        return spatial, []
    units = [loop for loop in spatial if _extent(sch, loop) == 1]
    *outer, last = wide
    width = largest_divisor(_extent(sch, last), MAX_LANES)
    if width < MIN_LANES:
        return [*units, *outer, last], []
    outside, vector = sch.split(last, [None, width])
    return [*units, *outer, outside], [vector]


def _extent(sch: Schedule, loop: LoopRV) -> int:
    return int(sch.get(loop).extent)
