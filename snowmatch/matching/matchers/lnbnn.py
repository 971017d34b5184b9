"""Local naive Bayes nearest neighbour: every query keypoint votes for the photos of its nearest gallery keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from snowmatch.core.types import Features, Matches
from snowmatch.matching.search.blocks import BACKENDS, Block, Neighbors, search
from snowmatch.screening.foreground import FOREGROUNDS

NORMALIZERS = ("last", "name")


@dataclass(frozen=True)
class Lnbnn:
    """One-against-many matching over a whole gallery, as HotSpotter does it.

    k: neighbours that vote (HotSpotter 4). normalizers: further neighbours, of which one tells what a chance match
    costs (HotSpotter 1). normalizer: `last` takes the last of them, `name` the first whose individual is none of those
    matched. backend: `faiss` (inverted file) or `flann` (kd-forest, HotSpotter's own). foreground: what counts as
    animal where there is neither box nor mask, `auto` what other photos of the place do not show or else what lies
    about the photo's centre, `given` all (for crops).
    """

    REVISION: ClassVar[int] = 2
    PAIRWISE: ClassVar[Literal[False]] = False

    k: int = 4
    normalizers: int = 1
    normalizer: str = "last"
    backend: str = "faiss"
    foreground: str = "auto"

    def __post_init__(self) -> None:
        if self.k < 1 or self.normalizers < 1:
            raise ValueError(f"k is {self.k} and normalizers {self.normalizers}, expected at least 1 each")
        if self.normalizer not in NORMALIZERS:
            raise ValueError(f"normalizer is {self.normalizer!r}, expected one of {', '.join(NORMALIZERS)}")
        if self.normalizer == "name" and self.normalizers < 2:
            raise ValueError("normalizer 'name' chooses among several: set normalizers to 2 or more")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}, expected one of {', '.join(BACKENDS)}")
        if self.foreground not in FOREGROUNDS:
            raise ValueError(f"foreground is {self.foreground!r}, expected one of {', '.join(FOREGROUNDS)}")

    def match(self, query: Features, blocks: Sequence[Block], allowed: np.ndarray, individuals: np.ndarray) -> Matches:
        """Votes of one query photo for the entries where `allowed` (A,) is True; `individuals` (A,) are numbers.

        No keypoints, or nothing allowed, give no matches.
        """
        neighbors = search(blocks, query.descriptors, allowed, self.k + self.normalizers)
        return votes(neighbors, self.k, individuals if self.normalizer == "name" else None)


def votes(neighbors: Neighbors, k: int, individuals: np.ndarray | None = None) -> Matches:
    """Turn each query keypoint's neighbours into weighted votes: normaliser's distance minus the match's.

    The first k neighbours vote, the normaliser is one of the others: the last, or with `individuals` (A,) (a number
    per entry) the first whose individual is none of the k matched ones (the last where there is none such). So what
    many animals have in common counts little. A weight of 0 is no vote. Where fewer neighbours than asked for exist,
    the last one there is normalises; a single one has nothing to be compared with and does not vote.

    Source: McCann & Lowe, CVPR 2012; Crall et al., WACV 2013 (HotSpotter).
    """
    distances, entries = neighbors.distances, neighbors.entries
    n, count = distances.shape
    exists = entries >= 0
    last = exists.sum(axis=1) - 1  # (n,) column of the farthest neighbour there is
    column = np.broadcast_to(np.arange(count), (n, count))
    normalizer = last
    if individuals is not None and n:
        names = np.where(exists, individuals[np.maximum(entries, 0)], -1)
        # (n, normalizers, k) -> (n, normalizers): a normaliser whose individual has a vote is not independent of it
        known = (names[:, k:, None] == names[:, None, :k]).any(axis=2)
        usable = exists[:, k:] & ~known
        normalizer = np.where(usable.any(axis=1), k + usable.argmax(axis=1), last)
    chance = distances[np.arange(n), np.maximum(normalizer, 0)]
    with np.errstate(invalid="ignore"):  # inf - inf where a keypoint has no neighbour at all; masked below
        weights = chance[:, None] - distances
    voting = exists & (column < k) & (column < normalizer[:, None]) & (weights > 0)
    keypoint0, place = np.nonzero(voting)
    matches = Matches(
        keypoint0, entries[keypoint0, place], neighbors.keypoints[keypoint0, place], weights[keypoint0, place]
    )
    return matches.take(np.lexsort((matches.keypoint1, matches.keypoint0, matches.annotation)))


PLUGIN = Lnbnn
