from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs
from urllib.request import urlopen

import chromium
import pytest
from chromium import Page
from command import REPOSITORY, command, dlas, environment
from mlflow import MlflowClient
from open_points import start_point

from dlas import tracking
from dlas.report import command as report

STARTS_WITHIN_SECONDS = 180

MORE = " compression=weight_pruning"
"""What else is in the name of a point."""


def in_chromium(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs a browser."""
    needed = pytest.mark.skipif(chromium.FOUND is None, reason="there is no Chromium here")
    return needed(pytest.mark.slow(test))


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
    result = dlas("ui", env={"MLFLOW_TRACKING_URI": "http://ada:secret@mlflow.example:5000"})
    assert result.returncode == 0
    assert "http://mlflow.example:5000" in result.stdout
    assert "secret" not in result.stdout


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
    (folder / "bundle" / "layers.csv").write_text("layer,time_ms\nfeatures.0,0.25\nclassifier,0.125\n")
    runs = two_sweeps(tracking.open_store(folder / "artifacts"), folder / "bundle")
    asked = [f"sweep={runs['newest']}", f"artifacts={folder / 'artifacts'}", f"out={folder / 'report'}"]
    assert report.main([*asked, "figures=true"]) == 0
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
    a redeploy. The ids of the runs by the beginnings of their names."""
    runs: dict[str, str] = {}
    for sweep in ("earlier", "newest"):
        taken = [runs["earlier gemm"]] if runs else []
        parent = tracking.start_sweep(store, sweep, {}, taken)
        runs[sweep] = parent.run_id
        for algo, latency in (("direct", 3.0), ("gemm", 2.0)):
            point = start_point(store, f"{sweep} {algo}{MORE}", {}, parent.run_id)
            params = {"algo.name": algo, "model.name": "net", "target.name": "host"}
            metrics = {"accuracy.deployed": latency / 4, "bytes.format": 1000.0, "latency.median_ms": latency}
            point.log(params=params, metrics=metrics)
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
    packed = experiment.tags[f"mlflow.sharedViewState.{key}"]
    view = json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("deflate;"))))
    order = f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"
    found = client.search_runs([experiment.experiment_id], view["searchFilter"], order_by=[order])
    assert [run.info.run_name for run in found] == [f"newest gemm{MORE}", f"newest direct{MORE}"]
    assert {"params.`algo.name`", "metrics.`latency.median_ms`"} <= set(view["selectedColumns"])
    assert f"without 1 of earlier sweeps; all: python -m dlas.show sweep={key}" in shown.told
    assert wait_until_written(shown.opened) == shown.page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium.browsing(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


def require_content(page: Page) -> None:
    """MLflow itself asks a server without users who the user is, and complains of the answer."""
    assert [one for one in page.complaints if "mlflow/users/current" not in one] == []


NAMES = "[...document.querySelectorAll('a[href*=\"/runs/\"]')]"


@in_chromium
def test_chromium_lists_the_points_of_the_newest_sweep_with_whole_names_and_columns(
    shown: Shown, page: Page, tmp_path: Path
) -> None:
    page.open(shown.page, width=2500)
    page.shows(f"{NAMES}.length == 2")
    assert page.shows(f"{NAMES}.map(one => one.innerText)") == [f"newest gemm{MORE}", f"newest direct{MORE}"]
    cells = page.shows("[...document.querySelectorAll('[role=gridcell]')].map(one => one.innerText)")
    assert {"gemm", "2", "direct", "3"} <= set(cells)
    heads = "[...document.querySelectorAll('[role=columnheader] *')]"
    assert page.shows(f"{heads}.some(one => one.innerText == 'latency.median_ms')")
    wide = "one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0"
    cut = f"[...{heads}, ...{NAMES}].filter(one => {wide})"
    told = page.shows(f"JSON.stringify({cut}.map(one => one.innerText))")
    assert set(json.loads(told)) <= {"Duration"}  # a column of MLflow's own
    page.shoot(tmp_path / "runs.png")
    require_content(page)


@in_chromium
def test_chromium_draws_latency_against_accuracy_first(shown: Shown, page: Page, tmp_path: Path) -> None:
    page.open(f"{shown.page}&compareRunsMode=CHART")
    page.shows("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 3")
    text = page.text()
    assert -1 < text.find("Latency, accuracy, size") < text.find("Model metrics")
    titles = "[...document.querySelectorAll('.ytitle')].map(one => one.textContent)"
    assert page.shows(f"{titles}.includes('accuracy.deployed')")
    page.shoot(tmp_path / "charts.png")
    require_content(page)


@in_chromium
def test_chromium_compares_two_points_by_latency(shown: Shown, page: Page, tmp_path: Path) -> None:
    page.open(shown.page, width=2500)
    page.shows(f"{NAMES}.length == 2")
    for row in (0, 1):
        page.press(f"document.querySelector('[row-index=\"{row}\"] input[type=checkbox]')")
    page.press("[...document.querySelectorAll('button')].find(one => one.innerText == 'Compare')")
    page.shows("document.body.innerText.includes('Comparing 2 Runs from 1 Experiment')")
    page.shows("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 1")
    chosen = page.text().partition("Run details")[0]
    assert "algo.name" in chosen
    assert "latency.median_ms" in chosen
    page.shoot(tmp_path / "compared.png")
    require_content(page)


@in_chromium
def test_chromium_opens_a_table_an_image_and_the_report(shown: Shown, page: Page, tmp_path: Path) -> None:
    runs = shown.page.partition("?")[0]
    point, sweep = (f"{runs}/{shown.runs[name]}/artifacts" for name in ("newest gemm", "newest"))
    page.open(f"{point}/bundle/layers.csv")
    page.shows("[...document.querySelectorAll('td')].some(one => one.innerText == 'features.0')")
    page.shoot(tmp_path / "table.png")
    page.open(f"{sweep}/report/figures/layers.png")
    page.shows("[...document.querySelectorAll('img')].some(one => one.naturalWidth > 300)")
    page.shoot(tmp_path / "image.png")
    page.open(f"{sweep}/report/report.html")
    widths = "[...document.querySelectorAll('figure svg')].map(one => one.getBoundingClientRect().width)"
    assert page.shows(f"{widths}.some(width => width > 300)", in_frame=True)
    assert page.shows("document.querySelectorAll('table').length", in_frame=True) >= 2
    page.shoot(tmp_path / "report.png")
    require_content(page)


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
