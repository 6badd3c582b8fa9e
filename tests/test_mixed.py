"""Convolutions by oneDNN in libraries of TVM's, and the points that choose between them: `compiler=mixed`."""

from __future__ import annotations

import csv
import ctypes
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command import dlas
from small_networks import IMAGE, Residual
from test_config import parsed
from user_options import own_model

from dlas.algorithms.onednn import dense, shim
from dlas.config.layers.compiler import VENDORS
from dlas.errors import UserError
from dlas.hardware.sessions.process import onednn
from dlas.hardware.timing import deployment
from dlas.interfaces.targets.target import Target
from dlas.interfaces.workload import ConvWorkload
from dlas.plugins.registry import ALGORITHMS
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library
from dlas.testing import check_algorithm

INSTALLED = pytest.mark.skipif(not onednn.environment(), reason="oneDNN is not installed")

WORKLOADS = (
    ConvWorkload(1, 3, 11, 13, 32, (3, 3), (2, 2), (1, 0, 2, 1), bias=True, activation="relu6"),
    ConvWorkload(2, 32, 9, 7, 48, (3, 3), padding=(1, 1, 1, 1), bias=True, residual=True, activation="relu"),
    ConvWorkload(1, 16, 14, 14, 16, (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2)),
    ConvWorkload(1, 64, 12, 12, 128, (1, 1), bias=True, residual=True),
    ConvWorkload(2, 48, 20, 20, 48, (5, 3), (2, 1), (2, 1, 2, 1), groups=48, bias=True, activation="relu"),
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The C that kernels call, in this process, for kernels that are not linked."""
    os.environ.update(onednn.environment())
    file = tmp_path_factory.mktemp("shim") / "shim.c"
    file.write_text(shim.CODE)
    command = [
        "cc",
        "-Wall",
        "-Werror",
        "-O2",
        "-fPIC",
        "-shared",
        "-o",
        str(file.with_suffix(".so")),
        str(file),
    ]
    subprocess.run(command, check=True)
    ctypes.CDLL(str(file.with_suffix(".so")), mode=ctypes.RTLD_GLOBAL)


@INSTALLED
@pytest.mark.usefixtures("loaded")
def test_kernels_compute_what_pytorch_computes(host: Target) -> None:
    assert check_algorithm(dense, WORKLOADS, host.code) == [*WORKLOADS]


@INSTALLED
@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_by_onednn_runs_in_a_fresh_process(batch: int, host: Target, tmp_path: Path) -> None:
    network = Residual().eval()
    images = np.random.default_rng(0).standard_normal((3, *IMAGE[1:]), np.float32)
    program = lower(network, (batch, *IMAGE[1:]), "onednn")
    served = [layer.name for layer in program.layers if layer.algorithm == "onednn"]
    assert {"stem", "first", "down", "depthwise"} <= {*served}
    assert "classifier" not in served, "its outputs are no blocks"
    build_library(program, {}, host.code, host.linker, 3, tmp_path / "model.so")
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    found = deployment.run(tmp_path / "model.so", images, host, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@INSTALLED
def test_a_library_without_onednn_says_so(
    host: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = lower(Residual().eval(), IMAGE, "onednn")
    build_library(program, {}, host.code, host.linker, 3, tmp_path / "model.so")
    monkeypatch.setattr(onednn, "environment", lambda: {onednn.PATH: "/nowhere/libdnnl.so.3"})
    with pytest.raises(UserError, match="oneDNN can't be loaded"):
        deployment.run(tmp_path / "model.so", np.zeros(IMAGE, np.float32), host)


@pytest.mark.slow
@pytest.mark.exhaustive
@INSTALLED
def test_a_point_chooses_between_tvm_and_onednn(tmp_path: Path) -> None:
    ended = dlas(
        *("run", *own_model(tmp_path, "residual"), "compression=none"),
        *("compiler=mixed", "algo=direct", "tuner=none", "train.epochs=0", "timing=quick"),
        f"artifacts={tmp_path / 'artifacts'}",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (table,) = (tmp_path / "artifacts" / "mlruns").rglob("candidates.csv")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    timed = {row["algorithm"] for row in rows if row["layer"] == "branch.0"}
    assert timed == {"direct", "onednn"}
    with table.with_name("layers.csv").open() as file:
        used = {row["layer"]: row["algorithm"] for row in csv.DictReader(file) if row["workload"]}
    chosen = {row["layer"]: row["algorithm"] for row in rows if row["chosen"] == "True"}
    assert used.items() >= {(layer, algorithm) for layer, algorithm in chosen.items() if layer != "network"}
    assert used["classifier"] != "onednn", "its outputs are no blocks"
    again = dlas("redeploy", f"bundle={table.parent}", "rebuild=true")
    assert again.returncode in (0, 3, 4), again.stdout + again.stderr


def test_the_layers_that_it_does_not_serve_have_a_reason() -> None:
    served = WORKLOADS[1]
    for other in (
        replace(served, dtype="float16"),
        replace(served, out_channels=40),
        replace(served, in_channels=24),
        replace(served, groups=4),
        replace(served, format="csr"),
    ):
        assert "so far" in dense.unsupported(other)
    assert dense.unsupported(served) == ""


def test_vendors_are_algorithms_and_no_choice_of_algo() -> None:
    assert {*VENDORS} <= {*ALGORITHMS.names()}
    with pytest.raises(UserError, match="compiler=mixed has beside"):
        parsed("algo.module=onednn")


def test_it_is_refused_where_it_cannot_run() -> None:
    if not onednn.environment():
        with pytest.raises(UserError, match=r"pip install 'dlas\[mixed\]'"):
            parsed("compiler=mixed")
        return
    with pytest.raises(UserError, match="CPU of this machine only"):
        parsed("compiler=mixed", "target=raspberrypi4", "tuner=none")


def test_one_variable_tells_both_sides_where_onednn_is() -> None:
    assert (shim.PATH, shim.NAME) == (onednn.PATH, onednn.LIBRARY)
