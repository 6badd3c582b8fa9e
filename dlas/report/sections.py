"""What a report says, in order: sentences, tables and figures under headings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dlas.analysis import naming, pace
from dlas.analysis.interactions import sentences
from dlas.analysis.interactions import tables as study_tables
from dlas.analysis.interactions.study import Study, studies
from dlas.analysis.measured_point import FINISHED, MeasuredPoint
from dlas.analysis.observations import Verdict, findings
from dlas.analysis.observations import tables as observation_tables
from dlas.analysis.phrases import counted, listed
from dlas.analysis.table import Table, without_empty_columns
from dlas.analysis.tables import closing, fronts, layers, speedups, study
from dlas.figures import layers as layer_figures
from dlas.figures import roofline, samples, speedup, trade_off, tuning
from dlas.figures.drawing import Drawing
from dlas.figures.tuning import Course
from dlas.report.gathering import Gathered

SPREAD = "dlas.spread"
"""Tag that tells the main source of the spread of a point's samples."""

UNSTEADY_ROOFS = "dlas.unsteady_roofs"
"""Tag of a point whose machine did not hold still while its roofs were measured."""

LISTED = 12
"""Sentences of one kind on the page; the tables have all of them."""

LAYERS_SHOWN = 12
"""Networks whose layers are on the page; the files have all of them."""


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading."""

    title: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    """Tables on the page, which are files as well."""
    files: tuple[Table, ...] = ()
    """Tables that are files alone, as the page has no room for them."""


def sections(gathered: Gathered, redeploy: Callable[[str], str]) -> list[Section]:
    """The sections that have something to say; `redeploy` gives the command for a run's id."""
    points = gathered.points
    finished = [point for point in points if point.status == FINISHED]
    gains = speedups.speedups(points)
    found = [
        Section("In short", tuple(summary(points))),
        Section(
            "Not beaten",
            figures=tuple(trade_off.trade_offs(points, gathered.names)),
            tables=(fronts.table(points, redeploy),),
        ),
        Section("All points", tables=(closing.table(points, further=_measured(points)),)),
        Section("Networks", tables=(study.baselines(finished), study.drops(finished))),
        Section("Latency", tables=(study.latencies(points),)),
        Section("Speedup", figures=tuple(speedup.reached(gains)), tables=(speedups.table(points, gains),)),
        *(_interactions(one) for one in studies(points)),
        _observations(points),
        _where_the_time_goes(gathered),
        _tuning(gathered.courses),
        Section("Every sample", figures=tuple(samples.every_sample(gathered.samples))),
        Section("What could not be read", gathered.problems),
    ]
    return [kept for section in found if (kept := _without_empty(section)) is not None]


def _measured(points: Sequence[MeasuredPoint]) -> list[str]:
    """Further columns of the closing table that have something to say."""
    said = {"memory": any(point.memory_bytes is not None for point in points)}
    said["start"] = any(point.start_ms is not None for point in points)
    return [name for name, is_said in said.items() if is_said]


def title(points: Sequence[MeasuredPoint]) -> str:
    """The title of the report: how many points there are, and what differs between them."""
    varied = naming.of(points).varied
    over = f" over {listed(varied)}" if varied else ""
    return f"A sweep of {counted(len(points), 'point')}{over}"


def summary(points: Sequence[MeasuredPoint]) -> list[str]:
    """The report in a few sentences: how many points there are, which are not beaten, what to doubt."""
    if not points:
        return ["The sweep has no points."]
    finished = [point for point in points if point.status == FINISHED]
    others = {status: sum(point.status == status for point in points) for status in _other_statuses(points)}
    left = "".join(f", {count} {status}" for status, count in others.items())
    told = [f"{counted(len(points), 'point')}: {len(finished)} {FINISHED}{left}."]
    front = fronts.unbeaten(points)
    if front:
        told.append(f"{len(front)} of {len(finished)} are not beaten by any other.")
    unsteady = sum(bool(point.unsteady) for point in points)
    if unsteady:
        told.append(f"{unsteady} were timed on an unsteady board: their times may be too long.")
    told += [f"{note[0].upper()}{note[1:]}." for note in pace.notes(points)]
    told += _spreads(points)
    nothing = sum(closing.keeps_nothing(point) for point in points)
    if nothing:
        told.append(
            f"Of {nothing} a search kept no tuned kernel: it found none that made the network faster."
        )
    places = {(point.choices.get("target", ""), point.emulated) for point in points}
    if len(places) > 1:
        told.append("There are several targets, or emulated ones: no ratio is taken across them.")
    return told


