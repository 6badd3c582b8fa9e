"""Runs of points that nobody delivers."""

from __future__ import annotations

from collections.abc import Mapping

from dlas.tracking import KIND, PARENT, OpenRun, Store
from dlas.tracking.store import create


def start_point(store: Store, name: str, tags: Mapping[str, str], parent: str | None = None) -> OpenRun:
    """A point's run, under the sweep's run `parent` if it has one, as `delivery.begin` makes it there."""
    return create(store, name, {**tags, **({PARENT: parent} if parent else {}), KIND: "point"})
