"""Sightings: what one encounter shows of one animal. They are the nodes of the identity graph."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from snowmatch.catalog.species import is_counted, is_wanted, species_of
from snowmatch.core.types import Annotation
from snowmatch.decisions.effect import counts
from snowmatch.decisions.row import DIFFERENT, SAME, Decision

Group = tuple[str, str | None, int]  # encounter, individual in the table, number of an unidentified animal
# Decisions that say that their photos show an animal to identify
IDENTIFYING = frozenset(("pair", "name", "merge", "split", "box", "body_part"))


@dataclass(frozen=True)
class Sighting:
    """One animal in one encounter: all its annotations there, both flanks.

    key: the smallest identifier of its annotations. rows: their numbers in the catalog, ascending. named: the
    individual in the catalog's table, or None. location, station, time (ISO 8601, of its first photo): "" if not known.
    """

    key: str
    encounter: str
    passage: str
    rows: tuple[int, ...]
    annotations: tuple[str, ...]
    body_parts: tuple[str, ...]
    named: str | None
    location: str
    station: str
    time: str

    @property
    def comparable(self) -> frozenset[str]:
        """The body parts that another sighting must show to be compared; `unknown` is comparable with all."""
        return frozenset(self.body_parts)


def comparable(one: Sighting, other: Sighting) -> bool:
    """Return whether two sightings show something of the animal that can be compared. Left never matches right."""
    a, b = one.comparable, other.comparable
    return "unknown" in a or "unknown" in b or not a.isdisjoint(b)


def make_sightings(
    annotations: Sequence[Annotation], decisions: Iterable[Decision], also: Collection[str] = ()
) -> tuple[Sighting, ...]:
    """Return the sightings of all annotations that have an identifier, sorted by their first rows.

    decisions: those in effect, in their order. If one says that two sides of a sighting are different animals, the
    second side becomes a sighting of its own, also if observers disagree; so do photos that got another name, when
    their encounters were two. Of two sides that are only partly of one sighting, as after the correction of a clock,
    that part is divided. An animal that the screening left out is none, unless it is among the `wanted_after_all`; nor
    is an unidentified one of a species that no individual has, unless a decision says who it is. also: identifiers of
    annotations that are sightings all the same. Nothing on record gives an empty tuple.
    """
    decisions = tuple(decisions)
    wanted = wanted_after_all(annotations, decisions) if any(a.left_out for a in annotations) else frozenset[str]()
    wanted = wanted.union(also)
    groups: dict[Group, list[int]] = defaultdict(list)
    for a in annotations:
        if a.annotation:
            groups[a.encounter, a.individual, 0 if a.individual is not None else a.animal].append(a.row)
    groups = {key: rows for key, rows in groups.items() if _counts(annotations, rows, wanted)}
    if any(a.species for a in annotations):
        groups = _of_species(groups, annotations, decisions, also)
    place = {annotations[row].annotation: n for n, rows in enumerate(groups.values()) for row in rows}
    keys = list(groups)
    inner: dict[Group, dict[frozenset[frozenset[str]], list[Decision]]] = defaultdict(dict)
    called: dict[str, str] = {}
    for decision in _not_of_two(decisions, place):
        if decision.kind in ("name", "split"):
            called.update(dict.fromkeys(decision.side_a, decision.answer))
        says = decision.kind == "pair" and counts(decision) and decision.answer in (SAME, DIFFERENT)
        if not says and decision.kind != "split":
            continue
        sides = [{place[name] for name in side if name in place} for side in (decision.side_a, decision.side_b)]
        for n in sides[0] & sides[1]:  # its sides are of one sighting, or were two sightings then
            asked = frozenset((frozenset(decision.side_a), frozenset(decision.side_b)))
            said = [each for each in inner[keys[n]].get(asked, ()) if says and each.kind == "pair"]
            inner[keys[n]][asked] = [*said, decision]
    found = []
    for key, rows in groups.items():
        members = [(annotations[row].annotation, row) for row in rows]
        for part in _parts(members, map(_counting, inner.get(key, {}).values()), called):
            found.append(_sighting([annotations[row] for row in part]))
    return tuple(sorted(found, key=lambda sighting: sighting.rows))


def wanted_after_all(annotations: Iterable[Annotation], decisions: Iterable[Decision]) -> frozenset[str]:
    """Return the identifiers of annotations of which decisions say that they show an animal to identify.

    decisions: those in effect, in their order. A species does if it `is_wanted`; a quality, sex or remark says nothing.
    """
    found: set[str] = set()
    species: dict[str, str] = {}
    for decision in decisions:
        if decision.kind in IDENTIFYING:
            found.update(decision.side_a, decision.side_b)
        elif decision.kind == "species":
            species.update(dict.fromkeys(decision.side_a, decision.answer))
    if species:
        screened = {a.annotation: a.left_out for a in annotations}
        found.update(name for name, answer in species.items() if is_wanted(answer, screened.get(name, "")))
    return frozenset(found)


def _of_species(
    groups: Mapping[Group, list[int]],
    annotations: Sequence[Annotation],
    decisions: Iterable[Decision],
    also: Collection[str],
) -> dict[Group, list[int]]:
    """Return the groups without unidentified animals of species that no individual has, and without empty photos.

    Names by answers do not count here: else each answer might change what is asked about. A merge or a split without
    a name is like an answer.
    """
    given, answered = set[str](), set(also)
    for decision in decisions:
        if decision.kind in ("pair", "split") or (decision.kind == "merge" and not decision.answer):
            answered.update(decision.side_a, decision.side_b)
        elif decision.kind == "merge":
            given.update(decision.side_a, decision.side_b)
        if decision.kind in ("name", "split"):
            (given.update if decision.answer else given.difference_update)(decision.side_a)
    species = {
        key: next((text for row in rows if (text := annotations[row].species)), "") for key, rows in groups.items()
    }
    called = {key for key, rows in groups.items() if key[1] is not None or _any_of(annotations, rows, given)}
    named = species_of(species[key] for key in called)
    return {
        key: rows
        for key, rows in groups.items()
        if key in called or is_counted(species[key], named) or _any_of(annotations, rows, answered)
    }


def _any_of(annotations: Sequence[Annotation], rows: Iterable[int], names: Collection[str]) -> bool:
    return any(annotations[row].annotation in names for row in rows)


def last_answers(said: Iterable[Decision]) -> tuple[Decision, ...]:
    """Return the last answer of each observer about a pair. said: in their order.

    What somebody said as an adjudicator stays, whatever the same person says as an observer later.
    """
    last: dict[str, Decision] = {}
    for each in said:
        earlier = last.get(each.observer)
        if earlier is None or earlier.role != "adjudicator" or each.role == "adjudicator":
            last[each.observer] = each
    return tuple(last.values())


def _counting(said: Sequence[Decision]) -> Decision:
    """Return the one that counts of the decisions about two sides of a sighting, in their order.

    Of adjudicators the last one. If observers disagree, one that says different.
    """
    last = last_answers(said)
    judged = [each for each in last if each.role == "adjudicator"]
    if judged:
        return max(judged, key=lambda each: each.id)
    return next((each for each in last if each.answer == DIFFERENT), last[-1])


def _not_of_two(decisions: Iterable[Decision], place: Mapping[str, int]) -> list[Decision]:
    """Return the decisions without the usual ones, which may be 200,000: answers about two different sightings."""
    at = place.get
    return [
        decision
        for decision in decisions
        if decision.kind != "pair"
        or (one := at(decision.side_a[0])) == (other := at(decision.side_b[0]))
        or one is None
        or other is None
        or (len(decision.side_a) + len(decision.side_b) > 2 and _meet(at, decision))
    ]


def _meet(at: Callable[[str], int | None], decision: Decision) -> bool:
    """Return whether the sides of a decision, which may be of more photos than one, share a group."""
    return not set(map(at, decision.side_a)).isdisjoint(map(at, decision.side_b))


def _counts(annotations: Sequence[Annotation], rows: Sequence[int], wanted: Collection[str]) -> bool:
    return any(not annotations[row].left_out or annotations[row].annotation in wanted for row in rows)


def _parts(
    members: Sequence[tuple[str, int]], decisions: Iterable[Decision], called: Mapping[str, str]
) -> list[list[int]]:
    """Return the rows of a sighting in one part, or in several if decisions say that they show different animals.

    called: the last name that each annotation was given.
    """
    if len(members) == 1:
        return [[row for _, row in members]]
    part = dict.fromkeys((name for name, _ in members), 0)
    count = 1
    for decision in sorted(decisions, key=lambda d: d.id):
        one, other = ([name for name in side if name in part] for side in (decision.side_a, decision.side_b))
        apart = decision.kind == "split" or decision.answer == DIFFERENT
        if apart and {part[name] for name in one} & {part[name] for name in other}:
            leaving = [name for name in other if name not in set(one)]
            part.update(dict.fromkeys(leaving, count))
            count += bool(leaving)
    names: dict[int, set[str]] = defaultdict(set)
    for name, _ in members if called else ():
        names[part[name]].add(called.get(name, ""))
    rows: dict[tuple[int, str], list[int]] = defaultdict(list)
    for name, row in members:
        at = part[name]
        rows[at, called.get(name, "") if len(names[at] - {""}) > 1 else ""].append(row)
    return list(rows.values())


def _sighting(photos: Sequence[Annotation]) -> Sighting:
    """Return the sighting of these photos, which are in the order of their rows."""
    first = photos[0]
    if len(photos) > 1:
        first = min(photos, key=lambda a: (a.timestamp is None, a.timestamp.isoformat() if a.timestamp else "", a.row))
    names = tuple([a.annotation for a in photos])
    return Sighting(
        min(names),
        first.encounter,
        first.passage,
        tuple([a.row for a in photos]),
        names,
        tuple(sorted({a.body_part for a in photos})),
        first.individual,
        next((a.location for a in photos if a.location), ""),
        next((a.station for a in photos if a.station), ""),
        first.time_text,
    )


def find_sighting(place: Mapping[str, int], annotations: Sequence[str]) -> int | None:
    """Return the number of the sighting that has most of these annotations (of equal ones the first); None if none has.

    place: the number of the sighting of each annotation.
    """
    if len(annotations) == 1:
        return place.get(annotations[0])
    counts = Counter(place[name] for name in annotations if name in place)
    return min(counts, key=lambda number: (-counts[number], number)) if counts else None


def find_sightings(place: Mapping[str, int], sides: Iterable[Sequence[str]]) -> list[int | None]:
    """Return the sighting of each of many sides of decisions, as `find_sighting` does."""
    return [place.get(side[0]) if len(side) == 1 else find_sighting(place, side) for side in sides]


def in_one_photo(annotations: Sequence[Annotation], sightings: Sequence[Sighting]) -> frozenset[tuple[int, int]]:
    """Return the pairs of sightings that are boxed in one photo: they are different animals."""
    photos: dict[str, set[int]] = defaultdict(set)
    for number, sighting in enumerate(sightings):
        for row in sighting.rows:
            photos[annotations[row].path].add(number)
    return frozenset(pair for numbers in photos.values() for pair in combinations(sorted(numbers), 2))
