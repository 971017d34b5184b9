"""An import: the format is found by looking, the photos are found, and the catalog's tables are completed.

Everything is read and checked first. Only then is anything written, so that an import happens as a whole or not at all.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from snowmatch.catalog.positions import same_coordinate
from snowmatch.catalog.problems import SHOWN
from snowmatch.catalog.records import current_status, load_records
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, read_file
from snowmatch.core.home import CSV_NAME, STATIONS_NAME, home_of, imported_path
from snowmatch.core.imported import Imported, source_column
from snowmatch.core.notes import Note, unique
from snowmatch.core.plain import plain
from snowmatch.core.plugins import Importer, make_plugin, plugin_name, plugin_names
from snowmatch.core.text import counted, some
from snowmatch.decisions.file import decisions_path, read_decisions
from snowmatch.decisions.merge import add_missing
from snowmatch.interchange.answers import ANNOTATION, answers_as_decisions
from snowmatch.interchange.cells import Checked, checked_rows, checked_stations, is_period, read_all_times
from snowmatch.interchange.completing import photos_added, with_places
from snowmatch.interchange.importers._json import read_json
from snowmatch.interchange.importers._tables import read_rows
from snowmatch.interchange.merging import POSITION, Cells, Merged, merge
from snowmatch.interchange.photo_files import find_files, make_links_and_copies, place_photos
from snowmatch.interchange.stations import read_station_table, without_dated
from snowmatch.interchange.table_files import (
    check_catalog,
    read_memory,
    read_text_table,
    replace_table,
    table_bytes,
    write_memory,
)
from snowmatch.photos.formats import VIDEO_EXTENSIONS
from snowmatch.review.adding import changing_table

FIRST = ("path", "individual", "body_part", "location", "station", "camera", "timestamp", "encounter", "bbox", "mask",
         "split", "annotation", "sex", "species", "quality")  # fmt: skip
FIRST_OF_STATIONS = ("station", "location", "x", "y", "crs", "from", "to", "camera", "session", "problem_from",
                     "problem_to", "deployment")  # fmt: skip
# Files that users have, and what to do first
UNREAD = {
    ".zip": "unpack it, and import its folder",
    **dict.fromkeys(
        (".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "save it as an Excel file (.xlsx), or as CSV UTF-8"
    ),
}
SURE = 0.05  # formats that look nearly equally likely are asked about


@dataclass(frozen=True)
class Report:
    """What an import did.

    rows: of the source that have a photo. failed: (photo, reason) that were left out. kept: cells that differ from the
    source and stay. written: files that were written, and the files that keep the old ones. answers: of persons, about
    two animals, that are new among the decisions.
    """

    source: Path
    format: str
    catalog: Path
    rows: int
    added: int
    changed: int
    same: int
    stations: int
    stations_changed: int
    left_out: Mapping[str, int]
    failed: tuple[tuple[str, str], ...]
    kept: tuple[tuple[str, str, str, str], ...]
    links: Mapping[str, str]
    copies: int
    written: tuple[str, ...]
    notes: tuple[Note, ...] = field(default=())
    answers: int = 0

    def summary(self) -> str:
        """Return what was done, as text for people."""
        lines = [f"{self.source}: {self.format}"]
        lines.append(
            f"{self.catalog / CSV_NAME}: {counted(self.added, 'row')} added, {self.changed} changed, {self.same} "
            "as before"
        )
        if self.stations:
            lines.append(
                f"{self.catalog / STATIONS_NAME}: {counted(self.stations, 'row')}, {self.stations_changed} new or "
                "changed"
            )
        if self.answers:
            lines.append(f"{decisions_path(self.catalog)}: {counted(self.answers, 'answer')} of persons added")
        lines += [f"{self.catalog / at} is a link to {to}" for at, to in self.links.items()]
        if self.copies:
            lines.append(f"{counted(self.copies, 'photo')} copied")
        if self.left_out:
            lines.append("left out: " + ", ".join(f"{n} {what}" for what, n in sorted(self.left_out.items())))
        if self.kept:
            told = [f"{column} of {key} is {here!r}, in the source {there!r}" for key, column, here, there in self.kept]
            cells = f"{counted(len(self.kept), 'cell')} corrected here, or of another source,"
            lines.append(f"{cells} stay: {some(told[:3])}")
        lines += [f"the old file is kept as {name}" for name in self.written if ".before-import-" in name]
        return "\n".join(lines if self.written else [*lines, "nothing to write"])

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON object, with the schema "snowmatch.import/1"."""
        values = {key: value for key, value in vars(self).items() if key not in ("notes", "failed", "kept")}
        return {
            "schema": "snowmatch.import/1",
            **{key: str(v) if isinstance(v, Path) else plain(v) for key, v in values.items()},
            "failed": [{"photo": name, "reason": reason} for name, reason in self.failed],
            "kept": [dict(zip(("row", "column", "here", "source"), each, strict=True)) for each in self.kept],
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
        }


