"""Fetch a measured point, deploy it again, and compare.

    python -m dlas.redeploy run=<run id>         a point of the store; the result is logged beside it
    python -m dlas.redeploy bundle=<folder>      a bundle on disk; no store is needed

    target=<name>         on another board that runs the same code, as conf/target/<name>.yaml tells
    rpc.host=<address>    where the board is now; rpc.port= and rpc.key= likewise
    rebuild=true          make the library again from the bundle's program, weights and tuning log
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store

Every file of the bundle is checked against its sha256, the library against its board, its outputs against
the reference; then it is timed by the protocol of the first time, in a process of its own, on its board.

Exit status: 0 it ran, whatever the verdict; 1 it could not; 2 a mistake in the arguments; 130 stopped.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas import bundle, config
from dlas.bundle import Bundle
from dlas.errors import UserError
from dlas.hardware import deployment, machine, measurement, reference, target
from dlas.hardware.comparison import Comparison
from dlas.hardware.measurement import Measurement
from dlas.hardware.session import keep_torch_out
from dlas.hardware.target import Target

if TYPE_CHECKING:
    from dlas.tracking import Store

FAILED, MISTAKE, STOPPED = 1, 2, 130


@dataclass(frozen=True)
class Address:
    """Where the board is now; a null is what the target says."""

    host: str | None = None
    port: int | None = None
    key: str | None = None


@dataclass(frozen=True)
class Options:
    """What can be asked for."""

    run: str | None = None
    bundle: str | None = None
    target: str | None = None
    rpc: Address = field(default_factory=Address)
    rebuild: bool = False
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)

    def __post_init__(self) -> None:
        one = (self.run is None) != (self.bundle is None)
        remedy = "run=<run id> or bundle=<folder>; --help tells the rest"
        config.require(one, "run", "exactly one of run and bundle is to be given", remedy)


def main(arguments: Sequence[str] | None = None) -> int:
    """The `dlas-redeploy` command; returns its exit status."""
    keep_torch_out()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(given):
        print(__doc__)
        return 0
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        options = config.options(Options, given)
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    try:
        redeploy(options)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    return 0


def redeploy(options: Options) -> None:
    """Fetch, verify, deploy, check, time, compare, report."""
    store = _store(options) if options.run is not None else None
    with tempfile.TemporaryDirectory(prefix="dlas-") as temporary:
        folder = Path(temporary)
        verified = bundle.verify(_fetched(options, store, folder))
        print(f"verified   {options.run or options.bundle}: every file is as it was sealed")
        library = _rebuilt(verified, folder) if options.rebuild else verified.library
        board = _board(options, target.read(verified.target))
        comparison = retimed(verified, library, board)
        then, now = (measured.environment for measured in (comparison.old, comparison.new))
        differences = machine.differences(then or _environment(verified), now)
        print(report(comparison, differences))
        if store is not None:
            _log(store, options, comparison, folder)


def retimed(verified: Bundle, library: Path, board: Target) -> Comparison:
    """The bundle's own measurement against a new one of `library` on `board`, by the same protocol.

    Raises UserError where the library doesn't fit the board, doesn't run, or gives wrong outputs, and where
    the board can't be reached: nothing is timed then.
    """
    deployment.require_board(board)
    old = measurement.read(verified.timing)
    expected = reference.read(verified.reference)
    outputs = deployment.run(library, expected.inputs, board)
    reference.require_match(expected, outputs)
    error = reference.largest_error(expected, outputs)
    print(f"checked    {len(outputs)} outputs match the reference, the largest error is {error:.2g}")
    protocol = config.Timing("stored", old.runs, old.warmup, len(old.sessions))
    return Comparison(old, deployment.measure(library, expected.inputs, board, protocol))


def report(comparison: Comparison, differences: Mapping[str, tuple[Any, Any]]) -> str:
    """What a person reads at the end."""
    lines = [
        f"then       {_latency(comparison.old)}",
        f"now        {_latency(comparison.new)}",
        f"ratio      {_ratio(comparison)}{comparison.verdict}",
        *(f"unsteady   {reason}" for reason in comparison.unsteady),
        *(f"differs    {name}: {old} then, {new} now" for name, (old, new) in differences.items()),
    ]
    return "\n".join(lines)


def _ratio(comparison: Comparison) -> str:
    if not comparison.comparable:
        return ""
    interval = comparison.interval
    return f"{comparison.ratio:.3f} [{interval.low:.3f}, {interval.high:.3f}]  "


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


def _store(options: Options) -> Store:
    from dlas import tracking

    artifacts = Path(options.artifacts) if options.artifacts else config.home() / "artifacts"
    return tracking.open_store(artifacts.absolute(), options.tracking.uri, options.tracking.experiment)


def _fetched(options: Options, store: Store | None, folder: Path) -> Path:
    if store is None:
        return Path(options.bundle or "").expanduser()
    from dlas import tracking

    return tracking.fetch_bundle(store, options.run or "", folder / "fetched")


def _rebuilt(verified: Bundle, folder: Path) -> Path:
    from dlas.systems.rebuild import rebuild_library

    print("rebuilding the library from the bundle's program, weights and tuning log")
    return rebuild_library(verified.root, folder / "rebuilt")


def _board(options: Options, made_for: Target) -> Target:
    """Where the library is deployed: on its own board, or another that is reached as `target` declares."""
    if options.target is not None:
        declared = target.resolve(config.declared_target(options.target))
        reached = ("name", "cores", "affinity", "emulated", "reach", "rpc")
        made_for = replace(made_for, **{part: getattr(declared, part) for part in reached})
    moved = {part: value for part, value in asdict(options.rpc).items() if value is not None}
    return replace(made_for, rpc=replace(made_for.rpc, **moved))


def _environment(verified: Bundle) -> dict[str, Any]:
    try:
        environment: dict[str, Any] = json.loads(verified.environment.read_text())
    except (ValueError, OSError) as error:
        raise UserError(f"{verified.environment.name} can't be read: {error}", key="bundle") from None
    return environment


def _log(store: Store, options: Options, comparison: Comparison, folder: Path) -> None:
    from dlas import tracking

    original = options.run or ""
    found = folder / "redeploy"
    found.mkdir()
    measurement.write(comparison.new, found / "timing.json")
    environment = json.dumps(comparison.new.environment, indent=1)
    (found / "environment.json").write_text(f"{environment}\n")
    metrics = measurement.metrics(comparison.new)
    if comparison.comparable:
        metrics |= {
            "redeploy.ratio": comparison.ratio,
            "redeploy.ratio_ci_low": comparison.interval.low,
            "redeploy.ratio_ci_high": comparison.interval.high,
        }
    if comparison.comparable and comparison.p_value is not None:
        metrics["redeploy.p_value"] = comparison.p_value
    tags = {"dlas.verdict": comparison.verdict, "dlas.rebuilt": str(options.rebuild).lower()}
    if comparison.new.emulated:
        tags["dlas.emulated"] = str(comparison.new.environment["cpu"])
    if comparison.new.unsteady:
        tags["dlas.unsteady"] = "; ".join(comparison.new.unsteady)
    run_id = tracking.log_redeploy(store, original, f"redeploy of {original}", metrics, tags, found)
    print(f"logged     run {run_id}")


if __name__ == "__main__":
    sys.exit(main())
