"""Operators that are taken apart into others before a network is imported, by PyTorch's own definitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch._decomp import get_decompositions
from torch._ops import OperatorBase, OpOverload
from torch.export.exported_program import _split_decomp_table_to_cia_and_python_decomp
from torch.utils._pytree import tree_leaves, tree_map_only

aten = torch.ops.aten

KEPT = (
    aten.linear.default,
    aten.upsample_nearest1d.vec,
    aten.upsample_nearest2d.vec,
    aten._upsample_nearest_exact1d.vec,
    aten._upsample_nearest_exact2d.vec,
    aten.upsample_linear1d.vec,
    aten.upsample_bilinear2d.vec,
    aten.upsample_bicubic2d.vec,
    aten._upsample_bilinear2d_aa.vec,
    aten._upsample_bicubic2d_aa.vec,
)
"""Operators that PyTorch would take apart, and that have a converter."""

WIDE = (
    aten.sum.dim_IntList,
    aten.mean.default,
    aten.mean.dim,
    aten.var.correction,
    aten.linalg_vector_norm.default,
    aten.prod.dim_int,
    aten._softmax.default,
    aten._log_softmax.default,
    aten._adaptive_avg_pool2d.default,
    aten.avg_pool2d.default,
    aten.avg_pool3d.default,
    aten.mm.default,
    aten.bmm.default,
    aten.addmm.default,
    *(aten.acos.default, aten.asin.default, aten.atan.default, aten.atan2.default),
    *(aten.tan.default, aten.erf.default),
)
"""Operators that float16 networks compute in float32: sums, as PyTorch does (float16 ends at 65504, and has
no odd numbers from 2048 on), and functions that LLVM has for float32 alone."""


Definitions = Mapping[Any, Callable[..., Any]]
"""What each operator is taken apart into."""


@dataclass(frozen=True)
class Tables:
    """The definitions of `table`, in the two parts that PyTorch works with."""

    composite: Definitions
    """For operators that PyTorch takes apart by itself (CompositeImplicitAutograd): those that it should take
    apart in another way, or not at all."""
    plain: Definitions
    """For all other operators."""


@cache
def tables() -> Tables:
    """How operators are taken apart.

    `ExportedProgram.run_decompositions` would make the parts anew for each network, and would define some 500
    composite operators for a moment as they are defined anyway: three quarters of its time for a small one.
    """
    composite, plain = _split_decomp_table_to_cia_and_python_decomp(dict(table()))
    changed = {name: made for name, made in composite.items() if not _is_its_own(made, name)}
    return Tables(changed, plain)


def _is_its_own(definition: Callable[..., Any], operator: OperatorBase) -> bool:
    """Whether the operator is defined so without any table: in C++, or by what is registered for it."""
    registered = operator.py_kernels.get(torch._C.DispatchKey.CompositeImplicitAutograd)
    return definition is registered or getattr(definition, "keywords", {}).get("kernel") is operator


def table() -> Definitions:
    """How operators are taken apart, as `ExportedProgram.run_decompositions` takes it."""
    found: dict[Any, Callable[..., Any]] = torch.export.default_decompositions()
    for operator in KEPT:
        found.pop(operator, None)
    return {
        **found,
        **{operator: _in_float32(operator) for operator in WIDE},
        **get_decompositions([aten.elu.default, aten.grid_sampler_2d.default]),
        aten.native_layer_norm.default: _layer_norm,
        aten.native_group_norm.default: _group_norm,
        aten._native_batch_norm_legit.no_stats: _batch_statistics_norm,
        aten.var_mean.correction: _var_mean,
        aten.convolution.default: _transposed_convolution,
        aten.sinh.default: _sinh,
        aten.cosh.default: _cosh,
        aten.rrelu.default: _rrelu,
        aten.cumsum.default: _cumsum,
        aten.unfold.default: _unfold,
    }


def _in_float32(operator: OpOverload) -> Callable[..., Any]:
    def decomposed(*arguments: Any, **named: Any) -> Any:
        halves = [leaf for leaf in tree_leaves((arguments, named)) if _is_half(leaf)]
        if not halves or named.get("dtype") is not None:
            return NotImplemented
        widened, widened_named = tree_map_only(torch.Tensor, _widened, (arguments, named))
        return operator(*widened, **widened_named).half()

    return decomposed


def _is_half(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.float16


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if _is_half(tensor) else tensor


def _normalized(
    data: torch.Tensor, dims: list[int], eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Numbers of mean 0 and variance 1 in float32, their mean before, and the reciprocal of their deviation.

    The variance is that of differences from the mean: TVM's own takes the square of the mean from the mean of
    squares, which leaves little where the mean is large.
    """
    numbers = data.float()
    mean = numbers.mean(dims, keepdim=True)
    centred = numbers - mean
    reciprocal = torch.rsqrt((centred * centred).mean(dims, keepdim=True) + eps)
    return centred * reciprocal, mean, reciprocal


