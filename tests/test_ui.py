from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs
from urllib.request import urlopen

import html5lib
import pytest
from command import REPOSITORY, command, dlas, environment
from mlflow import MlflowClient
from open_points import start_point

from dlas import tracking

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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
    result = dlas("ui", late_env={"MLFLOW_TRACKING_URI": "http://mlflow.example:5000"})
    assert result.returncode == 0
    assert "http://mlflow.example:5000" in result.stdout


@dataclass(frozen=True)
class Shown:
    """A running UI, what it printed, and the runs of its store by their names."""

    address: str
    page: str
    told: str
    """What it printed after the page."""
    runs: Mapping[str, str]
    opened: Path
    """File in which a browser writes the page that it opens."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("ui")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "manifest.json").write_text("{}")
    runs = two_sweeps(tracking.open_store(folder / "artifacts"), folder / "bundle")
    # What its files are found by are not the places where they were written.
    (folder / "artifacts").rename(folder / "moved")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {folder}/new && mv {folder}/new {folder}/opened\n')
    browser.chmod(0o755)
    server = subprocess.Popen(
        command("ui", f"port={port}", f"artifacts={folder / 'moved'}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env={**environment(), "BROWSER": str(browser)},
        text=True,
    )
    assert server.stdout is not None
    address = f"http://127.0.0.1:{port}"
    try:
        page = next(line.strip() for line in server.stdout if address in line)
        told = "".join(iter(server.stdout.readline, "ready in half a minute; Ctrl-C stops it\n"))
        wait_for(f"{address}/health")
        yield Shown(address, page, told, runs, folder / "opened")
    finally:
        server.terminate()
        server.communicate(timeout=60)


def two_sweeps(store: tracking.Store, bundle: Path) -> dict[str, str]:
    """Two sweeps of two points each, the slower first; the newest took one of the earlier sweep, too, and has
    a redeploy. The ids of the runs by their names."""
    runs: dict[str, str] = {}
    for sweep in ("earlier", "newest"):
        taken = [runs["earlier gemm"]] if runs else []
        parent = tracking.start_sweep(store, sweep, {}, taken)
        runs[sweep] = parent.run_id
        for algo, latency in (("direct", 3.0), ("gemm", 2.0)):
            point = start_point(store, f"{sweep} {algo}", {}, parent.run_id)
            point.log(params={"algo.name": algo}, metrics={"latency.median_ms": latency})
            point.log_files(bundle, "bundle")
            tracking.close(point, "FINISHED")
            runs[f"{sweep} {algo}"] = point.run_id
        tracking.close(parent, "FINISHED")
    under = {"dlas.kind": "redeploy", "mlflow.parentRunId": runs["newest"]}
    store.client.create_run(store.experiment_id, run_name="a redeploy as they were", tags=under)
    return runs


@pytest.mark.slow
def test_the_ui_shows_the_project_s_runs_and_their_bundles(shown: Shown, tmp_path: Path) -> None:
    run = shown.runs["newest gemm"]
    served = wait_for(f"{shown.address}/get-artifact?path=bundle/manifest.json&run_uuid={run}")
    assert json.loads(served) == {}
    # The same server serves as the store of another machine.
    remote = tracking.open_store(tmp_path / "unused", shown.address)
    assert tracking.fetch(remote, run).status == "FINISHED"
    other = start_point(remote, "remote", {})
    other.log(metrics={"one": 1.0})
    tracking.close(other, "FINISHED")
    assert tracking.fetch(remote, other.run_id).metrics == {"one": 1.0}
    assert not (tmp_path / "unused").exists()


@pytest.mark.slow
def test_the_page_of_the_newest_sweep_is_printed_and_opened_with_a_view_of_its_points(shown: Shown) -> None:
    client = MlflowClient(shown.address)
    experiment = client.get_experiment_by_name("dlas")
    place, _, query = shown.page.partition("?")
    assert place == f"{shown.address}/#/experiments/{experiment.experiment_id}/runs"
    (key,) = parse_qs(query)["viewStateShareKey"]
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
    order = f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"
    found = client.search_runs([experiment.experiment_id], view["searchFilter"], order_by=[order])
    assert [run.info.run_name for run in found] == ["newest gemm", "newest direct"]
    assert {"params.`algo.name`", "metrics.`latency.median_ms`"} <= set(view["selectedColumns"])
    assert f"without 1 of earlier sweeps; all: python -m dlas.show sweep={key}" in shown.told
    assert wait_until_written(shown.opened) == shown.page


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.slow
def test_chromium_shows_the_points_of_the_newest_sweep_with_their_columns(
    shown: Shown, tmp_path: Path
) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    asked = ["--window-size=2500,1000", "--virtual-time-budget=60000", "--dump-dom", shown.page]
    ended = subprocess.run([str(CHROMIUM), *options, *asked], capture_output=True, text=True, timeout=300)
    page = html5lib.parse(ended.stdout, namespaceHTMLElements=False)
    links = ["".join(one.itertext()) for one in page.iter("a") if "/runs/" in (one.get("href") or "")]
    assert links == ["newest gemm", "newest direct"]
    cells = ["".join(one.itertext()) for one in page.iter() if one.get("role") == "gridcell"]
    assert {"gemm", "2", "direct", "3"} <= set(cells)


def wait_until_written(file: Path) -> str:
    """The text of the file once it is there."""
    end = time.monotonic() + STARTS_WITHIN_SECONDS
    while not file.exists():
        assert time.monotonic() < end, f"{file} was not written"
        time.sleep(0.2)
    return file.read_text()


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
