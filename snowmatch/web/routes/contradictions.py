"""What does not fit together: answers that quarrel, observers who disagree, or name differently, several names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.text import printable
from snowmatch.review.accuracy import accuracy_by_name
from snowmatch.review.contradictions import Voice, contradictions_of
from snowmatch.review.identities import Decision, Identities
from snowmatch.review.likely import Evidence
from snowmatch.review.observers import agreement
from snowmatch.web.animals import address_of, address_of_sighting
from snowmatch.web.background import evidence_at_hand
from snowmatch.web.page import render, state_of
from snowmatch.web.pairs import label_of, pair_of
from snowmatch.web.people import may_take_back

SHOWN = 40  # of each kind: a page with more helps nobody
VOICES = 12
FACES = 8  # sightings


def contradictions(request: Request) -> Response:
    """The list of everything that does not fit together."""
    state = state_of(request)
    identities, evidence = state.identities(), evidence_at_hand(state)
    who = identities.who
    found = contradictions_of(who, accuracy_by_name(identities.rows, who), evidence)
    several = [n for n, each in enumerate(who.individuals) if len(each.names) > 1]
    disputed = agreement(identities.rows, who).disagreements
    idle, refused = who.idle_and_refused()
    waiting = [each for each in disputed if each.adjudicated is None]
    return render(
        request,
        "contradictions.html",
        quarrels=[
            {
                "name": printable(each.individual.name or ""),
                "address": address_of(identities, who.of[each.a]),
                "different": [_voice(identities, evidence, v) for v in each.different[:VOICES]],
                "same": [_voice(identities, evidence, v) for v in each.same[:VOICES]],
                "counts": (len(each.different), len(each.same)),
                "suspects": each.suspects,
                "names": [printable(name) for name in each.individual.names],
            }
            for each in found[:SHOWN]
        ],
        total=len(found),
        waiting=len(waiting),
        several=[
            (
                address_of(identities, n),
                [printable(name) for name in who.individuals[n].names],
                _faces(identities, who.individuals[n].sightings),
            )
            for n in several[:SHOWN]
        ],
        several_total=len(several),
        names=[
            (
                label_of(identities, n),
                [tuple(map(printable, each)) for each in given],
                _faces(identities, [n]),
            )
            for n, given in list(who.disputed_names.items())[:SHOWN]
        ],
        names_total=len(who.disputed_names),
        refused=[_idle(identities, row, why) for row, why in refused[:SHOWN]],
        refused_total=len(refused),
        idle=[_idle(identities, row, why) for row, why in idle[:SHOWN]],
        idle_total=len(idle),
    )


def _voice(identities: Identities, evidence: Evidence | None, voice: Voice) -> dict[str, Any]:
    row = voice.decision
    return pair_of(identities, evidence, voice.a, voice.b) | {
        "same": voice.same,
        "fact": voice.fact,
        "id": row.id if row is not None else "",
        "undo": row is not None and may_take_back(row.observer),
        "observer": printable(row.observer) if row is not None else "",
        "when": row.decided_at[:10] if row is not None else "",
        "certainty": row.certainty if row is not None else None,
        "note": printable(row.note) if row is not None else "",
    }


def _faces(identities: Identities, sightings: Sequence[int]) -> list[tuple[str, str, str]]:
    """Return a photo of each of the first sightings, what it shows in words, and its address."""
    return [
        (identities.who.sightings[n].annotations[0], label_of(identities, n), address_of_sighting(identities, n))
        for n in sightings[:FACES]
    ]


def _idle(identities: Identities, row: Decision, why: str) -> dict[str, Any]:
    numbers = identities.who.number_of
    about = dict.fromkeys(numbers[name] for name in (*row.side_a, *row.side_b) if name in numbers)
    return {
        "observer": printable(row.observer),
        "kind": row.kind,
        "when": row.decided_at[:10],
        "why": printable(why),
        "faces": _faces(identities, list(about)),
    }


ROUTES = [Route("/contradictions", contradictions)]
