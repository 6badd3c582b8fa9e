"""How often verdicts are right: one library against itself, and against ones that are slower by a known part.

    python benchmarks/odds.py --pairs 100 --results odds
    python benchmarks/odds.py --pairs 3 --networks resnet20 --slower 1 1.2
    python benchmarks/odds.py --pairs 0 --results odds           # only the table of what was found

Each pair is a deployment by `timing=default` and another one, of a copy of the library or of a slower one, as
a redeployment takes it: within the default budget, and until it can tell. With `--beside` both take turns, as
a rebuilt library and the stored one do. With `--shared`, whose results need a folder of their own, another
process computes half of the time. Pairs that share a deployment would not be independent, so each pair
of a case has two of its own; the cases of a network share the first one.

The folder of the results holds the libraries as well, which are made once, on this machine for it, and all
samples. What is found is added to `verdicts.jsonl` there at once: the same command goes on where it was
stopped. The first pair of each case of each network is taken before any second one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import geometric_mean, mean

import numpy as np
import slowed
import tuned
from neighbour import sharing_the_machine

from dlas import config
from dlas.analysis.statistics.proportion import wilson
from dlas.hardware.results import measurement
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
VERDICTS = "verdicts.jsonl"


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
    parser.add_argument("--shared", action="store_true", help="beside another process that computes at times")
    parser.add_argument("--results", type=Path, default=Path("odds"), help="a folder")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    verdicts = options.results / VERDICTS
    known = list(read(verdicts))
    done = {(one.network, one.slower, one.beside, one.pair) for one in known}
    protocol = config.declared_timing("default")
    rounds = {
        (network, number): lacking
        for number in range(options.pairs)
        for network in options.networks
        if (lacking := [one for one in options.slower if (network, one, options.beside, number) not in done])
    }
    subjects = {
        network: made(network, protocol, options.slower, options.results / network)
        for network in dict.fromkeys(network for network, _ in rounds)
    }
    way = "beside" if options.beside else "across"
    deployed_pairs = _in_turn if options.beside else _one_after_the_other
    with sharing_the_machine() if options.shared else nullcontext():
        for (network, number), factors in rounds.items():
            for factor, comparison, seconds in deployed_pairs(subjects[network], protocol, factors):
                keep(comparison, options.results / network / f"{way}-{factor:g}-{number}")
                found = verdict(network, factor, number, comparison, seconds, beside=options.beside)
                known.append(found)
                with verdicts.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps(asdict(found))}\n")
                print(f"{network} {factor:g} {number}: {found.outcome}, {found.ratio:.3f}", flush=True)
    print(table(known))


def read(path: Path) -> Iterator[Found]:
    """What an earlier command found."""
    if path.exists():
        yield from (Found(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


def made(network: str, protocol: config.Timing, factors: Sequence[float], folder: Path) -> Subject:
    """The libraries of a network, in the folder, where those stay that are there already."""
    folder.mkdir(exist_ok=True)
    target = resolve(config.Target(name="host"))
    _, size = tuned.NETWORKS[network]
    image = np.random.default_rng(0).standard_normal((1, 3, size, size), np.float32)
    libraries = {factor: folder / f"slower-{factor:g}.so" for factor in (1.0, *factors)}
    lacking = [factor for factor, path in libraries.items() if not path.exists()]
    if lacking:
        print(f"making {network} slower by {', '.join(f'{factor:g}' for factor in lacking)}", flush=True)
        wanted = {factor: libraries[factor] for factor in lacking}
        _make(network, wanted, libraries[1.0], image, target, protocol)
    beside = {}
    for name in yardstick.names(target.code):
        path = folder / f"yardstick-{name}.so"
        yardstick.build(name, target.code, target.linker, path)
        beside[name] = Yardstick(path, yardstick.SHAPES[name])
    return Subject(libraries, image, target, beside)


def _make(
    network: str,
    lacking: Mapping[float, Path],
    plain: Path,
    image: np.ndarray,
    target: Target,
    protocol: config.Timing,
) -> None:
    """Make the libraries that are lacking; `plain` is that of the network itself."""
    lowered = tuned.program(network, ALGORITHM)
    with tempfile.TemporaryDirectory(prefix="dlas-odds-") as folder:
        if 1.0 in lacking:
            shutil.move(tuned.untuned(lowered, target, Path(folder)), plain)
        slower = [factor for factor in lacking if factor > 1]
        given = (lowered, plain, image, target, protocol, slower)
        steps = slowed.steps_for(*given) if slower else {}
        for factor in slower:
            written = slowed.library(lowered, steps[factor], target, Path(folder) / lacking[factor].name)
            shutil.move(written, lacking[factor])


def verdict(
    network: str, factor: float, number: int, comparison: Comparison, seconds: float, *, beside: bool
) -> Found:
    """The verdict on a pair, by its comparison."""
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


def keep(comparison: Comparison, folder: Path) -> None:
    """Keep both measurements."""
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("old", "new"):
        measurement.write(getattr(comparison, side), folder / f"{side}.json")


@contextmanager
def _copied(library: Path) -> Iterator[Path]:
    """A copy of a library: it lies in other pages of memory, as that of another deployment does."""
    with tempfile.TemporaryDirectory(prefix="dlas-odds-") as folder:
        yield Path(shutil.copy(library, folder))


def _one_after_the_other(
    subject: Subject, protocol: config.Timing, factors: Sequence[float]
) -> Iterator[tuple[float, Comparison, float]]:
    """For each factor, the comparison of a fresh deployment with one and the same earlier deployment, and the
    seconds of the fresh one."""

    def deployed(factor: float, against: Measurement | None = None) -> Measurement:
        with _copied(subject.libraries[factor]) as library:
            given = (library, subject.image, subject.target, protocol, subject.yardsticks)
            if against is None:
                return measuring.measure(*given)
            return measuring.measure(*given, is_enough=lambda found: not Comparison(against, found).is_open)

    then = deployed(1.0)
    for factor in factors:
        start = time.monotonic()
        found = Comparison(then, deployed(factor, then))
        yield factor, found, time.monotonic() - start


def _in_turn(
    subject: Subject, protocol: config.Timing, factors: Sequence[float]
) -> Iterator[tuple[float, Comparison, float]]:
    """For each factor, the comparison of two fresh deployments that take turns, and the seconds of both."""
    for factor in factors:
        start = time.monotonic()
        with _copied(subject.libraries[1.0]) as old, _copied(subject.libraries[factor]) as new:
            then, now = measuring.measure_in_turn(
                [Network({1: library}, subject.image) for library in (old, new)],
                subject.target,
                protocol,
                is_enough=lambda pair: not Comparison(*pair, paired=True).is_open,
            )
        yield factor, Comparison(then, now, paired=True), time.monotonic() - start


def table(known: list[Found]) -> str:
    """For each case the geometric mean of the ratios; the shares of each verdict, with the 95 % intervals of
    these shares; and the means of the sessions and seconds."""
    outcomes = [outcome.value for outcome in Outcome]
    columns = ["network", "slower by", "ratio", "pairs", *outcomes, "slower or faster", "sessions", "seconds"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for network, beside, slower in sorted({(one.network, one.beside, one.slower) for one in known}):
        found = [one for one in known if (one.network, one.beside, one.slower) == (network, beside, slower)]
        counts = Counter(one.outcome for one in found)
        differs = counts[Outcome.SLOWER.value] + counts[Outcome.FASTER.value]
        cells = [
            f"{network}{', beside it' * beside}",
            f"{slower:g}",
            f"{geometric_mean(one.ratio for one in found):.3f}",
            f"{len(found)}",
            *(_share(counts[outcome], len(found)) for outcome in outcomes),
            _share(differs, len(found)),
            f"{mean(one.sessions for one in found):.0f}",
            f"{mean(one.seconds for one in found):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(held: int, pairs: int) -> str:
    ends = wilson(held, pairs)
    return f"{held / pairs:.0%} [{ends.low:.0%}, {ends.high:.0%}]"


if __name__ == "__main__":
    main()
