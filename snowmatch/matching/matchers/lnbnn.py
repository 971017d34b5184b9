"""Local naive Bayes nearest neighbour: each query keypoint votes for the photos of its nearest gallery keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from snowmatch.core.types import NO_MATCHES, Features, Matches
from snowmatch.matching.search.block import Block
from snowmatch.matching.search.blocks import BACKENDS, Neighbors, Sought, search_many
from snowmatch.screening.foreground import FOREGROUNDS

# A descriptor's neighbours lie as in a space of about 25 dimensions: 22 to 28 on leopards and nyala (Levina & Bickel,
# NIPS 2004). So a ball with twice as many accidental neighbours is larger by the factor 2 ** (1 / 25).
DIMENSION = 25.0
# Keypoints that each individual gets in addition to its own, when its share of the accidental neighbours is estimated:
# 5, 10 and 20 gave the same figures within the noise
PSEUDOCOUNT = 10.0
MOST = 100  # of k: a query's time and memory grow with it, and neighbours so far away are accidental; chosen
DEEPER = 4  # times as many neighbours are looked at where all are of one individual; chosen, not measured


@dataclass(frozen=True)
class Lnbnn:
    """Comparison with a whole gallery at once, as in HotSpotter, but fair to animals with few photos.

    k: number of neighbours that may vote, 2 to 100.
    backend: `faiss` (inverted file) or `flann` (kd-forest, as in HotSpotter).
    foreground: the foreground of photos with neither box nor mask. `auto`: what other photos of the place do not show,
    or else the centre of the photo. `given`: everything (for crops).
    """

    REVISION: ClassVar[int] = 3
    PAIRWISE: ClassVar[Literal[False]] = False

    k: int = 8
    backend: str = "faiss"
    foreground: str = "auto"

    def __post_init__(self) -> None:
        if not 2 <= self.k <= MOST:
            raise ValueError(f"k is {self.k}, expected 2 to {MOST}")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}, expected one of {', '.join(BACKENDS)}")
        if self.foreground not in FOREGROUNDS:
            raise ValueError(f"foreground is {self.foreground!r}, expected one of {', '.join(FOREGROUNDS)}")

    def match(
        self,
        query: Features,
        blocks: Sequence[Block],
        allowed: np.ndarray,
        individuals: np.ndarray,
        rivals: np.ndarray,
    ) -> Matches:
        """Return the votes of one query photo for the allowed entries.

        allowed: (A,) bool. individuals: (A,) numbers. rivals: (A,) bool, entries whose distance may be that of an
        accidental match. No keypoints, or no allowed entries, give no matches.
        """
        return self.match_many([(query, allowed, rivals)], blocks, individuals)[0]

    def match_many(
        self,
        asked: Sequence[tuple[Features, np.ndarray, np.ndarray]],
        blocks: Sequence[Block],
        individuals: np.ndarray,
    ) -> list[Matches]:
        """Return what `match` returns for each (query, allowed, rivals). A block is read once for all of them."""
        open_to = [number for number, (_, allowed, _) in enumerate(asked) if allowed.any()]
        neighbors = search_many(blocks, [Sought(asked[n][0].descriptors, asked[n][1]) for n in open_to], self.k)
        near = [nearest_rivals(found, individuals, asked[n][2]) for n, found in zip(open_to, neighbors, strict=True)]
        # Where all neighbours are of one individual, the nearest one of another is looked for: first among more
        # neighbours, at once for all, then without that individual
        deeper = [(place, rows) for place, each in enumerate(near) if len(rows := np.flatnonzero(np.isinf(each[1])))]
        sought = [self._rest(asked[open_to[place]], rows) for place, rows in deeper]
        for (place, rows), more in zip(deeper, search_many(blocks, sought, DEEPER * self.k), strict=True):
            found = nearest_rivals(more, individuals, asked[open_to[place]][2])
            for whole, part in zip(near[place], found, strict=True):
                whole[rows] = part
        lone = [
            (place, np.flatnonzero(np.isinf(second) & (name == alone)), alone)
            for place, (_, second, name) in enumerate(near)
            for alone in np.unique(name[np.isinf(second)])
        ]
        sought = [self._rest(asked[open_to[place]], rows, individuals != alone) for place, rows, alone in lone]
        for (place, rows, _), others in zip(lone, search_many(blocks, sought, 1), strict=True):
            near[place][1][rows] = others.distances[:, 0]
        matches = [NO_MATCHES] * len(asked)
        for n, nearest, each in zip(open_to, neighbors, near, strict=True):
            matches[n] = votes(nearest, individuals, each, len(np.unique(individuals[asked[n][1]])))
        return matches

    @staticmethod
    def _rest(
        asked: tuple[Features, np.ndarray, np.ndarray], rows: np.ndarray, others: np.ndarray | bool = True
    ) -> Sought:
        """Return what is looked for again: the nearest rivals of some keypoints, among `others`."""
        query, allowed, rivals = asked
        return Sought(query.descriptors[rows], allowed & rivals & others)


def nearest_rivals(
    neighbors: Neighbors, individuals: np.ndarray, rivals: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distance (N,) of each keypoint's nearest rival, the distance (N,) of its nearest rival of another
    individual, and the individual (N,) of the first.

    individuals, rivals: (A,), see `Lnbnn.match`. Where a rival is missing among the neighbours, its distance is inf and
    its individual -1.
    """
    n, count = neighbors.distances.shape
    first, second = np.full(n, np.inf, np.float32), np.full(n, np.inf, np.float32)
    name = np.full(n, -1, np.int64)
    for column in range(count):  # nearest first
        entry = neighbors.entries[:, column]
        counts = (entry >= 0) & rivals[np.maximum(entry, 0)]
        animal = individuals[np.maximum(entry, 0)]
        distance = neighbors.distances[:, column]
        other = counts & (name >= 0) & (animal != name) & np.isinf(second)
        second[other] = distance[other]
        new = counts & (name < 0)
        first[new], name[new] = distance[new], animal[new]
    return first, second, name


