"""What a point, maybe in another process, knows of its sweep: by variables of its environment."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence

from dlas.config import Stack, identity
from dlas.errors import UserError
from dlas.tracking import delivery, objectives
from dlas.tracking import store as tracking
from dlas.tracking.delivery import Place

# Environment variables through which a point, maybe in another process, learns of its sweep.
PARENT, POINTS, UNCHECKED = "DLAS_SWEEP", "DLAS_POINTS", "DLAS_UNCHECKED"

SHARED = "DLAS_SHARED"
"""The overrides that all points have, as JSON in hexadecimal digits: Hydra would read quotes and commas."""

REPEATED = "DLAS_REPEATED"
"""The numbers of the points that are the same as one before them, for their compiler."""

PLANNED, DIGITS = "DLAS_PLANNED", 8
"""The points that the command composed and checked, by so many digits of a hash of each with its code."""

EVERY = "every point"
"""What UNCHECKED says where the points are found on the way."""


def identities(stacks: Sequence[Stack]) -> str:
    """The points as UNCHECKED tells them."""
    return " ".join(identity(stack) for stack in stacks)


def run_name(overrides: list[str]) -> str:
    """Name of a run: the choices by which a person tells runs apart, without the places
    where they are kept."""
    return " ".join(
        item
        for item in overrides
        if not item.startswith(("artifacts=", "tracking.", "hydra.", "objectives="))
    )


def short_name(overrides: list[str]) -> str:
    """Name of a point: the overrides that not all points of its sweep have."""
    shared = os.environ.get(SHARED)
    return differing(overrides, frozenset(json.loads(bytes.fromhex(shared)) if shared else ()))


def differing(overrides: list[str], shared: frozenset[str]) -> str:
    """Name of a point: its overrides less those that are shared; all where nothing would be left."""
    return run_name([override for override in overrides if override not in shared]) or run_name(overrides)


def is_unchecked(stack: Stack) -> bool:
    """Whether the point is one that could not be checked with the others."""
    unchecked = os.environ.get(UNCHECKED, "")
    return unchecked == EVERY or identity(stack) in unchecked.split()


def planned(points: Sequence[tuple[Stack, str]]) -> str:
    """The points, each with the hash of its code, as PLANNED tells them."""
    hashes = (hashlib.sha256(f"{identity(stack)} {code}".encode()).hexdigest() for stack, code in points)
    return " ".join(found[:DIGITS] for found in hashes)


def require_planned(stack: Stack, code: str) -> None:
    """UserError for a point that its command did not compose, or whose code, by its hash, was another one: a
    job of a launcher, which may wait for hours, reads the files of the config and of the code again."""
    known = os.environ.get(PLANNED, "").split()
    if known and planned([(stack, code)]) not in known:
        problem = (
            "its settings, its code, or the versions of its tools, are not those that its command checked"
        )
        remedy = "leave config and code alone while jobs wait, and start again: what is finished is kept"
        raise UserError(problem, remedy=remedy)


def position(number: int) -> str:
    """The place of a point in its sweep, from 0, as the log tells it; "" of a single one."""
    if PARENT not in os.environ:
        return ""
    place = number + 1 - sum(each < number for each in _repeated())
    return f"[{place}/{os.environ[POINTS]}] " if os.environ[POINTS] else f"[{place}] "


def is_repeated(number: int) -> bool:
    """Whether the point of that number is the same as one before it, for its compiler."""
    return number in _repeated()


def _repeated() -> list[int]:
    return [int(number) for number in os.environ.get(REPEATED, "").split()]


def told(place: Place, run_id: str, wanted: Sequence[str]) -> str | float | tuple[float, ...] | None:
    """What the sweeper is told of a point: the id of its run; where it searches, the point's values for the
    objectives that are wanted, None where it has none."""
    if not wanted or os.environ.get(UNCHECKED) != EVERY:
        return run_id
    values = objectives.values(delivery.fetch(place, run_id), wanted)
    return values[0] if values is not None and len(values) == 1 else values


def take(store: tracking.Store | None, earlier: tracking.Record, number: int) -> None:
    """Count an earlier run as the point of that number of this process's sweep, if it is none of it yet."""
    sweep = os.environ.get(PARENT)
    if store is None or sweep is None or earlier.tags.get(tracking.PARENT) == sweep:
        return
    tags = tracking.fetch(store, sweep).tags
    if not any(earlier.run_id in text for name, text in tags.items() if name.startswith(tracking.EARLIER)):
        tracking.OpenRun(store, sweep).log(tags={f"{tracking.EARLIER}.search.{number}": earlier.run_id})
