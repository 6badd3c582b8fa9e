"""Time, page size and memory of a report over a generated store: 2,000 points, or as many as are asked for.

    python benchmarks/report.py [points=2000] [folder=<where to make the store, or where one was made>]

Every point has a bundle with the samples of six sessions, of yardsticks beside them, and twenty layers. Their
machine drifts. Nothing was measured: what is timed here is the report.
"""

from __future__ import annotations

import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag

from dlas import tracking
from dlas.analysis.layer_row import LayerRow
from dlas.bundle import Bundle
from dlas.bundle.layer_table import write_layers
from dlas.hardware.results import measurement
from dlas.hardware.results.measurement import Measurement, Session
from dlas.hardware.targets.steadiness import State
from dlas.tracking.store import BUNDLE, create

MODELS = [f"net{number}" for number in range(10)]
COMPRESSIONS = ["none", "weight_pruning", "channel_pruning", "int8", "float16"]
ALGORITHMS = ["direct", "gemm", "spatial_pack", "winograd_f2"]
TUNERS, TARGETS = ["none", "ansor"], ["host", "pi", "i7", "jetson", "graviton"]
SESSIONS, RUNS, LAYERS = 6, 50, 20
YARDSTICKS = {"compute": 0.5, "memory": 4.0, "kernels": 1.0}
"""Milliseconds of each at the pace 1."""
STATE = State("2026-01-01T00:00:00+00:00", 1.0, 2, None, None, None, 0.0, 1.0, None, 0.0, None)
AFTER = replace(STATE, uptime_seconds=3.0, busy_seconds=3.0, own_seconds=2.0)


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
            medians, ratios = write_bundle(folder, random.Random(number), 1 + 0.05 * math.sin(number))
            tags = {tracking.PARENT: sweep.run_id, tracking.KIND: "point"}
            run = create(store, f"point {number}", tags)
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
                tags=[
                    RunTag("dlas.session_medians_ms", listed(medians)),
                    *(RunTag(f"dlas.yardstick_ratios.{name}", listed(each)) for name, each in ratios.items()),
                ],
            )
            run.log_files(folder, BUNDLE)
            tracking.close(run, "FINISHED")
    tracking.close(sweep, "FINISHED")
    return sweep.run_id


def listed(numbers: Sequence[float]) -> str:
    return " ".join(f"{one:.6g}" for one in numbers)


def write_bundle(
    folder: Path, chance: random.Random, pace: float
) -> tuple[tuple[float, ...], dict[str, tuple[float, ...]]]:
    """Timing and layers of a point; returns the medians of its sessions in milliseconds, and their ratios to
    each yardstick."""
    base = chance.lognormvariate(2, 0.5)
    found = Measurement(
        RUNS,
        1,
        1,
        sessions(chance, base * pace),
        yardsticks={name: sessions(chance, own * pace) for name, own in YARDSTICKS.items()},
    )
    measurement.write(found, Bundle(folder).timing)
    key = "conv2d_n1_i64x8x8_o64_k3x3_s1x1_p1x1x1x1_d1x1_g1_float32_bias_relu"
    rows = [
        LayerRow(f"layer{number}", base / LAYERS, key, "float32", "direct", macs=2_359_296, format="dense")
        for number in range(LAYERS)
    ]
    write_layers(rows, Bundle(folder).layers)
    return found.session_medians_ms, {name: found.paces(name) for name in found.yardsticks}


def sessions(chance: random.Random, ms: float) -> tuple[Session, ...]:
    """Sessions of a network that takes so many milliseconds."""
    found = []
    for _ in range(SESSIONS):
        own = ms * chance.gauss(1, 0.01)
        samples = [max(1, int(1e6 * own * chance.lognormvariate(0, 0.02))) for _ in range(RUNS)]
        found.append(Session(2 * samples[0], tuple(samples), STATE, AFTER))
    return tuple(found)


if __name__ == "__main__":
    main()
