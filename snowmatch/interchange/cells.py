"""The cells of imported rows in the form of a catalog: times, body parts, boxes and names are checked."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snowmatch.catalog.cells import CellError, read_body_part
from snowmatch.catalog.positions import is_position, position_headings, read_crs, read_position, same_coordinate
from snowmatch.catalog.problems import Problems
from snowmatch.catalog.table import COLUMNS
from snowmatch.catalog.times import (
    EXPECTED,
    ReadTime,
    plain_time,
    read_times,
    swapped_by_spreadsheet,
    to_one_zone,
    zone_text,
)
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import STATIONS_NAME
from snowmatch.core.imported import ImportedRow, Named, source_column
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, same_name, some
from snowmatch.interchange.boxes import Placed, box_in_photo
from snowmatch.interchange.importers._values import name_or_none
from snowmatch.interchange.merging import POSITION, Cells
from snowmatch.interchange.photo_files import FoundPhotos
from snowmatch.interchange.stations import identifier

PERIODS = ("from", "to")
LEFT_OUT = ("location", "camera", "species")  # own columns of the catalog in which a position is left out


@dataclass(frozen=True)
class Checked:
    """The rows of a source as cells of a catalog's table. failed: (photo, reason) of rows that were left out."""

    rows: tuple[Cells, ...]
    failed: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    notes: tuple[Note, ...]


def read_all_times(
    rows: Sequence[ImportedRow], stations: Sequence[Mapping[str, str]], dates: str, problems: list[str]
) -> tuple[dict[str, str], list[Note], bool]:
    """Return the times of a source as ISO 8601 by their texts, notes, and whether the order of day and month is
    unclear and one order would do.

    All times of a source have one order and one clock. dates: `dmy` or `mdy`. What is no time is added to problems.
    """
    where: dict[str, str] = {}
    for row in rows:
        if text := row.cells.get("timestamp", ""):
            where.setdefault(text, row.where)
    for cells in stations:
        for column, text in cells.items():
            if text and is_period(column):
                where.setdefault(text, f"station {cells.get('station', '')}, {column}")
    texts = list(where)
    plain = [plain_time(text) for text in texts]
    times, mixed = read_times(plain, dates)
    moments, zones = to_one_zone(times)
    problems += [
        f"{where[text]}: {text!r} is no time; {time.problem}"
        for text, time in zip(texts, times, strict=True)
        if time.problem
    ]
    unclear = [text for text, time in zip(texts, times, strict=True) if time.unclear]
    if mixed:
        problems.append(
            "some dates begin with the day, others with the month, such as 13/4/2021 and 4/13/2021; expected one "
            "order, or "
            f"{EXPECTED.removeprefix('expected ')}"
        )
    elif unclear:
        more = f", and {len(unclear) - 1} more" if len(unclear) > 1 else ""
        problems.append(
            f"{where[unclear[0]]}: {unclear[0]!r}{more} may begin with the day or with the month: say which"
        )
    swapped = swapped_by_spreadsheet(map(plain_time, {row.cells.get("timestamp", "") for row in rows}))
    notes = [swapped] if swapped is not None else []
    if zones:
        notes.append(Note(f"zones-{zones}", _zones_text(times, moments, zones)))
    told = {}
    for text, time, moment in zip(texts, times, moments, strict=True):
        if moment is not None:
            told[text] = moment.date().isoformat() if time.dated else moment.isoformat()
    return told, notes, (mixed or bool(unclear)) and not read_times(plain)[1]


def _zones_text(times: Sequence[ReadTime], moments: Sequence[datetime | None], zones: str) -> str:
    """Return what was done with the time zones of a source, as text."""
    zoned = [(t, m) for t, m in zip(times, moments, strict=True) if t.zone is not None and t.moment and m]
    usual = next(zone_text(m - t.moment + t.zone) for t, m in zoned if t.moment and t.zone is not None)
    text = f"the time zone ({usual}) of {counted(len(zoned), 'time')} was left out: snowmatch uses the camera's clock"
    if zones == "converted":
        text = f"{counted(len(zoned), 'time')} with different zones converted to {usual}, that of most of them"
    if bare := sum(t.zone is None and t.moment is not None for t in times):
        text += f"; {counted(bare, 'time')} without a zone unchanged"
    return text


