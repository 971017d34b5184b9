"""The stations of a catalog, from `stations.csv`: where the cameras stood and when they worked.

A row is one camera at one station for one period. A station with two cameras, or with several periods, has several
rows. Headings are accepted in the spellings of camtrapR, Camtrap DP and secr. All problems are in one list. No problem
tells a position, because people send such lists around.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise, zip_longest
from pathlib import Path

from snowmatch.catalog.positions import WGS84, is_position, position_columns, read_crs, read_position
from snowmatch.catalog.problems import Problems
from snowmatch.catalog.sheet import Sheet, plain_heading, read_sheet
from snowmatch.catalog.times import EXPECTED, ReadTime, plain_time, read_times, to_one_zone
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, did_you_mean, number_in, printable, same_name, some, unclear_comma

COLUMNS = ("station", "location", "camera", "session", "x", "y", "crs", "from", "to", "problem_from", "problem_to")
DAY = timedelta(days=1)
FIRST_YEAR, LAST_YEAR = 1970, 2100  # other years are a clock that was reset, or a mistake
# The usual headings of each column, the surest first
SPELLINGS = {
    "station": "station station_id station_name camera_station trap_station site site_id site_name trap trap_id "
    "detector placename location_name",
    "location": "location area region study_area",
    "camera": "camera camera_id cam cam_id cameraid",
    "session": "session season survey",
    "x": "x longitude lon long lng decimal_longitude easting utm_x utm_e utmx x_coord coord_x",
    "y": "y latitude lat decimal_latitude northing utm_y utm_n utmy y_coord coord_y",
    "crs": "crs epsg srid projection",
    "from": "from start start_date setup setup_date deployment_start date_from set_up",
    "to": "to end end_date retrieval retrieval_date deployment_end date_to",
}
# Headings of times that count where no surer one is, and only by their cells: Deployed may also say yes or no
LESS_SURE = {
    "from": "deployed date_deployed deployment_date installed date_installed installation_date date_set set_date",
    "to": "retrieved date_retrieved removed date_removed removal_date collected date_collected collection_date "
    "date_out",
}
ONE_OF = ("x", "y", "crs", "from", "to")  # of these columns, no second heading may be a trait of the station
_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")  # 3,850 or 3,900.5
_PROBLEM = re.compile(r"problem_?(\d*)_?(from|to|start|end)_?(\d*)")


@dataclass(frozen=True)
class Span:
    """A time from `start` to `end`; the end does not belong to it."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True)
class Deployment:
    """One row of stations.csv. An empty text, and None, mean "not given".

    x, y: in the system with the EPSG code `crs`: metres, or degrees (x is the longitude). working: from the set-up to
    the end. problems: when the camera did not work in between. traits: the values of further columns.
    """

    station: str
    location: str = ""
    camera: str = ""
    session: str = ""
    x: float | None = None
    y: float | None = None
    crs: int = WGS84
    working: Span | None = None
    problems: tuple[Span, ...] = ()
    traits: Mapping[str, str] = field(default_factory=dict)


def read_stations(path: Path, notes: list[Note], dates: str = "") -> tuple[Deployment, ...]:
    """Return the rows of a table of stations (csv or xlsx), in its order, and add notes.

    A date without a time of day is a whole day, also in `to`. Positions are decimal numbers or degrees, minutes and
    seconds. dates: `dmy` or `mdy`, the order of day and month if the dates do not show it. Raises SnowmatchError with
    all problems.
    """
    found, problems = examine_stations(path, notes, dates)
    problems.check()
    if without := sorted({d.station for d in found if d.x is None}):
        text = f"{counted(len(without), 'station')} of {path.name} without a position: {some(without)}"
        notes.append(Note("stations-without-position", text, {"stations": without}))
    return found


def examine_stations(path: Path, notes: list[Note], dates: str = "") -> tuple[tuple[Deployment, ...], Problems]:
    """Return the rows of a table of stations as `read_stations` does, and its problems.

    What is wrong in a row is not in its Deployment. Raises SnowmatchError if the file is no table of stations.
    """
    words = {word for each in (*SPELLINGS.values(), *LESS_SURE.values()) for word in each.split()}
    sheet = read_sheet(path, [*words, *COLUMNS], notes)
    columns, further = _columns(path, sheet, notes)
    problems = Problems(path)
    rows: list[tuple[int, dict[str, list[str]]]] = []
    for line, cells in sheet.rows:
        if not any(cell.strip() for cell in cells):
            continue
        values: dict[str, list[str]] = defaultdict(list)
        for name, cell in zip(columns, [*cells, *[""] * len(columns)], strict=False):
            values[name].append(cell.strip())
        if any(cell.strip() for cell in cells[len(columns) :]):
            problems.add(line, "", f"more cells than headings; expected {len(columns)}")
        rows.append((line, values))
    if not rows:
        raise SnowmatchError(f"{path} has no rows below its header, expected one row per station and period")
    spans = _spans(rows, dates, problems, notes)
    found = [
        _deployment(values, line, working, gaps, further, problems)
        for (line, values), (working, gaps) in zip(rows, spans, strict=True)
    ]
    lines = [line for line, _ in rows]
    _check_same_place(found, lines, problems, notes)
    _check_overlaps(found, lines, problems)
    found = _without_thousands(further, found)
    notes += _unclear_commas(path.name, further, found)
    told = [name for name in columns if name in ("from", "to", *further)]
    notes += unread_dates(path.name, [{name: values.get(name, [""])[0] for name in told} for _, values in rows])
    return tuple(found), problems


