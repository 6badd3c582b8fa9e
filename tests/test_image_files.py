"""Image files of all kinds: each is read as it is meant, or refused by its name and the reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from dlas.datasets.shared.image_files import Framing, read_images
from dlas.errors import UserError

SIDE = 16
Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
COLORS = RANDOM.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
GREY_16 = RANDOM.integers(0, 65536, (SIDE, SIDE), dtype=np.uint16)
COLORS_16 = RANDOM.integers(0, 65536, (SIDE, SIDE, 3), dtype=np.uint16)
OPAQUE = np.full((SIDE, SIDE, 1), 255, np.uint8)
HALF = np.where(np.eye(SIDE, dtype=bool), 128, 255).astype(np.uint8)[..., None]


def saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def png_of_16_bits(values: Array) -> bytes:
    """RGB, or RGB and alpha, of 16 bits, which Pillow doesn't write."""
    height, width, channels = values.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(planes: list[bytes], bits: int, samples: int, photometric: int, **more: tuple[int, ...]) -> bytes:
    """A little-endian TIFF file of SIDE x SIDE (TIFF 6.0), which Pillow doesn't write of all kinds: `planes`
    are interleaved channels, or one after another. `more` are `sample_format`, `extra_samples`."""
    data = b"".join(planes)
    starts = [8 + sum(map(len, planes[:index])) for index in range(len(planes))]
    tags: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("I", (SIDE,)),
        257: ("I", (SIDE,)),
        258: ("H", (bits,) * samples),
        259: ("H", (1,)),
        262: ("H", (photometric,)),
        273: ("I", tuple(starts)),
        277: ("H", (samples,)),
        278: ("I", (SIDE,)),
        279: ("I", tuple(map(len, planes))),
        284: ("H", (1 if len(planes) == 1 else 2,)),
    }
    if "extra_samples" in more:
        tags[338] = ("H", more["extra_samples"])
    if "sample_format" in more:
        tags[339] = ("H", more["sample_format"])
    directory, rest = struct.pack("<H", len(tags)), b""
    end = 8 + len(data) + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack(f"<{len(values)}{kind}", *values)
        directory += struct.pack("<HHI", tag, {"H": 3, "I": 4}[kind], len(values))
        if len(content) <= 4:
            directory += content.ljust(4, b"\0")
        else:
            directory += struct.pack("<I", end + len(rest))
            rest += content
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4) + rest


def little(values: Array) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def by_channel(values: Array) -> list[bytes]:
    return [little(np.ascontiguousarray(values[..., index])) for index in range(values.shape[2])]


def read(folder: Path, **contents: bytes) -> Array:
    """The files as N,H,W,3; they are named by the keywords and end in .png."""
    files = [folder / f"{name}.png" for name in contents]
    for file, content in zip(files, contents.values(), strict=True):
        file.write_bytes(content)
    return read_images(files, Framing(SIDE, SIDE)).transpose(0, 2, 3, 1)


def in_three(grey: Array) -> Array:
    return np.repeat(grey[..., None], 3, axis=2)


def test_images_of_16_bits_are_scaled(tmp_path: Path) -> None:
    image = Image.fromarray(GREY_16)
    big_endian = Image.fromarray(GREY_16.astype(">u2"))
    grey = read(
        tmp_path,
        png=saved(image, "PNG"),
        tiff=saved(image, "TIFF"),
        lzw=saved(image, "TIFF", compression="tiff_lzw"),
        big_endian=saved(big_endian, "TIFF"),
        big_endian_lzw=saved(big_endian, "TIFF", compression="tiff_lzw"),
        pgm=saved(image, "PPM"),
    )
    for one in grey:
        np.testing.assert_array_equal(one, in_three(GREY_16 >> 8))
    colors = read(
        tmp_path,
        png=png_of_16_bits(COLORS_16),
        alpha=png_of_16_bits(np.concatenate([COLORS_16, 257 * OPAQUE.astype(np.uint16)], 2)),
        tiff=tiff([little(COLORS_16)], 16, 3, 2),
    )
    for one in colors:
        np.testing.assert_array_equal(one, COLORS_16 >> 8)


