"""Operators that were built, run and found to compute what PyTorch computes; no other one is compiled.

The importer has converters for more operators, and passes over arguments of some of them. So what is not in
this table is refused, by the place in the user's network. `tests/operators.py` has a network for each entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils._pytree import tree_leaves

from dlas.interfaces.compiler import NetworkNotTaken
from dlas.models.graph.places import told

FLOATS, INTEGERS, TRUTHS = "floating-point numbers", "whole numbers", "truths"
"""Kinds of data: float32 and float16; signed and unsigned integers; bool."""

KINDS: Mapping[torch.dtype, str] = MappingProxyType(
    {
        **dict.fromkeys((torch.float32, torch.float16), FLOATS),
        **dict.fromkeys((torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8), INTEGERS),
        torch.bool: TRUTHS,
    }
)

_KINDS_BY_LETTER = {"f": FLOATS, "i": INTEGERS, "b": TRUTHS}


def _kinds(letters: str, *operators: str) -> dict[str, frozenset[str]]:
    return {f"aten.{name}": frozenset(_KINDS_BY_LETTER[letter] for letter in letters) for name in operators}


TRUSTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **_kinds(
            "f",
            *("linear.default", "convolution.default", "addmm.default", "bmm.default", "mm.default"),
            *("_native_batch_norm_legit_no_training.default", "_softmax.default", "_log_softmax.default"),
            *("_adaptive_avg_pool2d.default", "avg_pool2d.default", "avg_pool3d.default"),
            *("upsample_nearest1d.vec", "upsample_nearest2d.vec", "_upsample_nearest_exact2d.vec"),
            "_upsample_nearest_exact1d.vec",
            *("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_bicubic2d.vec"),
            *("_upsample_bilinear2d_aa.vec", "_upsample_bicubic2d_aa.vec"),
            *("relu.default", "leaky_relu.default", "hardtanh.default", "gelu.default", "sigmoid.default"),
            *("acos.default", "asin.default", "atan.default", "atan2.default", "cos.default", "sin.default"),
            *("tan.default", "tanh.default", "erf.default"),
            *(
                "exp.default",
                "expm1.default",
                "log.default",
                "log10.default",
                "log1p.default",
                "log2.default",
            ),
            *("sqrt.default", "rsqrt.default", "reciprocal.default"),
            *("pow.Scalar", "pow.Tensor_Scalar", "pow.Tensor_Tensor"),
            *("add.Scalar", "mul.Scalar", "remainder.Tensor", "fmod.Scalar", "clamp.Tensor"),
            *("ceil.default", "floor.default", "round.default", "round.decimals", "trunc.default"),
            *("mean.default", "mean.dim", "var.correction", "linalg_vector_norm.default", "prod.dim_int"),
            *("constant_pad_nd.default", "slice_scatter.default", "copy.default", "full_like.default"),
            "alias.default",
        ),
        **_kinds(
            "fi",
            *("abs.default", "neg.default", "sign.default", "clamp.default"),
            *("sub.Tensor", "div.Tensor", "div.Tensor_mode", "remainder.Scalar"),
            *("maximum.default", "minimum.default", "amax.default", "amin.default"),
            *("max.default", "min.default", "max.dim", "min.dim", "argmax.default", "argmin.default"),
            *("max_pool2d_with_indices.default", "adaptive_max_pool2d.default", "embedding.default"),
        ),
        **_kinds(
            "fib",
            *("add.Tensor", "mul.Tensor", "sum.dim_IntList", "eq.Scalar", "eq.Tensor", "ne.Scalar"),
            *("ge.Scalar", "ge.Tensor", "gt.Scalar", "gt.Tensor", "le.Scalar", "le.Tensor"),
            *("lt.Scalar", "lt.Tensor", "logical_and.default", "where.self", "_to_copy.default"),
            *("cat.default", "split_with_sizes.default", "slice.Tensor", "select.int", "index.Tensor"),
            *("index_select.default", "gather.default", "flip.default", "repeat.default", "permute.default"),
            *("view.default", "unsqueeze.default", "squeeze.dims", "expand.default", "clone.default"),
            "_assert_tensor_metadata.default",
        ),
        **_kinds("fb", "isinf.default", "isnan.default", "logical_not.default"),
        **_kinds("ib", "ne.Tensor", "logical_or.default"),
        **_kinds("i", "arange.start_step", "bitwise_and.Scalar", "bitwise_or.Scalar", "bitwise_xor.Scalar"),
        **_kinds(
            "b",
            *("any.default", "any.dim", "any.dims", "logical_xor.default", "bitwise_not.default"),
            *("bitwise_and.Tensor", "bitwise_or.Tensor", "bitwise_xor.Tensor"),
        ),
    }
)
"""Operators of a decomposed program, and the kinds of data that they may take and give."""


@dataclass(frozen=True)
class Unfit:
    """Why an operator of the table is refused as it is used, and what to use instead."""

    problem: str
    remedy: str


Condition = Callable[[Node, frozenset[Node]], Unfit | None]
"""What a node is refused for; the nodes that depend on the images are beside it."""


def require_trusted(program: ExportedProgram) -> None:
    """NetworkNotTaken that tells of every node of a decomposed program that may be compiled wrongly. A node
    that reads what such a node gives is passed over."""
    varying = _varying(program)
    refused: set[Node] = set()
    found: dict[str, str] = {}
    for node in program.graph.nodes:
        unfit = _unfit(node, varying) if node.op in ("call_function", "get_attr") else None
        if unfit is None:
            continue
        if refused.isdisjoint(node.all_input_nodes):
            found.setdefault(f"{told(node)}{unfit.problem and ': '}{unfit.problem}", unfit.remedy)
        refused.add(node)
    if found:
        raise refusal(list(found), list(found.values()))


def refusal(places: Iterable[str], remedies: Iterable[str]) -> NetworkNotTaken:
    """The error for operators at these places."""
    lines = "".join(f"\n  {place}" for place in places)
    return NetworkNotTaken(
        f"the network has operators that cannot be compiled to what PyTorch computes:{lines}",
        key="model",
        remedy="\n  ".join(dict.fromkeys(remedies)),
    )


def _varying(program: ExportedProgram) -> frozenset[Node]:
    """The nodes that depend on the images."""
    images = set(program.graph_signature.user_inputs)
    found: set[Node] = set()
    for node in program.graph.nodes:
        if node.name in images or any(read in found for read in node.all_input_nodes):
            found.add(node)
    return frozenset(found)


def operator(node: Node) -> str:
    """Name of the operator in the table."""
    return "getitem" if getattr(node.target, "__name__", "") == "getitem" else str(node.target)


def data_types(node: Node) -> set[torch.dtype]:
    """Types of the tensors that a node takes and gives."""
    values = [read.meta.get("val") for read in (*node.all_input_nodes, node)]
    return {leaf.dtype for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)}


def _unfit(node: Node, varying: frozenset[Node]) -> Unfit | None:
    name, given = operator(node), node.meta.get("val")
    if isinstance(given, torch.Tensor) and 0 in given.shape:  # of several the one that is read tells
        return Unfit(f"it gives a tensor without elements, {tuple(given.shape)}", EMPTY)
    if name in ("getitem", *QUANTIZATION):
        return None
    kinds = TRUSTED.get(name)
    if kinds is None:
        return Unfit("", REMEDIES.get(name, OTHER))
    for dtype in data_types(node):
        kind = KINDS.get(dtype)
        if kind is None:
            return Unfit(f"it works on {dtype}", NUMBERS)
        if kind not in kinds:
            return Unfit(f"it works on {kind}, {dtype}", NUMBERS)
    condition = CONDITIONS.get(name)
    return condition(node, varying) if condition else None


def _one_result(node: Node, varying: frozenset[Node]) -> Unfit | None:
    """Of an operator with indices beside its values, the values alone."""
    if any(operator(user) == "getitem" and user.args[1] != 0 and user.users for user in node.users):
        return Unfit("the positions that it gives are read", "nn.Upsample in the place of nn.MaxUnpool2d")
    return None


def _plain_convolution(node: Node, varying: frozenset[Node]) -> Unfit | None:
    if len(node.args[3]) > 2:  # type: ignore[arg-type]
        return Unfit(f"it has {len(node.args[3])} dimensions", "convolutions of one or two dimensions")  # type: ignore[arg-type]
    if any(read in varying for read in node.all_input_nodes[1:]):
        return Unfit(
            "its weight is computed from the images",
            "a weight that is a parameter; for a filter of each image, products of matrices (torch.einsum)",
        )
    return None


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "aten.convolution.default": _plain_convolution,
        "aten.max_pool2d_with_indices.default": _one_result,
        "aten.adaptive_max_pool2d.default": _one_result,
    }
)

QUANTIZATION = frozenset(
    f"quantized_decomposed.{name}_per_{each}.default"
    for name in ("quantize", "dequantize")
    for each in ("tensor", "channel")
)
"""Operators that `compression.int8` writes around layers."""

OTHER = "other operators: dlas/systems/graph/trusted_operators.py has those that can be compiled"
EMPTY = "a forward that leaves out parts of which nothing is left, such as x[:, :0] in a torch.cat"
NUMBERS = "float32 numbers instead: x.float()"

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("aten.topk.default", "aten.sort.default", "aten.sort.stable", "aten.median.dim"),
                *("aten.kthvalue.default", "aten.argsort.default"),
            ),
            "a maximum, a mean or softmax where single elements are sorted out",
        ),
        **dict.fromkeys(
            (
                *("aten.index_put.default", "aten.scatter.src", "aten.scatter.value"),
                *("aten.scatter_add.default", "aten.scatter_reduce.two"),
            ),
            "torch.where, or torch.cat of slices, where single elements are written",
        ),
        **dict.fromkeys(
            ("aten._fft_r2c.default", "aten._fft_c2c.default", "aten._fft_c2r.default"),
            "convolutions where spectra are computed",
        ),
        "aten._trilinear.default": "torch.einsum, or a product and nn.Linear, in the place of nn.Bilinear",
    }
)
"""What to use in the place of operators that people have in networks."""
