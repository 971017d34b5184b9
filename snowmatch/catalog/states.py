"""The states of annotations: indexed, missing, stale or failed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snowmatch.catalog.records import Fingerprint, Records, annotation_key, current_status
from snowmatch.core.notes import Note
from snowmatch.core.text import counted
from snowmatch.core.types import Annotation

STATES = ("indexed", "missing", "stale", "failed")


class AnnotationState(NamedTuple):  # one for each annotation: a tuple is made faster than a dataclass
    """The state of one annotation: `indexed`, `missing`, `stale` or `failed`.

    key: the key of its features if it is indexed; None otherwise.
    photo_sha256: sha256 of its photo; "" if it is not recorded or the photo has changed.
    other_time: the photo's time differs from the record, but its content is the same.
    """

    state: str
    key: str | None
    photo_sha256: str
    other_time: bool = False


def annotation_states(
    folder: Path, annotations: Sequence[Annotation], records: Records, stored: Collection[str]
) -> tuple[AnnotationState, ...]:
    """Return the state of every annotation of the catalog in `folder`.

    stored: the keys of the stored features of one extractor.

    `indexed`: the features are stored and current. `missing`: never indexed with these settings. `stale`: photo, mask
    or box have changed since the last index run. `failed`: recorded as a failure.

    The function compares the sizes and times of the files. It reads only files whose time has changed, as in a copied
    catalog, and the few that were written just before they were hashed. It writes nothing.
    """
    stored, home = frozenset(stored), f"{os.fspath(folder)}/"
    photos: dict[str, str | None] = {}
    masks: dict[str, str | None] = {}
    other_times: set[str] = set()

    def look(path: str, taken: Fingerprint | None) -> str | None:
        """Return the file's sha256; None if the file has no record or has changed since."""
        if taken is None or (status := current_status(home + path, taken)) is None:
            return None
        if status.st_mtime_ns != taken.mtime_ns and not taken.racy:
            other_times.add(path)
        return taken.sha256

    states: list[AnnotationState] = []
    keys: list[str | None] = []
    for a in annotations:
        path, mask = a.path, a.mask
        photo = photos[path] if path in photos else photos.setdefault(path, look(path, records.photos.get(path)))
        if mask and mask not in masks:
            masks[mask] = look(mask, records.masks.get(mask))
        drawn = masks[mask] if mask else ""
        key = None if photo is None or drawn is None else annotation_key(photo, a.bbox, drawn)
        keys.append(key)
        moved = path in other_times
        if key is not None and key in stored:
            states.append(AnnotationState("indexed", key, photo or "", moved))
        else:
            states.append(AnnotationState("missing", None, photo or "", moved))
    if left := [n for n, state in enumerate(states) if state.key is None]:
        # Photos with stored features that belong to no current annotation, because content, box or mask has changed
        left_over = {key[:16] for key in stored.difference(keys)}
        for n in left:
            a, content = annotations[n], photos[annotations[n].path]
            known = records.photos.get(a.path)
            replaced = known is not None and content is None and os.path.exists(folder / a.path)
            if a.path in records.failures and not replaced:
                states[n] = states[n]._replace(state="failed")
            elif known is not None and (known.sha256[:16] in left_over or (records.key(a) or "") in stored):
                states[n] = states[n]._replace(state="stale")
    return tuple(states)


def state_notes(folder: Path, states: Sequence[AnnotationState], extractor: Mapping[str, Any]) -> list[Note]:
    """Return one note with the count for each state missing, stale and failed, and for copied photos.

    extractor: the settings of the extractor whose features `states` are about, or those of several that are combined.
    """
    about = {"catalog": str(folder), "extractor": extractor["name"], "settings": extractor}
    texts = {
        "missing": "not indexed yet and therefore not compared",
        "stale": "changed since the last index run and therefore not compared",
        "failed": "could not be indexed and therefore not compared",
    }
    moved, found = sum(s.other_time for s in states), Counter(s.state for s in states)
    text = (
        f"{counted(moved, 'annotation')} of photos with other times than in the last index run (copied, perhaps), but "
        "with the same content: until the next index run, these photos are read each time"
    )
    copied = [Note("copied-annotations", text, about | {"count": moved})] if moved else []
    counts = {state: found[state] for state in texts}
    return copied + [
        Note(
            f"{state}-annotations",
            f"{counted(count, 'annotation')} {texts[state]}",
            about | {"count": count},
        )
        for state, count in counts.items()
        if count
    ]
