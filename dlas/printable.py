"""Text that someone else wrote, made harmless to print: no escape codes, no new lines, no end of it.

Whatever comes from a bundle, a tuning log or a board goes through here before it is printed or logged.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 500
"""Largest number of characters; what is longer is cut."""


def printable(value: object, longest: int = LONGEST) -> str:
    """`value` as text on one line: characters that do not print are spelled by their codes, `\\x1b`."""
    text = str(value)
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    if cut.isprintable():
        return cut
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in cut)


def printable_lines(text: str) -> str:
    """`text` with its new lines, and no other character that does not print."""
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))


def last_line_of(text: str, otherwise: str) -> str:
    """The last line of what a program wrote, where it tells the cause; `otherwise` of blank text."""
    return (text.strip().splitlines() or [otherwise])[-1].strip()


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells as lines of text, with each column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
