"""Hydra's basic sweeper, for points that were composed and checked before it starts.

Hydra finds sweepers in packages of this name only.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class CheckedSweeper(BasicSweeper):
    """A sweeper that launches a grid as Hydra's basic one does, and composes no point to see that it can."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Look at nothing: `dlas.config.composing.sweep_points` did."""
