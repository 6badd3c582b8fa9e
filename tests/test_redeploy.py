"""`python -m dlas.redeploy` as a person uses it: real bundles, real processes, a real MLflow store."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny_library
from command import REPOSITORY, command, dlas, environment
from junitparser import JUnitXml

from dlas import bundle, config
from dlas.analysis.digits import supported
from dlas.bundle import Bundle, archive
from dlas.hardware.results import measurement, reference
from dlas.hardware.targets import llvm, resolving, run_environment, target_file
from dlas.hardware.timing import deployment, measuring
from dlas.hardware.timing.measuring import Yardstick
from dlas.systems.compilers.tvm import yardstick

FORBIDDEN = "import os, sys; print(__name__, 'was imported', file=sys.stderr); os._exit(77)"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a matrix multiplication, measured here."""
    made = Bundle(tmp_path_factory.mktemp("original") / "bundle")
    made.make_folders()
    host = resolving.resolve(config.Target(name="host"))
    target_file.write(host, made.target)
    tiny_library.export_matmul(llvm.tvm_target(host.code), made.library)
    images = tiny_library.images(4)
    reference.write(reference.of_precision(images, tiny_library.outputs(images), 32), made.reference)
    protocol = config.Timing(name="test", runs=40, warmup=1)
    measured = measuring.measure(made.library, images, host, protocol)
    older = replace(measured, environment={**measured.environment, "kernel": "Linux 1.0"})
    measurement.write(older, made.timing)
    made.environment.write_text(json.dumps(run_environment.of_this_machine()))
    (made.model / "weights.safetensors").write_bytes(b"\0" * 64)
    bundle.seal(made.root, point="ab12", stages={})
    return made.root


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def redeploy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return dlas("redeploy", *arguments)


