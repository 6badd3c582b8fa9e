"""Stores on other machines: whether they can be used, told within seconds, and how long they may be away."""

from dlas.tracking.remote.address import is_server, shown
from dlas.tracking.remote.check import require_answer, require_place_for_files, require_usable
from dlas.tracking.remote.patience import hasty
from dlas.tracking.remote.reasons import network_reason
from dlas.tracking.remote.refusals import explained

__all__ = [
    "explained",
    "hasty",
    "is_server",
    "network_reason",
    "require_answer",
    "require_place_for_files",
    "require_usable",
    "shown",
]
