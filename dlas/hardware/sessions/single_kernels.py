"""Compare and time single kernels, in the fresh process: see dlas.hardware.timing.single_kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions import repeated, tvm_runtime
from dlas.hardware.sessions.device import Device

MIN_TOTAL_NS = 30_000_000
"""Minimum run time of a kernel, all its runs together: 30 ms."""

MIN_RUNS = 15
"""Minimum number of runs of a kernel."""

PROCEED = 0
"""Answer of an instrument that lets TVM's virtual machine proceed:
tvm.runtime.vm.VMInstrumentReturnKind.NO_OP."""

SMALL_INTEGERS = 100
"""Limit of random integers: those below it fit every integer type."""


def relative_errors(library: Path, pairs: Iterable[Mapping[str, Any]]) -> list[float]:
    """How far the outputs of both kernels of each pair differ on the same arguments."""
    kernels = tvm_runtime.loaded(library)
    return [
        _difference(kernels[pair["first"]], kernels[pair["second"]], tensors(Path(pair["arguments"])))
        for pair in pairs
    ]


def tensors(arguments: Path) -> list[Any]:
    """The arrays of an .npz, in order."""
    with np.load(arguments, allow_pickle=False) as arrays:
        return [tvm_runtime.tensor(arrays[name]) for name in arrays.files]


def relative_error(output: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference of the two outputs, over the largest value that is expected."""
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(output - expected).max()) / scale


def profiled(library: Path, inputs: np.ndarray, runs: int, device: Device) -> list[dict[str, Any]]:
    """Every kernel call of `main` with its samples; the first run is not kept."""
    network = Network(library, inputs, device)
    network.run()
    return network.profile(runs)


def timed(library: Path, kernels: Iterable[Mapping[str, Any]]) -> list[list[int]]:
    """Nanoseconds of each kernel's runs on one random input, its output included."""
    module, random = tvm_runtime.loaded(library), np.random.default_rng(0)
    return [
        repeated.samples_ns(
            module[kernel["name"]],
            [tvm_runtime.tensor(_random(random, **argument)) for argument in kernel["arguments"]],
            MIN_RUNS,
            MIN_TOTAL_NS,
        )
        for kernel in kernels
    ]


class Network:
    """A network's library, loaded, with the input that it is timed on."""

    def __init__(self, library: Path, inputs: np.ndarray, device: Device) -> None:
        self._device = device
        self._image = device.put(inputs)
        network = tvm_runtime.loaded(library)
        self._plain = device.main(network)
        self._machine = device.machine(network)
        self._main = self._machine["main"]
        self._calls: list[tuple[str, int]] = []
        self._started = 0
        self._machine["set_instrument"](self._instrument)

    def run(self) -> int:
        """Run the network once; returns the nanoseconds."""
        start = time.perf_counter_ns()
        self._plain(self._image)
        return time.perf_counter_ns() - start

    def profile(self, runs: int) -> list[dict[str, Any]]:
        """Every kernel call of `main`, in order, with its samples in nanoseconds."""
        sampled = []
        for _ in range(runs):
            self._calls.clear()
            self._main(self._image)
            sampled.append(list(self._calls))
        return [
            {"kernel": samples[0][0], "samples_ns": [elapsed for _, elapsed in samples]}
            for samples in zip(*sampled, strict=True)
        ]

    def _instrument(
        self, function: object, name: str, before: bool, result: object, *arguments: object
    ) -> int:
        self._device.wait()
        now = time.perf_counter_ns()
        if before:
            self._started = now
        elif not name.startswith("vm."):
            self._calls.append((name, now - self._started))
        return PROCEED


def _difference(first: Callable[..., None], second: Callable[..., None], arguments: list[Any]) -> float:
    outputs = []
    for kernel in (first, second):
        kernel(*arguments)
        outputs.append(tvm_runtime.array(arguments[-1]).astype("float64"))
    return relative_error(outputs[1], outputs[0])


def _random(random: np.random.Generator, shape: Iterable[int], dtype: str) -> np.ndarray:
    if np.issubdtype(dtype, np.integer):
        return random.integers(0, SMALL_INTEGERS, tuple(shape)).astype(dtype)
    return random.standard_normal(tuple(shape)).astype(dtype)
