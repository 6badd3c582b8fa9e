"""The thirteen observations, each on points that support it, contradict it, and are too few."""

from __future__ import annotations

import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr
from synthetic_points import point

from dlas.analysis.measured_point import MeasuredPoint
from dlas.analysis.observations import (
    THIRTEEN,
    Check,
    Verdict,
    below_one,
    findings,
    load,
    mostly,
    ratio,
)
from dlas.analysis.observations.tables import sentence, table
from dlas.analysis.statistics.correlation import pooled, spearman
from dlas.analysis.statistics.proportion import wilson
from dlas.errors import UserError

MODELS = ("vgg16", "resnet18", "resnet20", "mobilenetv1", "mobilenetv2", "own")
SUPPORTS, CONTRADICTS, NOT_ENOUGH = Verdict.SUPPORTS, Verdict.CONTRADICTS, Verdict.NOT_ENOUGH
Points = list[MeasuredPoint]


def timed(ms: float, more: dict[str, Any] | None = None, **choices: str) -> MeasuredPoint:
    """A point whose three sessions agree to a hundredth."""
    settings = {"target_kind": "cpu", **(more or {})}
    return point(ms * 0.995, ms, ms * 1.005, more=settings, **choices)


def numbers(check: Check, points: Iterable[MeasuredPoint]) -> str:
    (found,) = findings(list(points), [check])
    return " ".join(part.numbers for part in found.parts)


def scattered(correlation: float, count: int = 60) -> Points:
    """Networks whose MACs, accuracy and time are correlated so."""
    generator = np.random.default_rng(0)
    spread = math.sqrt(1 - correlation**2)
    shared = generator.normal(size=count)
    rows = (correlation**0.5 * shared, spread)
    values = [
        rows[0] + (1 - correlation) ** 0.5 * generator.normal(size=count) if correlation < 1 else shared
        for _ in range(3)
    ]
    return [
        timed(
            math.exp(time),
            {"macs_remaining": 1e6 * math.exp(macs), "accuracy_deployed": 1 / (1 + math.exp(-accuracy))},
            model=f"model{number}",
        )
        for number, (macs, accuracy, time) in enumerate(zip(*values, strict=True))
    ]


def sparse_and_dense(small: float, large: float, models: Iterable[str] = MODELS) -> Points:
    """Sparse points that take so many times as long as dense ones, for small and for large images."""
    return [
        one
        for dataset, times in (("cifar10", small), ("imagenet", large))
        for model in models
        for one in (
            timed(4.0, dataset=dataset, model=model, tuner="ansor"),
            timed(
                4.0 * times,
                dataset=dataset,
                model=model,
                tuner="ansor",
                compression="weight_pruning",
                format="csr",
            ),
        )
    ]


def sizes(rank_with_accuracy: bool, small_lose_more: bool, networks: int = 40) -> Points:
    """Networks of growing size, each dense and compressed."""
    points = []
    for number in range(networks):
        rank = number if rank_with_accuracy else number * 17 % networks
        accuracy = 0.5 + rank / 100
        lost = 0.001 * (networks - number if small_lose_more else number)
        for compression, drop in (("none", 0.0), ("channel_pruning", lost)):
            more = {
                "parameters_dense": 1000.0 * (number + 1),
                "parameters_remaining": 1000.0 * (number + 1) - (compression != "none"),
                "accuracy_dense": accuracy,
                "accuracy_compressed": accuracy - drop,
            }
            points.append(timed(1.0, more, model=f"model{number}", compression=compression))
    return points


def weights_and_channels(left: float, ms: float, macs: float, models: Iterable[str] = MODELS) -> Points:
    """Channel pruning to a half in 4 ms; weight pruning with such parameters, milliseconds and MACs."""
    size = {"parameters_dense": 1e6, "macs_dense": 1e8}
    channels = {**size, "parameters_remaining": 5e5, "macs_remaining": 5e7}
    weights = {**size, "parameters_remaining": 1e6 * left, "macs_remaining": 1e8 * macs}
    return [
        one
        for model in models
        for one in (
            timed(4.0, channels, model=model, compression="channel_pruning"),
            timed(ms, weights, model=model, compression="weight_pruning", format="csr"),
        )
    ]


def quantized(on_host: float, on_board: float, half: float, models: Iterable[str] = MODELS) -> Points:
    """int8 that takes so much of the dense time on two targets; float16 so much on the first, and on the
    second as much more as int8."""
    parts = [
        (target, compression, times)
        for target, whole in (("host", on_host), ("pi", on_board))
        for compression, times in (("none", 1.0), ("int8", whole), ("float16", half * whole / on_host))
    ]
    return [
        timed(4.0 * times, target=target, compression=compression, model=model)
        for model in models
        for target, compression, times in parts
    ]


