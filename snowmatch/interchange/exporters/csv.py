"""csv: the tables of the survey as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporting import Export
from snowmatch.survey.tables import survey_tables, to_csv


@dataclass(frozen=True)
class Csv:
    """The tables of `snowmatch survey` as csv."""

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return a file for each table."""
        tables = survey_tables(given.survey, given.coordinates)
        return {name: to_csv(table) for name, table in tables.items()}


PLUGIN = Csv
