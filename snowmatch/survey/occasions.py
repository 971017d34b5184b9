"""Sessions and occasions of a survey. An occasion is a number of days; a day may begin at any hour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from snowmatch.catalog.stations import DAY, FIRST_YEAR, LAST_YEAR, Span
from snowmatch.catalog.times import read_times
from snowmatch.core.errors import SnowmatchError

LONGEST = 7306  # days of a session: 20 years


@dataclass(frozen=True)
class Session:
    """A season of a survey. Occasions are counted from 0.

    first: the start of its first day. days: how many days it has. length: days of an occasion; the last occasion is
    shorter if `days` is no multiple of it.
    """

    name: str
    first: datetime
    days: int
    length: int

    @property
    def occasions(self) -> int:
        """The number of occasions."""
        return -(-self.days // self.length)

    @property
    def span(self) -> Span:
        """The whole time of the session."""
        return Span(self.first, self.first + self.days * DAY)

    def occasion(self, moment: datetime) -> int | None:
        """Return the occasion of a moment; None outside the session."""
        return (moment - self.first) // DAY // self.length if moment in self.span else None

    def day(self, number: int) -> Span:
        """Return the time of one day, counted from 0."""
        return Span(self.first + number * DAY, self.first + (number + 1) * DAY)


def make_session(name: str, span: Span, length: int, start_hour: int, cause: str = "") -> Session:
    """Return the session of whole days that contains `span`. length: days of an occasion. start_hour: 0 to 23.

    Raises SnowmatchError for a session of more than LONGEST days. cause: what made it so long, and how to mend it.
    """
    if span.end - span.start > LONGEST * DAY:
        raise SnowmatchError(
            f"the session {name} lasts from {span.start.date()} to {(span.end - datetime.resolution).date()}, expected "
            f"{LONGEST} days at most: {cause}choose a session such as 2023=2023-05-01..2023-08-31"
        )
    first = datetime.combine(span.start.date(), time(start_hour))
    if first > span.start:
        first -= DAY
    return Session(name, first, max(-((first - span.end) // DAY), 1), length)


def read_length(text: str) -> int:
    """Return the days of an occasion from a text such as `5d`, `2w` or `5`. Raises SnowmatchError."""
    match = re.fullmatch(r"\s*(\d{1,3})\s*(d|days?|w|weeks?)?\s*", text.lower())
    days = int(match[1]) * (7 if (match[2] or "d").startswith("w") else 1) if match else 0
    if not 1 <= days <= 366:
        raise SnowmatchError(f"the occasion {text!r} is no number of days, expected one such as 5d or 2w")
    return days


def read_session(text: str, start_hour: int = 0) -> tuple[str, Span]:
    """Return name and time of a session from `NAME=2023-05-01..2023-08-31`; both days belong to it.

    start_hour: a date is the 24 hours from this hour of it. Raises SnowmatchError.
    """
    name, _, dates = text.partition("=")
    if not dates:
        name, dates = "1", text
    first, dots, last = dates.partition("..")
    (start, end), mixed = read_times([first.strip(), last.strip()])
    if any(t.moment is not None and not FIRST_YEAR <= t.moment.year <= LAST_YEAR for t in (start, end)):
        raise SnowmatchError(f"the session {text!r} is not from {FIRST_YEAR} to {LAST_YEAR}, expected other years")
    unclear = mixed or start.unclear or end.unclear  # 03/04/2023 may be in March or in April
    told = f"the session {text!r} is not clear, expected one such as 2023=2023-05-01..2023-08-31"
    if not dots or not name.strip() or unclear or start.moment is None or end.moment is None:
        raise SnowmatchError(told)
    begins = timedelta(hours=start_hour)
    since, until = start.moment + begins * start.dated, end.moment + begins * end.dated
    if until < since:
        raise SnowmatchError(told)
    return name.strip(), Span(since, until + DAY * end.dated)
