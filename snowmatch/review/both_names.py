"""What a merge of two files of decisions did to names that meant other sightings on the other side."""

from __future__ import annotations

from collections import Counter

from snowmatch.decisions.merge import Merged
from snowmatch.decisions.who import Individual, Who, who_is_who
from snowmatch.review.identities import Identities


def sides_of(after: Identities, merged: Merged) -> tuple[Who, Who]:
    """Return who is who by the decisions that both sides had, and by those of the other side. after: the merge."""
    shared = set(merged.known)
    theirs = shared | {row.id for row in merged.added}
    common, other = ([row for row in after.rows if row.id in ids] for ids in (shared, theirs))
    return who_is_who(after.annotations, common), who_is_who(after.annotations, other)


def names_of_both(before: Identities, after: Identities, common: Who, theirs: Who) -> tuple[tuple[str, str, str], ...]:
    """Return names that were new on both sides and given to different sightings, and are one individual now.

    before, after: the merge. common, theirs: as `sides_of` returns them. Each with an encounter here and one there,
    sorted by name. A name that both gave to one sighting is none of them.
    """
    found = []
    for other in theirs.individuals:
        own = before.who.named(other.handle)
        if other.name is None or own is None or common.bearer(other.handle) is not None:
            continue
        here, there = _annotations(before.who, own), _annotations(theirs, other)
        numbers = [after.who.number_of.get(min(names)) for names in (here, there)]  # None: no sighting after the merge
        places = {None if number is None else after.who.of[number] for number in numbers}
        if here.isdisjoint(there) and len(places) == 1 and None not in places:
            ends = (before.who.sightings[own.sightings[0]], theirs.sightings[other.sightings[0]])
            found.append((other.handle, ends[0].encounter, ends[1].encounter))
    return tuple(sorted(found))


def names_apart(after: Identities, merged: Merged, theirs: Who) -> tuple[tuple[str, tuple[tuple[str, int], ...]], ...]:
    """Return names that the added decisions gave to sightings that have different names after the merge.

    theirs: as `sides_of` returns it. Each with these names and how many sightings have them. Sorted by name.
    """
    fresh = {name for row in merged.added if row.kind in ("name", "split") for name in row.side_a}
    found = []
    for other in theirs.individuals:
        names = _annotations(theirs, other)
        if other.name is None or fresh.isdisjoint(names):
            continue
        numbers = {number for name in names if (number := after.who.number_of.get(name)) is not None}
        now = Counter(each.name for n in numbers if (each := after.who.individuals[after.who.of[n]]).name is not None)
        if len(now) > 1:
            found.append((other.name, tuple(sorted((name, count) for name, count in now.items() if name is not None))))
    return tuple(sorted(found))


def _annotations(who: Who, individual: Individual) -> set[str]:
    return {name for n in individual.sightings for name in who.sightings[n].annotations}
