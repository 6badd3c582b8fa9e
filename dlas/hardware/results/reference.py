"""The outputs that a library has to give before it is timed.

write(Reference(inputs, outputs), folder); read(folder) -> Reference; require_match(Reference, outputs, what)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dlas.data_types import FLOAT16_BITS, FLOAT32_BITS, INT8_BITS
from dlas.errors import UserError
from dlas.files import documents
from dlas.files.arrays import read_array
from dlas.files.documents import Document
from dlas.printable import printable

TOLERANCE = 1e-3
"""Tolerance of each expected value, as a share of it."""

SHARE_OF_LARGEST = {FLOAT32_BITS: TOLERANCE, FLOAT16_BITS: 0.01, INT8_BITS: 0.05}
"""Absolute tolerance of data types, by their bits, as a share of the largest output. In float32 sums taken in
another order on another CPU differ by about 1e-5 of it after twenty layers; a wrong kernel is off by much
more than 1e-3. PyTorch computes float16 sums and simulates int8 ones in its own way, and values one step
apart add up over the layers, to 0.3 % and 0.7 % on twenty layers."""

SHARE_UNTRAINED = {**SHARE_OF_LARGEST, FLOAT16_BITS: 0.1, INT8_BITS: 0.25}
"""The same for networks whose weights nothing has trained, in which steps of rounding add up to more. In int8
ONNX Runtime's and OpenVINO's outputs of eight of our networks differed by up to 3.7 % from PyTorch's; a
constant of which the integers were wrong made 66 %."""

LEAST = 1e-30
"""Least output that an error is a share of: what rounding leaves of smaller ones is no normal number of
float32, which some CPUs take for 0. Networks of many layers get there untrained."""

SLACK = 4
"""Largest ratio that is believed of the largest of all outputs to the largest that was kept."""

FORMER = {FLOAT32_BITS: 1e-3}
"""Absolute tolerances of data types, by their bits, that earlier bundles have, whatever their outputs are."""

INPUTS, OUTPUTS, TOLERANCES = "inputs.npy", "outputs.npy", "tolerance.json"

MAX_INPUTS = 4096


@dataclass(frozen=True)
class Reference:
    """Inputs (N, C, H, W) with the expected outputs (N, …) of a network that computes in so many bits:
    |output - expected| <= atol + rtol |expected|."""

    inputs: np.ndarray
    outputs: np.ndarray
    bits: int
    atol: float
    """Absolute tolerance; where only some of the inputs were kept, that of all."""

    @property
    def rtol(self) -> float:
        return TOLERANCE

    @property
    def is_float16(self) -> bool:
        """Whether the network computes in float16."""
        return self.bits == FLOAT16_BITS


@dataclass(frozen=True)
class _Tolerance:
    """The values of tolerance.json."""

    bits: int
    rtol: float
    atol: float


def _with_bits(values: dict[str, Any]) -> dict[str, Any]:
    """The values of version 1 with the bits that it lacked: a tolerance that is none of float32 is taken for
    int8's, the largest."""
    return {**values, "bits": FLOAT32_BITS if values["atol"] <= FORMER[FLOAT32_BITS] else INT8_BITS}


DOCUMENT = Document("tolerance of a reference", version=2, converters=(_with_bits,))


def of_precision(inputs: np.ndarray, outputs: np.ndarray, bits: int) -> Reference:
    """The reference of a network that computes in `bits` bits, with the tolerance for these outputs.
    UserError where they are not all finite."""
    return _with_tolerance(inputs, outputs, bits, SHARE_OF_LARGEST)


def of_untrained(inputs: np.ndarray, outputs: np.ndarray, bits: int) -> Reference:
    """The same of a network that is not trained yet."""
    return _with_tolerance(inputs, outputs, bits, SHARE_UNTRAINED)


