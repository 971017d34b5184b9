"""The file that stores the foreground maps of a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmatch.core.arrays import load_arrays, save_arrays
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import maps_path
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.scenes import SOURCES


@dataclass(frozen=True)
class SceneMaps:
    """The stored foreground maps of P photos.

    place: number of each photo, by the first 16 hex digits of its sha256.
    marks: P marks, see `scenes.Companions.mark`.
    evidence: (P,) uint8, one bit for each of SOURCES. shapes: (P, 2), height and width of each map; 0 without a map.
    starts: (P,), position of each map in `values`.
    values: (V,) uint8, all maps one after the other.
    """

    place: dict[str, int]
    marks: tuple[str, ...]
    evidence: np.ndarray
    shapes: np.ndarray
    starts: np.ndarray
    values: np.ndarray

    def of_content(self, sha256: str) -> ForegroundMap | None:
        """Return the map of a photo, or None if it has no map.

        sha256: of the photo's content, or its first 16 digits. A key of features begins with these 16 digits too.
        """
        i = self.place.get(sha256[:16], -1)
        if i < 0 or not self.shapes[i].all():
            return None
        height, width = self.shapes[i]
        values = self.values[self.starts[i] : self.starts[i] + height * width].reshape(height, width)
        return ForegroundMap(values, _evidence(self.evidence[i]))

    def entries(self) -> dict[str, MapEntry]:
        """Return the mark and the map of every photo."""
        return {photo: (self.marks[i], self.of_content(photo)) for photo, i in self.place.items()}


MapEntry = tuple[str, ForegroundMap | None]  # the mark of a photo and its companions, and the map
NO_MAPS = SceneMaps({}, (), *(np.zeros(shape, np.int64) for shape in (0, (0, 2), 0, 0)))


def maps_stamp(folder: Path) -> tuple[int, int] | None:
    """Return a value that changes when the maps of the catalog in `folder` are written again; None without maps."""
    try:
        status = maps_path(folder).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def load_maps(folder: Path) -> SceneMaps:
    """Return the maps of the catalog in `folder`; `NO_MAPS` if it has none. Raises SnowmatchError if damaged."""
    path = maps_path(folder)
    advice = "index again, which makes it again"
    try:
        arrays = load_arrays(
            path, ("photos", "marks", "evidence", "shapes", "values"), "foreground map", advice, packed=False
        )
    except (FileNotFoundError, NotADirectoryError):
        return NO_MAPS
    photos, shapes, evidence = arrays["photos"], arrays["shapes"], arrays["evidence"]
    sizes = shapes.prod(axis=-1, dtype=np.int64)
    values = arrays["values"]
    sound = len(photos) == len(arrays["marks"]) == len(evidence) == len(shapes) and shapes.shape == (len(photos), 2)
    if not (sound and (shapes >= 0).all() and sizes.sum() == len(values) and values.dtype == np.uint8):
        raise SnowmatchError(f"{path} is damaged: {advice}")
    if (evidence >= 1 << len(SOURCES)).any() or (sizes[evidence > 0] == 0).any():
        raise SnowmatchError(f"{path} is damaged: {advice}")
    place = {photo: i for i, photo in enumerate(photos.tolist())}
    return SceneMaps(place, tuple(arrays["marks"].tolist()), evidence, shapes, np.cumsum(sizes) - sizes, values)


def save_maps(folder: Path, entries: Mapping[str, MapEntry]) -> None:
    """Write the maps of the catalog in `folder`, in place of the old maps.

    Raises SnowmatchError if the file cannot be written.
    """
    photos = sorted(entries)
    found = [entries[photo][1] for photo in photos]
    none = np.zeros((0, 0), np.uint8)
    values = [m.values if m is not None else none for m in found]
    arrays = {
        "photos": np.array(photos, "U16"),
        "marks": np.array([entries[photo][0] for photo in photos], "U32"),
        "evidence": np.array([_bits(m.evidence) if m is not None else 0 for m in found], np.uint8),
        "shapes": np.array([v.shape for v in values], np.int32).reshape(-1, 2),
        "values": np.concatenate([np.zeros(0, np.uint8), *(v.ravel() for v in values)]),
    }
    save_arrays(maps_path(folder), arrays, packed=False)


def _bits(evidence: str) -> int:
    """Return the sources in a text such as "burst and classifier" as bits."""
    named = evidence.split(" and ")
    return sum(1 << n for n, source in enumerate(SOURCES) if source in named)


def _evidence(bits: int) -> str:
    """Return the text of `_bits`."""
    return " and ".join(source for n, source in enumerate(SOURCES) if bits >> n & 1)
