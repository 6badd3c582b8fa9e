from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dlas.errors import UserError
from dlas.processes import deadline

LONG_SECONDS = 600.0


def refuse() -> None:
    raise UserError("it is closed", key="door", remedy="another one")


def test_a_result_comes_back_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHANGED", raising=False)

    def work() -> int:
        os.environ["CHANGED"] = "yes"
        return os.getpid()

    assert deadline.within(LONG_SECONDS, work) != os.getpid()
    assert "CHANGED" not in os.environ


def test_an_exception_comes_back_whole() -> None:
    with pytest.raises(UserError, match="door: it is closed") as caught:
        deadline.within(LONG_SECONDS, refuse)
    assert caught.value.remedy == "another one"


def test_work_that_takes_longer_is_over(tmp_path: Path) -> None:
    def work() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(LONG_SECONDS)

    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        deadline.within(1, work)
    assert time.monotonic() - begun < LONG_SECONDS
    if (tmp_path / "pid").exists():  # a very busy machine may not have come so far
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_work_that_ends_its_process_is_told() -> None:
    with pytest.raises(ChildProcessError):
        deadline.within(LONG_SECONDS, lambda: os._exit(3))
