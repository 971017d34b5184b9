"""Many photos, or all unidentified annotations, asked encounter by encounter: one row for each animal of each.

With an output name the answers are kept as they come, so that a run that was stopped goes on where it was.
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
from snowmatch.review.groups import BatchPhoto, Group, photo_groups, unidentified_groups
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
    """Ask about photos and folders of photos, or (None) all unidentified annotations; nobody's own encounter answers.

    body_part: what photos show whose part is not on record; the rest as in `Catalog.query`. `out`: OUT.csv and
    OUT.jsonl are written, and what a stopped run left in OUT.jsonl.part is not asked again. `progress` is called with
    (done, total) animals. A photo that cannot be read is in its row's reasons and in `failed`. No unidentified
    annotation gives no rows. SnowmatchError for what the user can mend.
    """
    if out is not None:
        check_out(out, catalog.folder)
    photos = [photos] if isinstance(photos, str | Path) else photos
    locations = (locations,) if isinstance(locations, str) else tuple(locations)
    if body_part is not None:
        check_body_part(body_part)
    check_locations(catalog.data, locations)
    if photos is None and all(a.individual is not None for a in catalog.data.annotations):
        text = f"{catalog.folder} has no unidentified annotations: nothing to ask"
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
    """A record of each group's answer, also kept in the file `part`, which may hold the first ones already."""
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
            record, told = _ask_group(session, groups[done], locations, animals)
            if told:
                common = set.intersection(*told, *([] if common is None else [common]))
            line = json.dumps(plain(record), ensure_ascii=False, allow_nan=False)
            if file is not None and part is not None:
                append(file, line, part)
            records.append(json.loads(line))  # as a resumed run reads it
    notes += sorted((common or set()) - set(session.notes), key=lambda note: note.text)
    return records


def _ask_group(
    session: Session, group: Group, locations: tuple[str, ...], animals: Mapping[int, Animal]
) -> tuple[dict[str, Any], list[set[Note]]]:
    """The record of one animal's answer, and the notes of every query: one for each body part that its photos show."""
    parts: dict[str, list[BatchPhoto]] = defaultdict(list)
    known = {shot.body_part for shot in group.photos} - {"unknown"}
    for shot in group.photos:
        parts[next(iter(known)) if len(known) == 1 else shot.body_part].append(shot)
    every: list[PartAnswer] = []
    failed: list[tuple[str, str]] = []
    bare: list[str] = []
    told: list[set[Note]] = []
    for part in sorted(parts, key=BODY_PARTS.index):

        def ask_shots(shots: Sequence[BatchPhoto], part: str = part) -> Answer:
            photos = [shot.photo for shot in shots]
            return ask(
                session,
                make_question(photos, body_part=part, locations=locations, exclude_encounters=group.excluded),
            )

        answer = _ask_readable(ask_shots, parts[part], session.folder, failed, bare)
        if answer is not None:
            every.append(part_answer(part, answer, animals))
            told.append(set(answer.notes))
    row, who = join(session, group, tuple(sorted(parts, key=BODY_PARTS.index)), every, failed, bare)
    return {"row": asdict(row), "who": who, "failed": failed}, told


def _ask_readable(
    ask: Callable[[Sequence[BatchPhoto]], Answer],
    shots: Sequence[BatchPhoto],
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


def _file(shot: BatchPhoto, folder: Path) -> str:
    return str(folder / shot.photo.path) if isinstance(shot.photo, Annotation) else shot.photo
