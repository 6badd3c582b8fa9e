"""The tolerance of a whole test set, of which a bundle keeps sixteen images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlas.errors import UserError
from dlas.hardware.results import reference
from dlas.hardware.results.reference import Reference

LARGEST, MAX_KEPT = 8.0, 4.0
OFF = 0.05 * LARGEST * 0.9
"""Within the tolerance of int8 for all of the outputs, and not for those that were kept."""


def whole(bits: int) -> Reference:
    outputs = np.linspace(-MAX_KEPT, MAX_KEPT, 400, dtype=np.float32).reshape(40, 10)
    outputs[30, 0] = LARGEST
    return reference.of_precision(np.zeros((40, 3, 2, 2), np.float32), outputs, bits)


def kept(bits: int, folder: Path) -> Reference:
    reference.write(reference.first(whole(bits), 16), folder)
    return reference.read(folder)


def test_outputs_that_passed_with_the_whole_test_set_pass_with_what_was_kept(tmp_path: Path) -> None:
    every = whole(8)
    reference.require_match(every, every.outputs + OFF)
    for some in (reference.first(every, 16), kept(8, tmp_path)):
        assert len(some.outputs) == 16
        reference.require_match(some, some.outputs + OFF)
        with pytest.raises(UserError, match="160 of 160"):
            reference.require_match(some, some.outputs + 2 * OFF)


def test_a_tolerance_of_version_1_is_kept(tmp_path: Path) -> None:
    some = kept(8, tmp_path)
    (tmp_path / "tolerance.json").write_text(json.dumps({"rtol": 1e-3, "atol": 0.05 * LARGEST}))
    old = reference.read(tmp_path)
    assert (old.bits, old.atol) == (8, 0.05 * LARGEST)
    reference.require_match(old, some.outputs + OFF)


def test_a_tolerance_of_float32_that_earlier_bundles_have_is_kept(tmp_path: Path) -> None:
    """It was 0.001, however small the outputs are."""
    small = reference.of_precision(np.zeros((4, 3, 2, 2), np.float32), np.full((4, 10), 1e-4, np.float32), 32)
    reference.write(replace(small, atol=1e-3), tmp_path)
    assert reference.read(tmp_path).atol == 1e-3


@pytest.mark.parametrize("bits", [32, 16, 8])
@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1.0, 1e6])
def test_outputs_are_wrong_and_right_whatever_their_unit_is(bits: int, scale: float) -> None:
    one = whole(bits)
    unit = np.float32(scale)
    scaled = reference.of_precision(one.inputs, one.outputs * unit, bits)
    off = {32: 2e-3, 16: 0.02, 8: 0.1}[bits] * LARGEST
    reference.require_match(scaled, (one.outputs + off / 3) * unit)
    with pytest.raises(UserError, match="gives wrong outputs"):
        reference.require_match(scaled, (one.outputs + off) * unit)


def test_outputs_that_are_as_good_as_zero_are_right_as_zero() -> None:
    tiny = whole(32).outputs * np.float32(1e-38)
    assert tiny.any()
    reference.require_match(reference.of_precision(whole(32).inputs, tiny, 32), np.zeros_like(tiny))


def test_a_network_that_overflows_in_float16_is_told_as_such() -> None:
    outputs = whole(16).outputs
    outputs[3, 1] = np.inf
    with pytest.raises(UserError, match="in 16 bits are not finite: 1 of 400") as told:
        reference.of_precision(whole(16).inputs, outputs, 16)
    assert told.value.key == "compression"


@pytest.mark.parametrize(("bits", "atol"), [(8, 0.05 * 5 * MAX_KEPT), (16, 0.2), (32, 0.02), (8, -1.0)])
def test_a_tolerance_that_the_outputs_do_not_explain_is_refused(
    bits: int, atol: float, tmp_path: Path
) -> None:
    kept(8, tmp_path)
    document = {"schema": 2, "bits": bits, "rtol": 1e-3, "atol": atol}
    (tmp_path / "tolerance.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=f"networks in {bits} bits"):
        reference.read(tmp_path)
