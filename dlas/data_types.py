"""The data types that networks compute in, by their bits."""

from __future__ import annotations

from types import MappingProxyType

FLOAT32_BITS, FLOAT16_BITS, INT8_BITS = 32, 16, 8

BITS = MappingProxyType({"float32": FLOAT32_BITS, "float16": FLOAT16_BITS, "int8": INT8_BITS})
"""Bits of a number by the name of its data type."""
