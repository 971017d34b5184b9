"""Changes of identities: first what they would change, then, if the person agrees, they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.text import printable
from snowmatch.review.auto import SAMPLE, machine_rows
from snowmatch.review.divide import split_photos
from snowmatch.review.identities import (
    UNNAMED,
    Change,
    Decision,
    Identities,
    checked_name,
    merge,
    name_sightings,
    need_unchanged,
    overruling,
    preview,
    rename,
    undo,
)
from snowmatch.review.traits import BOX, PORTRAIT, Said, said_before, trait_drafts
from snowmatch.review.traits import KINDS as TRAITS
from snowmatch.web.animals import address_of, find_number
from snowmatch.web.background import evidence_now
from snowmatch.web.machine import machine_drafts
from snowmatch.web.page import language_of, need_observer, read_json, state_of
from snowmatch.web.pairs import label_of, pair_of
from snowmatch.web.past import answer_word
from snowmatch.web.people import ADJUDICATOR, OBSERVER, may_take_back, need
from snowmatch.web.rereading import rereading_of
from snowmatch.web.rights import CHANGES
from snowmatch.web.state import State
from snowmatch.web.texts import Translate, translator

SHOWN = 12  # names in a preview
PAIRS = 6  # pairs that it shows
LONGEST = 200  # characters of a name
KINDS = ("name", "rename", "merge", "split", "undo", "auto", "auto-undo", PORTRAIT, BOX, *TRAITS)
SEEN = ("name", "merge", "split", PORTRAIT, BOX, *TRAITS)  # those that say what is seen on photos


async def change(request: Request) -> Response:
    """Return what a change would do; with `store`, and if nothing has changed since `head`, store it."""
    values = await read_json(request)
    return await run_in_threadpool(_change, request, values)


def _change(request: Request, values: Mapping[str, Any]) -> Response:
    state, t = state_of(request), translator(language_of(request))
    need_observer(state, values)
    identities = state.identities()
    drafts = _drafts(state, identities, values)
    if values.get("kind") in SEEN:
        need_unchanged(identities, chain(*(side for draft in drafts for side in (draft.side_a, draft.side_b))))
    head = identities.stored.head
    told = [
        *_machine(drafts, t, values),
        *_settled(drafts, t),
        *_lines(identities, preview(identities, drafts), t, values),
    ]
    lines = [*told, *_traits(identities, values, t)]
    if values.get("store") is not True or values.get("head") != head:
        changed = values.get("store") is True
        pairs = _pairs(state, identities, drafts) if values.get("kind") == "auto" else []
        shown = {"lines": lines, "pairs": pairs, "head": head, "changed": changed, "empty": not drafts}
        return JSONResponse({**shown, "stored": []})

    def make(now: Identities) -> Sequence[Decision]:
        return _drafts(state, now, values) if now.stored.head == head else ()

    rows = state.append(make)
    if not rows:
        shown = {"lines": lines, "pairs": [], "head": "", "changed": bool(drafts), "empty": not drafts}
        return JSONResponse({**shown, "stored": []})
    after = state.identities()
    if after.who.boxes != identities.who.boxes:
        rereading_of(state).ask()
    return JSONResponse({"stored": [row.id for row in rows], "goto": _goto(after, values, drafts)})


def _drafts(state: State, identities: Identities, values: Mapping[str, Any]) -> tuple[Decision, ...]:
    kind, observer = values.get("kind"), state.observer
    need(CHANGES.get(str(kind), OBSERVER))
    name = _text(values, "name", LONGEST)
    if kind == "name":
        numbers = _sightings(identities, values)
        return (overruling(identities, name_sightings(identities, numbers, checked_name(name), observer)),)
    if kind == "rename":
        return (rename(identities, _handle(identities, values.get("key")), name, observer),)
    if kind == "merge":
        handles = [_handle(identities, key) for key in _keys(values, "keys")]
        if other := _text(values, "other", LONGEST):
            handles.append(other)
        return merge(identities, handles, observer, name)
    if kind == "split":
        return split_photos(identities, _handle(identities, values.get("key")), _keys(values, "photos"), observer, name)
    if kind == "auto":
        return machine_drafts(state, identities)
    if kind == "auto-undo":
        return undo(identities, machine_rows(identities.rows), observer)
    if kind == "undo":
        drafts = undo(identities, _keys(values, "ids"), observer)
        ids = {draft.answer for draft in drafts}  # whole ones: they may be given by their last characters
        if any(row.id in ids and not may_take_back(row.observer) for row in identities.rows):
            need(ADJUDICATOR)  # of the decisions of others
        return drafts
    if kind in (PORTRAIT, BOX, *TRAITS):
        photos = _keys(values, "photos")
        if not photos and kind in ("note", "sex"):  # of the whole animal
            number = identities.who.number_of.get(str(values.get("key")))
            if number is not None:
                members = identities.who.individuals[identities.who.of[number]].sightings
                photos = [name for n in members for name in identities.who.sightings[n].annotations]
        return trait_drafts(identities, kind, photos, _text(values, "value", 5000), observer)
    raise SnowmatchError(f"{kind!r} is not a change: expected one of {', '.join(KINDS)}")


def _sightings(identities: Identities, values: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the sightings of the chosen photos."""
    photos = _keys(values, "photos")
    if not photos or any(name not in identities.who.number_of for name in photos):
        raise SnowmatchError("no sighting of this catalog was chosen: load the page again, and choose", "load-again")
    return sorted({identities.who.number_of[name] for name in photos})