def _spreads(points: Sequence[MeasuredPoint]) -> list[str]:
    """A sentence for each main source of spread that is known."""
    found = Counter(point.tags[SPREAD].partition(":")[0] for point in points if SPREAD in point.tags)
    return [
        f"Of {counted(number, 'point')} the spread comes mainly from {source}."
        for source, number in found.most_common()
    ]


def _other_statuses(points: Sequence[MeasuredPoint]) -> list[str]:
    return [status for status in dict.fromkeys(point.status for point in points) if status != FINISHED]


def _interactions(found: Study) -> Section:
    board = " on emulated boards" if found.emulated else ""
    sure = [one for one in found.flips.flips if one.holds]
    told = [
        *(sentences.effect(one) for one in found.effects[:LISTED] if one.estimate is not None),
        *(sentences.share(one) for one in found.shares.shares[:LISTED]),
        sentences.rest(found.shares),
        *(sentences.interaction(one) for one in found.interactions[:LISTED]),
        sentences.flips(found.flips),
        *(sentences.flip(one, found.flips.looked_at) for one in sure[:LISTED]),
    ]
    if not found.effects:
        told = sentences.caveats(found)[:LISTED]
    suffix = "_emulated" if found.emulated else ""
    tables = tuple(replace(one, name=f"{one.name}{suffix}") for one in study_tables.all_of(found))
    return Section(f"What the choices do to each other{board}", tuple(told), tables=tables)


def _observations(points: Sequence[MeasuredPoint]) -> Section:
    found = findings(points)
    told = tuple(observation_tables.sentence(one) for one in found if one.verdict is not Verdict.NOT_ENOUGH)
    return Section("The study's observations", told, tables=(observation_tables.table(found),))


def _where_the_time_goes(gathered: Gathered) -> Section:
    return Section(
        "Where the time goes",
        _of_roofs(gathered.points),
        figures=(*layer_figures.bars(gathered.layers), *roofline.rooflines(gathered.layers)),
        tables=(layers.summary(gathered.layers[:LAYERS_SHOWN]),),
        files=(layers.of_points(gathered.layers),),
    )


def _of_roofs(points: Sequence[MeasuredPoint]) -> tuple[str, ...]:
    """What to know of the roofs: which points have none, and which were measured while the board did not hold
    still."""
    finished = [point for point in points if point.status == FINISHED]
    without = sum(point.roofs is None for point in finished)
    unsteady = sum(UNSTEADY_ROOFS in point.tags for point in finished)
    told = []
    if without:
        told.append(
            f"The machine's peak and bandwidth are not known of {without} of {len(finished)} points: "
            "they are measured where timing.roofs asks for it, not on emulated boards and GPUs, and "
            "earlier versions did not."
        )
    if unsteady:
        told.append(
            "The machine's peak and bandwidth were measured while the board did not hold still "
            f"for {unsteady} of {len(finished)} points: both may be higher."
        )
    return tuple(told)


def _tuning(courses: Sequence[Course]) -> Section:
    return Section("Tuning", figures=tuple(tuning.curves(courses)))


def _without_empty(section: Section) -> Section | None:
    """The section without tables that have no row; None where nothing is left."""
    tables = tuple(without_empty_columns(table) for table in section.tables if table.rows)
    files = tuple(table for table in section.files if table.rows)
    if not (section.sentences or section.figures or tables or files):
        return None
    return Section(section.title, section.sentences, section.figures, tables, files)
