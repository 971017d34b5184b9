"""The table of a batch: one row for each animal of each encounter, joined from the answers for its body parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeGuard

from snowmatch.catalog.ids import with_ids
from snowmatch.catalog.screened import PERSON
from snowmatch.catalog.species import NOTHING
from snowmatch.confidence.levels import LEVEL_NAMES, MARKS
from snowmatch.core.notes import Note, unique
from snowmatch.core.plain import six_digits
from snowmatch.core.text import counted, percent
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.decisions.who import is_name
from snowmatch.identify.answer import Answer, Candidate
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Animal
from snowmatch.review.groups import Group
from snowmatch.review.left_out import OTHER_SPECIES, decision_of

UNCERTAIN = LEVEL_NAMES[-1]
NOT_COMPARABLE = "not comparable"
LEFT_OUT = (NOTHING, OTHER_SPECIES, PERSON)  # decisions of the screening
NO_EVIDENCE = "perhaps-same-passage"  # the note that makes a decision uncertain
# notes on one answer, not on the catalog: they say how far it can be trusted, so they are reasons of its row
WARNINGS = (
    NO_EVIDENCE,
    "copy-on-record",
    "same-passage",
    "several-animals",
    "mask-empty",
    "box-clipped",
    "nothing-to-go-by",
    "no-animal-found",
    "scenery-refused",
    "not-checked",
)


@dataclass(frozen=True)
class Row:
    """The result for one animal of one encounter. The fields are the columns of the table.

    location, station, camera, date, time: of its first photo, as far as they are known.
    annotations: the identifiers of its photos that are in the catalog.
    decision: `individual`, `new` or `unidentified`; `not comparable` if nothing can be compared; `nothing`, `other
    species` or `person` if the screening says so; "" for no decision.
    individual: the name of the individual. same_as: the encounter of the unidentified animal.
    probability, level: of the decision. The level is `uncertain` if a reason contradicts the decision, or if the photo
    that decides may be of the same passage.
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
    careful: float | None
    level: str | None
    runner_up: str
    runner_up_probability: float | None
    new_probability: float | None
    reasons: tuple[str, ...]


COLUMNS = tuple(f.name for f in fields(Row))


@dataclass(frozen=True)
class Batch:
    """The result of a batch.

    rows: sorted by encounter and animal; those that the screening leaves out come last.
    failed: the path and the reason of each photo that failed.
    notes: the notes that hold for all answers.
    species: the species that the screening keeps; "" without a screening.
    """

    rows: tuple[Row, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]
    species: str = ""


