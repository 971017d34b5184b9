"""Metadata of wildlife-datasets and wildlife-tools: a CSV with image_id, identity and path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported
from snowmatch.core.notes import Note
from snowmatch.interchange.importers._columns import photo_table
from snowmatch.interchange.importers._tables import headings_of, need, read_rows
from snowmatch.interchange.importers.table import reader_notes

REQUIRED = ("image_id", "identity", "path")
FILES = ("metadata.csv", "annotations.csv")


@dataclass(frozen=True)
class WildlifeDatasets:
    """A data set of wildlife-datasets: metadata.csv, or the folder that it lies in."""

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "metadata of wildlife-datasets (CSV)"

    def looks_like(self, source: Path) -> float:
        """Return 0.9 for a table with the three required columns, or a folder with such a metadata.csv."""
        return 0.9 * any(set(REQUIRED) <= set(headings_of(path)) for path in _tables(source))

    def read(self, source: Path) -> Imported:
        """Return one row for each line. Raises SnowmatchError if a required column is missing."""
        path = next(iter(_tables(source)), None)
        if path is None:
            raise SnowmatchError(f"{source} has no {FILES[0]}, expected a data set of wildlife-datasets")
        notes: list[Note] = []
        problems: list[str] = []
        table = read_rows(path, notes, problems)
        need(table, REQUIRED, "wildlife-datasets")
        own = {"identity": "individual", "image_id": "source_id", "date": "timestamp"}
        known = {h: c for h, c in own.items() if h in table.headings}
        reader = photo_table(table.headings, (cells for _, cells in table), known)
        rows = []
        for line, cells in table:
            where = f"{path.name} line {line}"
            if not cells["path"]:
                problems.append(f"{where}: no photo; expected its path in the column path")
                continue
            rows.append(reader.row(cells, where, "px", problems))
        return Imported(tuple(rows), (path.parent,), (), (*notes, *reader_notes(reader)), tuple(problems))


def _tables(source: Path) -> list[Path]:
    if source.is_dir():
        return [source / name for name in FILES if (source / name).is_file()]
    return [source]


PLUGIN = WildlifeDatasets
