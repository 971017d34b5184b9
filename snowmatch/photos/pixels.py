"""Reading of photos and masks as upright pixels.

Only this package applies EXIF orientation. All other packages use pixels of the upright photo: x then y, pixel centres
at whole numbers. Only Pillow decodes photos. OpenCV decodes a 12-megapixel JPEG about 1.3 times as fast (1.1 times at
1280 px), but it does not report truncated files, and two decoders could give different pixels.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.exif import orientation, upright_size
from snowmatch.photos.formats import (
    largest_page,
    open_photo,
    raw_mode,
    tags_of_planes,
    white_is_zero,
    with_raw_mode,
)
from snowmatch.photos.turned import stored_edges

# Number of rows that are converted at a time, so that memory never holds a photo of 100 megapixels twice.
STRIP_ROWS = 256
BMP_PIXELS = 128  # largest number of pixels in one byte of a BMP. Source: its run-length code, 255 pixels in 2 bytes
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

    Grey, palette, CMYK and 16-bit photos are converted (with more than 8 bits, the upper 8 are used); transparent
    pixels become grey. Raises SnowmatchError if the file does not exist, is not a photo, is truncated, or has more than
    178 megapixels (the limit of Pillow).
    """
    return _read(path, "RGB", TRANSPARENT)


def read_grey(path: Path, least: int) -> np.ndarray:
    """Return a small grey copy of the upright photo: (H, W) uint8.

    least: length of the copy's longest side (px), at least; a smaller photo keeps its size. A JPEG is decoded at its
    smallest scale (1/2, 1/4 or 1/8) that is large enough, which takes a tenth of the time. Other formats are decoded
    at full size. Raises SnowmatchError as `read_photo` does.
    """
    return _read(path, "L", TRANSPARENT, least)


def read_greys(path: Path, least: int, larger: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what `read_grey` returns for `least`, and for `larger` if the same decoding gives it; None otherwise.

    One decoding gives both of a JPEG of more than eight times `larger`, and of any photo in another format.
    """
    with open_photo(path) as image:
        wide = _prepared(image, path)
        both = not isinstance(image, JpegImageFile) or _scale(image, least) == _scale(image, larger)
        flat, turn = _decoded(image, path, wide, least)
        grey = _upright(_pixels(flat, "L", TRANSPARENT), turn)
    return grey, grey if both else None


def read_small(path: Path, least: int) -> np.ndarray:
    """Return a small copy of the upright photo in colour: (H, W, 3) uint8 RGB. Parameters and errors as `read_grey`."""
    return _read(path, "RGB", TRANSPARENT, least)


@dataclass(frozen=True)
class Part:
    """A part of an upright photo to read.

    edges: left, top, right, bottom (px of the photo), inside the photo and not empty. least: length of its longest side
    (px), at least; a photo with fewer pixels keeps its own. enough: a longer side may be averaged down to this (px).
    """

    edges: tuple[int, int, int, int]
    least: float
    enough: int


def read_parts(
    path: Path, choose: Callable[[tuple[int, int]], Sequence[Part]]
) -> tuple[tuple[int, int], list[np.ndarray]]:
    """Return (width, height), px, of the upright photo, and parts of it, each (H, W, 3) uint8 RGB, of one decoding.

    choose: returns the parts, from the (width, height) of the upright photo. A JPEG is decoded at the smallest scale
    that is large enough for all parts, as in `read_grey`. No parts give an empty list. Raises SnowmatchError as
    `read_photo` does, and what `choose` does.
    """
    with open_photo(path) as image:
        wide = _prepared(image, path)
        size = upright_size(image)
        parts = choose(size)
        least = max((part.least * max(size) / _longest(part.edges) for part in parts), default=1)
        flat, turn = _decoded(image, path, wide, math.ceil(least))
        return size, [_read_part(flat, turn, part, size) for part in parts]


def _read_part(flat: Image.Image, turn: int, part: Part, image_size: tuple[int, int]) -> np.ndarray:
    width, height = flat.size[::-1] if turn >= 5 else flat.size
    across, down = width / image_size[0], height / image_size[1]
    x, y = math.floor(part.edges[0] * across), math.floor(part.edges[1] * down)
    edges = x, y, max(math.ceil(part.edges[2] * across), x + 1), max(math.ceil(part.edges[3] * down), y + 1)
    left, top, right, bottom = (int(edge) for edge in stored_edges(edges, turn, flat.size))
    times = _longest(edges) // part.enough
    if times > 1 and flat.mode in ("L", "RGB"):  # before the pixels are copied and converted, which takes longer
        cut = flat.reduce(times, (left, top, right, bottom))
    else:
        cut = flat.crop((left, top, right, bottom))
    return _upright(_pixels(cut, "RGB", TRANSPARENT), turn)


def _longest(edges: tuple[int, int, int, int]) -> int:
    return max(edges[2] - edges[0], edges[3] - edges[1])


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


def _read(path: Path, mode: str, background: int, least: int | None = None) -> np.ndarray:
    """Return the upright pixels, uint8.

    mode: "RGB" gives (H, W, 3), "L" gives (H, W).
    background: grey value (0 to 255) under transparent pixels.
    least: if given, the result may be a smaller copy of at least `least` px on its longest side.
    """
    with open_photo(path) as image:
        wide = _prepared(image, path)
        flat, turn = _decoded(image, path, wide, least)
        return _upright(_pixels(flat, mode, background), turn)


def _prepared(image: ImageFile.ImageFile, path: Path) -> bool:
    """Select the page of an opened photo, and return whether its colours have 16 bits."""
    largest_page(image, path)
    _check_length(image, path)
    return _is_wide(image)


def _decoded(image: ImageFile.ImageFile, path: Path, wide: bool, least: int | None) -> tuple[Image.Image, int]:
    """Return the photo, of at most 8 bits, as it is stored, and its EXIF orientation.

    wide: what `_prepared` returned. least: as in `_read`. What is decoded already is not decoded again.
    """
    if least is not None:
        image.draft(None, _asked_size(image, least))  # this does nothing for formats other than JPEG
    image.load()
    turn = orientation(image)
    return _narrowed(path, image) if wide else _grey_in_eight_bits(image), turn


def _asked_size(image: Image.Image, least: int) -> tuple[int, int]:
    factor = least / max(image.size)
    return max(1, int(image.width * factor)), max(1, int(image.height * factor))


def _scale(image: Image.Image, least: int) -> int:
    """Return by which number Pillow divides the sides of a JPEG that is decoded at `least` px or more."""
    width, height = _asked_size(image, least)
    times = min(image.width // width, image.height // height)
    return next((scale for scale in (8, 4, 2) if times >= scale), 1)


def _pixels(flat: Image.Image, mode: str, background: int) -> np.ndarray:
    """Return the pixels of a decoded photo as they are stored, uint8. mode, background: as in `_read`."""
    width, height = flat.size
    pixels = np.empty((height, width, 3) if mode == "RGB" else (height, width), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        strip = _opaque(flat.crop((0, top, width, min(top + STRIP_ROWS, height))), background)
        # Pillow's convert copies also what has the mode already: 14 of 55 ms of a photo of 12 megapixels
        pixels[top : top + STRIP_ROWS] = np.asarray(strip if strip.mode == mode else strip.convert(mode))
    return pixels


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    turned = _UPRIGHT.get(turn)
    return pixels if turned is None else np.ascontiguousarray(turned(pixels))


def _check_length(image: Image.Image, path: Path) -> None:
    """Raise ValueError if a BMP declares more pixels than its bytes can hold: Pillow would still fill all of them."""
    if image.format == "BMP" and image.width * image.height > BMP_PIXELS * path.stat().st_size:
        raise ValueError(f"{image.width} x {image.height} px cannot be in {path.stat().st_size} bytes")


def _opaque(strip: Image.Image, background: int) -> Image.Image:
    """Return a strip of a photo with transparent pixels over `background`."""
    if not strip.has_transparency_data:
        return strip
    strip = strip.convert("RGBA")  # this also converts the transparency of a palette
    under = Image.new("RGBA", strip.size, (background, background, background, 255))
    return Image.alpha_composite(under, strip)


# --- more than 8 bits -------------------------------------------------------------------------------------------------


def _grey_in_eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey photo of 10 to 16 bits in 8 bits; other photos unchanged."""
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers, expected 8 or 16 bits")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels have 32 bits, expected 8 or 16")
    grey = (values >> _surplus(int(values.max()))).astype(np.uint8)
    return Image.fromarray(255 - grey if white_is_zero(image) else grey)


