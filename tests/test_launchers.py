"""Points that Hydra's launchers have made in jobs of their own, and what ends those."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import cloudpickle
import pytest
from command import REPOSITORY, command, dlas, environment
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.types import RunMode
from mlflow import MlflowClient
from mlflow.entities import Run
from user_options import own_model

from dlas import config, run, tracking
from dlas.config.loading import point_loader
from dlas.errors import UserError
from dlas.processes import slurm, stopping
from dlas.tracking import jobs
from dlas.tracking.sweep import membership

TINY = ("dataset=digits", "tuner=none", "timing=quick", "train.epochs=1", "compression=none")
JOB = """
import sys, time
from pathlib import Path
from dlas import tracking
from open_points import start_point
store = tracking.open_store(Path(sys.argv[1]))
point = start_point(store, "point", {}, sys.argv[2])
try:
    print(point.run_id, flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    tracking.close(point, "KILLED")
    sys.exit(130)
"""


def runs(artifacts: Path, kind: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    return [run for run in found if run.data.tags["dlas.kind"] == kind]


def installed(launcher: str) -> bool:
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.{launcher}") is not None


def wait_for(what: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_commands_that_start_in_one_second_have_folders_of_their_own() -> None:
    folders = set()
    for _ in range(2):
        with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
            hydra = compose("config", return_hydra_config=True).hydra
        assert hydra.sweep.dir == hydra.run.dir  # jobs and their command have the same one
        folders.add(hydra.run.dir.rpartition("-")[2])
    assert len(folders) == 2


@pytest.mark.skipif(installed("hydra_ray_launcher"), reason="Ray's launcher is installed")
def test_a_launcher_that_is_not_installed_is_refused_by_the_extra_that_has_it() -> None:
    ended = dlas("run", "-m", "algo=gemm,direct", "hydra/launcher=ray")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "hydra/launcher: 'ray' takes a package that is not installed",
        "  pip install 'dlas[ray]'",
    ]


@pytest.mark.skipif(which("sbatch") is not None, reason="this machine has SLURM")
@pytest.mark.skipif(not installed("hydra_submitit_launcher"), reason="takes the extra submitit")
def test_slurm_is_asked_for_before_any_work(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    ended = dlas("run", "-m", "algo=gemm,direct", "hydra/launcher=submitit_slurm", f"artifacts={artifacts}")
    assert ended.returncode == 2
    assert ended.stderr.startswith("hydra/launcher: submitit_slurm takes SLURM's sbatch, srun,")
    assert not artifacts.exists()


@pytest.mark.skipif(not installed("hydra_joblib_launcher"), reason="takes the extra joblib")
def test_what_a_job_is_sent_is_read_by_a_fresh_process() -> None:
    """As joblib's launcher sends it; `__reduce__` of the loader and the task function's name are ours."""
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        composed = hydra.compose_config("config", ["hydra/launcher=joblib"], run_mode=RunMode.MULTIRUN)
        sent = cloudpickle.dumps((point_loader(), composed, run.run_job, Singleton.get_state()))
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[2].__module__)"
    read = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=True)
    assert read.stdout == b"dlas.run\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tracking.Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.open_store(tmp_path)


def test_jobs_end_with_their_sweep(store: tracking.Store, tmp_path: Path) -> None:
    sweep = tracking.start_sweep(store, "sweep", {})
    searched = os.pathsep.join(sys.path)
    arguments = [sys.executable, "-c", JOB, str(tmp_path), sweep.run_id]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, env=environment({"PYTHONPATH": searched})
    ) as job:
        assert job.stdout is not None
        point = job.stdout.readline().decode().strip()
        jobs.require_going_on(store, sweep.run_id)
        tracking.close(sweep, "KILLED")
        jobs.stop(store, sweep.run_id)
        assert job.wait() == 130
    assert tracking.fetch(store, point).status == "KILLED"
    with pytest.raises(KeyboardInterrupt):
        jobs.require_going_on(store, sweep.run_id)


def test_jobs_go_on_where_their_command_was_only_lost(store: tracking.Store) -> None:
    sweep = tracking.start_sweep(store, "sweep", {"dlas.error": f"{tracking.store.LEFT} (elsewhere)"})
    tracking.close(sweep, "KILLED")
    jobs.require_going_on(store, sweep.run_id)


def test_a_job_refuses_a_point_that_its_command_did_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where a file of the config, or of the code, was edited while the job waited."""
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        checked, edited = (config.parse(compose("config", [f"seed={seed}"])) for seed in (1, 2))
    monkeypatch.setenv(membership.PLANNED, membership.planned([(checked, "code")]))
    membership.require_planned(checked, "code")
    for stack, code in ((edited, "code"), (checked, "edited code")):
        with pytest.raises(UserError, match="are not those that its command checked"):
            membership.require_planned(stack, code)


def answering() -> subprocess.Popen[str]:
    """A process that answers what it is asked."""
    program = "while True: print(input(), flush=True)"
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def receive(sent: signal.Signals, processes: list[subprocess.Popen[str]]) -> None:
    """Be a job of one more process that is sent the signal, as this one is then."""
    with slurm.ending_as_told(lambda: processes.append(answering())):
        (process,) = processes
        process.send_signal(sent)
        print("there", file=process.stdin, flush=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        os.kill(os.getpid(), sent)


@pytest.mark.parametrize(
    ("sent", "raised", "words"),
    [
        (signal.SIGTERM, stopping.Stopped, "Terminated"),
        (signal.SIGUSR2, UserError, "hydra.launcher.timeout_min: its job came to the time limit"),
    ],
)
def test_what_slurm_sends_ends_a_point_before_its_process(
    sent: signal.Signals, raised: type[BaseException], words: str
) -> None:
    """SLURM sends it to every process of a job."""

    def refuse_to_queue_again(number: int, frame: object) -> None:
        raise RuntimeError("as submitit does")

    before = signal.signal(signal.SIGUSR2, refuse_to_queue_again)
    processes: list[subprocess.Popen[str]] = []
    try:
        with pytest.raises(raised, match=words):
            receive(sent, processes)
        assert signal.getsignal(signal.SIGUSR2) is refuse_to_queue_again
    finally:
        signal.signal(signal.SIGUSR2, before)
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not installed("hydra_submitit_launcher"), reason="takes the extra submitit")
def test_submitit_has_the_time_limit_told_by_the_signal_that_is_heard() -> None:
    submitit = pytest.importorskip("submitit")
    assert f"SIG{submitit.JobEnvironment.USR_SIG}" == slurm.LIMIT_REACHED.name


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("launcher", "plugin", "settings"),
    [
        ("joblib", "hydra_joblib_launcher", ("hydra.launcher.n_jobs=2",)),
        ("submitit_local", "hydra_submitit_launcher", ()),
        ("ray", "hydra_ray_launcher", ("+hydra.launcher.ray.init.num_cpus=2",)),
    ],
)
def test_points_are_made_by_a_launcher(
    launcher: str, plugin: str, settings: tuple[str, ...], tmp_path: Path
) -> None:
    """Two points of one network and one that crashes while it is trained, each in a job.

    The command is no fork of another process here: launchers send what its own `__main__` holds.
    """
    if not installed(plugin):
        pytest.skip(f"{plugin} is not installed")
    artifacts = tmp_path / "artifacts"
    options = (*own_model(tmp_path, "two_layers")[:2], "model=two_layers,crashing")
    crashing = "name: crashing\nfactory: deadly_models.crashing\n"
    (tmp_path / "conf/model/crashing.yaml").write_text(crashing)
    started = command(
        *("run", "-m", *options, *TINY, "algo=gemm,direct", f"artifacts={artifacts}"),
        *(f"hydra/launcher={launcher}", *settings),
    )
    ended = subprocess.run(started, capture_output=True, text=True, env=environment(), cwd=REPOSITORY)
    assert ended.returncode == 1, ended.stderr
    (sweep,) = runs(artifacts, "sweep")
    points = runs(artifacts, "point")
    assert {run.data.tags["mlflow.parentRunId"] for run in points} == {sweep.info.run_id}
    assert sorted((run.data.params["model.name"], run.info.status) for run in points) == [
        *[("crashing", "FAILED")] * 2,
        *[("two_layers", "FINISHED")] * 2,
    ]
    named = {frozenset(run.info.run_name.split()) for run in points}
    assert named == {
        frozenset((f"model={model}", f"algo={algo}"))
        for model in ("two_layers", "crashing")
        for algo in ("gemm", "direct")
    }
    assert all("SIGSEGV" in run.data.tags["dlas.error"] for run in points if run.info.status == "FAILED")
    assert all(run.info.run_id in ended.stdout for run in points)
    trained = [entry.parent for entry in (artifacts / "stages/train").glob("*/entry.json")]
    assert len(trained) == 1
    assert not list((artifacts / "unfinished").glob("*"))


@pytest.mark.exhaustive
@pytest.mark.skipif(not installed("hydra_joblib_launcher"), reason="takes the extra joblib")
def test_a_stop_of_the_command_ends_its_jobs(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    options = (*own_model(tmp_path, "two_layers"), *TINY, "train.epochs=200", f"artifacts={artifacts}")
    arguments = command("run", "-m", *options, "algo=gemm,direct", "hydra/launcher=joblib")
    arguments.remove("train.epochs=1")
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=REPOSITORY,
    ) as led:
        wait_for(lambda: bool(list((artifacts / "stages").glob("train/*.unfinished"))), 600)
        led.send_signal(signal.SIGINT)
        told, errors = led.communicate()
    assert led.returncode == 130, errors
    assert "go on:" in errors
    assert {run.info.status for kind in ("sweep", "point") for run in runs(artifacts, kind)} == {"KILLED"}
    assert not list((artifacts / "unfinished").glob("*"))
    assert "two_layers" in told
