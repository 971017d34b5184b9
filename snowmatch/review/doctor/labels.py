"""What the rows of a catalog say about animals: names, body parts, boxes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from snowmatch.catalog.species import NOTHING, is_counted, species_key
from snowmatch.core.boxes import overlap
from snowmatch.core.text import counted, printable
from snowmatch.core.types import Annotation
from snowmatch.decisions.who import is_name
from snowmatch.review.doctor.finding import CHECK, HINT, SERIOUS, Finding, Patient, count_of, grouped, names_of, verb

FLANKS = ("left_flank", "right_flank")
ONE_ANIMAL = 0.2  # overlap of two boxes of one body part from which they may show one animal

Pair = tuple[Annotation, Annotation]


def findings_of_labels(patient: Patient) -> Iterator[Finding]:
    """Yield the findings about names that mean the same, photos with one animal twice, encounters that are named in
    part, missing flanks and missing boxes.
    """
    yield from _alike(patient)
    for note in patient.notes("two-names"):
        yield Finding(note.code, SERIOUS, note.text, data=note.data)
    yield from _twice(patient)
    for note in patient.notes("doubtful-names", "unnamed-names", "camera-folders"):
        about = [a for a in patient.data.annotations if a.individual in note.data["names"]]
        yield patient.finding(note.code, CHECK, note.text, note.data["names"], about, **note.data)
    yield from _half_named(patient)
    yield from _one_flank(patient)
    yield from _without_box(patient)


def _alike(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on names that differ in little."""
    for note in patient.notes("individuals-alike", "locations-alike", "stations-alike"):
        column = note.code.removesuffix("s-alike")
        groups: list[Sequence[str]] = list(note.data["names"])
        surely = [group for group in groups if len({_usual(name) for name in group}) < len(group)]
        doubtful = [group for group in groups if group not in surely]
        for code, severity, found, how in (
            (f"{column}s-same-name", SERIOUS if column == "individual" else CHECK, surely, "case, blanks or zeros"),
            (note.code, CHECK, doubtful, "marks, accents or alphabets"),
        ):
            if found:
                names = {name for group in found for name in group}
                about = [a for a in patient.data.annotations if getattr(a, column) in names]
                cases = [" and ".join(map(repr, map(printable, group))) for group in found]
                text = f"{counted(len(found), f'{column} name')} written differently ({how}): each counts as one more"
                yield patient.finding(code, severity, text, cases, about, names=found, column=column)


def _usual(name: str) -> str:
    """Return a name without case, blanks and leading zeros."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", "".join(name.casefold().split()))


def _twice(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on photos with two annotations of one individual."""
    apart: list[tuple[str, Pair]] = []
    together: list[tuple[str, Pair]] = []
    for path, photo in patient.photos.items():
        for one, other in combinations(photo, 2):
            if one.individual is None or one.individual != other.individual:
                continue
            same_part = one.body_part == other.body_part
            boxed = one.bbox is not None and other.bbox is not None
            two = same_part and boxed and overlap(one.bbox, other.bbox) < ONE_ANIMAL
            (apart if two else together).append((f"{path} ({one.individual})", (one, other)))
    if apart:
        text = (
            f"{count_of(apart, 'photo')} with one individual in two boxes apart: two animals in one photo are different"
        )
        about = [a for _, pair in apart for a in pair]
        first = next((pair for _, pair in apart if any(a.row in patient.decided for a in pair)), apart[0][1])
        cases, pair = [case for case, _ in apart], [patient.identifiers[a.row] for a in first]
        yield patient.finding("one-animal-twice", SERIOUS, text, cases, about, pair=pair)
    if together:
        text = (
            f"{count_of(together, 'pair')} of rows with one individual twice in one photo: right for two body parts of "
            "one animal"
        )
        yield patient.finding(
            "same-animal-rows", HINT, text, [case for case, _ in together], [a for _, pair in together for a in pair]
        )


def _shows_animal(a: Annotation) -> bool:
    """Return whether an annotation has a name, or the screening kept it and its species is none such as `nothing`."""
    return a.individual is not None or (not a.left_out and is_counted(a.species, ()))


def _half_named(patient: Patient) -> Iterator[Finding]:
    """Yield a finding on encounters with named and unidentified photos. Animals that snowmatch found do not count, nor
    photos that show none.
    """
    found = []
    for name, photos in patient.encounters.items():
        rows = [a for a in photos if not a.found and _shows_animal(a)]
        unnamed = [a for a in rows if not is_name(a.individual)]
        if unnamed and (names := [name for name in names_of(rows) if is_name(name)]):
            case = f"{printable(name)}: {counted(len(unnamed), 'row')} of {len(rows)} without a name, others {names}"
            found.append((case.replace("[", "").replace("]", ""), unnamed))
    if found:
        text = f"{count_of(found, 'encounter')} with named and unidentified photos"
        yield patient.finding(
            "half-named", CHECK, text, [case for case, _ in found], [a for _, rows in found for a in rows]
        )


def _one_flank(patient: Patient) -> Iterator[Finding]:
    """Yield the findings on individuals without a known left or right flank."""
    lacking: dict[str, list[str]] = defaultdict(list)
    named = grouped([a for a in patient.data.annotations if is_name(a.individual)], lambda a: a.individual or "")
    for name, rows in named.items():
        parts = {a.body_part for a in rows}
        missing = [part for part in FLANKS if part not in parts]
        if len(missing) == 2:
            lacking["no flank named"].append(name)
        elif missing:
            lacking[f"no {missing[0].replace('_', ' ')}"].append(name)
    if lacking:
        cases = [f"{printable(name)}: {what}" for what, names in sorted(lacking.items()) for name in names]
        text = (
            f"{counted(len(cases), 'individual')} of {len(named)} without both flanks: photos of the other flank "
            "cannot be identified"
        )
        about = [a for names in lacking.values() for name in names for a in named[name]]
        yield patient.finding("one-flank", HINT, text, cases, about)
    animals = [a for a in patient.data.annotations if _shows_animal(a)]
    unknown = [a for a in animals if a.body_part == "unknown" and not a.found]
    if unknown:
        text = (
            f"{counted(len(unknown), 'annotation')} of {len(animals)} "
            f"{verb(len(unknown), 'has', 'have')} no body part: {verb(len(unknown), 'it is', 'they are')} compared "
            "with both flanks"
        )
        yield patient.finding("body-part-unknown", HINT, text, _paths(unknown), unknown, count=len(unknown))


def _without_box(patient: Patient) -> Iterator[Finding]:
    """Yield a finding on annotations without a box or mask of the catalog. Photos that show no animal need none."""
    animals = [a for a in patient.data.annotations if _shows_animal(a)]
    bare = [a for a in animals if not a.found and a.own_box is None and not a.mask]
    if bare:
        found = sum(a.bbox is not None for a in bare)
        text = (
            f"{counted(len(bare), 'annotation')} of {len(animals)} {verb(len(bare), 'has', 'have')} "
            "no box or mask" + (f" ({found} of them a box that snowmatch found)" if found else "")
        )
        species = sorted({species_key(a.species) for a in animals} - {"", NOTHING})
        about = {"count": len(bare), "found": found, "species": species}
        yield patient.finding("no-box", HINT, text, _paths(bare), bare, **about)


def _paths(rows: Sequence[Annotation]) -> list[str]:
    return list(dict.fromkeys(a.path for a in rows))
