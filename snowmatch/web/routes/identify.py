"""Identify: photos are sent, boxes drawn, the question is asked, and the photos may be added to the catalog."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from snowmatch.api import indexed_extractors
from snowmatch.core.text import printable
from snowmatch.core.types import BODY_PARTS
from snowmatch.review.identities import need_unchanged
from snowmatch.review.uploads import (
    LARGEST,
    Upload,
    find_upload,
    forget_old_uploads,
    guess_body_part,
    keep_upload,
    upload_file,
)
from snowmatch.views.pictures import draw_candidate
from snowmatch.views.previews import SIZES, make_previews_of
from snowmatch.views.text import Answer, Candidate
from snowmatch.web.adding import add_answer, sign_of
from snowmatch.web.animals import quoted
from snowmatch.web.asked import Answers, Asked, find_question, keep_question, read_question
from snowmatch.web.page import (
    called,
    language_of,
    need_observer,
    problem,
    read_form,
    read_json,
    render,
    state_of,
    translator_of,
    whole_number,
)
from snowmatch.web.routes.pictures import asked_anew
from snowmatch.web.texts import Translate
from snowmatch.web.told import told_note

ANSWERS = "snowmatch_answers"  # the name under which the server keeps its answers
PICTURES = 40  # drawn pictures that are remembered
# By the identity of a candidate. The candidate is kept too: another one would get its identity otherwise
_drawn: OrderedDict[int, tuple[Candidate, dict[str, bytes]]] = OrderedDict()
_drawing = threading.Lock()
_decoding = threading.Lock()  # one photo at a time: a large one takes half a gigabyte


def identify(request: Request) -> Response:
    """The page where photos are dropped."""
    state = state_of(request)
    annotations = state.identities().annotations
    return render(
        request,
        "identify.html",
        parts=BODY_PARTS,
        locations=sorted({a.location for a in annotations if a.location}),
        stations=sorted({a.station for a in annotations if a.station}),
        largest=LARGEST,
        extractors=list(dict.fromkeys(name for name, _ in indexed_extractors(state.folder))),
    )


async def upload(request: Request) -> Response:
    """Keep one photo; the body is its bytes. Returns what is known of it."""
    content = await request.body()
    name = request.query_params.get("name", "")
    return JSONResponse(await run_in_threadpool(_kept, request, content, name))


def _kept(request: Request, content: bytes, name: str) -> dict[str, Any]:
    state = state_of(request)
    forget_old_uploads(state.folder)  # a server may run for months
    with _decoding:
        found = keep_upload(state.folder, content, name)
    values: dict[str, Any] = {"id": found.id, "name": found.name, "size": found.size, "taken": found.taken}
    rows = state.on_record(found.sha256)
    if rows:
        a = rows[0]
        values["known"] = {"path": a.path, "individual": a.individual, "several": len(rows) > 1}
        values |= {"body_part": a.body_part, "location": a.location, "station": a.station}
        values["bbox"] = a.bbox if len(rows) == 1 else None
    return values


def uploaded(request: Request) -> Response:
    """A small picture of a photo that was sent."""
    size = whole_number(request.path_params["size"], 0, 0, 10**6)
    if size not in SIZES:
        return problem(request, "there is no such picture", 404)
    state = state_of(request)
    found = find_upload(state.folder, request.path_params["name"])
    with _decoding:
        content = make_previews_of(upload_file(state.folder, found), [(None, size)])[0]
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


async def guess(request: Request) -> Response:
    """Which flank the animal in a box shows, where that can be told."""
    values = await read_json(request)
    return JSONResponse(await run_in_threadpool(_guessed, request, values))


def _guessed(request: Request, values: Any) -> dict[str, Any]:
    asked = read_question({**values, "photos": [values.get("photo")], "boxes": [values.get("bbox")]})
    state = state_of(request)
    file = upload_file(state.folder, find_upload(state.folder, asked.photos[0]))
    box = asked.boxes[0]
    with _decoding:
        found = guess_body_part(file, box)
    return {} if found is None else {"body_part": found[0], "probability": round(found[1], 3)}


async def ask(request: Request) -> Response:
    """Answer a question, and return the address of the answer."""
    asked = read_question(await read_json(request))
    await run_in_threadpool(_asked, request, asked)
    return JSONResponse({"address": f"/identify/{asked.id}"})


def _asked(request: Request, asked: Asked) -> Answer:
    keep_question(state_of(request).folder, asked)
    return answers_of(request).of(state_of(request), asked)


def answers_of(request: Request) -> Answers:
    """Return the answers that this server remembers."""
    kept = getattr(request.app.state, ANSWERS, None)
    if kept is None:
        kept = Answers()
        setattr(request.app.state, ANSWERS, kept)
    found: Answers = kept
    return found


def answer(request: Request) -> Response:
    """The answer to a question."""
    state = state_of(request)
    asked = find_question(state.folder, request.path_params["name"])
    found = answers_of(request).of(state, asked)
    shown = candidates_of(found)
    t = translator_of(request)
    uploads = [find_upload(state.folder, name) for name in asked.photos]
    known = sum(bool(state.on_record(each.sha256)) for each in uploads)
    return render(
        request,
        "answer.html",
        asked=asked,
        answer=found,
        candidates=[(n, c, name_words(t, c), evidence_words(t, c)) for n, c in enumerate(shown)],
        decided=next((n for n, c in enumerate(shown) if c is found.decided), None),
        uploads=uploads,
        sign_of=sign_of,
        known=known,
        names=sorted({each.name for each in state.identities().who.individuals if each.name is not None}),
        notes=[_with_names(told_note(language_of(request), note), state.folder, uploads) for note in found.notes],
    )


def _with_names(text: str, folder: Path, uploads: Sequence[Upload]) -> str:
    """Return a note with the names of the photos that were sent, and no paths of this computer."""
    for each in uploads:
        for path in {str(upload_file(folder, each)), printable(str(upload_file(folder, each)))}:
            text = text.replace(path, each.name)
    return text


def candidates_of(found: Answer) -> tuple[Candidate, ...]:
    """Return the candidates of an answer, the decided one first."""
    extra = (found.decided,) if found.decided is not None else ()
    return (*extra, *(c for c in found.candidates if c is not found.decided))


def name_words(t: Translate, candidate: Candidate) -> str:
    """Return what a candidate is called, in words of the page's language."""
    if candidate.individual is not None:
        return called(t, candidate.individual)
    return t("answer.unidentified", encounter=printable(candidate.best.encounter or candidate.best.path))


