"""What is wrong with the catalog, or likely wrong, with the pictures."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snowmatch.core.text import printable
from snowmatch.review.doctor.examine import Examination, examine
from snowmatch.review.doctor.finding import SEVERITIES, Finding
from snowmatch.views.previews import key_of
from snowmatch.web.animals import address_of_sighting
from snowmatch.web.background import Same, background
from snowmatch.web.page import language_of, render, state_of, with_calls
from snowmatch.web.state import State
from snowmatch.web.surveys import stations_stamp
from snowmatch.web.texts import translator
from snowmatch.web.told import told, told_note

CASES, PHOTOS = 20, 12  # of one finding
ASKED = "doctor asked"  # the last loading of the page, among what the server keeps
# The page that helps with a finding, by its code
PAGES = {
    "contradictions": "/contradictions",
    "disagreements": "/agreement",
    "disputed-names": "/contradictions",
    "several-names": "/contradictions",
    "names-refused": "/contradictions",
    "idle-decisions": "/contradictions",
    "half-named": "/review",
    "one-flank": "/individuals?flanks=one",
    "individuals-alike": "/individuals?show=named",
    "individuals-same-name": "/individuals?show=named",
    "not-indexed": "/jobs",
    "photos-unseen": "/jobs",
    "failed": "/jobs",
    "records-damaged": "/jobs",
    "checks-damaged": "/jobs",
    "middle-damaged": "/jobs",
    "files-mended": "/jobs",
    "no-box": "/photos?outline=neither&view=outline",
    "body-part-unknown": "/photos?body_part=unknown",
}


def doctor(request: Request) -> Response:
    """The page. Its findings are fetched after it, and made anew: files come and go without a sign."""
    state_of(request).kept[ASKED] = object()
    return render(request, "doctor.html")


def findings(request: Request) -> Response:
    """The findings; with status 202 while the catalog is examined: those of before, if there are some."""
    state = state_of(request)
    identities = state.identities()
    key = (Same(identities.data), identities.stored.head, stations_stamp(state), state.kept.get(ASKED))

    def compute() -> tuple[datetime, Examination]:
        return datetime.now(), examine(state.folder, state.decisions)

    value, fresh = background(state, "doctor").get(key, compute)
    if value is None:
        return render(request, "wait.html", status=202, word="doctor.wait")
    (moment, found), language = value, language_of(request)
    return render(
        request,
        "doctor_findings.html",
        status=200 if fresh else 202,
        before="" if fresh else f"{moment:%Y-%m-%d %H:%M}",
        counts=[(severity, found.count(severity)) for severity in SEVERITIES],
        groups=[(s, [_finding(state, f, language) for f in found.findings if f.severity == s]) for s in SEVERITIES],
        unseen=[(printable(told_note(language, note)), PAGES.get(note.code, "")) for note in found.unseen],
        found=_size(found),
    )


def _size(found: Examination) -> dict[str, int]:
    return {name: getattr(found, name) for name in ("photos", "annotations", "individuals", "encounters")}


def _text(finding: Finding, language: str) -> str:
    """Return the text of a finding in a language: its own words there, those of the note behind it, or English."""
    values = ({"count": len(finding.cases)} if finding.cases else {}) | dict(finding.data)
    text = told(language, finding.text, f"doctor-{finding.code}", values)
    return text if text != finding.text else told(language, finding.text, finding.code, values)


def _finding(state: State, finding: Finding, language: str) -> dict[str, Any]:
    identities = state.identities()
    keys = list(islice((name for name in finding.annotations if state.annotation(name) is not None), PHOTOS))
    if not keys and finding.photos:
        paths = set(finding.photos[:PHOTOS])
        keys = [key_of(a) for a in identities.annotations if a.path in paths]
    numbers, t = identities.who.number_of, translator("en")  # the cases are English
    return {
        "text": printable(_text(finding, language)),
        "cases": [with_calls(t, printable(case)) for case in finding.cases[:CASES]],
        "more": max(len(finding.cases) - CASES, 0),
        "page": PAGES.get(finding.code, ""),
        "photos": [
            (key, address_of_sighting(identities, numbers[key]) if key in numbers else "") for key in keys[:PHOTOS]
        ],
    }


ROUTES = [Route("/doctor", doctor), Route("/doctor/findings", findings)]
