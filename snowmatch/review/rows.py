"""The table of a batch: one row for each animal of each encounter, joined from what its body parts say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeGuard

from snowmatch.catalog.ids import with_ids
from snowmatch.confidence.levels import LEVEL_NAMES, MARKS
from snowmatch.core.notes import Note, unique
from snowmatch.core.plain import six_digits
from snowmatch.core.text import counted, percent
from snowmatch.core.types import Annotation
from snowmatch.identify.answer import Answer, Candidate
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Animal
from snowmatch.review.groups import Group

UNCERTAIN = LEVEL_NAMES[-1]


@dataclass(frozen=True)
class Row:
    """What is said of one animal of one encounter. The fields are the columns of the table.

    location, station, camera, date, time: of its first photo, as far as they are known. annotations: the identifiers of
    those photos that are on record. decision: `individual`, `new`, `unidentified`, or "" if nothing can be decided.
    individual: the name of the individual decided for. same_as: the encounter of the unidentified animal decided for.
    probability, level: of the decision. The level is also `uncertain` if one of the `reasons` contradicts the decision.
    """

    encounter: str
    animal: int
    location: str
    station: str
    camera: str
    date: str
    time: str
    photos: tuple[str, ...]
    annotations: tuple[str, ...]
    body_parts: tuple[str, ...]
    decision: str
    individual: str
    same_as: str
    probability: float | None
    level: str | None
    runner_up: str
    runner_up_probability: float | None
    new_probability: float | None
    reasons: tuple[str, ...]


COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Batch:
    """The rows by encounter and animal, every (path, reason) of a photo that failed, and what holds for all answers."""

    rows: tuple[Row, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class PartAnswer:
    """What the photos of one body part say.

    who: the individual or unidentified animal decided for; None for a new one. decision, individual, same_as: as in
    Row. spots: number of matched spots of the best match.
    """

    part: str
    who: Animal | None
    decision: str
    individual: str
    same_as: str
    probability: float | None
    level: str | None
    runner_up: str
    runner_up_probability: float | None
    new_probability: float | None
    spots: int
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        """The animal decided for, in words; "" if nothing can be decided."""
        return self.individual or (f"unidentified {self.same_as}" if self.same_as else self.decision)

    @property
    def surety(self) -> tuple[int, float]:
        """To sort by: an individual before new (a flank that is not on record says new), that before nothing."""
        kind = 0 if not self.decision else 2 if self.who is not None else 1
        return kind, float(self.spots) if self.probability is None else self.probability


def format_summary(batch: Batch) -> str:
    """How many animals were decided at each level, as one line."""
    levels = Counter(row.level for row in batch.rows)
    told = [f"{MARKS[name]} {name} {levels[name]}" for name in LEVEL_NAMES if levels[name]]
    told += [f"without a probability {levels[None]}"] if levels[None] else []
    count = len({row.encounter for row in batch.rows})
    new = sum(row.decision == "new" for row in batch.rows)
    return (
        f"{counted(len(batch.rows), 'animal')} in {counted(count, 'encounter')}: {', '.join(told) or 'nothing asked'}"
        + (f"; {new} new" if new else "")
        + (f"; {counted(len(batch.failed), 'photo')} failed" if batch.failed else "")
    )


def part_answer(part: str, answer: Answer, animals: Mapping[int, Animal]) -> PartAnswer:
    """An answer in short; without a probability the best by score stands as the runner-up."""
    accepted = [c for c in answer.candidates if c.accepted]
    chosen, decision = answer.decided, answer.decision
    runner = answer.runner_up if decision is not None else accepted[0] if accepted else None
    best = chosen or (runner if runner is not None and runner.accepted else accepted[0] if accepted else None)
    reasons = []
    if not answer.compared:
        reasons.append("nothing to compare: no annotation on record may answer")
    elif best is None or not best.accepted:
        reasons.append("no verified match with anybody")
    else:
        of = "" if best is chosen else f"nearest: {_name(best)}, "
        reasons.append(
            f"{of}{counted(best.inliers, 'matched spot')} with {best.best.path} (encounter {best.best.encounter})"
        )
    if decision is None:
        reasons += [f"next: {_name(c)}, {counted(c.inliers, 'matched spot')}" for c in accepted[1:2]]
        if answer.compared and answer.calibration is not None and all(photo.features for photo in answer.photos):
            reasons.append("no probability: nothing is calibrated for such photos")
    elif runner is not None:
        reasons.append(f"next: {_name(runner)} at {percent(runner.probability)}")
    return PartAnswer(
        part,
        animals[chosen.best.row] if chosen is not None else None,
        "" if decision is None else "new" if chosen is None else _kind(chosen),
        (chosen.individual or "") if chosen is not None else "",
        chosen.best.encounter if chosen is not None and chosen.individual is None else "",
        six_digits(decision.probability if decision is not None else None),
        decision.level if decision is not None else None,
        _name(runner) if runner is not None else "",
        six_digits(runner.probability if runner is not None else None),
        six_digits(answer.new_probability),
        best.inliers if best is not None else 0,
        tuple(reasons),
    )


def _kind(candidate: Candidate) -> str:
    return "individual" if candidate.individual is not None else "unidentified"


def _name(candidate: Candidate) -> str:
    return candidate.individual if candidate.individual is not None else f"unidentified {candidate.best.encounter}"


def join(
    session: Session,
    group: Group,
    parts: tuple[str, ...],
    said: Sequence[PartAnswer],
    failed: Sequence[tuple[str, str]],
    bare: Sequence[str],
) -> tuple[Row, Animal | None]:
    """One row from what the body parts of one animal say, and whom it names: the surest decision counts."""
    best = max(said, key=lambda each: each.surety, default=None)
    level = best.level if best is not None else None
    reasons = [f"photos show {' and '.join(parts)}"] if len(parts) > 1 else []
    if best is not None:
        reasons += [f"by {best.part}"] if len(said) > 1 else []
        reasons += best.reasons
    for other in said:
        if other is not best:
            decision = f"{other.name} at {percent(other.probability)}" if other.decision else "nothing"
            reasons.append(f"{other.part} says {decision}")
            if _named(best) and _named(other) and best.who != other.who and UNCERTAIN not in (level, other.level):
                level = UNCERTAIN
                reasons.append(f"one animal cannot be both {best.name} and {other.name}")
    if _named(best) and (beside := [shot.name for shot in group.photos if best.individual in shot.beside]):
        level = UNCERTAIN
        reasons.append(f"{best.individual} is on record beside this animal in {beside[0]}")
    recorded = {s.photo.individual for s in group.photos if isinstance(s.photo, Annotation)}
    reasons += [f"on record as {name}" for name in sorted(name for name in recorded if name is not None)]
    if group.excluded:
        reasons.append(f"left out as the same passage: {', '.join(group.excluded)}")
    for listed, what in ((bare, "had no features"), ([why for _, why in failed], "could not be read")):
        if listed:
            reasons.append(f"{len(listed)} of {counted(len(group.photos), 'photo')} {what}: {'; '.join(listed)}")
    row = Row(
        group.encounter,
        group.animal,
        *_place_and_time(group),
        tuple(shot.name for shot in group.photos),
        _identifiers(session, group),
        parts,
        best.decision if best is not None else "",
        best.individual if best is not None else "",
        best.same_as if best is not None else "",
        best.probability if best is not None else None,
        level,
        best.runner_up if best is not None else "",
        best.runner_up_probability if best is not None else None,
        best.new_probability if best is not None else None,
        tuple(reasons),
    )
    return row, best.who if best is not None else None


def _place_and_time(group: Group) -> tuple[str, str, str, str, str]:
    """Return location, station, camera, date and time of an animal's first photo, each "" if it is not known."""
    first = min(group.photos, key=lambda photo: (photo.taken is None, photo.taken or datetime.min, photo.name))
    known = [photo.photo for photo in group.photos if isinstance(photo.photo, Annotation)]
    location, station, camera = (
        next((value for a in known if (value := getattr(a, name))), "") for name in ("location", "station", "camera")
    )
    taken = first.taken
    return location, station, camera, *(("", "") if taken is None else (f"{taken:%Y-%m-%d}", f"{taken:%H:%M:%S}"))


