"""Tables of other programs: headings in one form, rows as texts by heading."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import dropwhile
from pathlib import Path

from snowmatch.catalog.sheet import SEPARATORS, Sheet, plain_heading, read_sheet
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import same_name

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx")
HEAD = 1 << 16  # bytes of a file that are read to recognise it


@dataclass(frozen=True)
class Table:
    """A table: its headings in one form, and the rows. The headings are unique; an empty one has no column.

    rows: (line, cells); a row has as many cells as there are headings.
    """

    path: Path
    headings: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the line and the texts by heading of each row."""
        for line, cells in self.rows:
            yield line, dict(zip(self.headings, cells, strict=True))


def headings_of(path: Path) -> tuple[str, ...]:
    """Return the headings of a table in one form, from its beginning; () if it is no table. Never raises."""
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return ()
    if path.suffix.lower() == ".xlsx":
        try:
            return tuple(plain_heading(cell) for cell in _sheet(path, *_stamp(path))[0].head)
        except (SnowmatchError, OSError):
            return ()
    first, separator = _first_line(path)
    return tuple(plain_heading(cell.strip(' "')) for cell in first.split(separator))


def read_rows(path: Path, notes: list[Note], problems: list[str]) -> Table:
    """Read a table with any headings. Raises SnowmatchError if the file is no table.

    Rows with too many cells are problems, and so is a last line that breaks off. A second heading of one name gets a
    number.
    """
    try:
        sheet, said = _sheet(path, *_stamp(path))
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    notes += said
    seen: Counter[str] = Counter()
    headings = []
    for cell in sheet.head:
        name = plain_heading(cell)
        seen[name] += 1
        headings.append(f"{name}_{seen[name]}" if name and seen[name] > 1 else name)
    while headings and not headings[-1]:
        headings.pop()
    width, rows = len(headings), []
    short: list[tuple[int, int]] = []  # line and number of values
    for line, cells in sheet.rows:
        texts = [_unmarked(same_name(cell.strip())) for cell in cells]
        if not any(texts):
            continue
        if any(texts[width:]):
            problems.append(
                f"{path.name} line {line}: {len(texts)} values for {width} columns, the last {texts[-1]!r}; expected "
                "quotes around a value that contains the separator"
            )
            continue
        rows.append((line, tuple(texts[:width] + [""] * (width - len(texts)))))
        if len(texts) < width:
            short.append((line, len(texts)))
    if len(rows) > 1 and len(short) == 1 and short[0][0] == rows[-1][0] and _breaks_off(path):
        line, number = short[0]
        problems.append(
            f"{path.name} line {line}: {number} of {width} values, and no end of the line: it may be half a file; copy "
            "it again"
        )
    return Table(path, tuple(headings), tuple(rows))


def _unmarked(text: str) -> str:
    """Return a cell without the quotation mark that `plain_cell` puts before what a spreadsheet takes for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _breaks_off(path: Path) -> bool:
    """Return whether a text ends without the end of a line."""
    with path.open("rb") as file:
        file.seek(-2, os.SEEK_END)
        return not set(b"\r\n") & set(file.read())


def need(table: Table, names: Sequence[str], format_name: str) -> None:
    """Raise SnowmatchError if a table lacks one of the headings that its format requires."""
    if missing := [name for name in names if name not in table.headings]:
        raise SnowmatchError(
            f"{table.path} has no column {', '.join(missing)}, expected a table of {format_name}; it has: "
            f"{', '.join(filter(None, table.headings))}"
        )


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _sheet(path: Path, changed: int, size: int) -> tuple[Sheet, tuple[Note, ...]]:
    """Read a table once, although several importers look at it. changed, size: of the file, so that it is read anew."""
    notes: list[Note] = []
    words: list[str] = []
    if path.suffix.lower() != ".xlsx":
        first, separator = _first_line(path)
        words = [cell.strip(' "\r').lower() for cell in first.split(separator)]
    return read_sheet(path, words, notes), tuple(notes)


def _first_line(path: Path) -> tuple[str, str]:
    """Return the first line of a text with cells, and the separator that splits it into most cells."""
    try:
        with path.open("rb") as file:
            content = file.read(HEAD)
    except OSError:
        return "", ","
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    lines = content.decode("utf-16" if wide else "utf-8-sig", "replace").splitlines()
    lines = list(dropwhile(lambda line: not line.strip(" \t,;"), lines))  # as `separator_of` does
    if lines and re.fullmatch(r'"?sep=.["\s]*', lines[0].strip(), re.IGNORECASE):
        return (lines[1] if len(lines) > 1 else ""), lines[0].strip(' "')[4]
    first = lines[0] if lines else ""
    return first, max(SEPARATORS, key=first.count)
