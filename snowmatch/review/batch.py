"""Identification of many photos, or of all unidentified annotations. Each animal of each encounter gets one row.

With an output name, each answer is written at once. A run that was stopped then continues after its last answer.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

from snowmatch.api import Catalog
from snowmatch.catalog.load import check_body_part, check_locations
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_file
from snowmatch.core.notes import Note
from snowmatch.core.plain import plain
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.identify.answer import Answer
from snowmatch.identify.ask import ask
from snowmatch.identify.method import MethodOptions
from snowmatch.identify.question import make_question
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Animal, tell_animals
from snowmatch.review.groups import Group, Shot, photo_groups, unidentified_groups
from snowmatch.review.rows import Batch, PartAnswer, join, part_answer, rows_to_csv, rows_to_jsonl, settle
from snowmatch.review.unfinished import append, beside, check_out, head_of, open_part, read_part


def run_batch(
    catalog: Catalog,
    photos: str | Path | Sequence[str | Path] | None = None,
    *,
    body_part: str | None = None,
    locations: str | Sequence[str] = (),
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **method: Unpack[MethodOptions],
) -> Batch:
    """Identify photos and folders of photos; with `photos` None, all unidentified annotations. Return the rows.

    The gallery of an animal never contains its own encounter. A photo that cannot be read is skipped: the reasons of
    its row and `failed` name it. A catalog without unidentified annotations gives no rows. Raises SnowmatchError for
    errors that the user can correct.

    body_part: the body part of photos for which the catalog has none.
    out: write OUT.csv and OUT.jsonl. Answers that a stopped run left in OUT.jsonl.part are read, not computed again.
    progress: called with (done, total) animals.
    The other parameters are those of `Catalog.query`.
    """
    if out is not None:
        check_out(out, catalog.folder)
    photos = [photos] if isinstance(photos, str | Path) else photos
    locations = (locations,) if isinstance(locations, str) else tuple(locations)
    if body_part is not None:
        check_body_part(body_part)
    check_locations(catalog.data, locations)
    if photos is None and all(a.individual is not None for a in catalog.data.annotations):
        text = f"{catalog.folder} has no unidentified annotations: there is nothing to identify"
        batch = Batch((), (), (Note("nothing-to-ask", text),))
    else:
        session = catalog.session(**method)
        notes: list[Note] = []
        if photos is None:
            groups = unidentified_groups(session, body_part)
        else:
            groups = photo_groups(session, photos, body_part, notes)
        head = head_of(session, groups, body_part, locations)
        part = None if out is None else beside(out, ".jsonl.part")
        records = _answers(session, groups, locations, part, head, notes, progress)
        batch = settle(groups, records, (*session.notes, *notes))
    if out is not None:
        replace_file(beside(out, ".jsonl"), lambda file: file.write(rows_to_jsonl(batch.rows).encode()))
        replace_file(beside(out, ".csv"), lambda file: file.write(rows_to_csv(batch.rows).encode()))
        beside(out, ".jsonl.part").unlink(missing_ok=True)
    return batch


def _answers(
    session: Session,
    groups: Sequence[Group],
    locations: tuple[str, ...],
    part: Path | None,
    head: str,
    notes: list[Note],
    progress: Callable[[int, int], None] | None,
) -> list[dict[str, Any]]:
    """Return a record of each group's answer.

    The file `part` also gets the records. It may contain the first of them already, from a run that was stopped.
    """
    records = [] if part is None else read_part(part, head, groups, notes)
    annotations = session.data.annotations
    animals = {a.row: animal for a, animal in zip(annotations, tell_animals(annotations), strict=True)}
    common: set[Note] | None = None
    with nullcontext() if part is None else open_part(part, head, records) as file:
        for done in range(len(records), len(groups) + 1):
            if progress:
                progress(done, len(groups))
            if done == len(groups):
                break
            record, answer_notes = _ask_group(session, groups[done], locations, animals)
            if answer_notes:
                common = set.intersection(*answer_notes, *([] if common is None else [common]))
            line = json.dumps(plain(record), ensure_ascii=False, allow_nan=False)
            if file is not None and part is not None:
                append(file, line, part)
            records.append(json.loads(line))  # the same values that a resumed run reads
    notes += sorted((common or set()) - set(session.notes), key=lambda note: note.text)
    return records


def _ask_group(
    session: Session, group: Group, locations: tuple[str, ...], animals: Mapping[int, Animal]
) -> tuple[dict[str, Any], list[set[Note]]]:
    """Return the record of one animal's answer, and the notes of each query. Each body part is one query."""
    parts: dict[str, list[Shot]] = defaultdict(list)
    known = {shot.body_part for shot in group.shots} - {"unknown"}
    for shot in group.shots:
        parts[next(iter(known)) if len(known) == 1 else shot.body_part].append(shot)
    every: list[PartAnswer] = []
    failed: list[tuple[str, str]] = []
    bare: list[str] = []
    answer_notes: list[set[Note]] = []
    for part in sorted(parts, key=BODY_PARTS.index):

        def ask_shots(shots: Sequence[Shot], part: str = part) -> Answer:
            photos = [shot.photo for shot in shots]
            return ask(
                session,
                make_question(photos, body_part=part, locations=locations, exclude_encounters=group.excluded),
            )

        answer = _ask_readable(ask_shots, parts[part], session.folder, failed, bare)
        if answer is not None:
            every.append(part_answer(part, answer, animals))
            answer_notes.append(set(answer.notes))
    row, who = join(session, group, tuple(sorted(parts, key=BODY_PARTS.index)), every, failed, bare)
    return {"row": asdict(row), "who": who, "failed": failed}, answer_notes


def _ask_readable(
    ask: Callable[[Sequence[Shot]], Answer],
    shots: Sequence[Shot],
    folder: Path,
    failed: list[tuple[str, str]],
    bare: list[str],
) -> Answer | None:
    """Return the answer for the photos that can be read; None if no photo can be read.

    Unreadable photos are added to `failed`. Photos without features, which cannot vote, are added to `bare`.
    """
    try:
        answer = ask(shots)
    except SnowmatchError as error:
        if len(shots) == 1:
            failed.append((shots[0].name, str(error)))
            return None
        readable = []  # the error does not name the photo, so each photo is tried alone
        for shot in shots:
            try:
                ask([shot])
                readable.append(shot)
            except SnowmatchError as reason:
                failed.append((shot.name, str(reason)))
        if len(readable) == len(shots):
            raise
        return _ask_readable(ask, readable, folder, failed, bare) if readable else None
    empty = {photo.path for photo in answer.photos if not photo.features}
    bare += [shot.name for shot in shots if _file(shot, folder) in empty]
    return answer


def _file(shot: Shot, folder: Path) -> str:
    return str(folder / shot.photo.path) if isinstance(shot.photo, Annotation) else shot.photo
