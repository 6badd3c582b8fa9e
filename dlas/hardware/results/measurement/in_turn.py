"""The ratio of two sessions that took their samples in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlas.hardware.sessions.process.turns import sizes


def ratio(own: Sequence[int], other: Sequence[int], turns: int) -> float:
    """The time of a run of one session over that of the other: the median over the turns of the ratio of
    their medians, since both of a turn met one pace. With one turn, the ratio of the medians."""
    return float(np.median(np.divide(_medians(own, turns), _medians(other, turns))))


def _medians(samples: Sequence[int], turns: int) -> list[float]:
    """The median of the samples of each turn."""
    ends = np.cumsum(sizes(len(samples), turns))[:-1]
    return [float(np.median(turn)) for turn in np.split(np.asarray(samples), ends)]
