"""One bundle on a board again: rebuilt if asked, deployed, checked, timed by its own protocol, compared.

    opened(Bundle) -> Opened    what the bundle says
    redeployed(Bundle, Request, scratch folder) -> Redeployed; report(Redeployed) -> what a person reads

It needs neither PyTorch nor MLflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlas import config
from dlas.bundle import Bundle
from dlas.bundle.rebuild_process import Rebuilt, rebuilt_apart
from dlas.errors import UserError
from dlas.files import documents
from dlas.hardware.results import measurement, reference, spread
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.reference import Reference
from dlas.hardware.targets import machine, reached, target_file
from dlas.hardware.targets.fitting import DoesNotFit
from dlas.hardware.timing import deployment
from dlas.hardware.timing.deployment import Yardstick
from dlas.interfaces.targets.reach import Address
from dlas.interfaces.targets.target import Target
from dlas.printable import printable

REBUILD = (
    "rebuild=true target=<name> makes the library anew for that target, from the bundle's program, weights "
    "and tuning log"
)

MB = 1e6
UNKNOWN = "not measured"

WORST_FIRST = (Outcome.SLOWER, Outcome.UNCLEAR, Outcome.SAME, Outcome.FASTER)


@dataclass(frozen=True)
class Request:
    """A request to deploy: on which board, and whether with a library that is made again."""

    target: config.Target | None = None
    """The reader's board; None for what the library was made for, on this machine or at `rpc`."""
    rpc: Address = field(default_factory=Address)
    rebuild: bool = False
    trusted: tuple[str, ...] = ()
    """Packages of the reader's own that a bundle may name modules of."""


@dataclass(frozen=True)
class Redeployed:
    """The result of a redeployment."""

    comparison: Comparison
    larger: tuple[Comparison, ...]
    """Comparisons for every larger batch that was timed."""
    differences: Mapping[str, tuple[Any, Any]]
    """Differences of the environment: dotted key to (then, now)."""
    rebuilt: Rebuilt | None = None

    @property
    def batches(self) -> tuple[Comparison, ...]:
        """The comparisons for all batch sizes."""
        return (self.comparison, *self.larger)

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of all batch sizes."""
        outcomes = {one.outcome for one in self.batches}
        return next(one for one in WORST_FIRST if one in outcomes)

    @property
    def verdict(self) -> str:
        """The verdicts on all batch sizes."""
        larger = (f"batch {one.new.batch}: {one.verdict}" for one in self.larger)
        return "; ".join((self.comparison.verdict, *larger))


@dataclass(frozen=True)
class Opened:
    """The content of a bundle, read and within its bounds. Nothing of it has run."""

    bundle: Bundle
    made_for: Target
    timing: Measurement
    expected: Reference
    environment: Mapping[str, Any]


def opened(verified: Bundle) -> Opened:
    """Read a bundle but for its libraries and its program; UserError, naming the file, for what is
    missing or out of bounds."""
    timing = measurement.read(verified.timing)
    libraries = [verified.library_of(size) for size in (1, *timing.larger)]
    for library in (*libraries, *([verified.yardstick] if timing.yardstick else [])):
        if not library.is_file():
            raise UserError("is missing", key=printable(library))
    environment = timing.environment or _environment(verified)
    return Opened(
        verified, target_file.read(verified.target), timing, reference.read(verified.reference), environment
    )


def redeployed(verified: Bundle, request: Request, scratch: Path) -> Redeployed:
    """Compare the bundle's own measurement with a new one on the requested board.

    Raises UserError where the bundle can't be read, where the library doesn't fit the board, doesn't run, or
    gives wrong outputs, and where the board can't be reached: nothing is timed then.
    """
    found = opened(verified)
    with _rebuilding_offered():
        board = _board(found.made_for, request)
        deployment.require_board(board)
    old = found.timing
    made = None
    if request.rebuild:
        print(f"rebuilding the library for {board.name} from the bundle's program, weights and tuning log")
        made = rebuilt_apart(verified, board, scratch / "rebuilt", old.larger, request.trusted)
    libraries = _bundled(verified, old.larger) if made is None else {1: made.library, **made.larger}
    yardstick = verified.yardstick if made is None else made.yardstick
    new = _retimed(found.expected, old, libraries, yardstick, board)
    comparison, *larger = map(Comparison, old.batches, new.batches)
    differences = machine.differences(found.environment, new.environment)
    return Redeployed(comparison, tuple(larger), differences, made)


def report(found: Redeployed) -> str:
    """The report for a person."""
    comparison = found.comparison
    lines = [
        *_carried(found.rebuilt),
        *_compared(comparison),
        *(line for one in found.larger for line in (f"batch      {one.new.batch}", *_compared(one))),
        *_pace(comparison),
        *(f"differs    {name}: {old} then, {new} now" for name, (old, new) in found.differences.items()),
    ]
    return "\n".join(map(printable, lines))


def _bundled(verified: Bundle, batch_sizes: Iterable[int]) -> dict[int, Path]:
    return {size: verified.library_of(size) for size in (1, *batch_sizes)}


def _board(made_for: Target, request: Request) -> Target:
    """The board to run on. A library that is made again is made for it: the declared target, or the bundle's
    own with the reader's linker."""
    if not request.rebuild:
        return reached.board(made_for, request.target, request.rpc)
    if request.target is not None:
        return reached.declared_board(request.target, request.rpc)
    return reached.board(made_for, None, request.rpc)