def _without_thousands(traits: Sequence[str], found: Sequence[Deployment]) -> list[Deployment]:
    """Return deployments without the commas that separate thousands, in covariates where a decimal point shows it."""
    columns = {trait: [d.traits[trait] for d in found] for trait in traits}
    pointed = {trait for trait, texts in columns.items() if any(map(_has_point, texts)) and not _decimal_comma(texts)}
    return [
        replace(d, traits={name: _plain_number(text) if name in pointed else text for name, text in d.traits.items()})
        for d in found
    ]


def _has_point(text: str) -> bool:
    """Return whether a number has a decimal point, unlike 3.850, which may be written with points of thousands."""
    return "." in text and bool(number_in(_plain_number(text))) and not unclear_comma(text.replace(".", ","))


def _plain_number(text: str) -> str:
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _decimal_comma(texts: Iterable[str]) -> bool:
    """Return whether the comma of a number is a decimal point for sure."""
    return any(text.count(",") == 1 and number_in(text) and not unclear_comma(text) for text in texts)


def _unclear_commas(name: str, traits: Sequence[str], found: Sequence[Deployment]) -> list[Note]:
    """Return a note on commas of covariates that may separate thousands, if no number beside them shows what they are.

    name: of the file.
    """
    unclear: dict[str, str] = {}
    for trait in traits:
        texts = [d.traits[trait] for d in found if d.traits[trait]]
        if not _decimal_comma(texts) and (text := next(filter(unclear_comma, texts), "")):
            unclear[trait] = text
    if not unclear:
        return []
    read = some([f"{text} of {trait} as {number_in(text)}" for trait, text in unclear.items()])
    text = f"commas of {name} that may separate thousands count as decimal points: {read}; write thousands without them"
    return [Note("unclear-commas", text, {"columns": list(unclear)})]


def unread_dates(name: str, rows: Sequence[Mapping[str, str]]) -> list[Note]:
    """Return a note if no row has `from` or no row has `to`, and at least half of a further column's cells are dates.

    name: of the file. rows: cells by column.
    """
    missing = [column for column in ("from", "to") if not any(row.get(column) for row in rows)]
    if not missing:
        return []
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for column, text in row.items():
            counts = text and column not in COLUMNS and not _PROBLEM.fullmatch(column)
            texts[column] += [plain_time(text)] if counts else []
    dated = {column: sum(t.moment is not None for t in read_times(own)[0]) for column, own in texts.items()}
    found = [column for column, number in dated.items() if number and 2 * number >= len(texts[column])]
    if not found:
        return []
    text = (
        f"no row of {name} has {' and '.join(missing)}, and the dates in {some(found)} count as covariates: if they "
        "say when the cameras worked, name their columns Setup_date and Retrieval_date"
    )
    return [Note("dates-not-read", text, {"columns": found})]