def _scaled(
    data: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, shape: Sequence[int]
) -> torch.Tensor:
    if weight is not None:
        data = data * weight.reshape(shape)
    return data if bias is None else data + bias.reshape(shape)


def _layer_norm(
    data: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
) -> tuple[torch.Tensor, ...]:
    dims = range(data.dim() - len(normalized_shape), data.dim())
    normal, mean, reciprocal = _normalized(data, list(dims), eps)
    return _scaled(normal, weight, bias, normalized_shape).to(data.dtype), mean, reciprocal


def _group_norm(
    data: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    images: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> tuple[torch.Tensor, ...]:
    normal, mean, reciprocal = _normalized(data.reshape(images, groups, -1), [2], eps)
    scaled = _scaled(normal.reshape(data.shape), weight, bias, _per_channel(data))
    return scaled.to(data.dtype), mean.reshape(images, groups), reciprocal.reshape(images, groups)


def _batch_statistics_norm(
    data: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[torch.Tensor, ...]:
    """Batch norm by the images' own statistics: what instance norm is made of."""
    normal, mean, reciprocal = _normalized(data, [0, *range(2, data.dim())], eps)
    scaled = _scaled(normal, weight, bias, _per_channel(data))
    return scaled.to(data.dtype), mean.reshape(-1), reciprocal.reshape(-1)


def _per_channel(data: torch.Tensor) -> list[int]:
    return [1, data.shape[1], *[1] * (data.dim() - 2)]


def _var_mean(
    data: torch.Tensor,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    dims = list(dim or range(data.dim()))
    return torch.var(data, dims, correction=correction, keepdim=keepdim), data.mean(dims, keepdim=keepdim)


def _transposed_convolution(
    data: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    """A transposed convolution as a plain one over its input with zeros between the elements (Dumoulin and
    Visin, arXiv:1603.07285, section 4): a convolution as any other to the kernels."""
    if not transposed:
        return NotImplemented
    border: list[int] = []
    for axis, step in enumerate(stride, 2):
        data = _spread(data, axis, step)
        before = dilation[axis - 2] * (weight.shape[axis] - 1) - padding[axis - 2]
        border = [before, before + output_padding[axis - 2], *border]
    inputs, outputs, *kernel = weight.shape
    by_group = weight.reshape(groups, inputs // groups, outputs, *kernel).transpose(1, 2)
    flipped = by_group.reshape(groups * outputs, inputs // groups, *kernel).flip(list(range(2, weight.dim())))
    one, none = [1] * len(stride), [0] * len(stride)
    padded = aten.constant_pad_nd.default(data, border)
    return aten.convolution.default(padded, flipped, bias, one, none, dilation, False, none, groups)


def _spread(data: torch.Tensor, axis: int, step: int) -> torch.Tensor:
    """The elements along an axis with `step` - 1 zeros between them."""
    if step == 1:
        return data
    length = data.shape[axis]
    behind = [0, 0] * (data.dim() - 1 - axis)
    apart: torch.Tensor = aten.constant_pad_nd.default(data.unsqueeze(axis + 1), [*behind, 0, step - 1])
    return apart.flatten(axis, axis + 1).narrow(axis, 0, (length - 1) * step + 1)


def _sinh(data: torch.Tensor) -> torch.Tensor:
    numbers = data.float()
    return ((numbers.exp() - (-numbers).exp()) / 2).to(data.dtype)


def _cosh(data: torch.Tensor) -> torch.Tensor:
    """By exponentials, since LLVM has no cosh of vectors."""
    numbers = data.float()
    return ((numbers.exp() + (-numbers).exp()) / 2).to(data.dtype)


def _rrelu(
    data: torch.Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> torch.Tensor:
    """Leaky ReLU by the mean slope, which is what it is in eval mode."""
    return torch.where(data > 0, data, data * ((lower + upper) / 2))


def _cumsum(data: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Any:
    """Cumulative sums as a product with a triangle of ones."""
    if not data.is_floating_point() or data.dim() == 0:
        return NotImplemented
    length = data.shape[dim]
    ones = torch.ones(length, length, dtype=dtype or data.dtype, device=data.device).triu()
    moved = data.to(ones.dtype).movedim(dim, -1)
    sums: torch.Tensor = (moved.reshape(-1, length) @ ones).reshape(moved.shape)
    return sums.movedim(-1, dim)


def _unfold(data: torch.Tensor, dim: int, size: int, step: int) -> torch.Tensor:
    """Windows along a dimension, by the positions of their elements."""
    dim = dim % data.dim()
    starts = torch.arange(0, data.shape[dim] - size + 1, step, device=data.device)
    positions = starts[:, None] + torch.arange(size, device=data.device)
    shape = [*data.shape[:dim], len(starts), size, *data.shape[dim + 1 :]]
    return data.index_select(dim, positions.flatten()).reshape(shape).movedim(dim + 1, -1)
