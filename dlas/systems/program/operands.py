"""Numbers to run one kernel on: its packed weight, and a random input and epilogue."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlas.algorithms.layout import physical_shape
from dlas.algorithms.shared.sparse.formats import random_weight
from dlas.interfaces.workload import UINT8_MAX, ConvWorkload
from dlas.plugins.registry import ALGORITHMS

SEED = 0

MAX_BIAS = 1 << 14
"""Largest bias of integer sums: as much as some hundred products."""

SPREAD = 0.025
"""Scale of an integer kernel's random sums, over the root of their length: its outputs then cover most of the
range and few are cut off at its ends."""

FRACTION = 256
"""Steps in 1 of an integer kernel's outputs before they are rounded."""

MAX_ERROR = 1e-3
"""Largest error of a tuned kernel, relative to its largest output: sums in another order
differ by about 1e-6."""


def arguments(workload: ConvWorkload, algorithm: str, weight: np.ndarray) -> list[np.ndarray]:
    """The arguments of the algorithm's kernel for an OIHW weight: (data, *packed weight,
    *epilogue, output)."""
    random = np.random.default_rng(SEED)
    packed: Sequence[np.ndarray] = ALGORITHMS.load(algorithm).pack_weight(workload, weight)
    data = _activation(workload, workload.input_shape, workload.input_block, random)
    output = physical_shape(workload.output_shape, workload.output_block)
    epilogue = _integer_epilogue if workload.dtype == "int8" else _float_epilogue
    return [data, *packed, *epilogue(workload, random), np.zeros(output, workload.output_dtype)]


def representative_weight(workload: ConvWorkload, percent: int) -> np.ndarray:
    """A random OIHW weight in the workload's data type; a sparse format stores `percent` of it."""
    random = np.random.default_rng(SEED)
    if workload.dtype == "int8":
        limit = workload.weight_limit
        return random.integers(-limit, limit, workload.weight_shape, endpoint=True).astype("int8")
    return random_weight(workload, percent / 100, random).astype(workload.dtype)


def tolerance(workload: ConvWorkload) -> float:
    """Largest error that a tuned kernel's output may have, relative to its largest output; 0 for integers."""
    return 0.0 if workload.output_dtype == "uint8" else MAX_ERROR


def _float_epilogue(workload: ConvWorkload, random: np.random.Generator) -> list[np.ndarray]:
    bias = random.standard_normal(workload.out_channels, np.float32).astype(workload.dtype)
    return [*[bias] * workload.bias, *_residual(workload, random)]


def _integer_epilogue(workload: ConvWorkload, random: np.random.Generator) -> list[np.ndarray]:
    channels, depth = workload.out_channels, math.prod(workload.weight_shape[1:])
    scale = 1 if workload.output_zero is None else FRACTION
    bias = random.integers(-MAX_BIAS, MAX_BIAS, channels).astype("int32")
    multiplier = random.random(channels, np.float32) * np.float32(scale * SPREAD / math.sqrt(depth))
    residual_multiplier = random.random(1, np.float32) * np.float32(scale)
    residual = [*_residual(workload, random), residual_multiplier] if workload.residual else []
    return [bias, multiplier, *residual]


def _residual(workload: ConvWorkload, random: np.random.Generator) -> list[np.ndarray]:
    if not workload.residual:
        return []
    return [_activation(workload, workload.output_shape, workload.output_block, random)]


def _activation(
    workload: ConvWorkload, shape: tuple[int, int, int, int], block: int, random: np.random.Generator
) -> np.ndarray:
    lying = physical_shape(shape, block)
    if workload.dtype == "int8":
        return random.integers(0, UINT8_MAX, lying, endpoint=True).astype("uint8")
    return random.standard_normal(lying, np.float32).astype(workload.dtype)
