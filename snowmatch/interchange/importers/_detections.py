"""The rows of detectors' results: one for each animal that is sure enough. MegaDetector and SpeciesNet share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from snowmatch.catalog.species import NO_ANIMAL, NOTHING, PEOPLE, label_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.interchange.importers._values import (
    by_levels,
    folders_above_places,
    place_folders,
    places_read,
    station_levels,
    third_level,
    with_persons,
)
from snowmatch.screening.result_parts import ObjectResult, PhotoResult, Species
from snowmatch.screening.results import read_results

LIKELY = 0.5  # a species with this probability is written down


def levels_of(text: str) -> tuple[str, ...]:
    """Return the columns that folders fill, from a text such as `location/station`. Raises ValueError."""
    known = ("location", "station", "camera", "individual", "body_part", "-")
    levels = tuple(part.strip() for part in text.split("/")) if text else ()
    for level in levels:
        if level not in known:
            raise ValueError(f"folders is {text!r}, expected names of {', '.join(known)} with / between them")
    return levels


def rows_of_results(source: Path, program: str, threshold: float, species: str, folders: str, empty: bool) -> Imported:
    """Return a row for each animal in a file of results.

    program: what wrote the file. threshold: the lowest confidence. species: if not empty, only animals with this
    species. folders: what the photos' folders mean; "" for the usual. empty: photos without an animal get a row too,
    with the species `nothing`. Raises as `read_results` does.
    """
    results = read_results(source)
    if results.program != program:
        raise SnowmatchError(f"{source} is of {results.program}, expected {program}: leave the format out")
    rows: list[ImportedRow] = []
    left_out: Counter[str] = Counter()
    unsure, failed, persons = [], [], []
    levels = levels_of(folders)
    skip = folders_above_places(results.photos, levels)
    third = third_level(place_folders(file)[skip:] for file in results.photos)
    read: Counter[tuple[str, ...]] = Counter()
    for file, photo in results.photos.items():
        if photo.failure:
            failed.append(file)
            continue
        animals = [one for one in photo.detections if one.label.lower() == "animal"]
        sure = [one for one in animals if one.confidence >= threshold]
        real = [one for one in sure if not _is_none(_named(one, photo))]
        kept = [one for one in real if not species or _named(one, photo).lower() == species.strip().lower()]
        others = {one.label.lower() for one in photo.detections if one.confidence >= threshold} - {"animal"}
        others |= {name for one in sure if (name := _named(one, photo).lower()) in NO_ANIMAL}
        others = {"person" if name in PEOPLE else name for name in others}
        persons += [file] if kept and "person" in others else []
        above = place_folders(file, levels)[skip:] if kept or empty else []
        used = levels or station_levels(above, third)
        place = by_levels(above, used)
        if kept:
            read[used if above else ()] += 1
        made = {row.source_id: row for one in reversed(kept) for row in [_row(file, one, photo, place)]}
        if twice := len(kept) - len(made):
            left_out["boxes that are in one photo twice"] += twice  # the surest of them stays
        rows += reversed(made.values())
        if not kept:
            others |= {"person"} if {name.lower() for name in _likely(photo.species)} & PEOPLE else set()
            what = "photos of other species" if real else f"photos of a {min(others)}" if others else "empty photos"
            if empty and what == "empty photos":
                rows.append(ImportedRow(file, file, {**place, "species": "nothing"}, where=f"photo {file}"))
            else:
                left_out[what] += 1
                unsure += [file] if animals and not sure else []
    notes = list(results.notes)
    if not levels:
        first = max(rows, key=lambda row: len(row.cells), default=ImportedRow("", ""))
        notes += places_read(read, first.photo, first.cells)
    if unsure:
        text = (
            f"{counted(len(unsure), 'photo')} with animals below the confidence {threshold:g} left out: {some(unsure)}"
        )
        notes.append(Note("below-threshold", text, {"count": len(unsure)}))
    notes += with_persons(persons)
    if failed:
        text = f"{counted(len(failed), 'photo')} that {program} could not read left out: {some(failed)}"
        notes.append(Note("photos-failed-there", text, {"count": len(failed)}))
    every = tuple((file, ()) for file in results.photos)
    return Imported(tuple(rows), (source.parent,), notes=tuple(notes), left_out=dict(left_out), photos=every)


def _row(file: str, one: ObjectResult, photo: PhotoResult, place: dict[str, str]) -> ImportedRow:
    where = ",".join(f"{number:.4g}" for number in one.box)
    cells = {**place, "detector_confidence": f"{one.confidence:.4g}"}
    if name := _named(one, photo):
        cells["species"] = name
    return ImportedRow(file, f"{file}#{where}", cells, one.box, "share", photo.image_size, f"photo {file}")


def _named(one: ObjectResult, photo: PhotoResult) -> str:
    """Return the likeliest species of an object, or of its photo; "" if none is likely."""
    return next(iter((*_likely(one.species), *_likely(photo.species))), "")


def _likely(species: Sequence[Species]) -> list[str]:
    return [each.name for each in species[:1] if each.probability >= LIKELY]


def _is_none(species: str) -> bool:
    return label_of(species) == NOTHING or species.lower() in NO_ANIMAL
