"""The gain of each layer in a search, as a table for a person."""

from __future__ import annotations

from collections.abc import Sequence

from dlas.interfaces.tuning import LayerTuning

SHOWN = 10
"""Layers in the table: those that take most time; all of them are in the bundle's tuning.json."""

HEADING = f"{'trials':>6} {'first ms':>9} {'best ms':>9} {'gain':>6}  layer"


def table(layers: Sequence[LayerTuning]) -> str:
    """A line for each of the layers that take most time, and one for all that have a time."""
    timed = [layer for layer in layers if layer.best_ms is not None]
    shown = sorted(timed, key=LayerTuning.total_best, reverse=True)[:SHOWN]
    lines = [_line(layer.trials, layer.total_first(), layer.total_best(), _name(layer)) for layer in shown]
    trials = sum(layer.trials for layer in layers)
    first, best = sum(map(LayerTuning.total_first, timed)), sum(map(LayerTuning.total_best, timed))
    rest = f"all {len(layers)}" + (
        f", {len(layers) - len(timed)} without a time" * (len(timed) < len(layers))
    )
    return "\n".join([HEADING, *lines, _line(trials, first, best, rest)])


def _line(trials: int, first_ms: float, best_ms: float, name: str) -> str:
    gain = f"{first_ms / best_ms:5.1f}x" if best_ms else f"{'-':>6}"
    return f"{trials:6} {first_ms:9.3f} {best_ms:9.3f} {gain}  {name}"


def _name(layer: LayerTuning) -> str:
    algorithm, _, workload = layer.task.rpartition(":")
    times = f", {layer.count} times" * (layer.count > 1)
    return f"{workload.removeprefix('conv2d_n1_')} by {algorithm.rpartition('.')[2]}{times}"
