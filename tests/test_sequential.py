"""Repeated looks at a growing number of sessions: published boundaries, and how often verdicts are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from test_statistics import STILL, later

from dlas.hardware.results import difference, sequential
from dlas.hardware.results.comparison import MOST_SESSIONS, Comparison, Outcome
from dlas.hardware.results.measurement import Measurement, Session

TRIALS, FIRST, BUDGET = 200, 8, 30.0
NS, AFTER = 10_000_000, later()
RANDOM = np.random.default_rng(7)

Noise = Callable[[np.random.Generator, int], np.ndarray]


def test_levels_are_those_of_published_boundaries() -> None:
    """Five looks at equal steps: as the R package ldbounds has them for this spending function."""
    bounds = [scipy.stats.norm.isf(level / 2) for level in sequential.levels([1, 2, 3, 4, 5], 5)]
    assert bounds == pytest.approx([2.4380, 2.4268, 2.4102, 2.3966, 2.3859], abs=2e-4)


def test_all_looks_together_spend_the_error() -> None:
    information = [0.3, 0.35, 0.6, 0.9]
    bounds = scipy.stats.norm.isf(np.array(sequential.levels(information, 1.0)) / 2)
    steps = np.sqrt(np.diff([0.0, *information]))
    sums = np.cumsum(np.random.default_rng(0).standard_normal((200_000, 4)) * steps, axis=1)
    crossed = (np.abs(sums / np.sqrt(information)) >= bounds).any(axis=1).mean()
    assert crossed == pytest.approx(sequential.spent(0.9), abs=0.0015)
    assert sequential.spent(1.0) == pytest.approx(0.05)


def test_several_comparisons_with_one_point_are_wrong_together_as_rarely_as_one() -> None:
    """Against one reference, whose own scatter is in all of them, over all looks."""
    random, looks, others = np.random.default_rng(3), (8, 11, 15, 21, 24), 4
    wrong = 0
    for _ in range(TRIALS):
        first, *rest = random.normal(0, 0.03, (1 + others, 24))
        sides = [measurement(logs, {}) for logs in (first, *rest)]
        stopped = [[upto(side, count) for side in sides] for count in looks]
        told = [
            Comparison(old, new, paired=True, among=others) for old, *several in stopped for new in several
        ]
        wrong += any(not one.interval.low <= 1 <= one.interval.high for one in told)
    assert wrong <= scipy.stats.binom.isf(1e-4, TRIALS, 0.05)


def upto(measured: Measurement, count: int) -> Measurement:
    return replace(measured, sessions=measured.sessions[:count])


def test_one_look_is_the_plain_test() -> None:
    assert sequential.levels([7.0], 7.0) == pytest.approx((0.05,))
    assert sequential.levels([7.0], 7.0, 5) == pytest.approx((0.01,))


def test_looks_become_rarer() -> None:
    assert sequential.looks(8, 24, 24) == (8, 11, 15, 21, 24)
    assert sequential.looks(8, 13, 24) == (8, 11, 13)
    assert [count for count in range(8, 25) if sequential.is_due(count, 8, 24)] == [8, 11, 15, 21, 24]


def test_differences_are_those_of_scipy() -> None:
    new, old = RANDOM.lognormal(1.0, 0.2, 9), RANDOM.lognormal(0.9, 0.1, 7)
    paired = difference.of_ratios(np.divide(new[:7], old))
    expected = scipy.stats.ttest_rel(np.log(new[:7]), np.log(old)).confidence_interval(0.95)
    ends = (paired.interval(0.05).low, paired.interval(0.05).high)
    assert ends == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    noisier = RANDOM.lognormal(0.9, 0.4, 12)
    welch = scipy.stats.ttest_ind(np.log(new), np.log(noisier), equal_var=False)
    apart = difference.of_groups(new, noisier)
    assert apart.mean / apart.error == pytest.approx(welch.statistic)
    assert apart.freedom == min(welch.df, 8)
    quieter = difference.of_groups(noisier, new)
    assert quieter.error == pytest.approx(np.log(noisier).std(ddof=1) * math.sqrt(1 / 12 + 1 / 9))


def test_what_could_be_seen_is_seen_four_times_in_five() -> None:
    found = difference.of_ratios(np.exp(RANDOM.normal(0, 0.03, 12)))
    seen = found.smallest_seen(0.05)
    spread = found.error * math.sqrt(12)
    trials = np.exp(RANDOM.normal(math.log(seen), spread, (2000, 12)))
    told = np.mean([difference.of_ratios(one).interval(0.05).low > 1 for one in trials])
    assert told == pytest.approx(0.8, abs=0.05)


def sessions(logs: np.ndarray) -> tuple[Session, ...]:
    return tuple(Session(NS, (round(NS * math.exp(each)),), STILL, AFTER) for each in logs)


def measurement(logs: np.ndarray, beside: dict[str, np.ndarray]) -> Measurement:
    yardsticks = {name: sessions(each) for name, each in beside.items()}
    found = Measurement(1, 0, 2, sessions(logs), yardsticks=yardsticks, environment={"cpu": "A"})
    return replace(found, least_sessions=FIRST, budget_seconds=BUDGET)


def first(whole: Measurement, count: int) -> Measurement:
    beside = {name: each[:count] for name, each in whole.yardsticks.items()}
    return replace(whole, sessions=whole.sessions[:count], yardsticks=beside)


def normal(random: np.random.Generator, count: int) -> np.ndarray:
    return random.standard_normal(count)


def heavy_tailed(random: np.random.Generator, count: int) -> np.ndarray:
    return random.standard_t(3, count)


def spiky(random: np.random.Generator, count: int) -> np.ndarray:
    return random.standard_normal(count) + random.exponential(6, count) * (random.random(count) < 0.15)


def pace(random: np.random.Generator, turns: int) -> np.ndarray:
    """A pace that the sessions of a round nearly share, and that is another after some rounds."""
    steps = 0.15 * math.sqrt(1 - 0.98**2) * random.standard_normal(turns)
    found = [0.15 * random.standard_normal()]
    for step in steps[1:]:
        found.append(0.98 * found[-1] + step)
    return np.array(found)


def sequentially(comparison: Comparison) -> tuple[Outcome, int]:
    """The outcome at the first look that tells, and the number of sessions by then."""
    for count in sequential.looks(FIRST, MOST_SESSIONS, MOST_SESSIONS):
        old = first(comparison.old, count) if comparison.paired else comparison.old
        found = replace(comparison, old=old, new=first(comparison.new, count))
        if not found.is_open:
            break
    return found.outcome, count


def paired(random: np.random.Generator, noise: Noise, spread: float, slower: float) -> Comparison:
    shared = pace(random, 2 * MOST_SESSIONS)
    own = spread * noise(random, 2 * MOST_SESSIONS) + shared
    new = own[1::2] + math.log(slower)
    return Comparison(measurement(own[::2], {}), measurement(new, {}), paired=True)


def across(random: np.random.Generator, noise: Noise, spread: float, slower: float) -> Comparison:
    """Two measurements beside three yardsticks, none of which follows the network better than another."""

    def side(count: int, factor: float) -> Measurement:
        shared = pace(random, 4 * count)
        own, *beside = (spread * noise(random, count) + shared[turn::4] for turn in range(4))
        return measurement(own + math.log(factor), dict(zip("abc", beside, strict=True)))

    return Comparison(side(FIRST, 1.0), side(MOST_SESSIONS, slower))


@pytest.mark.parametrize("noise", [normal, heavy_tailed, spiky])
@pytest.mark.parametrize("comparing", [paired, across])
def test_one_library_is_rarely_told_from_itself(comparing: Callable[..., Comparison], noise: Noise) -> None:
    """Over all looks at most 5 %, whether sessions scatter little or so widely that all looks are taken."""
    for spread in (0.01, 0.2):
        random = np.random.default_rng(1)
        told = [sequentially(comparing(random, noise, spread, 1.0))[0] for _ in range(TRIALS)]
        assert told.count(Outcome.SLOWER) + told.count(Outcome.FASTER) <= 0.05 * TRIALS


@pytest.mark.parametrize(("slower", "least"), [(1.03, 0.5), (1.1, 0.95), (1.2, 0.99)])
def test_slower_libraries_are_found(slower: float, least: float) -> None:
    """Where two sessions of a pair differ by 1.4 %."""
    random = np.random.default_rng(2)
    told = [sequentially(paired(random, normal, 0.01, slower))[0] for _ in range(TRIALS)]
    assert told.count(Outcome.SLOWER) >= least * TRIALS


@pytest.mark.parametrize(("slower", "told"), [(1.004, Outcome.SAME), (1.02, Outcome.SLOWER)])
def test_what_copies_of_a_library_differ_by_counts_as_none(slower: float, told: Outcome) -> None:
    """However surely their sessions differ: here by 0.02 % from one to the next."""
    random = np.random.default_rng(6)
    assert sequentially(paired(random, normal, 0.0001, slower))[0] is told
    assert sequentially(paired(random, normal, 0.0001, 1 / slower))[0] is not Outcome.SLOWER


def test_what_is_easily_told_is_told_early() -> None:
    random = np.random.default_rng(3)
    told = [sequentially(paired(random, normal, 0.004, 1.0)) for _ in range(50)]
    assert np.mean([outcome is Outcome.SAME for outcome, _ in told]) >= 0.9
    assert np.mean([count for _, count in told]) < 10


def test_can_t_tell_names_what_would_have_been_seen() -> None:
    random = np.random.default_rng(4)
    verdicts = [paired(random, normal, 0.2, 1.0) for _ in range(20)]
    open_ones = [one for one in verdicts if one.outcome is Outcome.UNCLEAR]
    assert len(open_ones) >= 15
    for one in open_ones:
        said = f"a difference by a factor of {one.smallest_seen:.2f} would have been seen"
        assert said in one.verdict
        assert one.smallest_seen > one.interval.high / one.ratio


def test_the_yardstick_that_follows_best_is_taken() -> None:
    """The older sessions choose it, and a board that took longer is not laid to the library."""
    random = np.random.default_rng(5)
    memory, compute = 0.2 * random.standard_normal((2, 16))
    own = memory + 0.005 * random.standard_normal(16)
    beside = {"compute": compute, "memory": memory}
    old = measurement(own[:8], {name: each[:8] for name, each in beside.items()})
    slower_board = {name: each[8:] + 0.3 for name, each in beside.items()}
    new = measurement(own[8:] + 0.3, slower_board)
    assert old.tracker == "memory"
    found = Comparison(old, new)
    assert (found.verdict, max(found.mix, key=found.mix.__getitem__)) == ("same", "memory")
    assert found.board_ratio("memory") > 1.3


def far_and_near(random: np.random.Generator, slower: float) -> Comparison:
    """A network that computes for half of its time, and waits for other cores for the other half, on a board
    whose cores are further apart now than then, and move in between."""

    def side(count: int, distance: float, factor: float) -> Measurement:
        waits = np.exp(distance + 0.3 * random.standard_normal(count))
        luck = 0.01 * random.standard_normal((3, count))
        own = np.log(1 + waits) + luck[0] + math.log(factor)
        beside = {"compute": np.log(3 + 0.2 * waits) + luck[1], "kernels": np.log(1 + 2 * waits) + luck[2]}
        return measurement(own, beside)

    return Comparison(side(FIRST, 0.0, 1.0), side(MOST_SESSIONS, random.normal(0.0, 0.3), slower))


def test_a_network_that_is_slowed_down_less_than_one_yardstick_and_more_than_another_is_told_right() -> None:
    random = np.random.default_rng(6)
    copies = [sequentially(far_and_near(random, 1.0))[0] for _ in range(TRIALS // 2)]
    slower = [sequentially(far_and_near(random, 1.1))[0] for _ in range(TRIALS // 2)]
    assert copies.count(Outcome.SAME) >= 0.4 * len(copies)
    assert copies.count(Outcome.SLOWER) + copies.count(Outcome.FASTER) <= 0.05 * len(copies)
    assert slower.count(Outcome.SLOWER) >= 0.5 * len(slower)
    assert not slower.count(Outcome.FASTER)


def test_yardsticks_that_disagree_tell_little_of_a_network_that_follows_none() -> None:
    """The same times beside yardsticks that both became slower by a quarter, and by a half and not at all."""
    random = np.random.default_rng(7)
    luck = 0.01 * random.standard_normal((3, 16))
    old = measurement(luck[0, :8], {"a": luck[1, :8], "b": luck[2, :8]})

    def found(a: float, b: float) -> Comparison:
        beside = {"a": luck[1, 8:] + math.log(a), "b": luck[2, 8:] + math.log(b)}
        return Comparison(old, measurement(luck[0, 8:] + math.log(1.25), beside))

    assert found(1.25, 1.25).outcome is Outcome.SAME
    doubtful = found(1.5, 1.0)
    assert set(doubtful.mix) == {"a", "b"}
    assert doubtful.outcome is Outcome.UNCLEAR
    assert "the board's own pace differs, its yardsticks a took 1.5" in doubtful.verdict


def test_a_yardstick_that_became_as_slow_explains_a_slower_network_though_it_was_not_followed() -> None:
    """The network followed `a` when the board was calm; later on it takes half as long again."""
    random = np.random.default_rng(9)
    pace, luck = 0.05 * random.standard_normal(16), 0.004 * random.standard_normal((3, 16))
    own, a, b = luck[0] + pace, luck[1] + pace, luck[2]
    old = measurement(own[:8], {"a": a[:8], "b": b[:8]})

    def found(of_b: float) -> Comparison:
        beside = {"a": a[8:] + math.log(1.25), "b": b[8:] + math.log(of_b)}
        return Comparison(old, measurement(own[8:] + math.log(1.5), beside))

    assert found(1.25).outcome is Outcome.SLOWER
    assert found(1.25).ratio == pytest.approx(1.2, rel=0.02)
    assert (
        found(1.48).verdict
        == "can't tell: the board's own pace differs, its yardstick b took 1.48 times as long"
    )


def test_other_work_beside_most_runs_hides_no_difference() -> None:
    """Three runs in five take up to four times as long."""
    random, turns, runs = np.random.default_rng(8), 6, 5

    def side(slower: float) -> Measurement:
        times = slower * NS * np.exp(0.005 * random.standard_normal((FIRST, turns * runs)))
        times *= 1 + random.uniform(0, 3, times.shape) * (random.random(times.shape) < 0.6)
        taken = tuple(Session(NS, tuple(map(round, one)), STILL, AFTER) for one in times.tolist())
        return Measurement(
            turns * runs, 0, 2, taken, least_sessions=FIRST, budget_seconds=BUDGET, turns=turns
        )

    for slower, expected in ((1.0, Outcome.SAME), (1.1, Outcome.SLOWER)):
        told = [Comparison(side(1.0), side(slower), paired=True).outcome for _ in range(40)]
        assert told.count(expected) >= 0.7 * len(told), slower
