"""What earlier versions wrote of a measurement, and what a stranger may have written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_statistics import STILL, later

from dlas.errors import UserError
from dlas.hardware.results import measurement
from dlas.hardware.results.measurement import Measurement, Session

SESSIONS = tuple(Session(9, (5, 6, 7), STILL, later()) for _ in range(5))
BESIDE = tuple(replace(one, samples_ns=(8, 8, 9)) for one in SESSIONS)


def written(path: Path, found: Measurement) -> dict[str, Any]:
    measurement.write(found, path)
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def test_one_yardstick_of_an_earlier_version_is_that_of_computing(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    now = Measurement(3, 1, 2, SESSIONS, yardsticks={"compute": BESIDE}, least_sessions=5)
    values = written(path, now)
    for added in ("turns", "yardsticks", "least_sessions", "budget_seconds", "same_within_percent"):
        only = values.pop(added)
        if added == "yardsticks":
            values["yardstick"] = only["compute"]
    path.write_text(json.dumps({**values, "schema": 2}))
    assert measurement.read(path) == now
    values["yardstick"] = []
    path.write_text(json.dumps({**values, "schema": 2}))
    assert measurement.read(path) == replace(now, yardsticks={})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turns": 0}, "0 turns of 3 runs"),
        ({"turns": 4}, "4 turns of 3 runs"),
        ({"yardsticks": {"../../x": []}}, "a yardstick called"),
        ({"yardsticks": {"memory": []}}, "0 of the yardstick memory"),
        ({"least_sessions": 6}, "5 sessions and asked for 6"),
        ({"budget_seconds": -1.0}, "-1 s"),
        ({"same_within_percent": 100.0}, "100 % for no difference"),
    ],
)
def test_what_no_measurement_has_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    path.write_text(json.dumps(written(path, Measurement(3, 1, 2, SESSIONS)) | changes))
    with pytest.raises(UserError, match=said):
        measurement.read(path)
