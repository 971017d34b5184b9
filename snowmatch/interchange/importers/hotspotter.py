"""A HotSpotter database: chip_table.csv, image_table.csv and name_table.csv, in `_hsdb` or beside the images.

Source: HotSpotter's load_data2.py (Crall et al. 2013).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.interchange.importers._values import Box, around, four_numbers

CHIPS = ("chip_table.csv", "instance_table.csv")
NAMES = ("name_table.csv", "animal_info_table.csv")
IMAGES = "image_table.csv"
FOLDERS = ("_hsdb", ".hs_internals")  # of the tables, beside the images
_ROI = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class HotSpotter:
    """A HotSpotter database: its folder. Turned chips get the upright box around them."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "a HotSpotter database (_hsdb)"

    def looks_like(self, source: Path) -> float:
        """Return 0.95 for a folder with the tables of HotSpotter."""
        return 0.95 * (_find(source, CHIPS) is not None and _find(source, (IMAGES,)) is not None)

    def read(self, source: Path) -> Imported:
        """Return one row for each chip. Raises SnowmatchError if a table is missing."""
        chips, images, names = (_find(source, files) for files in (CHIPS, (IMAGES,), NAMES))
        if chips is None or images is None:
            raise SnowmatchError(f"{source} has no {CHIPS[0]} and {IMAGES}, expected a HotSpotter database")
        problems: list[str] = []
        name_of = {row[0]: row[1] for _, row in _rows(names, problems) if len(row) > 1} if names is not None else {}
        photo_of = {}
        for line, row in _rows(images, problems):
            if len(row) < 2:
                problems.append(f"{images.name} line {line}: {len(row)} values, expected gid, gname, aif")
                continue
            photo_of[row[0]] = (
                row[1] if len(row) < 4 else f"{row[1]}{row[2] if row[2].startswith('.') else '.' + row[2]}"
            )
        rows = []
        turned = 0
        further = _properties(chips)
        for line, row in _rows(chips, problems):
            where = f"{chips.name} line {line}"
            if len(row) < 4:
                problems.append(f"{where}: {len(row)} values, expected ChipID, ImgID, NameID, roi, theta")
                continue
            if row[1] not in photo_of:
                problems.append(f"{where}: no image {row[1]!r} in {images.name}")
                continue
            box, theta = _box(row, where, problems)
            turned += bool(theta)
            known = "" if row[2] in ("0", "1") else row[2]  # these are reserved for animals without a name
            name = name_of.get(row[2], known)
            more = {heading: value for heading, value in zip(further, row[5:], strict=False) if heading and value}
            cells = {
                **more,
                "individual": name,
                "theta": f"{theta:.6g}" if theta else "",
                "image": row[1],
                "name_id": known,
            }
            kept = {column: value for column, value in cells.items() if value}
            # HotSpotter reads photos without EXIF orientation: its boxes are of the pixels as they are stored
            rows.append(ImportedRow(photo_of[row[1]], f"{source.name}/{row[0]}", kept, box, "stored px", None, where))
        notes = []
        if turned:
            text = f"{counted(turned, 'chip')} turned: the upright box around each is taken, the angle is kept as theta"
            notes.append(Note("turned-boxes", text))
        home = source.parent if source.name in FOLDERS else source
        roots = tuple(folder for folder in (home / "images", home) if folder.is_dir())
        return Imported(tuple(rows), roots, (), tuple(notes), tuple(problems))


def _rows(path: Path, problems: list[str]) -> list[tuple[int, list[str]]]:
    """Return the rows of a table of HotSpotter: no quotes, blanks around the values, # begins a comment."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SnowmatchError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        text = path.read_bytes().decode("latin-1")  # HotSpotter writes bytes as they come
    found = []
    count = re.search(r"^#\s*NumData\s+(\d+)", text, re.MULTILINE)
    for line, content in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if content.strip() and not content.lstrip().startswith("#"):
            found.append((line, [cell.strip() for cell in content.split(",")]))
    if count is not None and int(count[1]) > len(found):
        problems.append(f"{path.name}: {len(found)} rows, but it says {count[1]}: it may be half a file; copy it again")
    return found


def _properties(path: Path) -> list[str]:
    """Return the names of the columns that users added to the chips."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("#") and "roi" in line.lower():
            headings = re.sub(r"\[[^\]]*\]", "", line.lstrip("# ")).split(",")
            return [re.sub(r"\W+", "_", heading.strip().lower()).strip("_") for heading in headings[5:]]
    return []


def _box(row: list[str], where: str, problems: list[str]) -> tuple[Box | None, float]:
    """Return the upright box of a chip, and its angle (radians)."""
    text = _ROI.search(row[3])
    try:
        box = four_numbers(text[1] if text else row[3])
        theta = float(row[4]) % (2 * pi) if len(row) > 4 and row[4] else 0.0
    except ValueError:
        box, theta = (0.0, 0.0, 0.0, 0.0), 0.0
    if box is not None and not (box[2] > 0 and box[3] > 0):
        problems.append(f"{where}: the roi {row[3]!r} is not allowed; expected [x y w h] in px")
        return None, 0.0
    return (around(box, theta=theta) if box is not None and theta else box), theta


def _find(source: Path, names: tuple[str, ...]) -> Path | None:
    places = (source / folder / name for folder in (*FOLDERS, "") for name in names)
    return next((path for path in places if path.is_file()), None)


PLUGIN = HotSpotter
