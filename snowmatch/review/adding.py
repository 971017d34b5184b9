"""Adding photos to a catalog: each is copied into its folder `added/`, and gets a row in its catalog.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from filelock import Timeout

from snowmatch.catalog.cells import CellError, read_path
from snowmatch.catalog.encounters import passages
from snowmatch.catalog.positions import is_position
from snowmatch.catalog.sheet import column_name, separator_of
from snowmatch.catalog.table import COLUMNS, PLACES
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, read_file, replace_file, unreadable, unwritable
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, home_of
from snowmatch.core.locks import file_lock
from snowmatch.core.text import file_part
from snowmatch.core.types import BBox

WAIT = 30.0  # seconds
FOLDER = "added"  # of the photos, in the catalog's folder


@dataclass(frozen=True)
class NewPhoto:
    """A photo to add. name: its path gets a part of it. sha256: of its content. Empty texts are not known.

    inside: its path in the catalog, where it lies there already; "" copies it. beside: the path of a photo on record of
    the same passage: the new one gets its encounter, where the table names that.
    """

    source: Path
    name: str
    sha256: str
    bbox: BBox | None = None
    body_part: str = ""
    location: str = ""
    station: str = ""
    timestamp: str = ""
    encounter: str = ""
    inside: str = ""
    beside: str = ""


def add_photos(folder: Path, photos: Sequence[NewPhoto]) -> tuple[str, ...]:
    """Add photos to the catalog in `folder`, and return their paths in it. Nobody is named: that is a decision.

    A photo that has a row already gets no second one, so that a call that was killed can be made again. The table keeps
    all its bytes; rows are added at its end, and columns only if it lacks them. The table as it was before the first
    change of a day stays beside it. Raises SnowmatchError if the catalog has no catalog.csv or cannot
    be written; then no row is added.
    """
    table = folder / CSV_NAME
    if not table.is_file():
        kind = "a spreadsheet" if (folder / EXCEL_NAME).exists() else "folders"
        raise SnowmatchError(
            f"{folder} is a catalog of {kind}, and photos are added only to a {CSV_NAME}: put them into the folders "
            "yourself, or make such a table"
            if kind == "folders"
            else f"{folder / EXCEL_NAME} is {kind}, and photos are added only to a {CSV_NAME}: save it as such a table"
        )
    for photo in photos:
        check_places(photo.name, photo.location, photo.station)
    make_folder(home_of(folder))
    with changing_table(folder):
        paths = [photo.inside or copied(folder, FOLDER, photo) for photo in photos]
        before = read_file(table)
        there = paths_in(before)
        new = {path: photo for photo, path in zip(photos, paths, strict=True) if path not in there}
        if not new:
            return tuple(paths)
        named = _encounters_in(before) if any(photo.beside for photo in new.values()) else {}
        rows = [_row(photo, path, named.get(photo.beside, "")) for path, photo in new.items()]
        kept = folder / f"catalog.before-{date.today():%Y-%m-%d}.csv"
        if not kept.exists():
            replace_file(kept, lambda file: file.write(before))
        content = with_rows(before, rows)
        replace_file(table, lambda file: file.write(content))
    return tuple(paths)


def check_places(photo: str, location: str, station: str) -> None:
    """Raise SnowmatchError if the places of a photo are positions: a catalog with such names is not read."""
    for column, name in (("location", location), ("station", station)):
        if is_position(name):
            raise SnowmatchError(f"{photo}: its {column} is a position; expected the name of {PLACES[column]}")


def sent_passages(times: Sequence[datetime | None], gap: timedelta) -> list[list[int]]:
    """Return the numbers of photos that were sent together, by passage: neighbours in time are at most `gap` apart.

    Photos without a time are of the first passage. No photos give none.
    """
    known = {n: taken for n, taken in enumerate(times) if taken is not None}
    found = list(passages(known, known.__getitem__, gap))
    timeless = [n for n in range(len(times)) if n not in known]
    return [[*found[0], *timeless], *found[1:]] if found else [timeless] if timeless else []


@contextmanager
def changing_table(folder: Path) -> Iterator[None]:
    """Hold the lock of the table. Raises SnowmatchError if another process has it for too long, or it cannot be made.

    The folder `.snowmatch` must be there.
    """
    lock = file_lock(home_of(folder) / "table.lock")
    try:
        lock.acquire(timeout=WAIT)
    except Timeout:
        raise SnowmatchError(
            f"another program has changed {folder / CSV_NAME} for more than {WAIT:.0f} seconds: try again when it has "
            "finished"
        ) from None
    except OSError as error:
        raise unwritable(home_of(folder), error) from error
    try:
        yield
    finally:
        lock.release()


def copied(folder: Path, place: str, photo: NewPhoto) -> str:
    """Copy a photo into a folder of the catalog, and return its path in the catalog. The same photo is copied once.

    Raises SnowmatchError if the photo cannot be read or is not the one that was looked at, or if the folder cannot be
    written.
    """
    into = folder / place
    for each in (into, *into.parents[: len(Path(place).parts) - 1]):
        if each.is_symlink():
            raise SnowmatchError(f"{each} is a link; photos are added only to a real folder there: remove the link")
    stem = file_part(Path(photo.name).stem) or "photo"
    name = f"{stem}-{photo.sha256[:12]}{photo.source.suffix}"
    if not (into / name).exists():
        try:
            content = read_file(photo.source)
        except OSError as error:
            raise unreadable(photo.source, error) from error
        if sha256(content).hexdigest() != photo.sha256:
            raise SnowmatchError(f"{photo.source} has changed since it was looked at: add it again")
        try:
            into.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(into, error) from error
        replace_file(into / name, lambda file: file.write(content))
    return f"{place}/{name}"


def _row(photo: NewPhoto, path: str, encounter: str) -> dict[str, str]:
    values = {
        "path": path,
        "body_part": photo.body_part,
        "location": photo.location,
        "station": photo.station,
        "timestamp": photo.timestamp,
        "encounter": encounter or photo.encounter,
        "bbox": ",".join(map(str, photo.bbox)) if photo.bbox is not None else "",
    }
    return {name: value for name, value in values.items() if value}


def with_rows(content: bytes, rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return a table with rows at its end, in its own encoding, separator, line ends and order of columns.

    Raises SnowmatchError if the table is no text.
    """
    table = _parsed(content)
    records, columns, rest, separator = table.records, list(table.columns), table.rest, table.separator
    end = "\r\n" if "\r\n" in rest else "\n"
    head = records[0] if records else []
    wanted = [name for name in COLUMNS if any(name in row for row in rows)]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    if lacking := [name for name in wanted if name not in columns]:
        columns += lacking
        writer.writerow([*head, *lacking])
        writer.writerows(
            [*record, *[""] * (len(columns) - len(record))] if record else record for record in records[1:]
        )
    else:
        out.write(rest)
        if rest and not rest.endswith(("\n", "\r")):
            out.write(end)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return (table.before + out.getvalue()).encode(table.encoding)


