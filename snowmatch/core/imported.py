"""What an importer reads from another program: rows of a catalog, stations, notes and problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from snowmatch.core.notes import Note

Unit = Literal["share", "px", "stored px"]
Named = tuple[str, tuple[str, ...]]  # a photo's name in a source, and names of folders that it probably lies in

# Columns that importers write beside those of the catalog and the source's own headings
WRITTEN = (
    *("detector_confidence", "scientific_name", "viewpoint", "theta", "original_name", "image", "sequence", "note"),
    *("deployment", "media", "event", "life_stage", "behavior", "count", "observation_tags", "observation_comments"),
    *("classification_method", "classified_by", "classification_probability", "name_id", "data_id"),
)


def source_column(importer: str) -> str:
    """Return the column of the identifiers that an importer gives its rows."""
    return f"{importer}_id"


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One animal in one photo, or one photo, as another program describes it.

    photo: the photo's name as the program writes it: relative, absolute, or a bare file name. source_id: the program's
    identifier of the row; no two rows of a source share one. cells: texts by column of the catalog's table; further
    columns are kept. box: x, y, width, height of the animal. unit: `share` of the upright photo, `px` of the upright
    photo, or `stored px` of the pixels as they lie in the file. image_size: (width, height) that the program gives the
    photo; None if it does not. where: the row's place in the source, for people. hints: names of folders in which the
    photo probably lies, for bare file names.
    """

    photo: str
    source_id: str
    cells: Mapping[str, str] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None
    unit: Unit = "share"
    image_size: tuple[int, int] | None = None
    where: str = ""
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedAnswer:
    """What a person answered in another program about two of its rows.

    one, other: the rows' `source_id`. answer: `same`, `different` or `cannot_tell`. observer: who answered. seconds:
    when, since 1970, UTC. certainty: 1 (guessed) to 4 (certain); None if the program does not say. note: such as tags.
    """

    one: str
    other: str
    answer: str
    observer: str
    seconds: float
    certainty: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Imported:
    """A source that was read.

    stations: texts by column of stations.csv; `deployment` is the program's identifier. roots: folders that the photos'
    names may begin in. problems: what the user has to correct first; nothing is imported with a problem. left_out:
    number of entries without an animal, by what they are. answers: of persons about two of the rows; these need cells
    with their `annotation`. columns: those of the catalog's table that the source has, and further ones that it adds;
    None if it says all that it can. photos: names and hints of all photos that the source has, also of those without a
    row; their files are not taken for those of other names. () if they all have rows.
    """

    rows: tuple[ImportedRow, ...]
    roots: tuple[Path, ...]
    stations: tuple[Mapping[str, str], ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    answers: tuple[ImportedAnswer, ...] = ()
    columns: frozenset[str] | None = None
    photos: tuple[Named, ...] = ()
