"""`predictions.json` of SpeciesNet 4 and 5.

Version 4 names the species of a photo, version 5 the species of each detection. Source: the README of
google/cameratrapai on GitHub, "Output format", and that of the package speciesnet 5.0.6.
"""

from __future__ import annotations

from collections.abc import Mapping

from snowmatch.core.notes import Note
from snowmatch.core.types import label_of
from snowmatch.screening.result_parts import (
    BadValueError,
    ObjectResult,
    PhotoResult,
    Species,
    Tally,
    by_confidence,
    file_of,
    objects,
    relative_box,
    share,
    table_of,
    text_of,
)

NEWEST = "20261015"  # the version of the format that SpeciesNet 5 writes; version 4 writes none
LABELS = {"1": "animal", "2": "person", "3": "vehicle"}
WHOLE = "0"  # the category of the whole photo: it has species, but it is no object
TEXTS = {
    "parts-failed": ("photo", "for which SpeciesNet found objects, but its other parts failed"),
    "unknown-categories": ("detection", "left out, because it has neither a label nor a known category"),
}


def is_speciesnet(data: Mapping[str, object]) -> bool:
    """Return whether a JSON object has the keys of SpeciesNet's predictions."""
    return isinstance(data.get("predictions"), list)


def read_speciesnet(data: Mapping[str, object]) -> tuple[dict[str, str], list[PhotoResult], list[Note]]:
    """Return what is said of all photos, the photos, and notes. Raises BadValueError if a value is not possible.

    The species are the final answer of SpeciesNet if there is one, otherwise what its classifier says.
    """
    version = _version(table_of(data.get("info"), "info").get("format_version"))
    tally, photos, models = Tally(), [], set()
    for number, entry in enumerate(objects(data["predictions"], "predictions")):
        try:
            file = file_of(entry, "filepath")
        except BadValueError as error:
            raise BadValueError(f"photo {number + 1}: {error}") from error
        try:
            photos.append(_photo(file, entry, tally))
        except BadValueError as error:
            raise BadValueError(f"photo {file}: {error}") from error
        models.add(str(entry.get("model_version") or ""))
    model = ", ".join(f"SpeciesNet {m}" for m in sorted(models - {""}))
    about = {"program": "SpeciesNet", "version": version, "detector": model, "classifier": model}
    return about, photos, tally.notes(TEXTS)


def _photo(file: str, entry: Mapping[str, object], tally: Tally) -> PhotoResult:
    failures = entry.get("failures") or []
    if not isinstance(failures, list):
        raise BadValueError(f"failures is {failures!r}, expected a list")
    failed = ", ".join(map(str, failures))
    species = _final(entry.get("prediction"), entry.get("prediction_score")) or _listed(entry.get("classifications"))
    given = entry.get("detections")
    if given is None or "DETECTOR" in failures:
        failure = f"failed: {failed}" if failed else "the results have no detections for it"
        return PhotoResult(file, failure=failure, species=species)
    if failed:
        tally.add("parts-failed", file)
    found = []
    for one in objects(given, "detections"):
        box, confidence = relative_box(one.get("bbox")), share(one.get("conf"), "conf")
        final = table_of(one.get("processed_classification"), "processed_classification")
        named = _final(final.get("class"), final.get("score")) or _listed(one.get("raw_classifications"))
        category, label = str(one.get("category")), one.get("label")
        if category == WHOLE:
            species = species or named
        elif isinstance(label, str) and label.strip():
            found.append(ObjectResult(box, label_of(label), confidence, named))
        elif category in LABELS:
            found.append(ObjectResult(box, LABELS[category], confidence, named))
        else:
            tally.add("unknown-categories", file)
    return PhotoResult(file, by_confidence(found), species=species)


def _final(name: object, score: object) -> tuple[Species, ...]:
    return () if name is None else (_species(name, score),)


def _listed(value: object) -> tuple[Species, ...]:
    part = table_of(value, "classifications")
    names, scores = part.get("classes") or [], part.get("scores") or []
    if not isinstance(names, list) or not isinstance(scores, list) or len(names) != len(scores):
        raise BadValueError("classes and scores are expected as two lists of one length")
    found = [_species(name, score) for name, score in zip(names, scores, strict=True)]
    return tuple(sorted(found, key=lambda s: -s.probability))


def _species(taxon: object, score: object) -> Species:
    """Return a species. taxon: "identifier;class;order;family;genus;species;common name", with empty parts."""
    text = text_of(taxon, "the class of a classification")
    parts = [part.strip() for part in text.split(";")]
    name = next((part for part in reversed(parts) if part), text)
    return Species(name, share(score, "the score of a classification"), text)


def _version(value: object) -> str:
    if value is None:
        return "4"
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == len(NEWEST)):
        raise BadValueError(f"format_version is {value!r}, expected that of SpeciesNet 5, such as {NEWEST!r}")
    if value > NEWEST:
        raise BadValueError(
            f"format_version is {value!r}, a later format; supported are SpeciesNet 4, and SpeciesNet 5 up to "
            f"{NEWEST!r}: get a newer snowmatch"
        )
    return value
