"""Where in the user's network the operators of an exported program come from, for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch.export import ExportedProgram
from torch.fx import Node

from dlas import users_code
from dlas.models.graph.layers import path

WRAPPER = "network."
"""Prefix of the names of layers in a network that computes in another data type."""

NAMED = re.compile(r"(?:::|\.|\boperator )(\w+)|\b([A-Z]\w+)\(\d+\)")
"""An operator in what a compiler says: `aten::erfinv`, `torch.special.erf`, `onnx.Erf`, `operator erfinv`;
`BitShift(11)` with the version of ONNX that has it."""

ONNX: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "averagepool": ("avgpool", "adaptiveavgpool"),
        "bitshift": ("bitwiseleftshift", "bitwiserightshift"),
        "clip": ("clamp", "hardtanh", "relu6"),
        "concat": ("cat", "stack"),
        "depthtospace": ("pixelshuffle",),
        "equal": ("eq",),
        "gather": ("select", "index", "embedding"),
        "gathernd": ("index",),
        "gemm": ("linear", "addmm"),
        "globalaveragepool": ("mean", "adaptiveavgpool"),
        "globalmaxpool": ("adaptivemaxpool",),
        "greater": ("gt",),
        "greaterorequal": ("ge",),
        "instancenormalization": ("groupnorm", "instancenorm"),
        "less": ("lt",),
        "lessorequal": ("le",),
        "lpnormalization": ("norm", "linalgvectornorm"),
        "matmul": ("linear", "mm", "bmm"),
        "mod": ("remainder", "fmod"),
        "pad": ("constantpadnd", "reflectionpad", "replicationpad"),
        "range": ("arange",),
        "reducemax": ("amax",),
        "reducemin": ("amin",),
        "reducel2": ("norm", "linalgvectornorm"),
        "resize": ("upsamplebicubic", "upsamplebilinear", "upsamplelinear", "upsamplenearest", "interpolate"),
        "reshape": ("view", "flatten", "unflatten"),
        "scatternd": ("indexput",),
        "shrink": ("softshrink", "hardshrink"),
        "spacetodepth": ("pixelunshuffle",),
        "thresholdedrelu": ("threshold",),
        "tile": ("repeat",),
        "transpose": ("permute",),
        "trilu": ("tril", "triu"),
    }
)
"""ONNX's names that are none of PyTorch's, with those of PyTorch's that are exported so. All are as `_plain`
has them, without the number of dimensions."""

DIMENSIONS = re.compile(r"[123]d$")
"""The number of dimensions, which PyTorch's names have, and ONNX's do not."""


def told(node: Node) -> str:
    """Operator, layer and line of the user's code that a node comes from."""
    name = path(node).removeprefix(WRAPPER)
    layer = f"in the layer {name}" if name else "in the network's own forward"
    frames = re.findall(r'File "(.+)", line (\d+)', node.meta.get("stack_trace") or "")
    place = users_code.innermost((file, int(line)) for file, line in frames)
    return f"{_named(node)} {layer}{place and f' ({place})'}"


def of_operators(program: ExportedProgram, said: str) -> list[str]:
    """The places, as `told` tells them, of all operators that a compiler named in what it said."""
    named = {_plain(name) for names in NAMED.findall(said) for name in names if name}
    nodes = (node for node in program.graph.nodes if node.op == "call_function")
    return list(dict.fromkeys(told(node) for node in nodes if not named.isdisjoint(_names(node))))


def _names(node: Node) -> Iterator[str]:
    """What compilers may call its operator."""
    plain = {_plain(_own(node).rpartition(".")[2]), _plain(_called(node))} - {""}
    of_pytorch = plain | {DIMENSIONS.sub("", name) for name in plain}
    yield from of_pytorch
    yield from (f"reduce{name}" for name in of_pytorch)
    yield from (name for name, ours in ONNX.items() if not of_pytorch.isdisjoint(ours))


def _plain(name: str) -> str:
    """The name as PyTorch's and ONNX's have it in common: `log_softmax`, `LogSoftmax`."""
    return name.replace("_", "").lower()


def _named(node: Node) -> str:
    """Name by which the user calls an operator, and PyTorch's own where that is another."""
    own, called = _own(node), _called(node)
    return own if not called or called in own else f"{called} ({own})"


def _own(node: Node) -> str:
    """PyTorch's name of the operator, such as `aten.erfinv`."""
    own = str(node.target)
    return own.rpartition(".")[0] or own


def _called(node: Node) -> str:
    """Name by which the user calls the operator; "" where that is not known."""
    return str((node.meta.get("torch_fn") or ("", ""))[1]).rpartition(".")[2].strip("_")
