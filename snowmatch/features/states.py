"""Whether each annotation's features are there, missing, stale or failed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import Fingerprint, annotation_key, load_records
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import HOME
from snowmatch.features.reader import open_features


@dataclass(frozen=True)
class AnnotationState:
    """Whether one annotation has features: `indexed`, `missing`, `stale` or `failed`.

    key is that of its features where it is indexed, else None. photo_sha256 is its photo's content, as far as that is
    known and current, else "".
    """

    state: str
    key: str | None
    photo_sha256: str


def catalog_state(data: CatalogData, described: dict[str, Any]) -> tuple[AnnotationState, ...]:
    """The state of every annotation (in the catalog's order) for an extractor with these settings.

    `missing`: never indexed with these settings. `stale`: photo, mask or box have changed since. `failed`: listed as a
    failure. Looks at the files' sizes and times only, except for the few that were written just before they were
    hashed: those are read again. Writes nothing.
    """
    records = load_records(data.folder)
    reader = open_features(Path(data.folder) / HOME / "features", described)
    current: dict[tuple[str, bool], str | None] = {}

    def content(path: str, known: dict[str, Fingerprint], photo: bool) -> str | None:
        """The file's sha256; None where it is not what is on record."""
        if (path, photo) not in current:
            current[path, photo] = _current(Path(data.folder) / path, known.get(path))
        return current[path, photo]

    keys: list[str | None] = []
    for a in data.annotations:
        photo = content(a.path, records.photos, True)
        mask = content(a.mask, records.masks, False) if a.mask else ""
        keys.append(None if photo is None or mask is None else annotation_key(photo, a.bbox, mask))
    # Photos' contents stored under no current annotation's key: what a changed photo, box or mask leaves behind
    left_over = {key[:16] for key in set(reader.keys).difference(k for k in keys if k is not None)}
    states = []
    for a, key in zip(data.annotations, keys, strict=True):
        content_now, known = current[a.path, True], records.photos.get(a.path)
        replaced = known is not None and content_now is None and os.path.exists(Path(data.folder) / a.path)
        if key is not None and key in reader:
            state = "indexed"
        elif a.path in records.failures and not replaced:
            state = "failed"
        elif known is not None and (known.sha256[:16] in left_over or (records.key(a) or "") in reader):
            state = "stale"
        else:
            state = "missing"
        states.append(AnnotationState(state, key if state == "indexed" else None, content_now or ""))
    return tuple(states)


def _current(path: Path, known: Fingerprint | None) -> str | None:
    """The sha256 of a file that is as it is on record, else None."""
    if known is None:
        return None
    try:
        if not known.matches(path.stat()):
            return None
        return known.sha256 if not known.racy or file_sha256(path) == known.sha256 else None
    except (OSError, SnowmatchError):  # gone or unreadable: the index run lists why
        return None
