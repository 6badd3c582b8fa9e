"""The forms of a table: what other readers make of them."""

from __future__ import annotations

import csv
import io

from dlas.analysis.table import CSV, LATEX, MARKDOWN, Cell, Table, as_text, text

ODD = "a|b <b>& 50 % of $x_1$ \\ *z*"
TABLE = Table(
    "times",
    "Times",
    ("name", "ms"),
    (
        (text(ODD), Cell("1.2", 1.23456, best=True)),
        (text("=cmd()"), Cell("13", 12.9)),
        (text("\x1b[31mred\n"), Cell("-")),
    ),
    ("a note",),
)


def test_csv_has_the_numbers_in_full_and_computes_nothing_in_a_spreadsheet() -> None:
    rows = list(csv.reader(io.StringIO(CSV.text(TABLE))))
    assert rows[0] == ["name", "ms"]
    assert rows[1] == [ODD, "1.23456"]
    assert rows[2] == ["'=cmd()", "12.9"]
    assert rows[3][1] == ""


def test_text_is_aligned_and_without_escape_codes() -> None:
    lines = as_text(TABLE).splitlines()
    assert lines[0] == "Times"
    assert lines[2].index("ms") == lines[4].index("13")
    assert lines[3].endswith("1.2 *")
    assert "\x1b" not in as_text(TABLE)
    assert lines[-1] == "a note"


def test_markdown_escapes_what_would_be_markup() -> None:
    row = MARKDOWN.text(TABLE).splitlines()[4]
    assert row == r"| a\|b \<b\>& 50 % of \$x\_1\$ \\ \*z\* | **1.2** |"


def test_latex_escapes_what_would_be_a_command() -> None:
    lines = LATEX.text(TABLE).splitlines()
    assert lines[1] == r"\begin{tabular}{lr}"
    expected = (
        r"a\textbar{}b \textless{}b\textgreater{}\& 50 \% of \$x\_1\$ \textbackslash{} *z* & \textbf{1.2} \\"
    )
    assert lines[5] == expected
