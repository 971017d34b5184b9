"""Pictures of photos and animals, by the identifier of an annotation and a size, never by a path."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.review.traits import box_text
from snowmatch.views.found_map import found_map
from snowmatch.views.previews import KINDS, SIZES, file_stamp, preview
from snowmatch.web.page import problem, state_of, translator_of, whole_number, words_of_error
from snowmatch.web.signs import pictured

KEPT = "private, max-age=3600"  # by this person's browser alone


def picture(request: Request) -> Response:
    """A JPEG of an annotation's photo, or of the animal in it."""
    state = state_of(request)
    kind, size = request.path_params["kind"], whole_number(request.path_params["size"], 0, 0, 10**6)
    annotation = pictured(state, request.path_params["key"])
    if annotation is None or kind not in KINDS or size not in SIZES:
        return problem(request, "there is no such picture", 404)
    stamp = file_stamp(state.folder / annotation.path)
    try:
        content = preview(state.folder, annotation, kind, size)
    except SnowmatchError as error:
        return problem(request, words_of_error(request, error), 404)
    file, box = (request.query_params.get(name) for name in ("file", "box"))
    same = file == stamp and (kind == "photo" or (kind == "animal" and box == box_text(annotation.bbox)))
    if same:
        return Response(content, media_type="image/jpeg", headers={"cache-control": KEPT})
    return asked_anew(request, content)  # the file and the box may change, and with them what the picture shows


def asked_anew(request: Request, content: bytes, kind: str = "image/jpeg") -> Response:
    """Return a picture whose address may show another one later: a browser asks each time, and gets what is new."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"cache-control": "private, no-cache", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def found(request: Request) -> Response:
    """A PNG that tints where snowmatch found the animal in a photo."""
    state, size = state_of(request), whole_number(request.path_params["size"], 0, 0, 10**6)
    annotation = state.pictured(request.path_params["key"])
    if annotation is None or size not in SIZES:
        return problem(request, "there is no such picture", 404)
    try:
        content = found_map(state.folder, annotation, size)
    except SnowmatchError as error:
        return problem(request, str(error), 404)
    if content is None:
        return problem(request, translator_of(request)("photo.no_map"), 404)
    return Response(content, media_type="image/png", headers={"cache-control": "private, no-cache"})


ROUTES = [Route("/picture/{kind}/{size}/{key:path}", picture), Route("/found/{size}/{key:path}", found)]
