"""Where the spread of samples comes from: what the kernel counts here, and sessions of known causes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_library
from test_statistics import STILL, later

from dlas import config
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.tables import point
from dlas.errors import UserError
from dlas.hardware.results import measurement, spread
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.disturbance import Disturbance
from dlas.hardware.results.measurement import Measurement, Session
from dlas.hardware.sessions.observers.disturbance import Watch
from dlas.hardware.targets import llvm, resolving
from dlas.hardware.targets.steadiness import State
from dlas.hardware.timing import measuring
from dlas.redeployment import Redeployed
from dlas.report import sections
from dlas.verdicts.point_as_text import report

RUNS, MS = 50, 1_000_000
CALM = Disturbance(0.0, 0, 0, 0, 0.0, None)

SMAPS = "55-7f [rollup]\nRss: 9000 kB\nAnonymous:   4000 kB\nAnonHugePages:   1000 kB\nFilePmdMapped: 1 kB\n"
NUMA = """7f00 default anon=4 dirty=4 N0=3 N1=1 kernelpagesize_kB=4
7f10 default file=/lib/x mapped=9
7f20 default huge anon=1 N1=1 kernelpagesize_kB=12
"""


def folder(place: Path, **files: str) -> Path:
    for thread, counts in {"7": "900 5000000000 3", "8": "900 1000000000 3"}.items():
        (place / "task" / thread).mkdir(parents=True, exist_ok=True)
        (place / "task" / thread / "schedstat").write_text(counts)
    for name, text in files.items():
        (place / name).write_text(text)
    return place


def test_the_kernels_counts_are_read(tmp_path: Path) -> None:
    process = folder(tmp_path / "self", smaps_rollup=SMAPS, numa_maps=NUMA)
    nodes = tmp_path / "nodes"
    for node in ("node0", "node1"):
        (nodes / node).mkdir(parents=True)
    watch = Watch(process, nodes)
    watch.start()
    (process / "task" / "7" / "schedstat").write_text("900 5500000000 9")
    (process / "task" / "8" / "schedstat").write_text("900 3000000000 9")
    told = watch.told()
    assert told["waited_seconds"] == pytest.approx(2.0)
    assert told["huge_share"] == pytest.approx(0.25)
    assert told["apart_share"] == pytest.approx(12 / 28)
    (nodes / "node1").rmdir()
    assert watch.told()["apart_share"] is None


def test_what_a_system_does_not_tell_is_none(tmp_path: Path) -> None:
    watch = Watch(tmp_path, tmp_path)
    watch.start()
    told = watch.told()
    assert told["page_faults"] >= 0
    assert [name for name, value in told.items() if value is None] == [
        "waited_seconds",
        "huge_share",
        "apart_share",
    ]


def test_work_on_the_same_core_is_named_and_kept(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    host = resolving.resolve(config.Target("host", affinity=[core], cores=1))
    library = tiny_library.export_matmul(llvm.tvm_target(host.code), tmp_path / "model.so")
    spin = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as beside:
        found = measuring.measure(
            library, tiny_library.images(1), host, config.Timing(name="test", runs=3000)
        )
        beside.kill()
    (disturbed,) = (session.disturbance for session in found.sessions)
    assert disturbed is not None
    assert disturbed.preempted > 0
    told = spread.source(found)
    assert told is not None
    assert told.startswith(spread.WAITS)
    measurement.write(found, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == found


def session(ms: float, above: float = 0.0, *, before: State = STILL, after: State | None = None) -> Session:
    """A session of runs of `ms`, a fifth of which take `above` ms longer."""
    scatter = np.random.default_rng(round(ms * 1e6)).normal(1, 1e-4, RUNS)
    samples = [int(MS * (ms * scatter[at] + above * (at % 5 == 0))) for at in range(RUNS)]
    return Session(9 * MS, tuple(samples), before, after or later(), disturbance=CALM)


def measured(sessions: Sequence[Session], beside: Sequence[float] = ()) -> Measurement:
    yardstick = tuple(session(ms) for ms in beside)
    return Measurement(RUNS, 1, 2, tuple(sessions), yardsticks={"compute": yardstick} if beside else {})


VARIED = (10.0, 12.0, 10.1, 11.5, 12.1, 10.9)


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (measured([session(10.0)]), None),
        (measured([session(10.0, 5.0)]), None),
        (measured([replace(session(10.0, 5.0), disturbance=replace(CALM, waited_seconds=0.045))]), "WAITS"),
        (measured([session(10.0, 90.0, after=later(stolen_seconds=12.0))]), "STOLEN"),
        (
            measured(
                [
                    session(10.0),
                    session(
                        20.0,
                        before=replace(STILL, frequency_mhz=1000.0),
                        after=later(frequency_mhz=1000.0),
                    ),
                ]
            ),
            "CLOCK",
        ),
        (measured([session(ms) for ms in VARIED], [ms / 10 for ms in VARIED]), "PACE"),
        (measured([session(ms) for ms in VARIED], [1.0] * 6), "PLACES"),
        (measured([session(ms) for ms in VARIED]), None),
        (measured([session(ms, after=later(busy_seconds=408.0)) for ms in VARIED], [1.0] * 6), None),
        (measured([session(ms) for ms in VARIED[:3]], [1.0] * 3), None),
    ],
)
def test_a_cause_is_named_where_it_is_known(found: Measurement, cause: str | None) -> None:
    told = spread.source(found)
    expected = None if cause is None else getattr(spread, cause)
    assert (told or "").partition(":")[0] == (expected or "")


def test_a_person_is_told_in_every_place() -> None:
    waiting = measured([replace(session(10.0, 5.0), disturbance=replace(CALM, waited_seconds=0.04))])
    told = spread.source(waiting)
    assert told == f"{spread.WAITS}: 80% of the time above the fastest tenth of the runs"
    comparison = Comparison(measured([session(10.0)]), waiting)
    assert f"spread     now mainly from {told}" in report(Redeployed(comparison, (), {}))
    assert "spread     then" not in report(Redeployed(comparison, (), {}))
    seen = MeasuredPoint(
        run_id="id", name="a point", status="FINISHED", choices={}, median_ms=10.0, tags={"dlas.spread": told}
    )
    shown = point.described(seen, waiting, [], "redeploy")
    assert f"mainly from {told}" in shown
    summary = sections.summary([seen, seen, replace(seen, tags={})])
    assert f"Of 2 points the spread comes mainly from {spread.WAITS}." in summary


def test_old_files_are_read_and_impossible_counts_refused(tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    measurement.write(measured([session(10.0)]), path)
    values = json.loads(path.read_text())
    del values["sessions"][0]["disturbance"]
    path.write_text(json.dumps(values))
    assert measurement.read(path).sessions[0].disturbance is None
    values["sessions"][0]["disturbance"] = {**vars(CALM), "huge_share": 2.0}
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="disturbed"):
        measurement.read(path)