@dataclass(frozen=True)
class PartAnswer:
    """The answer for the photos of one body part.

    who: the individual or unidentified animal of the decision; None for a new animal.
    decision, individual, same_as: as in Row.
    spots: number of inliers of the best candidate.
    warnings: the notes of WARNINGS.
    """

    part: str
    who: Animal | None
    decision: str
    individual: str
    same_as: str
    probability: float | None
    careful: float | None
    level: str | None
    runner_up: str
    runner_up_probability: float | None
    new_probability: float | None
    spots: int
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The animal decided for, in words; "" if nothing can be decided."""
        return self.individual or (f"unidentified {self.same_as}" if self.same_as else self.decision)

    @property
    def surety(self) -> tuple[int, float]:
        """A sort key, larger for a surer answer: an individual, then new, then no decision.

        An individual outranks new, because a flank that the catalog lacks also gives new.
        """
        kind = 0 if self.decision in ("", NOT_COMPARABLE) else 2 if self.who is not None else 1
        return kind, float(self.spots) if self.careful is None else self.careful


def format_summary(batch: Batch) -> str:
    """Return one line with the number of animals and encounters, and the number of decisions of each level."""
    levels = Counter(row.level for row in batch.rows if row.decision not in LEFT_OUT)
    others = Counter(row.decision for row in batch.rows if row.decision in LEFT_OUT)
    shares = [f"{MARKS[name]} {name} {levels[name]}" for name in LEVEL_NAMES if levels[name]]
    shares += [f"without a probability {levels[None]}"] if levels[None] else []
    count = len({row.encounter for row in batch.rows})
    new = sum(row.decision == "new" for row in batch.rows)
    return (
        f"{counted(len(batch.rows), 'animal')} in {counted(count, 'encounter')}: {', '.join(shares) or 'no queries'}"
        + (f"; {new} new" if new else "")
        + "".join(f"; {name} {count}" for name, count in sorted(others.items()))
        + (f" (the screening keeps the species {batch.species})" if others else "")
        + (f"; {counted(len(batch.failed), 'photo')} failed" if batch.failed else "")
    )


def part_answer(part: str, answer: Answer, animals: Mapping[int, Animal]) -> PartAnswer:
    """Return the short form of an answer. Without a probability, the best candidate by score is the runner-up."""
    accepted = [c for c in answer.candidates if c.accepted]
    bare = not answer.compared or (bool(answer.photos) and not any(photo.features for photo in answer.photos))
    chosen, decision = (None, None) if bare else (answer.decided, answer.decision)
    runner = answer.runner_up if decision is not None else accepted[0] if accepted else None
    best = chosen or (runner if runner is not None and runner.accepted else accepted[0] if accepted else None)
    reasons = []
    if not answer.compared:
        reasons.append("nothing to compare: the gallery is empty")
    elif best is None or not best.accepted:
        reasons.append("no verified match with any individual")
    else:
        prefix = "" if best is chosen else f"best by score: {_name(best)}, "
        encounter = "" if best.best.encounter == f"photo {best.best.path}" else f" (encounter {best.best.encounter})"
        reasons.append(f"{prefix}{counted(best.inliers, 'matched spot')} with {best.best.path}{encounter}")
    if decision is None:
        reasons += [f"next: {_name(c)}, {counted(c.inliers, 'matched spot')}" for c in accepted[1:2]]
        if answer.compared and answer.calibration is not None and all(photo.features for photo in answer.photos):
            reasons.append("no probability: the calibration is not for such photos")
    elif runner is not None:
        reasons.append(f"next: {_name(runner)} at {percent(runner.probability, answer.bounds)}")
    warned = sorted((n for n in answer.notes if n.code in WARNINGS), key=lambda note: WARNINGS.index(note.code))
    return PartAnswer(
        part,
        animals[chosen.best.row] if chosen is not None else None,
        NOT_COMPARABLE if bare else "" if decision is None else "new" if chosen is None else _kind(chosen),
        chosen.individual if chosen is not None and is_name(chosen.individual) else "",
        chosen.best.encounter if chosen is not None and not is_name(chosen.individual) else "",
        six_digits(decision.probability if decision is not None else None),
        six_digits(decision.careful if decision is not None else None),
        None if decision is None else UNCERTAIN if any(n.code == NO_EVIDENCE for n in warned) else decision.level,
        _name(runner) if runner is not None else "",
        six_digits(runner.probability if runner is not None else None),
        six_digits(answer.new_probability),
        best.inliers if best is not None else 0,
        tuple(reasons),
        tuple(note.text for note in warned),
    )


def _kind(candidate: Candidate) -> str:
    return "individual" if is_name(candidate.individual) else "unidentified"


def _name(candidate: Candidate) -> str:
    return candidate.individual if is_name(candidate.individual) else f"unidentified {candidate.best.encounter}"


def join(
    session: Session,
    group: Group,
    parts: tuple[str, ...],
    answers: Sequence[PartAnswer],
    failed: Sequence[tuple[str, str]],
    bare: Sequence[str],
) -> tuple[Row, Animal | None]:
    """Return one row for an animal, and the animal of its decision. The surest decision of its body parts counts.

    parts: the body parts of all its photos. answers: one for each body part with readable photos.
    failed: path and reason of photos that could not be read. bare: photos without features.
    """
    best = max(answers, key=lambda each: each.surety, default=None)
    level = best.level if best is not None else None
    reasons = [f"the photos show {' and '.join(parts)}"] if len(parts) > 1 else []
    if best is not None:
        reasons += [f"decided by {best.part}"] if len(answers) > 1 else []
        reasons += [*best.reasons, *best.warnings]
    bounds = tuple(asdict(session.calibration.levels).values()) if session.calibration is not None else ()
    for other in answers:
        if other is not best:
            decision = f"{other.name} at {percent(other.probability, bounds)}" if other.decision else "no decision"
            reasons += [f"{other.part}: {said}" for said in (decision, *other.warnings)]
            if _named(best) and _named(other) and best.who != other.who and UNCERTAIN not in (level, other.level):
                level = UNCERTAIN
                reasons.append(f"one animal cannot be both {best.name} and {other.name}")
    if _named(best) and (beside := [shot.name for shot in group.photos if best.individual in shot.beside]):
        level = UNCERTAIN
        reasons.append(f"{best.individual} is another animal in the same photo {beside[0]}")
    recorded = {s.photo.individual for s in group.photos if isinstance(s.photo, Annotation)}
    reasons += [f"named {name} in the catalog" for name in sorted(name for name in recorded if is_name(name))]
    if group.excluded:
        reasons.append(f"excluded, because it is the same passage: {', '.join(group.excluded)}")
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
        best.careful if best is not None else None,
        level,
        best.runner_up if best is not None else "",
        best.runner_up_probability if best is not None else None,
        best.new_probability if best is not None else None,
        tuple(reasons),
    )
    return row, best.who if best is not None else None


def left_out_record(session: Session, group: Group, answer: str) -> dict[str, Any]:
    """Return the record of an animal that is not asked. answer: of the screening, see `left_out.screening_answer`."""
    decision = decision_of(answer)
    reason = f"the screening sees {answer}" if decision == answer else f"the screening sees another species: {answer}"
    row = Row(
        group.encounter,
        group.animal,
        *_place_and_time(group),
        tuple(shot.name for shot in group.photos),
        _identifiers(session, group),
        tuple(sorted({shot.body_part for shot in group.photos}, key=BODY_PARTS.index)),
        decision,
        individual="",
        same_as="",
        probability=None,
        careful=None,
        level=None,
        runner_up="",
        runner_up_probability=None,
        new_probability=None,
        reasons=(reason,),
    )
    return {"row": asdict(row), "who": None, "failed": []}


def _place_and_time(group: Group) -> tuple[str, str, str, str, str]:
    """Return location, station, camera, date and time of an animal's first photo, each "" if it is not known."""
    first = min(group.photos, key=lambda photo: (photo.taken is None, photo.taken or datetime.min, photo.name))
    known = [photo.photo for photo in group.photos if isinstance(photo.photo, Annotation)]
    location, station, camera = (
        next((value for a in known if (value := getattr(a, name))), "") for name in ("location", "station", "camera")
    )
    if (taken := first.taken) is None:
        return location, station, camera, "", ""
    dated = isinstance(first.photo, Annotation) and first.photo.dated
    return location, station, camera, f"{taken.date()}", "" if dated else f"{taken:%H:%M:%S}"


