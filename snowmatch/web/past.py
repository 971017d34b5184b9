"""Decisions of the past as the pages list them."""

from __future__ import annotations

from typing import Any

from snowmatch.core.text import printable
from snowmatch.review.history import Past
from snowmatch.review.traits import PORTRAIT, VALUES
from snowmatch.web.people import may_take_back
from snowmatch.web.texts import Translate


def past_of(past: Past, t: Translate) -> dict[str, Any]:
    """Return what a list shows of a decision.

    said: its answer in words. undo: whether who asks may undo it. pair: the keys and labels of the two sightings of an
    answer, where the list names them.
    """
    row = past.decision
    return {
        "id": row.id,
        "when": row.decided_at[:16].replace("T", " "),
        "observer": printable(row.observer),
        "kind": PORTRAIT if PORTRAIT in row.tags else row.kind,
        "said": answer_word(t, row.kind, row.answer),
        "note": printable(row.note),
        "mode": row.mode,
        "certainty": row.certainty,
        "photos": (len(row.side_a), len(row.side_b)),
        "valid": past.valid,
        "pair": [],
        "undo": past.valid and may_take_back(row.observer),
    }


def answer_word(t: Translate, kind: str, answer: str) -> str:
    """Return an answer in the words of the page; names, species and remarks are texts themselves, made printable."""
    if kind == "undo":
        return ""
    if kind == "pair":
        return t(f"answer.{answer}")
    if not answer and kind in ("body_part", "species", "box"):
        return t("change.as_table")
    if not answer or answer not in VALUES.get(kind, ()):
        return printable(answer)
    return t(f"part.{answer}" if kind == "body_part" else f"{kind}.{answer}")
