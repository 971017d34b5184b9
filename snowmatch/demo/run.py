"""The demo: it draws a synthetic survey, indexes the catalog and answers the queries."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from snowmatch.api import Catalog, open_catalog
from snowmatch.confidence.levels import LEVEL_NAMES
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.demo.survey import make_demo
from snowmatch.identify.answer import Answer
from snowmatch.views.json import answer_to_json
from snowmatch.views.pictures import draw_answer
from snowmatch.views.text import format_answer, format_decision

SEED = 1
CANDIDATES = 5
SURE = LEVEL_NAMES[:2]
PICTURES = 1  # number of pictures per query: only that of the first candidate
# This text marks the folder of a demo
README = "A synthetic survey made by `snowmatch demo`: computer-drawn cats, no real animal.\n"

Progress = Callable[[int, int], None]


def run_demo(folder: Path, drawn: Progress | None = None, indexed: Progress | None = None) -> str:
    """Draw the demo survey in `folder`, index it, answer its queries, and return a summary as text.

    drawn, indexed: functions that are called with (done, total) for each drawn photo and each indexed annotation.

    The result is three folders: catalog/ (indexed photos), queries/ (photos to identify, with the true individuals in
    queries.csv) and answer/ (texts, JSON files and pictures). Raises SnowmatchError if the folder contains other files,
    or a demo whose tables are no longer as they were drawn.
    """
    mark = folder / "README.txt"
    told = mark.read_text(encoding="utf-8", errors="replace") if mark.is_file() else ""
    ours = told.startswith(README)
    if folder.exists() and not folder.is_dir():
        raise SnowmatchError(f"{folder} is a file, expected a folder: name an empty folder or a new folder")
    if folder.exists() and not ours and any(folder.iterdir()):
        raise SnowmatchError(f"{folder} contains other files: name an empty folder or a new folder")
    if ours and (folder / "catalog" / "catalog.csv").exists() and _drawn_line(folder) not in told:
        raise SnowmatchError(
            f"the tables in {_quoted(folder / 'catalog')} are not as the demo drew them (photos may have been added): "
            f"open it with `snowmatch serve {_quoted(folder / 'catalog')}`, or name a new folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not ours:
        mark.write_text(README, encoding="utf-8")
    make_demo(folder, SEED, drawn)
    mark.write_text(README + _drawn_line(folder), encoding="utf-8")
    catalog = open_catalog(folder / "catalog")
    report = catalog.index(progress=indexed)
    answer_folder = folder / "answer"
    answer_folder.mkdir(exist_ok=True)
    with (folder / "queries" / "queries.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known, right, sure, wrong, lines = 0, 0, 0, 0, []
    for encounter in dict.fromkeys(row["encounter"] for row in rows):
        photos = [row for row in rows if row["encounter"] == encounter]
        truth = photos[0]["individual"]
        answer = _ask(catalog, folder, photos, answer_folder)
        named = next((c.individual for c in answer.candidates if c.individual is not None), None)
        on_record = truth in {a.individual for a in catalog.data.annotations}
        known += on_record
        right += on_record and named == truth
        decision = answer.decision
        is_right = decision is not None and (decision.individual, decision.new) == (
            (truth, False) if on_record else (None, True)
        )
        is_sure = decision is not None and decision.level in SURE
        sure += is_sure
        wrong += is_sure and not is_right
        it_is = truth if on_record else "a new animal"
        lines.append(f"  {encounter}: {format_decision(answer)} ({'right' if is_right else f'wrong: it is {it_is}'})")
    return "\n".join(
        [
            f"A synthetic survey: computer-drawn cats, no real animal. {report.summary()}",
            f"{len(lines)} query encounters, {known} of them of animals in the catalog. The right animal was the first"
            f" candidate for {right} of {known}. {sure} answers were {' or '.join(SURE)}; {wrong} of these were wrong.",
            *lines,
            f"The answers and pictures are in {answer_folder}",
            f"Try a query: {_query_command(folder, rows[0])}",
        ]
    )


def _drawn_line(folder: Path) -> str:
    """Return the line that tells whether the tables of the demo are still as they were drawn."""
    tables = (folder / "catalog" / name for name in ("catalog.csv", "stations.csv"))
    return f"Drawn tables: {' '.join(file_sha256(path) if path.exists() else 'none' for path in tables)}\n"


def _quoted(path: Path) -> str:
    """Return a name to type; names with blanks stand in quotation marks, as every system understands."""
    return f'"{path}"' if " " in str(path) else str(path)


def _query_command(folder: Path, row: dict[str, str]) -> str:
    """Return a command to type."""
    photo, catalog = _quoted(folder / "queries" / row["path"]), _quoted(folder / "catalog")
    return f"snowmatch query {photo} --catalog {catalog} --bodypart {row['body_part']}"


def _ask(catalog: Catalog, folder: Path, photos: list[dict[str, str]], answer_folder: Path) -> Answer:
    """Query one encounter, write the answer (text, JSON, pictures) into `answer_folder`, and return it."""
    queries = folder / "queries"
    answer = catalog.query(
        [queries / row["path"] for row in photos],
        body_part=photos[0]["body_part"],
        bbox=[tuple(int(n) for n in row["bbox"].split(",")) for row in photos],
        mask=[queries / row["mask"] for row in photos],
        top=CANDIDATES,
    )
    name = photos[0]["encounter"]
    lines = [format_answer(answer), "", *(f"note: {note}" for note in answer.notes)]
    (answer_folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = json.dumps(answer_to_json(answer), ensure_ascii=False, indent=2, allow_nan=False)
    (answer_folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    draw_answer(answer, answer_folder / name, catalog.folder, PICTURES)
    return answer
