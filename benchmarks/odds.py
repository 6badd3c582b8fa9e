"""How often verdicts are right: one library against itself, and against ones that are slower by a known part.

    python benchmarks/odds.py --pairs 100 --results odds.jsonl
    python benchmarks/odds.py --pairs 3 --networks resnet20 --slower 1 1.2

Each pair is a deployment by `timing=default` and another one, of a copy of the library or of a slower one, as
a redeployment takes it: within the default budget, and until it can tell. With `--beside` both take turns, as
a rebuilt library and the stored one do. What is found is added to the file at once; the same command goes on
where it was stopped. Pairs that share a deployment would not be independent, so each has two of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import slowed
import tuned

from dlas import config
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.targets.resolving import resolve
from dlas.hardware.timing import measuring
from dlas.hardware.timing.measuring import Network, Yardstick
from dlas.interfaces.targets.target import Target
from dlas.systems.compilers.tvm import yardstick

NETWORKS = ("resnet20", "resnet18", "mobilenetv2_imagenet", "resnet50")
SLOWER = (1.0, 1.03, 1.05, 1.1, 1.2)
ALGORITHM = "spatial_pack"


@dataclass(frozen=True)
class Found:
    """The verdict on one pair."""

    network: str
    slower: float
    beside: bool
    pair: int
    outcome: str
    ratio: float
    low: float
    high: float
    sessions: int
    seconds: float


@dataclass(frozen=True)
class Subject:
    """A network's library, slower ones, and what is timed beside them."""

    libraries: Mapping[float, Path]
    """Files by the factor that they are slower by; 1 is the network itself."""
    image: np.ndarray
    target: Target
    yardsticks: Mapping[str, Yardstick]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--slower", nargs="+", type=float, default=SLOWER)
    parser.add_argument("--beside", action="store_true", help="old and new library in turn")
    parser.add_argument("--results", type=Path, default=Path("odds.jsonl"))
    options = parser.parse_args()
    known = list(read(options.results))
    done = {(one.network, one.slower, one.beside, one.pair) for one in known}
    protocol = config.declared_timing("default")
    for network in options.networks:
        cases = [(number, factor) for number in range(options.pairs) for factor in options.slower]
        left = [one for one in cases if (network, one[1], options.beside, one[0]) not in done]
        if not left:
            continue
        with tempfile.TemporaryDirectory(prefix="dlas-odds-") as folder:
            subject = made(network, sorted({factor for _, factor in left}), Path(folder))
            for number, factor in left:
                found = compared(network, subject, protocol, factor, number, beside=options.beside)
                known.append(found)
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps(asdict(found))}\n")
                print(f"{network} {factor:g} {number}: {found.outcome}, {found.ratio:.3f}", flush=True)
    print(table(known))


def read(path: Path) -> Iterator[Found]:
    """What an earlier command found."""
    if path.exists():
        yield from (Found(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


def made(network: str, factors: list[float], folder: Path) -> Subject:
    """The libraries of a network, in the folder."""
    target = resolve(config.Target(name="host"))
    lowered = tuned.program(network, ALGORITHM)
    plain = tuned.untuned(lowered, target, folder)
    _, size = tuned.NETWORKS[network]
    image = np.random.default_rng(0).standard_normal((1, 3, size, size), np.float32)
    libraries = {1.0: plain}
    for factor in factors:
        if factor > 1:
            steps = slowed.steps_for(plain, lowered, image, target, factor)
            libraries[factor] = slowed.library(lowered, steps, target, folder / f"slower-{factor:g}.so")
    beside = {}
    for name in yardstick.names(target.code):
        path = folder / f"yardstick-{name}.so"
        yardstick.build(name, target.code, target.linker, path)
        beside[name] = Yardstick(path, yardstick.SHAPES[name])
    return Subject(libraries, image, target, beside)


def compared(
    network: str, subject: Subject, protocol: config.Timing, factor: float, number: int, *, beside: bool
) -> Found:
    """The verdict on a pair of fresh deployments."""
    with tempfile.TemporaryDirectory(prefix="dlas-odds-") as folder:
        # Copies lie in other pages of memory, as those of two deployments do.
        old, new = (Path(folder) / f"{side}.so" for side in ("old", "new"))
        shutil.copy(subject.libraries[1.0], old)
        shutil.copy(subject.libraries[factor], new)
        deploy = _beside if beside else _one_after_the_other
        comparison, seconds = deploy(subject, protocol, old, new)
    interval = comparison.interval
    return Found(
        network,
        factor,
        beside,
        number,
        comparison.outcome.value,
        comparison.ratio,
        interval.low,
        interval.high,
        len(comparison.new.sessions),
        seconds,
    )


def _one_after_the_other(
    subject: Subject, protocol: config.Timing, old: Path, new: Path
) -> tuple[Comparison, float]:
    """The comparison, and the seconds of the second deployment."""

    def deployed(library: Path, against: Measurement | None = None) -> Measurement:
        given = (library, subject.image, subject.target, protocol, subject.yardsticks)
        if against is None:
            return measuring.measure(*given)
        return measuring.measure(*given, is_enough=lambda found: not Comparison(against, found).is_open)

    then = deployed(old)
    start = time.monotonic()
    found = Comparison(then, deployed(new, then))
    return found, time.monotonic() - start


def _beside(subject: Subject, protocol: config.Timing, old: Path, new: Path) -> tuple[Comparison, float]:
    """The comparison, and the seconds of both."""
    start = time.monotonic()
    then, now = measuring.measure_in_turn(
        [Network({1: library}, subject.image) for library in (old, new)],
        subject.target,
        protocol,
        is_enough=lambda pair: not Comparison(*pair, paired=True).is_open,
    )
    return Comparison(then, now, paired=True), time.monotonic() - start


def table(known: list[Found]) -> str:
    """The shares of each verdict, the mean number of sessions, and seconds."""
    outcomes = [outcome.value for outcome in Outcome]
    lines = [f"| network | slower by | pairs | {' | '.join(outcomes)} | sessions | seconds |"]
    lines.append("|---" * (len(outcomes) + 5) + "|")
    for case in sorted({(one.network, one.beside, one.slower) for one in known}):
        of_case = [one for one in known if (one.network, one.beside, one.slower) == case]
        network, beside, slower = case
        counts = Counter(one.outcome for one in of_case)
        shares = " | ".join(f"{counts[outcome] / len(of_case):.0%}" for outcome in outcomes)
        sessions, seconds = (mean(getattr(one, name) for one in of_case) for name in ("sessions", "seconds"))
        how = f"{network}{', beside it' * beside} | {slower:g} | {len(of_case)}"
        lines.append(f"| {how} | {shares} | {sessions:.0f} | {seconds:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
