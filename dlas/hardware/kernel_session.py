"""What the fresh process does with single kernels: see dlas.hardware.kernels and dlas.hardware.session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

LEAST_NS = 30_000_000
"""Each kernel of a pair is run for at least this long, 30 ms …"""

LEAST_RUNS = 15
"""… and this often."""

SMALL_INTEGERS = 100
"""Random integers below this fit every integer type."""


def compared(library: Path, pairs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Both kernels of each pair on the same random input, in turn."""
    import tvm

    kernels = tvm.runtime.load_module(str(library))
    return [_compared(kernels[pair["first"]], kernels[pair["second"]], pair["arguments"]) for pair in pairs]


def profiled(library: Path, inputs: np.ndarray, runs: int) -> list[dict[str, Any]]:
    """Every kernel call of `main` with its samples; the first run is not kept."""
    import tvm
    from tvm.runtime.vm import VirtualMachine

    machine = VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    image = tvm.runtime.tensor(inputs)
    machine["main"](image)
    calls: list[tuple[str, int]] = []
    started = 0

    def instrument(function: object, name: str, before: bool, result: object, *arguments: object) -> int:
        nonlocal started
        now = time.perf_counter_ns()
        if before:
            started = now
        elif not name.startswith("vm."):
            calls.append((name, now - started))
        return int(tvm.runtime.vm.VMInstrumentReturnKind.NO_OP)

    machine.set_instrument(instrument)
    sampled = []
    for _ in range(runs):
        calls.clear()
        machine["main"](image)
        sampled.append(list(calls))
    return [
        {"kernel": samples[0][0], "samples_ns": [elapsed for _, elapsed in samples]}
        for samples in zip(*sampled, strict=True)
    ]


def _compared(
    first: Callable[..., None], second: Callable[..., None], declared: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    import tvm

    random = np.random.default_rng(0)
    arguments = [tvm.runtime.tensor(_random(random, **argument)) for argument in declared]
    outputs = []
    for kernel in (first, second):
        kernel(*arguments)
        outputs.append(arguments[-1].numpy().astype("float64"))
    samples: tuple[list[int], list[int]] = ([], [])
    while len(samples[0]) < LEAST_RUNS or min(sum(samples[0]), sum(samples[1])) < LEAST_NS:
        for kernel, taken in zip((first, second), samples, strict=True):
            start = time.perf_counter_ns()
            kernel(*arguments)
            taken.append(time.perf_counter_ns() - start)
    scale = float(np.abs(outputs[0]).max()) or 1.0
    error = float(np.abs(outputs[1] - outputs[0]).max()) / scale
    return {"first_ns": samples[0], "second_ns": samples[1], "relative_error": error}


def _random(random: np.random.Generator, shape: Iterable[int], dtype: str) -> np.ndarray:
    if np.issubdtype(dtype, np.integer):
        return random.integers(0, SMALL_INTEGERS, tuple(shape)).astype(dtype)
    return random.standard_normal(tuple(shape)).astype(dtype)