def _identifiers(session: Session, group: Group) -> tuple[str, ...]:
    """Those of the annotations that are on record."""
    asked = [shot.photo for shot in group.photos if isinstance(shot.photo, Annotation)]
    named = with_ids(session.folder, asked, session.data.annotations)
    return tuple(a.annotation for a in named if a.annotation)


def _named(said: PartAnswer | None) -> TypeGuard[PartAnswer]:
    return said is not None and said.who is not None and said.who[0] is not None


def settle(groups: Sequence[Group], records: Sequence[Mapping[str, Any]], notes: tuple[Note, ...]) -> Batch:
    """All rows; of two animals in one photo that were decided to be the same one, the less sure is uncertain."""
    rows = [row_from_json(record["row"]) for record in records]
    together: dict[tuple[str, tuple[Any, ...]], list[int]] = defaultdict(list)
    for n in sorted(range(len(rows)), key=lambda n: (-(rows[n].probability or 0.0), n)):
        if (who := records[n]["who"]) is None:
            continue
        surer = together[rows[n].encounter, tuple(who)]
        mine = {shot.name for shot in groups[n].photos}
        other = next((m for m in surer if mine & {shot.name for shot in groups[m].photos}), None)
        if other is not None:
            why = f"animal {rows[other].animal}, in the same photo, was decided to be {_words(rows[n])} too, and surer"
            rows[n] = replace(rows[n], level=UNCERTAIN, reasons=(*rows[n].reasons, why))
        surer.append(n)
    failed = dict.fromkeys((path, why) for record in records for path, why in record["failed"])
    return Batch(tuple(rows), tuple(failed), unique(notes))


def _words(row: Row) -> str:
    return row.individual or f"unidentified {row.same_as}"


def row_from_json(values: Mapping[str, Any]) -> Row:
    """Return the row that was stored as JSON. Raises KeyError if a column is missing."""
    held: dict[str, Any] = {name: tuple(v) if isinstance(v := values[name], list) else v for name in COLUMNS}
    return Row(**held)
