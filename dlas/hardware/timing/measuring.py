"""Time a network by a protocol: rounds of sessions, one library after another.

    measure(library, inputs, target, config.Timing, yardsticks) -> measurement.Measurement
    measure_in_turn([Network, …], target, config.Timing) -> [Measurement, …]

A library is timed in fresh processes. Those of all libraries that are to be compared take turns of a few
runs, so that the pace of the board meets them all; and so does each library for another batch size, and the
yardsticks. On a board elsewhere these follow one another.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dlas import config
from dlas.hardware.results import measurement, sequential
from dlas.hardware.results.comparison import MOST_SESSIONS, Comparison, Outcome
from dlas.hardware.results.measurement import ENOUGH_SESSIONS, Measurement
from dlas.hardware.sessions import runners
from dlas.hardware.timing import deployment
from dlas.hardware.timing.deployment import TIME_LIMIT_SECONDS, Session, exclusive_board
from dlas.interfaces.targets.target import Target

ONLY_ONE: Mapping[int, Path] = MappingProxyType({})
"""Libraries for larger batches: none."""

Libraries = Mapping[int, Path]
"""The libraries of a network by the images of a run, of which 1 is the first."""


@dataclass(frozen=True)
class Network:
    """A network as it is timed."""

    libraries: Libraries
    inputs: np.ndarray
    """What it is given, (N, C, H, W), of which a run takes the first ones."""
    runner: str = runners.TVM
    """Name of what runs its libraries."""


@dataclass(frozen=True)
class Yardstick:
    """A small network that is always the same, built for the target."""

    library: Path
    shape: tuple[int, ...]
    """Shape of its input: (1, C, H, W)."""


RUNS_OF_A_TURN = 5
"""Most samples of a turn: few, so that the next one's turn finds the machine's pace the same, and enough for
their median to leave out one that was disturbed."""

NO_YARDSTICKS: Mapping[str, Yardstick] = MappingProxyType({})


def can_be_judged(measured: Measurement) -> bool:
    """Whether a redeployment that goes as this measurement went would be told to be the same."""
    return Comparison(measured, measured).outcome is Outcome.SAME


def measure(
    library: Path,
    inputs: np.ndarray,
    target: Target,
    protocol: config.Timing,
    yardsticks: Mapping[str, Yardstick] = NO_YARDSTICKS,
    larger: Libraries = ONLY_ONE,
    *,
    runner: str = runners.TVM,
    is_enough: Callable[[Measurement], bool] = can_be_judged,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Measurement:
    """The latency of the first of `inputs` by `protocol`, in fresh processes that hold the board alone.

    `larger` holds libraries for larger batches of them, by size. A protocol with a budget goes on within it
    until `is_enough`. `runner` is the name of what runs the libraries. Waits while another process times on
    the board.

    Raises UserError where a library doesn't fit its board, can't be loaded, crashes, or takes longer than
    `time_limit` seconds in a session; and where the board can't be reached, or is lost on the way.
    """
    (found,) = measure_in_turn(
        [Network({1: library, **larger}, inputs, runner)],
        target,
        protocol,
        yardsticks,
        is_enough=lambda measured: is_enough(measured[0]),
        time_limit=time_limit,
    )
    return found


def measure_in_turn(
    networks: Sequence[Network],
    target: Target,
    protocol: config.Timing,
    yardsticks: Mapping[str, Yardstick] = NO_YARDSTICKS,
    *,
    is_enough: Callable[[Sequence[Measurement]], bool],
    time_limit: float = TIME_LIMIT_SECONDS,
) -> list[Measurement]:
    """A measurement of each network, as `measure` makes that of one: a round holds a session of every
    library, and the networks begin it in turn."""
    rounds = _Rounds(networks, target, protocol, yardsticks, time_limit)
    first = max(protocol.sessions, ENOUGH_SESSIONS)
    with exclusive_board(target):
        start = time.monotonic()
        while True:
            rounds.take()
            spent = time.monotonic() - start
            if rounds.taken < protocol.sessions:
                continue
            if rounds.taken >= max(first, MOST_SESSIONS) or spent * (1 + 1 / rounds.taken) > protocol.budget:
                break
            if sequential.is_due(rounds.taken, first, MOST_SESSIONS) and is_enough(rounds.measured()):
                break
    return rounds.measured()


class _Rounds:
    """Rounds of sessions, as they are taken."""

    def __init__(
        self,
        networks: Sequence[Network],
        target: Target,
        protocol: config.Timing,
        yardsticks: Mapping[str, Yardstick],
        time_limit: float,
    ) -> None:
        self._networks, self._target = networks, target
        self._protocol, self._yardsticks, self._time_limit = protocol, yardsticks, time_limit
        self._found: list[dict[int, list[dict[str, Any]]]] = [
            {size: [] for size in one.libraries} for one in networks
        ]
        self._beside: dict[str, list[dict[str, Any]]] = {name: [] for name in yardsticks}
        self._runs = {"runs": protocol.runs, "warmup": protocol.warmup}
        alone = sum(len(one.libraries) for one in networks) == 1 and not yardsticks
        self._turns = 1 if alone or not target.reach.is_local else -(-protocol.runs // RUNS_OF_A_TURN)
        self.taken = 0

    def take(self) -> None:
        """Take one more round."""
        networks = list(zip(self._networks, self._found, strict=True))
        place = self.taken % len(networks)
        order = {"command": "time", **self._runs, "cold": self._protocol.cold}
        kept: list[list[dict[str, Any]]] = []
        sessions = []
        for network, found in (*networks[place:], *networks[:place]):
            for size, library in network.libraries.items():
                images = np.resize(network.inputs, (size, *network.inputs.shape[1:]))
                sessions.append(Session(library, images, {**order, "runner": network.runner}))
                kept.append(found[size])
        beside = [self._session_of_yardsticks()] if self._yardsticks else []
        with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
            results = deployment.results_in_turn(
                Path(folder), self._target, [*beside, *sessions], self._turns, self._time_limit
            )
            told = [json.loads(result.read_text()) for result in results]
        if beside:
            for name, session in zip(self._yardsticks, told.pop(0)["found"], strict=True):
                self._beside[name].append(session)
        for one, session in zip(kept, told, strict=True):
            one.append(session)
        self.taken += 1

    def _session_of_yardsticks(self) -> Session:
        libraries = [one.library for one in self._yardsticks.values()]
        order = {
            "command": "yardsticks",
            **self._runs,
            "libraries": [str(library.absolute()) for library in libraries],
            "shapes": [list(one.shape) for one in self._yardsticks.values()],
        }
        return Session(libraries[0], np.zeros(0), order)

    def measured(self) -> list[Measurement]:
        """The measurements of the rounds that were taken."""
        emulated = self._target.placement.emulated
        return [
            measurement.of_sessions(found, self._beside, self._protocol, self._turns, emulated=emulated)
            for found in self._found
        ]
