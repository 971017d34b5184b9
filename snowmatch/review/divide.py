"""Photos taken out of an individual, also single photos of a sighting."""

from __future__ import annotations

from collections.abc import Sequence

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import counted
from snowmatch.decisions.row import DIFFERENT, Decision
from snowmatch.review.identities import (
    Identities,
    bearer_of,
    checked_name,
    draft,
    find_individual,
    not_free,
    sides_of,
    split,
)


def split_photos(
    identities: Identities, name: str, annotations: Sequence[str], observer: str, new: str = ""
) -> tuple[Decision, ...]:
    """Return the drafts that take photos out of an individual: they are another animal, called `new` ("": no name).

    annotations: identifiers. A sighting of which only some photos are chosen is divided. Raises SnowmatchError if they
    are not photos of the individual, if they are none or all of them, or if the name exists.
    """
    individual = find_individual(identities, name)
    who = identities.who
    all_of = sides_of(identities, individual.sightings)
    chosen = [each for each in all_of if each in set(annotations)]
    if foreign := sorted(set(annotations) - set(all_of)):
        raise SnowmatchError(f"{foreign[0]} is not a photo of {name!r}: choose some of its photos")
    rest = [each for each in all_of if each not in set(chosen)]
    if not chosen or not rest:
        raise SnowmatchError(
            f"{len(chosen)} of {counted(len(all_of), 'photo')} chosen: a split takes some and leaves some"
        )
    parts = []
    for number in individual.sightings:
        own = who.sightings[number].annotations
        out = tuple(each for each in own if each in set(chosen))
        if out and len(out) < len(own):
            stay = tuple(each for each in own if each not in set(out))
            parts.append(draft("pair", observer, DIFFERENT, side_a=stay, side_b=out))
    if not parts:
        return (split(identities, name, sorted({who.number_of[each] for each in chosen}), observer, new),)
    new = checked_name(new) if new else ""
    if new and (other := bearer_of(identities, new, chosen)) is not None:
        raise not_free(new, other, individual)
    parts.append(draft("split", observer, new, side_a=tuple(chosen), side_b=tuple(rest)))
    return tuple(each._replace(decided_at=parts[0].decided_at) for each in parts)  # one act, taken back as one
