"""The page that reviews pairs of sightings, and what it asks for: questions ahead, answers, spots, the outlook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.accuracy import accuracies
from snowmatch.review.counting import ENOUGH
from snowmatch.review.history import WAYS
from snowmatch.review.identities import need_unchanged
from snowmatch.review.training import training_results
from snowmatch.views.previews import SIZES
from snowmatch.views.question import question_to_json
from snowmatch.views.shade import scenery_shade
from snowmatch.views.spots import spots_to_json
from snowmatch.web.background import counts_now
from snowmatch.web.desk import HIDDEN, NEEDS, Desk, desk_of
from snowmatch.web.page import (
    language_of,
    need_observer,
    problem,
    read_json,
    render,
    state_of,
    whole_number,
    words_of_error,
)
from snowmatch.web.people import OBSERVER, may, need
from snowmatch.web.places import metres_apart
from snowmatch.web.routes.pictures import asked_anew
from snowmatch.web.said import read_pair
from snowmatch.web.signs import asked_with_signs, pictured, with_signs, without_signs
from snowmatch.web.texts import translator, words_of

AHEAD = 4  # questions that a page may have ahead
# The words that the script shows
WORDS = [
    "left",
    "right",
    "photo_of",
    "missing",
    "unseen",
    "nothing_left",
    "spots_wait",
    "only_skipped",
    "only_held",
    "ask_skipped",
    "comparing",
    "loading",
    "why_hidden",
    "chance",
    "all_photos",
    "at_least",
    "elsewhere",
    "no_chance",
    "spots_none",
    "spot_of",
    "undone",
    "nothing_undone",
    "mark_left",
    "mark_right",
    "mark_frames",
    "marks_n",
    "left_n",
    "outlook",
    "enough",
    "held",
    "answered",
    "same_station",
    "apart",
    "away",
    "not_stored",
    "sightings_n",
    "lines_hidden",
    "on",
    "off",
]


def review(request: Request) -> Response:
    """The page. The questions are fetched after it. Raises SnowmatchError if it was asked about what is no pair."""
    usual = next(way for way in WAYS if may(NEEDS[way]))
    way = request.query_params.get("mode", usual)
    if way not in WAYS:
        way = usual
    if not may(OBSERVER):
        need(NEEDS[way])
    t = translator(language_of(request))
    language = words_of(language_of(request))
    words: dict[str, Any] = {key: language[f"review.{key}"] for key in WORDS}
    if way == "blind" and may(OBSERVER):
        words["why_hidden"] = t("review.why_blind")
    if may(OBSERVER):
        words["onward"] = t("home.onward")
    words |= {f"why.{why}": t(f"review.why.{why}") for why in ("contradiction", "decides", "confirm", "unlikely")}
    words |= {
        f"why.{why}": t(f"review.why.{why}") for why in ("counts", "second", "disagreement", "doubtful", "chosen")
    }
    words |= {f"part.{part}": t(f"part.{part}") for part in PARTS}
    words |= {f"level.{level}": t(f"level.{level}") for level in ("excellent", "good", "fair", "uncertain")}
    words |= {f"answer.{answer}": t(f"answer.{answer}") for answer in ("same", "different", "cannot_tell")}
    about = [request.query_params.get(name, "") for name in ("a", "b")]
    if not all(about) or way in HIDDEN:
        about = []
    known = state_of(request).identities().who.number_of if about else {}
    if about and len({known[name] for name in about if name in known}) < 2:
        text = "this is no pair any more: its photos are one sighting now, or have left the catalog; review other pairs"
        raise SnowmatchError(text, "no-pair")
    return render(
        request,
        "review.html",
        way=way,
        ways=[each for each in WAYS if may(NEEDS[each])],
        words=words,
        about=about,
        hidden=way in HIDDEN,
    )


PARTS = ("left_flank", "right_flank", "head", "tail", "other", "unknown")


def next_questions(request: Request) -> Response:
    """The next questions of this observer, as JSON; or how far the comparison of the photos is."""
    desk = _desk(request, request.query_params)
    about = (request.query_params.get("a", ""), request.query_params.get("b", ""))
    count = whole_number(request.query_params.get("count"), AHEAD, 1, 20)
    found = desk.questions(count, about if all(about) else None)
    if found is None:
        return JSONResponse({"comparing": desk.state.comparing or [0, 0]})
    identities, items, left, skipped = found
    hidden = desk.way in HIDDEN
    questions = [
        question_to_json(identities, i, hidden=hidden, metres=metres_apart(desk.state, identities, i.a, i.b))
        | {"groups": desk.groups(i)}
        for i in items
    ]
    questions = [asked_with_signs(desk.state, question) for question in questions]
    calibration = desk.state.session(names=False).calibration
    own = calibration is not None and calibration.source == "catalog"
    held = 0 if items else desk.held()
    return JSONResponse({"questions": questions, "left": left, "skipped": skipped, "held": held, "elsewhere": not own})


def _desk(request: Request, values: Mapping[str, Any]) -> Desk:
    state = state_of(request)
    return desk_of(state, state.observer, str(values.get("mode", "open")))


def _posted(act: Callable[[Desk, Mapping[str, Any]], tuple[dict[str, Any], Callable[[], Any] | None]]) -> Any:
    """Return the route that does something with the object in a body. `act` returns the answer, and what follows it."""

    async def route(request: Request) -> Response:
        values = await read_json(request)

        def work() -> Response:
            need_observer(state_of(request), values)
            desk = _desk(request, values)
            answer, after = act(desk, without_signs(desk.state, values))
            return JSONResponse(answer, background=BackgroundTask(_calmly, after) if after is not None else None)

        return await run_in_threadpool(work)

    return route


def _calmly(after: Callable[[], Any]) -> None:
    try:
        after()
    except SnowmatchError:  # the next request for questions meets it again, and tells it
        return


def _answer(desk: Desk, values: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], Any] | None]:
    return {"id": desk.answer(values)}, desk.take_answers


def _undo(desk: Desk, values: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], Any] | None]:
    row = desk.undo()
    if row is None:
        return {"undone": None}, None
    pair = with_signs(desk.state, [min(row.side_a), min(row.side_b)])
    return {"undone": {"id": row.id, "pair": pair}}, desk.take_answers


def _open(desk: Desk, values: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], Any] | None]:
    found = desk.open(read_pair(values.get("pair")))
    return {"free": found == "free"} | ({"answered": True} if found == "answered" else {}), None


def _skip(desk: Desk, values: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[], Any] | None]:
    if values.get("again") is True:
        desk.ask_skipped()
    else:
        desk.skip(read_pair(values.get("pair")))
    return {}, None


def spots(request: Request) -> Response:
    """The spots that agree on two photos. Observers who answer independently do not see them."""
    state = state_of(request)
    if request.query_params.get("mode") in HIDDEN:
        raise SnowmatchError("matched spots are hidden here: they would tell what the photos say")
    keys = [request.query_params.get(name, "") for name in ("a", "b")]
    identities, session = state.of_one_catalog()
    one, other = map(state.pictured, keys)
    if state.identities().data is not identities.data:  # rows may have come or gone since
        _, session = state.of_one_catalog()
        one, other = map(state.pictured, keys)
    if one is None or other is None:
        return problem(request, "there is no such photo", 404)
    need_unchanged(identities, [one.annotation, other.annotation])  # the spots are those of what was indexed
    return JSONResponse({"spots": spots_to_json(session, one.row, other.row)})


def scenery(request: Request) -> Response:
    """A picture that darkens the scenery of a photo."""
    state, size = state_of(request), whole_number(request.path_params["size"], 0, 0, 10**6)
    annotation = pictured(state, request.path_params["key"])
    if annotation is None or size not in SIZES:
        return problem(request, "there is no such picture", 404)
    try:
        content = scenery_shade(state.folder, annotation, size)
    except SnowmatchError as error:
        return problem(request, words_of_error(request, error), 404)
    return asked_anew(request, content, "image/png")  # the box may change, and what is found with an index run


def outlook(request: Request) -> Response:
    """About how much more comparisons can change the number of individuals."""
    counts, fresh = counts_now(state_of(request))
    if counts is None:
        return JSONResponse({"fresh": False})
    change = round(counts.would_change)
    return JSONResponse(
        {"fresh": fresh, "questions": counts.questions, "change": change, "enough": counts.would_change < ENOUGH}
    )


def results(request: Request) -> Response:
    """How often this observer was wrong in training. A reader is told when all pairs are answered: before, the results
    would tell what is right about each.
    """
    state = state_of(request)
    if not may(OBSERVER) and not desk_of(state, state.observer, "training").finished():
        return render(request, "training_results.html", later=True)
    identities = state.identities()
    rows, who = identities.rows, identities.who
    own = [each for each in training_results(rows, who) if each.observer == state.observer]
    weights = accuracies(rows, who) if may(OBSERVER) else {}  # they move with each blind answer that others agree with
    return render(request, "training_results.html", later=False, trained=own, accuracy=weights)


ROUTES = [
    Route("/review", review),
    Route("/review/next", next_questions),
    Route("/review/answer", _posted(_answer), methods=["POST"]),
    Route("/review/undo", _posted(_undo), methods=["POST"]),
    Route("/review/open", _posted(_open), methods=["POST"]),
    Route("/review/skip", _posted(_skip), methods=["POST"]),
    Route("/review/spots", spots),
    Route("/review/outlook", outlook),
    Route("/review/results", results),
    Route("/scenery/{size}/{key:path}", scenery),
]
