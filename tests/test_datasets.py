from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_digits

from dlas import config, datasets
from dlas.datasets import cifar10, digits
from dlas.datasets.dataset import channel_statistics, fingerprint
from dlas.datasets.digits import enlarged
from dlas.datasets.shared.download import download
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset

DIGITS = config.Dataset("digits", "dlas.datasets.digits")
PER_BATCH = 20


def cifar(root: Path | None) -> config.Dataset:
    return config.Dataset("cifar10", "dlas.datasets.cifar10", None if root is None else str(root))


def images_and_labels(seed: int) -> tuple[npt.NDArray[np.uint8], list[int]]:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (PER_BATCH, 3, 32, 32), dtype=np.uint8)
    return images, [index % 10 for index in range(PER_BATCH)]


def official_batch(seed: int) -> bytes:
    """As the authors pickled it: protocol 2, keys of bytes, the array under numpy's old module name."""
    images, labels = images_and_labels(seed)
    batch = {b"batch_label": b"batch", b"labels": labels, b"data": images.reshape(PER_BATCH, 3072)}
    content = pickle.dumps(batch, protocol=2)
    return content.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the unpacked archive, 20 images to a batch."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for seed, name in enumerate(cifar10.ARCHIVE.batches):
        (folder / name).write_bytes(official_batch(seed))
    return tmp_path


