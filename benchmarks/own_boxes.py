"""The boxes that snowmatch finds in the photos of a catalog, as `snowmatch index` does with the default settings."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import cv2

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.plugins import settings_key
from snowmatch.core.types import BBox
from snowmatch.photos.facts import read_facts
from snowmatch.screening.finders import AUTO, choose_finders
from snowmatch.screening.locate import boxes_of
from snowmatch.screening.scenes import companions, look


def found_boxes(source: Path, paths: Collection[str], work: Path) -> dict[str, BBox | None]:
    """Return the first box found in each photo of `paths`, None where none is found; {} without paths.

    source: a catalog; all its photos can be companions. Boxes, masks and names on record are not used. The result is
    kept in `work`. It is made again if a photo or the networks change. Raises SnowmatchError if a photo cannot be read.
    """
    bare = [replace(a, bbox=None, mask="", left_out="") for a in open_catalog(source, boxes=False).data.annotations]
    finders = choose_finders(AUTO)
    contents = {a.path: file_sha256(source / a.path) for a in bare}
    seen = [photo for photo in companions(bare, contents) if photo.photo[0] in paths]
    kept = work / "found" / f"{settings_key({'marks': [photo.mark(finders.mark) for photo in seen]})}.json"
    if not kept.exists():
        boxes: dict[str, BBox | None] = {}
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            for photo in seen:
                path = photo.photo[0]
                looked = look(source, photo, finders)
                if not looked.complete:
                    raise SnowmatchError(f"{path} or a photo of its place cannot be read, expected readable photos")
                boxes[path] = next(iter(boxes_of(looked.found, read_facts(source / path).image_size)), None)
        finally:
            cv2.setNumThreads(threads)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(boxes), encoding="utf-8")
    held = json.loads(kept.read_text(encoding="utf-8"))
    return {path: None if box is None else tuple(box) for path, box in held.items()}
