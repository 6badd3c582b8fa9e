"""What disturbed a session while its samples were taken, as its board's kernel counted it."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_SECONDS = 86_400.0
MAX_COUNT = 10**12


@dataclass(frozen=True)
class Disturbance:
    """Counts over the samples of a session; None for what its system does not tell."""

    waited_seconds: float | None
    """Seconds that a thread was ready to run while others had its core: of the thread that waited longest."""
    preempted: int
    """Number of times that a thread of the process lost its core to another."""
    page_faults: int
    """Pages that were given to the process without reading any from a disk."""
    disk_faults: int
    """Pages that were read from a disk."""
    huge_share: float | None
    """Share of the process's anonymous memory that lay in huge pages afterwards."""
    apart_share: float | None
    """Share of the process's memory that was not on the NUMA node which held most of it; None on one node."""

    @property
    def is_possible(self) -> bool:
        """Whether a process may have met this."""
        counts = (self.preempted, self.page_faults, self.disk_faults)
        shares = (one for one in (self.huge_share, self.apart_share) if one is not None)
        return (
            0 <= (self.waited_seconds or 0.0) <= LONGEST_SECONDS
            and all(0 <= one <= MAX_COUNT for one in counts)
            and all(0 <= one <= 1 for one in shares)
        )
