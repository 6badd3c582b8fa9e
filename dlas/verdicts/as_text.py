"""What the terminal tells of the points together."""

from __future__ import annotations

from dlas.hardware.results.limit import Judgement
from dlas.printable import printable
from dlas.verdicts.result import Result, Results

JUDGED = {
    Judgement.WITHIN: "; within {:g}",
    Judgement.ABOVE: "; above {:g}",
    Judgement.UNDECIDED: "; undecided at {:g}",
    None: "",
}


def summary(results: Results) -> str:
    """A line for each of several points, their mean, and how many keep the caller's limit; "" where there is
    nothing beside one point's own report."""
    lines, mean, limit = [], results.mean, results.fail_above
    if len(results.points) > 1:
        lines = ["", *(_line(point, limit) for point in results.points)]
    if mean is not None and mean.points > 1:
        ends = mean.interval
        span = "" if ends is None else f" [{ends.low:.3f}, {ends.high:.3f}]"
        lines.append(f"mean       {mean.ratio:.3f}{span}  the geometric mean of {mean.points} ratios")
    if limit is not None:
        counts = ", ".join(f"{number} {word}" for word, number in sorted(results.counts.items()))
        lines.append(f"limit      {limit:g}: {counts}")
    return "\n".join(map(printable, lines))


def _line(point: Result, limit: float | None) -> str:
    judged = "" if limit is None else JUDGED[point.judged(limit)].format(limit)
    return f"{point.asked}  {point.told}{judged}"
