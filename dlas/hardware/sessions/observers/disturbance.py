"""What disturbed this process between two moments, by the kernel's own counts.

    watch = Watch(); watch.start(); [runs]; watch.told() -> {"waited_seconds": …, …}

The values are those of dlas.hardware.results.disturbance.Disturbance; None stands for what the system does
not tell. Waits are those of `schedstat` (Linux, Documentation/scheduler/sched-stats.rst), the places of pages
those of `smaps_rollup` and `numa_maps` (Documentation/filesystems/proc.rst).
"""

from __future__ import annotations

import re
import resource
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SELF = Path("/proc/self")
NODES = Path("/sys/devices/system/node")

NS_PER_S = 1e9

PAGES = re.compile(r"\bN(\d+)=(\d+)\b")
"""Number of pages of one range of memory on a NUMA node, in a line of numa_maps."""

PAGE_KB = re.compile(r"\bkernelpagesize_kB=(\d+)\b")


@dataclass
class Watch:
    """The counts of this process, since `start`."""

    process: Path = SELF
    nodes: Path = NODES
    _waited: Mapping[str, int] = field(default_factory=dict)
    _usage: resource.struct_rusage | None = None

    def start(self) -> None:
        """Start to count."""
        self._waited = _waits(self.process)
        self._usage = resource.getrusage(resource.RUSAGE_SELF)

    def told(self) -> dict[str, Any]:
        """The counts since `start`, and where the process's memory is now."""
        now, then = resource.getrusage(resource.RUSAGE_SELF), self._usage
        assert then is not None, "start comes first"
        waits = [waited - self._waited.get(thread, 0) for thread, waited in _waits(self.process).items()]
        return {
            "waited_seconds": max(waits) / NS_PER_S if waits else None,
            "preempted": now.ru_nivcsw - then.ru_nivcsw,
            "page_faults": now.ru_minflt - then.ru_minflt,
            "disk_faults": now.ru_majflt - then.ru_majflt,
            "huge_share": _huge_share(_text(self.process / "smaps_rollup")),
            "apart_share": self._apart_share(),
        }

    def _apart_share(self) -> float | None:
        """Share of the memory that is not on the node which holds most of it; None on one node."""
        several = len(list(self.nodes.glob("node[0-9]*"))) > 1
        return _apart_share(_text(self.process / "numa_maps")) if several else None


def _waits(process: Path) -> dict[str, int]:
    """Nanoseconds that each thread was ready to run without a core; none where the kernel doesn't count."""
    found = {task.name: _text(task / "schedstat").split() for task in (process / "task").glob("*")}
    return {thread: int(counts[1]) for thread, counts in found.items() if len(counts) > 1}


def _huge_share(rollup: str) -> float | None:
    """Share of the anonymous memory that lies in huge pages."""
    sizes = dict(line.split()[:2] for line in rollup.splitlines() if line.endswith("kB"))
    whole = int(sizes.get("Anonymous:", 0))
    return int(sizes.get("AnonHugePages:", 0)) / whole if whole else None


def _apart_share(maps: str) -> float | None:
    kb: Counter[str] = Counter()
    for line in maps.splitlines():
        for size in PAGE_KB.findall(line):
            kb.update({node: int(pages) * int(size) for node, pages in PAGES.findall(line)})
    return 1 - max(kb.values()) / kb.total() if kb else None


def _text(path: Path) -> str:
    """The file; "" where it can't be read, as that of a thread which has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