def packed(root: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
    return archive


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine: its address and the folder that it serves."""
    served = tmp_path / "served"
    served.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", served
        http.shutdown()
        thread.join()


def refused(root: Path | None) -> str:
    with pytest.raises(UserError) as caught:
        datasets.load(cifar(root))
    assert caught.value.key == "dataset.root"
    assert caught.value.remedy
    return str(caught.value)


def test_digits_are_split_once_and_evenly() -> None:
    digits, again = datasets.load(DIGITS), datasets.load(DIGITS)
    assert digits.image_shape == (3, 32, 32)
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    assert digits.fingerprint == again.fingerprint
    np.testing.assert_array_equal(digits.test_labels, again.test_labels)
    shares = np.bincount(digits.test_labels) / np.bincount(load_digits().target)
    np.testing.assert_allclose(shares, 0.2, atol=0.005)


def test_every_digit_is_in_exactly_one_part() -> None:
    digits = datasets.load(DIGITS)
    both = np.concatenate([digits.train_images, digits.test_images])
    original = enlarged(load_digits().images)
    assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in original)


def test_digits_are_enlarged_as_torch_does_it() -> None:
    small = load_digits().images[:50]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(small)[:, None], (32, 32), mode="bilinear", align_corners=False
    )
    for channel in range(3):
        difference = enlarged(small)[:, channel] - expected[:, 0].numpy() * 255 / 16
        assert np.abs(difference).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("name", "classes"), [("digits", 10), ("cifar10", 10), ("cifar100", 100)])
def test_the_number_of_classes_is_known_before_an_image_is_read(name: str, classes: int) -> None:
    module = f"dlas.datasets.{name}"
    assert import_module(module).Settings(name, module).classes == classes


def test_statistics_are_those_of_the_images() -> None:
    images = np.random.default_rng(0).integers(0, 200, (7, 3, 5, 6), dtype=np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 2, 3)), rtol=1e-12)


def test_normalized_training_images_have_mean_zero_and_deviation_one() -> None:
    digits = datasets.load(DIGITS)
    normalized = digits.normalized(digits.train_images)
    assert normalized.dtype == np.float32
    assert abs(normalized.mean(dtype=np.float64)) < 1e-5
    assert abs(normalized.std(dtype=np.float64) - 1) < 1e-5


def test_one_changed_pixel_changes_the_fingerprint() -> None:
    images, _ = images_and_labels(0)
    changed = images.copy()
    changed[3, 1, 4, 5] ^= 1
    assert fingerprint(images) != fingerprint(changed)
    assert fingerprint(images) != fingerprint(images.reshape(3, -1))


def test_cifar10_is_read_from_its_folder(root: Path) -> None:
    dataset = datasets.load(cifar(root))
    assert (dataset.name, dataset.classes, dataset.image_shape) == ("cifar10", 10, (3, 32, 32))
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (5 * PER_BATCH, PER_BATCH)
    images, labels = images_and_labels(1)
    np.testing.assert_array_equal(dataset.train_images[PER_BATCH : 2 * PER_BATCH], images)
    np.testing.assert_array_equal(dataset.train_labels[PER_BATCH : 2 * PER_BATCH], labels)
    np.testing.assert_array_equal(dataset.test_images, images_and_labels(5)[0])
    np.testing.assert_allclose(dataset.mean, (dataset.train_images / 255).mean((0, 2, 3)))


def test_cifar10_is_the_same_from_its_archive(root: Path, tmp_path: Path) -> None:
    packed_root = tmp_path / "packed"
    packed_root.mkdir()
    packed(root, packed_root / cifar10.ARCHIVE.file)
    from_archive, from_folder = datasets.load(cifar(packed_root)), datasets.load(cifar(root))
    assert from_archive.fingerprint == from_folder.fingerprint
    assert [path.name for path in packed_root.iterdir()] == [cifar10.ARCHIVE.file]


def test_cifar10_is_downloaded_where_it_is_missing(
    root: Path, tmp_path: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served = server
    archive = packed(root, served / cifar10.ARCHIVE.file)
    url, md5 = f"{address}/{cifar10.ARCHIVE.file}", hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar10, "ARCHIVE", dataclasses.replace(cifar10.ARCHIVE, url=url, md5=md5))
    downloaded = datasets.load(cifar(tmp_path / "new"))
    assert downloaded.fingerprint == datasets.load(cifar(root)).fingerprint
    assert (tmp_path / "new" / cifar10.ARCHIVE.file).read_bytes() == archive.read_bytes()


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path, server: tuple[str, Path]) -> None:
    address, served = server
    (served / "file").write_bytes(b"something else")
    with pytest.raises(UserError, match="MD5") as caught:
        download(f"{address}/file", tmp_path / "got" / "file", cifar10.ARCHIVE.md5)
    assert caught.value.key == "dataset.root"
    assert list((tmp_path / "got").iterdir()) == []


def test_without_the_network_the_message_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        download("http://127.0.0.1:1/cifar.tar.gz", tmp_path / "cifar.tar.gz", cifar10.ARCHIVE.md5)
    assert caught.value.key == "dataset.root"
    assert "put cifar.tar.gz" in caught.value.remedy
    assert str(tmp_path) in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def cifar100_root(tmp_path: Path) -> Path:
    """As the authors pickled CIFAR-100: one file to a part, coarse and fine labels beside one another."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for seed, name in enumerate(("train", "test")):
        batch = pickle.loads(official_batch(seed), encoding="bytes")
        coarse = batch.pop(b"labels")
        fine = [99 - label for label in coarse]
        batch |= {b"filenames": [b"a.png"] * PER_BATCH, b"coarse_labels": coarse, b"fine_labels": fine}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


def test_cifar100_has_its_fine_labels(cifar100_root: Path) -> None:
    settings = config.Dataset("cifar100", "dlas.datasets.cifar100", str(cifar100_root))
    dataset = datasets.load(settings)
    assert (dataset.classes, dataset.image_shape) == (100, (3, 32, 32))
    images, labels = images_and_labels(1)
    np.testing.assert_array_equal(dataset.test_images, images)
    np.testing.assert_array_equal(dataset.test_labels, 99 - np.array(labels))
    (cifar100_root / "cifar-100-python" / "train").write_bytes(official_batch(0))
    with pytest.raises(UserError, match="train is not a CIFAR-100 batch") as caught:
        datasets.load(settings)
    assert caught.value.key == "dataset.root"


def test_a_root_must_be_given() -> None:
    assert "cifar-10-batches-py" in refused(None)


def test_a_missing_batch_is_named(root: Path) -> None:
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert "data_batch_3" in refused(root)


def test_an_archive_that_lacks_a_batch_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "cifar-10-batches-py" / "test_batch").unlink()
    (tmp_path / "packed").mkdir()
    packed(root, tmp_path / "packed" / cifar10.ARCHIVE.file)
    assert "lacks test_batch" in refused(tmp_path / "packed")


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_truncated_archive_is_refused(root: Path, tmp_path: Path, kept: int) -> None:
    content = packed(root, tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / cifar10.ARCHIVE.file).write_bytes(content[:kept])
    assert cifar10.ARCHIVE.file in refused(tmp_path / "packed")


