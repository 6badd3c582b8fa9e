"""Fetch measured points, deploy them again, and compare.

    python -m dlas.redeploy run=<run id>         a point of the store; the result is logged under it
    python -m dlas.redeploy run=<id>,<id>        several points; a sweep's id stands for all of its points
    python -m dlas.redeploy bundle=<folder>      a bundle on disk; no store is needed
    python -m dlas.redeploy bundle=<x.dlas.zip>  likewise, packed as one file (dlas.bundle)

    target=<name>         on another board that runs the same code, as conf/target/<name>.yaml tells;
                          single settings of it as for dlas.run: target.cores=2
    --config-dir <folder> where a target of your own is: <folder>/target/<name>.yaml
    rpc.host=<address>    where the board is; rpc.port= and rpc.key= likewise. What was timed on a board
                          elsewhere needs this or target=: no address in a bundle is used
    signers=<file>        refuse bundles that none of these signed (dlas.bundle); without it the file that
                          DLAS_SIGNERS names, if any
    rebuild=true          make the library again from the bundle's program, weights and tuning log; with
                          target=<name> for that target, whatever its architecture
    timing=<name>         time by this protocol, not by the first time's; timing.budget=60: single settings
    trust=<package>       with rebuild=true: import the bundle's algorithms and tuner from that package, and
                          from others after a comma, where they are none of dlas's own
    artifacts=<folder>    where the store is
    tracking.uri=<uri>    another MLflow store

    fail_above=<ratio>    judge by a limit of your own on the ratio, such as 1.05: docs/redeploying.md
    json=<file>           write all that is told into a file, as JSON
    junit=<file>          write a JUnit report, a test case a point

Every file of the bundle is checked against its sha256, the library against its board, its outputs against
the reference; then it is timed by the protocol of the first time, in processes of its own, on its board:
session by session, until it can be told whether it is the same, or the protocol's budget is spent. A library
that is made again for the same target takes turns with the stored one.
Until then nothing of the bundle is run. Its library, or the one that is made of its program, is its sender's
code and runs as you: SECURITY.md tells what that means.

Exit status: 0 as fast as it was, or faster; 3 slower; 4 it can't be told; 1 it could not be redeployed; 2 a
mistake in the arguments; 130 stopped by Ctrl-C, 143 by SIGTERM. Of several points 1 counts
before 3, and 3 before 4.
With fail_above: 0 no slower than the limit allows; 3 slower than that; 4 it can't be told.
"""

from __future__ import annotations

import logging
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlas import bundle, command_line, config, redeployment
from dlas.bundle import archive
from dlas.command_line import Work
from dlas.errors import UserError
from dlas.files import temporary
from dlas.hardware.sessions.session import keep_torch_out
from dlas.interfaces.targets.reach import Address
from dlas.printable import printable
from dlas.processes import stopping
from dlas.redeployment import Request
from dlas.verdicts import as_run, as_text, point_as_text
from dlas.verdicts.files import Files
from dlas.verdicts.result import LeftOut, Result, Results

