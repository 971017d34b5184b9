"""Answers about two animals that another program has, as decisions of this catalog. They get the role `import`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from snowmatch.core.imported import ImportedAnswer
from snowmatch.decisions.chain import to_cells
from snowmatch.decisions.row import Decision, canonical, timestamp
from snowmatch.decisions.uuid7 import id_of

ANNOTATION = "annotation"


def answers_as_decisions(
    answers: Sequence[ImportedAnswer], rows: Sequence[Mapping[str, str]], key: str
) -> tuple[tuple[Decision, ...], int]:
    """Return the decisions, and how many answers are of rows that the catalog's table does not have.

    rows: of the catalog's table; `key` is the column with the source's identifiers. An answer gives the same decision,
    with the same id, whenever it is imported. Raises SnowmatchError for an answer that cannot be stored.
    """
    names = {row[key]: row[ANNOTATION] for row in rows if row.get(key) and row.get(ANNOTATION)}
    found: dict[str, Decision] = {}
    lost = 0
    for answer in answers:
        sides = names.get(answer.one), names.get(answer.other)
        if sides[0] is None or sides[1] is None or sides[0] == sides[1]:
            lost += 1
            continue
        decision = _decision(answer, sides[0], sides[1])
        to_cells(decision)  # raises for what cannot be stored
        found[decision.id] = decision
    return tuple(found.values()), lost


def _decision(answer: ImportedAnswer, one: str, other: str) -> Decision:
    moment = datetime.fromtimestamp(answer.seconds, UTC)
    made = Decision(
        "",
        timestamp(moment),
        answer.observer,
        "pair",
        (one,),
        (other,),
        answer.answer,
        role="import",
        certainty=answer.certainty,
        note=answer.note,
    )
    bits = int.from_bytes(hashlib.sha256(canonical(made).encode()).digest())
    return made._replace(id=id_of(int(answer.seconds * 1000), bits))
