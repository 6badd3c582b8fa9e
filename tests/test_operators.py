"""Operators between convolutions: each is right, or refused by its place in the user's network."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import operators
import pytest
import torch
import tvm
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional

from dlas import config
from dlas.errors import UserError
from dlas.hardware.targets.resolving import resolve
from dlas.models.graph.exporting import decomposed, exported
from dlas.models.precision import Float16
from dlas.systems.choices.declared_algorithm import assigned
from dlas.systems.choices.lowering import lowered
from dlas.systems.compilers.tvm.building import build_library
from dlas.systems.graph import trusted_operators
from dlas.systems.graph.importing import import_network, import_program
from dlas.systems.graph.sites import conv_sites

GROUPS = {
    "activations": operators.ACTIVATIONS,
    "arithmetic": operators.ARITHMETIC,
    "reductions": {**operators.REDUCTIONS, **operators.NORMALIZATIONS},
    "pooling": operators.POOLING,
    "interpolation": operators.INTERPOLATION,
    "shapes": operators.SHAPES,
    "layers": operators.LAYERS,
}

IN_FLOAT16 = [
    *("selu", "mish", "softplus", "gelu", "leaky relu", "softmax of everything", "log_softmax"),
    *(
        "add with a factor",
        "arcs",
        "hyperbolic",
        "trigonometry",
        "atan2",
        "power of tensors",
        "exp and expm1",
    ),
    *(
        "logarithms",
        "erf",
        "clamp by tensors",
        "mixed types",
        "where",
        "sum of all",
        "variance",
        "norm",
        "product",
    ),
    *("cosine similarity", "group norm of a large mean", "average pooling with a divisor"),
    *("adaptive average pooling to 5 x 7", "adaptive max pooling to 5 x 7", "addmm"),
    *(
        "LSTM of two layers, both ways",
        "LayerNorm over channels",
        "ConvTranspose2d",
        "linear by computed weights",
    ),
]
"""Operators that float16 networks compute by other functions, or by sums that float16 has no room for."""


def images(count: int) -> torch.Tensor:
    return 1.5 * torch.randn(
        count, 3, operators.SIDE, operators.SIDE, generator=torch.Generator().manual_seed(1)
    )


@cache
def program(names: tuple[str, ...]) -> ExportedProgram:
    return decomposed(exported(operators.Several(names).eval(), images(1)))


def answered(
    program: ExportedProgram, given: torch.Tensor, algorithm: str, folder: Path
) -> list[torch.Tensor]:
    """What the library of a network of several results answers."""
    imported = import_program(program)
    sites = conv_sites(imported)
    network = lowered(imported, sites, [assigned(site, algorithm, "dense") for site in sites])
    build_library(network, {}, resolve(config.Target(name="host")).code, None, 3, folder / "library.so")
    library = tvm.runtime.load_module(str(folder / "library.so"))
    found = tvm.runtime.vm.VirtualMachine(library, tvm.cpu())["main"](tvm.runtime.tensor(given.numpy()))
    return [
        torch.from_numpy(each.numpy())
        for each in ([found] if isinstance(found, tvm.runtime.Tensor) else found)
    ]


def wrong(
    network: operators.Several, given: torch.Tensor, found: list[torch.Tensor], tolerance: float
) -> list[str]:
    """The operators whose results differ by more than this part of the largest number."""
    with torch.inference_mode():
        expected = network.results(given)
    return [
        name
        for (name, right), result in zip(expected, found, strict=True)
        if result.shape != right.shape
        or result.dtype != right.dtype
        or not (result.double() - right.double()).abs().max() <= tolerance * right.double().abs().max()
    ]


def failing(names: list[str], check: Callable[[list[str]], list[str]]) -> list[str]:
    """The operators that fail, each with how it does: of one network of all, or where that cannot be built of
    a network each."""
    try:
        return check(names)
    except Exception as error:
        if len(names) == 1:
            return [f"{names[0]}: {error}"]
        return [told for name in names for told in failing([name], check)]


@pytest.mark.parametrize("group", GROUPS)
def test_an_operator_equals_pytorch(group: str, tmp_path: Path) -> None:
    def check(names: list[str]) -> list[str]:
        found = answered(program(tuple(names)), images(1), "spatial_pack", tmp_path)
        return wrong(operators.Several(names).eval(), images(1), found, 1e-4)

    assert failing(list(GROUPS[group]), check) == []


def test_layers_equal_pytorch_for_several_images(tmp_path: Path) -> None:
    names = ["Linear over tokens", "Conv1d", "ConvTranspose2d", "LayerNorm over channels", "GroupNorm"]
    names += ["nearest to 11", "average pooling, rounded up, divisor", "lists apart"]
    network = operators.Several(names).eval()
    exact = decomposed(exported(network, images(2)))
    found = answered(exact, images(2), "direct", tmp_path)
    assert wrong(network, images(2), found, 1e-4) == []


def test_operators_in_float16_equal_pytorch(tmp_path: Path) -> None:
    network = operators.Several(IN_FLOAT16).eval()
    halved = decomposed(exported(network.half(), images(1).half()))
    found = answered(halved, images(1).half(), "direct", tmp_path)
    assert wrong(network, images(1).half(), found, 1e-2) == []


def test_sums_in_float16_are_those_of_float32(tmp_path: Path) -> None:
    """In float16 a sum of ones ends at 2048."""

    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.layer(x).abs() + 1
            return torch.cat([x.mean((2, 3)), functional.adaptive_avg_pool2d(x, 1).flatten(1)], 1)

    torch.manual_seed(0)
    network, given = Means().eval(), torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        expected = network(given).flatten()
    program = decomposed(exported(Float16(network), given))
    (found,) = answered(program, given, "direct", tmp_path)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-2, atol=1e-2)


def test_every_trusted_operator_is_in_the_networks_above() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for group in GROUPS.values():
        for node in program(tuple(group)).graph.nodes:
            if node.op == "call_function":
                kinds = (trusted_operators.KINDS[dtype] for dtype in trusted_operators.data_types(node))
                found[trusted_operators.operator(node)].update(kinds)
    assert {
        name: kinds for name, kinds in trusted_operators.TRUSTED.items() if not kinds <= found[name]
    } == {}


class Nested(nn.Module):
    """A network with one operator deep inside."""

    def __init__(self, operator: operators.Operator | nn.Module) -> None:
        super().__init__()
        inner = operator if isinstance(operator, nn.Module) else operators.Function(operator)
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Sequential(inner))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.features(x)
        return result.flatten(1)


class Product(nn.Module):
    """A bilinear layer of the activations and themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(operators.SIDE, operators.SIDE, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x, x)
        return result