if TYPE_CHECKING:
    from dlas.tracking.delivery import Kept


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: str | None = None
    """Ids of runs, separated by commas."""
    bundle: str | None = None
    target: str | None = None
    rpc: Address = field(default_factory=Address)
    rebuild: bool = False
    timing: str | None = None
    trust: str | None = None
    """Names of packages, separated by commas."""
    signers: str | None = None
    artifacts: str | None = None
    tracking: config.Tracking = field(default_factory=config.Tracking)
    fail_above: float | None = None
    """Limit on a point's new time over its old one, from 1 on."""
    json: str | None = None
    junit: str | None = None

    def __post_init__(self) -> None:
        one = (self.run is None) != (self.bundle is None)
        remedy = "run=<run id> or bundle=<folder>; --help tells the rest"
        config.require(one, "run", "exactly one of run and bundle is to be given", remedy)
        config.require(self.run is None or bool(self.runs), "run", "names no run", "run=<id>,<id>")
        used = self.rebuild or self.trust is None
        config.require(used, "trust", "nothing is imported unless it is rebuilt", "rebuild=true beside it")
        limit = 1.0 if self.fail_above is None else self.fail_above
        remedy = "new time over old, from 1 on: 1.05 allows five per cent"
        config.require(math.isfinite(limit) and limit >= 1, "fail_above", f"{limit} is no limit", remedy)

    @property
    def runs(self) -> list[str]:
        """The ids of runs, each once, in the given order."""
        return command_line.listed(self.run)

    @property
    def files(self) -> Files:
        """The files that the results are written into."""
        json, junit = (None if one is None else Path(one).expanduser() for one in (self.json, self.junit))
        return Files(json, junit)

    def request(self, target: config.Target | None, protocol: config.Timing | None = None) -> Request:
        """The request to deploy on the declared target, or on the bundle's own board, and to time by the
        protocol, or by the bundle's own."""
        trusted = tuple(command_line.listed(self.trust))
        return Request(target, self.rpc, self.rebuild, protocol, trusted, self.fail_above)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `dlas-redeploy` command; returns its exit status."""
    keep_torch_out()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    return command_line.run(__doc__, arguments, _parse)


def _parse(given: list[str]) -> Work:
    typed, others = config.layer_arguments(given, "target", "timing")
    options = config.options(Options, others)
    options.files.require_writable()
    protocol, target = None, None
    if options.timing is None:
        typed.require_none_of("timing")
    else:
        protocol = config.declared_timing(options.timing, typed)
    if options.target is None:
        typed.require_none_of("target")
    else:
        target = config.declared_target(options.target, typed)
    request = options.request(target, protocol)
    return lambda: redeploy(options, request).exit_status


def redeploy(options: Options, request: Request) -> Results:
    """Redeploy every point that is asked for, one after the other; one that fails does not
    stop the others. What was found is written and told where the command is stopped, too. UserError where
    no temporary files can be written."""
    temporary.require_room()
    kept = None if options.bundle is not None else _kept(options)
    asked = _asked(options, kept)
    found: list[Result] = list(asked.failed)
    stopped: int | None = command_line.FAILED
    try:
        for name in asked.names:
            if len(asked.names) + len(asked.failed) > 1:
                print(f"\n{name}")
            found.append(_result(name, options, request, kept))
        stopped = None
    except KeyboardInterrupt as stop:
        stopped = stopping.status(stop)
        raise
    finally:
        results = Results(found, asked.left_out, options.fail_above, stopped)
        if told := as_text.summary(results):
            print(told)
        options.files.write(results)
    return results


@dataclass(frozen=True)
class Asked:
    """What the arguments ask for."""

    names: Sequence[str]
    """Ids of runs, the finished points of a sweep in its place; or the folder of a bundle."""
    failed: Sequence[Result] = ()
    """A failure for each run that can't be had."""
    left_out: Sequence[LeftOut] = ()


def _asked(options: Options, kept: Kept | None) -> Asked:
    if kept is None:
        assert options.bundle is not None
        return Asked([options.bundle])
    from dlas import tracking

    names: list[str] = []
    failed: list[Result] = []
    left_out: list[LeftOut] = []
    for run in options.runs:
        try:
            points, others = tracking.finished(kept.store, run)
        except UserError as error:
            failed.append(_failed(Result(run), error))
            continue
        names += [point.run_id for point in points]
        left_out += [LeftOut(point.run_id, point.name, point.status) for point in others]
    for one in left_out:
        print(printable(f"left out   {one.run}, {one.name}: it is {one.status}"))
    return Asked(list(dict.fromkeys(names)), failed, left_out)


def _result(name: str, options: Options, request: Request, kept: Kept | None) -> Result:
    """Fetch, verify, deploy, check, time, compare, report, log."""
    started = time.monotonic()
    result = Result(name)
    try:
        with tempfile.TemporaryDirectory(prefix="dlas-") as temporary:
            folder = Path(temporary)
            original = None if kept is None else kept.run(name)
            result = replace(result, name="" if original is None else original.name)
            source = _given(name, folder) if kept is None else kept.bundle(name, folder / "fetched")
            verified = bundle.trusted(source, options.signers)
            print(printable(f"verified   {name}: every file is as it was sealed"))
            found = redeployment.redeployed(verified, request, folder)
            print(point_as_text.report(found))
            logged = None
            if kept is not None and original is not None:
                logged = as_run.keep(kept.place, kept.store, original, found)
            result = replace(result, found=found, logged=logged)
    except Exception as error:
        told = command_line.failure(error)
        if told is None:
            raise
        result = _failed(result, told)
    return replace(result, seconds=time.monotonic() - started)


def _given(bundle: str, scratch: Path) -> Path:
    return archive.folder_of(Path(bundle).expanduser(), scratch)


def _failed(result: Result, error: Exception) -> Result:
    """The result of a point that could not be redeployed, which is told at once."""
    print(error, file=sys.stderr)
    return replace(result, problem=str(error))


def _kept(options: Options) -> Kept:
    from dlas.tracking import delivery

    return delivery.kept(command_line.artifacts_folder(options.artifacts), options.tracking)


if __name__ == "__main__":
    sys.exit(main())
