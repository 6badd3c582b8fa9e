"""What is not beaten, and what can't be told apart, against SciPy's intervals and cases worked by hand."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from points import point
from scipy import stats

from dlas.analysis import digits, front, intervals
from dlas.analysis.front import Standing
from dlas.analysis.measured_point import MeasuredPoint
from dlas.hardware.results.statistics import Interval

STAR, UNSURE, NO = Standing.UNBEATEN, Standing.UNSURE, Standing.BEATEN
WIDE = (9.0, 10.0, 11.0, 9.5, 10.5, 10.0)


def standings(*points: MeasuredPoint) -> list[Standing | None]:
    return front.standings(points, front.aims(points))


def test_the_interval_of_a_latency_is_student_s_over_the_sessions() -> None:
    logs = np.log(WIDE)
    low, high = stats.t.interval(0.95, 5, np.mean(logs), stats.sem(logs))
    found = intervals.latency_interval(point("a", 10.0, session_medians_ms=WIDE))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((np.exp(low), np.exp(high)))


def test_a_latency_lies_in_its_interval_though_an_earlier_version_told_that_of_all_samples() -> None:
    paces = (2.0, 2.01, 2.02, 2.2, 2.0, 2.01)
    over_sessions = intervals.latency_interval(point("a", 2.01, session_medians_ms=paces))
    found = intervals.latency_interval(point("a", 2.5, session_medians_ms=paces))
    assert found is not None
    assert over_sessions is not None
    assert (found.low, found.high) == (over_sessions.low, 2.5)
    assert over_sessions.high < 2.5


def test_the_interval_of_a_ratio_is_welch_s() -> None:
    other = (12.0, 13.0, 12.5, 12.2)
    told = stats.ttest_ind(np.log(WIDE), np.log(other), equal_var=False).confidence_interval(0.95)
    ratio = intervals.latency_ratio(
        point("a", 10.0, session_medians_ms=WIDE), point("b", 12.0, session_medians_ms=other)
    )
    assert ratio is not None
    assert (ratio.interval.low, ratio.interval.high) == pytest.approx(tuple(np.exp(told)))
    assert ratio.resolved


def test_sessions_that_agree_to_the_last_digit_leave_nothing_open() -> None:
    one, other = (point(name, ms, session_medians_ms=(ms,) * 4) for name, ms in (("a", 10.0), ("b", 20.0)))
    interval, ratio = intervals.latency_interval(one), intervals.latency_ratio(one, other)
    assert interval is not None
    assert ratio is not None
    assert (interval.low, interval.high) == pytest.approx((10.0, 10.0))
    assert (ratio.interval.low, ratio.interval.high) == pytest.approx((0.5, 0.5))


def test_few_sessions_leave_more_open_than_their_samples_say() -> None:
    few = point("a", 10.0, session_medians_ms=(10.0,), low_ms=9.99, high_ms=10.01)
    near = point("b", 10.4, session_medians_ms=(10.4,), low_ms=10.39, high_ms=10.41)
    far = point("c", 12.0, session_medians_ms=(12.0,), low_ms=11.9, high_ms=12.1)
    assert standings(few, near) == [STAR, STAR]
    assert standings(few, far) == [STAR, NO]


def test_points_that_can_t_be_told_apart_share_the_mark() -> None:
    one = point("a", 10.0, session_medians_ms=WIDE)
    assert standings(one, point("b", 10.3, session_medians_ms=WIDE[::-1])) == [STAR, STAR]
    assert standings(one, point("b", 20.0), point("c", 30.0)) == [STAR, NO, NO]


def test_a_point_is_beaten_in_everything_and_not_in_one_thing() -> None:
    accurate, fast = point("a", 20.0, accuracy_deployed=0.9), point("b", 10.0, accuracy_deployed=0.8)
    neither = point("c", 30.0, accuracy_deployed=0.85)
    assert standings(accurate, fast, neither) == [STAR, STAR, NO]
    small = point("d", 40.0, accuracy_deployed=0.7, format_bytes=1e3)
    sized = [replace(each, format_bytes=1e6) for each in (accurate, fast, neither)]
    assert standings(*sized, small) == [STAR, STAR, NO, STAR]


def test_equal_points_are_all_on_the_front() -> None:
    assert standings(*(point(name, 10.0, accuracy_deployed=0.9) for name in "abc")) == [STAR] * 3


def test_an_unsteady_point_is_not_called_beaten_and_beats_others() -> None:
    slow, fast = point("a", 20.0, unsteady="busy"), point("b", 10.0)
    assert standings(slow, fast) == [UNSURE, STAR]
    assert standings(point("a", 20.0), point("b", 10.0, unsteady="busy")) == [NO, STAR]


def test_only_points_of_one_board_and_data_set_compete() -> None:
    real = point("a", 20.0)
    others = [
        point("b", 10.0, emulated=True),
        point("c", 10.0, choices={"target": "pi"}),
        point("d", 10.0, choices={"dataset": "cifar10"}),
    ]
    assert standings(real, *others) == [STAR] * 4
    for other in others[:2]:
        assert intervals.latency_ratio(real, other) is None
    assert "emulated" in intervals.without_ratio(real, others[0])
    assert "pi" in intervals.without_ratio(real, others[1])


def test_what_has_no_time_or_lacks_a_value_has_no_standing() -> None:
    failed, untimed = point("a", 1.0, status="FAILED"), point("b")
    assert standings(failed, untimed, point("c", 9.0)) == [None, None, STAR]
    assert standings(point("a", 1.0), point("b", 9.0, accuracy_deployed=0.9)) == [STAR, NO]
    assert front.standings([], front.aims([])) == []


def test_a_large_front_is_that_of_one_by_one() -> None:
    random = np.random.default_rng(0)
    points = [
        point(str(number), float(latency), accuracy_deployed=float(accuracy))
        for number, (latency, accuracy) in enumerate(random.uniform(1, 2, (60, 2)))
    ]
    for each, standing in zip(points, standings(*points), strict=True):
        beaten = any(
            other.median_ms <= each.median_ms
            and other.accuracy_deployed >= each.accuracy_deployed
            and (
                other.accuracy_deployed > each.accuracy_deployed
                or max(other.session_medians_ms) < min(each.session_medians_ms)
            )
            for other in points
        )
        assert standing is (NO if beaten else STAR)


@pytest.mark.parametrize(
    ("value", "low", "high", "text", "span"),
    [
        (12.3456, 12.1, 12.6, "12.3", "12.10 to 12.60"),
        (12.3456, 12.34, 12.35, "12.35", "12.340 to 12.350"),
        (0.0312345, 0.0311, 0.0313, "0.0312", "0.03110 to 0.03130"),
        (1234.5, 1100, 1400, "1200", "1100 to 1400"),
        (3.0, 1.0, 50.0, "3", "1.0 to 50.0"),
        (5.0, 5.0, 5.0, "5.000", "5.0000 to 5.0000"),
        (0.0, 0.0, 0.0, "0", "0.0 to 0.0"),
    ],
)
def test_only_digits_that_the_spread_supports(
    value: float, low: float, high: float, text: str, span: str
) -> None:
    assert digits.supported(value, Interval(low, high)) == text
    assert digits.supported_range(value, Interval(low, high)) == span


def test_bytes_and_counts_have_three_digits() -> None:
    assert digits.scaled_bytes(58_861_216) == "58.9 MB"
    assert digits.scaled_bytes(12) == "12 B"
    assert digits.scaled_count(313_463_808) == "313 M"
    assert digits.scaled_count(1_500) == "1.50 k"


def test_no_point_of_the_tuned_front_is_left_out() -> None:
    """Latencies within the intervals, and gains that differ by no more than the margin."""
    chance = random.Random(1)
    left_out = 0
    for _ in range(300):
        margin = chance.choice((1.0, 1.5, 3.0))
        grid = [
            point("a", chance.uniform(1, 10), accuracy_deployed=chance.choice((0.7, 0.8, 0.9)))
            for _ in range(8)
        ]
        near = front.near_front(grid, margin)
        left_out += len(grid) - len(near)
        tuned = []
        for one in grid:
            interval = intervals.latency_interval(one)
            assert interval is not None
            tuned.append(chance.uniform(interval.low, interval.high) / chance.uniform(1, margin))
        accuracy = [one.accuracy_deployed or 0.0 for one in grid]
        best = {
            place
            for place in range(8)
            if not any(accuracy[q] >= accuracy[place] and tuned[q] < tuned[place] for q in range(8))
        }
        assert best <= set(near)
    assert left_out > 300


def test_points_that_failed_or_are_of_another_board_rule_nothing_out() -> None:
    slow, fast = point("a", 10.0, accuracy_deployed=0.8), point("b", 1.0, accuracy_deployed=0.9)
    elsewhere = point("b", 1.0, accuracy_deployed=0.9, choices={"target": "board"})
    assert front.near_front([slow, fast], 2.0) == [1]
    assert front.near_front([slow, fast], 12.0) == [0, 1]
    assert front.near_front([slow, elsewhere], 2.0) == [0, 1]
    assert front.near_front([slow, replace(fast, status="FAILED")], 2.0) == [0]


def test_accuracy_alone_rules_no_point_out() -> None:
    """A time that can't be told from another's may be the shorter one once both are tuned."""
    same = [point(name, 10.0, accuracy_deployed=found) for name, found in (("a", 0.8), ("b", 0.9))]
    assert front.near_front(same, 1.0) == [0, 1]
