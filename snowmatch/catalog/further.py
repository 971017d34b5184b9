"""The further columns of a catalog's table: what a team keeps beside the columns that snowmatch reads."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from snowmatch.catalog.sheet import column_name, read_sheet
from snowmatch.catalog.table import COLUMNS, paths_of_rows
from snowmatch.core.home import CSV_NAME, EXCEL_NAME
from snowmatch.core.types import Annotation

Further = dict[str, dict[int, str]]  # heading -> row of the annotation -> text


def read_further(folder: Path, annotations: Sequence[Annotation]) -> Further:
    """Return the texts of further columns by heading and by row of the annotation, in the order of the table.

    A catalog without a table, or without such columns, gives {}. Rows of a photo are matched in their order. A column
    without a heading, and one whose heading occurs twice, is left out. Raises SnowmatchError as `read_sheet` does.
    """
    table = next((folder / name for name in (CSV_NAME, EXCEL_NAME) if (folder / name).exists()), None)
    if table is None:
        return {}
    sheet = read_sheet(table, COLUMNS, [])
    plain = [column_name(heading) for heading in sheet.head]
    often = Counter(plain)
    known = {*COLUMNS, ""}
    columns = {h.strip(): n for n, (h, p) in enumerate(zip(sheet.head, plain, strict=True)) if p not in known}
    columns = {heading: n for heading, n in columns.items() if often[plain[n]] == 1}
    if "path" not in plain or not columns:
        return {}
    rows: dict[str, list[int]] = defaultdict(list)
    for a in annotations:
        if not a.found:
            rows[a.path].append(a.row)
    found: Further = {heading: {} for heading in columns}
    texts = [cells for _, cells in sheet.rows if any(cell.strip() for cell in cells)]
    for cells, path in zip(texts, paths_of_rows(plain, texts), strict=True):
        if not (waiting := rows.get(path)):  # a repeated row has no path, whatever its further columns say
            continue
        row = waiting.pop(0)
        for heading, n in columns.items():
            if n < len(cells) and cells[n].strip():
                found[heading][row] = cells[n].strip()
    return found
