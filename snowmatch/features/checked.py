"""When the files of features were checked. Reading trusts a file that was checked and that nobody has written since.

A file counts as checked when it was written, and when an index run has compared all its checksums. Number, size and
times of the file tell whether it was written since; a copy of it is another file. A disk may also lose data without a
write, so after a month a file is not trusted until it is checked again. If reading finds damage in a file, the file is
doubted: the next index run checks it first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snowmatch.core.files import read_file
from snowmatch.core.plain import read_summed_json, with_json_sum

CHECKED = "checked.json"
DOUBTED = ".doubted"  # the ending of an empty file beside a doubted one
TRUSTED = 30 * 86400.0  # seconds


@dataclass(frozen=True)
class Check:
    """One check of a file. at: when (seconds since 1970). stamp: its number, size and times then."""

    at: float
    stamp: tuple[int, ...]


def check_now(path: Path) -> Check:
    """Return a check of a file at this moment. Raises OSError if the system cannot tell its state."""
    return Check(time.time(), stamp_of(path.stat()))


def read_checks(folder: Path) -> dict[str, Check]:
    """Return the checks of the files of a folder, by name. A damaged list gives none."""
    return _known(folder) or {}


def checks_are_damaged(folder: Path) -> bool:
    """Return whether there is a list of checks that cannot be used."""
    return (folder / CHECKED).exists() and _known(folder) is None


def _known(folder: Path) -> dict[str, Check] | None:
    """Return the checks; None if the list is missing or damaged."""
    try:
        held = read_summed_json(read_file(folder / CHECKED))
        return {name: Check(float(at), tuple(map(int, stamp))) for name, (at, *stamp) in held.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def checks_to_json(checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return what `read_checks` reads."""
    return with_json_sum({name: [check.at, *check.stamp] for name, check in sorted(checks.items())})


def is_trusted(path: Path, check: Check | None) -> bool:
    """Return whether a file need not be checked again. check: its last one; None if there was none."""
    if check is None or abs(time.time() - check.at) > TRUSTED:
        return False
    try:
        return check.stamp == stamp_of(path.stat())
    except OSError:
        return False


def doubt(path: Path) -> None:
    """Note that damage was found in a file, if the disk can be written."""
    with suppress(OSError):
        path.with_name(path.name + DOUBTED).touch()


def doubted_files(folder: Path) -> set[str]:
    """Return the names of the doubted files of a folder."""
    return {path.name.removesuffix(DOUBTED) for path in folder.glob(f"*{DOUBTED}")}


def forget_doubts(folder: Path, names: Iterable[str]) -> None:
    """Note that these files have been checked, or are gone."""
    for name in names:
        with suppress(OSError):
            (folder / (name + DOUBTED)).unlink(missing_ok=True)


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """Return the number, the size and the times of a file."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
