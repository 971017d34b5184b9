"""Output files and folders that a user names: nothing in a catalog and no file of somebody else is replaced."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import unwritable
from snowmatch.core.home import CSV_NAME, HOME

# The comment in every picture and page that snowmatch writes: a text that no file of somebody else has by accident
MARK = "snowmatch-output-1"
HEAD = 4096  # bytes at the beginning of a file in which the mark is


def has_mark(path: Path) -> bool:
    """Return whether a picture or page was written by snowmatch. A file that cannot be read has no mark."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(HEAD)
    except OSError:
        return False


def check_outside(path: Path, catalog: Path) -> None:
    """Raise SnowmatchError if `path` lies in a catalog: in the one in the folder `catalog` or in another one.

    Links are followed. snowmatch itself writes only into the folder `.snowmatch` of a catalog.
    """
    real = Path(os.path.realpath(path))
    for folder in (real, *real.parents):
        if _is_catalog(folder) or _same(folder, catalog):
            raise SnowmatchError(
                f"{path} lies in the catalog {folder}, where no output is written: choose a place outside the catalog",
                "output-in-catalog",
            )


def check_file(path: Path, catalog: Path, is_ours: Callable[[Path], bool], *, force: bool = False) -> None:
    """Raise SnowmatchError unless an output file may be written at `path`.

    is_ours: returns whether an existing file was written by snowmatch and not changed since. force: other files may be
    replaced too, but no folder, no device, and nothing in a catalog.
    """
    check_outside(path, catalog)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.is_dir():
            raise SnowmatchError(
                f"{path.parent} is not a folder, so {path} cannot be written: make the folder first"
            ) from None
        return
    if stat.S_ISDIR(mode):
        raise SnowmatchError(f"{path} is a folder, expected a file name, such as {path / path.name}")
    if not stat.S_ISREG(mode):
        raise SnowmatchError(f"{path} is a pipe, a device or a socket, expected a file name")
    if not force and not is_ours(path):
        raise SnowmatchError(
            f"{path} exists, and snowmatch did not write it or somebody has edited it: choose another name",
            "output-exists",
        )


def check_folder(folder: Path, catalog: Path) -> None:
    """Raise SnowmatchError unless output files may be written in `folder`, which is made if it does not exist."""
    check_outside(folder, catalog)
    if os.path.lexists(folder) and not folder.is_dir():
        raise SnowmatchError(f"{folder} is a file, expected a folder: choose another name")


def make_output_folder(folder: Path) -> None:
    """Make a folder for outputs. Raises SnowmatchError if the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def csv_path(out: Path) -> Path:
    """Return the path of OUT.csv, the table for people. OUT may end with .csv or .jsonl."""
    return _beside(out, ".csv")


def jsonl_path(out: Path) -> Path:
    """Return the path of OUT.jsonl, the table for programs."""
    return _beside(out, ".jsonl")


def _beside(out: Path, ending: str) -> Path:
    name = out.name.removesuffix(".csv").removesuffix(".jsonl")
    return out.with_name((name or out.name) + ending)


def _is_catalog(folder: Path) -> bool:
    return (folder / HOME).is_dir() or (folder / CSV_NAME).is_file()


def _same(folder: Path, other: Path) -> bool:
    try:
        return os.path.samefile(folder, other)
    except OSError:
        return False
