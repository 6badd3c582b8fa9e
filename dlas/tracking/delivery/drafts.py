"""Runs that this process makes: kept on disk when they end, then sent to the store."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

from dlas.errors import UserError, first_line
from dlas.files import folders
from dlas.tracking import output, remote
from dlas.tracking import store as tracking
from dlas.tracking.delivery import parcel as parcels
from dlas.tracking.delivery import tables, waiting
from dlas.tracking.delivery.parcel import FILES, Parcel
from dlas.tracking.delivery.waiting import Place
from dlas.tracking.store import (
    BUNDLE,
    COMPARED,
    COMPARISON,
    ERROR,
    KIND,
    MODELS,
    ORIGINAL,
    OUTPUT,
    PARENT,
    REDEPLOYMENT,
    SWEEP,
    Number,
    OpenRun,
    Record,
    Store,
)

log = logging.getLogger("dlas.run")


@dataclass
class Draft:
    """A run that is being made, with all that is known of it."""

    place: Place
    store: Store | None
    """None where it can't be reached."""
    run_id: str | None
    """Its id in the store; None where it has none yet."""
    name: str
    tags: dict[str, str]
    own_id: str
    """Its id here: that in the store if it has one."""
    started: int
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of its files while it is made."""
        return folders.scratch(self.place.artifacts, self.own_id) / FILES

    @property
    def bundle(self) -> Path:
        """The folder of its bundle while it is made."""
        return self.folder / BUNDLE

    @property
    def output(self) -> Path:
        """The file of what it writes while it is made."""
        return self.folder / OUTPUT

    def note(
        self,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Note what was found, and tell the store if it can be reached: in the end it is told of all."""
        self.params |= params or {}
        self.metrics |= metrics or {}
        self.tags |= tags or {}
        if self.store is None or self.run_id is None:
            return
        try:
            with remote.hasty():
                OpenRun(self.store, self.run_id).log(params=params, metrics=metrics, tags=tags)
        except Exception as error:  # whatever the store's client raises
            log.debug("not told yet: %s", error)


def begin(place: Place, store: Store | None, name: str, tags: Mapping[str, str], parent: str | None) -> Draft:
    """A point's run, under the sweep's run `parent` if it has one; make it inside `delivering`."""
    above = {PARENT: parent} if parent else {}
    return _begun(place, store, name, {**tags, **above, KIND: "point"})


def redeploy(place: Place, store: Store, original: Record, name: str, tags: Mapping[str, str]) -> Draft:
    """A redeploy of a run, under it; make it inside `delivering`."""
    above = {PARENT: original.run_id, ORIGINAL: original.run_id}
    return _begun(place, store, name, {**tags, **above, KIND: REDEPLOYMENT})


def comparison(
    place: Place, store: Store, above: Record, compared: Sequence[str], tags: Mapping[str, str]
) -> Draft:
    """A comparison of the runs of these ids, under one of them or under their sweep; make it inside
    `delivering`."""
    pointers = {PARENT: above.run_id, ORIGINAL: above.run_id, COMPARED: " ".join(compared)}
    name = f"comparison of {len(compared)} points"
    return _begun(place, store, name, {**tags, **pointers, KIND: COMPARISON})


@contextmanager
def delivering(draft: Draft) -> Iterator[None]:
    """Fill the folder of the run, which this makes, then keep the run on disk, and send it.

    It ends as FINISHED, or FAILED (the reason is the tag `dlas.error`), or KILLED after Ctrl-C; the exception
    goes on its way. A run that can't be sent stays in `<artifacts>/unsent`, and the log tells so.
    """
    artifacts = draft.place.artifacts
    with ExitStack() as made:
        try:
            with folders.disk_troubles(artifacts):
                scratch = made.enter_context(folders.scratch_folder(artifacts, draft.own_id))
                draft.folder.mkdir()
        except UserError as error:
            _send_end(draft, error)
            raise
        try:
            yield
        except BaseException as error:
            rmtree(draft.bundle, ignore_errors=True)  # it is none before it is sealed
            _deliver(draft, scratch, error)
            raise
        draft.tags |= _model(draft.bundle)
        _deliver(draft, scratch, None)


def end_sweep(place: Place, run: OpenRun, status: str) -> None:
    """End a sweep's run, at once or, where its store can't be reached, when what waits is sent."""
    try:
        tracking.close(run, status)
    except Exception as error:  # whatever the store's client raises
        folder = waiting.folder_of(place.artifacts, run.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILES).mkdir(exist_ok=True)
        draft = Draft(place, run.store, run.run_id, SWEEP, {KIND: SWEEP}, run.run_id, _now())
        parcels.write(folder, _parcel(draft, folder, status))
        waiting.tell(place, folder, waiting.reason(error))


def _begun(place: Place, store: Store | None, name: str, tags: dict[str, str]) -> Draft:
    run_id = None
    if store is not None:
        try:
            run_id = tracking.create(store, name, tags).run_id
        except Exception as error:  # whatever the store's client raises
            log.warning("the store takes no new run now: %s", waiting.reason(error))
    return Draft(place, store, run_id, name, tags, run_id or uuid.uuid4().hex, _now())


def _deliver(draft: Draft, scratch: Path, error: BaseException | None) -> None:
    """Keep the run, which the error ended if there is one, and send it."""
    draft.tags |= _reason(error)
    folders.free_reserve(scratch)
    folder = waiting.folder_of(draft.place.artifacts, draft.own_id)
    try:
        with waiting.held(folder):
            output.settle(draft.output)
            draft.tags |= tables.tags(scratch / FILES)
            parcels.write(scratch, _parcel(draft, scratch, _status(error)))
            scratch.rename(folder)
            waiting.send(draft.place, draft.store, folder)
    except OSError as unkept:  # the disk may be what failed the point
        if error is None:
            raise
        log.error("what the point wrote could not be kept: %s", unkept)
        _send_end(draft, error)


def _model(bundle: Path) -> dict[str, str]:
    """The tag of a run whose bundle MLflow can load."""
    file = bundle / "MLmodel"
    if not file.is_file():
        return {}
    flavors = json.loads(file.read_text(encoding="utf-8"))["flavors"]
    made = datetime.now(UTC).isoformat()
    return {MODELS: json.dumps([{"artifact_path": BUNDLE, "flavors": flavors, "utc_time_created": made}])}


def _parcel(draft: Draft, folder: Path, status: str) -> Parcel:
    now = _now()
    return Parcel(
        store=draft.place.address,
        experiment=draft.place.experiment,
        run_id=draft.run_id,
        origin=draft.own_id,
        name=draft.name,
        status=status,
        started=draft.started,
        ended=now,
        params=draft.params,
        metrics=tuple(Number(name, float(value), now, 0) for name, value in draft.metrics.items()),
        tags=draft.tags,
        files=parcels.files_in(folder / FILES),
    )


def _send_end(draft: Draft, error: BaseException) -> None:
    """Have the store know how a run ended of which nothing can be kept."""
    if draft.store is not None and draft.run_id is not None:
        run = OpenRun(draft.store, draft.run_id)
        try:
            run.log(tags=_reason(error))
            tracking.close(run, _status(error))
        except Exception as untold:  # whatever the store's client raises
            log.error("the run %s could not be ended: %s", draft.run_id, first_line(untold))


def _status(error: BaseException | None) -> str:
    return "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"


def _reason(error: BaseException | None) -> dict[str, str]:
    return {ERROR: str(error) or type(error).__name__} if isinstance(error, Exception) else {}


def _now() -> int:
    return int(time.time() * 1000)