@contextmanager
def _rebuilding_offered() -> Iterator[None]:
    """Offer a rebuild where the library does not fit its board."""
    try:
        yield
    except DoesNotFit as error:
        raise UserError(error.problem, key=error.key, remedy=REBUILD) from None


def _retimed(
    expected: Reference, old: Measurement, libraries: Mapping[int, Path], yardstick: Path, board: Target
) -> Measurement:
    """Check the libraries on every reference input, then time them by the protocol of the first time."""
    for size, library in libraries.items():
        outputs = deployment.run(library, expected.inputs, board, size)
        reference.require_match(expected, outputs, "the library" if size == 1 else library.name)
        error = reference.largest_error(expected, outputs)
        whose = "" if size == 1 else f" of batches of {size}"
        print(
            f"checked    {len(outputs)} outputs{whose} match the reference, the largest error is {error:.2g}"
        )
    protocol = config.Timing("stored", old.runs, old.warmup, len(old.sessions), old.cold, bool(old.yardstick))
    beside = _yardstick(yardstick) if protocol.yardstick else None
    larger = {size: library for size, library in libraries.items() if size > 1}
    return deployment.measure(libraries[1], expected.inputs, board, protocol, beside, larger)


def _yardstick(library: Path) -> Yardstick:
    from dlas.systems.compilers.tvm import yardstick

    return Yardstick(library, yardstick.INPUT)


def _carried(made: Rebuilt | None) -> list[str]:
    if made is None:
        return []
    carried = sum(kernel.carried for kernel in made.kernels)
    lines = [f"rebuilt    {carried} of {len(made.kernels)} tuned schedules carried over"]
    left = [kernel for kernel in made.kernels if not kernel.carried]
    return lines + [f"untuned    {kernel.name}: {kernel.reason}" for kernel in left]


def _ratio(comparison: Comparison) -> str:
    if not comparison.comparable:
        return ""
    interval = comparison.interval
    return f"{comparison.ratio:.3f} [{interval.low:.3f}, {interval.high:.3f}]  "


def _compared(comparison: Comparison) -> list[str]:
    """Lines on one batch size."""
    return [
        f"then       {_latency(comparison.old)}",
        f"now        {_latency(comparison.new)}",
        f"ratio      {_ratio(comparison)}{comparison.verdict}",
        *_beside(comparison),
        *([f"unsteady   {'; '.join(comparison.unsteady)}"] if comparison.unsteady else []),
        *_spread(comparison),
    ]


def _spread(comparison: Comparison) -> list[str]:
    """Lines on where the spread of each side comes from, where that is known."""
    sources = (("then", spread.source(comparison.old)), ("now", spread.source(comparison.new)))
    return [f"spread     {when} mainly from {source}" for when, source in sources if source is not None]


def _pace(comparison: Comparison) -> list[str]:
    """A line on the board's own pace, where it was measured."""
    interval = comparison.board_interval
    if not comparison.comparable or interval is None:
        return []
    ratio = f"{comparison.board_ratio:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    return [f"yardstick  {ratio}  the time of a network that is always the same, now over then"]


def _beside(comparison: Comparison) -> list[str]:
    """Lines on cold caches, memory, the start and energy, where they were measured."""
    old, new = comparison.old, comparison.new
    lines = []
    cold = old.cold_ms, new.cold_ms
    if None not in cold:
        lines.append(f"cold       {cold[0]:.3f} ms then, {cold[1]:.3f} ms now, medians with cold caches")
    if new.memory is not None:
        then = f"{old.memory.peak_bytes / MB:.1f} MB" if old.memory else UNKNOWN
        now = f"{new.memory.peak_bytes / MB:.1f} MB"
        lines.append(f"memory     {then} then, {now} now, of the runtime, the network and its runs")
    if new.start is not None:
        then = f"{old.start.whole_ms:.1f} ms" if old.start else UNKNOWN
        now = f"{new.start.whole_ms:.1f} ms"
        lines.append(f"start      {then} then, {now} now, from importing the runtime to the first output")
    for meter, mj in new.energy_mj.items():
        then = f"{old.energy_mj[meter]:.3f} mJ" if meter in old.energy_mj else UNKNOWN
        lines.append(f"energy     {then} then, {mj:.3f} mJ now, of a run, measured by {meter}")
    return lines


def _latency(measured: Measurement) -> str:
    interval = measured.interval_ms
    return (
        f"{measured.median_ms:.3f} ms [{interval.low:.3f}, {interval.high:.3f}]  "
        f"first {measured.first_ms:.3f}, p90 {measured.percentile_ms(90):.3f}, "
        f"{len(measured.samples_ms)} samples, {_sessions(measured)}{measured.threads} threads"
        f"{', emulated' if measured.emulated else ''}"
    )


def _sessions(measured: Measurement) -> str:
    count = len(measured.sessions)
    return f"{count} sessions, " if count > 1 else ""


def _environment(verified: Bundle) -> dict[str, Any]:
    found = documents.read(machine.ENVIRONMENT, verified.environment)
    if problem := machine.strange(found):
        raise UserError(printable(problem), key=printable(verified.environment))
    return found
