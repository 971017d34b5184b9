"""The foreground maps of a catalog: which photos tell about which, and the file that keeps what they said.

A map depends on the photo's content and on that of its companions: frames of the same encounter and photos of the same
station. It is made again when one of these has changed. Nothing here knows an individual.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.photos.pixels import read_grey
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.scenery import PREVIEW, Preview, foreground_map, make_preview

REVISION = 3  # of how maps are made: others are made again
MOST = 8  # companions of each kind: a burst of ten has nine, and each costs 2 ms (others were not tried)
CELL = 4  # px of the preview in one cell of the map: as fine as the window that compares surroundings
EVIDENCE = ("", "burst", "station", "burst and station")
KEPT_PREVIEWS = 64  # per process, 0.7 MB each: photos of one station are looked at one after the other


@dataclass(frozen=True)
class Companions:
    """One photo, and the photos that may show the same place: as (path, sha256)."""

    photo: tuple[str, str]
    burst: tuple[tuple[str, str], ...]
    station: tuple[tuple[str, str], ...]

    @property
    def mark(self) -> str:
        """32 hex digits that change with any of the contents."""
        contents = [REVISION, self.photo[1], [sha for _, sha in self.burst], [sha for _, sha in self.station]]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:32]


def companions(annotations: Sequence[Annotation], contents: Mapping[str, str]) -> list[Companions]:
    """The companions of each photo that has an annotation without a mask, station by station.

    `contents` has the sha256 of each photo by path; photos that are not in it are left out. Of many photos the MOST
    whose sha256 come next are taken, so that a new photo changes the companions of a few others only.
    """
    known = sorted((a for a in annotations if a.path in contents), key=_place)
    encounters: dict[str, dict[str, Annotation]] = defaultdict(dict)
    stations: dict[tuple[str, str], dict[str, Annotation]] = defaultdict(dict)
    for a in known:
        encounters[a.encounter].setdefault(contents[a.path], a)
        if a.station:
            stations[a.location, a.station].setdefault(contents[a.path], a)
    bursts = {name: _Ring(photos) for name, photos in encounters.items()}
    sites = {name: _Ring(photos) for name, photos in stations.items()}
    made: dict[str, Companions] = {}
    for a in known:
        if not a.mask and a.path not in made:
            own = contents[a.path]
            burst = bursts[a.encounter].after(own)
            station = sites[a.location, a.station].after(own, without=a.encounter) if a.station else ()
            made[a.path] = Companions((a.path, own), burst, station)
    return list(made.values())


class _Ring:
    """Photos in the order of their sha256, the first after the last."""

    def __init__(self, photos: Mapping[str, Annotation]) -> None:
        self._contents = sorted(photos)
        self._photos = [photos[content] for content in self._contents]

    def after(self, content: str, without: str | None = None) -> tuple[tuple[str, str], ...]:
        """At most MOST photos as (path, sha256) that come after `content` and are not of the encounter `without`."""
        found: list[tuple[str, str]] = []
        start, count = bisect_right(self._contents, content), len(self._contents)
        for place in range(start, start + count):
            photo, own = self._photos[place % count], self._contents[place % count]
            if own != content and photo.encounter != without:
                found.append((photo.path, own))
                if len(found) == MOST:
                    break
        return tuple(found)


def _place(annotation: Annotation) -> tuple[str, str, str, str]:
    return annotation.location, annotation.station, annotation.encounter, annotation.path


def station_photos(photos: Iterable[tuple[Annotation, str]]) -> tuple[tuple[str, str], ...]:
    """At most MOST of a station's annotations, given with each photo's sha256, for a photo that is not on record."""
    return _Ring({content: a for a, content in photos if content}).after("")


def make_map(preview: Preview, burst: Iterable[Preview], station: Iterable[Preview]) -> ForegroundMap | None:
    """What the companions of a photo say about it; None where none shows the same place."""
    values, evidence = foreground_map(preview, list(burst), list(station))
    if values is None:
        return None
    size = tuple(max(1, side // CELL) for side in values.shape[::-1])
    cells = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return ForegroundMap(np.round(cells * 255).astype(np.uint8), evidence)


@lru_cache(maxsize=KEPT_PREVIEWS)
def read_preview(path: Path, content: str) -> Preview | None:
    """The preview of a photo file whose sha256 was `content`; None where it cannot be read: the index run says why."""
    try:
        return make_preview(read_grey(path, PREVIEW))
    except (SnowmatchError, OSError, MemoryError, cv2.error):
        return None


def look(folder: Path, seen: Companions) -> tuple[bool, ForegroundMap | None]:
    """Whether all the photos could be read, and the map of one photo of the catalog in `folder`."""
    preview, *others = (read_preview(folder / path, sha) for path, sha in (seen.photo, *seen.burst, *seen.station))
    if preview is None:
        return False, None
    burst, station = others[: len(seen.burst)], others[len(seen.burst) :]
    complete = all(other is not None for other in others)
    return complete, make_map(preview, [b for b in burst if b is not None], [s for s in station if s is not None])
