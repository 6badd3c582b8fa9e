"""The file of a measurement, `timing.json` in a bundle, which may be a stranger's."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlas.errors import UserError
from dlas.files import documents
from dlas.files.documents import Document
from dlas.hardware.results import footprints
from dlas.hardware.results.measurement.measured import Measurement
from dlas.hardware.results.measurement.session import Session
from dlas.hardware.targets import run_environment
from dlas.printable import printable


def _with_yardsticks(values: dict[str, Any]) -> dict[str, Any]:
    """The values of version 2 with several yardsticks in the place of the one that it knew, and with as many
    sessions declared as there are."""
    only = values.pop("yardstick", [])
    return {
        **values,
        "yardsticks": {"compute": only} if only else {},
        "least_sessions": len(values["sessions"]),
    }


def _with_turns(values: dict[str, Any]) -> dict[str, Any]:
    """The values of version 3, whose sessions followed each other."""
    return {**values, "turns": 1}


DOCUMENT = Document(
    "timing", version=4, converters=(dict, _with_yardsticks, _with_turns), largest_bytes=1 << 26
)
"""The document of a measurement. Version 1 told of no footprints, version 2 of one yardstick alone, version 3
of no turns."""

MAX_YARDSTICKS, MAX_BUDGET_SECONDS = 20, 1e9
MAX_RUNS, MAX_SESSIONS, MAX_SIZES, MAX_BATCH = 1_000_000, 1000, 100, 65536
MAX_THREADS = 4096
MAX_METERS, MAX_JOULES = 100, 1e12
MAX_NS = 86_400 * 10**9
"""Longest run that a file may tell of, far beyond what is measured: a session takes an hour at most."""

YARDSTICK_NAME = re.compile(r"[a-z]{1,40}")


def write(measurement: Measurement, path: Path) -> None:
    """Write the measurement as plain JSON; `summary` follows from the rest and is there for other readers."""
    documents.write(DOCUMENT, path, {**asdict(measurement), "summary": measurement.summary()})


def read(path: Path) -> Measurement:
    """The measurement that `write` wrote; UserError for anything else."""
    source = printable(path)
    found = documents.checked(Measurement, documents.read(DOCUMENT, path), DOCUMENT, source)
    if problem := _wrong(found):
        raise UserError(f"is no {DOCUMENT.name}: {printable(problem)}", key=source)
    return found


def _wrong(found: Measurement) -> str:
    """A value that no measurement has, as a text; "" where there is none."""
    if not (1 <= found.runs <= MAX_RUNS and 0 <= found.warmup <= MAX_RUNS and 0 <= found.cold <= MAX_RUNS):
        return f"it has {found.runs} runs, {found.cold} cold ones and {found.warmup} before"
    if not 1 <= len(found.sessions) <= MAX_SESSIONS:
        return f"it has {len(found.sessions)} sessions"
    if len(found.yardsticks) > MAX_YARDSTICKS:
        return f"it has {len(found.yardsticks)} yardsticks"
    for name, beside in found.yardsticks.items():
        if not YARDSTICK_NAME.fullmatch(name):
            return f"it has a yardstick called {name}"
        if len(beside) != len(found.sessions):
            return f"it has {len(found.sessions)} sessions and {len(beside)} of the yardstick {name}"
    if not 1 <= found.least_sessions <= len(found.sessions):
        return f"it has {len(found.sessions)} sessions and asked for {found.least_sessions}"
    if not (0 <= found.budget_seconds <= MAX_BUDGET_SECONDS and 0 < found.same_within_percent < 100):
        return (
            f"it has {found.budget_seconds:g} s and takes {found.same_within_percent:g} % for no difference"
        )
    if not 1 <= found.turns <= found.runs:
        return f"it has {found.turns} turns of {found.runs} runs"
    if not 1 <= found.threads <= MAX_THREADS:
        return f"it has {found.threads} threads"
    if found.batch != 1 or len(found.larger) > MAX_SIZES:
        return f"it has batches of {found.batch} and {len(found.larger)} larger ones"
    for size, sessions in found.larger.items():
        if not 2 <= size <= MAX_BATCH or len(sessions) != len(found.sessions):
            return f"it has {len(sessions)} sessions of batches of {size}"
    network = (*found.sessions, *(one for sessions in found.larger.values() for one in sessions))
    of_each = (*((one, found.cold) for one in network), *((one, 0) for one in found.yardstick_sessions))
    wrong = (_wrong_session(one, found.runs, cold) for one, cold in of_each)
    return next(filter(None, wrong), "") or run_environment.strange(found.environment)


def _wrong_session(session: Session, runs: int, cold: int) -> str:
    if (len(session.samples_ns), len(session.cold_ns)) != (runs, cold):
        counts = f"{len(session.samples_ns)} samples and {len(session.cold_ns)} cold ones"
        return f"a session has {counts}, not {runs} and {cold}"
    times = (session.first_ns, *session.samples_ns, *session.cold_ns)
    shortest, longest = min(times), max(times)
    if not 0 < shortest <= longest <= MAX_NS:
        return f"a run took {shortest} to {longest} ns"
    if len(session.joules) > MAX_METERS or not all(
        0 <= joules < MAX_JOULES for joules in session.joules.values()
    ):
        return "a session took an energy that no meter counts"
    if session.disturbance is not None and not session.disturbance.is_possible:
        return "a session was disturbed more often, or less, than can be"
    if session.counts is not None and not session.counts.is_possible:
        return "a session counted more, or less, than can be"
    return "" if session.footprint is None else footprints.wrong(session.footprint, MAX_NS)
