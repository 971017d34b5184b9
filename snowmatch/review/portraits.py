"""Which photo of an animal represents it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from snowmatch.catalog.records import Records, load_records
from snowmatch.core.types import Annotation
from snowmatch.identify.method import features_in_use
from snowmatch.review.identities import Identities
from snowmatch.review.traits import Traits

BORDER = 0.015  # of the photo's width or height: a box this near to a border is taken to be cut off there; chosen
CUT = 0.5  # what a photo keeps of its worth for each border that cuts the animal off; chosen
QUALITIES = {"good": 2, "fair": 1, "": 1, "poor": 0}


@dataclass(frozen=True, eq=False)
class Shown:
    """How many features photos have, by the key of their features. Without any, no photo shows more than another.

    number: the row of each key in counts, (A,) int, and in image_sizes, (A, 2) int.
    """

    records: Records = field(default_factory=Records)
    number: Mapping[str, int] = field(default_factory=dict)
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    image_sizes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int32))

    def worth(self, annotation: Annotation) -> float:
        """Return the number of features in the box, times CUT for each border of the photo that the box reaches.

        An animal that is far away, dark or blurred has few features. A photo without a box shows mostly scenery: it
        counts as if its box reached all four borders. 0 if the photo is not indexed as the annotation is now.
        """
        number = self.number.get(self.records.key(annotation) or "")
        if number is None:
            return 0.0
        width, height = self.image_sizes[number].tolist()
        x, y, w, h = annotation.bbox or (0, 0, width, height)
        near = (x, width - x - w), (y, height - y - h)
        cut = sum(gap <= BORDER * side for gaps, side in zip(near, (width, height), strict=True) for gap in gaps)
        return float(self.counts[number] * CUT**cut)


def shown_in(identities: Identities) -> Shown:
    """Return what the photos of a catalog show, by the extractor that queries use.

    Raises SnowmatchError if the features are damaged.
    """
    folder = identities.data.folder
    reader = features_in_use(folder)
    if reader is None:
        return Shown()
    number = {key: n for n, key in enumerate(reader.keys)}
    return Shown(load_records(folder), number, reader.counts, reader.image_sizes)


def best_photo(traits: Traits, shown: Shown, photos: Iterable[Annotation], part: str = "") -> Annotation | None:
    """Return the photo that shows an animal best; None if no photo shows the body part. part: "" for any.

    The one that a person chose comes first, then those of better quality, then the one that shows most of the animal,
    then the largest box.
    """

    def order(a: Annotation) -> tuple[int, int, float, int, int]:
        area = a.bbox[2] * a.bbox[3] if a.bbox is not None else 0
        quality = QUALITIES.get(traits.quality.get(a.annotation, ""), 1)
        return traits.portraits.get(a.annotation, 0), quality, shown.worth(a), area, -a.row

    return max((a for a in photos if not part or a.body_part == part), key=order, default=None)
