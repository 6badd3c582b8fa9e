"""Quotas of the processor's time, by files as Linux's documentation tells of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlas import config, quota
from dlas.errors import UserError
from dlas.hardware.sessions.process import starting
from dlas.hardware.targets import machine, resolving


def granted(folder: Path, groups: str, files: dict[str, str]) -> int | None:
    (folder / "groups").write_text(groups)
    for name, text in files.items():
        file = folder / "mounted" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return quota.cores(folder / "groups", folder / "mounted")


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "250000 100000"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "250000 100000"}, 1),
        ("0::/not/seen/here\n", {"cpu.max": "300000 100000"}, 3),
        (
            "3:cpuset:/x\n2:cpu,cpuacct:/c\n0::/\n",
            {"cpu,cpuacct/c/cpu.cfs_quota_us": "150000", "cpu,cpuacct/c/cpu.cfs_period_us": "50000"},
            3,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_a_quota_is_worth_so_many_cores(
    groups: str, files: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    assert granted(tmp_path, groups, files) == expected


def test_there_is_no_quota_without_linux(tmp_path: Path) -> None:
    assert quota.cores(tmp_path / "nowhere", tmp_path) is None


def test_threads_follow_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(machine, "usable", lambda: tuple(range(8)))
    assert resolving.resolve(config.Target("host")).placement.threads == 8
    monkeypatch.setattr(quota, "cores", lambda: 3)
    assert resolving.resolve(config.Target("host")).placement.threads == 3
    assert resolving.resolve(config.Target("host", affinity=[0, 1])).placement.threads == 2
    with pytest.raises(UserError, match="4 cores can't be used here") as caught:
        resolving.resolve(config.Target("host", cores=4))
    assert caught.value.key == "target.cores"
    told: dict[str, str] = {}
    quota.follow(told)
    assert told == {"OMP_NUM_THREADS": "3"}
    quota.follow(told := {"OMP_NUM_THREADS": "5"})
    assert told == {"OMP_NUM_THREADS": "5"}, "a user's own word"


def test_a_session_s_threads_follow_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "usable_cores", lambda: 2)
    assert starting.environment(8, [0, 1, 2, 3])["TVM_NUM_THREADS"] == "2"
