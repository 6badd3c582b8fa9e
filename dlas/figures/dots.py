"""Samples as dots, more of them than there is memory for Matplotlib's copies of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import artist
from matplotlib.lines import Line2D

AT_ONCE = 100
"""Rows that Matplotlib is given at a time."""

_rasterized: Any = artist.allow_rasterization


class Dots(Line2D):
    """Times, each row of them at its place, as an image. It has data only while it is drawn, some rows after
    the others: who adds it to axes sets their limits."""

    def __init__(self, rows: Sequence[tuple[float, np.ndarray]], colour: str) -> None:
        super().__init__(
            [], [], linestyle="none", marker=".", markersize=2.5, color=colour, alpha=0.5, rasterized=True
        )
        self.rows = rows

    def _draw(self, renderer: Any) -> None:
        for start in range(0, len(self.rows), AT_ONCE):
            places, times = zip(*self.rows[start : start + AT_ONCE], strict=True)
            self.set_data(np.concatenate(times), np.repeat(places, [each.size for each in times]))
            super().draw(renderer)
        self.set_data([], [])

    draw: Any = _rasterized(_draw)
