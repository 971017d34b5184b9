"""Photos that a page sent, before they are in the catalog: kept under `.snowmatch/uploads`, by their content."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from snowmatch.catalog.records import paths_with as paths_with
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, make_folder, replace_file
from snowmatch.core.home import home_of
from snowmatch.core.plain import read_summed_json, with_json_sum
from snowmatch.core.types import BBox
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.facts import read_facts
from snowmatch.photos.formats import open_photo
from snowmatch.photos.pixels import read_photo, read_small
from snowmatch.screening.finders import AUTO, choose_finders
from snowmatch.screening.flank import UNKNOWN, Flanks, flank_of
from snowmatch.screening.locate import find_boxes
from snowmatch.screening.scenes import LEAST, animal_map

LARGEST = 64 << 20  # bytes of one photo
MOST_PIXELS = 120_000_000  # of one photo: the largest sensors of cameras have 100 megapixels
KEPT_DAYS = 30  # after which a photo is forgotten here, added or not
ENDINGS = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "TIFF": ".tif",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "HEIF": ".heic",
}
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Upload:
    """One photo. name: as the person's computer calls it. size: width, height (px). taken: ISO 8601, of EXIF, or ""."""

    id: str
    name: str
    ending: str
    sha256: str
    size: tuple[int, int]
    taken: str


def uploads_path(folder: Path) -> Path:
    """Return the folder of all uploads of the catalog in `folder`."""
    return home_of(folder) / "uploads"


def upload_file(folder: Path, upload: Upload) -> Path:
    """Return the file of an upload."""
    return uploads_path(folder) / f"{upload.id}{upload.ending}"


def keep_upload(folder: Path, content: bytes, name: str) -> Upload:
    """Keep a photo, and return it. The same content is kept once.

    Raises SnowmatchError if it is not a photo that can be read to its end, or is too large: an archive, a drawing with
    scripts or a few bytes that stand for a gigantic picture are refused before anything of them is kept.
    """
    called = _printable_name(name)
    if len(content) > LARGEST:
        text = f"{called} has {len(content) >> 20} MB, expected at most {LARGEST >> 20}: save it as JPEG"
        raise SnowmatchError(text, "upload-large", name=called, count=LARGEST >> 20)
    digest = sha256(content).hexdigest()
    place = uploads_path(folder)
    make_folder(place)
    trial = place / f".{secrets.token_hex(8)}.tmp"
    try:
        trial.write_bytes(content)
        with open_photo(trial) as image:
            ending, pixels = ENDINGS.get(image.format or "", ""), image.width * image.height
        if not ending or pixels > MOST_PIXELS:
            most = MOST_PIXELS // 10**6
            text = f"{trial} has {pixels // 10**6} megapixels, expected at most {most}: make it smaller"
            raise SnowmatchError(text, "photo-pixels", photo=str(trial), count=most)
        small = read_small(trial, 160)
        facts = read_facts(trial)
        size = facts.image_size or (small.shape[1], small.shape[0])
        taken = facts.taken.isoformat(timespec="seconds") if facts.taken else ""
        upload = Upload(digest[:32], called, ending, digest, size, taken)
        os.replace(trial, upload_file(folder, upload))
    except SnowmatchError as error:
        data = {
            n: value.replace(str(trial), called) if isinstance(value, str) else value for n, value in error.data.items()
        }
        raise SnowmatchError(str(error).replace(str(trial), called), error.code, **data) from None
    except OSError as error:
        why = error.strerror or str(error)
        text = f"{called} cannot be kept in {place}: {why}"
        raise SnowmatchError(text, "upload-not-kept", name=called, place=str(place), reason=why) from error
    finally:
        with suppress(OSError):
            trial.unlink()
    replace_file(
        place / f"{upload.id}.json", lambda file: file.write(json.dumps(with_json_sum(asdict(upload))).encode())
    )
    return upload


def find_upload(folder: Path, name: str) -> Upload:
    """Return the upload with this identifier. Raises SnowmatchError if there is none (any more)."""
    try:
        if not _ID.fullmatch(name):
            raise ValueError(name)
        values = read_summed_json((uploads_path(folder) / f"{name}.json").read_text(encoding="utf-8"))
        upload = Upload(**{**values, "size": tuple(values["size"])})
        texts = all(isinstance(text, str) for text in (upload.name, upload.sha256, upload.taken))
        sides = [n for n in upload.size if type(n) is int and n > 0]
        if not texts or len(sides) != 2 or upload.id != name or upload.ending not in ENDINGS.values():
            raise ValueError(name)
        status = upload_file(folder, upload).stat()
        if _content_of(upload_file(folder, upload), status.st_size, status.st_mtime_ns) != upload.sha256:
            raise ValueError(name)
    except (OSError, ValueError, TypeError, KeyError, SnowmatchError):
        raise SnowmatchError("this photo is not here any more: choose it again", "upload-gone") from None
    return upload


@lru_cache(1000)
def _content_of(path: Path, size: int, changed: int) -> str:
    return file_sha256(path)


def camera_of(folder: Path, upload: Upload) -> str:
    """Return the serial number of the camera that took a photo, of EXIF; "" if it is not known."""
    return read_facts(upload_file(folder, upload)).serial


def forget_old_uploads(folder: Path) -> int:
    """Delete what was kept longer than KEPT_DAYS, and return the number of files."""
    count, oldest = 0, time.time() - KEPT_DAYS * 86400
    place = uploads_path(folder)
    with suppress(OSError):
        for path in sorted(place.rglob("*")) if not place.is_symlink() else ():
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()
                count += 1
    return count


def guess_body_part(path: Path, box: BBox | None) -> tuple[str, float] | None:
    """Return the flank that the animal in a box shows, and how sure that is; None if nothing here can tell.

    box: None lets the classifier find the animal first. Only the part inside the photo counts.
    """
    try:
        photo = read_photo(path)
        size = photo.shape[1], photo.shape[0]
        box = box or _found_box(path, size)
        if box is None:
            return None
        name, probability = flank_of(Flanks().left(photo, clip_bbox(box, size)))
    except SnowmatchError:  # without the network's weights, or in a box outside the photo, nobody guesses
        return None
    return (name, probability) if name != UNKNOWN else None


def _found_box(path: Path, size: tuple[int, int]) -> BBox | None:
    classifier = choose_finders(AUTO).classifier
    if classifier is None:
        return None
    seen = animal_map(classifier.classify(read_small(path, LEAST)))
    return None if seen is None else next(iter(find_boxes(seen, size)), None)


def _printable_name(name: str) -> str:
    short = Path(name.replace("\\", "/")).name.strip()[:120]
    return "".join(c if c.isprintable() else "_" for c in short) or "photo"
