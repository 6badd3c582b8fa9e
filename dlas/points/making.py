"""What is done in the process of a point, or in that of the check before all points.

Both tell their asker, in another process, how far they are, by `messages`.
"""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlas import config, users_code
from dlas.errors import UserError
from dlas.points.messages import BoardRuntime, Failed, Finished, Started, Tried, Used

if TYPE_CHECKING:
    from dlas.bundle.writing import Results
    from dlas.stages.stage import Kept

log = logging.getLogger("dlas.run")


Tell = Callable[[object], None]


@dataclass(frozen=True)
class Logging:
    """What the log of the process tells, and where."""

    settings: Mapping[str, Any]
    """As logging.config.dictConfig takes them."""
    debugged: tuple[str, ...]
    """The names of the loggers that tell everything."""

    def begin(self) -> None:
        logging.config.dictConfig(dict(self.settings))
        for name in self.debugged:
            logging.getLogger(name).setLevel(logging.DEBUG)


@dataclass(frozen=True)
class Point:
    """A point to be made: its stack, what was typed, and where its files are to be."""

    stack: config.Stack
    overrides: tuple[str, ...]
    files: Path
    """Folder of what its run shows beside the bundle: tables and figures."""
    bundle: Path
    """Folder that its bundle is to fill."""
    code: str
    """The hash of its code, as the command read it."""


def make(tell: Tell, point: Point, logged: Logging) -> None:
    """Make the point, and tell of each stage, and `Finished` or `Failed`."""
    logged.begin()
    try:
        found = _made(tell, point)
    except Exception as error:
        tell(_failure(error))
    else:
        tell(found)


def check_and_make(tell: Tell, point: Point, logged: Logging) -> None:
    """Make a point that could not be checked with the others, once it is checked by itself."""
    from dlas.points import plan

    logged.begin()
    tell(Tried())
    try:
        plan.check([point.stack])
    except Exception as error:
        tell(_failure(error))
    else:
        make(tell, point, logged)


def check_places(tell: Tell, stacks: Sequence[config.Stack], logged: Logging, threads: int) -> None:
    """Check machines and images of points before the first one is made, and tell `Finished` or `Failed`."""
    from dlas.points import plan

    _check(tell, logged, threads, lambda: plan.check_places(stacks))


def check_networks(tell: Tell, stacks: Sequence[config.Stack], logged: Logging, threads: int) -> None:
    """Check the networks of points before the first one is made, and tell `NotTaken` of those that their
    compiler can't take, and `Finished` or `Failed`."""
    from dlas.points import plan

    def tried() -> None:
        for points in plan.try_networks(stacks).not_taken:
            tell(points)

    _check(tell, logged, threads, tried)


def tell_runtime(tell: Tell, target: config.Target, runner: str) -> None:
    """Tell the `BoardRuntime` of the runner on the target's board; nothing where the board can't be asked:
    the check of its points says why."""
    from dlas.hardware.targets.resolving import resolve
    from dlas.hardware.timing import deployment

    try:
        tell(BoardRuntime(deployment.require_board(resolve(target), runner)))
    except UserError as error:
        log.debug("the board tells no runtime: %s", error.problem)


def foresee(tell: Tell, stacks: Sequence[config.Stack], logged: Logging, threads: int) -> None:
    """Tell what is known of each of the points, whose networks were checked, and `Finished` or `Failed`."""
    from dlas.points import foreseeing, plan

    def foreseen() -> None:
        for known in foreseeing.foreseen(stacks, plan.check_networks(stacks)):
            tell(known)

    _check(tell, logged, threads, foreseen)


def _check(tell: Tell, logged: Logging, threads: int, work: Callable[[], object]) -> None:
    """Have the work done by so many threads of PyTorch's, and tell how it ended."""
    import torch

    logged.begin()
    torch.set_num_threads(threads)
    try:
        work()
    except UserError as error:
        tell(Failed(error.problem, error.key, error.remedy, error.point))
    else:
        tell(Finished({}, {}))


def _made(tell: Tell, point: Point) -> Finished:
    from dlas.bundle import writing
    from dlas.files import folders
    from dlas.pipeline import run_point
    from dlas.points import fingerprint

    if fingerprint.code_of(point.stack) != point.code:
        problem = "the code that makes this point was changed since the command started"
        raise UserError(problem, remedy="start again; the finished stages are kept")

    def used(kept: Kept) -> None:
        tell(Used(kept.name))

    def started(stage: str, goes_on: bool) -> None:
        tell(Started(stage, goes_on))

    with folders.disk_troubles(Path(point.stack.artifacts)):
        typed = "".join(f"{override}\n" for override in point.overrides)
        (point.bundle / "overrides.txt").write_text(typed, encoding="utf-8")
        found = run_point(point.stack, point.bundle, used, started)
        _show(point.files, found)
        return Finished(writing.metrics(found), writing.tags(found))


def _show(files: Path, found: Results) -> None:
    """Write tables and figures of the point; a mistake of ours in that costs nothing of what was measured."""
    from dlas.points.view import page

    try:
        page.write(files, found)
    except OSError:  # a full disk, which is told as such
        raise
    except Exception:
        log.exception("the tables and figures of the point are not whole; please report:")


def _failure(error: Exception) -> Failed:
    """What to tell of the exception. The log has the way to one that is nobody's mistake but ours."""
    mistake = error if isinstance(error, UserError) else users_code.own_mistake(error)
    if mistake is None:
        log.exception("not your mistake; please report:")
        return Failed(str(error) or type(error).__name__, "", "")
    log.debug("the way there:", exc_info=error)
    return Failed(mistake.problem, mistake.key, mistake.remedy)
