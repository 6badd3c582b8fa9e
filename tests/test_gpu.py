"""The GPU: its schedules by their numbers on the CPU, its machine code by what is in the library."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import boards
import gpu_threads
import numpy as np
import pytest
import torch
from command import REPOSITORY, dlas
from small_networks import IMAGE, EveryOperator, Residual
from torch import nn

from dlas import config
from dlas.errors import UserError
from dlas.hardware.targets import fitting, gpu, resolving, target_file
from dlas.hardware.targets.machine import Machine
from dlas.hardware.timing import deployment, measuring
from dlas.interfaces.program import LoweredProgram
from dlas.interfaces.targets.reach import Reach
from dlas.interfaces.targets.target import Target
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm import building, cuda_compiler

DIRECT, GEMM = "direct", "gemm"

ELF, CUDA_MACHINE = b"\x7fELF", 190
"""EM_CUDA of the ELF registry."""


@pytest.fixture(scope="module")
def cuda_code() -> None:
    """Skips what takes a compiler of CUDA where there is none."""
    try:
        cuda_compiler.compiled(cuda_compiler.EMPTY_KERNEL, "sm_87")
    except UserError as error:
        pytest.skip(str(error))


NEEDS_COMPILER = pytest.mark.usefixtures("cuda_code")
NEEDS_GPU = pytest.mark.skipif(not gpu.arch(), reason="no GPU that CUDA can use is in this machine")
NEEDS_NO_GPU = pytest.mark.skipif(bool(gpu.arch()), reason="this machine has a GPU")


@pytest.fixture(scope="module")
def orin() -> Target:
    return resolving.resolve(config.declared_target("jetson_orin_gpu"))


@pytest.fixture(scope="module", params=[DIRECT, GEMM])
def residual(request: pytest.FixtureRequest) -> LoweredProgram:
    return lower(Residual().eval(), IMAGE, request.param)


def answered(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


def assert_equal_to_pytorch(
    program: LoweredProgram, network: nn.Module, shape: tuple[int, ...], orin: Target, library: Path
) -> None:
    """On this machine's CPU, by the loops of the GPU's schedules."""
    loops = {
        name: gpu_threads.one_after_another(kernel)
        for name, kernel in gpu_threads.kernels(building.scheduled(program, {}, orin.code)).items()
    }
    host = resolving.resolve(config.Target("host"))
    building.build_library(program, loops, host.code, None, 3, library)
    images = np.random.default_rng(0).standard_normal((2, *shape[1:])).astype("float32")
    found = deployment.run(library, images, host)
    expected = np.concatenate([answered(network, image[None]) for image in images])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_every_kernel_of_a_gpu_is_bound_to_its_threads(residual: LoweredProgram, orin: Target) -> None:
    for name, kernel in gpu_threads.kernels(building.scheduled(residual, {}, orin.code)).items():
        assert "threadIdx.x" in kernel.script(), name


def test_a_network_of_gpu_schedules_equals_pytorch(
    residual: LoweredProgram, orin: Target, tmp_path: Path
) -> None:
    assert_equal_to_pytorch(residual, Residual().eval(), IMAGE, orin, tmp_path / "model.so")


def test_what_is_no_convolution_is_scheduled_for_a_gpu_too(orin: Target, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, shape = EveryOperator().eval(), (1, 3, 29, 30)
    assert_equal_to_pytorch(lower(network, shape, DIRECT), network, shape, orin, tmp_path / "model.so")


@NEEDS_COMPILER
def test_a_library_for_a_board_holds_the_machine_code_of_its_gpu(
    residual: LoweredProgram, orin: Target, tmp_path: Path
) -> None:
    """Not the source alone: the board would have to compile it."""
    library = tmp_path / "model.so"
    building.build_library(residual, {}, orin.code, None, 3, library)
    content = library.read_bytes()
    assert content[:4] == ELF
    assert int.from_bytes(content[18:20], "little") == 183, "AArch64, of the ELF registry"
    (found,) = re.findall(gpu.MACHINE_CODE.encode() + rb"([\w+/=]+)", content)
    cubin = base64.b64decode(found)
    assert cubin[:4] == ELF
    assert int.from_bytes(cubin[18:20], "little") == CUDA_MACHINE
    assert f"sm_{cubin[49]}" == orin.code.arch
    for layer in residual.layers:
        assert f".text.{layer.kernel}_kernel".encode() in cubin, layer.name


@NEEDS_NO_GPU
def test_the_check_of_a_gpu_says_in_one_line_that_there_is_none() -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "gpu" / "check.py")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (4, "")
    assert ended.stdout.startswith("No GPU that CUDA can use is here: nothing was checked or changed")
    made = subprocess.run(
        ["make", "-C", str(REPOSITORY), "--no-print-directory", "gpu-check"], capture_output=True, text=True
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "No NVIDIA GPU with its driver is here: nothing was checked or changed\n"


def test_what_was_embedded_is_found_again() -> None:
    code = bytes(range(256))
    assert gpu.machine_code(gpu.with_machine_code("int main() {}", code)) == code
    with pytest.raises(RuntimeError, match="no machine code"):
        gpu.machine_code("int main() {}")


@NEEDS_COMPILER
def test_a_gpu_that_the_compiler_does_not_know_is_refused(orin: Target) -> None:
    with pytest.raises(UserError, match="sm_10") as caught:
        building.require_tools(replace(orin.code, arch="sm_10"), None)
    assert caught.value.key == "target.arch"
    assert "\n" not in caught.value.problem


def test_a_missing_compiler_is_named(orin: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "PIP_FOLDER", "nvidia.nowhere")
    monkeypatch.setattr(cuda_compiler.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no compiler for GPUs") as caught:
        cuda_compiler.require(orin.code)
    assert "dlas[cuda]" in caught.value.remedy


def test_a_library_fits_a_gpu_of_its_own_compute_capability(orin: Target) -> None:
    board = Machine("aarch64", "linux", orin.code.instruction_sets)
    assert fitting.misfits(orin.code, replace(board, gpu="sm_87")) == ()
    (reason,) = fitting.misfits(orin.code, replace(board, gpu="sm_86"))
    assert "sm_87" in reason
    assert "sm_86" in reason
    (reason,) = fitting.misfits(orin.code, board)
    assert "has none" in reason


def test_a_library_for_the_cpu_is_not_taken_for_one_of_the_gpu_beside_it(orin: Target) -> None:
    cpu = resolving.resolve(config.declared_target("jetson_orin"))
    with pytest.raises(fitting.DoesNotFit, match="computes on the CPU"):
        fitting.on_board(cpu, orin)
    with pytest.raises(fitting.DoesNotFit, match="has none"):
        fitting.on_board(orin, cpu)


def test_a_gpu_target_is_read_as_it_was_written(orin: Target, tmp_path: Path) -> None:
    target_file.write(orin, tmp_path / "target.json")
    assert target_file.read(tmp_path / "target.json") == replace(orin, reach=Reach("rpc"))


def test_a_board_without_a_gpu_says_so_before_anything_is_sent() -> None:
    port = boards.free_port()
    with boards.served(port), pytest.raises(fitting.DoesNotFit, match="has none that CUDA can use"):
        deployment.require_board(boards.here(port, kind="cuda", arch="sm_10"))


@NEEDS_NO_GPU
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tuner=none"], "there is none that CUDA can use"),
        (["tuner=none", "target.arch=sm_87"], "a GPU of sm_87, and this machine has none"),
        ([], "tuner=none"),
    ],
)
def test_a_run_without_a_gpu_ends_before_any_work(arguments: list[str], said: str, tmp_path: Path) -> None:
    ended = dlas("run", "target=cuda", *arguments, f"artifacts={tmp_path}")
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "stages" / "train").exists()


def test_a_layer_without_a_schedule_for_a_gpu_is_named(orin: Target) -> None:
    program = lower(nn.Sequential(nn.Conv2d(16, 16, 3)).eval(), (1, 16, 8, 8), "spatial_pack")
    with pytest.raises(UserError, match="spatial_pack") as caught:
        building.scheduled(program, {}, orin.code)
    assert "algo=direct" in caught.value.remedy


@NEEDS_COMPILER
@NEEDS_GPU
@pytest.mark.parametrize("network", [Residual, EveryOperator])
def test_a_network_on_the_gpu_equals_pytorch(network: type[nn.Module], tmp_path: Path) -> None:
    here, shape = resolving.resolve(config.Target("cuda", kind="cuda")), (1, 3, 29, 30)
    shape = IMAGE if network is Residual else shape
    model = network().eval()
    program = lower(model, shape, GEMM)
    building.build_library(program, {}, here.code, None, 3, tmp_path / "model.so")
    images = np.random.default_rng(0).standard_normal((3, *shape[1:])).astype("float32")
    found = deployment.run(tmp_path / "model.so", images, here)
    np.testing.assert_allclose(found, answered(model, images), rtol=1e-4, atol=1e-5)
    assert measuring.measure(tmp_path / "model.so", images, here, config.Timing("test", runs=5)).median_ms > 0
