"""The files that a script asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dlas.errors import require
from dlas.files.folders import require_writable_file
from dlas.printable import printable
from dlas.verdicts.result import Results


@dataclass(frozen=True)
class Files:
    """Where the results go beside the terminal; None where a file was not asked for."""

    json: Path | None = None
    junit: Path | None = None

    def require_writable(self) -> None:
        """UserError, before any work, for a file that can't be written, and for one that is to hold both."""
        named = {"json": self.json, "junit": self.junit}
        for key, path in named.items():
            if path is not None:
                require_writable_file(key, path)
        if self.json is not None and self.junit is not None:
            same = os.path.realpath(self.json) == os.path.realpath(self.junit)
            require(not same, "junit", f"{self.junit} is the file of json=, too", "another file")

    def write(self, results: Results) -> None:
        """Write what was asked for, and tell where it is."""
        from dlas.verdicts import as_json, as_junit

        if self.json is not None:
            as_json.write(results, self.json)
            print(printable(f"written    {self.json}"))
        if self.junit is not None:
            as_junit.write(results, self.junit)
            print(printable(f"written    {self.junit}"))
