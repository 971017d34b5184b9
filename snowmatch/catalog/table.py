"""The table of a catalog, `catalog.csv` or `catalog.xlsx`: every value is checked, and all problems are in one list.

Header names may be in any case. Body parts, boxes and times are accepted in their usual spellings. Rows of one photo
share place and time, so that one of them may have the values for all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snowmatch.catalog.cells import CellError, read_body_part, read_box, read_path, read_split
from snowmatch.catalog.positions import is_position
from snowmatch.catalog.problems import Problems
from snowmatch.catalog.sheet import Sheet, column_name, read_sheet
from snowmatch.catalog.times import EXPECTED, ReadTime, read_times, swapped_by_spreadsheet, to_one_zone
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import WRITTEN, source_column
from snowmatch.core.notes import Note
from snowmatch.core.plugins import plugin_names
from snowmatch.core.text import counted, did_you_mean, printable, same_name, some
from snowmatch.core.types import BODY_PARTS

# Rows of one photo have the same values here: it was taken at one place and one time, and is on one side of a split.
PHOTO_COLUMNS = ("location", "station", "camera", "timestamp", "encounter", "split")
COLUMNS = ("path", "individual", "body_part", "bbox", "mask", *PHOTO_COLUMNS, "annotation", "species")
TRAITS = ("sex", "age_class", "quality")  # a survey reads them
UNIDENTIFIED = "_unidentified"
PLACES = {"location": "an area", "station": "a camera site"}  # their names are no positions: they leave a catalog
_TEXTS = ("location", "station", "camera", "encounter", "annotation", "species")
_Reader = tuple[str, Callable[[str], Any], str | None]
_READERS: tuple[_Reader, ...] = (  # of other columns, and what an empty cell means
    ("path", read_path, ""),
    ("mask", read_path, ""),
    ("body_part", read_body_part, "unknown"),
    ("split", read_split, ""),
    ("bbox", read_box, None),
)
Fields = dict[str, Any]  # the values of one row; see `read_table`


def read_table(path: Path, notes: list[Note], dates: str = "") -> list[Fields]:
    """Return the rows of a catalog's table in its order, and add notes on changed or ignored values.

    A row has the values of an Annotation, without `row`. Its bbox may be a RelativeBox; `dated` means that its time has
    no time of day. dates: `dmy` or `mdy`, the order of day and month if the dates do not show it. Raises SnowmatchError
    with all problems.
    """
    sheet = read_sheet(path, COLUMNS, notes)
    columns = _columns(path, sheet, notes)
    problems = Problems(path)
    cells: list[dict[str, str]] = []
    lines: list[int] = []
    for line, values in sheet.rows:
        if not any(value.strip() for value in values):
            continue
        if len(values) > len(columns) and any(values[len(columns) :]):
            problems.add(
                line,
                "",
                f"{len(values)} values for {len(columns)} columns, the last {values[-1]!r}; expected quotes around a "
                'value that contains the separator, such as "10,20,300,200"',
            )
            continue
        cells.append(dict(zip(columns, values, strict=False)))  # Excel drops empty last cells
        lines.append(line)
    if not cells and not problems.found:
        text = f"{path} has no rows below its header, expected one row per animal in a photo"
        raise SnowmatchError(text, "no-rows", path=str(path))
    counts: Counter[str] = Counter()
    rows = _fields_of(columns, cells, lines, problems, counts)
    _fill_times([each.get("timestamp", "") for each in cells], rows, lines, problems, dates, notes)
    _note_counts(path, counts, notes)
    _check_identifiers(rows, lines, problems)
    for column in PLACES:
        _check_places(column, [each.get(column, "") for each in cells], lines, problems)
    problems.check()
    if len({fields["path"] for fields in rows}) < len(rows):
        rows, lines = _without_repeats(path, rows, lines, notes)
        _share_photo_columns(rows, lines, problems)
        problems.check()
    return rows


def paths_of_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the path of each row of a table that `read_table` accepts; "" for one that repeats an earlier row.

    columns: their names in the normal form. rows: their cells.
    """
    cells = [dict(zip(columns, values, strict=False)) for values in rows]
    read = _fields_of(columns, cells, range(len(cells)), Problems(Path()), Counter())
    times = read_times([each.get("timestamp", "") for each in cells])[0]
    moments = to_one_zone(times)[0]
    done: set[tuple] = set()
    paths = []
    for fields, time, moment in zip(read, times, moments, strict=True):
        row = (moment, time.dated, *sorted(fields.items()))
        paths.append("" if row in done else fields["path"])
        done.add(row)
    return paths


def is_unidentified(name: str) -> bool:
    """Return whether a name is UNIDENTIFIED, in any case: some systems show folders with a capital letter."""
    return name.lower() == UNIDENTIFIED


