"""The kernel of each convolution by the declared algorithm, or by a named one in its place."""

from __future__ import annotations

from dataclasses import replace

from dlas.interfaces.program import ConvLayer
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS, variants
from dlas.systems.choices.kind import Kind
from dlas.systems.graph.sites import ConvSite

SERVES_EVERY_LAYER = "direct"

SERVES_BLOCKS = "spatial_pack"
"""Algorithm that serves all layers, but some with groups, with activations in NCHWc."""


def assigned(site: ConvSite, algorithm: str, weight_format: str) -> ConvLayer:
    """The layer served by `algorithm` (of dlas.plugins.registry) with its weights in `weight_format`.

    Where they cannot serve it, another takes their place and the layer says why: the same algorithm with
    dense weights, `spatial_pack` where that keeps activations in blocks, and `direct` for every layer.
    """
    requested = in_format(algorithm, weight_format) or f"{algorithm}_sparse"
    reasons: list[str] = []
    stand_ins = [(candidate, "dense") for candidate in _stand_ins(site, algorithm)]
    for candidate, stored in ((algorithm, weight_format), (algorithm, "dense"), *stand_ins):
        workload = replace(site.conv.workload, format=stored)
        reason = unsupported(candidate, workload)
        if not reason:
            return layer(site.name, workload, candidate, requested, "; ".join(dict.fromkeys(reasons)))
        reasons.append(reason)
    raise AssertionError(f"no kernel for {site.conv.workload.key}: {reasons}")


def layer(
    name: str, workload: ConvWorkload, algorithm: str, requested: str, fallback_reason: str = ""
) -> ConvLayer:
    """The layer with its kernel's algorithm, and its activations in the layouts that the kernel works in."""
    served_by = kernel_algorithm(algorithm, workload)
    assert served_by is not None
    blocks = ALGORITHMS.load(served_by).layouts(workload)
    return ConvLayer(
        name=name,
        workload=replace(workload, input_block=blocks[0], output_block=blocks[1]),
        algorithm=served_by,
        requested=requested,
        fallback_reason=fallback_reason,
    )


def unsupported(algorithm: str, workload: ConvWorkload) -> str:
    """Why `algorithm` cannot serve the layer in the workload's format; "" where it can."""
    served_by = kernel_algorithm(algorithm, workload)
    if served_by is None:
        kind = "int8" if workload.dtype == "int8" else f"weights in {workload.format}"
        return f"{_short(algorithm)} is not made for {kind}"
    reason: str = ALGORITHMS.load(served_by).unsupported(workload)
    return reason


def serving_modules(kind: Kind, *, integer: bool) -> list[str]:
    """Every module that `assigned` may take a layer's kernel from; `integer` is for an int8 network."""
    stand_ins = [] if kind.algorithm == SERVES_EVERY_LAYER else [SERVES_BLOCKS, SERVES_EVERY_LAYER]
    names = [in_format(kind.algorithm, kind.weight_format)]
    for algorithm in (kind.algorithm, *stand_ins):
        names += [algorithm, *([_for_int8(algorithm)] if integer else [])]
    return [ALGORITHMS.path(name) for name in names if name is not None]


def kernel_algorithm(algorithm: str, workload: ConvWorkload) -> str | None:
    """The algorithm with the kernels for the workload's format and data type, such as `direct_sparse`;
    None without one."""
    if workload.dtype == "int8" and workload.format == "dense":
        return _for_int8(algorithm)
    return in_format(algorithm, workload.format)


def in_format(algorithm: str, weight_format: str) -> str | None:
    """The algorithm for weights in that format, such as `direct_sparse`; None where it has
    no kernels for it."""
    return algorithm if weight_format == "dense" else _name(variants(algorithm).sparse)


def _for_int8(algorithm: str) -> str | None:
    return _name(variants(algorithm).int8)


def _name(module: str | None) -> str | None:
    return None if module is None else ALGORITHMS.name(module)


def _stand_ins(site: ConvSite, algorithm: str) -> list[str]:
    in_blocks = ALGORITHMS.load(algorithm).layouts(site.conv.workload) != (1, 1)
    return [SERVES_BLOCKS, SERVES_EVERY_LAYER] if in_blocks else [SERVES_EVERY_LAYER]


def _short(module: str) -> str:
    return module.rpartition(".")[2]
