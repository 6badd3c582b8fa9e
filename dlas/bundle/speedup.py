"""The speedup to expect of a point: by what its kernels leave out, of zeros and of bits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from dlas.data_types import BITS, FLOAT32_BITS, INT8_BITS
from dlas.interfaces.program import LoweredProgram
from dlas.systems.program.cost import spent_macs

CALL = re.compile(r"\.call\d+$")
"""What a layer's second call and later ones have behind its name."""


def expected(dense_macs: int, macs: Mapping[str, int], program: LoweredProgram | None, bits: int) -> float:
    """Multiply-accumulates (MACs) of the dense float32 network over those that the compressed one spends.

    That is the definition of the Deep Learning Acceleration Stack (Gibson et al., arXiv:2311.08909), counted
    by what the kernels do: a pruned weight that a dense kernel multiplies with all the same gains nothing.

    `macs` are those of its layers, zeros included. Of a layer with kernels, as many count as these spend, by
    the bits of their operands: of int8, one is a quarter. A layer that is computed without a kernel counts
    whole, in `bits`: all of them do without a `program`, where the compiler has kernels of its own, none of
    which leaves out zeros. Kernels of what has no MACs in `macs`, such as the steps of a recurrent layer,
    count in both networks. It is the convolution that counts, not how an algorithm computes it. 1 without
    any.
    """
    dense: dict[str, int] = defaultdict(int)
    spent: dict[str, float] = defaultdict(float)
    calls = [] if program is None else [(layer, program.weight(layer)) for layer in program.layers]
    for layer, weight in calls:
        name, workload = _module(layer.name, macs), layer.workload
        dense[name] += workload.macs
        spent[name] += spent_macs(workload, weight) * BITS[workload.dtype] / FLOAT32_BITS
    others = dense.keys() - macs.keys()
    whole = dense_macs + sum(dense[name] for name in others)
    left = sum(spent[name] for name in others)
    for name, count in macs.items():
        left += count * (spent[name] / dense[name] if name in dense else bits / FLOAT32_BITS)
    return whole / left if left else 1.0


def expected_of_mixed(dense_macs: int, macs: int, integer_macs: int) -> float:
    """The same of a network with `macs`, `integer_macs` of which are computed in int8 and all others in
    float32."""
    left = macs - integer_macs * (1 - INT8_BITS / FLOAT32_BITS)
    return dense_macs / left if left else 1.0


def float_layers(macs: Mapping[str, int], program: LoweredProgram) -> list[str]:
    """The layers of an int8 network with a call that no integer kernel computes, be it a kernel in float32 or
    none. `macs` are those of the layers that there are."""
    data_types: dict[str, set[str]] = defaultdict(set)
    for layer in program.layers:
        data_types[_module(layer.name, macs)].add(layer.workload.dtype)
    return [name for name in dict.fromkeys([*macs, *data_types]) if data_types[name] != {"int8"}]


def _module(layer: str, macs: Mapping[str, int]) -> str:
    """The name in `macs` of the layer that is called."""
    return layer if layer in macs else CALL.sub("", layer)
