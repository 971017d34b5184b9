"""Text in pictures, in a font that has the letters, cut to the available width."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

from PIL import ImageDraw, ImageFont

from snowmatch.core.text import transliterated

# Fonts for names with letters that Pillow's own font lacks. They are searched in the system's folders, in this order.
FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "segoeui.ttf",
    "arial.ttf",
    "Arial.ttf",
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont  # the second type if Pillow was built without FreeType


def write_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    *,
    anchor: str = "left",
    room: int | None = None,
) -> int:
    """Write one line of text and return the x of its other end (px).

    place: the upper left corner of the text, or the upper right corner if `anchor` is "right". room: the available
    width (px); a longer text is cut. None for no limit.
    """
    font, text = _lettering(text[:300], size)  # 300 letters never fit, so the rest of a long text is not measured
    if room is not None and font.getlength(text) > room:
        fitting = bisect_right(range(len(text)), float(room), key=lambda n: font.getlength(text[:n] + "…")) - 1
        text = text[: max(fitting, 0)] + "…"
    width = round(font.getlength(text))
    left = place[0] - width if anchor == "right" else place[0]
    draw.text((left, place[1]), text, colour, font)
    return left if anchor == "right" else left + width


def _lettering(text: str, size: int) -> tuple[Font, str]:
    """Return a font and the text to write with it.

    Pillow's own font is preferred, so that pictures look the same on all computers. The next choice is a font of the
    system. If no font has all letters, the missing letters are transliterated and written with Pillow's own font.
    """
    own = ImageFont.load_default(size)
    if _covers(own, text):
        return own, text
    for font in _system_fonts(size):
        if _covers(font, text):
            return font, text
    return own, "".join(c if _covers(own, c) else transliterated(c) for c in text)


@cache
def _system_fonts(size: int) -> tuple[ImageFont.FreeTypeFont, ...]:
    found = []
    for name in FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:  # this system does not have the font: try the next
            continue
    return tuple(found)


def _covers(font: Font, text: str) -> bool:
    """Return whether the font has a glyph for every character of `text`."""
    missing = bytes(font.getmask("\uffff"))  # U+FFFF is no character: the font draws its sign for a missing glyph
    return all(c.isspace() or bytes(font.getmask(c)) != missing for c in sorted(set(text)))