def _surplus(highest: int) -> int:
    """Return the number of bits above 8 of a photo with this highest value: cameras write 10, 12 or 14 bits into 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if highest < 1 << bits) - 8


def _is_wide(image: ImageFile.ImageFile) -> bool:
    """Return whether a photo that is not loaded yet has colours of 16 bits, of which Pillow reads the upper 8."""
    return image.mode in ("RGB", "RGBA", "RGBX", "CMYK") and any(";16" in raw_mode(tile.args) for tile in image.tile)


def _narrowed(path: Path, image: Image.Image) -> Image.Image:
    """Return a loaded photo of 16-bit colours in 8 bits if its colours have only 10, 12 or 14 bits; otherwise
    unchanged.
    """
    upper = np.asarray(image)
    bands = len(image.mode.rstrip("AX"))  # other bands have 16 bits
    if upper[..., :bands].max(initial=0) >= 64:
        return image
    if tags_of_planes(image) is not None and image.info["compression"] != "raw":  # Pillow reads only the upper 8 bits
        raise ValueError("colours of 10 to 14 bits lie in separate, compressed planes")
    with open_photo(path) as again:
        largest_page(again, path)
        # The other byte order reads the lower 8 bits
        native = "L" if sys.byteorder == "little" else "B"
        other = {"L": "B", "B": "L"}
        again.tile = [
            tile._replace(args=with_raw_mode(tile.args, lambda mode: mode[:-1] + other[mode[-1].replace("N", native)]))
            for tile in again.tile
        ]
        again.load()
        lower = np.asarray(again)
    values = upper[..., :bands].astype(np.uint16) << 8 | lower[..., :bands]
    colours = (values >> _surplus(int(values.max(initial=0)))).astype(np.uint8)
    return Image.fromarray(np.concatenate([colours, upper[..., bands:]], axis=2), image.mode)
