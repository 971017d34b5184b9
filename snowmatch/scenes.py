"""The foreground maps of a catalog: which photos tell about which, and the file that keeps what they said.

A map depends on the photo's content and on that of its companions: frames of the same encounter and photos of the same
station. It is made again when one of these has changed. Nothing here knows an individual.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from snowmatch.arrays import load_arrays, save_arrays
from snowmatch.errors import SnowmatchError
from snowmatch.foreground import ForegroundMap
from snowmatch.images import read_grey
from snowmatch.scenery import VIEW, View, foreground_map, make_view
from snowmatch.types import HOME, Annotation

REVISION = 2  # of how maps are made: others are made again
MOST = 8  # companions of each kind: twice as many took twice the time and gave the same answers
CELL = 4  # px of the view in one cell of the map: as fine as the window that compares surroundings
EVIDENCE = ("", "burst", "station", "burst and station")
KEPT_VIEWS = 256  # per process; a station's photos are looked at in one run


@dataclass(frozen=True)
class Companions:
    """One photo, and the photos that may show the same place: as (path, sha256), in an order that time gives."""

    photo: tuple[str, str]
    burst: tuple[tuple[str, str], ...]
    station: tuple[tuple[str, str], ...]

    @property
    def mark(self) -> str:
        """32 hex digits that change with any of the contents."""
        contents = [REVISION, self.photo[1], [sha for _, sha in self.burst], [sha for _, sha in self.station]]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:32]


def companions(annotations: Sequence[Annotation], contents: Mapping[str, str]) -> list[Companions]:
    """The companions of each photo that has an annotation without box and mask, in the catalog's order.

    `contents` has the sha256 of each photo by path; photos that are not in it are left out.
    """
    known = [a for a in annotations if a.path in contents]
    encounters: dict[str, list[Annotation]] = defaultdict(list)
    stations: dict[tuple[str, str], list[Annotation]] = defaultdict(list)
    for a in sorted({a.path: a for a in known}.values(), key=_when):
        encounters[a.encounter].append(a)
        if a.station:
            stations[a.location, a.station].append(a)
    made = {}
    for a in known:
        if a.bbox is not None or a.mask or a.path in made:
            continue
        burst = [b for b in encounters[a.encounter] if contents[b.path] != contents[a.path]]
        there = [b for b in stations.get((a.location, a.station), ()) if contents[b.path] != contents[a.path]]
        station = [b for b in there if b.encounter != a.encounter]
        made[a.path] = Companions(
            (a.path, contents[a.path]),
            tuple((b.path, contents[b.path]) for b in spread(burst)),
            tuple((b.path, contents[b.path]) for b in spread(station)),
        )
    return list(made.values())


def spread(photos: Sequence[Annotation]) -> list[Annotation]:
    """At most MOST of `photos`, evenly over their order."""
    if len(photos) <= MOST:
        return list(photos)
    return [photos[i] for i in np.linspace(0, len(photos) - 1, MOST).round().astype(int)]


def _when(annotation: Annotation) -> tuple[datetime, str]:
    return annotation.timestamp or datetime.min, annotation.path


def make_map(view: View, burst: Iterable[View], station: Iterable[View]) -> ForegroundMap | None:
    """What the companions of a photo say about it; None where none shows the same place."""
    values, evidence = foreground_map(view, list(burst), list(station))
    if values is None:
        return None
    size = tuple(max(1, side // CELL) for side in values.shape[::-1])
    cells = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return ForegroundMap(np.round(cells * 255).astype(np.uint8), evidence)


@lru_cache(maxsize=KEPT_VIEWS)
def read_view(path: Path, content: str) -> View | None:
    """The view of a photo file whose sha256 was `content`; None where it cannot be read: the index run says why."""
    try:
        return make_view(read_grey(path, VIEW))
    except (SnowmatchError, OSError):
        return None


def look(folder: Path, seen: Companions) -> ForegroundMap | None:
    """The map of one photo of the catalog in `folder`; None where nothing tells."""
    view = read_view(folder / seen.photo[0], seen.photo[1])
    burst, station = (
        [other for path, sha in side if (other := read_view(folder / path, sha)) is not None]
        for side in (seen.burst, seen.station)
    )
    return make_map(view, burst, station) if view is not None else None


@dataclass(frozen=True)
class SceneMaps:
    """What is on disk: for P photos, by sha256, the mark of their companions and their map (None: nothing tells)."""

    entries: dict[str, tuple[str, ForegroundMap | None]]

    def of_content(self, sha256: str) -> ForegroundMap | None:
        """The map of a photo by its content, or by the first 16 digits that a feature key starts with."""
        return self.entries.get(sha256[:16], ("", None))[1]


def maps_path(folder: Path) -> Path:
    return Path(folder) / HOME / "foreground.npz"


def load_maps(folder: Path) -> SceneMaps:
    """The maps of the catalog in `folder`, empty where there are none; SnowmatchError for a damaged file."""
    path = maps_path(folder)
    advice = f"delete it and run snowmatch index {folder}"
    try:
        held = load_arrays(path, ("photos", "marks", "evidence", "shapes", "values"), "foreground maps", advice)
    except (FileNotFoundError, NotADirectoryError):
        return SceneMaps({})
    try:
        stops = np.cumsum(held["shapes"].prod(axis=1))
        parts = np.split(held["values"], stops[:-1]) if len(stops) else []
        found = [
            ForegroundMap(part.reshape(shape), EVIDENCE[said]) if said else None
            for said, shape, part in zip(held["evidence"], held["shapes"], parts, strict=True)
        ]
        entries = zip(held["photos"].tolist(), zip(held["marks"].tolist(), found, strict=True), strict=True)
        return SceneMaps(dict(entries))
    except (ValueError, IndexError) as error:
        raise SnowmatchError(f"{path} is damaged: {advice}") from error


def save_maps(folder: Path, maps: SceneMaps) -> None:
    """Replace the maps of the catalog in `folder`; SnowmatchError where it cannot be written."""
    photos = sorted(maps.entries)
    marks, found = zip(*(maps.entries[photo] for photo in photos), strict=True) if photos else ((), ())
    none = np.zeros((0, 0), np.uint8)
    values = [m.values if m is not None else none for m in found]
    arrays = {
        "photos": np.array(photos, "U16"),
        "marks": np.array(marks, "U32"),
        "evidence": np.array([EVIDENCE.index(m.evidence if m is not None else "") for m in found], np.uint8),
        "shapes": np.array([v.shape for v in values], np.int32).reshape(-1, 2),
        "values": np.concatenate([np.zeros(0, np.uint8), *(v.ravel() for v in values)]),
    }
    save_arrays(maps_path(folder), arrays)
