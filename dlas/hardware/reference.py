"""The outputs that a library has to give before it is timed.

write(Reference(inputs, outputs), folder); read(folder) -> Reference; require_match(Reference, outputs, what)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlas.errors import UserError

TOLERANCE = 1e-3
"""Float32 sums taken in another order on another CPU differ by about 1e-5 after twenty layers; a wrong kernel
is off by much more than 1e-3."""


SHARE_OF_LARGEST = {16: 0.01, 8: 0.05}
"""By bits: PyTorch computes float16 sums and simulates int8 ones in its own way, and values one step apart
add up over the layers: to 0.3 % and 0.7 % of the largest output on twenty layers."""


@dataclass(frozen=True)
class Reference:
    """Inputs (N, C, H, W) with the expected outputs (N, …): |output - expected| <= atol + rtol |expected|."""

    inputs: np.ndarray
    outputs: np.ndarray
    rtol: float = TOLERANCE
    atol: float = TOLERANCE


def of_precision(inputs: np.ndarray, outputs: np.ndarray, bits: int) -> Reference:
    """The reference of a network that computes in `bits` bits."""
    if bits not in SHARE_OF_LARGEST:
        return Reference(inputs, outputs)
    return Reference(inputs, outputs, atol=SHARE_OF_LARGEST[bits] * float(np.abs(outputs).max()))


def first(whole: Reference, count: int) -> Reference:
    """At most `count` of its inputs."""
    return replace(whole, inputs=whole.inputs[:count], outputs=whole.outputs[:count])


def write(reference: Reference, folder: Path) -> None:
    """As inputs.npy, outputs.npy and tolerance.json."""
    np.save(folder / "inputs.npy", reference.inputs, allow_pickle=False)
    np.save(folder / "outputs.npy", reference.outputs, allow_pickle=False)
    tolerance = {"rtol": reference.rtol, "atol": reference.atol}
    (folder / "tolerance.json").write_text(json.dumps(tolerance, indent=1) + "\n")


def read(folder: Path) -> Reference:
    """The reference that `write` wrote; UserError for anything else."""
    try:
        tolerance = json.loads((folder / "tolerance.json").read_text())
        inputs, outputs = (
            np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("inputs", "outputs")
        )
        if len(inputs) != len(outputs) or len(inputs) == 0:
            raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs")
        return Reference(inputs, outputs, float(tolerance["rtol"]), float(tolerance["atol"]))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(f"the reference can't be read: {error}", key=str(folder)) from None


def largest_error(reference: Reference, outputs: np.ndarray) -> float:
    """The largest absolute difference; NaN where an output is no number."""
    return float(np.max(np.abs(outputs - reference.outputs)))


def require_match(reference: Reference, outputs: np.ndarray, what: str = "the library") -> None:
    """UserError that tells the largest difference unless every output is within the tolerance."""
    if outputs.shape != reference.outputs.shape:
        raise UserError(f"{what} gives outputs of shape {outputs.shape}, not {reference.outputs.shape}")
    close = np.isclose(outputs, reference.outputs, rtol=reference.rtol, atol=reference.atol)
    if not close.all():
        wrong, error = np.count_nonzero(~close), largest_error(reference, outputs)
        raise UserError(
            f"{what} gives wrong outputs: {wrong} of {close.size} values are off, by up to {error:.3g}",
            remedy=f"allowed: {reference.atol:g} + {reference.rtol:g} of the expected value",
        )