def test_members_that_lead_out_of_the_archive_are_not_followed(root: Path, tmp_path: Path) -> None:
    packed_root = tmp_path / "inner" / "packed"
    packed_root.mkdir(parents=True)
    with tarfile.open(packed_root / cifar10.ARCHIVE.file, "w:gz") as tar:
        tar.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
        escaping = tarfile.TarInfo("../../escaped")
        escaping.size = 4
        tar.addfile(escaping, io.BytesIO(b"evil"))
    datasets.load(cifar(packed_root))
    assert not list(tmp_path.rglob("escaped"))


class RunsWhenUnpickled:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.witness,)


def test_a_pickle_that_would_run_code_is_refused(root: Path, tmp_path: Path) -> None:
    witness = tmp_path / "code ran"
    content = pickle.dumps({b"data": RunsWhenUnpickled(witness), b"labels": []}, protocol=2)
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(content)
    message = refused(root)
    assert "data_batch_1" in message
    assert "not allowed" in message
    assert not witness.exists()
    pickle.loads(content)
    assert witness.exists(), "this pickle proves nothing unless it runs code when it is trusted"


@pytest.mark.parametrize(
    "batch",
    [
        {b"labels": [1]},
        {b"labels": [10], b"data": np.zeros((1, 3072), np.uint8)},
        {b"labels": [-1], b"data": np.zeros((1, 3072), np.uint8)},
        {b"labels": [1, 2], b"data": np.zeros((1, 3072), np.uint8)},
        {b"labels": [1], b"data": np.zeros((1, 3072), np.float32)},
        {b"labels": [], b"data": np.zeros((0, 3072), np.uint8)},
        {b"labels": [1.5], b"data": np.zeros((1, 3072), np.uint8)},
        {b"labels": [[1]], b"data": np.zeros((1, 3072), np.uint8)},
        ["not a dict"],
    ],
)
def test_a_batch_of_another_format_is_refused(root: Path, batch: object) -> None:
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    assert "test_batch is not a CIFAR-10 batch" in refused(root)


@pytest.mark.parametrize("content", [b"", b"\x80", b"plain text", b"\x80\x02}q\x00"])
def test_a_broken_pickle_is_refused(root: Path, content: bytes) -> None:
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    assert "test_batch is not a CIFAR-10 batch" in refused(root)


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(UserError) as caught:
        datasets.load(config.Dataset("mine", "no_such.module"))
    assert caught.value.key == "dataset.module"
    assert "no_such" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: {"train_images": found.train_images / np.float32(255)}, "uint8 NCHW, not float32"),
        (lambda found: {"test_images": found.test_images[..., 4:]}, "all images have one shape"),
        (lambda found: {"train_labels": found.train_labels[1:]}, "a label for each image"),
        (lambda found: {"test_labels": found.test_labels + 1}, "labels are 0 to 9, not 1 to 10"),
        (lambda found: {"mean": (0.5,)}, "mean and std are of 3 channels, not 1 and 3"),
    ],
    ids=["float", "two shapes", "a label too few", "no class", "one mean"],
)
def test_images_that_are_not_as_promised_are_refused(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[ImageDataset], dict[str, Any]], reason: str
) -> None:
    found = datasets.load(DIGITS)
    wrong = dataclasses.replace(found, **change(found))
    monkeypatch.setattr(digits, "load", lambda settings: wrong)
    with pytest.raises(UserError) as caught:
        datasets.load(DIGITS)
    assert caught.value.key == "dataset.module"
    assert reason in caught.value.problem