def _with_tolerance(
    inputs: np.ndarray, outputs: np.ndarray, bits: int, shares: Mapping[int, float]
) -> Reference:
    if not (finite := np.isfinite(outputs)).all():
        raise UserError(
            f"PyTorch's own outputs of the network in {bits} bits are not finite: "
            f"{np.count_nonzero(~finite)} of {finite.size}",
            key="compression" if bits == FLOAT16_BITS else "model",
            remedy="float16 ends at 65504: a network in float32" if bits == FLOAT16_BITS else "",
        )
    return Reference(inputs, outputs, bits, shares[bits] * _largest(outputs))


def _largest(outputs: np.ndarray) -> float:
    return max(float(np.abs(outputs).max()), LEAST)


def first(whole: Reference, count: int) -> Reference:
    """The reference with at most `count` of the inputs, and the tolerance of all: what passed with
    all passes here."""
    return replace(whole, inputs=whole.inputs[:count], outputs=whole.outputs[:count])


def write(reference: Reference, folder: Path) -> None:
    """Write inputs.npy, outputs.npy and tolerance.json."""
    np.save(folder / INPUTS, reference.inputs, allow_pickle=False)
    np.save(folder / OUTPUTS, reference.outputs, allow_pickle=False)
    tolerance = {"bits": reference.bits, "rtol": reference.rtol, "atol": reference.atol}
    documents.write(DOCUMENT, folder / TOLERANCES, tolerance)


def read(folder: Path) -> Reference:
    """The reference that `write` wrote; UserError for anything else, and for a tolerance larger than the
    precision explains by the outputs that were kept."""
    inputs, outputs = read_array(folder / INPUTS), read_array(folder / OUTPUTS)
    path = folder / TOLERANCES
    stored = documents.checked(_Tolerance, documents.read(DOCUMENT, path), DOCUMENT, printable(path))
    if inputs.ndim != 4 or outputs.ndim < 1 or len(inputs) != len(outputs):
        shapes = f"its inputs are {inputs.shape}, its outputs {outputs.shape}"
        raise UserError(f"the reference can't be read: {shapes}", key=printable(folder))
    if not 1 <= len(inputs) <= MAX_INPUTS or not (inputs.size and outputs.size):
        raise UserError(
            f"the reference can't be read: it has {len(inputs)} inputs, of at most {MAX_INPUTS}",
            key=printable(folder),
        )
    if not (np.isfinite(inputs).all() and np.isfinite(outputs).all()):
        raise UserError("the reference has numbers that are not finite", key=printable(folder))
    if stored.bits not in SHARE_OF_LARGEST:
        raise UserError(f"no network computes in {stored.bits} bits", key=printable(path))
    most = max(SLACK * SHARE_OF_LARGEST[stored.bits] * _largest(outputs), FORMER.get(stored.bits, 0.0))
    if not (0 <= stored.rtol <= TOLERANCE and 0 <= stored.atol <= most):
        raise UserError(
            f"its tolerance, {stored.atol:g} + {stored.rtol:g} of the expected value, is larger than that of "
            f"networks in {stored.bits} bits, {most:g} + {TOLERANCE:g}",
            key=printable(path),
        )
    return Reference(inputs, outputs, stored.bits, stored.atol)


def largest_error(reference: Reference, outputs: np.ndarray) -> float:
    """The largest absolute difference from the expected outputs; NaN where an output is no number."""
    return float(np.max(np.abs(outputs - reference.outputs)))


def require_match(reference: Reference, outputs: np.ndarray, what: str = "the library") -> None:
    """UserError, which tells the largest difference, unless every output is within the tolerance."""
    if outputs.shape != reference.outputs.shape:
        raise UserError(f"{what} gives outputs of shape {outputs.shape}, not {reference.outputs.shape}")
    close = np.isclose(outputs, reference.outputs, rtol=reference.rtol, atol=reference.atol)
    if not close.all():
        wrong, error = np.count_nonzero(~close), largest_error(reference, outputs)
        raise UserError(
            f"{what} gives wrong outputs: {wrong} of {close.size} values are off, by up to {error:.3g}",
            remedy=f"allowed: {reference.atol:g} + {reference.rtol:g} of the expected value",
        )
