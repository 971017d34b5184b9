"""Two sightings as lists show them: a picture of either, where and when, and the address that reviews them."""

from __future__ import annotations

from typing import Any

from snowmatch.core.text import printable
from snowmatch.review.identities import Identities
from snowmatch.review.likely import Evidence
from snowmatch.web.animals import address_of_sighting


def pair_of(identities: Identities, evidence: Evidence | None, a: int, b: int) -> dict[str, Any]:
    """Return what a list shows of two sightings. evidence: names the photos that agree best, if it is known."""
    sightings = identities.who.sightings
    photos = (sightings[a].annotations[0], sightings[b].annotations[0])
    likely = evidence.pairs.get((min(a, b), max(a, b))) if evidence is not None else None
    if likely is not None:
        photos = likely.photos if likely.one == a else (likely.photos[1], likely.photos[0])
    return {
        "photos": photos,
        "labels": [label_of(identities, n) for n in (a, b)],
        "addresses": [address_of_sighting(identities, n) for n in (a, b)],
        "pair": (sightings[a].key, sightings[b].key),
    }


def label_of(identities: Identities, number: int) -> str:
    """Return where and when a sighting was, printable; its encounter if neither is known."""
    s = identities.who.sightings[number]
    where = " ".join(printable(part) for part in (s.location, s.station) if part)
    return ", ".join(part for part in (s.time.replace("T", " ")[:16], where) if part) or printable(s.encounter)
