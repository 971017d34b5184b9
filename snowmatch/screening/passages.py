"""From photos to passages: which passages may show the species, and how many of them are kept."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snowmatch.catalog.screened import KEPT, PERSON, UNKNOWN
from snowmatch.catalog.species import NOTHING, PEOPLE, species_key

SPECIES = "snow leopard"
KEEP = 0.99  # the share of its passages that is kept, unless somebody says otherwise
# The lowest score of a passage that is kept, if the catalog has too few named animals. All 39 passages of snow leopards
# that were looked at have more (0.013 and above)
DEFAULT = 0.01
# The probability from which a passage shows another species: 10 of 50 emptied photos have it, and most nyala (chosen)
OTHER = 0.5
SHOWS = 0.2  # the confidence from which a detection counts, as the authors of MegaDetector advise
ROUNDING = 1e-9  # 1 - 0.9 is a little less than 0.1


@dataclass(frozen=True)
class Threshold:
    """The lowest score of a passage that is kept.

    value: 0 to 1. keep: the share of passages of the species that is kept, as was asked for. known: number of passages
    with named animals. below: how many of them have a lower score. promised: whether they are enough to promise `keep`.
    """

    value: float
    keep: float
    known: int
    below: int
    promised: bool


def passage_score(photos: Sequence[Mapping[str, float]], species: str) -> float:
    """Return the score of a passage: the highest probability of the species in its photos. No photos give 0."""
    return max((classes.get(species, 0.0) for classes in photos), default=0.0)


def choose_threshold(scores: Sequence[float], keep: float) -> Threshold:
    """Return the threshold that keeps at least the share `keep` of all passages of the species.

    scores: of passages with named animals; they stand for all passages of the species. With n of them, at most the
    share n / (n + 1) can be promised; with too few, the threshold is DEFAULT. Raises ValueError if `keep` is not
    between 0 and 1.

    Source: split conformal prediction, Vovk et al., "Algorithmic learning in a random world", 2005.
    """
    if not 0 < keep < 1:
        raise ValueError(f"keep is {keep}, expected a share between 0 and 1")
    lost = min(int((len(scores) + 1) * (1 - keep) + ROUNDING), len(scores))  # so many of the known ones may lie below
    value = sorted(scores)[lost - 1] if lost >= 1 else DEFAULT
    return Threshold(value, keep, len(scores), sum(score < value for score in scores), lost >= 1)


def passages_needed(keep: float) -> int:
    """Return the number of passages with named animals from which the share `keep` can be promised. keep: 0 to 1."""
    return max(1, math.ceil((1 - ROUNDING) / (1 - keep)) - 1)


def answer_of(photos: Sequence[Mapping[str, float]], species: str, threshold: float) -> tuple[str, float]:
    """Return what a passage shows, and the probability of that: KEPT, NOTHING, PERSON, or the name of another species.

    photos: the probabilities of species in each photo of the passage. No photos give UNKNOWN and 0.
    """
    if not photos:
        return UNKNOWN, 0.0
    score = passage_score(photos, species)
    if score >= threshold:
        return KEPT, score
    best: dict[str, float] = defaultdict(float)
    for classes in photos:
        for name, probability in classes.items():
            if name not in (NOTHING, species):
                best[name] = max(best[name], probability)
    if shows_person(best):  # the photos are private, whatever else they show
        return PERSON, max(p for name, p in best.items() if species_key(name) in PEOPLE)
    name = max(sorted(best), key=best.__getitem__, default="")
    if name and best[name] >= OTHER:
        return name, best[name]
    return NOTHING, min(classes.get(NOTHING, 0.0) for classes in photos)


def shows_person(classes: Mapping[str, float]) -> bool:
    """Return whether a photo shows a person, by its probabilities: a classifier of the user's may know persons."""
    return any(p >= OTHER and species_key(name) in PEOPLE for name, p in classes.items())
