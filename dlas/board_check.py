"""`python -m dlas.board check`: one library is deployed often, and compared with itself."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dlas import bundle, command_line, config
from dlas.bundle import Bundle, archive
from dlas.hardware.results import measurement, reference, self_test
from dlas.hardware.results.comparison import Outcome
from dlas.hardware.results.difference import POWER
from dlas.hardware.results.measurement import ENOUGH_SESSIONS, Measurement
from dlas.hardware.sessions import runners
from dlas.hardware.targets import bundle_board, target_file
from dlas.hardware.timing import deployment, measuring
from dlas.hardware.timing.measuring import NO_YARDSTICKS, Yardstick
from dlas.interfaces.targets.reach import Address
from dlas.interfaces.targets.target import Target

MAX_RATE = 0.05
"""Largest accepted rate of false alarms: the level of the test that every comparison makes."""

TOO_MANY_ALARMS = 3


@dataclass(frozen=True)
class Options:
    """Options of check."""

    target: str | None = None
    """Name of the target to deploy on; null for the bundle's, or this machine."""
    bundle: str | None = None
    signers: str | None = None
    """A file of the signers that are trusted; null for that of DLAS_SIGNERS, or for anybody."""
    rpc: Address = field(default_factory=Address)
    deployments: int = 20
    timing: str = "default"
    artifacts: str | None = None

    def __post_init__(self) -> None:
        few = f"{self.deployments} have no two to compare"
        config.require(self.deployments >= 2, "deployments", few, "20, or at least 2")


@dataclass(frozen=True)
class Subject:
    """A library to deploy, and its board."""

    library: Path
    inputs: np.ndarray
    target: Target
    yardsticks: Mapping[str, Yardstick]
    runner: str = runners.TVM


def require_enough_sessions(timing: str, protocol: config.Timing) -> None:
    """UserError (timing) for a protocol, called `timing`, whose measurements can't be told apart."""
    remedy = f"one of {ENOUGH_SESSIONS} sessions or more, such as default"
    enough = protocol.sessions >= ENOUGH_SESSIONS
    config.require(enough, "timing", f"{timing} has too few sessions to tell anything", remedy)


def check(options: Options, declared: config.Target | None, protocol: config.Timing) -> int:
    """Deploy by `protocol`, compare every pair and report; returns the exit status. The board is the declared
    target, or else the one that the bundle's library was made for."""
    with tempfile.TemporaryDirectory(prefix="dlas-") as scratch:
        subject = _subject(options, declared, protocol, Path(scratch))
        deployment.require_board(subject.target, subject.runner)
        kept = _kept(options, subject.target)
        found = []
        for number in range(1, options.deployments + 1):
            measured = measuring.measure(
                subject.library,
                subject.inputs,
                subject.target,
                protocol,
                subject.yardsticks,
                runner=subject.runner,
            )
            measurement.write(measured, kept / f"{number}.json")
            print(f"{number:3d} of {options.deployments}  {measured.median_ms:.3f} ms", flush=True)
            found.append(measured)
    print(report(found))
    print(f"kept       {kept}")
    return TOO_MANY_ALARMS if self_test.alarms(found) > MAX_RATE else 0


def report(found: Sequence[Measurement]) -> str:
    """The report for a person."""
    outcomes, smallest = self_test.outcomes(found), self_test.smallest_difference(found)
    counts = ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome)
    medians = [measured.median_ms for measured in found]
    unsteady = Counter(reason for measured in found for reason in measured.unsteady)
    resolved = (
        f"no slowdown below a factor of {self_test.MAX_FACTOR:g} is seen reliably"
        if smallest is None
        else f"a slowdown by a factor of {smallest:.3f} is seen in {POWER:.0%} of the pairs"
    )
    lines = [
        f"deployed   {len(found)} times, {len(found[0].sessions)} sessions each; medians from "
        f"{min(medians):.3f} to {max(medians):.3f} ms",
        f"pairs      {outcomes.total()}: {counts}",
        f"alarms     {self_test.alarms(found):.1%} of the pairs, and all of them are one library; "
        f"aimed at: {MAX_RATE:.0%} at most",
        f"resolves   {resolved}",
        *(f"unsteady   {reason}, {count} times" for reason, count in unsteady.most_common(3)),
    ]
    return "\n".join(lines)


def _subject(
    options: Options, declared: config.Target | None, protocol: config.Timing, scratch: Path
) -> Subject:
    from dlas.systems.compilers.tvm import yardstick

    verified = _verified(options, scratch)
    board = _board(declared, options.rpc, verified)
    names = yardstick.names(board.code)
    made = {name: Yardstick(scratch / f"{name}.so", yardstick.SHAPES[name]) for name in names}
    for name, one in made.items():
        yardstick.build(name, board.code, board.linker, one.library)
    beside = made if protocol.yardstick else NO_YARDSTICKS
    if verified is None:
        subject = made[yardstick.COMPUTE]
        # No network is followed as well as a yardstick follows itself.
        others = {name: one for name, one in beside.items() if one is not subject}
        return Subject(subject.library, np.zeros(subject.shape, "float32"), board, others)
    runner = target_file.compiler(verified.target)
    library = verified.libraries(runner, (1,))[1]
    return Subject(library, reference.read(verified.reference).inputs[:1], board, beside, runner)


def _verified(options: Options, scratch: Path) -> Bundle | None:
    if options.bundle is None:
        return None
    folder = archive.folder_of(Path(options.bundle).expanduser(), scratch)
    return bundle.trusted(folder, options.signers)


def _board(declared: config.Target | None, address: Address, verified: Bundle | None) -> Target:
    if verified is not None:
        return bundle_board.board(target_file.read(verified.target), declared, address)
    assert declared is not None, "without a bundle a target is declared"
    return bundle_board.declared_board(declared, address)


def _kept(options: Options, board: Target) -> Path:
    folder = command_line.artifacts_folder(options.artifacts) / "checks" / board.name
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.json"):
        earlier.unlink()
    return folder