def checked_rows(
    rows: Sequence[ImportedRow], format: str, times: Mapping[str, str], found: FoundPhotos, paths: Mapping[Named, str]
) -> Checked:
    """Return the rows of a source as cells of the catalog's table, sorted by path.

    format: the name of the importer, for the column of identifiers. times: as `read_all_times` returns them. paths: the
    photos' paths in the catalog. Rows without a photo that can be used are in `failed`.
    """
    failed: list[tuple[str, str]] = []
    problems: list[str] = []
    read: Counter[str] = Counter()
    counts: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, str] = {}
    made: list[Cells] = []
    unclear, elsewhere = set(found.unclear), set(found.elsewhere)
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for column, text in row.cells.items():
            texts[column].append(text)
    positions = position_headings({column: own for column, own in texts.items() if column not in COLUMNS})
    places = set(filter(is_position, texts["station"]))
    if there := [row.where for row in rows if row.cells.get("station") in places]:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        problems.append(f"{there[0]}{more}: the station is a position; expected the name of a camera site")
    for row in rows:
        if not row.source_id or seen.setdefault(row.source_id, row.where) is not row.where:
            problems.append(
                f"{row.where}: the identifier {row.source_id!r} is already that of {seen.get(row.source_id)}"
            )
            continue
        named = row.photo, row.hints
        if named not in paths:
            several = "several files have this name, or several rows this file: give the photos' paths"
            other = "such files are only in folders named like other stations or deployments: give the photos' paths"
            missing = "no such photo in the folders that were searched"
            reason = several if named in unclear else other if named in elsewhere else missing
            reason = "it cannot be read" if named in found.files else reason
            failed.append((row.photo, reason))
            continue
        cells = _cells(row, times, positions, read, counts)
        if mask := cells.get("mask"):
            cells["mask"] = paths.get((mask, ()), "")
            if not cells["mask"]:
                failed.append((mask, "no such mask in the folders that were searched"))
        if row.box is not None:
            root, below = found.files[named]
            try:
                placed = box_in_photo(row, root / below)
            except SnowmatchError as error:
                failed.append((row.photo, str(error)))
                continue
            cells["bbox"] = ",".join(map(str, placed.bbox))
            _count(row, placed, counts)
        path = paths[named]
        if not _is_text(path):
            failed.append((ascii(path), "its name is not valid text: rename the file"))
            continue
        kept = {column: text for column, text in cells.items() if text}
        made.append({"path": path, **kept, source_column(format): row.source_id})
    made.sort(key=lambda cells: cells["path"])
    return Checked(tuple(made), tuple(failed), tuple(problems), tuple(_notes(read, counts)))


def checked_stations(
    stations: Sequence[Mapping[str, str]],
    files: Sequence[str],
    times: Mapping[str, str],
    notes: list[Note],
    problems: list[str],
) -> list[Cells]:
    """Return rows of stations.csv with times as ISO 8601. Rows that repeat an earlier one are left out, and fill its
    empty cells.

    files: the name of the file of each row. If a row that is left out has other dates than the earlier one, a note
    tells both; a note on its other cells tells the columns alone, since a position may be among them. A position that
    is none, such as one with swapped degrees or metres without their EPSG code, is added to problems.
    """
    made: dict[str, Cells] = {}
    origins: dict[str, str] = {}
    other: list[str] = []
    lost: list[str] = []
    placed_in: dict[str, list[Cells]] = defaultdict(list)
    for cells, file in zip(stations, files, strict=True):
        one = {c: times.get(text, text) if is_period(c) else text for c, text in cells.items() if text}
        if is_position(one.get("location", "")):  # left out of the catalog, too: there is a note
            del one["location"]
        if is_position(one.get("station", "")):
            placed_in[file].append(one)
        name = one["deployment"] = one.get("deployment") or identifier(one)
        first = made.setdefault(name, one)
        placed = [column for column in POSITION if column in first]
        for column, text in one.items():
            if not is_period(column) and not (placed and column in POSITION):  # a position is of one row
                first.setdefault(column, text)
        for column in {**first, **one}:
            if (text := one.get(column, "")) == (stays := first.get(column, "")):
                continue
            if is_period(column):
                other.append(f"{column} of {name} is {stays!r} in {origins[name]}, {text!r} in {file}")
            elif text and not (column in POSITION and same_coordinate(column, text, stays)):
                lost.append(f"{column} of {name} in {file}")
        origins.setdefault(name, file)
    problems += [_placed_stations(file, rows, files.count(file)) for file, rows in placed_in.items()]
    if other:
        text = f"{counted(len(other), 'date')} of stations left out, since an earlier row of the same deployment says "
        notes.append(Note("station-dates-left-out", f"{text}otherwise: {some(other)}", {"count": len(other)}))
    if lost:
        text = f"{counted(len(lost), 'cell')} of stations left out, since an earlier row of the same deployment has "
        notes.append(Note("station-cells-left-out", f"{text}another or none: {some(lost)}", {"count": len(lost)}))
    for one in made.values():
        wrong = Problems(Path(STATIONS_NAME))
        read_position(one.get("x", ""), one.get("y", ""), read_crs(one.get("crs", ""), 0, wrong), 0, wrong)
        problems += [f"station {one.get('station', '')}, {column}: {text}" for _, column, text in wrong.found]
    return list(made.values())