def meanings(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return the column that each understood heading means: heading -> column. headings: in one form. rows: cells.

    A column has one heading: the one that stands first in SPELLINGS, else one of LESS_SURE whose cells are surely that.
    Problem periods are numbered pairs: problem_from, problem_to, problem2_from, and so on.
    """
    found: dict[str, str] = {}
    for column, words in SPELLINGS.items():
        heading = next((word for word in words.split() if word in headings and word not in found), None)
        if heading is not None:
            found[heading] = column
    found |= _sure_periods(headings, rows, found)
    pairs: dict[str, int] = {}
    for heading in headings:
        if match := _PROBLEM.fullmatch(heading):
            end = {"start": "from", "end": "to"}.get(match[2], match[2])
            number = pairs.setdefault(match[1] or match[3], len(pairs) + 1)
            found[heading] = f"problem_{end}" if number == 1 else f"problem{number}_{end}"
    return found


def _sure_periods(headings: Sequence[str], rows: Iterable[Sequence[str]], sure: Mapping[str, str]) -> dict[str, str]:
    """Return the headings of LESS_SURE that surely are the ends of the working periods: heading -> column.

    They are if just one heading for an end has times alone, in one order of day and month, and each of its times has
    one for the other end. sure: the headings that need no look at their cells.
    """
    ends = {name: [h for h, column in sure.items() if column == name] for name in LESS_SURE}
    texts: dict[str, list[str]] = {heading: [] for heading in headings}
    for cells in rows if not all(ends.values()) else ():
        for heading, text in dict(zip_longest(headings, cells[: len(headings)], fillvalue="")).items():
            texts[heading].append(text.strip())
    less = {name: words.split() for name, words in LESS_SURE.items() if not ends[name]}
    for name, words in less.items():
        ends[name] = [word for word in words if headings.count(word) == 1 and _are_times(texts[word])]
    if any(len(own) != 1 for own in ends.values()):
        return {}
    first, last = (texts[own[0]] for own in ends.values())
    pairs = [("from", a, b) for a, b in zip(first, last, strict=True)]
    pairs += [("to", b, a) for a, b in zip(first, last, strict=True)]
    complete = all(other or not own for name, own, other in pairs if name in less)
    mixed = read_times([text for name in less for text in texts[ends[name][0]]])[1]
    return {ends[name][0]: name for name in less} if complete and not mixed else {}


def _are_times(texts: Iterable[str]) -> bool:
    """Return whether there are filled cells, and all of them are times."""
    filled = [text for text in texts if text]
    return bool(filled) and all(time.moment is not None for time in read_times(filled)[0])


def _columns(path: Path, sheet: Sheet, notes: list[Note]) -> tuple[list[str], list[str]]:
    """Return the names of the columns in their normal form, and the names of the traits of stations.

    Columns that may tell a position are no traits, with a note: traits leave a catalog, exact positions may not.
    """
    plain = [plain_heading(heading) for heading in sheet.head]
    meaning = meanings(plain, [cells for _, cells in sheet.rows])
    meaning = {heading: re.sub(r"^problem\d+_", "problem_", name) for heading, name in meaning.items()}
    names = [meaning.get(p, heading.strip()) for p, heading in zip(plain, sheet.head, strict=True)]
    where = f"{path} line {sheet.head_line}"
    for name, words in SPELLINGS.items():
        same = [h for h, p in zip(sheet.head, plain, strict=True) if p in words.split()]
        if len(same) > 1 and (name in ONE_OF or names.count(name) > 1 or name not in plain):
            raise SnowmatchError(f"{where}: the columns {', '.join(same)} all mean {name!r}: keep one of them")
    if "station" not in names:
        raise SnowmatchError(
            f"{where}: no column 'station' in {printable(', '.join(sheet.head)) or 'an empty file'}; "
            f"expected some of {', '.join(COLUMNS)}{did_you_mean('station', names)}"
        )
    if names.count("problem_from") != names.count("problem_to"):
        raise SnowmatchError(
            f"{where}: {names.count('problem_from')} columns problem_from, but "
            f"{names.count('problem_to')} columns problem_to; expected pairs"
        )
    further = [name for name in names if name and name not in (*COLUMNS, "deployment")]  # that is an import's
    if twice := sorted({name for name in further if further.count(name) > 1}):
        raise SnowmatchError(f"{where}: the column {twice[0]!r} occurs twice: keep one of them")
    texts = {name: [cells[n] for _, cells in sheet.rows if n < len(cells)] for n, name in enumerate(names)}
    if placed := sorted(position_columns({name: texts[name] for name in further})):
        text = f"columns of {path.name} that may tell positions are no covariates: {some(placed)}"
        notes.append(Note("positions-no-covariates", text, {"columns": placed}))
    return names, sorted({*further} - {*placed})


def _spans(
    rows: Sequence[tuple[int, Mapping[str, list[str]]]], dates: str, problems: Problems, notes: list[Note]
) -> list[tuple[Span | None, tuple[Span, ...]]]:
    """Return the working period and the problem periods of each row: all times of the table have one order."""
    cells: list[tuple[int, str, str]] = []
    for n, (_, values) in enumerate(rows):
        for first, last in zip(("from", "problem_from"), ("to", "problem_to"), strict=True):
            for a, b in zip(values.get(first, [""]), values.get(last, [""]), strict=True):
                cells += [(n, first, a), (n, last, b)]
    times, mixed = read_times([text for *_, text in cells], dates)
    moments, zones = to_one_zone(times)
    if zones:
        text = "time zones in the table of stations: the local time of the cameras is used"
        notes.append(Note("station-zones", text))
    if mixed:
        problems.unclear_dates, problems.both_orders = True, read_times([text for *_, text in cells])[1]
        problems.add(rows[0][0], "from", "some dates begin with the day, others with the month; expected one order")
    periods: list[list[Span]] = [[] for _ in rows]
    whole: list[Span | None] = [None for _ in rows]
    for k in range(0, len(cells), 2):
        n, column, text = cells[k]
        line, end_column = rows[n][0], cells[k + 1][1]
        bad = False
        for (_, name, cell), time in zip(cells[k : k + 2], times[k : k + 2], strict=True):
            if time.problem:
                problems.cell(line, name, cell, time.problem)
            elif time.unclear and not mixed:
                problems.unclear_dates = True
                problems.add(line, name, f"{cell!r} may begin with the day or with the month: say which")
            bad |= bool(time.problem)
        for (_, name, cell), moment in zip(cells[k : k + 2], moments[k : k + 2], strict=True):
            if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
                problems.add(line, name, f"{cell!r} is no time of a survey; expected {FIRST_YEAR} to {LAST_YEAR}")
                bad = True
        if bad:
            continue
        start, end = moments[k], _end(moments[k + 1], times[k + 1])
        if start is None and end is None:
            continue
        if start is None or end is None:
            missing = column if start is None else end_column
            problems.add(line, missing, f"no value beside {text or cells[k + 1][2]!r}; expected both or neither")
        elif start >= end:
            problems.add(line, end_column, f"{cells[k + 1][2]!r} is before {text!r}; {EXPECTED} after it")
        elif column == "from":
            whole[n] = Span(start, end)
        else:
            periods[n].append(Span(start, end))
    return [(w, tuple(sorted(p, key=lambda s: s.start))) for w, p in zip(whole, periods, strict=True)]


def _end(moment: datetime | None, time: ReadTime) -> datetime | None:
    """Return the end of a period: a date without a time of day belongs to it."""
    return None if moment is None else moment + DAY if time.dated else moment


def _deployment(
    values: Mapping[str, list[str]],
    line: int,
    working: Span | None,
    gaps: tuple[Span, ...],
    further: Sequence[str],
    problems: Problems,
) -> Deployment:
    def cell(name: str) -> str:
        return same_name(values.get(name, [""])[0])

    if not cell("station"):
        problems.cell(line, "station", "", "expected the name of the station")
    for column in ("station", "location"):
        if is_position(cell(column)):
            problems.add(line, column, "a position; expected a name: positions belong into x and y")
    crs = read_crs(cell("crs"), line, problems)
    x, y = read_position(cell("x"), cell("y"), crs, line, problems)
    if gaps and working is not None:
        for gap in gaps:
            if gap.end <= working.start or gap.start >= working.end:
                problems.add(line, "problem_from", f"the problem from {gap.start} is not between from and to")
    elif gaps and not cell("from") + cell("to"):
        problems.add(line, "from", "empty beside problem dates; expected from and to, or no problem dates")
    traits = {name: cell(name) for name in further}
    return Deployment(
        cell("station"), cell("location"), cell("camera"), cell("session"), x, y, crs or WGS84, working, gaps, traits
    )


def _check_same_place(found: Sequence[Deployment], lines: Sequence[int], problems: Problems, notes: list[Note]) -> None:
    """Add a problem if two rows of one station have different positions, and a note if two stations have the same."""
    pairs: dict[str, None] = {}
    first: dict[tuple[str, str], int] = {}
    taken: dict[tuple[float, float, int], int] = {}
    for n, d in enumerate(found):
        if d.x is None or d.y is None:
            continue
        before = found[first.setdefault((d.location, d.station), n)]
        if (before.x, before.y, before.crs) != (d.x, d.y, d.crs):
            where = lines[first[d.location, d.station]]
            text = f"{d.station!r} has another position in line {where}; expected one position, or another name"
            problems.add(lines[n], "x", text)
        other = found[taken.setdefault((d.x, d.y, d.crs), n)]
        if (other.location, other.station) != (d.location, d.station):
            pairs[f"{other.station} and {d.station}"] = None
    if pairs:
        notes.append(Note("stations-same-position", f"stations with the same position: {some(list(pairs))}"))


def _check_overlaps(found: Sequence[Deployment], lines: Sequence[int], problems: Problems) -> None:
    """Add a problem if one camera of a station has two periods at the same time."""
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for n, d in enumerate(found):
        groups[d.location, d.station, d.camera].append(n)
    for numbers in groups.values():
        timed = sorted(
            ((w.start, w.end, n) for n in numbers if (w := found[n].working) is not None), key=lambda t: t[:2]
        )
        for (_, end, a), (start, _, b) in pairwise(timed):
            if start < end:
                text = (
                    f"{found[b].station!r} worked at the same time in line {lines[a]}; expected other dates, or the "
                    "column camera if it has two cameras"
                )
                problems.add(lines[b], "from", text)
        if len(numbers) > len(timed) and len(numbers) > 1:
            text = f"{found[numbers[1]].station!r} appears twice; expected from and to in each of its rows"
            problems.add(lines[numbers[1]], "station", text)
