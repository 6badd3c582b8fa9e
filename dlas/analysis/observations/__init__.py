"""Observations as checks: what a sweep's points say to a claim.

    from dlas.analysis.observations import case, contexts, fastest, mostly, observation, of_ratios, ratio

    @observation("int8 pays")
    def int8_pays(points): ...          # finished points in, parts out: docs/analysis.md has an example

A module with such functions is a user's own set of observations.
"""

from dlas.analysis.observations.cases import (
    Case,
    above_one,
    alike,
    below_one,
    by,
    case,
    contexts,
    differs,
    ever,
    fastest,
    mostly,
    of_points,
    of_ratios,
    option,
    ratio,
    ratios_of,
    scaled,
)
from dlas.analysis.observations.checking import THIRTEEN, findings, load
from dlas.analysis.observations.finding import Check, Finding, Part, Verdict, observation

__all__ = [
    "THIRTEEN",
    "Case",
    "Check",
    "Finding",
    "Part",
    "Verdict",
    "above_one",
    "alike",
    "below_one",
    "by",
    "case",
    "contexts",
    "differs",
    "ever",
    "fastest",
    "findings",
    "load",
    "mostly",
    "observation",
    "of_points",
    "of_ratios",
    "option",
    "ratio",
    "ratios_of",
    "scaled",
]
