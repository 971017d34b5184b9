"""Reading `catalog.csv`. Every value is checked. An error names the file, line, column, value and the allowed values.

The file is UTF-8 text, with or without BOM, with any line ends. The separator is a comma, a semicolon or a tab, as
Excel writes them. Column names may be in upper or lower case. A time zone is removed from a timestamp, with a note,
because snowmatch uses the local time of the camera. All rows of one photo have the same place and time; it is enough to
fill them in one of the rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import choices, did_you_mean, same_name, some
from snowmatch.core.types import BODY_PARTS, BBox

# Columns with the same value in all rows of one photo: it has one place, one time and one side of a split.
PHOTO_COLUMNS = ("location", "station", "camera", "timestamp", "encounter", "split")
COLUMNS = ("path", "individual", "body_part", "bbox", "mask", *PHOTO_COLUMNS, "annotation")
CSV_NAME = "catalog.csv"
SPLITS = ("train", "test")
UNIDENTIFIED = "_unidentified"
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*(Z|[+-]\d\d:?\d\d)?")
Fields = dict[str, Any]  # the values of one Annotation, except `row`


def read_csv(path: Path, notes: list[Note]) -> list[Fields]:
    """Return the rows of a catalog.csv, in its order. Remarks about changed or skipped values are added to `notes`.

    Raises SnowmatchError if the file cannot be read or a value is not allowed.
    """
    table = _csv_rows(path)
    line, header = next(table, (1, []))
    columns = [name.strip().lower() for name in header]
    if "path" not in columns:
        raise SnowmatchError(
            f"{path} line {line}: no column 'path' in {', '.join(header) or 'an empty file'}; "
            f"expected some of {', '.join(COLUMNS)}{did_you_mean('path', columns)}"
        )
    twice = [name for name, count in Counter(columns).items() if count > 1 and name in COLUMNS]
    if twice:
        raise SnowmatchError(f"{path} line {line}: column {twice[0]!r} appears twice, expected once")
    if unknown := [name for name in columns if name and name not in COLUMNS]:
        listed = ", ".join(name + did_you_mean(name, [c for c in COLUMNS if c not in columns]) for name in unknown)
        text = f"unknown columns of {path.name} were ignored: {listed}"
        notes.append(Note("columns-left-out", text, {"columns": unknown}))
    counts: Counter[str] = Counter()
    rows: list[Fields] = []
    lines: list[int] = []
    for line, cells in table:
        if not any(cells):
            continue
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            raise SnowmatchError(
                f"{path} line {line}: {len(cells)} values for {len(columns)} columns, the last {cells[-1]!r}; "
                'expected quotes around a value that contains the separator, such as "10,20,300,200"'
            )
        try:
            rows.append(_row_fields(dict(zip(columns, cells, strict=False)), counts))  # Excel omits empty last cells
        except _CellError as problem:
            raise SnowmatchError(f"{path} line {line}, column {problem}") from None
        lines.append(line)
    if not rows:
        raise SnowmatchError(f"{path} has no rows below its header, expected one row per animal in a photo")
    if counts["backslash"]:
        text = f"\\ was read as / in the paths of {counts['backslash']} rows of {path.name}"
        notes.append(Note("backslashes", text, {"count": counts["backslash"]}))
    if counts["zone"]:
        text = f"the time zone of {counts['zone']} timestamps was ignored: snowmatch uses the local time of the camera"
        notes.append(Note("zones-left-out", text, {"count": counts["zone"]}))
    _check_identifiers(path, rows, lines)
    if len({fields["path"] for fields in rows}) < len(rows):
        rows, lines = _without_repeats(path, rows, lines, notes)
        _share_photo_columns(path, rows, lines)
    return rows


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, cells) for every row.

    The separator is the one of comma, semicolon and tab that gives the most known column names in the header.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SnowmatchError(
            f"{path} line {line} is not UTF-8 text: save the file as UTF-8 (in Excel: Save as, 'CSV UTF-8')"
        ) from None
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror}") from error
    header = text.split("\n", 1)[0]
    names = {mark: {cell.strip(' "\r').lower() for cell in header.split(mark)} for mark in ",;\t"}
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(names, key=lambda m: len(names[m] & set(COLUMNS))), strict=True
    )
    first = 1
    try:
        for cells in reader:
            yield first, cells
            first = reader.line_num + 1
    except csv.Error as error:
        raise SnowmatchError(
            f"{path} line {first} cannot be split into columns ({error}); expected a closing quote for each opening "
            "quote, and two quotes for a quote inside a value"
        ) from error


class _CellError(Exception):
    """The error for one cell: its column, its value and the allowed values."""

    def __init__(self, column: str, value: str, expected: str) -> None:
        super().__init__(f"{column}: {value!r} is not allowed; {expected}")


def _row_fields(cells: dict[str, str], counts: Counter[str]) -> Fields:
    fields: Fields = {
        c: same_name(cells[c].strip())
        for c in ("location", "station", "camera", "encounter", "annotation")
        if cells.get(c)
    }
    fields["path"] = _path(cells, "path", counts)
    if not fields["path"]:
        raise _CellError("path", cells.get("path", ""), "expected a photo's path")
    fields["mask"] = _path(cells, "mask", counts)
    individual = same_name(cells.get("individual", "").strip())
    fields["individual"] = individual if individual not in ("", UNIDENTIFIED) else None
    for column, known, default in (("body_part", BODY_PARTS, "unknown"), ("split", SPLITS, "")):
        value = cells.get(column, "").strip()
        if value and value not in known:
            raise _CellError(column, value, choices(value, known) + ", or an empty cell")
        fields[column] = value or default
    fields["timestamp"] = _timestamp(cells.get("timestamp", "").strip(), counts)
    fields["bbox"] = _bbox(cells.get("bbox", "").strip())
    return fields


def _path(cells: dict[str, str], column: str, counts: Counter[str]) -> str:
    """Return a path in the standard form: relative, with forward slashes, without '.' parts. Blanks are kept."""
    text = cells.get(column, "")
    if not text.strip():
        return ""
    expected = "expected a path inside the catalog's folder, such as images/IMG_0042.JPG"
    path = text
    if "\\" in path:
        path = path.replace("\\", "/")
        counts["backslash"] += 1
    if path[0] == "/" or path[1:2] == ":" or "\0" in path:
        raise _CellError(column, text, expected)
    if "." in path.split("/")[0] or "/." in path or "//" in path:
        parts = path.split("/")
        if ".." in parts:
            raise _CellError(column, text, f"{expected}, without '..'")
        path = "/".join(part for part in parts if part not in ("", "."))
    return path


def _timestamp(text: str, counts: Counter[str]) -> datetime | None:
    if not text:
        return None
    expected = "expected a local date and time such as 2012-09-17T19:42:18, or an empty cell"
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise _CellError("timestamp", text, expected)
    clock, _, fraction = match[1].replace(",", ".").partition(".")
    try:
        moment = datetime.fromisoformat(clock)
    except ValueError as error:  # for example a 13th month or a 30th of February
        raise _CellError("timestamp", text, f"{expected} ({error})") from None
    counts["zone"] += match[2] is not None
    return moment.replace(microsecond=int(fraction[:6].ljust(6, "0"))) if fraction else moment


def _bbox(text: str) -> BBox | None:
    if not text:
        return None
    expected = "expected x,y,w,h in px of the upright photo with w and h above 0, or an empty cell"
    try:
        numbers = [round(float(part)) for part in text.split(",")]
    except (ValueError, OverflowError):  # the text is not a number, or it is nan or inf
        raise _CellError("bbox", text, expected) from None
    if len(numbers) != 4 or numbers[2] <= 0 or numbers[3] <= 0:
        raise _CellError("bbox", text, expected)
    return (numbers[0], numbers[1], numbers[2], numbers[3])


def _check_identifiers(path: Path, rows: list[Fields], lines: list[int]) -> None:
    """Check that no two rows have the same identifier. Raises SnowmatchError if two rows do."""
    seen: dict[str, int] = {}
    for fields, line in zip(rows, lines, strict=True):
        name = fields.get("annotation")
        if name and seen.setdefault(name, line) != line:
            raise SnowmatchError(
                f"{path} line {line}, column annotation: {name!r} is already the identifier of line {seen[name]}; "
                "expected another identifier, or an empty cell"
            )


def _without_repeats(
    path: Path, rows: list[Fields], lines: list[int], notes: list[Note]
) -> tuple[list[Fields], list[int]]:
    """Return the rows without repeated rows, and their line numbers.

    A note reports repeated rows. Another note reports rows that give two individuals to one photo, box and mask.
    """
    first: dict[tuple, int] = {}
    names: dict[tuple, tuple[str | None, int]] = {}
    repeated: list[int] = []
    unclear: list[str] = []
    keep = []
    for n, (fields, line) in enumerate(zip(rows, lines, strict=True)):
        if first.setdefault(tuple(sorted(fields.items())), n) != n:
            repeated.append(line)
            continue
        keep.append(n)
        where = (fields["path"], fields["bbox"], fields["mask"])
        name, line_before = names.setdefault(where, (fields["individual"], line))
        if name != fields["individual"]:
            unclear.append(f"lines {line_before} and {line}")
    if repeated:
        text = f"{len(repeated)} rows of {path.name} repeat an earlier row and were skipped: lines {some(repeated)}"
        notes.append(Note("repeated-rows", text, {"lines": repeated}))
    if unclear:
        text = (
            f"{len(unclear)} rows of {path.name} have the photo, box and mask of another row but another individual "
            f"({some(unclear)}): give each animal its own box"
        )
        notes.append(Note("two-names", text, {"lines": unclear}))
    return [rows[n] for n in keep], [lines[n] for n in keep]


def _share_photo_columns(path: Path, rows: list[Fields], lines: list[int]) -> None:
    """Copy the place and time of a photo from one of its rows to its other rows.

    Raises SnowmatchError if two rows of one photo contradict each other.
    """
    photos: dict[str, list[int]] = defaultdict(list)
    for n, fields in enumerate(rows):
        photos[fields["path"]].append(n)
    for numbers in photos.values():
        if len(numbers) == 1:
            continue
        for column in PHOTO_COLUMNS:
            given = [n for n in numbers if rows[n].get(column)]
            for n in given[1:]:
                if rows[n][column] != rows[given[0]][column]:
                    raise SnowmatchError(
                        f"{path} line {lines[n]}, column {column}: {str(rows[n][column])!r} contradicts line "
                        f"{lines[given[0]]} of the same photo; expected {str(rows[given[0]][column])!r}, or an empty "
                        "cell"
                    )
            for n in numbers if given else ():
                rows[n][column] = rows[given[0]][column]
