"""Kinds of points that the observations speak of."""

from __future__ import annotations

from dlas.analysis.measured_point import MeasuredPoint
from dlas.data_types import FLOAT16_BITS, FLOAT32_BITS, INT8_BITS

SPARSE_PRUNING = ("weight_pruning", "block_pruning")
PRUNING = (*SPARSE_PRUNING, "channel_pruning")
BITS = {"float16": FLOAT16_BITS, "int8": INT8_BITS}
"""Bits of a weight after each compression that changes only the data type."""

MIXED = "auto"
"""Choice that is no algorithm, but one for each layer."""

SMALL_IMAGES = ("digits", "fashion_mnist", "cifar10", "cifar100")
LARGE_IMAGES = ("imagenet", "imagenet_samples")
"""Data sets like those of the study: CIFAR-10's images are of 32 pixels, ImageNet's of 224."""


def is_plain(point: MeasuredPoint) -> bool:
    """Whether the network is not compressed."""
    return not point.steps


def is_pruned(point: MeasuredPoint) -> bool:
    """Whether weights or channels were removed."""
    return any(step in PRUNING for step in point.steps)


def is_quantized(point: MeasuredPoint) -> bool:
    """Whether the network is only made of fewer bits."""
    return len(point.steps) == 1 and point.steps[0] in BITS


def is_sparse(point: MeasuredPoint) -> bool:
    """Whether a pruned network's weights are in a sparse format."""
    pruned = any(step in SPARSE_PRUNING for step in point.steps)
    return pruned and point.choices.get("format") not in ("dense", "auto", None)


def is_tuned(point: MeasuredPoint) -> bool:
    """Whether schedules were searched for."""
    return point.choices.get("tuner", "none") != "none"


def expected_speedup(point: MeasuredPoint) -> float | None:
    """Dense multiply-accumulates over the remaining ones, times 32 over the bits: what Gibson et al.
    (arXiv:2311.08909) expect of a compression, whatever the kernels make of it. None where it isn't known."""
    if not point.macs_dense or not point.macs_remaining:
        return None
    bits = min((BITS[step] for step in point.steps if step in BITS), default=FLOAT32_BITS)
    return point.macs_dense / point.macs_remaining * FLOAT32_BITS / bits