def test_images_of_8_bits_are_read_as_they_are(tmp_path: Path) -> None:
    palette = Image.fromarray(COLORS).quantize(200)
    cmyk = Image.fromarray(np.concatenate([COLORS, OPAQUE // 5], 2), "CMYK")
    # Of each ink what it leaves of white, times what black leaves
    of_cmyk = np.rint((255 - COLORS.astype(float)) * (255 - 51) / 255)
    other = Image.fromarray(255 - COLORS)
    given = {
        "grey": (saved(Image.fromarray(GREY), "PNG"), in_three(GREY)),
        "one_bit": (saved(Image.fromarray(GREY > 99), "PNG"), in_three(255 * (GREY > 99))),
        "palette": (saved(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        "palette_with_unused": (
            saved(palette, "PNG", transparency=bytes([255] * 200 + [0] * 56)),
            np.asarray(palette.convert("RGB")),
        ),
        "grey_alpha": (
            saved(Image.fromarray(np.concatenate([GREY[..., None], OPAQUE], 2), "LA"), "PNG"),
            in_three(GREY),
        ),
        "alpha": (saved(Image.fromarray(np.concatenate([COLORS, OPAQUE], 2)), "PNG"), COLORS),
        "cmyk": (saved(cmyk, "TIFF"), of_cmyk),
        "white_is_zero": (tiff([little(GREY)], 8, 1, 0), in_three(255 - GREY)),
        "planes": (tiff(by_channel(COLORS), 8, 3, 2), COLORS),
    }
    found = read(tmp_path, **{name: content for name, (content, _) in given.items()})
    for (name, (_, expected)), image in zip(given.items(), found, strict=True):
        tolerance = 1 if name == "cmyk" else 0
        assert np.abs(image.astype(int) - expected).max() <= tolerance, name
    first, alone = read(
        tmp_path,
        of_a_phone=saved(Image.fromarray(COLORS), "MPO", save_all=True, append_images=[other], quality=95),
        alone=saved(Image.fromarray(COLORS), "JPEG", quality=95),
    )
    np.testing.assert_array_equal(first, alone)


TURNED: dict[int, Callable[[Array], Array]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, 1),
}
"""EXIF's orientations: what has to be done to the stored rows and columns to see the picture upright."""


def test_images_are_turned_as_their_exif_orientation_says(tmp_path: Path) -> None:
    plain = read(tmp_path, jpeg=saved(Image.fromarray(COLORS), "JPEG"))[0]
    for orientation, turned in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        jpeg, png, deep, tiff_ = read(
            tmp_path,
            jpeg=saved(Image.fromarray(COLORS), "JPEG", exif=exif),
            png=saved(Image.fromarray(COLORS), "PNG", exif=exif),
            deep=saved(Image.fromarray(GREY_16), "PNG", exif=exif),
            tiff=saved(Image.fromarray(COLORS), "TIFF", exif=exif),
        )
        np.testing.assert_array_equal(jpeg, turned(plain))
        np.testing.assert_array_equal(png, turned(COLORS))
        np.testing.assert_array_equal(deep, in_three(turned(GREY_16 >> 8)))
        np.testing.assert_array_equal(tiff_, turned(COLORS))


def twelve_bits() -> bytes:
    """Rows of values of 12 bits, packed."""
    bits = np.unpackbits(
        np.ascontiguousarray(GREY_16 >> 4).astype(">u2").view(np.uint8).reshape(-1, 2), axis=1
    )
    return np.packbits(bits[:, 4:]).tobytes()


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(Image.fromarray(COLORS), *profiles, outputMode="LAB")
    assert converted is not None
    return converted


def refused_kinds() -> dict[str, tuple[bytes, str]]:
    image, other = Image.fromarray(COLORS), Image.fromarray(255 - COLORS)
    palette = image.quantize(16)
    alpha = Image.fromarray(np.concatenate([COLORS, HALF], 2))
    grey_alpha = np.concatenate([GREY[..., None], HALF], 2)
    signed = COLORS.view(np.int8)
    png, jpeg = saved(image, "PNG"), saved(image, "JPEG")
    white, black, several = "which is white", "which is black", "2 pages or frames"
    return {
        "float": (saved(Image.fromarray(GREY / np.float32(255)), "TIFF"), white),
        "float64": (tiff([little(GREY / 255)], 64, 1, 1, sample_format=(3,)), "with 8 bits"),
        "int32": (saved(Image.fromarray(GREY_16.astype(np.int32)), "TIFF"), black),
        "unsigned_32": (tiff([little(GREY_16.astype(np.uint32))], 32, 1, 1), white),
        "signed": (tiff([little(signed[..., 0])], 8, 1, 1, sample_format=(2,)), black),
        "signed_16": (tiff([little(GREY_16.view(np.int16))], 16, 1, 1, sample_format=(2,)), black),
        "white_is_zero_16": (tiff([little(GREY_16)], 16, 1, 0), "white as 0"),
        "bits_12": (tiff([twelve_bits()], 12, 1, 1), "12 bits"),
        "planes_16": (tiff(by_channel(COLORS_16), 16, 3, 2), "one after another"),
        "infrared": (
            tiff([little(np.concatenate([COLORS, HALF], 2))], 8, 4, 2, extra_samples=(0,)),
            "channels beside its colors",
        ),
        "lab": (saved(lab(), "TIFF"), "LAB"),
        "transparent": (saved(alpha, "PNG"), "transparent pixels"),
        "transparent_webp": (saved(alpha, "WEBP"), "transparent pixels"),
        "transparent_grey": (saved(Image.fromarray(grey_alpha, "LA"), "PNG"), "transparent pixels"),
        "premultiplied": (tiff([little(grey_alpha)], 8, 2, 1, extra_samples=(1,)), "transparent pixels"),
        "transparent_entry": (saved(palette, "PNG", transparency=3), "transparent pixels"),
        "transparent_entries": (saved(palette, "PNG", transparency=bytes([200] * 16)), "transparent pixels"),
        "transparent_color": (saved(image, "PNG", transparency=(1, 2, 3)), "transparent color"),
        "transparent_16": (saved(Image.fromarray(GREY_16), "PNG", transparency=7), "transparent color"),
        "animated_png": (saved(image, "PNG", save_all=True, append_images=[other]), several),
        "animated_webp": (saved(image, "WEBP", save_all=True, append_images=[other]), several),
        "pages": (saved(image, "TIFF", save_all=True, append_images=[other]), several),
        "empty": (b"", "it is empty"),
        "text": (b"no image", "its start is broken"),
        "cut_png": (png[:-40], "truncated"),
        "cut_jpeg": (jpeg[:-20], "truncated"),
        "flipped_bit": (png[:100] + bytes([png[100] ^ 1]) + png[101:], "broken"),
    }


def test_images_without_a_certain_reading_are_refused(tmp_path: Path) -> None:
    kinds = refused_kinds()
    for name, (content, reason) in kinds.items():
        with pytest.raises(UserError) as caught:
            read(tmp_path, **{name: content})
        assert f"1 of 1 images cannot be read: {tmp_path / name}.png (" in caught.value.problem, name
        assert reason in caught.value.problem, f"{name}: {caught.value.problem}"
    with pytest.raises(UserError) as caught:
        read(tmp_path, fine=saved(Image.fromarray(GREY), "PNG"), **{name: kinds[name][0] for name in kinds})
    assert f"{len(kinds)} of {len(kinds) + 1} images cannot be read" in caught.value.problem
    assert f"and {len(kinds) - 5} more" in caught.value.problem


def test_images_of_12_bits_in_16_are_refused_unless_others_are_brighter(tmp_path: Path) -> None:
    dark, bright = saved(Image.fromarray(GREY_16 >> 4), "PNG"), saved(Image.fromarray(GREY_16), "TIFF")
    with pytest.raises(UserError) as caught:
        read(tmp_path, dark=dark, darker=dark, plain=saved(Image.fromarray(GREY), "PNG"))
    assert "2 of 3 images cannot be read" in caught.value.problem
    assert "dark.png" in caught.value.problem
    assert "below 4096 of 65535" in caught.value.problem
    np.testing.assert_array_equal(read(tmp_path, dark=dark, bright=bright)[0], in_three(GREY_16 >> 12))
