"""Earlier runs of a point, which may make a new one needless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlas.tracking.store.entities import Record, Store
from dlas.tracking.store.names import FINGERPRINT, KIND, UNSTEADY
from dlas.tracking.store.reading import found_by

# The statuses of runs that make a new one needless, by what `rerun` says.
COUNTED: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "failed": ("FINISHED",),
    "unsteady": ("FINISHED", "FAILED"),
    "none": ("FINISHED", "FAILED"),
}


def earlier(store: Store, fingerprint: str, rerun: str) -> Record | None:
    """The run that tells what a new one of the same fingerprint would; None where it is to be made.

    `rerun` says which are made again: `all`; `failed`: those that have no finished run; `unsteady`: those
    whose finished runs are all `is_unsteady`; `none`: those that have neither a finished nor a failed one. A
    run that was stopped tells nothing.
    """
    if not COUNTED[rerun]:
        return None
    chosen = f"tags.`{FINGERPRINT}` = '{fingerprint}' and tags.`{KIND}` = 'point'"
    return telling(found_by(store, [store.experiment_id], chosen), rerun)


def telling(found: Sequence[Record], rerun: str) -> Record | None:
    """The one of these runs of a point that tells what a new one would; `rerun` as `earlier` has it."""
    of_status = [[run for run in found if run.status == status] for status in COUNTED[rerun]]
    taken = next((runs for runs in of_status if runs), [])
    if rerun == "unsteady":
        taken = [run for run in taken if not is_unsteady(run)]
    return taken[-1] if taken else None


def is_unsteady(run: Record) -> bool:
    """Whether the run was timed, or its kernels were chosen by timing, while the board did not hold still."""
    return not run.tags.keys().isdisjoint(UNSTEADY)
