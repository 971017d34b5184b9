"""What labelled photos show: by the catalog's column `species`, by folders, or by a table; and species in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.sheet import plain_heading, read_sheet
from snowmatch.catalog.species import NOTHING, species_key
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some

SPECIES_COLUMN, FOLDERS = "species", "folders"


def read_labels(data: CatalogData, source: str, notes: list[Note]) -> dict[str, str]:
    """Return what photos of the catalog show, by path, sorted. Photos without a label are left out.

    source: SPECIES_COLUMN, the column of the catalog; FOLDERS, the first folder of each photo's path; or the name of a
    table with the columns `path` and `species`. A photo of several species is left out, with a note. Raises
    SnowmatchError if the table cannot be read, or if no photo has a label.
    """
    named: dict[str, set[str]] = {}
    if source == FOLDERS:
        for a in data.annotations:
            folder, slash, _ = a.path.partition("/")
            if slash:
                named.setdefault(a.path, set()).add(species_key(folder))
    elif source == SPECIES_COLUMN:
        for a in data.annotations:
            if label := species_key(a.species):
                named.setdefault(a.path, set()).add(label)
    else:
        known = {a.path for a in data.annotations}
        strange = []
        for _, path, species in _rows(Path(source), ("path", "species"), notes):
            path = path.replace("\\", "/").removeprefix("./")
            if path in known:
                named.setdefault(path, set()).add(species_key(species))
            else:
                strange.append(path)
        if strange:
            text = f"{counted(len(strange), 'photo')} of {source} are not in the catalog: {some(strange)}"
            notes.append(Note("labels-of-other-photos", text, {"photos": strange}))
    notes += several_notes(named)
    found = {path: min(labels) for path, labels in sorted(named.items()) if len(labels) == 1}
    if not found:
        places = {
            SPECIES_COLUMN: "fill in the column species of the catalog, or name a table",
            FOLDERS: "expected photos in folders that have the names of species",
        }
        raise SnowmatchError(
            f"no photo of the catalog {data.folder} has a label by {source!r}: "
            + places.get(source, "expected the paths as the catalog has them")
        )
    return found


def read_groups(path: Path, notes: list[Note]) -> dict[str, str]:
    """Return the group of each species in a table with the columns `species` and `group`.

    Raises SnowmatchError if the table cannot be read, is empty, or has a species in two groups.
    """
    found: dict[str, str] = {}
    for line, species, group in _rows(path, ("species", "group"), notes):
        species, group = species_key(species), species_key(group)
        if found.setdefault(species, group) != group:
            raise SnowmatchError(
                f"{path} line {line}: {species!r} is in the groups {found[species]!r} and {group!r}; expected one"
            )
    return found


def notes_of_catalog(data: CatalogData) -> list[Note]:
    """Return the notes of a catalog whose labels are used: without that on animals that the screening left out, whose
    labels count too.
    """
    return [note for note in data.notes if note.code != "screened-out"]


def several_notes(named: Mapping[str, Collection[str]]) -> list[Note]:
    """Return a note on photos of several species, which are left out; none without them. named: the species by path."""
    several = sorted(path for path, labels in named.items() if len(labels) > 1)
    if not several:
        return []
    text = f"{counted(len(several), 'photo')} with several species left out: {some(several)}"
    return [Note("several-species", text, {"photos": several})]


def grouped(labels: Mapping[str, str], groups: Mapping[str, str], notes: list[Note]) -> dict[str, str]:
    """Return the labels with groups in the place of species; species without a group stay, with a note."""
    if groups:
        bare = Counter(label for label in labels.values() if label not in groups and label != NOTHING)
        if bare:
            told = some([f"{name} ({count})" for name, count in sorted(bare.items())])
            text = f"species that are in no group stay as they are: {told}"
            notes.append(Note("species-without-group", text, {"species": sorted(bare)}))
    return {path: groups.get(label, label) for path, label in labels.items()}


def _rows(path: Path, columns: tuple[str, str], notes: list[Note]) -> list[tuple[int, str, str]]:
    """Return (line, first, second) of each row that is not empty, by two columns of a table."""
    sheet = read_sheet(path, columns, notes)
    head = [plain_heading(cell) for cell in sheet.head]
    if missing := [name for name in columns if name not in head]:
        raise SnowmatchError(
            f"{path} has no column {' and no column '.join(missing)}, expected the columns {','.join(columns)}"
        )
    first, second = (head.index(name) for name in columns)
    rows = []
    for line, cells in sheet.rows:
        if not any(cell.strip() for cell in cells):
            continue
        one, other = (cells[n].strip() if n < len(cells) else "" for n in (first, second))
        if not (one and other):
            raise SnowmatchError(f"{path} line {line}: an empty {columns[bool(one)]}, expected a value")
        rows.append((line, one, other))
    if not rows:
        raise SnowmatchError(f"{path} has no rows, expected the columns {','.join(columns)} and a row for each")
    return rows
