"""Photos that a table adds to a catalog which it completes: their places, by their folders, and what is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from snowmatch.core.home import CSV_NAME
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, same_name, some
from snowmatch.interchange.importers._values import place_folders
from snowmatch.interchange.merging import Cells

PLACES = ("location", "station", "camera")


def with_places(
    rows: Sequence[Cells], here: Sequence[Cells], wrote: Iterable[Cells], columns: Collection[str] | None
) -> Sequence[Cells]:
    """Return the rows of a source; where it has no column of places, new photos have the place of their folder.

    here: the catalog's table. wrote: what imports of other formats wrote in it. columns: those that the source has;
    None, it has all.
    """
    if columns is None or not here or any(column in columns for column in PLACES):
        return rows
    places, known = _places_of_folders(here, wrote), {row.get("path", "") for row in here}
    found = [None if row["path"] in known else places.get(_folder_of(row)) for row in rows]
    return [{**row, **place} if place else row for row, place in zip(rows, found, strict=True)]


def _folder_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders of a row's photo, without those of the camera: 100RECNX and 101RECNX are of one card."""
    return tuple(place_folders(row.get("path", ""), PLACES[:1]))


def _places_of_folders(here: Iterable[Cells], wrote: Iterable[Cells]) -> dict[tuple[str, ...], Cells]:
    """Return the cells of the place of each folder: those that its photos have, where an import read them off folders.

    Somebody may have corrected them here. A folder whose photos have several places, or places that are no names of its
    folders, has none.
    """
    by_names: dict[tuple[str, ...], set[bool]] = defaultdict(set)
    for row in wrote:
        if told := [row[column] for column in PLACES if row.get(column)]:
            folder = _folder_of(row)
            by_names[folder].add({*told} <= {same_name(name) for name in folder})
    found: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for row in here:
        place = tuple(row.get(column, "") for column in PLACES)
        if any(place):
            found[_folder_of(row)].add(place)
    return {
        folder: {column: text for column, text in zip(PLACES, place, strict=True) if text}
        for folder, own in found.items()
        if len(own) == 1 and by_names.get(folder) == {True}
        for place in own
    }


def photos_added(before: Sequence[Cells], after: Sequence[Cells], placed: Collection[str]) -> list[Note]:
    """Return a note on photos that a table added to a catalog, and on what they lack.

    before, after: the rows of the catalog; new ones come last. placed: photos that have the place of their folder.
    """
    known = {row.get("path", "") for row in before}
    added = [row for row in after[len(before) :] if row["path"] not in known]
    if not before or not added:
        return []
    text = f"{counted(len({row['path'] for row in added}), 'photo')} that the catalog did not have added: "
    text += some(sorted({row["path"] for row in added}))
    if number := len({row["path"] for row in added} & set(placed)):
        text += f"; {number} with the place of the other photos of the folder"
    lacking = {
        what: len(without)
        for what, column in (("station", "station"), ("box", "bbox"))
        if any(row.get(column) for row in before) and (without := [row for row in added if not row.get(column)])
    }
    if lacking:
        told = " and ".join(f"{n} without a {what}" for what, n in lacking.items())
        text += f"; {told}: fill in {CSV_NAME}, or delete rows of photos without an animal"
    return [Note("photos-added", text, {"count": len(added)})]
