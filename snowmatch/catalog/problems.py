"""All problems of a table in one list, so that a person can correct them all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from snowmatch.core.errors import SnowmatchError

SHOWN = 40  # number of problems that are listed; the others are counted


@dataclass
class Problems:
    """The problems of the cells of one table. line: in the file. column: "" for a whole row.

    unclear_dates: day and month of some dates may be swapped. both_orders: no one order reads all dates.
    """

    path: Path
    found: list[tuple[int, str, str]] = field(default_factory=list)
    unclear_dates: bool = False
    both_orders: bool = False

    def add(self, line: int, column: str, text: str) -> None:
        """Add one problem: its line, its column, and a text with what is wrong and what is expected."""
        self.found.append((line, column, text))

    def cell(self, line: int, column: str, value: str, expected: str) -> None:
        """Add the problem that the value of a cell is not allowed."""
        self.add(line, column, f"{value!r} is not allowed; {expected}")

    def check(self) -> None:
        """Raise SnowmatchError with all problems; nothing found, nothing happens."""
        if not self.found:
            return
        lines = list(self.lines())
        data = {
            "file": str(self.path),
            "problems": [{"line": line, "column": column, "text": text} for line, column, text in sorted(self.found)],
        }
        code = "unclear-dates" if self.unclear_dates and not self.both_orders else "bad-table"
        if len(lines) == 1:
            raise SnowmatchError(f"{self.path} {lines[0]}", code, **data)
        more = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        listed = "".join(f"\n  {line}" for line in lines[:SHOWN])
        raise SnowmatchError(f"{self.path} has {len(lines)} problems:{listed}{more}", code, **data)

    def lines(self) -> Iterator[str]:
        """Yield each problem as a text that begins with its line, in the order of the lines."""
        for line, column, text in sorted(self.found):
            yield f"line {line}, column {column}: {text}" if column else f"line {line}: {text}"
