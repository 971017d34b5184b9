"""Identifiers of annotations. An identifier is derived from the photo's content and the row's box, and then stored.

An identifier does not change if files are renamed, photos are added or encounters are regrouped, because content and
box stay the same. The stored identifiers serve two more cases: an annotation keeps its identifier if its box is
corrected, or if its photo is saved again under the same path. Another photo under that path does not get it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Connection

from snowmatch.catalog.database import DamagedError, reading, sound, with_sum, writing
from snowmatch.core.boxes import overlap
from snowmatch.core.types import Annotation, BBox

# Two boxes with at least this overlap (common area / joint area) are treated as one box that was corrected
SAME_BOX = 0.5


@dataclass(frozen=True)
class KeptId:
    """A stored identifier and the row that it belongs to.

    path, mask: as in the catalog; the path is "" if another photo lies there now. sha256: of the photo's content.
    """

    annotation: str
    path: str
    bbox: BBox | None
    mask: str
    sha256: str


def derived_id(sha256: str, bbox: BBox | None, number: int = 0) -> str:
    """Return the identifier for a photo's content (sha256) and a box.

    number: position (from 0) among the rows that have the same content and the same box.
    """
    text = json.dumps([sha256, list(bbox) if bbox else None])
    digits = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"a{digits}" + (f"-{number + 1}" if number else "")


def give_ids(
    annotations: Sequence[Annotation],
    contents: Mapping[str, str],
    kept: Iterable[KeptId],
    missing: Collection[str] = (),
) -> tuple[KeptId, ...]:
    """Return the identifier of every annotation whose photo is in `contents`, in the catalog's order.

    contents: the sha256 of each photo, by path. kept: the stored identifiers. missing: the paths of photos whose files
    are not there. Their rows come last: a renamed photo takes its identifier along, also if its old row is still there.

    The first rule that applies gives the identifier:

    1. The identifier in the catalog's column `annotation`.
    2. A stored identifier with the same content and the same box; the photo's path may have changed.
    3. A stored identifier with the same path and the same box; the photo's content may have changed.
    4. A stored identifier of the same photo with a similar box (SAME_BOX).
    5. A new identifier, derived from content and box.
    """
    named = {a.annotation for a in annotations if a.annotation}
    unassigned = [a for a in annotations if not a.annotation and a.path in contents]
    free = [old for old in kept if old.annotation not in named]
    found: dict[int, str] = {a.row: a.annotation for a in annotations if a.annotation and a.path in contents}
    keys: tuple[Callable[[KeptId], Hashable], ...] = (
        lambda k: (k.path, k.sha256, k.bbox, k.mask),
        lambda k: (k.sha256, k.bbox, k.mask),
        lambda k: (k.sha256, k.bbox),
        lambda k: (k.path, k.bbox, k.mask),
    )
    there, absent = [a for a in unassigned if a.path not in missing], [a for a in unassigned if a.path in missing]
    for rows in (there, absent):
        for key in keys:
            free = _assign_equal(rows, free, contents, key, found)
        for same_photo in (lambda k: k.path, lambda k: k.sha256):
            free = _assign_similar(rows, free, contents, same_photo, found)
    used = named | set(found.values())
    for a in (*there, *absent):
        if a.row in found:
            continue
        number = 0
        while (name := derived_id(contents[a.path], a.own_box, number)) in used:
            number += 1
        used.add(name)
        found[a.row] = name
    return tuple(_as_kept(found[a.row], a, contents) for a in annotations if a.row in found)


def _as_kept(name: str, a: Annotation, contents: Mapping[str, str]) -> KeptId:
    return KeptId(name, a.path, a.own_box, a.mask, contents[a.path])


def _assign_equal(
    unassigned: Iterable[Annotation],
    free: Iterable[KeptId],
    contents: Mapping[str, str],
    key: Callable[[KeptId], Hashable],
    found: dict[int, str],
) -> list[KeptId]:
    """Assign free identifiers to rows with an equal key. Write them into `found` and return the unused identifiers."""
    by_key: dict[Hashable, list[KeptId]] = defaultdict(list)
    for old in free:
        by_key[key(old)].append(old)
    for a in unassigned:
        if a.row not in found and (olds := by_key.get(key(_as_kept("", a, contents)))):
            found[a.row] = olds.pop(0).annotation
    return [old for olds in by_key.values() for old in olds]


def _assign_similar(
    unassigned: Iterable[Annotation],
    free: Iterable[KeptId],
    contents: Mapping[str, str],
    key: Callable[[KeptId], Hashable],
    found: dict[int, str],
) -> list[KeptId]:
    """Assign free identifiers to rows of the same photo with a similar box, the largest overlap first.

    Write them into `found` and return the unused identifiers.
    """
    photos: dict[Hashable, tuple[list[Annotation], list[KeptId]]] = defaultdict(lambda: ([], []))
    for old in free:
        photos[key(old)][1].append(old)
    for a in unassigned:
        if a.row not in found and (place := key(_as_kept("", a, contents))) in photos:
            photos[place][0].append(a)
    left = []
    for rows, olds in photos.values():
        pairs = [
            (1.0 if _boxed_or_bare(a, old, rows, olds) else overlap(a.own_box, old.bbox), -n, -m)
            for n, a in enumerate(rows)
            for m, old in enumerate(olds)
        ]
        gone: set[int] = set()
        for share, n, m in sorted(pairs, reverse=True):
            if share >= SAME_BOX and rows[-n].row not in found and -m not in gone:
                found[rows[-n].row] = olds[-m].annotation
                gone.add(-m)
        left += [old for m, old in enumerate(olds) if m not in gone]
    return left


def _boxed_or_bare(a: Annotation, old: KeptId, rows: Sequence[Annotation], olds: Sequence[KeptId]) -> bool:
    """Return whether a photo's only row in the catalog got a box, or lost it. rows, olds: all of the photo.

    Further animals in the photo do not count. So the row keeps its identifier if a person draws its box.
    """
    if a.found or None not in (a.own_box, old.bbox) or sum(not row.found for row in rows) > 1:
        return False
    return len(olds) == 1 or (old.bbox is None and sum(each.bbox is None for each in olds) == 1)


def load_ids(folder: Path, paths: Iterable[str] | None = None) -> list[KeptId]:
    """Return the stored identifiers of the catalog in `folder`; an empty list if none are stored or they are damaged.

    paths: return only the identifiers of these photos; None for all photos.
    """
    found = []
    try:
        with reading(folder) as database:
            if database is None:
                return []
            columns = "SELECT annotation, path, bbox, mask, sha256, sum FROM annotations"
            if paths is None:
                rows = database.execute(columns).fetchall()
            else:
                rows = [row for path in paths for row in database.execute(f"{columns} WHERE path = ?", (path,))]
            for row in rows:
                if sound(row):
                    name, path, box, mask, sha256, _ = row
                    found.append(KeptId(name, path, _box(box), mask, sha256))
    except (DamagedError, TypeError, ValueError):
        return []
    return found


def paths_of_ids(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the path that each of these stored identifiers belongs to now, "" if another photo lies there; without
    those that are not stored. Damaged ones give {}.
    """
    found: dict[str, str] = {}
    asked = "SELECT annotation, path, bbox, mask, sha256, sum FROM annotations WHERE annotation = ?"
    try:
        with reading(folder) as database:
            if database is not None:
                rows = [row for name in names for row in database.execute(asked, (name,))]
                found = {row[0]: row[1] for row in rows if sound(row)}
    except DamagedError:
        return {}
    return found


