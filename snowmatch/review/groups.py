"""The queries of a batch: the animals of each encounter with their photos."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snowmatch.catalog.encounters import group_shots, unused
from snowmatch.catalog.folders import find_photos
from snowmatch.catalog.shots import Shot
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation
from snowmatch.decisions.who import is_name
from snowmatch.identify.session import Session
from snowmatch.matching.gallery import Animal, tell_animals
from snowmatch.photos.facts import NO_FACTS, PhotoFacts, read_facts
from snowmatch.photos.likeness import photo_likeness


@dataclass(frozen=True)
class BatchPhoto:
    """One photo of an animal.

    name: its path in the table.
    photo: the file with its whole path, since a worker may be started in another folder, or the annotation of the
    catalog.
    content: sha256 of the file; "" if it cannot be read.
    beside: other individuals that the catalog has in the same photo.
    taken: when, by the camera's clock.
    """

    name: str
    photo: str | Annotation
    body_part: str
    content: str
    beside: tuple[str, ...] = ()
    taken: datetime | None = None


@dataclass(frozen=True)
class Group:
    """One animal of one encounter.

    animal: number of the animal in the encounter, from 1.
    excluded: encounters of the catalog that belong to the same passage and therefore may not answer.
    """

    encounter: str
    animal: int
    photos: tuple[BatchPhoto, ...]
    excluded: tuple[str, ...] = ()


def unidentified_groups(session: Session, body_part: str | None) -> list[Group]:
    """Return the animals of all annotations without a name, sorted by encounter.

    body_part: the body part of annotations for which the catalog has none.
    """
    wanted = {a.row: a.path for a in session.data.annotations if not is_name(a.individual)}
    return _recorded_groups(session, wanted, body_part)


def photo_groups(
    session: Session, photos: Sequence[str | Path], body_part: str | None, notes: list[Note]
) -> list[Group]:
    """Return the animals in photos and in folders (with their subfolders), sorted by encounter.

    A photo that is in the catalog becomes its annotations there. The other photos of one folder are of one camera, and
    the catalog's rule divides them into encounters. If photos of the catalog belong to such an encounter, their
    encounters may not answer. Raises SnowmatchError if a path does not exist or a folder contains no photos.

    body_part: the body part of photos for which the catalog has none.
    notes: gets a note for each photo that was left out.
    """
    wanted: dict[int, str] = {}
    shots: list[Shot] = []
    given: dict[str, tuple[BatchPhoto, frozenset[str]]] = {}
    masks = {os.path.abspath(session.folder / a.mask) for a in session.data.annotations if a.mask}
    seen: dict[str, str] = {}  # the path of each content that is not on record
    names = _expand(photos, notes)
    kept = [name for name in names if os.path.abspath(name) not in masks]
    if len(kept) < len(names):
        text = f"{counted(len(names) - len(kept), 'mask')} of the catalog skipped: masks are not photos"
        notes.append(Note("masks-left-out", text, {"count": len(names) - len(kept)}))
    for name in kept:
        content, facts = _look_at(Path(name))
        rows = session.rows_of(content, Path(name)) if content else []
        if same := next((wanted[row.row] for row in rows if row.row in wanted), None):
            text = f"{name} is the same photo as {same}: used once"
            notes.append(Note("given-twice", text, {"photo": name, "same": same}))
        elif content and not rows and (same := seen.setdefault(content, name)) != name:
            notes.append(
                Note("given-twice", f"{name} is the same photo as {same}: used once", {"photo": name, "same": same})
            )
            continue
        wanted.update({row.row: name for row in rows if row.row not in wanted})
        photo = BatchPhoto(name, os.path.abspath(name), body_part or "unknown", content, taken=facts.taken)
        given[name] = photo, frozenset(row.encounter for row in rows)
        folder = Path(name).parent.as_posix()
        camera = facts.serial or _camera_of(folder)
        shots.append(Shot(name, folder, camera=camera, taken=facts.taken, likeness=facts.likeness))
    groups = _recorded_groups(session, wanted, body_part)
    used = {a.encounter for a in session.data.annotations}
    encounters, told = group_shots(shots, session.data.settings)
    fresh_timeless = sum(shot.taken is None and not given[shot.name][1] for shot in shots)
    notes += [note for note in told if note.code != "no-station" and (note.code != "no-times" or fresh_timeless > 1)]
    joined: list[int] = []  # number of photos of each passage that only their folder and their times made one
    for encounter in encounters:
        passage = [shots[n] for n in encounter.shots]
        fresh = [shot for shot in passage if not given[shot.name][1]]
        if fresh:
            recorded = sorted(set().union(*(given[shot.name][1] for shot in passage)))
            group = tuple(given[shot.name][0] for shot in fresh)
            if len(fresh) > 1 and fresh[0].taken is not None and fresh[0].camera == _camera_of(fresh[0].folder):
                joined.append(len(fresh))
            groups.append(Group(unused(_encounter_name(fresh[0]), used), 1, group, tuple(recorded)))
    if joined:
        text = (
            f"{counted(len(joined), 'passage')} of several photos without a camera's serial number ({sum(joined)} "
            f"photos): photos of one folder at most {session.data.settings.encounter_gap:g} minutes apart are taken as "
            "one animal; if a folder shows several animals in that time, give each its own folder, or import them"
        )
        notes.append(Note("passages-by-folder", text, {"passages": len(joined), "photos": sum(joined)}))
    return sorted(groups, key=lambda group: (group.encounter, group.animal))


def _camera_of(folder: str) -> str:
    """Return the camera of the photos of a folder that do not say it: one folder is one camera's."""
    return f"folder {folder}"


