"""What a study found, in sentences: one for each thing, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.analysis import pace
from dlas.analysis.grid import LARGEST, Grid
from dlas.analysis.interactions.effects import Basis, Effect
from dlas.analysis.interactions.flips import Flip, Flips
from dlas.analysis.interactions.ratios import Interaction
from dlas.analysis.interactions.shares import Share, Shares
from dlas.analysis.interactions.study import Study
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.naming import beside, choice
from dlas.analysis.phrases import counted, listed, p_value, percent, plain_times, times
from dlas.analysis.statistics.noise import Noise
from dlas.hardware.results.statistics import CONFIDENCE

MORE_SESSIONS = "timing=default takes several"
UNSTEADY = "a board did not hold still, so nothing is laid to the choice"

SHARES_UNTESTED = "Boards did not hold still at some points: what is beyond chance is not tested."


def effect(found: Effect) -> str:
    """`gemm takes 1.31x [1.22, 1.40] the time of direct, …`, or why that can't be told."""
    level, reference = choice(found.factor, found.level), choice(found.factor, found.reference)
    if found.estimate is None:
        return f"What {level} does against {reference} {found.basis.value}."
    said = f"{level} takes {times(found.estimate)} the time of {reference}"
    if found.basis is Basis.MODEL or found.lowest is None or found.highest is None:
        return f"{said}, by {found.basis.value}."
    unsteady = "" if found.steady else f"; {UNSTEADY}"
    if found.pairs == 1:
        return f"{said}, in the one pair of points that differ in nothing else{unsteady}."
    spread = f"{plain_times(found.lowest)} to {plain_times(found.highest)}"
    return f"{said}, over {found.pairs} pairs of {found.basis.value} ({spread}){unsteady}."


def share(found: Share) -> str:
    """`algo explains 40 % of the variance.`, `model and algo together explain 12 % more.`"""
    part = percent(found.share)
    if not found.freedom:
        return f"What {listed(found.factors)} {_explain(found)} can't be told from these points."
    unsure = "" if found.p_value is None or found.p_value <= 1 - CONFIDENCE else ", no more than noise does"
    if len(found.factors) == 1:
        return f"{found.factors[0]} explains {part} of the variance{unsure}."
    return f"{listed(found.factors)} together explain {part} beside what each does{unsure}."


def _explain(found: Share) -> str:
    return "explains" if len(found.factors) == 1 else "explain together"


def rest(found: Shares) -> str:
    """What layers and pairs of layers leave of the variance."""
    said = f"Layers and pairs of layers leave {percent(found.beyond)}"
    noise = "" if found.noise is None else f"; noise makes {percent(found.noise)} of the variance"
    whole = "" if found.whole else " Points are missing, so the parts need not add up to all."
    return f"{said}{noise}.{whole}"


def interaction(found: Interaction) -> str:
    """`gemm takes 1.31x … the time of direct on vgg16, but 0.80x … on resnet18: …`"""
    level, reference = choice(found.factor, found.level), choice(found.factor, found.reference)
    here, there = beside(found.other, found.here), beside(found.other, found.there)
    link = "but" if found.holds else "and"
    said = f"{level} takes {times(found.effect_here)} the time of {reference} {here}, {link} "
    said += f"{times(found.effect_there)} {there}: a ratio of {times(found.estimate)}"
    if found.p_value is None:
        return f"{said}. {_untested()}"
    if not found.steady:
        return f"{said}; {UNSTEADY}."
    return f"{said} ({p_value(found.p_value)}{'' if found.holds else ': no more than chance makes'})."


