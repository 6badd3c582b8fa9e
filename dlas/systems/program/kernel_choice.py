"""What is told of the schedule that a kernel got."""

from __future__ import annotations

from dataclasses import dataclass

NOT_TUNED = "not tuned"
"""The reason of a kernel that no tuner was asked for."""


@dataclass(frozen=True)
class KernelChoice:
    """What was chosen for one kernel, and why."""

    kernel: str
    tuned: bool
    reason: str
    untuned_ms: float | None = None
    """Of a call in the untuned network, the mean over the layers that share the kernel."""
    tuned_ms: float | None = None
    """Likewise in the network of tuned kernels."""
