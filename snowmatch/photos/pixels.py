"""Pixels in, chips out, coordinates back: the only place that knows EXIF orientation, boxes, masks and resizing.

Everything outside this file is in pixels of the upright photo, x then y, pixel centres at whole numbers. Decoding goes
through Pillow alone: OpenCV decodes a 12-megapixel JPEG about 1.3 times as fast (1.1 times at 1280 px), but is silent
about truncated files, and a second path could differ in its pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.exif import orientation
from snowmatch.photos.formats import largest_page, open_photo

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

    Grey, palette, CMYK and 16-bit photos are converted (of more than 8 bits the upper 8 are kept), transparent pixels
    become grey. SnowmatchError where the file is missing, no photo, truncated or above Pillow's limit of 178
    megapixels.
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


def _read(path: Path, mode: str, background: int, least: int | None = None) -> np.ndarray:
    """The upright pixels in `mode` "RGB" (H, W, 3) or "L" (H, W), uint8, with what is transparent over `background`.

    `least`: a smaller copy will do, of so many px on its longest side.
    """
    with open_photo(path) as image:
        largest_page(image)
        if least is not None:
            factor = least / max(image.size)
            # Only JPEG has smaller copies
            image.draft(None, (max(1, int(image.width * factor)), max(1, int(image.height * factor))))
        wide = _is_wide(image)
        image.load()
        turn = _UPRIGHT.get(orientation(image))
        flat = _narrowed(path, image) if wide else _grey_in_eight_bits(image)
        width, height = flat.size
        pixels = np.empty((height, width, 3) if mode == "RGB" else (height, width), np.uint8)
        for top in range(0, height, STRIP_ROWS):
            strip = flat.crop((0, top, width, min(top + STRIP_ROWS, height)))
            pixels[top : top + STRIP_ROWS] = np.asarray(_opaque(strip, background).convert(mode))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _opaque(strip: Image.Image, background: int) -> Image.Image:
    """A strip of a photo with what is transparent over `background`."""
    if not strip.has_transparency_data:
        return strip
    strip = strip.convert("RGBA")  # a palette's transparency as well
    under = Image.new("RGBA", strip.size, (background, background, background, 255))
    return Image.alpha_composite(under, strip)


# --- more than 8 bits -------------------------------------------------------------------------------------------------


def _grey_in_eight_bits(image: Image.Image) -> Image.Image:
    """A grey photo of 10 to 16 bits in 8 bits; others as they are."""
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers, expected 8 or 16 bits")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels have 32 bits, expected 8 or 16")
    return Image.fromarray((values >> _surplus(int(values.max()))).astype(np.uint8))


def _surplus(highest: int) -> int:
    """How many bits more than 8 a photo with this highest value has: cameras write 10, 12 or 14 bits into 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if highest < 1 << bits) - 8


def _is_wide(image: ImageFile.ImageFile) -> bool:
    """Whether a photo that is not loaded yet has colours of 16 bits, of which Pillow reads the upper 8."""
    return image.mode in ("RGB", "RGBA", "RGBX", "CMYK") and any(";16" in _raw_mode(tile.args) for tile in image.tile)


def _raw_mode(args: Any) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)


def _narrowed(path: Path, image: Image.Image) -> Image.Image:
    """A loaded photo of 16-bit colours in 8 bits, where its colours have 10, 12 or 14 bits only; else as it is."""
    upper = np.asarray(image)
    bands = len(image.mode.rstrip("AX"))  # what is no colour has 16 bits
    if upper[..., :bands].max(initial=0) >= 64:
        return image
    with open_photo(path) as again:
        largest_page(again)
        # The other byte order reads the lower 8 bits
        native = "L" if sys.byteorder == "little" else "B"
        other = {"L": "B", "B": "L"}
        again.tile = [
            tile._replace(args=_with_raw_mode(tile.args, lambda mode: mode[:-1] + other[mode[-1].replace("N", native)]))
            for tile in again.tile
        ]
        again.load()
        lower = np.asarray(again)
    values = upper[..., :bands].astype(np.uint16) << 8 | lower[..., :bands]
    colours = (values >> _surplus(int(values.max(initial=0)))).astype(np.uint8)
    return Image.fromarray(np.concatenate([colours, upper[..., bands:]], axis=2), image.mode)


def _with_raw_mode(args: Any, change: Callable[[str], str]) -> Any:
    return (change(args[0]), *args[1:]) if isinstance(args, tuple) else change(args)
