"""Effects, shares, interactions and flips, against planted ones and against statsmodels."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pandas
import pytest
import statsmodels.api as sm
from scipy.stats import f, ttest_ind
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests
from synthetic_points import PLAIN, grid, point

from dlas.analysis import grid as grids
from dlas.analysis import naming, phrases
from dlas.analysis.interactions import sentences, tables
from dlas.analysis.interactions.effects import Basis, effects
from dlas.analysis.interactions.flips import flips
from dlas.analysis.interactions.next_points import next_points, overrides
from dlas.analysis.interactions.ratios import interactions
from dlas.analysis.interactions.shares import shares
from dlas.analysis.interactions.study import Study, studies
from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.statistics import holm, noise
from dlas.analysis.statistics.contrast import Estimate

LEVELS = {
    "model": ("vgg16", "resnet18", "mobilenetv2"),
    "algo": ("direct", "gemm", "spatial_pack"),
    "tuner": ("none", "ansor"),
}
EFFECTS = {"resnet18": -0.4, "mobilenetv2": -1.2, "gemm": 0.3, "spatial_pack": -0.2, "ansor": -0.5}


def additive(choices: Mapping[str, str]) -> float:
    return 2 + sum(EFFECTS.get(level, 0.0) for level in choices.values())


def crossed(choices: Mapping[str, str]) -> float:
    """gemm is 1.35 times slower than direct, but on resnet18 0.74 times."""
    return additive(choices) - 0.6 * (choices["algo"] == "gemm") * (choices["model"] == "resnet18")


def hole(choices: Mapping[str, str]) -> bool:
    return (choices["model"], choices["algo"], choices["tuner"]) in {
        ("vgg16", "gemm", "ansor"),
        ("mobilenetv2", "direct", "none"),
        ("resnet18", "spatial_pack", "ansor"),
    }


def study(points: list[MeasuredPoint]) -> Study:
    (found,) = studies(points)
    return found


def by_session(points: list[MeasuredPoint]) -> pandas.DataFrame:
    """The sessions as rows, as statsmodels takes them."""
    return pandas.DataFrame(
        {**one.choices, "log": math.log(ms)} for one in points for ms in one.session_medians_ms
    )


@pytest.mark.parametrize("left_out", [lambda choices: False, hole], ids=["whole", "with holes"])
def test_sums_of_squares_and_tests_are_those_of_statsmodels(
    left_out: Callable[[Mapping[str, str]], bool],
) -> None:
    points = grid(LEVELS, crossed, without=left_out, seed=3)
    found = study(points).shares
    formula = "log ~ (C(model, Sum) + C(algo, Sum) + C(tuner, Sum)) ** 2"
    rows = by_session(points)
    model = ols(formula, rows).fit()
    cell = rows.groupby(["model", "algo", "tuner"])["log"]
    within = float(((rows["log"] - cell.transform("mean")) ** 2).sum())
    freedom = len(rows) - cell.ngroups
    total = float(((rows["log"] - rows["log"].mean()) ** 2).sum()) - within
    assert found.total == pytest.approx(total)
    for kind, column in ((2, "share"), (3, "share_three")):
        table = sm.stats.anova_lm(model, typ=kind)
        for one in found.shares:
            theirs = table.loc[":".join(f"C({name}, Sum)" for name in one.factors)]
            assert getattr(one, column) * total == pytest.approx(theirs["sum_sq"], rel=1e-6, abs=1e-9)
            assert one.freedom == theirs["df"]
    table = sm.stats.anova_lm(model, typ=2)
    raw = [
        f.sf(table["sum_sq"].iloc[i] / table["df"].iloc[i] / (within / freedom), table["df"].iloc[i], freedom)
        for i in range(len(found.shares))
    ]
    theirs = multipletests(raw, method="holm")[1]
    assert [one.p_value for one in found.shares] == pytest.approx(list(theirs), abs=1e-12)


def test_where_a_pair_of_choices_is_missing_squares_are_those_of_statsmodels() -> None:
    points = grid(LEVELS, crossed, without=lambda one: one["model"] == "vgg16" and one["algo"] == "gemm")
    found = study(points).shares
    assert all(one.share_three is None for one in found.shares)
    both = next(one for one in found.shares if one.factors == ("model", "algo"))
    full = ols("log ~ (C(model) + C(algo) + C(tuner)) ** 2", by_session(points)).fit()
    without = ols(
        "log ~ C(model) + C(algo) + C(tuner) + C(model):C(tuner) + C(algo):C(tuner)", by_session(points)
    ).fit()
    assert both.squares == pytest.approx(without.ssr - full.ssr)
    assert both.freedom == without.df_resid - full.df_resid == 3


def test_in_a_whole_grid_effects_are_those_of_statsmodels() -> None:
    points = grid(LEVELS, crossed, seed=1)
    cells = grids.of(points)
    treatment = "C(model, Treatment('mobilenetv2'))"
    model = ols(f"log ~ {treatment} * C(algo, Sum) * C(tuner, Sum)", by_session(points)).fit()
    ours = {one.level: one for one in effects(cells, None) if one.factor == "model"}
    assert ours.keys() == {"vgg16", "resnet18"}
    for level, one in ours.items():
        assert (one.reference, one.pairs, one.basis) == ("mobilenetv2", 6, Basis.PAIRS)
        assert one.estimate is not None
        assert one.estimate.log == pytest.approx(model.params[f"{treatment}[T.{level}]"])


def test_of_two_points_interval_and_p_value_are_those_of_welch() -> None:
    points = [point(3.0, 3.2, 3.1, algo="direct"), point(3.4, 4.1, 3.6, 3.9, algo="gemm")]
    (ours,) = study(points).effects
    logs = [np.log(one.session_medians_ms) for one in points]
    theirs = ttest_ind(logs[1], logs[0], equal_var=False)
    assert ours.estimate is not None
    assert ours.estimate.interval is not None
    assert ours.estimate.p_value == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval(0.95)
    assert (ours.estimate.interval.low, ours.estimate.interval.high) == pytest.approx(
        (math.exp(low), math.exp(high))
    )


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [*np.random.default_rng(0).uniform(0, 0.2, 40), 0.0, 1.0, 0.01, 0.01]
    assert holm.adjusted(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert holm.adjusted([]) == []


@pytest.mark.parametrize("spreads", [(0.02, 0.02), (0.005, 0.08)], ids=["even", "uneven"])
@pytest.mark.parametrize("sessions", [3, 6])
def test_intervals_hold_the_planted_effect_as_often_as_they_say(
    spreads: tuple[float, float], sessions: int
) -> None:
    held = looked = 0
    generator = np.random.default_rng(1)
    for _ in range(150):
        points = []
        for number, (algo, model) in enumerate(product(LEVELS["algo"], LEVELS["model"])):
            log = additive({"algo": algo, "model": model})
            scattered = log + generator.normal(0, spreads[number % 2], sessions)
            points.append(point(*np.exp(scattered), algo=algo, model=model))
        cells = grids.of(points)
        for one in effects(cells, noise.estimate([cell.logs for cell in cells.cells])):
            planted = EFFECTS.get(one.level, 0.0) - EFFECTS.get(one.reference, 0.0)
            assert one.estimate is not None
            assert one.estimate.interval is not None
            held += one.estimate.interval.low <= math.exp(planted) <= one.estimate.interval.high
            looked += 1
    assert 0.93 <= held / looked <= 0.98


def test_a_planted_interaction_is_found_and_told_as_a_ratio_of_ratios() -> None:
    found = study(grid(LEVELS, crossed, seed=2))
    sure = [one for one in found.interactions if one.p_value is not None and one.p_value < 0.05]
    assert {(one.factor, one.other) for one in sure} == {("algo", "model")}
    by_choice = {(one.level, one.there): one for one in found.interactions}
    one = by_choice["gemm", "resnet18"]
    assert (one.reference, one.here, one.contexts) == ("direct", "mobilenetv2", 2)
    interval = one.estimate.interval
    assert interval is not None
    assert interval.low < math.exp(-0.6) < interval.high
    assert one.effect_here.ratio == pytest.approx(math.exp(0.3), rel=0.05)
    assert one.effect_there.ratio == pytest.approx(math.exp(-0.3), rel=0.05)
    told = sentences.interaction(one)
    assert re.fullmatch(
        r"gemm takes 1\.\d+x \[1\.\d+, 1\.\d+\] the time of direct on mobilenetv2, "
        r"but 0\.7\d+x \[0\.7\d+, 0\.7\d+\] on resnet18: a ratio of 0\.5\d+x .*\(p < 0\.001\)\.",
        told,
    ), told


def test_a_planted_flip_is_found_with_its_sizes_and_no_other_is_claimed() -> None:
    found = study(grid(LEVELS, crossed, seed=2)).flips
    claimed = [one for one in found.flips if one.holds]
    assert {
        (one.factor, frozenset((one.faster_here, one.faster_there)), frozenset((one.here, one.there)))
        for one in claimed
    } == {
        ("algo", frozenset(("direct", "gemm")), frozenset(("resnet18", model)))
        for model in ("vgg16", "mobilenetv2")
    } | {
        ("algo", frozenset(("spatial_pack", "gemm")), frozenset(("resnet18", model)))
        for model in ("vgg16", "mobilenetv2")
    }
    assert claimed == sorted(claimed, key=lambda one: -one.size)
    first = next(one for one in claimed if one.faster_here == "direct")
    assert (first.here, first.faster_there, first.there) == ("mobilenetv2", "gemm", "resnet18")
    told = sentences.flip(first, found.looked_at)
    assert re.match(r"direct takes 0\.7\d+x .* on mobilenetv2, and 1\.3\d+x .* on resnet18: ", told), told
    assert f"the order changes (p < 0.001, corrected for {found.looked_at} looked at)" in told
    assert sentences.flips(found).startswith(f"{found.looked_at} changes of order were looked for")
    assert "4 were seen, 4 of these by more than chance" in sentences.flips(found)


def test_without_differences_hardly_a_grid_has_a_false_claim() -> None:
    flipped = interacting = explained = 0
    grids_looked_at = 120
    for seed in range(1000, 1000 + grids_looked_at):
        points = grid(
            {"algo": LEVELS["algo"], "model": LEVELS["model"]}, lambda _: 1.0, seed=seed, sessions=4
        )
        cells = grids.of(points)
        spread = noise.estimate([cell.logs for cell in cells.cells])
        flipped += any(one.holds for one in flips(cells, spread).flips)
        interacting += any((one.p_value or 0) < 0.05 for one in interactions(cells, spread)[0])
        explained += any((one.p_value or 0) < 0.05 for one in shares(cells, spread).shares)
    assert flipped / grids_looked_at <= 0.05
    assert interacting / grids_looked_at <= 0.08  # 0.05, and what 120 grids leave to chance
    assert explained / grids_looked_at <= 0.08


def test_where_orders_are_on_the_edge_false_flips_stay_rare() -> None:
    """Choices that have no effect on one network and a large one on the others: half of each claim is true.
    Without the correction every fifth of these grids would have a false claim."""
    levels = {"algo": LEVELS["algo"], "model": (*LEVELS["model"], "resnet20")}
    apart = {"direct": 0.0, "gemm": 1.0, "spatial_pack": 2.0}
    false = 0
    for seed in range(100):
        cells = grids.of(
            grid(
                levels,
                lambda one: apart[one["algo"]] * (one["model"] != "vgg16"),
                seed=seed,
                sessions=4,
            )
        )
        spread = noise.estimate([cell.logs for cell in cells.cells])
        false += any(one.holds for one in flips(cells, spread).flips)
    assert false / 100 <= 0.05


def test_a_flip_within_the_spread_is_seen_and_not_claimed() -> None:
    points = [
        point(3.0, 3.3, 2.8, algo="direct", model="vgg16"),
        point(3.1, 3.2, 2.9, algo="gemm", model="vgg16"),
        point(2.1, 2.2, 2.0, algo="direct", model="resnet18"),
        point(2.0, 2.1, 2.0, algo="gemm", model="resnet18"),
    ]
    found = study(points)
    assert found.flips.flips
    assert not any(one.holds for one in found.flips.flips)
    told = sentences.flip(found.flips.flips[0], found.flips.looked_at)
    assert "the intervals don't allow to say that the order changes" in told


def unsteady(points: list[MeasuredPoint]) -> list[MeasuredPoint]:
    return [replace(one, unsteady="a load of 3 beside it") for one in points]


def test_of_unsteady_boards_alone_nothing_is_claimed() -> None:
    found = study(unsteady(grid(LEVELS, crossed)))
    assert found.flips.flips
    assert not any(one.holds for one in (*found.flips.flips, *found.interactions))
    assert all(one.p_value is None for one in found.shares.shares)
    assert not any(one.steady for one in found.effects)
    for told in (
        sentences.flip(found.flips.flips[0], found.flips.looked_at),
        sentences.interaction(found.interactions[0]),
        sentences.effect(found.effects[0]),
    ):
        assert "a board did not hold still" in told
    assert any("unsteady board: a load of 3 beside it" in line for line in sentences.caveats(found))
    assert {
        row[-1].text for table in tables.all_of(found) if table.name == "flips" for row in table.rows
    } == {"unsteady"}


def test_an_unsteady_point_is_left_out_where_there_are_steady_ones() -> None:
    points = grid(LEVELS, crossed, noise=0.001)
    at = next(
        n for n, one in enumerate(points) if one.choices["tuner"] == "none" and one.choices["algo"] == "gemm"
    )
    slow = replace(points[at], session_medians_ms=(90.0, 95.0, 99.0), unsteady="a load of 3 beside it")
    found = study([*points[:at], slow, *points[at + 1 :]])
    gemm = next(one for one in found.effects if one.level == "gemm")
    assert (gemm.pairs, gemm.steady) == (5, True)
    assert gemm.highest == pytest.approx(math.exp(0.3), rel=0.01)
    assert sum(one.holds for one in found.flips.flips) == 4
    again = study([*points, slow])
    direct = next(one for one in again.effects if one.level == "direct")
    assert (direct.reference, direct.pairs) == ("gemm", 6)
    assert direct.lowest == pytest.approx(math.exp(-0.3), rel=0.01)
    assert again.grid.steady.all()


def test_with_one_session_each_there_are_ratios_and_no_claims() -> None:
    found = study(grid(LEVELS, crossed, sessions=1))
    assert found.noise is None
    assert all(one.estimate is not None and one.estimate.interval is None for one in found.effects)
    assert all(one.p_value is None for one in (*found.interactions, *found.flips.flips, *found.shares.shares))
    assert found.flips.flips
    assert not any(one.holds for one in found.flips.flips)
    assert "Single sessions don't tell" in sentences.flip(found.flips.flips[0], found.flips.looked_at)
    assert any(
        "Each point has one session: there are no intervals" in line and "timing=default" in line
        for line in sentences.caveats(found)
    )


def test_points_of_one_session_take_the_spread_of_the_others() -> None:
    points = [
        point(3.0, 3.3, 2.9, algo="direct"),
        point(5.0, algo="gemm"),
        point(4.0, 4.4, algo="spatial_pack"),
    ]
    found = study(points)
    assert all(one.estimate is not None and one.estimate.interval is not None for one in found.effects)
    assert any(
        "1 point with one session: the others' spread stands in" in x for x in sentences.caveats(found)
    )


def test_in_a_grid_with_holes_pairs_are_compared_whatever_the_interactions() -> None:
    found = study(grid(LEVELS, crossed, without=hole, noise=1e-6))
    gemm = next(one for one in found.effects if one.level == "gemm")
    assert (gemm.basis, gemm.pairs) == (Basis.PAIRS, 4)
    assert gemm.estimate is not None
    assert gemm.estimate.log == pytest.approx((0.3 - 0.3 - 0.3 + 0.3) / 4, abs=1e-4)
    assert gemm.lowest == pytest.approx(math.exp(-0.3), rel=1e-4)
    assert gemm.highest == pytest.approx(math.exp(0.3), rel=1e-4)
    assert "15 of 18 combinations" in sentences.coverage(found.grid)
    assert "3 were not tried" in sentences.coverage(found.grid)


def test_an_effect_without_pairs_comes_from_a_model_that_says_so_and_is_that_of_statsmodels() -> None:
    """direct and spatial_pack never meet on one network: gemm is between them."""
    met = {
        *(("mobilenetv2", "direct"), ("vgg16", "direct"), ("vgg16", "gemm")),
        *(("resnet18", "gemm"), ("resnet18", "spatial_pack")),
    }
    levels = {"model": LEVELS["model"], "algo": LEVELS["algo"]}
    points = grid(levels, additive, without=lambda one: (one["model"], one["algo"]) not in met)
    found = {one.level: one for one in study(points).effects if one.factor == "algo"}
    assert [found[level].basis for level in ("gemm", "spatial_pack")] == [Basis.PAIRS, Basis.MODEL]
    chained = found["spatial_pack"]
    theirs = ols("log ~ C(model) + C(algo)", by_session(points)).fit()
    assert chained.reference == "direct"
    assert chained.estimate is not None
    assert chained.estimate.log == pytest.approx(theirs.params["C(algo)[T.spatial_pack]"])
    assert chained.estimate.interval is not None
    assert chained.estimate.interval.low < math.exp(-0.2) < chained.estimate.interval.high
    assert "by a model without interactions" in sentences.effect(chained)


def test_what_cannot_be_told_is_named_and_not_guessed() -> None:
    """vgg16 was measured with direct alone, resnet18 with gemm alone."""
    found = study([point(3.0, 3.1, model="vgg16", algo="direct"), point(2.0, 2.1, algo="gemm")])
    assert [one.basis for one in found.effects] == [Basis.NONE, Basis.NONE]
    assert all(one.estimate is None for one in found.effects)
    caveats = sentences.caveats(found)
    assert any("gemm" in line and "can't be told from these points" in line for line in caveats)
    assert not found.interactions
    assert not found.flips.looked_at
    assert all(one.freedom == 0 for one in found.shares.shares)
    (gaps,) = (table for table in tables.all_of(found) if table.name == "gaps")
    assert {"vgg16", "gemm"} <= {cell.text for row in gaps.rows for cell in row}


def test_failed_points_are_named_and_count_as_tried() -> None:
    points = grid(LEVELS, crossed, without=hole)
    failed = point(
        status="FAILED", more={"error": "no space left"}, model="vgg16", algo="gemm", tuner="ansor"
    )
    found = study([*points, failed])
    assert "1 failed, 2 were not tried" in sentences.coverage(found.grid)
    assert any("no space left" in line for line in sentences.caveats(found))
    assert found.next.untried == 2


def test_emulated_and_real_points_are_never_in_one_comparison() -> None:
    real = grid(LEVELS, crossed)
    emulated = [replace(one, emulated=True, run_id=f"emulated {one.run_id}") for one in real]
    of_real, of_emulated = studies([*emulated, *real])
    assert (of_real.emulated, of_emulated.emulated) == (False, True)
    assert len(of_real.grid.cells) == len(of_emulated.grid.cells) == 18
    assert "say nothing about real ones" in sentences.caveats(of_emulated)[0]
    with pytest.raises(ValueError, match="emulated"):
        grids.of([*emulated, *real])


def test_targets_are_a_factor_like_others() -> None:
    levels = {"target": ("host", "pi"), "algo": ("direct", "gemm")}
    found = study(grid(levels, lambda one: 1.0 + 2 * (one["target"] == "pi")))
    (pi,) = (one for one in found.effects if one.factor == "target")
    assert pi.estimate is not None
    assert pi.estimate.ratio == pytest.approx(math.exp(2), rel=0.05)


def test_no_points_one_point_and_points_without_times() -> None:
    assert studies([]) == ()
    one = study([point(3.0, 3.1)])
    assert "nothing to compare it with" in sentences.coverage(one.grid)
    assert tables.all_of(one) == ()
    none = study([point(status="FAILED")])
    assert "No point has a time" in sentences.coverage(none.grid)
    assert tables.all_of(none) == ()
    same = study([point(3.0, 3.1), point(3.2, 3.3)])
    assert len(same.grid.cells) == 1
    assert same.grid.cells[0].logs == pytest.approx(np.log([3.0, 3.1, 3.2, 3.3]))


def test_points_that_have_only_a_median_count_with_one_session() -> None:
    bare = [replace(point(algo=algo), median_ms=ms) for algo, ms in (("direct", 2.0), ("gemm", 3.0))]
    (gemm,) = study(bare).effects
    assert gemm.estimate is not None
    assert gemm.estimate.ratio == pytest.approx(1.5)


def test_settings_of_an_option_are_told_with_it_and_those_that_follow_are_no_factor() -> None:
    def pruned(sparsity: str, ms: float) -> MeasuredPoint:
        setting = {"compression.weight_pruning.sparsity": sparsity}
        return point(ms, ms * 1.01, compression="weight_pruning", more=None, **setting)

    points = [point(4.0, 4.1), pruned("0.5", 3.0), pruned("0.9", 2.0)]
    points = [replace(one, choices={**one.choices, "seed": "0"}) for one in points]
    found = study(points)
    (factor,) = found.grid.factors
    assert factor.levels == ("none", "weight_pruning sparsity=0.5", "weight_pruning sparsity=0.9")
    assert factor.reference == "none"
    epochs = {"resnet18": "2", "resnet20": "8"}
    points = [
        point(ms, ms * 1.1, model=model, algo=algo, **{"train.epochs": epochs[model]})
        for ms, model, algo in ((1, "resnet18", "direct"), (2, "resnet20", "direct"), (3, "resnet18", "gemm"))
    ]
    found = study(points)
    assert [factor.name for factor in found.grid.factors] == ["model", "algo"]
    assert any("train.epochs changes only together with model" in x for x in sentences.caveats(found))


def test_a_setting_of_too_many_values_is_not_compared_and_that_is_told() -> None:
    points = [point(1.0 + n / 1000, algo=("direct", "gemm")[n % 2], seed=str(n)) for n in range(120)]
    found = study(points)
    assert [factor.name for factor in found.grid.factors] == ["algo"]
    assert any("seed has too many values" in line for line in sentences.caveats(found))


def test_the_untried_point_that_should_win_is_the_first_to_measure() -> None:
    fast = {"model": "mobilenetv2", "algo": "spatial_pack", "tuner": "ansor"}
    slow = {"model": "vgg16", "algo": "gemm", "tuner": "none"}
    points = grid(LEVELS, additive, without=lambda one: dict(one) in (fast, slow))
    points = [replace(one, accuracy_deployed=0.9) for one in points]
    found = next_points(grids.of(points))
    assert [one.choices["algo"] for one in found.points] == ["spatial_pack", "gemm"]
    first, last = found.points
    assert first.predicted_ms == pytest.approx(math.exp(additive(fast)), rel=0.1)
    assert first.low_ms < first.predicted_ms < first.high_ms
    assert first.chance > 0.9 > 0.1 > last.chance
    typed = shlex.split(first.overrides)
    assert set(typed) == {f"{key}={value}" for key, value in {**PLAIN, **fast}.items()}


def test_points_more_accurate_than_the_fast_ones_are_worth_measuring_too() -> None:
    levels = {**LEVELS, "model": ("vgg16", "resnet18")}
    points = [
        replace(one, accuracy_deployed=0.95 if one.choices["model"] == "vgg16" else 0.8)
        for one in grid(
            levels,
            additive,
            without=lambda one: (one["algo"], one["tuner"]) == ("spatial_pack", "ansor"),
        )
    ]
    # Only pairs that were never tried together: nothing can be predicted of them but by main effects.
    found = next_points(grids.of(points))
    assert found.never_together == (("algo", "spatial_pack", "tuner", "ansor"),)
    assert found.points == ()
    one_missing = [
        *points,
        replace(
            point(1.0, 1.01, model="resnet18", algo="spatial_pack", tuner="ansor"), accuracy_deployed=0.8
        ),
    ]
    (vgg,) = next_points(grids.of(one_missing)).points
    assert vgg.accuracy == pytest.approx(0.95)
    assert vgg.chance > 0.5


def test_overrides_are_quoted_for_a_shell() -> None:
    typed = overrides({"compression": "weight_pruning+int8", "model": "a b; rm -rf ~"})
    assert shlex.split(typed) == ["compression=[weight_pruning,int8]", "model=a b; rm -rf ~"]


def test_ratios_have_the_digits_that_their_interval_supports() -> None:
    def told(log: float, error: float) -> str:
        return phrases.times(Estimate(log, error, 1000.0))

    assert told(math.log(1.31), 0.034) == "1.31x [1.23, 1.40]"
    assert told(math.log(1.31), 0.003) == "1.310x [1.302, 1.318]"
    assert told(math.log(25), 0.3) == "25x [14, 45]"
    assert told(math.log(1.2), 0.6) == "1.2x [0.4, 3.9]"
    assert phrases.times(Estimate(math.log(1.3124))) == "1.31x"
    assert [phrases.percent(part) for part in (0.0, 0.0004, 0.0123, 0.52)] == [
        *("0 %", "less than 0.1 %", "1.2 %", "52 %"),
    ]
    assert (phrases.p_value(0.0004), phrases.p_value(0.0123)) == ("p < 0.001", "p = 0.012")
    assert (naming.choice("algo", "gemm"), naming.choice("tuner", "none")) == ("gemm", "tuner=none")
    assert naming.choice("train.epochs", "3") == "train.epochs=3"
    assert (naming.beside("model", "vgg16"), naming.beside("algo", "gemm")) == (
        "on vgg16",
        "with algo=gemm",
    )
    assert phrases.listed(["a", "b", "c"]) == "a, b and c"


def test_tables_have_a_cell_for_every_column() -> None:
    for points in (grid(LEVELS, crossed, without=hole), grid(LEVELS, crossed, sessions=1)):
        for table in tables.all_of(study(points)):
            assert all(len(row) == len(table.headings) for row in table.rows)
            assert table.rows


def test_two_thousand_points_are_no_trouble() -> None:
    levels = {
        "model": tuple(f"model{n}" for n in range(5)),
        "compression": ("none", "weight_pruning", "channel_pruning", "int8", "float16"),
        "algo": ("direct", "gemm", "spatial_pack", "winograd_f2", "winograd_f4"),
        "format": ("dense", "csr", "bsr", "channel_index"),
        "tuner": ("none", "ansor"),
        "target": ("host", "pi"),
    }
    points = grid(levels, crossed, without=lambda one: sum(map(ord, "".join(one.values()))) % 20 == 0)
    found = study(points)
    assert len(found.grid.cells) > 1800
    assert found.next.untried == found.grid.size - len(found.grid.cells)
    (gemm,) = (one for one in found.effects if one.level == "gemm")
    assert gemm.estimate is not None
    planted = EFFECTS["gemm"] - EFFECTS.get(gemm.reference, 0.0)
    assert gemm.estimate.ratio == pytest.approx(math.exp(planted), rel=0.01)
    assert all(len(table.rows) <= tables.MOST_ROWS for table in tables.all_of(found))
