"""Who is who after some more decisions, without reading all earlier ones again where that is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snowmatch.core.types import Annotation
from snowmatch.decisions.corrections import take_box
from snowmatch.decisions.effect import counts
from snowmatch.decisions.row import DIFFERENT, SAME, Decision
from snowmatch.decisions.sightings import find_sighting
from snowmatch.decisions.who import DISPUTED, Pair, PairState, Who, make_individual, settled, who_is_who

MANY = 30  # new decisions from which all are read again
JOINING, PARTING = (SAME, DISPUTED), (DIFFERENT, DISPUTED)


def advanced(who: Who, annotations: Sequence[Annotation], rows: Sequence[Decision], new: Sequence[Decision]) -> Who:
    """Return who is who by the decisions `rows`, from the state `who` before the last of them, `new`.

    The result equals `who_is_who(annotations, rows)`. It is fast if the new decisions are answers about two sightings
    that take nothing back; all else is computed afresh.
    """
    fresh = {row.id for row in new}
    if len(new) > MANY:
        return who_is_who(annotations, rows)
    if list(rows[len(rows) - len(new) :]) != list(new) or fresh & who.undone:
        return who_is_who(annotations, rows)  # a merged file has rows in between, or took a new row back before
    if any(row.kind == "species" for row in new):
        return who_is_who(annotations, rows)  # animals may have become sightings, or be none any more
    for decision in new:
        after = _with_answer(who, decision)
        if after is None:
            return who_is_who(annotations, rows)
        who = after
    return who


def _with_answer(who: Who, decision: Decision) -> Who | None:
    """Return the state with one more answer; None if it must be computed afresh."""
    if any(name not in who.number_of for side in (decision.side_a, decision.side_b) for name in side):
        return None  # it may be of an animal that the screening left out
    if decision.kind == "box":
        boxes = dict(who.boxes)
        take_box(boxes, decision)
        return replace(who, boxes=boxes)
    if decision.kind in ("quality", "sex", "note") or (decision.kind == "pair" and not counts(decision)):
        return who
    if decision.kind != "pair":
        return None
    a, b = find_sighting(who.number_of, decision.side_a), find_sighting(who.number_of, decision.side_b)
    if a is None or b is None or a == b:
        return None
    if not _groups(who, decision.side_a).isdisjoint(_groups(who, decision.side_b)):
        return None  # it parts a sighting, or one that an earlier decision parted may be one again
    pair = (a, b) if a < b else (b, a)
    before = who.pairs.get(pair)
    state = settled([*(before.answers if before is not None else ()), decision])
    pairs = {**who.pairs, pair: state}
    if before is not None and (
        (before.answer in JOINING and state.answer not in JOINING)
        or (before.answer in PARTING and state.answer not in PARTING)
    ):
        return None
    if state.answer in JOINING and who.of[a] != who.of[b]:
        return _joined(who, pair, pairs)
    if state.answer in PARTING and who.of[a] == who.of[b]:
        number = who.of[a]
        quarrels = sorted({*who.individuals[number].quarrels, pair})
        individuals = list(who.individuals)
        individuals[number] = replace(individuals[number], quarrels=tuple(quarrels))
        return replace(who, pairs=pairs, individuals=tuple(individuals))
    return replace(who, pairs=pairs)


def _groups(who: Who, side: Sequence[str]) -> set[tuple[str, str | None]]:
    """Return the encounters of a side's sightings, each with the name in the table: a sighting is of one of both."""
    sightings = (who.sightings[number] for number in {who.number_of[name] for name in side})
    return {(sighting.encounter, sighting.named) for sighting in sightings}


def _joined(who: Who, pair: Pair, pairs: dict[Pair, PairState]) -> Who | None:
    kept, gone = sorted(who.of[n] for n in pair)
    first, second = who.individuals[kept], who.individuals[gone]
    members = sorted((*first.sightings, *second.sightings))
    if any(not side.isdisjoint(members) and not other.isdisjoint(members) for side, other in who.parted):
        return None  # a split contradicts it, perhaps by another pair than before
    across = ((min(a, b), max(a, b)) for a in first.sightings for b in second.sightings)
    apart = {*first.quarrels, *second.quarrels}
    apart |= {
        p for p in across if p in who.one_photo or ((state := pairs.get(p)) is not None and state.answer in PARTING)
    }
    one = make_individual(members, who.sightings, who.names, who.labels, who.preferred, who.merged, sorted(apart))
    individuals = list(who.individuals)
    individuals[kept] = one
    del individuals[gone]
    of = tuple(kept if n == gone else n - 1 if n > gone else n for n in who.of)
    refused = {name: (a, b) for name, (a, b) in who.refused.items() if of[a] != of[b]}
    settled_now = who.refused.keys() - refused.keys()
    idle = tuple(each for each in who.idle if each[0].id not in settled_now)
    return replace(who, of=of, individuals=tuple(individuals), pairs=pairs, idle=idle, refused=refused)
