"""Batch results of MegaDetector, formats 1.0 to 1.6. AddaxAI and Timelapse use the same.

Source: "MegaDetector output format", https://lila.science/megadetector-output-format.
"""

from __future__ import annotations

import re
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
)

DESCRIPTIONS = "classification_category_descriptions"
OLDEST, NEWEST = (1, 0), (1, 6)
HIGHER = "are higher than those of later ones (0.8 there is like 0.2 later): choose the threshold with care"
NO_DETECTOR = Note(
    "detector-not-named",
    f"the results do not name their detector; that is so with MegaDetector 4, whose confidences {HIGHER}",
)
# megadetector_v4.1, md_v4.1.0.pb, or the version alone; not those of other detectors
BEFORE_5 = re.compile(r"(^v|(megadetector|(?<![a-z])md)[ _-]*v?)[1-4](?!\d)", re.IGNORECASE)
TEXTS = {
    "videos-in-results": ("video", "left out of the results"),
    "unknown-categories": ("detection", "left out, because the file does not list the category"),
    "unknown-species": ("classification", "left out, because the file does not list the category"),
    "failures-with-detections": ("photo", "failed but with detections, which are left out"),
}


def is_megadetector(data: Mapping[str, object]) -> bool:
    """Return whether a JSON object has the keys of MegaDetector's batch results."""
    return "images" in data and "detection_categories" in data


def read_megadetector(data: Mapping[str, object]) -> tuple[dict[str, str], list[PhotoResult], list[Note]]:
    """Return what is said of all photos, the photos, and notes. Raises BadValueError if a value is not possible.

    Of a video there is no result. A detection whose category the file does not list is no detection, as the format
    says.
    """
    info = table_of(data.get("info"), "info")
    about = {"program": "MegaDetector", "version": _version(info.get("format_version"))}
    metadata = table_of(info.get("detector_metadata", info.get("detection_metadata")), "detector_metadata")
    for key, value in (
        ("detector", info.get("detector") or metadata.get("megadetector_version")),
        ("classifier", info.get("classifier")),
    ):
        about[key] = "" if value is None else str(value)
    names = _names(data, "detection_categories")
    species = _names(data, "classification_categories")
    taxa = {number: str(text) for number, text in table_of(data.get(DESCRIPTIONS), DESCRIPTIONS).items()}
    tally, photos = Tally(), []
    for number, entry in enumerate(objects(data["images"], "images")):
        try:
            file = file_of(entry, "file")
        except BadValueError as error:
            raise BadValueError(f"photo {number + 1}: {error}") from error
        if entry.get("frame_rate") is not None or entry.get("frames_processed") is not None:
            tally.add("videos-in-results", file)
            continue
        try:
            photos.append(_photo(file, entry, names, species, taxa, tally))
        except BadValueError as error:
            raise BadValueError(f"photo {file}: {error}") from error
    return about, photos, [*_notes_on(about["detector"]), *tally.notes(TEXTS)]


def _notes_on(detector: str) -> list[Note]:
    """Return a note on a detector whose confidences mean something else, or that is not named."""
    if not detector:
        return [NO_DETECTOR]
    if BEFORE_5.search(detector) is None:
        return []
    text = f"the results are of {detector}: the confidences of MegaDetector before version 5 {HIGHER}"
    return [Note("detector-before-5", text, {"detector": detector})]


def _photo(
    file: str,
    entry: Mapping[str, object],
    names: Mapping[str, str],
    species: Mapping[str, str],
    taxa: Mapping[str, str],
    tally: Tally,
) -> PhotoResult:
    size, given = _size(entry), entry.get("detections")
    if failure := entry.get("failure"):
        if given:
            tally.add("failures-with-detections", file)
        return PhotoResult(file, failure=str(failure), image_size=size)
    if given is None:
        return PhotoResult(file, failure="the results have no detections for it", image_size=size)
    found = []
    for one in objects(given, "detections"):
        box, confidence = relative_box(one.get("bbox")), share(one.get("conf"), "conf")
        category = str(one.get("category"))
        if category not in names:
            tally.add("unknown-categories", file)
            continue
        found.append(ObjectResult(box, names[category], confidence, _species(file, one, species, taxa, tally)))
    return PhotoResult(file, by_confidence(found), image_size=size)


def _species(
    file: str, one: Mapping[str, object], species: Mapping[str, str], taxa: Mapping[str, str], tally: Tally
) -> tuple[Species, ...]:
    pairs = one.get("classifications") or []
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise BadValueError(f"classifications is {pairs!r}, expected pairs of a category and a confidence")
    found = []
    for category, value in pairs:
        probability = share(value, "confidence of a classification")
        if str(category) in species:
            found.append(Species(species[str(category)], probability, taxa.get(str(category), "")))
        else:
            tally.add("unknown-species", file)
    return tuple(sorted(found, key=lambda s: -s.probability))


def _names(data: Mapping[str, object], key: str) -> dict[str, str]:
    names = table_of(data.get(key), key)
    if not all(isinstance(name, str) for name in names.values()):
        raise BadValueError(f"{key} is {names!r}, expected names by number")
    return {number: label_of(str(name)) or f"category {number}" for number, name in names.items()}


def _version(value: object) -> str:
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    parts = re.fullmatch(r"(\d{1,4})(?:\.(\d{1,4}))?", text.strip(), re.ASCII)
    supported = f"supported are {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    if parts is None:
        raise BadValueError(f"format_version is {value!r}, expected the version of MegaDetector's format; {supported}")
    version = (int(parts[1]), int(parts[2] or 0))
    if version > NEWEST:
        raise BadValueError(f"format_version is {value!r}, a later format; {supported}: get a newer snowmatch")
    if version < OLDEST:
        raise BadValueError(f"format_version is {value!r}, an earlier format; {supported}: run MegaDetector again")
    return f"{version[0]}.{version[1]}"


def _size(entry: Mapping[str, object]) -> tuple[int, int] | None:
    width, height = entry.get("width"), entry.get("height")
    if width is None and height is None:
        return None
    if type(width) is int and type(height) is int and width > 0 and height > 0:
        return (width, height)
    raise BadValueError(f"width and height are {width!r} and {height!r}, expected whole numbers above 0")
