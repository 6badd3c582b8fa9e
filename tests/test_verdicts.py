"""What redeployed points tell a script: exit statuses, limits of its own, JSON, JUnit, their mean."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats
from command import dlas
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite
from test_statistics import STILL, later

from dlas.analysis.digits import supported
from dlas.hardware.results.comparison import Comparison
from dlas.hardware.results.limit import Judgement, is_open, judged
from dlas.hardware.results.measurement import Measurement, Session
from dlas.hardware.results.statistics import Interval
from dlas.redeployment import Redeployed, Request
from dlas.verdicts import as_json, as_junit, as_text
from dlas.verdicts.files import Files
from dlas.verdicts.point_as_text import report
from dlas.verdicts.result import LeftOut, Result, Results

CASE = {"classname", "name", "time"}
SUITE = {"name", "tests", "failures", "errors", "time"}


def side(factor: float, *, sessions: int = 6, scatter: float = 0.01, seed: int = 0) -> Measurement:
    random = np.random.default_rng(seed)
    paces = 10e6 * factor * (1 + scatter * random.standard_normal(sessions))
    samples = [tuple(map(int, random.normal(pace, 0.003 * pace, 30))) for pace in paces]
    return Measurement(30, 1, 2, tuple(Session(20_000_000, each, STILL, later()) for each in samples))


def compared(factor: float, *, sessions: int = 6, scatter: float = 0.01, seed: int = 0) -> Comparison:
    old, new = (
        side(each, sessions=sessions, scatter=scatter, seed=2 * seed + place)
        for place, each in enumerate((1.0, factor))
    )
    return Comparison(old, new)


def point(factor: float, name: str = "a point", *, sessions: int = 6) -> Result:
    differences = {"kernel": ("Linux 1", "Linux 2")}
    comparison = compared(factor, sessions=sessions)
    found = Redeployed(comparison, (), differences)
    return Result(f"id-{name}", found, name=name, logged="kept", seconds=1.5)


FAILED = Result("broken", problem="bundle: model.so is missing\nsend it again")


@pytest.mark.parametrize(
    ("points", "status"),
    [
        ([point(1.0), point(0.5)], 0),
        ([point(1.0), point(1.5), point(1.5, sessions=1)], 3),
        ([point(1.5, sessions=1), point(0.5)], 4),
        ([point(1.5), FAILED, point(1.0)], 1),
    ],
)
def test_the_exit_status_is_that_of_the_worst(points: list[Result], status: int) -> None:
    assert Results(points).exit_status == status
    assert Results(points, stopped=143).exit_status == 143


@pytest.mark.parametrize(
    ("factor", "limit", "judgement", "status"),
    [
        (1.0, 1.05, Judgement.WITHIN, 0),
        (0.5, 1.0, Judgement.WITHIN, 0),
        (1.08, 1.2, Judgement.WITHIN, 0),
        (1.08, 1.08, Judgement.UNDECIDED, 4),
        (1.08, 1.03, Judgement.ABOVE, 3),
        (1.5, 1.05, Judgement.ABOVE, 3),
    ],
)
def test_a_point_is_judged_by_the_callers_limit(
    factor: float, limit: float, judgement: Judgement, status: int
) -> None:
    assert judged(compared(factor), limit) is judgement
    assert Results([point(factor)], fail_above=limit).exit_status == status


def test_a_limit_of_1_fails_what_is_slower() -> None:
    assert judged(compared(1.5), 1.0) is Judgement.ABOVE
    assert judged(compared(1.0), 1.0) is Judgement.UNDECIDED


def test_what_cannot_be_trusted_is_undecided() -> None:
    slow, few = compared(1.5), compared(1.5, sessions=1)
    busy = tuple(replace(one, after=later(busy_seconds=408.0)) for one in slow.new.sessions)
    emulated = replace(slow.new, emulated=True)
    beside = tuple(replace(one, samples_ns=(10_000_000,) * 30) for one in slow.old.sessions)
    faster = tuple(replace(one, samples_ns=(5_000_000,) * 30) for one in slow.old.sessions)
    middle = compared(1.06, scatter=0.02)
    board = Comparison(
        replace(middle.old, yardsticks={"compute": beside}),
        replace(middle.new, yardsticks={"compute": faster}),
    )
    assert judged(few, 1.05) is Judgement.UNDECIDED
    assert judged(Comparison(slow.old, replace(slow.new, sessions=busy)), 1.05) is Judgement.UNDECIDED
    assert judged(Comparison(slow.old, emulated), 1.05) is Judgement.UNDECIDED
    assert judged(middle, 1.2) is Judgement.WITHIN
    assert judged(board, 1.2) is Judgement.UNDECIDED, "a board of twice the pace hides a slower library"


def test_sessions_go_on_where_they_may_decide() -> None:
    assert is_open(compared(1.05), 1.05)
    assert not is_open(compared(1.5), 1.05)
    assert not is_open(compared(1.0), 1.05)
    assert not is_open(compared(1.05, sessions=1), 1.05), "no number of them would be compared"
    same = compared(1.0)
    assert is_open(same, 1.0), "what is the same may still be slower by less"
    assert Request(limit=1.0).is_open(same) != Request().is_open(same)


def test_noise_does_not_fail_a_job_and_a_regression_does() -> None:
    """Sessions that scatter by 2 %, six a side, a limit of 5 %."""

    def told(factor: float) -> Counter[Judgement]:
        return Counter(judged(compared(factor, scatter=0.02, seed=seed), 1.05) for seed in range(60))

    assert told(1.0)[Judgement.ABOVE] == 0
    assert told(1.05)[Judgement.ABOVE] <= 0.05 * 60
    assert told(1.15)[Judgement.ABOVE] >= 0.95 * 60
    assert told(1.15)[Judgement.WITHIN] == 0


def test_the_mean_of_several_points_is_geometric_and_its_interval_students() -> None:
    points = [point(factor) for factor in (0.9, 1.0, 1.3)]
    ratios = [one.found.comparison.ratio for one in points if one.found is not None]
    mean = Results([*points, FAILED]).mean
    assert mean is not None
    assert mean.interval is not None
    assert mean.points == 3
    assert mean.ratio == pytest.approx(scipy.stats.gmean(ratios))
    expected = scipy.stats.ttest_1samp(np.log(ratios), 0.0).confidence_interval(0.95)
    assert mean.interval.low == pytest.approx(math.exp(expected.low))
    assert mean.interval.high == pytest.approx(math.exp(expected.high))
    alone = Results(points[:1]).mean
    assert alone is not None
    assert alone.interval is None
    assert Results([FAILED]).mean is None


def results(fail_above: float | None = 1.05) -> Results:
    points = [
        point(1.0, "resnet"),
        point(1.5, "vgg\x1b[31m <&>"),
        point(1.05, "mobilenet"),
        FAILED,
    ]
    return Results(points, [LeftOut("id-late", "late", "RUNNING")], fail_above)


def test_the_json_file_holds_what_the_terminal_tells(tmp_path: Path) -> None:
    as_json.write(results(), tmp_path / "out.json")
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["schema"] == 1
    assert (told["fail_above"], told["exit_status"], told["stopped"]) == (1.05, 1, False)
    assert told["counts"] == {"within": 1, "above": 1, "undecided": 1, "failed": 1}
    assert told["left_out"] == [{"run": "id-late", "name": "late", "status": "RUNNING"}]
    assert told["mean"]["points"] == 3
    assert [one["judged"] for one in told["points"]] == ["within", "above", "undecided", None]
    slow, broken = told["points"][1], told["points"][3]
    assert (broken["outcome"], broken["problem"]) == ("failed", FAILED.problem)
    assert slow["asked"].startswith("id-vgg")
    assert (slow["logged"], slow["differences"]) == (
        "kept",
        {"kernel": {"then": "Linux 1", "now": "Linux 2"}},
    )
    (compared_,) = slow["batches"]
    found = results().points[1].found
    assert found is not None
    text = report(found)
    for when in ("then", "now"):
        summary = compared_[when]
        interval = Interval(summary["ci_low_ms"], summary["ci_high_ms"])
        assert f"{when:11}{supported(summary['median_ms'], interval)} ms [" in text
        assert f"{summary['samples']} samples, {summary['sessions']} sessions" in text
    low, high = compared_["interval"]
    assert f"ratio      {compared_['ratio']:.3f} [{low:.3f}, {high:.3f}]  {compared_['told']}" in text


@pytest.mark.parametrize(
    ("fail_above", "elements"),
    [(1.05, [None, Failure, Skipped, Error, Skipped]), (None, [None, Failure, Failure, Error, Skipped])],
)
def test_the_junit_file_has_a_case_a_point(
    tmp_path: Path, fail_above: float | None, elements: list[type | None]
) -> None:
    """As junitparser reads it, and as Jenkins's schema wants it."""
    path = tmp_path / "out.xml"
    as_junit.write(results(fail_above), path)
    (suite,) = JUnitXml.fromfile(str(path))
    assert isinstance(suite, TestSuite)
    cases = list(suite)
    assert [type(case.result[0]) if case.result else None for case in cases] == elements
    counted = Counter(elements)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
        5,
        counted[Failure],
        counted[Error],
        counted[Skipped],
    )
    assert cases[0].name == "resnet id-resnet"
    assert "slower by a factor of 1.5" in cases[1].result[0].message
    assert "ratio      1.5" in str(cases[1].system_out)
    assert "\\x1b[31m <&>" in cases[1].name
    assert cases[3].result[0].text == FAILED.problem
    assert cases[0].time == 1.5

    root = ElementTree.parse(path).getroot()
    assert [root.tag, *(child.tag for child in root)] == ["testsuites", "testsuite"]
    for found in root.iter("testsuite"):
        assert found.attrib.keys() >= SUITE
        tags = [child.tag for child in found]
        assert [tag for tag, _ in itertools.groupby(tags)] == ["properties", "testcase"]
    for found in root.iter("testcase"):
        assert found.attrib.keys() == CASE


