"""What every page is made with: templates, the language, the person's name, errors as pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import percent, printable
from snowmatch.core.version import __version__
from snowmatch.review.identities import UNNAMED
from snowmatch.review.shares import Share
from snowmatch.views.text import MARKS
from snowmatch.web.animals import quoted
from snowmatch.web.people import OBSERVER, asking, may
from snowmatch.web.rights import may_open
from snowmatch.web.state import State
from snowmatch.web.texts import LANGUAGES, Translate, choose_language, figures, translator
from snowmatch.web.told import told, told_note

# The pages in the navigation: the address, the key of its word, the second key after "g"
NAV = (
    ("/", "nav.home", "h"),
    ("/identify", "nav.identify", "i"),
    ("/photos", "nav.photos", "p"),
    ("/jobs", "nav.jobs", "j"),
    ("/review", "nav.review", "r"),
    ("/individuals", "nav.individuals", "n"),
    ("/contradictions", "nav.contradictions", "c"),
    ("/agreement", "nav.agreement", "a"),
    ("/count", "nav.count", "m"),
    ("/dashboard", "nav.dashboard", "o"),
    ("/survey", "nav.survey", "s"),
    ("/doctor", "nav.doctor", "d"),
)
SIGN = 8  # characters that tell an individual without a name from others on a page
_SIGNS = re.compile(re.escape(UNNAMED) + rf"\w{{{SIGN + 1},}}", re.ASCII)
LANGUAGE_COOKIE = "snowmatch-language"


@cache
def environment(language: str) -> Environment:
    """Return the environment of all templates in a language, whose numbers they show. Every value is escaped."""
    t = translator(language)
    found = Environment(
        loader=PackageLoader("snowmatch.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(percent=partial(shown_percent, t), format=partial(_format, t), figures=partial(figures, t))
    found.filters.update(shown=printable, quoted=quoted)
    found.globals.update(
        NAV=NAV,
        may=may,
        may_open=may_open,
        LANGUAGES=LANGUAGES,
        MARKS=MARKS,
        version=__version__,
        data=_data,
        share=partial(_share, t),
    )
    return found


def state_of(request: Request) -> State:
    """Return the state of the server."""
    state: State = request.app.state.snowmatch
    return state


def language_of(request: Request) -> str:
    """Return the language of the page: `?lang`, the remembered one, or the browser's wish."""
    return choose_language(
        request.query_params.get("lang"),
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", ""),
    )


