from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from command import REPOSITORY, command, dlas, environment

from dlas import tracking

STARTS_WITHIN_SECONDS = 180


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_taken_port_is_told_with_another_one(taken_port: int, tmp_path: Path) -> None:
    result = dlas("ui", f"port={taken_port}", f"artifacts={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.startswith("port: ")
    assert f"port={taken_port + 1}" in result.stderr


@pytest.mark.parametrize(
    ("argument", "key"), [("port=http", "port"), ("port=0", "port"), ("prot=5000", "prot"), ("5000", "5000")]
)
def test_a_mistake_is_refused_by_its_key(argument: str, key: str) -> None:
    result = dlas("ui", argument)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{key}: ")


def test_runs_on_a_server_are_looked_at_there() -> None:
    result = dlas("ui", env={"MLFLOW_TRACKING_URI": "http://mlflow.example:5000"})
    assert result.returncode == 0
    assert "http://mlflow.example:5000" in result.stdout


@pytest.mark.slow
def test_the_ui_shows_the_project_s_runs_and_their_bundles(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    run = tracking.start_point(tracking.open_store(tmp_path / "artifacts"), "shown", {})
    run.log_files(tmp_path / "bundle", "bundle")
    tracking.close(run, "FINISHED")
    # What its files are found by are not the places where they were written.
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        command("ui", f"port={port}", f"artifacts={tmp_path / 'moved'}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env=environment(),
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        served = wait_for(f"{address}/get-artifact?path=bundle/manifest.json&run_uuid={run.run_id}")
        assert json.loads(served) == {}
        # The same server serves as the store of another machine.
        remote = tracking.open_store(tmp_path / "unused", address)
        assert tracking.fetch(remote, run.run_id).status == "FINISHED"
        other = tracking.start_point(remote, "remote", {})
        other.log(metrics={"one": 1.0})
        tracking.close(other, "FINISHED")
        assert tracking.fetch(remote, other.run_id).metrics == {"one": 1.0}
        assert not (tmp_path / "unused").exists()
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=60)
    assert address in output


def wait_for(url: str) -> bytes:
    """What the URL answers once somebody listens."""
    started = time.monotonic()
    while True:
        try:
            with urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        except URLError:
            if time.monotonic() - started > STARTS_WITHIN_SECONDS:
                raise
            time.sleep(0.5)