def test_the_terminal_tells_each_point_the_mean_and_the_limit() -> None:
    lines = as_text.summary(results()).splitlines()
    assert lines[1:5] == [
        "id-resnet  same; within 1.05",
        f"id-vgg\\x1b[31m <&>  {results().points[1].told}; above 1.05",
        f"id-mobilenet  {results().points[2].told}; undecided at 1.05",
        "broken  failed: bundle: model.so is missing",
    ]
    assert lines[5].startswith("mean       1.16")
    assert lines[6] == "limit      1.05: 1 above, 1 failed, 1 undecided, 1 within"
    assert as_text.summary(Results([point(1.0)])) == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fail_above=0.95"], "fail_above: 0.95 is no limit"),
        (["fail_above=nan"], "fail_above"),
        (["fail_above=inf"], "fail_above: inf is no limit"),
        (["fail_above=five"], "fail_above"),
        (["json=/nowhere/out.json"], "json: /nowhere/out.json cannot be written"),
        (["junit=/"], "junit: / is a folder"),
        (["junit=/proc/out.xml"], "junit: /proc/out.xml cannot be written"),
        (["json=same.out", "junit=./same.out"], "junit: same.out is the file of json="),
    ],
)
def test_a_mistake_is_refused_before_any_work(arguments: list[str], said: str) -> None:
    ended = dlas("redeploy", "run=none", "artifacts=/nowhere", *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_looking_whether_a_file_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old.xml"
    old.write_text("kept")
    Files(tmp_path / "new.json", old).require_writable()
    assert [path.name for path in tmp_path.iterdir()] == ["old.xml"]
    assert old.read_text() == "kept"
