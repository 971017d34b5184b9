"""A question about two sightings as plain values, for the page that reviews them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from snowmatch.core.plain import plain, six_digits
from snowmatch.core.text import printable
from snowmatch.core.types import Annotation
from snowmatch.decisions.row import REPEAT
from snowmatch.review.identities import Identities
from snowmatch.review.queue import Item
from snowmatch.review.traits import box_text
from snowmatch.views.previews import file_stamp, key_of, photo_size
from snowmatch.views.shade import shown_part

SECRET = (REPEAT, "check")  # why a question is asked that must look like any other one


def question_to_json(identities: Identities, item: Item, *, hidden: bool, metres: int | None = None) -> dict[str, Any]:
    """Return a question as plain values. hidden: without names, probability, level, spots, reason and others' answers.
    metres: between the stations; None if that is not known.

    An individual's name is told only where the two sightings belong to different individuals: a hidden repetition must
    look like a new question.
    """
    who = identities.who
    sides = [_side(identities, n, photo, hidden) for n, photo in zip((item.a, item.b), item.photos, strict=True)]
    one, other = (who.sightings[n] for n in (item.a, item.b))
    found: dict[str, Any] = {
        "pair": [one.key, other.key],
        "sides": sides,
        "seconds": _apart(one.time, other.time),
        "one_station": bool(one.station) and (one.location, one.station) == (other.location, other.station),
        "metres": metres,
        "hidden": hidden,
    }
    if hidden:
        hidden_values: dict[str, Any] = plain(found)
        return hidden_values
    why = "decides" if item.why in SECRET else item.why
    found |= {"why": why, "probability": six_digits(item.probability), "careful": six_digits(item.careful)}
    found |= {"level": item.level, "spots": item.spots}
    if who.of[item.a] != who.of[item.b]:
        for side, n in zip(sides, (item.a, item.b), strict=True):
            individual = who.individuals[who.of[n]]
            side["name"] = printable(individual.name or "")
            side["sightings"] = len(individual.sightings)
    if why in ("disagreement", "doubtful"):
        pair = (min(item.a, item.b), max(item.a, item.b))
        said = who.pairs[pair].answers if pair in who.pairs else ()
        found["answers"] = [
            {"observer": printable(d.observer), "answer": d.answer, "certainty": d.certainty, "note": printable(d.note)}
            for d in said
        ]
    values: dict[str, Any] = plain(found)
    return values


def first_photos(identities: Identities, item: Item) -> list[Annotation]:
    """Return the two photos that a question shows first, where nothing is hidden."""
    found = []
    for number, best in zip((item.a, item.b), item.photos, strict=True):
        photos = _photos(identities, number)
        found.append(photos[_first(photos, best)])
    return found


def _photos(identities: Identities, number: int) -> list[Annotation]:
    photos = [identities.corrected(row) for row in identities.who.sightings[number].rows]
    return sorted(photos, key=lambda a: (a.timestamp is None, a.timestamp.isoformat() if a.timestamp else "", a.row))


def _first(photos: Sequence[Annotation], best: str) -> int:
    return next((k for k, a in enumerate(photos) if a.annotation == best), 0)


def _side(identities: Identities, number: int, best: str, hidden: bool) -> dict[str, Any]:
    sighting = identities.who.sightings[number]
    photos = _photos(identities, number)
    first = 0 if hidden else _first(photos, best)
    return {
        "frames": [_frame(identities, a) for a in photos],
        "first": first,
        "location": printable(sighting.location),
        "station": printable(sighting.station),
        "time": sighting.time.replace("T", " ")[:16],
    }


def _frame(identities: Identities, a: Annotation) -> dict[str, Any]:
    photo = identities.data.folder / a.path
    size = photo_size(photo)
    return {
        "key": key_of(a),
        "part": a.body_part,
        "time": a.timestamp.strftime("%H:%M:%S") if a.timestamp is not None and not a.dated else "",
        "camera": printable(a.camera),
        "size": size,
        "box": box_text(a.bbox),
        "file": file_stamp(photo),
        "part_shown": None if size is None else shown_part(a, size),
    }


def _apart(one: str, other: str) -> int | None:
    """Return the seconds between two times; None if one is not known, or if one is a day and the other of that day."""
    of_days = any("T" not in time for time in (one, other))
    if not one or not other or (of_days and one[:10] == other[:10]):
        return None
    return abs(round((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()))
