"""What a study found, as tables."""

from __future__ import annotations

from dlas.analysis.interactions import sentences
from dlas.analysis.interactions.effects import Effect
from dlas.analysis.interactions.flips import Flip
from dlas.analysis.interactions.study import Study
from dlas.analysis.phrases import listed
from dlas.analysis.statistics.contrast import Estimate
from dlas.analysis.table import Cell, Table, number, text

MOST_ROWS = 500
"""Rows of a table of pairs: those further down are the least sure, and nobody would read them."""


def all_of(study: Study) -> tuple[Table, ...]:
    """Every table of a study that has rows."""
    tables = (
        effects(study),
        shares(study),
        interactions(study),
        flips(study),
        next_points(study),
        gaps(study),
    )
    return tuple(table for table in tables if table.rows)


def effects(study: Study) -> Table:
    """The effect of each choice against its layer's reference, as a factor of latency."""
    headings = (
        "layer",
        "choice",
        "against",
        "factor",
        "low",
        "high",
        "pairs",
        "smallest",
        "largest",
        "from",
        "boards",
    )
    rows = tuple(_effect(one) for one in study.effects)
    notes = (
        "A factor of 1.31 means 1.31 times the latency, geometric mean over the pairs.",
        *sentences.caveats(study),
    )
    return Table("effects", "What each choice does to the latency", headings, rows, notes)


def _effect(one: Effect) -> tuple[Cell, ...]:
    return (
        *map(text, (one.factor, one.level, one.reference)),
        *_ratio(one.estimate),
        number(one.pairs, str),
        *map(number, (one.lowest, one.highest)),
        *map(text, (one.basis.value, _boards(one.steady))),
    )


def shares(study: Study) -> Table:
    """The variance of the log latency that each layer and each pair explains."""
    headings = ("layers", "degrees of freedom", "share", "share (type III)", "p (Holm)")
    rows = tuple(
        (
            text(listed(one.factors)),
            number(one.freedom, str),
            *map(number, (one.share if one.freedom else None, one.share_three, one.p_value)),
        )
        for one in study.shares.shares
    )
    untested = () if study.grid.steady.all() else (sentences.SHARES_UNTESTED,)
    notes = (sentences.rest(study.shares), "Shares are of type II, parts of 1.", *untested)
    return Table("variance", "What explains how the latencies differ", headings, rows, notes)


def interactions(study: Study) -> Table:
    """Ratios of ratios, the surest first."""
    headings = (
        *("layer", "choice", "against", "beside", "there", "here"),
        *("factor there", "factor here", "ratio of ratios", "low", "high", "contexts", "p (Holm)", "boards"),
    )
    ordered = sorted(
        study.interactions,
        key=lambda one: (1.0 if one.p_value is None else one.p_value, -abs(one.estimate.log)),
    )
    rows = tuple(
        (
            *map(text, (one.factor, one.level, one.reference, one.other, one.there, one.here)),
            *map(number, (one.effect_there.ratio, one.effect_here.ratio)),
            *_ratio(one.estimate),
            number(one.contexts, str),
            number(one.p_value if one.steady else None),
            text(_boards(one.steady)),
        )
        for one in ordered
    )
    title = "What choices do to each other's effect"
    return Table("interactions", title, headings, rows[:MOST_ROWS], _shortened(len(rows)))


def flips(study: Study) -> Table:
    """Orders of two choices that change with another layer's choice."""
    headings = (
        *("layer", "first", "second", "beside", "here", "there", "first/second here", "low", "high"),
        *("first/second there", "low", "high", "contexts", "p (Holm)", "claim"),
    )
    rows = tuple(
        (
            *map(text, (one.factor, one.faster_here, one.faster_there, one.other, one.here, one.there)),
            *_ratio(one.gain_here),
            *_ratio(one.gain_there),
            number(one.contexts, str),
            number(one.p_value),
            text(_claim(one)),
        )
        for one in study.flips.flips
    )
    notes = (sentences.flips(study.flips), *_shortened(len(rows)))
    return Table("flips", "Orders that change", headings, rows[:MOST_ROWS], notes)


def next_points(study: Study) -> Table:
    """The points most likely to be worth measuring."""
    headings = ("chance to be on the front", "expected ms", "low", "high", "accuracy", "python -m dlas.run …")
    rows = tuple(
        (
            *map(number, (one.chance, one.predicted_ms, one.low_ms, one.high_ms, one.accuracy)),
            text(one.overrides),
        )
        for one in study.next.points
    )
    notes = (
        f"Expected by a linear model of {study.next.model}; low and high are two standard errors away.",
        "Overrides name the choices of the layers; add what else the sweep was started with.",
    )
    return Table("next", "What to measure next", headings, rows, notes)


def gaps(study: Study) -> Table:
    """Pairs of choices that no point has together, and interactions that can't be told."""
    headings = ("layer", "choice", "layer beside", "choice beside", "what can't be told")
    never = [(*pair, "nobody tried the two together") for pair in study.next.never_together]
    apart = set(study.next.never_together)
    unseen = [
        (one.factor, one.level, one.other, one.there, "their interaction: a point to compare with is missing")
        for one in study.unseen
        if not {(one.factor, one.level, one.other, one.there), (one.other, one.there, one.factor, one.level)}
        & apart
    ]
    rows = tuple(tuple(map(text, row)) for row in (*never, *unseen))
    return Table("gaps", "What these points can't tell", headings, rows[:MOST_ROWS], _shortened(len(rows)))


def _claim(one: Flip) -> str:
    if one.unsteady:
        return "unsteady"
    if one.p_value is None:
        return "not tested"
    return "changes" if one.holds else "can't tell"


def _shortened(rows: int) -> tuple[str, ...]:
    """A note on what is left out."""
    return (f"The first {MOST_ROWS} of {rows} rows are here.",) if rows > MOST_ROWS else ()


def _boards(steady: bool) -> str:
    return "" if steady else "unsteady"


def _ratio(estimate: Estimate | None) -> tuple[Cell, Cell, Cell]:
    """The ratio and the ends of its interval."""
    interval = None if estimate is None else estimate.interval
    return (
        number(None if estimate is None else estimate.ratio),
        number(None if interval is None else interval.low),
        number(None if interval is None else interval.high),
    )
