"""A sweep that is killed again and again ends as one that nobody disturbed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import dlas
from mlflow import MlflowClient
from mlflow.entities import Run
from user_options import own_model

SWEEP = (
    *("-m", "algo=gemm,direct", "tuner=none", "timing=quick", "train.epochs=1", "compression=weight_pruning"),
    *("compression.weight_pruning.steps=1", "compression.weight_pruning.finetune.epochs=1"),
)
MOMENTS = ("[1/2]", "train:", "compress-", "lower:", "tune:", "kernels:", "build:", "deploy:", "[2/2]")
"""Words of the log after which there are kills."""

SEED = 20261130
MAX_SECONDS = 1.5
"""From a moment to the kill: what follows the last stage lasts so long, timing and logging."""


class Sweep:
    """A sweep of two points, with an artifacts folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.options = own_model(folder, "two_layers")
        self.artifacts = folder / "artifacts"

    def start(self, killed_at: tuple[str, float] | None = None) -> int:
        """Start it, or go on; returns its exit status."""
        ended = dlas("run", *self.options, *SWEEP, f"artifacts={self.artifacts}", killed_at=killed_at)
        assert ended.returncode in (0, -9), ended.stderr
        return ended.returncode

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
        halves = [*self.artifacts.glob("unfinished/*"), *self.artifacts.glob("stages/*/*.unfinished")]
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


def moments(chance: random.Random) -> Iterator[tuple[str, float]]:
    while True:
        yield chance.choice(MOMENTS), chance.choice((0.0, 0.05, MAX_SECONDS)) * chance.random()


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_some_moments_ends_the_same(tmp_path: Path, undisturbed: Sweep) -> None:
    sweep = Sweep(tmp_path)
    for moment in ("[1/2]", "train:", "lower:", "deploy:", "[2/2]"):
        sweep.start(killed_at=(moment, 0.02))
    while sweep.start() != 0:
        pass
    require_same(sweep, undisturbed)
    assert any("train: started" in text for text in sweep.logs("KILLED"))


@pytest.mark.exhaustive
def test_sweeps_that_are_killed_fifty_times_end_the_same(tmp_path: Path, undisturbed: Sweep) -> None:
    chance = moments(random.Random(SEED))
    kills = 0
    for number in range(50):
        sweep = Sweep(tmp_path / str(number))
        while sweep.start(killed_at=next(chance)) == -9:
            kills += 1
        require_same(sweep, undisturbed)
        if kills >= 50:
            break
    assert kills >= 50
