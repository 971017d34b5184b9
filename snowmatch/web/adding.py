"""Adding answered photos to the catalog: copied, indexed, and named by a decision of the person."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import same_name
from snowmatch.core.types import Annotation
from snowmatch.review.adding import NewPhoto, add_photos, sent_passages
from snowmatch.review.identities import (
    UNNAMED,
    Decision,
    Identities,
    answer_pair,
    bearer_of,
    checked_name,
    name_sightings,
    need_unchanged,
    overruling,
    taken,
    with_left_out,
)
from snowmatch.review.taking_in import extractors_here
from snowmatch.review.uploads import Upload, camera_of, find_upload, upload_file
from snowmatch.views.text import Answer, Candidate
from snowmatch.web.asked import Asked
from snowmatch.web.people import ADJUDICATOR, may, need
from snowmatch.web.state import State

WAIT = 60.0  # seconds


def add_answer(state: State, asked: Asked, answer: Answer, candidates: Sequence[Candidate], who: str, name: str) -> str:
    """Add the photos of a question to the catalog, and return the identifier of the first one's annotation.

    who: the sign of a candidate, `new` (with `name`), or `unknown`. Photos that the catalog has already are only
    named: by an adjudicator, as on the pages of individuals. Of an observer, a candidate is then an answer about two
    sightings, as in Review. The photos are one encounter, unless their times are further apart than the catalog allows
    to be one. Raises SnowmatchError if the name is taken or missing, if the photo of the candidate is not what was
    indexed, if a photo shows several animals (on record, or found now), if the role does not allow it, or if the
    catalog cannot be written or indexed.
    """
    candidate = _chosen(candidates, who)
    name = same_name(" ".join(name.split()))
    if candidate is not None:
        need_unchanged(state.identities(), [candidate.best.annotation])  # the person saw it
    state.renew()  # another program may have put the photos on record since the identities were loaded
    if who == "new":
        _check_new(state.identities(), name)
    uploads = [find_upload(state.folder, each) for each in asked.photos]
    paths = []
    new: list[NewPhoto] = []
    known = {n: rows for n, upload in enumerate(uploads) if (rows := state.on_record(upload.sha256))}
    encounters = _encounters(state, asked, uploads, {n: rows[0] for n, rows in known.items()})
    for n, (upload, box) in enumerate(zip(uploads, asked.boxes, strict=True)):
        if n in known:
            rows = known[n]
            if who == "new":
                need(ADJUDICATOR)
            if who != "unknown" and sum(a.path == rows[0].path for a in rows) > 1:
                raise SnowmatchError(
                    f"{rows[0].path} shows several animals, and one name is not for all of them: name each on its page"
                )
            paths.append(rows[0].path)
        else:
            new.append(_new_photo(state, asked, answer, upload, box, _row_time(asked, upload, uploads), *encounters[n]))
    before = {a.annotation for a in state.identities().annotations}
    if new:
        paths += add_photos(state.folder, new)
        _index_added(state)
    identities = state.identities()
    rows_of = [a for a in identities.annotations if a.path in set(paths) and a.annotation]
    if not rows_of:
        raise SnowmatchError("the photos were added, but none of them could be indexed: see the page of the work")
    found = Counter(a.path for a in identities.annotations)
    if who != "unknown" and (several := next((path for path in paths if found[path] > 1), "")):
        raise SnowmatchError(
            f"the photos are in the catalog now, without a name: {several} shows several animals, and one name is not "
            "for all of them: name each on its page"
        )

    def drafts(now: Identities) -> tuple[Decision, ...]:
        if who == "new":
            _check_new(now, name)  # somebody may have given the name to another animal meanwhile
        return _drafts(now, state.observer, [a.annotation for a in rows_of], before, candidate, name, answer)

    if who != "unknown":
        state.append(drafts)
    return rows_of[0].annotation


def index(state: State) -> None:
    """Index what is new, with the catalog's extractors that can be used here.

    Another index run, such as that of watch, is waited for: a photo that it has put on record would be named by an
    adjudicator alone. Raises SnowmatchError if it takes longer than WAIT, or if no extractor can be used.
    """
    until = time.monotonic() + WAIT
    for extractor, options in extractors_here(state.folder)[0]:
        while True:
            try:
                state.catalog().index(extractor or None, options, workers=1)
                break
            except SnowmatchError as error:
                if error.code != "being-indexed" or time.monotonic() > until:
                    raise
            time.sleep(0.2)
    state.renew()


def _index_added(state: State) -> None:
    """Index photos that were just added. An error says that they are in the catalog."""
    told = "the photos are in the catalog now, not read and without a name"
    try:
        index(state)
    except SnowmatchError as error:
        if error.code != "being-indexed":
            raise SnowmatchError(f"{told}: {error}", "added-not-indexed", why=str(error)) from error
        raise SnowmatchError(
            f"{told}, since other work indexes the catalog: when it has ended, read them, and name them on their pages",
            "added-unread",
        ) from error


def sign_of(candidate: Candidate) -> str:
    """Return what stands for a candidate in the form of its page: its name, and the animal that is shown for it."""
    return sha256(f"{candidate.individual}\n{candidate.best.annotation}".encode("utf-8", "surrogatepass")).hexdigest()[
        :16
    ]


def _chosen(candidates: Sequence[Candidate], who: str) -> Candidate | None:
    if who in ("new", "unknown"):
        return None
    if not who:
        raise SnowmatchError("nobody was chosen: choose a candidate, a new animal, or no name yet", "choose-candidate")
    found = next((each for each in candidates if sign_of(each) == who), None)
    if found is None:  # others decide, and photos come, while the page is open
        raise SnowmatchError("the answer has changed since it was shown: look at it again and choose", "answer-changed")
    return found


def _check_new(identities: Identities, name: str) -> None:
    if not name or name.startswith(UNNAMED) or len(name) > 200:
        raise SnowmatchError("a new animal needs a name: type one", "name-missing")
    checked_name(name)
    if (other := bearer_of(identities, name)) is not None:
        raise SnowmatchError(
            f"{name!r} is {taken(name, other)} already: choose it, or another name", "name-taken", name=other.handle
        )


def _row_time(asked: Asked, upload: Upload, uploads: Sequence[Upload]) -> str:
    """Return the time for the row of a photo, ISO 8601; "" for that of its EXIF."""
    told = asked.timestamp in {each.taken for each in uploads}  # by the first photo: the others have times of their own
    return (upload.taken if told else "") or asked.timestamp


def _encounters(
    state: State, asked: Asked, uploads: Sequence[Upload], known: Mapping[int, Annotation]
) -> dict[int, tuple[str, str]]:
    """Return the encounter of each new photo ("": the catalog groups it), and a photo on record of the same passage.

    known: the photos on record, by their number in `uploads`. The person said that all show one passage. A station, or
    one camera, and times group them, together with what is on record; without these, a name does.
    """
    times = []
    for n, upload in enumerate(uploads):
        text = _row_time(asked, upload, uploads) or upload.taken
        times.append(known[n].timestamp if n in known else datetime.fromisoformat(text) if text else None)
    cameras = {camera_of(state.folder, upload) for upload in uploads}
    grouped = None not in times and (bool(asked.station) or (len(cameras) == 1 and "" not in cameras))
    found: dict[int, tuple[str, str]] = {}
    for number, photos in enumerate(sent_passages(times, state.identities().data.settings.gap)):
        new = [n for n in photos if n not in known]
        old = [known[n] for n in photos if n in known]
        here = [a.path for a in old if asked.station in ("", a.station) and asked.location in ("", a.location)]
        name = f"added {asked.id[:8]}{f' {number + 1}' if number else ''}"
        found |= {n: ("" if grouped or len(new) < 2 else name, next(iter(here), "")) for n in new}
    return found


def _new_photo(
    state: State,
    asked: Asked,
    answer: Answer,
    upload: Upload,
    box: object,
    timestamp: str,
    encounter: str,
    beside: str,
) -> NewPhoto:
    file = upload_file(state.folder, upload)
    used = next((photo for photo in answer.photos if photo.path == str(file)), None)
    drawn = used.bbox if used is not None and not used.box_by else None  # a found box is found again
    return NewPhoto(
        file,
        upload.name,
        upload.sha256,
        drawn,
        answer.body_part,
        asked.location,
        asked.station,
        timestamp,
        encounter,
        beside=beside,
    )


def _drafts(
    identities: Identities,
    observer: str,
    names: Sequence[str],
    before: Collection[str],
    candidate: Candidate | None,
    name: str,
    answer: Answer,
) -> tuple[Decision, ...]:
    """Return the decisions about the annotations `names`. before: the annotations that were on record already."""
    identities = with_left_out(identities, names if candidate is None else [*names, candidate.best.annotation])
    sightings = list(dict.fromkeys(identities.who.number_of[each] for each in names))
    old = any(each in before for n in sightings for each in identities.who.sightings[n].annotations)
    free = not old or may(ADJUDICATOR)
    if candidate is None and not free:
        raise SnowmatchError(
            "the photos are in the catalog now, without a name: their passage was on record before, and only an "
            "adjudicator gives it a name",
            "not-allowed",
        )
    shown = {}
    if candidate is not None:
        shown = {"probability": candidate.probability, "rank": candidate.rank, "lines": True, "reason": "identify"}
    elif answer.new_probability is not None:
        shown = {"probability": answer.new_probability, "lines": True, "reason": "identify"}
    called = (name if candidate is None else candidate.individual) or ""
    if candidate is not None and (not called or called.startswith(UNNAMED) or not free):
        other = identities.who.number_of.get(candidate.best.annotation)
        if other is None:
            raise SnowmatchError("the chosen animal is not on record any more: ask again", "answer-gone")
        drafts = [answer_pair(identities, n, other, "same", observer) for n in sightings if n != other]
    else:
        draft = name_sightings(identities, sightings, called, observer)
        drafts = [overruling(identities, draft) if old else draft]  # what was on record, an adjudicator names
    return tuple(draft._replace(shown=shown) for draft in drafts)
