"""The fresh process that runs a library: `python -m dlas.hardware.sessions.session <request.json>`.

It needs NumPy, psutil and the runtime of the library, and nothing else that this project needs. The request
is JSON:

    {"command": "compute", "library": …, "inputs": …, "result": outputs.npy, "runner": …, "batch": …}
    {"command": "time", "library": …, "inputs": …, "result": session.json, "runner": …, "runs": …,
     "warmup": …, "cold": …}
    {"command": "data_types", "library": …, "inputs": …, "result": data_types.json, "runner": …}
    {"command": "yardsticks", "library": …, "inputs": …, "result": session.json, "libraries": […],
     "shapes": […], "runs": …, "warmup": …}
    {"command": "profile", "library": …, "inputs": …, "result": profile.json, "runs": …}
    {"command": "race", "library": …, "inputs": …, "result": race.json, "libraries": […], "runs": …}
    {"command": "relative_errors", "library": …, "inputs": …, "result": errors.json, "pairs": […]}
    {"command": "kernels", "library": …, "inputs": …, "result": kernels.json, "kernels": […]}
    {"command": "candidates", "library": …, "inputs": …, "result": candidates.json, "libraries": […],
     "arguments": ….npz, "tolerance": …, "turns": …, "running": …}
    {"command": "roofs", "library": …, "inputs": …, "result": roofs.json, "peaks": […], "block": …}

Files that are not named in full lie in the folder of the request, which is the process's own.

`inputs` is an .npy of shape (N, C, H, W), run `batch` at a time; "time" runs them all at once, "profile" and
"race" the first of them, "data_types" all at once, "yardsticks", "kernels" and "roofs" make their own,
"relative_errors" and "candidates" read theirs. `affinity` lists the cores to run on, or none; `parent` is the
process that waits, if one does. `runner` is the name of what runs the library
(dlas.hardware.sessions.runners); the commands without one are about libraries of TVM. `turns` has "time" and
"yardsticks" take their samples in turn with others (dlas.hardware.sessions.process.turns). `device` is cpu or
cuda; "relative_errors", "kernels", "candidates" and "roofs" know the CPU alone.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from dlas.hardware.sessions import candidates, cores, race, roofs, runners, single_kernels, tvm_runtime
from dlas.hardware.sessions.device import Device
from dlas.hardware.sessions.observers import energy, footprint
from dlas.hardware.sessions.observers.footprint import Start
from dlas.hardware.sessions.process import turns
from dlas.hardware.sessions.process.turns import Turns
from dlas.hardware.sessions.samples import Loaded, Samples
from dlas.hardware.targets import run_environment, steadiness
from dlas.processes.parent import die_with_parent

if TYPE_CHECKING:
    from dlas.interfaces.runner import Int8Runner, LoadedNetwork


MAX_GAP_BYTES = 1 << 16
"""Largest size of a block, another in each session, that is allocated before the library is loaded, and moves
what comes after it: C. Curtsinger and E. D. Berger, "STABILIZER: statistically sound performance evaluation",
ASPLOS 2013. Whole arrays are moved by the kernel, which maps them at random places."""


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


def compute(network: LoadedNetwork, inputs: np.ndarray, batch: int) -> np.ndarray:
    """The outputs of every input, (N, …), by a network for `batch` inputs; the last ones may be filled up."""
    starts = range(0, len(inputs), batch)
    filled = [np.resize(inputs[start : start + batch], (batch, *inputs.shape[1:])) for start in starts]
    with cores.kept_apart():  # some runtimes start threads with the first run
        outputs = [network.array(network.run(network.put(images))) for images in filled]
    return np.concatenate(outputs)[: len(inputs)]


def timed(
    loaded: Loaded,
    inputs: np.ndarray,
    runs: int,
    warmup: int,
    cold: int,
    taken: Turns,
    sysfs: Path = energy.SYSFS,
) -> dict[str, Any]:
    """One session of runs of all `inputs` at once: a first run, `warmup` runs that are not kept, `runs`
    samples of one run each, taken in turns, and `cold` samples each after the caches were filled with
    something else.

    On a GPU the images lie in its memory beforehand, and the output stays there.
    """
    sampled = Samples(loaded, inputs, warmup, taken, sysfs)
    for size in taken.of(runs):
        sampled.take(size)
    return sampled.told(cold)


def yardsticks(libraries: Sequence[Path], request: Mapping[str, Any], taken: Turns) -> list[dict[str, Any]]:
    """A session of each of TVM's libraries on zeros, all in this process, one after another in each turn:
    starting one takes longer than all of their runs."""
    runs, warmup = request["runs"], request["warmup"]
    sampled = [
        Samples(_loaded(library, runners.TVM, request), np.zeros(shape, "float32"), warmup, taken)
        for library, shape in zip(libraries, request["shapes"], strict=True)
    ]
    for size in taken.of(runs):
        for one in sampled:
            one.take(size)
    return [one.told(0) for one in sampled]


def watched(work: Callable[[], Any]) -> dict[str, Any]:
    """What the work gives, as `found`, with the state of the machine before and after it."""
    before = steadiness.state()
    found = work()
    return {"found": found, "before": asdict(before), "after": asdict(steadiness.state())}


def confine(allowed: Sequence[int]) -> None:
    """Keep this process, and threads that it starts from now on, on these cores; none leaves them all. Where
    it can't have one of them the process ends and says so: Linux itself takes those that there are."""
    if not allowed:
        return
    lacking, reason = list(allowed), ""
    try:
        os.sched_setaffinity(0, allowed)
        lacking = sorted({*allowed} - os.sched_getaffinity(0))
    except (OSError, AttributeError) as error:
        reason = f" ({error})"
    if lacking:
        numbers = ", ".join(map(str, lacking))
        sys.exit(f"target.affinity: this board has no cores {numbers} to run on{reason}")


