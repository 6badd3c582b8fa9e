"""One bundle on a board again: rebuilt if asked, deployed, checked, timed by its own protocol, compared.

    opened(Bundle) -> Opened    what the bundle says
    check(Opened, libraries, board)    its outputs against the reference
    redeployed(Bundle, Request, scratch folder) -> Redeployed    what a new measurement says beside it

It needs neither PyTorch nor MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlas import config
from dlas.bundle import Bundle
from dlas.bundle.rebuild_process import Rebuilt, rebuilt_apart
from dlas.errors import UserError
from dlas.files import documents, folders, temporary
from dlas.hardware.results import limit as limits
from dlas.hardware.results import measurement, reference
from dlas.hardware.results.comparison import Comparison, Outcome
from dlas.hardware.results.measurement import Measurement
from dlas.hardware.results.reference import Reference
from dlas.hardware.sessions import runners
from dlas.hardware.targets import bundle_board, run_environment, target_file
from dlas.hardware.targets.fitting import DoesNotFit
from dlas.hardware.timing import deployment, measuring
from dlas.hardware.timing.measuring import Libraries, Network, Yardstick
from dlas.interfaces.compiler import RunsOn
from dlas.interfaces.targets.reach import Address
from dlas.interfaces.targets.target import Target
from dlas.plugins import compilers
from dlas.plugins.registry import NETWORK_COMPILERS
from dlas.printable import printable

REBUILD = (
    "rebuild=true target=<name> makes the library anew for that target, from the bundle's program, weights "
    "and tuning log"
)

WORST_FIRST = (Outcome.SLOWER, Outcome.UNCLEAR, Outcome.SAME, Outcome.FASTER)


@dataclass(frozen=True)
class Request:
    """A request to deploy: on which board, and whether with a library that is made again."""

    target: config.Target | None = None
    """The reader's board; None for what the library was made for, on this machine or at `rpc`."""
    rpc: Address = field(default_factory=Address)
    rebuild: bool = False
    protocol: config.Timing | None = None
    """The protocol to time by; None for that of the first time."""
    trusted: tuple[str, ...] = ()
    """Packages of the reader's own that a bundle may name modules of."""
    limit: float | None = None
    """The ratio of new time over old that is asked about; None to ask whether there is a difference."""

    def is_open(self, comparison: Comparison) -> bool:
        """Whether the comparison does not answer that yet, and further sessions might."""
        return comparison.is_open if self.limit is None else limits.is_open(comparison, self.limit)


@dataclass(frozen=True)
class Size:
    """Bytes of all files that are deployed for a batch size."""

    then: int
    """Those of the bundle."""
    now: int
    """Those that were timed now: other ones where they were made again."""


@dataclass(frozen=True)
class Redeployed:
    """The result of a redeployment."""

    comparison: Comparison
    """The new measurement against the original, or against that of the stored library in turn with it."""
    larger: tuple[Comparison, ...]
    """Comparisons for every larger batch that was timed."""
    differences: Mapping[str, tuple[Any, Any]]
    """Differences of the environment: dotted key to (then, now)."""
    rebuilt: Rebuilt | None = None
    original: Measurement | None = None
    """The bundle's own measurement, where the stored library was timed anew and is what is compared with."""
    sizes: Mapping[int, Size] = field(default_factory=dict)
    """Sizes of what is deployed, by batch size."""

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
    runner: str
    """Name of what runs its libraries: that of their compiler."""

    def network(self, libraries: Libraries) -> Network:
        """The network as it is timed, by these libraries."""
        return Network(libraries, self.expected.inputs, self.runner)


def opened(verified: Bundle) -> Opened:
    """Read a bundle but for its libraries and its program; UserError, naming the file, for what is
    missing or out of bounds."""
    timing = measurement.read(verified.timing)
    made_for, runner = target_file.read(verified.target), target_file.compiler(verified.target)
    libraries = verified.libraries(runner, (1, *timing.larger)).values()
    for library in (*libraries, *yardsticks_of(verified, timing).values()):
        if not library.exists():
            raise UserError("is missing", key=printable(library))
    environment = timing.environment or _environment(verified)
    return Opened(verified, made_for, timing, reference.read(verified.reference), environment, runner)


