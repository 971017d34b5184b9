"""A query whose photos show several body parts: each part is compared with its own, and each has one vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snowmatch.core.plugins import Matcher
from snowmatch.core.types import Matches, Subject, same_part
from snowmatch.matching.gallery import Gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.query import score_query
from snowmatch.matching.scores import Scores, prior


def score_sides(
    subjects: Sequence[Subject],
    parts: Sequence[str],
    gallery: Gallery,
    allowed: np.ndarray,
    matcher: Matcher,
    geometry: Geometry,
) -> Scores:
    """Return the scores of the photos of one sighting, each compared with annotations of its own body part.

    parts: the body part of each photo. allowed: (A,) bool. The photos of one part vote together, as in `score_query`.
    The scores of an individual are then the means over the parts: ten photos of the left flank do not outvote one of
    the right, and the order is that of the sums. An individual that a part has no annotation of has the score 0 there,
    so one flank on record counts half. One part, or no photo, gives the result of `score_query`.
    """
    sides = list(dict.fromkeys(parts))
    if len(sides) < 2:
        return score_query(subjects, gallery, allowed, sides[0] if sides else "unknown", matcher, geometry)
    photos = [[n for n, part in enumerate(parts) if part == side] for side in sides]
    annotated = np.array([a.body_part for a in gallery.annotations], str)
    found = []
    for side, mine in zip(sides, photos, strict=True):
        open_to = allowed & np.array([same_part(side, part) for part in annotated], bool)
        found.append(score_query([subjects[n] for n in mine], gallery, open_to, side, matcher, geometry))
    places = [n for mine in photos for n in mine]

    def in_order(name: str) -> tuple[Matches, ...]:
        each = dict(zip(places, (m for of in found for m in getattr(of, name)), strict=True))
        return tuple(each[n] for n in range(len(parts)))

    def of_all(name: str) -> np.ndarray:
        return np.array([getattr(of, name) for of in found])

    individual = of_all("individual_scores").mean(axis=0)
    return Scores(
        scores=of_all("scores").sum(axis=0),
        pre_scores=of_all("pre_scores").sum(axis=0),
        checked=np.any(of_all("checked"), axis=0),
        accepted=np.any(of_all("accepted"), axis=0),
        individual_scores=individual,
        individual_pre_scores=of_all("individual_pre_scores").mean(axis=0),
        individual_accepted=individual > 0,
        matches=in_order("matches"),
        pre_matches=in_order("pre_matches"),
        chance=float(of_all("chance").mean()),
        scenery=np.any(of_all("scenery"), axis=0),
        individuals=gallery.individual_numbers,
        prior=np.zeros_like(individual) if matcher.PAIRWISE else prior(gallery.sightings(allowed)),
    )
