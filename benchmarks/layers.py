"""Each algorithm's untuned kernel against PyTorch eager, for every distinct layer of the networks.

    python benchmarks/layers.py [--networks resnet18 mobilenetv2 random] [--algorithms direct spatial_pack]
                                [--layers 5] [--threads 1] [--cpu znver3]

A convolution is compared with `torch.nn.functional.conv2d`, a linear layer with `linear`, all with a bias.
`random` stands for layers drawn at random. With `--cpu` of an AVX2 machine, hold PyTorch to AVX2 as well:
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2.

Figures are our time over PyTorch's: below 1 is faster.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from statistics import geometric_mean

import numpy as np
import torch
import tvm
from threads import use_threads
from torch import nn
from turns import in_turn

from dlas import config, models
from dlas.hardware.targets.llvm import tvm_target
from dlas.hardware.targets.resolving import resolve
from dlas.interfaces.program import ConvLayer
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins import registry
from dlas.systems.program import kernels

ALGORITHMS = ("direct", "gemm", "spatial_pack")
NETWORKS = {
    "vgg16": ("dlas.models.vgg.vgg16", 32),
    "resnet18": ("dlas.models.resnet.resnet18", 32),
    "mobilenetv2": ("dlas.models.mobilenetv2.mobilenetv2", 32),
    "resnet50": ("dlas.models.resnet.resnet50", 224),
    "mobilenetv2_imagenet": ("dlas.models.mobilenetv2.mobilenetv2_imagenet", 224),
    "efficientnet_lite0": ("dlas.models.efficientnet_lite.efficientnet_lite0", 224),
}
RANDOM = "random"
RANDOM_LAYERS = 40
ROUNDS, PAUSE_SECONDS = 5, 0.02
BLOCK_MILLISECONDS = 20
"""A block of runs takes about so long by PyTorch's time."""


def main() -> None:
    options = _options()
    declared = config.Target(name="host", cpu=options.cpu, cores=options.threads)
    target = resolve(declared).code
    use_threads(target.cores)
    print(f"{target.cores} threads, {target.cpu}, PyTorch {torch.backends.cpu.get_cpu_capability()}")
    best = []
    for network in options.networks:
        layers = layers_of(network)
        chosen = dict(list(layers.items())[: options.layers])
        best += compare(network, chosen, options.algorithms, target)
    print(f"\nall: geometric mean {geometric_mean(best):.2f}, worst {max(best):.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [*NETWORKS, RANDOM]
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--layers", type=int, help="only so many of each network")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu", help="LLVM's name of the CPU to build for")
    return parser.parse_args()


