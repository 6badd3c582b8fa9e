"""Time several networks in turn, in the fresh process: see dlas.hardware.timing.race."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlas.hardware.sessions.device import Device
from dlas.hardware.sessions.single_kernels import Network

MIN_ROUNDS = 15
"""Minimum number of rounds. Each network has one turn in a round, so that a change of the machine's
pace meets them all."""

MIN_SECONDS = 2.0
"""Minimum seconds that all rounds take: a machine that others share keeps its pace for about as long."""

WARM_UP = 1
"""Number of runs at the start of a turn that are not kept: the networks share the caches."""


def raced(libraries: Sequence[Path], inputs: np.ndarray, runs: int, device: Device) -> list[dict[str, Any]]:
    """The samples of each library: `samples_ns` of whole runs, and `calls` with the samples of
    every kernel call."""
    networks = [Network(library, inputs, device) for library in libraries]
    samples: list[list[int]] = [[] for _ in networks]
    calls: list[list[dict[str, Any]]] = [[] for _ in networks]
    rounds, end = 0, time.monotonic() + MIN_SECONDS
    while rounds < MIN_ROUNDS or time.monotonic() < end:
        rounds += 1
        for network, whole, profiled in zip(networks, samples, calls, strict=True):
            for _ in range(WARM_UP):
                network.run()
            whole += [network.run() for _ in range(runs)]
            found = network.profile(runs)
            for call, further in zip(profiled, found, strict=False):
                call["samples_ns"] += further["samples_ns"]
            if not profiled:
                profiled += found
    return [{"samples_ns": whole, "calls": profiled} for whole, profiled in zip(samples, calls, strict=True)]
