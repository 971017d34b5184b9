"""Mutual nearest neighbours with a ratio test, one pair of photos at a time, for the descriptors of any extractor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from snowmatch.core.plugins import Pair
from snowmatch.core.threads import one_thread
from snowmatch.core.types import Subject
from snowmatch.matching.matchers._pairs import check_pairing, no_matches, unit_rows


@dataclass(frozen=True)
class Mutual:
    """Mutual nearest keypoints of two photos, whose distance is clearly lower than that of the 2nd-nearest neighbour.

    candidates: number of annotations, those with the most LNBNN votes, that are compared in pairs; 0 compares all
    (small galleries).
    keypoints: number of keypoints of each photo, the strongest.
    ratio: largest distance of a match, as a share of the 2nd-nearest neighbour's distance (Lowe: 0.8).
    voter: the matcher whose votes select the candidates.
    foreground: as of lnbnn.
    """

    REVISION: ClassVar[int] = 1
    PAIRWISE: ClassVar[Literal[True]] = True

    candidates: int = 30
    keypoints: int = 2048
    ratio: float = 0.9
    voter: str = "lnbnn"
    foreground: str = "auto"

    def __post_init__(self) -> None:
        check_pairing(self.candidates, self.keypoints, self.foreground)
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio is {self.ratio}, expected above 0, at most 1")

    def check(self, extractor: Mapping[str, Any]) -> str:
        """Return "": the matcher needs no weights, and descriptors of every extractor have nearest neighbours."""
        return ""

    def pairs(
        self, one: Subject, others: Iterable[tuple[int, Subject]], extractor: Mapping[str, Any]
    ) -> Iterator[Pair]:
        """Yield the matches of `one` with each of `others`. The weight is the 2nd-nearest neighbour's distance minus
        the match's.
        """
        rows = unit_rows(one.features.descriptors)
        for number, other in others:
            yield self._pair(number, rows, unit_rows(other.features.descriptors))

    def _pair(self, number: int, one: np.ndarray, other: np.ndarray) -> Pair:
        """Return the matches of two photos. Source: Lowe, IJCV 2004, section 7.1."""
        if len(one) == 0 or len(other) < 2:
            return no_matches(number)
        with one_thread():
            likeness = one @ other.T
        nearest = likeness.argmax(axis=1)
        first = likeness[np.arange(len(one)), nearest]
        # only the largest values of the columns: their positions take numpy ten times as long
        rows = np.flatnonzero(first == likeness.max(axis=0)[nearest])
        rows = rows[np.sort(np.unique(nearest[rows], return_index=True)[1])]  # of equal values, the first
        likeness, first = likeness[rows], first[rows]
        likeness[np.arange(len(rows)), nearest[rows]] = -np.inf
        # distances from 0 (equal) to 1, as in the index
        distance, second = (np.sqrt(np.maximum(1 - c, 0)) for c in (first, likeness.max(axis=1)))
        good = distance < self.ratio * second
        return Pair(number, rows[good], nearest[rows[good]], (second - distance)[good])


PLUGIN = Mutual
