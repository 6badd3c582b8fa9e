"""Whether work beside a timing makes one library look slower or faster than itself: an A/A test.

    python benchmarks/beside.py --pairs 10

One library is deployed over and over, alone and beside a process that trains one network and builds another
without end, as the points of a sweep that runs in parallel do. Pairs of deployments are compared as a
redeployment compares them; and the library is raced against its own copy, as kernels to choose from are.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from statistics import median

import numpy as np
import tuned

from dlas import config
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing import measuring
from dlas.hardware.timing.race import RESOLVED, Race, race
from dlas.interfaces.targets.target import Target

SIZE = 32
DIFFERENT = (Outcome.SLOWER, Outcome.FASTER)


@dataclass(frozen=True)
class Tried:
    """The deployments and the races of one library."""

    deployments: list[Measurement]
    races: list[Race]


def work() -> None:
    """Train a network and build another, without end."""
    import torch

    target = resolve(config.Target("host"))
    network, images = torch.nn.Conv2d(3, 64, 5), torch.rand(64, 3, SIZE, SIZE)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    while True:
        for _ in range(20):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
        with tempfile.TemporaryDirectory() as folder:
            tuned.untuned(tuned.program("resnet20", "direct"), target, Path(folder))


@contextmanager
def other_work() -> Iterator[None]:
    """Have another process work until the block ends."""
    process = subprocess.Popen([sys.executable, __file__, "--work"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def tried(library: Path, target: Target, protocol: config.Timing, count: int) -> Tried:
    images = np.random.default_rng(0).random((1, 3, SIZE, SIZE), np.float32)
    copy = library.with_name("copy.so")
    shutil.copy(library, copy)
    return Tried(
        [measuring.measure(library, images, target, protocol) for _ in range(count)],
        [race([library, copy], images, target) for _ in range(count)],
    )


def compared(name: str, pairs: Sequence[tuple[Measurement, Measurement]]) -> str:
    """A line on the pairs: their ratios, how wide the intervals are, and what is said of them."""
    found = [Comparison(old, new) for old, new in pairs]
    ratios = sorted(one.ratio for one in found)
    width = median(one.interval.high / one.interval.low for one in found)
    outcomes = Counter(one.outcome for one in found)
    told = ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome if outcomes[outcome])
    false = sum(outcomes[outcome] for outcome in DIFFERENT) / len(found)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return f"| {name} | {len(found)} | {spread} | {width:.2f} | {told} | {false:.0%} |"


def raced(name: str, races: Sequence[Race]) -> str:
    """A line on races of the library with its copy."""
    turns = [tuple(contender.turns for contender in one.contenders) for one in races]
    ratios = [copy.over(own) for own, copy in turns]
    different = sum(not one.low <= 1 <= one.high for one in ratios)
    beaten = sum(copy.beats(own, RESOLVED) or own.beats(copy, RESOLVED) for own, copy in turns)
    marked = sum(bool(one.unsteadiness) for one in races)
    intervals = ", ".join(f"[{one.low:.3f}, {one.high:.3f}]" for one in ratios)
    return f"| {name} | {len(races)} | {intervals} | {different} | {beaten} | {marked} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10, help="deployments, and races, of each kind")
    parser.add_argument("--sessions", type=int, default=6)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work()
    target = resolve(config.Target("host"))
    protocol = config.Timing("aa", arguments.runs, 5, arguments.sessions, 0, False)
    with tempfile.TemporaryDirectory(prefix="dlas-") as folder:
        library = tuned.untuned(tuned.program("resnet20", "direct"), target, Path(folder))
        alone = tried(library, target, protocol, arguments.pairs)
        with other_work():
            beside = tried(library, target, protocol, arguments.pairs)
    print("| deployments | pairs | ratios | interval, high / low | verdicts | false |")
    print("|---|--:|---|--:|---|--:|")
    print(compared("both alone", list(combinations(alone.deployments, 2))))
    print(compared("both beside other work", list(combinations(beside.deployments, 2))))
    print(compared("one alone, one beside", list(product(alone.deployments, beside.deployments))))
    print()
    print("| races with itself | races | intervals of the ratio | without 1 | decided | marked |")
    print("|---|--:|---|--:|--:|--:|")
    print(raced("alone", alone.races))
    print(raced("beside other work", beside.races))


if __name__ == "__main__":
    main()
