"""How well yardsticks tell what another pace of the board did to a network.

doubt(old, new, mix) -> a standard deviation, of logarithms

What slows a board down slows each program by a factor of its own, and a mix of yardsticks stands for that of
the network. Where the network did not follow the mix from turn to turn, it is one more program beside them:
its factor is taken to differ from theirs as theirs differ, as each of several studies has an effect of its
own that is drawn like those of the others (R. DerSimonian and N. Laird, "Meta-analysis in clinical trials",
Controlled Clinical Trials 7, 1986). No number of sessions makes that less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dlas.hardware.results.measurement import Measurement


def doubt(old: Measurement, new: Measurement, mix: Mapping[str, float]) -> float:
    """The share of the network's older scatter that the mix does not follow, of the standard deviation of the
    logarithms of the factors by which the times of its yardsticks changed, weighted by what they have of the
    older time. 0 where all changed alike, as one alone does."""
    then = np.array([_log_time(old, name) for name in mix])
    parts = np.array(list(mix.values())) * np.exp(then)
    changes = np.array([_log_time(new, name) for name in mix]) - then
    mean = np.average(changes, weights=parts)
    disagreement = math.sqrt(np.average((changes - mean) ** 2, weights=parts))
    return old.unfollowed(mix) * disagreement


def _log_time(measured: Measurement, yardstick: str) -> float:
    """Mean logarithm, over sessions, of the yardstick's time."""
    return float(np.mean(np.log(measured.yardstick_fastest_ms(yardstick))))