def _encounter_name(first: Shot) -> str:
    """Return the name of an encounter that is not on record, after its first photo."""
    place = "" if first.folder == "." else f"{first.folder} "
    return f"{place}{first.taken.isoformat()}" if first.taken is not None else f"photo {first.name}"


def _recorded_groups(session: Session, wanted: Mapping[int, str], body_part: str | None) -> list[Group]:
    """Return the animals of some rows of the catalog, sorted by encounter.

    wanted: the path of the photo in the table, by row number.
    """
    annotations = session.data.annotations
    animals = tell_animals(annotations)
    individuals: dict[str, set[str]] = defaultdict(set)
    everybody: dict[str, set[Animal]] = defaultdict(set)
    for a, animal in zip(annotations, animals, strict=True):
        everybody[a.encounter].add(animal)
        if a.individual is not None:
            individuals[a.path].add(a.individual)
    photos: dict[tuple[str, int], list[BatchPhoto]] = defaultdict(list)
    for a, animal, state in zip(annotations, animals, session.states, strict=True):
        if a.row in wanted:
            # Unidentified animals first: their numbers are then the same, with or without queries for named animals
            order = sorted(everybody[a.encounter], key=lambda who: (who[0] is not None, who[0] or "", who[2]))
            part = a.body_part if a.body_part != "unknown" or body_part is None else body_part
            content = state.photo_sha256 or _look_at(session.folder / a.path)[0]
            beside = tuple(sorted(individuals[a.path] - {a.individual}))
            photo = BatchPhoto(wanted[a.row], a, part, content, beside, a.timestamp)
            photos[a.encounter, order.index(animal) + 1].append(photo)
    return [Group(*key, tuple(sorted(photos[key], key=lambda photo: photo.name))) for key in sorted(photos)]


def _expand(photos: Sequence[str | Path], notes: list[Note]) -> list[str]:
    """Return the path of every photo once, sorted. A folder stands for all photos in it and its subfolders."""
    if not photos:
        raise SnowmatchError("no photos: expected photos or folders of photos")
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


def _look_at(path: Path) -> tuple[str, PhotoFacts]:
    """Return the sha256 and the facts of a photo, as far as they can be read. The query reports the reason."""
    content, facts = "", NO_FACTS
    try:
        content = file_sha256(path)
        facts = read_facts(path)
        if facts.taken is None:  # then what it looks like tells which photos belong together
            facts = facts._replace(likeness=photo_likeness(path))
    except SnowmatchError:
        pass
    return content, facts
