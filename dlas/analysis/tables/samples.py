"""Every sample of a measurement, one a row."""

from __future__ import annotations

from collections.abc import Iterator

from dlas.analysis.table import Cell, Table, number, text
from dlas.hardware.results.measurement import NS_PER_MS, Measurement

FIRST, WARM, COLD = "first", "warm", "cold"
"""Kinds of runs: the first of a session, those that count, and those that each found the caches full of
something else."""


def table(measured: Measurement) -> Table:
    """The runs of each session in their order, of each batch size."""
    headings = ("batch", "session", "kind", "run", "ms")
    return Table("samples", "Samples", headings, tuple(_rows(measured)))


def _rows(measured: Measurement) -> Iterator[tuple[Cell, ...]]:
    for one in measured.batches:
        for place, session in enumerate(one.sessions, 1):
            runs = {FIRST: (session.first_ns,), WARM: session.samples_ns, COLD: session.cold_ns}
            for kind, samples in runs.items():
                for run, sample in enumerate(samples, 1):
                    counts = (number(one.batch), number(place), text(kind), number(run))
                    yield (*counts, number(sample / NS_PER_MS))
