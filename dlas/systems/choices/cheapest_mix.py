"""The cheapest choice of a kernel for every layer, the layout changes between them counted.

A network in which each layer has candidates with a time and a layout, and each activation may be needed in
two layouts, is a shortest path where it is a chain, and an integer linear program in general (Anderson and
Gregg, "Optimal DNN primitive selection with partitioned boolean quadratic programming", CGO 2018, solve the
same problem in another form). HiGHS solves it exactly, through SciPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Option:
    """A kernel that can serve a layer."""

    time_ms: float
    reads_blocks: bool
    writes_blocks: bool


@dataclass(frozen=True)
class LayerOptions:
    """A layer: the activations that it reads and writes, by name, and the kernels that can serve it."""

    data: str
    residual: str | None
    """Activation that the epilogue adds; it is read in the layout that the layer writes."""
    output: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Follower:
    """An operator whose output is in blocks where one of its inputs is; the layout of its other inputs
    is then changed."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class LayoutCost:
    """Cost of changing an activation's layout, in milliseconds."""

    to_blocks_ms: float
    to_plain_ms: float


def cheapest(
    layers: Sequence[LayerOptions],
    followers: Sequence[Follower],
    read_plain: Sequence[str],
    changes: Mapping[str, LayoutCost],
) -> list[int]:
    """The index of the best option of every layer; what nothing here computes, such as an image, is in NCHW.

    `read_plain` are activations that something reads in NCHW whatever was chosen. An activation that is not
    in `changes` has one layout only, or changes it for nothing.
    """
    if not layers:
        return []
    program = _Program()
    used = [[program.binary(option.time_ms) for option in layer.options] for layer in layers]
    blocked: dict[str, int] = {}

    def is_blocked(activation: str) -> int:
        if activation not in blocked:
            blocked[activation] = program.binary()
        return blocked[activation]

    for layer, variables in zip(layers, used, strict=True):
        program.equal(dict.fromkeys(variables, 1), 1)
        written = {
            variable: float(option.writes_blocks)
            for variable, option in zip(variables, layer.options, strict=True)
        }
        if layer.output in changes:
            program.equal({**written, is_blocked(layer.output): -1}, 0)
    for follower in followers:
        inputs = [is_blocked(name) for name in follower.inputs if name in changes]
        if follower.output in changes:
            output = is_blocked(follower.output)
            for variable in inputs:
                program.at_most({variable: 1, output: -1}, 0)
            program.at_most({output: 1, **dict.fromkeys(inputs, -1)}, 0)
    computed = {layer.output for layer in layers} | {follower.output for follower in followers}
    for activation, cost in changes.items():
        if activation not in computed:
            program.equal({is_blocked(activation): 1}, 0)
        to_blocks, to_plain = program.binary(cost.to_blocks_ms), program.binary(cost.to_plain_ms)
        own = is_blocked(activation)
        if activation in read_plain:
            program.at_most({own: 1, to_plain: -1}, 0)
        for needed in _needs(activation, layers, used, followers, blocked):
            program.at_most({**needed, own: -1, to_blocks: -1}, 0)  # needed in blocks, but plain
            negated = {variable: -weight for variable, weight in needed.items()}
            program.at_most({**negated, own: 1, to_plain: -1}, 0)  # needed plain, but in blocks
    values = program.solved()
    return [int(np.argmax(values[variables])) for variables in used]


def _needs(
    activation: str,
    layers: Sequence[LayerOptions],
    used: Sequence[Sequence[int]],
    followers: Sequence[Follower],
    blocked: Mapping[str, int],
) -> list[dict[int, float]]:
    """A sum of variables for each reader of the activation: 1 where it reads blocks, 0
    where it reads NCHW."""
    needs = []
    for layer, variables in zip(layers, used, strict=True):
        pairs = list(zip(variables, layer.options, strict=True))
        if layer.data == activation:
            needs.append({variable: float(option.reads_blocks) for variable, option in pairs})
        if layer.residual == activation:
            needs.append({variable: float(option.writes_blocks) for variable, option in pairs})
    needs += [
        {blocked[follower.output]: 1.0}
        for follower in followers
        if activation in follower.inputs and follower.output in blocked
    ]
    return needs


class _Program:
    """A minimization of a sum of costs over variables that are 0 or 1, by integer linear programming."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []

    def binary(self, cost: float = 0.0) -> int:
        self.costs.append(cost)
        return len(self.costs) - 1

    def equal(self, weights: dict[int, float], value: float) -> None:
        self.rows.append((weights, value, value))

    def at_most(self, weights: dict[int, float], value: float) -> None:
        self.rows.append((weights, -np.inf, value))

    def solved(self) -> np.ndarray:
        # What only imports this module does not wait for SciPy.
        from scipy.optimize import Bounds, LinearConstraint, milp

        matrix = np.zeros((len(self.rows), len(self.costs)))
        for row, (weights, _, _) in enumerate(self.rows):
            for variable, weight in weights.items():
                matrix[row, variable] += weight
        lower, upper = ([row[side] for row in self.rows] for side in (1, 2))
        found = milp(
            np.array(self.costs),
            constraints=LinearConstraint(matrix, lower, upper),
            integrality=np.ones(len(self.costs)),
            bounds=Bounds(0, 1),
        )
        assert found.success, found.message
        values: np.ndarray = found.x
        return values
