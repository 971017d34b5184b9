"""A sighting in a watched folder as one line of text, and what else was done there."""

from __future__ import annotations

from snowmatch.confidence.levels import MARKS
from snowmatch.core.text import counted, percent, printable, some
from snowmatch.review.arriving import LINK, UNREADABLE, VIDEO
from snowmatch.review.rows import Row
from snowmatch.review.watch import Arrival
from snowmatch.review.watch_events import ON_RECORD

SKIPPED = {  # how what was left out is told
    VIDEO: ("video", "videos", "left out (snowmatch frames takes photos from them)"),
    LINK: ("link to a folder", "links to folders", "left out (watch the folder itself)"),
    UNREADABLE: ("folder or file", "folders or files", "that cannot be read left out"),
}


def format_sighting(row: Row) -> str:
    """Return one line: the level, who it is and how sure, when and where, and the photos."""
    who = row.individual or (f"unidentified {row.same_as}" if row.same_as else row.decision or "no answer")
    if row.decision == ON_RECORD:
        who = f"{ON_RECORD}: {row.individual or 'unidentified'}"
    likely = f" {percent(row.probability)}" if row.probability is not None else ""
    mark = f"{MARKS[row.level]} {row.level}" if row.level else "-"
    when = " ".join(part for part in (row.date, row.time) if part)
    photos = row.photos[0] + (f" and {len(row.photos) - 1} more" if len(row.photos) > 1 else "")
    parts = (mark, f"{who}{likely}", when, row.station, photos, counted(len(row.photos), "photo"))
    return printable("   ".join(part for part in parts[:5] if part))


def format_arrival(arrival: Arrival, add: bool) -> tuple[str, ...]:
    """Return what one look did beside its sightings, as lines of text. add: whether photos are to be added."""
    lines = []
    if arrival.copies:
        lines.append(f"{counted(arrival.copies, 'photo')} whose content was asked before: not asked again")
    for kind, (thing, things, what) in SKIPPED.items():
        if paths := [path for path, other in arrival.skipped if other == kind]:
            lines.append(printable(f"{counted(len(paths), thing, things)} {what}: {some(paths)}"))
    if add and arrival.left_out:
        told = ", ".join(f"{name} {number}" for name, number in sorted(arrival.left_out.items()))
        count = counted(sum(arrival.left_out.values()), "photo")
        lines.append(f"{count} not added, as the screening keeps the species {arrival.species}: {told}")
    if arrival.added:
        lines.append(f"{counted(len(arrival.added), 'photo')} in the catalog now: {some(arrival.added)}")
    if arrival.indexed:
        lines.append("the catalog is indexed")
    if arrival.problem:
        lines.append(f"{arrival.problem}; this is tried again")
    return tuple(lines)
