"""COCO: camera-trap data sets of LILA, and the data sets with individuals that wbia writes.

Source: "COCO Camera Traps", https://github.com/agentmorris/MegaDetector, and wildlife-datasets' readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from snowmatch.catalog.species import NO_ANIMAL, NOTHING, PEOPLE, label_of
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import Imported, ImportedRow, Named
from snowmatch.core.notes import Note
from snowmatch.core.text import counted, some
from snowmatch.interchange.importers._json import json_object, read_json
from snowmatch.interchange.importers._values import Box, as_text, side, with_persons

IDENTITY = ("individual_id", "individual_name", "individual", "identity", "name")
KEYS = {"images", "annotations", "categories"}
SIDES = ("viewpoint", "position", "body_part", "orientation")
USED = {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd", *IDENTITY, *SIDES}


@dataclass(frozen=True)
class Coco:
    """A COCO data set: its JSON file, or a folder with annotations/*.json.

    identity: the key of an annotation that names the individual; "" takes the first usual one that has a value.
    """

    REVISION: ClassVar[int] = 1
    FORMAT: ClassVar[str] = "COCO (Camera Traps; JSON)"

    identity: str = ""

    def looks_like(self, source: Path) -> float:
        """Return 0.9 for a JSON file with the three lists of COCO, or a folder with one."""
        return 0.9 * any(set(json_object(path)) >= KEYS for path in _files(source))

    def read(self, source: Path) -> Imported:
        """Return one row for each annotation. Raises SnowmatchError for other files."""
        files = _files(source)
        if not files:
            raise SnowmatchError(f"{source} has no annotations/*.json, expected a COCO data set")
        rows: list[ImportedRow] = []
        problems: list[str] = []
        left_out: Counter[str] = Counter()
        persons: set[str] = set()  # photos of them
        unread: list[str] = []  # annotations with an outline that is not read
        photos: dict[Named, None] = {}
        sets: dict[str, Path] = {}  # the data set of each photo
        for path in files:
            data = read_json(path)
            about = data if isinstance(data, dict) else {}
            images, annotations, categories = (about.get(key) for key in ("images", "annotations", "categories"))
            if not (isinstance(images, list) and isinstance(annotations, list) and isinstance(categories, list)):
                raise SnowmatchError(f"{path} has not the lists images, annotations and categories of COCO")
            made = self._rows(path, images, annotations, categories, problems, left_out, unread, persons)
            for row in made:
                if (other := sets.setdefault(row.photo, path.parent.parent)) != path.parent.parent:
                    raise SnowmatchError(
                        f"{other} and {path.parent.parent} both have a photo {row.photo!r}: import one after the other"
                    )
            rows += made
            names = (image.get("file_name") for image in images if isinstance(image, dict))
            photos |= {(name, ()): None for name in names if isinstance(name, str) and name}
        folders = [
            folder for path in files for folder in (path.parent, path.parent.parent, path.parent.parent / "images")
        ]
        notes = with_persons(persons & {row.photo for row in rows})
        if unread:
            text = f"{counted(len(unread), 'annotation')} without a box, since the outline is run-length encoded (RLE)"
            notes.append(Note("outlines-not-read", f"{text}: {some(unread)}", {"count": len(unread)}))
        return Imported(
            tuple(rows), tuple(dict.fromkeys(folders)), (), tuple(notes), tuple(problems), dict(left_out),
            photos=tuple(photos),
        )  # fmt: skip

    def _rows(
        self, path: Path, images: list[Any], annotations: list[Any], categories: list[Any], problems: list[str],
        left_out: Counter[str], unread: list[str], persons: set[str],
    ) -> list[ImportedRow]:  # fmt: skip
        names = {as_text(c.get("id")): as_text(c.get("name")) for c in categories if isinstance(c, dict)}
        photos: dict[str, dict[str, Any]] = {}
        for number, image in enumerate(images):
            if not isinstance(image, dict) or not isinstance(image.get("file_name"), str) or not image["file_name"]:
                problems.append(f"{path.name} image {number + 1}: no file_name; expected the photo's path")
            elif photos.setdefault(as_text(image.get("id")), image) is not image:
                problems.append(f"{path.name} image {number + 1}: the id {image.get('id')!r} occurs twice")
        rows = []
        seen: set[str] = set()
        for number, one in enumerate(annotations):
            where = f"{path.name} annotation {number + 1}"
            image = photos.get(as_text(one.get("image_id"))) if isinstance(one, dict) else None
            if image is None:
                problems.append(f"{where}: no image {one.get('image_id') if isinstance(one, dict) else one!r}")
                continue
            species = names.get(as_text(one.get("category_id")), "")
            if label_of(species) == NOTHING or species.casefold() in NO_ANIMAL:
                left_out[f"annotations of {species}"] += 1
                persons |= {image["file_name"]} if species.casefold() in PEOPLE else set()
                continue
            key = as_text(one.get("id")) or str(number + 1)
            if key in seen:
                problems.append(f"{where}: the id {key!r} occurs twice")
                continue
            seen.add(key)
            if not one.get("bbox") and isinstance(one.get("segmentation"), dict):
                unread.append(where)
            rows.append(self._row(one, image, species, f"{path.stem}/{key}", where, problems))
        return rows

    def _row(
        self, one: Mapping[str, Any], image: Mapping[str, Any], species: str, key: str, where: str, problems: list[str]
    ) -> ImportedRow:
        named = self.identity or next((k for k in IDENTITY if as_text(one.get(k))), "")
        taken = as_text(image.get("datetime")) or as_text(image.get("date_captured"))
        cells = {
            "individual": as_text(one.get(named)),
            "body_part": side(next((as_text(one[k]) for k in SIDES if one.get(k)), "")),
            "station": as_text(image.get("location")),
            "timestamp": "" if taken in ("NA", "unknown", "Unknown") else taken,
            "species": species,
            "image": as_text(image.get("id")),
            "sequence": as_text(image.get("seq_id")),
            **{k: as_text(v) for k, v in one.items() if k not in USED},
        }
        size = image.get("width"), image.get("height")
        known = all(type(side) is int and side > 0 for side in size)
        return ImportedRow(
            image["file_name"], key, {k: v for k, v in cells.items() if v}, _box(one, where, problems), "px",
            size if known else None, where,  # type: ignore[arg-type] # checked above
        )  # fmt: skip


def _box(one: Mapping[str, Any], where: str, problems: list[str]) -> Box | None:
    """Return the box of an annotation: its own, or the one around its outline."""
    given, outline = one.get("bbox"), one.get("segmentation")
    try:
        if given:
            x, y, width, height = map(float, given)
        elif isinstance(outline, list) and outline:
            numbers = [float(v) for part in (outline if isinstance(outline[0], list) else [outline]) for v in part]
            across, down = numbers[::2], numbers[1::2]
            x, y, width, height = min(across), min(down), max(across) - min(across), max(down) - min(down)
        else:
            return None
    except (TypeError, ValueError):
        width = height = 0.0
        x = y = 0.0
    if not (width > 0 and height > 0):
        problems.append(
            f"{where}: the box {given if given else outline!r} is not allowed; expected x,y,width,height in px"
        )
        return None
    return x, y, width, height


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    try:
        return sorted({*source.glob("annotations/*.json"), *source.glob("*.coco/annotations/*.json")})
    except OSError:
        return []


PLUGIN = Coco
