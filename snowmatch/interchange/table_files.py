"""The files catalog.csv and stations.csv: read as texts, and replaced with the old file kept beside."""

from __future__ import annotations

import codecs
import csv
import io
import os
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from snowmatch.catalog.sheet import column_name, plain_heading, read_sheet, separator_of
from snowmatch.catalog.stations import SPELLINGS, meanings
from snowmatch.catalog.table import COLUMNS, read_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import read_file, replace_file
from snowmatch.core.home import CSV_NAME, EXCEL_NAME, STATIONS_NAME
from snowmatch.core.notes import Note
from snowmatch.interchange.merging import Cells

SUM_ROW = "sum"  # in the column of formats: the last row of the memory, which has its checksum
FORMAT_COLUMN, TABLE_COLUMN = "format", "table"  # the columns of the memory that say what a row is of


@dataclass(frozen=True)
class TextTable:
    """A table as texts. columns: in one form, unique; of stations, what the headings mean. headings: as in the file.

    separator, ends, before, encoding: of the file: what separates cells, what ends lines, what stands above the head,
    such as a line `sep=;`, and its encoding; with `-sig` if it begins with the mark by which Excel knows UTF-8.
    """

    columns: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[Cells, ...]
    separator: str = ","
    ends: str = "\n"
    before: str = ""
    encoding: str = "utf-8"


def read_text_table(path: Path) -> TextTable:
    """Read a table that may not exist: then it has no columns and no rows. Raises SnowmatchError if it is damaged."""
    if not path.exists():
        if path.name == CSV_NAME and path.with_name(EXCEL_NAME).exists():
            raise SnowmatchError(f"{path.with_name(EXCEL_NAME)} is the catalog's table: save it as {CSV_NAME} first")
        return TextTable((), (), ())
    of_stations = path.name == STATIONS_NAME
    words = [word for each in SPELLINGS.values() for word in each.split()] if of_stations else []
    known = [*words, *COLUMNS]
    sheet = read_sheet(path, known, [])
    plain = [plain_heading(heading) for heading in sheet.head]
    meaning = meanings(plain, [cells for _, cells in sheet.rows]) if of_stations else {}
    columns: list[str] = []
    for number, heading in enumerate(sheet.head):
        name = meaning.get(plain[number]) or column_name(heading)
        columns.append(name if name and name not in columns else f"\0{number}")
    rows = []
    for line, cells in sheet.rows:
        if any(cells[len(columns) :]):
            raise SnowmatchError(
                f"{path} line {line}: {len(cells)} values for {len(columns)} columns; expected quotes around a "
                "value that "
                "contains the separator"
            )
        if any(cell.strip() for cell in cells):
            rows.append(dict(zip(columns, cells, strict=False)))
    return TextTable(tuple(columns), sheet.head, tuple(rows), *_style(read_file(path), known))


def _style(content: bytes, columns: Sequence[str]) -> tuple[str, str, str, str]:
    """Return what separates cells, what ends lines, what stands above the head, and the encoding."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if wide else "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"
    text = content.decode(encoding)
    separator, rest, _ = separator_of(text, columns)
    return separator, "\r\n" if "\r\n" in text else "\n", text.removesuffix(rest), encoding


def table_bytes(old: TextTable, rows: Iterable[Cells], first: Sequence[str]) -> bytes:
    """Return a table as csv bytes: the columns it had, then those of `first` that are used, then further ones.

    It looks as it did to the program for tables that wrote it.
    """
    rows = list(rows)
    used = dict.fromkeys(column for row in rows for column, text in row.items() if text)
    added = [column for column in first if column in used or (not old.columns and column in first[:9])]
    added += [column for column in used if column not in added]
    columns = [*old.columns, *(column for column in added if column not in old.columns)]
    heading = dict(zip(old.columns, old.headings, strict=True))
    text = io.StringIO(old.before)
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text, delimiter=old.separator, lineterminator=old.ends)
    writer.writerow([heading.get(column, column) for column in columns])
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return text.getvalue().encode(old.encoding)


def check_catalog(content: bytes, path: Path) -> None:
    """Raise SnowmatchError if a catalog's table with this content could not be read. path: where it would be."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / CSV_NAME
        trial.write_bytes(content)
        try:
            read_table(trial, [])
        except SnowmatchError as error:
            if error.code == "unclear-dates":  # of older rows: the catalog's settings say how they are read
                return
            text = str(error).replace(str(trial), str(path))
            raise SnowmatchError(f"with these rows, {text}", error.code, **error.data) from error


def replace_table(path: Path, content: bytes) -> Path | None:
    """Replace a table, and return the file that keeps the old one; None if there was none."""
    kept = None
    if path.exists():
        old = read_file(path)
        names = (path.with_name(f"{path.name}.before-import-{number}") for number in count(1))
        kept = next(name for name in names if not os.path.lexists(name))
        replace_file(kept, lambda file: file.write(old))
    replace_file(path, lambda file: file.write(content))
    return kept


def read_memory(path: Path, notes: list[Note]) -> dict[tuple[str, str], dict[str, Cells]]:
    """Return what imports wrote: rows by identifier, by format and table. A missing or damaged memory is empty.

    Without it, every cell that differs from the source counts as corrected. A damaged one gets a note.
    """
    found: dict[tuple[str, str], dict[str, Cells]] = {}
    try:
        text = _without_sum(read_file(path)).decode("utf-8")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            if None in row or None in row.values():
                raise ValueError("a row has too many or too few values")
            what, key = (row.pop(FORMAT_COLUMN), row.pop(TABLE_COLUMN)), row.pop("key")
            if not key and not any(row.values()):  # a checksum with a damaged name
                raise ValueError("a row is empty")
            found.setdefault(what, {})[key] = {column: cell for column, cell in row.items() if cell}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, csv.Error, SnowmatchError) as error:
        text = f"{path} is damaged ({error}): every cell that differs from the source counts as corrected, and stays"
        notes.append(Note("memory-damaged", text))
        return {}
    return found


def _without_sum(content: bytes) -> bytes:
    """Return the rows of a memory without the last one, its checksum; one of an older version has none."""
    rows, _, last = content.rstrip(b"\n").rpartition(b"\n")
    name, _, rest = last.partition(b",")
    if name != SUM_ROW.encode():
        return content
    if rest.partition(b",")[0] != b"%d" % zlib.crc32(rows + b"\n"):
        raise ValueError("a value has changed")
    return rows + b"\n"


def write_memory(path: Path, memory: Mapping[tuple[str, str], Mapping[str, Cells]]) -> None:
    """Write what imports wrote."""
    columns = dict.fromkeys(
        c for rows in memory.values() for cells in rows.values() for c, text in cells.items() if text
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([FORMAT_COLUMN, TABLE_COLUMN, "key", *columns])
    for what, rows in sorted(memory.items()):
        writer.writerows([*what, key, *(cells.get(column, "") for column in columns)] for key, cells in rows.items())
    whole = text.getvalue().encode()
    last = f"{SUM_ROW},{zlib.crc32(whole)}{',' * (1 + len(columns))}\n"
    replace_file(path, lambda file: file.write(whole + last.encode()))
