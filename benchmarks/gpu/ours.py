"""A network by `target=cuda`: a library in sessions of its own, as a point has it."""

from __future__ import annotations

from pathlib import Path

from case import RUNS, WARMUP, Case

from dlas import config
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing import deployment, measuring, single_kernels
from dlas.models import precision
from dlas.systems.choices.lowering import lower
from dlas.systems.compilers.tvm.building import build_library

ALGORITHMS = ("direct", "gemm")
OPT_LEVEL = 3


def median_ms(case: Case, algorithm: str, library: Path) -> float:
    """Median milliseconds by an algorithm, of a library that is built as the file `library`; UserError where
    it can't be, does not run, or does not answer as PyTorch does."""
    target = resolve(config.declared_target("cuda"))
    network = precision.exportable(case.network, 1)
    build_library(
        lower(network, tuple(case.image.shape), algorithm), {}, target.code, target.linker, OPT_LEVEL, library
    )
    images = case.image.numpy()
    case.require_right(deployment.run(library, images, target))
    protocol = config.Timing("gpu_check", runs=RUNS, warmup=WARMUP)
    return measuring.measure(library, images, target, protocol).median_ms


def slowest(case: Case, library: Path, count: int) -> list[str]:
    """The kernels of a library that take the most time, in words."""
    target = resolve(config.declared_target("cuda"))
    found = single_kernels.profile(library, case.image.numpy(), target, RUNS)
    ordered = sorted(found, key=lambda kernel: kernel.median_ms, reverse=True)
    return [f"{kernel.kernel} {kernel.median_ms:.3f} ms" for kernel in ordered[:count]]
