"""The text of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlas.errors import UserError
from dlas.points import durations
from dlas.points.messages import Foreseen
from dlas.points.steps import TIMING, Step
from dlas.printable import aligned
from dlas.tracking.store import Record

HEADINGS = ("", "point", "done already", "to be made", "expected")

NOT_KNOWN = "not known"

KEPT = (
    "done already: what the store of stages has, up to the first stage that is to be made. What it has of "
    "those behind is known once that one is made."
)
EXPECTED = "expected: as earlier runs of this machine took for the same, in proportion to epochs and trials."
UNCHECKED = "not known"
FAILS = "fails"
FAILING = "fails when it starts, and the others are made: "
CRASHED = "could not be checked, since the check of its network ended its process; tried when it starts: "


@dataclass(frozen=True)
class Planned:
    """A point with all that is known of it."""

    name: str
    earlier: Record | None
    """The run that makes it needless."""
    known: Foreseen | None
    """What is known of a point that is to be made; None where its check ended its process, or it fails."""
    steps: Sequence[Step]
    seconds: Mapping[str, float]
    """Seconds that steps may take, by their names; without those of which nothing is known."""
    failing: UserError | None = None
    """Why it fails, where that is known."""

    @property
    def is_made(self) -> bool:
        """Whether it is to be made, as far as is known."""
        return self.earlier is None and self.failing is None


@dataclass(frozen=True)
class _Way:
    """What is left of a point's way."""

    own: Sequence[Step]
    """Steps that are to be made for it."""
    shared: Mapping[str, int]
    """Steps that an earlier point of the command makes, by their names: its place."""


def told(points: Sequence[Planned]) -> str:
    """The points with what is done, what is to be made and how long that may take; then the layers that
    another kernel serves."""
    ways = _ways(points)
    lines: list[Sequence[str]] = [HEADINGS]
    for place, (point, way) in enumerate(zip(points, ways, strict=True)):
        lines.append((_number(place, points), point.name or "-", *_cells(point, way, points)))
    made = sum(point.is_made for point in points)
    whole = _seconds((point, step) for point, way in zip(points, ways, strict=True) for step in way.own)
    crashed = [
        _number(place, points) for place, point in enumerate(points) if point.is_made and point.known is None
    ]
    closing = [f"{made} of {len(points)} points to be made, in all {whole}", "", KEPT, EXPECTED]
    if crashed:
        closing.append(CRASHED + ", ".join(crashed))
    closing += [FAILING + reason for reason in _failing(points)]
    return "\n".join([*aligned(lines), "", *closing, *_fallbacks(points)])


def _ways(points: Sequence[Planned]) -> list[_Way]:
    """The way of each point. A stage is made for the first point that needs it."""
    makers: dict[tuple[str, ...], int] = {}
    ways = []
    for place, point in enumerate(points):
        own, shared = list[Step](), dict[str, int]()
        if point.is_made:
            for step in point.steps[0 if point.known is None else len(point.known.done) :]:
                maker = makers.setdefault(step.declared, place) if step.stage != TIMING else place
                if maker == place:
                    own.append(step)
                else:
                    shared[step.name] = maker
        ways.append(_Way(own, shared))
    return ways


def _cells(point: Planned, way: _Way, points: Sequence[Planned]) -> tuple[str, str, str]:
    """What is done, what is to be made, and how long it may take."""
    if point.earlier is not None:
        return f"all: {point.earlier.status} earlier, run {point.earlier.run_id}", "-", "-"
    if point.failing is not None:
        return "-", FAILS, "-"
    left = [
        _with_maker(step, way, points) + (" (goes on)" if number == 0 and _is_begun(point) else "")
        for number, step in enumerate(_left(point))
    ]
    return _done(point), ", ".join(left), _seconds((point, step) for step in way.own)


def _left(point: Planned) -> Sequence[Step]:
    return point.steps[0 if point.known is None else len(point.known.done) :]


def _is_begun(point: Planned) -> bool:
    return point.known is not None and point.known.begun


def _done(point: Planned) -> str:
    if point.known is None:
        return UNCHECKED
    return ", ".join(step.name for step in point.steps[: len(point.known.done)]) or "-"


def _with_maker(step: Step, way: _Way, points: Sequence[Planned]) -> str:
    maker = way.shared.get(step.name)
    return step.name if maker is None else f"{step.name} of {_number(maker, points)}"


def _number(place: int, points: Sequence[Planned]) -> str:
    return f"{place + 1}/{len(points)}"


def _seconds(steps: Iterable[tuple[Planned, Step]]) -> str:
    """The sum of what is known, and the steps of which nothing is."""
    known, unknown = list[float](), dict[str, None]()
    for point, step in steps:
        seconds = point.seconds.get(step.name)
        if seconds is None:
            unknown[step.name] = None
        else:
            known.append(seconds)
    if not unknown:
        return f"about {durations.told(sum(known))}" if known else "-"
    if not known:
        return NOT_KNOWN
    return f"about {durations.told(sum(known))}; {NOT_KNOWN}: {', '.join(unknown)}"


def _failing(points: Sequence[Planned]) -> list[str]:
    """The points that fail, and why."""
    found: dict[str, list[str]] = {}
    for place, point in enumerate(points):
        if point.earlier is None and point.failing is not None:
            found.setdefault(str(point.failing), []).append(_number(place, points))
    return [f"{', '.join(of)}  {reason}" for reason, of in found.items()]


def _fallbacks(points: Sequence[Planned]) -> list[str]:
    """The layers that their declared kernel can't serve, with the points that have them."""
    found: dict[str, list[str]] = {}
    for place, point in enumerate(points):
        for each in () if point.known is None else point.known.fallbacks:
            layers = f"{each.declared} -> {each.served_by}: {', '.join(each.layers)} ({each.reason})"
            found.setdefault(layers, []).append(_number(place, points))
    if not found:
        return ["falls back: no layer, as far as untrained networks tell"]
    return [
        "falls back, as untrained networks tell:",
        *(f"  {', '.join(of)}  {told}" for told, of in found.items()),
    ]
