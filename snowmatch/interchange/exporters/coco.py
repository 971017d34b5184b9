"""COCO Camera Traps: photos, boxes and individuals as one JSON file.

Source: "COCO Camera Traps", https://github.com/agentmorris/MegaDetector.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from snowmatch.catalog.species import NOTHING, label_of, species_key
from snowmatch.core.types import Annotation
from snowmatch.core.version import __version__
from snowmatch.interchange.exporting import Export


@dataclass(frozen=True)
class Coco:
    """The annotations of the catalog in the format COCO Camera Traps; individual_id names the animal.

    Those that the screening left out are not among them. species: the category of annotations without a species.
    """

    REVISION: ClassVar[int] = 1
    COORDINATES: ClassVar[str] = "never"
    COUNTS: ClassVar[bool] = False

    species: str = "Panthera uncia"

    def files(self, given: Export) -> Mapping[str, bytes]:
        """Return coco.json. Boxes are in pixels of the upright photo; an unidentified animal has no individual_id.

        An annotation of the species `nothing`, or of a word such as `Empty`, is one of an empty photo, and has no box,
        unless it has a name.
        """
        kept = given.kept_annotations()
        photos: dict[str, list[Annotation]] = defaultdict(list)
        for a in kept:
            photos[a.path].append(a)
        spelled: dict[str, str] = {}  # one category for all spellings of a species
        for label in sorted({self._category(a) for a in kept} - {NOTHING}):
            spelled.setdefault(species_key(label), label)
        number = {NOTHING: 0} | {key: n for n, key in enumerate(spelled, start=1)}
        frames = _frames(photos)
        images, annotations = [], []
        for path, own in sorted(photos.items()):
            first = own[0]
            image: dict[str, Any] = {"id": path, "file_name": path, "location": first.station}
            if (size := given.photo_size(path)) is not None:
                image |= {"width": size[0], "height": size[1]}
            if (time := next((a.when for a in own if a.when is not None), None)) is not None:
                image["datetime"] = time.isoformat().replace("T", " ")
            place, many = frames[path]
            images.append({**image, "seq_id": first.encounter, "seq_num_frames": many, "frame_num": place})
            annotations += [self._annotation(a, n, number) for n, a in enumerate(own)]
        categories = [{"id": n, "name": spelled[key] if n else "empty"} for key, n in number.items()]
        info = {"version": "1.0", "description": f"snowmatch {__version__}"}
        content = {"info": info, "images": images, "annotations": annotations, "categories": categories}
        return {"coco.json": (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()}

    def _category(self, a: Annotation) -> str:
        label = label_of(a.species)
        return self.species if not label or (label == NOTHING and a.individual is not None) else label

    def _annotation(self, a: Annotation, place: int, number: Mapping[str, int]) -> dict[str, Any]:
        category = number[species_key(self._category(a))]
        found: dict[str, Any] = {
            "id": f"{a.path}#{place}",
            "image_id": a.path,
            "category_id": category,
            "individual_id": a.individual,
            "viewpoint": a.body_part,
            "bbox": None if a.own_box is None or category == 0 else list(map(float, a.own_box)),
            "location": a.location,
            "camera": a.camera,
            "encounter": a.encounter,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}


def _frames(photos: Mapping[str, Sequence[Annotation]]) -> dict[str, tuple[int, int]]:
    """Return for each photo its place in its encounter, from 0, and how many photos that has."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, own in photos.items():
        time = own[0].timestamp
        groups[own[0].encounter].append((time.isoformat() if time else "", path))
    return {path: (n, len(own)) for own in groups.values() for n, (_, path) in enumerate(sorted(own))}


PLUGIN = Coco
