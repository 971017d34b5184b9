"""The tasks of an index run for one photo: hash files, extract features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from snowmatch.catalog.records import Fingerprint, take_fingerprint, take_photo
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of
from snowmatch.core.locks import file_lock
from snowmatch.core.types import BBox, Chip, Features
from snowmatch.features.extractors import batch_of, chip_of, extract_chips
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_mask, read_photo
from snowmatch.screening.scenery import PREVIEW, make_preview

LARGE = 50_000_000  # pixels: reading a JPEG of this size needs 360 MB, one of 178 megapixels 1.2 GB (measured)


class Measured(NamedTuple):
    """What the reading of a file gave. photo: whether it is a photo, not a mask. grey: its preview, (h, w) uint8, if it
    is of the same decoding as the fingerprint.
    """

    path: str
    photo: bool
    taken: Fingerprint | Failure
    grey: np.ndarray | None = None


@dataclass(frozen=True)
class Measure:
    """The task to hash a photo (None: its hash is known) and masks. The result has an entry for each.

    preview: whether the photo's preview is sent back.
    """

    photo: str | None
    masks: tuple[str, ...]
    preview: bool = False

    def run(self, folder: Path, extractor: Any) -> list[Measured]:
        measured = []
        if self.photo is not None:
            seen = or_failure(folder / self.photo, take_photo, PREVIEW)
            taken, grey = (seen, None) if isinstance(seen, Failure) else seen
            measured.append(Measured(self.photo, True, taken, _small(grey) if self.preview else None))
        for mask in self.masks:
            measured.append(Measured(mask, False, or_failure(folder / mask, _fingerprint)))
        return measured

    @property
    def path(self) -> str:
        return self.photo if self.photo is not None else self.masks[0]


@dataclass(frozen=True)
class AnnotationTask:
    """One annotation to extract from a photo. mask: its path and its state when it was hashed."""

    key: str
    bbox: BBox | None
    mask: tuple[str, Fingerprint] | None


@dataclass(frozen=True)
class PhotoTask:
    """One photo, its state when it was hashed, and its annotations to extract."""

    path: str
    photo: Fingerprint
    annotations: tuple[AnnotationTask, ...]


@dataclass(frozen=True)
class Extract:
    """The task to decode photos and extract annotations from them. The result is {key: Features | Failure}.

    A file that has changed since it was hashed is a failure: its features would get the key of another content.
    """

    photos: tuple[PhotoTask, ...]

    def run(self, folder: Path, extractor: Any) -> dict[str, Features | Failure]:
        chips: dict[str, tuple[Path, Chip]] = {}
        results: dict[str, Features | Failure] = {}
        for photo in self.photos:
            path = folder / photo.path
            with _turn(folder, photo.photo):
                pixels = or_failure(path, _read, photo.photo, read_photo)
                for task in photo.annotations:
                    chip = pixels
                    if not isinstance(pixels, Failure):
                        chip = or_failure(path, _chip, pixels, task, folder, extractor)
                    if isinstance(chip, Failure):
                        results[task.key] = chip
                    else:
                        chips[task.key] = path, chip
                del pixels
        return results | _extract(chips, extractor)

    @property
    def path(self) -> str:
        return self.photos[0].path


def _turn(folder: Path, photo: Fingerprint) -> AbstractContextManager[Any]:
    """Return a context in which no other process of this catalog reads a large photo: two would need much memory."""
    width, height = (photo.facts.image_size if photo.facts is not None else None) or (0, 0)
    return file_lock(home_of(folder) / "large-photo.lock") if width * height > LARGE else nullcontext()


def _small(grey: np.ndarray | None) -> np.ndarray | None:
    """Return the preview of a grey photo, (h, w) uint8; None without one, or if there is too little memory."""
    with suppress(MemoryError, cv2.error):
        return None if grey is None else make_preview(grey).grey.astype(np.uint8)
    return None


def _fingerprint(mask: Path) -> Fingerprint:
    return take_fingerprint(mask, photo=False)


def _read(path: Path, known: Fingerprint, read: Callable[..., Any], *args: Any) -> Any:
    values = read(path, *args)
    if not known.matches(path.stat(), strictly=True):
        raise SnowmatchError(f"{path} changed while it was being indexed: index again")
    return values


def _chip(path: Path, pixels: Any, task: AnnotationTask, folder: Path, extractor: Any) -> Chip:
    mask = None
    if task.mask is not None:
        mask = _read(folder / task.mask[0], task.mask[1], read_mask, (pixels.shape[1], pixels.shape[0]))
    return chip_of(extractor, pixels, task.bbox, mask)


def _extract(chips: dict[str, tuple[Path, Chip]], extractor: Any) -> dict[str, Features | Failure]:
    """Return the features of each chip, in batches of the extractor; if a batch fails, one by one."""
    results: dict[str, Features | Failure] = {}
    keys, batch = list(chips), batch_of(extractor)
    for start in range(0, len(keys), batch):
        some = keys[start : start + batch]
        found = or_failure(chips[some[0]][0], _extract_chips, [chips[key][1] for key in some], extractor)
        if isinstance(found, Failure) and len(some) > 1:
            for key in some:
                path, chip = chips[key]
                alone = or_failure(path, _extract_chips, [chip], extractor)
                results[key] = alone if isinstance(alone, Failure) else alone[0]
        else:
            results |= dict.fromkeys(some, found) if isinstance(found, Failure) else dict(zip(some, found, strict=True))
    return results


def _extract_chips(path: Path, chips: list[Chip], extractor: Any) -> list[Features]:
    return extract_chips(extractor, chips)
