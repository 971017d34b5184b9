"""A catalog with the names that persons gave by decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from snowmatch.catalog.ids import with_ids
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.names import name_notes
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.core.unions import Unions
from snowmatch.decisions.corrections import with_corrections
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.file import decisions_path, read_decisions
from snowmatch.decisions.row import SAME, Decision
from snowmatch.decisions.who import DISPUTED, Who, is_name, make_individual, who_is_who, with_names

# Codes of the notes on names of individuals
NAMES = ("doubtful-names", "unnamed-names", "camera-folders", "individuals-alike", "individuals-together",
         "individuals-rewritten", "individuals-in-several-locations")  # fmt: skip


def with_decisions(data: CatalogData, path: Path | None = None) -> CatalogData:
    """Return the catalog with the names by all decisions, and notes on what they change.

    path: the file of decisions (default: that of the catalog). Without decisions the catalog stays as it is.
    """
    return with_rows(data, read_decisions(path or decisions_path(data.folder)).rows)


def with_rows(data: CatalogData, rows: Sequence[Decision]) -> CatalogData:
    """Return the catalog with the names by these decisions, and notes on what they change."""
    if not rows:
        return data
    identified = with_ids(data.folder, data.annotations, data.annotations)
    who = who_is_who(identified, rows)
    named = with_names(with_corrections(identified, in_effect(rows)), who)
    # A box leads to the stored identifier; one that was corrected no longer does
    named = tuple(
        a if a.annotation in who.boxes else replace(a, annotation=old.annotation)
        for a, old in zip(named, data.annotations, strict=True)
    )
    return replace(told_names(data, named, who), lent=lent_names(who))


def told_names(data: CatalogData, named: tuple[Annotation, ...], who: Who) -> CatalogData:
    """Return the catalog with its annotations as decisions name them, and notes on what they change."""
    told = _notes(data.annotations, named, who)
    if any(note.code == "named-by-decisions" for note in told):  # the names of the table no longer count
        data = replace(data, notes=tuple(note for note in data.notes if note.code not in NAMES))
    return replace(data, annotations=named, notes=(*data.notes, *told))


def lent_names(who: Who) -> dict[int, str | None]:
    """Return, by row, the name without the machine's joins, or None, where these alone give the row's name."""
    joined = Unions(len(who.sightings))
    first: dict[str, int] = {}
    for number, key in enumerate(who.names):
        if key is not None:
            joined.join(first.setdefault(key, number), number)
    for a, b in who.links:
        joined.join(a, b)
    for (a, b), state in who.pairs.items():
        if state.answer in (SAME, DISPUTED) and any(d.answer == SAME and d.role != "machine" for d in state.answers):
            joined.join(a, b)
    found: dict[int, str | None] = {}
    shown = who.sightings, who.names, who.labels, who.preferred, who.merged
    for members in joined.groups():
        individual = who.individuals[who.of[members[0]]]
        if len(members) < len(individual.sightings) and individual.name is not None:
            name = make_individual(members, *shown, ()).name
            if name != individual.name:
                found.update((row, name) for number in members for row in who.sightings[number].rows)
    return found


def checked_names(annotations: Sequence[Annotation], lent: Mapping[int, str | None]) -> tuple[Annotation, ...]:
    """Return annotations with those names only that persons gave, for what is learned or measured by names.

    lent: as of `lent_names`. What only the machine joined to a name is unidentified, and so is an animal without a name
    that decisions joined: it may be a named one.
    """
    names = [lent.get(a.row, a.individual if is_name(a.individual) else None) for a in annotations]
    pairs = zip(annotations, names, strict=True)
    return tuple(a if a.individual == name else replace(a, individual=name) for a, name in pairs)


def with_checked_names(data: CatalogData) -> CatalogData:
    """Return the catalog with the names of `checked_names`, and a note on those that only the machine lends."""
    if not data.lent:
        return replace(data, annotations=checked_names(data.annotations, {}))
    count = counted(len(data.lent), "annotation has its name", "annotations have their names")
    text = f"{count} from the machine's joins alone, which nobody has checked: such names are not taken for right"
    note = Note("names-of-machine", text, {"count": len(data.lent)})
    return replace(data, annotations=checked_names(data.annotations, data.lent), notes=(*data.notes, note), lent={})


def _name_notes(before: tuple[Annotation, ...], after: tuple[Annotation, ...]) -> list[Note]:
    """Return notes on names that are probably mistakes: those by decisions, and those that they left as they were."""
    named = (a for old, a in zip(before, after, strict=True) if is_name(a.individual) or a.individual == old.individual)
    rows = [{"individual": a.individual, "location": a.location} for a in named]
    return [note for note in name_notes(rows) if note.code in NAMES]


def _notes(before: tuple[Annotation, ...], after: tuple[Annotation, ...], who: Who) -> list[Note]:
    notes = []
    changed = sum(a.individual != b.individual for a, b in zip(before, after, strict=True))
    if changed:
        notes += _name_notes(before, after)
        text = f"decisions name {counted(changed, 'annotation')} otherwise than the table"
        notes.append(Note("named-by-decisions", text, {"count": changed}))
    if quarrels := [each.handle for each in who.individuals if each.quarrels]:
        count = counted(len(quarrels), "individual")
        text = f"{count} with decisions that contradict each other: {some(sorted(quarrels))}"
        notes.append(Note("decisions-quarrel", text, {"individuals": sorted(quarrels)}))
    if several := sorted(each.names for each in who.individuals if len(each.names) > 1):
        listed = some([f"{names[0]} (also {', '.join(names[1:])})" for names in several])
        text = f"{counted(len(several), 'individual')} with several names, which no merge joined: each counts as one, "
        text += f"by its first name: {listed}"
        notes.append(Note("several-names", text, {"individuals": [names[0] for names in several]}))
    idle, refused = who.idle_and_refused()
    if idle:
        text = f"{counted(len(idle), 'decision')} without effect: {_reasons(idle)}"
        notes.append(Note("decisions-idle", text, {"count": len(idle)}))
    if refused:
        count = counted(len(refused), "name that a decision chose is", "names that decisions chose are")
        names = sorted({row.answer for row, _ in refused})
        about = {"count": len(refused), "individuals": names}
        notes.append(Note("names-refused", f"{count} not used: {_reasons(refused)}", about))
    return notes


def _reasons(idle: Iterable[tuple[Decision, str]]) -> str:
    reasons = Counter(reason for _, reason in idle)
    return "; ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
