"""Long work that is interrupted again and again ends as if nobody had: to the last bit."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from dlas import config
from dlas.compression import channel_pruning, magnitude_pruning, weight_pruning
from dlas.compression.finetuning import Finetune
from dlas.files import checkpoints
from dlas.files.checkpoints import NOWHERE, Checkpoints, State
from dlas.interfaces.images import ImageDataset
from dlas.models import training

Work = Callable[[Checkpoints], nn.Module]

TRAIN = config.Train(epochs=2, batch_size=16)
FINETUNE = Finetune(epochs=1, batch_size=16)


class Interrupted(BaseException):
    """Ends the work as nothing that the code expects."""


class Counting(nn.Module):
    """Has a buffer that no state dict has, and one that is None at first."""

    steps: torch.Tensor
    last: torch.Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()), persistent=False)
        self.register_buffer("last", None, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps = self.steps + 1
            self.last = images.detach().mean()
            return images * (1 + self.steps / 100)
        return images


def network() -> nn.Module:
    """Convolutions of all kinds of strides in memory, batch norm, dropout, state of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(4)),
            *(nn.Conv2d(16, 16, 3, padding=1, groups=16), Counting(), nn.Dropout(0.2)),
            *(nn.Conv2d(16, 24, 1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(4)),
            *(nn.Flatten(), nn.Linear(24 * 4, 10)),
        )


@pytest.fixture(scope="module")
def few(digits: ImageDataset) -> ImageDataset:
    """100 images to train on: seven batches, of 15 and 14 images."""
    return dataclasses.replace(
        digits, train_images=digits.train_images[:100], train_labels=digits.train_labels[:100]
    )


def trained(few: ImageDataset) -> Work:
    return lambda place: training.train(network(), few, TRAIN, seed=3, checkpoints=place)


def pruned_by_weights(few: ImageDataset) -> Work:
    settings = weight_pruning.Settings("weight_pruning", sparsity=0.6, steps=2, finetune=FINETUNE)
    return lambda place: weight_pruning.compress(network().eval(), few, settings, TRAIN, 3, place)


def pruned_by_channels(few: ImageDataset) -> Work:
    settings = channel_pruning.Settings("channel_pruning", ratio=0.5, finetune=FINETUNE)
    return lambda place: channel_pruning.compress(network().eval(), few, settings, TRAIN, 3, place)


def searched(few: ImageDataset) -> Work:
    settings = weight_pruning.Settings(
        "weight_pruning", sparsity="auto", steps=2, finetune=FINETUNE, max_drop=0.9
    )
    return lambda place: weight_pruning.compress(network().eval(), few, settings, TRAIN, 3, place)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {**model.state_dict(), **dict(model.named_buffers())}


def require_same(made: nn.Module, expected: nn.Module) -> None:
    found, wanted = state(made), state(expected)
    assert found.keys() == wanted.keys()
    assert [name for name, tensor in wanted.items() if not torch.equal(tensor, found[name])] == []


def interrupt_after(saves: float, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Have an attempt interrupted when it has saved so often; the files that it saved."""
    saved: list[Path] = []
    write = checkpoints._write

    def written(path: Path, *arguments: object) -> None:
        write(path, *arguments)
        saved.append(path)
        if len(saved) == saves:
            raise Interrupted

    monkeypatch.setattr(checkpoints, "_write", written)
    return saved


def made_by(
    work: Work, saves: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[nn.Module, list[Path], int]:
    """What the work makes when it is interrupted after every so many saves, what it saved, and how often it
    was interrupted."""
    saved: list[Path] = []
    for interruptions in count():
        with monkeypatch.context() as patched:
            further = interrupt_after(saves, patched)
            try:
                made = work(checkpoints.in_folder(folder, seconds=0))
            except Interrupted:
                saved += further
            else:
                return made, saved + further, interruptions
    raise AssertionError


@pytest.mark.parametrize(
    ("make", "saves"),
    [(trained, 1), (trained, 3), (pruned_by_weights, 2), (pruned_by_channels, 4), (searched, 7)],
)
def test_interrupted_work_ends_the_same_and_does_no_step_twice(
    make: Callable[[ImageDataset], Work],
    saves: int,
    few: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(magnitude_pruning, "SPARSITIES", (0.3, 0.6, 0.9))
    work = make(few)
    expected, steps, _ = made_by(work, math.inf, tmp_path / "undisturbed", monkeypatch)
    made, saved, interrupted = made_by(work, saves, tmp_path / "interrupted", monkeypatch)
    require_same(made, expected)
    require_same(made, work(NOWHERE))
    assert [path.name for path in saved] == [path.name for path in steps]
    assert interrupted == len(steps) // saves > 0


def test_the_log_tells_where_it_goes_on(
    few: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made_by(trained(few), 9, tmp_path, monkeypatch)
    assert [record.getMessage() for record in caplog.records] == ["train: goes on from epoch 2, step 3"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("file", ["work.json", "work-2.safetensors"])
def test_a_damaged_checkpoint_is_named_and_not_used(
    file: str, damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = checkpoints.in_folder(tmp_path, seconds=0)
    for number in (1, 2):
        place.save(State({"number": number}, {"weights": torch.arange(100.0)}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work-2.safetensors", "work.json"]
    damage(tmp_path / file)
    again = checkpoints.in_folder(tmp_path, seconds=0)
    assert again.take() is None
    if (tmp_path / "work.json").exists():
        (told,) = (record.getMessage() for record in caplog.records)
        assert str(tmp_path / "work.json") in told
        assert "damaged" in told
    again.save(State({"number": 3}))
    found = checkpoints.in_folder(tmp_path, seconds=0).take()
    assert found is not None
    assert found.values == {"number": 3}


def test_a_state_is_of_one_part_and_is_given_once(tmp_path: Path) -> None:
    place = checkpoints.in_folder(tmp_path, seconds=0)
    place.at("search").at("2").save(State({"number": 1}))
    place.beside("tries").save(State({"0.5": 0.25}))
    again = checkpoints.in_folder(tmp_path, seconds=0)
    assert again.reached == "search"
    assert again.at("search").reached == "2"
    assert again.at("result").reached is None
    assert again.take() is None
    assert again.at("search").at("1").take() is None
    found = again.at("search").at("2").take()
    assert found is not None
    assert found.values == {"number": 1}
    assert again.at("search").at("2").take() is None
    tries = again.beside("tries").take()
    assert tries is not None
    assert tries.values == {"0.5": 0.25}


def test_nothing_is_saved_before_it_is_due(few: ImageDataset, tmp_path: Path) -> None:
    for place in (checkpoints.in_folder(tmp_path / "none", seconds=math.inf), NOWHERE):
        trained(few)(place)
    assert not (tmp_path / "none").exists()


class Forgetful(nn.Module):
    """Counts its steps where no state of a network is."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = [0]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self._steps[0] += self.training
        return images * (1 + self._steps[0] / 100)


def test_a_network_that_keeps_what_is_not_saved_is_told_and_not_saved(
    few: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = nn.Sequential(network(), Forgetful())
    training.train(model, few, TRAIN, seed=3, checkpoints=checkpoints.in_folder(tmp_path / "none", 0))
    (told,) = (record.getMessage() for record in caplog.records)
    assert "1._steps changes" in told
    assert not (tmp_path / "none").exists()


def test_a_disk_that_takes_no_checkpoint_costs_a_warning(
    few: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    work = trained(few)
    require_same(work(checkpoints.in_folder(tmp_path / "file" / "none", seconds=0)), work(NOWHERE))
    assert "could not be saved" in caplog.text
