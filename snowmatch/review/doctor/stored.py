"""Damage of what snowmatch stored: the database of photos, what was learned from them, lists, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snowmatch.catalog.damage import count_damaged
from snowmatch.catalog.database import is_whole
from snowmatch.catalog.records import Records
from snowmatch.catalog.screened import load_detections
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.mended import note_on_mended
from snowmatch.core.notes import Note
from snowmatch.features.checked import CHECKED, checks_are_damaged
from snowmatch.review.doctor.finding import CHECK, HINT, Finding
from snowmatch.review.turns import are_damaged
from snowmatch.screening.middle import load_middle


def findings_of_stored(folder: Path, records: Records) -> Iterator[Finding]:
    """Yield the findings on damaged entries of the database, on damaged lists, and on files that were made again."""
    if records.unsound or count_damaged(folder) or not is_whole(folder):
        text = "the database of photos has damaged entries, which are not used: the next index run makes them again"
        yield Finding("records-damaged", CHECK, text)
    notes: list[Note] = []
    load_detections(folder, notes=notes)
    yield from (Finding(note.code, CHECK, note.text) for note in notes)
    if (mended := note_on_mended(folder)) is not None:
        cases = tuple(f"{file} {at}".strip() for file, at in sorted(mended.data["files"].items()))
        yield Finding(mended.code, CHECK, mended.text, cases, mended.data)
    if any(checks_are_damaged(path.parent) for path in features_path(folder).glob(f"*/{CHECKED}")):
        text = "the list of checked features is damaged and not used: the next index run checks more of them"
        yield Finding("checks-damaged", HINT, text)
    try:
        load_middle(folder)
    except SnowmatchError:
        text = "what the middles of the photos taught is damaged and not used: the next index run learns it again"
        yield Finding("middle-damaged", CHECK, text)
    if are_damaged(folder):
        text = (
            "the file of whose turn it is in Review is damaged and not used: pairs that were skipped come in their "
            "usual order, and the next pair writes the file again"
        )
        yield Finding("turns-damaged", HINT, text)
