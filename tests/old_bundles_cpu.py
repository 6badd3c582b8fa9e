"""The CPU that the bundles of tests/fixtures were made for."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

X86_64_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})
"""What it has beyond others, as Linux calls them in /proc/cpuinfo."""


def require_cpu_of_old_bundles() -> None:
    """Skip the test where this CPU can't run their code; fail it where that is an x86-64 one in CI, which has
    to have one that can. The system is asked: what dlas finds in a CPU may be what is wrong."""
    if platform.machine() != "x86_64":
        pytest.skip("old bundles hold x86-64 code")
    words = Path("/proc/cpuinfo").read_text().split()
    if missing := X86_64_V3 - set(words):
        told = f"old bundles need x86-64-v3, and this CPU lacks {', '.join(sorted(missing))}"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
