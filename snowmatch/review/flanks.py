"""The flank that each photo shows, for photos that a screening keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from snowmatch.catalog.screened import KEPT, load_flanks, save_flanks
from snowmatch.core.executor import in_order, open_pool
from snowmatch.core.types import Annotation, BBox
from snowmatch.models.cache import weights_sum
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.failures import Failure, or_failure
from snowmatch.photos.pixels import read_photo
from snowmatch.review.detections import SAVE_SECONDS
from snowmatch.review.screened_photos import ScreenedPhoto
from snowmatch.screening.flank import REVISION, SHIPPED, Flanks, flank_of


@dataclass(frozen=True)
class TellFlank:
    """The task to tell the flank in one photo. The result is the probability of the left one, or the reason of a
    failure."""

    photo: str
    box: BBox

    def run(self, folder: Path, flanks: Flanks) -> float | Failure:
        """Tell the flank. folder: the catalog's folder."""
        return or_failure(folder / self.photo, self._left, flanks)

    @property
    def path(self) -> str:
        """The path of the photo."""
        return self.photo

    def _left(self, path: Path, flanks: Flanks) -> float:
        photo = read_photo(path)
        return flanks.left(photo, clip_bbox(self.box, (photo.shape[1], photo.shape[0])))


def tell_flanks(
    folder: Path,
    boxes: Mapping[str, BBox],
    contents: Mapping[str, str],
    processes: int,
    told: Callable[[int, int], None] | None,
    failed: dict[str, str],
) -> dict[str, float]:
    """Return the probability of the left flank in photos, by path. Photos that fail are added to `failed`.

    boxes: of the animal in each photo, by path. contents: the photos' sha256, by path. The probabilities are stored,
    also those of a stopped run, and photos with a stored one for the same box are not looked at again. told: called
    with (done, total) of the others.
    """
    key = f"{REVISION}-{weights_sum(SHIPPED)[:12]}"
    marks = {photo: f"{key}-{','.join(map(str, box))}" for photo, box in boxes.items()}
    stored = load_flanks(folder)
    found = {
        photo: stored[contents[photo]][1]
        for photo, mark in marks.items()
        if contents[photo] in stored and stored[contents[photo]][0] == mark
    }
    left = [photo for photo in boxes if photo not in found]
    new: dict[str, tuple[str, float]] = {}
    saved = time.monotonic()
    try:
        with open_pool(min(processes, len(left)), (folder, Flanks())) as pool:
            results = in_order(pool, left, lambda photo: TellFlank(photo, boxes[photo]))
            for done, (photo, result) in enumerate(results, start=1):
                if isinstance(result, Failure):
                    failed[photo] = result
                else:
                    found[photo] = result
                    new[contents[photo]] = marks[photo], result
                if told is not None:
                    told(done, len(left))
                if time.monotonic() - saved > SAVE_SECONDS:
                    save_flanks(folder, new)
                    new.clear()
                    saved = time.monotonic()
    finally:
        save_flanks(folder, new)
    return found


def boxes_to_tell(
    annotations: Sequence[Annotation], photos: Sequence[ScreenedPhoto], readable: Collection[str]
) -> dict[str, BBox]:
    """Return the first box in each kept photo whose body part nobody has given, by path."""
    given = {a.path for a in annotations if a.body_part != "unknown"}
    found: dict[str, BBox] = {}
    for photo in photos:
        if photo.answer == KEPT and photo.boxes and photo.path in readable and photo.path not in given:
            x, y, width, height = map(int, photo.boxes[0].split(","))
            found[photo.path] = x, y, width, height
    return found


def with_flanks(photos: Sequence[ScreenedPhoto], left: Mapping[str, float]) -> tuple[ScreenedPhoto, ...]:
    """Return the photos with their flanks. left: the probability of the left one, by path."""
    told = []
    for photo in photos:
        if photo.path in left:
            name, probability = flank_of(left[photo.path])
            photo = replace(photo, flank=name, flank_probability=round(probability, 4))
        told.append(photo)
    return tuple(told)
