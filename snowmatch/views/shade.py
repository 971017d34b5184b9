"""What the pages need of a photo beside its preview: its size, the part that previews show, the scenery."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.facts import read_size
from snowmatch.photos.pixels import read_mask
from snowmatch.views.previews import with_margin

DARK = 205  # of 255: how dark the scenery becomes


def shown_part(annotation: Annotation, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (px) of what the preview `animal` shows of a photo of this size.

    A photo that was replaced by a smaller one, outside of which its box lies, is shown as a whole: it has no preview.
    """
    if annotation.bbox is not None:
        with suppress(SnowmatchError):
            return with_margin(annotation.bbox, size)
    return (0, 0, *size)


def scenery_shade(folder: Path, annotation: Annotation, size: int) -> bytes:
    """Return a PNG to be laid over a photo: dark where the scenery is, transparent on the animal's mask, or box.

    size: longest side (px); a smaller photo keeps its size. Without mask and box all is transparent. Raises
    SnowmatchError if the photo or the mask cannot be read.
    """
    width, height = read_size(folder / annotation.path)
    factor = min(size / max(width, height), 1.0)
    small = max(round(width * factor), 1), max(round(height * factor), 1)
    animal = Image.new("L", (width, height), 0)
    if annotation.mask:
        animal = Image.fromarray(read_mask(folder / annotation.mask, (width, height)).astype(np.uint8) * 255)
    elif annotation.bbox is not None:
        x, y, w, h = clip_bbox(annotation.bbox, (width, height))
        animal.paste(255, (x, y, x + w, y + h))
    else:
        animal.paste(255, (0, 0, width, height))
    alpha = animal.resize(small, Image.Resampling.BILINEAR).point([round(DARK * (255 - v) / 255) for v in range(256)])
    out = io.BytesIO()
    Image.merge("LA", (Image.new("L", small, 0), alpha)).save(out, "PNG", compress_level=3)
    return out.getvalue()
