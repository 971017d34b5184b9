"""A sighting in a watched folder, as one line of text."""

from __future__ import annotations

from snowmatch.confidence.levels import MARKS
from snowmatch.core.text import counted, percent, printable
from snowmatch.review.rows import Row


def format_sighting(row: Row) -> str:
    """Return one line: the level, who it is and how sure, when and where, and the photos."""
    who = row.individual or (f"unidentified {row.same_as}" if row.same_as else row.decision or "no answer")
    likely = f" {percent(row.probability)}" if row.probability is not None else ""
    mark = f"{MARKS[row.level]} {row.level}" if row.level else "-"
    when = " ".join(part for part in (row.date, row.time) if part)
    photos = row.photos[0] + (f" and {len(row.photos) - 1} more" if len(row.photos) > 1 else "")
    parts = (mark, f"{who}{likely}", when, row.station, photos, counted(len(row.photos), "photo"))
    return printable("   ".join(part for part in parts[:5] if part))
