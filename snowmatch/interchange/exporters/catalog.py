"""catalog: a catalog.csv with the names that the animals have now."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.catalog.further import read_further
from snowmatch.catalog.positions import position_columns
from snowmatch.core.text import some
from snowmatch.core.types import Annotation
from snowmatch.interchange.exporting import Export
from snowmatch.survey.traits import HEADINGS

COLUMNS = (
    *("path", "individual", "body_part", "location", "station", "camera", "timestamp", "encounter", "bbox"),
    *("mask", "split", "annotation", "species"),
)


@dataclass(frozen=True)
class CatalogTable:
    """A catalog.csv with the present names. Put it in place of the old one; the paths are those of the old one.

    Derived encounters and times are in it as if somebody had written them: so it is the same catalog anywhere.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"
    COUNTS: ClassVar[bool] = False

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return catalog.csv with all further columns of the catalog's table; positions only if they may be exact.

        Sex and quality are those that persons decided, where they did.
        """
        data = given.survey.data
        further = {**read_further(data.folder, data.annotations)}
        for name, values in given.survey.traits.said.items():
            if values:
                heading = next((h for h in further if h.lower() in HEADINGS[name]), name)
                decided = {row: "" if value == "unknown" else value for row, value in values.items()}
                further[heading] = {**further.get(heading, {}), **decided}
        placed = position_columns({name: texts.values() for name, texts in further.items()})
        placed |= {name for name in further if name.strip().lower() in ("x", "y")}
        kept = [name for name in further if given.exact or name not in placed]
        gone = sorted(set(further) - set(kept))
        why = f"it may tell where stations are; ask with --coordinates exact: {some(gone)}"
        given.leave_out(len(gone), "column", why)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*COLUMNS, *kept])
        for a in data.annotations:
            writer.writerow([*_cells(a), *(further[name].get(a.row, "") for name in kept)])
        return {"catalog.csv": text.getvalue().encode()}


def _cells(a: Annotation) -> list[str]:
    """Return the values of an annotation as the loader of catalogs reads them: texts stay as they are."""
    box = "" if a.own_box is None else ",".join(map(str, a.own_box))
    place = (a.location, a.station, a.camera, a.time_text, a.encounter)
    return [a.path, a.individual or "", a.body_part, *place, box, a.mask, a.split, a.annotation, a.species]


PLUGIN = CatalogTable
