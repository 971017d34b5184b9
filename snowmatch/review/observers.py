"""How well observers agree, with each other and with themselves, and how long a decision takes them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snowmatch.catalog.names import alike_names
from snowmatch.core.notes import Note
from snowmatch.core.text import printable, some
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import ANSWERS, DIFFERENT, REPEAT, SAME, Decision
from snowmatch.decisions.who import Who
from snowmatch.review.kappa import pooled_interval, pooled_kappa, tables_of
from snowmatch.review.readings import Key, Reading, by_sighting, independent, is_reading, read_pairs, seconds_between
from snowmatch.review.shares import Share, make_share

LONGEST = 30 * 60.0  # seconds: whoever took longer was away; chosen
UNKNOWN = "not known"  # the name of the group of pairs without a level, quality or certainty
FLANKS = {"left_flank", "right_flank"}


@dataclass(frozen=True)
class Agreed:
    """How often two observers gave the same answer.

    name: which answers: the group, or the two observers. pairs: number of pairs of sightings. agreed: of the
    comparisons of two observers' answers, those that agree; a pair with three observers has three. table: (3, 3) counts
    by ANSWERS, the first observer by name in the rows. kappa: Cohen's kappa; with several pairs of observers their
    pooled one; None if it is not defined. interval: its 95 % interval, None if it is not defined.
    """

    name: tuple[str, ...]
    pairs: int
    agreed: Share
    table: tuple[tuple[int, ...], ...]
    kappa: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Disagreement:
    """A pair to which observers gave different answers.

    a, b: numbers of the sightings; equal if the pair is two sides of one sighting. sides: the first annotation of
    either. answers: the last of each observer, by name; who has come to agree is no longer in it. adjudicated: the
    adjudicator's, or None.
    """

    a: int
    b: int
    sides: tuple[str, str]
    answers: tuple[Decision, ...]
    adjudicated: Decision | None

    @property
    def opposite(self) -> bool:
        """Whether one observer said same and another one different."""
        return {SAME, DIFFERENT} <= {row.answer for row in self.answers}


@dataclass(frozen=True)
class Repeats:
    """Hidden repetitions of one observer's own questions.

    reversed: those with same before and different now, or the other way round. changed: these, and those with
    cannot_tell once. alone: repetitions whose earlier answer was taken back; they are in neither.
    """

    observer: str
    reversed: Share
    changed: Share
    alone: int


@dataclass(frozen=True)
class Times:
    """Seconds from question to answer of one observer: median and quartiles, None without timed decisions.

    timed: decisions they are of. too_long: more than 30 minutes, or below 0; without them. untimed: without a moment
    of opening.
    """

    observer: str
    timed: int
    lower: float | None
    median: float | None
    upper: float | None
    too_long: int
    untimed: int


@dataclass(frozen=True)
class Agreement:
    """How well observers agree.

    pairs: number of pairs that observers have answered. observers: their names. overall: the first answers to pairs
    that two or more have answered. independent: of these, those where the second observer did not see the first one's.
    others: by pair of observers, and groups of the pairs. disagreements: of the last answers; those that wait for an
    adjudicator first, opposite ones before doubts. A doubt about photos that are one sighting by now waits for nobody
    and is none; an answer `same` that a split took away is no last one. gone: answers about photos that are not in the
    catalog; they do not count.
    """

    pairs: int
    observers: tuple[str, ...]
    overall: Agreed
    independent: Agreed
    by_observers: tuple[Agreed, ...]
    by_flank: tuple[Agreed, ...]
    by_level: tuple[Agreed, ...]
    by_quality: tuple[Agreed, ...]
    by_certainty: tuple[Agreed, ...]
    disagreements: tuple[Disagreement, ...]
    repeats: tuple[Repeats, ...]
    times: tuple[Times, ...]
    gone: int

    @property
    def waiting(self) -> int:
        """The number of disagreements without an adjudicator's answer."""
        return sum(each.adjudicated is None for each in self.disagreements)


@dataclass(frozen=True)
class _Compared:
    """The answers of two observers to a pair, in the order of their names."""

    key: Key
    one: Decision
    other: Decision


