"""The commands as a user starts them: in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This one's, without what a developer's own MLflow would add, and with the tests' modules."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**kept, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", **(extra or {})}


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"dlas.{module}", *arguments]


def dlas(
    module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m dlas.<module> <arguments>`, run to its end."""
    return subprocess.run(
        command(module, *arguments),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment(env),
        timeout=900,
    )