def save_ids(folder: Path, kept: Sequence[KeptId], before: Sequence[KeptId] = (), *, prune: bool = False) -> None:
    """Store the identifiers `kept` of the catalog in `folder`.

    before: the identifiers that are stored already. Those that are not in `kept` stay stored, so that a photo which was
    removed for some time gets its identifiers back when it returns. prune: remove these identifiers instead. Raises
    SnowmatchError if the database cannot be written.
    """
    new = set(kept) - set(before)
    gone = {k.annotation for k in before} - {k.annotation for k in kept} if prune else set()
    if not new and not gone:
        return
    with writing(folder) as database:
        database.executemany("DELETE FROM annotations WHERE annotation = ?", [(name,) for name in sorted(gone)])
        rows = [
            (k.annotation, k.path, ",".join(map(str, k.bbox or ())), k.mask, k.sha256) for k in sorted(new, key=_name)
        ]
        database.executemany("INSERT OR REPLACE INTO annotations VALUES (?, ?, ?, ?, ?, ?)", map(with_sum, rows))


def detach_ids(database: Connection, photos: Iterable[tuple[str, str]]) -> None:
    """Take the stored identifiers of photos, each (path, sha256), from their paths. They stay with the content."""
    asked = "SELECT annotation, path, bbox, mask, sha256, sum FROM annotations WHERE path = ? AND sha256 = ?"
    for photo in photos:
        for row in filter(sound, database.execute(asked, photo).fetchall()):
            name, _, *rest, _ = row
            values = with_sum((name, "", *rest))
            database.execute("INSERT OR REPLACE INTO annotations VALUES (?, ?, ?, ?, ?, ?)", values)


def with_ids(
    folder: Path, annotations: Iterable[Annotation], everything: Sequence[Annotation]
) -> tuple[Annotation, ...]:
    """Return `annotations` with their stored identifiers.

    everything: all annotations of the catalog. An annotation whose photo was never indexed gets no identifier.
    """
    annotations = tuple(annotations)
    bare = {a.path for a in annotations if not a.annotation}
    names = _stored_names(load_ids(folder, sorted(bare)) if bare else (), everything)
    return tuple(replace(a, annotation=names[a.row]) if a.row in names else a for a in annotations)


def all_ids(folder: Path, everything: Sequence[Annotation]) -> tuple[str, ...]:
    """Return the identifiers of all annotations of a catalog, in its order; "" for a photo that was never indexed."""
    names = _stored_names(load_ids(folder), everything)
    return tuple(a.annotation or names.get(a.row, "") for a in everything)


def _stored_names(stored: Iterable[KeptId], everything: Iterable[Annotation]) -> dict[int, str]:
    """Return the stored identifiers of the annotations that have none in the catalog, by row."""
    kept: dict[tuple[str, BBox | None, str], list[str]] = defaultdict(list)
    everything = tuple(everything)
    taken = {a.annotation for a in everything}
    for k in sorted(stored, key=_name):
        if k.annotation not in taken:
            kept[k.path, k.bbox, k.mask].append(k.annotation)
    names: dict[int, str] = {}
    for a in everything if kept else ():
        if not a.annotation and (waiting := kept.get((a.path, a.own_box, a.mask))):
            names[a.row] = waiting.pop(0)
    return names


def _name(kept: KeptId) -> str:
    return kept.annotation


def _box(text: str) -> BBox | None:
    if not text:
        return None
    x, y, width, height = (int(n) for n in text.split(","))
    return x, y, width, height
