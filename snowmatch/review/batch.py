"""Many photos, or all unidentified annotations, asked encounter by encounter: one row for each animal of each.

With an output name the answers are kept as they come, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import snowmatch
from snowmatch.api import DEFAULT_MATCHER, Catalog, Session
from snowmatch.catalog.encounters import passages, unused
from snowmatch.catalog.folders import find_photos
from snowmatch.catalog.load import check_body_part, check_locations
from snowmatch.catalog.table import CSV_NAME
from snowmatch.confidence.levels import LEVEL_NAMES, MARKS
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file, unreadable, unwritable
from snowmatch.core.text import percent, plain, printable, six_digits
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.features.states import AnnotationState
from snowmatch.identify.answer import Answer, Candidate
from snowmatch.matching.gallery import Animal, tell_animals
from snowmatch.photos.exif import read_timestamp
from snowmatch.screening.maps import maps_stamp

SCHEMA = "snowmatch.batch/1"
PART_SCHEMA = "snowmatch.batch-part/1"
UNCERTAIN = LEVEL_NAMES[-1]


@dataclass(frozen=True)
class Row:
    """What is said of one animal of one encounter; its fields are the table's columns.

    decision: an individual's name, `new`, `unidentified <encounter>`, or "" where nothing can be said. probability and
    level are the decision's; the level is `uncertain` also where a reason contradicts it.
    """

    encounter: str
    animal: int
    photos: tuple[str, ...]
    body_parts: tuple[str, ...]
    decision: str
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
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shot:
    """One photo of an animal: its name in the table, what `query` is given, and what it shows.

    content: the sha256 of the file, "" where it cannot be read; beside: individuals on record in the same photo.
    """

    name: str
    photo: str | Annotation
    body_part: str
    content: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """One animal of one encounter; excluded: encounters on record that are the same passage."""

    encounter: str
    animal: int
    shots: tuple[Shot, ...]
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Said:
    """What the photos of one body part say; who: the individual or unidentified animal decided for, None for new."""

    part: str
    who: Animal | None
    decision: str
    probability: float | None
    level: str | None
    runner_up: str
    runner_up_probability: float | None
    new_probability: float | None
    spots: int
    reasons: tuple[str, ...]

    @property
    def surety(self) -> tuple[int, float]:
        """To sort by: an individual before new (a flank that is not on record says new), that before nothing."""
        kind = 0 if not self.decision else 2 if self.who is not None else 1
        return kind, float(self.spots) if self.probability is None else self.probability


def run_batch(
    catalog: Catalog,
    photos: str | Path | Sequence[str | Path] | None = None,
    *,
    body_part: str | None = None,
    locations: Sequence[str] = (),
    extractor: str | Sequence[str] | None = None,
    matcher: str = DEFAULT_MATCHER,
    options: Mapping[str, str] | None = None,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Batch:
    """Ask about photos and folders of photos, or (None) all unidentified annotations; nobody's own encounter answers.

    body_part: what photos show whose part is not on record; the rest as in `Catalog.query`. `out`: OUT.csv and
    OUT.jsonl are written, and what a stopped run left in OUT.jsonl.part is not asked again. `progress` is called with
    (done, total) animals. A photo that cannot be read is in its row's reasons and in `failed`. No unidentified
    annotation gives no rows. SnowmatchError for what the user can mend.
    """
    if out is not None:
        _check_out(out, catalog.folder)
    photos = [photos] if isinstance(photos, str | Path) else photos
    locations = (locations,) if isinstance(locations, str) else tuple(locations)
    if body_part is not None:
        check_body_part(body_part)
    check_locations(catalog.data, locations)
    if photos is None and all(a.individual is not None for a in catalog.data.annotations):
        batch = Batch((), (), (f"{catalog.folder} has no unidentified annotations: nothing to ask",))
    else:
        session = catalog.session(extractor=extractor, matcher=matcher, options=options)
        notes: list[str] = []
        if photos is None:
            groups = unidentified_groups(catalog, session.states, body_part)
        else:
            groups = photo_groups(catalog, session.states, photos, body_part, notes)
        part = None if out is None else _beside(out, ".jsonl.part")
        head = _head(catalog, session, groups, body_part, locations)
        records = _answers(catalog, session, groups, locations, part, head, notes, progress)
        batch = _settle(groups, records, (*session.notes, *notes))
    if out is not None:
        replace_file(_beside(out, ".jsonl"), lambda file: file.write(rows_to_jsonl(batch.rows).encode()))
        replace_file(_beside(out, ".csv"), lambda file: file.write(rows_to_csv(batch.rows).encode()))
        _beside(out, ".jsonl.part").unlink(missing_ok=True)
    return batch


def rows_to_csv(rows: Iterable[Row]) -> str:
    """The table as csv text with its head, lists joined by "; ", names printable; no rows give the head alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")  # "\r\n" would become "\r\r\n" on a Windows terminal
    writer.writerow(COLUMNS)
    for row in rows:
        values = ("; ".join(v) if isinstance(v, tuple) else "" if v is None else str(v) for v in vars(row).values())
        writer.writerow(map(printable, values))
    return text.getvalue()


