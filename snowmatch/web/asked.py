"""Questions about uploaded photos. A question has an address: it is kept, and answered again when the server forgot."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from snowmatch.api import CellError, read_box
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import make_folder, replace_file
from snowmatch.core.plain import read_summed_json, with_json_sum
from snowmatch.core.types import BODY_PARTS, BBox
from snowmatch.review.uploads import find_upload, upload_file, uploads_path
from snowmatch.views.text import Answer
from snowmatch.web.state import State

MOST_PHOTOS = 50  # of one question: a burst of a camera has ten, seldom more
TOP = 5
LAST = 20  # answers that the server remembers
_ID = re.compile(r"[0-9a-f]{20}")


@dataclass(frozen=True)
class Asked:
    """One question: photos of one animal in one encounter, and what the person said about them.

    photos: identifiers of uploads. boxes: one for each, or None. Empty texts are not known. extractor: "" for the
    catalog's own.
    """

    photos: tuple[str, ...]
    boxes: tuple[BBox | None, ...]
    body_part: str
    location: str
    station: str
    timestamp: str
    extractor: str

    @property
    def id(self) -> str:
        """The identifier of the question: equal questions are one."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:20]


def read_question(values: Mapping[str, Any]) -> Asked:
    """Return the question that a page sent. Raises SnowmatchError for anything that a page does not send."""
    photos, boxes = values.get("photos"), values.get("boxes")
    if not (isinstance(photos, list) and isinstance(boxes, list) and 0 < len(photos) == len(boxes) <= MOST_PHOTOS):
        raise SnowmatchError(
            f"expected 1 to {MOST_PHOTOS} photos of one animal: choose some", "photos-of-one-animal", count=MOST_PHOTOS
        )
    if not all(isinstance(name, str) for name in photos):
        raise SnowmatchError("a photo is named by its identifier: choose it again")
    texts = {}
    for name in ("body_part", "location", "station", "timestamp", "extractor"):
        text = values.get(name, "")
        if not isinstance(text, str) or len(text) > 200:
            raise SnowmatchError(f"{name} is not a text that can be asked about")
        texts[name] = text.strip()
    if texts["body_part"] and texts["body_part"] not in BODY_PARTS:
        raise SnowmatchError(f"{texts['body_part']!r} is not a body part; expected one of {', '.join(BODY_PARTS)}")
    if texts["timestamp"]:
        try:
            moment = datetime.fromisoformat(texts["timestamp"]).replace(tzinfo=None)
        except ValueError:
            raise SnowmatchError(f"{texts['timestamp']!r} is not a time; expected such as 2026-05-04T21:03") from None
        texts["timestamp"] = moment.isoformat(timespec="seconds")
    return Asked(tuple(photos), tuple(_box(box) for box in boxes), **texts)


def _box(box: Any) -> BBox | None:
    if box is None:
        return None
    if not isinstance(box, list) or len(box) != 4 or not all(type(n) in (int, float) for n in box):
        raise SnowmatchError(f"{str(box)[:60]} is not a box; expected x, y, width and height in px")
    try:
        found = read_box(",".join(f"{n:.0f}" if abs(n) < 1e9 else "x" for n in box))
    except CellError as error:
        raise SnowmatchError(f"the box {box}: {error}") from None
    return found if isinstance(found, tuple) else None


def keep_question(folder: Path, asked: Asked) -> str:
    """Keep a question, and return its identifier. Raises SnowmatchError if one of its photos is not here."""
    for name in asked.photos:
        find_upload(folder, name)
    place = uploads_path(folder) / "questions"
    make_folder(place)
    replace_file(place / f"{asked.id}.json", lambda file: file.write(json.dumps(with_json_sum(asdict(asked))).encode()))
    return asked.id


def find_question(folder: Path, name: str) -> Asked:
    """Return a kept question. Raises SnowmatchError if there is none."""
    try:
        if not _ID.fullmatch(name):
            raise ValueError(name)
        values = read_summed_json((uploads_path(folder) / "questions" / f"{name}.json").read_text(encoding="utf-8"))
        return read_question(values)
    except (OSError, ValueError, AttributeError):
        raise SnowmatchError("there is no such answer any more: ask again", "answer-gone") from None


@dataclass(frozen=True, eq=False)
class _Kept:
    """An answer, with the session that gave it and the catalog's files as they were before (see `catalog_files`)."""

    session: object
    files: object
    answer: Answer


class Answers:
    """The last answers of a server. One question at a time is answered: each uses all cores."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def of(self, state: State, asked: Asked) -> Answer:
        """Return the answer to a question, for the catalog as it is. Raises SnowmatchError as a query does."""
        files_then, session = state.catalog_files(), state.session(asked.extractor or None)
        with self._lock:
            found = self._kept.get(asked.id)
            if found is not None and found.session is session:
                self._kept.move_to_end(asked.id)
                return found.answer
            files = [upload_file(state.folder, find_upload(state.folder, name)) for name in asked.photos]
            answer = state.catalog().query(
                files,
                session=session,
                body_part=asked.body_part or None,
                locations=_listed(asked.location),
                station=asked.station or None,
                timestamp=datetime.fromisoformat(asked.timestamp) if asked.timestamp else None,
                bbox=list(asked.boxes) if any(box is not None for box in asked.boxes) else None,
                top=TOP,
            )
            self._kept[asked.id] = _Kept(session, files_then, answer)
            while len(self._kept) > LAST:
                self._kept.popitem(last=False)
            return answer

    def shown(self, state: State, asked: Asked) -> Answer:
        """Return the answer as a page shows it, also of before the last decisions; a new one if files have changed.

        Raises SnowmatchError as a query does.
        """
        found = self._kept.get(asked.id)
        return found.answer if found is not None and found.files == state.catalog_files() else self.of(state, asked)


def _listed(location: str) -> Sequence[str]:
    return (location,) if location else ()