def import_source(
    source: Path,
    catalog: Path | None = None,
    format: str | None = None,
    *,
    options: Mapping[str, str] | None = None,
    stations: Path | None = None,
    photos: Path | None = None,
    dates: str = "",
    copy: bool = False,
) -> Report:
    """Import a file or folder of another program into a catalog, and return what was done.

    catalog: the folder; without it, that of the photos. format: name of an importer; without it, the source is looked
    at. stations: a further table of stations. photos: the folder that the photos' names begin in, if it is not the
    source's. dates: `dmy` or `mdy`, the order of day and month if the dates do not show it. copy: photos outside the
    catalog are copied; otherwise a link leads to them. Raises SnowmatchError, with all problems, and then has written
    nothing.
    """
    source = Path(source)
    if not os.path.exists(source):  # unlike Path.exists, it also works for names that are too long
        raise SnowmatchError(f"{source} does not exist, expected a file or folder of another program")
    if photos is not None and not os.path.isdir(photos):
        raise SnowmatchError(f"{photos} is not a folder, expected the folder with the photos")
    plugin = choose_importer(source, format, options or {})
    name = plugin_name(plugin)
    home = catalog or photos or (source if os.path.isdir(source) else source.parent)
    if os.path.exists(home) and not os.path.isdir(home):
        raise SnowmatchError(f"{home} is a file, expected the folder of a catalog")
    if source.name == CSV_NAME and _same(source.parent, home):
        raise SnowmatchError(f"{source} is the catalog's own table: choose another source, or another catalog")
    read = _without_videos(plugin.read(source))
    notes, problems = list(read.notes), list(read.problems)
    deployments = [dict(cells) for cells in read.stations]
    own = len(deployments)
    if stations is not None:
        further = read_station_table(stations, notes, problems)
        deployments = without_dated(deployments, further, notes)
        own = len(deployments)
        deployments += further
    files = [source.name if n < own else Path(stations or source).name for n in range(len(deployments))]
    times, zone_notes, unclear = read_all_times(read.rows, deployments, dates, problems)
    of_stations = {column for cells in deployments for column in cells}
    deployments = checked_stations(deployments, files, times, notes, problems)
    _raise(source, problems, unclear)
    if not read.rows:
        left = ", ".join(f"{n} {what}" for what, n in sorted(read.left_out.items()))
        raise SnowmatchError(f"{source} has no rows with an animal" + (f" (left out: {left})" if left else ""))
    names = [(row.photo, row.hints) for row in read.rows]
    masks = [(row.cells["mask"], ()) for row in read.rows if row.cells.get("mask")]
    roots = read.roots if photos is None else (photos,)
    found = find_files([*names, *masks], roots, home, read.photos)
    if not found.files:
        why = "; several photos, or files, have these names: say in which folder their paths begin"
        raise SnowmatchError(
            f"none of the {counted(len(set(names)), 'photo')} of {source} is in {', '.join(map(str, roots))}, such as "
            f"{min(names)[0]!r}{why if found.unclear or found.elsewhere else ': say in which folder they are'}",
            "choose-photos",
        )
    used = {row.get("path", "") for row in read_text_table(home / CSV_NAME).rows}
    placement = place_photos(found, home, copy=copy, used=used)
    checked = checked_rows(read.rows, name, times, found, placement.paths)
    _raise(source, checked.problems, False)
    if not checked.rows and not read_text_table(home / CSV_NAME).rows:
        _raise(source, [f"{photo}: {reason}" for photo, reason in checked.failed], False)
    places = {path: found.files[named] for named, path in placement.paths.items()}
    checked = replace(checked, rows=_own_identifiers(checked.rows, source_column(name), home, places, notes))
    notes = [*notes, *zone_notes, *checked.notes]
    return _write(source, name, home, read, checked, deployments, of_stations, placement, notes)


