"""The foreground maps of a catalog: the choice of a photo's companions, and the computation of its map.

The companions of a photo are frames of the same encounter and photos of the same station. A map depends on the content
of the photo and of its companions, and on the classifier. It is computed again if one of these changes. Maps do not
depend on the names of individuals.
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
from snowmatch.core.plugins import Classifier
from snowmatch.core.types import Annotation, Classes
from snowmatch.photos.pixels import read_grey, read_small
from snowmatch.screening.bars import info_bars
from snowmatch.screening.classifiers._groups import MAMMALS, NOTHING, log_sum
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.scenery import PREVIEW, Preview, foreground_map, make_preview

REVISION = 4  # of the method; maps of another revision are computed again
MOST = 8  # companions of each kind: a burst of ten has nine, and each takes 2 ms (other numbers were not tried)
CELL = 4  # side of a cell of the map (px of the preview): about the size of the window of the correlation
SOURCES = ("burst", "station", "classifier")  # bits of the stored evidence, in this order
SMOOTHING = 1.0  # cells, standard deviation; it separates animal and scenery better than no smoothing (AUROC .90, .85)
MIDDLE = (
    1.0  # where the animal map has the value 0.5: on snow leopards 77 % of the animal and 13 % of the rest lie above
)
LEAST = 672  # px of the copy that the classifier sees, at least
KEPT_PREVIEWS = 64  # per process, 0.7 MB each: enough, because photos of one station are processed together


@dataclass(frozen=True)
class Companions:
    """One photo and its companions, the photos that may show the same place. Each photo is (path, sha256).

    masked: True if every annotation of the photo has a mask; the map then only leaves out bars with text.
    """

    photo: tuple[str, str]
    burst: tuple[tuple[str, str], ...]
    station: tuple[tuple[str, str], ...]
    masked: bool = False

    def mark(self, classifier: str) -> str:
        """Return 32 hex digits that change if the content of any of the photos, or the classifier, changes."""
        contents = [REVISION, self.photo[1], [sha for _, sha in self.burst], [sha for _, sha in self.station]]
        return hashlib.sha256(json.dumps([contents, "" if self.masked else classifier]).encode()).hexdigest()[:32]


def companions(annotations: Sequence[Annotation], contents: Mapping[str, str]) -> list[Companions]:
    """Return the companions of each photo, one station after the other. A photo whose animals have masks has none.

    contents: the sha256 of each photo, by path. Photos that are not in `contents` are skipped. If there are more than
    MOST candidates, those are chosen whose sha256 follow the photo's sha256 in sorted order. So a new photo changes the
    companions of only a few other photos.
    """
    readable = sorted((a for a in annotations if a.path in contents), key=_place)
    encounters: dict[str, dict[str, Annotation]] = defaultdict(dict)
    stations: dict[tuple[str, str], dict[str, Annotation]] = defaultdict(dict)
    for a in readable:
        encounters[a.encounter].setdefault(contents[a.path], a)
        if a.station:
            stations[a.location, a.station].setdefault(contents[a.path], a)
    bursts = {name: _Ring(photos) for name, photos in encounters.items()}
    sites = {name: _Ring(photos) for name, photos in stations.items()}
    bare = {a.path for a in readable if not a.mask}
    made: dict[str, Companions] = {}
    for a in readable:
        own = contents[a.path]
        if a.path not in made and a.path not in bare:
            made[a.path] = Companions((a.path, own), (), (), True)
        elif a.path not in made:
            burst = bursts[a.encounter].after(own)
            station = sites[a.location, a.station].after(own, without=a.encounter) if a.station else ()
            made[a.path] = Companions((a.path, own), burst, station)
    return list(made.values())


class _Ring:
    """Photos in the order of their sha256. The first photo follows the last one."""

    def __init__(self, photos: Mapping[str, Annotation]) -> None:
        self._contents = sorted(photos)
        self._photos = [photos[content] for content in self._contents]

    def after(self, content: str, without: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the next photos after `content`, at most MOST, as (path, sha256).

        without: an encounter whose photos are skipped.
        """
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
    """Return at most MOST photos of a station as (path, sha256): the companions of a photo outside the catalog.

    photos: the station's annotations, each with the sha256 of its photo.
    """
    return _Ring({content: a for a, content in photos if content}).after("")


def make_map(
    preview: Preview, burst: Iterable[Preview], station: Iterable[Preview], animal: np.ndarray | None = None
) -> ForegroundMap | None:
    """Return the foreground map of a photo; None if nothing tells where the animal is.

    burst, station: see `foreground_map`. animal: (h, w) float32, 0 to 1, the map of a classifier over the whole photo.
    A cell is animal if the other photos and the classifier agree. Bars with text are scenery.
    """
    values, evidence = foreground_map(preview, list(burst), list(station))
    size = tuple(max(1, side // CELL) for side in preview.grey.shape[::-1])
    cells = None if values is None else cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    if animal is not None:
        seen = cv2.resize(animal, size, interpolation=cv2.INTER_LINEAR)
        cells = seen if cells is None else cells * seen
        evidence = f"{evidence} and classifier" if evidence else "classifier"
    bars = [-(-height // CELL) for height in info_bars(preview.grey)]
    if cells is None:
        if not any(bars):
            return None
        cells = np.ones(size[::-1], np.float32)
    cells[: bars[0]] = 0
    cells[len(cells) - bars[1] :] = 0
    return ForegroundMap(np.round(cells * 255).astype(np.uint8), evidence)


@lru_cache(maxsize=KEPT_PREVIEWS)
def read_preview(path: Path, content: str) -> Preview | None:
    """Return the preview of a photo file; None if it cannot be read. The index run reports the reason.

    content: the sha256 of the file. It is a part of the cache's key, so that a changed photo is read again.
    """
    try:
        return make_preview(read_grey(path, PREVIEW))
    except (SnowmatchError, OSError, MemoryError, cv2.error):
        return None


def look(folder: Path, seen: Companions, classifier: Classifier | None) -> tuple[bool, ForegroundMap | None]:
    """Read a photo and its companions. Return whether all of them could be read, and the photo's map or None.

    folder: the catalog's folder. classifier: None to use only the companions.
    """
    preview, *others = (read_preview(folder / path, sha) for path, sha in (seen.photo, *seen.burst, *seen.station))
    if preview is None:
        return False, None
    burst, station = others[: len(seen.burst)], others[len(seen.burst) :]
    complete = all(other is not None for other in others)
    animal = None
    if classifier is not None and not seen.masked:
        try:
            animal = animal_map(classifier.classify(read_small(folder / seen.photo[0], LEAST)))
        except (SnowmatchError, OSError, MemoryError, cv2.error):
            complete = False
    kept = [b for b in burst if b is not None], [s for s in station if s is not None]
    return complete, make_map(preview, *kept, animal)


def animal_map(classes: Classes) -> np.ndarray:
    """Return where a classifier sees a mammal, (h, w) float32, 0 to 1.

    The value of a cell is a logistic function of the score of all mammals against `nothing`, averaged over the
    neighbouring cells. A classifier without mammals: all its species count.
    """
    mammals = [n for n, name in enumerate(classes.names) if name in MAMMALS]
    species = mammals or [n for n, name in enumerate(classes.names) if name != NOTHING]
    nothing = classes.activations[classes.names.index(NOTHING)]
    odds = log_sum(classes.activations[species]) - nothing
    smooth = cv2.GaussianBlur(odds.astype(np.float32), (0, 0), SMOOTHING)
    values: np.ndarray = 1 / (1 + np.exp(np.minimum(MIDDLE - smooth, 80)))  # beyond it the exponential overflows
    return values
