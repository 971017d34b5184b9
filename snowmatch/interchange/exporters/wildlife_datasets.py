"""wildlife-datasets: metadata.csv, which its WildlifeDataset and wildlife-tools read. Source: their documentation."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.core.types import Annotation
from snowmatch.interchange.exporting import Export
from snowmatch.survey.tables import cell_text

COLUMNS = (
    *("image_id", "identity", "path", "bbox", "date", "position", "species"),
    *("location", "station", "camera", "encounter", "split"),
)
UNKNOWN = "unknown"
SIDES = {"left_flank": "left", "right_flank": "right", "unknown": ""}


@dataclass(frozen=True)
class WildlifeDatasets:
    """The annotations of the catalog as metadata of wildlife-datasets; unidentified animals are `unknown`.

    Those that the screening left out are not among them.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"
    COUNTS: ClassVar[bool] = False

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return metadata.csv, a row for each annotation; paths begin in the catalog's folder."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        seen: dict[str, int] = {}
        for a in given.kept_annotations():
            seen[a.path] = seen.get(a.path, 0) + 1
            writer.writerow(_row(a, a.path if seen[a.path] == 1 else f"{a.path}#{seen[a.path]}"))
        return {"metadata.csv": text.getvalue().encode()}


def _row(a: Annotation, key: str) -> list[str]:
    box = "" if a.own_box is None else str(list(a.own_box))
    date = cell_text(a.when).replace("T", " ")
    side = SIDES.get(a.body_part, a.body_part)
    place = [a.location, a.station, a.camera, a.encounter, a.split]
    return [key, a.individual or UNKNOWN, a.path, box, date, side, a.species, *place]


PLUGIN = WildlifeDatasets
