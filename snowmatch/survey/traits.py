"""Sex, age class and quality of annotations: what persons decided, and else what the catalog's table says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.further import read_further
from snowmatch.core.types import Annotation
from snowmatch.review.identities import Identities
from snowmatch.review.traits import traits_of

HEADINGS = {
    "sex": ("sex", "gender"),
    "age_class": ("age_class", "age class", "age", "lifestage", "life_stage"),
    "quality": ("quality",),
}
_SEX = {
    **dict.fromkeys(("f", "female", "самка", "ж"), "female"),
    **dict.fromkeys(("m", "male", "самец", "м"), "male"),
}
_UNKNOWN = {"", "u", "unk", "unknown", "na", "n/a", "?", "nan", "none"}
ByRow = dict[str, dict[int, str]]  # sex, age_class or quality -> row of the annotation -> value


@dataclass(frozen=True)
class SurveyTraits:
    """said: what persons decided; `unknown` is a value. known: the same where it was decided, else what the table says;
    what is unknown is not in it. unread: texts of the table's column of sexes that are no sex.
    """

    said: Mapping[str, Mapping[int, str]]
    known: Mapping[str, Mapping[int, str]]
    unread: tuple[str, ...] = ()


def survey_traits(folder: Path, annotations: Sequence[Annotation], identities: Identities | None) -> SurveyTraits:
    """Return sex, age class and quality of annotations.

    A sex that was decided is of the whole individual, and the last one counts. identities: None reads the table alone.
    """
    said = {} if identities is None else _said(annotations, identities)
    told = _told(folder, annotations)
    known = _known(told)
    for name, values in said.items():
        known[name] = {row: v for row, v in {**known[name], **values}.items() if v not in _UNKNOWN}
    return SurveyTraits(said, known, tuple(sorted({*told["sex"].values()} - _UNKNOWN - {*_SEX})))


def commonest(values: Mapping[int, str], rows: Iterable[int]) -> str:
    """Return the value that most of some annotations have, of several the first by name; "" if none has one."""
    given = Counter(values[row] for row in rows if row in values)
    return min(given, key=lambda value: (-given[value], value), default="")


def read_traits(folder: Path, annotations: Sequence[Annotation]) -> ByRow:
    """Return the values of HEADINGS of annotations, by row, from further columns of the catalog's table.

    A catalog without a table, or without these columns, gives empty values.
    """
    return _known(_told(folder, annotations))


def _told(folder: Path, annotations: Sequence[Annotation]) -> ByRow:
    """Return the texts of the table, in small letters."""
    further = {heading.lower(): values for heading, values in read_further(folder, annotations).items()}
    found: ByRow = {}
    for name, words in HEADINGS.items():
        texts = next((further[word] for word in words if word in further), {})
        found[name] = {row: text.lower() for row, text in texts.items()}
    return found


def _known(told: ByRow) -> ByRow:
    found: ByRow = {}
    for name, texts in told.items():
        values = {row: _SEX.get(v, "") if name == "sex" else v for row, v in texts.items()}
        found[name] = {row: v for row, v in values.items() if v not in _UNKNOWN}
    return found


def _said(annotations: Sequence[Annotation], identities: Identities) -> ByRow:
    """Return what decisions say. annotations: with the names that count; those of `identities` have the identifiers."""
    traits = traits_of(identities.rows)
    name_of = {a.row: a.annotation for a in identities.annotations if a.annotation}
    quality = {row: traits.quality[name] for row, name in name_of.items() if name in traits.quality}
    animals: dict[tuple[str, str], list[int]] = defaultdict(list)
    for a in annotations:
        animals[("", a.individual) if a.individual is not None else (a.encounter, str(a.animal))].append(a.row)
    sex = {}
    for rows in animals.values():
        names = [name_of[row] for row in rows if name_of.get(row) in traits.sex]
        if names:
            last = max(names, key=lambda name: traits.sex_order[name])
            sex.update(dict.fromkeys(rows, traits.sex[last]))
    return {"sex": sex, "quality": quality}