def losing(half: float, whole: float, models: Iterable[str] = MODELS) -> Points:
    """Networks that lose so much accuracy by float16 and int8."""
    return [
        timed(
            1.0,
            {"accuracy_dense": 0.9, "accuracy_deployed": 0.9 - drop},
            compression=compression,
            model=model,
        )
        for model in models
        for compression, drop in (("none", 0.0), ("float16", half), ("int8", whole))
    ]


def algorithms(best: str, kind: str, models: Iterable[str] = MODELS, **choices: str) -> Points:
    """Points of three algorithms, of which one is the fastest."""
    return [
        timed(2.0 if algo == best else 3.0, {"target_kind": kind}, model=model, algo=algo, **choices)
        for model in models
        for algo in ("direct", "gemm", "spatial_pack")
    ]


def sparse_algorithms(on_cpu: str, on_gpu: str, models: Iterable[str] = MODELS) -> Points:
    choices = {"compression": "weight_pruning", "format": "csr"}
    return [
        *algorithms(on_cpu, "cpu", models, **choices),
        *algorithms(on_gpu, "cuda", models, target="cuda", **choices),
    ]


def pruned_to_a_half(ms: float, models: Iterable[str] = MODELS) -> Points:
    """A dense network in 4 ms, pruned to half of its MACs in so many."""
    return [
        one
        for model in models
        for one in (
            timed(4.0, model=model),
            timed(ms, {"macs_dense": 1e8, "macs_remaining": 5e7}, model=model, compression="channel_pruning"),
        )
    ]


def tuned(direct: float, gemm: float, models: Iterable[str] = MODELS) -> Points:
    """direct in 4 ms and gemm in 5, tuned in so many."""
    times = {
        ("direct", "none"): 4.0,
        ("gemm", "none"): 5.0,
        ("direct", "ansor"): direct,
        ("gemm", "ansor"): gemm,
    }
    return [
        timed(ms, model=model, algo=algo, tuner=tuner)
        for model in models
        for (algo, tuner), ms in times.items()
    ]


def gains(pruned: float, whole: float, models: Iterable[str] = MODELS) -> Points:
    """Tuning that leaves half of a dense network's time, and so much of a compressed one's."""
    return [
        timed(ms, model=model, compression=compression, tuner=tuner)
        for model in models
        for compression, left in (("none", 0.5), ("channel_pruning", pruned), ("int8", whole))
        for tuner, ms in (("none", 4.0), ("ansor", 4.0 * left))
    ]


def targets(of_board: Callable[[int], float], models: Iterable[str] = MODELS) -> Points:
    """One target in 1 ms, another in what a rule says of each network."""
    return [
        timed(ms, model=model, target=target)
        for number, model in enumerate(models)
        for target, ms in (("host", 1.0), ("pi", of_board(number)))
    ]


FEW = MODELS[:2]
DATA: list[tuple[str, Verdict, Points]] = [
    ("I", SUPPORTS, scattered(0.0)),
    ("I", CONTRADICTS, scattered(1.0)),
    ("I", NOT_ENOUGH, scattered(0.0, 6)),
    ("II", SUPPORTS, sparse_and_dense(0.7, 1.5)),
    ("II", CONTRADICTS, sparse_and_dense(0.7, 0.8)),
    ("II", NOT_ENOUGH, sparse_and_dense(0.7, 1.5, FEW)),
    ("III", SUPPORTS, sizes(rank_with_accuracy=False, small_lose_more=True)),
    ("III", CONTRADICTS, sizes(rank_with_accuracy=True, small_lose_more=True)),
    ("III", CONTRADICTS, sizes(rank_with_accuracy=False, small_lose_more=False)),
    ("III", NOT_ENOUGH, sizes(rank_with_accuracy=False, small_lose_more=True, networks=3)),
    ("IV", SUPPORTS, weights_and_channels(0.2, 3.0, 0.2)),
    ("IV", CONTRADICTS, weights_and_channels(0.2, 6.0, 0.2)),
    ("IV", CONTRADICTS, weights_and_channels(0.2, 3.0, 0.45)),
    ("IV", NOT_ENOUGH, weights_and_channels(0.2, 3.0, 0.2, FEW)),
    ("V", SUPPORTS, quantized(0.4, 0.8, 0.6)),
    ("V", CONTRADICTS, quantized(0.5, 0.5, 0.6)),
    ("V", NOT_ENOUGH, quantized(0.4, 0.8, 0.6, MODELS[:1])),
    ("VI", SUPPORTS, losing(0.0, 0.02)),
    ("VI", CONTRADICTS, losing(0.1, 0.02)),
    ("VI", NOT_ENOUGH, losing(0.0, 0.02, FEW)),
    ("VII", SUPPORTS, algorithms("spatial_pack", "cpu", tuner="ansor")),
    ("VII", CONTRADICTS, algorithms("direct", "cpu", tuner="ansor")),
    ("VII", NOT_ENOUGH, algorithms("spatial_pack", "cpu", FEW, tuner="ansor")),
    ("VII", NOT_ENOUGH, algorithms("spatial_pack", "cpu", tuner="none")),
    ("VIII", SUPPORTS, algorithms("direct", "cuda", tuner="ansor")),
    ("VIII", CONTRADICTS, algorithms("gemm", "cuda", tuner="ansor")),
    ("VIII", NOT_ENOUGH, algorithms("direct", "cpu", tuner="ansor")),
    ("IX", SUPPORTS, sparse_algorithms("gemm", "direct")),
    ("IX", CONTRADICTS, sparse_algorithms("gemm", "spatial_pack")),
    ("IX", NOT_ENOUGH, sparse_algorithms("gemm", "direct", FEW)),
    ("X", SUPPORTS, pruned_to_a_half(3.0)),
    ("X", CONTRADICTS, pruned_to_a_half(1.8)),
    ("X", NOT_ENOUGH, pruned_to_a_half(3.0, FEW)),
    ("XI", SUPPORTS, tuned(1.9, 1.5)),
    ("XI", CONTRADICTS, tuned(3.0, 3.5)),
    ("XI", NOT_ENOUGH, tuned(1.9, 1.95)),
    ("XII", SUPPORTS, gains(0.8, 0.7)),
    ("XII", CONTRADICTS, gains(0.8, 0.3)),
    ("XII", NOT_ENOUGH, gains(0.8, 0.7, FEW)),
    ("XIII", SUPPORTS, targets(lambda number: 2.0 + number)),
    ("XIII", CONTRADICTS, targets(lambda number: 4.0 if number % 2 else 0.25)),
    ("XIII", NOT_ENOUGH, targets(lambda number: 2.0, FEW)),
]


