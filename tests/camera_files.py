"""Photos and tables as cameras and people write them, for tests of reading."""

from datetime import datetime, timedelta

import cv2
import numpy as np
from PIL import Image

from snowmatch.catalog.load import load_catalog

START = datetime(2012, 9, 17, 8, 0)
SERIAL, ORIGINAL, CHANGED = 0xA431, 0x9003, 0x0132


def texture(seed, size=(96, 64)):
    """A picture like no other seed's, with structure at every scale."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.integers(0, 256, (n, n), np.uint8), size, interpolation=cv2.INTER_CUBIC) for n in (3, 7, 17)
    ]
    grey = np.mean(layers, axis=0).astype(np.uint8)
    return np.dstack([grey] * 3)


def photo(path, minutes=None, serial="", seed=None, tag=ORIGINAL, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    inner = exif.get_ifd(0x8769)
    if minutes is not None:
        text = (START + timedelta(minutes=minutes)).strftime("%Y:%m:%d %H:%M:%S")
        (exif if tag == CHANGED else inner)[tag] = text
    if serial:
        inner[SERIAL] = serial
    pixels = texture(abs(hash(str(path))) if seed is None else seed) if pixels is None else pixels
    Image.fromarray(pixels).save(path, format="JPEG", quality=95, exif=exif)
    return path


def table(folder, text, name="catalog.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return load_catalog(folder)


def codes(data):
    return [note.code for note in data.notes]


def note_of(data, code):
    (note,) = [note for note in data.notes if note.code == code]
    return note.text


def encounters(data):
    return [a.encounter for a in data.annotations]
