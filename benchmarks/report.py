"""Time, page size and memory of a report over a generated store: 2,000 points, or as many as are asked for.

    python benchmarks/report.py [points=2000] [folder=<where to make the store, or where one was made>]

Every point has a bundle with the samples of six sessions and twenty layers. Nothing was measured: what is
timed here is the report.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag

from dlas import tracking
from dlas.bundle import Bundle
from dlas.bundle.layer_table import LayerRow, write_layers
from dlas.tracking.store import BUNDLE

MODELS = [f"net{number}" for number in range(10)]
COMPRESSIONS = ["none", "weight_pruning", "channel_pruning", "int8", "float16"]
ALGORITHMS = ["direct", "gemm", "spatial_pack", "winograd_f2"]
TUNERS, TARGETS = ["none", "ansor"], ["host", "pi", "i7", "jetson", "graviton"]
SESSIONS, RUNS, LAYERS = 6, 50, 20
STATE = {
    "at": "2026-01-01T00:00:00+00:00",
    "uptime_seconds": 1.0,
    "cores": 2,
    "governor": None,
    "frequency_mhz": None,
    "temperature_c": None,
    "load_average": 0.0,
    "busy_seconds": 1.0,
}


def main() -> None:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as temporary:
        artifacts = Path(given.get("folder", temporary))
        started = time.monotonic()
        known = artifacts / "sweep.txt"
        if not known.exists():
            known.write_text(make(artifacts, int(given.get("points", "2000"))))
            print(f"made the store in {time.monotonic() - started:.0f} s", flush=True)
        out = Path(temporary) / "report"
        command = [
            sys.executable,
            "-m",
            "dlas.report",
            f"sweep={known.read_text()}",
            f"artifacts={artifacts}",
        ]
        started = time.monotonic()
        subprocess.run([*command, f"out={out}", "log=false"], check=True)
        wall = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page = (out / "report.html").stat().st_size
        print(
            f"report: {wall:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU; page {page / 1e6:.2f} MB; "
            f"at most {used.ru_maxrss / 1e3:.0f} MB of memory"
        )


def make(artifacts: Path, count: int) -> str:
    """A store with one sweep of so many points; returns the sweep's id."""
    store = tracking.open_store(artifacts.absolute())
    sweep = tracking.start_sweep(store, "sweep of generated points", {"dlas.overrides": "generated"})
    grid = product(MODELS, COMPRESSIONS, ALGORITHMS, TUNERS, TARGETS)
    for number, (model, compression, algorithm, tuner, target) in enumerate(grid):
        if number >= count:
            break
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            medians = write_bundle(folder, random.Random(number))
            run = tracking.start_point(store, f"point {number}", {}, sweep.run_id)
            middle = sorted(medians)[len(medians) // 2]
            metrics = {
                "latency.median_ms": middle,
                "latency.ci_low_ms": middle * 0.99,
                "latency.ci_high_ms": middle * 1.01,
                "accuracy.dense": 0.9,
                "accuracy.compressed": 0.9 - (len(compression) % 7) / 100,
                "accuracy.deployed": 0.9 - (len(compression) % 7) / 100,
                "params.dense": 1e7,
                "macs.dense": 3e8,
                "bytes.format": 4e7 / (1 + len(compression)),
                "speedup.expected": 1.0 if compression == "none" else 3.0,
            }
            params = {
                "dataset.name": "cifar10",
                "model.name": model,
                "compression": compression,
                "algo.name": algorithm,
                "format.name": "dense",
                "compiler.name": "tvm",
                "tuner.name": tuner,
                "target.name": target,
            }
            store.client.log_batch(
                run.run_id,
                metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()],
                params=[Param(key, value) for key, value in params.items()],
                tags=[RunTag("dlas.session_medians_ms", " ".join(f"{one:.6g}" for one in medians))],
            )
            run.log_files(folder, BUNDLE)
            tracking.close(run, "FINISHED")
    tracking.close(sweep, "FINISHED")
    return sweep.run_id


def write_bundle(folder: Path, chance: random.Random) -> list[float]:
    """Timing and layers of a point; returns the medians of its sessions in milliseconds."""
    base = chance.lognormvariate(2, 0.5)
    sessions, medians = [], []
    for _ in range(SESSIONS):
        pace = base * chance.gauss(1, 0.01)
        samples = [max(1, int(1e6 * pace * chance.lognormvariate(0, 0.02))) for _ in range(RUNS)]
        medians.append(sorted(samples)[RUNS // 2] / 1e6)
        one = {"first_ns": 2 * samples[0], "samples_ns": samples, "before": STATE, "after": STATE}
        sessions.append(one)
    timing = {"schema": 1, "runs": RUNS, "warmup": 1, "threads": 1, "sessions": sessions}
    Bundle(folder).timing.write_text(json.dumps(timing))
    key = "conv2d_n1_i64x8x8_o64_k3x3_s1x1_p1x1x1x1_d1x1_g1_float32_bias_relu"
    rows = [
        LayerRow(f"layer{number}", base / LAYERS, key, "float32", "direct", macs=2_359_296, format="dense")
        for number in range(LAYERS)
    ]
    write_layers(rows, Bundle(folder).layers)
    return medians


if __name__ == "__main__":
    main()