def agreement(rows: Sequence[Decision], who: Who) -> Agreement:
    """Return how well observers agree about the pairs that two or more of them have answered.

    The first answer of each observer counts, in the modes open and blind: who corrects a mistake has made it
    (`read_pairs` tells which answers that were taken back count). Disagreements are those of the last answers. Answers
    of adjudicators, of the machine and of importers are no observer's, and hidden repetitions are counted apart. rows:
    all decisions, in the order of their identifiers. The level is that of the later answer. The quality is the
    commonest that persons gave to the photos of either sighting. The certainty is the lower one of both. No answers
    give zeros, and None for kappa.
    """
    effective = in_effect(rows)
    find = by_sighting(who)
    places = {row.id: find(row) for row in rows if row.kind == "pair"}
    readings = {key: reading for key, reading in read_pairs(rows, lambda row: places[row.id]).items() if reading.first}
    compared = [_Compared(key, *two) for key, reading in readings.items() for two in reading.comparisons()]
    quality = _quality(effective)
    answers = [row for row in effective if is_reading(row)]
    return Agreement(
        len(readings),
        tuple(sorted({name for reading in readings.values() for name in reading.first})),
        _agreed(("all",), compared),
        _agreed(("independent",), [each for each in compared if independent(each.one, each.other)]),
        _grouped(compared, lambda each: (each.one.observer, each.other.observer)),
        _grouped(compared, lambda each: (_flank(who, each.key),)),
        _grouped(compared, lambda each: (_level(each),)),
        _grouped(compared, lambda each: (_pair_quality(who, quality, each.key),)),
        _grouped(compared, lambda each: (_certainty(each),)),
        _disagreements(readings, who),
        _repeats(answers, [places[row.id] for row in answers]),
        _times(answers),
        sum(places[row.id] is None for row in answers),
    )


def observer_notes(rows: Sequence[Decision]) -> tuple[Note, ...]:
    """Return a note on observers whose names differ only in case, blanks, accents and the like; () without them."""
    names = {row.observer for row in in_effect(rows) if row.kind == "pair" and row.role in ("observer", "adjudicator")}
    found = alike_names(names)
    if not found:
        return ()
    listed = some([" and ".join(map(repr, map(printable, group))) for group in found])
    text = f"observers with nearly the same name count as two persons, also for their agreement: {listed}"
    return (Note("observers-alike", text, {"observers": found}),)


def _grouped(compared: Iterable[_Compared], name: Callable[[_Compared], tuple[str, ...]]) -> tuple[Agreed, ...]:
    groups: dict[tuple[str, ...], list[_Compared]] = defaultdict(list)
    for each in compared:
        groups[name(each)].append(each)
    return tuple(_agreed(key, groups[key]) for key in sorted(groups, key=lambda k: (k == (UNKNOWN,), k)))


def _agreed(name: tuple[str, ...], compared: Sequence[_Compared]) -> Agreed:
    observers = sorted({(each.one.observer, each.other.observer) for each in compared})
    number = {pair: n for n, pair in enumerate(observers)}
    cases: dict[Key, list[tuple[int, int, int]]] = defaultdict(list)
    for each in compared:
        said = ANSWERS.index(each.one.answer), ANSWERS.index(each.other.answer)
        cases[each.key].append((number[each.one.observer, each.other.observer], *said))
    patterns = Counter(tuple(sorted(case)) for case in cases.values())
    tables = tables_of(patterns, len(ANSWERS))
    table = tables.sum(axis=0)
    return Agreed(
        name,
        len(cases),
        make_share(int(np.trace(table)), int(table.sum())),
        tuple(tuple(int(count) for count in row) for row in table),
        pooled_kappa(tables),
        pooled_interval(patterns, len(ANSWERS)),
    )


# --- groups of pairs -------------------------------------------------------------------------------------------------


def _flank(who: Who, key: Key) -> str:
    """Return the body parts that both sightings show, such as "left_flank"; "both flanks" if these are among them."""
    one, other = (set(who.sightings[who.number_of[name]].body_parts) for name in key)
    shared = (one & other) - {"unknown"}
    if shared >= FLANKS:
        return "both flanks"
    return ", ".join(sorted(shared & FLANKS or shared)) or "unknown"