def paths_in(content: bytes) -> set[str]:
    """Return the paths of the rows of a table, in their normal form. Raises SnowmatchError if it is no text."""
    table = _parsed(content)
    if "path" not in table.columns:
        return set()
    at = table.columns.index("path")
    return {_normal(record[at]) for record in table.records[1:] if len(record) > at}


def _encounters_in(content: bytes) -> dict[str, str]:
    """Return the encounters that a table names, by the path of their photos."""
    table = _parsed(content)
    if "encounter" not in table.columns:
        return {}
    path, encounter = (table.columns.index(name) for name in ("path", "encounter"))
    records = [record for record in table.records[1:] if len(record) > max(path, encounter)]
    return {_normal(record[path]): name for record in records if (name := record[encounter].strip())}


def _normal(path: str) -> str:
    try:
        return read_path(path)
    except CellError:
        return path


@dataclass(frozen=True)
class _Parsed:
    """A table as it is written. before: its mark and a line `sep=;`. rest: the text from its head on."""

    encoding: str
    before: str
    rest: str
    separator: str
    columns: tuple[str, ...]
    records: list[list[str]]


def _parsed(content: bytes) -> _Parsed:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise SnowmatchError(f"{CSV_NAME} is not UTF-8 text: save it as UTF-8 first") from None
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text[len(mark) :]
    separator, rest, _ = separator_of(text, COLUMNS)
    first = text[: len(text) - len(rest)]  # a line `sep=;`
    records = list(csv.reader(io.StringIO(rest, newline=""), delimiter=separator, strict=True))
    columns = [column_name(name) for name in (records[0] if records else ())]
    return _Parsed(encoding, mark + first, rest, separator, tuple(columns), records)
