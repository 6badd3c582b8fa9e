"""Additions to TVM's importer from PyTorch, and converters in place of those that drop arguments.

A converter takes a node of the exported program and the importer, and emits what the node computes.
"""

from __future__ import annotations

from types import MappingProxyType

from dlas.systems.graph.converters import (
    arithmetic,
    convolutions,
    indexing,
    interpolation,
    matrices,
    pooling,
    quantization,
    reductions,
    shapes,
)
from dlas.systems.graph.converters.converter import Converter

CONVERTERS: MappingProxyType[str, Converter] = MappingProxyType(
    {
        **arithmetic.CONVERTERS,
        **convolutions.CONVERTERS,
        **indexing.CONVERTERS,
        **interpolation.CONVERTERS,
        **matrices.CONVERTERS,
        **pooling.CONVERTERS,
        **quantization.CONVERTERS,
        **reductions.CONVERTERS,
        **shapes.CONVERTERS,
    }
)
"""Converters by the operators' names without their namespace, such as `linear.default`."""
