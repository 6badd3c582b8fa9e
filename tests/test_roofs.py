"""What a machine has at most: the kernels that show it, against NumPy, and what is kept of it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tvm

from dlas.errors import UserError
from dlas.hardware.results import roofs
from dlas.hardware.results.roofs import Bounds, Rate, Roofs
from dlas.hardware.targets.instruction_sets import of_this_machine
from dlas.hardware.timing.roofs import FLOAT32, INT8, STREAM_BLOCK, measure
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm import roofs as kernels

THREADS, BLOCKS = 2, 3
KNOWN = Roofs(
    cpu="a",
    threads=2,
    float32=Rate(1000, (20, 10)),
    int8=Rate(4000, (10,)),
    read=Rate(100, (10, 5)),
    triad=Rate(100, (10,)),
    array_bytes=1 << 20,
)


@pytest.fixture(scope="module")
def library(host: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("roofs") / "roofs.so"
    kernels.build(host.code, host.linker, path)
    return path


def test_the_streams_compute_what_numpy_does(library: Path) -> None:
    module, random = tvm.runtime.load_module(str(library)), np.random.default_rng(0)
    given = [random.standard_normal(THREADS * BLOCKS * STREAM_BLOCK).astype("float32") for _ in range(3)]
    result, first, second = map(tvm.runtime.tensor, given)
    module["triad"](THREADS, BLOCKS, result, first, second)
    np.testing.assert_allclose(result.numpy(), given[1] + kernels.FACTOR * given[2], rtol=1e-5, atol=1e-5)
    sums = tvm.runtime.tensor(np.zeros(THREADS * STREAM_BLOCK, "float32"))
    module["read"](THREADS, BLOCKS, first, sums)
    expected = given[1].reshape(THREADS, BLOCKS, STREAM_BLOCK).sum(axis=1).ravel()
    np.testing.assert_allclose(sums.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_arithmetic_does_the_operations_that_it_counts(library: Path, host: Target) -> None:
    module = tvm.runtime.load_module(str(library))
    for peak in kernels.peaks(host.code):
        per_sum = peak.operations // peak.sums
        value = 0.5 if peak.name == FLOAT32 else 0x01010101
        operands = tvm.runtime.tensor(np.full(peak.operands, value, peak.dtype))
        for rounds in (1, 7):
            sums = tvm.runtime.tensor(np.zeros(THREADS * peak.sums, peak.dtype))
            module[peak.name](THREADS, rounds, operands, sums)
            expected = 1 - 0.5 ** (rounds + 1) if peak.name == FLOAT32 else value + rounds * per_sum // 2
            np.testing.assert_allclose(sums.numpy(), expected)


@pytest.mark.parametrize(
    ("sets", "names"), [(("avx2", "fma"), [FLOAT32]), (("avx2", "fma", "avxvnni"), [FLOAT32, INT8])]
)
def test_int8_has_a_peak_where_there_are_instructions_for_it(sets: tuple[str, ...], names: list[str]) -> None:
    code = CodeTarget("x86_64-linux-gnu", "haswell", 2, 32, 16, instruction_sets=sets)
    assert [peak.name for peak in kernels.peaks(code)] == names


def test_a_session_gives_finite_positive_numbers(library: Path, host: Target, tmp_path: Path) -> None:
    found = measure(library, kernels.peaks(host.code), host)
    assert found.threads == host.placement.threads
    assert (found.int8 is not None) == any("vnni" in name for name in of_this_machine())
    told = roofs.metrics(found)
    assert len(told) == 3 + (found.int8 is not None)
    assert all(math.isfinite(value) and value > 0 for value in told.values())
    roofs.write(found, tmp_path / "roofs.json")
    assert roofs.read(tmp_path / "roofs.json") == found


def test_the_roof_is_the_lower_of_both() -> None:
    assert KNOWN.bounds == Bounds(100, 400, 20)
    assert KNOWN.bounds.roof("float32", 1.0) == 20
    assert KNOWN.bounds.roof("float16", 1000.0) == 100
    assert KNOWN.bounds.roof("int8", 1000.0) == 400
    assert replace(KNOWN, int8=None).bounds.roof("int8", 1000.0) is None


def test_the_metrics_tell_the_bounds_again() -> None:
    told = roofs.metrics(KNOWN)
    assert roofs.of_metrics({**told, "latency.median_ms": 1.0}) == KNOWN.bounds
    without = replace(KNOWN, int8=None)
    assert roofs.of_metrics(roofs.metrics(without)) == without.bounds
    assert roofs.of_metrics({}) is None
    for value in (0.0, -1.0, math.nan, math.inf):
        assert roofs.of_metrics({**told, "roof.int8_gops": value}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"read": {"work": 0, "samples_ns": [1]}},
        {"read": {"work": 1, "samples_ns": []}},
        {"float32": {"work": 1, "samples_ns": [0]}},
        {"triad": None},
        {"threads": "two"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_that_is_no_measurement_is_refused(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "roofs.json"
    path.write_text(json.dumps({"schema": 1, **asdict(KNOWN), **changes}))
    with pytest.raises(UserError, match="measurement of a machine's roofs"):
        roofs.read(path)
