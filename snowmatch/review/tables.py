"""The files of a batch: OUT.csv for people and spreadsheets, OUT.jsonl for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import CSV_NAME
from snowmatch.core.outputs import check_file, csv_path, jsonl_path
from snowmatch.core.plain import plain, read_json
from snowmatch.core.text import plain_cell
from snowmatch.review.rows import COLUMNS, Row, row_from_json

SCHEMA = "snowmatch.batch/2"


def check_out(out: Path, catalog: Path, *, force: bool) -> None:
    """Raise SnowmatchError unless the files of a batch may be written.

    An existing OUT.csv is replaced if it is what OUT.jsonl gives: then snowmatch wrote it, and nobody has edited it.
    """
    if out.is_dir():
        raise SnowmatchError(f"{out} is a folder, expected a name for the files, such as {out / 'answers'}")
    if csv_path(out).name.lower() == CSV_NAME:
        raise SnowmatchError(f"{csv_path(out)} has the name of a catalog: choose another name", "choose-output")
    check_file(jsonl_path(out), catalog, lambda path: _rows_in(path) is not None, force=force)
    check_file(csv_path(out), catalog, lambda path: _is_unedited(path, jsonl_path(out)), force=force)


def _is_unedited(path: Path, jsonl: Path) -> bool:
    rows = _rows_in(jsonl)
    try:
        return rows is not None and path.read_bytes().decode("utf-8-sig") == rows_to_csv(rows)
    except (OSError, ValueError):
        return False


def _rows_in(path: Path) -> list[Row] | None:
    """Return the rows of a file that `rows_to_jsonl` wrote; None if it is any other file or does not exist."""
    try:
        # as bytes: in a text, some characters of a name would end a line
        lines = [read_json(line) for line in path.read_bytes().splitlines()]
        if any(line["schema"] != SCHEMA for line in lines):
            return None
        return [row_from_json(line) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def rows_to_csv(rows: Iterable[Row]) -> str:
    """Return the table as csv text. No rows give the head alone.

    Lists are joined by "; ". Texts are printable, and no cell is a formula.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")  # "\r\n" would become "\r\r\n" on a Windows terminal
    writer.writerow(COLUMNS)
    for row in rows:
        values = ("; ".join(v) if isinstance(v, tuple) else "" if v is None else str(v) for v in vars(row).values())
        writer.writerow(map(plain_cell, values))
    return text.getvalue()


def rows_to_jsonl(rows: Iterable[Row]) -> str:
    """Return the table as one JSON object a line, with the schema "snowmatch.batch/2". No rows give no text."""
    return "".join(
        json.dumps({"schema": SCHEMA, **plain(asdict(row))}, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
    )
