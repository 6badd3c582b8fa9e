"""The measured peaks of this machine beside what NumPy reaches, in one process, by one thread.

    TVM_NUM_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/roofs.py [--rounds 5]

Both take turns, and the best of all rounds counts. A matrix multiplication of NumPy's BLAS can't do more
operations a second than the peak, and a copy or a sum no more bytes than the bandwidth: ratios above 1 by
more than noise would say that a kernel measures too little. The last line says whether it measures too much:
the clock that one, two or four vector units need for the peak.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from dlas import config
from dlas.hardware.results.roofs import Rate
from dlas.hardware.sessions import roofs
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing.roofs import STREAM_BLOCK
from dlas.systems.compilers.tvm import roofs as kernels

SIZE = 1024
"""Rows and columns of the matrices: with 4 MB each they are blocked for the caches."""

UNITS = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    code = resolve(config.Target("host", cores=1)).code
    peaks = kernels.peaks(code)
    best: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        library = Path(folder) / "roofs.so"
        kernels.build(code, None, library)
        for _ in range(rounds):
            found = roofs.measured(library, [asdict(peak) for peak in peaks], STREAM_BLOCK)
            rates = {
                name: Rate(one["work"], tuple(one["samples_ns"])) for name, one in found["rates"].items()
            }
            told = {name: rate.best for name, rate in rates.items()} | by_numpy(found["array_bytes"])
            best = {name: max(value, best.get(name, 0.0)) for name, value in told.items()}
    bandwidth = max(best["read"], best["triad"])
    for name, bound in (("matmul", best["float32"]), ("copy", bandwidth), ("sum", bandwidth)):
        print(f"NumPy's {name:7} {best[name]:8.1f} of {bound:8.1f}: {best[name] / bound:.2f}")
    for name in ("float32", "int8", "read", "triad"):
        if name in best:
            print(f"{name:15} {best[name]:8.1f}")
    clock = best["float32"] / (2 * code.lanes)
    needed = ", ".join(f"{clock / units:.2f}" for units in UNITS)
    said = psutil.cpu_freq()
    print(
        f"GHz that {UNITS} units of {code.lanes} lanes need: {needed}; told: {said and said.current / 1000}"
    )


def by_numpy(array_bytes: int) -> dict[str, float]:
    """Operations, or bytes, a nanosecond of NumPy's best run."""
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((SIZE, SIZE)).astype("float32") for _ in range(2))
    product = np.empty_like(left)
    first, second = (np.ones(array_bytes // 4, "float32") for _ in range(2))
    return {
        "matmul": 2 * SIZE**3 / nanoseconds(lambda: np.matmul(left, right, out=product)),
        "copy": 2 * array_bytes / nanoseconds(lambda: np.copyto(first, second)),
        "sum": array_bytes / nanoseconds(lambda: first.sum()),
    }


def nanoseconds(run: Callable[[], object]) -> float:
    samples = []
    for _ in range(10):
        start = time.perf_counter_ns()
        run()
        samples.append(time.perf_counter_ns() - start)
    return min(samples)


if __name__ == "__main__":
    main()
