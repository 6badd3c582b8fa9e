"""What the processor counts while a session runs a network: see dlas.hardware.results.processor_counts.

    counts = OverSamples(); with counts: [samples]; counts.told() -> {"cycles": …, …}
    on_one_thread(run) -> {"instructions": […], "missing": ""}

Over the samples the calling thread is counted: it computes its part of every kernel, and then spins until the
others are done, so that its instructions would tell of waiting. These are counted afterwards instead, over
runs on one thread alone, which waits for nobody: TVM reads TVM_NUM_THREADS anew for each kernel, and computes
one for a single thread where it was called.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from dlas.hardware.sessions.observers import perf_events
from dlas.hardware.sessions.observers.perf_events import Counter, Event
from dlas.processes import environment

COUNTED_RUNS = 5
"""Runs whose instructions are counted, each by itself."""

ON_ONE_THREAD = {"TVM_NUM_THREADS": "1"}

EVENTS = {
    "cycles": perf_events.CYCLES,
    "cache_misses": perf_events.CACHE_MISSES,
    "task_clock_ns": perf_events.TASK_CLOCK,
}


@dataclass
class OverSamples:
    """The counters of this thread over the samples: they count in each block `with` this."""

    _open: ExitStack = field(default_factory=ExitStack)
    _counters: dict[str, Counter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, event in EVENTS.items():
            with suppress(OSError):
                self._counters[name] = self._open.enter_context(perf_events.counting(event))

    def __enter__(self) -> None:
        for counter in self._counters.values():
            counter.go_on()

    def __exit__(self, *error: object) -> None:
        for counter in self._counters.values():
            counter.stop()

    def told(self) -> dict[str, int | None]:
        """The counts of all blocks, None for what there is no counter for. Nothing more is counted."""
        with self._open:
            found = {name: counter.count() for name, counter in self._counters.items()}
        return {name: found.get(name) for name in EVENTS}


def none(missing: str) -> dict[str, Any]:
    """The counts of runs whose instructions can't be counted, with the reason."""
    return {"instructions": [], "missing": missing}


def on_one_thread(run: Callable[[], object]) -> dict[str, Any]:
    """The instructions of each of some runs, or why there are none."""
    try:
        return {"instructions": of_each_run(perf_events.INSTRUCTIONS, run), "missing": ""}
    except OSError as error:
        return none(perf_events.reason(error))


def of_each_run(event: Event, run: Callable[[], object]) -> list[int]:
    """The count of each of some runs on one thread, after one that is not counted; those are left out in
    which others had the counter. OSError where there is no such counter."""
    found = []
    with perf_events.counting(event) as counter, environment.changed(ON_ONE_THREAD):
        run()
        for _ in range(COUNTED_RUNS):
            counter.start()
            run()
            counter.stop()
            found.append(counter.count())
    return [count for count in found if count is not None]
