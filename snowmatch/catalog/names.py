"""Notes on names that are probably mistakes."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable

from snowmatch.catalog.table import UNIDENTIFIED, Fields
from snowmatch.core.home import CSV_NAME
from snowmatch.core.notes import Note
from snowmatch.core.text import some

UNNAMED = "unnamed "  # the beginning of what stands for an individual without a name
# Usual texts for an animal without a name
_NO_NAMES = {"unknown", "unidentified", "unid", "unk", "none", "nan", "null", "na", "n/a", "?", "-", "new", "tbd"}
_NO_NAMES |= {"#n/a", "#name?", "#ref!", "#value!", "#н/д", "#имя?", "#ссылка!", "#знач!"}  # errors of a spreadsheet
_NO_NAMES |= {"неизвестно", "неизвестен", "неизвестна", "неизвестный", "неизвестная", "не известно", "нет", "н/д"}
# The same as the first word of several, such as "unknown male"; with a number, a name may stand for one animal
_NO_NAMES_OF_KIND = {"unknown", "unidentified", "unidentifiable", "unid", "неизвестный", "неизвестная", "неизвестное"}
# Cyrillic letters that look like Latin ones, in lower case or as capitals
_LOOK_ALIKE = str.maketrans("аеорсухікмтнв", "aeopcyxikmthb")
# What a spreadsheet makes of names such as 1-2, MAR1 and 123456789012. It writes no month in capitals: SEP-01 is a name
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_REWRITTEN = re.compile(rf"\d{{1,2}}-({_MONTHS})|({_MONTHS})-\d\d|\d{{4}}-\d\d-\d\d 00:00:00|\d([.,]\d+)?E\+\d+")
_CAMERA_FOLDER = re.compile(r"DCIM|\d{3}[A-Z0-9_]{5}", re.IGNORECASE)  # 100RECNX. Source: DCF 2.0


def name_notes(rows: Iterable[Fields]) -> list[Note]:
    """Return notes on individuals with names such as "unknown" or "unnamed 1", and on names that probably mean the
    same; none if all are fine.
    """
    rows = list(rows)
    notes = []
    individuals = sorted({fields["individual"] for fields in rows if fields.get("individual")})
    if doubtful := [name for name in individuals if _is_no_name(name)]:
        text = (
            f"{some(doubtful)} is read as the name of one animal; for unidentified animals leave the cell in "
            f"{CSV_NAME} empty, or use the folder {UNIDENTIFIED}"
        )
        notes.append(Note("doubtful-names", text, {"names": doubtful}))
    if reserved := [name for name in individuals if name.startswith(UNNAMED)]:
        text = (
            f"{some(reserved)}: names that begin with {UNNAMED!r} stand for animals without a name, so some numbers "
            f"count these individuals and others do not; give them other names, or leave the cell in {CSV_NAME} empty"
        )
        notes.append(Note("unnamed-names", text, {"names": reserved}))
    if folders := [name for name in individuals if _CAMERA_FOLDER.fullmatch(name)]:
        text = f"{some(folders)} looks like a camera's folder, and is read as the name of one animal"
        notes.append(Note("camera-folders", text, {"names": folders}))
    for column in ("individual", "station"):
        names = {fields[column] for fields in rows if fields.get(column)}
        if rewritten := sorted(name for name in names if _REWRITTEN.fullmatch(name)):
            text = (
                f"{column}s called {some(rewritten)}: a spreadsheet has probably made a date or a rounded number of "
                "the name, maybe the same one of several; correct it, and format the column as text"
            )
            notes.append(Note(f"{column}s-rewritten", text, {"names": rewritten}))
    if together := _together(individuals):
        text = (
            f"{some(together)}: a name of its own, although a part of it is that of an individual; if it means several "
            f"animals, give each its own row in {CSV_NAME}, with its box"
        )
        notes.append(Note("individuals-together", text, {"names": together}))
    columns = (("individual", "individuals"), ("location", "locations"), ("station", "stations"))
    for column, plural in columns:
        names = {fields[column] for fields in rows if fields.get(column)}
        if alike := alike_names(names):
            pairs = [", ".join(map(repr, group)) for group in alike]
            text = f"{plural} with nearly the same name count as different: {'; '.join(pairs[:5])}"
            if len(pairs) > 5:
                text += f" and {len(pairs) - 5} more"
            notes.append(Note(f"{plural}-alike", text, {"names": alike}))
    notes += _several_locations(rows)
    return notes


def _together(individuals: Collection[str]) -> list[str]:
    """Return names that list others, such as "Aika, Berk", "Aika + cub" or "Aika и Берк"."""
    known = set(individuals)
    return [
        name
        for name in individuals
        if len(parts := re.split(r"\s*[,;+&]\s*|\s+(?:and|with|и|с)\s+", name)) > 1 and known.intersection(parts)
    ]


def _is_no_name(name: str) -> bool:
    word = name.lower()
    kind = re.split(r"[\W_]+", word)[0] in _NO_NAMES_OF_KIND and not re.search(r"\d", word)
    return word in _NO_NAMES or kind


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Return groups of names that differ only in case, blanks, marks, accents, leading zeros, or in Cyrillic letters
    that look like Latin ones.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[_bare(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _bare(name: str) -> str:
    text = unicodedata.normalize("NFKD", name).casefold().translate(_LOOK_ALIKE)
    text = "".join(c for c in text if c.isalnum())
    return re.sub(r"\d+", lambda match: str(int(match[0])), text) or name


def _several_locations(rows: Iterable[Fields]) -> list[Note]:
    """Return a note on individuals in several locations: the same name is one animal."""
    places: dict[str, set[str]] = defaultdict(set)
    for fields in rows:
        if fields.get("individual") and fields.get("location"):
            places[fields["individual"]].add(fields["location"])
    spread = sorted(name for name, where in places.items() if len(where) > 1)
    if not spread:
        return []
    listed = some([f"{name} ({', '.join(sorted(places[name]))})" for name in spread])
    text = f"individuals with photos in several locations are one animal each: {listed}"
    return [Note("individuals-in-several-locations", text, {"individuals": spread})]
