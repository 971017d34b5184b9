"""Times that cameras write into files."""

from __future__ import annotations

import re
from datetime import datetime

# 2020:01:31 09:05:03 as in EXIF; other programs write - or /, T, no seconds, or blanks in place of zeros. A time with
# AM or PM is none, as programs differ in how they write noon and midnight.
_DAY = r"\s*(\d{4})[-:/]\s*(\d\d?)[-:/]\s*(\d\d?)"
_TIME = re.compile(
    _DAY + r"[T\s]\s*(\d\d?):\s*(\d\d?)(?::\s*(\d\d?+)|(?!\s*[\d:]))(?![.\d]*[\s\0]*[AaPp]\.?\s?[Mm]\b)", re.ASCII
)


def read_clock(text: str) -> datetime | None:
    """Return the time at the beginning of a text, without zone or fractions; None if there is none."""
    match = _TIME.match(text)
    try:
        return None if match is None else datetime(*(int(number or 0) for number in match.groups()))  # type: ignore[arg-type] # six
    except ValueError:  # a 13th month, or 0000:00:00 00:00:00 of a clock that was not set
        return None
