"""A deployed network, timed by nothing but its runtime's own API: a plain loop that imports no code of dlas.

    python benchmarks/plain_loop.py <compiler> <library> <inputs.npy> <threads> <runs>

It prints the median of so many runs of the first image in milliseconds, after `WARMUP` runs that don't count.
`library` is what a bundle has of that compiler: a file of TVM's, a folder of any other's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

WARMUP = 20

Run = Callable[[], object]


def tvm(library: Path, image: np.ndarray, threads: int) -> Run:
    os.environ["TVM_NUM_THREADS"] = str(threads)
    import tvm

    machine = tvm.runtime.vm.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())
    network, tensor = machine["main"], tvm.runtime.tensor(image)
    return lambda: network(tensor)


def onnxruntime(library: Path, image: np.ndarray, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(library / "network.onnx", options)
    inputs = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, inputs)


def openvino(library: Path, image: np.ndarray, threads: int) -> Run:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(library / "network.xml", "CPU", settings)
    return lambda: compiled(image)


def torch(library: Path, image: np.ndarray, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    network, tensor = torch.export.load(library / "network.pt2").module(), torch.from_numpy(image)
    return lambda: network(tensor)


def torch_inductor(library: Path, image: np.ndarray, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    network, tensor = torch._inductor.aoti_load_package(library / "network.pt2"), torch.from_numpy(image)
    return lambda: network(tensor)


def executorch(library: Path, image: np.ndarray, threads: int) -> Run:
    import torch
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(threads)
    network = portable_lib._load_for_executorch(str(library / "network.pte"))
    inputs = (torch.from_numpy(image),)
    return lambda: network.forward(inputs)


def iree(library: Path, image: np.ndarray, threads: int) -> Run:
    from iree import runtime

    runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    context = runtime.Config("local-task")
    module = runtime.VmModule.mmap(context.vm_instance, str(library / "network.vmfb"))
    loaded = runtime.load_vm_module(module, context)
    name = next(name for name in module.function_names if name[:2] != "__" and "$" not in name)
    network, tensor = loaded[name], runtime.asdevicearray(context.device, image)
    return lambda: network(tensor).to_host()


def mnn(library: Path, image: np.ndarray, threads: int) -> Run:
    import MNN.expr as expression
    import MNN.nn as nn

    runtime = nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
    file = str(library / "network.mnn")
    network = nn.load_module_from_file(file, ["images"], ["outputs"], runtime_manager=runtime)
    tensor = expression.convert(
        expression.const(image, list(image.shape), expression.NCHW), expression.NC4HW4
    )
    return lambda: network.forward([tensor])[0].read()


def ncnn(library: Path, image: np.ndarray, threads: int) -> Run:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(str(library / "network.param"))
    net.load_model(str(library / "network.bin"))
    tensor = ncnn.Mat(image[0]).clone()

    def run() -> object:
        extractor = net.create_extractor()
        extractor.input("in0", tensor)
        return extractor.extract("out0")

    return run


RUNNING = (tvm, onnxruntime, openvino, torch, torch_inductor, executorch, mnn, ncnn, iree)

LOOPS = {loop.__name__: loop for loop in RUNNING}
"""The runtimes, by the names of their compilers."""


def main() -> None:
    compiler, library, inputs, threads, runs = sys.argv[1:]
    run = LOOPS[compiler](Path(library), np.load(inputs)[:1], int(threads))
    for _ in range(WARMUP):
        run()
    samples = []
    for _ in range(int(runs)):
        start = time.perf_counter()
        run()
        samples.append((time.perf_counter() - start) * 1e3)
    print(median(samples), flush=True)
    os._exit(0)  # TVM's workers, which look out for work, would be waited for: for minutes on a busy machine


if __name__ == "__main__":
    main()
