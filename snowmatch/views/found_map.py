"""The map of where the animal is in a photo, as snowmatch found it, to be laid over the photo."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from snowmatch.core.files import file_sha256, unreadable
from snowmatch.core.types import Annotation
from snowmatch.screening.maps import KEY, load_maps
from snowmatch.views.previews import photo_size

TINT = (255, 140, 0)
STRONGEST = 150  # of 255: opacity where the animal surely is


def found_map(folder: Path, annotation: Annotation, size: int) -> bytes | None:
    """Return a PNG to be laid over a photo, tinted where the animal was found; None if the photo has no map.

    size: longest side (px); a smaller photo keeps its size. Raises SnowmatchError if the photo cannot be
    read. A damaged map counts as none.
    """
    photo = folder / annotation.path
    try:
        key = file_sha256(photo)[:KEY]
    except OSError as error:
        raise unreadable(photo, error) from error
    entry = load_maps(folder, [key]).get(key)
    whole = photo_size(photo)
    if entry is None or entry[1] is None or whole is None:
        return None
    factor = min(size / max(whole), 1.0)
    small = max(round(whole[0] * factor), 1), max(round(whole[1] * factor), 1)
    values = Image.fromarray(entry[1].values).resize(small, Image.Resampling.BILINEAR)
    alpha = (np.asarray(values, np.uint16) * STRONGEST // 255).astype(np.uint8)
    picture = np.empty((*alpha.shape, 4), np.uint8)
    picture[..., :3], picture[..., 3] = TINT, alpha
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=3)
    return out.getvalue()
