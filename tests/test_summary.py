from __future__ import annotations

from dataclasses import replace

from dlas.tracking import summary
from dlas.tracking.store import UNSTEADY, Record


def point(model: str, latency: float | None, status: str = "FINISHED", **more: str) -> Record:
    metrics = {"accuracy.dense": 0.975}
    if latency is not None:
        metrics |= {
            "latency.median_ms": latency,
            "latency.ci_low_ms": latency - 1,
            "latency.ci_high_ms": latency + 1,
        }
    params = {"model.name": model, "model.factory": f"x.{model}", "algo.name": "direct", "seed": "0", **more}
    error = {"dlas.error": "the cat sat on it"} if status == "FAILED" else {}
    return Record(f"id-of-{model}", f"run of {model}", status, params, metrics, error, ended=0.0)


def row(text: str, run_id: str) -> str:
    (line,) = (line for line in text.splitlines() if run_id in line)
    return line


def test_the_fastest_finished_point_is_marked_and_no_other() -> None:
    points = [
        point("slow", 9.0),
        point("fast", 3.0),
        point("broken", 1.0, "FAILED"),
        point("stopped", None, "KILLED"),
    ]
    text = summary.table(points)
    assert summary.best(points) is points[1]
    assert row(text, "id-of-fast").startswith(summary.BEST)
    assert not any(
        row(text, f"id-of-{name}").startswith(summary.BEST) for name in ("slow", "broken", "stopped")
    )


def test_a_row_tells_accuracy_latency_interval_and_outcome() -> None:
    text = summary.table([point("fast", 3.0), point("stopped", None, "KILLED")])
    cells = {cell.strip() for cell in row(text, "id-of-fast").split("  ")}
    assert {"0.9750", "3.000", "2.000 to 4.000", "FINISHED"} <= cells
    assert "KILLED" in row(text, "id-of-stopped")
    assert "python -m dlas.ui" in text


def test_points_of_an_unsteady_board_are_counted_below() -> None:
    steady = point("a", 1.0)
    doubted = [
        replace(point(name, 2.0), tags={tag: "busy"}) for name, tag in zip("bc", UNSTEADY, strict=True)
    ]
    assert "rerun=unsteady" not in summary.table([steady])
    text = summary.table([steady, *doubted])
    assert "did not hold still for 2 of 3 points" in text
    assert "rerun=unsteady" in text


def test_columns_are_what_varied() -> None:
    assert "seed" not in summary.table([point("a", 1.0), point("b", 2.0)])
    text = summary.table([point("a", 1.0, seed="1"), point("a", 2.0, seed="2")])
    assert "seed" in text
    assert "factory" not in text


def test_why_a_point_failed_is_told() -> None:
    assert "run of b: the cat sat on it" in summary.table([point("a", 1.0), point("b", None, "FAILED")])


def test_nothing_finished_has_no_best() -> None:
    assert summary.best([point("a", None, "KILLED")]) is None
    assert "lowest" not in summary.table([point("a", None, "KILLED")])
    assert summary.table([]) == "no point was started"
