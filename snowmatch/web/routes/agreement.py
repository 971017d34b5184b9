"""How well observers agree, what they disagree about, and how often they and the machine were wrong."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.text import printable
from snowmatch.review.accuracy import accuracies
from snowmatch.review.identities import unused_annotations
from snowmatch.review.machine import machine_error
from snowmatch.review.methods_text import methods_paragraph
from snowmatch.review.observers import agreement
from snowmatch.review.training import training_results
from snowmatch.web.background import evidence_at_hand
from snowmatch.web.page import render, state_of
from snowmatch.web.pairs import pair_of

SHOWN = 60  # disagreements


def agreement_page(request: Request) -> Response:
    """The page."""
    state = state_of(request)
    identities, evidence = state.identities(), evidence_at_hand(state)
    rows, who = identities.rows, identities.who
    found = agreement(rows, who)
    apart: list[dict[str, Any]] = []
    # Without two photos of one sighting: the page of the individual divides it
    disagreements = [each for each in found.disagreements if each.a != each.b]
    for each in disagreements[:SHOWN]:
        said = [(printable(row.observer), row.answer, row.certainty, printable(row.note)) for row in each.answers]
        judged = each.adjudicated
        settled = (printable(judged.observer), judged.answer) if judged is not None else None
        apart.append(pair_of(identities, evidence, each.a, each.b) | {"said": said, "settled": settled})
    photos = len({a.path for a in identities.annotations})
    return render(
        request,
        "agreement.html",
        found=found,
        apart=apart,
        more=len(disagreements) - len(apart),
        machine=machine_error(rows, who),
        trained=training_results(rows, who),
        accuracy=accuracies(rows, who),
        methods=methods_paragraph(
            rows, who, date=time.strftime("%Y-%m-%d"), photos=photos, unused=unused_annotations(identities)
        ),
    )


ROUTES = [Route("/agreement", agreement_page)]
