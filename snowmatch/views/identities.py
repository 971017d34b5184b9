"""Individuals, decisions and questions as text and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from snowmatch.confidence.levels import MARKS
from snowmatch.core.plain import plain
from snowmatch.core.text import aligned, counted, percent, printable
from snowmatch.decisions.effect import holding
from snowmatch.decisions.row import Decision, to_json
from snowmatch.decisions.sightings import Sighting
from snowmatch.decisions.who import DISPUTED, Individual, Who
from snowmatch.review.contradictions import Contradiction, Voice
from snowmatch.review.identities import Change, Identities
from snowmatch.review.queue import Item, sighting_words

MOST = 200  # characters of an answer that the log shows: names have no more, notes may
FLANKS = (("left_flank", "left"), ("right_flank", "right"))


def individuals_to_json(identities: Identities) -> dict[str, Any]:
    """Return all individuals and sightings as plain values."""
    who = identities.who
    return {
        "schema": "snowmatch.identities/1",
        "catalog": str(identities.data.folder),
        "decisions": len(identities.rows),
        "individuals": [_individual_json(who, each) for each in _sorted(who)],
        "disputed": [[who.sightings[n].key for n in pair] for pair, s in who.pairs.items() if s.answer == DISPUTED],
        "idle": [{"id": row.id, "reason": reason} for row, reason in who.idle],
    }


def _individual_json(who: Who, individual: Individual) -> dict[str, Any]:
    return {
        "name": individual.name,
        "handle": individual.handle,
        "names": list(individual.names),
        "sightings": [
            {
                "encounter": s.encounter,
                "annotations": list(s.annotations),
                "body_parts": list(s.body_parts),
                "location": s.location,
                "station": s.station,
                "time": s.time,
            }
            for s in (who.sightings[n] for n in individual.sightings)
        ],
        "contradictions": [[who.sightings[a].key, who.sightings[b].key] for a, b in individual.quarrels],
    }


def _sorted(who: Who) -> list[Individual]:
    """Return the individuals: those with a name first, then the largest."""
    return sorted(who.individuals, key=lambda i: (i.name is None, i.name or "", -len(i.sightings), i.handle))


def format_individuals(identities: Identities) -> str:
    """Return the individuals as a table, and one line that counts them. Sightings alone without a name are counted."""
    who = identities.who
    rows = []
    lone = 0
    for each in _sorted(who):
        if each.name is None and len(each.sightings) == 1:
            lone += 1
            continue
        sightings = [who.sightings[n] for n in each.sightings]
        times = sorted(s.time for s in sightings if s.time)
        rows.append(
            (
                printable(each.handle),
                str(len(sightings)),
                *(str(sum(part in s.body_parts for s in sightings) or "-") for part, _ in FLANKS),
                str(len({(s.location, s.station) for s in sightings if s.station}) or "-"),
                times[0][:10] if times else "-",
                times[-1][:10] if times else "-",
                "contradiction" if each.quarrels else f"also {', '.join(each.names[1:])}" if each.names[1:] else "",
            )
        )
    head = ("individual", "sightings", "left", "right", "stations", "first", "last", "")
    lines = aligned(head, rows, right=("sightings", "left", "right", "stations")) if rows else []
    named = sum(each.name is not None for each in who.individuals)
    unnamed = len(rows) - named
    total = f"{counted(named, 'individual')} with a name"
    total += f", {unnamed} without" if unnamed else ""
    total += f", {counted(lone, 'sighting')} that nobody has joined or named" if lone else ""
    return "\n".join([*(line.rstrip() for line in lines), *([""] if lines else []), total])


def format_individual(identities: Identities, individual: Individual) -> str:
    """Return one individual with its sightings by date, and what contradicts it."""
    who = identities.who
    order = sorted(individual.sightings, key=lambda n: (who.sightings[n].time or "9", n))
    rows = [
        (
            printable(s.encounter),
            " ".join(part.replace("_", " ") for part in s.body_parts),
            printable(sighting_words(s)),
            _photos(identities, s),
            s.key,
        )
        for s in (who.sightings[n] for n in order)
    ]
    lines = [f"{printable(individual.handle)}: {counted(len(rows), 'sighting')}", ""]
    lines += aligned(("encounter", "shows", "where and when", "photos", "annotation"), rows)
    for a, b in individual.quarrels:
        one, other = who.sightings[a].encounter, who.sightings[b].encounter
        why = "both are in one photo" if (a, b) in who.one_photo else "somebody said that they are different"
        lines += ["", f"Contradiction: {printable(one)} and {printable(other)}: {why}."]
    return "\n".join(line.rstrip() for line in lines)


def format_change(change: Change) -> str:
    """Return in words what decisions change."""
    lines = []
    for before, after, count in change.names[:20]:
        told = f"{printable(before) or 'without a name'} -> {printable(after) or 'without a name'}"
        lines.append(f"{told}: {counted(count, 'sighting')}")
    if len(change.names) > 20:
        lines.append(f"... and {len(change.names) - 20} more")
    fewer, more = change.individuals
    gets = "gets" if change.sightings == 1 else "get"
    lines.append(
        f"{counted(change.sightings, 'sighting')} {gets} another name, {counted(change.captures, 'capture')} of them; "
        f"{fewer} -> {counted(more, 'identity', 'identities')}"
    )
    if change.quarrels:
        lines.append(f"{counted(len(change.quarrels), 'new contradiction')}: `check` shows them")
    if change.disputed:
        told = counted(change.disputed, "more sighting")
        lines.append(f"{told} with different names of observers: `check` shows them, `name --adjudicator` settles it")
    for names in change.several[:20]:
        name, listed = printable(names[0]), printable(", ".join(names))
        lines.append(f"{name} has several names then ({listed}): merge them, or split the individual")
    if len(change.several) > 20:
        lines.append(f"... and {len(change.several) - 20} more with several names")
    for names in change.alike:
        listed = " and ".join(repr(printable(name)) for name in names)
        lines.append(f"{listed} are nearly the same name, and count as different animals: rename one, or merge them")
    return "\n".join(lines)


def format_log(rows: Sequence[Decision], most: int | None = None) -> str:
    """Return decisions as a table, the last one last. most: how many of the last ones; None: all."""
    valid = holding(rows)
    table = [
        (
            row.id[-8:],
            row.decided_at[:19].replace("T", " "),
            printable(row.observer),
            row.kind,
            printable(row.answer.replace("_", " ") if row.kind == "pair" else row.answer[:MOST]),
            f"{row.side_a[0] if row.side_a else '-'} {row.side_b[0] if row.side_b else ''}".strip(),
            " ".join(filter(None, (row.mode if row.mode != "open" else "", "" if row.id in valid else "taken back"))),
        )
        for row in _last(rows, most)
    ]
    if not table:
        return "no decisions yet"
    return "\n".join(
        line.rstrip() for line in aligned(("id", "when (UTC)", "who", "what", "answer", "about", ""), table)
    )


def log_to_json(rows: Sequence[Decision], most: int | None = None) -> dict[str, Any]:
    """Return decisions as plain values, the last one last. most: how many of the last ones; None: all."""
    valid = holding(rows)
    shown = _last(rows, most)
    return {
        "schema": "snowmatch.decisions/1",
        "decisions": [{**plain(to_json(row)), "in_effect": row.id in valid} for row in shown],
    }


def _last(rows: Sequence[Decision], most: int | None) -> Sequence[Decision]:
    return rows if most is None else rows[-most:] if most else []


def format_item(identities: Identities, item: Item, *, hidden: bool) -> str:
    """Return a question in words. hidden: without probability, level, names and reason."""
    lines = [format_pair(identities, item.a, item.b, hidden=hidden)]
    if not hidden:
        likely = f"one animal at {percent(item.probability)}" if item.probability is not None else ""
        if item.level and item.probability is not None and item.probability >= 0.5:  # it tells how sure "one animal" is
            likely = f"{MARKS[item.level]} {likely}"
        spots = counted(item.spots, "matched spot") if item.spots else ""
        lines.append("  " + "; ".join(filter(None, (likely, spots, f"asked because: {printable(item.reason)}"))))
    return "\n".join(lines)


def format_pair(identities: Identities, a: int, b: int, *, hidden: bool) -> str:
    """Return two sightings in words, one a line: where, when, what they show. hidden: without their names.

    Those of one individual have no names either: a check of the machine or a repetition must look like a new question.
    """
    who = identities.who
    nameless = hidden or who.of[a] == who.of[b]
    lines = []
    for n in (a, b):
        s = who.sightings[n]
        parts = " and ".join(part.replace("_", " ") for part in s.body_parts)
        name = "" if nameless else f"   [{who.individuals[who.of[n]].handle}]" if _known(who, n) else ""
        told = not hidden or s.location or s.station or s.time  # else an encounter, which may be the path of a photo
        where = sighting_words(s) if told else "no place and no time"
        lines.append(f"  {printable(where)}   {parts}, {_photos(identities, s)}{printable(name)}")
    return "\n".join(lines)


def _photos(identities: Identities, sighting: Sighting) -> str:
    """Return how many photos a sighting has: a photo with two boxes, such as of head and flank, is one."""
    return counted(len({identities.annotations[row].path for row in sighting.rows}), "photo")


def _known(who: Who, sighting: int) -> bool:
    individual = who.individuals[who.of[sighting]]
    return individual.name is not None or len(individual.sightings) > 1


def format_contradiction(who: Who, found: Contradiction) -> str:
    """Return one contradiction in words: which answers quarrel with which, and which side is weaker."""
    one, other = (printable(who.sightings[n].encounter) for n in (found.a, found.b))
    against = ", ".join(_said(voice) for voice in found.different)
    joined = ", ".join(_said(voice) for voice in found.same) if found.same else "names or merges join them"
    weaker = {"same": "; the answers that join are weaker", "different": "; the answer that parts is weaker"}
    told = (
        f"{printable(found.individual.handle)}: {one} and {other} are different ({against}), but one animal ({joined})"
    )
    return told + (weaker[found.suspects] if found.same else "")


def _said(voice: Voice) -> str:
    if voice.decision is None:
        return "one photo shows both" if voice.fact == "one_photo" else "a split parts them"
    return f"{printable(voice.decision.observer)} {voice.decision.id[-8:]}"


def format_check(identities: Identities, contradictions: Sequence[Contradiction]) -> str:
    """Return what does not fit: contradictions, disputed pairs and names, two names, idle decisions, refused names."""
    who = identities.who
    lines = [f"contradiction in {format_contradiction(who, each)}" for each in contradictions]
    for each in _sorted(who):
        if len(each.names) > 1:
            lines.append(f"one individual with {len(each.names)} names: {printable(', '.join(each.names))}")
    for pair, state in who.pairs.items():
        if state.answer == DISPUTED:
            told = ", ".join(f"{d.observer}: {d.answer}" for d in state.answers)
            names = " and ".join(who.sightings[n].encounter for n in pair)
            lines.append(f"observers disagree about {printable(names)} ({printable(told)})")
    for number, given in who.disputed_names.items():
        told = ", ".join(f"{observer}: {name}" for observer, name in given)
        where = printable(who.sightings[number].encounter)
        lines.append(f"observers gave {where} different names ({printable(told)}); the last one counts")
    idle, refused = (sorted(Counter(reason for _, reason in some).items()) for some in who.idle_and_refused())
    for reason, count in idle:
        lines.append(f"{counted(count, 'decision')} without effect: {printable(reason)}")
    for reason, count in refused:
        names = counted(count, "name that a decision chose is", "names that decisions chose are")
        lines.append(f"{names} not used: {printable(reason)}")
    return "\n".join(lines) if lines else "nothing contradicts"