def _identifiers(session: Session, group: Group) -> tuple[str, ...]:
    """Return the identifiers of the group's annotations that are in the catalog."""
    asked = [shot.photo for shot in group.photos if isinstance(shot.photo, Annotation)]
    named = with_ids(session.folder, asked, session.data.annotations)
    return tuple(a.annotation for a in named if a.annotation)


def _named(said: PartAnswer | None) -> TypeGuard[PartAnswer]:
    return said is not None and said.who is not None and is_name(said.who[0])


def settle(groups: Sequence[Group], records: Sequence[Mapping[str, Any]], notes: tuple[Note, ...]) -> Batch:
    """Return the batch of all records.

    If two animals of one photo got the same decision, the level of the less sure one becomes `uncertain`.
    """
    rows = [row_from_json(record["row"]) for record in records]
    together: dict[tuple[str, tuple[Any, ...]], list[int]] = defaultdict(list)
    for n in sorted(range(len(rows)), key=lambda n: (-(rows[n].careful or 0.0), n)):
        if (who := records[n]["who"]) is None:
            continue
        surer = together[rows[n].encounter, tuple(who)]
        mine = {shot.name for shot in groups[n].photos}
        other = next((m for m in surer if mine & {shot.name for shot in groups[m].photos}), None)
        if other is not None:
            why = f"animal {rows[other].animal} of the same photo also has the decision {_words(rows[n])}, and is surer"
            rows[n] = replace(rows[n], level=UNCERTAIN, reasons=(*rows[n].reasons, why))
        surer.append(n)
    failed = dict.fromkeys((path, why) for record in records for path, why in record["failed"])
    return Batch(tuple(rows), tuple(failed), unique(notes))


def _words(row: Row) -> str:
    return row.individual or f"unidentified {row.same_as}"


def row_from_json(values: Mapping[str, Any]) -> Row:
    """Return the row that was stored as JSON. Raises KeyError if a column is missing."""
    cells: dict[str, Any] = {name: tuple(v) if isinstance(v := values[name], list) else v for name in COLUMNS}
    return Row(**cells)