def translator_of(request: Request) -> Translate:
    """Return the words of the page's language."""
    return translator(language_of(request))


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page.

    The template gets `t` (the words), `called`, `state`, `path`, `accounts` (whether people log in) and `values`.
    """
    language = language_of(request)
    t, state, accounts = translator_of(request), state_of(request), asking.get() is not None
    found = environment(language).get_template(template)
    words = {"t": t, "called": partial(called, t), "told": partial(told_note, language), "language": language}
    text = found.render(**words, state=state, path=request.url.path, here=_here(request), accounts=accounts, **values)
    response = HTMLResponse(text.encode("utf-8", "backslashreplace"), status)  # a path may hold undecodable bytes
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=10**8, httponly=True, samesite="strict")
    return response


def _here(request: Request) -> str:
    """Return the path under which a page is asked for in another language: "" for its own. The answer to a form has
    none, so it is the page that the form belongs to.
    """
    if request.method in ("GET", "HEAD"):
        return ""
    above = "/" + request.url.path.split("/")[1]
    return above if above in ("/account", *(address for address, _, _ in NAV)) else "/"


def called(t: Translate, name: str | None) -> str:
    """Return what an individual is called on a page, printable; without a name, the beginning of what stands for it."""
    if name is None:
        return t("photos.unnamed")
    sign = name.removeprefix(UNNAMED)
    return printable(name) if sign == name or len(sign) <= SIGN else t("ind.nameless", sign=sign[:SIGN])


def with_calls(t: Translate, text: str) -> str:
    """Return a text in which individuals without a name are called as on pages."""
    return _SIGNS.sub(lambda found: called(t, found[0]), text)


def wants_json(request: Request) -> bool:
    """Return whether a script asked, so that an error is an object and not a page."""
    return "application/json" in request.headers.get("accept", "")


def takes_end(request: Request, name: str, end: str) -> bool:
    """Return whether the parameter `name` is an identifier with the end of an address, such as "/state", in it.

    The slash is encoded then, and the parameter gets the end.
    """
    if not request.scope.get("raw_path", b"").upper().endswith(end.replace("/", "%2F").upper().encode()):
        return False
    request.path_params[name] += end
    return True


def problem(request: Request, text: str, status: int = 400, code: str = "") -> Response:
    """Return an error that the person can mend, as a page or as JSON, with the page that helps."""
    link = HELPS.get(code, "")
    if not may_open(link):
        link = ""
    text = text.encode("utf-8", "backslashreplace").decode()  # it may quote what cannot be written
    if wants_json(request):
        return JSONResponse({"error": text, "code": code, "link": link}, status)
    return render(request, "problem.html", status=status, text=text, link=link)


# The page that solves a problem, by its code
HELPS = {
    "not-indexed": "/jobs",
    "damaged-features": "/jobs",
    "damaged-settings": "/jobs",
    "damaged-calibration": "/jobs",
    "choose-observer": "/#observer",
    "no-pair": "/review",
    "photo-changed": "/jobs",
    "added-not-indexed": "/jobs",
    "added-unread": "/jobs",
}


STATUS = {"not-allowed": 403}
# The errors that a reader is told in their own words, by code. Others may quote a path, and with it a name
READERS_TOLD = ("not-allowed", "load-again", "no-training", "other-observer")


def words_of_error(request: Request, error: SnowmatchError) -> str:
    """Return what who asks is told of an error: its own words, or for a reader that there is one.

    Of another error that caused it, the words are in the language of the page as well, as `why`.
    """
    if not may(OBSERVER) and error.code not in READERS_TOLD:
        return translator_of(request)("problem.reader")
    cause = error.__cause__
    why = {"why": words_of_error(request, cause)} if isinstance(cause, SnowmatchError) else {}
    return told(language_of(request), " ".join(str(error).splitlines()), error.code, {**error.data, **why})


def snowmatch_error(request: Request, error: Exception) -> Response:
    """Return the answer to a SnowmatchError that no page expected."""
    assert isinstance(error, SnowmatchError)
    return problem(request, words_of_error(request, error), STATUS.get(error.code, 400), error.code)


async def read_json(request: Request) -> Mapping[str, Any]:
    """Return the object in the body. Raises SnowmatchError for anything else."""
    body = await request.body()
    try:
        values = await run_in_threadpool(json.loads, body)
    except (ValueError, RecursionError):
        raise SnowmatchError("the request is not valid JSON: load the page again", "load-again") from None
    if not isinstance(values, dict):
        raise SnowmatchError("the request is not a JSON object: load the page again", "load-again")
    return values


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of the form in the body. Raises SnowmatchError if they are no text."""
    try:
        form = await request.form(max_files=0, max_fields=10)
        values = {name: str(value) for name, value in form.items()}
        "".join(values.values()).encode()
    except UnicodeError:  # a form says itself how its text is encoded
        raise SnowmatchError("the form is not text: load the page again", "load-again") from None
    return values


def need_observer(state: State, values: Mapping[str, Any]) -> None:
    """Raise SnowmatchError if nobody's name is known, or if it is not that of who decided when the page was made.

    values: what the page sent; without an `observer`, it is taken to be of who decides now.
    """
    if not state.observer:
        raise SnowmatchError("nobody's name is known here: say once who decides", "choose-observer")
    if values.get("observer") not in (None, "", state.observer):
        name = printable(state.observer)
        raise SnowmatchError(f"{name} decides now: load the page again", "other-observer", observer=name)


def whole_number(text: str | None, default: int, least: int, most: int) -> int:
    """Return a whole number of an address between `least` and `most`; the default if it is none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 12:
        return default
    return min(max(int(text), least), most)


def shown_percent(t: Translate, probability: float | None, bounds: Sequence[float] = ()) -> str:
    """Return a probability as `percent` does, with signs instead of words."""
    return figures(t, percent(probability, bounds).replace("below ", "< ").replace("above ", "> "))


def _format(t: Translate, pattern: str, number: float) -> str:
    """Return a number as a pattern such as "%.1f" writes it."""
    return figures(t, pattern % number)


def _data(values: Any) -> Markup:
    """Return values as JSON for an attribute of a page."""
    return Markup(escape(json.dumps(values, ensure_ascii=False), quote=True))


def _share(t: Translate, share: Share) -> str:
    """Return a share in figures, such as "3 / 40 · 7.5 % (1.6–20.4 %)"."""
    if share.value is None:
        return "0 / 0"
    low, high = 100 * share.low, 100 * share.high
    return figures(t, f"{share.count} / {share.of} · {100 * share.value:.1f} % ({low:.1f}–{high:.1f} %)")
