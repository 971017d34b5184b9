"""What persons corrected about annotations: body part, species and box."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from snowmatch.core.types import BODY_PARTS, Annotation, BBox
from snowmatch.decisions.row import Decision

FIELDS = {"body_part": "body_part", "species": "species", "box": "bbox"}  # of an annotation, by the kind of decision
_BOX = re.compile(r"-?\d{1,9},-?\d{1,9},[1-9]\d{0,8},[1-9]\d{0,8}", re.ASCII)


def read_answer_box(answer: str) -> BBox | None:
    """Return the box (px of the upright photo) of an answer `x,y,w,h`; None for any other text."""
    if not _BOX.fullmatch(answer):
        return None
    x, y, w, h = (int(n) for n in answer.split(","))
    return x, y, w, h


def with_corrections(annotations: Sequence[Annotation], decisions: Iterable[Decision]) -> Sequence[Annotation]:
    """Return the annotations with the body parts, species and boxes that decisions in effect gave them.

    annotations: with identifiers. Values that no annotation can have are ignored. An empty answer: the table's value
    counts again.
    """
    given: dict[str, dict[str, Any]] = defaultdict(dict)
    for decision in decisions:
        if decision.kind in FIELDS and (value := _value(decision)) is not None:
            for name in decision.side_a:
                given[name][FIELDS[decision.kind]] = value
    if not any(value for values in given.values() for value in values.values()):
        return annotations
    return tuple(_corrected(a, given[a.annotation]) if a.annotation in given else a for a in annotations)


def corrected_boxes(decisions: Iterable[Decision]) -> dict[str, BBox]:
    """Return the box that decisions in effect gave to each annotation, by its identifier; {} without such decisions."""
    given: dict[str, BBox] = {}
    for decision in decisions:
        if decision.kind == "box":
            take_box(given, decision)
    return given


def take_box(given: dict[str, BBox], decision: Decision) -> None:
    """Bring the boxes by annotation up to date with one more decision of the kind box."""
    box = read_answer_box(decision.answer)
    for name in decision.side_a:
        if box is not None:
            given[name] = box
        elif not decision.answer:
            given.pop(name, None)


def with_box(a: Annotation, box: BBox | None) -> Annotation:
    """Return an annotation with the box of a person; as it is for None."""
    return a if box is None or (a.bbox == box and not a.box_by) else replace(a, bbox=box, box_by="")


def _value(decision: Decision) -> Any:
    if decision.kind == "box":
        return read_answer_box(decision.answer) if decision.answer else ""
    if decision.kind == "body_part" and decision.answer not in ("", *BODY_PARTS):
        return None
    return decision.answer


def _corrected(a: Annotation, given: Mapping[str, Any]) -> Annotation:
    a = with_box(a, given.get("bbox") or None)
    part, species = given.get("body_part") or a.body_part, given.get("species") or a.species
    return a if (part, species) == (a.body_part, a.species) else replace(a, body_part=part, species=species)