def redeploy_without(
    forbidden: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """With the modules in the folder `forbidden` in the place of those that must not be imported."""
    searched = os.pathsep.join(map(str, (forbidden, REPOSITORY)))
    return subprocess.run(
        [sys.executable, "-m", "dlas.redeploy", *arguments],
        env={**os.environ, "PYTHONPATH": searched},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
    )


def assert_exit_status_fits(ended: subprocess.CompletedProcess[str]) -> None:
    """Told by the verdict: one session a side is too little for "slower"."""
    verdict = re.search(r"^ratio .*(same|can't tell)", ended.stdout, re.MULTILINE)
    assert verdict is not None, ended.stdout + ended.stderr
    assert ended.returncode == {"same": 0, "can't tell": 4}[verdict[1]]


def test_a_bundle_is_timed_again_without_torch_and_mlflow(original: Path, tmp_path: Path) -> None:
    for package in ("torch", "mlflow", "hydra"):
        (tmp_path / f"{package}.py").write_text(FORBIDDEN)
    ended = redeploy_without(tmp_path, f"bundle={original}", "json=out.json", cwd=tmp_path)
    assert_exit_status_fits(ended)
    (told,) = json.loads((tmp_path / "out.json").read_text())["points"]
    assert (told["asked"], told["logged"]) == (str(original), None)
    assert "every file is as it was sealed" in ended.stdout
    size = (original / "library" / "model.so").stat().st_size
    assert told["batches"][0]["library_bytes"] == {"then": size, "now": size}
    assert "4 outputs match the reference" in ended.stdout
    old = measurement.read(original / "timing.json")
    assert f"then       {supported(old.median_ms, old.interval_ms)} ms [" in ended.stdout
    assert ended.stdout.count("40 samples") == 2
    ratio = re.search(r"ratio +(\S+) \[(\S+), (\S+)\]  (same|slower|faster|can't tell)", ended.stdout)
    assert ratio is not None
    assert float(ratio[2]) <= float(ratio[1]) <= float(ratio[3])
    assert "differs    kernel: Linux 1.0 then" in ended.stdout


def test_a_bundle_of_one_file_is_redeployed_as_it_is(original: Path, tmp_path: Path) -> None:
    file = tmp_path / "it.dlas.zip"
    archive.pack(Bundle(original), file)
    ended = redeploy(f"bundle={file}")
    assert_exit_status_fits(ended)
    assert f"verified   {file}: every file is as it was sealed" in ended.stdout
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_stopped_command_ends_its_session_and_removes_its_folders(
    number: int, status: int, copy: Path, tmp_path: Path
) -> None:
    host = resolving.resolve(config.Target(name="host"))
    tiny_library.export_calling(llvm.tvm_target(host.code), copy / "library/model.so", "pause")
    bundle.seal(copy, point="ab12", stages={})
    scratch, told = tmp_path / "scratch", tmp_path / "told.json"
    scratch.mkdir()
    with subprocess.Popen(
        command("redeploy", f"bundle={copy}", f"json={told}"),
        env=environment({"TMPDIR": str(scratch)}),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        session = session_of(process)
        assert list(scratch.iterdir())
        for _ in range(2):
            process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (status, "stopped\n")
    assert not psutil.pid_exists(session)
    assert not list(scratch.iterdir())
    found = json.loads(told.read_text())
    assert (found["exit_status"], found["stopped"]) == (status, True)


def session_of(process: subprocess.Popen[str]) -> int:
    """The number of the process in which the command runs a library, once it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "dlas.hardware.sessions.session" in child.cmdline():
                    return child.pid
        time.sleep(0.05)
    raise AssertionError("no session was started")


def change_a_byte(root: Path) -> None:
    content = bytearray((root / "model/weights.safetensors").read_bytes())
    content[7] ^= 1
    (root / "model/weights.safetensors").write_bytes(content)


def lose_a_file(root: Path) -> None:
    (root / "library/model.so").unlink()


def for_another_architecture(root: Path) -> None:
    arm = resolving.resolve(config.Target("hikey970", "aarch64-linux-gnu", "cortex-a72", 4))
    target_file.write(arm, root / "library/target.json")
    bundle.seal(root, point="ab12", stages={})


def for_another_cpu(root: Path) -> None:
    here = target_file.read(root / "library/target.json")
    code = replace(here.code, cpu="futuremont", instruction_sets=("avx4096",))
    target_file.write(replace(here, code=code), root / "library/target.json")
    bundle.seal(root, point="ab12", stages={})


def expect_other_outputs(root: Path) -> None:
    outputs = np.load(root / "reference/outputs.npy")
    outputs[2, 5] += 0.5
    np.save(root / "reference/outputs.npy", outputs)
    bundle.seal(root, point="ab12", stages={})


def hold_a_pickle(root: Path) -> None:
    np.save(root / "reference/inputs.npy", np.array([object()]), allow_pickle=True)
    bundle.seal(root, point="ab12", stages={})


def seal_without_timing(root: Path) -> None:
    (root / "timing.json").unlink()
    bundle.seal(root, point="ab12", stages={})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (change_a_byte, ["model/weights.safetensors"]),
        (lose_a_file, ["library/model.so is missing"]),
        (for_another_architecture, ["aarch64", os.uname().machine, "rebuild=true"]),
        (for_another_cpu, ["futuremont", "avx4096", "rebuild=true"]),
        (expect_other_outputs, ["wrong outputs", "1 of 40", "0.5"]),
        (hold_a_pickle, ["reference"]),
        (seal_without_timing, ["timing.json"]),
    ],
)
def test_a_bundle_that_cannot_be_trusted_is_refused(
    copy: Path, spoil: Callable[[Path], None], said: list[str]
) -> None:
    spoil(copy)
    ended = redeploy(f"bundle={copy}")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "ratio" not in ended.stdout
    for words in said:
        assert words in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "run=<run id> or bundle=<folder>"),
        (["run=a", "bundle=b"], "exactly one"),
        (["run=,"], "run=<id>,<id>"),
        (["run=' '"], "run: has no value"),
        (["bundel=x"], "bundle"),
        (["bundle=x", "rpc.port=many"], "rpc.port"),
        (["bundle=x", "rpc.port=70000"], "rpc.port: 70000 is no port"),
        (["bundle"], "key=value"),
        (["bundle=x", "rebuild=perhaps"], "rebuild"),
    ],
)
def test_a_mistake_in_the_arguments_is_told(arguments: list[str], said: str) -> None:
    ended = redeploy(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_tells_every_argument() -> None:
    ended = redeploy("--help")
    assert ended.returncode == 0
    for argument in ("run=", "bundle=", "target=", "rpc.host=", "rebuild=", "artifacts=", "tracking.uri="):
        assert argument in ended.stdout


def test_a_run_is_fetched_and_the_result_points_at_it(original: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("dlas", artifact_location=(tmp_path / "mlruns").as_uri())
    point = client.create_run(experiment).info.run_id
    client.log_artifacts(point, str(original), "bundle")

    ended = redeploy(f"run={point}", f"tracking.uri={uri}")
    assert_exit_status_fits(ended)
    (logged,) = [run for run in client.search_runs([experiment]) if run.info.run_id != point]
    assert logged.info.run_id in ended.stdout
    assert logged.info.status == "FINISHED"
    assert logged.data.tags["dlas.original"] == point
    assert logged.data.tags["mlflow.parentRunId"] == point
    told = re.search(r"ratio +(\S+) \[", ended.stdout)
    assert told is not None
    assert logged.data.metrics["redeploy.ratio"] == pytest.approx(float(told[1]), abs=1e-3)
    assert logged.data.metrics["redeploy.latency.median_ms"] > 0
    assert all(name.startswith("redeploy") for name in logged.data.metrics)
    files = [file.path for file in client.list_artifacts(logged.info.run_id, "redeploy")]
    assert "redeploy/timing.json" in files


def test_the_stored_protocol_is_repeated_with_its_yardstick_and_cold_runs(copy: Path) -> None:
    made, host = Bundle(copy), target_file.read(copy / "library" / "target.json")
    yardstick.build("compute", host.code, None, made.yardstick("compute"))
    protocol = config.Timing(name="test", runs=10, warmup=1, sessions=2, cold=2, yardstick=True)
    beside = {"compute": Yardstick(made.yardstick("compute"), yardstick.SHAPES["compute"])}
    found = measuring.measure(made.library, tiny_library.images(1), host, protocol, beside)
    measurement.write(found, made.timing)
    bundle.seal(copy, point="ab12", stages={})
    ended = redeploy(f"bundle={copy}")
    assert_exit_status_fits(ended)
    assert ended.stdout.count("20 samples, 2 sessions") == 2
    assert re.search(r"^yardstick +\d+\.\d+ \[", ended.stdout, re.MULTILINE)
    assert found.cold_ms is not None
    cold = re.escape(supported(found.cold_ms))
    assert re.search(rf"^cold +{cold} ms then, [\d.]+ ms now", ended.stdout, re.MULTILINE)


def test_a_redeployment_goes_on_until_it_can_tell(copy: Path) -> None:
    """Of a library that takes much longer than it is said to have taken."""
    made = Bundle(copy)
    once = measurement.read(made.timing)
    (session,) = once.sessions
    faster = replace(session, samples_ns=tuple(one // 50 + 1 for one in session.samples_ns))
    claimed = replace(once, sessions=(faster,) * 4, least_sessions=4, budget_seconds=4.0)
    still = replace(session.before, governor=None, frequency_mhz=None, stolen_seconds=None, throttled=None)
    calm = replace(faster, before=still, after=replace(still, uptime_seconds=still.uptime_seconds + 1))
    measurement.write(replace(claimed, sessions=(calm,) * 4, environment={"cpu": "another"}), made.timing)
    bundle.seal(copy, point="ab12", stages={})
    ended = redeploy(f"bundle={copy}")
    assert re.search(r"slower by a factor|now other processes|now the ", ended.stdout), ended.stdout
    assert re.search(r"^now .* \d+ sessions", ended.stdout, re.MULTILINE)

    within = ("timing=default", "timing.sessions=5", "timing.runs=3", "timing.budget=0")
    ended = redeploy(f"bundle={copy}", *within)
    assert "15 samples, 5 sessions" in ended.stdout


def test_larger_batches_are_checked_and_timed_again(copy: Path) -> None:
    made, host = Bundle(copy), target_file.read(copy / "library" / "target.json")
    tiny_library.export_matmul(llvm.tvm_target(host.code), made.library_of(3), 3)
    protocol = config.Timing(name="test", runs=20, sessions=2)
    images, larger = tiny_library.images(4), {3: made.library_of(3)}
    found = measuring.measure(made.library, images, host, protocol, larger=larger)
    measurement.write(found, made.timing)
    bundle.seal(copy, point="ab12", stages={})
    ended = redeploy(f"bundle={copy}")
    assert ended.returncode in (0, 4), ended.stderr
    assert "4 outputs of batches of 3 match the reference" in ended.stdout
    _, _, after = ended.stdout.partition("batch      3\n")
    larger_ms = supported(found.batches[1].median_ms, found.batches[1].interval_ms)
    assert after.startswith(f"then       {larger_ms} ms")
    assert ended.stdout.count("40 samples, 2 sessions") == 4

    made.library_of(3).unlink()
    shutil.copy(made.library, made.library_of(3))
    bundle.seal(copy, point="ab12", stages={})
    ended = redeploy(f"bundle={copy}")
    assert ended.returncode == 1
    assert "3" in ended.stderr


def test_a_sweep_is_redeployed_point_by_point(original: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("dlas", artifact_location=(tmp_path / "mlruns").as_uri())
    sweep = client.create_run(experiment, tags={"dlas.kind": "sweep"}).info.run_id
    under = {"dlas.kind": "point", "mlflow.parentRunId": sweep}
    whole, broken, failed = (client.create_run(experiment, tags=under).info.run_id for _ in range(3))
    client.log_artifacts(whole, str(original), "bundle")
    spoiled = Path(shutil.copytree(original, tmp_path / "spoiled"))
    change_a_byte(spoiled)
    client.log_artifacts(broken, str(spoiled), "bundle")
    for run, status in ((whole, "FINISHED"), (broken, "FINISHED"), (failed, "FAILED")):
        client.set_terminated(run, status)

    files = [f"json={tmp_path / 'out.json'}", f"junit={tmp_path / 'out.xml'}", "fail_above=5"]
    ended = redeploy(f"run={sweep},nosuchrun,{whole}", f"tracking.uri={uri}", *files)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert re.search(rf"^left out +{failed}.*FAILED", ended.stdout, re.MULTILINE)
    assert "there is no run 'nosuchrun'" in ended.stderr
    told = ended.stdout[ended.stdout.rindex("logged") :]
    assert re.search(rf"^{whole}  (same|can't tell)", told, re.MULTILINE)
    assert f"{broken}  failed: bundle: model/weights.safetensors is not as it was sealed" in told
    assert "nosuchrun  failed" in told
    logged = client.search_runs([experiment], "tags.`dlas.kind` = 'redeploy'")
    assert [run.data.tags["dlas.original"] for run in logged] == [whole]
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["exit_status"], written["counts"]["failed"]) == (1, 2)
    assert [point["asked"] for point in written["points"]] == ["nosuchrun", whole, broken]
    assert [point["logged"] for point in written["points"]] == [None, logged[0].info.run_id, None]
    assert [one["run"] for one in written["left_out"]] == [failed]
    suite = next(iter(JUnitXml.fromfile(str(tmp_path / "out.xml"))))
    assert (suite.tests, suite.errors) == (4, 2)


def test_a_library_is_rebuilt_from_program_and_weights_without_torch(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from dlas.systems.choices import lowering
    from dlas.systems.program import program

    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    model = nn.Sequential(convolutions, nn.AvgPool2d(32), nn.Flatten(), nn.Linear(8, 10)).eval()
    made = Bundle(tmp_path / "bundle")
    made.make_folders()
    host = resolving.resolve(config.Target(name="host"))
    target_file.write(host, made.target)
    program.save(lowering.lower(model, tiny_library.INPUT_SHAPE, "direct"), made.model)
    choices = {"tuner": "dlas.systems.tuners.none", "opt_level": 3, "kernels": []}
    (made.tuning / "choices.json").write_text(json.dumps(choices))
    images = tiny_library.images(2)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
        reference.write(reference.of_precision(images, expected, 32), made.reference)
    other = tiny_library.export_matmul(llvm.tvm_target(host.code), made.library)
    protocol = config.Timing(name="test", runs=20, warmup=1)
    measurement.write(measuring.measure(other, images, host, protocol), made.timing)
    made.environment.write_text(json.dumps(run_environment.of_this_machine()))
    bundle.seal(made.root, point="ab12", stages={})

    (tmp_path / "torch.py").write_text(FORBIDDEN)
    assert "wrong outputs" in redeploy(f"bundle={made.root}").stderr
    ended = redeploy_without(tmp_path, f"bundle={made.root}", "rebuild=true")
    assert_exit_status_fits(ended)
    assert "2 outputs match the reference" in ended.stdout
    bundle.verify(made.root)


@pytest.mark.slow
def test_schedules_of_another_target_are_tried_where_the_library_is_rebuilt(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from dlas.bundle import rebuild
    from dlas.systems.choices import lowering, scheduling
    from dlas.systems.program import program
    from dlas.systems.tuners.common.tuning_store import TuningStore
    from dlas.systems.tuners.metaschedule import tuner as metaschedule

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 10, 32)).eval()
    made = Bundle(tmp_path / "bundle")
    made.make_folders()
    host = resolving.resolve(config.Target(name="host"))
    target_file.write(host, made.target)
    lowered = lowering.lower(model, tiny_library.INPUT_SHAPE, "direct")
    program.save(lowered, made.model)
    first, second = scheduling.kernel_tasks(lowered).items()
    settings = metaschedule.Settings("metaschedule", metaschedule.__name__, 4)
    log = made.tuning / "log.json"
    metaschedule.tune([first[1]], host, settings, log, TuningStore(tmp_path / "store"))
    kernels = [{"kernel": name, "tuned": name == first[0], "reason": ""} for name in (first[0], second[0])]
    choices = {"tuner": metaschedule.__name__, "opt_level": 3, "kernels": kernels}
    (made.tuning / "choices.json").write_text(json.dumps(choices))

    again = rebuild.rebuilt(made, host, tmp_path / "again")
    assert [(kernel.name, kernel.carried) for kernel in again.kernels] == [(first[0], True)]
    other = replace(host, name="other", code=replace(host.code, cores=1))
    elsewhere = rebuild.rebuilt(made, other, tmp_path / "elsewhere")
    (kernel,) = elsewhere.kernels
    assert kernel.name == first[0]
    assert ("faster in the network" in kernel.reason) or not kernel.carried
    images = tiny_library.images(2)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    answers = deployment.run(elsewhere.library, images, other)
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)
