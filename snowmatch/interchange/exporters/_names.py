"""Names that every program can read, and the tables that lead back to the names of the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from snowmatch.catalog.species import SNOW_LEOPARD, species_key
from snowmatch.core.notes import Note
from snowmatch.core.text import number_in, some, transliterated
from snowmatch.interchange.exporting import Export
from snowmatch.survey.captures import Capture
from snowmatch.survey.run import Survey
from snowmatch.survey.tables import to_csv

SEX = {"female": "F", "male": "M"}
SCIENTIFIC = {SNOW_LEOPARD: "Panthera uncia"}
SPECIES = "[A-Z][a-z]+( [a-z-]+){1,2}"  # a genus alone looks like a common name, such as Ibex
FAMILY = "[A-Z][a-z]+idae"
AUTHOR = r" \(?[A-Z][^()]*, [0-9]{4}\)?"


def safe_names(names: Iterable[str], most: int = 17, *, sign: str = ".", taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a name of letters, digits, `sign` and "-" for each name, at most `most` long, all different.

    None is NONE, which secr takes for no capture, or NA, which R takes for a missing value, or one of `taken`. sign:
    "." or "_", for all other characters.
    """
    found: dict[str, str] = {}
    used = {"none", "na", *taken}
    for name in sorted(set(names)):
        plain = re.sub(rf"[^A-Za-z0-9{sign}-]+", sign, transliterated(name)).strip(f"{sign}-")[:most] or "x"
        safe, n = plain, 2
        while safe.lower() in used:
            ending = f"{sign}{n}"
            safe, n = plain[: most - len(ending)] + ending, n + 1
        used.add(safe.lower())
        found[name] = safe
    return found


def session_names(survey: Survey) -> dict[str, str]:
    """Return a name for each session whose order is the same in every program: numbers, or s01., s02., ... in front."""
    names = [s.name for s in survey.sessions]
    if len(names) == 1:
        return safe_names(names)
    if all(re.fullmatch(r"[1-9]\d{0,8}", name) for name in names):
        return {name: name for name in sorted(names, key=int)}
    return {name: f"s{n + 1:02}.{safe}"[:17] for n, (name, safe) in enumerate(safe_names(names, 13).items())}


def numbers(names: Iterable[str]) -> dict[str, int]:
    """Return a number from 1 for each different name, in the order of the names."""
    return {name: n + 1 for n, name in enumerate(sorted(set(names)))}


def mapping_csv(**names: Mapping[str, object]) -> bytes:
    """Return a table of what stands for which name of the catalog. names: by what they are, such as individual."""
    rows: list[Sequence[object]] = [
        (what, written, name) for what, mapping in names.items() for name, written in mapping.items()
    ]
    return to_csv((("what", "written_as", "name_in_catalog"), rows))


def plain_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table of safe names and numbers, without quotes; a negative number stays a number."""
    return "".join(",".join(map(str, row)) + "\n" for row in (head, *rows)).encode("ascii")


def sexes(captures: Iterable[Capture], unknown: str) -> dict[str, str]:
    """Return the sex of each individual as F or M, `unknown` for the others; {} if no sex is known."""
    found = {c.individual: SEX.get(c.sex, unknown) for c in captures}
    return found if set(found.values()) - {unknown} else {}


def scientific_names(given: Export, usual: str) -> dict[Capture, str]:
    """Return the scientific name of each capture, of a species or a family. usual: that where the catalog has none.

    A common name, such as ibex, gives none, and is noted as left out. But if all sightings have the same one, it is
    `usual`, unless that is the snow leopard. A common name of two words may look like a scientific one: a note tells
    what is written as one.
    """
    return _scientific(given, usual, rf"{SPECIES}({AUTHOR})?|{FAMILY}({AUTHOR})?")


def genus_and_epithet(given: Export, usual: str) -> dict[Capture, tuple[str, str]]:
    """Return the same as genus and epithet, without an author. The name of a family gives neither."""
    names = _scientific(given, usual, rf"{SPECIES}({AUTHOR})?")
    parts = {c: re.sub(rf"{AUTHOR}$", "", name).partition(" ") for c, name in names.items()}
    return {c: (genus, epithet) for c, (genus, _, epithet) in parts.items()}


def _scientific(given: Export, usual: str, pattern: str) -> dict[Capture, str]:
    told: dict[Capture, str] = {}
    for c in given.survey.seen:
        told[c] = next((text for row in c.rows if (text := given.survey.data.annotations[row].species)), "")
    names = {c: SCIENTIFIC.get(species_key(text), text) for c, text in told.items()}
    common = [name for name in names.values() if name and not re.fullmatch(pattern, name)]
    known = dict.fromkeys(common, "")
    if common and len({name.lower() for name in names.values()}) == 1 and usual not in SCIENTIFIC.values():
        known, common = dict.fromkeys(common, usual), []
    if alike := sorted({text for c, text in told.items() if text and text == names[c]} - known.keys()):
        text = f"written as scientific names, as they look like them: {', '.join(alike)}"
        given.notes.append(Note("names-as-scientific", text))
    why = f"may be no scientific names, which the format needs: {some(sorted(set(common)))}"
    given.leave_out(len(common), "species of a sighting", why, "species of sightings")
    return {c: known.get(name, name or usual) for c, name in names.items()}


def ages(captures: Iterable[Capture]) -> dict[str, str]:
    """Return the age class of each individual that has one only; {} if no age is known."""
    told: dict[str, set[str]] = {}
    for c in captures:
        if c.age_class:
            told.setdefault(c.individual, set()).add(c.age_class)
    return {name: next(iter(ages)) for name, ages in told.items() if len(ages) == 1}


def station_covariates(given: Export) -> list[str]:
    """Return the covariates that every station has a value of, sorted. The others are noted as left out."""
    places = given.survey.places
    whole = {name for p in places for name in p.traits if all(q.traits.get(name) for q in places)}
    partly = sorted({name for p in places for name, text in p.traits.items() if text} - whole)
    given.leave_out(len(partly), "covariate", f"some stations lack a value: {some(partly)}")
    return sorted(whole)


def covariate_words(values: Iterable[str]) -> dict[str, str]:
    """Return how each value of a covariate is written: a number with a decimal point, NA (not known) as NA, any other
    value as a word. Words are all different, and none is a number.
    """
    found: dict[str, str] = {}
    different = sorted(set(values))
    for value in different:
        plain = "NA" if value.strip().upper() == "NA" else number_in(value).upper()
        if plain:
            found[value] = plain
    words = safe_names((value for value in different if value not in found), 60)
    lead = "x" if any(map(number_in, words.values())) else ""  # "<1" is not 1
    return found | {value: lead + text for value, text in words.items()}


def covariate_names(headings: Mapping[str, str], values: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return for `mapping_csv` how headings of covariates are written, and the values that are written otherwise."""
    otherwise = {name: {v: text for v, text in own.items() if v != text} for name, own in values.items()}
    return {"covariate": {**headings}} | {f"covariate {name}": own for name, own in otherwise.items()}


def number_text(value: float) -> str:
    """Return a number without needless digits and never with an exponent."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
