"""The charts that MLflow's UI shows of a sweep's points: its own view of charts, with ours first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlas.tracking.measured_points import METRICS

SECTION, REST = "Latency, accuracy, size", "Model metrics"
"""Names of the section with these charts, and of the one in which MLflow shows one of each metric."""

LATENCY, ACCURACY, SIZE = METRICS["median_ms"], METRICS["accuracy_deployed"], METRICS["format_bytes"]


def of(varied: Sequence[str]) -> dict[str, Any]:
    """The part of a view that holds the charts of points between which these parameters differ."""
    charts: list[dict[str, Any]] = [
        {"type": "BAR", "metricKey": LATENCY},
        {"type": "SCATTER", "xaxis": _axis(LATENCY), "yaxis": _axis(ACCURACY)},
        {"type": "BAR", "metricKey": SIZE},
    ]
    if varied:
        charts.append({"type": "PARALLEL", "selectedParams": list(varied), "selectedMetrics": [LATENCY]})
    own = {"metricSectionId": SECTION, "isGenerated": False, "deleted": False, "runsCountToCompare": 100}
    sections = [{"uuid": name, "name": name, "display": name == SECTION} for name in (SECTION, REST)]
    return {
        "compareRunCharts": [{"uuid": f"dlas-{at}", **own, **chart} for at, chart in enumerate(charts)],
        "compareRunSections": [{**one, "isReordered": False, "deleted": False} for one in sections],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
    }


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}
