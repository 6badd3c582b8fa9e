"""What is shown while points are made: in a real terminal, and where there is none."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Mapping

import pytest
from command import REPOSITORY, environment
from terminal import INTERRUPT, Terminal, program

from dlas.points.messages import Finished, Started, Used
from dlas.points.progress import Progress
from dlas.points.view import in_lines
from dlas.points.view.lines import Lines
from dlas.points.view.status import Course
from dlas.points.view.written import Written

WORK = """
import logging, sys, time
logging.basicConfig(format="%(message)s")
from dlas.points import view
far = ["one"]
with view.fitting(lambda: [f"points: {far[0]} done " + "x" * 60]) as shown:
    shown.wrote(2, b"begun\\n" + b"\\r  0% of a bar")
    shown.tick()
    logging.warning("a warning of the command's own")
    print("and its own error", file=sys.stderr)
    shown.wrote(2, b"\\r 50% of a bar")
    shown.wrote(1, "an öutput\\n".encode())
    far[0] = "two"
    shown.tick()
    if "wait" in sys.argv:
        time.sleep(600)
    shown.wrote(2, b"\\r100% of a bar\\nnot end")
    shown.wrote(2, b"ed")
print("after it", file=sys.stderr)
logging.warning("and logged")
"""
SHOWN = [
    "begun",
    "a warning of the command's own",
    "and its own error",
    "an öutput",
    "100% of a bar",
    "not ended",
]
ENDED = [*SHOWN, "after it", "and logged"]
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")


def terminal(*arguments: str, columns: int = 80, **variables: str) -> Terminal:
    return Terminal(program([sys.executable, "-c", WORK, *arguments], environment(variables)), columns)


def test_a_live_view_swallows_nothing_and_leaves_nothing() -> None:
    shown = terminal()
    assert shown.end() == 0
    assert shown.screen == ENDED
    assert b"50% of a bar" in shown.written
    assert b"points: one done" in shown.written
    assert b"points: two done" in shown.written
    assert COLOURS.search(shown.written)


def test_it_stands_below_all_that_is_written_and_keeps_to_a_narrow_terminal() -> None:
    shown = terminal("wait", columns=30)
    assert shown.read_until(lambda: shown.screen[-1:] == [f"points: two done {12 * 'x'}…"])
    assert shown.screen[-2] == " 50% of a bar"
    assert not shown.cursor_is_hidden
    shown.type(INTERRUPT)
    assert shown.end() == -signal.SIGINT
    assert "points:" not in shown.text
    assert shown.screen[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_is_taken_at_its_word(variables: Mapping[str, str]) -> None:
    shown = terminal(**variables)
    assert shown.end() == 0
    assert shown.screen == ENDED
    if "TERM" in variables:
        assert b"\x1b" not in shown.written
    else:
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", shown.written)


def test_without_a_terminal_there_are_lines_alone_and_a_reader_may_leave() -> None:
    made = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -c 1 > /dev/null', sys.executable, WORK],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=REPOSITORY,
    )
    assert made.returncode == 0
    assert made.stderr.splitlines() == [line for line in ENDED if line != "an öutput"]


def test_a_bar_in_a_file_is_a_line_a_minute_and_its_end(capfd: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    with Lines(lambda: ["points: 1 done", "[2/3] tune for 5 min"], lambda: clock[0]).shown() as shown:
        for tick in range(1801):  # a bar that moves ten times a second, for three minutes
            clock[0] = tick / 10
            shown.wrote(2, f"\r{tick} of 1800 trials".encode())
            shown.tick()
        shown.wrote(2, b"\n")
        shown.wrote(1, b"a line\nand a half")
    stdout, stderr = capfd.readouterr()
    minute = "points: 1 done; [2/3] tune for 5 min"
    expected = [line for trial in (600, 1200, 1800) for line in (f"{trial} of 1800 trials", minute)]
    assert stderr.splitlines() == [*expected, "1800 of 1800 trials"]
    assert stdout == "a line\nand a half\n"


def test_lines_of_points_that_are_made_beside_each_other_begin_with_the_points_name(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with in_lines(lambda: [], "[1/2] algo=direct") as one, in_lines(lambda: [], "[2/2] algo=gemm") as other:
        one.wrote(2, b"train: sta")
        other.wrote(2, b"train: started\n")
        one.wrote(2, b"rted\n")
        one.wrote(1, b"no end")
    stdout, stderr = capfd.readouterr()
    assert stderr.splitlines() == ["[2/2] algo=gemm: train: started", "[1/2] algo=direct: train: started"]
    assert stdout == "[1/2] algo=direct: no end\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_they_come_in_parts(size: int) -> None:
    whole = "one\r\ntwö\n\r  0%\r 50%\r100%\n\nend\rEnd".encode()
    written = Written()
    lines = [line for at in range(0, len(whole), size) for line in written.lines(whole[at : at + size])]
    assert [line.decode() for line in lines] == ["one", "twö", "100%", ""]
    assert written.unended == b"End"
    assert written.end() == [b"End"]
    assert written.end() == []


def test_the_progress_of_a_point_names_each_step_and_what_it_took() -> None:
    clock = [0.0]
    took: dict[str, float] = {}
    progress = Progress(lambda: clock[0])
    course = Course(3, lambda: clock[0])
    course.begin_point()
    told = [Started("train"), Used("train/a"), Used("lower/b"), Started("build"), Used("build/c")]
    told += [
        Started("build"),
        Used("build/d"),
        Started("tune", goes_on=True),
        Used("tune/e"),
        Started("timing"),
    ]
    for message in told:
        progress.note(message)
        took |= progress.seconds
        clock[0] += 10
    assert took == {"train": 10, "build": 10, "build.2": 10}
    everything, one = course.lines("[1/3] ", "algo=gemm", progress, {"timing": 90})
    assert (
        everything
        == "points: 0 done, 1 running, 2 left; 1 min 40 s so far, the rest is not known before one is done"
    )
    assert one == "[1/3] timing for 10 s of about 1 min 30 s, shown seldom so as not to disturb it: algo=gemm"
    progress.note(Finished({}, {}))
    assert progress.seconds == {"timing": 10}
    course.end_point()
    course.begin_point()
    clock[0] += 40
    assert "points: 1 done, 1 running, 1 left; 2 min 20 s so far, about 2 min 40 s to go" in course.lines(
        "", "", progress, {}
    )
    course.end_point()
    course.begin_point()
    clock[0] += 80
    assert "points: 2 done, 1 running, 0 left; 3 min 40 s so far, longer than the points before took" in (
        course.lines("", "", progress, {})
    )
