"""The replay of a drawn survey: an empty catalog is filled encounter by encounter; see population.py."""

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

PHOTOS = (2, 4)  # fewest and most of a burst
SURE = ("excellent", "good")
COLUMNS = ("path", "individual", "body_part", "station", "timestamp", "encounter")
EVIDENCE = {"box": ("bbox",), "mask": ("bbox", "mask"), "none": ()}  # what is known of where the animal is


@dataclass(frozen=True)
class Encounter:
    """One passage of the animal `animal`, the truth; occasion: from 0; rows: of the survey's table, one a photo."""

    name: str
    animal: str
    occasion: int
    rows: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Named:
    """An encounter that was named `given`, by `same`, `new` or `person`, with all that a threshold could look at.

    names: how many were on record before; known: whether one stood for this animal. error: `splitting`, `lumping` or
    empty. top: the first candidate's name; top_right: whether it stands for this animal. probability, new_probability
    and level are the answer's; None where nothing was asked or nothing is calibrated.
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


Record = Sequence[tuple[Encounter, str]]  # what is in the catalog: encounters with the names they were given
Ask = Callable[[Encounter, Record], Answer]


def passages(seed: int, individuals: int, encounters: int, occasions: int) -> list[tuple[int, str]]:
    """Who passes, in order of time: on each occasion as many animals, each at most once, all showing the left flank."""
    rng = np.random.default_rng([seed, 5])
    sizes = Counter(_occasion(number, encounters, occasions) for number in range(encounters))
    return [(int(i), "left") for o in range(occasions) for i in rng.choice(individuals, sizes[o], replace=False)]


def draw(folder: Path, seed: int, individuals: int, encounters: int, occasions: int) -> list[Encounter]:
    """The survey in folder/survey, drawn where it is not there yet, as encounters in order of time."""
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
    """snowmatch, asked about the photos in folder/survey, with the catalog that it makes in `folder`.

    The catalog lists the whole survey from the start, without names. What is not on record yet is left out of every
    query, of its search too, so that features and search index are made once and not for every encounter anew.
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
        return opened(record).query(  # box, mask and body part of the photos are those in the catalog
            [folder / "survey" / row["path"] for row in encounter.rows],
            extractor=extractor,
            exclude_encounters=[e.name for e in survey if e.name not in known],
        )

    report = opened(()).index(extractor, workers=1)
    assert not report.failed
    return ask


def replay(survey: Iterable[Encounter], ask: Ask, new: float) -> list[Named]:
    """Fill an empty catalog with the encounters in their order; `ask` answers for one, given what is on record.

    It is not asked while nothing is. new: the lowest probability at which a new animal is accepted.
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
    """Who names the encounter, and how: `same`, `new` or `person`, as the head of population.py says.

    A person where nothing is calibrated, and where the first candidate has no name.
    """
    first = answer.candidates[0] if answer.candidates else None
    if answer.new_probability is None:
        return "person"
    if first is None or answer.new_probability > first.probability:
        return "new" if answer.new_probability >= new else "person"
    return "same" if first.individual is not None and answer.level in SURE else "person"


def _occasion(number: int, encounters: int, occasions: int) -> int:
    """On which occasion the encounter `number`, from 0 in order of time, is: each has as many, but for one."""
    return number * occasions // encounters
