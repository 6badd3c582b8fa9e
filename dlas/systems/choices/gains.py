"""What tuning gained each kernel and the network, against the untuned ones, as a table for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlas.hardware.results.statistics import Interval
from dlas.systems.program.kernel_choice import KernelChoice

SHOWN = 10
"""Kernels in the table: those that take most time untuned; all of them are in the bundle's choices.json."""

HEADING = f"{'untuned ms':>10} {'tuned ms':>9} {'gain':>6}  {'used':7}  kernel"


def table(choices: Sequence[KernelChoice], layers: Mapping[str, int], network: Interval | None) -> str:
    """A line for each of the kernels that take most time in the network, and what the network gained.

    Times are those of all layers that share a kernel, whose number `layers` tells, as the network calls them.
    `network` is the time of the network with the tuned kernels that are kept, as a share of the untuned
    network's; None where no tuned kernel was faster.
    """
    timed = [choice for choice in choices if choice.untuned_ms is not None and choice.tuned_ms is not None]
    shown = sorted(timed, key=lambda choice: -layers[choice.kernel] * (choice.untuned_ms or 0.0))[:SHOWN]
    lines = [_line(choice, layers[choice.kernel]) for choice in shown]
    return "\n".join([*([HEADING, *lines] if lines else []), _outcome(choices, network)])


def _line(choice: KernelChoice, layers: int) -> str:
    untuned, tuned = (layers * (each or 0.0) for each in (choice.untuned_ms, choice.tuned_ms))
    gain = f"{untuned / tuned:5.2f}x" if tuned else f"{'-':>6}"
    times = f", {layers} times" * (layers > 1)
    used = "tuned" if choice.tuned else "untuned"
    return f"{untuned:10.3f} {tuned:9.3f} {gain}  {used:7}  {choice.kernel}{times}"


def _outcome(choices: Sequence[KernelChoice], network: Interval | None) -> str:
    kept = sum(choice.tuned for choice in choices)
    if network is None:
        return f"no tuned kernel is faster in the network: all {len(choices)} stay untuned"
    took = f"the network takes {network.low:.2f} to {network.high:.2f} of its untuned time"
    if not kept:
        return f"{took} by the faster tuned kernels, which is too little: all {len(choices)} stay untuned"
    return f"{took}: {kept} of {len(choices)} kernels are tuned ones"
