"""The table of what tuning gained, as text."""

from __future__ import annotations

from dataclasses import replace

from dlas.hardware.results.roofs import Bounds
from dlas.hardware.results.statistics import Interval
from dlas.interfaces.tuning import TuningTask
from dlas.interfaces.workload import ConvWorkload
from dlas.systems.choices import gains, scheduling
from dlas.systems.program.kernel_choice import KernelChoice

SLOW = KernelChoice("conv_a", True, scheduling.FASTER, untuned_ms=2.0, tuned_ms=1.0)
WORSE = KernelChoice("conv_b", False, scheduling.SLOWER, untuned_ms=0.5, tuned_ms=1.0)
MISSING = KernelChoice("conv_c", False, "no schedule runs")


LAYER = ConvWorkload(1, 64, 10, 10, 50, (1, 1))
"""A layer of 640 000 operations."""


def tasks(**counts: int) -> dict[str, TuningTask]:
    return {kernel: TuningTask(LAYER, "direct", count) for kernel, count in counts.items()}


def test_gains_are_against_the_untuned_kernels_and_the_last_line_is_of_the_network() -> None:
    layers = tasks(conv_a=3, conv_b=1, conv_c=1)
    text = gains.table([WORSE, SLOW, MISSING], layers, Interval(0.7, 0.8), None)
    heading, first, second, last = text.splitlines()
    assert heading.split() == ["untuned", "ms", "tuned", "ms", "gain", "used", "kernel"]
    assert first.split() == ["6.000", "3.000", "2.00x", "tuned", "conv_a,", "3", "times"]
    assert second.split() == ["0.500", "1.000", "0.50x", "untuned", "conv_b"]
    assert last == "the network takes 0.70 to 0.80 of its untuned time: 1 of 3 kernels are tuned ones"


def test_the_share_of_the_peak_is_that_of_the_kernel_which_is_used() -> None:
    layers = tasks(conv_a=3, conv_b=1)
    heading, first, second, _ = gains.table([SLOW, WORSE], layers, None, Bounds(6.4, None, 1.0)).splitlines()
    assert heading.split()[5:7] == ["of", "peak"]
    assert first.split()[3:5] == ["10.0%", "tuned"], "3 layers of 0.64 MFLOP in 3 ms, of 6.4 GFLOP/s"
    assert second.split()[3:5] == ["20.0%", "untuned"]
    sparse = {"conv_b": TuningTask(LAYER, "direct", density=50)}
    assert gains.table([WORSE], sparse, None, Bounds(6.4, None, 1.0)).splitlines()[1].split()[3] == "10.0%"
    integer = {"conv_b": TuningTask(replace(LAYER, dtype="int8"), "direct")}
    assert gains.table([WORSE], integer, None, Bounds(6.4, None, 1.0)).splitlines()[1].split()[3] == "-"
    assert gains.table([WORSE], integer, None, Bounds(6.4, 12.8, 1.0)).splitlines()[1].split()[3] == "10.0%"


def test_it_is_said_where_no_tuned_kernel_is_kept() -> None:
    layers = tasks(conv_b=1, conv_c=1)
    assert gains.table([WORSE, MISSING], layers, None, None).splitlines()[-1] == (
        "no tuned kernel is faster in the network: all 2 stay untuned"
    )
    little = KernelChoice("conv_b", False, scheduling.TOO_LITTLE, 1.0, 0.9)
    assert gains.table([little], layers, Interval(0.96, 1.0), None).splitlines()[-1] == (
        "the network takes 0.96 to 1.00 of its untuned time by the faster tuned kernels, "
        "which is too little: all 1 stay untuned"
    )
    assert gains.table([MISSING], layers, None, None) == (
        "no tuned kernel is faster in the network: all 1 stay untuned"
    )


def test_only_the_kernels_that_take_most_time_are_shown() -> None:
    many = [KernelChoice(f"conv_{number}", False, scheduling.TIE, number, number) for number in range(1, 31)]
    lines = gains.table(many, tasks(**{choice.kernel: 1 for choice in many}), None, None).splitlines()
    assert [line.split()[-1] for line in lines[1:-1]] == [f"conv_{number}" for number in range(30, 20, -1)]
