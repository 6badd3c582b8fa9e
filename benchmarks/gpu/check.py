"""What of `target=cuda` is right and fast on the NVIDIA GPU of this machine, in less than eight minutes.

    make gpu-check                                        sets up what it needs, then does this
    python benchmarks/gpu/check.py [--seconds 420] [--networks resnet18 …] [-- model=… …]

1. Points by the public command: algo=direct,gemm compression=none,float16 on the digits, whose outputs it
   compares with PyTorch's. What is typed after -- takes the place of it.
2. Networks with random weights, by both algorithms in float32 and float16: outputs against PyTorch's on the
   CPU, the median of 100 runs after 20 that are not counted, images and outputs in the GPU's memory. Beside
   them PyTorch on the GPU (cuDNN) and TensorRT, where they are installed, likewise; float32 without TF32.
3. What to mend: what failed or answers wrongly, and where a peer is faster, with the slowest kernels.

What there was no time for is named. The points' folder is a temporary one.

Exit status: 0 all answers are right; 1 something failed or is wrong; 4 there is no GPU that CUDA can use.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dlas.errors import UserError, last_line
from dlas.hardware.targets import gpu
from dlas.printable import printable

if TYPE_CHECKING:
    from case import Case

SECONDS = 420.0
"""Time after which nothing new is begun; what was begun then takes less than a minute."""

POINT_SHARE = 0.5
"""Largest share of the time for the points."""

RIGHT, TO_MEND, NO_GPU = 0, 1, 4
SLOWEST = 3
"""Kernels that are named of a library that a peer is faster than."""


@dataclass
class Found:
    """What was found so far."""

    ends: float
    """Reading of the monotonic clock at which the time is up."""
    wrong: list[str] = field(default_factory=list)
    slow: list[tuple[float, str]] = field(default_factory=list)
    """How many times as long as the fastest peer a network takes, and the same in words."""
    left_out: list[str] = field(default_factory=list)

    def is_over(self, what: str) -> bool:
        """Whether the time is up, and `what` is left out for it."""
        over = time.monotonic() > self.ends
        if over:
            self.left_out.append(what)
        return over


def main() -> int:
    options = _options()
    arch = gpu.arch()
    if not arch:
        print(f"No GPU that CUDA can use is here: nothing was checked or changed. It takes {gpu.NEEDED}")
        return NO_GPU
    started = time.monotonic()
    print(f"GPU of {arch}", flush=True)
    found = Found(started + options.seconds)
    _points(found, options.seconds * POINT_SHARE, options.more)
    with TemporaryDirectory(prefix="dlas-gpu-") as scratch:
        _networks(found, options.networks, Path(scratch))
    print("\n".join(["", *_told(found), f"took {time.monotonic() - started:.0f} s"]))
    return TO_MEND if found.wrong else RIGHT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--networks", nargs="*", help="of case.NETWORKS; all of them where it is not given")
    parser.add_argument("more", nargs="*", metavar="-- OVERRIDE", help="of dlas.run, for the points")
    return parser.parse_args()


def _points(found: Found, seconds: float, more: list[str]) -> None:
    """Make the points by the public command."""
    from case import RUNS, WARMUP

    with TemporaryDirectory(prefix="dlas-gpu-") as artifacts:
        standing = {
            "dataset": "digits",
            "model": "resnet18",
            "algo": "direct,gemm",
            "compression": "none,float16",
            "train.epochs": "1",
            "timing.warmup": str(WARMUP),
            "timing.runs": str(RUNS),
        }
        typed = {one.partition("=")[0] for one in more}
        given = [f"{key}={value}" for key, value in standing.items() if key not in typed]
        command = [sys.executable, "-m", "dlas.run", "-m", "target=cuda", "tuner=none", *given, *more]
        try:
            ended = subprocess.run([*command, f"artifacts={artifacts}"], timeout=seconds)
        except subprocess.TimeoutExpired:
            found.left_out.append(f"points that were not made in {seconds:.0f} s")
        else:
            if ended.returncode != 0:
                found.wrong.append(
                    f"points: dlas.run ended with status {ended.returncode}; see its table above"
                )


def _networks(found: Found, names: list[str] | None, scratch: Path) -> None:
    from case import DATA_TYPES, NETWORKS, Case

    for name in [*NETWORKS] if names is None else names:
        for data_type in DATA_TYPES:
            if not found.is_over(f"{name} {data_type}"):
                _network(found, Case(name, data_type), scratch)


def _network(found: Found, case: Case, scratch: Path) -> None:
    """Check and time one network by each algorithm and each peer, and compare the fastest ones."""
    import ours
    import peers

    libraries = {algorithm: scratch / f"{algorithm}.so" for algorithm in ours.ALGORITHMS}
    by_us: dict[str, float] = {}
    by_peers: dict[str, float] = {}
    for algorithm, library in libraries.items():
        label = f"{case.name} {case.data_type} {algorithm}"
        try:
            by_us[algorithm] = ours.median_ms(case, algorithm, library)
        except Exception as error:  # whatever TVM or the driver raise: the others go on
            found.wrong.append(f"{label}: {_reason(error)}")
        print(_line(label, by_us.get(algorithm)), flush=True)
    for peer, median_ms in peers.PEERS.items():
        label = f"{case.name} {case.data_type} {peer}"
        try:
            by_peers[peer] = median_ms(case)
        except peers.Absent as absent:
            print(f"{label:<45} {absent}")
            continue
        except Exception as error:  # whatever the peer raises: it is no fault of ours
            print(f"{label:<45} failed: {_reason(error)}")
            continue
        print(_line(label, by_peers[peer]), flush=True)
    if not by_us or not by_peers:
        return
    algorithm, peer = min(by_us, key=lambda one: by_us[one]), min(by_peers, key=lambda one: by_peers[one])
    ratio = by_us[algorithm] / by_peers[peer]
    if ratio > 1:
        kernels = ", ".join(ours.slowest(case, libraries[algorithm], SLOWEST))
        words = (
            f"{case.name} {case.data_type}: {algorithm} takes {ratio:.2f} times as long as {peer}; {kernels}"
        )
        found.slow.append((ratio, words))


def _told(found: Found) -> list[str]:
    lines = [f"left out   {each}" for each in found.left_out]
    lines += [f"wrong      {each}" for each in found.wrong]
    lines += [f"slow       {words}" for _, words in sorted(found.slow, reverse=True)]
    if not found.wrong:
        lines.append("right      all that ran answers as PyTorch does")
    return lines


def _line(label: str, median_ms: float | None) -> str:
    return f"{label:<45} {'failed' if median_ms is None else f'{median_ms:9.3f} ms'}"


def _reason(error: Exception) -> str:
    """The error in one line; compilers say last what is wrong."""
    said = error.problem if isinstance(error, UserError) else last_line(error)
    return f"{type(error).__name__}: {printable(said)}"


if __name__ == "__main__":
    sys.exit(main())