def serve(request: Mapping[str, Any]) -> None:
    """Do what the request asks and write its result."""
    library, result = Path(request["library"]), Path(request["result"])
    inputs = np.load(request["inputs"], allow_pickle=False)
    if request["command"] in ("compute", "time"):
        _run(request, library, inputs, result)
        return
    if request["command"] == "data_types":
        runner = cast("Int8Runner", runners.named(request["runner"]))
        result.write_text(json.dumps(dict(runner.data_types(library, tvm_runtime.threads(), inputs))))
        return
    if request["command"] == "yardsticks":
        libraries = [Path(path) for path in request["libraries"]]
        result.write_text(json.dumps({"found": yardsticks(libraries, request, turns.of(request))}))
        return
    device = Device(request["device"])
    with cores.kept_apart():
        tvm_runtime.start_threads()
    if request["command"] == "profile":
        result.write_text(json.dumps(single_kernels.profiled(library, inputs, request["runs"], device)))
    elif request["command"] == "relative_errors":
        result.write_text(json.dumps(single_kernels.relative_errors(library, request["pairs"])))
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
        result.write_text(json.dumps({**measured, "cpu": run_environment.of_this_machine()["cpu"]}))
    else:
        raise ValueError(f"no such command: {request['command']}")


def leave() -> NoReturn:
    """End this process, its results being written, without waiting for threads. TVM's workers look out for
    work 300,000 times before they hear that there is none any more, and give up their core each time: on a
    busy machine that took a quarter of an hour."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _run(request: Mapping[str, Any], library: Path, inputs: np.ndarray, result: Path) -> None:
    """Run a whole network, for its outputs or for its times."""
    loaded = _loaded(library, request["runner"], request)
    if request["command"] == "compute":
        np.save(result, compute(loaded.network, inputs, request["batch"]), allow_pickle=False)
    else:
        protocol = {name: request[name] for name in ("runs", "warmup", "cold")}
        found = timed(loaded, inputs, taken=turns.of(request), **protocol)
        result.write_text(json.dumps(found))


def _loaded(library: Path, runner: str, request: Mapping[str, Any]) -> Loaded:
    """The network, loaded by the runner of that name."""
    environment = run_environment.of_this_machine()
    before, runtime = footprint.mark(), runners.named(runner)
    runtime.prepare(request["device"])
    there = footprint.mark()
    with cores.kept_apart():
        network = runtime.load(library, tvm_runtime.threads(), request["device"])
    return Loaded(network, Start(before, there, footprint.mark()), environment)


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    die_with_parent(asked.get("parent"))
    if asked.get("runner", runners.TVM) == runners.TVM:
        keep_torch_out()
    gap = bytearray(secrets.randbelow(MAX_GAP_BYTES))
    confine(asked["affinity"])
    serve(asked)
    leave()
