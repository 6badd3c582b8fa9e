"""One redeployed bundle as a person reads it: then, now, their ratio, and what stood beside them."""

from __future__ import annotations

from dlas.analysis.digits import decimals, fixed, scaled_bytes, supported
from dlas.analysis.phrases import counted
from dlas.bundle.rebuild_process import Rebuilt
from dlas.hardware.results import spread
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.measurement import Measurement
from dlas.printable import printable
from dlas.redeployment import Redeployed, Size

MB = 1e6
UNKNOWN = "not measured"


def report(found: Redeployed) -> str:
    """The report for a person."""
    comparison = found.comparison
    then, *larger = (found.original or comparison.old).batches
    lines = [
        *_carried(found.rebuilt),
        *_compared(comparison, then, found.sizes.get(then.batch)),
        *(
            line
            for one, before in zip(found.larger, larger, strict=True)
            for line in (
                f"batch      {one.new.batch}",
                *_compared(one, before, found.sizes.get(before.batch)),
            )
        ),
        *_pace(comparison),
        *(f"differs    {name}: {old} then, {new} now" for name, (old, new) in found.differences.items()),
    ]
    return "\n".join(map(printable, lines))


def _carried(made: Rebuilt | None) -> list[str]:
    if made is None:
        return []
    if made.kernels is None:
        return ["rebuilt    the compiler wrote its files again"]
    if not made.kernels:
        return ["rebuilt    no kernel was tuned"]
    carried = sum(kernel.carried for kernel in made.kernels)
    lines = [f"rebuilt    {carried} of {len(made.kernels)} tuned schedules carried over"]
    left = [kernel for kernel in made.kernels if not kernel.carried]
    return lines + [f"untuned    {kernel.name}: {kernel.reason}" for kernel in left]


def _ratio(comparison: Comparison) -> str:
    if not comparison.comparable:
        return ""
    interval = comparison.interval
    return f"{comparison.ratio:.3f} [{interval.low:.3f}, {interval.high:.3f}]  "


def _compared(comparison: Comparison, then: Measurement, size: Size | None) -> list[str]:
    """Lines on one batch size, which took as long as `then` in the bundle's own measurement, and whose files
    are of that size."""
    return [
        f"then       {_latency(then)}",
        *([f"beside     {_latency(comparison.old)}, the stored library now"] if comparison.paired else []),
        f"now        {_latency(comparison.new)}",
        f"ratio      {_ratio(comparison)}{comparison.verdict}",
        *_judged_by(comparison),
        *_beside(comparison),
        *([] if size is None else [_files(size)]),
        *([f"unsteady   {'; '.join(comparison.unsteady)}"] if comparison.unsteady else []),
        *_spread(comparison),
    ]


def _spread(comparison: Comparison) -> list[str]:
    """Lines on where the spread of each side comes from, where that is known."""
    sources = ((comparison.older, spread.source(comparison.old)), ("now", spread.source(comparison.new)))
    return [f"spread     {when} mainly from {source}" for when, source in sources if source is not None]


def _judged_by(comparison: Comparison) -> list[str]:
    """A line on what the ratio is one of, where that is not milliseconds now and then."""
    if comparison.paired:
        return ["judged     in pairs of sessions, each in turn with the stored library's"]
    if not comparison.mix or not comparison.enough_sessions:
        return []
    names, raw = " + ".join(comparison.mix), comparison.raw_ratio
    return [f"judged     beside the yardsticks {names}, which it follows best; in milliseconds {raw:.3f}"]


def _pace(comparison: Comparison) -> list[str]:
    """Lines on the board's own pace, where it was measured."""
    if not comparison.comparable:
        return []
    lines = []
    for name in comparison.yardsticks:
        interval, ratio = comparison.board_interval(name), comparison.board_ratio(name)
        told = f"{ratio:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
        lines.append(f"yardstick  {told}  the time of {name}, which is always the same, now over then")
    return lines


def _beside(comparison: Comparison) -> list[str]:
    """Lines on cold caches, memory, the start, instructions and energy, where they were measured."""
    old, new, older = comparison.old, comparison.new, comparison.older
    lines = []
    if old.cold_ms is not None and new.cold_ms is not None:
        then, now = supported(old.cold_ms), supported(new.cold_ms)
        lines.append(f"cold       {then} ms {older}, {now} ms now, medians with cold caches")
    if new.memory is not None:
        then = f"{old.memory.peak_bytes / MB:.1f} MB" if old.memory else UNKNOWN
        now = f"{new.memory.peak_bytes / MB:.1f} MB"
        lines.append(f"memory     {then} {older}, {now} now, of the runtime, the network and its runs")
    if new.start is not None:
        then = f"{old.start.whole_ms:.1f} ms" if old.start else UNKNOWN
        now = f"{new.start.whole_ms:.1f} ms"
        lines.append(f"start      {then} {older}, {now} now, from importing the runtime to the first output")
    changed = comparison.instructions
    lines += [] if changed is None else [f"counted    {changed.told}"]
    for meter, mj in new.energy_mj.items():
        then = f"{old.energy_mj[meter]:.3f} mJ" if meter in old.energy_mj else UNKNOWN
        lines.append(f"energy     {then} {older}, {mj:.3f} mJ now, of a run, measured by {meter}")
    return lines


def _files(size: Size) -> str:
    """A line on the bytes of what is deployed."""
    then, now = map(scaled_bytes, (size.then, size.now))
    return f"files      {then} then, {now} now, all that is deployed"


def _latency(measured: Measurement) -> str:
    median, interval = measured.median_ms, measured.interval_ms
    places = decimals(median, interval) + 1
    low, high, first, p90 = (
        fixed(value, places)
        for value in (interval.low, interval.high, measured.first_ms, measured.percentile_ms(90))
    )
    return (
        f"{supported(median, interval)} ms [{low}, {high}]  first {first}, p90 {p90}, "
        f"{len(measured.samples_ms)} samples, {_sessions(measured)}"
        f"{counted(measured.threads, 'thread')}"
        f"{', emulated' if measured.emulated else ''}"
    )


def _sessions(measured: Measurement) -> str:
    count = len(measured.sessions)
    of_what = "" if measured.has_enough_sessions else "the interval leaves out how far others are, "
    return f"{counted(count, 'session')}, {of_what}"
