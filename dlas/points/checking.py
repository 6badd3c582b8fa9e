"""The check of points before the first one starts, as the command sees it: in parts that go on side by side,
each in a process of its own."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from omegaconf import DictConfig

from dlas import config, quota
from dlas.errors import UserError
from dlas.points import durations, making, process, view
from dlas.points.making import Logging
from dlas.points.messages import Failed, Finished, Foreseen, NotTaken
from dlas.points.progress import Progress
from dlas.points.view.written import Written
from dlas.processes import apart

MOST = 4
"""Parts that go on at once, at most: each may hold a network several times."""

log = logging.getLogger("dlas.run")


@dataclass(frozen=True)
class Part:
    """A part of the check."""

    work: Callable[..., None]
    """Function of `points.making`."""
    points: tuple[int, ...]
    """Places of the points that it looks at."""
    doing: str
    """What is done meanwhile, for a person."""


@dataclass(frozen=True)
class Outcome:
    """The end of a part: the mistake that it found, or how its process ended where that told no end."""

    mistake: UserError | None = None
    lost: str = ""
    not_taken: tuple[NotTaken, ...] = ()
    """Points that their compiler can't take."""


@dataclass(frozen=True)
class Checked:
    """What the check of points came to, where it found no mistake."""

    lost: tuple[int, ...]
    """Places of the points whose check ended its process, which tells nothing of the others."""
    not_taken: tuple[NotTaken, ...]
    """Points that fail alone, for what their compiler can't take."""

    @property
    def failing(self) -> dict[int, UserError]:
        """Why points fail alone, by their places."""
        return {place: each.error for each in self.not_taken for place in each.points}


class _Stopped(Exception):
    """The command was stopped."""


def check(stacks: Sequence[config.Stack], hydra: DictConfig) -> list[config.Stack]:
    """Check the points; UserError for the first that cannot be right, and where none can be made.

    Returns those that are checked once more by themselves when they start: those whose check ended its
    process, and those that their compiler can't take, which fail by that. `hydra` is Hydra's own part of the
    config.
    """
    checked = _checked(stacks, process.logging_of(hydra.hydra_logging, hydra.verbose))
    for each in checked.not_taken:
        of, first = _points(len(each.points)), stacks[each.points[0]]
        told = (first.model.name, first.compiler.name, each.error)
        log.warning("%s of '%s' by %s will fail, the others are made: %s", of, *told)
    return [stacks[place] for place in sorted({*checked.lost, *checked.failing})]


@dataclass(frozen=True)
class Ahead:
    """What is known of points before they are made, by their places."""

    known: Mapping[int, Foreseen]
    """Those that can be made, as far as it is known."""
    failing: Mapping[int, UserError]
    """Those that fail alone, and why."""


NOTHING = Ahead({}, {})
"""What is known where there are no points."""


def foresee(stacks: Sequence[config.Stack], hydra: DictConfig) -> Ahead:
    """Check the points as `check` does; returns what is known of them. Of those whose check ended its process
    nothing is."""
    logged = process.logging_of(hydra.hydra_logging, hydra.verbose)
    checked = _checked(stacks, logged)
    left = [
        place for place in range(len(stacks)) if place not in checked.lost and place not in checked.failing
    ]
    known: dict[int, Foreseen] = {}

    def note(told: object) -> None:
        if isinstance(told, Foreseen):
            known[left[told.point]] = dataclasses.replace(told, point=left[told.point])

    with view.fitting(_told(len(left))) as shown:
        part = Part(making.foresee, tuple(left), "it was told what is done of them")
        outcome = _Shared(stacks, logged, shown, 1).outcome(part, note)
    _warn(outcome)
    if outcome.mistake is not None:
        raise outcome.mistake
    return Ahead(known, checked.failing)


