"""xlsx: the tables of the survey as one workbook, a sheet each. The only file that uses xlsxwriter."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporting import Export
from snowmatch.survey.co_use import CO_USE_DAYS
from snowmatch.survey.tables import cell_text, survey_tables

# Of a sheet, and letters of a cell: xlsxwriter drops what is beyond, without a word
MOST_ROWS, MOST_COLUMNS, MOST_LETTERS = 1_048_576, 16_384, 32_767
NUMBERS = (int, float, Decimal)


@dataclass(frozen=True)
class Xlsx:
    """The tables of `snowmatch survey` as one Excel workbook.

    co_use: days; two animals at one station within so many days are in the sheet co-use.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "optional"
    NEEDS: ClassVar[tuple[str, ...]] = ("xlsxwriter",)
    co_use: float = CO_USE_DAYS

    def __post_init__(self) -> None:
        if not 0 <= self.co_use <= 366:
            raise ValueError(f"co_use is {self.co_use:g} days, expected 0 to 366")

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return survey.xlsx. Texts are written as texts, never as formulas or links. Raises SnowmatchError for a table
        that is too large for a sheet.
        """
        import xlsxwriter

        content = io.BytesIO()
        plain = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with xlsxwriter.Workbook(content, plain) as book:
            book.set_properties({"created": datetime(2000, 1, 1)})  # the same survey is the same bytes
            bold = book.add_format({"bold": True})
            for name, (head, rows) in survey_tables(given.survey, given.coordinates, self.co_use).items():
                _check_size(name, len(rows) + 1, MOST_ROWS, "rows")
                _check_size(name, len(head), MOST_COLUMNS, "columns")
                sheet = book.add_worksheet(name.removesuffix(".csv"))
                sheet.freeze_panes(1, 0)
                for column, heading in enumerate(head):
                    sheet.write_string(0, column, heading, bold)
                for number, row in enumerate(rows, start=1):
                    for column, value in enumerate(row):
                        text = cell_text(value)
                        if isinstance(value, NUMBERS) and not isinstance(value, bool) and text not in ("", "inf"):
                            sheet.write_number(number, column, float(value))
                        elif text:
                            _check_size(name, len(text), MOST_LETTERS, "letters in a cell")
                            sheet.write_string(number, column, value if isinstance(value, str) else text)
        return {"survey.xlsx": content.getvalue()}


def _check_size(name: str, number: int, most: int, what: str) -> None:
    if number > most:
        raise SnowmatchError(
            f"{name} has {number:,} {what}, and Excel allows {most:,}: write the tables with --format csv"
        )


PLUGIN = Xlsx
