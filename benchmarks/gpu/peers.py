"""Other compilers on the same GPU, images and logits in its memory: PyTorch, which calls cuDNN, and TensorRT.

PEERS["PyTorch"](case) -> median milliseconds; Absent where it is not installed, or has no CUDA
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from case import RUNS, WARMUP, Case


class Absent(Exception):
    """Says what is missing, and what installs it."""


def by_pytorch(case: Case) -> float:
    """Median milliseconds by PyTorch eager in channels-last order, cuDNN choosing its fastest algorithms."""
    _require_cuda()
    network = copy.deepcopy(case.network).to("cuda", memory_format=torch.channels_last)
    image = case.image.to("cuda", memory_format=torch.channels_last)
    with torch.inference_mode():
        case.require_right(network(image).cpu().numpy())
        return _median_ms(lambda: network(image))


def by_tensorrt(case: Case) -> float:
    """Median milliseconds by TensorRT, from ONNX, in the data types of the network and no other."""
    _require_cuda()
    if missing := [name for name in ("tensorrt", "onnx") if find_spec(name) is None]:
        raise Absent(f"{' and '.join(missing)} not installed: pip install {' '.join(missing)}")
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(_onnx(case)):
        raise RuntimeError("; ".join(str(parser.get_error(at)) for at in range(parser.num_errors)))
    settings = builder.create_builder_config()
    settings.clear_flag(tensorrt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise RuntimeError("TensorRT built no engine")
    engine = tensorrt.Runtime(logger).deserialize_cuda_engine(plan)
    context, stream = engine.create_execution_context(), torch.cuda.Stream()
    image = case.image.to("cuda").contiguous()
    logits = torch.empty(case.expected.outputs.shape, device="cuda")
    for at, tensor in enumerate((image, logits)):
        context.set_tensor_address(engine.get_tensor_name(at), tensor.data_ptr())

    def run() -> None:
        context.execute_async_v3(stream.cuda_stream)

    run()
    torch.cuda.synchronize()
    case.require_right(logits.cpu().numpy())
    return _median_ms(run)


PEERS: Mapping[str, Callable[[Case], float]] = {"PyTorch": by_pytorch, "TensorRT": by_tensorrt}


def _require_cuda() -> None:
    if not torch.cuda.is_available():
        index = "https://download.pytorch.org/whl/cu130"
        raise Absent(f"PyTorch {torch.__version__} can't use the GPU: pip install torch --index-url {index}")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def _median_ms(run: Callable[[], object]) -> float:
    """Median over runs, each until the GPU has done it, as a session of ours waits for it."""
    samples = []
    for number in range(WARMUP + RUNS):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if number >= WARMUP:
            samples.append((time.perf_counter() - started) * 1e3)
    return median(samples)


def _onnx(case: Case) -> bytes:
    with TemporaryDirectory(prefix="dlas-gpu-") as folder:
        file = Path(folder, "network.onnx")
        torch.onnx.export(case.network, (case.image,), file, opset_version=17, dynamo=False)
        return file.read_bytes()
