"""Timelapse: a csv with RelativePath and File that Timelapse reads back. Source: its csv import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from snowmatch.interchange.exporting import Export
from snowmatch.survey.tables import to_csv


@dataclass(frozen=True)
class Timelapse:
    """Individual and body part of each photo; the template of Timelapse needs the labels Individual and BodyPart.

    Several animals in one photo are joined by "; ".
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"
    COUNTS: ClassVar[bool] = False

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return timelapse.csv, with a row for each photo that has an annotation."""
        boxes = sum(a.own_box is not None for a in given.survey.data.annotations)
        given.leave_out(boxes, "box", "the table has photos, not boxes", "boxes")
        photos: dict[str, list[Any]] = {}
        for a in given.survey.data.annotations:
            photos.setdefault(a.path, []).append(a)
        rows: list[Any] = []
        days = 0
        for path, own in sorted(photos.items()):
            folder, _, file = path.rpartition("/")
            time = next((a.timestamp for a in own if a.timestamp), None)
            days += time is not None and next(a.dated for a in own if a.timestamp)
            named = [a for a in own if a.individual is not None]
            names, parts = "; ".join(a.individual for a in named), "; ".join(a.body_part for a in named)
            shown = time.isoformat(" ", "seconds") if time else ""
            rows.append((folder.replace("/", "\\"), file, shown, names, parts))
        given.as_midnight(days, "photo")
        return {"timelapse.csv": to_csv((("RelativePath", "File", "DateTime", "Individual", "BodyPart"), rows))}


PLUGIN = Timelapse