def _handle(identities: Identities, key: object) -> str:
    """Return the handle of the individual of a sighting."""
    number = find_number(identities, f"~{key}") if isinstance(key, str) else None
    if number is None:
        raise SnowmatchError(f"{str(key)[:80]!r} is no sighting of this catalog: load the page again", "load-again")
    return identities.who.individuals[number].handle


def _keys(values: Mapping[str, Any], name: str) -> list[str]:
    found = values.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise SnowmatchError(f"{name} is not a list of names: load the page again", "load-again")
    return found


def _text(values: Mapping[str, Any], name: str, longest: int) -> str:
    found = values.get(name) or ""
    if not isinstance(found, str) or len(found) > longest:
        raise SnowmatchError(f"the {name} is not a text of at most {longest} characters: shorten it")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise SnowmatchError(f"the {name} has characters that cannot be written: type it again") from None
    return found.strip()


def _lines(identities: Identities, change: Change, t: Translate, values: Mapping[str, Any]) -> list[str]:
    """Return in words what would change."""
    lines = []
    for before, after, count in change.names[:SHOWN]:
        told = {"before": _name(identities, before, t), "after": _name(identities, after, t)}
        lines.append(t("change.name", n=count, **told))
    if len(change.names) > SHOWN:
        lines.append(t("change.more", n=len(change.names) - SHOWN))
    fewer, more = change.individuals
    if change.names or fewer != more:
        lines.append(t("change.total", n=change.sightings, captures=change.captures, before=fewer, after=more))
    if change.quarrels:
        lines.append(t("change.quarrels", n=len(change.quarrels)))
    if change.disputed:
        lines.append(t("change.disputed", n=change.disputed))
    for key, groups in (("change.several", change.several), ("change.alike", change.alike)):
        lines += [t(key, names=", ".join(map(printable, names))) for names in groups[:SHOWN]]
        if len(groups) > SHOWN:
            lines.append(t("change.more", n=len(groups) - SHOWN))
    if not lines and values.get("kind") not in (PORTRAIT, BOX, *TRAITS):
        lines.append(t("change.nothing"))
    return lines


def _name(identities: Identities, handle: str, t: Translate) -> str:
    """Return a name; for a group without one, where and when one of its sightings was."""
    number = identities.who.number_of.get(handle.removeprefix(UNNAMED)) if handle.startswith(UNNAMED) else None
    if number is not None:
        return f"{t('ind.no_name')} ({label_of(identities, number)})"
    return printable(handle) or t("ind.no_name")


def _pairs(state: State, identities: Identities, drafts: Sequence[Decision]) -> list[dict[str, Any]]:
    """Return the pictures of the least likely pairs that the machine would join, the least likely first."""
    evidence, number_of = evidence_now(state), identities.who.number_of
    ends = [(number_of[d.side_a[0]], number_of[d.side_b[0]]) for d in drafts[::-1][:PAIRS]]
    found = [pair_of(identities, evidence, *pair) for pair in ends]
    return [{"photos": each["photos"], "labels": each["labels"]} for each in found]


def _machine(drafts: Sequence[Decision], t: Translate, values: Mapping[str, Any]) -> list[str]:
    if values.get("kind") == "auto":
        return [t("change.auto", n=len(drafts), sample=sum(SAMPLE in row.tags for row in drafts))]
    return [t("change.auto_undo", n=len(drafts))] if values.get("kind") == "auto-undo" else []


def _settled(drafts: Sequence[Decision], t: Translate) -> list[str]:
    return [t("change.settles")] if any(d.kind == "name" and d.role == "adjudicator" for d in drafts) else []


def _traits(identities: Identities, values: Mapping[str, Any], t: Translate) -> list[str]:
    """Return in words what photos are said to show, and what was said before."""
    kind, photos = values.get("kind"), _keys(values, "photos")
    if kind == PORTRAIT:
        return [t("change.portrait")]
    if kind == "note":
        return [t("change.note", text=printable(str(values.get("value"))))]
    if kind not in (BOX, *TRAITS):
        return []
    value = answer_word(t, str(kind), " ".join(str(values.get("value") or "").split()))
    if not photos:
        return [t("change.animal", kind=t(f"kind.{kind}"), value=value)]
    lines = [t("change.trait", kind=t(f"kind.{kind}"), value=value, n=len(set(photos)))]
    return lines + [_before(said, str(kind), t) for said in said_before(identities, str(kind), photos)[:SHOWN]]


def _before(said: Said, kind: str, t: Translate) -> str:
    value = answer_word(t, kind, said.value) if said.value else ""
    row = said.decision
    if row is None:
        return t("change.before_table" if said.value else "change.before_nobody", value=value, n=said.count)
    who = {"observer": printable(row.observer), "date": row.decided_at[:10]}
    return t("change.before", value=value, n=said.count, **who)


def _goto(after: Identities, values: Mapping[str, Any], drafts: Sequence[Decision]) -> str:
    """Return the address of the individual that a change was about; "" to stay."""
    if not drafts or values.get("stay") is True:
        return ""
    key = values.get("key") or ("" if values.get("kind") == "undo" else next(iter(drafts[0].side_a), ""))
    number = after.who.number_of.get(str(key))
    return "" if number is None else address_of(after, after.who.of[number])


ROUTES = [Route("/changes", change, methods=["POST"])]
