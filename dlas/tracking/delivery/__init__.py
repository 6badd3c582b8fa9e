"""Runs on their way to a store: each is whole on disk before it is sent, until the store has all of it."""

from dlas.tracking.delivery.copying import copy
from dlas.tracking.delivery.drafts import Draft, begin, comparison, delivering, end_sweep, redeploy
from dlas.tracking.delivery.keeping import Kept, kept
from dlas.tracking.delivery.parcel import FILES
from dlas.tracking.delivery.seen import beat, earlier, fetch, fetch_bundle, points
from dlas.tracking.delivery.waiting import (
    Place,
    folders,
    reach,
    record,
    send_again,
    send_all,
    send_everywhere,
)

__all__ = [
    "FILES",
    "Draft",
    "Kept",
    "Place",
    "beat",
    "begin",
    "comparison",
    "copy",
    "delivering",
    "earlier",
    "end_sweep",
    "fetch",
    "fetch_bundle",
    "folders",
    "kept",
    "points",
    "reach",
    "record",
    "redeploy",
    "send_again",
    "send_all",
    "send_everywhere",
]
