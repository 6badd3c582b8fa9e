"""The schedule that was chosen for a kernel, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

NOT_TUNED = "not tuned"
"""Reason of a kernel that no tuner was asked for."""


@dataclass(frozen=True)
class KernelChoice:
    """The choice for one kernel, with its reason."""

    kernel: str
    tuned: bool
    reason: str
    untuned_ms: float | None = None
    """Milliseconds of a call in the untuned network, the mean over the layers that share the kernel."""
    tuned_ms: float | None = None
    """Milliseconds of a call in the network of tuned kernels, the mean over the layers that
    share the kernel."""

    def doubted(self, unsteady: Sequence[str]) -> KernelChoice:
        """The choice with what its times were disturbed by, if it was made by times, in its reason."""
        if self.tuned_ms is None or not unsteady:
            return self
        return replace(self, reason=f"{self.reason}, timed while {' and '.join(unsteady)}")
