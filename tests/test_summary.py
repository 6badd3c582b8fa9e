from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

from dlas import config
from dlas.tracking.delivery import Place
from dlas.tracking.measured_points import measured_points
from dlas.tracking.outcome import summary
from dlas.tracking.store import Record


def point(model: str, latency: float | None, status: str = "FINISHED", **more: str) -> Record:
    metrics = {"accuracy.dense": 0.975, "tuning.trials": 0.0, "tuning.layers_tuned": 0.0}
    if latency is not None:
        metrics |= {
            "latency.median_ms": latency,
            "latency.ci_low_ms": latency * 0.99,
            "latency.ci_high_ms": latency * 1.01,
        }
    params = {"model.name": model, "model.factory": f"x.{model}", "algo.name": "direct", "seed": "0", **more}
    error = {"dlas.error": "the cat sat on it"} if status == "FAILED" else {}
    return Record(f"id-of-{model}", f"run of {model}", status, params, metrics, error, ended=0.0)


def with_tags(record: Record, metrics: dict[str, float] | None = None, **tags: str) -> Record:
    named = {f"dlas.{name}": value for name, value in tags.items()}
    return Record(
        record.run_id,
        record.name,
        record.status,
        record.params,
        {**record.metrics, **(metrics or {})},
        {**record.tags, **named},
        record.ended,
    )


def row(text: str, run_id: str) -> str:
    (line,) = (line for line in text.splitlines() if run_id in line)
    return line


def marked(text: str, *models: str) -> list[str]:
    return [row(text, f"id-of-{model}")[:1].strip() for model in models]


def test_what_no_finished_point_beats_is_marked() -> None:
    points = [
        point("slow", 9.0),
        point("fast", 3.0),
        point("broken", 1.0, "FAILED"),
        point("stopped", None, "KILLED"),
    ]
    text = summary.table(points)
    assert marked(text, "slow", "fast", "broken", "stopped") == ["", "*", "", ""]
    assert "* not beaten in latency" in text


def test_further_columns_tell_memory_and_the_start() -> None:
    metrics = {"memory.peak_bytes": 34.6e6, "memory.runtime_bytes": 16e6, "start.whole_ms": 87.654}
    (told,) = measured_points([with_tags(point("a", 3.0), metrics)])
    text = summary.of([told], further=["memory", "memory.runtime", "start"])
    assert re.search(r"memory +of runtime +start ms", text)
    assert re.search(r"34\.6 MB +16\.0 MB +87\.65 ", row(text, "id-of-a"))


def test_points_that_the_measurement_can_t_tell_apart_share_the_mark() -> None:
    text = summary.table([point("a", 3.0), point("b", 3.1), point("c", 4.0)])
    assert marked(text, "a", "b", "c") == ["*", "*", ""]


def test_an_unsteady_point_is_tagged_and_its_reason_told() -> None:
    unsteady = with_tags(point("slow", 12.0), unsteady="other processes used 1.3 of 2 cores")
    text = summary.table([unsteady, point("fast", 3.0)])
    assert marked(text, "slow", "fast") == ["?", "*"]
    assert "  unsteady  " in row(text, "id-of-slow")
    assert "unsteady: slow: other processes used 1.3 of 2 cores" in text
    assert "may be too long" in text


def test_a_row_tells_accuracy_latency_interval_and_outcome() -> None:
    text = summary.table([point("fast", 3.0), point("stopped", None, "KILLED")])
    cells = {cell.strip() for cell in row(text, "id-of-fast").split("  ")}
    assert {"0.9750", "3.0", "2.83 to 3.18", "FINISHED"} <= cells
    assert "KILLED" in row(text, "id-of-stopped")
    assert "python -m dlas.ui" in text


def test_sessions_that_agree_support_more_digits() -> None:
    text = summary.table([with_tags(point("a", 3.0), session_medians_ms="2.999 3.000 3.001 3.000")])
    assert {"3.000", "2.9987 to 3.0013"} <= {cell.strip() for cell in row(text, "id-of-a").split("  ")}
    assert "sessions differ" not in text


def test_columns_are_what_varied() -> None:
    assert "seed" not in summary.table([point("a", 1.0), point("b", 2.0)])
    text = summary.table([point("a", 1.0, seed="1"), point("a", 2.0, seed="2")])
    assert "seed" in text
    assert "factory" not in text


def test_a_setting_of_one_choice_is_told_with_it_and_what_follows_from_a_model_is_not() -> None:
    pruned = "compression.weight_pruning.sparsity"
    larger = {"train.epochs": "9", "model.image_size": "64", "compression": "weight_pruning"}
    points = [
        point("a", 1.0, **{"train.epochs": "2", "model.image_size": "32", "compression": "none"}),
        point("b", 2.0, **{**larger, pruned: "0.5"}),
        point("b", None, "FAILED", **{**larger, pruned: "0.8"}),
    ]
    text = summary.table(points)
    assert "  weight_pruning sparsity=0.5  " in text
    assert "b weight_pruning sparsity=0.8: the cat sat on it" in text
    assert "epochs" not in text
    assert "image_size" not in text


def test_why_a_point_failed_is_told() -> None:
    failed = point("b", None, "FAILED")
    assert "b: the cat sat on it" in summary.table([point("a", 1.0), failed])
    with_remedy = with_tags(failed, error="model: the cat sat on it\n  another chair")
    assert "b: model: the cat sat on it; another chair" in summary.table([point("a", 1.0), with_remedy])


def test_a_search_that_changed_nothing_is_told() -> None:
    searched = {"tuning.trials": 64.0}
    nothing = with_tags(point("a", 1.0), searched)
    some = with_tags(point("b", 2.0), searched | {"tuning.layers_tuned": 3.0})
    text = summary.table([nothing, some, point("c", 3.0)])
    told = ["no tuned kernel kept" in row(text, f"id-of-{name}") for name in "abc"]
    assert told == [True, False, False]


def test_emulated_points_compete_with_no_real_ones() -> None:
    text = summary.table([with_tags(point("a", 1.0), emulated="QEMU"), point("b", 9.0)])
    assert marked(text, "a", "b") == ["*", "*"]
    assert "emulated" in row(text, "id-of-a")
    assert "nothing about a real board" in text


def test_the_commands_that_look_closer_are_told_where_the_runs_are() -> None:
    swept = dataclasses.replace(point("a", 3.0), tags={"mlflow.parentRunId": "of-a-sweep"})
    place = Place(Path("/my runs"), "http://me:secret@lab:5000", "dlas")
    last = summary.table([swept], options=place.options).splitlines()[-1]
    report, ui = (shlex.split(one) for one in last.removeprefix("Look closer: ").split(", or "))
    where = ["artifacts=/my runs", "tracking.uri=http://lab:5000"]
    assert report == ["python", "-m", "dlas.report", "sweep=of-a-sweep", *where]
    assert ui == ["python", "-m", "dlas.ui", *where]
    assert Place(config.default_artifacts(), None, "dlas").options == ()


def test_nothing_finished_has_no_mark() -> None:
    text = summary.table([point("a", None, "KILLED")])
    assert marked(text, "a") == [""]
    assert "not beaten" not in text
    assert summary.table([]) == "no point was started"
