"""The file of answers of an unfinished batch. It stands beside the output and has one JSON object per line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from snowmatch.catalog.table import CSV_NAME
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file, unreadable, unwritable
from snowmatch.core.notes import Note
from snowmatch.core.plain import plain
from snowmatch.core.text import counted
from snowmatch.core.version import __version__
from snowmatch.identify.session import Session
from snowmatch.review.groups import Group
from snowmatch.screening.maps import maps_stamp

PART_SCHEMA = "snowmatch.batch-part/1"


def beside(out: Path, ending: str) -> Path:
    """Return the path of the output with that ending. An `out` with the ending .csv or .jsonl loses it first."""
    name = out.name.removesuffix(".csv").removesuffix(".jsonl")
    return out.with_name((name or out.name) + ending)


def check_out(out: Path, folder: Path) -> None:
    """Raise SnowmatchError if `out` is a folder, its folder does not exist, or OUT.csv is the catalog's own table."""
    if out.is_dir():
        raise SnowmatchError(f"{out} is a folder, expected a name for the files, such as {out / 'answers'}")
    if not out.parent.is_dir():
        raise SnowmatchError(f"the folder {out.parent} does not exist, so {out} cannot be written: create it first")
    if os.path.abspath(beside(out, ".csv")) == os.path.abspath(folder / CSV_NAME):
        raise SnowmatchError(f"{beside(out, '.csv')} is the catalog's own table: choose another name", "choose-output")


def head_of(
    session: Session,
    groups: Sequence[Group],
    body_part: str | None,
    locations: Sequence[str],
) -> str:
    """Return the first line of the file of answers. It identifies everything that the answers depend on.

    Most of it is one checksum: annotations, their states, foreground maps, calibration and groups.
    """
    used = (session.data.annotations, session.states, maps_stamp(session.folder), session.calibration, groups)
    values = {
        "schema": PART_SCHEMA,
        "method": {
            "extractor": session.method.extractor,
            "matcher": session.method.matching,
            "snowmatch": __version__,
        },
        "filters": {"body_part": body_part, "locations": sorted(locations)},
        "sha256": hashlib.sha256(repr(used).encode("utf-8", "backslashreplace")).hexdigest(),
    }
    return json.dumps(plain(values))


def read_part(part: Path, head: str, groups: Sequence[Group], notes: list[Note]) -> list[dict[str, Any]]:
    """Return the answers that a stopped run left. They belong to the first of `groups`.

    Reading ends at the first damaged line. A missing file, or a file with another first line, gives no answers.
    notes: gets a note about the file, unless the file does not exist.
    """
    try:
        lines = part.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(part, error) from error
    if not lines or lines[0] != head.encode():
        text = f"{part} has other photos, settings or an older state of the catalog: the batch starts again"
        notes.append(Note("batch-started-over", text, {"file": str(part)}))
        return []
    records = []
    for line, group in zip(lines[1:], groups, strict=False):
        try:
            record = json.loads(line)
            if (record["row"]["encounter"], record["row"]["animal"]) != (plain(group.encounter), group.animal):
                break
        except (ValueError, KeyError, TypeError):
            break
        records.append(record)
    text = f"continued from {part}: it has the answers for {len(records)} of {counted(len(groups), 'animal')}"
    notes.append(Note("batch-continued", text, {"file": str(part), "answered": len(records)}))
    return records


def open_part(part: Path, head: str, records: Sequence[Mapping[str, Any]]) -> BinaryIO:
    """Write the file of answers with its first line and `records`, and return it open for appending.

    Raises SnowmatchError if the file cannot be written.
    """
    lines = [head, *(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)]
    replace_file(part, lambda file: file.write("".join(f"{line}\n" for line in lines).encode()))
    try:
        return part.open("ab")
    except OSError as error:
        raise unwritable(part.parent, error) from error


def append(file: BinaryIO, line: str, part: Path) -> None:
    """Append a line to the file of answers. Raises SnowmatchError if it cannot be written."""
    try:
        file.write(f"{line}\n".encode())
        file.flush()
    except OSError as error:
        raise unwritable(part.parent, error) from error