def layers_of(network: str) -> Mapping[ConvWorkload, int]:
    """The distinct layers and how often each occurs; a linear layer is a convolution of a 1x1 plane."""
    if network == RANDOM:
        random = Random(0)
        return Counter(random_layer(random) for _ in range(RANDOM_LAYERS))
    factory, size = NETWORKS[network]
    model = models.build(config.Model(network, factory), classes=10 if size == 32 else 1000).eval()
    found: Counter[ConvWorkload] = Counter()

    def note(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        found[workload_of(module, inputs[0], output)] += 1

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    with torch.inference_mode():
        model(torch.zeros(1, 3, size, size))
    return found


def workload_of(layer: nn.Module, data: torch.Tensor, output: torch.Tensor) -> ConvWorkload:
    """A convolution or linear layer from `data` to `output`, with a bias."""
    if isinstance(layer, nn.Linear):
        return ConvWorkload(1, layer.in_features, 1, 1, layer.out_features, (1, 1), bias=True)
    assert isinstance(layer, nn.Conv2d)
    (top, bottom), (left, right) = (border(layer, data, output, axis) for axis in range(2))
    return ConvWorkload(
        *(int(extent) for extent in data.shape),
        layer.out_channels,
        kernel=(layer.kernel_size[0], layer.kernel_size[1]),
        stride=(layer.stride[0], layer.stride[1]),
        padding=(top, left, bottom, right),
        groups=layer.groups,
        bias=True,
    )


def border(layer: nn.Conv2d, data: torch.Tensor, output: torch.Tensor, axis: int) -> tuple[int, int]:
    """The padding on both sides; as its shapes tell where the layer pads by code of its own."""
    declared = int(layer.padding[axis])
    covered = (output.shape[2 + axis] - 1) * layer.stride[axis] + layer.kernel_size[axis]
    missing = max(0, covered - data.shape[2 + axis])
    return (declared, declared) if declared else (missing // 2, missing - missing // 2)


def random_layer(random: Random) -> ConvWorkload:
    """Of a size that networks have."""
    kernel, size = random.choice([1, 3, 3, 5]), random.choice([5, 7, 8, 13, 14, 17, 28, 31, 56, 75])
    channels = [random.randint(1, 1 + 8 * 512 // size) for _ in range(2)]
    groups = random.choice([1, 1, 1, 1, channels[0]]) if kernel > 1 else 1
    return ConvWorkload(
        1,
        channels[0],
        size,
        size + random.randint(-2, 2),
        channels[0] if groups > 1 else channels[1],
        (kernel, kernel),
        stride=(stride := random.choice([1, 1, 2]), stride),
        padding=(kernel // 2,) * 4,
        groups=groups,
        bias=True,
    )


def compare(
    network: str, layers: Mapping[ConvWorkload, int], algorithms: list[str], target: CodeTarget
) -> list[float]:
    """Print the table of a network; returns the best algorithm's ratio for each layer."""
    print(f"\n{network:60} {'times':>5} {'eager us':>9} " + " ".join(f"{name:>12}" for name in algorithms))
    ratios: list[dict[str, float]] = []
    eager_total = best_total = 0.0
    for workload, count in layers.items():
        eager, ours = layer_medians(workload, algorithms, target)
        ratios.append({name: taken / eager for name, taken in ours.items()})
        eager_total += count * eager
        best_total += count * min(ours.values())
        cells = [f"{ratios[-1][name]:12.2f}" if name in ours else f"{'-':>12}" for name in algorithms]
        print(f"{short(workload):60} {count:5} {eager * 1e3:9.1f} " + " ".join(cells), flush=True)
    best = [min(row.values()) for row in ratios]
    for name in algorithms:
        served = [row[name] for row in ratios if name in row]
        print(f"{name}: geometric mean {geometric_mean(served):.2f}, worst {max(served):.2f}")
    summed = f"sum of all layers {best_total / eager_total:.2f}"
    print(f"best of them: geometric mean {geometric_mean(best):.2f}, worst {max(best):.2f}, {summed}")
    return best


def layer_medians(
    workload: ConvWorkload, algorithms: list[str], target: CodeTarget
) -> tuple[float, dict[str, float]]:
    """Milliseconds of PyTorch and of each algorithm that serves the layer."""
    eager = eager_layer(workload)
    built = {name: kernel_call(name, workload, target) for name in algorithms}
    ours = {name: call for name, call in built.items() if call}
    [first] = in_turn([eager], runs=1, rounds=3, pause=0)
    runs = max(3, min(200, round(BLOCK_MILLISECONDS / first)))
    with torch.inference_mode():
        taken, *times = in_turn([eager, *ours.values()], runs, ROUNDS, PAUSE_SECONDS)
    return taken, dict(zip(ours, times, strict=True))


def eager_layer(workload: ConvWorkload) -> Callable[[], object]:
    """PyTorch's own function for the layer, on random numbers."""
    top, left, bottom, right = workload.padding
    data, weight = torch.randn(workload.input_shape), torch.randn(workload.weight_shape)
    bias = torch.randn(workload.out_channels)
    if (workload.height, workload.width) == (1, 1) == workload.kernel:
        flat, matrix = data.flatten(1), weight.flatten(1)
        return lambda: nn.functional.linear(flat, matrix, bias)
    conv2d = partial(nn.functional.conv2d, weight=weight, bias=bias, stride=workload.stride)
    if (top, left) != (bottom, right):
        return lambda: conv2d(nn.functional.pad(data, (left, right, top, bottom)), groups=workload.groups)
    return lambda: conv2d(data, padding=(top, left), groups=workload.groups)


def kernel_call(name: str, workload: ConvWorkload, target: CodeTarget) -> Callable[[], object] | None:
    """The algorithm's untuned kernel on random numbers, or None where it does not serve the layer."""
    algorithm = registry.ALGORITHMS.load(name)
    if algorithm.unsupported(workload):
        return None
    input_block, output_block = algorithm.layouts(workload)
    placed = replace(workload, input_block=input_block, output_block=output_block)
    function = kernels.untuned(ConvLayer("", placed, algorithm.__name__, algorithm.__name__), target)
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    kernel = tvm.compile(module, tvm_target(target))["main"]
    random = np.random.default_rng(0)
    arrays = []
    for parameter in function.params:
        numbers = random.random([int(extent) for extent in parameter.shape]) * 100
        arrays.append(tvm.runtime.tensor(numbers.astype(str(parameter.dtype))))
    return lambda: kernel(*arrays)


def short(workload: ConvWorkload) -> str:
    """The key without what all layers have in common."""
    return workload.key.removeprefix("conv2d_n1_").removesuffix("_float32_bias").replace("_d1x1", "")


if __name__ == "__main__":
    main()