def numbered(numeral: str) -> Check:
    (found,) = (check for check in THIRTEEN if check.claim.partition(":")[0] == numeral)
    return found


@pytest.mark.parametrize(
    ("numeral", "verdict", "points"),
    DATA,
    ids=[f"{numeral} {verdict.value}" for numeral, verdict, _ in DATA],
)
def test_an_observation_on_data_that_is_known(numeral: str, verdict: Verdict, points: Points) -> None:
    (found,) = findings(points, [numbered(numeral)])
    assert found.verdict is verdict, [(part.claim, part.verdict, part.numbers) for part in found.parts]
    known = {one.run_id for one in points}
    for part in found.parts:
        assert part.numbers.endswith(".")
        assert set(part.runs) <= known
        assert part.runs or part.verdict is NOT_ENOUGH


def test_every_observation_has_data_of_each_kind() -> None:
    numerals = [check.claim.partition(":")[0] for check in THIRTEEN]
    assert numerals == ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII"]
    assert {(numeral, verdict) for numeral, verdict, _ in DATA} == {
        (numeral, verdict) for numeral in numerals for verdict in (SUPPORTS, CONTRADICTS, NOT_ENOUGH)
    }


@pytest.mark.parametrize("points", [[], [point(3.0, 3.1)], [point(status="FAILED")], [point()]])
def test_with_next_to_nothing_no_observation_says_anything(points: Points) -> None:
    assert all(found.verdict is NOT_ENOUGH for found in findings(points))


def test_points_without_metrics_and_failed_ones_are_no_trouble() -> None:
    known = [one for _, _, points in DATA for one in points]
    bare = [replace(one, macs_remaining=None, accuracy_dense=None, target_kind=None) for one in known[::3]]
    failed = [replace(one, status="FAILED", session_medians_ms=()) for one in known[1::3]]
    assert len(findings([*bare, *failed])) == 13


def test_what_happens_once_in_many_contexts_does_not_happen_only_with_enough_without_it() -> None:
    claim = numbered("XI")
    many = tuned(1.9, 1.95, [f"model{number}" for number in range(30)])
    (found,) = findings(many, [claim])
    assert [part.verdict for part in found.parts] == [SUPPORTS, CONTRADICTS]


def test_numbers_name_cases_part_and_average() -> None:
    said = numbers(numbered("X"), pruned_to_a_half(3.0))
    assert "It holds in 6 of 6 comparisons (61 % to 100 % of all such)" in said
    assert "ratios of measured to expected time from 1.5x to 1.5x, 1.5x on average" in said


def test_the_numbers_of_a_speedup_are_the_measured_ratios() -> None:
    said = numbers(numbered("XI"), tuned(2.0, 2.5, ["one", "other"]))
    assert "ratios of tuned to untuned time from 0.5x to 0.5x, 0.5x on average" in said


