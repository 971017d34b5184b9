"""Reading of photos and masks as upright pixels.

Only this package applies EXIF orientation. All other packages use pixels of the upright photo: x then y, pixel centres
at whole numbers. Only Pillow decodes photos. OpenCV decodes a 12-megapixel JPEG about 1.3 times as fast (1.1 times at
1280 px), but it does not report truncated files, and two decoders could give different pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.exif import orientation
from snowmatch.photos.formats import open_photo

# Number of rows that are converted at a time, so that memory never holds a photo of 100 megapixels twice.
STRIP_ROWS = 256
# Grey value for transparent pixels: mid-grey gives the weakest edges next to a coat.
TRANSPARENT = 128
# For each EXIF orientation 2 to 8: the function that turns the stored pixels upright. Source: EXIF 2.3, tag 0x0112.
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
    """Return the pixels of the upright photo: (H, W, 3) uint8 RGB, EXIF orientation applied.

    Grey, palette, CMYK and 16-bit photos are converted; of 16 bits the upper 8 are kept. Transparent pixels become
    grey. Raises SnowmatchError if the file is missing, is not a photo, is truncated or exceeds Pillow's limit of
    178 megapixels.
    """
    return _read(path, "RGB", TRANSPARENT)


def read_grey(path: Path, least: int) -> np.ndarray:
    """Return a small grey copy of the upright photo: (H, W) uint8.

    least: length of the copy's longest side (px), at least; a smaller photo keeps its size. A JPEG is decoded at its
    smallest scale (1/2, 1/4 or 1/8) that is large enough, which takes a tenth of the time. Other formats are decoded
    at full size. Raises SnowmatchError as `read_photo` does.
    """
    return _read(path, "L", TRANSPARENT, least)


def read_mask(path: Path, image_size: tuple[int, int]) -> np.ndarray:
    """Return a mask file as (H, W) bool: True where the value is above 127. An all-black mask gives all False.

    image_size: (width, height) of the upright photo. Raises SnowmatchError if the mask has another size, if it has
    values above 0 but none above 127 (for example only 0 and 1), or as `read_photo` does.
    """
    values = _read(path, "L", 0)
    size = (values.shape[1], values.shape[0])
    if size != tuple(image_size):
        raise SnowmatchError(
            f"{path} is a mask of {size[0]} x {size[1]} px, expected {image_size[0]} x {image_size[1]}, the size of "
            "the upright photo: export the mask again at that size"
        )
    highest = int(values.max())
    if 0 < highest <= 127:
        raise SnowmatchError(
            f"{path} has values up to {highest}, expected values above 127 on the animal: save it as 0 and 255"
        )
    return values > 127


def photo_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the upright photo. Raises SnowmatchError as `read_photo` does.

    Most formats need only the header of the file; a TIFF is decoded.
    """
    with open_photo(path) as image:
        if image.format == "TIFF":  # Pillow itself rotates a TIFF; some versions do it only in load()
            image.load()
        width, height = image.size
        return (height, width) if orientation(image) >= 5 else (width, height)


def _read(path: Path, mode: str, background: int, least: int | None = None) -> np.ndarray:
    """Return the upright pixels, uint8.

    mode: "RGB" gives (H, W, 3), "L" gives (H, W).
    background: grey value (0 to 255) under transparent pixels.
    least: if given, the result may be a smaller copy of at least `least` px on its longest side.
    """
    with open_photo(path) as image:
        if least is not None:
            factor = least / max(image.size)
            # Only a JPEG can be decoded at a smaller scale; for other formats this call does nothing
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
    """Return a strip of a photo in a mode that Pillow converts correctly to RGB and to grey."""
    if strip.mode == "F":
        raise ValueError("its pixels are floating-point numbers, expected 8 or 16 bits")
    if strip.mode == "I" or strip.mode.startswith("I;16"):
        values = np.asarray(strip)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels have 32 bits, expected 8 or 16")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")  # this includes the transparency of a palette
        under = Image.new("RGBA", strip.size, (background, background, background, 255))
        return Image.alpha_composite(under, strip)
    return strip
