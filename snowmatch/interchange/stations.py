"""Tables of stations of other programs, as the rows of stations.csv. Their values are checked by the survey."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.interchange.importers._tables import read_rows

COLUMNS = ("station", "location", "camera", "session", "x", "y", "crs", "from", "to")
SPELLINGS = {
    "station": "station station_id station_name site site_id site_name trap trap_id detector placename location_name "
    "trap_station camera_station",
    "location": "location area region study_area valley reserve park",
    "camera": "camera camera_id cam cam_id",
    "session": "session season survey",
    "x": "x longitude lon long lng decimal_longitude easting utm_x utm_e utmx x_coord coord_x",
    "y": "y latitude lat decimal_latitude northing utm_y utm_n utmy y_coord coord_y",
    "crs": "crs epsg srid projection",
    "from": "from start start_date setup setup_date deployment_start date_from set_up",
    "to": "to end end_date retrieval retrieval_date deployment_end date_to",
}
_PROBLEM = re.compile(r"problem_?(\d*)_?(from|to|start|end)_?(\d*)")


def read_station_table(path: Path, notes: list[Note], problems: list[str]) -> list[dict[str, str]]:
    """Return the rows of a table of stations with any usual headings, in the columns of stations.csv.

    `deployment` is the row's identifier: what the table says, or its station, camera and beginning. Raises
    SnowmatchError if the file is no table, or has no column of stations.
    """
    table = read_rows(path, notes, problems)
    meaning: dict[str, str] = {}
    for column, words in SPELLINGS.items():
        heading = next((word for word in words.split() if word in table.headings and word not in meaning), None)
        if heading is not None:
            meaning[heading] = column
    if "station" not in meaning.values():
        known = ", ".join(filter(None, table.headings)) or "an empty file"
        raise SnowmatchError(f"{path} has no column of stations in {known}; expected one called Station")
    pairs: dict[tuple[str, str], int] = {}
    for heading in table.headings:
        if match := _PROBLEM.fullmatch(heading):
            end = {"start": "from", "end": "to"}.get(match[2], match[2])
            number = pairs.setdefault((match[1] or match[3], ""), len(pairs) + 1)
            meaning[heading] = f"problem_{end}" if number == 1 else f"problem{number}_{end}"
    rows = []
    for line, cells in table:
        row = {meaning.get(heading, heading): value for heading, value in cells.items() if heading and value}
        if not row.get("station"):
            problems.append(f"{path.name} line {line}: no station; expected its name")
            continue
        row.setdefault("deployment", identifier(row))
        rows.append(row)
    return rows


def identifier(cells: Mapping[str, str]) -> str:
    """Return a text that tells the rows of a table of stations apart."""
    return "/".join(filter(None, (cells.get(c, "") for c in ("location", "station", "camera", "session", "from"))))
