"""Many photos, or all unidentified annotations, asked encounter by encounter: one row for each animal of each.

The catalog keeps every answer, so that a run that was stopped continues, and a later run asks only what is new.
"""

from __future__ import annotations

import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from snowmatch.api import Catalog, open_catalog
from snowmatch.catalog.load import check_body_part, check_locations
from snowmatch.catalog.screened import Screened, load_screened
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.executor import changed_there, spread
from snowmatch.core.files import replace_together
from snowmatch.core.notes import Note
from snowmatch.core.outputs import csv_path, jsonl_path
from snowmatch.core.plain import plain
from snowmatch.core.text import counted
from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.decisions.who import is_name
from snowmatch.identify.answer import Answer
from snowmatch.identify.ask import ask_many
from snowmatch.identify.method import MethodOptions
from snowmatch.identify.question import Question, make_question, place_names
from snowmatch.identify.session import Galleries, Session, found_by
from snowmatch.matching.gallery import Animal, tell_animals
from snowmatch.matching.search.block import made_indexes
from snowmatch.matching.search.loaded import Loaded, limited_memory
from snowmatch.models.cache import whole_path
from snowmatch.review.groups import BatchPhoto, Group, photo_groups, unidentified_groups
from snowmatch.review.identities import open_identities
from snowmatch.review.kept import Record, group_keys, keep, networks_of, read_kept, state_of
from snowmatch.review.left_out import decided_photos, kept_first, look_at_new, screening_answer
from snowmatch.review.rows import Batch, PartAnswer, join, left_out_record, part_answer, settle
from snowmatch.review.tables import check_out, rows_to_csv, rows_to_jsonl

AT_ONCE = 8  # animals that are asked together if the index does not fit into memory: it is read once for all of them
# Notes on the catalog that answers have, each its own: they are told once for all, and are not kept with the answers
OF_CATALOG = ("index-made", "maps-missing", "maps-damaged")
KEEP_SECONDS = 2.0  # how much work a killed run may lose


