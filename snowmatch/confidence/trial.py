"""Who is asked about and who may answer, when a labelled catalog tests identification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import did_you_mean
from snowmatch.core.types import BODY_PARTS, Annotation, same_part

PROTOCOLS = ("cross-encounter", "cross-station", "split")


@dataclass(frozen=True)
class Trial:
    """One test of identification on the A annotations of a catalog, in its order.

    queries (Q,) and gallery (G,) int64 are row numbers of identified annotations; allowed (Q, G) bool says which
    gallery annotation may answer which query. groups (Q,) int64 numbers what is asked together: the queries of one
    encounter, individual and body part, which therefore have the same row of `allowed`.
    """

    protocol: str
    annotations: tuple[Annotation, ...]
    queries: np.ndarray
    gallery: np.ndarray
    allowed: np.ndarray
    groups: np.ndarray

    @property
    def individual_names(self) -> tuple[str, ...]:
        """The I distinct individuals of the gallery, by name."""
        return tuple(sorted({self.annotations[row].individual for row in self.gallery}))

    @property
    def individual_numbers(self) -> np.ndarray:
        """(G,) int64, into `individual_names`."""
        number = {name: i for i, name in enumerate(self.individual_names)}
        return np.array([number[self.annotations[row].individual] for row in self.gallery], np.int64)

    def own(self) -> np.ndarray:
        """(Q, G) bool: the gallery annotations of the query's own individual, allowed or not."""
        individual = np.array([a.individual or "" for a in self.annotations])
        return individual[self.queries][:, None] == individual[self.gallery]


def make_trial(annotations: Sequence[Annotation], protocol: str) -> Trial:
    """The test of `protocol` on all identified annotations; SnowmatchError where it cannot be made.

    All: the body part compatible, another passage. `cross-station`: also another station (an empty one equals an
    empty one). `split`: the `test` rows are asked about, the `train` rows answer.
    """
    if protocol not in PROTOCOLS:
        raise SnowmatchError(
            f"protocol is {protocol!r}, expected one of {', '.join(PROTOCOLS)}{did_you_mean(protocol, PROTOCOLS)}"
        )
    annotations = tuple(annotations)
    named = [a for a in annotations if a.individual is not None]
    if not named:
        raise SnowmatchError("no annotation has an individual: evaluation needs photos whose animals are known")
    asked = [a for a in named if a.split == "test"] if protocol == "split" else named
    answering = [a for a in named if a.split == "train"] if protocol == "split" else named
    if not asked or not answering:
        splits = sorted({a.split or "(empty)" for a in named})
        raise SnowmatchError(
            "protocol split needs rows of split test to ask about and rows of split train to answer; "
            f"the column split of this catalog has: {', '.join(splits)}"
        )

    def columns(name: str) -> tuple[np.ndarray, np.ndarray]:
        """(Q, 1) of the queries and (G,) of the gallery, as text."""
        queries, gallery = (np.array([getattr(a, name) for a in side], str) for side in (asked, answering))
        return queries[:, None], gallery

    parts0, parts1 = columns("body_part")
    allowed = np.zeros((len(asked), len(answering)), bool)
    for part in BODY_PARTS:
        for other in BODY_PARTS:
            if same_part(part, other):
                allowed |= (parts0 == part) & (parts1 == other)
    passages0, passages1 = columns("passage")
    allowed &= passages0 != passages1
    if protocol == "cross-station":
        stations0, stations1 = columns("station")
        locations0, locations1 = columns("location")
        elsewhere = (locations0 != locations1) & (locations0 != "") & (locations1 != "") & (stations0 != "")
        allowed &= (stations0 != stations1) | elsewhere  # S01 of one location is not S01 of another
    numbers: dict[tuple[str, str | None, str], int] = {}
    groups = [numbers.setdefault((a.encounter, a.individual, a.body_part), len(numbers)) for a in asked]
    return Trial(
        protocol,
        annotations,
        np.array([a.row for a in asked], np.int64),
        np.array([a.row for a in answering], np.int64),
        allowed,
        np.array(groups, np.int64),
    )