def flip(found: Flip, looked_at: int) -> str:
    """`gemm is the faster on resnet18 (0.80x …), direct on vgg16 (…): …`"""
    first, second = choice(found.factor, found.faster_here), choice(found.factor, found.faster_there)
    here, there = beside(found.other, found.here), beside(found.other, found.there)
    said = f"{first} takes {times(found.gain_here)} the time of {second} {here}, "
    said += f"and {times(found.gain_there)} {there}"
    if found.p_value is None:
        return f"{said}: the order changes in what was measured. {_untested()}"
    if found.unsteady:
        runs = f"{counted(found.unsteady, 'run')} of {len(found.runs)}"
        return f"{said}: the order changes in what was measured; {UNSTEADY}, in {runs}."
    unsure = "" if found.holds else "the intervals don't allow to say that "
    return (
        f"{said}: {unsure}the order changes ({p_value(found.p_value)}, corrected for {looked_at} looked at)."
    )


def flips(found: Flips) -> str:
    """How many orders change, of how many that were looked at."""
    if not found.looked_at:
        return "No two choices were both measured beside two choices of another layer: no order can change."
    sure = sum(one.holds for one in found.flips)
    return (
        f"{counted(found.looked_at, 'change')} of order were looked for, of two choices of one layer over "
        f"two of another: {len(found.flips)} were seen, {sure} of these by more than chance "
        f"(corrected by Holm for all of them: {percent(1 - CONFIDENCE)} for a single false claim)."
    )


def caveats(study: Study) -> list[str]:
    """All that a reader of a study's numbers has to know of its points."""
    return [
        *(["These boards are emulated: their times say nothing about real ones."] if study.emulated else []),
        coverage(study.grid),
        spread(study.noise, study.grid),
        *pace.notes([point for cell in study.grid.cells for point in cell.points]),
        *_named("has no time", study.grid.untimed),
        *_unsteady(study.grid),
        *(
            f"{setting} changes only together with {layer}: what the two do can't be told apart."
            for setting, layer in study.grid.naming.implied.items()
        ),
        *(
            f"{setting} has too many values to compare: points that differ in it alone count as repeated."
            for setting in study.grid.naming.crowded
        ),
        *(effect(one) for one in study.effects if one.basis is Basis.NONE),
    ]


def coverage(grid: Grid) -> str:
    """How much of the grid was measured."""
    if not grid.cells:
        return "No point has a time."
    if not grid.factors:
        return "One combination of choices was measured: there is nothing to compare it with."
    names = listed([f"{factor.name} ({len(factor.levels)})" for factor in grid.factors])
    left = grid.size - len(grid.cells)
    failed = len(grid.failed)
    missing = f"; {failed} failed, {left - failed} were not tried" if left else ""
    many = (
        f" The grid has more than {LARGEST} combinations: they are not ranked." if grid.size > LARGEST else ""
    )
    return (
        f"{len(grid.cells)} of {counted(grid.size, 'combination')} of {names} were measured{missing}.{many}"
    )


def spread(noise: Noise | None, grid: Grid) -> str:
    """How much sessions of one point differ, which all intervals come from."""
    if noise is None:
        several = any(len(cell.logs) > 1 for cell in grid.cells)
        why = (
            "The sessions of each point agree to the last digit" if several else "Each point has one session"
        )
        return f"{why}: there are no intervals, and no claim rests on them. {MORE_SESSIONS}."
    single = sum(len(cell.logs) == 1 for cell in grid.cells)
    said = (
        f"Sessions of one point differ by {percent(noise.pooled**0.5)} "
        f"(a standard deviation over {noise.pooled_freedom} degrees of freedom)."
    )
    return (
        f"{said} {counted(single, 'point')} with one session: the others' spread stands in."
        if single
        else said
    )


def _untested() -> str:
    return "Single sessions don't tell whether by more than chance."


def _named(what: str, points: Sequence[MeasuredPoint]) -> list[str]:
    return [f"{one.name} {what}: {one.status}{f', {one.error}' if one.error else ''}." for one in points]


def _unsteady(grid: Grid) -> list[str]:
    points = [point for cell in grid.cells for point in cell.points if point.unsteady]
    return [f"{one.name} was timed on an unsteady board: {one.unsteady}." for one in points]
