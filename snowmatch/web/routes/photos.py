"""The catalog explorer: every annotation with its state, box and mask; filters and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.views.explorer import STATES
from snowmatch.views.previews import key_of
from snowmatch.web.page import problem, render, state_of, translator_of, whole_number

PAGE = 60
FILTERS = ("q", "individual", "location", "station", "body_part", "state")
NOBODY = "-"  # of the filter `individual`: no name


def photos(request: Request) -> Response:
    """The annotations of the catalog that pass the filters, a page of them."""
    state = state_of(request)
    named, states = state.identities().named, state.states()
    asked = {name: request.query_params.get(name, "")[:200] for name in FILTERS}
    passes = matcher(asked)
    found = [a for a in named if passes(a, states[a.row][0])]
    pages = max(1, -(-len(found) // PAGE))
    number = whole_number(request.query_params.get("page"), 1, 1, pages)
    shown = [(key_of(a), a, states[a.row]) for a in found[(number - 1) * PAGE : number * PAGE]]
    given = {name: value for name, value in asked.items() if value}
    return render(
        request,
        "photos.html",
        shown=shown,
        total=len(found),
        all=len(named),
        number=number,
        pages=pages,
        asked=asked,
        address=lambda page: "/photos?" + urlencode({**given, "page": page}),
        choices={
            "individual": [NOBODY, *sorted({a.individual for a in named if a.individual is not None})],
            "location": sorted({a.location for a in named if a.location}),
            "station": sorted({a.station for a in named if a.station}),
            "body_part": [part for part in BODY_PARTS if any(a.body_part == part for a in named)],
            "state": [each for each in STATES if any(one == each for one, _ in states)],
        },
    )


def matcher(asked: Mapping[str, str]) -> Callable[[Annotation, str], bool]:
    """Return the test whether an annotation passes the filters."""
    text = asked["q"].casefold()
    person = asked["individual"]

    def passes(a: Annotation, state: str) -> bool:
        return (
            (not person or (a.individual is None if person == NOBODY else a.individual == person))
            and (not asked["location"] or a.location == asked["location"])
            and (not asked["station"] or a.station == asked["station"])
            and (not asked["body_part"] or a.body_part == asked["body_part"])
            and (not asked["state"] or state == asked["state"])
            and (not text or any(text in each.casefold() for each in (a.path, a.encounter, a.annotation, a.species)))
        )

    return passes


def photo(request: Request) -> Response:
    """One annotation: its photo with box and mask, and all that the catalog says of it."""
    state = state_of(request)
    annotation = state.annotation(request.path_params["key"])
    if annotation is None:
        return problem(request, translator_of(request)("problem.missing"), 404)
    named = state.identities().named
    beside = [a for a in named if a.encounter == annotation.encounter and a.row != annotation.row]
    other = [a for a in beside if a.path == annotation.path]
    return render(
        request,
        "photo.html",
        key=key_of(annotation),
        a=annotation,
        indexed=state.states()[annotation.row],
        encounter=[(key_of(a), a) for a in beside],
        several=len(other),
        before=key_of(named[annotation.row - 1]) if annotation.row else "",
        after=key_of(named[annotation.row + 1]) if annotation.row + 1 < len(named) else "",
    )


ROUTES = [Route("/photos", photos), Route("/photos/{key}", photo)]
