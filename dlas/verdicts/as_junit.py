"""The results as a JUnit report, which GitHub's and GitLab's pages and Jenkins show: a test case a point.

The elements and attributes are those of the schema of Jenkins's xUnit plugin (junit-10.xsd), to which pytest
keeps as well. `seconds` of a case are those that redeploying it took, not its latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dlas.hardware.results.comparison import Outcome
from dlas.hardware.results.limit import Judgement
from dlas.printable import printable, printable_lines
from dlas.verdicts.point_as_text import report
from dlas.verdicts.result import LeftOut, Result, Results

SUITE = "dlas.redeploy"

ERROR, FAILURE, SKIPPED = "error", "failure", "skipped"

ELEMENTS: Mapping[str, str] = {
    "failed": ERROR,
    Outcome.SLOWER.value: FAILURE,
    Judgement.ABOVE.value: FAILURE,
    Outcome.UNCLEAR.value: SKIPPED,
    Judgement.UNDECIDED.value: SKIPPED,
}
"""Elements in the test case of a point, by its judgement or verdict in a word; one that passes has none."""


def write(results: Results, path: Path) -> None:
    """Write the report."""
    root = element(results)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def element(results: Results) -> Element:
    """The report's root, with one suite."""
    cases = [_case(point, results) for point in results.points] + [_left_out(one) for one in results.left_out]
    counts = {
        "tests": str(len(cases)),
        "failures": _count(cases, FAILURE),
        "errors": _count(cases, ERROR),
        "time": _seconds(sum(point.seconds for point in results.points)),
    }
    root = Element("testsuites", {"name": SUITE, **counts})
    suite = SubElement(root, "testsuite", {"name": SUITE, **counts, "skipped": _count(cases, SKIPPED)})
    properties = {
        "fail_above": results.fail_above,
        "mean_ratio": None if results.mean is None else results.mean.ratio,
        "stopped": None if results.stopped is None else True,
    }
    told = SubElement(suite, "properties")
    for name, value in properties.items():
        if value is not None:
            SubElement(told, "property", {"name": name, "value": str(value)})
    suite.extend(cases)
    return root


def _case(point: Result, results: Results) -> Element:
    case = _named(point.name, point.asked, point.seconds)
    word = results.word(point)
    if word in ELEMENTS:
        outcome = SubElement(case, ELEMENTS[word], {"message": printable(point.told), "type": word})
        if point.problem:
            outcome.text = printable_lines(point.problem)
    if point.found is not None:
        SubElement(case, "system-out").text = report(point.found)
    return case


def _left_out(point: LeftOut) -> Element:
    case = _named(point.name, point.run, 0.0)
    SubElement(case, SKIPPED, {"message": printable(f"left out: it is {point.status}"), "type": "left out"})
    return case


def _named(name: str, asked: str, seconds: float) -> Element:
    """A test case by the name of its point, and the run's id since several may have one name."""
    shown = f"{name} {asked}" if name else asked
    return Element("testcase", {"classname": SUITE, "name": printable(shown), "time": _seconds(seconds)})


def _count(cases: list[Element], element: str) -> str:
    return str(sum(case.find(element) is not None for case in cases))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
