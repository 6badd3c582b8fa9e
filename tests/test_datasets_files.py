"""Datasets in files: IDX, folders of photographs, foolbox's samples; and what calibrates quantization."""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import os
import shutil
import struct
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from dlas import config, datasets
from dlas.datasets import fashion_mnist, folder, imagenet, imagenet_samples
from dlas.datasets.shared.calibration import calibration_images
from dlas.datasets.shared.image_files import Framing
from dlas.datasets.shared.sampling import stratified
from dlas.errors import UserError
from dlas.interfaces.images import ImageDataset

Pixels = npt.NDArray[np.uint8]


def refused(settings: config.Dataset, key: str = "dataset.root") -> str:
    with pytest.raises(UserError) as caught:
        datasets.load(settings)
    assert caught.value.key == key
    assert caught.value.remedy
    return str(caught.value)


# Fashion-MNIST


def fashion(root: Path | None, train_limit: int | None = None) -> fashion_mnist.Settings:
    place = None if root is None else str(root)
    return fashion_mnist.Settings("fashion_mnist", "dlas.datasets.fashion_mnist", place, train_limit)


def idx(values: Pixels) -> bytes:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return gzip.compress(header + values.tobytes())


def clothes(seed: int, count: int) -> tuple[Pixels, Pixels]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10


@pytest.fixture
def nothing_of_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "no debian")