def rows_to_jsonl(rows: Iterable[Row]) -> str:
    """The table as one JSON object a line, schema "snowmatch.batch/1"; no rows give no text."""
    return "".join(
        json.dumps({"schema": SCHEMA, **plain(asdict(row))}, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
    )


def format_summary(batch: Batch) -> str:
    """How many animals were decided at each level, as one line."""
    levels = Counter(row.level for row in batch.rows)
    told = [f"{MARKS[name]} {name} {levels[name]}" for name in LEVEL_NAMES if levels[name]]
    told += [f"without a probability {levels[None]}"] if levels[None] else []
    count = len({row.encounter for row in batch.rows})
    new = sum(row.decision == "new" for row in batch.rows)
    return (
        f"{_count(len(batch.rows), 'animal')} in {_count(count, 'encounter')}: {', '.join(told) or 'nothing asked'}"
        + (f"; {new} new" if new else "")
        + (f"; {_count(len(batch.failed), 'photo')} failed" if batch.failed else "")
    )


# --- who is asked about -----------------------------------------------------------------------------------------------


def unidentified_groups(catalog: Catalog, states: Sequence[AnnotationState], body_part: str | None) -> list[Group]:
    """The animals of all annotations without an individual, by encounter; body_part: where none is on record."""
    wanted = {a.row: a.path for a in catalog.data.annotations if a.individual is None}
    return _recorded_groups(catalog, states, wanted, body_part)


def photo_groups(
    catalog: Catalog,
    states: Sequence[AnnotationState],
    photos: Sequence[str | Path],
    body_part: str | None,
    notes: list[str],
) -> list[Group]:
    """The animals in these photos, folders with all below them, by encounter; body_part: where none is on record.

    What is on record is asked with its rows. Of the rest one folder is one camera, and its photos are cut into
    encounters as the catalog cuts them; encounters on record in the same passage are no evidence. `notes` take what was
    left out. SnowmatchError where a path does not exist or a folder has no photos.
    """
    wanted: dict[int, str] = {}
    folders: dict[str, list[tuple[Shot, datetime | None, frozenset[str]]]] = defaultdict(list)
    masks = {os.path.abspath(catalog.folder / a.mask) for a in catalog.data.annotations if a.mask}
    names = _expand(photos, notes)
    kept = [name for name in names if os.path.abspath(name) not in masks]
    if len(kept) < len(names):
        notes.append(f"{_count(len(names) - len(kept), 'mask')} of the catalog left out")
    for name in kept:
        content, taken = _look_at(Path(name))
        rows = catalog.rows_of(content, Path(name), states) if content else []
        if same := next((wanted[row.row] for row in rows if row.row in wanted), None):
            notes.append(f"{name} is the same photo as {same}: asked about once")
        wanted.update({row.row: name for row in rows if row.row not in wanted})
        shot = Shot(name, name, body_part or "unknown", content)
        folders[Path(name).parent.as_posix()].append((shot, taken, frozenset(row.encounter for row in rows)))
    groups = _recorded_groups(catalog, states, wanted, body_part)
    used = {a.encounter for a in catalog.data.annotations}
    for folder, here in folders.items():
        place = "" if folder == "." else f"{folder} "
        for passage in passages((each for each in here if each[1] is not None), lambda each: each[1]):
            fresh = [(shot, taken) for shot, taken, encounters in passage if not encounters]
            if fresh:
                encounter = unused(f"{place}{fresh[0][1].isoformat()}", used)
                recorded = sorted(set().union(*(encounters for _, _, encounters in passage)))
                groups.append(Group(encounter, 1, tuple(shot for shot, _ in fresh), tuple(recorded)))
        for shot, taken, encounters in here:
            if taken is None and not encounters:
                groups.append(Group(unused(f"photo {shot.name}", used), 1, (shot,)))
    return sorted(groups, key=lambda group: (group.encounter, group.animal))


def _recorded_groups(
    catalog: Catalog, states: Sequence[AnnotationState], wanted: Mapping[int, str], body_part: str | None
) -> list[Group]:
    """The animals of the catalog's rows `wanted` (row number to the photo's name in the table)."""
    annotations = catalog.data.annotations
    animals = tell_animals(annotations)
    individuals: dict[str, set[str]] = defaultdict(set)
    everybody: dict[str, set[Animal]] = defaultdict(set)
    for a, animal in zip(annotations, animals, strict=True):
        everybody[a.encounter].add(animal)
        if a.individual is not None:
            individuals[a.path].add(a.individual)
    shots: dict[tuple[str, int], list[Shot]] = defaultdict(list)
    for a, animal, state in zip(annotations, animals, states, strict=True):
        if a.row in wanted:
            # Unidentified ones first, so that an animal keeps its number whether or not named ones are asked about
            order = sorted(everybody[a.encounter], key=lambda who: (who[0] is not None, who[0] or "", who[2]))
            part = a.body_part if a.body_part != "unknown" or body_part is None else body_part
            content = state.photo_sha256 or _look_at(catalog.folder / a.path)[0]
            beside = tuple(sorted(individuals[a.path] - {a.individual}))
            shot = Shot(wanted[a.row], a, part, content, beside)
            shots[a.encounter, order.index(animal) + 1].append(shot)
    return [Group(*key, tuple(sorted(shots[key], key=lambda shot: shot.name))) for key in sorted(shots)]


def _expand(photos: Sequence[str | Path], notes: list[str]) -> list[str]:
    """Every photo once, by name, folders with the photos below them."""
    if not photos:
        raise SnowmatchError("no photo was given; give photos or folders of photos")
    names: dict[str, str] = {}
    for given in map(Path, photos):
        if os.path.isdir(given):
            found = [given.joinpath(*parts) for parts in find_photos(given, "photos to ask about", notes)]
        elif os.path.exists(given):
            found = [given]
        else:
            raise SnowmatchError(f"{given} does not exist, expected a photo or a folder of photos: check the path")
        for path in found:
            names.setdefault(os.path.abspath(path), path.as_posix())
    return sorted(names.values())


def _look_at(path: Path) -> tuple[str, datetime | None]:
    """Content and time of a photo; "" and None where they cannot be read: asking about it tells why."""
    content = ""
    try:
        content = file_sha256(path)
        return content, read_timestamp(path)
    except SnowmatchError:
        return content, None


# --- asking -----------------------------------------------------------------------------------------------------------


def _answers(
    catalog: Catalog,
    session: Session,
    groups: Sequence[Group],
    locations: Sequence[str],
    part: Path | None,
    head: str,
    notes: list[str],
    progress: Callable[[int, int], None] | None,
) -> list[dict[str, Any]]:
    """A record of each group's answer, also kept in the file `part`, which may hold the first ones already."""
    records = [] if part is None else _read_part(part, head, groups, notes)
    annotations = catalog.data.annotations
    animals = {a.row: animal for a, animal in zip(annotations, tell_animals(annotations), strict=True)}
    common: set[str] | None = None
    with nullcontext() if part is None else _open_part(part, head, records) as file:
        for done in range(len(records), len(groups) + 1):
            if progress:
                progress(done, len(groups))
            if done == len(groups):
                break
            record, told = _ask(catalog, session, groups[done], locations, animals)
            if told:
                common = set.intersection(*told, *([] if common is None else [common]))
            line = json.dumps(plain(record), ensure_ascii=False, allow_nan=False)
            if file is not None:
                _append(file, line, part)
            records.append(json.loads(line))  # as a resumed run reads it
    notes += sorted((common or set()) - set(session.notes))
    return records


def _ask(
    catalog: Catalog,
    session: Session,
    group: Group,
    locations: Sequence[str],
    animals: Mapping[int, Animal],
) -> tuple[dict[str, Any], list[set[str]]]:
    """The record of one animal's answer, and the notes of every query: one for each body part that its photos show."""
    parts: dict[str, list[Shot]] = defaultdict(list)
    known = {shot.body_part for shot in group.shots} - {"unknown"}
    for shot in group.shots:
        parts[next(iter(known)) if len(known) == 1 else shot.body_part].append(shot)
    said, failed, bare, told = [], [], [], []
    for part in sorted(parts, key=BODY_PARTS.index):

        def ask(shots: Sequence[Shot], part: str = part) -> Answer:
            return catalog.query(
                [shot.photo for shot in shots],
                body_part=part,
                locations=locations,
                exclude_encounters=group.excluded,
                top=len(catalog.data.annotations),  # the likeliest may stand below many unidentified encounters
                session=session,
            )

        answer = _ask_readable(ask, parts[part], catalog.folder, failed, bare)
        if answer is not None:
            said.append(_said(part, answer, animals))
            told.append(set(answer.notes))
    row, who = _join(group, tuple(sorted(parts, key=BODY_PARTS.index)), said, failed, bare)
    return {"row": asdict(row), "who": who, "failed": failed}, told


def _ask_readable(
    ask: Callable[[Sequence[Shot]], Answer],
    shots: Sequence[Shot],
    folder: Path,
    failed: list[tuple[str, str]],
    bare: list[str],
) -> Answer | None:
    """The answer for those photos that can be read, None where none can be; the others go to `failed`.

    Those without features, which had no vote, go to `bare`.
    """
    try:
        answer = ask(shots)
    except SnowmatchError as error:
        if len(shots) == 1:
            failed.append((shots[0].name, str(error)))
            return None
        left = []  # the error does not say which of several photos it is about
        for shot in shots:
            try:
                ask([shot])
                left.append(shot)
            except SnowmatchError as reason:
                failed.append((shot.name, str(reason)))
        if len(left) == len(shots):
            raise
        return _ask_readable(ask, left, folder, failed, bare) if left else None
    empty = {photo.path for photo in answer.photos if not photo.features}
    bare += [shot.name for shot in shots if _file(shot, folder) in empty]
    return answer


def _file(shot: Shot, folder: Path) -> str:
    return str(folder / shot.photo.path) if isinstance(shot.photo, Annotation) else shot.photo


def _said(part: str, answer: Answer, animals: Mapping[int, Animal]) -> _Said:
    """An answer in short; without a probability the best by score stands as the runner-up."""
    found = sorted(answer.candidates, key=lambda c: -(c.probability or 0.0))  # stable: by score where none has one
    chosen = found.pop(0) if answer.decision == "individual" else None
    best = chosen or next((c for c in found if c.accepted), None)
    reasons = []
    if not answer.compared:
        reasons.append("nothing to compare: no annotation on record may answer")
    elif best is None or not best.accepted:
        reasons.append("no verified match with anybody")
    else:
        of = "" if best is chosen else f"nearest: {_name(best)}, "
        reasons.append(
            f"{of}{_count(best.inliers, 'matched spot')} with {best.best.path} (encounter {best.best.encounter})"
        )
    if answer.decision is None:
        found = [c for c in found if c.accepted]
        reasons += [f"next: {_name(c)}, {_count(c.inliers, 'matched spot')}" for c in found[1:2]]
        if answer.compared and answer.calibration is not None and all(photo.features for photo in answer.photos):
            reasons.append("no probability: nothing is calibrated for such photos")
    runner = found[0] if found else None
    if runner is not None and answer.decision is not None:
        reasons.append(f"next: {_name(runner)} at {percent(runner.probability)}")
    decided = chosen.probability if chosen is not None else answer.new_probability
    return _Said(
        part,
        animals[chosen.best.row] if chosen is not None else None,
        _name(chosen) if chosen is not None else answer.decision or "",
        six_digits(decided if answer.decision else None),
        answer.level,
        _name(runner) if runner is not None else "",
        six_digits(runner.probability if runner is not None else None),
        six_digits(answer.new_probability),
        best.inliers if best is not None else 0,
        tuple(reasons),
    )


def _name(candidate: Candidate) -> str:
    return candidate.individual if candidate.individual is not None else f"unidentified {candidate.best.encounter}"


# --- rows -------------------------------------------------------------------------------------------------------------


def _join(
    group: Group,
    parts: tuple[str, ...],
    said: Sequence[_Said],
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
            decision = f"{other.decision} at {percent(other.probability)}" if other.decision else "nothing"
            reasons.append(f"{other.part} says {decision}")
            if _named(best) and _named(other) and best.who != other.who and UNCERTAIN not in (level, other.level):
                level = UNCERTAIN
                reasons.append(f"one animal cannot be both {best.decision} and {other.decision}")
    if _named(best) and (beside := [shot.name for shot in group.shots if best.decision in shot.beside]):
        level = UNCERTAIN
        reasons.append(f"{best.decision} is on record beside this animal in {beside[0]}")
    for name in sorted({s.photo.individual for s in group.shots if isinstance(s.photo, Annotation)} - {None}):
        reasons.append(f"on record as {name}")
    if group.excluded:
        reasons.append(f"left out as the same passage: {', '.join(group.excluded)}")
    for names, what in ((bare, "had no features"), (failed, "could not be read")):
        if names:
            listed = "; ".join(names if names is bare else [why for _, why in names])
            reasons.append(f"{len(names)} of {_count(len(group.shots), 'photo')} {what}: {listed}")
    row = Row(
        group.encounter,
        group.animal,
        tuple(shot.name for shot in group.shots),
        parts,
        best.decision if best is not None else "",
        best.probability if best is not None else None,
        level,
        best.runner_up if best is not None else "",
        best.runner_up_probability if best is not None else None,
        best.new_probability if best is not None else None,
        tuple(reasons),
    )
    return row, best.who if best is not None else None


def _named(said: _Said | None) -> bool:
    return said is not None and said.who is not None and said.who[0] is not None


def _settle(groups: Sequence[Group], records: Sequence[Mapping[str, Any]], notes: tuple[str, ...]) -> Batch:
    """All rows; of two animals in one photo that were decided to be the same one, the less sure is uncertain."""
    rows = [_row_from_json(record["row"]) for record in records]
    together: dict[tuple[str, tuple], list[int]] = defaultdict(list)
    for n in sorted(range(len(rows)), key=lambda n: (-(rows[n].probability or 0.0), n)):
        if (who := records[n]["who"]) is None:
            continue
        surer = together[rows[n].encounter, tuple(who)]
        mine = {shot.name for shot in groups[n].shots}
        other = next((m for m in surer if mine & {shot.name for shot in groups[m].shots}), None)
        if other is not None:
            why = f"animal {rows[other].animal}, in the same photo, was decided to be {rows[n].decision} too, and surer"
            rows[n] = replace(rows[n], level=UNCERTAIN, reasons=(*rows[n].reasons, why))
        surer.append(n)
    failed = dict.fromkeys((path, why) for record in records for path, why in record["failed"])
    return Batch(tuple(rows), tuple(failed), tuple(dict.fromkeys(notes)))


def _row_from_json(values: Mapping[str, Any]) -> Row:
    return Row(**{name: tuple(v) if isinstance(v := values[name], list) else v for name in COLUMNS})


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


# --- what is kept of a run that is stopped ----------------------------------------------------------------------------


def _beside(out: Path, ending: str) -> Path:
    """The file of that ending; OUT.csv means OUT."""
    name = out.name.removesuffix(".csv").removesuffix(".jsonl")
    return out.with_name((name or out.name) + ending)


def _check_out(out: Path, folder: Path) -> None:
    if out.is_dir():
        raise SnowmatchError(f"{out} is a folder, expected a name for the files, such as {out / 'answers'}")
    if not out.parent.is_dir():
        raise SnowmatchError(f"{out.parent} is no folder, so {out} cannot be written: make the folder first")
    if os.path.abspath(_beside(out, ".csv")) == os.path.abspath(folder / CSV_NAME):
        raise SnowmatchError(f"{_beside(out, '.csv')} is the catalog itself: choose another name with --out")


def _head(
    catalog: Catalog,
    session: Session,
    groups: Sequence[Group],
    body_part: str | None,
    locations: Sequence[str],
) -> str:
    """The first line of the file of answers: all that they depend on, most of it as one sum."""
    used = (catalog.data.annotations, session.states, maps_stamp(catalog.folder), session.calibration, groups)
    values = {
        "schema": PART_SCHEMA,
        "method": {
            "extractor": session.extractor_settings,
            "matcher": session.matching,
            "snowmatch": snowmatch.__version__,
        },
        "filters": {"body_part": body_part, "locations": sorted(locations)},
        "sha256": hashlib.sha256(repr(used).encode("utf-8", "backslashreplace")).hexdigest(),
    }
    return json.dumps(plain(values))


def _read_part(part: Path, head: str, groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """The answers to the first of `groups` that a stopped run left; what follows a line cut short does not count."""
    try:
        lines = part.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(part, error) from error
    if not lines or lines[0] != head.encode():
        notes.append(f"{part} is of other photos, settings or another state of the catalog: started over")
        return []
    records = []
    for line, group in zip(lines[1:], groups, strict=False):
        try:
            record = json.loads(line)
            if (record["row"]["encounter"], record["row"]["animal"]) != (plain(group.encounter), group.animal):
                break
        except (ValueError, KeyError, TypeError):
            break
        records.append(record)
    notes.append(f"went on from {part}: {len(records)} of {_count(len(groups), 'animal')} were answered already")
    return records


def _open_part(part: Path, head: str, records: Sequence[Mapping[str, Any]]) -> BinaryIO:
    """The file of answers, open to be appended to, with its head and these records only."""
    lines = [head, *(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)]
    replace_file(part, lambda file: file.write("".join(f"{line}\n" for line in lines).encode()))
    try:
        return part.open("ab")
    except OSError as error:
        raise unwritable(part.parent, error) from error


def _append(file: BinaryIO, line: str, part: Path) -> None:
    try:
        file.write(f"{line}\n".encode())
        file.flush()
    except OSError as error:
        raise unwritable(part.parent, error) from error