def choose_importer(source: Path, format: str | None, options: Mapping[str, str]) -> Importer:
    """Return the importer for a source. format: its name; None looks at the source.

    Raises SnowmatchError if no format fits, or several do.
    """
    if format is not None:
        named: Importer = make_plugin("importers", format, options)
        return named
    scores, broken = [], []
    for name in plugin_names("importers"):
        try:
            plugin: Importer = make_plugin("importers", name)
        except SnowmatchError as error:  # such as one of another distribution, whose packages are missing
            broken.append(str(error))
            continue
        if score := float(plugin.looks_like(source)):
            scores.append((score, name, plugin))
    scores.sort(key=lambda each: (-each[0], each[1]))
    if not scores:
        seen: list[Note] = []  # such as further sheets of Excel
        if source.suffix.lower() == ".json":
            read_json(source)  # says what is wrong with half a file
        if source.suffix.lower() == ".xlsx" and source.is_file():
            read_rows(source, seen, [])
        if source.suffix.lower() in UNREAD and source.is_file():
            raise SnowmatchError(f"{source} cannot be read as it is: {UNREAD[source.suffix.lower()]}")
        known = ", ".join(plugin_names("importers"))
        untried = f"; could not be tried: {'; '.join(broken)}" if broken else ""
        told = "".join(f"{note.text}; " for note in seen)
        raise SnowmatchError(
            f"{source} is of no known format; {told}the formats are: {known}{untried}", "choose-format"
        )
    if len(scores) > 1 and scores[0][0] - scores[1][0] < SURE:
        fitting = ", ".join(name for score, name, _ in scores if scores[0][0] - score < SURE)
        raise SnowmatchError(f"{source} may be of several formats: {fitting}; say which", "choose-format")
    chosen: Importer = make_plugin("importers", scores[0][1], options)
    return chosen


def _without_videos(read: Imported) -> Imported:
    """Return what was read without rows of videos, which are counted."""
    rows = tuple(row for row in read.rows if PurePosixPath(row.photo).suffix.lower() not in VIDEO_EXTENSIONS)
    videos = len(read.rows) - len(rows)
    return replace(read, rows=rows, left_out={**read.left_out, "rows of videos": videos}) if videos else read


def _write(
    source: Path, name: str, home: Path, read: Imported, checked: Checked, deployments: Sequence[dict[str, str]],
    of_stations: Collection[str], placement: Any, notes: Sequence[Note],
) -> Report:  # fmt: skip
    key = source_column(name)
    sources = name, home, checked, deployments, read.columns, of_stations
    made = _completed(*sources)
    decisions = decisions_path(home)
    answers, lost = answers_as_decisions(read.answers, made.rows.rows, key)
    if answers and os.path.lexists(decisions):
        read_decisions(decisions)  # says what is wrong with it, before anything is written
    written: list[str] = []
    make_links_and_copies(placement, home)
    home.mkdir(parents=True, exist_ok=True)
    if made.changes:
        make_folder(home_of(home))
    with changing_table(home) if made.changes else nullcontext():
        if made.changes and made.files != _files_of(home):  # another program has changed them: its rows stay
            made = _completed(*sources)
            answers, lost = answers_as_decisions(read.answers, made.rows.rows, key)
        added = add_missing(decisions, answers, str(source)).added if answers else ()
        for merged, path, data in (
            (made.rows, home / CSV_NAME, made.table),
            (made.sites, home / STATIONS_NAME, made.stations),
        ):
            if merged.added or merged.changed:
                kept = replace_table(path, data)
                written += [path.name, *([kept.name] if kept else [])]
        written += [decisions.name] if added else []
        if made.memory != made.memory_before:
            write_memory(imported_path(home), made.memory)
    rows, sites = made.rows, made.sites
    return Report(
        source, name, home, len(checked.rows), rows.added, rows.changed, rows.same, len(deployments),
        sites.added + sites.changed, read.left_out, checked.failed, (*rows.kept, *sites.kept),
        {at: str(to) for at, to in placement.links.items()}, len(placement.copies), tuple(written),
        unique([*notes, *made.notes, *_merge_notes(rows, sites if deployments else Merged([]), lost)]), len(added),
    )  # fmt: skip


