"""Compiler of TVM's CUDA C++ into a GPU's machine code: nvcc, or NVRTC where nvcc is not installed.

TVM itself calls the compiler only where its CUDA runtime is loaded, on a machine with a GPU; elsewhere the
library would hold the source, and its board would need a compiler. So the code is put into the source here.

require(target) before any work; embedding(target) around TVM's own compiling
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import tvm_ffi
from tvm.support.nvcc import compile_cuda
from tvm.target import Target as TvmTarget

from dlas.errors import UserError, last_line
from dlas.hardware.targets import gpu
from dlas.interfaces.targets.code_target import CodeTarget
from dlas.processes import environment

SOURCE_IS_READY = "tvm_callback_cuda_postproc"
"""TVM's hook for a last change to the CUDA C++."""

LEAVE_THE_SOURCE = "TVM_COMPILE_FORCE_FALLBACK"
"""TVM's environment variable that has it leave the source as it is where there is a GPU, too."""

EMPTY_KERNEL = 'extern "C" __global__ void empty() {}'

INSTALL = "pip install 'dlas[cuda]' brings one, NVRTC; so does NVIDIA's CUDA toolkit, with nvcc on the PATH"


def require(target: CodeTarget) -> None:
    """UserError unless there is a compiler that knows the target's GPU."""
    try:
        compiled(EMPTY_KERNEL, target.arch)
    except RuntimeError as error:
        raise UserError(
            f"the compiler for GPUs makes no code for {target.arch}: {last_line(error)}",
            key="target.arch",
            remedy="a compute capability that it knows, or another version of it",
        ) from None


@contextmanager
def embedding(target: CodeTarget) -> Iterator[None]:
    """Have TVM put machine code for the target's GPU beside the source, within the block."""

    def with_machine_code(source: str, _: object) -> str:
        return gpu.with_machine_code(source, compiled(source, target.arch))

    tvm_ffi.register_global_func(SOURCE_IS_READY, with_machine_code, override=True)
    try:
        with environment.changed({LEAVE_THE_SOURCE: "1"}):
            yield
    finally:
        tvm_ffi.registry.remove_global_func(SOURCE_IS_READY)


def compiled(source: str, arch: str) -> bytes:
    """The cubin of CUDA C++ for a GPU of `arch`.

    Raises UserError (target.kind) where there is no compiler, RuntimeError where it refuses.
    """
    with TvmTarget({"kind": "cuda", "arch": arch}):
        if shutil.which("nvcc") is not None:
            return bytes(compile_cuda(source, "cubin", arch, compiler="nvcc"))
        toolkit = _nvrtc()
        with environment.changed({"CUDA_PATH": str(toolkit)}):
            headers = [f"-I{toolkit / 'include' / 'cccl'}"]
            return bytes(compile_cuda(source, "cubin", arch, headers, compiler="nvrtc"))


def _nvrtc() -> Path:
    folder = gpu.pip_folder()
    if folder is None or find_spec("cuda") is None:
        raise UserError("no compiler for GPUs was found", key="target.kind", remedy=INSTALL)
    return folder
