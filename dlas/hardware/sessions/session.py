"""The fresh process that runs a library: `python -m dlas.hardware.sessions.session <request.json>`.

It needs NumPy, psutil and TVM's runtime, and nothing else that this project needs. The request is JSON:

    {"command": "compute", "library": …, "inputs": …, "result": outputs.npy, "batch": …}
    {"command": "time", "library": …, "inputs": …, "result": session.json, "runs": …, "warmup": …, "cold": …}
    {"command": "yardsticks", "library": …, "inputs": …, "result": session.json, "libraries": […],
     "shapes": […], "runs": …, "warmup": …}
    {"command": "profile", "library": …, "inputs": …, "result": profile.json, "runs": …}
    {"command": "race", "library": …, "inputs": …, "result": race.json, "libraries": […], "runs": …}
    {"command": "compare", "library": …, "inputs": …, "result": compared.json, "pairs": […]}
    {"command": "kernels", "library": …, "inputs": …, "result": kernels.json, "kernels": […]}
    {"command": "candidates", "library": …, "inputs": …, "result": candidates.json, "libraries": […],
     "arguments": ….npz, "tolerance": …, "turns": …, "running": …}
    {"command": "roofs", "library": …, "inputs": …, "result": roofs.json, "peaks": […], "block": …}

Files that are not named in full lie in the folder of the request, which is the process's own.

`inputs` is an .npy of shape (N, C, H, W), run `batch` at a time; "time" runs them all at once, "profile" and
"race" the first of them, "yardsticks", "kernels" and "roofs" make their own, "compare" and "candidates" read
theirs. `affinity` lists the cores to run on, or none. `device` is cpu or cuda; "compare", "kernels",
"candidates" and "roofs" know the CPU alone.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlas.hardware.sessions import (
    candidates,
    counts,
    disturbance,
    energy,
    footprint,
    race,
    roofs,
    single_kernels,
)
from dlas.hardware.sessions.device import Device
from dlas.hardware.sessions.footprint import Mark, Start
from dlas.hardware.sessions.tvm_runtime import array, loaded
from dlas.hardware.targets import caches, machine
from dlas.processes.parent import die_with_parent

if TYPE_CHECKING:
    from dlas.hardware.sessions.device import Entry


class _NoTorch(MetaPathFinder):
    """A finder for which torch is not installed. (A None in sys.modules would do, but SciPy
    stumbles over it.)"""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torch":
            raise ModuleNotFoundError("torch is kept out of this process", name=name)


def keep_torch_out() -> None:
    """Have no import of torch succeed: TVM's foreign function interface imports it wherever it is installed,
    which takes seconds and starts threads of its own beside what is being timed."""
    sys.meta_path.insert(0, _NoTorch())


@contextmanager
def torch_kept_out() -> Iterator[None]:
    """Have no import of torch succeed in the block."""
    finder = _NoTorch()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def compute(library: Path, inputs: np.ndarray, batch: int, device: Device) -> np.ndarray:
    """The outputs of every input, (N, …), by a library for `batch` inputs; the last ones may be filled up."""
    return outputs(device.main(loaded(library)), inputs, batch, device)


def outputs(main: Entry, inputs: np.ndarray, batch: int, device: Device) -> np.ndarray:
    """The outputs of every input by the `main` of a network for `batch` inputs."""
    starts = range(0, len(inputs), batch)
    filled = [np.resize(inputs[start : start + batch], (batch, *inputs.shape[1:])) for start in starts]
    return np.concatenate([array(main(device.put(images))) for images in filled])[: len(inputs)]


def timed(
    library: Path,
    inputs: np.ndarray,
    runs: int,
    warmup: int,
    cold: int,
    device: Device,
    before: Mark,
    sysfs: Path = energy.SYSFS,
) -> dict[str, Any]:
    """One session of runs of all `inputs` at once: a first run, `warmup` runs that are not kept, `runs`
    samples of one run each, and `cold` samples each after the caches were filled with something else.

    On a GPU the images lie in its memory beforehand, and the output stays there.
    """
    there = footprint.mark()
    main = device.main(loaded(library))
    start = Start(before, there, footprint.mark())
    image = device.put(inputs)
    gc.collect()
    gc.disable()
    begun = machine.state()
    first = _nanoseconds(main, image)
    ran = footprint.resident_bytes()
    for _ in range(warmup):
        main(image)
    meters, watch, counted = energy.Meters(sysfs), disturbance.Watch(), counts.OverSamples()
    samples = []
    meters.start()
    watch.start()
    counted.start()
    for _ in range(runs):
        samples.append(_nanoseconds(main, image))
        meters.sample()
    over_samples = counted.told()
    joules, disturbed = meters.joules(), watch.told()
    after = machine.state()
    peak = footprint.peak_bytes()  # what cold runs fill the caches with is none of the network's
    cold_ns = _cold_nanoseconds(main, image, cold, device) if cold else []
    of_runs = counts.on_one_thread(lambda: main(image)) if device.is_host else counts.NONE_ON_A_GPU
    # An emulated board sees its host's meters, and its emulator's memory and counts.
    own = {"joules": joules, "disturbance": disturbed, "counts": {**over_samples, **of_runs}}
    return {
        "first_ns": first,
        "samples_ns": samples,
        "cold_ns": cold_ns,
        **(own if machine.emulator() is None else {}),
        "before": asdict(begun),
        "after": asdict(after),
        "footprint": asdict(start.footprint(ran, peak)),
        "threads": int(os.environ["TVM_NUM_THREADS"]),
        "emulated": machine.emulator() is not None,
        "environment": machine.environment() | device.describe(),
    }


def yardsticks(libraries: Sequence[Path], request: Mapping[str, Any], device: Device) -> list[dict[str, Any]]:
    """A session of each library on zeros, one after another in this process: starting one takes longer than
    all of their runs."""
    runs, warmup = request["runs"], request["warmup"]
    return [
        timed(library, np.zeros(shape, "float32"), runs, warmup, 0, device, footprint.mark())
        for library, shape in zip(libraries, request["shapes"], strict=True)
    ]


def watched(work: Callable[[], Any]) -> dict[str, Any]:
    """What the work gives, as `found`, with the state of the machine before and after it."""
    before = machine.state()
    found = work()
    return {"found": found, "before": asdict(before), "after": asdict(machine.state())}


def confine(cores: Sequence[int]) -> None:
    """Keep this process, and threads that it starts from now on, on these cores; none leaves them all."""
    if not cores:
        return
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, AttributeError) as error:
        numbers = ", ".join(map(str, cores))
        sys.exit(f"target.affinity: this board has no cores {numbers} to run on ({error})")


def serve(request: Mapping[str, Any]) -> None:
    """Do what the request asks and write its result."""
    library, result = Path(request["library"]), Path(request["result"])
    inputs = np.load(request["inputs"], allow_pickle=False)
    before = footprint.mark()
    device = Device(request["device"])
    if request["command"] == "compute":
        np.save(result, compute(library, inputs, request["batch"], device), allow_pickle=False)
    elif request["command"] == "time":
        protocol = {name: request[name] for name in ("runs", "warmup", "cold")}
        result.write_text(json.dumps(timed(library, inputs, **protocol, device=device, before=before)))
    elif request["command"] == "yardsticks":
        libraries = [Path(path) for path in request["libraries"]]
        result.write_text(json.dumps({"found": yardsticks(libraries, request, device)}))
    elif request["command"] == "profile":
        result.write_text(json.dumps(single_kernels.profiled(library, inputs, request["runs"], device)))
    elif request["command"] == "compare":
        result.write_text(json.dumps(single_kernels.compared(library, request["pairs"])))
    elif request["command"] == "kernels":
        result.write_text(json.dumps(watched(lambda: single_kernels.timed(library, request["kernels"]))))
    elif request["command"] == "candidates":
        libraries = [Path(path) for path in request["libraries"]]
        arguments, running = Path(request["arguments"]), Path(request["running"])
        found = candidates.checked_and_timed(
            libraries, arguments, request["tolerance"], request["turns"], running
        )
        result.write_text(json.dumps(found))
    elif request["command"] == "race":
        libraries = [Path(path) for path in request["libraries"]]
        raced = watched(lambda: race.raced(libraries, inputs, request["runs"], device))
        result.write_text(json.dumps(raced))
    elif request["command"] == "roofs":
        measured = watched(lambda: roofs.measured(library, request["peaks"], request["block"]))
        result.write_text(json.dumps({**measured, "cpu": machine.environment()["cpu"]}))
    else:
        raise ValueError(f"no such command: {request['command']}")


def _nanoseconds(main: Callable[[Any], Any], image: Any) -> int:
    start = time.perf_counter_ns()
    main(image)
    return time.perf_counter_ns() - start


def _cold_nanoseconds(main: Callable[[Any], Any], image: Any, runs: int, device: Device) -> list[int]:
    """Nanoseconds of runs that each find the caches full of another array."""
    other = np.zeros(caches.largest_bytes(), np.uint8)
    samples = []
    for _ in range(runs):
        other += 1
        device.fill_caches(other)
        samples.append(_nanoseconds(main, image))
    return samples


if __name__ == "__main__":
    die_with_parent()
    keep_torch_out()
    asked = json.loads(Path(sys.argv[1]).read_text())
    confine(asked["affinity"])
    serve(asked)
