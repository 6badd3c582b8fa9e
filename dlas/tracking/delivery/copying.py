"""Copying runs, with all that they have, from one store to another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlas.errors import UserError
from dlas.tracking import store as tracking
from dlas.tracking.delivery import parcel as parcels
from dlas.tracking.delivery import sending
from dlas.tracking.delivery.parcel import FILES, Parcel
from dlas.tracking.outcome import models
from dlas.tracking.store import (
    BUNDLE,
    COMPARED,
    EARLIER,
    KIND,
    ORIGIN,
    ORIGINAL,
    PARENT,
    SWEEP,
    Number,
    OpenRun,
    Record,
    Store,
    files,
)

Check = Callable[[Path], object]
"""Raises UserError for a folder that is no sound bundle."""


@dataclass(frozen=True)
class Copied:
    """What became of a run."""

    run: Record
    there: str | None
    """Its id in the other store; None where it could not be copied."""
    told: str
    """What was done, or what was wrong."""

    @property
    def failed(self) -> bool:
        return self.there is None


def copy(
    source: Store, target: Callable[[str], Store], wanted: Sequence[str], check: Check
) -> Iterator[Copied]:
    """Copy the runs that DLAS made, or those of the `wanted` ids with what belongs to them.

    To a sweep belong its points, to a point its redeploys, to a redeploy its original, to a comparison what
    it compared. `target` gives the other store by the name of an experiment. A run that is there already is
    not copied again, wherever it was copied from. Ids in tags are those of the other store. Bundles are
    checked before and after.
    """
    left = set(wanted)
    for name, experiment in tracking.experiments(source).items():
        runs = tracking.runs(experiment)
        chosen = _belonging(runs, wanted) if wanted else runs
        left -= {run.run_id for run in chosen}
        if chosen:
            yield from _copied(experiment, target(name), chosen, name, check)
    for run_id in sorted(left):
        tracking.fetch(source, run_id)
        raise UserError(f"the run '{run_id}' was not made by dlas", key="run")


def _copied(
    source: Store, target: Store, runs: Sequence[Record], experiment: str, check: Check
) -> Iterator[Copied]:
    known: dict[str, str | None] = {}
    copied: list[str] = []
    for run in runs:
        there = _there(target, run)
        known[run.run_id] = None if there is None else there.run_id
        if run.status == "RUNNING":
            yield Copied(run, known[run.run_id] or "", "left out: it goes on")
        elif there is not None and (there.status, there.ended) == (run.status, run.ended):
            yield Copied(run, there.run_id, "there already")
        else:
            try:
                copied.append(_copy(source, target, run, experiment, check))
                known[run.run_id] = copied[-1]
                yield Copied(run, copied[-1], "copied")
            except UserError as error:
                yield Copied(run, None, f"not copied: {error}")
    for run in runs:
        run_id = known[run.run_id]
        if run_id is not None and run_id != run.run_id:
            _point_at(source, target, run, run_id, known)
    models.register(target, [tracking.fetch(target, run_id) for run_id in copied])


def _copy(source: Store, target: Store, run: Record, experiment: str, check: Check) -> str:
    """Copy a run but for the tags that point at others; returns its id in the other store."""
    with tempfile.TemporaryDirectory(prefix="dlas-") as temporary:
        folder = Path(temporary)
        (folder / FILES).mkdir()
        if files.sizes(source, run.run_id):
            files.download(source, run.run_id, "", folder / FILES)
        if (folder / FILES / BUNDLE).is_dir():
            check(folder / FILES / BUNDLE)
        parcel = _parcel(source, run, experiment, folder / FILES)
        sent = sending.upload(target, folder, parcel)
        if parcel.files and files.folder_of(target, sent.run_id) is None:
            back = files.download(target, sent.run_id, "", folder / "back")
            parcels.require_same(back, parcel.files)
        sending.end(sent, parcel)
        return sent.run_id


def _parcel(source: Store, run: Record, experiment: str, folder: Path) -> Parcel:
    info = source.client.get_run(run.run_id).info
    numbers = [
        Number(name, one.value, one.timestamp, one.step)
        for name in run.metrics
        for one in source.client.get_metric_history(run.run_id, name)
    ]
    return Parcel(
        store=None,
        experiment=experiment,
        run_id=None,
        origin=_origin(run),
        name=run.name,
        status=run.status,
        started=info.start_time,
        ended=info.end_time,
        params=run.params,
        metrics=tuple(numbers),
        tags={name: text for name, text in run.tags.items() if not _is_pointer(name)},
        files=parcels.files_in(folder),
    )


def _belonging(runs: Sequence[Record], wanted: Collection[str]) -> list[Record]:
    """The wanted runs with all that belongs to them, in the order of `runs`."""
    by_id = {run.run_id: run for run in runs}
    found = {run_id for run_id in wanted if run_id in by_id}
    while True:
        sweeps = {run_id for run_id in found if by_id[run_id].tags[KIND] == SWEEP}
        points = {run.run_id for run in runs if run.tags.get(PARENT) in sweeps}
        listed = {one for run_id in found for one in _listed(by_id[run_id].tags)}
        redeploys = {run.run_id for run in runs if run.tags.get(ORIGINAL) in found}
        originals = {by_id[run_id].tags.get(ORIGINAL, "") for run_id in found}
        more = (points | listed | redeploys | originals) & set(by_id) - found
        if not more:
            return [run for run in runs if run.run_id in found]
        found |= more


def _listed(tags: Mapping[str, str]) -> list[str]:
    """The ids of runs that a sweep took from earlier ones, or that a comparison compared."""
    return [one for name, ids in tags.items() if _is_list(name) for one in ids.split()]


def _point_at(source: Store, target: Store, run: Record, run_id: str, known: dict[str, str | None]) -> None:
    """Have the tags of a copied run that point at others tell their ids in the other store. A run that is not
    there is not pointed at."""

    def there(one: str) -> str | None:
        if one not in known:
            other = _there(target, tracking.fetch(source, one)) if tracking.has(source, one) else None
            known[one] = None if other is None else other.run_id
        return known[one]

    tags = {}
    for name, ids in run.tags.items():
        found = [there(one) for one in ids.split()] if _is_pointer(name) else []
        if text := " ".join(one for one in found if one is not None):
            tags[name] = text
    present = tracking.fetch(target, run_id).tags
    if any(present.get(name) != text for name, text in tags.items()):
        OpenRun(target, run_id).log(tags=tags)


def _is_pointer(tag: str) -> bool:
    """Whether a tag tells ids of runs."""
    return tag in (PARENT, ORIGINAL) or _is_list(tag)


def _is_list(tag: str) -> bool:
    """Whether a tag tells the ids of several runs."""
    return tag == COMPARED or tag.startswith(f"{EARLIER}.")


def _there(target: Store, run: Record) -> Record | None:
    """The run in the other store."""
    origin = _origin(run)
    return (
        tracking.fetch(target, origin) if tracking.has(target, origin) else tracking.of_origin(target, origin)
    )


def _origin(run: Record) -> str:
    return run.tags.get(ORIGIN, run.run_id)
