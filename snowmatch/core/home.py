"""The paths of all files that snowmatch writes in a catalog's folder, and of photos there."""

from __future__ import annotations

import os
from pathlib import Path

HOME = ".snowmatch"  # the name of the folder, inside the catalog's folder, that holds all written files
CSV_NAME = "catalog.csv"  # the table of a catalog
STATIONS_NAME = "stations.csv"  # the table of its stations
EXCEL_NAME = "catalog.xlsx"  # the same as a spreadsheet
PROGRESS_FILE = "SNOWMATCH_PROGRESS"  # the variable of the environment that names the file of a command's progress


def home_of(folder: Path) -> Path:
    """Return the folder that holds all files that snowmatch writes about the catalog in `folder`."""
    return Path(folder) / HOME


def database_path(folder: Path) -> Path:
    """Return the path of the database (SQLite): all that is known of photos and rows."""
    return home_of(folder) / "catalog.sqlite"


def features_path(folder: Path) -> Path:
    """Return the folder that holds the features of all extractors (HDF5)."""
    return home_of(folder) / "features"


def indexes_path(folder: Path) -> Path:
    """Return the folder that holds all search indexes."""
    return home_of(folder) / "index"


def old_maps_path(folder: Path) -> Path:
    """Return the path of the file of foreground maps of older versions. It is not read; an index run deletes it."""
    return home_of(folder) / "foreground.npz"


def calibration_path(folder: Path) -> Path:
    """Return the path of the file with the catalog's own calibrations and levels (JSON)."""
    return home_of(folder) / "calibration.json"


def settings_path(folder: Path) -> Path:
    """Return the path of the file with the settings of how the catalog is read (JSON)."""
    return home_of(folder) / "settings.json"


def opened_path(folder: Path) -> Path:
    """Return the path of the file that holds a large catalog as it was read last (JSON)."""
    return home_of(folder) / "opened.json"


def mended_path(folder: Path) -> Path:
    """Return the path of the list of files that were damaged and made again at once (lines of JSON)."""
    return home_of(folder) / "mended.jsonl"


def middle_path(folder: Path) -> Path:
    """Return the path of the file of what was learned from the middle of the catalog's photos (npz)."""
    return home_of(folder) / "middle.npz"


def imported_path(folder: Path) -> Path:
    """Return the path of the table of what was imported last (CSV): it tells corrections from changes of the source."""
    return home_of(folder) / "imported.csv"


def path_inside(folder: Path, path: str) -> str:
    """Return the path of a photo in the catalog's folder, with forward slashes; "" if it does not lie there."""
    for home, photo in (
        (os.path.abspath(folder), os.path.abspath(path)),
        (os.path.realpath(folder), os.path.realpath(path)),
    ):
        try:
            below = Path(photo).relative_to(home)
        except ValueError:
            continue
        return "" if HOME in below.parts else below.as_posix()
    return ""
