"""A table and what a source says now: new rows are added, and what a person corrected stays.

Three tables decide about a cell: the table as it is, what the last import wrote, and what the source says now. A cell
that is as it was imported takes the source's new text. A cell that somebody changed stays, and so does one of a column
that the source does not have: another table had it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from snowmatch.catalog.cells import CellError, RelativeBox, read_body_part, read_box, read_path
from snowmatch.catalog.positions import same_coordinate
from snowmatch.catalog.times import read_times
from snowmatch.core.boxes import overlap
from snowmatch.core.text import number_in
from snowmatch.core.types import BBox

POSITION = ("x", "y", "crs")
NAMES = ("mask", "individual", "location", "station", "camera", "encounter", "annotation", "session", "deployment")
SAME_ANIMAL = 0.5  # two boxes of a photo are one animal if they overlap by more: a detector was run again
Cells = dict[str, str]
READERS: Mapping[str, Callable[[str], object]] = {"path": read_path, "body_part": read_body_part, "bbox": read_box}


@dataclass
class Merged:
    """The rows of a table after an import, and what happened.

    kept: cells that say something else than the source and stay, (row's identifier, column, here, in the source).
    replaced: cells as the last import wrote them, in whose place is now what the source says, likewise. removed: rows
    of the source that somebody has deleted here. gone: rows of an earlier import, maybe of another source, that this
    source does not have. mixed: photos that got a row, and now have rows with a box and rows without: which animal the
    latter mean is not known. said: each row of the source, with what earlier tables said in columns that it does not
    have.
    """

    rows: list[Cells]
    added: int = 0
    changed: int = 0
    same: int = 0
    kept: list[tuple[str, str, str, str]] = field(default_factory=list)
    replaced: list[tuple[str, str, str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    said: list[Cells] = field(default_factory=list)


def merge(
    here: Sequence[Cells], last: Mapping[str, Cells], source: Sequence[Cells], key: str, place: str = "path", *,
    fixed: Sequence[str] = (), columns: Collection[str] | None = None,
) -> Merged:  # fmt: skip
    """Return the rows of a table after an import. The order of the rows stays; new rows come last.

    here: the table as it is. last: what the last import of this format wrote, by identifier. source: what the source
    says now. key: the column with the source's identifier. place: the column by which rows without one are recognised,
    `path` of photos or `station`.
    fixed: columns that never change in rows that are there. columns: those that the source has; None, it has all. No
    source rows leave the table as it is.
    """
    rows = [dict(cells) for cells in here]
    partners = _partners(rows, source, last, key, place)
    keys = Counter(row[key] for row in rows if row.get(key))
    deleted = {name: cells for name, cells in last.items() if name not in keys}
    told = {_told(cells) for cells in deleted.values()} if place == "path" else set()
    merged = Merged(rows)
    for number, cells in enumerate(source):
        at = partners.get(number)
        if at is None:
            before = deleted.get(cells[key])
            same = before is not None and (place != "path" or _file_name(before) == _file_name(cells))
            if here and (same or _told(cells) in told):
                merged.removed.append(cells[key])
            else:
                corrected = _corrected_position(here, last, cells, key) if place == "station" else {}
                rows.append({**cells, **corrected})
                merged.kept += [(cells[key], column, text, cells.get(column, "")) for column, text in corrected.items()]
                merged.added += 1
            merged.said.append(cells)
            continue
        known = last.get(rows[at].get(key) or cells[key])
        if known is not None and place == "path" and known.get(place) not in (rows[at].get(place), cells.get(place)):
            known = None  # of a row of another source that has the same number
        said = _completed(cells, known or {}, columns)
        merged.said.append(said)
        changed = False
        for column in (c for c in {**cells, **(known or {})} if c not in fixed and (c in cells or c not in said)):
            changed |= _merge_cell(rows[at], column, cells, known, key, merged)
        merged.changed += changed
        merged.same += not changed
    found, now = set(partners.values()), {cells[key] for cells in source}
    for row in (row for at, row in enumerate(rows[: len(here)]) if at not in found and row.get(key, "") in last):
        if row[key] not in now:
            merged.gone.append(row[key])
        elif keys[row[key]] == 1:  # the source gives its identifier to another row
            merged.gone.append(row[key])
            row[key] = ""
    if place == "path":
        merged.mixed = _mixed(rows, len(here))
    return merged


def _mixed(rows: Sequence[Cells], old: int) -> list[str]:
    """Return the photos with old and new rows, of which some have a box and some have none. old: so many were there."""
    both = {_place(row, "path") for row in rows[:old]} & {_place(row, "path") for row in rows[old:]}
    found: dict[str, set[bool]] = defaultdict(set)
    for row in rows:
        found[_place(row, "path")].add(bool(row.get("bbox")))
    return sorted(path for path in both if len(found[path]) > 1)


def _completed(cells: Cells, known: Cells, columns: Collection[str] | None) -> Cells:
    """Return a row of the source, with what the last import said in columns that the source does not have.

    A text that is in another column now was read wrongly then.
    """
    if columns is None:
        return cells
    moved = {text for column, text in cells.items() if known.get(column) != text}
    return {**{c: text for c, text in known.items() if c not in columns and text not in moved}, **cells}


def _merge_cell(
    row: Cells, column: str, cells: Mapping[str, str], known: Mapping[str, str] | None, key: str, merged: Merged
) -> bool:
    """Write one cell, and return whether it changed."""
    here, now = row.get(column, ""), cells.get(column, "")
    if here == now:
        return False
    if column == key:  # a detector that was run again has other identifiers
        row[column] = now
        return True
    before = known.get(column, "") if known is not None else ""  # without a memory, an empty cell is filled
    if here != before and _say_the_same(column, here, now):
        return False
    if _say_the_same(column, here, before):
        row[column] = now
        if here:
            merged.replaced.append((cells[key], column, here, now))
        return True
    if now:
        merged.kept.append((cells[key], column, here, now))
    return False


def _say_the_same(column: str, one: str, other: str) -> bool:
    """Return whether two cells say the same, such as `left` and `left_flank`, or a number that a spreadsheet has
    rewritten.

    Names are texts: 007 and 7 are two animals.
    """
    if one == other or not one or not other:
        return one == other
    if (read := READERS.get(column)) is not None:
        try:
            return read(one) == read(other)
        except CellError:
            return False
    if column in NAMES:
        return False
    if column in POSITION:
        return same_coordinate(column, one, other)
    numbers = [number_in(text) for text in (one, other)]
    if all(numbers):
        return float(numbers[0]) == float(numbers[1])
    (first, second), mixed = read_times([one, other])
    clear = first.moment is not None and not (mixed or first.unclear or second.unclear)
    return clear and (first.moment, first.zone, first.dated) == (second.moment, second.zone, second.dated)


def _corrected_position(
    here: Sequence[Cells], last: Mapping[str, Cells], cells: Mapping[str, str], key: str
) -> dict[str, str]:
    """Return the columns of the position that somebody corrected here, for a further period of the same station."""
    for row in here:
        known = last.get(row.get(key, ""), {})
        if all(row.get(c, "") == known.get(c, "") == cells.get(c, "") for c in ("station", "location")) and all(
            same_coordinate(c, known.get(c, ""), cells.get(c, "")) for c in POSITION
        ):
            placed = all(each.get(c) for each in (row, cells) for c in ("x", "y"))
            both = {c: (row.get(c, ""), cells.get(c, "")) for c in POSITION} if placed else {}
            return {c: text for c, (text, said) in both.items() if not same_coordinate(c, text, said)}
    return {}


def _partners(
    rows: Sequence[Cells], source: Sequence[Cells], last: Mapping[str, Cells], key: str, place: str
) -> dict[int, int]:
    """Return for each row of the source the row of the table that is the same: by identifier, then by photo and box, or
    by station and period.

    Many sources number their rows. So an identifier alone, with another photo, counts only if nothing else does, and if
    the photo has the same name or shows the same named animal.
    """
    by_key = {row[key]: n for n, row in enumerate(rows) if row.get(key)}
    named = {n: by_key[cells[key]] for n, cells in enumerate(source) if cells[key] in by_key}
    found = named if place != "path" else _same_as_before(rows, source, last, key)
    taken = set(found.values())

    def take(pairs: Mapping[int, int]) -> None:
        for n, at in pairs.items():
            if n not in found and at not in taken:
                found[n] = at
                taken.add(at)

    take({n: at for n, at in named.items() if _place(rows[at], place) == _place(source[n], place)})
    free: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        if n not in taken:
            free[_place(row, place)].append(n)
    waiting: dict[str, list[int]] = defaultdict(list)
    for n, cells in enumerate(source):
        if n not in found and free.get(name := _place(cells, place)):
            waiting[name].append(n)
    for name, numbers in waiting.items():
        if place == "path":
            take(_paired(rows, source, free[name], numbers))
        else:
            take(_paired_stations(rows, source, free[name], numbers))
    take(
        {n: at for n, at in named.items() if place != "path" or _may_be(last.get(source[n][key], rows[at]), source[n])}
    )
    return found


def _may_be(before: Cells, now: Cells) -> bool:
    """Return whether a row may be the one that it was, with another photo: moved, or corrected in the source."""
    name = now.get("individual", "")
    return _file_name(before) == _file_name(now) or (name != "" and before.get("individual", "") == name)


def _file_name(cells: Cells) -> str:
    return cells.get("path", "").rpartition("/")[2]


def _same_as_before(
    rows: Sequence[Cells], source: Sequence[Cells], last: Mapping[str, Cells], key: str
) -> dict[int, int]:
    """Return the pairs of rows in photos with several rows for which the source says what it said in the last import.

    There, the identifiers of many sources are numbers that change if a row is added or removed.
    """
    often = Counter(cells["path"] for cells in source), Counter(row.get("path", "") for row in rows)
    wrote: dict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for at, row in enumerate(rows):
        if (known := last.get(row.get(key, ""))) is not None:
            wrote[_told(known)][at] = row[key]
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for n, cells in enumerate(source):
        if max(count[cells["path"]] for count in often) > 1 and _told(cells) in wrote:
            alike[_told(cells)].append(n)
    found: dict[int, int] = {}
    for told, numbers in alike.items():
        free = wrote[told]
        first = {name: at for at, name in reversed(free.items())}
        same = {n: first[source[n][key]] for n in numbers if source[n][key] in first}  # those with their identifier
        taken = set(same.values())
        left = [at for at in free if at not in taken]
        found |= same | dict(zip([n for n in numbers if n not in same], left, strict=False))
    return found


def _told(cells: Cells) -> tuple[str, ...]:
    return tuple(cells.get(column, "") for column in ("path", "individual", "bbox"))


def _paired(
    rows: Sequence[Cells], source: Sequence[Cells], here: Sequence[int], there: Sequence[int]
) -> dict[int, int]:
    """Return the pairs of rows of one photo that show the same animal."""
    boxes = {n: _box(rows[n]) for n in here}
    theirs = {n: _box(source[n]) for n in there}
    found: dict[int, int] = {}
    fits = []
    for n in there:
        for at in here:
            named_alike = rows[at].get("individual", "") == source[n].get("individual", "")
            if boxes[at] is None and theirs[n] is None:  # whole photos: several of them are told apart by their names
                score = 1.0 if named_alike or len(here) == len(there) == 1 else 0.0
            else:
                score = overlap(boxes[at], theirs[n])
            if score > SAME_ANIMAL:
                fits.append((-score, not named_alike, n, at))
    for _, _, n, at in sorted(fits):
        if n not in found and at not in found.values():
            found[n] = at
    left = [n for n in there if n not in found]
    open_here = [at for at in here if at not in found.values()]
    if len(left) == len(open_here) == 1 and (boxes[open_here[0]] is None) != (theirs[left[0]] is None):
        found[left[0]] = open_here[0]
    return found


def _paired_stations(
    rows: Sequence[Cells], source: Sequence[Cells], here: Sequence[int], there: Sequence[int]
) -> dict[int, int]:
    """Return the pairs of rows of one station that are one camera in one period.

    Periods that do not overlap are two: the next season of a station never takes the place of the last one.
    """
    fits = []
    for n in there:
        for at in here:
            alike = [_alike(rows[at], source[n], column) for column in ("location", "camera")]
            if None not in alike and _overlap(rows[at], source[n]):
                fits.append((rows[at].get("from", "") != source[n].get("from", ""), alike.count(False), n, at))
    found: dict[int, int] = {}
    for *_, n, at in sorted(fits):
        if n not in found and at not in found.values():
            found[n] = at
    return found


def _alike(one: Cells, other: Cells, column: str) -> bool | None:
    """Return whether two cells are equal; False if one is empty, None if they are two different texts."""
    a, b = one.get(column, ""), other.get(column, "")
    return a == b if a == b or not a or not b else None


def _overlap(one: Cells, other: Cells) -> bool:
    """Return whether two periods may overlap: True as well if their dates are missing or not clear.

    A day on which one ends and the other begins is no overlap: the camera was visited.
    """
    (start, end), (first, last) = _period(one), _period(other)
    if start is not None and start == first:
        return True
    apart = (start is not None and last is not None and start >= last) or (
        first is not None and end is not None and first >= end
    )
    return not apart


def _period(cells: Cells) -> tuple[date | None, date | None]:
    """Return the days of a row's `from` and `to`; None for one that is missing or not clear."""
    times, mixed = read_times([cells.get("from", ""), cells.get("to", "")])
    start, end = (None if mixed or t.unclear or t.moment is None else t.moment.date() for t in times)
    return start, end


def _place(cells: Mapping[str, str], column: str) -> str:
    try:
        return read_path(cells.get(column, "")) if column == "path" else cells.get(column, "")
    except CellError:
        return ""


def _box(cells: Mapping[str, str]) -> BBox | None:
    try:
        box = read_box(cells.get("bbox", ""))
    except CellError:
        return None
    return None if isinstance(box, RelativeBox) else box
