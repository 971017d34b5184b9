"""Where everything is that snowmatch writes into a catalog's folder."""

from __future__ import annotations

from pathlib import Path

HOME = ".snowmatch"  # the folder in a catalog's folder for all that is written there


def home_of(folder: Path) -> Path:
    """The folder for all that snowmatch writes about the catalog in `folder`."""
    return Path(folder) / HOME


def database_path(folder: Path) -> Path:
    """What is derived about photos and rows: contents, sizes, times, failures, identifiers (SQLite)."""
    return home_of(folder) / "catalog.sqlite"


def features_path(folder: Path) -> Path:
    """The folder of all extractors' features (HDF5)."""
    return home_of(folder) / "features"


def indexes_path(folder: Path) -> Path:
    """The folder of all search indexes."""
    return home_of(folder) / "index"


def maps_path(folder: Path) -> Path:
    """The foreground maps (npz)."""
    return home_of(folder) / "foreground.npz"


def calibration_path(folder: Path) -> Path:
    """The catalog's own calibrations and levels (JSON)."""
    return home_of(folder) / "calibration.json"


def settings_path(folder: Path) -> Path:
    """How the catalog is read (JSON)."""
    return home_of(folder) / "settings.json"