def run_batch(
    catalog: Catalog,
    photos: str | Path | Sequence[str | Path] | None = None,
    *,
    body_part: str | None = None,
    locations: str | Sequence[str] = (),
    new: float | None = None,
    out: Path | None = None,
    bom: bool = False,
    force: bool = False,
    again: bool = False,
    screened: Screened | None = None,
    looking: Callable[[int, int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **method: Unpack[MethodOptions],
) -> Batch:
    """Ask about photos and folders of photos, or (None) all unidentified annotations, and return the rows.

    body_part: what the photos show whose part is not on record. new: as in `make_question`. out: the files OUT.csv and
    OUT.jsonl are written; bom: OUT.csv begins with a byte order mark, which Excel needs; force: OUT.csv is replaced
    even if somebody edited it. again: answers that the catalog keeps from earlier runs are not used. looking is called
    with (done, total) photos that the classifier looks at, since no screening has seen them, and progress with
    (done, total) animals. All else is as in `Catalog.query`.

    The own encounter of a photo is never compared. A photo that cannot be read is in the reasons of its row and in
    `failed`. No unidentified annotation gives no rows. Raises SnowmatchError for problems that the user can fix.
    """
    if out is not None:
        check_out(out, catalog.folder, force=force)
    photos = [photos] if isinstance(photos, str | Path) else photos
    locations = place_names(locations)
    if body_part is not None:
        body_part = check_body_part(body_part)
    check_locations(catalog.data, locations)
    if photos is None and all(is_name(a.individual) for a in catalog.data.annotations):
        text = f"{catalog.folder} has no unidentified annotations: there is nothing to identify"
        batch = Batch((), (), (Note("nothing-to-ask", text),))
    else:
        session = catalog.session(**method)
        notes: list[Note] = []
        if photos is None:
            groups = unidentified_groups(session, body_part)
        else:
            groups = photo_groups(session, photos, body_part, notes)
        screened = load_screened(session.folder, notes) or screened
        decided = frozenset[tuple[str, int]]()
        if screened is not None:
            decided = decided_photos(open_identities(catalog, catalog.decisions))
        seen = look_at_new(session, groups, screened, decided, notes, looking)
        told = [screening_answer(session, group, screened, decided, seen) for group in groups]
        groups, left_out = kept_first(groups, told)
        asked = groups[: left_out.count("")]
        keys = group_keys(session, asked, body_part, locations, new)
        asker = Asker(session, catalog.decisions, method, locations, new)
        records = _answers(asker, asked, keys, again, notes, progress)
        for group, answer in zip(groups[len(asked) :], left_out[len(asked) :], strict=True):
            records.append(plain({**left_out_record(session, group, answer), "notes": None, "state": ""}))
        notes += [*session.map_notes(), *session.missing_maps()]
        batch = settle(groups, records, (*session.notes, *notes))
        batch = replace(batch, species=screened.species if screened is not None else "")
    if out is not None:
        text = rows_to_csv(batch.rows)
        table = text.encode("utf-8-sig" if bom else "utf-8")
        replace_together((jsonl_path(out), rows_to_jsonl(batch.rows).encode()), (csv_path(out), table))
    return batch


class Asker:
    """What all queries of a batch have in common. On another computer it opens the same catalog there."""

    def __init__(
        self,
        session: Session,
        decisions: Path | None,
        method: Mapping[str, Any],
        locations: tuple[str, ...],
        new: float | None,
    ) -> None:
        self.session, self.state = session, state_of(session)
        self._given = session.folder
        self._folder = Path(session.folder).absolute()
        self._decisions = None if decisions is None else decisions.absolute()
        self._settings, self._method = session.data.settings.options(), dict(method)
        options = dict(method.get("options") or {})
        if "weights" in options:  # a worker may be started in another folder
            self._method["options"] = {**options, "weights": whole_path(str(options["weights"]))}
        self._locations, self._new = locations, new
        self._memory, self._away = limited_memory(), False
        self._networks, self._found_by = networks_of(session), found_by(session.data)
        self._calibration = repr(session.calibration)

    def ask(self, groups: Sequence[Group]) -> tuple[list[Record], list[Note]]:
        """Return the record of each animal's answer, and notes on search indexes that had to be built."""
        asked = [(n, part, photos) for n, group in enumerate(groups) for part, photos in _by_part(group).items()]
        found: dict[tuple[int, str], Answer | SnowmatchError] = {}
        questions: dict[tuple[int, str], Question] = {}
        for n, part, photos in asked:
            try:
                questions[n, part] = self.question(groups[n], part, photos)
            except SnowmatchError as error:
                found[n, part] = error
        found |= zip(questions, ask_many(self.session, list(questions.values())), strict=True)
        records, made = [], list[Note]()
        for n, group in enumerate(groups):
            first = {part: found[number, part] for number, part, _ in asked if number == n}
            records.append(plain({**_ask_group(self, group, first, made), "state": self.state}))
        return records, made

    def question(self, group: Group, part: str, photos: Sequence[BatchPhoto]) -> Question:
        """Return the question about some photos of a group. Raises SnowmatchError if a value is wrong."""
        return make_question(
            [photo.photo for photo in photos],
            body_part=part,
            locations=self._locations,
            exclude_encounters=group.excluded,
            new=self._new,
        )

    def reason(self, error: SnowmatchError, photos: Sequence[BatchPhoto]) -> str:
        """Return why photos cannot be asked about, with the same paths in each process."""
        text = str(error)
        if self._away and len(photos) == 1 and isinstance(photos[0].photo, str) and not os.path.exists(photos[0].photo):
            return (  # the command has seen it
                f"{photos[0].name} is not seen by the computer {platform.node()} of the cluster: put it into a folder "
                "that all its computers have under the same path"
            )
        for photo in photos:
            if isinstance(photo.photo, Annotation):
                for path in filter(None, (photo.photo.path, photo.photo.mask)):
                    text = text.replace(str(self.session.folder / path), str(self._given / path))
        return text

    def named(self, said: PartAnswer, photos: Sequence[BatchPhoto]) -> PartAnswer:
        """Return an answer whose warnings call the photos by their names in the table, as each process does."""
        paths = {_file(photo, self.session.folder): photo.name for photo in photos}
        texts = list(said.warnings)
        for path in sorted(paths, key=len, reverse=True):
            texts = [text.replace(path, paths[path]) for text in texts]
        return replace(said, warnings=tuple(texts))

    @cached_property
    def animals(self) -> dict[int, Animal]:
        annotations = self.session.data.annotations
        return {a.row: animal for a, animal in zip(annotations, tell_animals(annotations), strict=True)}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("session", "animals")}

    def __setstate__(self, held: dict[str, Any]) -> None:
        self.__dict__.update(held)
        self._away = True
        catalog = open_catalog(self._folder, self._decisions, **self._settings)
        memory = Galleries(loaded=Loaded(self._memory))  # None: the default of this computer
        catalog = replace(catalog, _galleries=memory)
        self.session = catalog.session(**self._method)
        if networks_of(self.session) != self._networks and (there := found_by(catalog.data)) != self._found_by:
            raise SnowmatchError(
                f"the computer {platform.node()} of the cluster finds animals with {there}, expected {self._found_by} "
                "as here: add the same weights there"
            )
        now = state_of(self.session), networks_of(self.session), repr(self.session.calibration)
        if now != (self.state, self._networks, self._calibration):
            raise changed_there(self._folder)


@dataclass(frozen=True)
class AskGroups:
    """The task to ask about some animals."""

    groups: tuple[Group, ...]

    def run(self, asker: Asker) -> tuple[list[Record], list[Note], list[frozenset[str]]]:
        """Return the record of each animal, notes on search indexes, and which maps of each gallery were found damaged
        so far.
        """
        return *asker.ask(self.groups), [gallery.maps.damaged for gallery in asker.session.galleries]

    @property
    def path(self) -> str:
        return self.groups[0].photos[0].name


def _answers(
    asker: Asker,
    groups: Sequence[Group],
    keys: Sequence[str],
    again: bool,
    notes: list[Note],
    progress: Callable[[int, int], None] | None,
) -> list[Record]:
    """Return a record of each group's answer: the kept ones, and those that are asked now and kept."""
    session = asker.session
    kept = {} if again else read_kept(session.folder, keys)
    notes += _notes_on_kept(session, [kept[key] for key in keys if key in kept], len(groups), asker.state)
    records: list[Record] = []
    made: list[Note] = []
    waiting: dict[str, Record] = {}
    saved, withheld = time.monotonic(), 0
    if progress:
        progress(0, len(groups))
    here = not session.fits_memory  # then the workers of a cluster hold the index, and the animals are asked here
    together = AT_ONCE if here else 1
    runs = _runs(list(zip(keys, groups, strict=True)), kept, together)
    found = spread(
        runs, lambda run: None if run[0][0] in kept else AskGroups(tuple(g for _, g in run)), (asker,), here=here
    )
    try:
        for run, told in found:
            asked: list[Record] = []
            if told is not None:
                asked, more, damaged = told
                made += more
                for gallery, maps in zip(session.galleries, damaged, strict=True):
                    gallery.maps.tell_damaged(maps)
            whole = not session.map_notes()  # an answer without a damaged map may be another when the map is mended
            for (key, _), record in zip(run, asked or [kept[key] for key, _ in run], strict=True):
                records.append(record)
                if asked and not record["failed"]:  # a photo that cannot be read now may be readable later
                    if whole:
                        waiting[key] = record
                    withheld += not whole
            if progress:
                progress(len(records), len(groups))
            if time.monotonic() - saved > KEEP_SECONDS:
                _keep(session.folder, waiting, notes)
                saved = time.monotonic()
    except KeyboardInterrupt:
        keep(session.folder, waiting)
        raise
    _keep(session.folder, waiting, notes)
    if withheld:
        text = f"{counted(withheld, 'answer')} not kept for the next batch: foreground maps are damaged"
        notes.append(Note("answers-not-kept", text))
    notes += made_indexes(made)
    about = {"catalog": str(session.folder)}
    of_answers = [record["notes"] for record in records if record["notes"] is not None]
    common = [[Note(code, text, {**data, **about}) for code, text, data in each] for each in of_answers]
    notes += sorted(_in_all(common), key=lambda note: note.text)
    return records


def _runs(
    pairs: Sequence[tuple[str, Group]], kept: Mapping[str, Record], most: int
) -> Iterator[list[tuple[str, Group]]]:
    """Yield the groups in their order, those together that are asked together. A kept answer is a run of its own."""
    together: list[tuple[str, Group]] = []
    for key, group in pairs:
        if together and (key in kept or len(together) == most):
            yield together
            together = []
        if key in kept:
            yield [(key, group)]
        else:
            together.append((key, group))
    if together:
        yield together


def _keep(folder: Path, waiting: dict[str, Record], notes: list[Note]) -> None:
    """Store the records that wait to be stored; if the catalog cannot be written, a note says so once."""
    try:
        keep(folder, waiting)
    except SnowmatchError as error:
        if all(note.code != "answers-not-kept" for note in notes):
            notes.append(Note("answers-not-kept", f"the answers are not kept for the next batch: {error}"))
    waiting.clear()


def _notes_on_kept(session: Session, kept: Sequence[Record], total: int, state: str) -> list[Note]:
    if not kept:
        return []
    text = f"{len(kept)} of {counted(total, 'animal')} were answered by an earlier run, and their answers are kept"
    if older := sum(record["state"] != state for record in kept):
        text += f"; {older} of them before other unidentified annotations were added or removed"
    return [Note("answers-kept", text, {"kept": len(kept), "older": older, "catalog": str(session.folder)})]


def _in_all(told: Sequence[Sequence[Note]]) -> list[Note]:
    """Return the notes that are in each of several lists, with the data that they have in the first; no lists: none."""
    if not told:
        return []
    every = set.intersection(*map(set, told))
    return [note for note in told[0] if note in every]


def _without_catalog(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a note is about without the catalog's path, by which another process or run calls it otherwise."""
    return {name: value for name, value in data.items() if name != "catalog"}


def _by_part(group: Group) -> dict[str, list[BatchPhoto]]:
    """Return the photos of each body part that a group shows, in the order of the body parts."""
    parts: dict[str, list[BatchPhoto]] = defaultdict(list)
    known = {photo.body_part for photo in group.photos} - {"unknown"}
    for photo in group.photos:
        parts[next(iter(known)) if len(known) == 1 else photo.body_part].append(photo)
    return {part: parts[part] for part in sorted(parts, key=BODY_PARTS.index)}


def _ask_group(
    asker: Asker, group: Group, first: dict[str, Answer | SnowmatchError], made: list[Note]
) -> dict[str, Any]:
    """Return the record of one animal's answer: its row, whom it names, failed photos, and common notes of its queries.

    One query is asked for each body part that the photos show. first: the answer about all photos of each, or the error
    instead. made: takes the notes on search indexes that had to be built. Without a query, `notes` is None.
    """
    session, parts = asker.session, _by_part(group)
    every: list[PartAnswer] = []
    failed: list[tuple[str, str]] = []
    bare: list[str] = []
    notes: list[list[Note]] = []
    for part in parts:

        def ask_photos(some: Sequence[BatchPhoto], part: str = part) -> Answer:
            known = first.pop(part, None)
            if known is None:
                known = ask_many(session, [asker.question(group, part, some)])[0]
            if isinstance(known, SnowmatchError):
                raise known
            made.extend(note for note in known.notes if note.code == "index-made")
            return known

        answer = _ask_readable(asker, ask_photos, parts[part], failed, bare)
        if answer is not None:
            every.append(asker.named(part_answer(part, answer, asker.animals), group.photos))
            # those of the session are told anew by each run: they may be wrong when the answer is used again
            notes.append([n for n in answer.notes if n not in session.notes and n.code not in OF_CATALOG])
    row, who = join(session, group, tuple(parts), every, failed, bare)
    common = [(note.code, note.text, _without_catalog(note.data)) for note in _in_all(notes)] if notes else None
    told = common and sorted(common, key=lambda note: note[:2])
    return {"row": asdict(row), "who": who, "failed": failed, "notes": told}


def _ask_readable(
    asker: Asker,
    ask: Callable[[Sequence[BatchPhoto]], Answer],
    photos: Sequence[BatchPhoto],
    failed: list[tuple[str, str]],
    bare: list[str],
) -> Answer | None:
    """Return the answer for those photos that can be read; None if none can be read. The others go to `failed`.

    Photos without features, which had no vote, go to `bare`.
    """
    try:
        answer = ask(photos)
    except SnowmatchError as error:
        if len(photos) == 1:
            failed.append((photos[0].name, asker.reason(error, photos)))
            return None
        left = []  # the error does not say which of several photos it is about
        for photo in photos:
            try:
                ask([photo])
                left.append(photo)
            except SnowmatchError as reason:
                failed.append((photo.name, asker.reason(reason, [photo])))
        if len(left) == len(photos):
            raise
        return _ask_readable(asker, ask, left, failed, bare) if left else None
    empty = {photo.path for photo in answer.photos if not photo.features}
    bare += [photo.name for photo in photos if _file(photo, asker.session.folder) in empty]
    return answer


def _file(photo: BatchPhoto, folder: Path) -> str:
    return str(folder / photo.photo.path) if isinstance(photo.photo, Annotation) else photo.photo