def _columns(path: Path, sheet: Sheet, notes: list[Note]) -> list[str]:
    """Return the names of the columns in their normal form."""
    columns = [column_name(heading) for heading in sheet.head]
    if "path" not in columns:
        has = printable(", ".join(sheet.head)) or "an empty file"
        raise SnowmatchError(
            f"{path} line {sheet.head_line}: no column 'path' in {has}; "
            f"expected some of {', '.join(COLUMNS)}{did_you_mean('path', columns)}"
        )
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if wrong := [name for name in twice if name in COLUMNS]:
        raise SnowmatchError(f"{path} line {sheet.head_line}: column {wrong[0]!r} appears twice, expected once")
    if twice:
        text = f"columns of {path.name} that appear twice and are therefore left out: {', '.join(twice)}; expected once"
        notes.append(Note("columns-twice", text, {"columns": twice}))
    further = [name for name in columns if name and name not in (*COLUMNS, *twice)]
    if unknown := [name for name in further if not _used_elsewhere(name)]:
        listed = ", ".join(name + did_you_mean(name, [c for c in COLUMNS if c not in columns]) for name in unknown)
        text = f"columns of {path.name} that snowmatch keeps but does not use: {listed}"
        notes.append(Note("columns-left-out", text, {"columns": unknown}))
    return columns


def _used_elsewhere(name: str) -> bool:
    """Return whether a column that matching does not use is one of the survey or of an importer."""
    if name in TRAITS or name in WRITTEN:
        return True
    return name.endswith("_id") and any(source_column(each) == name for each in plugin_names("importers"))


def _fields_of(
    columns: Sequence[str],
    cells: Sequence[dict[str, str]],
    lines: Sequence[int],
    problems: Problems,
    counts: Counter[str],
) -> list[Fields]:
    """Return the fields of all rows, without their times."""
    texts = [column for column in _TEXTS if column in columns]
    readers = [each for each in _READERS if each[0] in columns]
    empty = {column: default for column, _, default in _READERS}
    return [
        _row_fields(each, line, problems, counts, texts, readers, empty)
        for each, line in zip(cells, lines, strict=True)
    ]


def _row_fields(
    cells: dict[str, str],
    line: int,
    problems: Problems,
    counts: Counter[str],
    texts: Sequence[str],
    readers: Sequence[_Reader],
    empty: Fields,
) -> Fields:
    """Return the fields of one row. texts, readers: of the columns that the table has. empty: what empty cells mean."""
    fields: Fields = empty.copy()
    for column in texts:
        if text := cells.get(column, ""):
            fields[column] = same_name(text.strip())
    individual = same_name(cells.get("individual", "").strip())
    fields["individual"] = individual if individual and not is_unidentified(individual) else None
    for column, read, _ in readers:
        text = cells.get(column, "")
        if not text:
            continue
        try:
            fields[column] = read(text)
        except CellError as expected:
            problems.cell(line, column, text.strip(), str(expected))
            continue
        if column == "path" and "\\" in text:
            counts["backslash"] += 1
        elif column == "body_part" and (part := text.strip()) and part not in BODY_PARTS:
            counts[f"part {part}"] += 1
    if not fields["path"] and not cells.get("path", "").strip():
        problems.cell(line, "path", cells.get("path", ""), "expected a photo's path")
    return fields


def _fill_times(
    texts: list[str], rows: list[Fields], lines: list[int], problems: Problems, dates: str, notes: list[Note]
) -> None:
    """Write the time into each row, with one clock and one order of day and month."""
    times, mixed = read_times(texts, dates)
    moments, zones = to_one_zone(times)
    for fields, line, text, time, moment in zip(rows, lines, texts, times, moments, strict=True):
        fields["timestamp"], fields["dated"] = moment, time.dated
        if time.problem:
            problems.cell(line, "timestamp", text.strip(), time.problem)
    _check_order(times, mixed, texts, lines, problems)
    if (swapped := swapped_by_spreadsheet(texts)) is not None:
        notes.append(swapped)
    zoned = sum(time.zone is not None for time in times)
    if zones:
        done = {
            "dropped": "was ignored: snowmatch uses the local time of the camera",
            "converted": "differs, so all were converted to the one that most of them have",
        }[zones]
        text = f"the time zone of {counted(zoned, 'timestamp')} {done}"
        notes.append(Note(f"zones-{zones}", text, {"count": zoned}))
    if dated := sum(time.dated for time in times):
        text = (
            f"{counted(dated, 'timestamp')} without a time of day: the photos of one station and day are one encounter"
            ", and no evidence for its other encounters of that day"
        )
        notes.append(Note("dates-without-time", text, {"count": dated}))


