"""The points of one command, under one run: what they know of it, where it goes, how it begins and ends."""

from dlas.tracking.sweep.callback import ALL, SWEPT, SweepCallback, of_all, stopping
from dlas.tracking.sweep.leading import abandon, count_led, is_led_here, launcher, records, slurm_folder
from dlas.tracking.sweep.membership import (
    PARENT,
    is_repeated,
    is_unchecked,
    position,
    require_planned,
    run_name,
    short_name,
    take,
    told,
)
from dlas.tracking.sweep.places import require_one_store

__all__ = [
    "ALL",
    "PARENT",
    "SWEPT",
    "SweepCallback",
    "abandon",
    "count_led",
    "is_led_here",
    "is_repeated",
    "is_unchecked",
    "launcher",
    "of_all",
    "position",
    "records",
    "require_one_store",
    "require_planned",
    "run_name",
    "short_name",
    "slurm_folder",
    "stopping",
    "take",
    "told",
]
