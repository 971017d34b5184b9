"""Wildbook: the sheet of its bulk import, one row an encounter. Source: WildMeOrg/wildbook-docs, bulk import."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import ClassVar

from snowmatch.core.text import transliterated
from snowmatch.interchange.exporters._names import genus_and_epithet
from snowmatch.interchange.exporting import Export
from snowmatch.survey.tables import event_id, to_csv

BATCH = 200  # rows of one import that Wildbook recommends
DIGEST = 8  # hexadecimal digits that tell photos with equal names apart


@dataclass(frozen=True)
class Wildbook:
    """Sheets for the bulk import of a Wildbook, at most 200 rows each.

    location: the locationID of that Wildbook; it has to exist there; empty: the catalog's location. submitter: the
    user's name there, in its exact spelling. species: genus and epithet where the catalog has none, or one
    common name for all.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"

    location: str = ""
    submitter: str = ""
    species: str = "Panthera uncia"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return wildbook-1.csv and so on, and photos.csv if photos have names that Wildbook does not take."""
        survey = given.survey
        given.need_captures()
        given.only_captures()
        names = {c: [path.rpartition("/")[2] for path in c.photos] for c in survey.seen}
        often = Counter(_bare(path.rpartition("/")[2]) for path in {path for c in survey.seen for path in c.photos})
        bad = sorted({n for own in names.values() for n in own if not re.fullmatch(r"[A-Za-z0-9. ]+", n)})
        twice = sorted({n for own in names.values() for n in own if often[_bare(n)] > 1})
        rename = _assets(path for c in survey.seen for path in c.photos) if bad or twice else {}
        species = genus_and_epithet(given, self.species)
        degrees, places = given.degrees, {p.label: p for p in survey.places}
        sightings = _identifiers(event_id(c) for c in survey.seen)
        most = max((len(own) for own in names.values()), default=0)
        rows: list[dict[str, object]] = []
        for c in survey.seen:
            own = survey.data.annotations[c.rows[0]]
            row: dict[str, object] = {
                "Encounter.genus": species[c][0],
                "Encounter.specificEpithet": species[c][1],
                "Encounter.year": c.start.year,
                "Encounter.month": c.start.month,
                "Encounter.day": c.start.day,
                "Encounter.hour": None if c.dated else c.start.hour,
                "Encounter.minutes": None if c.dated else c.start.minute,
                "Encounter.locationID": self.location or places[c.place].location or own.location or c.place,
                "Encounter.verbatimLocality": c.place,
                "MarkedIndividual.individualID": c.individual,
                "Encounter.sightingID": sightings[event_id(c)],
                "Encounter.otherCatalogNumbers": event_id(c),
                "Encounter.state": "unapproved",
                "Encounter.sex": c.sex,
                "Encounter.lifeStage": c.age_class,
                "Encounter.submitterID": self.submitter,
            }
            if c.place in degrees:
                row |= {"Encounter.decimalLatitude": degrees[c.place][1]}
                row |= {"Encounter.decimalLongitude": degrees[c.place][0]}
            for n in range(most):
                path = c.photos[n] if n < len(c.photos) else ""
                row[f"Encounter.mediaAsset{n}"] = rename.get(path, path.rpartition("/")[2])
            rows.append(row)
        head = [
            h
            for h in dict.fromkeys(key for row in rows for key in row)
            if any(row.get(h) not in (None, "") for row in rows)
        ]
        files = {
            f"wildbook-{n // BATCH + 1}.csv": to_csv((head, [[r.get(h) for h in head] for r in rows[n : n + BATCH]]))
            for n in range(0, len(rows), BATCH)
        }
        if rename:  # the photos have to be uploaded under these names
            files["photos.csv"] = to_csv((("path", "upload_as"), [(a, b) for a, b in sorted(rename.items())]))
        return files


def _assets(paths: Iterable[str]) -> dict[str, str]:
    """Return a name of letters, digits, full stops and blanks for each photo, all different for Wildbook.

    It is the path in Latin letters. Where that tells photos not apart, a digest of the path is added: so an export of
    more photos never gives a name to another photo.
    """
    found = {path: re.sub(r"[^A-Za-z0-9.]+", " ", transliterated(path)).strip() for path in paths}
    often = Counter(map(_bare, found.values()))
    for path, name in found.items():
        stem, dot, ending = name.rpartition(".")
        if often[_bare(name)] > 1 or not stem.strip():
            found[path] = f"{stem} {sha256(path.encode()).hexdigest()[:DIGEST]}{dot}{ending}".strip()
    return found


def _bare(name: str) -> str:
    """Return what Wildbook compares of a photo's name."""
    return re.sub(r"\W", "", name.lower())


def _identifiers(events: Iterable[str]) -> dict[str, str]:
    """Return a name of small letters, digits, "_" and "-" for each event, all different."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for event in sorted(set(events)):
        plain = re.sub(r"[^a-z0-9_-]+", "-", transliterated(event).lower()).strip("-") or "sighting"
        names = (plain if n == 1 else f"{plain}-{n}" for n in count(1))
        found[event] = next(name for name in names if name not in used)
        used.add(found[event])
    return found


PLUGIN = Wildbook