def _check_order(times: list[ReadTime], mixed: bool, texts: list[str], lines: list[int], problems: Problems) -> None:
    """Add a problem if the order of day and month is not clear."""
    unclear = [n for n, time in enumerate(times) if time.unclear]
    if mixed:
        problems.unclear_dates, problems.both_orders = True, read_times(texts)[1]
        problems.add(
            lines[0],
            "timestamp",
            "some dates begin with the day, others with the month, such as 13/4/2021 and 4/13/2021; expected one "
            f"order, or {EXPECTED.removeprefix('expected ')}",
        )
    elif unclear:
        problems.unclear_dates = True
        more = f", and {len(unclear) - 1} more" if len(unclear) > 1 else ""
        problems.add(
            lines[unclear[0]],
            "timestamp",
            f"{texts[unclear[0]].strip()!r}{more} may begin with the day or with the month: say which",
        )


def _note_counts(path: Path, counts: Counter[str], notes: list[Note]) -> None:
    if counts["backslash"]:
        text = f"\\ was read as / in the paths of {counts['backslash']} rows of {path.name}"
        notes.append(Note("backslashes", text, {"count": counts["backslash"]}))
    parts = {key.removeprefix("part "): n for key, n in counts.items() if key.startswith("part ") and n}
    if parts:
        read = [f"{text} as {read_body_part(text)} ({n})" for text, n in sorted(parts.items())]
        text = f"body parts of {path.name} were read so: {', '.join(read)}"
        notes.append(Note("body-parts-read", text, parts))


def _check_identifiers(rows: list[Fields], lines: list[int], problems: Problems) -> None:
    """Add a problem if two rows have the same identifier."""
    seen: dict[str, int] = {}
    for fields, line in zip(rows, lines, strict=True):
        name = fields.get("annotation")
        if name and seen.setdefault(name, line) != line:
            problems.add(
                line,
                "annotation",
                f"{name!r} is already the identifier of line {seen[name]}; expected another identifier, or an empty "
                "cell",
            )


def _check_places(column: str, texts: list[str], lines: list[int], problems: Problems) -> None:
    """Add a problem if locations or stations are positions: their names are shown and exported."""
    positions = {text for text in set(texts) if text and is_position(text)}
    if placed := [n for n, text in enumerate(texts) if text in positions]:
        more = f" (and {len(placed) - 1} more)" if len(placed) > 1 else ""
        problems.add(
            lines[placed[0]],
            column,
            f"a position{more}; expected the name of {PLACES[column]}: positions belong into stations.csv",
        )


def _without_repeats(
    path: Path, rows: list[Fields], lines: list[int], notes: list[Note]
) -> tuple[list[Fields], list[int]]:
    """Return the rows without repetitions of earlier rows, and add a note on one box with two individuals."""
    first: dict[tuple, int] = {}
    names: dict[tuple, tuple[str | None, int]] = {}
    repeated: list[int] = []
    unclear: list[str] = []
    keep = []
    for n, (fields, line) in enumerate(zip(rows, lines, strict=True)):
        if first.setdefault(tuple(sorted(fields.items())), n) != n:
            repeated.append(line)
            continue
        keep.append(n)
        where = (fields["path"], fields["bbox"], fields["mask"])
        name, line_before = names.setdefault(where, (fields["individual"], line))
        if name != fields["individual"]:
            unclear.append(f"lines {line_before} and {line}")
    if repeated:
        text = f"{len(repeated)} rows of {path.name} repeat an earlier row and were skipped: lines {some(repeated)}"
        notes.append(Note("repeated-rows", text, {"lines": repeated}))
    if unclear:
        text = (
            f"{len(unclear)} rows of {path.name} have the photo, box and mask of another row but another individual "
            f"({some(unclear)}): give each animal its own box"
        )
        notes.append(Note("two-names", text, {"lines": unclear}))
    return [rows[n] for n in keep], [lines[n] for n in keep]


def _share_photo_columns(rows: list[Fields], lines: list[int], problems: Problems) -> None:
    """Copy place and time between the rows of one photo, and add a problem if they contradict each other."""
    photos: dict[str, list[int]] = defaultdict(list)
    for n, fields in enumerate(rows):
        photos[fields["path"]].append(n)
    for numbers in photos.values():
        if len(numbers) == 1:
            continue
        for column in PHOTO_COLUMNS:
            given = [n for n in numbers if rows[n].get(column)]
            for n in given[1:]:
                if rows[n][column] != rows[given[0]][column]:
                    problems.add(
                        lines[n],
                        column,
                        f"{str(rows[n][column])!r} contradicts line {lines[given[0]]} of the same photo; expected "
                        f"{str(rows[given[0]][column])!r}, or an empty cell",
                    )
            for n in numbers if given else ():
                rows[n][column] = rows[given[0]][column]
                if column == "timestamp":
                    rows[n]["dated"] = rows[given[0]]["dated"]
