"""Who is who: individuals as connected components of sightings, computed from the catalog's names and the decisions.

Names of the catalog's table count as the first decisions, by its importer. All rows are read in the order of their
identifiers. So the state depends only on the rows, not on the order in which files were merged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import NamedTuple, TypeGuard

from snowmatch.catalog.names import UNNAMED
from snowmatch.core.collection import without_collection
from snowmatch.core.types import Annotation, BBox
from snowmatch.core.unions import Unions
from snowmatch.decisions.corrections import corrected_boxes, corrected_values, with_corrections
from snowmatch.decisions.effect import counts, in_effect
from snowmatch.decisions.row import CANNOT_TELL, DIFFERENT, SAME, Decision
from snowmatch.decisions.sightings import Sighting, find_sightings, in_one_photo, last_answers, make_sightings

DISPUTED = "disputed"  # observers disagree about a pair, and no adjudicator has decided
GONE = "its photos are not in the catalog, not indexed, or do not count because of their species"
Pair = tuple[int, int]  # numbers of two sightings, the smaller one first
Sides = tuple[frozenset[int], frozenset[int]]  # numbers of the sightings on either side of a split


class PairState(NamedTuple):  # not a dataclass: 200,000 of them must be made in a moment
    """What was answered about two sightings: the last answer of each observer, and what counts.

    answer: `same`, `different`, `cannot_tell` or DISPUTED.
    """

    answers: tuple[Decision, ...]
    answer: str


@dataclass(frozen=True)
class Individual:
    """A connected component of sightings.

    name: what it is called; None if nobody named it. names: all names in it, more than one if they were joined without
    a merge. sightings: their numbers, ascending. handle: a text that stands for it; the name if it has one. quarrels:
    the pairs of its sightings that must be different.
    """

    handle: str
    name: str | None
    names: tuple[str, ...]
    sightings: tuple[int, ...]
    quarrels: tuple[Pair, ...]


@dataclass(frozen=True, eq=False)
class Who:
    """Who is who in a catalog at one moment.

    number_of: for each annotation's identifier, the number of its sighting. of: (S,) the number of each sighting's
    individual. names: (S,) what stands for the name that each sighting was given itself, or None: equal texts are equal
    names. labels: the name for each of these texts. preferred: of these texts, the later it was chosen for a merged
    individual, the higher. merged: of these texts, those that a merge gave up, and for which one: sightings of both are
    one individual. pairs: the pairs that were answered, in the order of their first answers. links: pairs that are
    joined by a merge or by a split's sides. parted: the sides of each split, without those that left them since: every
    sighting of the one is another animal than every one of the other. one_photo: pairs boxed in one photo. idle:
    decisions without effect, and merges whose name had none, each with the reason. undone: the ids that rows of the
    kind undo name; after a merge of two files, the decision itself may come later. boxes: those that persons corrected,
    by annotation. values: the body part and species that persons corrected, by annotation and field. former: names that
    were changed, by a rename or a merge, and for each the text of which `labels` has the present one. disputed_names:
    sightings that observers named differently, by number, each with the last name of each observer; the last one
    counts. refused: by id, those of `idle` of which another individual has the name, with a sighting of the animal that
    does not get it, and one of that other. An individual that answers join of both has the name, and is none of them.
    """

    sightings: tuple[Sighting, ...]
    number_of: Mapping[str, int]
    of: tuple[int, ...]
    names: tuple[str | None, ...]
    labels: Mapping[str, str]
    preferred: Mapping[str, int]
    merged: Mapping[str, str]
    individuals: tuple[Individual, ...]
    pairs: Mapping[Pair, PairState]
    links: frozenset[Pair]
    parted: tuple[Sides, ...]
    one_photo: frozenset[Pair]
    idle: tuple[tuple[Decision, str], ...]
    undone: frozenset[str] = frozenset()
    boxes: Mapping[str, BBox] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)
    disputed_names: Mapping[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    refused: Mapping[str, Pair] = field(default_factory=dict)

    def named(self, name: str) -> Individual | None:
        """Return the individual with this name or handle; None if there is none."""
        return self._by_name.get(name)

    def idle_and_refused(self) -> tuple[list[tuple[Decision, str]], list[tuple[Decision, str]]]:
        """Return of `idle` the decisions without effect, and those of `refused`: a merge of these may have joined."""
        idle = [each for each in self.idle if each[0].id not in self.refused]
        return idle, [each for each in self.idle if each[0].id in self.refused]

    @cached_property
    def _by_name(self) -> dict[str, Individual]:
        return {each.handle: each for each in self.individuals}

    def bearer(self, name: str) -> Individual | None:
        """Return the individual that has this name, also as a further one or as one that a merge gave up."""
        return self._by_label.get(name)

    @cached_property
    def _by_label(self) -> dict[str, Individual]:
        of = {chosen_key(key, self.merged): self.of[n] for n, key in enumerate(self.names) if key is not None}
        chosen = {key: chosen_key(key, self.merged) for key in self.labels}
        return {label: self.individuals[of[chosen[key]]] for key, label in self.labels.items() if chosen[key] in of}


def who_is_who(annotations: Sequence[Annotation], rows: Sequence[Decision], also: Collection[str] = ()) -> Who:
    """Return who is who by the names of the catalog's `annotations` (with identifiers) and the decisions `rows`.

    also: as in `make_sightings`.
    """
    with without_collection():
        decisions = in_effect(rows)
        undone = frozenset(row.answer for row in rows if row.kind == "undo")
        boxes, values = corrected_boxes(decisions), corrected_values(decisions)
        return replace(_who(annotations, decisions, also), undone=undone, boxes=boxes, values=values)


def _who(annotations: Sequence[Annotation], decisions: Sequence[Decision], also: Collection[str]) -> Who:
    annotations = with_corrections(annotations, decisions)
    sightings = make_sightings(annotations, decisions, also)
    number_of = {name: n for n, sighting in enumerate(sightings) for name in sighting.annotations}
    state = _Replay(sightings, number_of)
    state.take(decisions)
    return _joined(sightings, number_of, state, in_one_photo(annotations, sightings))


class _Refusal(NamedTuple):
    """A decision that does not give an animal a name, since another individual has it.

    number: of a sighting of the animal. called: the animal's name then, or None.
    """

    decision: Decision
    reason: str
    number: int
    called: str | None


class _Side:
    """One side of a split: its sightings, and how many of them have each name.

    An individual may have 100,000 sightings: a decision about a few does not look at all of them.
    """

    def __init__(self, numbers: Iterable[int], name_of: Sequence[str | None]) -> None:
        self.numbers = set(numbers)
        self.counts = Counter(key for n in self.numbers if (key := name_of[n]) is not None)

    def change(self, old: str | None, new: str | None) -> None:
        """Take note that one of the sightings has a new name. None: that of one that was not there, or that goes."""
        if old is not None:
            self.counts[old] -= 1
        if new is not None:
            self.counts[new] += 1


class _Replay:
    """The names and links of sightings after the decisions that were taken so far."""

    def __init__(self, sightings: Sequence[Sighting], number_of: Mapping[str, int]) -> None:
        self.number_of = number_of
        # A name is a key with a label; renaming changes the label
        self.name_of: list[str | None] = [sighting.named for sighting in sightings]
        self.label = {name: name for name in self.name_of if name is not None}
        self.key_of = dict(self.label)  # the inverse
        self.preferred: dict[str, int] = {}  # the key of a name: the later it was chosen, the higher
        self.merged: dict[str, str] = {}  # the key of a name that a merge gave up: that of the name it chose
        self.former: dict[str, str] = {}  # a name that was changed: its key
        self.given: dict[int, dict[str, str]] = defaultdict(dict)  # of a sighting the key of each observer's last name
        self.pairs: dict[Pair, PairState] = {}
        self.links: dict[Pair, str] = {}
        self.named_by_merge: set[int] = set()  # sightings of which a merge says the name, and nobody else
        self.parted: list[tuple[_Side, _Side]] = []
        self.splits_of: dict[int, list[int]] = defaultdict(list)  # of a sighting: the places in `parted` that it got
        self.idle: list[tuple[Decision, str]] = []
        self.refusals: list[_Refusal] = []

    def take(self, decisions: Iterable[Decision]) -> None:
        """Take decisions in their order. Answers in a row are taken together: there may be 200,000 of them."""
        for are_answers, some in groupby(decisions, lambda decision: decision.kind == "pair"):
            if are_answers:
                self._answers(list(filter(counts, some)))
            else:
                for decision in some:
                    self._other(decision)

    def _answers(self, decisions: Sequence[Decision]) -> None:
        one = find_sightings(self.number_of, [decision.side_a for decision in decisions])
        other = find_sightings(self.number_of, [decision.side_b for decision in decisions])
        for decision, a, b in zip(decisions, one, other, strict=True):
            if a is None or b is None:
                self.idle.append((decision, GONE))
            elif a != b:  # the two sides of one sighting: `make_sightings` has used the answer
                pair = (a, b) if a < b else (b, a)
                known = self.pairs.get(pair)
                self.pairs[pair] = (
                    PairState((decision,), decision.answer) if known is None else settled([*known.answers, decision])
                )

    def _other(self, decision: Decision) -> None:
        sides = [
            sorted({self.number_of[name] for name in side if name in self.number_of})
            for side in (decision.side_a, decision.side_b)
        ]
        if decision.kind in ("name", "rename", "merge", "split") and decision.side_a and not sides[0]:
            self.idle.append((decision, GONE))
        elif decision.kind == "rename":
            self._rename(decision)
        elif decision.kind == "name":
            key = self._key(decision.answer)
            for number in sides[0]:
                self._call(number, key)
                self._give(number, key, decision, alone=decision.role == "adjudicator")
            self._leave_sides(set(sides[0]), key)
        elif decision.kind == "merge":
            self._merge(decision, *sides)
        elif decision.kind == "split":
            self._split(decision, *sides)

    def _call(self, number: int, key: str | None) -> None:
        self._set(number, key)
        self.named_by_merge.discard(number)

    def _set(self, number: int, key: str | None) -> None:
        for sides in self._splits_with([number]):
            for side in sides:
                if number in side.numbers:
                    side.change(self.name_of[number], key)
        self.name_of[number] = key

    def _give(self, number: int, key: str | None, decision: Decision, *, alone: bool) -> None:
        """Take note of whose name a sighting has. alone: earlier names of others do not count any more."""
        given = self.given[number]
        if alone or key is None:
            given.clear()
        given.pop(decision.observer, None)
        if key is not None:
            given[decision.observer] = key

    def disputed_names(self) -> dict[int, tuple[tuple[str, str], ...]]:
        """Return the names of the sightings that observers named differently, by number."""
        found = {}
        for number, given in sorted(self.given.items()):
            keys = {observer: chosen_key(key, self.merged) for observer, key in given.items()}
            names = {observer: self.label[key] for observer, key in keys.items()}
            if len(set(names.values())) > 1:
                found[number] = tuple(names.items())
        return found

    def _key(self, name: str) -> str | None:
        """Return the key of a name; a name that is new gets one. An empty name has none."""
        if not name:
            return None
        key = self.key_of.get(name)
        if key is None:
            key = name
            while key in self.label:  # the name of another individual that was renamed
                key += "'"
            self._label(key, name)
        return key

    def _label(self, key: str, name: str) -> None:
        old = self.label.get(key, name)
        self.key_of.pop(old, None)
        self.former[old] = key
        self.former.pop(name, None)
        self.label[key], self.key_of[name] = name, key

    def _rename(self, decision: Decision) -> None:
        old, new = decision.side_b[0], decision.answer
        key, other = self.key_of.get(old), self.key_of.get(new)
        if key is None:
            self.idle.append((decision, f"nobody has the name {old!r}"))
        elif new != old and other is not None and self.first(other) is not None:
            reason = f"the name {new!r} existed already: merge, or choose another name"
            number = self.first(key)
            if number is None:
                self.idle.append((decision, reason))
            else:
                self.refusals.append(_Refusal(decision, reason, number, self._called(number)))
        else:
            self._label(key, new)

    def first(self, key: str) -> int | None:
        """Return the first sighting that has the name with this key, or one that merges made one with it."""
        chosen = chosen_key(key, self.merged)
        having = (n for n, name in enumerate(self.name_of) if name is not None)
        return next((n for n in having if chosen_key(self.name_of[n] or "", self.merged) == chosen), None)

    def _called(self, number: int) -> str | None:
        key = self.name_of[number]
        return self.label[chosen_key(key, self.merged)] if key is not None else None

    def refused(self) -> list[tuple[_Refusal, int]]:
        """Return the refusals of names that still hold, each with a sighting of the animal that has the name.

        That is another animal, and the one that did not get the name has not got another one since.
        """
        found = []
        for each in self.refusals:
            key, other = self.name_of[each.number], self.key_of.get(each.decision.answer)
            first = self.first(other) if other is not None else None
            if other is None or first is None or self._called(each.number) != each.called:
                continue
            if key is None or chosen_key(key, self.merged) != chosen_key(other, self.merged):
                found.append((each, first))
        return found

    def _merge(self, decision: Decision, *sides: Sequence[int]) -> None:
        a, b = find_sightings(self.number_of, (decision.side_a, decision.side_b))
        if a is None or b is None:
            self.idle.append((decision, GONE))
            return
        numbers = dict.fromkeys((a, b, *sides[0], *sides[1]))
        had = {n: name for n in numbers if (name := self.name_of[n]) is not None}
        given = dict.fromkeys(chosen_key(name, self.merged) for name in had.values())
        own, key = next(iter(given), None), self.key_of.get(decision.answer)
        if key is not None and chosen_key(key, self.merged) not in given and self.first(key) is not None:
            reason = f"the merged individual is not called {decision.answer!r}, a name that existed already"
            number = next(iter(had), a)
            reason += ": merge, or choose another name"
            self.refusals.append(_Refusal(decision, reason, number, self._called(number)))
            key = own  # the name of another individual
        elif key is None and decision.answer:
            key = own if own is not None else self._key(decision.answer)
            self._label(key or "", decision.answer)
        if key is None:
            if a != b:
                self.links[min(a, b), max(a, b)] = decision.id
            return
        for number, side in ((a, sides[0]), (b, sides[1])):
            if had.keys().isdisjoint(side):
                self._set(number, key)
                self.named_by_merge.add(number)
        self.preferred[key] = len(self.preferred) + 1
        self.merged.pop(key, None)
        self.merged.update(dict.fromkeys((given.keys() | had.values()) - {key}, key))

    def _split(self, decision: Decision, chosen: Sequence[int], rest: Sequence[int]) -> None:
        both = (set(chosen), set(rest) - set(chosen))
        rest = [number for number in rest if number in both[1]]
        for pair in _crossing(self.pairs, *both):
            kept = [d for d in self.pairs[pair].answers if d.answer != SAME]
            if kept:
                self.pairs[pair] = settled(kept)
            else:
                del self.pairs[pair]
        for pair in _crossing(self.links, *both):
            del self.links[pair]
        leaving = self.merged.keys() & {self.name_of[n] for n in chosen}
        if leaving:  # what a merge gave up stays given up only if others have it
            leaving -= {name for n, name in enumerate(self.name_of) if n not in both[0]}
        key = self._key(decision.answer)
        if key is not None:
            leaving.add(key)
        for name in sorted(leaving):
            self._free(name)
        for number in chosen:
            self._call(number, key)
            self._give(number, key, decision, alone=True)
        for side in (chosen, rest):  # what has one name needs no link, which would outlast the name
            names = [self.name_of[n] for n in side]
            others = [n for n, name in zip(side, names, strict=True) if name is None or name != names[0]]
            self.links.update({(side[0], other): decision.id for other in others if other != side[0]})
        for _, stayed in self._splits_with(chosen):  # what leaves the animal that a split kept may be any other one
            if stayed.numbers & both[0] and stayed.numbers & both[1]:
                self._move(stayed.numbers & both[0], stayed)
        if chosen and rest:
            for number in (*chosen, *rest):
                self.splits_of[number].append(len(self.parted))
            self.parted.append((_Side(chosen, self.name_of), _Side(rest, self.name_of)))

    def _splits_with(self, numbers: Iterable[int]) -> list[tuple[_Side, _Side]]:
        """Return the sides of the splits that were about a sighting of these, the earliest first."""
        return [self.parted[n] for n in sorted({n for number in numbers for n in self.splits_of.get(number, ())})]

    def _leave_sides(self, numbers: set[int], key: str | None) -> None:
        """Take sightings that got a name out of the sides of splits that stand for other names.

        A name of the other side moves them there. A side that is named as a whole stays, whatever its name.
        """
        splits = self._splits_with(numbers)
        name = None if key is None or not splits else chosen_key(key, self.merged)
        alike = () if name is None else (name, *(k for k in self.merged if chosen_key(k, self.merged) == name))
        for chosen, rest in splits:
            for own, other in ((chosen, rest), (rest, chosen)):
                leaving = own.numbers & numbers
                if not leaving or len(leaving) == len(own.numbers) or self._has_name(own, alike, leaving):
                    continue
                if self._has_name(other, alike):
                    self._move(leaving, own, other)
                elif own is rest and self._has_name(own, own.counts, leaving):  # not of the animal that the split kept
                    self._move(leaving, own)

    def _has_name(self, side: _Side, keys: Iterable[str], without: Iterable[int] = ()) -> bool:
        """Return whether a sighting of a side has a name with one of these keys. without: sightings of it left out."""
        gone = Counter(self.name_of[n] for n in without)
        return any(side.counts[key] > gone[key] for key in keys)

    def _move(self, numbers: Iterable[int], side: _Side, other: _Side | None = None) -> None:
        """Take sightings out of a side of a split that has them, to the other side or to none."""
        for number in numbers:
            key = self.name_of[number]
            side.numbers.remove(number)
            side.change(key, None)
            if other is not None and number not in other.numbers:
                other.numbers.add(number)
                other.change(None, key)

    def _free(self, key: str) -> None:
        """Withdraw that merges gave up a name, or chose it."""
        other = self.merged.pop(key, None)
        for name in [name for name, chosen in self.merged.items() if chosen == key]:
            del self.merged[name]
            if other is not None:  # both were given up for it
                self.merged[name] = other


def _crossing(pairs: Mapping[Pair, object], one: set[int], other: set[int]) -> list[Pair]:
    """Return the pairs between two sets of sightings. Both sets are mostly far smaller than the number of pairs."""
    if len(one) * len(other) > len(pairs):
        return [pair for pair in pairs if _crosses(pair, one, other)]
    between = ((a, b) if a < b else (b, a) for a in one for b in other)
    return [pair for pair in between if pair in pairs]


def _crosses(pair: Pair, one: set[int], other: set[int]) -> bool:
    return (pair[0] in one and pair[1] in other) or (pair[0] in other and pair[1] in one)


def settled(answers: Iterable[Decision]) -> PairState:
    """Return what counts of answers about a pair, in their order: of each observer, only the last one, or the last one
    as an adjudicator.

    An adjudicator outranks the others, persons outrank the machine, and of equals who say `same` and `different` none
    counts: the pair is DISPUTED.
    """
    last = last_answers(answers)
    if len(last) == 1:
        return PairState(last, last[0].answer)
    for roles in (("adjudicator",), ("observer", "import"), ("machine",)):
        asked = [d for d in last if d.role in roles]
        said = {d.answer for d in asked} - {CANNOT_TELL}
        if roles == ("adjudicator",) and asked:
            return PairState(last, max(asked, key=lambda d: d.id).answer)
        if said:
            return PairState(last, said.pop() if len(said) == 1 else DISPUTED)
    return PairState(last, CANNOT_TELL)


def _joined(
    sightings: tuple[Sighting, ...],
    number_of: Mapping[str, int],
    state: _Replay,
    one_photo: frozenset[Pair],
) -> Who:
    pairs = state.pairs
    joined = Unions(len(sightings))
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(state.name_of):
        if key is not None:
            by_name[key].append(number)
    links = set(state.links)
    parts: dict[str, list[int]] = defaultdict(list)  # of a chosen name, a sighting of each name given up for it
    for key, members in by_name.items():
        joined.join_all(members)
        parts[chosen_key(key, state.merged)].append(members[0])
    links.update((min(a, b), max(a, b)) for a, *others in parts.values() for b in others)
    for number in state.named_by_merge:
        other = next((n for n in by_name[state.name_of[number] or ""] if n != number), number)
        if other != number:
            links.add((min(number, other), max(number, other)))
    for a, b in links:
        joined.join(a, b)
    for (a, b), pair in pairs.items():
        if pair.answer in (SAME, DISPUTED):
            joined.join(a, b)
    of = tuple(joined.group_of(n) for n in range(len(sightings)))
    # Only pairs within one individual: most of the others are answered `different`, and sorting them takes long
    parted = tuple((frozenset(one.numbers), frozenset(other.numbers)) for one, other in state.parted)
    apart = {pair for pair in one_photo if of[pair[0]] == of[pair[1]]} | parted_in(parted, of)
    apart.update((a, b) for (a, b), pair in pairs.items() if of[a] == of[b] and pair.answer in (DIFFERENT, DISPUTED))
    quarrels: dict[int, list[Pair]] = defaultdict(list)
    for a, b in sorted(apart):
        quarrels[of[a]].append((a, b))
    groups: dict[int, list[int]] = defaultdict(list)
    for number, first in enumerate(of):
        groups[first].append(number)
    shown = tuple(state.name_of), state.label, state.preferred, state.merged
    individuals = tuple(
        make_individual(members, sightings, *shown, quarrels.get(first, ())) for first, members in groups.items()
    )
    place = {first: n for n, first in enumerate(groups)}
    numbers = tuple(place[first] for first in of)
    found = (sightings, number_of, numbers, *shown, individuals, pairs, frozenset(links), parted, one_photo)
    refusals = [each for each in state.refused() if of[each[0].number] != of[each[1]]]  # else it has both names
    idle = [*state.idle, *((each.decision, each.reason) for each, _ in refusals)]
    return Who(
        *found,
        tuple(sorted(idle, key=lambda each: each[0].id)),
        former=state.former,
        disputed_names=state.disputed_names(),
        refused={each.decision.id: (each.number, other) for each, other in refusals},
    )


def parted_in(parted: Iterable[Sides], of: Sequence[int]) -> set[Pair]:
    """Return the first sightings of either side of each split that one individual has, as a pair for each individual.

    of: the individual of each sighting.
    """
    found: set[Pair] = set()
    for sides in parted:
        one, other = ({of[n]: n for n in sorted(side, reverse=True)} for side in sides)
        found.update((min(one[k], other[k]), max(one[k], other[k])) for k in one.keys() & other.keys())
    return found


def make_individual(
    members: Sequence[int],
    sightings: Sequence[Sighting],
    name_of: Sequence[str | None],
    labels: Mapping[str, str],
    preferred: Mapping[str, int],
    merged: Mapping[str, str],
    quarrels: Sequence[Pair],
) -> Individual:
    """Return the individual of these sightings. Its name is the one that was chosen last, or else the most frequent.

    A name that a merge gave up counts as the one that it chose.
    """
    counts = Counter(chosen_key(key, merged) for n in members if (key := name_of[n]) is not None)
    keys = sorted(counts, key=lambda key: (-preferred.get(key, 0), -counts[key], labels[key]))
    names = tuple(labels[key] for key in keys)
    handle = names[0] if names else handle_of(sightings[n].key for n in members)
    return Individual(handle, names[0] if names else None, names, tuple(members), tuple(quarrels))


def chosen_key(key: str, merged: Mapping[str, str]) -> str:
    """Return the key of the name that merges chose for the name with this key: the key itself if none gave it up."""
    while key in merged:
        key = merged[key]
    return key


def handle_of(keys: Iterable[str]) -> str:
    """Return the text that stands for an individual without a name, from the keys of its sightings."""
    return UNNAMED + min(keys)


def is_name(individual: str | None) -> TypeGuard[str]:
    """Return whether an individual has a name, and not only a text that stands for one."""
    return individual is not None and not individual.startswith(UNNAMED)


def with_names(annotations: Sequence[Annotation], who: Who) -> tuple[Annotation, ...]:
    """Return the annotations with the names by all decisions.

    An individual without a name that has several sightings gets its handle as a name, so that its photos vote together.
    A single sighting without a name stays unidentified. A photo that was never indexed has no identifier: it goes with
    the name that the table gives it.
    """
    free: dict[str, int] = defaultdict(int)
    for a in annotations:
        free[a.encounter] = max(free[a.encounter], a.animal + 1)
    result = list(annotations)
    seen: set[tuple[str, int]] = set()
    for number, sighting in enumerate(who.sightings):
        individual = who.individuals[who.of[number]]
        name = individual.handle if individual.name is not None or len(individual.sightings) > 1 else None
        rows = [annotations[row] for row in sighting.rows]
        animal = 0
        if name is None:  # one number for each unidentified animal of an encounter
            animal = rows[0].animal if rows[0].individual is None else free[sighting.encounter]
            if (sighting.encounter, animal) in seen:
                animal = free[sighting.encounter]
            free[sighting.encounter] = max(free[sighting.encounter], animal + 1)
            seen.add((sighting.encounter, animal))
        for a in rows:
            if (a.individual, a.animal, a.left_out) != (name, animal, ""):
                result[a.row] = replace(a, individual=name, animal=animal, left_out="")
    handles = {key: who.individuals[who.of[n]].handle for n, key in enumerate(who.names) if key is not None}
    for a in annotations:
        if not a.annotation and a.individual is not None and a.individual != handles.get(a.individual, a.individual):
            result[a.row] = replace(a, individual=handles[a.individual])
    return tuple(result)
