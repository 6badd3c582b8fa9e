"""Images of all kinds made into RGB of 8 bits a channel, or refused where a file does not say what that is.

Colors are taken as they are stored: color profiles and gamma are not applied. Of 16 bits the upper 8 are
taken, of grey as Pillow takes them of RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

PLAIN = {"1", "L", "RGB", "CMYK"}
WITH_ALPHA = {"LA", "La", "PA", "P", "RGBA", "RGBa"}
SIXTEEN_BITS = {("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("PPM", "I")}
"""Formats and Pillow's modes of grey in 0..65535. Pillow scales PGM's values to that range."""
READ_BY_PLANES = {((8,), 1), ((8, 8, 8), 2), ((8, 8, 8, 8), 2), ((8, 8, 8, 8), 5)}
"""Bits per sample and photometric interpretation (TIFF 6.0: 1 grey, 2 RGB, 5 CMYK) that are read right
where the channels of a TIFF file are stored one after another."""


def has_sixteen_bits(image: Image) -> bool:
    """Whether it is grey of 16 bits."""
    return (image.format, image.mode) in SIXTEEN_BITS


def upright_rgb(image: Image) -> Image:
    """An opened image as RGB, turned as its EXIF orientation says.

    ValueError says why an image has no certain reading: several pictures in a file, transparent pixels,
    values of which none is said to be white.
    """
    from PIL import ImageOps

    sixteen_bits = has_sixteen_bits(image)
    _require_one_picture(image)
    _require_plain_tiff(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode != "P" and "transparency" in image.info:
        raise ValueError(
            "it has a transparent color, and does not say what is behind: lay it on a background"
        )
    if sixteen_bits:
        return _of_upper_bytes(image)
    if image.mode in PLAIN:
        return image.convert("RGB")
    if image.mode in WITH_ALPHA:
        return _opaque(image)
    if image.mode in ("I", "F"):
        raise ValueError("its values have 32 bits, and it does not say which is white: save it with 8 bits")
    raise ValueError(f"its colors ({image.mode}) are of a kind that is not read: save it as RGB")


def _require_one_picture(image: Image) -> None:
    # Cameras put a preview or a map of gains behind the photograph: Pillow calls such a JPEG file an MPO.
    pictures = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if pictures > 1:
        raise ValueError(f"it has {pictures} pages or frames: save each as a file of its own")


def _require_plain_tiff(image: Image) -> None:
    """ValueError for what Pillow reads of a TIFF file as if it were plain: signed integers, 12 bits, 16 bits
    with white as 0, channels beside the colors, most kinds of channels that are stored one after another."""
    from PIL import TiffImagePlugin as tiff

    if not isinstance(image, tiff.TiffImageFile):
        return
    tags = image.tag_v2
    if 2 in tags.get(tiff.SAMPLEFORMAT, ()):
        raise ValueError("its values are signed, and it does not say which is black: save it with 8 bits")
    kind = tags.get(tiff.BITSPERSAMPLE), tags.get(tiff.PHOTOMETRIC_INTERPRETATION)
    if has_sixteen_bits(image) and kind != ((16,), 1):
        raise ValueError("it has 12 bits, or 16 with white as 0: save it with 8 bits")
    if 0 in tags.get(tiff.EXTRASAMPLES, ()):
        raise ValueError("it has channels beside its colors, which would be lost: save it without them")
    if tags.get(tiff.PLANAR_CONFIGURATION) == 2 and kind not in READ_BY_PLANES:
        raise ValueError("its channels are stored one after another: save it with interleaved channels")


def _of_upper_bytes(image: Image) -> Image:
    from PIL import Image as images

    return images.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")


def _opaque(image: Image) -> Image:
    # Pillow turns premultiplied grey (La) into nothing but LA.
    whole = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    if np.asarray(whole.getchannel("A")).min() < 255:
        raise ValueError("it has transparent pixels, and does not say what is behind: lay it on a background")
    return whole.convert("RGB")
