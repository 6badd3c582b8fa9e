"""Memory and start of a session, against GNU time, and against weights and ballast of known size."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_library
import tvm
from tvm import relax

from dlas import config
from dlas.analysis import front
from dlas.hardware.results import measurement
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.sessions.observers.footprint import Memory
from dlas.hardware.targets import llvm
from dlas.hardware.timing import measuring
from dlas.interfaces.targets.target import Target
from dlas.redeployment import Redeployed
from dlas.tracking.measured_points import measured_points
from dlas.tracking.store import Record
from dlas.verdicts.point_as_text import report

GNU_TIME = Path("/usr/bin/time")
WIDTH = 4096
WEIGHT_BYTES = 3072 * WIDTH * 4
MB = 10**6
PROTOCOL = config.Timing(name="test", runs=3, warmup=1, sessions=2)


@pytest.fixture(scope="module")
def heavy(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library whose weights have 50 MB: a matrix multiplication."""
    library = tmp_path_factory.mktemp("heavy") / "heavy.so"
    builder = relax.BlockBuilder()
    image = relax.Var("image", relax.TensorType(tiny_library.INPUT_SHAPE, "float32"))
    weight = relax.const(np.random.default_rng(0).normal(size=(3072, WIDTH)).astype("float32"))
    with builder.function("main", [image]):
        flat = builder.emit(relax.op.reshape(image, (1, 3072)))
        builder.emit_func_output(builder.emit(relax.op.matmul(flat, weight)))
    tvm.compile(builder.get(), llvm.tvm_target(host.code)).export_library(str(library))
    return library


@pytest.fixture(scope="module")
def measured(heavy: Path, host: Target) -> Measurement:
    return measuring.measure(heavy, tiny_library.images(1), host, PROTOCOL)


def memory_of(measured: Measurement) -> Memory:
    assert measured.memory is not None
    return measured.memory


def test_memory_is_that_of_the_network_in_its_parts(measured: Measurement) -> None:
    memory = memory_of(measured)
    assert WEIGHT_BYTES < memory.loaded_bytes + memory.first_run_bytes < 2.2 * WEIGHT_BYTES
    assert MB < memory.runtime_bytes < WEIGHT_BYTES
    parts = memory.runtime_bytes + memory.loaded_bytes + memory.first_run_bytes
    assert memory.peak_bytes == memory.process_peak_bytes - memory.base_bytes
    assert memory.peak_bytes >= parts


def test_a_start_is_timed_in_its_parts(measured: Measurement) -> None:
    start = measured.start
    assert start is not None
    assert min(start.runtime_ms, start.load_ms, start.first_ms) > 0
    assert start.whole_ms == start.runtime_ms + start.load_ms + start.first_ms


@pytest.mark.skipif(not GNU_TIME.exists(), reason="GNU time is not installed (Debian: apt install time)")
@pytest.mark.parametrize("runner", ["tvm", "onnxruntime"])
def test_the_peak_is_that_of_gnu_time(runner: str, heavy: Path, tmp_path: Path) -> None:
    if runner != "tvm":
        pytest.importorskip(runner)
    np.save(tmp_path / "inputs.npy", tiny_library.images(1))
    library = heavy if runner == "tvm" else tiny_library.onnx_matmul(tmp_path / "onnx")
    request = {
        "command": "time",
        "runner": runner,
        "library": os.fspath(library),
        "inputs": os.fspath(tmp_path / "inputs.npy"),
        "result": os.fspath(tmp_path / "session.json"),
        "runs": 3,
        "warmup": 1,
        "cold": 0,
        "affinity": [],
        "device": "cpu",
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    session = [sys.executable, "-m", "dlas.hardware.sessions.session", os.fspath(tmp_path / "request.json")]
    told = subprocess.run(
        [GNU_TIME, "-v", *session],
        env={**os.environ, "TVM_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    kib = re.search(r"Maximum resident set size \(kbytes\): (\d+)", told)
    assert kib is not None, told
    found = measurement.session(json.loads((tmp_path / "session.json").read_text())).footprint
    assert found is not None
    assert found.memory is not None
    assert found.memory.process_peak_bytes == pytest.approx(int(kib[1]) * 1024, rel=0.03)


def test_what_the_process_held_before_is_told_apart(
    heavy: Path, host: Target, measured: Measurement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"ballast = b'1' * {100 * MB}\n")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    laden = memory_of(measuring.measure(heavy, tiny_library.images(1), host, PROTOCOL))
    assert laden.base_bytes == pytest.approx(memory_of(measured).base_bytes + 100 * MB, abs=3 * MB)
    assert laden.peak_bytes == pytest.approx(memory_of(measured).peak_bytes, abs=3 * MB)


def test_what_fills_the_caches_is_none_of_the_network_s(
    heavy: Path, host: Target, measured: Measurement
) -> None:
    colder = measuring.measure(heavy, tiny_library.images(1), host, replace(PROTOCOL, cold=1))
    assert memory_of(colder).peak_bytes == pytest.approx(memory_of(measured).peak_bytes, abs=3 * MB)


def test_it_is_kept_and_told(measured: Measurement, tmp_path: Path) -> None:
    measurement.write(measured, tmp_path / "timing.json")
    assert measurement.read(tmp_path / "timing.json") == measured
    metrics = measurement.metrics(measured)
    assert metrics["memory.peak_bytes"] == memory_of(measured).peak_bytes
    (point,) = measured_points([Record("id", "run", "FINISHED", {}, metrics, {}, ended=0.0)])
    assert measured.start is not None
    assert (point.memory_bytes, point.start_ms) == (memory_of(measured).peak_bytes, measured.start.whole_ms)
    told = report(Redeployed(Comparison(measured, measured), (), {}))
    peak = f"{memory_of(measured).peak_bytes / MB:.1f} MB"
    assert f"memory     {peak} then, {peak} now" in told


def test_timings_of_earlier_versions_are_read_without_it(measured: Measurement, tmp_path: Path) -> None:
    file = tmp_path / "timing.json"
    measurement.write(measured, file)
    older = json.loads(file.read_text()) | {"schema": 1}
    for session in older["sessions"]:
        del session["footprint"]
    file.write_text(json.dumps(older))
    read = measurement.read(file)
    assert (read.memory, read.start) == (None, None)
    assert read.samples_ms == measured.samples_ms
    assert "memory" not in report(Redeployed(Comparison(measured, read), (), {}))
    assert "memory     not measured then" in report(Redeployed(Comparison(read, measured), (), {}))


def test_memory_that_sessions_of_one_library_differ_by_tells_no_points_apart() -> None:
    def value(peak: int) -> float | None:
        metrics = {"memory.peak_bytes": float(peak)}
        (point,) = measured_points([Record("id", "run", "FINISHED", {}, metrics, {}, ended=0.0)])
        return front.MEMORY.value(point)

    assert value(40 * 2**20 - 100_000) == value(40 * 2**20 + 100_000)
    assert value(40 * 2**20) != value(42 * 2**20)
