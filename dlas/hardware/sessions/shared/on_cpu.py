"""What networks have in common that run on the CPU by a runtime of others (dlas.interfaces.runner)."""

from __future__ import annotations

import numpy as np


class OnCpu:
    """A network whose caches are those of the CPU."""

    def fill_caches(self, other: np.ndarray) -> None:
        """Do nothing: whoever wrote `other` has filled them."""
