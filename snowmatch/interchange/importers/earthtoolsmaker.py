"""A catalogue of earthtoolsmaker: database/LOCATION/INDIVIDUAL/images/BODY_PART/NAME.jpg. Its folders say
everything.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.photos.formats import EXTENSIONS

INDEX = "catalog_index.yaml"
PARTS = {"misc": "other"}


@dataclass(frozen=True)
class Earthtoolsmaker:
    """A catalogue of earthtoolsmaker: its folder. The photos are crops on black."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "a catalogue of earthtoolsmaker"

    def looks_like(self, source: Path) -> float:
        """Return 0.95 for a folder with catalog_index.yaml and database."""
        return 0.95 * ((source / INDEX).is_file() and (source / "database").is_dir())

    def read(self, source: Path) -> Imported:
        """Return one row for each photo. Raises SnowmatchError without photos, or for a later version."""
        base = source / "database"
        if not base.is_dir():
            raise SnowmatchError(f"{source} has no folder database, expected a catalogue of earthtoolsmaker")
        _check_version(source / INDEX)
        rows = []
        names: Counter[str] = Counter()
        for path in sorted(base.glob("*/*/images/*/*")):
            location, individual, _, part, _ = path.relative_to(base).parts
            if path.suffix.lower() not in EXTENSIONS:
                continue
            photo = path.relative_to(source).as_posix()
            names[f"{location}/{individual}/{path.stem}"] += 1
            cells = {"individual": individual, "location": location, "body_part": PARTS.get(part, part)}
            # Its own identifier, name and file name, occurs twice: the folders make it unique
            rows.append(ImportedRow(photo, f"{location}/{individual}/{part}/{path.stem}", cells, where=photo))
        if not rows:
            raise SnowmatchError(f"{base} has no photos in LOCATION/INDIVIDUAL/images/BODY_PART")
        notes = []
        if again := sum(n > 1 for n in names.values()):
            text = f"{counted(again, 'file name')} under two body parts of an animal: crops of one photo"
            notes.append(Note("crops-of-one-photo", text, {"count": again}))
        return Imported(tuple(rows), (source,), notes=tuple(notes))


def _check_version(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    match = re.search(r"^catalog_version:\s*[\"']?(\d+)\.", text, re.MULTILINE)
    if match is not None and int(match[1]) > 1:
        raise SnowmatchError(f"{path} is version {match[1]}, a later one; supported is 1: get a newer snowmatch")


PLUGIN = Earthtoolsmaker
