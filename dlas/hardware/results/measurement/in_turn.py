"""The times of sessions that took their samples in turn with others, and their ratios to these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlas.hardware.sessions.process.turns import sizes


def medians(sessions: Sequence[Sequence[int]], turns: int) -> NDArray[np.float64]:
    """The median of the samples of each turn: a row a session, a column a turn. Sessions have as many
    samples, one each turn at least."""
    return np.stack([np.median(turn, axis=1) for turn in _turns(sessions, turns)], axis=1)


def fastest(sessions: Sequence[Sequence[int]], turns: int) -> NDArray[np.float64]:
    """The fastest sample of each turn, as `medians` has the median: what other work takes from a run only
    makes it longer (J. Chen and J. Revels, Robust benchmarking in noisy environments, 2016)."""
    return np.stack([turn.min(axis=1) for turn in _turns(sessions, turns)], axis=1)


def ratios(own: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, ...]:
    """The time of a run of each session over that of the other one of its round, by the `medians` or the
    `fastest` of both: the median over the turns of the ratio in each, since both of a turn met one pace.
    ValueError for another number of sessions."""
    _require_alike(own, others)
    return tuple(np.median(own / others, axis=1).tolist())


def runs_as_long(own: NDArray[np.float64], others: Sequence[NDArray[np.float64]]) -> tuple[float, ...]:
    """How many runs of each of the others together take as long as one of its own, turn by turn: none below
    0, by the least squares of the relative differences (C. L. Lawson and R. J. Hanson, Solving Least Squares
    Problems, 1974, chapter 23). ValueError for another number of sessions."""
    from scipy.optimize import nnls

    for one in others:
        _require_alike(own, one)
    relative = np.stack([(one / own).ravel() for one in others], axis=1)
    found, _ = nnls(relative, np.ones(len(relative)))
    return tuple(found.tolist())


def _turns(sessions: Sequence[Sequence[int]], turns: int) -> list[NDArray[np.float64]]:
    samples = np.array(sessions, dtype=float)
    return np.split(samples, np.cumsum(sizes(samples.shape[1], turns))[:-1], axis=1)


def _require_alike(own: NDArray[np.float64], others: NDArray[np.float64]) -> None:
    if own.shape != others.shape:
        raise ValueError(f"{own.shape} and {others.shape} sessions and turns can't be compared")
