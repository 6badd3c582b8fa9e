"""Fetch a measured point, deploy it again, and compare.

    python -m dlas.redeploy run=<run id>         a point of the store; the result is logged beside it
    python -m dlas.redeploy bundle=<folder>      a bundle on disk; no store is needed

    rebuild=true          make the library again from the bundle's program, weights and tuning log
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store

Every file of the bundle is checked against its sha256, the library against this machine, its outputs against
the reference; then it is timed by the protocol of the first time, in a process of its own.

Exit status: 0 it ran, whatever the verdict; 1 it could not; 2 a mistake in the arguments; 130 stopped.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas import bundle, config
from dlas.bundle import Bundle
from dlas.errors import UserError
from dlas.hardware import deployment, machine, measurement, reference, target
from dlas.hardware.comparison import Comparison
from dlas.hardware.measurement import Measurement
from dlas.hardware.session import keep_torch_out

if TYPE_CHECKING:
    from dlas.tracking import Store

FAILED, MISTAKE, STOPPED = 1, 2, 130


@dataclass(frozen=True)
class Options:
    """What can be asked for."""

    run: str | None = None
    bundle: str | None = None
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
        comparison = retimed(verified, library)
        differences = machine.differences(_environment(verified), machine.environment())
        print(report(comparison, differences))
        if store is not None:
            _log(store, options, comparison, folder)


def retimed(verified: Bundle, library: Path) -> Comparison:
    """The bundle's own measurement against a new one of `library`, by the same protocol.

    Raises UserError where the library doesn't fit this machine, doesn't run, or gives wrong outputs: nothing
    is timed then.
    """
    made_for = target.read(verified.target)
    target.require_fit(made_for)
    old = measurement.read(verified.timing)
    expected = reference.read(verified.reference)
    outputs = deployment.run(library, expected.inputs, made_for)
    reference.require_match(expected, outputs)
    error = reference.largest_error(expected, outputs)
    print(f"checked    {len(outputs)} outputs match the reference, the largest error is {error:.2g}")
    protocol = config.Timing(name="stored", runs=old.runs, warmup=old.warmup)
    return Comparison(old, deployment.measure(library, expected.inputs, made_for, protocol))


def report(comparison: Comparison, differences: Mapping[str, tuple[Any, Any]]) -> str:
    """What a person reads at the end."""
    low, high = comparison.interval.low, comparison.interval.high
    lines = [
        f"then       {_latency(comparison.old)}",
        f"now        {_latency(comparison.new)}",
        f"ratio      {comparison.ratio:.3f} [{low:.3f}, {high:.3f}]  {comparison.verdict}",
        *(f"unsteady   {reason}" for reason in comparison.unsteady),
        *(f"differs    {name}: {old} then, {new} now" for name, (old, new) in differences.items()),
    ]
    return "\n".join(lines)


def _latency(measured: Measurement) -> str:
    interval = measured.interval_ms
    return (
        f"{measured.median_ms:.3f} ms [{interval.low:.3f}, {interval.high:.3f}]  "
        f"first {measured.first_ms:.3f}, p90 {measured.percentile_ms(90):.3f}, "
        f"{len(measured.samples_ms)} samples, {measured.threads} threads"
    )


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
    (found / "environment.json").write_text(json.dumps(machine.environment(), indent=1) + "\n")
    metrics = measurement.metrics(comparison.new) | {
        "redeploy.ratio": comparison.ratio,
        "redeploy.ratio_ci_low": comparison.interval.low,
        "redeploy.ratio_ci_high": comparison.interval.high,
    }
    tags = {"dlas.verdict": comparison.verdict, "dlas.rebuilt": str(options.rebuild).lower()}
    if comparison.new.unsteady:
        tags["dlas.unsteady"] = "; ".join(comparison.new.unsteady)
    run_id = tracking.log_redeploy(store, original, f"redeploy of {original}", metrics, tags, found)
    print(f"logged     run {run_id}")


if __name__ == "__main__":
    sys.exit(main())
