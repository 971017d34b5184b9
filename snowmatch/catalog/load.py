"""The loading of a catalog: a table or nested folders become annotations, and every encounter gets a name.

The loading does not check whether photos exist: the index run reads them all and lists those that fail.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from snowmatch.catalog.animals import number_animals
from snowmatch.catalog.cells import CellError, RelativeBox, read_body_part
from snowmatch.catalog.copies import mark_passages
from snowmatch.catalog.encounters import group_shots, named_length_notes, place_name, unused
from snowmatch.catalog.folders import read_folders
from snowmatch.catalog.found import Found, load_found
from snowmatch.catalog.names import name_notes
from snowmatch.catalog.records import Fingerprint, Records
from snowmatch.catalog.screened import load_screened, seen_instead
from snowmatch.catalog.settings import CatalogSettings, SettingsOptions, chosen, load_settings
from snowmatch.catalog.shots import Shot
from snowmatch.catalog.table import Fields, read_table
from snowmatch.core.collection import without_collection
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import CSV_NAME, EXCEL_NAME
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, counted, did_you_mean, some
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.photos.facts import NO_FACTS, PhotoFacts, read_facts

# What a further animal in a photo has in common with the row of the photo
PLACED = ("path", "location", "station", "camera", "timestamp", "dated", "encounter", "split", "_photo")


@dataclass(frozen=True)
class CatalogData:
    """The annotations of the catalog in `folder`, in the order of the table, or sorted by path; notes on ignored or
    changed values.

    facts: of the photos that were indexed or looked at, by path. lent: by row, the name without the machine's joins, or
    None, where these alone give the row's name.
    """

    folder: Path
    annotations: tuple[Annotation, ...]
    notes: tuple[Note, ...]
    settings: CatalogSettings = field(default_factory=CatalogSettings)
    facts: Mapping[str, PhotoFacts] = field(default_factory=dict, repr=False)
    lent: Mapping[int, str | None] = field(default_factory=dict, repr=False)


@without_collection()
def load_catalog(folder: Path, records: Records | None = None, settings: SettingsOptions | None = None) -> CatalogData:
    """Return the catalog in `folder`, from its catalog.csv or catalog.xlsx if it has one, otherwise from its nested
    folders.

    records: the recorded facts of its photos; the header of another photo is read if it is needed. A record is trusted
    without a look at the file: a replaced photo has its old time until the next index run. settings: they replace the
    stored ones. Raises SnowmatchError if there is no catalog, or if a value is not allowed. Nothing is written.
    """
    folder = Path(folder)
    if not os.path.isdir(
        folder
    ):  # unlike Path.is_dir, it also works for names that are too long and for closed folders
        if os.path.isfile(folder):
            hint = f": use {folder.parent}" if folder.name in (CSV_NAME, EXCEL_NAME) else ""
            raise SnowmatchError(f"{folder} is a file, expected the catalog's folder{hint}")
        raise SnowmatchError(
            f"{folder} does not exist, expected the catalog's folder: check the name",
            "no-catalog",
            folder=str(folder),
        )
    notes: list[Note] = []
    how = chosen(load_settings(folder, notes), settings or {})
    table = next((path for name in (CSV_NAME, EXCEL_NAME) if os.path.exists(path := folder / name)), None)
    rows = read_folders(folder, notes) if table is None else read_table(table, notes, how.dates)
    if table is not None and table.name == CSV_NAME and os.path.exists(folder / EXCEL_NAME):
        notes.append(Note("two-tables", f"{EXCEL_NAME} was not read, since there is a {CSV_NAME}"))
    notes += name_notes(rows)
    photos = records.photos if records is not None else {}
    known = _Facts(folder, {path: taken.facts for path, taken in photos.items() if taken.facts is not None})
    _fill_boxes(rows, known, notes)
    _fill_times(rows, known, notes)
    same_day = _name_encounters(rows, known, how, notes)
    if how.boxes:
        _place_found(rows, load_found(folder, notes=notes), photos, notes)
    notes += mark_passages(rows, {path: taken.sha256 for path, taken in photos.items()}, known.read, same_day)
    notes += number_animals(rows)
    _leave_out(rows, folder, photos, notes)
    for fields in rows:
        fields.pop("_photo", None)
    annotations = tuple(Annotation(row=n, **fields) for n, fields in enumerate(rows))
    return CatalogData(folder, annotations, tuple(notes), how, known.read)


def load_again(data: CatalogData, records: Records) -> CatalogData:
    """Return the same catalog, read again, with the recorded facts of its photos."""
    return load_catalog(data.folder, records, data.settings.options())


def check_body_part(name: str) -> str:
    """Return the body part of a text in a usual spelling. Raises SnowmatchError if it is not a body part."""
    try:
        if name.strip():
            return read_body_part(name)
    except CellError:
        pass
    raise SnowmatchError(f"{name!r} is not a body part; {choices(name, BODY_PARTS)}")


def check_locations(data: CatalogData, names: Iterable[str]) -> None:
    """Raise SnowmatchError if one of `names` is not a location of the catalog."""
    known = sorted({a.location for a in data.annotations if a.location})
    for name in names:
        if name not in known:
            has = (
                f"it has: {', '.join(known)}{did_you_mean(name, known)}"
                if known
                else "none of its photos has a location"
            )
            raise SnowmatchError(f"{data.folder} has no location {name!r}; {has}")


# --- what the photos say ----------------------------------------------------------------------------------------------


class _Facts:
    """The facts of photos, each read once. A photo that cannot be read has none; the index run lists it."""

    def __init__(self, folder: Path, known: dict[str, PhotoFacts]) -> None:
        self._folder = folder
        self.read = known

    def of(self, path: str) -> PhotoFacts:
        if path not in self.read:
            try:
                self.read[path] = read_facts(self._folder / path)
            except SnowmatchError:
                self.read[path] = NO_FACTS
        return self.read[path]


def _fill_boxes(rows: Iterable[Fields], known: _Facts, notes: list[Note]) -> None:
    """Convert boxes that are shares of a photo into pixels."""
    relative = [fields for fields in rows if isinstance(fields.get("bbox"), RelativeBox)]
    lost = []
    for fields in relative:
        size = known.of(fields["path"]).image_size
        if size is None:
            lost.append(fields["path"])
        fields["bbox"] = fields["bbox"].of_photo(size) if size is not None else None
    if relative:
        text = f"{counted(len(relative), 'box', 'boxes')} with values up to 1 were read as shares of the photo's size"
        notes.append(Note("relative-boxes", text, {"count": len(relative)}))
    if lost:
        text = f"{counted(len(lost), 'box', 'boxes')} of photos that cannot be read were left out: {some(lost)}"
        notes.append(Note("boxes-without-photo", text, {"photos": lost}))


def _leave_out(rows: Sequence[Fields], folder: Path, photos: Mapping[str, Fingerprint], notes: list[Note]) -> None:
    """Write `left_out` into the rows of each animal without a name of which the last screening kept no photo."""
    screened = load_screened(folder, notes) if photos else None
    if screened is None:
        return
    animals: dict[tuple[str, int], list[Fields]] = defaultdict(list)
    for fields in rows:
        if fields.get("individual") is None:
            animals[fields["encounter"], fields["animal"]].append(fields)
    count = 0
    for members in animals.values():
        shas = [photos[m["path"]].sha256 if m["path"] in photos else "" for m in members]
        if told := seen_instead([screened.answers.get(sha, "") for sha in shas]):
            count += len(members)
            for fields in members:
                fields["left_out"] = told
    if count:
        text = (
            f"{counted(count, 'annotation')} without a name, of which the last screening kept no photo, are no "
            "sightings unless a person decides about them"
        )
        notes.append(Note("screened-out", text, {"count": count}))


def _place_found(
    rows: list[Fields], found: Mapping[str, Sequence[Found]], photos: Mapping[str, Fingerprint], notes: list[Note]
) -> None:
    """Give photos without a box and mask the box that snowmatch found, and add rows for further animals in them.

    A photo with several rows, or with a row that has a box or a mask, keeps its rows: a person looked at it.
    """
    by_path: dict[str, list[Fields]] = defaultdict(list)
    for fields in rows if found else ():
        by_path[fields["path"]].append(fields)
    more = 0
    for path, (first, *others) in by_path.items():
        animals = found.get(photos[path].sha256, ()) if path in photos else ()
        if not animals or others or first.get("bbox") or first.get("mask"):
            continue
        first["bbox"], first["box_by"] = animals[0].bbox, animals[0].box_by
        shared = {name: first[name] for name in PLACED if name in first}
        rows += [{**shared, "bbox": one.bbox, "box_by": one.box_by, "found": True} for one in animals[1:]]
        more += len(animals) - 1
    if more:
        text = (
            f"{counted(more, 'further animal')} found in photos with one row: they are unidentified annotations; draw "
            "boxes in the catalog to correct them"
        )
        notes.append(Note("further-animals", text, {"count": more}))


def _fill_times(rows: Iterable[Fields], known: _Facts, notes: list[Note]) -> None:
    """Give rows without a timestamp the time of their photo."""
    doubtful: dict[str, set[str]] = defaultdict(set)
    early, outdated = set(), set()
    swapped: dict[str, str] = {}
    for fields in rows:
        fields.setdefault("dated", False)
        if fields.get("timestamp") is not None:
            exposed = known.read.get(fields["path"], NO_FACTS).exposed
            if exposed is not None and _is_swapped(fields["timestamp"], exposed, fields["dated"]):
                swapped[fields["path"]] = f"{fields['path']}: {fields['timestamp'].date()}, EXIF {exposed.date()}"
        else:
            facts = known.of(fields["path"])
            fields["timestamp"] = facts.taken
            if facts.taken is not None and facts.time_tag != "DateTimeOriginal":
                doubtful[facts.time_tag].add(fields["path"])
            outdated |= {fields["path"]} if facts.outdated else set()
        if fields["timestamp"] is not None and fields["timestamp"].year < 2000:
            early.add(fields["path"])
    if swapped:
        text = (
            f"{counted(len(swapped), 'photo')} whose day and month are the other way round in the table than in EXIF "
            f"({some([swapped[path] for path in sorted(swapped)])}): unless somebody has corrected the camera's clock, "
            "a spreadsheet has swapped them; correct the column timestamp"
        )
        notes.append(Note("dates-swapped", text, {"photos": sorted(swapped)}))
    for tag, paths in sorted(doubtful.items()):
        text = (
            f"{counted(len(paths), 'photo')} without a time in DateTimeOriginal: EXIF's {tag} was used, which editing "
            f"programs change ({some(sorted(paths))})"
        )
        notes.append(Note("other-times", text, {"tag": tag, "photos": sorted(paths)}))
    if outdated:
        text = (
            f"{counted(len(outdated), 'photo')} in which an earlier version found no DateTimeOriginal; it could not "
            f"read all of them, so the next index run reads the files again ({some(sorted(outdated))})"
        )
        notes.append(Note("times-of-earlier-version", text, {"photos": sorted(outdated)}))
    if early:
        text = (
            f"{counted(len(early), 'photo')} from before 2000, so the camera's clock was not set: {some(sorted(early))}"
        )
        notes.append(Note("early-times", text, {"photos": sorted(early)}))


def _is_swapped(given: datetime, exposed: datetime, dated: bool) -> bool:
    """Return whether a time is that of a photo with day and month swapped. dated: it has no time of day."""
    if (given.year, given.month, given.day) != (exposed.year, exposed.day, exposed.month) or given.day == given.month:
        return False
    return dated or (given.hour, given.minute) == (exposed.hour, exposed.minute)


# --- encounters -------------------------------------------------------------------------------------------------------


def _name_encounters(
    rows: list[Fields], known: _Facts, settings: CatalogSettings, notes: list[Note]
) -> list[tuple[str, str]]:
    """Name the encounter of every row without one, and separate names that are used at several places.

    Returns pairs of encounters that may be one: a photo without a time of day may be of any at its station that day.
    """
    _qualify_encounters(rows, notes)
    named = [fields for fields in rows if fields.get("encounter") and fields["timestamp"]]
    notes += named_length_notes([(f["encounter"], f["timestamp"], f["dated"]) for f in named], settings)
    bare = [fields for fields in rows if not fields.get("encounter")]
    timed = {_photo(fields): fields["path"] for fields in bare if fields["timestamp"]}
    groups: dict[str, list[Fields]] = defaultdict(list)
    for fields in bare:
        # A crop without EXIF belongs to the photo from which it was cut
        name = fields["path"] if fields["timestamp"] else timed.get(photo := _photo(fields), photo)
        groups[name].append(fields)
    names = list(groups)
    shots = [_shot(name, groups[name], known) for name in names]
    used = {fields["encounter"] for fields in rows if fields.get("encounter")}
    encounters, told = group_shots(shots, settings, used)
    for encounter in encounters:
        for n in encounter.shots:
            for fields in groups[names[n]]:
                fields["encounter"] = encounter.name
    notes += told
    _note_beside_named(rows, bare, settings, notes)
    days: dict[tuple, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for fields in bare if any(fields["dated"] for fields in bare) else ():
        if fields["timestamp"] and (fields.get("station") or fields.get("camera")):
            place = fields.get("location", ""), fields.get("station", ""), fields.get("station") or fields["camera"]
            days[*place, fields["timestamp"].date()][fields["dated"]].add(fields["encounter"])
    return [(one, other) for timed, dated in days.values() if dated for one in timed for other in dated]


def _note_beside_named(
    rows: Sequence[Fields], bare: Sequence[Fields], settings: CatalogSettings, notes: list[Note]
) -> None:
    """Add a note on photos without an encounter that were taken at the station and the time of one in the table.

    bare: the rows whose encounter the table leaves empty.
    """
    derived = {id(fields) for fields in bare}
    named: dict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for fields in rows if bare else ():
        if id(fields) not in derived and fields.get("station") and fields["timestamp"] and not fields["dated"]:
            named[fields.get("location", ""), fields["station"]].append((fields["timestamp"], fields["encounter"]))
    for times in named.values():
        times.sort()
    photos, beside = set(), set()
    for fields in bare if named else ():
        taken = fields["timestamp"]
        times = named.get((fields.get("location", ""), fields.get("station", "")), [])
        if taken is None or fields["dated"] or not times:
            continue
        place = bisect_left(times, (taken, ""))
        near = [
            encounter for when, encounter in times[max(place - 1, 0) : place + 1] if abs(when - taken) <= settings.gap
        ]
        if near:
            photos.add(fields["path"])
            beside.update(near)
    if photos:
        text = (
            f"{counted(len(photos), 'photo')} without an encounter taken within {settings.encounter_gap:g} min of an "
            f"encounter that the table names at the same station ({some(sorted(beside))}): they count as another "
            "passage and may be evidence for it; fill in the column encounter"
        )
        notes.append(Note("encounters-half-named", text, {"photos": sorted(photos), "encounters": sorted(beside)}))


def _photo(fields: Fields) -> str:
    """Return the photo of a row. Folders of body parts do not count."""
    photo: str = fields.get("_photo") or fields["path"]
    return photo


def _shot(name: str, rows: list[Fields], known: _Facts) -> Shot:
    first = rows[0] if len(rows) == 1 else next((fields for fields in rows if fields["timestamp"]), rows[0])
    where, camera = first.get("station", ""), first.get("camera", "")
    # The header of a photo that is not indexed is read only if it is needed
    facts = known.read.get(first["path"], NO_FACTS) if where or camera else known.of(first["path"])
    return Shot(
        name,
        _photo(first).rpartition("/")[0],
        first.get("location", ""),
        where,
        camera or facts.serial,
        first["timestamp"],
        first["dated"],
        frozenset([fields["individual"] for fields in rows if fields.get("individual") is not None]),
        facts.likeness,
    )


def _differ(places: Iterable[tuple[str, str]]) -> bool:
    """Return whether these are different places. An empty one may be any of the others."""
    places = [place for place in places if place != ("", "")]
    locations = {location for location, _ in places if location}
    stations = {station for _, station in places if station}
    return len(locations) > 1 or len(stations) > 1


def _qualify_encounters(rows: Iterable[Fields], notes: list[Note]) -> None:
    """Add the place to the names of encounters that are used at several places: a passage is at one station."""
    places: dict[str, set[tuple[str, str]]] = defaultdict(set)
    used = set()
    for fields in rows:
        if name := fields.get("encounter"):
            used.add(name)
            places[name].add((fields.get("location", ""), fields.get("station", "")))
    several = sorted(name for name, where in places.items() if _differ(where))
    if not several:
        return
    full = {
        (name, *place): unused(f"{place_name(*place)}{name}", used)
        for name in several
        for place in sorted(places[name])
    }
    for fields in rows:
        key = (fields.get("encounter"), fields.get("location", ""), fields.get("station", ""))
        if key in full:
            fields["encounter"] = full[key]
    text = (
        f"{counted(len(several), 'encounter name')} used at several stations or locations: each place has an encounter "
        f"of its own ({some(several)})"
    )
    notes.append(Note("encounters-at-several-places", text, {"encounters": several}))