def votes(
    neighbors: Neighbors,
    individuals: np.ndarray,
    nearest: tuple[np.ndarray, np.ndarray, np.ndarray],
    animals: int,
) -> Matches:
    """Return weighted votes from each query keypoint's neighbours: the distance of an accidental match minus their own.

    individuals: (A,) numbers. nearest: the result of `nearest_rivals`. animals: the number of individuals that may
    answer. The distance of an accidental match is that of the nearest rival of another individual. It is corrected for
    the share of all accidental neighbours that the individual has: the best of fifty photos is nearer than the best of
    one. Most keypoints of a query have no true match, so the share is estimated from all of them, without counting
    photos. A weight of 0 is no vote. Without any rival, the median distance of the nearest neighbours is used: most of
    them are accidental.

    Source: McCann & Lowe, CVPR 2012; Crall et al., WACV 2013 (HotSpotter). The correction is our own: for points of a
    space with D dimensions, the expected number within the distance r grows as r ** D.
    """
    distances, entries = neighbors.distances, neighbors.entries
    first, second, name = nearest
    exists = entries >= 0
    animal = individuals[np.maximum(entries, 0)]
    usual = _usual(distances, exists)
    first, second = (np.where(np.isinf(each), usual, each) for each in (first, second))
    accidental = np.where(animal == name[:, None], second[:, None], first[:, None])
    nearest_animals = animal[exists[:, 0], 0] if animal.shape[1] else np.zeros(0, np.int64)
    counts = np.bincount(nearest_animals, minlength=int(individuals.max(initial=-1)) + 1) + PSEUDOCOUNT
    share = counts / (len(nearest_animals) + PSEUDOCOUNT * (animals + 1))  # one more animal, so that no share is 1
    factor = ((1 - share) / share) ** (1 / DIMENSION)
    weights = (accidental * factor[animal] - distances).astype(np.float32)
    keypoint0, place = np.nonzero(exists & (weights > 0))
    matches = Matches(
        keypoint0, entries[keypoint0, place], neighbors.keypoints[keypoint0, place], weights[keypoint0, place]
    )
    return matches.take(np.lexsort((matches.keypoint1, matches.keypoint0, matches.annotation)))


def _usual(distances: np.ndarray, exists: np.ndarray) -> float:
    """Return the median distance of the nearest neighbour of each keypoint; 0 without neighbours."""
    return float(np.median(distances[exists[:, 0], 0])) if exists.any() else 0.0


PLUGIN = Lnbnn
