"""The file that keeps the foreground maps of a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import maps_path
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.scenes import EVIDENCE


@dataclass(frozen=True)
class SceneMaps:
    """What is on disk of P photos: place (P) by the first 16 digits of their sha256; marks (P) of their companions.

    evidence (P,) uint8 into EVIDENCE, 0 where nothing tells; shapes (P, 2); values, all maps one after the other, of
    which number i begins at starts[i].
    """

    place: dict[str, int]
    marks: tuple[str, ...]
    evidence: np.ndarray
    shapes: np.ndarray
    starts: np.ndarray
    values: np.ndarray

    def of_content(self, sha256: str) -> ForegroundMap | None:
        """The map of a photo by its content, or by the first 16 digits that a feature key starts with."""
        i = self.place.get(sha256[:16], -1)
        if i < 0 or not self.evidence[i]:
            return None
        height, width = self.shapes[i]
        values = self.values[self.starts[i] : self.starts[i] + height * width].reshape(height, width)
        return ForegroundMap(values, EVIDENCE[self.evidence[i]])

    def entries(self) -> dict[str, MapEntry]:
        """The mark and the map of every photo."""
        return {photo: (self.marks[i], self.of_content(photo)) for photo, i in self.place.items()}


MapEntry = tuple[str, ForegroundMap | None]  # the mark of a photo's companions, and what they said
NO_MAPS = SceneMaps({}, (), *(np.zeros(shape, np.int64) for shape in (0, (0, 2), 0, 0)))


def maps_stamp(folder: Path) -> tuple[int, int] | None:
    """What changes when the maps of the catalog in `folder` are written anew; None where there are none."""
    try:
        status = maps_path(folder).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def load_maps(folder: Path) -> SceneMaps:
    """The maps of the catalog in `folder`, empty where there are none; SnowmatchError for a damaged file."""
    path = maps_path(folder)
    advice = "delete it and index again"
    try:
        held = load_arrays(path, ("photos", "marks", "evidence", "shapes", "values"), "foreground maps", advice)
    except (FileNotFoundError, NotADirectoryError):
        return NO_MAPS
    photos, shapes, evidence = held["photos"], held["shapes"], held["evidence"]
    sizes = shapes.prod(axis=-1, dtype=np.int64)
    sound = len(photos) == len(held["marks"]) == len(evidence) == len(shapes) and shapes.shape == (len(photos), 2)
    if not (sound and (shapes >= 0).all() and sizes.sum() == len(held["values"]) and held["values"].dtype == np.uint8):
        raise SnowmatchError(f"{path} is damaged: {advice}")
    if (evidence >= len(EVIDENCE)).any() or (sizes[evidence > 0] == 0).any():
        raise SnowmatchError(f"{path} is damaged: {advice}")
    place = {photo: i for i, photo in enumerate(photos.tolist())}
    return SceneMaps(place, tuple(held["marks"].tolist()), evidence, shapes, np.cumsum(sizes) - sizes, held["values"])


def save_maps(folder: Path, entries: Mapping[str, MapEntry]) -> None:
    """Replace the maps of the catalog in `folder`; SnowmatchError where it cannot be written."""
    photos = sorted(entries)
    found = [entries[photo][1] for photo in photos]
    none = np.zeros((0, 0), np.uint8)
    values = [m.values if m is not None else none for m in found]
    arrays = {
        "photos": np.array(photos, "U16"),
        "marks": np.array([entries[photo][0] for photo in photos], "U32"),
        "evidence": np.array([EVIDENCE.index(m.evidence if m is not None else "") for m in found], np.uint8),
        "shapes": np.array([v.shape for v in values], np.int32).reshape(-1, 2),
        "values": np.concatenate([np.zeros(0, np.uint8), *(v.ravel() for v in values)]),
    }
    save_arrays(maps_path(folder), arrays, packed=False)