def redeployed(verified: Bundle, request: Request, scratch: Path) -> Redeployed:
    """Compare the bundle's own measurement with a new one on the requested board.

    Raises UserError where the bundle can't be read, where the library doesn't fit the board, doesn't run, or
    gives wrong outputs, and where the board can't be reached: nothing is timed then.
    """
    found = opened(verified)
    with _rebuilding_offered(found.runner):
        board = _board(found.made_for, request)
        deployment.require_board(board, found.runner)
    is_temporary = request.rebuild or verified.root.is_relative_to(scratch)
    if is_temporary and board.reach.is_local and found.runner == runners.TVM:
        temporary.require_temporary_libraries()
    old = found.timing
    made = None
    if request.rebuild:
        _require_compiler(found.runner, board)
        print(f"rebuilding the library for {board.name} from {_source(found.runner)}")
        made = rebuilt_apart(
            verified,
            board,
            scratch / "rebuilt",
            old.larger,
            yardsticks_of(verified, old),
            request.trusted,
        )
    protocol = request.protocol or _stored_protocol(old)
    stored = verified.libraries(found.runner, (1, *old.larger))
    libraries = stored if made is None else {1: made.library, **made.larger}
    check(found, libraries, board)
    if made is not None and found.made_for.code == board.code and _is_sound(found, stored, board):
        comparison, *larger = _retimed_in_turn(found, stored, libraries, board, protocol, request.is_open)
    else:
        yardsticks = yardsticks_of(verified, old) if made is None else made.yardsticks
        comparison, *larger = _retimed(found, libraries, board, protocol, yardsticks, request.is_open)
    differences = run_environment.differences(found.environment, comparison.new.environment)
    original = old if comparison.paired else None
    sizes = {size: Size(folders.size(stored[size]), folders.size(path)) for size, path in libraries.items()}
    return Redeployed(comparison, tuple(larger), differences, made, original, sizes)


def _require_compiler(runner: str, board: Target) -> None:
    """UserError (rebuild) unless a compiler with kernels of its own is installed here, and writes for the
    board."""
    if runner != runners.TVM:
        compilers.require_installed(runner, "rebuild")
        compilers.require_for(runner, "rebuild", here=board.reach.is_local)


def _source(runner: str) -> str:
    """What a bundle's libraries are made of again."""
    program = "the bundle's program, weights and tuning log"
    return program if runner == runners.TVM else f"the bundle's files for {runner}"


def _board(made_for: Target, request: Request) -> Target:
    """The board to run on. A library that is made again is made for it: the declared target, or the bundle's
    own with the reader's linker."""
    if not request.rebuild:
        return bundle_board.board(made_for, request.target, request.rpc)
    if request.target is not None:
        return bundle_board.declared_board(request.target, request.rpc)
    return bundle_board.board(made_for, None, request.rpc)


@contextmanager
def _rebuilding_offered(runner: str) -> Iterator[None]:
    """Offer a rebuild where the library does not fit its board."""
    try:
        yield
    except DoesNotFit as error:
        runs_on = RunsOn.TARGET if runner == runners.TVM else NETWORK_COMPILERS.load(runner).RUNS_ON
        problem = error.problem
        if runs_on is RunsOn.ANY:
            problem = f"the yardsticks of this point don't run on {error.machine}: {'; '.join(error.reasons)}"
        raise UserError(problem, key=error.key, remedy=_rebuild(runner, runs_on)) from None


def _rebuild(runner: str, runs_on: RunsOn) -> str:
    """What a rebuild would make of the libraries that do not fit a board."""
    if runner == runners.TVM:
        return REBUILD
    if runs_on is RunsOn.ANY:
        return (
            "rebuild=true target=<name> compiles the yardsticks for that target; the files of "
            f"{runner} are for every CPU and stay as they are"
        )
    return (
        f"rebuild=true target=<name> has {runner} compile the network for {runs_on.value}, and its yardsticks"
    )


