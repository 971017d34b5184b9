"""The result of a screening: what was told about each photo."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

from snowmatch.catalog.screened import KEPT, UNKNOWN
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, share_text
from snowmatch.screening.passages import Threshold


@dataclass(frozen=True)
class ScreenedPhoto:
    """The result for one photo. The fields are the columns of the table.

    answer: of its passage: `kept`, `nothing`, the name of another species, `person`, or `unknown` if no network has
    seen it. probability: of that, in the passage; None for an answer of an earlier screening. species: the species
    that is asked for. score: the probability of that species in this photo; None if no classifier has seen it.
    boxes: of the animals, each "x,y,width,height" (px). found_by: what found them; "" if a person drew them.
    persons: number of persons that a detector saw in this photo; 1 if only the classifier saw one. flank: of the
    animal in the first box: `left_flank`, `right_flank`, or `unknown` if neither is likely enough; "" if the photo
    is not kept, has no box, or has a body part in the catalog. flank_probability: of the likelier flank.
    """

    path: str
    encounter: str
    location: str
    station: str
    camera: str
    date: str
    time: str
    answer: str
    probability: float | None
    species: str
    score: float | None
    boxes: tuple[str, ...]
    found_by: str
    persons: int
    flank: str = ""
    flank_probability: float | None = None


COLUMNS = tuple(f.name for f in fields(ScreenedPhoto))


@dataclass(frozen=True)
class Screening:
    """The result of a screening.

    photos: in the order of the catalog. threshold: of the passages that are kept. failed: the path and the reason of
    each photo that failed.
    """

    photos: tuple[ScreenedPhoto, ...]
    threshold: Threshold
    failed: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]

    def summary(self) -> str:
        """Return the result as one line of text: passages by answer, and photos that are neither kept nor unknown."""
        passages = {photo.encounter: photo.answer for photo in self.photos}
        counts = Counter(passages.values())
        told = [f"{name} {count}" for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
        gone = sum(photo.answer not in (KEPT, UNKNOWN) for photo in self.photos)
        share = f" ({share_text(gone / len(self.photos))})" if self.photos else ""
        return f"{counted(len(passages), 'passage')}: {', '.join(told)}; {counted(gone, 'photo')}{share} not kept"
