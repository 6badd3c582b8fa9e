"""The page of MLflow's UI that shows the points of a sweep: the fastest first, with the columns that matter.

The page's address names a view, and the view is a tag of the experiment, as MLflow's own button "Share" makes
one.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from dlas.analysis import naming
from dlas.tracking.observations import METRICS, SETTING_OF, UNSTEADY, observed
from dlas.tracking.store import EARLIER, FRONT, KIND, PARENT, Record, Store, is_writable, points

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
    columns = _columns(store, sweep)
    view = {**listed, "orderByAsc": True, "selectedColumns": columns, "columnOrder": columns}
    store.client.set_experiment_tag(store.experiment_id, VIEW + sweep.run_id, json.dumps(view))
    return _page(store, **{SHARED: sweep.run_id})


def count_elsewhere(sweep: Record) -> int:
    """Number of the sweep's points that its page lacks: runs that it took from earlier sweeps."""
    return sum(len(ids.split()) for name, ids in sweep.tags.items() if name.startswith(f"{EARLIER}."))


def _page(store: Store, **parameters: str) -> str:
    return f"/#/experiments/{store.experiment_id}/runs?{urlencode({**TRAINING, **parameters})}"


def _columns(store: Store, sweep: Record) -> list[str]:
    named = naming.of(observed(points(store, sweep.run_id)))
    varied = [each for key in named.columns for each in (key, *named.joined.get(key, ()))][:MOST_CHOICES]
    return [
        *(f"metrics.`{METRICS[name]}`" for name in MEASURED),
        *(f"params.`{SETTING_OF.get(key, key)}`" for key in varied),
        *(f"tags.`{name}`" for name in NOTED),
    ]
