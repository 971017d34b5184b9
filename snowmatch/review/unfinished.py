"""What is kept of a batch that is stopped: the answers so far, beside the output, as JSON lines."""

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
    """The file of that ending; OUT.csv means OUT."""
    name = out.name.removesuffix(".csv").removesuffix(".jsonl")
    return out.with_name((name or out.name) + ending)


def check_out(out: Path, folder: Path) -> None:
    if out.is_dir():
        raise SnowmatchError(f"{out} is a folder, expected a name for the files, such as {out / 'answers'}")
    if not out.parent.is_dir():
        raise SnowmatchError(f"{out.parent} is no folder, so {out} cannot be written: make the folder first")
    if os.path.abspath(beside(out, ".csv")) == os.path.abspath(folder / CSV_NAME):
        raise SnowmatchError(f"{beside(out, '.csv')} is the catalog itself: choose another name", "choose-output")


def head_of(
    session: Session,
    groups: Sequence[Group],
    body_part: str | None,
    locations: Sequence[str],
) -> str:
    """The first line of the file of answers: all that they depend on, most of it as one sum."""
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
    """The answers to the first of `groups` that a stopped run left; what follows a line cut short does not count."""
    try:
        lines = part.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(part, error) from error
    if not lines or lines[0] != head.encode():
        text = f"{part} is of other photos, settings or another state of the catalog: started over"
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
    text = f"went on from {part}: {len(records)} of {counted(len(groups), 'animal')} were answered already"
    notes.append(Note("batch-continued", text, {"file": str(part), "answered": len(records)}))
    return records


def open_part(part: Path, head: str, records: Sequence[Mapping[str, Any]]) -> BinaryIO:
    """The file of answers, open to be appended to, with its head and these records only."""
    lines = [head, *(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)]
    replace_file(part, lambda file: file.write("".join(f"{line}\n" for line in lines).encode()))
    try:
        return part.open("ab")
    except OSError as error:
        raise unwritable(part.parent, error) from error


def append(file: BinaryIO, line: str, part: Path) -> None:
    try:
        file.write(f"{line}\n".encode())
        file.flush()
    except OSError as error:
        raise unwritable(part.parent, error) from error
