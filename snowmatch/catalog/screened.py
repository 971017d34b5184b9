"""What the screening told about photos: the probabilities of species, detections, flanks, and whether a photo is kept.

The catalog's database stores it by the photo's content.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snowmatch.catalog.database import DamagedError, delete_row, reading, sound, with_sum, writing
from snowmatch.catalog.found import BY_SCREENING
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Detection

KEPT = "kept"  # the answer for photos that may show the animal; any other answer says what they show
PERSON = "person"  # is in the photo
UNKNOWN = "unknown"  # no network has seen the photo, or another one of its passage


def load_classes(folder: Path, mark: str | None = None) -> dict[str, dict[str, float]]:
    """Return the probabilities of species in each photo of the catalog in `folder`, by the photo's sha256.

    mark: of the networks; results of others are skipped. None: of any. A damaged entry is skipped: the next index run
    makes it again. Nothing stored gives an empty dictionary.
    """
    found: dict[str, dict[str, float]] = {}
    try:
        with reading(folder) as database:
            if database is None:
                return {}
            for row in database.execute("SELECT sha256, mark, classes, sum FROM screened"):
                if sound(row) and mark in (None, row[1]):
                    found[row[0]] = {str(name): float(p) for name, p in json.loads(row[2]).items()}
    except (DamagedError, TypeError, ValueError, AttributeError):
        return {}
    return found


def save_classes(folder: Path, mark: str, classes: Mapping[str, Mapping[str, float]]) -> None:
    """Store the probabilities of species, by the photo's sha256. Raises SnowmatchError if they cannot be written."""
    if not classes:
        return
    rows = [(sha256, mark, json.dumps(dict(named))) for sha256, named in sorted(classes.items())]
    with writing(folder) as database:
        database.executemany("INSERT OR REPLACE INTO screened VALUES (?, ?, ?, ?)", map(with_sum, rows))


def load_detections(
    folder: Path, mark: str | None = None, notes: list[Note] | None = None
) -> dict[str, tuple[Detection, ...]]:
    """Return what a detector saw in each photo of the catalog in `folder`, by the photo's sha256.

    mark: of the detector; detections of others are skipped. None: of any. A damaged entry is skipped: the next
    screening with a detector makes it again. A note on damage is added to `notes`. Nothing stored gives an empty
    dictionary.
    """
    found: dict[str, tuple[Detection, ...]] = {}
    damaged = 0
    try:
        with reading(folder) as database:
            if database is None:
                return {}
            for row in database.execute("SELECT sha256, mark, detections, sum FROM detected"):
                if not sound(row):
                    damaged += 1
                elif mark in (None, row[1]):
                    seen = [((x, y, w, h), label, p) for (x, y, w, h), label, p in json.loads(row[2])]
                    found[row[0]] = tuple(Detection(*each) for each in seen)
    except (DamagedError, TypeError, ValueError):
        damaged, found = 1, {}
    if damaged:
        text = "damaged detections of an earlier screening are not used: screen again with the detector, or its results"
        _note(notes, text, "detections-damaged")
    return found


def drop_damaged_detections(folder: Path) -> None:
    """Delete stored detections that are damaged. Raises SnowmatchError if the database cannot be written."""
    with writing(folder) as database:
        rows = database.execute("SELECT sha256, mark, detections, sum FROM detected").fetchall()
        for row in rows:
            if not sound(row):
                delete_row(database, "detected", {"sha256": row[0]})


def save_detections(folder: Path, mark: str, detections: Mapping[str, Sequence[Detection]]) -> None:
    """Store what a detector saw, by the photo's sha256. Raises SnowmatchError if it cannot be written."""
    if not detections:
        return
    rows = [
        (sha256, mark, json.dumps([[list(map(int, d.bbox)), d.label, float(d.confidence)] for d in seen]))
        for sha256, seen in sorted(detections.items())
    ]
    with writing(folder) as database:
        database.executemany("INSERT OR REPLACE INTO detected VALUES (?, ?, ?, ?)", map(with_sum, rows))


