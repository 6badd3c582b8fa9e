"""The command, in a process of its own. The points are real: a network of two layers, one epoch."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import REPOSITORY, command, dlas, environment
from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import OmegaConf
from PIL import Image
from terminal import INTERRUPT, Terminal, warm

from dlas import bundle
from dlas.bundle import Bundle
from dlas.config import identity, parse
from dlas.hardware.results import roofs

SMALL = (
    "model=two_layers",
    "compression=none",
    "tuner=none",
    "timing=quick",
    "timing.runs=5",
    "train.epochs=1",
)
STAGES = ["train", "lower", "tune", "kernels", "build", "deploy"]
HEAVY = ("torch", "tvm", "mlflow", "sklearn", "scipy")


@pytest.fixture(scope="module")
def users_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own options: a model beside user_models.py, and a target."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "model").mkdir()
    (folder / "model" / "two_layers.yaml").write_text("name: two_layers\nfactory: user_models.two_layers\n")
    (folder / "model" / "large_head.yaml").write_text("name: large_head\nfactory: user_models.large_head\n")
    (folder / "target").mkdir()
    (folder / "target" / "one_core.yaml").write_text("name: one_core\ntriple: null\ncpu: null\ncores: 1\n")
    return folder


TWO_RATES = (*SMALL, "timing.roofs=true", "algo=gemm", "target=one_core", "train.learning_rate=1e30,0.05")


@dataclass(frozen=True)
class Sweep:
    """What a sweep of two points, of which the first must fail, left behind."""

    artifacts: Path
    result: subprocess.CompletedProcess[str]
    client: MlflowClient
    experiment: str

    def run(self, kind: str, status: str) -> Run:
        chosen = f"tags.`dlas.kind` = '{kind}' and attributes.status = '{status}'"
        (run,) = self.client.search_runs([self.experiment], chosen)
        return run


@pytest.fixture(scope="module")
def sweep(users_conf: Path, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    artifacts = tmp_path_factory.mktemp("sweep")
    result = dlas("run", "--config-dir", str(users_conf), "-m", *TWO_RATES, f"artifacts={artifacts}")
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    return Sweep(artifacts, result, client, client.get_experiment_by_name("dlas").experiment_id)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--cfg", "job"], ["model=typo"], ["tuner.trials=x"], ["-m", "algo=gemm,typo"]]
)
def test_help_config_and_refusals_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print('MODULES', json.dumps(list(sys.modules)), file=sys.stderr))\n"
        f"sys.argv = ['dlas-run', *{arguments!r}]\n"
        "from dlas.run import main\nmain()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), cwd=REPOSITORY
    )
    modules = json.loads(result.stderr.rpartition("MODULES")[2])
    assert "dlas.config" in modules
    assert not {module.partition(".")[0] for module in modules} & set(HEAVY)


def test_help_lists_layers_options_and_settings() -> None:
    text = dlas("run", "--help").stdout
    assert re.search(
        r"^algo: auto, direct, gemm, spatial_pack, winograd_f2, winograd_f4$", text, re.MULTILINE
    )
    assert "-m model=vgg16,resnet18 algo=direct,gemm" in text
    assert "learning_rate: " in text


NO_NAME = 300 * "a"
"""What no file is called: the system answers such a question by an error, as that of who may not look."""


@pytest.mark.parametrize(
    ("arguments", "key", "hint"),
    [
        (["model=vgg61"], "model", "did you mean 'vgg16'?"),
        (["-m", "algo=gemm,typo"], "algo", "direct, gemm"),
        (["-m", "algo=gemm", "model=vgg16,nope"], "model", "resnet18"),
        (["compression=weight_pruning+int8"], "compression", "compression=[weight_pruning,int8]"),
        (["compression=[weight_prunning,int8]"], "compression", "did you mean 'weight_pruning'?"),
        (["-m", "compression=int8,[float16,float16]"], "compression", "each step once"),
        (
            ["compression=int8", "compression.weight_pruning.steps=1"],
            "compression.weight_pruning",
            "=[weight",
        ),
        (["tuner.trials=-1"], "tuner.trials", "1 or more"),
        (["-m", "tuner.trials=4,-1"], "tuner.trials", "1 or more"),
        (["-m", "train.epochs=1,two"], "train.epochs", "int"),
        (["tuner.trails=3"], "tuner.trails", "did you mean 'trials'?"),
        (["modle=vgg16"], "modle", "did you mean 'model'?"),
        (["compression.ratio=0.5"], "compression.ratio", "did you mean 'compression.channel_pruning.ratio'?"),
        (["+colour=red"], "colour", "known keys"),
        (["algo=gemm,direct"], "algo", "-m algo=gemm,direct"),
        (["seed=range(1,3)"], "seed", "-m seed=range(1,3)"),
        (["algo=,"], "algo=,", "key=value"),
        (["tuner=null"], "tuner", "--help"),
        (["model=5"], "model", "--help"),
        (["-m", "artifacts=a,b"], "artifacts", "out of the sweep"),
        (["artifacts=/proc/nowhere"], "artifacts", "artifacts=<folder>"),
        (["artifacts=/dev/null"], "artifacts", "artifacts=<folder>"),
        ([f"artifacts=/tmp/{NO_NAME}"], "tracking.uri", "artifacts=<folder>"),
        ([f"model.weights=/tmp/{NO_NAME}.pth"], "model.weights", ".safetensors file"),
    ],
)
def test_a_mistake_is_one_plain_message_before_any_work(
    arguments: list[str], key: str, hint: str, tmp_path: Path
) -> None:
    elsewhere = (
        [] if any(argument.startswith("artifacts") for argument in arguments) else [f"artifacts={tmp_path}/a"]
    )
    result = dlas("run", *arguments, *elsewhere)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{key}: ")
    assert hint in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_a_broken_yaml_of_a_user_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "odd.yaml").write_text("name: [odd\n")
    result = dlas("run", "--config-dir", str(tmp_path), "model=odd", "--cfg", "job")
    assert result.returncode == 2
    assert "odd.yaml" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_other_points_go_on_when_one_fails(sweep: Sweep) -> None:
    assert sweep.result.returncode == 1
    assert "Traceback" not in sweep.result.stderr
    failed, finished = (sweep.run("point", status) for status in ("FAILED", "FINISHED"))
    parent = sweep.run("sweep", "FAILED")
    assert failed.data.tags["dlas.error"].startswith("train.learning_rate: ")
    for run in (failed, finished):
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert not list((sweep.artifacts / "unfinished").iterdir())


def test_a_sweep_ends_with_its_table(sweep: Sweep) -> None:
    failed, finished = (sweep.run("point", status).info.run_id for status in ("FAILED", "FINISHED"))
    lines = {line.split()[-1]: line for line in sweep.result.stdout.splitlines() if line.strip()}
    assert lines[finished].startswith("*")
    assert "FAILED" in lines[failed]
    assert not lines[failed].startswith("*")
    assert f"python -m dlas.ui artifacts={sweep.artifacts}" in sweep.result.stdout


def test_the_first_line_tells_where_is_written(sweep: Sweep) -> None:
    first = next(line for line in sweep.result.stderr.splitlines() if not line.startswith("checking "))
    assert f"sqlite:///{sweep.artifacts / 'mlflow.db'}" in first
    assert first.endswith(f"files to {sweep.artifacts}")


def test_a_run_tells_everything_about_its_point(sweep: Sweep) -> None:
    run = sweep.run("point", "FINISHED")
    assert run.data.params["model.factory"] == "user_models.two_layers"
    assert (run.data.params["target.cores"], run.data.params["train.learning_rate"]) == ("1", "0.05")
    assert "train.learning_rate=0.05" in shlex.split(run.data.tags["dlas.overrides"])
    assert run.info.run_name == "train.learning_rate=0.05", (
        "what the other point has, too, tells it from none"
    )
    assert (run.data.tags["dlas.algo"], run.data.tags["dlas.target"]) == ("gemm", "one_core")
    expected = {
        *(f"accuracy.{which}" for which in ("dense", "compressed", "deployed")),
        *("params.dense", "params.remaining", "macs.dense", "macs.remaining", "speedup.expected"),
        *(f"latency.{which}_ms" for which in ("median", "ci_low", "ci_high", "first", "p90")),
        *("library.bytes", "tuning.trials", "tuning.seconds"),
    }
    assert expected <= run.data.metrics.keys()
    assert 0 < run.data.metrics["accuracy.deployed"] <= 1


def test_the_sweep_s_run_tells_what_its_points_came_to(sweep: Sweep) -> None:
    made = sweep.run("point", "FINISHED")
    found, point = sweep.run("sweep", "FAILED").data.metrics, made.data
    assert [found[f"sweep.{name}"] for name in ("points", "finished", "failed")] == [2, 1, 1]
    assert found["sweep.fastest_median_ms"] == point.metrics["latency.median_ms"]
    assert found["sweep.best_accuracy"] == point.metrics["accuracy.deployed"]
    assert point.tags["dlas.front"] == "true"
    assert "dlas.front" not in sweep.run("point", "FAILED").data.tags
    for alias in ("fastest", "smallest", "best"):
        model = sweep.client.get_model_version_by_alias("dlas-two_layers-one_core", alias)
        assert model.run_id == made.info.run_id


def test_the_filters_that_are_documented_find_their_runs(sweep: Sweep) -> None:
    failed, finished = (sweep.run("point", status) for status in ("FAILED", "FINISHED"))
    whole = sweep.run("sweep", "FAILED")
    both = {failed.info.run_id, finished.info.run_id}
    unsteady = {run.info.run_id for run in (failed, finished) if "dlas.unsteady" in run.data.tags}
    wanted = {
        "tags.`dlas.model` = 'two_layers' and tags.`dlas.algo` = 'gemm'": both,
        "tags.`dlas.front` = 'true'": {finished.info.run_id},
        "tags.`dlas.unsteady` LIKE '%'": unsteady,
        f"tags.`dlas.cpu` = '{finished.data.tags['dlas.cpu']}'": {finished.info.run_id},
        "attributes.status = 'FAILED'": {failed.info.run_id, whole.info.run_id},
        "attributes.status = 'FAILED' and tags.`dlas.kind` = 'point'": {failed.info.run_id},
    }
    documented = (REPOSITORY / "docs" / "reports.md").read_text()
    for asked, expected in wanted.items():
        assert {run.info.run_id for run in sweep.client.search_runs([sweep.experiment], asked)} == expected
        assert all(part.split()[0] in documented for part in asked.split(" and "))


def test_the_bundle_lies_whole_on_the_run_s_page(sweep: Sweep, tmp_path: Path) -> None:
    run = sweep.run("point", "FINISHED")
    folder = Path(sweep.client.download_artifacts(run.info.run_id, "bundle", str(tmp_path)))
    sealed = bundle.verify(folder)
    assert "algo=gemm" in sealed.overrides.read_text().splitlines()
    stack = parse(OmegaConf.load(sealed.config))
    assert stack.model.name == "two_layers"
    assert roofs.metrics(roofs.read(sealed.roofs)).items() <= run.data.metrics.items()
    assert identity(stack) == run.data.tags["dlas.point"] == json.loads(sealed.manifest.read_text())["point"]


def test_a_run_s_bundle_is_packed_as_one_file(sweep: Sweep, tmp_path: Path) -> None:
    run, file = sweep.run("point", "FINISHED"), tmp_path / "one.dlas.zip"
    given = (f"run={run.info.run_id}", f"file={file}", f"artifacts={sweep.artifacts}")
    ended = dlas("bundle", "pack", *given)
    assert ended.returncode == 0, ended.stderr
    ended = dlas("bundle", "unpack", f"file={file}", f"bundle={tmp_path / 'out'}")
    assert ended.returncode == 0, ended.stderr
    sweep.client.download_artifacts(run.info.run_id, "bundle", str(tmp_path))
    assert (tmp_path / "out/manifest.json").read_bytes() == (tmp_path / "bundle/manifest.json").read_bytes()


def test_layers_and_samples_are_tables_of_mlflow(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sweep.client.tracking_uri)  # where MLflow looks for tables
    run_id = sweep.run("point", "FINISHED").info.run_id
    sealed = Bundle(Path(sweep.client.download_artifacts(run_id, "bundle", str(tmp_path))))
    layers = sweep.client.load_table(sweep.experiment, "tables/layers.json", [run_id])
    with sealed.layers.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(layers["layer"]) == [row["layer"] for row in written]
    assert list(layers["ms"]) == pytest.approx([float(row["time_ms"]) for row in written])
    assert layers["of roof"].notna().equals(layers["algorithm"].notna())
    samples = sweep.client.load_table(sweep.experiment, "tables/samples.json", [run_id])
    (session,) = json.loads(sealed.timing.read_text())["sessions"]
    warm = samples[samples["kind"] == "warm"]
    assert list(warm["ms"]) == pytest.approx([sample / 1e6 for sample in session["samples_ns"]])
    assert list(warm["run"]) == [1, 2, 3, 4, 5]
    failed = sweep.run("point", "FAILED")
    assert "mlflow.loggedArtifacts" not in failed.data.tags


def test_layers_and_samples_are_pictures_on_the_run_s_page(sweep: Sweep, tmp_path: Path) -> None:
    run = sweep.run("point", "FINISHED")
    folder = Path(sweep.client.download_artifacts(run.info.run_id, "figures", str(tmp_path)))
    assert {path.name for path in folder.iterdir()} == {"layers.png", "samples.png"}
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert len(image.convert("L").getcolors() or []) > 5


def test_a_second_start_goes_on_from_the_finished_stages(sweep: Sweep, users_conf: Path) -> None:
    arguments = (
        "--config-dir",
        str(users_conf),
        *SMALL,
        "algo=gemm",
        "target=one_core",
        "train.learning_rate=0.05",
    )
    before = {path: path.stat().st_mtime_ns for path in (sweep.artifacts / "stages").rglob("*.safetensors")}
    again = dlas("run", *arguments, f"artifacts={sweep.artifacts}")
    assert again.returncode == 0
    assert "FINISHED" in again.stdout
    after = {path: path.stat().st_mtime_ns for path in (sweep.artifacts / "stages").rglob("*.safetensors")}
    assert before
    assert after == before


def test_an_identical_sweep_makes_nothing_again(sweep: Sweep, users_conf: Path) -> None:
    given = ("--config-dir", str(users_conf), "-m", *TWO_RATES, f"artifacts={sweep.artifacts}")
    before = {run.info.run_id for run in sweep.client.search_runs([sweep.experiment])}
    again = dlas("run", *given, "rerun=none")
    assert again.returncode == 1, "a point that failed has failed"
    assert {run.info.run_id for run in sweep.client.search_runs([sweep.experiment])} == before
    assert again.stdout.count("FINISHED earlier") == again.stdout.count("FAILED earlier") == 1
    assert sweep.run("point", "FAILED").info.run_id in again.stdout
    assert "2 of 2 points" in again.stdout
    assert again.stderr == ""


def test_after_clearing_a_finished_run_redeploys(sweep: Sweep) -> None:
    finished = "tags.`dlas.kind` = 'point' and attributes.status = 'FINISHED'"
    run = sweep.client.search_runs([sweep.experiment], finished)[0]
    taken = run.data.tags["dlas.stages"].split()
    assert [name.partition("/")[0] for name in taken] == STAGES
    for name in taken:
        os.utime(sweep.artifacts / "stages" / name / "entry.json", (0, 0))
    ended = dlas("stages", "gc", "keep=0d", f"artifacts={sweep.artifacts}")
    assert ended.returncode == 0, ended.stderr
    assert all(name in ended.stdout for name in taken)
    assert not any((sweep.artifacts / "stages" / name).exists() for name in taken)
    again = dlas("redeploy", f"run={run.info.run_id}", f"artifacts={sweep.artifacts}")
    assert again.returncode in (0, 3, 4), again.stderr


def test_a_point_that_takes_its_process_with_it_costs_itself_alone(users_conf: Path, tmp_path: Path) -> None:
    for name in ("leaving", "crashing"):
        (users_conf / "model" / f"{name}.yaml").write_text(f"name: {name}\nfactory: deadly_models.{name}\n")
    arguments = ("--config-dir", str(users_conf), "-m", *SMALL[1:], "algo=gemm", f"artifacts={tmp_path}")
    ended = dlas("run", *arguments, "model=leaving,crashing,two_layers")
    assert ended.returncode == 1, ended.stderr
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dlas").experiment_id
    points = client.search_runs([experiment], "tags.`dlas.kind` = 'point'")
    statuses = {run.data.tags["dlas.model"]: run.info.status for run in points}
    assert statuses == {"leaving": "FAILED", "crashing": "FAILED", "two_layers": "FINISHED"}
    reasons = {
        "leaving": "its process ended with exit code 7 while its network was tried",
        "crashing": "its process was killed by SIGSEGV while the stage train was going on",
    }
    written = {"leaving": "goodbye from forward", "crashing": "Segmentation fault", "two_layers": "step/s"}
    for run in points:
        model = run.data.tags["dlas.model"]
        log = Path(client.download_artifacts(run.info.run_id, "log.txt", str(tmp_path))).read_text()
        assert written[model] in log
        if model in reasons:
            assert run.data.tags["dlas.error"].startswith(reasons[model])
            assert reasons[model] in ended.stdout
    assert "goodbye from forward" in ended.stdout
    assert "Segmentation fault" in ended.stderr
    assert not list((tmp_path / "unfinished").iterdir())


def test_a_point_that_takes_too_long_fails(sweep: Sweep, users_conf: Path) -> None:
    given = ("--config-dir", str(users_conf), *SMALL, "algo=gemm", f"artifacts={sweep.artifacts}")
    ended = dlas("run", *given, "timeout=0.001")
    assert ended.returncode == 1
    assert "timeout: it took longer than 0.001 s, and was stopped before its first stage" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stopped_sweep_is_killed_and_never_finished(number: int, users_conf: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "an 'odd' $folder"
    endless = (*SMALL[:-1], "train.epochs=100000", f"artifacts={artifacts}")
    typed = ["--config-dir", str(users_conf), "-m", "algo=direct,gemm", *endless]
    terminal = Terminal(warm("run", *typed), columns=1000)
    assert terminal.read_until(lambda: b"step/s" in terminal.written)  # in the middle of training
    for _ in range(2):
        terminal.type(INTERRUPT) if number == signal.SIGINT else terminal.send(number)
    assert terminal.end() == 130
    lines = terminal.text.splitlines()
    assert any(re.search(r"two_layers +direct .* KILLED ", line) for line in lines)
    begun = lines.index("not begun, 1 of 2 points:")
    assert lines[begun + 1] == "  algo=gemm"
    program, *arguments = shlex.split(lines[-2].removeprefix("go on: "))
    assert shutil.which(program) == sys.executable
    assert arguments == ["-m", "dlas.run", *typed]
    assert lines[-1] == "stopped; the same command goes on from the finished stages"
    assert "Traceback" not in terminal.text
    client = MlflowClient(f"sqlite:///{artifacts / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    assert sorted(run.data.tags["dlas.kind"] for run in runs) == ["point", "sweep"]
    assert {run.info.status for run in runs} == {"KILLED"}


@pytest.mark.slow
def test_a_full_disk_is_told_plainly_and_the_run_fails(users_conf: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    copy = tmp_path / "mlflow.db"
    small = f"mount -t tmpfs -o size=4m none {disk} && "
    if subprocess.run(["unshare", "-rm", "sh", "-c", f"{small} true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    large = ("model=large_head", *SMALL[1:])
    line = " ".join(command("run", "--config-dir", str(users_conf), *large, f"artifacts={disk}"))
    result = subprocess.run(
        [
            "unshare",
            "-rm",
            "sh",
            "-c",
            f"{small} {line}; status=$?; cp {disk}/mlflow.db {copy}; exit $status",
        ],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment(),
    )
    assert result.returncode == 1
    assert f"artifacts: the disk of {disk} is full" in result.stderr
    assert "Traceback" not in result.stderr
    client = MlflowClient(f"sqlite:///{copy}")
    (run,) = client.search_runs([client.get_experiment_by_name("dlas").experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion is for bash")
def test_bash_completes_options_and_settings(users_conf: Path) -> None:
    script = Path(sys.executable).parent / "dlas-run"
    assert script.exists(), "the console script is missing: make setup"

    def completed(line: str) -> set[str]:
        query = (
            f'eval "$(dlas-run -sc install=bash)"; COMP_LINE="{line}"; COMP_POINT={len(line)}; COMP_CWORD=1'
        )
        program = f'{query}; hydra_bash_completion; printf "%s\\n" "${{COMPREPLY[@]}}"'
        path = f"{script.parent}:{environment()['PATH']}"
        result = subprocess.run(
            ["bash", "-c", program], capture_output=True, text=True, env=environment({"PATH": path})
        )
        return set(result.stdout.split())

    assert {"model=vgg16", "model=resnet18"} <= completed("dlas-run model=")
    assert {"train.epochs=", "train.device="} <= completed("dlas-run train.")
