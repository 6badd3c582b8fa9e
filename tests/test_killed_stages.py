"""Stages that are killed (SIGKILL) at every few writes to the disk end as undisturbed ones, byte for byte."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from dlas import config
from dlas.compression import channel_pruning, magnitude_pruning, weight_pruning
from dlas.compression.finetuning import Finetune
from dlas.files import durable
from dlas.interfaces.images import ImageDataset
from dlas.pipeline import dense_network
from dlas.stages.compression import Compress
from dlas.stages.store.store import StageStore

MODEL = config.Model("residual", "user_models.residual")
TRAIN = config.Train(epochs=1, batch_size=16)
FINETUNE = Finetune(epochs=1, batch_size=16)
STEPS = (
    channel_pruning.Settings("channel_pruning", ratio=0.5, finetune=FINETUNE),
    weight_pruning.Settings("weight_pruning", sparsity="auto", max_drop=0.9, steps=2, finetune=FINETUNE),
)


def make(images: ImageDataset, root: Path) -> None:
    """Train, prune channels, search for a sparsity."""
    store = StageStore(root)
    network = dense_network(MODEL, TRAIN, 0, images, store)
    for step in STEPS:
        stage = Compress(network=network, dataset=images, settings=step, train=TRAIN, seed=0)
        network = store.obtain(stage)


def killed(work: Callable[[], None], at: int) -> bool:
    """Whether work in a process of its own was killed, which is done in its write of that number."""
    child = os.fork()
    if not child:
        writes, sync = count(1), durable.sync

        def killing(path: Path) -> None:
            if next(writes) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            sync(path)

        durable.sync = killing
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def files(root: Path) -> dict[str, object]:
    """The files of every result, by their hashes."""
    return {
        str(entry.parent.relative_to(root)): json.loads(entry.read_text())["files"]
        for entry in root.glob("*/*/entry.json")
    }


@pytest.fixture
def images(digits: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> ImageDataset:
    """60 of them, for stages that save after each step."""
    monkeypatch.setattr(StageStore, "save_seconds", 0.0)
    monkeypatch.setattr(magnitude_pruning, "SPARSITIES", (0.3, 0.6, 0.9))
    return dataclasses.replace(
        digits,
        train_images=digits.train_images[:60],
        train_labels=digits.train_labels[:60],
        test_images=digits.test_images[:60],
        test_labels=digits.test_labels[:60],
    )


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param(5, marks=pytest.mark.exhaustive),  # each attempt does one step and a part of the next
        pytest.param(7, marks=pytest.mark.exhaustive),
        12,
    ],
)
def test_stages_that_are_killed_at_every_few_writes_end_the_same(
    writes: int, images: ImageDataset, tmp_path: Path
) -> None:
    make(images, tmp_path / "undisturbed")
    kills = 0
    while killed(lambda: make(images, tmp_path / "killed"), writes):
        kills += 1
        assert kills < 200
    assert kills > 90 / writes
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")
    left = [path.name for path in (tmp_path / "killed").glob("*/*.*") if path.suffix != ".lock"]
    assert left == []
