"""What tuning gained each kernel and the network, against the untuned ones, as a table for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlas.hardware.results.roofs import Bounds
from dlas.hardware.results.statistics import Interval
from dlas.interfaces.tuning import DENSE, TuningTask
from dlas.systems.program.kernel_choice import KernelChoice

SHOWN = 10
"""Kernels in the table: those that take most time untuned; all of them are in the bundle's choices.json."""

PER_MS = 1e6
"""Operations a millisecond that are 1e9 a second."""


def table(
    choices: Sequence[KernelChoice],
    tasks: Mapping[str, TuningTask],
    network: Interval | None,
    bounds: Bounds | None,
) -> str:
    """A line for each of the kernels that take most time in the network, and what the network gained.

    Times are those of all layers that share a kernel, whose task `tasks` tells, as the network calls them.
    `network` is the time of the network with the tuned kernels that are kept, as a share of the untuned
    network's; None where no tuned kernel was faster. Where `bounds` tells what the machine has at most, a
    column has the share of its peak that the used kernel reaches.
    """
    timed = [choice for choice in choices if choice.untuned_ms is not None and choice.tuned_ms is not None]
    shown = sorted(timed, key=lambda choice: -tasks[choice.kernel].count * (choice.untuned_ms or 0.0))[:SHOWN]
    peak = f" {'of peak':>8}" if bounds is not None else ""
    heading = f"{'untuned ms':>10} {'tuned ms':>9} {'gain':>6}{peak}  {'used':7}  kernel"
    lines = [_line(choice, tasks[choice.kernel], bounds) for choice in shown]
    return "\n".join([*([heading, *lines] if lines else []), _outcome(choices, network)])


def _line(choice: KernelChoice, task: TuningTask, bounds: Bounds | None) -> str:
    untuned, tuned = (task.count * (each or 0.0) for each in (choice.untuned_ms, choice.tuned_ms))
    gain = f"{untuned / tuned:5.2f}x" if tuned else f"{'-':>6}"
    times = f", {task.count} times" * (task.count > 1)
    used = "tuned" if choice.tuned else "untuned"
    share = _share_of_peak(task, tuned if choice.tuned else untuned, bounds)
    return f"{untuned:10.3f} {tuned:9.3f} {gain}{share}  {used:7}  {choice.kernel}{times}"


def _share_of_peak(task: TuningTask, milliseconds: float, bounds: Bounds | None) -> str:
    """The operations a second of all layers that share the kernel, as a share of the peak; "" where no peak
    is known at all. Algorithms such as Winograd's, which do with fewer operations, may have more than
    100 %."""
    if bounds is None:
        return ""
    peak = bounds.peak(task.workload.dtype)
    if peak is None or not milliseconds:
        return f" {'-':>8}"
    operations = 2 * task.workload.macs * task.count * task.density / DENSE
    return f" {operations / milliseconds / PER_MS / peak:>8.1%}"


def _outcome(choices: Sequence[KernelChoice], network: Interval | None) -> str:
    kept = sum(choice.tuned for choice in choices)
    if network is None:
        return f"no tuned kernel is faster in the network: all {len(choices)} stay untuned"
    took = f"the network takes {network.low:.2f} to {network.high:.2f} of its untuned time"
    if not kept:
        return f"{took} by the faster tuned kernels, which is too little: all {len(choices)} stay untuned"
    return f"{took}: {kept} of {len(choices)} kernels are tuned ones"
