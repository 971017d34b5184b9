"""Wildbook: the sheet of its standard bulk import, and its exports of encounters with annotations.

Source: wildbook-docs, "Bulk import"; WildMeOrg/Wildbook, the headings of its exports.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import ClassVar

from snowmatch.catalog.species import SNOW_LEOPARD, species_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.interchange.importers._tables import headings_of, read_rows
from snowmatch.interchange.importers._values import Box, four_numbers, side

ASSET = re.compile(r"encounter_media_asset(\d+)")
NAMES = ("marked_individual_individual_id", "encounter_individual_id", "name0_value", "individual_id")
IDENTIFIERS = ("encounter_catalog_number", "encounter_id", "encounter_encounter_id", "encounter_source_url",
               "encounter_alternate_id", "encounter_other_catalog_numbers")  # fmt: skip
PLACES = ("encounter_decimal_latitude", "encounter_decimal_longitude", "encounter_latitude", "encounter_longitude")
UPLOADS = "photos.csv"
DATES = ("year", "month", "day", "hour", "minutes")


@dataclass(frozen=True)
class Wildbook:
    """Wildbook's sheet (xlsx or csv). The individual of an encounter is that of each of its photos."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "Wildbook (bulk import or export)"

    def looks_like(self, source: Path) -> float:
        """Return 1 for a table with the column Encounter.mediaAsset0."""
        return float("encounter_media_asset0" in headings_of(source))

    def read(self, source: Path) -> Imported:
        """Return one row for each photo of each encounter. Raises SnowmatchError without columns of photos."""
        notes: list[Note] = []
        problems: list[str] = []
        table = read_rows(source, notes, problems)
        assets = [h for h in table.headings if ASSET.fullmatch(h)]
        if not assets:
            raise SnowmatchError(f"{source} has no column Encounter.mediaAsset0, expected a sheet of Wildbook")
        uploads = _uploads(source.parent, notes, problems)
        rows: list[ImportedRow] = []
        left_out: Counter[str] = Counter()
        repeated: Counter[str] = Counter()
        positions: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        in_utc = undated = 0
        for line, cells in table:
            where = f"{source.name} line {line}"
            time, from_number = _time(cells, where, problems)
            in_utc += from_number
            undated += not time and any(_dates(cells).values())
            about = _cells(cells, time)
            if any(cells.get(h) for h in PLACES):
                across = cells.get(PLACES[1]) or cells.get(PLACES[3], "")
                positions[about["location"], about["station"]].add(
                    (across, cells.get(PLACES[0]) or cells.get(PLACES[2], ""))
                )
            if not any(cells[asset] for asset in assets):
                left_out["encounters without a photo"] += 1
            for asset in filter(cells.get, assets):
                photo = PurePosixPath(cells[asset].replace("\\", "/")).as_posix()
                photo = uploads.get(photo, photo)
                number = asset.removeprefix("encounter_media_asset")
                base = "/".join(filter(None, (next((cells[h] for h in IDENTIFIERS if cells.get(h)), ""), photo)))
                repeated[base] += 1
                key = base if repeated[base] == 1 else f"{base}#{repeated[base]}"
                view = cells.get(f"annotation{number}_view_point") or cells.get(f"annotation{number}_viewoint", "")
                own = {**about, "body_part": side(view)}
                box = _box(cells.get(f"annotation{number}_bbox", ""), where, problems)
                kept = {column: value for column, value in own.items() if value}
                rows.append(ImportedRow(photo, key, kept, box, "px", None, where))
        if in_utc:
            text = f"the time of {counted(in_utc, 'encounter')} is in milliseconds, which were read as UTC"
            notes.append(Note("times-in-milliseconds", text))
        if undated:
            text = f"{counted(undated, 'encounter')} without a year, a month or a day: no time; what is there is kept "
            notes.append(Note("incomplete-dates", f"{text}in the columns {', '.join(DATES)}", {"count": undated}))
        several = sorted({station or area for (area, station), seen in positions.items() if len(seen) > 1})
        if several:
            notes.append(
                Note("stations-with-positions", f"places with several positions are no stations: {some(several)}")
            )
        stations = tuple(
            {"station": station, "location": area, "x": x, "y": y, "crs": "4326", "deployment": f"{area}/{station}"}
            for (area, station), seen in sorted(positions.items())
            if station and len(seen) == 1
            for x, y in seen
        )
        return Imported(tuple(rows), (source.parent,), stations, tuple(notes), tuple(problems), dict(left_out))


