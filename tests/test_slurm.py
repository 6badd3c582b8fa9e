"""Sweeps whose points are jobs of a real SLURM cluster: how they go, and all that may end or change them.

The cluster is one of two nodes on this machine, made for these tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import slurm
from command import REPOSITORY, TESTS, command, environment
from deadly_models import GO, HELD
from test_launchers import TINY, installed, runs, wait_for

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(not installed("hydra_submitit_launcher"), reason="takes the extra submitit"),
    pytest.mark.skipif(bool(slurm.missing()), reason=f"takes {', '.join(slurm.missing())}"),
]

CPU = ("hydra/launcher=submitit_slurm", "hydra.launcher.partition=cpu")
EDITED = "are not those that its command checked"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with slurm.cluster(tmp_path_factory.mktemp("slurm") / "cluster") as env:
        yield env


STARTED: list[subprocess.Popen[str]] = []
"""Commands of the test that goes on."""


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """Commands of a test that failed end with it."""
    yield
    while STARTED:
        started = STARTED.pop()
        started.kill()
        started.communicate()


def swept(cluster: Mapping[str, str], folder: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    """A sweep of networks that `folder/conf` declares, and that modules in `folder` or of ours make."""
    given = ("--config-dir", str(folder / "conf"), *TINY, f"artifacts={folder / 'artifacts'}", *options)
    searched = {"PYTHONPATH": os.pathsep.join((str(TESTS), str(folder)))}
    STARTED.append(
        subprocess.Popen(
            command("run", "-m", *given),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment({**cluster, **searched, **env}),
            cwd=REPOSITORY,
        )
    )
    return STARTED[-1]


def declare(folder: Path, name: str, factory: str) -> None:
    (folder / "conf" / "model").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "model" / f"{name}.yaml").write_text(f"name: {name}\nfactory: {factory}\n")


def asked(cluster: Mapping[str, str], *program: str) -> None:
    subprocess.run(program, env=environment(cluster), check=True)


def drain(cluster: Mapping[str, str]) -> None:
    asked(cluster, "scontrol", "update", f"nodename={','.join(slurm.NODES)}", "state=drain", "reason=test")


def resume(cluster: Mapping[str, str]) -> None:
    asked(cluster, "scontrol", "update", f"nodename={','.join(slurm.NODES)}", "state=resume")


def statuses(folder: Path) -> list[tuple[str, str]]:
    found = runs(folder / "artifacts", "point")
    return sorted((run.data.params.get("model.name", ""), run.info.status) for run in found)


def test_points_are_jobs_and_finished_ones_are_not_made_again(
    cluster: Mapping[str, str], tmp_path: Path
) -> None:
    declare(tmp_path, "two_layers", "user_models.two_layers")
    declare(tmp_path, "crashing", "deadly_models.crashing")
    options = (*CPU, "model=two_layers,crashing", "algo=gemm,direct")
    first = swept(cluster, tmp_path, *options)
    told, errors = first.communicate()
    assert first.returncode == 1, errors
    made = [*[("crashing", "FAILED")] * 2, *[("two_layers", "FINISHED")] * 2]
    assert statuses(tmp_path) == made
    assert all(run.info.run_id in told for run in runs(tmp_path / "artifacts", "point"))
    trained = [entry.parent for entry in (tmp_path / "artifacts/stages/train").glob("*/entry.json")]
    assert len(trained) == 1  # both jobs needed it
    again = swept(cluster, tmp_path, *options, "rerun=none")
    told, errors = again.communicate()
    assert again.returncode == 1, errors
    assert told.count("earlier") >= 4
    assert statuses(tmp_path) == made


def test_a_job_that_is_lost_costs_its_point_alone(cluster: Mapping[str, str], tmp_path: Path) -> None:
    """One job is cancelled, one queued again, one comes to its time limit. SLURM tells of that by the signal
    that is sent here; submitit takes it so from the start of a job that has 10 minutes."""
    declare(tmp_path, "held", "deadly_models.held")
    held = tmp_path / "held"
    held.mkdir()
    options = (*CPU, "hydra.launcher.timeout_min=10", "model=held", "algo=direct", "seed=0,1,2")
    sweep = swept(cluster, tmp_path, *options, **{HELD: str(held)})
    wait_for(lambda: len(slurm.queued(cluster)) == 3, 600)
    (array,) = {job.partition("_")[0] for job in slurm.queued(cluster)}
    asked(
        cluster, "scontrol", "update", f"jobid={array}", "timelimit=600"
    )  # 10 hours, however busy it is here
    for job in ("0", "1", "2"):
        wait_for((held / job).exists, 600)
    asked(cluster, "scancel", f"{array}_0")
    asked(cluster, "scancel", "--signal=USR2", f"{array}_2")
    (held / "1").unlink()
    asked(cluster, "scontrol", "requeue", f"{array}_1")
    asked(cluster, "scontrol", "update", f"jobid={array}_1", "starttime=now")
    wait_for((held / "1").exists, 600)
    (held / GO).touch()
    _, errors = sweep.communicate()
    assert sweep.returncode == 1, errors
    found = {run.data.params["seed"]: run for run in runs(tmp_path / "artifacts", "point")}
    assert len(found) == len(
        runs(tmp_path / "artifacts", "point")
    )  # the first beginning of seed 1 is removed
    ended = {seed: run.info.status for seed, run in found.items()}
    assert ended == {"0": "KILLED", "1": "FINISHED", "2": "FAILED"}, errors
    assert found["2"].data.tags["dlas.error"].startswith("hydra.launcher.timeout_min: ")
    assert "Traceback" not in errors
    assert "please report" not in "".join(log.read_text() for log in tmp_path.rglob("*_log.err"))


def test_a_stop_of_the_command_cancels_jobs_that_wait(cluster: Mapping[str, str], tmp_path: Path) -> None:
    declare(tmp_path, "two_layers", "user_models.two_layers")
    drain(cluster)
    try:
        sweep = swept(cluster, tmp_path, *CPU, "model=two_layers", "algo=gemm,direct")
        wait_for(lambda: len(slurm.queued(cluster)) == 2, 600)
        sweep.send_signal(signal.SIGINT)
        told, errors = sweep.communicate()
        assert sweep.returncode == 130, errors
        assert "not begun, 2 of 2 points:" in told
        assert slurm.queued(cluster) == []
    finally:
        resume(cluster)


def test_what_is_edited_while_jobs_wait_changes_no_point(cluster: Mapping[str, str], tmp_path: Path) -> None:
    code = (TESTS / "user_models.py").read_text()
    (tmp_path / "edited_models.py").write_text(code)
    declare(tmp_path, "settings", "user_models.two_layers")
    declare(tmp_path, "code", "edited_models.two_layers")
    drain(cluster)
    try:
        sweep = swept(cluster, tmp_path, *CPU, "model=settings,code", "algo=direct")
        wait_for(lambda: len(slurm.queued(cluster)) == 2, 600)
        declare(tmp_path, "settings", "user_models.residual")
        (tmp_path / "edited_models.py").write_text(code.replace("stride=2", "stride=1"))
    finally:
        resume(cluster)
    _, errors = sweep.communicate()
    assert sweep.returncode == 1, errors
    made = runs(tmp_path / "artifacts", "point")
    assert [run.info.status for run in made] == ["FAILED", "FAILED"]
    assert all(EDITED in run.data.tags["dlas.error"] for run in made)


def test_a_job_that_slurm_does_not_take_is_a_mistake(cluster: Mapping[str, str], tmp_path: Path) -> None:
    declare(tmp_path, "two_layers", "user_models.two_layers")
    sweep = swept(cluster, tmp_path, CPU[0], "hydra.launcher.partition=gpuu", "model=two_layers")
    _, errors = sweep.communicate()
    assert sweep.returncode == 2, errors
    assert "hydra.launcher: SLURM takes no such jobs: sbatch: error: invalid partition specified" in errors
    assert "Traceback" not in errors
