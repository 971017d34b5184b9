"""What persons corrected about annotations: body part, species and box."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from snowmatch.core.types import BODY_PARTS, Annotation, BBox
from snowmatch.decisions.row import Decision

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
    decisions = tuple(decisions)
    boxes, values = corrected_boxes(decisions), corrected_values(decisions)
    if not boxes and not values:
        return annotations
    return tuple(corrected(a, boxes, values) for a in annotations)


def corrected(a: Annotation, boxes: Mapping[str, BBox], values: Mapping[str, Mapping[str, str]]) -> Annotation:
    """Return an annotation as persons corrected it. boxes, values: by identifier, see the functions below."""
    a, given = with_box(a, boxes.get(a.annotation)), values.get(a.annotation)
    if given is None:
        return a
    return replace(a, body_part=given.get("body_part", a.body_part), species=given.get("species", a.species))


def corrected_values(decisions: Iterable[Decision]) -> dict[str, dict[str, str]]:
    """Return the body part and the species that decisions in effect gave to each annotation, by its identifier and by
    the field of an annotation; {} without such decisions.
    """
    given: dict[str, dict[str, str]] = {}
    for decision in decisions:
        if decision.kind == "species" or (decision.kind == "body_part" and decision.answer in ("", *BODY_PARTS)):
            for name in decision.side_a:
                values = {key: value for key, value in given.pop(name, {}).items() if key != decision.kind}
                if decision.answer:
                    values[decision.kind] = decision.answer
                if values:
                    given[name] = values
    return given


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
