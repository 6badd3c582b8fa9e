"""What the machinery itself costs: in a point, at the start, in a large store, in the command's memory.

    python benchmarks/machinery.py --points 100 --runs 1000

Points take all stages from the store and are timed for a moment, so that what is left is the machinery: all
that is neither training, compressing, tuning, code generation nor timing. Both are tried in a store of these
points alone, and in one with so many runs more.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from dlas import tracking

POINT = (
    *("model=resnet20", "dataset=digits", "train.epochs=1", "compression=none", "algo=direct", "tuner=none"),
    "timing=quick",
)
SESSIONS = "dlas.hardware.sessions"
WALL = """
SELECT (runs.start_time) / 1e3, (runs.end_time) / 1e3, SUM(latest_metrics.value) FROM runs
JOIN latest_metrics ON runs.run_uuid = latest_metrics.run_uuid
WHERE latest_metrics.key LIKE 'seconds.%' AND latest_metrics.key != 'seconds.bundle'
AND runs.start_time >= ? GROUP BY runs.run_uuid
"""
"""Start, end, and seconds of stages and timing of each point since a time (ms since the epoch)."""

LOOK_SECONDS = 0.2
"""Seconds between two looks at the processes of a command: as much of each one's time may be missed."""

MB = 1e6


@dataclass
class Command:
    """A command that ended: when it wrote what, and what its processes took meanwhile."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since its start, and what was written then."""
    looks: list[Look] = field(default_factory=list)

    def until(self, text: str) -> Look:
        """What was seen last before the first line with this text."""
        written = next(at for at, line in self.lines if text in line)
        return max((look for look in self.looks if look.at <= written), key=lambda look: look.at)


@dataclass(frozen=True)
class Look:
    """The processes of a command, so many seconds after its start."""

    at: float
    cpu: float
    """CPU-seconds of all its processes so far, but of those that timed."""
    resident: int
    """Bytes that the command's own process holds."""


def run(*arguments: str) -> Command:
    """`python -m dlas.run`, watched until it ends."""
    found, started = Command(), time.monotonic()
    command = [sys.executable, "-m", "dlas.run", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        watching = threading.Thread(target=_watch, args=(psutil.Process(process.pid), found, started))
        watching.start()
        for line in process.stderr:
            found.lines.append((time.monotonic() - started, line.rstrip()))
    watching.join()
    assert process.returncode == 0, "\n".join(line for _, line in found.lines[-20:])
    return found


def _watch(command: psutil.Process, found: Command, started: float) -> None:
    cpu: dict[int, float] = {}
    while command.is_running() and command.status() != psutil.STATUS_ZOMBIE:
        with suppress(psutil.Error):  # one of them ended meanwhile
            for process in (command, *command.children(recursive=True)):
                if not any(SESSIONS in part for part in process.cmdline()):
                    times = process.cpu_times()
                    cpu[process.pid] = times.user + times.system
            at = time.monotonic() - started
            found.looks.append(Look(at, sum(cpu.values()), command.memory_info().rss))
        time.sleep(LOOK_SECONDS)


def swept(artifacts: Path, first: int, count: int) -> Command:
    """A sweep of points that differ in their timing alone."""
    runs = ",".join(str(5 + first + place) for place in range(count))
    return run("-m", *POINT, f"artifacts={artifacts}", f"timing.runs={runs}")


def fill(artifacts: Path, count: int) -> None:
    """Put so many copies of the last run into the store, as points of other fingerprints."""
    with sqlite3.connect(artifacts / "mlflow.db") as database:
        chosen = "SELECT run_uuid FROM tags WHERE key = 'dlas.kind' AND value = 'point'"
        (original,) = database.execute(f"{chosen} LIMIT 1").fetchone()
        for table in ("runs", "params", "metrics", "latest_metrics", "tags"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            rows = database.execute(
                f"SELECT {', '.join(columns)} FROM {table} WHERE run_uuid = ?", (original,)
            ).fetchall()
            place = columns.index("run_uuid")
            copies = [_copied(columns, row, place, number) for number in range(count) for row in rows]
            marks = ", ".join("?" for _ in columns)
            database.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", copies)


def _copied(columns: Sequence[str], row: Sequence[object], place: int, number: int) -> list[object]:
    copy = list(row)
    copy[place] = f"{number:032x}"
    if "key" in columns and row[columns.index("key")] == tracking.FINGERPRINT:
        copy[columns.index("value")] = f"{number:064x}"
    return copy


@dataclass(frozen=True)
class Costs:
    """What the machinery took."""

    start: Look
    """The command when its first point began."""
    point_wall: float
    """Seconds of a point, the median, less those of its stages and its timing."""
    point_cpu: float
    resident: list[int]
    """Bytes of the command's own process after each point."""


def made(artifacts: Path, first: int, count: int) -> Costs:
    """The costs of so many points that were not made before."""
    began = time.time() * 1e3
    sweep = swept(artifacts, first, count)
    start, end = sweep.until("[1/"), sweep.looks[-1]
    with sqlite3.connect(artifacts / "mlflow.db") as database:
        rows = database.execute(WALL, (began,)).fetchall()
    assert len(rows) == count
    ends = [sweep.until(f"[{place}/") for place in range(2, count + 1)]
    return Costs(
        start=start,
        point_wall=median(ended - started - steps for started, ended, steps in rows),
        point_cpu=(end.cpu - start.cpu) / count,
        resident=[look.resident for look in (*ends, end)],
    )


def skipped(artifacts: Path, first: int, count: int) -> Look:
    """The costs of the same command once more, which makes no point."""
    return swept(artifacts, first, count).looks[-1]


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1000)
    arguments = parser.parse_args()
    count = arguments.points
    with tempfile.TemporaryDirectory(prefix="dlas-machinery-") as folder:
        artifacts = Path(folder)
        swept(artifacts, 0, 1)
        alone, again = made(artifacts, 1, count), skipped(artifacts, 1, count)
        fill(artifacts, arguments.runs)
        beside, again_beside = made(artifacts, count + 1, count), skipped(artifacts, count + 1, count)

    def seconds(what: str, one: float, other: float) -> tuple[str, ...]:
        return what, f"{one:.2f}", f"{other:.2f}", f"{other / one:.2f}"

    print(
        table(
            [
                ("seconds", f"{count + 1} runs", f"{arguments.runs} more", "ratio"),
                seconds("until the first point, wall", alone.start.at, beside.start.at),
                seconds("until the first point, CPU", alone.start.cpu, beside.start.cpu),
                seconds("a point's machinery, wall", alone.point_wall, beside.point_wall),
                seconds("a point's machinery, CPU", alone.point_cpu, beside.point_cpu),
                seconds("the same command again, CPU", again.cpu, again_beside.cpu),
            ]
        )
    )
    print("MB of the command after the points", *(f"{held / MB:.0f}" for held in alone.resident))


if __name__ == "__main__":
    main()
