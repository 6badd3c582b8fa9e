"""The page of MLflow's UI that shows the points of a sweep: the fastest first, with the columns and charts
that matter.

The page's address names a view, and the view is a tag of the experiment, as MLflow's own button "Share" makes
one.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from dlas.analysis import naming
from dlas.tracking.measured_points import METRICS, SETTING_OF, UNSTEADY, measured_points
from dlas.tracking.store import EARLIER, FRONT, KIND, PARENT, Record, Store, is_writable, points
from dlas.tracking.ui import charts

VIEW, SHARED = "mlflow.sharedViewState.", "viewStateShareKey"
"""Prefix of the tag with a view, and the parameter of an address that names one."""

TRAINING = {"workflowType": "machine_learning"}
"""Parameter of an address that chooses the pages for model training."""

MEASURED = ("median_ms", "low_ms", "high_ms", "accuracy_deployed", "format_bytes")
"""Numbers of the first columns; what varied follows."""

NOTED = (FRONT, UNSTEADY)
"""Tags of the last columns."""

MOST_CHOICES = 30
"""Columns of what varied, at most: MLflow keeps 5000 characters of a tag."""

NAME, CREATED = "attributes.`Run Name`", "runDateAndNestInfo"
"""Columns that MLflow always shows first."""

LETTER_PIXELS, MARGIN_PIXELS, WIDEST_PIXELS = 8, 60, 600
"""Widths: of a letter, of what else is in a cell, and of the widest column."""


def of_experiment(store: Store) -> str:
    """The page of all runs, as what follows the address of the UI."""
    return _page(store)


def of_sweep(store: Store, sweep: Record) -> str:
    """The page of a sweep's own points, as what follows the address of the UI; it leaves a view in the store.

    A store that can only be read takes no view: the address tells filter and order then, and MLflow chooses
    the columns.
    """
    listed = {
        "searchFilter": f"tags.`{PARENT}` = '{sweep.run_id}' and tags.`{KIND}` = 'point'",
        "orderByKey": f"metrics.`{METRICS['median_ms']}`",
    }
    if not is_writable(store):
        return _page(store, **listed, orderByAsc="true")
    found = points(store, sweep.run_id)
    varied = _varied(found)
    columns = _columns(varied)
    view = {
        **listed,
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": [NAME, CREATED, *columns],
        "columnWidths": _widths([point.name for point in found], columns),
        **charts.of([key for key in varied if len({point.params.get(key) for point in found}) > 1]),
    }
    store.client.set_experiment_tag(store.experiment_id, VIEW + sweep.run_id, _packed(view))
    return _page(store, **{SHARED: sweep.run_id})


def count_elsewhere(sweep: Record) -> int:
    """Number of the sweep's points that its page lacks: runs that it took from earlier sweeps."""
    return sum(len(ids.split()) for name, ids in sweep.tags.items() if name.startswith(f"{EARLIER}."))


def _page(store: Store, **parameters: str) -> str:
    return f"/#/experiments/{store.experiment_id}/runs?{urlencode({**TRAINING, **parameters})}"


def _varied(found: Sequence[Record]) -> list[str]:
    """The parameters with the choices by which the points are told apart."""
    named = naming.of(measured_points(found))
    keys = [each for key in named.columns for each in (key, *named.joined.get(key, ()))]
    return [SETTING_OF.get(key, key) for key in keys[:MOST_CHOICES]]


def _columns(varied: Sequence[str]) -> list[str]:
    return [
        *(f"metrics.`{METRICS[name]}`" for name in MEASURED),
        *(f"params.`{key}`" for key in varied),
        *(f"tags.`{name}`" for name in NOTED),
    ]


def _widths(names: Sequence[str], columns: Sequence[str]) -> dict[str, int]:
    """Widths in pixels that leave the names of points, and of columns, whole."""
    letters = {NAME: max(map(len, names), default=0), **{one: len(one.split("`")[1]) for one in columns}}
    return {one: min(MARGIN_PIXELS + LETTER_PIXELS * count, WIDEST_PIXELS) for one, count in letters.items()}


def _packed(view: dict[str, Any]) -> str:
    """The view as MLflow's UI packs one that is long."""
    return f"deflate;{base64.b64encode(zlib.compress(json.dumps(view).encode())).decode()}"