@pytest.fixture
def fashion_root(tmp_path: Path, nothing_of_debian: None) -> Path:
    root = tmp_path / "fashion"
    root.mkdir()
    for seed, (part, count) in enumerate((("train", 30), ("t10k", 20))):
        images, labels = clothes(seed, count)
        (root / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    return root


def test_fashion_mnist_is_padded_with_black_to_32_pixels(fashion_root: Path) -> None:
    dataset = datasets.load(fashion(fashion_root))
    assert dataset.classes == fashion(fashion_root).classes == 10
    assert dataset.image_shape == (3, 32, 32)
    (train, _), (test, labels) = clothes(0, 30), clothes(1, 20)
    for channel in range(3):
        np.testing.assert_array_equal(dataset.train_images[:, channel, 2:30, 2:30], train)
        np.testing.assert_array_equal(dataset.test_images[:, channel, 2:30, 2:30], test)
    assert dataset.test_images.astype(int).sum() == 3 * test.astype(int).sum(), "the border is not black"
    np.testing.assert_array_equal(dataset.test_labels, labels)


def test_a_limit_takes_training_images_of_every_class_and_leaves_the_test_set(fashion_root: Path) -> None:
    whole, some = datasets.load(fashion(fashion_root)), datasets.load(fashion(fashion_root, 20))
    np.testing.assert_array_equal(np.bincount(some.train_labels), [2] * 10)
    pictures = {
        image.tobytes(): label for image, label in zip(whole.train_images, whole.train_labels, strict=True)
    }
    for image, label in zip(some.train_images, some.train_labels, strict=True):
        assert pictures[image.tobytes()] == label
    np.testing.assert_array_equal(some.test_images, whole.test_images)
    assert datasets.load(fashion(fashion_root, 31)).fingerprint == whole.fingerprint
    with pytest.raises(UserError) as caught:
        fashion(fashion_root, 0)
    assert caught.value.key == "dataset.train_limit"


def test_debians_files_are_taken_where_the_root_has_none(
    fashion_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", fashion_root)
    with caplog.at_level(logging.INFO):
        found = datasets.load(fashion(tmp_path / "empty"))
    assert str(fashion_root) in caplog.text
    assert found.fingerprint == datasets.load(fashion(None)).fingerprint
    assert not (tmp_path / "empty").exists()


@pytest.fixture
def server(fashion_root: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(fashion_root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_missing_fashion_mnist_is_downloaded_and_checked(
    fashion_root: Path, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "URL", server)
    assert "MD5" in refused(fashion(tmp_path / "wrong"))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in fashion_root.iterdir()}
    assert sums.keys() == fashion_mnist.MD5.keys()
    monkeypatch.setattr(fashion_mnist, "MD5", sums)
    downloaded = datasets.load(fashion(tmp_path / "new"))
    assert downloaded.fingerprint == datasets.load(fashion(fashion_root)).fingerprint


def test_without_a_network_the_message_names_files_and_debians_package(
    tmp_path: Path, nothing_of_debian: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "URL", "http://127.0.0.1:1")
    message = refused(fashion(tmp_path))
    assert "put train-images-idx3-ubyte.gz (from http://127.0.0.1:1/train" in message
    assert str(tmp_path) in message
    assert "dataset-fashion-mnist" in message
    assert "t10k-labels-idx1-ubyte.gz" in refused(fashion(None))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train-images-idx3-ubyte.gz", b"no gzip"),
        ("train-images-idx3-ubyte.gz", gzip.compress(b"")),
        ("train-images-idx3-ubyte.gz", idx(clothes(0, 30)[0])[:-3000]),
        ("train-images-idx3-ubyte.gz", gzip.compress(gzip.decompress(idx(clothes(0, 30)[0]))[:-1])),
        ("train-images-idx3-ubyte.gz", idx(clothes(0, 30)[1])),
        ("train-images-idx3-ubyte.gz", idx(clothes(0, 29)[0])),
        ("train-images-idx3-ubyte.gz", idx(np.zeros((30, 27, 28), np.uint8))),
        ("t10k-labels-idx1-ubyte.gz", idx(np.full(20, 10, np.uint8))),
    ],
    ids=[
        "no gzip",
        "empty",
        "gzip cut short",
        "a pixel too few",
        "labels for images",
        "an image too few",
        "a row too few",
        "an eleventh class",
    ],
)
def test_a_file_of_another_content_is_refused(fashion_root: Path, name: str, content: bytes) -> None:
    (fashion_root / name).write_bytes(content)
    assert name.partition("-")[0] in refused(fashion(fashion_root))


# Folders of photographs


def photograph(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Smooth, as photographs are: noise enlarged."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def fill(root: Path, counts: dict[str, int], size: tuple[int, int] = (40, 30)) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            suffix = ("png", "jpg", "JPEG")[index % 3]
            photograph(1000 * number + index, *size).save(root / name / f"{index:03}.{suffix}")
    return root


def own(root: Path | None, **options: object) -> folder.Settings:
    return folder.Settings(
        "folder",
        "dlas.datasets.folder",
        None if root is None else str(root),
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return fill(tmp_path / "pets", {"dog": 20, "cat": 30, "eel": 10})


def test_a_folder_is_split_evenly_and_always_the_same(pets: Path) -> None:
    dataset, again = datasets.load(own(pets)), datasets.load(own(pets))
    assert dataset.fingerprint == again.fingerprint
    assert dataset.fingerprint != datasets.load(own(pets, split_seed=1)).fingerprint
    assert dataset.classes == own(pets).classes == 3
    assert dataset.image_shape == (3, 32, 32)
    assert np.bincount(dataset.train_labels).tolist() == [24, 16, 8], "cat, dog, eel: sorted by name"
    assert np.bincount(dataset.test_labels).tolist() == [6, 4, 2]
    both = np.concatenate([dataset.train_images, dataset.test_images])
    assert len({image.tobytes() for image in both}) == 60, "an image is in both parts"


def test_the_labels_are_those_of_the_images(pets: Path) -> None:
    dataset = datasets.load(own(pets, size=30))
    dog = np.asarray(Image.open(pets / "dog" / "000.png").crop((5, 0, 35, 30))).transpose(2, 0, 1)
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    (place,) = np.flatnonzero((images == dog).all((1, 2, 3)))
    assert labels[place] == 1


def test_images_are_framed_as_torch_resizes_and_the_middle_is_taken() -> None:
    """torch's antialiased bilinear interpolation of uint8 images is made to follow Pillow's."""
    image = photograph(3, 500, 333)
    framed = np.asarray(Framing(256, 224).apply(image)).transpose(2, 0, 1)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(
        pixels, (256, int(256 * 500 / 333)), mode="bilinear", antialias=True, align_corners=False
    )
    expected = resized[0, :, 16:240, 80:304].numpy()
    assert framed.shape == (3, 224, 224)
    assert np.abs(framed.astype(int) - expected).max() <= 1


def test_grey_transparent_and_paletted_images_become_rgb(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for mode in ("L", "P", "RGBA", "1", "LA"):
            photograph(1, 32, 32).convert(mode).save(tmp_path / name / f"{mode}.png")
    dataset = datasets.load(own(tmp_path))
    assert dataset.image_shape == (3, 32, 32)


def test_broken_images_are_counted_named_and_refused(pets: Path) -> None:
    (pets / "cat" / "000.png").write_bytes(b"no image")
    whole = (pets / "dog" / "001.jpg").read_bytes()
    (pets / "dog" / "001.jpg").write_bytes(whole[: len(whole) // 2])
    message = refused(own(pets))
    assert "2 of 60 images cannot be read" in message
    assert str(pets / "cat" / "000.png") in message
    assert str(pets / "dog" / "001.jpg") in message
    (pets / "cat" / "000.png").unlink()
    (pets / "dog" / "001.jpg").unlink()
    assert len(datasets.load(own(pets)).test_labels) == 12


def test_other_files_and_hidden_folders_are_passed_over(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = datasets.load(own(pets)).fingerprint
    (pets / ".cache").mkdir()
    (pets / ".cache" / "x.png").write_bytes(b"x")
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "notes.txt").write_text("mine")
    with caplog.at_level(logging.INFO):
        assert datasets.load(own(pets)).fingerprint == before
    assert "1 files that are no images" in caplog.text


def test_links_are_followed(pets: Path, tmp_path: Path) -> None:
    plain = datasets.load(own(pets)).fingerprint
    elsewhere = tmp_path / "elsewhere"
    (pets / "dog").rename(elsewhere)
    (pets / "dog").symlink_to(elsewhere)
    linked = own(pets)
    assert datasets.load(linked).fingerprint == plain
    assert linked.classes == 3
    moved = tmp_path / "more"
    moved.mkdir()
    for image in sorted((pets / "cat").iterdir())[20:]:
        image.rename(moved / image.name)
    (pets / "cat" / "more").symlink_to(moved)
    first = pets / "cat" / "000.png"
    first.rename(tmp_path / "first.png")
    first.symlink_to(tmp_path / "first.png")
    assert datasets.load(own(pets)).fingerprint == plain, "'more' comes after all numbers"


def test_what_cannot_be_used_is_told_at_once(pets: Path) -> None:
    (pets / "cat" / "all").symlink_to(pets.parent)
    (pets / "cat" / "gone.png").symlink_to(pets / "nowhere.png")
    (pets / "dog" / "holiday").symlink_to(pets / "nowhere")
    (pets / "dog" / "phone.HEIC").write_bytes(b"x")
    os.mkfifo(pets / "eel" / "pipe.png")
    message = refused(own(pets))
    assert "5 files or folders cannot be used" in message
    assert f"{pets}/cat/all (a link back to a folder above it)" in message
    assert f"{pets}/cat/gone.png (a link to {pets}/nowhere.png: No such file or directory)" in message
    assert f"{pets}/dog/holiday (a link to {pets}/nowhere: No such file or directory)" in message
    assert f"{pets}/dog/phone.HEIC (.heic is not read: save it as PNG)" in message
    assert f"{pets}/eel/pipe.png (it is no regular file)" in message
    assert "6 files or folders" not in message
    (pets / "elk").symlink_to(pets / "nowhere")
    assert own(pets).classes is None, "they can't be counted"
    assert "6 files or folders" in refused(own(pets))
    assert "1 files or folders" in refused(samples(pets / "eel"), "dataset.calibration_root")


def test_a_circle_of_links_is_refused(pets: Path) -> None:
    (pets / "cat" / "more").symlink_to(pets / "dog")
    assert len(datasets.load(own(pets)).train_labels) == 64, "the dogs are cats as well"
    (pets / "dog" / "more").symlink_to(pets / "cat")
    message = refused(own(pets))
    assert f"{pets}/cat/more/more (a link back" in message
    assert f"{pets}/dog/more/more (a link back" in message


def test_a_folder_that_may_not_be_read_is_refused(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, listed = pets / "cat" / "closed", Path.iterdir
    closed.mkdir()

    def iterdir(folder: Path) -> Iterator[Path]:  # root may read whatever chmod says
        if folder == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert f"{closed} (Permission denied)" in refused(own(pets))


def test_images_of_all_suffixes_are_found_but_not_in_hidden_folders(
    pets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pets / "cat" / ".thumbnails").mkdir()
    for place in (pets / "cat" / ".thumbnails", pets / "cat" / "deep" / "below", pets):
        place.mkdir(parents=True, exist_ok=True)
        photograph(77).save(place / "x.PNG")
    photograph(78).convert("L").save(pets / "cat" / "grey.pgm")
    with caplog.at_level(logging.INFO):
        dataset = datasets.load(own(pets))
    assert len(dataset.train_labels) + len(dataset.test_labels) == 62
    assert "1 images that are in no class folder are passed over" in caplog.text


def test_images_that_are_all_the_same_need_a_mean_of_the_models(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(5):
            red = np.zeros((32, 32, 3), np.uint8)
            red[..., 0] = np.asarray(photograph(index, 32, 32))[..., 0]
            Image.fromarray(red).save(tmp_path / name / f"{index}.png")
    dataset = datasets.load(own(tmp_path))
    with pytest.raises(UserError, match="are the same in the training images of folder: channel 1, 2"):
        datasets.normalized_for(config.Model(name="resnet20"), dataset)
    of_model = config.Model(name="resnet20", mean=[0.5] * 3, std=[0.5] * 3)
    normalized = datasets.normalized_for(of_model, dataset)
    assert np.isfinite(normalized.normalized(normalized.test_images)).all()


def test_a_folder_that_cannot_be_split_is_refused(tmp_path: Path, pets: Path) -> None:
    assert "there is no folder" in refused(own(tmp_path / "nowhere"))
    assert "no folder is given" in refused(own(None))
    (tmp_path / "empty").mkdir()
    assert "no class folders" in refused(own(tmp_path / "empty"))
    assert "only the class folder" in refused(own(fill(tmp_path / "one", {"cat": 5})))
    assert "cat has a single image" in refused(own(fill(tmp_path / "single", {"cat": 1, "dog": 5})))
    assert "parts of a set" in refused(own(fill(tmp_path / "parts", {"train": 5, "val": 5})))
    assert "in both parts" in refused(own(pets, test_fraction=0.02), "dataset.test_fraction")
    assert "in both parts" in refused(own(pets, test_fraction=0.98), "dataset.test_fraction")
    (pets / "fox").mkdir()
    assert "fox has no images" in refused(own(pets))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", 7),
        ("size", 5000),
        ("test_fraction", 0.0),
        ("test_fraction", 1.0),
        ("test_fraction", float("nan")),
        ("split_seed", -1),
    ],
)
def test_settings_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(UserError) as caught:
        own(None, **{option: value})
    assert caught.value.key == f"dataset.{option}"


# ImageNet


def large(root: Path | None, **limits: int | None) -> imagenet.Settings:
    return imagenet.Settings(
        "imagenet", "dlas.datasets.imagenet", None if root is None else str(root), **limits
    )


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    fill(tmp_path / "train", {"n02": 6, "n01": 4}, (320, 280))
    fill(tmp_path / "val", {"n01": 3, "n02": 3}, (280, 320))
    return tmp_path


def test_imagenet_is_read_in_its_layout(wordnet: Path) -> None:
    dataset = datasets.load(large(wordnet))
    assert dataset.classes == large(wordnet).classes == 2
    assert dataset.image_shape == (3, 224, 224)
    assert dataset.train_labels.tolist() == [0] * 4 + [1] * 6
    assert dataset.test_labels.tolist() == [0] * 3 + [1] * 3
    assert dataset.mean == (0.485, 0.456, 0.406)
    assert dataset.std == (0.229, 0.224, 0.225)
    first = Image.open(wordnet / "val" / "n01" / "000.png").convert("RGB")
    resized = first.resize((256, int(256 * 320 / 280)), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((16, 34, 240, 258))).transpose(2, 0, 1)
    np.testing.assert_array_equal(dataset.test_images[0], expected)


def test_limits_keep_every_class_in(wordnet: Path) -> None:
    dataset = datasets.load(large(wordnet, train_limit=5, test_limit=2))
    assert np.bincount(dataset.train_labels).tolist() == [2, 3]
    assert np.bincount(dataset.test_labels).tolist() == [1, 1]
    assert dataset.fingerprint == datasets.load(large(wordnet, train_limit=5, test_limit=2)).fingerprint
    for name in ("train_limit", "test_limit"):
        with pytest.raises(UserError) as caught:
            large(wordnet, **{name: 0})
        assert caught.value.key == f"dataset.{name}"


def test_without_training_images_imagenet_is_for_evaluation(wordnet: Path) -> None:
    shutil.rmtree(wordnet / "train")
    dataset = datasets.load(large(wordnet))
    assert dataset.train_images.shape == (0, 3, 224, 224)
    assert len(dataset.test_labels) == 6
    with pytest.raises(UserError, match="no images to calibrate with") as caught:
        calibration_images(dataset, 10, seed=0)
    assert caught.value.key == "dataset.root"


def test_broken_images_of_both_parts_are_told_at_once(wordnet: Path) -> None:
    (wordnet / "train" / "n02" / "000.png").write_bytes(b"")
    (wordnet / "val" / "n01" / "000.png").write_bytes(b"")
    message = refused(large(wordnet))
    assert "2 of 16 images cannot be read" in message
    assert str(wordnet / "train" / "n02" / "000.png") in message
    assert str(wordnet / "val" / "n01" / "000.png") in message


def test_training_images_behind_a_dead_link_are_missed(wordnet: Path) -> None:
    shutil.rmtree(wordnet / "train")
    (wordnet / "train").symlink_to(wordnet / "nowhere")
    assert str(wordnet / "train") in refused(large(wordnet))


def test_a_layout_that_is_not_imagenets_is_refused(wordnet: Path) -> None:
    assert "no folder is given" in refused(large(None))
    (wordnet / "train" / "n01").rename(wordnet / "train" / "n03")
    assert "2 class folders are in only one of train/ and val/, such as n01" in refused(large(wordnet))
    shutil.rmtree(wordnet / "val")
    assert str(wordnet / "val") in refused(large(wordnet))


# foolbox's samples


def samples(calibration_root: Path | None = None) -> imagenet_samples.Settings:
    root = None if calibration_root is None else str(calibration_root)
    return imagenet_samples.Settings("imagenet_samples", "dlas.datasets.imagenet_samples", None, root)


def test_samples_are_twenty_test_images_and_nothing_else() -> None:
    dataset = datasets.load(samples())
    assert dataset.classes == samples().classes == 1000
    assert dataset.test_images.shape == (20, 3, 224, 224)
    assert dataset.test_labels[:5].tolist() == [243, 559, 438, 990, 949]
    assert dataset.train_images.shape == (0, 3, 224, 224)


def test_samples_need_foolbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet_samples, "PACKAGE", "foolbox-that-nobody-installed")
    assert "pip install 'dlas[samples]'" in refused(samples(), "dataset")


# Calibration and sampling


def test_every_class_keeps_its_share() -> None:
    labels = np.repeat([0, 1, 2], [10, 60, 30]).astype(np.int64)
    np.random.default_rng(0).shuffle(labels)
    chosen = stratified(labels, 20, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [2, 12, 6]
    assert len(set(chosen.tolist())) == 20
    np.testing.assert_array_equal(chosen, stratified(labels, 20, seed=0))
    assert chosen.tolist() != stratified(labels, 20, seed=1).tolist()
    np.testing.assert_array_equal(stratified(labels, 1000, seed=0), np.arange(100))
    assert stratified(np.empty(0, np.int64), 3, seed=0).tolist() == []


def test_few_of_many_classes_are_drawn_from_all_of_them() -> None:
    labels = np.repeat(np.arange(100), 5).astype(np.int64)
    drawn = [labels[stratified(labels, 10, seed)].mean() for seed in range(200)]
    assert all(len(set(labels[stratified(labels, 100, seed)])) == 100 for seed in range(5))
    assert abs(np.mean(drawn) - 49.5) < 2


def contents(images: Pixels) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_calibration_images_are_training_images_of_every_class() -> None:
    digits = datasets.load(config.Dataset("digits", "dlas.datasets.digits"))
    chosen = calibration_images(digits, 100, seed=0)
    assert chosen.dtype == np.uint8
    assert chosen.shape == (100, 3, 32, 32)
    assert set(contents(chosen)) <= set(contents(digits.train_images))
    assert not set(contents(chosen)) & set(contents(digits.test_images))
    label_of = dict(zip(contents(digits.train_images), digits.train_labels, strict=True))
    counts = np.bincount([label_of[image] for image in contents(chosen)])
    assert counts.min() >= 9
    assert contents(chosen) == contents(calibration_images(digits, 100, seed=0))
    assert contents(chosen) != contents(calibration_images(digits, 100, seed=1))


def brightness(images: Pixels, dataset: ImageDataset) -> float:
    return float(dataset.normalized(images).std())


def test_samples_are_calibrated_with_other_photographs() -> None:
    dataset = datasets.load(samples())
    chosen = calibration_images(dataset, 64, seed=0)
    assert chosen.shape == (64, 3, 224, 224)
    assert len(set(contents(chosen))) == 64
    assert not set(contents(chosen)) & set(contents(dataset.test_images))
    assert 0.5 < brightness(chosen, dataset) / brightness(dataset.test_images, dataset) < 2
    assert dataset.fingerprint == datasets.load(samples()).fingerprint


def test_samples_can_be_calibrated_with_images_of_ones_own(
    pets: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = datasets.load(samples(pets / "eel"))
    with caplog.at_level(logging.INFO):
        assert calibration_images(dataset, 100, seed=0).shape == (10, 3, 224, 224)
    assert "10 images instead of 100" in caplog.text
    assert dataset.fingerprint != datasets.load(samples()).fingerprint
    assert "no images" in refused(samples(tmp_path / "nowhere"), "dataset.calibration_root")
    (pets / "eel" / "000.png").write_bytes(b"broken")
    assert "1 of 10 images cannot be read" in refused(samples(pets / "eel"), "dataset.calibration_root")
