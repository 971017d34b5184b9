"""The catalog explorer: every annotation with its state, box and mask; filters and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from snowmatch.core.types import BODY_PARTS, Annotation
from snowmatch.review.history import history_of
from snowmatch.review.identities import is_name
from snowmatch.review.traits import KINDS, LONGEST, VALUES, last_changes
from snowmatch.views.explorer import STATES, species_key
from snowmatch.views.previews import key_of, photo_size
from snowmatch.web.animals import known_of
from snowmatch.web.page import problem, render, state_of, takes_end, translator_of, whole_number
from snowmatch.web.past import past_of
from snowmatch.web.rereading import rereading_of

PAGE = 60
LAST = 8  # changes of photos that the page lists
FILTERS = ("q", "individual", "location", "station", "body_part", "state", "outline")
OUTLINES = ("mask", "drawn", "found", "neither")  # what tells where the animal is
NOBODY = " "  # of the filter `individual`: no name. No individual is called so


def photos(request: Request) -> Response:
    """The annotations of the catalog that pass the filters, a page of them."""
    state = state_of(request)
    identities, states = state.identities(), state.states()
    named = identities.named
    asked = {name: request.query_params.get(name, "") for name in FILTERS}
    passes = matcher(asked)
    found = [a for a in named if passes(a, states[a.row][0])]
    pages = max(1, -(-len(found) // PAGE))
    number = whole_number(request.query_params.get("page"), 1, 1, pages)
    shown = [(key_of(a), a, states[a.row]) for a in found[(number - 1) * PAGE : number * PAGE]]
    view = "outline" if request.query_params.get("view") == "outline" else "animal"
    given = {name: value for name, value in asked.items() if value}
    address = partial(_address, given)
    return render(
        request,
        "photos.html",
        shown=shown,
        quality=known_of(state, identities).traits.quality,
        last=[past_of(each, translator_of(request)) for each in last_changes(identities, LAST)],
        kinds=KINDS,
        values=VALUES,
        longest=LONGEST,
        species=species_in(named),
        total=len(found),
        all=len(named),
        number=number,
        pages=pages,
        asked=asked,
        address=lambda page: address(view, page),
        view=view,
        other_view=address("animal" if view == "outline" else "outline", number),
        outline_of=outline_of,
        choices=_choices(named, [state for state, _ in states], asked),
    )


def _choices(named: Sequence[Annotation], states: Iterable[str], asked: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what can be chosen of each filter: what is there, and what is asked for: a page that shows no photo must
    not look as if it showed all.
    """
    found: dict[str, set[str]] = {
        "individual": {a.individual for a in named if a.individual is not None},
        "location": {a.location for a in named},
        "station": {a.station for a in named},
        "body_part": {a.body_part for a in named},
        "state": set(states),
        "outline": {outline_of(a) for a in named},
    }
    there = {name: (values | {asked[name]}) - {""} for name, values in found.items()}
    known = {"body_part": BODY_PARTS, "state": STATES, "outline": OUTLINES}
    ordered = {
        name: [each for each in known[name] if each in values] if name in known else sorted(values)
        for name, values in there.items()
    }
    return ordered | {"individual": [NOBODY, *(name for name in ordered["individual"] if name != NOBODY)]}


def _address(given: Mapping[str, str], view: str, page: int) -> str:
    shown = {"view": view} if view == "outline" else {}
    return "/photos?" + urlencode({**given, **shown, "page": page})


def outline_of(a: Annotation) -> str:
    """Return what tells where the animal is in its photo: one of OUTLINES."""
    if a.mask:
        return "mask"
    return "neither" if a.bbox is None else "found" if a.box_by else "drawn"


def matcher(asked: Mapping[str, str]) -> Callable[[Annotation, str], bool]:
    """Return the test whether an annotation passes the filters. A species that is searched has any of its names."""
    text, species = asked["q"].casefold(), species_key(asked["q"])
    person = asked["individual"]

    def passes(a: Annotation, state: str) -> bool:
        return (
            (not person or (not is_name(a.individual) if person == NOBODY else a.individual == person))
            and (not asked["location"] or a.location == asked["location"])
            and (not asked["station"] or a.station == asked["station"])
            and (not asked["body_part"] or a.body_part == asked["body_part"])
            and (not asked["state"] or state == asked["state"])
            and (not asked["outline"] or outline_of(a) == asked["outline"])
            and (
                a.annotation.casefold().startswith(text)
                or any(text in each.casefold() for each in (a.path, a.encounter, a.species))
                or (a.species != "" and species_key(a.species) == species)
            )
        )

    return passes


def species_in(annotations: Iterable[Annotation]) -> list[str]:
    """Return the species that the catalog names, for a list to choose from: each by its most frequent name."""
    often = Counter(a.species for a in annotations if a.species)
    found: dict[str, str] = {}
    for name in sorted(often, key=lambda name: (-often[name], name)):
        found.setdefault(species_key(name), name)
    return sorted(found.values())


def photo(request: Request) -> Response:
    """One annotation: its photo with box and mask, and all that the catalog says of it."""
    if not request.path_params["key"]:
        return RedirectResponse(request.url.replace(path="/photos"))
    state = state_of(request)
    annotation = state.annotation(request.path_params["key"])
    if annotation is None:
        return problem(request, translator_of(request)("problem.missing"), 404)
    identities = state.identities()
    named, traits = identities.named, known_of(state, identities).traits
    past = history_of(identities, [annotation.annotation]) if annotation.annotation else ()
    beside = [a for a in named if a.encounter == annotation.encounter and a.row != annotation.row]
    other = [a for a in beside if a.path == annotation.path]
    return render(
        request,
        "photo.html",
        key=key_of(annotation),
        a=annotation,
        indexed=state.states()[annotation.row],
        reading=rereading_of(state).running,
        boxed=annotation.annotation in identities.who.boxes,
        size=photo_size(state.folder / annotation.path),
        encounter=[(key_of(a), a) for a in beside],
        several=len(other),
        quality=traits.quality.get(annotation.annotation, ""),
        sex=traits.sex.get(annotation.annotation, ""),
        past=[past_of(each, translator_of(request)) for each in past],
        kinds=KINDS,
        values=VALUES,
        longest=LONGEST,
        species=species_in(named),
        before=key_of(named[annotation.row - 1]) if annotation.row else "",
        after=key_of(named[annotation.row + 1]) if annotation.row + 1 < len(named) else "",
    )


def photo_state(request: Request) -> Response:
    """The state of one annotation; with status 202 while animals are read again."""
    if takes_end(request, "key", "/state"):
        return photo(request)
    state = state_of(request)
    annotation = state.annotation(request.path_params["key"])
    if annotation is None:
        return problem(request, translator_of(request)("problem.missing"), 404)
    reading = rereading_of(state)
    running = reading.running
    why = "" if running else reading.problem
    indexed = state.states()[annotation.row]
    shown = (indexed[0], indexed[1] or (why if indexed[0] != "indexed" else ""))
    return render(request, "photo_state.html", status=202 if running else 200, indexed=shown, reading=running)


ROUTES = [
    Route("/photos", photos),
    Route("/photos/{key:path}/state", photo_state),  # an identifier may have a slash
    Route("/photos/{key:path}", photo),
]
