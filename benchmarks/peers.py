"""Whole networks by `algo=auto` against ONNX Runtime and PyTorch eager, untuned and tuned.

    python benchmarks/peers.py [--networks resnet18 resnet50] [--tune 30] [--keep artifacts/peers]

`--tune` searches the kernels of each network by MetaSchedule for so many minutes, beside what the tuning
store holds of them already; with 0, the store alone gives the schedules. What a run built with `--keep` is
timed by the next one, which builds only what is missing: so a network can be tuned now and timed on a quiet
machine later.

All take turns in one process with as many threads each, in float32; ONNX Runtime with all of its graph
optimizations, its threads spinning as they do by default. Outputs are compared first. Figures are medians. It
needs ONNX Runtime and what exports to it: pip install 'dlas[peers]'.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import geometric_mean
from tempfile import TemporaryDirectory

import networks
import numpy as np
import torch
import tuned
import tvm
from alarm import ended_after
from layers import NETWORKS
from threads import use_threads
from torch import nn
from turns import in_turn

from dlas import config, models
from dlas.hardware.sessions.single_kernels import relative_error
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.deployment import exclusive_board
from dlas.interfaces.targets.target import Target
from dlas.systems.program import program
from dlas.systems.program.program import LoweredProgram
from dlas.systems.tuners.common.tuning_store import TuningStore
from dlas.systems.tuners.metaschedule import tuner as metaschedule

PEERS = ("onnx", "onnxruntime", "onnxscript")
ONNX, EAGER, UNTUNED, TUNED = "ONNX Runtime", "PyTorch eager", "untuned", "tuned"
RUNS, ROUNDS = 6, 21
"""Of each in a turn, and turns."""
TOLERANCE = 1e-4
"""Of the largest output: sums in another order, and Winograd's transforms."""

FASTEST_TRIAL_SECONDS = 0.5
"""So that no search is through before its time is up."""


def main() -> None:
    options = _options()
    if missing := [name for name in PEERS if find_spec(name) is None]:
        raise SystemExit(f"{', '.join(missing)} not found: pip install 'dlas[peers]'")
    target = resolve(config.Target(name="host"))
    use_threads(target.placement.threads)
    threads, cpu = target.placement.threads, target.code.cpu
    print(f"{threads} threads, {cpu}, PyTorch {torch.backends.cpu.get_cpu_capability()}")
    with TemporaryDirectory() as scratch:
        found = [
            compare(name, (options.keep or Path(scratch)) / name, options, target)
            for name in options.networks
        ]
    for one, other in ((UNTUNED, ONNX), (TUNED, ONNX), (TUNED, UNTUNED), (UNTUNED, EAGER), (TUNED, EAGER)):
        if ratios := [times[one] / times[other] for times in found if one in times]:
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{one} / {other}: geometric mean {geometric_mean(ratios):.2f}, {spread}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS])
    parser.add_argument("--tune", type=float, metavar="MINUTES", help="of a network; 0: by the store alone")
    parser.add_argument("--store", type=Path, default=Path(config.default_artifacts()) / "tuning")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    return parser.parse_args()


def compare(name: str, folder: Path, options: argparse.Namespace, target: Target) -> Mapping[str, float]:
    """Milliseconds of the network by each peer and by what `folder` holds or gets of ours."""
    factory, size = NETWORKS[name]
    network = models.build(config.Model(name, factory), classes=10 if size == 32 else 1000).eval()
    image = torch.rand(1, 3, size, size)
    folder.mkdir(parents=True, exist_ok=True)
    lowered = _by_auto(network, image, folder, target)
    if options.tune is not None:
        _tune(lowered, folder, options.tune * 60, TuningStore(options.store), target)
    tensor = tvm.runtime.tensor(image.numpy())
    with torch.inference_mode():
        calls = {
            ONNX: _onnx_runtime(network, image, folder, target.placement.threads),
            EAGER: lambda: network(image).numpy(),
            **{
                kind: _ours(library, tensor)
                for kind in (UNTUNED, TUNED)
                if (library := folder / f"{kind}.so").exists()
            },
        }
        _require_agreement(name, calls)
        with exclusive_board(target):
            medians = in_turn([*calls.values()], RUNS, ROUNDS)
    times = dict(zip(calls, medians, strict=True))
    ratios = [
        f"{kind} {times[kind]:.2f} ms, {times[kind] / times[ONNX]:.2f} of ONNX Runtime"
        for kind in (UNTUNED, TUNED)
        if kind in times
    ]
    print(f"{name}: ONNX Runtime {times[ONNX]:.2f} ms, PyTorch eager {times[EAGER]:.2f} ms; ", end="")
    print("; ".join(ratios), flush=True)
    return times


def _by_auto(network: nn.Module, image: torch.Tensor, folder: Path, target: Target) -> LoweredProgram:
    """The network by the fastest algorithm for each layer, and its untuned library: as `folder` has them."""
    library = folder / f"{UNTUNED}.so"
    if library.exists():
        return program.load(folder)
    with TemporaryDirectory() as scratch:
        lowered = networks.by_fastest(network, image, networks.FLOAT32, target, Path(scratch))
    program.save(lowered, folder)
    tuned.untuned(lowered, target, folder)
    return lowered


def _tune(lowered: LoweredProgram, folder: Path, seconds: float, store: TuningStore, target: Target) -> None:
    """Put the network by the best schedules that are found within `seconds` into `folder`."""
    tasks, log = tuned.tasks(lowered), folder / "log.json"
    shelf = store.shelf(metaschedule.VERSION, target)
    if seconds:
        trials = round(seconds / FASTEST_TRIAL_SECONDS)
        settings = metaschedule.Settings("metaschedule", metaschedule.__name__, trials, patience=trials)
        with ended_after(seconds):
            metaschedule.tune(tasks, target, settings, log, store)
    records = [record for task in tasks for record in shelf.records(task)]
    log.write_text("".join(f"{record}\n" for record in records))
    schedules = metaschedule.best_schedules(log, tasks, target.code)
    with TemporaryDirectory(dir=folder) as scratch:
        built = tuned.library(lowered, schedules, target, Path(scratch) / "built")
        built.replace(folder / f"{TUNED}.so")
    print(
        f"  {len(records)} trials, schedules for {len(schedules.found)} of {len(tasks)} kernels", flush=True
    )


def _ours(library: Path, image: tvm.runtime.Tensor) -> Callable[[], np.ndarray]:
    run = networks.entry(library)
    return lambda: run(image).numpy()


def _onnx_runtime(
    network: nn.Module, image: torch.Tensor, folder: Path, threads: int
) -> Callable[[], np.ndarray]:
    """The network by ONNX Runtime, as PyTorch exports it."""
    import onnxruntime

    exported = folder / "network.onnx"
    torch.onnx.export(network, (image,), exported, dynamo=True, external_data=False, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: image.numpy()}
    return lambda: session.run(None, inputs)[0]


def _require_agreement(name: str, calls: Mapping[str, Callable[[], np.ndarray]]) -> None:
    expected = calls[EAGER]()
    for kind, call in calls.items():
        if not (error := relative_error(call(), expected)) <= TOLERANCE:
            raise SystemExit(f"{name}: the output of {kind} is off by {error:.1g} of PyTorch's largest")


if __name__ == "__main__":
    main()
