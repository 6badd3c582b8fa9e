"""What `--plan` tells of points before they are made, and what was told of them once they are."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command import dlas
from mlflow import MlflowClient
from PIL import Image

from dlas import datasets
from dlas.errors import UserError
from dlas.plugins.registry import DATASETS
from dlas.points import fingerprint
from dlas.stages.checks.images import ReadImages
from dlas.stages.store.store import StageStore

SMALL = (
    "model=two_layers",
    "compression=none",
    "tuner=none",
    "timing=quick",
    "timing.runs=5",
    "timing.roofs=true",
    "algo=gemm,winograd_f2",
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A folder with images of a user's own, and what a command on them is given."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "conf" / "model").mkdir(parents=True)
    option = folder / "conf" / "model" / "two_layers.yaml"
    option.write_text("name: two_layers\nfactory: user_models.two_layers\n")
    for animal, grey in (("cat", 50), ("dog", 200)):
        (folder / "images" / animal).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((32, 32, 3), grey + number, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / animal / f"{number}.png")
    images = ("dataset=folder", f"dataset.root={folder / 'images'}")
    artifacts = f"artifacts={folder / 'artifacts'}"
    return folder, ("--config-dir", str(folder / "conf"), "-m", *SMALL, *images, artifacts)


def cells(told: subprocess.CompletedProcess[str], point: str) -> list[str]:
    """What the plan tells of a point: its name, what is done, what is to be made, how long it may take."""
    (line,) = (line for line in told.stdout.splitlines() if line.startswith(f"{point} "))
    return re.split(r"\s{2,}", line)[1:]


def content(folder: Path) -> dict[str, str]:
    """The files of the runs below the folder, by what is in them."""
    files = [*folder.glob("artifacts/mlflow.db*"), *folder.glob("artifacts/mlruns/**/*.*")]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def test_a_broken_image_of_the_first_set_is_refused_before_the_start(
    given: tuple[Path, tuple[str, ...]],
) -> None:
    folder, arguments = given
    image = folder / "images" / "cat" / "3.png"
    whole = image.read_bytes()
    image.write_bytes(b"no image")
    try:
        refused = dlas("run", *arguments, "train.epochs=1")
    finally:
        image.write_bytes(whole)
    assert refused.returncode == 2
    assert f"1 of 20 images cannot be read: {image}" in refused.stderr
    assert "[point 1 of 2: algo=gemm]" in refused.stderr
    assert not content(folder)


def test_a_plan_tells_what_is_to_be_made_what_is_done_and_how_long_it_took(
    given: tuple[Path, tuple[str, ...]],
) -> None:
    folder, arguments = given
    first = dlas("run", "--plan", *arguments, "train.epochs=1")
    assert first.returncode == 0, first.stderr
    stages = "lower, tune, kernels, build, deploy, timing"
    assert cells(first, "1/2") == ["algo=gemm", "-", f"roofs, train, {stages}", "not known"]
    shared = "roofs of 1/2, train of 1/2"
    assert cells(first, "2/2") == ["algo=winograd_f2", "-", f"{shared}, {stages}", "not known"]
    assert "2/2  winograd_f2 -> spatial_pack: 0, 3 (winograd serves stride 1 only)" in first.stdout
    assert not content(folder)

    of_gemm = [each.replace(",winograd_f2", "") for each in arguments]
    assert dlas("run", *of_gemm, "train.epochs=1").returncode == 0
    before = content(folder)
    client = MlflowClient(f"sqlite:///{folder / 'artifacts' / 'mlflow.db'}")
    (run,) = client.search_runs(["1"], "tags.`dlas.kind` = 'point'")
    took = {name for name in run.data.metrics if name.startswith("seconds.")}
    assert took == {f"seconds.{stage}" for stage in f"roofs, train, {stages}, bundle".split(", ")}
    images_read = sorted((folder / "artifacts" / "stages" / "images").iterdir())

    again = dlas("run", "--plan", *arguments, "train.epochs=1,40", "timing.batch_sizes=[1,2]", "rerun=none")
    assert again.returncode == 0, again.stderr
    assert content(folder) == before
    assert sorted((folder / "artifacts" / "stages" / "images").iterdir()) == images_read
    single, batches = stages.removesuffix(", timing"), "lower-batch, build.2, timing"
    assert cells(again, "1/4")[1:3] == [f"roofs, train, {single}", batches]
    assert cells(again, "2/4")[1:3] == ["roofs", f"train, {single}, {batches}"]
    assert cells(again, "3/4")[1] == "roofs, train"
    assert cells(again, "4/4")[2].startswith("train of 2/4, lower, ")
    seconds = round(40 * run.data.metrics["seconds.train"])
    assert cells(again, "2/4")[3].startswith(f"about {seconds} s; not known: lower, ")

    last = dlas("run", "--plan", *arguments, "train.epochs=1", "rerun=failed")
    assert cells(last, "1/2")[1:] == [f"all: FINISHED earlier, run {run.info.run_id}", "-", "-"]
    assert "1 of 2 points to be made" in last.stdout


def test_a_mistake_is_told_by_a_plan_as_by_a_start() -> None:
    refused = dlas("run", "--plan", "-m", "model=vgg16", "train.epochs=1,-1")
    assert refused.returncode == 2
    assert "train.epochs" in refused.stderr
    assert not refused.stdout


def test_what_was_read_of_images_is_kept_until_a_file_changes(
    given: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(given[0] / "images", tmp_path / "images"))
    settings = DATASETS.load("folder").Settings("folder", root=str(root))
    started: list[object] = []
    store = StageStore(tmp_path / "stages", on_start=lambda *what: started.append(what))
    first = store.obtain(ReadImages(settings=settings, files=fingerprint.files_of(settings)))
    dataset = datasets.load(settings)
    assert (first.image_shape, first.classes, first.deviations) == (dataset.image_shape, 2, dataset.std)
    store.obtain(ReadImages(settings=settings, files=fingerprint.files_of(settings)))
    assert len(started) == 1
    for image in root.rglob("*.png"):
        Image.new("RGB", (32, 32), (7, 8, 9)).save(image)
    fingerprint._files.cache_clear()  # as a new process finds them
    constant = store.obtain(ReadImages(settings=settings, files=fingerprint.files_of(settings)))
    with pytest.raises(UserError, match="channel 0, 1, 2"):
        datasets.require_varied("folder", constant.deviations)
