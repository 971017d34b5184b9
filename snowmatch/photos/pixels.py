"""Pixels in, chips out, coordinates back: the only place that knows EXIF orientation, boxes, masks and resizing.

Everything outside this file is in pixels of the upright photo, x then y, pixel centres at whole numbers. Decoding goes
through Pillow alone: OpenCV decodes a 12-megapixel JPEG about 1.3 times as fast (1.1 times at 1280 px), but is silent
about truncated files, and a second path could differ in its pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.exif import orientation
from snowmatch.photos.formats import open_photo

# Rows that are converted at a time: a photo of 100 megapixels never exists twice.
STRIP_ROWS = 256
# What transparent pixels become: mid-grey makes the weakest edges against a coat.
TRANSPARENT = 128
# Pixels as stored to pixels as seen, for EXIF orientations 2 to 8. Source: EXIF 2.3, tag 0x0112.
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def read_photo(path: Path) -> np.ndarray:
    """The pixels of a photo as it is meant to be seen: (H, W, 3) uint8 RGB, EXIF orientation applied.

    Grey, palette, CMYK and 16-bit photos are converted (16 bits keep the upper 8), transparent pixels become grey.
    SnowmatchError where the file is missing, no photo, truncated or above Pillow's limit of 178 megapixels.
    """
    return _read(path, "RGB", TRANSPARENT)


def read_grey(path: Path, least: int) -> np.ndarray:
    """A photo's grey pixels (H, W) uint8, upright, small but at least `least` px on the longest side if it has them.

    A JPEG is decoded at the smallest of its own scales (1/2, 1/4, 1/8) that is large enough: in a tenth of the time.
    SnowmatchError as read_photo.
    """
    return _read(path, "L", TRANSPARENT, least)


def read_mask(path: Path, image_size: tuple[int, int]) -> np.ndarray:
    """A mask file as (H, W) bool, True above 127; SnowmatchError where its size is not `image_size` (width, height)
    or its values are all too low to mean an animal (0 and 1, say). An all-black mask is all False.
    """
    values = _read(path, "L", 0)
    size = (values.shape[1], values.shape[0])
    if size != tuple(image_size):
        raise SnowmatchError(
            f"{path} is a mask of {size[0]} x {size[1]} px, expected the upright photo's {image_size[0]} x "
            f"{image_size[1]}: export it again at that size"
        )
    highest = int(values.max())
    if 0 < highest <= 127:
        raise SnowmatchError(
            f"{path} has values up to {highest} only, expected the animal above 127: save it as 0 and 255"
        )
    return values > 127


def photo_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright photo, mostly from the file's header alone; SnowmatchError as read_photo."""
    with open_photo(path) as image:
        if image.format == "TIFF":  # Pillow turns TIFFs itself, some versions only when they are loaded
            image.load()
        width, height = image.size
        return (height, width) if orientation(image) >= 5 else (width, height)


def _read(path: Path, mode: str, background: int, least: int | None = None) -> np.ndarray:
    """The upright pixels in `mode` "RGB" (H, W, 3) or "L" (H, W), uint8, with what is transparent over `background`.

    `least`: a smaller copy will do, of so many px on its longest side.
    """
    with open_photo(path) as image:
        if least is not None:
            factor = least / max(image.size)
            # Only JPEG has smaller copies
            image.draft(None, (max(1, int(image.width * factor)), max(1, int(image.height * factor))))
        image.load()
        width, height = image.size
        pixels = np.empty((height, width, 3) if mode == "RGB" else (height, width), np.uint8)
        for top in range(0, height, STRIP_ROWS):
            strip = image.crop((0, top, width, min(top + STRIP_ROWS, height)))
            pixels[top : top + STRIP_ROWS] = np.asarray(_eight_bits(strip, background).convert(mode))
        turn = _UPRIGHT.get(orientation(image))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _eight_bits(strip: Image.Image, background: int) -> Image.Image:
    """A strip of a photo in a mode that converts to RGB and to grey without loss of meaning."""
    if strip.mode == "F":
        raise ValueError("pixels are floating-point numbers, expected 8 or 16 bits")
    if strip.mode == "I" or strip.mode.startswith("I;16"):
        values = np.asarray(strip)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("pixels have 32 bits, expected 8 or 16")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")  # a palette's transparency as well
        under = Image.new("RGBA", strip.size, (background, background, background, 255))
        return Image.alpha_composite(under, strip)
    return strip
