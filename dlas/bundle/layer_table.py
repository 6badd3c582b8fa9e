"""The per-layer table of a bundle: the kernel of each layer, its schedule, its time."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dlas.analysis.layer_row import LayerRow
from dlas.errors import UserError
from dlas.hardware.timing.single_kernels import KernelTime
from dlas.interfaces.program import ConvLayer, LoweredProgram
from dlas.printable import printable
from dlas.systems.program.kernel_choice import KernelChoice
from dlas.systems.program.packing import packed

LARGEST_BYTES = 1 << 24
"""Largest file that is read: a network of ten thousand layers has a tenth of it."""


def layer_rows(
    program: LoweredProgram,
    choices: Sequence[KernelChoice],
    unsteady: Sequence[str],
    profile: Sequence[KernelTime],
    decibels: Mapping[str, float],
) -> list[LayerRow]:
    """One row per kernel call, in the calls' order, which for convolutions is that of `program.layers`.

    `unsteady` are reasons to doubt the times by which the choices were made; `decibels` are those of each
    layer's signal, where they were measured.
    """
    by_kernel = {choice.kernel: choice for choice in choices}
    weights = {p.packed_for: program.arrays[p.array] for p in program.parameters if p.packed_for}
    layers = iter(program.layers)
    rows = []
    for call in profile:
        choice = by_kernel.get(call.kernel)
        if choice is None:
            rows.append(LayerRow(call.kernel, call.median_ms))
        else:
            layer = next(layers)
            row = _row(layer, weights[layer.name], choice.doubted(unsteady), call.median_ms)
            rows.append(replace(row, signal_db=decibels.get(layer.name)))
    return rows


def write_layers(rows: Sequence[LayerRow], path: Path) -> None:
    """Write the rows as CSV, one column per field of `LayerRow`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(LayerRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_layers(path: Path) -> list[LayerRow]:
    """The rows that `write_layers` wrote; columns that an earlier version lacked are empty, those of a later
    one are left out. UserError for anything else."""
    known = {field.name: str(field.type) for field in fields(LayerRow)}
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"it has more than {LARGEST_BYTES} bytes")
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, strict=True))
        read = [
            {name: _read(known[name], word) for name, word in line.items() if name in known} for line in lines
        ]
        return [LayerRow(**each) for each in read]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        problem = f"is no table of layers: {printable(error)}"
        raise UserError(problem, key=printable(path)) from None


def _read(kind: str, word: str | None) -> Any:
    """The value of a field of the type `kind`, by its text."""
    if kind == "str":
        return sys.intern(word or "")  # few words in very many rows
    if not word and kind.endswith("None"):
        return None
    value = float(word or "")
    if not math.isfinite(value):
        raise ValueError(f"{word} is no finite number")
    return int(value) if kind.startswith("int") else value


def _row(layer: ConvLayer, weight: np.ndarray, choice: KernelChoice, time_ms: float) -> LayerRow:
    return LayerRow(
        layer=layer.name,
        time_ms=time_ms,
        workload=layer.workload.key,
        data_type=layer.workload.dtype,
        algorithm=_short(layer.algorithm),
        requested_algorithm=_short(layer.requested),
        fallback_reason=layer.fallback_reason,
        schedule="tuned" if choice.tuned else "untuned",
        schedule_reason=choice.reason,
        untuned_ms=choice.untuned_ms,
        tuned_ms=choice.tuned_ms,
        macs=layer.workload.macs,
        parameters=weight.size,
        sparsity=float(np.mean(weight == 0)),
        format=layer.workload.format,
        weight_bytes=sum(array.nbytes for array in packed(layer, weight)),
    )


def _short(module: str) -> str:
    return module.rpartition(".")[2]