def evidence_words(t: Translate, candidate: Candidate) -> str:
    """Return what speaks for a candidate, in words of the page's language."""
    if not candidate.accepted:
        why = "none" if not candidate.score else "geometry" if candidate.checked else "unchecked"
        return t(f"answer.no.{why}")
    words = t("answer.spots", n=candidate.inliers)
    if candidate.covered is not None:
        words += ", " + t("answer.covered", share=f"{100 * candidate.covered:.0f}")
    return words


def answer_picture(request: Request) -> Response:
    """The photos of the question and of one candidate side by side: with lines, plain, or with darkened scenery."""
    state = state_of(request)
    found = answers_of(request).shown(state, find_question(state.folder, request.path_params["name"]))
    chosen = next((each for each in candidates_of(found) if sign_of(each) == request.path_params["sign"]), None)
    if chosen is None:
        return problem(request, "there is no such candidate", 404)
    need_unchanged(state.identities(), [chosen.best.annotation])  # the spots are those of the photo that was indexed
    kinds = _pictures(found, chosen, state.folder)
    if request.path_params["kind"] not in kinds:
        return problem(request, "there is no such picture", 404)
    return asked_anew(request, kinds[request.path_params["kind"]])  # candidates change with the catalog


def _pictures(found: Answer, candidate: Candidate, folder: Path) -> dict[str, bytes]:
    with _drawing:
        key = id(candidate)
        if key not in _drawn:
            _drawn[key] = candidate, {k: _jpeg(p) for k, p in draw_candidate(found, candidate, folder).items()}
            while len(_drawn) > PICTURES:
                _drawn.popitem(last=False)
        return _drawn[key][1]


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


async def add(request: Request) -> Response:
    """Add the photos to the catalog, under the name of a candidate, a new name, or none."""
    form = await read_form(request)
    who, name = form.get("who", ""), form.get("name", "")
    need_observer(state_of(request), form)
    key = await run_in_threadpool(_added, request, request.path_params["name"], who, name)
    return RedirectResponse(f"/photos/{quoted(key)}", 303)


def _added(request: Request, question: str, who: str, name: str) -> str:
    state = state_of(request)
    asked = find_question(state.folder, question)
    found = answers_of(request).of(state, asked)
    return add_answer(state, asked, found, candidates_of(found), who, name)


ROUTES = [
    Route("/identify", identify),
    Route("/identify/photo", upload, methods=["POST"]),
    Route("/identify/photo/{size}/{name}", uploaded),
    Route("/identify/guess", guess, methods=["POST"]),
    Route("/identify/ask", ask, methods=["POST"]),
    Route("/identify/{name}", answer),
    Route("/identify/{name}/add", add, methods=["POST"]),
    Route("/identify/{name}/{sign}/{kind}", answer_picture),
]
