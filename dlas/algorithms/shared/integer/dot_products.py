"""Sums of four uint8 * int8 products per output channel in vector registers, by the target's instructions.

Data is read in words: four channels of one pixel, as bytes or, where the products are of int16, as int16.
Every sum is exact: no instruction here saturates for any data and the weights it is chosen for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tvm.script.ir_builder import tirx as T

from dlas.hardware.targets.instruction_sets import architecture
from dlas.interfaces.workload import INT8_MAX, UINT8_MAX

if TYPE_CHECKING:
    from dlas.interfaces.targets.code_target import CodeTarget

BYTE_BITS = 8

BYTES = 4
"""Products that one lane adds up: the channels of a word."""

NARROWEST_VPDPBUSD = 4

NARROW_WEIGHTS = 64
"""Largest absolute value of narrow weights: two products of such weights and of uint8 add up to no more than
an int16 holds."""

SIGN_BITS = -0x7F7F7F80
"""Sign bits of the four bytes of a word: 0x80808080 as an int32."""

SIGN_OFFSET = 128
"""Offset by which unsigned data is stored as signed, where the instructions take signed data."""

PMADDWD = MappingProxyType(
    {64: "llvm.x86.avx512.pmaddw.d.512", 32: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.sse2.pmadd.wd"}
)

PMADDUBSW = MappingProxyType(
    {
        64: "llvm.x86.avx512.pmaddubs.w.512",
        32: "llvm.x86.avx2.pmadd.ub.sw",
        16: "llvm.x86.ssse3.pmadd.ub.sw.128",
    }
)
"""x86 intrinsics by bytes of the register."""


@dataclass(frozen=True)
class DotProduct:
    """Instructions of one CPU extension that add four products to the sum of each output channel in a
    register."""

    instruction: str
    """Name of an instruction that the assembly of such a kernel contains."""
    lanes: int
    """Output channels in a register of sums."""
    addends: int
    """int32 lanes that an output channel has in the register; added up at the end."""
    word: str
    """The data type of four channels of a pixel: int32 for bytes, int64 for int16."""
    signed: bool
    """Whether data is stored less `SIGN_OFFSET`, in int8."""
    cost: int
    """Instructions per addition to a register."""
    temporaries: int
    """Registers that an addition needs besides its operands."""
    stored: Callable[[Any, int], Any]
    """A vector of so many int32 words of uint8, as words of data are stored."""
    weights: Callable[[Any], Any]
    """A vector of `lanes` int32 words of int8, as `add` takes them."""
    add: Callable[[Any, Any, Any], Any]
    """(sums, data, weights) -> sums."""

    @property
    def sum_lanes(self) -> int:
        """int32 lanes of a register of sums."""
        return self.lanes * self.addends


@dataclass(frozen=True)
class ColumnProduct:
    """Instructions of one CPU extension that multiply inputs below one another by a column of a kernel."""

    lanes: int
    """Sums in a register."""
    rows: int
    """Kernel rows that a word holds."""
    dtype: str
    """Data type of a word and of a sum."""
    signed: bool
    """Whether data is stored less `SIGN_OFFSET`."""
    word: Callable[[list[Any], int], Any]
    """The vectors of so many uint8 that lie below one another, as a vector of words."""
    weight: Callable[[Any, int, int], Any]
    """(int32 words of four int8, the first of them that counts, lanes) -> words that `add` takes."""
    add: Callable[[Any, Any, Any, int], Any]
    """(sums, data, weights, lanes) -> sums; no more lanes than a register has."""

    def zero(self, lanes: int) -> Any:
        """A register of sums to begin with."""
        return broadcast(T.float32(0) if self.dtype == "float32" else T.int32(0), lanes)


def column_product(target: CodeTarget) -> ColumnProduct:
    """Dot products of four bytes where the target has them; else float32, whose multiply-add has as many
    lanes as one of int32, and is exact: sums stay below 2 ** 24 for kernels of up to 518 elements."""
    dot = dot_product(target, INT8_MAX)
    if dot.cost == 1:
        return ColumnProduct(
            lanes=dot.lanes,
            rows=BYTES,
            dtype="int32",
            signed=dot.signed,
            word=lambda inputs, lanes: dot.stored(four_bytes(inputs, lanes), lanes),
            weight=lambda words, first, lanes: words,
            add=partial(_add_bytes, dot),
        )
    return ColumnProduct(
        lanes=target.lanes,
        rows=1,
        dtype="float32",
        signed=False,
        word=lambda inputs, lanes: T.cast(inputs[0], _vector("float32", lanes)),
        weight=lambda words, first, lanes: T.cast(_one_byte(words, first, lanes), _vector("float32", lanes)),
        add=lambda sums, data, weights, lanes: sums + data * weights,
    )


def four_bytes(inputs: list[Any], lanes: int) -> Any:
    """Vectors of up to four uint8 per lane as one vector of int32 words."""
    found = None
    for byte, values in enumerate(inputs):
        widened = T.cast(values, _vector("int32", lanes))
        shifted = widened << broadcast(T.int32(byte * BYTE_BITS), lanes) if byte else widened
        found = shifted if found is None else found | shifted
    return found


def _add_bytes(dot: DotProduct, sums: Any, data: Any, weights: Any, lanes: int) -> Any:
    if dot.instruction == "vpdpbusd" and lanes >= NARROWEST_VPDPBUSD:
        return _vpdpbusd(lanes, sums, data, weights)
    if lanes == dot.lanes:
        return dot.add(sums, data, weights)
    for byte in range(BYTES):
        value = _one_byte(data, byte, lanes)
        unsigned = value if dot.signed else value & broadcast(T.int32(UINT8_MAX), lanes)
        sums = sums + unsigned * _one_byte(weights, byte, lanes)
    return sums


def _one_byte(words: Any, byte: int, lanes: int) -> Any:
    """One of the four int8 of each word."""
    left = words << broadcast(T.int32((BYTES - 1 - byte) * BYTE_BITS), lanes)
    return left >> broadcast(T.int32((BYTES - 1) * BYTE_BITS), lanes)


def _vector(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def dot_product(target: CodeTarget, weight_limit: int) -> DotProduct:
    """The fewest instructions per product that the target has, for weights within `weight_limit` of 0."""
    has = set(target.instruction_sets).__contains__
    if architecture(target.triple) == "aarch64":
        if has("i8mm"):
            return _four_bytes("usdot", 4, _neon("usdot.v4i32.v16i8", "int32x4", "uint8x16", "int8x16"))
        if has("dotprod"):
            return _four_bytes("sdot", 4, _neon("sdot.v4i32.v16i8", "int32x4", "int8x16", "int8x16"), True)
        return _four_bytes("sadalp", 4, _neon_widening, signed=True, cost=5, temporaries=2)
    if has("avx512vnni") and target.vector_bytes == 64:
        return _four_bytes("vpdpbusd", 16, partial(_vpdpbusd, 16))
    if has("avxvnni") or (has("avx512vnni") and has("avx512vl")):
        return _four_bytes("vpdpbusd", 8, partial(_vpdpbusd, 8))
    return _byte_pairs(target) if weight_limit <= NARROW_WEIGHTS and has("ssse3") else _int16_pairs(target)


def gains_by_narrow_weights(target: CodeTarget) -> bool:
    """Whether the target has faster instructions for weights of 7 bits than for those of 8."""
    wide, narrow = (dot_product(target, limit).instruction for limit in (INT8_MAX, NARROW_WEIGHTS))
    return narrow != wide


def _four_bytes(
    instruction: str,
    lanes: int,
    add: Callable[[Any, Any, Any], Any],
    signed: bool = False,
    cost: int = 1,
    temporaries: int = 0,
) -> DotProduct:
    return DotProduct(
        instruction=instruction,
        lanes=lanes,
        addends=1,
        word="int32",
        signed=signed,
        cost=cost,
        temporaries=temporaries,
        stored=_made_signed if signed else lambda words, count: words,
        weights=lambda words: words,
        add=add,
    )


def _int16_pairs(target: CodeTarget) -> DotProduct:
    """Sums of channels 0 and 1, and of channels 2 and 3, apart."""
    vector_bytes = _vector_bytes(target)
    lanes, intrinsic = vector_bytes // (2 * BYTES), PMADDWD[vector_bytes]
    four_each = f"int16x{4 * lanes}"

    def add(sums: Any, data: Any, weights: Any) -> Any:
        operands = T.reinterpret(four_each, data), weights
        return sums + T.call_llvm_pure_intrin(f"int32x{2 * lanes}", intrinsic, *operands)

    return DotProduct(
        instruction="pmaddwd",
        lanes=lanes,
        addends=2,
        word="int64",
        signed=False,
        cost=2,
        temporaries=1,
        stored=_widened,
        weights=lambda words: T.cast(T.reinterpret(f"int8x{4 * lanes}", words), four_each),
        add=add,
    )


def _byte_pairs(target: CodeTarget) -> DotProduct:
    """Products of bytes added in pairs in int16, and these in pairs in int32."""
    vector_bytes = _vector_bytes(target)
    lanes, (widening, adding) = vector_bytes // BYTES, (PMADDUBSW[vector_bytes], PMADDWD[vector_bytes])

    def add(sums: Any, data: Any, weights: Any) -> Any:
        operands = T.reinterpret(f"uint8x{4 * lanes}", data), T.reinterpret(f"int8x{4 * lanes}", weights)
        pairs = T.call_llvm_pure_intrin(f"int16x{2 * lanes}", widening, *operands)
        ones = T.Broadcast(T.int16(1), 2 * lanes)
        return sums + T.call_llvm_pure_intrin(f"int32x{lanes}", adding, pairs, ones)

    return _four_bytes("pmaddubsw", lanes, add, cost=3, temporaries=2)


def _vector_bytes(target: CodeTarget) -> int:
    """Bytes of a register of integers: AVX and AVX-512F have instructions for wider floats than integers."""
    has = set(target.instruction_sets).__contains__
    if target.vector_bytes == 64 and has("avx512bw"):
        return 64
    return 32 if target.vector_bytes >= 32 and has("avx2") else 16


def _made_signed(words: Any, count: int) -> Any:
    return words ^ broadcast(T.int32(SIGN_BITS), count)


def _widened(words: Any, count: int) -> Any:
    if count == 1:
        return T.vectorlow("int64", _widened(T.Broadcast(words, 2), 2))
    values = T.cast(T.reinterpret(f"uint8x{BYTES * count}", words), f"uint16x{BYTES * count}")
    return T.reinterpret(f"int64x{count}", values)


def broadcast(value: Any, lanes: int) -> Any:
    """`value` in every lane of a vector."""
    return T.Broadcast(value, lanes) if lanes > 1 else value


def _vpdpbusd(lanes: int, sums: Any, data: Any, weights: Any) -> Any:
    intrinsic = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
    unsigned, signed = T.reinterpret(f"uint8x{4 * lanes}", data), T.reinterpret(f"int8x{4 * lanes}", weights)
    return T.call_llvm_pure_intrin(f"int32x{lanes}", intrinsic, sums, unsigned, signed)


def _neon(name: str, sum_type: str, data_type: str, weight_type: str) -> Callable[[Any, Any, Any], Any]:
    def add(sums: Any, data: Any, weights: Any) -> Any:
        operands = T.reinterpret(data_type, data), T.reinterpret(weight_type, weights)
        return T.call_llvm_pure_intrin(sum_type, f"llvm.aarch64.neon.{name}", sums, *operands)

    return add


def _neon_widening(sums: Any, data: Any, weights: Any) -> Any:
    """Products in int16, added in pairs: -128 * -127 * 2 still fits."""
    halves = [
        T.call_llvm_pure_intrin(
            "int16x8",
            "llvm.aarch64.neon.smull.v8i16",
            *(half("int8x8", T.reinterpret("int8x16", words)) for words in (data, weights)),
        )
        for half in (T.vectorlow, T.vectorhigh)
    ]
    pairs = T.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.addp.v8i16", *halves)
    return sums + T.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", pairs)
