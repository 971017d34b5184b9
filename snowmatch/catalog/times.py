"""Times as people and programs write them: accepted texts, the order of day and month, and time zones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from snowmatch.core.notes import Note

BY_CHANCE = 5  # different dates: fewer say nothing of their order
ORDERS = ("dmy", "mdy")  # of dates such as 3/4/2021
_ZONE = r"\s*(?P<zone>Z|[+-]\d\d:?\d\d)?"
_CLOCK = (
    r"(?:[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<half>[AaPp][Mm])?)?"
)
_YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})([-/.:])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_CLOCK}{_ZONE}")
_YEAR_LAST = re.compile(
    rf"(?P<first>\d{{1,2}})(?P<mark>[-/.])(?P<second_>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}){_CLOCK}{_ZONE}"
)
_MARKS = {("-", "-", mark, ":", ":") for mark in "T "}
EXPECTED = "expected a local date and time such as 2012-09-17T19:42:18, or an empty cell"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = re.compile(r"(\d{1,2})[-/. ]([A-Za-z]{3})[a-z]*[-/., ]+(\d{4})(.*)", re.DOTALL)
_MONTH_FIRST = re.compile(r"([A-Za-z]{3})[a-z]*[-/. ](\d{1,2})[-/., ]+(\d{4})(.*)", re.DOTALL)


@dataclass(frozen=True)
class ReadTime:
    """One time of the camera's clock, or the problem of its text.

    zone: the time zone, if the text has one (ahead of UTC). dated: the text has no time of day. unclear: day and month
    may be swapped.
    """

    moment: datetime | None
    zone: timedelta | None = None
    dated: bool = False
    unclear: bool = False
    problem: str = ""


_NO_TIME = ReadTime(None)


def read_times(texts: Sequence[str], order: str = "") -> tuple[list[ReadTime], bool]:
    """Return the times of a column, and whether the column has both orders of day and month. Empty texts give no time.

    order: `dmy` or `mdy`, for dates such as 3/4/2021. Without it, a number above 12 in the column decides. 17.09.2021,
    with dots, always begins with the day.
    """
    plain = [_plain(text) for text in texts]
    pairs = zip(texts, plain, strict=True)
    matches = [None if known is not None else _YEAR_LAST.fullmatch(text.strip()) for text, known in pairs]
    told = {_order_of(match) for match in matches if match is not None} - {""}
    mixed = len(told) > 1 or bool(order and told - {order})
    usual = order or (told.pop() if len(told) == 1 else "")
    found = zip(texts, plain, matches, strict=True)
    return [known or _read(text.strip(), match, usual) for text, known, match in found], mixed


def to_one_zone(times: Sequence[ReadTime]) -> tuple[list[datetime | None], str]:
    """Return the local times in one time zone, and what was done with the zones: "", `dropped` or `converted`.

    If all zones are equal, they are those of the camera and are dropped. If they differ, all times with a zone are
    converted to the most frequent one; of two that are equally frequent, UTC is not that of the cameras.
    """
    zones = Counter(time.zone for time in times if time.zone is not None)
    if len(zones) <= 1:
        return [time.moment for time in times], "dropped" if zones else ""
    usual = max(sorted(zones), key=lambda zone: (zones[zone], bool(zone)))
    return [_moved(time, usual) for time in times], "converted"


def _moved(time: ReadTime, zone: timedelta) -> datetime | None:
    """Return the local time in another zone. A day stays that day, and an empty date (0001, 9999) what it is."""
    if time.moment is None or time.zone is None or time.dated:
        return time.moment
    with suppress(OverflowError):
        return time.moment - time.zone + zone
    return time.moment


def swapped_by_spreadsheet(texts: Iterable[str]) -> Note | None:
    """Return a note if a spreadsheet surely has read the dates of a column in the wrong order of day and month.

    It makes dates of its own of 3/4/2021, swapped, and leaves 13/4/2021 a text: so its dates have no day above 12, and
    the texts nothing else. A few of each may be so by chance.
    """
    own, left = set(), set()
    for text in set(texts):
        if match := _YEAR_LAST.fullmatch(text.strip()):
            if not _order_of(match):
                return None
            left.add(match["first"] + match["second_"] + match["year"])
        elif match := _YEAR_FIRST.fullmatch(text.strip()):
            if int(match["day"]) > 12:
                return None
            own.add(match["year"] + match["month"] + match["day"])
    if min(len(own), len(left)) < BY_CHANCE:
        return None
    text = (
        f"{len(own)} dates of a spreadsheet have no day above 12, and {len(left)} others are texts with such days: it "
        "has probably swapped day and month of the former; write all dates as texts such as 2021-04-13"
    )
    return Note("dates-half-swapped", text, {"count": len(own)})


def plain_time(text: str) -> str:
    """Return a date with the name of its month, such as 05-Jun-2015 12:00, as 2015-06-05 12:00; others as they are."""
    for pattern, (day, month) in ((_MONTH, (1, 2)), (_MONTH_FIRST, (2, 1))):
        match = pattern.fullmatch(text.strip())
        if match is not None and match[month].lower() in _MONTHS:
            return f"{match[3]}-{_MONTHS.index(match[month].lower()) + 1:02}-{int(match[day]):02}{match[4]}"
    return text.strip()


def zone_text(zone: timedelta) -> str:
    """Return a zone as people write it: UTC, or +06:00."""
    minutes = abs(round(zone.total_seconds() / 60))
    return f"{'-' if zone < timedelta(0) else '+'}{minutes // 60:02}:{minutes % 60:02}" if minutes else "UTC"


def _plain(text: str) -> ReadTime | None:
    """Return the time of a text in the form of nearly all tables, 2012-09-17T19:42:18; None for any other text."""
    if not text:
        return _NO_TIME
    if len(text) == 19 and (text[4], text[7], text[10], text[13], text[16]) in _MARKS:
        with suppress(ValueError):
            return ReadTime(datetime.fromisoformat(text))
    return None


def _order_of(match: re.Match[str]) -> str:
    """Return the order of day and month that one text shows; "" if both are possible."""
    if match["mark"] == ".":
        return ""  # the day is always first; other dates may be written differently
    if int(match["first"]) > 12:
        return "dmy"
    return "mdy" if int(match["second_"]) > 12 else ""


def _read(text: str, year_last: re.Match[str] | None, order: str) -> ReadTime:
    if not text:
        return ReadTime(None)
    match = year_last or _YEAR_FIRST.fullmatch(text)
    if match is None:
        return ReadTime(None, problem=EXPECTED)
    unclear = False
    if year_last is not None:
        first, second = int(match["first"]), int(match["second_"])
        own = "dmy" if match["mark"] == "." else _order_of(match) or order
        unclear = not own and first != second
        day, month = (second, first) if own == "mdy" else (first, second)
    else:
        day, month = int(match["day"]), int(match["month"])
    hour = int(match["hour"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            return ReadTime(None, problem=f"{EXPECTED} (hour {hour} with {match['half']})")
        hour = hour % 12 + 12 * (match["half"].lower() == "pm")
    fraction = int((match["fraction"] or "0")[:6].ljust(6, "0"))
    try:
        numbers = int(match["year"]), month, day, hour, int(match["minute"] or 0), int(match["second"] or 0), fraction
        moment = datetime(*numbers)
    except ValueError as error:  # a 13th month, a 30th of February
        return ReadTime(None, problem=f"{EXPECTED} ({error})")
    return ReadTime(moment, _zone(match["zone"]), match["hour"] is None, unclear)


def _zone(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if text == "Z":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:])
    return (-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes)
