"""Findings in sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis.observations.finding import Finding
from dlas.analysis.table import Table, number, text


def sentence(finding: Finding) -> str:
    """The claim and the verdict on it: `I: MACs, …: supports.`"""
    emulated = ", on emulated boards" if finding.emulated else ""
    return f"{finding.claim}: {finding.verdict.value}{emulated}."


def table(findings: Sequence[Finding]) -> Table:
    """A row for each part of each observation."""
    rows = tuple(
        (
            *map(text, (finding.claim, finding.verdict.value)),
            *map(text, (part.claim, part.verdict.value, part.numbers)),
            number(len(part.runs), str),
            text("emulated" if finding.emulated else "real"),
        )
        for finding in findings
        for part in finding.parts
    )
    headings = ("observation", "verdict", "part", "verdict of the part", "numbers", "runs", "boards")
    notes = (
        "An observation is supported where all of its parts are, and contradicted where one of them is.",
        "Each comparison counts as one case; those of one grid are not independent of each other.",
    )
    return Table("observations", "What the points say to the study's observations", headings, rows, notes)
