"""The ratios of sessions that took their samples in turn with others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlas.hardware.sessions.process.turns import sizes


def medians(sessions: Sequence[Sequence[int]], turns: int) -> NDArray[np.float64]:
    """The median of the samples of each turn: a row a session, a column a turn. Sessions have as many
    samples, one each turn at least."""
    samples = np.array(sessions, dtype=float)
    ends = np.cumsum(sizes(samples.shape[1], turns))[:-1]
    return np.stack([np.median(turn, axis=1) for turn in np.split(samples, ends, axis=1)], axis=1)


def ratios(own: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, ...]:
    """The time of a run of each session over that of the other one of its round, by the `medians` of both:
    the median over the turns of the ratio of their medians, since both of a turn met one pace. With one turn,
    the ratio of the medians. ValueError for another number of sessions."""
    if own.shape != others.shape:
        raise ValueError(f"{own.shape} and {others.shape} sessions and turns can't be compared")
    return tuple(np.median(own / others, axis=1).tolist())
