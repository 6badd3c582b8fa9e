"""What a process writes, line by line. A line that is written over, as bars are, counts as it was last."""

from __future__ import annotations

from typing import Any


class Written:
    """A stream of bytes that comes in parts."""

    def __init__(self) -> None:
        self._begun = b""

    def lines(self, part: bytes) -> list[bytes]:
        """The lines that this part ends, each without its end and as it was last."""
        *ended, self._begun = (self._begun + part).split(b"\n")
        self._begun = _last_form(self._begun)
        return [_last_form(line).rstrip(b"\r") for line in ended]

    @property
    def unended(self) -> bytes:
        """The line that is not ended yet, as it is now."""
        return self._begun.strip(b"\r")

    def end(self) -> list[bytes]:
        """What was left without an end of its line."""
        left, self._begun = self.unended, b""
        return [left] if left else []


def _last_form(line: bytes) -> bytes:
    """The line from where it was written over last; a return at its end is kept, as more may come."""
    body = line.rstrip(b"\r")
    return line[body.rfind(b"\r") + 1 :]


def write(stream: Any, written: bytes) -> None:
    """Write to a text stream of this process, behind what it holds back; nowhere where its reader left."""
    try:
        stream.flush()
        stream.buffer.write(written)
        stream.flush()
    except BrokenPipeError:
        return