def _placed_stations(file: str, rows: Sequence[Cells], among: int) -> str:
    """Return the problem of rows of a file whose stations are positions, with their deployments if these tell none.

    among: the number of all rows of stations in the file.
    """
    named = [r["deployment"] for r in rows if r["station"] not in r["deployment"] and not is_position(r["deployment"])]
    where = f"{len(rows)} of {counted(among, 'row')}" + (f", deployments {some(named)}" if named else "")
    return f"{file}: a station is a position ({where}); expected its name: positions belong into x and y"


def _cells(
    row: ImportedRow,
    times: Mapping[str, str],
    positions: Collection[str],
    read: Counter[str],
    counts: dict[str, list[str]],
) -> Cells:
    """Return the cells of a row in the form of a catalog. positions: the columns that hold them, which are left out."""
    cells = {}
    for column, text in row.cells.items():
        if column in ("path", "bbox") or not text.strip():
            continue
        if column in positions or ((column in LEFT_OUT or column not in COLUMNS) and is_position(text)):
            counts["positions"].append(column)
        else:
            cells[column] = same_name(text.strip())
    if (name := cells.get("individual", "")) and not name_or_none(name):
        counts["nameless"].append(cells.pop("individual"))
    if part := cells.get("body_part"):
        try:
            cells["body_part"] = read_body_part(part)
            if cells["body_part"] != part:
                read[f"{part} as {cells['body_part']}"] += 1
        except CellError:
            cells["body_part"], cells["body_part_there"] = "unknown", part
            read[f"{part} as unknown"] += 1
    if taken := row.cells.get("timestamp"):
        cells["timestamp"] = times.get(taken, "")
    return cells


def _count(row: ImportedRow, placed: Placed, counts: dict[str, list[str]]) -> None:
    if placed.clipped:
        counts["clipped"].append(row.photo)
    if placed.turned:
        counts["turned"].append(row.photo)


def _notes(read: Counter[str], counts: Mapping[str, list[str]]) -> list[Note]:
    notes = []
    if read:
        told = ", ".join(f"{text} ({n})" for text, n in sorted(read.items()))
        notes.append(Note("body-parts-read", f"body parts were read so: {told}", dict(read)))
    if clipped := counts.get("clipped"):
        text = f"{counted(len(clipped), 'box', 'boxes')} reached beyond the photo and were cut off: {some(clipped)}"
        notes.append(Note("boxes-beyond-photo", text, {"count": len(clipped)}))
    if turned := counts.get("turned"):
        text = (
            f"{counted(len(turned), 'box', 'boxes')} were of photos before EXIF turns them, and were turned: "
            f"{some(turned)}"
        )
        notes.append(Note("boxes-turned", text, {"count": len(turned)}))
    if nameless := counts.get("nameless"):
        words = ", ".join(f"{name} ({n})" for name, n in sorted(Counter(nameless).items()))
        notes.append(Note("names-left-empty", f"read as an animal that nobody has named: {words}"))
    if positions := Counter(counts.get("positions", ())):
        each = some([f"{column} ({n})" for column, n in sorted(positions.items())])
        text = f"{counted(positions.total(), 'cell')} with positions left out of the catalog, by column: {each}"
        notes.append(Note("positions-left-out", text, {"columns": sorted(positions)}))
    return notes


def is_period(column: str) -> bool:
    """Return whether a column of stations.csv holds a time."""
    return column in PERIODS or re.fullmatch(r"problem\d*_(from|to)", column) is not None


def _is_text(path: str) -> bool:
    try:
        Path(path).as_posix().encode()
    except UnicodeEncodeError:
        return False
    return True