def test_single_sessions_tell_differences_beyond_what_one_session_can_be_off() -> None:
    def pair(ms: float) -> bool | None:
        return below_one(ratio([point(ms)], [point(1.0)]))

    assert [pair(0.94), pair(0.97), pair(1.03), pair(1.06)] == [True, None, None, False]


def test_on_an_unsteady_board_nothing_can_be_told() -> None:
    points = [replace(one, unsteady="a load of 3 beside it") for one in pruned_to_a_half(3.0)]
    (found,) = findings(points, [numbered("X")])
    assert found.verdict is NOT_ENOUGH
    assert "6 can't be told, 6 as a board did not hold still" in found.parts[0].numbers
    assert findings([replace(one, unsteady="a load") for one in scattered(1.0)], [numbered("I")])[
        0
    ].verdict is (NOT_ENOUGH)


def test_real_and_emulated_points_are_held_against_an_observation_apart() -> None:
    real = pruned_to_a_half(3.0)
    emulated = [replace(one, emulated=True) for one in pruned_to_a_half(1.8)]
    found = findings([*emulated, *real], [numbered("X")])
    assert [(one.emulated, one.verdict) for one in found] == [(False, SUPPORTS), (True, CONTRADICTS)]
    assert sentence(found[1]).endswith("contradicts, on emulated boards.")
    assert {row[-1].text for row in table(found).rows} == {"real", "emulated"}
    assert all(len(row) == len(table(found).headings) for row in table(found).rows)


def test_wilsons_interval_is_that_of_scipy() -> None:
    for held, cases in ((0, 3), (4, 4), (7, 9), (50, 120)):
        theirs = binomtest(held, cases).proportion_ci(0.95, method="wilson")
        ours = wilson(held, cases)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_spearman_is_that_of_scipy_and_groups_are_pooled_within() -> None:
    generator = np.random.default_rng(5)
    one, other = generator.integers(0, 6, 40).astype(float), generator.normal(size=40)
    assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    rising = (list(np.arange(12.0)), list(np.arange(12.0) + generator.normal(0, 4, 12)))
    far = ([value + 100 for value in rising[0]], [value - 100 for value in rising[1]])
    found = pooled([rising, far])
    assert found is not None
    assert found.value == pytest.approx(spearmanr(*rising).statistic)
    assert found.pairs == 24
    assert pooled([([1.0, 2.0] * 4, [1.0, 2.0] * 4)]) is None


DOCUMENTED = Path(__file__).resolve().parent.parent / "docs" / "analysis.md"
BROKEN = """
@observation("it breaks")
def breaks(points):
    return [points[0].choices["nothing of the kind"]]
"""


def documented_example() -> str:
    """The module that the documentation shows."""
    text = DOCUMENTED.read_text(encoding="utf-8")
    (example,) = re.findall(r"(?:^    # my_observations\.py\n)(?:(?:    .*)?\n)+", text, re.MULTILINE)
    return textwrap.dedent(example)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("my_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_observations_of_a_module_of_ones_own(own_folder: Path) -> None:
    example = documented_example()
    (own_folder / "my_observations.py").write_text(example + BROKEN, encoding="utf-8")
    checks = load("my_observations")
    assert [check.claim for check in checks] == ["gemm pays", "it breaks"]
    held, broken = findings(algorithms("gemm", "cpu"), checks)
    assert held.verdict is SUPPORTS
    assert broken.verdict is Verdict.FAILED
    assert "KeyError" in broken.parts[0].numbers
    line = len((example + BROKEN).splitlines())
    assert f"my_observations.py:{line}" in broken.parts[0].numbers
    assert sentence(broken) == "it breaks: its code failed."


@pytest.mark.parametrize("returned", [None, [], "supports", [True], 3.0])
def test_what_is_no_list_of_parts_is_told(returned: Any) -> None:
    (found,) = findings([point(1.0)], [Check("mine", lambda _: returned)])
    assert found.verdict is Verdict.FAILED
    assert f"It returned {returned!r}, and not a list of its parts" in found.parts[0].numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no module 'my_mistake'"),
        ("x = 1\n", "'my_mistake' has no observation"),
        ("import json\nraise ValueError('nope')\n", "can't be imported: ValueError: nope"),
    ],
)
def test_a_module_that_will_not_do_is_told(own_folder: Path, text: str | None, said: str) -> None:
    if text is not None:
        (own_folder / "my_mistake.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="observations: ") as told:
        load("my_mistake")
    assert said in str(told.value)


def test_a_mistake_of_our_own_is_not_laid_to_a_user() -> None:
    """A function of the package that fails when it is called as a check."""
    with pytest.raises(TypeError):
        findings([point(1.0)], [Check("wrong", mostly)])  # type: ignore[arg-type]
