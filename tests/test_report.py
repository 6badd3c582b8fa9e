"""The report of a sweep that MLflow's client wrote, as other readers find it: a strict HTML parser, XML's, an
image library, MLflow's client, Chromium."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import generated_store
import html5lib
import pytest
from command import REPOSITORY, command, dlas, environment
from generated_store import BUNDLES, MARKUP, Generated
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
XHTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated_store.make(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def report(generated: Generated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    given = (f"sweep={generated.sweep}", f"artifacts={generated.artifacts}", f"out={folder}", "figures=true")
    ended = dlas("report", *given)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "7 points: 6 FINISHED, 1 FAILED." in ended.stdout
    return folder


def parsed(report: Path) -> ElementTree.Element:
    """The page, by a parser that raises where HTML's own rules are broken."""
    return html5lib.HTMLParser(strict=True).parse((report / "report.html").read_text())


def rows(report: Path, table: str) -> list[dict[str, str]]:
    with (report / "tables" / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_is_valid_and_has_each_part(report: Path) -> None:
    titles = ["".join(one.itertext()) for one in parsed(report).iter(f"{XHTML}h2")]
    assert titles == [
        *("In short", "Not beaten", "All points", "Networks", "Latency", "Speedup"),
        *("What the choices do to each other", "What the choices do to each other on emulated boards"),
        *(
            "The study's observations",
            "Where the time goes",
            "Tuning",
            "Every sample",
            "What could not be read",
        ),
    ]


def test_the_page_loads_nothing_and_runs_only_its_own_script(report: Path) -> None:
    elements = list(parsed(report).iter())
    assert len([one for one in elements if one.tag == f"{XHTML}script"]) == 1
    for one in elements:
        for name, value in one.attrib.items():
            assert not name.lower().startswith("on")
            if name.rpartition("}")[2] in ("src", "href", "srcset", "data"):
                assert value.startswith(("#", "data:image/png;base64,"))
    ids = [one.attrib["id"] for one in elements if "id" in one.attrib]
    assert len(ids) == len(set(ids))


def test_markup_in_names_and_reasons_is_shown_as_it_is(report: Path) -> None:
    page = parsed(report)
    cells = {"".join(cell.itertext()) for cell in page.iter(f"{XHTML}td")}
    assert MARKUP in cells
    assert "<b>the cat</b>" in "".join(page.itertext())
    assert not list(page.iter(f"{XHTML}img"))
    assert MARKUP in {row["model"] for row in rows(report, "points")}


def test_every_table_is_there_in_three_forms(report: Path) -> None:
    names = {path.stem for path in (report / "tables").iterdir()}
    assert {"points", "front", "baselines", "accuracy_drop", "latency", "speedup", "layers"} <= names
    for name in names:
        assert {path.suffix for path in (report / "tables").glob(f"{name}.*")} == {".csv", ".md", ".tex"}


def test_the_tables_have_the_numbers_of_mlflow_in_full(generated: Generated, report: Path) -> None:
    by_run = {row["run"]: row for row in rows(report, "points")}
    assert by_run.keys() == set(generated.runs.values())
    for name in ("tuned", "pruned", "emulated"):
        run = generated.client.get_run(generated.runs[name])
        assert float(by_run[run.info.run_id]["median ms"]) == run.data.metrics["latency.median_ms"]
    assert by_run[generated.runs["bare"]]["median ms"] == ""
    assert by_run[generated.runs["pruned"]]["notes"] == "unsteady"
    assert by_run[generated.runs["tuned"]]["notes"] == "no tuned kernel kept"


def test_a_pruned_network_is_compared_with_its_dense_one(report: Path) -> None:
    (row,) = rows(report, "speedup")
    assert float(row["against same"]) == pytest.approx(0.008 / 0.004)
    assert float(row["reached"]) == pytest.approx(0.5)
    assert float(row["against best"]) == pytest.approx(0.007 / 0.004)


def test_points_of_the_front_come_with_the_command_that_redeploys_them(
    generated: Generated, report: Path
) -> None:
    commands = [row["deploy it again"] for row in rows(report, "front")]
    assert (
        f"python -m dlas.redeploy run={generated.runs['pruned']} artifacts={generated.artifacts}" in commands
    )


def test_layers_stand_beside_what_their_machine_has_at_most(report: Path) -> None:
    """Counted by hand for an int8 layer and for one of which 15 % of the weights are stored."""
    found = {(row["type"] or row["format"], row["shape"]): row for row in rows(report, "layers")}
    dense = found["dense", "i3x32x32_o8_k3x3_s2x2"]
    assert float(dense["op/byte"]) == pytest.approx(2 * 55296 / (3 * 32 * 32 + 8 * 16 * 16 + 640))
    assert float(dense["of roof"]) == pytest.approx(2 * 55296 / 0.004198e6 / (19.2 * 20))
    sparse = found["csr", "i8x16x16_o16_k3x3_s2x2"]
    operations, moved = 2 * 73728 * (1 - 0.8515625), 4 * (8 * 16 * 16 + 16 * 8 * 8) + 1094
    assert float(sparse["op/byte"]) == pytest.approx(operations / moved)
    assert float(sparse["of roof"]) == pytest.approx(operations / 0.002635e6 / (20 * operations / moved))


def test_points_whose_roofs_are_not_known_are_counted(report: Path) -> None:
    told = (report / "report.md").read_text()
    assert "are not known of 4 of 6 points" in told
    assert "while the board did not hold still for 1 of 6 points" in told


def test_layers_are_those_of_the_bundles(report: Path) -> None:
    told = [(row["layer"], float(row["ms"])) for row in rows(report, "layers")]
    for bundle in ("csr", "metaschedule", "int8"):
        with (BUNDLES / bundle / "layers.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                assert (row["layer"], float(row["time_ms"])) in told


def test_every_sample_is_drawn(report: Path) -> None:
    timings = [
        json.loads((BUNDLES / name / "timing.json").read_text()) for name in ("csr", "int8", "metaschedule")
    ]
    count = sum(len(session["samples_ns"]) for timing in timings for session in timing["sessions"])
    assert f"Every one of {count} samples" in "".join(parsed(report).itertext())


def test_figures_are_files_that_others_read(report: Path) -> None:
    names = {path.stem for path in (report / "figures").iterdir()}
    assert {"front_digits_host", "speedup", "layers", "roofline", "tuning", "samples"} <= names
    for name in names:
        assert ElementTree.parse(report / "figures" / f"{name}.svg").getroot().tag.endswith("svg")
        with Image.open(report / "figures" / f"{name}.png") as image:
            assert len(image.convert("L").getcolors() or []) > 5


def test_the_course_of_a_search_ends_where_the_tuner_says(report: Path) -> None:
    from dlas.bundle.layer_table import read_layers
    from dlas.report.tuning_course import course

    for tuner in ("metaschedule", "ansor"):
        bundle = BUNDLES / tuner
        told = json.loads((bundle / "tuning" / "tuning.json").read_text())["layers"]
        found = course("one", tuner, bundle / "tuning", read_layers(bundle / "layers.csv"))
        assert found is not None
        assert found.best_ms[-1] == pytest.approx(
            sum(layer["count"] * layer["best_ms"] for layer in told), rel=1e-3
        )
        assert (found.best_ms[1:] <= found.best_ms[:-1]).all()
        assert found.trials[-1] == sum(layer["trials"] for layer in told)


def test_the_report_lies_on_the_sweep_s_run(generated: Generated, report: Path) -> None:
    client = generated.client
    assert "report/report.html" in {one.path for one in client.list_artifacts(generated.sweep, "report")}
    description = client.get_run(generated.sweep).data.tags["mlflow.note.content"]
    assert description.startswith("# A sweep of 7 points over model, compression, algo")
    assert "7 points: 6 FINISHED, 1 FAILED." in description


def test_an_empty_sweep_and_one_point_have_reports(generated: Generated, tmp_path: Path) -> None:
    client = generated.client
    for count in (0, 1):
        sweep = client.create_run(generated.experiment, tags={"dlas.kind": "sweep"}).info.run_id
        for _ in range(count):
            tags = {"dlas.kind": "point", "mlflow.parentRunId": sweep}
            run = client.create_run(generated.experiment, tags=tags).info.run_id
            client.log_metric(run, "latency.median_ms", float("nan"))
            client.set_terminated(run)
        ended = dlas("report", f"sweep={sweep}", f"artifacts={generated.artifacts}", f"out={tmp_path}")
        assert ended.returncode == 0, ended.stderr
        assert ("The sweep has no points." if count == 0 else "1 point: 1 FINISHED.") in ended.stdout
        parsed(tmp_path)


@pytest.mark.parametrize(
    ("given", "status", "problem"),
    [
        (["sweep=nothing"], 1, "run: there is no run 'nothing'"),
        ([], 2, "sweep: is not given"),
        (["sweep=x", "figure=true"], 2, "figure: unknown key"),
    ],
)
def test_a_mistake_is_told_plainly(generated: Generated, given: list[str], status: int, problem: str) -> None:
    ended = dlas("report", *given, f"artifacts={generated.artifacts}")
    assert ended.returncode == status
    assert ended.stderr.startswith(problem)
    assert "Traceback" not in ended.stderr


def test_a_folder_that_can_t_be_written_is_refused_before_any_reading(generated: Generated) -> None:
    given = (f"sweep={generated.sweep}", f"artifacts={generated.artifacts}", "out=/proc/report")
    ended = dlas("report", *given)
    assert ended.returncode == 1
    assert ended.stderr.startswith("out: /proc/report is no folder that can be written")


def test_a_store_that_can_only_be_read_has_reports(generated: Generated, tmp_path: Path) -> None:
    place = generated.artifacts
    mount = f"mount --bind '{place}' '{place}' && mount -o remount,ro,bind '{place}'"
    apart = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run([*apart, mount], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a folder read-only")
    given = (f"sweep={generated.sweep}", f"artifacts={place}", f"out={tmp_path}")
    ended = subprocess.run(
        [*apart, f'{mount} && exec "$@"', "sh", *command("report", *given)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment(),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"not logged sqlite:///{place}/mlflow.db can only be read" in ended.stdout
    assert (tmp_path / "report.html").exists()


def test_a_point_is_no_sweep(generated: Generated) -> None:
    ended = dlas("report", f"sweep={generated.runs['dense']}", f"artifacts={generated.artifacts}")
    assert ended.returncode == 1
    assert "is no sweep" in ended.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.slow
def test_chromium_shows_the_page_without_complaint_and_sorts_its_tables(report: Path, tmp_path: Path) -> None:
    page = (report / "report.html").read_text()
    click = (
        "<script>const heads = [...document.querySelectorAll('th button')];"
        "heads.find(one => one.textContent === 'median ms').click();</script></body>"
    )
    (tmp_path / "page.html").write_text(page.replace("</body>", click))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command = [
        str(CHROMIUM),
        *options,
        "--enable-logging=stderr",
        "--dump-dom",
        f"file://{tmp_path}/page.html",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "CONSOLE" not in ended.stderr
    shown = html5lib.parse(ended.stdout)
    table = next(one for one in shown.iter(f"{XHTML}table") if "deploy it again" in "".join(one.itertext()))
    (at,) = (n for n, head in enumerate(table.iter(f"{XHTML}th")) if "".join(head.itertext()) == "median ms")
    found = [
        float(list(row)[at].attrib["data-v"])
        for row in table.iter(f"{XHTML}tr")
        if row.find(f"{XHTML}td") is not None
    ]
    assert len(found) > 1
    assert found == sorted(found)
    assert re.search(r'<th scope="col" aria-sort="ascending">', ended.stdout)