def _checked(stacks: Sequence[config.Stack], logged: Logging) -> Checked:
    """Have the points checked; UserError for the first mistake, in the order of the parts, or for the first
    point that its compiler can't take, where that goes for all."""
    parts = [
        Part(making.check_places, tuple(range(len(stacks))), "machines and images were looked at"),
        *(
            Part(making.check_networks, alike, f"'{stacks[alike[0]].model.name}' was tried")
            for alike in _alike(stacks)
        ),
    ]
    usable = len(os.sched_getaffinity(0))
    cores = min(quota.cores() or usable, usable)
    at_once = min(MOST, cores, len(parts))
    with view.fitting(_told(len(stacks))) as shown, ThreadPoolExecutor(at_once) as followers:
        shared = _Shared(stacks, logged, shown, cores // at_once)
        going_on = [followers.submit(shared.outcome, part) for part in parts]
        try:
            outcomes = [part.result() for part in going_on]
        except BaseException:
            shared.stopped.set()
            raise
    mistake = next((outcome.mistake for outcome in outcomes if outcome.mistake is not None), None)
    if mistake is not None:
        raise mistake
    lost: set[int] = set()
    for outcome, part in zip(outcomes, parts, strict=True):
        _warn(outcome)
        lost |= set(part.points) if outcome.lost else set()
    not_taken = [each for outcome in outcomes for each in outcome.not_taken]
    checked = Checked(tuple(sorted(lost)), tuple(sorted(not_taken, key=lambda each: each.points)))
    if len(checked.failing) == len(stacks):
        raise checked.not_taken[0].error
    return checked


def _alike(stacks: Sequence[config.Stack]) -> list[tuple[int, ...]]:
    """The places of points that have a network, its images and its compressions in common, in the order of
    the first of each: they are tried together."""
    found: list[tuple[object, list[int]]] = []
    for place, stack in enumerate(stacks):
        network = dataclasses.replace(stack.model, weights=None)
        is_trained = stack.model.weights is None and stack.train.epochs > 0
        common = (network, stack.dataset, list(stack.compression.values()), is_trained)
        same = next((places for other, places in found if other == common), None)
        if same is None:
            found.append((common, [place]))
        else:
            same.append(place)
    return [tuple(places) for _, places in found]


def _told(points: int) -> Callable[[], Sequence[str]]:
    what, began = _points(points), time.monotonic()
    return lambda: [f"checking {what} for {durations.told(time.monotonic() - began)}"]


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"


def _warn(outcome: Outcome) -> None:
    if outcome.lost:
        how = outcome.lost
        log.warning("checking the points: %s. Its points are tried once more, each by itself", how)


@dataclass
class _Shared:
    """What the parts of a check share, each followed by a thread of this process."""

    stacks: Sequence[config.Stack]
    logged: Logging
    shown: view.View
    threads: int
    """Threads that each part may compute with."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """The command was stopped."""
    _failed: threading.Event = field(default_factory=threading.Event)
    """A mistake was found: no further part is begun."""
    _alone: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread that shows something."""
    _said: set[bytes] = field(default_factory=set)
    """Lines that were shown: what several parts warn of is said once."""

    def outcome(self, part: Part, note: Callable[[object], None] = lambda told: None) -> Outcome:
        """Have the part done, unless an earlier one failed; `note` is given all that it tells."""
        if self._failed.is_set() or self.stopped.is_set():
            return Outcome()
        progress = Progress()
        streams = {1: Written(), 2: Written()}
        not_taken: list[NotTaken] = []

        def told(message: object) -> None:
            progress.note(message)
            if isinstance(message, NotTaken):
                places = tuple(part.points[place] for place in message.points)
                not_taken.append(dataclasses.replace(message, points=places))
            note(message)

        def wrote(stream: int, written: bytes) -> None:
            self._show(stream, streams[stream].lines(written))

        def tick() -> None:
            if self.stopped.is_set():
                raise _Stopped
            with self._alone:
                self.shown.tick()

        arguments = ([self.stacks[place] for place in part.points], self.logged, self.threads)
        watch = apart.Watch(told, wrote, apart.do_nothing, tick)
        try:
            code = process.call(part.work, arguments, watch, None)
        except _Stopped:
            return Outcome()
        for stream, written in streams.items():
            self._show(stream, written.end())
        if isinstance(progress.outcome, Failed):
            self._failed.set()
            mistake = progress.outcome.error
            mistake.point = None if mistake.point is None else part.points[mistake.point]
            return Outcome(mistake=mistake)
        if isinstance(progress.outcome, Finished):
            return Outcome(not_taken=tuple(not_taken))
        return Outcome(lost=process.end(code, f"while {part.doing}"))

    def _show(self, stream: int, lines: Sequence[bytes]) -> None:
        with self._alone:
            for line in lines:
                if line not in self._said:
                    self._said.add(line)
                    self.shown.wrote(stream, line + b"\n")