@dataclass(frozen=True)
class _Completed:
    """What an import makes of a catalog. files: what it was made from. table, stations: as bytes.

    memory, memory_before: what imports wrote, with this one and without it.
    """

    files: tuple[bytes, ...]
    rows: Merged
    sites: Merged
    table: bytes
    stations: bytes
    memory: Mapping[tuple[str, str], Mapping[str, Cells]]
    memory_before: Mapping[tuple[str, str], Mapping[str, Cells]]
    notes: tuple[Note, ...]

    @property
    def changes(self) -> bool:
        """Whether a table or the memory of imports is another one."""
        changed = any(each.added or each.changed for each in (self.rows, self.sites))
        return changed or self.memory != self.memory_before


def _completed(
    name: str, home: Path, checked: Checked, deployments: Sequence[dict[str, str]], columns: Collection[str] | None,
    of_stations: Collection[str],
) -> _Completed:  # fmt: skip
    """Return the tables of the catalog, completed by a source. Nothing is written.

    columns, of_stations: those that the source has for photos (None: all) and for stations. Raises SnowmatchError if a
    table is damaged, or if the catalog could not be read with these rows.
    """
    key = source_column(name)
    files = _files_of(home)
    table, posts = read_text_table(home / CSV_NAME), read_text_table(home / STATIONS_NAME)
    notes: list[Note] = []
    memory = read_memory(imported_path(home), notes)
    fixed = (ANNOTATION,) if os.path.lexists(decisions_path(home)) else ()  # decisions go by identifiers of annotations
    last = memory.get((name, CSV_NAME), {}) if table.rows else {}
    others = [own for (which, what), own in memory.items() if what == CSV_NAME and which != name]
    wrote = [cells for own in others for cells in own.values()]
    placed = with_places(checked.rows, table.rows, wrote, columns)
    rows = merge(table.rows, last, placed, key, fixed=fixed, columns=columns)
    if columns is not None:
        in_place = {cells["path"] for cells, read in zip(placed, checked.rows, strict=True) if cells is not read}
        notes += photos_added(table.rows, rows.rows, in_place)
    last = memory.get((name, STATIONS_NAME), {}) if posts.rows else {}
    sites = merge(posts.rows, last, deployments, "deployment", "station", columns=of_stations)
    content = table_bytes(table, rows.rows, (*FIRST, key))
    check_catalog(content, home / CSV_NAME)
    before = {what: dict(cells) for what, cells in memory.items()}
    memory.setdefault((name, CSV_NAME), {}).update({cells[key]: cells for cells in rows.said})
    if deployments:
        memory.setdefault((name, STATIONS_NAME), {}).update({cells["deployment"]: cells for cells in sites.said})
    return _Completed(
        files, rows, sites, content, table_bytes(posts, sites.rows, FIRST_OF_STATIONS), memory, before, tuple(notes)
    )


def _files_of(home: Path) -> tuple[bytes, ...]:
    """Return the content of the files that an import completes; b"" of one that is missing."""
    paths = (home / CSV_NAME, home / STATIONS_NAME, imported_path(home))
    return tuple(read_file(path) if path.is_file() else b"" for path in paths)


def _own_identifiers(
    rows: Sequence[Cells], key: str, home: Path, places: Mapping[str, tuple[Path, str]], notes: list[Note]
) -> tuple[Cells, ...]:
    """Return the rows of a source, with another identifier where the catalog has it for a photo of another source.

    Two memory cards have photos of the same names: those of the second do not take the place of the first's. What the
    index has read tells them apart, also if the first card is not there. key: the column with the identifier. places:
    (root, path below it) of each photo, by path in the catalog. notes: gets one on photos that cannot be told apart.
    Raises SnowmatchError if a link leads to another card now.
    """
    here = read_text_table(home / CSV_NAME).rows
    taken = {row[key]: row.get("path", "") for row in here if row.get(key)}
    read = load_records(home).photos
    unseen: list[str] = []

    def is_other(cells: Cells) -> bool:
        before, (root, below) = taken.get(cells[key], ""), places[cells["path"]]
        if f"{cells[key]}@{cells['path']}" in taken:
            return True  # an earlier import told so
        if not before or before.startswith(cells["path"].removesuffix(below)):
            return False  # the source has another photo now
        if before in read:
            return current_status(str(root / below), read[before]) is None
        if not os.path.isfile(home / before):
            unseen.append(before)  # another card, or the photos were moved
            return False
        return not filecmp.cmp(home / before, root / below, shallow=False)

    both = {row.get("path", "") for row in here} & {cells["path"] for cells in rows}
    known = [at for at in both if at in read and (home / "/".join(at.split("/")[:2])).is_symlink()]
    if known and not any(current_status(str(home / at), read[at]) for at in known):
        raise SnowmatchError(
            f"{home / min(known)} and all other photos there are not those that the catalog has read: if another "
            "memory card has taken the place of the first, copy the photos instead; if a program has changed them, "
            "index first",
            "copy-photos",
        )
    own = tuple({**cells, key: f"{cells[key]}@{cells['path']}"} if is_other(cells) else cells for cells in rows)
    if unseen:
        text = (
            f"{counted(len(unseen), 'row')} had photos that are not there now, and have those of the source: "
            f"{some(unseen)}; if these are other photos, such as of a second memory card, put back the old "
            f"{CSV_NAME}, connect the first card, index, and import again"
        )
        notes.append(Note("photos-not-compared", text, {"count": len(unseen)}))
    return own


