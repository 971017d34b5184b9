"""Individuals as the pages show them: addresses, cards, filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import printable
from snowmatch.core.types import Annotation
from snowmatch.review.identities import UNNAMED, Identities, Individual, called
from snowmatch.review.portraits import Shown, best_photo, shown_in
from snowmatch.review.traits import Traits, sex_of, traits_of
from snowmatch.survey.traits import read_traits
from snowmatch.views.previews import key_of
from snowmatch.web.background import Same
from snowmatch.web.state import State

LONGEST = 150  # characters of a name in an address
FLANKS = ("left_flank", "right_flank")


def address_of(identities: Identities, number: int) -> str:
    """Return the address of the page of an individual: by its name where an address can hold it, else by a sighting."""
    individual = identities.who.individuals[number]
    handle = individual.handle
    plain = len(handle) <= LONGEST and printable(handle) == handle and handle.strip() == handle
    if plain and not handle.startswith("~") and not set(handle) & set("/\\") and handle.strip("."):
        return "/individuals/" + quoted(handle)
    return "/individuals/~" + quoted(identities.who.sightings[individual.sightings[0]].key)


def quoted(text: str) -> str:
    """Return a text as a part of the path of an address. Source: RFC 3986, section 2."""
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode())


def address_of_sighting(identities: Identities, sighting: int) -> str:
    """Return the address of a sighting, in the page of its individual."""
    return f"{address_of(identities, identities.who.of[sighting])}#{quoted(identities.who.sightings[sighting].key)}"


def find_number(identities: Identities, text: str) -> int | None:
    """Return the number of the individual that an address names, also one of before it was named, renamed or merged;
    None if there is none.
    """
    who = identities.who
    now = who.labels.get(who.former.get(text, ""), text)  # what a renamed one is called now
    if not text.startswith("~") and (found := who.named(text) or who.bearer(now)) is not None:
        return who.of[found.sightings[0]]
    start = "~" if text.startswith("~") else UNNAMED
    sighting = who.number_of.get(text.removeprefix(start)) if text.startswith(start) else None
    return None if sighting is None else who.of[sighting]


@dataclass(frozen=True)
class Known:
    """What is known of photos and animals beside who they are. table: the sex that the catalog's table has, by row."""

    traits: Traits
    table: Mapping[int, str]
    shown: Shown


def known_of(state: State, identities: Identities) -> Known:
    """Return what is known of photos and animals, kept until it changes."""
    kept: tuple[Same, str, Known] | None = state.kept.get("traits")
    data, head = Same(identities.data), identities.stored.head
    if kept is not None and kept[:2] == (data, head):
        return kept[2]
    if kept is not None and kept[0] == data:
        table, shown = kept[2].table, kept[2].shown
    else:
        table = read_traits(identities.data.folder, identities.annotations)["sex"]
        shown = _shown_in(identities)
    known = Known(traits_of(identities.rows), table, shown)
    state.kept["traits"] = (data, head, known)
    return known


def _shown_in(identities: Identities) -> Shown:
    try:
        return shown_in(identities)
    except SnowmatchError:  # Photos and Work say what is damaged; here only the choice of a picture depends on it
        return Shown()


def photos_of(identities: Identities, number: int) -> list[Annotation]:
    """Return the annotations of an individual, as persons corrected them."""
    who = identities.who
    return [identities.corrected(row) for n in who.individuals[number].sightings for row in who.sightings[n].rows]


def sex_of_individual(identities: Identities, known: Known, number: int) -> str:
    """Return the sex of an individual; "" if it is not known."""
    if not known.table and not known.traits.sex:
        return ""
    return sex_of(known.traits, photos_of(identities, number), known.table)


def card_of(identities: Identities, known: Known, number: int) -> dict[str, Any]:
    """Return what the gallery shows of an individual: its best photo of either flank, or another one."""
    who = identities.who
    individual = who.individuals[number]
    photos = photos_of(identities, number)
    faces = [best_photo(known.traits, known.shown, photos, part) for part in FLANKS]
    if not any(faces):
        faces = [best_photo(known.traits, known.shown, photos)]
    times = sorted(who.sightings[n].time for n in individual.sightings if who.sightings[n].time)
    return {
        "address": address_of(identities, number),
        "key": who.sightings[individual.sightings[0]].key,
        "name": printable(individual.name) if individual.name is not None else "",
        "faces": [None if face is None else (key_of(face), face.body_part) for face in faces],
        "sightings": len(individual.sightings),
        "photos": len(photos),
        "first": times[0][:10] if times else "",
        "last": times[-1][:10] if times else "",
        "sex": sex_of_individual(identities, known, number),
        "quarrels": len(individual.quarrels),
        "names": [printable(name) for name in sorted(called(identities, individual) - {individual.name})],
        "one_flank": one_flank(identities, number),
    }


def one_flank(identities: Identities, number: int) -> bool:
    """Return whether only one flank of an individual is known, so that its other flank may be another identity."""
    who = identities.who
    seen = {part for n in who.individuals[number].sightings for part in who.sightings[n].body_parts}
    return len(seen & set(FLANKS)) == 1


def filtered(identities: Identities, known: Known, wishes: Mapping[str, str]) -> list[int]:
    """Return the numbers of the individuals that fit: named ones first, then the largest.

    wishes: `show` (all, named, groups, lone), `text`, `location`, `station`, `part`, `from`, `to` (ISO dates), `sex`,
    `flanks` ("one"). Empty or unknown values mean any.
    """
    who = identities.who
    text = wishes.get("text", "").strip().casefold()
    found = []
    for number, individual in enumerate(who.individuals):
        lone = individual.name is None and len(individual.sightings) == 1
        show = wishes.get("show", "")
        if (show == "named" and individual.name is None) or (show == "lone" and not lone):
            continue
        if show == "groups" and (individual.name is not None or lone):
            continue
        if text and not _is_called(identities, individual, text):
            continue
        if wishes.get("flanks") == "one" and not one_flank(identities, number):
            continue
        if not any(_fits(identities, n, wishes) for n in individual.sightings):
            continue
        if wishes.get("sex") and (sex_of_individual(identities, known, number) or "unknown") != wishes["sex"]:
            continue
        found.append(number)

    def order(number: int) -> tuple[bool, str, int, int]:
        each = who.individuals[number]
        return each.name is None, (each.name or "").casefold(), -len(each.sightings), each.sightings[0]

    return sorted(found, key=order)


def _is_called(identities: Identities, individual: Individual, text: str) -> bool:
    """Return whether a text is a part of a name, also of one that a merge gave up.

    Of an individual without a name: whether it begins what pages show of it.
    """
    if individual.name is None:
        return individual.handle.removeprefix(UNNAMED).startswith(text.removeprefix(UNNAMED))
    return any(text in name.casefold() for name in called(identities, individual))


def _fits(identities: Identities, sighting: int, wishes: Mapping[str, str]) -> bool:
    s = identities.who.sightings[sighting]
    for name, value in (("location", s.location), ("station", s.station)):
        if wishes.get(name) and wishes[name] != value:
            return False
    if wishes.get("part") and wishes["part"] not in s.body_parts:
        return False
    if wishes.get("from") and s.time[:10] < wishes["from"]:
        return False
    return not (wishes.get("to") and (not s.time or s.time[:10] > wishes["to"]))
