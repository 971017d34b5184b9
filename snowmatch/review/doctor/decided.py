"""Findings about decisions: what contradicts, what observers disagree about or name differently, what has no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from snowmatch.core.text import counted
from snowmatch.decisions.who import DISPUTED, Who
from snowmatch.review.doctor.finding import CHECK, HINT, SERIOUS, Finding, Patient


def findings_of_decisions(patient: Patient) -> Iterator[Finding]:
    """Yield findings about the catalog's decisions; none without decisions."""
    if patient.identities is None:
        return
    who = patient.identities.who
    quarrels = [
        f"{each.handle}: {_encounter(who, a)} and {_encounter(who, b)}"
        + (" are in one photo" if (a, b) in who.one_photo else " are different, somebody said")
        for each in who.individuals
        for a, b in each.quarrels
    ]
    if quarrels:
        text = f"{counted(len(quarrels), 'contradiction')} between decisions, inside individuals"
        ends = _faces(who, (n for each in who.individuals for pair in each.quarrels for n in pair))
        yield Finding("contradictions", SERIOUS, text, tuple(quarrels), annotations=ends)
    disputed = [
        f"{_encounter(who, a)} and {_encounter(who, b)}: "
        + ", ".join(f"{d.observer} {d.answer}" for d in state.answers)
        for (a, b), state in who.pairs.items()
        if state.answer == DISPUTED
    ]
    if disputed:
        text = f"{counted(len(disputed), 'pair')} about which observers disagree, and no adjudicator has decided"
        ends = _faces(who, (n for pair, state in who.pairs.items() if state.answer == DISPUTED for n in pair))
        yield Finding("disagreements", CHECK, text, tuple(disputed), annotations=ends)
    if who.disputed_names:
        names = tuple(
            f"{_encounter(who, n)}: " + ", ".join(f"{observer} {name}" for observer, name in given)
            for n, given in who.disputed_names.items()
        )
        text = f"{counted(len(names), 'sighting')} with different names of observers: the last one counts"
        yield Finding("disputed-names", CHECK, text, names, annotations=_faces(who, who.disputed_names))
    several = [f"{', '.join(each.names)}" for each in who.individuals if len(each.names) > 1]
    if several:
        members = _faces(who, (n for each in who.individuals if len(each.names) > 1 for n in each.sightings))
        text = f"{counted(len(several), 'individual')} with several names: decisions joined them without a merge"
        yield Finding("several-names", CHECK, text, tuple(several), annotations=members)
    without_effect, refused = who.idle_and_refused()
    if refused:
        names = tuple(
            f"{_handle(who, who.refused[row.id][0])!r} should be called {row.answer!r} ({row.id[-8:]} of "
            f"{row.observer}), but that is a name of {_handle(who, who.refused[row.id][1])!r}"
            for row, _ in refused
        )
        text = f"{counted(len(names), 'name')} that a decision chose, and that another individual has"
        yield Finding("names-refused", CHECK, text, names, annotations=_faces(who, chain(*who.refused.values())))
    idle = tuple(f"{row.id[-8:]} of {row.observer}: {reason}" for row, reason in without_effect)
    if idle:
        yield Finding("idle-decisions", HINT, f"{counted(len(idle), 'decision')} without effect", idle)
    yield from (Finding(note.code, HINT, note.text, data=note.data) for note in patient.identities.stored.notes)


def _faces(who: Who, numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the first annotation of each of these sightings, each once."""
    found = (who.sightings[n].annotations[:1] for n in numbers)
    return tuple(dict.fromkeys(name for names in found for name in names))


def _handle(who: Who, number: int) -> str:
    return who.individuals[who.of[number]].handle


def _encounter(who: Who, number: int) -> str:
    return who.sightings[number].encounter
