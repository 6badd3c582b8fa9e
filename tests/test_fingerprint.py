"""The hash by which an earlier run of a point is found: what changes it, and what must not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hydra import compose, initialize_config_dir
from open_points import start_point

from dlas import config, tracking
from dlas.config.composing import stack_of
from dlas.points import fingerprint
from dlas.stages.store.code import first_read

NO_RUNTIME: Mapping[str, str] = MappingProxyType({})

NETWORK = """
from torch import nn

def mine(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes))  # of 8x8 images
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a user's own, an option that names it, and a folder of images."""
    (tmp_path / "fingerprinted.py").write_text(NETWORK)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("name: mine\nfactory: fingerprinted.mine\n")
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "one.png").write_bytes(b"an image")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def stack(own: Path, *overrides: str) -> config.Stack:
    given = [f"hydra.searchpath=[file://{own / 'conf'}]", "model=mine", "compression=none", "tuner=none"]
    with initialize_config_dir(str(config.config_folder()), version_base="1.3"):
        return stack_of(compose("config", [*given, *overrides], return_hydra_config=True))


def hashed(own: Path, *overrides: str, runtime: Mapping[str, str] = NO_RUNTIME) -> str:
    """The fingerprint as a new process finds it."""
    for kept in (first_read._first, fingerprint._code, fingerprint._files):
        kept.clear() if isinstance(kept, dict) else kept.cache_clear()
    return fingerprint.of(stack(own, *overrides), runtime)


def test_only_what_may_change_the_numbers_changes_it(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ("dataset=folder", f"dataset.root={own / 'images'}")
    first, of_images = hashed(own), hashed(own, *images)
    assert first == hashed(own, "timeout=5", "rerun=all", f"artifacts={own / 'elsewhere'}")
    (own / "fingerprinted.py").write_text(NETWORK.replace("of 8x8 images", "of digits"))
    assert hashed(own) == first

    differing = {"first": first, "of images": of_images}
    differing["settings"] = hashed(own, "seed=1")
    (own / "images" / "cat" / "one.png").write_bytes(b"another image")
    differing["image"] = hashed(own, *images)
    os.utime(own / "images" / "cat" / "one.png", ns=(0, 0))
    differing["time of an image"] = hashed(own, *images)
    (own / "fingerprinted.py").write_text(NETWORK.replace("nn.Flatten()", "nn.Flatten(1)"))
    differing["code"] = hashed(own)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    differing["machine"] = hashed(own)
    board = ("target=raspberrypi5", "compiler=onnxruntime")
    for version in ("1.31", "1.32"):
        differing[version] = hashed(own, *board, runtime={"onnxruntime": version})
    assert len(set(differing.values())) == len(differing), differing


def test_links_in_circles_end(own: Path) -> None:
    (own / "images" / "cat" / "round").symlink_to(own / "images")
    images = ("dataset=folder", f"dataset.root={own / 'images'}")
    assert hashed(own, *images) == hashed(own, *images)


@pytest.mark.parametrize(
    ("ended", "taken"),
    [
        (["FINISHED"], {"all": None, "failed": 0, "unsteady": 0, "none": 0}),
        (["FAILED"], {"all": None, "failed": None, "unsteady": 0, "none": 0}),
        (["KILLED"], {"all": None, "failed": None, "unsteady": None, "none": None}),
        (["FINISHED", "FAILED"], {"all": None, "failed": 0, "unsteady": 0, "none": 0}),
        (["FINISHED", "FINISHED", "KILLED"], {"all": None, "failed": 1, "unsteady": 1, "none": 1}),
        (["FINISHED dlas.unsteady"], {"all": None, "failed": 0, "unsteady": None, "none": 0}),
        (["FINISHED dlas.unsteady_choices", "FAILED"], {"failed": 0, "unsteady": None, "none": 0}),
        (["FINISHED", "FINISHED dlas.unsteady"], {"failed": 1, "unsteady": 0, "none": 1}),
    ],
)
def test_a_run_is_taken_by_how_it_ended(
    store: Callable[[], tracking.Store], ended: list[str], taken: dict[str, int | None]
) -> None:
    runs = store()
    name = " ".join(ended)
    started = []
    for one in ended:
        status, *doubts = one.split()
        run = start_point(runs, "one", {tracking.FINGERPRINT: name, **dict.fromkeys(doubts, "busy")})
        tracking.close(run, status)
        started.append(run)
    for rerun, place in taken.items():
        found = tracking.earlier(runs, name, rerun)
        assert (found and found.run_id) == (None if place is None else started[place].run_id)
    assert tracking.earlier(runs, "another", "none") is None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tracking.Store]:
    artifacts = tmp_path_factory.mktemp("artifacts")
    return lambda: tracking.open_store(artifacts, f"sqlite:///{artifacts / 'mlflow.db'}")


def test_a_sweep_has_the_points_that_it_took(store: Callable[[], tracking.Store]) -> None:
    runs = store()
    first = tracking.start_sweep(runs, "first", {})
    old = [start_point(runs, f"old {number}", {}, first.run_id) for number in range(101)]
    for run in old:
        tracking.close(run, "FINISHED")
    second = tracking.start_sweep(runs, "second", {}, [run.run_id for run in old])
    new = start_point(runs, "new", {}, second.run_id)
    tracking.close(new, "FINISHED")
    ids = [run.run_id for run in old]
    assert sorted(point.run_id for point in tracking.points(runs, second.run_id)) == sorted(
        [*ids, new.run_id]
    )
    assert [point.run_id for point in tracking.points(runs, first.run_id)] == ids
    assert len(tracking.finished(runs, second.run_id)[0]) == 102
