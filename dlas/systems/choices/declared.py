"""Which kernel serves each convolution of a network: the declared one, or a named one in its place."""

from __future__ import annotations

from dataclasses import replace

from dlas.algorithms.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.choices.kind import Kind
from dlas.systems.graph.sites import ConvSite
from dlas.systems.program.program import ConvLayer

SERVES_EVERY_LAYER = "direct"

SERVES_BLOCKS = "spatial_pack"
"""All layers but some with groups, with activations in NCHWc."""

INTEGER = "_int8"
"""After the name of an algorithm, for that of its kernels for int8."""


def assigned(site: ConvSite, algorithm: str, weight_format: str) -> ConvLayer:
    """The layer served by `algorithm` (of dlas.plugins.registry) with its weights in `weight_format`.

    Where they cannot serve it, another takes their place and the layer says why: the same algorithm with
    dense weights, `spatial_pack` where that keeps activations in blocks, and `direct` for every layer.
    """
    requested = variant(algorithm, weight_format)
    reasons: list[str] = []
    stand_ins = [(candidate, "dense") for candidate in _stand_ins(site, algorithm)]
    for candidate, in_format in ((algorithm, weight_format), (algorithm, "dense"), *stand_ins):
        workload = replace(site.conv.workload, format=in_format)
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
    if not ALGORITHMS.exists(served_by):
        kind = "int8" if workload.dtype == "int8" else f"weights in {workload.format}"
        return f"{_short(algorithm)} is not made for {kind}"
    reason: str = ALGORITHMS.load(served_by).unsupported(workload)
    return reason


def serving_modules(kind: Kind, *, integer: bool) -> list[str]:
    """Every module that `assigned` may take a layer's kernel from; with `integer`, of an int8 network."""
    stand_ins = [] if kind.algorithm == SERVES_EVERY_LAYER else [SERVES_BLOCKS, SERVES_EVERY_LAYER]
    names = [variant(kind.algorithm, kind.weight_format)]
    for algorithm in (kind.algorithm, *stand_ins):
        names += [algorithm, *([f"{algorithm}{INTEGER}"] if integer else [])]
    return [ALGORITHMS.path(name) for name in names if name == kind.algorithm or ALGORITHMS.exists(name)]


def kernel_algorithm(algorithm: str, workload: ConvWorkload) -> str:
    """The one with the algorithm's kernels for the workload's format and data type."""
    if workload.dtype == "int8" and workload.format == "dense":
        return f"{algorithm}{INTEGER}"
    return variant(algorithm, workload.format)


def variant(algorithm: str, weight_format: str) -> str:
    """The algorithm in a format of the weights, such as `direct_sparse`."""
    return algorithm if weight_format == "dense" else f"{algorithm}_sparse"


def _stand_ins(site: ConvSite, algorithm: str) -> list[str]:
    in_blocks = ALGORITHMS.load(algorithm).layouts(site.conv.workload) != (1, 1)
    return [SERVES_BLOCKS, SERVES_EVERY_LAYER] if in_blocks else [SERVES_EVERY_LAYER]


def _short(module: str) -> str:
    return module.rpartition(".")[2]