def _merge_notes(rows: Merged, sites: Merged, lost: int) -> list[Note]:
    notes = []
    if lost:
        text = f"{counted(lost, 'answer')} about animals that the catalog does not have as the source does left out"
        notes.append(Note("answers-left-out", text, {"count": lost}))
    if rows.mixed:
        text = (
            f"{counted(len(rows.mixed), 'photo')} with rows that have a box and rows that have none, which count as "
            f"further animals, since nothing says which box they mean: {some(rows.mixed)}; in {CSV_NAME}, write their "
            "cells to the row of the animal, and delete them"
        )
        notes.append(Note("rows-without-box", text, {"count": len(rows.mixed)}))
    if rows.removed:
        text = f"{counted(len(rows.removed), 'row')} that somebody has deleted here left out: {some(rows.removed)}"
        notes.append(Note("rows-deleted-here", text, {"count": len(rows.removed)}))
    if rows.gone:
        text = (
            f"{counted(len(rows.gone), 'row')} of an earlier import that this source does not have; they stay: "
            f"{some(rows.gone)}"
        )
        notes.append(Note("rows-gone", text, {"count": len(rows.gone)}))
    if photos := [each for each in rows.replaced if each[1] == "path" and Path(each[2]).name != Path(each[3]).name]:
        told = [f"{key} was {before}, is {now}" for key, _, before, now in photos]
        text = (
            f"{counted(len(photos), 'row')} with another photo than in the import before: {some(told)}; put back the "
        )
        text += f"old {CSV_NAME} if the identifiers of this source mean others"
        notes.append(Note("photos-replaced", text, {"count": len(photos)}))
    moved = sorted(
        {key for key, c, before, now in sites.replaced if c in POSITION and not same_coordinate(c, before, now)}
    )
    if moved:
        text = f"{counted(len(moved), 'station')} with another position than in the import before; the source's stay: "
        text += f"{some(moved)}; if two surveys name their stations alike, give each its location"
        notes.append(Note("station-positions-replaced", text, {"stations": moved}))
    if dates := [each for each in sites.replaced if is_period(each[1])]:
        told = [f"{column} of {key} was {before!r}, is {now!r}" for key, column, before, now in dates]
        text = f"{counted(len(dates), 'date')} of stations not as in the import before; the source's stay: {some(told)}"
        notes.append(Note("station-dates-replaced", text, {"count": len(dates)}))
    if sites.removed:
        text = f"{counted(len(sites.removed), 'row')} of stations that somebody has deleted here left out: "
        notes.append(Note("stations-deleted-here", text + some(sites.removed), {"count": len(sites.removed)}))
    if sites.gone:
        text = f"{counted(len(sites.gone), 'row')} of stations of an earlier import that this source does not have; "
        notes.append(Note("stations-gone", f"{text}they stay: {some(sites.gone)}", {"count": len(sites.gone)}))
    return notes


def _raise(source: Path, problems: Sequence[str], unclear: bool) -> None:
    """Raise SnowmatchError with all problems; none, nothing happens."""
    if not problems:
        return
    code = "unclear-import-dates" if unclear else "bad-import"
    data = {"file": str(source), "problems": list(problems)}
    if len(problems) == 1:
        raise SnowmatchError(f"{source}: {problems[0]}", code, **data)
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    listed = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
    raise SnowmatchError(f"{source} has {len(problems)} problems:{listed}{more}", code, **data)


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
