"""csv: the tables of the survey as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snowmatch.interchange.exporting import Export
from snowmatch.survey.co_use import CO_USE_DAYS
from snowmatch.survey.tables import survey_tables, to_csv


@dataclass(frozen=True)
class Csv:
    """The tables of `snowmatch survey` as csv.

    co_use: days; two animals at one station within so many days are in co-use.csv.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"
    co_use: float = CO_USE_DAYS

    def __post_init__(self) -> None:
        if not 0 <= self.co_use <= 366:
            raise ValueError(f"co_use is {self.co_use:g} days, expected 0 to 366")

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return a file for each table."""
        tables = survey_tables(given.survey, given.coordinates, self.co_use)
        return {name: to_csv(table) for name, table in tables.items()}


PLUGIN = Csv
