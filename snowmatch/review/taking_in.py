"""Photos of a watched folder become part of the catalog: copied or named where they lie, given a row, indexed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from snowmatch.api import Catalog
from snowmatch.catalog.folders import LAYOUTS, reads_as_body_part
from snowmatch.catalog.positions import is_position
from snowmatch.catalog.records import paths_with
from snowmatch.catalog.table import UNIDENTIFIED, is_unidentified
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, STATIONS_NAME, path_inside
from snowmatch.core.notes import Note
from snowmatch.core.plugins import make_plugin
from snowmatch.core.types import Annotation
from snowmatch.features.extractors import check_extractor
from snowmatch.identify.method import indexed_extractors
from snowmatch.review.adding import FOLDER, NewPhoto, add_photos, check_places, copied
from snowmatch.review.watched import ToAdd


@dataclass(frozen=True)
class TakenIn:
    """What became of photos that were to be added: their paths in the catalog, by content, and what failed.

    failed: path and reason, by content.
    """

    added: Mapping[str, str]
    failed: Mapping[str, tuple[str, str]]


def check_can_add(folder: Path, watched: Path | None = None, station: str = "") -> None:
    """Raise SnowmatchError if photos cannot be added to the catalog in `folder`, or to a station of this name.

    watched: the folder that they come from. Inside a catalog of folders it would name animals.
    """
    if not (folder / CSV_NAME).is_file() and (folder / EXCEL_NAME).exists():
        raise SnowmatchError(
            f"{folder / EXCEL_NAME} is a spreadsheet, and photos are added only to a {CSV_NAME}: save it as one"
        )
    inside = "" if watched is None or (folder / CSV_NAME).is_file() else path_inside(folder, str(watched))
    if inside and not any(is_unidentified(name) for name in Path(inside).parts):
        raise SnowmatchError(
            f"{watched} lies in a catalog of folders {LAYOUTS}: folders of photos there would be animals. "
            "Watch a folder outside of it"
        )
    if station and (not _folder_name(station) or is_position(station)):
        raise SnowmatchError(f"{station!r} cannot be the name of a station: expected a name such as S01")


def on_record(catalog: Catalog, sha256: str) -> list[Annotation]:
    """Return the annotations of a catalog whose photos have this content, with their names; [] if there are none."""
    paths = paths_with(catalog.folder, sha256)
    return [a for a in catalog.data.annotations if a.path in paths] if paths else []


def take_in(folder: Path, photos: Iterable[ToAdd]) -> TakenIn:
    """Add photos to the catalog in `folder`. What was added before is not added again, so that it can be repeated.

    A photo that lies in the catalog's folder is named by its path there; any other is copied. No photos add nothing.
    Raises SnowmatchError if the catalog cannot be written; what failed for one photo is in the result.
    """
    photos = list(photos)
    if not photos:
        return TakenIn({}, {})
    check_can_add(folder)
    if not folder.is_dir():
        raise SnowmatchError(f"{folder} does not exist any more: was it renamed, or its disk removed?")
    table = (folder / CSV_NAME).is_file()
    new: dict[str, NewPhoto] = {}
    failed: dict[str, tuple[str, str]] = {}
    for photo in photos:
        source = Path(photo.path)
        made = NewPhoto(source, source.name, photo.sha256, None, photo.body_part, photo.location, photo.station)
        try:
            check_places(photo.path, photo.location, photo.station)
            inside = path_inside(folder, photo.path)
            if inside and not source.is_file():
                raise SnowmatchError(f"{source} does not exist: put the file back")
            new[photo.sha256] = replace(made, inside=inside or copied(folder, FOLDER if table else _place(photo), made))
        except SnowmatchError as error:
            failed[photo.sha256] = photo.path, " ".join(str(error).split())
    if table and new:
        add_photos(folder, list(new.values()))
    added = {sha256: photo.inside for sha256, photo in new.items()}
    return TakenIn(added, failed)


def index_added(catalog: Catalog) -> tuple[tuple[tuple[str, str], ...], tuple[Note, ...]]:
    """Index what is new with the catalog's extractors that can be used here, and return what failed, and notes.

    Raises SnowmatchError if another run is at work or the catalog cannot be written.
    """
    failed: dict[str, str] = {}
    extractors, bare = extractors_here(catalog.folder)
    notes = [*bare]
    for name, options in extractors:
        report = catalog.index(name or None, options, workers=1)
        failed.update(report.failed)
        notes += report.notes
    return tuple(sorted(failed.items())), tuple(notes)


def extractors_here(folder: Path) -> tuple[list[tuple[str, dict[str, str]]], list[Note]]:
    """Return the extractors of the catalog in `folder` that this computer can run, and notes on the others.

    One may be there several times, with other settings. "" is the default one of a catalog without features. Raises
    SnowmatchError if there are some and none of them can be run.
    """
    found: list[tuple[str, dict[str, str]]] = []
    notes: list[Note] = []
    errors: list[SnowmatchError] = []
    for name, options in indexed_extractors(folder):
        try:
            check_extractor(make_plugin("extractors", name, options))
        except SnowmatchError as error:  # a package or weights are missing: the others need not wait for them
            errors.append(error)
            text = f"new photos are not indexed with the extractor {name}, which cannot be used here: {error}"
            notes.append(Note("extractor-not-here", text, {"extractor": name}))
            continue
        found.append((name, options))
    if errors and not found:
        raise errors[0]
    return found or [("", {})], notes


def _place(photo: ToAdd) -> str:
    """Return the folder of a photo in a catalog of folders. Raises SnowmatchError if its places cannot be one."""
    if photo.station and not photo.location:
        raise SnowmatchError(
            f"{photo.path} is of the station {photo.station}, but of no known location; this catalog is made of "
            f"folders {LAYOUTS}: name its location in {STATIONS_NAME} of the catalog, or, if several locations have "
            "such a station, watch for one location"
        )
    places = [name for name in (photo.location, photo.station) if name]
    if bad := next((name for name in places if not _folder_name(name)), ""):
        raise SnowmatchError(f"{photo.path}: {bad!r} cannot be the name of a folder: rename it")
    part = photo.body_part or "unknown"
    # Below a place that is called like a body part, a photo needs a folder of its own one
    bare = part == "unknown" and not any(reads_as_body_part(name) for name in places)
    return "/".join([*places, UNIDENTIFIED, *([] if bare else [part])])


def _folder_name(name: str) -> bool:
    return not (name.startswith((".", "_")) or set(name) & set('/\\:*?"<>|\0') or name != name.strip())
