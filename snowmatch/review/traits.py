"""What persons said about photos and animals beside who they are: part, quality, sex, remarks, the best picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import choices
from snowmatch.core.types import BODY_PARTS, Annotation, BBox
from snowmatch.decisions.corrections import read_answer_box
from snowmatch.decisions.effect import in_effect
from snowmatch.decisions.row import Decision
from snowmatch.review.history import Past
from snowmatch.review.identities import Identities, draft

QUALITIES = ("good", "fair", "poor")
SEXES = ("female", "male", "unknown")
VALUES = {"quality": QUALITIES, "sex": SEXES, "body_part": ("", *BODY_PARTS)}  # "": what the table says
KINDS = ("body_part", "species", "quality", "sex", "note")  # of one photo or several
BOX = "box"  # of one photo
LONGEST = 2000  # characters of a remark
PORTRAIT = "portrait"  # tag of a `note`: this photo represents the individual


@dataclass(frozen=True)
class Traits:
    """The last value of each annotation, by its identifier.

    portraits: annotations that represent their individual; the later chosen, the higher the number.
    """

    quality: Mapping[str, str]
    sex: Mapping[str, str]
    portraits: Mapping[str, int]
    sex_order: Mapping[str, int]


def traits_of(rows: Sequence[Decision]) -> Traits:
    """Return what the decisions in effect among `rows` say about photos and animals."""
    values: dict[str, dict[str, str]] = {"quality": {}, "sex": {}}
    order: dict[str, int] = {}
    portraits: dict[str, int] = {}
    for number, row in enumerate(in_effect(rows), start=1):
        if row.kind in values:
            values[row.kind].update(dict.fromkeys(row.side_a, row.answer))
            if row.kind == "sex":
                order.update(dict.fromkeys(row.side_a, number))
        elif row.kind == "note" and PORTRAIT in row.tags:
            portraits.update(dict.fromkeys(row.side_a, number))
    return Traits(values["quality"], values["sex"], portraits, order)


def sex_of(traits: Traits, annotations: Sequence[Annotation], known: Mapping[int, str]) -> str:
    """Return the sex of the animal in some annotations: as was said last, or as the table has it; "" if unknown.

    known: of the catalog's table, by row. A table that has both sexes says nothing.
    """
    said = [
        (traits.sex_order[a.annotation], traits.sex[a.annotation]) for a in annotations if a.annotation in traits.sex
    ]
    if said:
        last = max(said)[1]
        return last if last != "unknown" else ""
    told = {known[a.row] for a in annotations if a.row in known}
    return told.pop() if len(told) == 1 else ""


def trait_drafts(
    identities: Identities, kind: str, annotations: Sequence[str], value: str, observer: str
) -> tuple[Decision, ...]:
    """Return the draft that gives annotations a value of KINDS, or one a BOX, or makes one the `portrait`.

    An empty body part, species or box: what the table says counts again. Raises SnowmatchError if there is no such
    annotation or value.
    """
    known = {a.annotation for a in identities.annotations} - {""}  # also those that the screening left out
    if not annotations or not known.issuperset(annotations):
        unknown = [name for name in annotations if name not in known]
        raise SnowmatchError(f"{unknown[0] if unknown else 'nothing'!r} is no indexed photo: choose one or more")
    side = tuple(dict.fromkeys(annotations))
    if kind == PORTRAIT:
        if len(side) > 1:
            raise SnowmatchError(f"{len(side)} photos to represent an individual: choose one", "one-portrait")
        return (draft("note", observer, "", side_a=side, tags=(PORTRAIT,)),)
    if kind == BOX:
        return (_box_draft(identities, side, "".join(value.split()), observer),)
    if kind in VALUES and value not in VALUES[kind]:
        raise SnowmatchError(f"{value!r} is not a {kind}; {choices(value, VALUES[kind])}")
    text = " ".join(value.split())
    if (not text and kind == "note") or len(text) > LONGEST:
        raise SnowmatchError(f"the {kind} has {len(text)} characters, expected 1 to {LONGEST}")
    return (draft(kind, observer, text, side_a=side),)


def _box_draft(identities: Identities, side: tuple[str, ...], value: str, observer: str) -> Decision:
    if len(side) > 1:
        raise SnowmatchError(f"a box for {len(side)} animals: choose one")
    box = read_answer_box(value)
    if value and box is None:
        raise SnowmatchError(
            f"{value[:60]!r} is not a box; expected x,y,w,h in px of the photo, w and h above 0", "no-box"
        )
    if not value and side[0] not in identities.who.boxes:
        raise SnowmatchError("nobody corrected the box of this animal: it is that of the table already", "box-of-table")
    path = next(a.path for a in identities.annotations if a.annotation == side[0])
    facts = identities.data.facts.get(path)
    if box is not None and facts is not None and (size := facts.image_size) is not None and not _meets(box, size):
        text = f"the box {value} is outside of the photo of {size[0]} x {size[1]} px: draw it inside"
        raise SnowmatchError(text, "box-outside", width=size[0], height=size[1])
    return draft(BOX, observer, value, side_a=side)


def _meets(box: BBox, size: tuple[int, int]) -> bool:
    x, y, w, h = box
    return x < size[0] and y < size[1] and x + w > 0 and y + h > 0


@dataclass(frozen=True)
class Said:
    """A value that `count` annotations have so far. decision: that gave it; None if the table did, or nobody."""

    value: str
    decision: Decision | None
    count: int


def said_before(identities: Identities, kind: str, annotations: Sequence[str]) -> tuple[Said, ...]:
    """Return the values of a kind that annotations have so far, and who gave them, the most frequent first.

    kind: of VALUES, `species` or BOX. No annotations give ().
    """
    chosen = dict.fromkeys(annotations)
    given: dict[str, Decision] = {}
    for row in in_effect(identities.rows):
        if row.kind == kind:
            given.update({name: row for name in row.side_a if name in chosen})
    table: dict[str, str] = {}
    if kind in ("body_part", "species"):
        table = {a.annotation: getattr(a, kind) for a in identities.annotations if a.annotation in chosen}
    if kind == BOX:
        table = {a.annotation: box_text(a.bbox) for a in identities.annotations if a.annotation in chosen}
    found: Counter[tuple[str, str]] = Counter()
    for name in chosen:
        said = given.get(name)
        told = said is not None and (said.answer or kind not in ("body_part", "species", BOX))
        found[(said.answer, said.id) if said is not None and told else (table.get(name, ""), "")] += 1
    rows = {row.id: row for row in given.values()}
    return tuple(Said(value, rows.get(name), count) for (value, name), count in found.most_common())


def box_text(box: BBox | None) -> str:
    """Return a box as decisions have it, such as `20,20,280,200`; "" without a box."""
    return "" if box is None else ",".join(map(str, box))


def last_changes(identities: Identities, most: int) -> tuple[Past, ...]:
    """Return the last decisions of KINDS and boxes about photos, newest first, those that were taken back included."""
    valid = {row.id for row in in_effect(identities.rows)}
    found = (row for row in reversed(identities.rows) if row.kind in (*KINDS, BOX) and PORTRAIT not in row.tags)
    return tuple(Past(row, row.id in valid) for row in islice(found, most))
