"""Timelapse: a csv with RelativePath and File that Timelapse reads back. Source: its csv import."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from snowmatch.catalog.further import read_further
from snowmatch.core.imported import source_column
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.core.types import Annotation
from snowmatch.interchange.exporting import Export
from snowmatch.interchange.photo_files import links_of
from snowmatch.survey.tables import to_csv


@dataclass(frozen=True)
class Timelapse:
    """Individual and body part of each photo; the template of Timelapse needs the labels Individual and BodyPart.

    Several animals in one photo are joined by "; ". Annotations that the screening left out are not among them.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"
    COUNTS: ClassVar[bool] = False

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return timelapse.csv, with a row for each photo that has an annotation."""
        annotations = given.kept_annotations()
        boxes = sum(a.own_box is not None for a in annotations)
        given.leave_out(boxes, "box", "the table has photos, not boxes", "boxes")
        photos: dict[str, list[Any]] = {}
        for a in annotations:
            photos.setdefault(a.path, []).append(a)
        names = _names(given, annotations)
        rows: list[Any] = []
        days = 0
        for path, own in sorted(photos.items()):
            folder, _, file = names[path].rpartition("/")
            time = next((a.timestamp for a in own if a.timestamp), None)
            days += time is not None and next(a.dated for a in own if a.timestamp)
            named = [a for a in own if a.individual is not None]
            animals, parts = "; ".join(a.individual for a in named), "; ".join(a.body_part for a in named)
            shown = time.isoformat(" ", "seconds") if time else ""
            rows.append((folder.replace("/", "\\"), file, shown, animals, parts))
        given.as_midnight(days, "photo")
        return {"timelapse.csv": to_csv((("RelativePath", "File", "DateTime", "Individual", "BodyPart"), rows))}


def _names(given: Export, annotations: Sequence[Annotation]) -> dict[str, str]:
    """Return the path of each photo of these annotations in Timelapse, by its path in the catalog.

    It is the one that Timelapse's own data had at the import, and else the one below a link of the catalog.
    """
    data = given.survey.data
    told = read_further(data.folder, data.annotations).get(source_column("timelapse"), {})
    links = links_of(data.folder)
    names: dict[str, str] = {}
    for a in annotations:
        name = re.sub(r"#\d+$", "", told.get(a.row, "").removesuffix(f"@{a.path}").replace("\\", "/"))
        if name.rpartition("/")[2].casefold() == a.path.rpartition("/")[2].casefold():
            names[a.path] = name
    cut: dict[str, str] = {}
    for path in {a.path for a in annotations} - names.keys():
        link = next((at for at in links if path.startswith(f"{at}/")), "")
        names[path] = path.removeprefix(f"{link}/")
        cut |= {path: link} if link else {}
    often = Counter(names.values())
    several = {path for path, name in names.items() if often[name] > 1}
    if below := sorted({link for path, link in cut.items() if path not in several}):
        text = f"the paths of photos in {some(below)} are those below the folder that it leads to: Timelapse knows "
        given.notes.append(Note("paths-below-links", f"{text}them if its data file lies there"))
    if several:
        text = f"{counted(len(several), 'photo')} with the catalog's path, which Timelapse does not know: others have "
        given.notes.append(Note("paths-not-known", f"{text}the same one there: {some(sorted(several))}"))
    return names | {path: path for path in several}


PLUGIN = Timelapse