def _level(each: _Compared) -> str:
    later, earlier = sorted((each.one, each.other), key=lambda row: row.id, reverse=True)
    return str(later.shown.get("level") or earlier.shown.get("level") or UNKNOWN)


def _certainty(each: _Compared) -> str:
    given = [row.certainty for row in (each.one, each.other) if row.certainty is not None]
    return str(min(given)) if len(given) == 2 else UNKNOWN


def _quality(rows: Iterable[Decision]) -> dict[str, str]:
    """Return the last quality that a person gave to each annotation."""
    return {name: row.answer for row in rows if row.kind == "quality" for name in row.side_a}


def _pair_quality(who: Who, quality: Mapping[str, str], key: Key) -> str:
    said = []
    for name in key:
        photos = who.sightings[who.number_of[name]].annotations
        counts = Counter(quality[photo] for photo in photos if quality.get(photo))
        said.append(min(counts, key=lambda value: (-counts[value], value)) if counts else UNKNOWN)
    return said[0] if said[0] == said[1] else " and ".join(sorted(said, key=lambda value: (value == UNKNOWN, value)))


# --- disagreements, repetitions, times -------------------------------------------------------------------------------


def _disagreements(readings: Mapping[Key, Reading], who: Who) -> tuple[Disagreement, ...]:
    found = []
    for key, reading in readings.items():
        a, b = (who.number_of[name] for name in key)
        answers = _still_said(reading, who, a, b)
        if len({row.answer for row in answers}) > 1:
            found.append(Disagreement(a, b, key, answers, reading.adjudicated))
    # A doubt about two sides of one sighting is settled: their encounter says that they are one animal
    left = [each for each in found if each.a != each.b or each.opposite or each.adjudicated is not None]
    return tuple(sorted(left, key=lambda d: (d.adjudicated is not None, not d.opposite, d.a, d.b, d.sides)))


def _still_said(reading: Reading, who: Who, a: int, b: int) -> tuple[Decision, ...]:
    """Return the last answers of observers about two sightings, by name, without those that a split since took away."""
    last = tuple(reading.answers[name] for name in sorted(reading.answers))
    if a == b or reading.adjudicated is not None:
        return last
    state = who.pairs.get((min(a, b), max(a, b)))
    return () if state is None else tuple(row for row in last if row in state.answers)


def _repeats(answers: Sequence[Decision], keys: Sequence[Key | None]) -> tuple[Repeats, ...]:
    last: dict[tuple[str, Key | None], Decision] = {}
    found: dict[str, list[tuple[str, str] | None]] = defaultdict(list)
    for row, key in zip(answers, keys, strict=True):
        if key is None:
            continue
        if REPEAT not in row.tags:
            last[row.observer, key] = row
            continue
        earlier = last.get((row.observer, key))
        found[row.observer].append(None if earlier is None else (earlier.answer, row.answer))
    return tuple(_repeated(name, found[name]) for name in sorted(found))


def _repeated(observer: str, found: Sequence[tuple[str, str] | None]) -> Repeats:
    both = [each for each in found if each is not None]
    opposite = sum({SAME, DIFFERENT} == set(each) for each in both)
    changed = sum(before != now for before, now in both)
    return Repeats(observer, make_share(opposite, len(both)), make_share(changed, len(both)), len(found) - len(both))


def _times(answers: Iterable[Decision]) -> tuple[Times, ...]:
    took: dict[str, list[float | None]] = defaultdict(list)
    for row in answers:
        took[row.observer].append(seconds_of(row))
    return tuple(_timed(name, took[name]) for name in sorted(took))


def _timed(observer: str, took: Sequence[float | None]) -> Times:
    known = [each for each in took if each is not None]
    good = [each for each in known if 0 <= each <= LONGEST]
    counts = len(known) - len(good), len(took) - len(known)
    if not good:
        return Times(observer, 0, None, None, None, *counts)
    lower, median, upper = (float(q) for q in np.quantile(good, [0.25, 0.5, 0.75]))
    return Times(observer, len(good), lower, median, upper, *counts)


def seconds_of(row: Decision) -> float | None:
    """Return the seconds from the opening of a question to its answer; None if one of the moments is not known."""
    return seconds_between(row.opened_at, row.decided_at)
