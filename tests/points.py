"""Measured points for tests of the analysis."""

from __future__ import annotations

from typing import Any

from dlas.analysis.measured_point import MeasuredPoint


def point(run_id: str, latency: float | None = None, **more: Any) -> MeasuredPoint:
    """A finished point of this latency, on six sessions that differ by a thousandth unless told otherwise."""
    sessions = () if latency is None else tuple(latency * (1 + shift / 1000) for shift in range(-3, 3))
    choices = {"dataset": "digits", "model": "net", "algo": "direct", "target": "host"}
    given = {"status": "FINISHED", "session_medians_ms": sessions, "median_ms": latency, **more}
    given["choices"] = {**choices, **more.get("choices", {})}
    return MeasuredPoint(run_id=run_id, name=f"run of {run_id}", **given)