def check(found: Opened, libraries: Libraries, board: Target, whose: str = "") -> None:
    """Check the libraries on every reference input and say so; UserError where one gives other outputs."""
    expected, runner = found.expected, found.runner
    for size, library in libraries.items():
        outputs = deployment.run(library, expected.inputs, board, size, runner=runner)
        reference.require_match(expected, outputs, "the library" if size == 1 else library.name)
        error = reference.largest_error(expected, outputs)
        of_size = "" if size == 1 else f" of batches of {size}"
        print(
            f"checked    {len(outputs)} outputs{whose}{of_size} match the reference, "
            f"the largest error is {error:.2g}"
        )


def _is_sound(found: Opened, stored: Libraries, board: Target) -> bool:
    """Whether the stored libraries can be timed beside those that were made again; why not is told."""
    try:
        check(found, stored, board, " of the stored library")
    except UserError as error:
        print(printable(f"alone      the stored library is not timed beside it: {error.problem}"))
        return False
    return True


def _stored_protocol(old: Measurement) -> config.Timing:
    return config.Timing(
        "stored",
        runs=old.runs,
        warmup=old.warmup,
        sessions=old.least_sessions,
        cold=old.cold,
        budget=old.budget_seconds,
        same_within_percent=old.same_within_percent,
    )


def _retimed(
    found: Opened,
    libraries: Libraries,
    board: Target,
    protocol: config.Timing,
    yardsticks: Mapping[str, Path],
    is_open: Callable[[Comparison], bool],
) -> list[Comparison]:
    """The libraries timed now against the bundle's own measurement, for each batch size."""
    old = found.timing

    def compared(new: Measurement) -> list[Comparison]:
        return list(map(Comparison, old.batches, new.batches))

    new = measuring.measure(
        libraries[1],
        found.expected.inputs,
        board,
        protocol,
        with_shapes(yardsticks),
        {size: library for size, library in libraries.items() if size > 1},
        runner=found.runner,
        is_enough=lambda new: not any(map(is_open, compared(new))),
    )
    return compared(new)


def _retimed_in_turn(
    found: Opened,
    stored: Libraries,
    rebuilt: Libraries,
    board: Target,
    protocol: config.Timing,
    is_open: Callable[[Comparison], bool],
) -> list[Comparison]:
    """The rebuilt libraries against the stored ones, both timed now, for each batch size."""

    def compared(measured: Sequence[Measurement]) -> list[Comparison]:
        one, other = measured
        pairs = zip(one.batches, other.batches, strict=True)
        return [Comparison(old, new, paired=True) for old, new in pairs]

    return compared(
        measuring.measure_in_turn(
            [found.network(stored), found.network(rebuilt)],
            board,
            protocol,
            is_enough=lambda measured: not any(map(is_open, compared(measured))),
        )
    )


def yardsticks_of(verified: Bundle, timing: Measurement) -> dict[str, Path]:
    """The libraries of the bundle's yardsticks, but for those that this version does not know."""
    from dlas.systems.compilers.tvm import yardstick

    return {name: verified.yardstick(name) for name in timing.yardsticks if name in yardstick.SHAPES}


def with_shapes(libraries: Mapping[str, Path]) -> dict[str, Yardstick]:
    """The yardsticks of these libraries, by name, as they are timed."""
    from dlas.systems.compilers.tvm import yardstick

    return {name: Yardstick(library, yardstick.SHAPES[name]) for name, library in libraries.items()}


def _environment(verified: Bundle) -> dict[str, Any]:
    found = documents.read(run_environment.DOCUMENT, verified.environment)
    if problem := run_environment.strange(found):
        raise UserError(printable(problem), key=printable(verified.environment))
    return found
