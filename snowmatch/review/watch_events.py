"""Sightings in a watched folder as events, for the journal and for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from snowmatch.core.plain import plain
from snowmatch.core.types import Annotation
from snowmatch.decisions.who import is_name
from snowmatch.review.rows import COLUMNS, Row, row_from_json
from snowmatch.review.watched import Event

SCHEMA = "snowmatch.sighting/1"
ON_RECORD = "on record"  # the decision about a photo that the catalog has


def event_of(row: Row, name: str, before: Sequence[str] = ()) -> Event:
    """Return a sighting as an event: the columns of the row, and four values more. It has no coordinates.

    name: its identifier. before: identifiers of events with the first photos of this passage.
    """
    told = datetime.now(UTC).isoformat(timespec="seconds")
    return {"schema": SCHEMA, "id": name, "told": told, **plain(asdict(row)), "continues": list(before)}


def row_of(event: Event) -> Row:
    """Return the row of an event. Raises KeyError if it is none."""
    return row_from_json(event)


def recorded_row(path: str, rows: Sequence[Annotation]) -> Row:
    """Return the row of a photo that the catalog has. rows: its annotations there, one or more."""
    first, when = rows[0], rows[0].timestamp
    names = dict.fromkeys(a.individual for a in rows if is_name(a.individual))
    empty: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    numbers = dict.fromkeys(("probability", "careful", "level", "runner_up_probability", "new_probability"))
    values = {
        "encounter": first.encounter,
        "animal": 1,
        "location": first.location,
        "station": first.station,
        "camera": first.camera,
        "date": f"{when.date()}" if when is not None else "",
        "time": f"{when:%H:%M:%S}" if when is not None and not first.dated else "",
        "photos": (path,),
        "annotations": tuple(a.annotation for a in rows if a.annotation),
        "body_parts": tuple(dict.fromkeys(a.body_part for a in rows)),
        "decision": ON_RECORD,
        "individual": ", ".join(names),
        "reasons": (f"on record as {first.path}",),
    }
    return Row(**{**empty, **numbers, **values})
