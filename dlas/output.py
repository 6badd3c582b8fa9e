"""Standard output that no reader and no locale can make a command fail by."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


class _Output(io.TextIOWrapper):
    """Text for whoever reads it: nobody, once the reader has left as `head` does."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._go_nowhere()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._go_nowhere()

    def _go_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Print to the standard output as before, but go on where its reader has left, and spell out by their
    codes the characters that its encoding lacks."""
    before = sys.stdout
    before.flush()
    output = _Output(
        before.buffer, before.encoding, errors="backslashreplace", line_buffering=before.isatty()
    )
    try:
        with redirect_stdout(output):
            yield
    finally:
        output.flush()
        output.detach()
