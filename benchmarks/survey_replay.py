"""Replay of a drawn survey: fill an empty catalog encounter by encounter; see population.py."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from snowmatch.api import Catalog, open_catalog
from snowmatch.demo.survey import make_survey
from snowmatch.identify.answer import Answer

PHOTOS = (2, 4)  # fewest and most photos of a burst
SURE = ("excellent", "good")
COLUMNS = ("path", "individual", "body_part", "station", "timestamp", "encounter")
EVIDENCE = {"box": ("bbox",), "mask": ("bbox", "mask"), "none": ()}  # columns that show where the animal is


@dataclass(frozen=True)
class Encounter:
    """One passage of `animal` (the true one). occasion: from 0. rows: lines of the survey's table, one a photo."""

    name: str
    animal: str
    occasion: int
    rows: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Named:
    """An encounter that got the name `given`, by `same`, `new` or `person`, and what the answer said.

    names: number of names on record before. known: whether one of them stood for this animal. error: `splitting`,
    `lumping` or empty. top: the first candidate's name. top_right: whether it stands for this animal. probability,
    new_probability and level are the answer's; None if there was no query or no calibration.
    """

    encounter: str
    occasion: int
    animal: str
    given: str
    by: str
    error: str
    names: int
    known: bool
    top: str | None
    top_right: bool
    probability: float | None
    new_probability: float | None
    level: str | None


Record = Sequence[tuple[Encounter, str]]  # the catalog: encounters with the names that they got
Ask = Callable[[Encounter, Record], Answer]


def passages(seed: int, individuals: int, encounters: int, occasions: int) -> list[tuple[int, str]]:
    """Return who passes, in order of time: each animal at most once an occasion, all with the left flank."""
    rng = np.random.default_rng([seed, 5])
    sizes = Counter(_occasion(number, encounters, occasions) for number in range(encounters))
    return [(int(i), "left") for o in range(occasions) for i in rng.choice(individuals, sizes[o], replace=False)]


def draw(folder: Path, seed: int, individuals: int, encounters: int, occasions: int) -> list[Encounter]:
    """Draw the survey in folder/survey if it is not there yet. Return its encounters in order of time."""
    table = folder / "survey" / "catalog.csv"  # written last
    if not table.exists():
        plan = passages(seed, individuals, encounters, occasions)
        make_survey(table.parent, individuals=individuals, passages=plan, photos=PHOTOS, seed=seed)
    with table.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["timestamp"])
    return [
        Encounter(name, photos[0]["individual"], _occasion(number, encounters, occasions), photos)
        for number, (name, photos) in enumerate(
            (name, tuple(group)) for name, group in groupby(rows, key=lambda row: row["encounter"])
        )
    ]


def engine(folder: Path, extractor: str, evidence: str, survey: Sequence[Encounter]) -> Ask:
    """Return the function that queries snowmatch with an encounter's photos. Its catalog is in `folder`.

    The catalog lists the whole survey from the start, without names. Encounters that are not on record yet are left out
    of every query and of its search. So features and the search index are made once, not again for every encounter.
    """

    def opened(record: Record) -> Catalog:
        names = {encounter.name: name for encounter, name in record}
        with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
            columns = COLUMNS + EVIDENCE[evidence]
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            for row in (row for encounter in survey for row in encounter.rows):
                places = {column: f"survey/{row[column]}" for column in ("path", "mask")}
                writer.writerow(row | places | {"individual": names.get(row["encounter"], "")})
        return open_catalog(folder)

    def ask(encounter: Encounter, record: Record) -> Answer:
        known = {before.name for before, _ in record}
        return opened(record).query(  # box, mask and body part of the photos come from the catalog
            [folder / "survey" / row["path"] for row in encounter.rows],
            extractor=extractor,
            exclude_encounters=[e.name for e in survey if e.name not in known],
        )

    report = opened(()).index(extractor, workers=1)
    assert not report.failed
    return ask


def replay(survey: Iterable[Encounter], ask: Ask, new: float) -> list[Named]:
    """Fill an empty catalog with the encounters in their order. `ask` answers for one encounter and the present record.

    There is no query while the record is empty. new: the lowest probability at which a new animal is accepted.
    """
    record: list[tuple[Encounter, str]] = []
    result = []
    for encounter in survey:
        stands_for: dict[str, str] = {}
        for before, name in record:
            stands_for.setdefault(name, before.animal)
        fresh = f"animal-{len(stands_for) + 1:03d}"
        carried = Counter(name for before, name in record if before.animal == encounter.animal)
        own = [name for name, _ in carried.most_common() if stands_for[name] == encounter.animal]
        answer = ask(encounter, tuple(record)) if record else None
        first = answer.candidates[0] if answer and answer.candidates else None
        by = decide(answer, new) if answer else "new"
        given = {"same": first and first.individual, "new": fresh, "person": own[0] if own else fresh}[by]
        error = ""
        if given == fresh:
            error = "splitting" if own else ""
        elif given not in own:
            error = "lumping"
        record.append((encounter, given))
        result.append(
            Named(
                encounter.name,
                encounter.occasion,
                encounter.animal,
                given,
                by,
                error,
                len(stands_for),
                bool(own),
                first and first.individual,
                bool(first) and first.individual in own,
                first and first.probability,
                answer and answer.new_probability,
                answer and answer.level,
            )
        )
    return result


def decide(answer: Answer, new: float) -> str:
    """Return how the encounter gets its name: `same`, `new` or `person`; population.py has the rules.

    It is `person` if there is no calibration, or if the first candidate has no name.
    """
    first = answer.candidates[0] if answer.candidates else None
    if answer.new_probability is None:
        return "person"
    if first is None or answer.new_probability > first.probability:
        return "new" if answer.new_probability >= new else "person"
    return "same" if first.individual is not None and answer.level in SURE else "person"


def _occasion(number: int, encounters: int, occasions: int) -> int:
    """Return the occasion of encounter `number` (from 0, by time). Sizes of occasions differ by at most one."""
    return number * occasions // encounters