def forget_detections(folder: Path) -> int:
    """Delete all stored detections, and the boxes that came from them.

    Returns the number of photos that had detections. Raises SnowmatchError if the database cannot be written.
    """
    with writing(folder) as database:
        count = database.execute("DELETE FROM detected").rowcount
        database.execute("DELETE FROM found WHERE origin = ?", (BY_SCREENING,))
    return count


def load_flanks(folder: Path) -> dict[str, tuple[str, float]]:
    """Return a mark and the probability of the left flank, for each photo of the catalog in `folder`, by its sha256.

    The mark says what told the probability, and in which box. A damaged entry is skipped: the next screening makes it
    again. Nothing stored gives an empty dictionary.
    """
    try:
        with reading(folder) as database:
            if database is None:
                return {}
            rows = database.execute("SELECT sha256, mark, left, sum FROM flanks").fetchall()
    except DamagedError:
        return {}
    return {row[0]: (row[1], row[2]) for row in rows if sound(row)}


def save_flanks(folder: Path, flanks: Mapping[str, tuple[str, float]]) -> None:
    """Store marks and probabilities of the left flank, by the photo's sha256. Raises SnowmatchError if it cannot."""
    if not flanks:
        return
    rows = [(sha256, mark, float(left)) for sha256, (mark, left) in sorted(flanks.items())]
    with writing(folder) as database:
        database.executemany("INSERT OR REPLACE INTO flanks VALUES (?, ?, ?, ?)", map(with_sum, rows))


def seen_instead(answers: Sequence[str]) -> str:
    """Return what an animal's photos show in place of the species, by their answers: a species, PERSON and so on.

    The photos are judged together: "" if one of them is kept or was not screened, and without photos.
    """
    if not answers or any(answer in (KEPT, UNKNOWN, "") for answer in answers):
        return ""
    if PERSON in answers:  # such photos are private, whatever else the others show
        return PERSON
    counts = Counter(answers)
    return max(sorted(counts), key=counts.__getitem__)


@dataclass(frozen=True)
class Screened:
    """The answers of the last screening of a catalog.

    answers: for each photo, by its sha256: KEPT, or what the photo shows. species, threshold: the species that was
    asked for, and the lowest score of a passage that is kept.
    """

    answers: Mapping[str, str]
    species: str
    threshold: float


def load_screened(folder: Path, notes: list[Note] | None = None) -> Screened | None:
    """Return the answers of the last screening of the catalog in `folder`; None without a screening.

    Damaged answers are skipped. A note on damage is added to `notes`.
    """
    answers: dict[str, str] = {}
    rule: tuple[str, float] | None = None
    damaged = 0
    try:
        with reading(folder) as database:
            if database is None:
                return None
            for row in database.execute("SELECT sha256, answer, sum FROM screening"):
                if not sound(row):
                    damaged += 1
                elif row[0]:
                    answers[str(row[0])] = str(row[1])
                else:
                    species, threshold = json.loads(row[1])
                    rule = str(species), float(threshold)
    except DamagedError:
        _note(notes, "the database of photos is damaged, so no screening is used: index again, and screen again")
        return None
    if damaged:
        count = counted(damaged, "answer")
        _note(
            notes, f"{count} of the last screening were damaged and skipped, so more photos may be asked: screen again"
        )
    return None if rule is None else Screened(answers, *rule)


def _note(notes: list[Note] | None, text: str, code: str = "screening-damaged") -> None:
    if notes is not None:
        notes.append(Note(code, text))


def save_screened(folder: Path, screened: Screened) -> None:
    """Replace the answers of the screening. Raises SnowmatchError if they cannot be written."""
    rows = [("", json.dumps([screened.species, screened.threshold])), *sorted(screened.answers.items())]
    with writing(folder) as database:
        database.execute("DELETE FROM screening")
        database.executemany("INSERT INTO screening VALUES (?, ?, ?)", map(with_sum, rows))


def forget_screened(folder: Path, contents: Collection[str]) -> None:
    """Delete what is stored about photos that are not in `contents` (sha256). The species and threshold stay."""
    with writing(folder) as database:
        for table in ("screened", "detected", "flanks", "screening", "found"):
            stored = {sha256 for (sha256,) in database.execute(f"SELECT sha256 FROM {table}")}
            for sha256 in sorted(stored - set(contents) - {""}, key=repr):
                delete_row(database, table, {"sha256": sha256})