def _uploads(folder: Path, notes: list[Note], problems: list[str]) -> dict[str, str]:
    """Return the paths of photos by the names under which they were uploaded, as snowmatch's export writes them."""
    table = folder / UPLOADS
    if set(headings_of(table)) != {"path", "upload_as"}:
        return {}
    return {cells["upload_as"]: cells["path"] for _, cells in read_rows(table, notes, problems)}


def _cells(cells: Mapping[str, str], time: str) -> dict[str, str]:
    """Return the cells of an encounter; of an unidentifiable one there is no name."""
    name = next((cells[h] for h in NAMES if cells.get(h)), "")
    state = cells.get("encounter_state", "")
    scientific = " ".join(filter(None, (cells.get("encounter_genus"), cells.get("encounter_specific_epithet"))))
    further = {
        heading.removeprefix("encounter_"): value
        for heading, value in cells.items()
        if value
        and heading.startswith(("encounter_", "occurrence_", "sighting_", "survey_", "marked_individual_"))
        and heading not in (*PLACES, *NAMES)
        and not re.match(
            r"encounter_(media_asset\d+|genus|specific_epithet|sex|location_id|verbatim_locality)", heading
        )
        and heading.removeprefix("encounter_") not in (*DATES, "date_in_milliseconds")
    }
    return {
        **further,
        **({} if time else _dates(cells)),
        "individual": "" if state.lower() == "unidentifiable" else name,
        "location": cells.get("encounter_location_id", ""),
        "station": cells.get("encounter_verbatim_locality", ""),
        "timestamp": time,
        "sex": cells.get("encounter_sex", ""),
        "species": SNOW_LEOPARD if species_key(scientific) == SNOW_LEOPARD else scientific,
        "scientific_name": scientific,
    }


def _dates(cells: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of DATES, without the decimals of a spreadsheet, which writes 5 as 5.0.

    Unknown parts, which Wildbook writes as year 0, month -1, day 0 and hour -1, are empty.
    """
    texts = {name: re.sub(r"\.0+$", "", cells.get(f"encounter_{name}", "")) for name in DATES}
    unknown = {name: r"-\d+" if name in ("hour", "minutes") else r"-\d+|0+" for name in DATES}
    return {name: "" if re.fullmatch(unknown[name], text) else text for name, text in texts.items()}


def _time(cells: Mapping[str, str], where: str, problems: list[str]) -> tuple[str, bool]:
    """Return the time of an encounter, and whether it is from a number of milliseconds.

    A year alone is no time: the milliseconds count only if nothing tells a year, a month or a day, and 0 is none.
    """
    year, month, day, hour, minutes = _dates(cells).values()
    try:
        if year and month and day:
            if hour:
                moment = datetime(int(year), int(month), int(day), int(hour), int(minutes or 0))
                return moment.isoformat(), False
            return datetime(int(year), int(month), int(day)).date().isoformat(), False
        number = re.sub(r"\.0+$", "", cells.get("encounter_date_in_milliseconds", ""))
        if number.strip("0") and not (year or month or day):
            moment = datetime.fromtimestamp(int(number) / 1000, UTC).replace(tzinfo=None)
            return moment.isoformat(timespec="seconds"), True
    except (ValueError, OverflowError, OSError) as error:
        given = "-".join(filter(None, (year, month, day, hour, minutes)))
        problems.append(f"{where}: the date {given} is not allowed ({error}); expected year, month, day, hour, minutes")
    return "", False


def _box(text: str, where: str, problems: list[str]) -> Box | None:
    try:
        box = four_numbers(text)
    except ValueError:
        box = (0.0, 0.0, 0.0, 0.0)
    if box is not None and not (box[2] > 0 and box[3] > 0):
        problems.append(f"{where}: the box {text!r} is not allowed; expected [x, y, width, height] in px")
        return None
    return box


PLUGIN = Wildbook
