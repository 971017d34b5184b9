"""Text in pictures: a font that has the letters, cut to the room there is."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

from PIL import ImageDraw, ImageFont

from snowmatch.core.text import transliterated

# Looked for in the system's font folders, in this order, for names that Pillow's own font has no letters for.
FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "segoeui.ttf",
    "arial.ttf",
    "Arial.ttf",
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont  # the latter where Pillow has no FreeType


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
    """Write one line from `place` (its upper corner, left or right), cut to `room` px; gives the x of its other end."""
    font, text = _lettering(text[:300], size)  # 300 letters do not fit: a long one need not be looked at in full
    if room is not None and font.getlength(text) > room:
        fitting = bisect_right(range(len(text)), float(room), key=lambda n: font.getlength(text[:n] + "…")) - 1
        text = text[: max(fitting, 0)] + "…"
    width = round(font.getlength(text))
    left = place[0] - width if anchor == "right" else place[0]
    draw.text((left, place[1]), text, colour, font)
    return left if anchor == "right" else left + width


def _lettering(text: str, size: int) -> tuple[Font, str]:
    """A font and `text` as it can be written with it: Pillow's own font if that will do, so that pictures are alike
    everywhere; else one of the system's; else the letters the first one has, in transliteration.
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
        except OSError:  # not on this system: the next one, or transliteration
            continue
    return tuple(found)


def _covers(font: Font, text: str) -> bool:
    """Whether the font has a glyph of its own for every character of `text`."""
    missing = bytes(font.getmask("\uffff"))  # not a character, so what is drawn is the font's sign for "no glyph"
    return all(c.isspace() or bytes(font.getmask(c)) != missing for c in sorted(set(text)))