def _dynamic_filter(x: torch.Tensor) -> torch.Tensor:
    return functional.conv2d(x, x.mean((0, 2, 3)).view(16, 1, 1, 1), groups=16)


REFUSED: dict[str, tuple[operators.Operator | nn.Module, list[str]]] = {
    "topk": (lambda x: x.topk(3, 2)[0], ["topk", "a maximum"]),
    "sort": (lambda x: x.sort(3)[0], ["sort", "a maximum"]),
    "median": (lambda x: x.median(3)[0], ["median"]),
    "cumprod": (lambda x: x.cumprod(3), ["cumprod"]),
    "spectra": (lambda x: torch.fft.rfft2(x).abs(), ["fft_rfft2", "aten._fft_r2c", "convolutions"]),
    "scattered": (
        lambda x: x.scatter(1, torch.zeros(1, 1, 12, 12, dtype=torch.long), 0.5),
        ["scatter", "torch.where"],
    ),
    "fold": (lambda x: functional.fold(functional.unfold(x, 2), 12, 2), ["fold", "index_put", "torch.where"]),
    "unpooling": (
        lambda x: functional.max_unpool2d(*functional.max_pool2d(x, 2, return_indices=True), 2),
        ["max_pool2d", "positions", "nn.Upsample"],
    ),
    "positions of adaptive pooling": (
        lambda x: functional.adaptive_max_pool2d(x, 3, return_indices=True)[1].float(),
        ["adaptive_max_pool2d", "positions"],
    ),
    "empty parts": (lambda x: torch.cat([x, x[:, :0]], 1), ["slice", "(1, 0, 12, 12)", "leaves out"]),
    "float64": (lambda x: x.double().sqrt().float(), ["torch.float64", "x.float()"]),
    "bfloat16": (lambda x: (x.bfloat16() * 2).float(), ["torch.bfloat16"]),
    "complex numbers": (lambda x: torch.complex(x, x).abs(), ["aten.complex"]),
    "power of whole numbers": (lambda x: (10 * x).long() ** 2, ["pow", "whole numbers", "x.float()"]),
    "convolution of volumes": (
        nn.Sequential(nn.Unflatten(1, (4, 4)), nn.Conv3d(4, 2, 3)),
        ["conv3d", "3 dimensions", "one or two dimensions"],
    ),
    "convolution by the images": (_dynamic_filter, ["conv2d", "computed from the images", "a parameter"]),
    "bilinear layer": (
        Product(),
        ["bilinear", "aten._trilinear", "torch.einsum"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compiled_rightly_is_refused_by_its_place(name: str) -> None:
    operator, told = REFUSED[name]
    with pytest.raises(UserError) as refusal:
        import_network(Nested(operator).eval(), (1, 3, operators.SIDE, operators.SIDE))
    message = str(refusal.value)
    assert all(words in message for words in [*told, "in the layer features.1.0"]), message
    assert re.search(r"\((tests/)?(test_)?operators\.py:\d+\)", message) or isinstance(operator, nn.Module)


def test_a_refusal_tells_of_every_operator_once() -> None:
    def several(x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = x.sort(3)[0] + 1
        return x.topk(3, 1)[0]

    with pytest.raises(UserError) as refusal:
        import_network(Float16(Nested(several).eval()), (1, 3, operators.SIDE, operators.SIDE))
    places = [line for line in str(refusal.value).splitlines() if "in the layer features.1.0" in line]
    assert len(places) == 2
