"""The rows of a table file: a CSV file of any program, or the first sheet of an .xlsx file."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file
from snowmatch.core.notes import Note
from snowmatch.core.text import counted

SEPARATORS = ",;\t"
MOST_CELLS = 50_000_000  # of a sheet of Excel: all cells inside its outermost ones are held in memory, empty ones too
CELL = re.compile(rb"""\sr\s*=\s*["']\s*([A-Za-z]{0,8})([0-9]{1,20})""")  # where a row or a cell is: r="7", r="B7"
PART = 1 << 20  # bytes of a sheet that are looked at in one go


@dataclass(frozen=True)
class Sheet:
    """A table: its head with its line number, and (line, cells) for each row. All cells are text.

    A CSV file is UTF-8, or UTF-16 with its mark, with any line ends. The separator is a comma, semicolon or tab: the
    one that gives most of the known `columns` in the head, or the one that a first line `sep=;` names.
    """

    head: tuple[str, ...]
    head_line: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read_sheet(path: Path, columns: Collection[str], notes: list[Note]) -> Sheet:
    """Read a table. Raises SnowmatchError if the file is no table.

    Csv: UTF-8, or UTF-16 with its mark, any line ends; separated by commas, semicolons or tabs, whichever gives most of
    the known `columns` in the head, or as a first line `sep=;` says.
    """
    rows = _excel_rows(path, notes) if path.suffix.lower() == ".xlsx" else _csv_rows(path, columns)
    head_line, head = next(rows, (1, ()))
    return Sheet(tuple(head), head_line, tuple((line, tuple(cells)) for line, cells in rows))


def column_name(heading: str) -> str:
    """Return a heading of a catalog's table as the name of a column: `Body-Part` and `bodypart` are `body_part`."""
    name = "_".join(heading.strip().lower().replace("-", " ").split())
    return "body_part" if name == "bodypart" else name


def plain_heading(heading: str) -> str:
    """Return a heading in one form: `RelativePath`, `Relative path` and `relative-path` are all `relative_path`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", heading.strip().strip("\ufeff"))
    return re.sub(r"[\W_]+", "_", words.lower()).strip("_")


def _csv_rows(path: Path, columns: Collection[str]) -> Iterator[tuple[int, Sequence[str]]]:
    separator, text, line = separator_of(_text(path), columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = line - 1
    first = line
    try:
        for cells in reader:
            yield first, cells
            first = before + reader.line_num + 1
    except csv.Error as error:
        raise SnowmatchError(
            f"{path} line {first} cannot be split into columns ({error}); expected a closing quote for each opening "
            "quote, and two quotes for a quote inside a value"
        ) from error


def separator_of(text: str, columns: Collection[str]) -> tuple[str, str, int]:
    """Return the separator of a csv text, the text from its head on, and the number of the head's line.

    Empty lines above the head are skipped.
    """
    bare = re.match(r"(?:[ \t,;]*(?:\r\n|\n|\r))*", text)
    assert bare is not None
    above, text = len(bare[0].splitlines()), text[bare.end() :]
    first_line, _, rest = text.partition("\n")
    mark = first_line.strip(' "\r\n')
    if mark.lower().startswith("sep=") and len(mark) == 5:  # Excel writes the separator so
        return mark[4], rest, above + 2
    names = {mark: {cell.strip(' "\r').lower() for cell in first_line.split(mark)} for mark in SEPARATORS}
    return max(names, key=lambda mark: len(names[mark] & set(columns))), text, above + 1


def _text(path: Path) -> str:
    try:
        content = read_file(path)
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror}") from error
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SnowmatchError(
            f"{path} line {line} is not UTF-8 text: save the file as UTF-8 (in Excel: Save as, 'CSV UTF-8')"
        ) from None


def _excel_rows(path: Path, notes: list[Note]) -> Iterator[tuple[int, Sequence[str]]]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise SnowmatchError(
            f'{path} is an Excel file, which needs one more package: pip install "snowmatch[xlsx]", or save it as '
            "'CSV UTF-8'"
        ) from error
    _check_size(path)
    try:
        with CalamineWorkbook.from_path(path) as book:
            names = book.sheet_names
            sheet = book.get_sheet_by_index(0) if names else None
            values = sheet.to_python(skip_empty_area=False) if sheet is not None else []
            # Older versions of the library do not tell which cells are merged
            filled = _fill_merged(values, getattr(sheet, "merged_cell_ranges", None) or ())
    except (CalamineError, OSError, ValueError) as error:
        raise SnowmatchError(f"{path} is no Excel file that can be read ({error}): save it again") from error
    if len(names) > 1:
        text = f"{path.name} has {len(names)} sheets; only the first one, {names[0]!r}, was read"
        notes.append(Note("other-sheets", text, {"sheets": list(names)}))
    if filled:
        text = f"{counted(filled, 'empty cell')} of {path.name} read with the value of the merged cell they are in"
        notes.append(Note("merged-cells", text, {"count": filled}))
    started = False
    for line, cells in enumerate(values, start=1):
        texts = [_cell(value) for value in cells]
        if started or any(texts):  # empty lines above the head
            started = True
            yield line, texts


def _fill_merged(values: Sequence[list[Any]], ranges: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> int:
    """Give each row that a merged cell covers its value, and return how many cells were empty; a row without any other
    value stays empty.

    ranges: the first and the last cell of each, (row, column) from 0. To the right, a merged cell fills nothing.
    """
    found: dict[tuple[int, int], Any] = {}
    for (top, column), (bottom, _) in ranges:
        value = values[top][column] if top < len(values) and column < len(values[top]) else ""
        rows = range(top + 1, min(bottom + 1, len(values))) if value != "" else ()
        found |= {(n, column): value for n in rows if any(cell != "" for cell in values[n])}
    for (n, column), value in found.items():
        values[n][column] = value
    return len(found)


def _check_size(path: Path) -> None:
    """Raise SnowmatchError if a cell is so far out that the sheet would not fit in memory: the library would abort."""
    try:
        with zipfile.ZipFile(path) as book:
            for name in book.namelist():
                if name.lower().startswith("xl/worksheets/"):
                    with book.open(name) as sheet:
                        _check_cells(path, sheet)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        return  # the library that reads the file says what is wrong with it


def _check_cells(path: Path, sheet: IO[bytes]) -> None:
    columns, last, rest = {b"": 0}, 0, b""
    while part := sheet.read(PART):
        text = rest + part
        for letters, digits in set(CELL.findall(text)):
            columns.setdefault(letters, _column(letters))
            last = max(last, int(digits))
        rest = text[-64:]  # a place may lie on the border of two parts
        widest = max(columns, key=lambda letters: columns[letters])
        if max(columns[widest], 1) * last > MOST_CELLS:
            where = f"row {last:,}" + (f" and column {widest.decode().upper()}" if widest else "")
            raise SnowmatchError(
                f"{path} has cells as far out as {where}; expected at most {MOST_CELLS:,} cells in a sheet, empty ones "
                "included: delete the cells outside of the table, or save the sheet as 'CSV UTF-8'"
            )


def _column(letters: bytes) -> int:
    """Return the number of a column: 1 for A, 27 for AA."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _cell(value: Any) -> str:
    """Return a cell of a spreadsheet as text: whole numbers without a decimal mark, dates as ISO 8601."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
