"""A sweep that is killed again and again ends as one that nobody disturbed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import at_once, dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from user_options import own_model

SWEEP = (
    *("-m", "algo=gemm,direct", "tuner=none", "timing=quick", "train.epochs=1", "compression=weight_pruning"),
    *("compression.weight_pruning.steps=1", "compression.weight_pruning.finetune.epochs=1"),
)
MOMENTS = ("[1/2]", "train:", "compress-", "lower:", "tune:", "kernels:", "build:", "deploy:", "[2/2]")
"""Words of the log after which there are kills."""

SYNC, SAVE = "dlas.files.durable.sync", "dlas.files.checkpoints._write"
"""Functions in whose calls there are kills: three of the first and one of the second save a step."""

SEED = 20261130
MAX_SECONDS = 1.5
"""From a moment to the kill: what follows the last stage lasts so long, timing and logging."""


class Sweep:
    """A sweep of two points, with an artifacts folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.options = own_model(folder, "two_layers")
        self.artifacts = folder / "artifacts"

    def start(
        self, killed_at: tuple[str, float] | None = None, killed_in: tuple[str, int] | None = None
    ) -> int:
        """Start it, or go on; returns its exit status."""
        arguments = *self.options, *SWEEP, f"artifacts={self.artifacts}"
        ended = dlas("run", *arguments, killed_at=killed_at, killed_in=killed_in)
        assert ended.returncode in (0, -9), ended.stderr
        return ended.returncode

    def start_twice_at_once(self) -> list[str]:
        """Start two of it; returns what each wrote to its standard error."""
        arguments = *self.options, *SWEEP, f"artifacts={self.artifacts}"
        ended = at_once(("run", *arguments), ("run", *arguments))
        assert [each.returncode for each in ended] == [0, 0], [each.stderr for each in ended]
        return [each.stderr for each in ended]

    def results(self) -> dict[str, object]:
        """The files of every stage's result, by their hashes; rehearsals depend on which points are left."""
        return {
            str(entry.parent.relative_to(self.artifacts)): json.loads(entry.read_text())["files"]
            for entry in (self.artifacts / "stages").glob("*/*/entry.json")
            if entry.parent.parent.name != "rehearse"
        }

    def runs(self) -> list[Run]:
        client = MlflowClient(f"sqlite:///{self.artifacts / 'mlflow.db'}")
        return list(client.search_runs([client.get_experiment_by_name("dlas").experiment_id]))

    def finished(self) -> list[tuple[str, str, str]]:
        """What every finished point is, and the results that it took."""
        points = [run for run in self.runs() if run.data.tags["dlas.kind"] == "point"]
        return sorted(
            (run.data.tags["dlas.point"], run.data.tags["dlas.stages"], run.info.run_name)
            for run in points
            if run.info.status == "FINISHED"
        )

    def logs(self, status: str) -> list[str]:
        """What the points of that status wrote."""
        client = MlflowClient(f"sqlite:///{self.artifacts / 'mlflow.db'}")
        return [
            Path(client.download_artifacts(run.info.run_id, "log.txt")).read_text()
            for run in self.runs()
            if run.info.status == status and client.list_artifacts(run.info.run_id)
        ]

    def left(self) -> list[str]:
        """What should not be there once it is over."""
        running = [run.info.run_name for run in self.runs() if run.info.status == "RUNNING"]
        halves = [
            *self.artifacts.glob("unfinished/*"),
            *self.artifacts.glob("stages/*/*.unfinished"),
            *self.artifacts.glob("stages/*/*.checkpoint"),
        ]
        return [*running, *map(str, halves)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"))
    assert sweep.start() == 0
    return sweep


def require_same(sweep: Sweep, undisturbed: Sweep) -> None:
    assert sweep.left() == []
    assert sweep.results() == undisturbed.results()
    assert sweep.finished() == undisturbed.finished()


def moments(chance: random.Random) -> Iterator[dict[str, tuple[str, float]]]:
    """Kills, as `Sweep.start` takes them: every other one in a call, which may never come."""
    while True:
        yield {"killed_in": (chance.choice((SYNC, SAVE)), chance.randint(1, 60))}
        seconds = chance.choice((0.0, 0.05, MAX_SECONDS)) * chance.random()
        yield {"killed_at": (chance.choice(MOMENTS), seconds)}


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_some_moments_ends_the_same(tmp_path: Path, undisturbed: Sweep) -> None:
    """The first three kills are in one training of 43 steps, the fourth is in the fine-tuning after it, each
    in the middle of a save."""
    sweep = Sweep(tmp_path)
    for _ in range(4):
        assert sweep.start(killed_in=(SYNC, 41)) == -9
    for moment in ("lower:", "deploy:", "[2/2]"):
        sweep.start(killed_at=(moment, 0.0))
    while sweep.start() != 0:
        pass
    require_same(sweep, undisturbed)
    told = "\n".join(sweep.logs("KILLED"))
    assert "train: started" in told
    for place in ("train: goes on from epoch 1, step 14", "train: goes on from epoch 1, step 27"):
        assert place in told
    assert "compression.weight_pruning.finetune: goes on from epoch 1, step" in told


@pytest.mark.exhaustive
def test_two_sweeps_at_once_share_the_stages_and_both_end_right(tmp_path: Path, undisturbed: Sweep) -> None:
    """And a third one finds all of it."""
    sweep = Sweep(tmp_path)
    told = "".join(sweep.start_twice_at_once())
    for stage, times in (("train", 1), ("compress-weight_pruning", 1), ("lower", 2), ("deploy", 2)):
        assert told.count(f"{stage}: started") == times, stage
    assert sweep.left() == []
    assert sweep.results() == undisturbed.results()
    assert set(sweep.finished()) == set(undisturbed.finished())
    runs = len(sweep.finished())
    assert sweep.start() == 0
    assert len(sweep.finished()) == runs


@pytest.mark.exhaustive
def test_sweeps_that_are_killed_fifty_times_end_the_same(tmp_path: Path, undisturbed: Sweep) -> None:
    chance = moments(random.Random(SEED))
    kills = 0
    for number in range(50):
        sweep = Sweep(tmp_path / str(number))
        while sweep.start(**next(chance)) == -9:
            kills += 1
        require_same(sweep, undisturbed)
        if kills >= 50:
            break
    assert kills >= 50
