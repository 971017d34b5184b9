"""Identifiers of annotations: derived from the photo's content and the row's box, and kept.

They survive renamed files, added photos and regrouped encounters, as these change neither content nor box. What is kept
also lets an annotation whose box was corrected, or whose photo was saved anew under its path, keep its identifier.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from snowmatch.catalog.database import DamagedError, reading, sound, with_sum, writing
from snowmatch.core.boxes import overlap
from snowmatch.core.types import Annotation, BBox

SAME_BOX = 0.5  # share of two boxes' common area in their joint area from which they are one box, corrected


@dataclass(frozen=True)
class KeptId:
    """An identifier with the row that it was given to: path and mask as in the catalog, the photo's content."""

    annotation: str
    path: str
    bbox: BBox | None
    mask: str
    sha256: str


def derived_id(sha256: str, bbox: BBox | None, number: int = 0) -> str:
    """The identifier of the annotation of a photo's content (sha256) with this box.

    number: of several rows with one content and box, which one, from 0.
    """
    text = json.dumps([sha256, list(bbox) if bbox else None])
    digits = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"a{digits}" + (f"-{number + 1}" if number else "")


def give_ids(
    annotations: Sequence[Annotation], contents: Mapping[str, str], kept: Iterable[KeptId]
) -> tuple[KeptId, ...]:
    """The identifier of every annotation whose photo's content is known, in the catalog's order.

    `contents` has the sha256 of each photo by path. An identifier in the catalog's own column counts as it is. Else the
    one that was `kept` for the row counts: of the same content and box, whatever the photo's name is now; else of the
    same photo and box, saved anew; else of the same photo and nearly the same box. Else it is derived.
    """
    named = {a.annotation for a in annotations if a.annotation}
    waiting = [a for a in annotations if not a.annotation and a.path in contents]
    free = [old for old in kept if old.annotation not in named]
    found: dict[int, str] = {a.row: a.annotation for a in annotations if a.annotation and a.path in contents}
    keys: tuple[Callable[[KeptId], Hashable], ...] = (
        lambda k: (k.path, k.sha256, k.bbox, k.mask),
        lambda k: (k.sha256, k.bbox, k.mask),
        lambda k: (k.sha256, k.bbox),
        lambda k: (k.path, k.bbox, k.mask),
    )
    for key in keys:
        free = _hand_out(waiting, free, contents, key, found)
    for same_photo in (lambda k: k.path, lambda k: k.sha256):
        free = _hand_out_nearly(waiting, free, contents, same_photo, found)
    used = named | set(found.values())
    for a in waiting:
        if a.row in found:
            continue
        number = 0
        while (name := derived_id(contents[a.path], a.bbox, number)) in used:
            number += 1
        used.add(name)
        found[a.row] = name
    return tuple(_as_kept(found[a.row], a, contents) for a in annotations if a.row in found)


def _as_kept(name: str, a: Annotation, contents: Mapping[str, str]) -> KeptId:
    return KeptId(name, a.path, a.bbox, a.mask, contents[a.path])


def _hand_out(
    waiting: Iterable[Annotation],
    free: Iterable[KeptId],
    contents: Mapping[str, str],
    key: Callable[[KeptId], Hashable],
    found: dict[int, str],
) -> list[KeptId]:
    """Give free identifiers to the rows of an equal key, into `found`; returns those that are left."""
    by_key: dict[Hashable, list[KeptId]] = defaultdict(list)
    for old in free:
        by_key[key(old)].append(old)
    for a in waiting:
        if a.row not in found and (olds := by_key.get(key(_as_kept("", a, contents)))):
            found[a.row] = olds.pop(0).annotation
    return [old for olds in by_key.values() for old in olds]


def _hand_out_nearly(
    waiting: Iterable[Annotation],
    free: Iterable[KeptId],
    contents: Mapping[str, str],
    key: Callable[[KeptId], Hashable],
    found: dict[int, str],
) -> list[KeptId]:
    """The same where a box was corrected: among rows of one photo, the boxes that have most in common first."""
    photos: dict[Hashable, tuple[list[Annotation], list[KeptId]]] = defaultdict(lambda: ([], []))
    for old in free:
        photos[key(old)][1].append(old)
    for a in waiting:
        if a.row not in found and (place := key(_as_kept("", a, contents))) in photos:
            photos[place][0].append(a)
    left = []
    for rows, olds in photos.values():
        alone = len(rows) == len(olds) == 1  # a box drawn round the only animal, or taken away
        pairs = [
            (1.0 if alone and None in (a.bbox, old.bbox) else overlap(a.bbox, old.bbox), -n, -m)
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


def load_ids(folder: Path, paths: Iterable[str] | None = None) -> list[KeptId]:
    """The identifiers that the catalog in `folder` keeps, of these photos or of all; none where there are none."""
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


def save_ids(folder: Path, kept: Sequence[KeptId], before: Sequence[KeptId] = (), *, prune: bool = False) -> None:
    """Keep these identifiers of the catalog in `folder`; those of `before` that are not among them stay as well.

    A photo that is away for a while has its identifiers when it returns. `prune`: those of rows that have left the
    catalog are forgotten. SnowmatchError where it cannot be written.
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


def with_ids(
    folder: Path, annotations: Iterable[Annotation], everything: Sequence[Annotation]
) -> tuple[Annotation, ...]:
    """Some of the catalog's annotations, `everything`, with the identifiers that were kept for them.

    One whose photo was never indexed stays without.
    """
    annotations = tuple(annotations)
    bare = {a.path for a in annotations if not a.annotation}
    kept: dict[tuple[str, BBox | None, str], list[str]] = defaultdict(list)
    for k in sorted(load_ids(folder, sorted(bare)), key=_name) if bare else ():
        kept[k.path, k.bbox, k.mask].append(k.annotation)
    names: dict[int, str] = {}
    for a in everything:
        if a.path in bare and not a.annotation and (waiting := kept.get((a.path, a.bbox, a.mask))):
            names[a.row] = waiting.pop(0)
    return tuple(replace(a, annotation=names[a.row]) if a.row in names else a for a in annotations)


def _name(kept: KeptId) -> str:
    return kept.annotation


def _box(text: str) -> BBox | None:
    if not text:
        return None
    x, y, width, height = (int(n) for n in text.split(","))
    return x, y, width, height
