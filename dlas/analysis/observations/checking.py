"""Observations held against points: the thirteen of the study, and a user's own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from dlas import users_code
from dlas.analysis.grid import comparable
from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.analysis.observations import algorithms, hardware, networks, pruning, quantization, tuning
from dlas.analysis.observations.finding import Check, Finding, Part, Verdict
from dlas.errors import UserError
from dlas.plugins.finding import module_exists
from dlas.printable import printable

LONGEST = 80
"""Most characters that are shown of what is no list of parts."""

KEY = "observations"
"""Key of the command by which a user names a module."""

THIRTEEN = (
    networks.macs_accuracy_and_time,
    pruning.tuned_sparse,
    networks.size_and_accuracy,
    pruning.weights_against_channels,
    quantization.speedup_of_quantization,
    quantization.accuracy_of_quantization,
    algorithms.dense_on_cpu,
    algorithms.dense_on_gpu,
    algorithms.sparse,
    pruning.expected_speedups,
    tuning.what_tuning_does,
    tuning.gains_of_compressed,
    hardware.faster_hardware,
)
"""The observations of Gibson et al. (arXiv:2311.08909), I to XIII."""


def load(name: str) -> tuple[Check, ...]:
    """The observations of a user's module, by its dotted path, in the order in which it defines them.

    UserError where there is no such module, where it fails, and where it has none.
    """
    remedy = "the dotted path of a module of yours; PYTHONPATH=<folder> adds a folder of modules"
    if not module_exists(name):
        raise UserError(f"there is no module '{name}'", key=KEY, remedy=remedy)
    try:
        module = import_module(name)
    except Exception as error:
        raise UserError(f"'{name}' can't be imported: {users_code.told(error)}", key=KEY) from error
    found = of_module(module)
    if not found:
        raise UserError(
            f"'{name}' has no observation",
            key=KEY,
            remedy='a function with @observation("…") of dlas.analysis.observations: see docs/analysis.md',
        )
    return found


def of_module(module: ModuleType) -> tuple[Check, ...]:
    """The observations that a module defines or imports."""
    return tuple(value for value in vars(module).values() if isinstance(value, Check))


def findings(points: Sequence[MeasuredPoint], checks: Sequence[Check] = THIRTEEN) -> tuple[Finding, ...]:
    """What the finished points say to each observation: real ones first, emulated ones apart from them."""
    finished = [one for one in points if one.status == FINISHED]
    return tuple(
        Finding(check.claim, _parts(check, part), part[0].emulated)
        for part in comparable(finished)
        for check in checks
    )


def _parts(check: Check, points: Sequence[MeasuredPoint]) -> tuple[Part, ...]:
    """The parts of an observation; where code of a user's own fails, one that says so."""
    try:
        found: object = check(points)
    except Exception as error:
        if not users_code.place(error):
            raise
        return (Part(check.claim, Verdict.FAILED, f"{users_code.told(error)}."),)
    if isinstance(found, list | tuple) and found and all(isinstance(part, Part) for part in found):
        return tuple(found)
    said = f"It returned {printable(repr(found))[:LONGEST]}, and not a list of its parts."
    return (Part(check.claim, Verdict.FAILED, said),)
