"""Local naive Bayes nearest neighbour: each query keypoint votes for the photos of its nearest gallery keypoints."""

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
    """Comparison with a whole gallery at once, as in HotSpotter.

    k: number of neighbours that vote (HotSpotter 4).
    normalizers: number of further neighbours, one of which gives the distance of an accidental match (HotSpotter 1).
    normalizer: `last` uses the last of them; `name` uses the first whose individual has no vote.
    backend: `faiss` (inverted file) or `flann` (kd-forest, as in HotSpotter).
    foreground: the foreground of photos with neither box nor mask. `auto`: what other photos of the place do not show,
    or else the centre of the photo. `given`: everything (for crops).
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
        """Return the votes of one query photo for the allowed entries.

        allowed: (A,) bool. individuals: (A,) numbers. No keypoints, or no allowed entries, give no matches.
        """
        neighbors = search(blocks, query.descriptors, allowed, self.k + self.normalizers)
        return votes(neighbors, self.k, individuals if self.normalizer == "name" else None)


def votes(neighbors: Neighbors, k: int, individuals: np.ndarray | None = None) -> Matches:
    """Return weighted votes from each query keypoint's neighbours. The weight is the normaliser's distance minus the
    match's.

    The first k neighbours vote. The normaliser is one of the others: the last one, or with `individuals` (A,) (the
    number of each entry's individual) the first whose individual is not among the k (the last one if there is none). So
    a spot that many animals have gets a low weight. A weight of 0 is no vote. With fewer neighbours than requested, the
    last one is the normaliser; a single neighbour gives no vote.

    Source: McCann & Lowe, CVPR 2012; Crall et al., WACV 2013 (HotSpotter).
    """
    distances, entries = neighbors.distances, neighbors.entries
    n, count = distances.shape
    exists = entries >= 0
    last = exists.sum(axis=1) - 1  # (n,) column of the farthest existing neighbour
    column = np.broadcast_to(np.arange(count), (n, count))
    normalizer = last
    if individuals is not None and n:
        names = np.where(exists, individuals[np.maximum(entries, 0)], -1)
        # (n, normalizers, k) -> (n, normalizers): a normaliser of the same individual would not be independent
        known = (names[:, k:, None] == names[:, None, :k]).any(axis=2)
        usable = exists[:, k:] & ~known
        normalizer = np.where(usable.any(axis=1), k + usable.argmax(axis=1), last)
    chance = distances[np.arange(n), np.maximum(normalizer, 0)]
    with np.errstate(invalid="ignore"):  # inf - inf if a keypoint has no neighbour; masked below
        weights = chance[:, None] - distances
    voting = exists & (column < k) & (column < normalizer[:, None]) & (weights > 0)
    keypoint0, place = np.nonzero(voting)
    matches = Matches(
        keypoint0, entries[keypoint0, place], neighbors.keypoints[keypoint0, place], weights[keypoint0, place]
    )
    return matches.take(np.lexsort((matches.keypoint1, matches.keypoint0, matches.annotation)))


PLUGIN = Lnbnn
