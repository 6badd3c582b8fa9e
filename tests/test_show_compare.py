"""One point on the terminal, and points side by side, of a store that MLflow's client wrote."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import generated_store
import pytest
from command import REPOSITORY, dlas, environment
from generated_store import BUNDLES, Generated

HEAVY = ("torch", "tvm", "mlflow", "matplotlib", "scipy")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated_store.make(tmp_path_factory.mktemp("store"))


def told(generated: Generated, module: str, *arguments: str, status: int = 0) -> str:
    ended = dlas(module, *arguments, f"artifacts={generated.artifacts}")
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout if status == 0 else ended.stderr


@pytest.mark.parametrize("module", ["show", "compare", "report.command"])
def test_help_imports_nothing_heavy(module: str) -> None:
    program = (
        "import json, sys\n"
        f"from dlas.{module} import main\n"
        "main(['--help'])\n"
        "print(json.dumps(list(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), cwd=REPOSITORY
    )
    assert "Exit status: 0" in ended.stdout
    assert not {name.partition(".")[0] for name in json.loads(ended.stderr)} & set(HEAVY)


def test_a_point_is_told_in_full(generated: Generated) -> None:
    text = told(generated, "show", f"run={generated.runs['pruned']}")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "compression weight_pruning" in lines
    assert "accuracy dense 0.9500, compressed 0.9000, deployed 0.9000" in lines
    assert "unsteady other processes used 1.3 of 2 cores" in lines
    timing = json.loads((BUNDLES / "csr" / "timing.json").read_text())
    samples = sum(len(session["samples_ns"]) for session in timing["sessions"])
    assert f"{samples} samples in {len(timing['sessions'])} session" in text
    with (BUNDLES / "csr" / "layers.csv").open(newline="") as file:
        slowest = max(csv.DictReader(file), key=lambda row: float(row["time_ms"]))
    heading = next(at for at, line in enumerate(lines) if line.startswith("layer ms share"))
    assert lines[heading + 1].startswith(slowest["layer"])
    assert text.rstrip().endswith(
        f"python -m dlas.redeploy run={generated.runs['pruned']} artifacts={generated.artifacts}"
    )


def test_a_failed_point_tells_why_and_offers_no_redeployment(generated: Generated) -> None:
    text = told(generated, "show", f"run={generated.runs['failed']}")
    assert "<b>the cat</b>" in text
    assert "redeploy" not in text


def test_what_a_bundle_lacks_is_told_and_the_rest_shown(generated: Generated) -> None:
    ended = dlas("show", f"run={generated.runs['without a bundle']}", f"artifacts={generated.artifacts}")
    assert ended.returncode == 0
    assert "has no bundle/timing.json" in ended.stderr
    assert "latency" in ended.stdout
    assert "redeploy" not in ended.stdout


def test_the_table_of_a_sweep_can_be_had_again(generated: Generated) -> None:
    text = told(generated, "show", f"sweep={generated.sweep}")
    assert all(run in text for run in generated.runs.values())
    assert f"python -m dlas.report sweep={generated.sweep}" in text


def test_the_table_has_further_columns_where_they_are_asked_for(generated: Generated) -> None:
    assert "memory" not in told(generated, "show", f"sweep={generated.sweep}")
    text = told(generated, "show", f"sweep={generated.sweep}", "columns=memory,start,files")
    (heading,) = (line for line in text.splitlines() if line.strip().endswith("run"))
    assert re.search(r"memory +start ms +files +expected", heading)


def test_points_are_compared_with_the_first(generated: Generated, tmp_path: Path) -> None:
    runs = ",".join(generated.runs[name] for name in ("dense", "pruned", "emulated", "failed"))
    text = told(generated, "compare", f"run={runs}", f"csv={tmp_path}/table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        dense, pruned, emulated, failed = csv.DictReader(file)
    assert dense["verdict"] == "reference"
    assert float(pruned["ratio"]) == pytest.approx(0.004 / 0.008)
    assert pruned["verdict"] == "faster"
    assert emulated["verdict"] == failed["verdict"] == "not compared"
    assert emulated["ratio"] == failed["ratio"] == ""
    assert "emulated times say nothing about real ones" in text


def test_a_sweep_is_compared_with_itself_point_by_point(generated: Generated) -> None:
    again = generated_store.sweep_of(generated, ("dense", "pruned"))
    text = told(generated, "compare", f"run={generated.sweep},{again}")
    assert text.count("can't tell") >= 2
    assert "left out: 5 of 7 points of the first" in text


@pytest.mark.parametrize(
    ("module", "given", "status", "problem"),
    [
        ("show", [], 2, "run: exactly one of run and sweep"),
        ("show", ["run=nothing", "columns=start"], 2, "columns: a single point has no table"),
        ("show", ["sweep=nothing", "columns=start,speed"], 2, "columns: 'speed' is not known"),
        ("show", ["run=nothing"], 1, "run: there is no run 'nothing'"),
        ("compare", ["run=one"], 2, "run: two points or more"),
        ("compare", ["run=one,two"], 1, "run: there is no run 'one'"),
        (
            "compare",
            ["run=one,two", "csv=/nowhere/table.csv"],
            1,
            "csv: /nowhere/table.csv cannot be written",
        ),
    ],
)
def test_a_mistake_is_told_plainly(
    generated: Generated, module: str, given: list[str], status: int, problem: str
) -> None:
    assert told(generated, module, *given, status=status).startswith(problem)


def test_sweeps_and_points_are_told_apart(generated: Generated) -> None:
    sweep, point = generated.sweep, generated.runs["dense"]
    assert f"sweep={sweep}" in told(generated, "show", f"run={sweep}", status=1)
    assert "is no sweep" in told(generated, "show", f"sweep={point}", status=1)
    assert "can't be compared with a sweep" in told(generated, "compare", f"run={sweep},{point}", status=1)


def test_a_redeployment_is_no_point_and_its_point_is_named(generated: Generated) -> None:
    client, point = generated.client, generated.runs["dense"]
    tags = {"dlas.kind": "redeploy", "mlflow.parentRunId": point}
    again = client.create_run(generated.experiment, tags=tags).info.run_id
    for module, given in (("show", again), ("compare", f"{point},{again}"), ("redeploy", again)):
        message = told(generated, module, f"run={given}", status=1)
        assert message.startswith(f"run: '{again}' is a redeployment")
        assert message.rstrip().endswith(f"run={point}")


def test_a_sweep_without_points_is_compared_with_none(generated: Generated) -> None:
    empty = generated_store.sweep_of(generated, ())
    for given in (f"{empty},{generated.sweep}", f"{generated.sweep},{empty}"):
        message = told(generated, "compare", f"run={given}", status=1)
        assert message.startswith(f"run: the sweep '{empty}' has no points")


def test_what_is_not_known_of_a_point_is_called_so(generated: Generated) -> None:
    """A run of another version has no choices, and MLflow's database keeps infinity as a number."""
    client = generated.client
    tags = {"dlas.kind": "point", "mlflow.runName": "bare", "dlas.error": "no space"}
    sweep = client.create_run(generated.experiment, tags={"dlas.kind": "sweep"}).info.run_id
    run = client.create_run(generated.experiment, tags={**tags, "mlflow.parentRunId": sweep}).info.run_id
    client.log_metric(run, "accuracy.deployed", math.inf)
    client.set_terminated(run, "FAILED")
    text = told(generated, "show", f"sweep={sweep}")
    assert "\nbare: no space" in text
    assert "17976931" not in text
    text = told(generated, "compare", f"run={generated.runs['dense']},{run}")
    assert "bare has no ratio: they were timed on different targets, one that is not known and host" in text


@pytest.mark.parametrize("module", ["show", "redeploy"])
def test_no_store_is_made_where_there_is_none(module: str, tmp_path: Path) -> None:
    ended = dlas(module, "run=nothing", "artifacts=~/none", env={"HOME": str(tmp_path)})
    assert ended.returncode == 1
    assert ended.stderr.startswith("artifacts: there are no runs")
    assert str(tmp_path / "none") in ended.stderr
    assert not (tmp_path / "none").exists()
