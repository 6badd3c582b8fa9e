"""The vector registers that code is generated for."""

from __future__ import annotations

from types import MappingProxyType

VECTOR_REGISTERS = MappingProxyType(
    {
        "x86_64": (("avx512f", 64, 32), ("avx", 32, 16), ("sse2", 16, 16)),
        "aarch64": (("neon", 16, 32),),
        "riscv64": (("v", 16, 32), ("d", 8, 32)),
    }
)
"""Vector registers by architecture, widest first: the extension that brings them, bytes of one register,
their number.

RISC-V's vectors have 16 bytes at least; without them its registers for doubles are what there is.
"""
