"""The foreground maps of a catalog: the choice of a photo's companions, and the computation of its map.

The companions of a photo are frames of the same encounter and photos of the same station. A map depends on the content
of the photo and of its companions, and on the networks. It is computed again if one of these changes. Maps do not
depend on the names of individuals.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from snowmatch.catalog.species import NOTHING
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import Classifier, Segmenter, settings, settings_key
from snowmatch.core.types import Annotation, Classes
from snowmatch.photos.failures import ERRORS, Failure, failure_of
from snowmatch.photos.pixels import read_grey, read_photo, read_small
from snowmatch.screening.bars import info_bars
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.middle import Middle
from snowmatch.screening.outlines import animals_of
from snowmatch.screening.scenery import PREVIEW, Preview, foreground_map, make_preview
from snowmatch.screening.species import CATS, log_sum

REVISION = 6  # of the method; maps of another revision are computed again
MOST = 8  # companions of each kind: a burst of ten has nine, and each takes 2 ms (other numbers were not tried)
CELL = 4  # side of a cell of the map (px of the preview): about the size of the window of the correlation
FINE_CELL = 2  # the same for the map of a segmenter, which sees the outline
SOURCES = ("burst", "station", "classifier", "segmenter", "middle")  # bits of the stored evidence, in this order
LEARNED = SOURCES[-1]
SMOOTHING = 1.0  # cells, standard deviation; it separates animal and scenery better than no smoothing (AUROC .92, .89)
MIDDLE = -1.0  # the animal map is 0.5 here: on snow leopards 77 % of the animal and 9 % of the scenery lie above
# The probability of a cat from which the map of cats is used. 94 % of the snow leopards have it, and 0.3 % of the
# nyala. Of the nyala the network knows heads and legs but not the coat: a map would leave out what tells them apart
CAT = 0.15
LEAST = 672  # px of the copy that the classifier sees, at least
KEPT_PREVIEWS = 64  # per process, 0.7 MB each: enough, because photos of one station are processed together


@dataclass(frozen=True)
class Companions:
    """One photo and its companions, the photos that may show the same place. Each photo is (path, sha256).

    masked: True if every annotation of the photo has a mask; the map then only leaves out bars with text.
    classified: whether a classifier looks at the photo. alone: True if an animal of the photo has neither a mask nor a
    box, but that of a map, and was not left out: where nothing else tells where it is, what was learned from the
    catalog tells it.
    searched: whether no network and no other photo told where it is before; then they are not asked again.
    """

    photo: tuple[str, str]
    burst: tuple[tuple[str, str], ...]
    station: tuple[tuple[str, str], ...]
    masked: bool = False
    classified: bool = True
    alone: bool = False
    searched: bool = False

    @property
    def photos(self) -> tuple[tuple[str, str], ...]:
        """The photo, then those of the burst, then those of the station."""
        return (self.photo, *self.burst, *self.station)

    def mark(self, finders: str) -> str:
        """Return 32 hex digits that change if the content of any of the photos, or a network, changes."""
        contents = [REVISION, self.photo[1], [sha for _, sha in self.burst], [sha for _, sha in self.station]]
        return hashlib.sha256(json.dumps([contents, "" if self.masked else finders]).encode()).hexdigest()[:32]


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
    alone = {contents[a.path] for a in readable if _alone(a)}
    made: dict[str, Companions] = {}
    for a in readable:
        own = contents[a.path]
        if a.path not in made and a.path not in bare:
            made[a.path] = Companions((a.path, own), (), (), True, False)
        elif a.path not in made:
            burst = bursts[a.encounter].after(own)
            station = sites[a.location, a.station].after(own, without=a.encounter) if a.station else ()
            made[a.path] = Companions((a.path, own), burst, station, alone=own in alone)
    return list(made.values())


def _alone(a: Annotation) -> bool:
    """Return whether a row has no mask and no box but that of a map, and was not left out."""
    return not a.mask and not a.left_out and (a.bbox is None or set(a.box_by.split(" and ")) <= {*SOURCES})


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
    preview: Preview,
    burst: Iterable[Preview],
    station: Iterable[Preview],
    animal: np.ndarray | None = None,
    outline: np.ndarray | None = None,
    middle: np.ndarray | None = None,
) -> ForegroundMap | None:
    """Return the foreground map of a photo; None if nothing tells where the animal is.

    burst, station: see `foreground_map`. animal, outline, middle: (h, w) float32, 0 to 1, the map of a classifier, that
    of a segmenter, and that of what was learned from the catalog, over the whole photo. A cell is animal if all of
    them agree. Bars with text are scenery.
    """
    values, evidence = foreground_map(preview, list(burst), list(station))
    cell = CELL if outline is None else FINE_CELL
    size = tuple(max(1, side // cell) for side in preview.grey.shape[::-1])
    cells = None if values is None else cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    for name, other in (("classifier", animal), ("segmenter", outline), (LEARNED, middle)):
        if other is not None:
            smaller = other.shape[1] > size[0]
            seen = cv2.resize(other, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
            cells = seen if cells is None else cells * seen
            evidence = f"{evidence} and {name}" if evidence else name
    bars = [-(-height // cell) for height in info_bars(preview.grey)]
    if cells is None:
        if not any(bars):
            return None
        cells = np.ones(size[::-1], np.float32)
    found = np.round(cells * 255).astype(np.uint8)
    if evidence == LEARNED:
        found = np.maximum(found, np.uint8(1))  # then 0 is a bar: `map_beside` leaves them out of boxes
    found[: bars[0]] = 0
    found[len(cells) - bars[1] :] = 0
    return ForegroundMap(found, evidence)


@dataclass(frozen=True)
class Content:
    """The content of a photo: its sha256, and the grey pixels of its preview, (h, w) uint8, if they are known."""

    sha256: str
    grey: np.ndarray | None = field(default=None, compare=False)


def read_preview(path: Path, content: str, grey: np.ndarray | None = None) -> Preview | None:
    """Return the preview of a photo file; None if it cannot be read. The index run reports the reason.

    content: the sha256 of the file. It is a part of the cache's key, so that a changed photo is read again. grey: the
    pixels of its preview; the file is not read then.
    """
    try:
        return kept_preview(path, Content(content, grey))
    except (SnowmatchError, OSError, MemoryError, cv2.error):
        return None  # not kept: the next attempt may have more memory


@lru_cache(maxsize=KEPT_PREVIEWS)
def kept_preview(path: Path, content: Content) -> Preview:
    """Return the preview of a photo file and keep it in memory, as `read_preview`. Raises errors of reading."""
    if content.grey is not None:
        return Preview(content.grey.astype(np.float32))
    return make_preview(read_grey(path, PREVIEW))


@dataclass(frozen=True)
class Finders:
    """What finds the animal. classifier: a network for every photo. segmenter: one for photos without a burst.

    sees: whether the weights of the network that sees texture are on this computer. middle: what was learned from the
    middles of the catalog's photos; None if they are too few.
    """

    classifier: Classifier | None = None
    segmenter: Segmenter | None = None
    sees: bool = False
    middle: Middle | None = None

    @property
    def learns(self) -> bool:
        """Whether what is in the middle of the catalog's photos may tell where the animal is, if nothing else does.

        Without the weights that it needs, maps that another computer made so are kept.
        """
        return self.classifier is not None

    @cached_property
    def mark(self) -> str:
        """A text that changes if a network or its settings change."""
        keys = []
        for plugin in (self.classifier, self.segmenter):
            content = getattr(plugin, "weights_content", str)()
            more = {"weights": content} if content else {}
            keys.append("-" if plugin is None else settings_key({**settings(plugin), **more}))
        return " ".join(keys)

    def mark_of(self, seen: Companions, found: ForegroundMap | None) -> str:
        """Return the mark of a photo (see `Companions.mark`) whose map is `found`."""
        return seen.mark(f"{self.mark}{self._learned(seen, found is not None and found.evidence not in ('', LEARNED))}")

    def marks_of(self, seen: Companions) -> tuple[str, ...]:
        """Return the marks with which the stored map of a photo is still right."""
        ways = [self._learned(seen, told) for told in (True, False)]
        if not seen.alone:
            ways.append("")  # earlier versions had no more
        elif self.learns and self.middle is not None:
            ways.append(f" {self.middle.mark}")  # made where the weights are
        return tuple(dict.fromkeys(seen.mark(f"{self.mark}{way}") for way in ways))

    def waits(self, seen: Companions, mark: str | None) -> bool:
        """Return whether nothing but the middle of the catalog's photos tells where the animal of a photo is.

        Without the weights, only if its map was not made where they are.
        """
        return self.learns and seen.alone and mark == seen.mark(f"{self.mark}{self._learned(seen, False)}")

    def _learned(self, seen: Companions, told: bool) -> str:
        """Return what is added to the mark. told: whether the map needs nothing that was learned."""
        if not self.learns:
            return ""
        used = self.middle if self.sees and seen.alone else None
        return " told" if told else f" {'-' if used is None else used.mark}"


class Looked(NamedTuple):
    """What a look at a photo gave: whether all photos could be read, the map, and the probabilities of species.

    failure: why the animal could not be looked for; "" if it could.
    """

    complete: bool
    found: ForegroundMap | None
    classes: dict[str, float] | None
    failure: Failure = ""


def look(folder: Path, seen: Companions, finders: Finders, greys: Sequence[np.ndarray | None] = ()) -> Looked:
    """Read a photo and its companions, and look for the animal.

    folder: the catalog's folder. greys: the previews (h, w) uint8 of `seen.photos`, which are not read then; None for
    one to read, () to read all.
    """
    preview, *others = (
        read_preview(folder / path, sha) if grey is None else read_preview(folder / path, sha, grey)
        for (path, sha), grey in zip_longest(seen.photos, greys)
    )
    if preview is None:
        return Looked(False, None, None, "its preview cannot be made")
    complete = all(other is not None for other in others)
    burst = [b for b in others[: len(seen.burst)] if b is not None]
    station = [s for s in others[len(seen.burst) :] if s is not None]
    classes, animal, outline, middle, failure = None, None, None, None, ""
    path = folder / seen.photo[0]
    small = cache(lambda: read_small(path, LEAST))
    try:
        if finders.classifier is not None and seen.classified and not seen.searched:
            told = finders.classifier.classify(small())
            classes = {name: round(float(p), 6) for name, p in zip(told.names, told.probabilities, strict=True)}
            animal = None if seen.masked else animal_map(told)
        if not (finders.segmenter is None or seen.masked or seen.searched or shows_burst(preview, burst)):
            outline = outline_map(finders.segmenter, read_photo(path))
        if (
            finders.middle is not None
            and finders.sees
            and seen.alone
            and animal is None
            and outline is None
            and (seen.searched or not tells(preview, burst, station))
        ):
            middle = finders.middle.animal(small())
    except ERRORS as error:
        complete, failure = False, failure_of(path, error)
    try:
        return Looked(complete, make_map(preview, burst, station, animal, outline, middle), classes, failure)
    except MemoryError as error:
        return Looked(False, None, classes, failure_of(path, error))
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        return Looked(False, None, classes, failure_of(path, error))


def tells(preview: Preview, burst: Sequence[Preview], station: Sequence[Preview]) -> bool:
    """Return whether other photos of its place tell where the animal of a photo is."""
    return foreground_map(preview, burst, station)[0] is not None


def shows_burst(preview: Preview, burst: Sequence[Preview]) -> bool:
    """Return whether the frames of a burst tell where the animal is."""
    return tells(preview, burst, [])


def outline_map(segmenter: Segmenter, photo: np.ndarray) -> np.ndarray | None:
    """Return where a segmenter sees animals in a photo (H, W, 3), (h, w) float32, 0 to 1; None if it sees none.

    The longest side of the result is at most PREVIEW px.
    """
    confidence = segmenter.segment(photo, None)
    animals = animals_of(confidence) if confidence is not None else ()
    if not animals or confidence is None:
        return None
    shown = np.any([animal.mask for animal in animals], axis=0)
    factor = min(1.0, PREVIEW / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * factor)), max(1, round(photo.shape[0] * factor)))
    return cv2.resize(np.where(shown, confidence, np.float32(0)), size, interpolation=cv2.INTER_AREA)


def animal_map(classes: Classes) -> np.ndarray | None:
    """Return where a classifier sees a cat, (h, w) float32, 0 to 1; None if it sees no cat in the photo.

    The value of a cell is a logistic function of the score of all cats against `nothing`, averaged over neighbouring
    cells. Only cats are used, because their coats are what the network knows them by.
    """
    cats = [n for n, name in enumerate(classes.names) if name in CATS]
    if NOTHING not in classes.names or not cats or classes.probabilities[cats].sum() < CAT:
        return None
    return _map_of(classes, cats)


def species_map(classes: Classes, species: str) -> np.ndarray:
    """Return where a classifier sees a species, (h, w) float32, 0 to 1. Raises ValueError if it does not know it."""
    return _map_of(classes, [classes.names.index(species)])


def _map_of(classes: Classes, members: list[int]) -> np.ndarray:
    odds = log_sum(classes.activations[members]) - classes.activations[classes.names.index(NOTHING)]
    smooth = cv2.GaussianBlur(odds.astype(np.float32), (0, 0), SMOOTHING)
    values: np.ndarray = 1 / (1 + np.exp(np.minimum(MIDDLE - smooth, 80)))  # beyond it the exponential overflows
    return values
