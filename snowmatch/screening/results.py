"""Results of other programs: MegaDetector and SpeciesNet. They are read, paired with photos, and put into pixels."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.core.boxes import pixel_box
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, same_name, some
from snowmatch.core.types import Detection
from snowmatch.screening.result_parts import BadValueError, ObjectResult, PhotoResult, Results, Species, Tally
from snowmatch.screening.results_megadetector import is_megadetector, read_megadetector
from snowmatch.screening.results_speciesnet import is_speciesnet, read_speciesnet

__all__ = [
    "TEXTS",
    "ObjectResult",
    "Paired",
    "PhotoResult",
    "Results",
    "Species",
    "Tally",
    "detections_of",
    "for_photos",
    "read_results",
]
SAME_SHAPE = 0.02  # two sizes are of one shape if width / height differs by less: copies are scaled to whole pixels
BEYOND = 0.01  # a box that reaches further beyond the photo is noted, as a share of the photo
TEXTS = {  # what `detections_of` counts
    "empty-boxes": ("detection", "without an area left out"),
    "boxes-beyond-photo": ("detection", "cut off at the edge; check that it is this photo"),
    "results-turned": ("photo", "turned in the results, boxes left out; run the program again on upright photos"),
    "results-of-other-size": (
        "photo",
        "of another shape in the results, boxes left out; check that it is this photo",
    ),
}


@dataclass(frozen=True)
class Paired:
    """The results for photos of a catalog, by the path of the photo. notes: what has no partner, or several."""

    photos: Mapping[str, PhotoResult]
    notes: tuple[Note, ...]


def read_results(path: Path) -> Results:
    """Read a file of results: MegaDetector's batch results 1.0 to 1.6, or `predictions.json` of SpeciesNet 4 or 5.

    A file without photos gives results without photos. The order of the photos in the file does not matter. Raises
    SnowmatchError if the file cannot be read, is of another or a later format, or has a value that is not possible.
    """
    data = _json(Path(path))
    try:
        if isinstance(data, dict) and is_speciesnet(data):
            about, photos, notes = read_speciesnet(data)
        elif isinstance(data, dict) and is_megadetector(data):
            about, photos, notes = read_megadetector(data)
        else:
            raise BadValueError(_other(data))
    except BadValueError as error:
        raise SnowmatchError(f"{path}: {error}") from error
    once, repeated = _once(photos)
    return Results(**about, photos=once, notes=(*notes, *repeated))


def for_photos(results: Results, paths: Sequence[str]) -> Paired:
    """Return the results of the photos of a catalog.

    paths: of the photos, relative to the catalog, with forward slashes. A result belongs to the photo with the same
    path. Otherwise, a result and a photo belong together if the path of one ends with the whole path of the other, and
    neither fits anything else. All others are listed in notes. No results give no pairs. Raises SnowmatchError if there
    are results, but not for any of the photos.
    """
    files, photos = _by_key(results.photos), _by_key(dict.fromkeys(paths))
    partners = _partners(photos, files)
    if files and photos and not partners:
        raise SnowmatchError(
            f"none of the {counted(len(results.photos), 'photo')} in the results is in the catalog: they are of "
            f"{min(results.photos)!r}, the catalog has {min(paths)!r}; choose the results of these photos"
        )
    fits = Counter(file for found in partners.values() for file in found)
    paired: dict[str, PhotoResult] = {}
    doubtful: list[str] = []
    for key, found in partners.items():
        if len(found) == len(photos[key]) == len(files[found[0]]) == fits[found[0]] == 1:
            paired[photos[key][0]] = results.photos[files[found[0]][0]]
        else:
            doubtful += photos[key]
    unused = [name for key, found in files.items() if key not in fits for name in found]
    empty = bool(unused) and not any(results.photos[name].detections for name in unused)
    left_out = {
        "results-ambiguous": (
            "of the catalog without a result, because several photos or results fit the name",
            doubtful,
        ),
        "photos-without-result": (
            "of the catalog without a result",
            [path for key, found in photos.items() if key not in partners for path in found],
        ),
        "results-without-photo": (
            "of the results not in the catalog" + (", all without an animal" if empty else ""),
            unused,
        ),
    }
    notes = [
        Note(code, f"{counted(len(names), 'photo')} {text}: {some(sorted(names))}", {"count": len(names)})
        for code, (text, names) in left_out.items()
        if names
    ]
    return Paired({path: paired[path] for path in sorted(paired)}, tuple(notes))


def detections_of(result: PhotoResult, image_size: tuple[int, int], tally: Tally) -> tuple[Detection, ...] | None:
    """Return the objects of a result in pixels of the upright photo, by descending confidence.

    image_size: (width, height) of the upright photo. Boxes are cut off at its edge; boxes without an area are left out.
    None if the file gives the photo another shape: its boxes are of other pixels. `tally` counts all that, see TEXTS.
    """
    width, height = image_size
    given = result.image_size
    if given is not None and not _same_shape(given, image_size):
        code = "results-turned" if _same_shape(given[::-1], image_size) else "results-of-other-size"
        tally.add(code, f"{result.file} ({given[0]} x {given[1]} px, upright {width} x {height})")
        return None
    found = []
    for one in result.detections:
        x, y, w, h = one.box
        if min(x, y) < -BEYOND or max(x + w, y + h) > 1 + BEYOND:
            tally.add("boxes-beyond-photo", result.file)
        bbox = pixel_box(x * width, y * height, (x + w) * width, (y + h) * height, image_size)
        if bbox is not None:
            found.append(Detection(bbox, one.label, one.confidence))
        else:
            tally.add("empty-boxes", result.file)
    return tuple(sorted(found, key=lambda d: (-d.confidence, d.bbox, d.label)))


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SnowmatchError(f"{path} is not text in UTF-8, expected a JSON file: export the results again") from error
    except json.JSONDecodeError as error:
        raise SnowmatchError(
            f"{path} is not complete JSON ({error.msg}, line {error.lineno}, column {error.colno}): it may be half a "
            "file; export or copy it again"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or thousands of brackets
        raise SnowmatchError(f"{path} is not a file of results ({error}): export the results again") from error


def _other(data: object) -> str:
    """Return what a JSON file is that has no results that can be read."""
    expected = "expected MegaDetector's batch results or predictions.json of SpeciesNet"
    if not isinstance(data, dict):
        return f"it is a JSON {type(data).__name__}, {expected}"
    if {"images", "annotations", "categories"} <= set(data):
        return f"it is a COCO data set, {expected}"
    if "annotations" in data:
        return f"it looks like PytorchWildlife's own format, {expected}: save it for Timelapse instead"
    return f"it is another JSON file, with {some(sorted(map(repr, data))) or 'nothing in it'}, {expected}"


def _once(photos: Sequence[PhotoResult]) -> tuple[dict[str, PhotoResult], list[Note]]:
    """Return the photos by file name, sorted, and notes on names that occur several times."""
    every: dict[str, list[PhotoResult]] = defaultdict(list)
    for photo in photos:
        every[photo.file].append(photo)
    once = {name: every[name][0] for name in sorted(every) if all(p == every[name][0] for p in every[name])}
    if differing := sorted(set(every) - set(once)):
        text = f"{counted(len(differing), 'photo')} left out, because the results say different things of it"
        return once, [Note("results-contradict", f"{text}: {some(differing)}", {"count": len(differing)})]
    return once, []


def _by_key(names: Iterable[str]) -> dict[str, list[str]]:
    """Return file names by what is compared: with accents as one character, without "./" in front."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        found[same_name(name.replace("\\", "/")).removeprefix("./")].append(name)
    return dict(found)


def _partners(photos: Iterable[str], files: Iterable[str]) -> dict[str, list[str]]:
    """Return for each photo the files that fit it: the same path or, among the rest, paths that end with each other."""
    same = set(photos) & set(files)
    known, given = set(photos) - same, set(files) - same
    partners = {path: [path] for path in sorted(same)}
    fitting = [(photo, end) for photo in sorted(known) for end in _ends(photo) if end in given]
    fitting += [(end, file) for file in sorted(given) for end in _ends(file) if end in known]
    for photo, file in fitting:
        partners.setdefault(photo, []).append(file)
    return partners


def _ends(path: str) -> list[str]:
    """Return the ends of a path that begin after a slash: b/c and c for a/b/c."""
    parts = path.split("/")
    return ["/".join(parts[i:]) for i in range(1, len(parts))]


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    across, down = one[0] * other[1], one[1] * other[0]
    return abs(across - down) <= SAME_SHAPE * max(across, down)
