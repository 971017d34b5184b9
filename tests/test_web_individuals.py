"""The pages of individuals and lists: changes with a preview, filters, escaped names, no coordinates, no failure."""

import html
import json
import re
import shutil
import threading
import weakref
from types import SimpleNamespace
from urllib.parse import quote, unquote

import pytest
from conftest import until
from starlette.testclient import TestClient
from web_small import client_of

from snowmatch.review.contradictions import contradictions_of
from snowmatch.review.identities import UNNAMED, answer_pair, draft, name_sightings
from snowmatch.review.likely import gather_evidence
from snowmatch.review.links import links_of
from snowmatch.web import animals
from snowmatch.web import state as state_module
from snowmatch.web.animals import address_of, address_of_sighting, find_number, quoted
from snowmatch.web.app import make_app
from snowmatch.web.background import Same, background
from snowmatch.web.page import environment
from snowmatch.web.routes import agreement, contradictions
from snowmatch.web.state import State
from snowmatch.web.texts import translator

HOSTILE = [
    '<script>alert("1")</script>',
    "a/b",
    "..",
    ".",
    "~x",
    "50%",
    "né?#&",
    "\u202edne",
    "x" * 180,
    "Снежок",
    "a\\b",
]


@pytest.fixture
def state(survey, tmp_path):
    return State(shutil.copytree(survey / "catalog", tmp_path / "catalog"), None, "Anna")


@pytest.fixture
def page(state):
    found = TestClient(make_app(state, 80, "token"), base_url="http://127.0.0.1")
    found.headers["sec-fetch-site"] = "same-origin"
    assert found.get("/?token=token").status_code == 200
    return found


def first_named(state):
    return next(each for each in state.identities().who.individuals if each.name and len(each.sightings) > 1)


def key_of(state, individual):
    return state.identities().who.sightings[individual.sightings[0]].key


def once_known(page, address):
    """Return the answer of a page when what it waits for is there."""
    return until(lambda: answer if (answer := page.get(address)).status_code != 202 else None)


def change(page, **values):
    """Ask for the preview of a change, then store it. Returns both answers."""
    preview = page.post("/changes", json=values)
    assert preview.status_code == 200, preview.text
    stored = page.post("/changes", json={**values, "store": True, "head": preview.json()["head"]})
    return preview.json(), stored.json()


def test_rename_shows_first_what_changes_and_stores_nothing_until_agreed(state, page):
    old = first_named(state)
    values = {"kind": "rename", "key": key_of(state, old), "name": "Aika"}
    preview = page.post("/changes", json=values).json()
    assert f"{old.name} → Aika" in preview["lines"][0]
    assert state.identities().rows == ()
    _, stored = change(page, **values)
    assert len(stored["stored"]) == 1
    assert stored["goto"] == "/individuals/Aika"
    assert "Aika" in page.get(stored["goto"]).text


def test_an_address_with_a_name_of_before_leads_to_the_individual_unless_another_one_has_the_name_now(state, page):
    one, other = [each for each in state.identities().who.individuals if each.name][:2]
    change(page, kind="rename", key=key_of(state, one), name="Aika")
    change(page, kind="rename", key=key_of(state, one), name="Umut")
    for name in (one.name, "Aika"):
        for part, shown in (("", "<h1>Umut</h1>"), ("/passport", "<h1>Umut</h1>"), ("/links", "<p")):
            answer = once_known(page, f"/individuals/{quote(name, safe='')}{part}")
            assert answer.status_code == 200, (name, part)
            assert shown in answer.text
    change(page, kind="rename", key=key_of(state, other), name="Aika")
    assert "<h1>Aika</h1>" in page.get("/individuals/Aika").text
    change(page, kind="merge", keys=[key_of(state, one), key_of(state, other)], name="Umut")
    for name in ("Aika", one.name, other.name):
        assert "<h1>Umut</h1>" in page.get(f"/individuals/{quote(name, safe='')}").text
    assert page.get("/individuals/nobody").status_code == 404


def test_the_address_of_an_individual_without_a_name_leads_to_it_when_it_has_one(state, page):
    found = next(each for each in state.identities().who.individuals if each.name is None)
    address = address_of(state.identities(), state.identities().who.of[found.sightings[0]])
    change(page, kind="rename", key=key_of(state, found), name="Umut")
    assert "<h1>Umut</h1>" in page.get(address).text


def test_a_change_is_shown_again_if_somebody_decided_meanwhile(state, page):
    values = {"kind": "rename", "key": key_of(state, first_named(state)), "name": "Aika"}
    head = page.post("/changes", json=values).json()["head"]
    state.append(lambda i: [name_sightings(i, [i.who.individuals[-1].sightings[0]], "Other", "Boris")])
    answer = page.post("/changes", json={**values, "store": True, "head": head}).json()
    assert answer["changed"]
    assert answer["stored"] == []
    assert len(state.identities().rows) == 1


def test_nothing_is_said_about_a_photo_that_is_not_what_was_indexed(state, page):
    named = [each for each in state.identities().who.individuals if each.name][:2]
    keys = [key_of(state, each) for each in named]
    path = state.annotation(keys[0]).path
    (state.folder / path).write_bytes((state.folder / state.annotation(keys[1]).path).read_bytes())
    for values in (
        {"kind": "name", "name": "Umut", "photos": keys[:1]},
        {"kind": "merge", "keys": keys},
        {"kind": "quality", "value": "good", "photos": keys[:1]},
    ):
        refused = page.post("/changes", json=values, headers={"accept": "application/json"})
        assert (refused.status_code, refused.json()["code"]) == (400, "photo-changed")
        assert path in refused.json()["error"]
        assert refused.json()["link"] == "/jobs"
    change(page, kind="rename", key=keys[0], name="Aika")  # says nothing about what the photo shows
    assert [row.kind for row in state.identities().rows] == ["rename"]


def test_merge_and_undo(state, page):
    named = [each for each in state.identities().who.individuals if each.name][:3]
    keys = [key_of(state, each) for each in named]
    preview, stored = change(page, kind="merge", keys=keys, name="Umut")
    assert any("Umut" in line for line in preview["lines"])
    merged = state.identities().who.named("Umut")
    assert len(merged.sightings) == sum(len(each.sightings) for each in named)
    for each in named:  # names that are given up
        assert "/individuals/Umut" in page.get(f"/individuals?text={each.name}").text
    html = page.get("/individuals/Umut").text
    assert stored["stored"][0] in html  # the history, with its undo
    others = ", ".join(sorted(each.name for each in named))
    assert f"also called {others}" in page.get("/individuals/Umut?lang=en").text
    assert "/individuals/Umut" in page.get(f"/individuals?text={named[2].name}").text  # who knows the old name finds it
    change(page, kind="undo", ids=stored["stored"])
    assert {each.name for each in state.identities().who.individuals} >= {each.name for each in named}
    with_name = page.post("/changes", json={"kind": "merge", "keys": [keys[0]], "other": "nobody"})
    assert with_name.status_code == 400


def test_a_name_that_is_taken_back_on_the_page_of_its_individual_leads_to_the_page_without_it(state, page):
    sighting = next(each for each in state.identities().who.individuals if each.name is None)
    _, stored = change(page, kind="rename", key=key_of(state, sighting), name="Umut")
    html = page.get(stored["goto"]).text
    form = re.search(r'<form data-change="undo"([^>]*)>', html)[1]
    assert "data-stay" not in form
    key = re.search(r'data-key-of="([^"]+)"', form)[1]
    _, taken = change(page, kind="undo", ids=stored["stored"], key=key)
    assert page.get(stored["goto"]).status_code == 404
    assert f'data-key-of="{key}"' in page.get(taken["goto"]).text


def test_the_page_of_an_individual_without_a_name_leads_to_the_field_for_it(state, page):
    for each in (first_named(state), next(e for e in state.identities().who.individuals if e.name is None)):
        html = page.get(address_of(state.identities(), state.identities().who.of[each.sightings[0]])).text
        assert html.count('id="new-name"') == 1
        assert ('href="#new-name"' in html) == (each.name is None)


def test_the_history_tells_which_two_sightings_an_answer_is_about(state, page):
    one, other = state.identities().who.individuals[:2]
    a, b = (state.identities().who.sightings[each.sightings[0]] for each in (one, other))
    state.append(lambda now: [answer_pair(now, one.sightings[0], other.sightings[0], "different", "Anna")])
    for each in (one, other):
        html = page.get(address_of(state.identities(), state.identities().who.of[each.sightings[0]])).text
        assert f'href="/review?a={a.key}&amp;b={b.key}"' in html[html.index("different animals") :]


def test_lists_of_what_does_not_fit_say_how_much_is_left_out(state, page, monkeypatch):
    named = [each for each in state.identities().who.individuals if each.name][:4]
    a, b, c, d = (each.sightings[0] for each in named)
    state.append(lambda now: [answer_pair(now, *pair, "same", "Anna") for pair in ((a, b), (c, d))])
    state.append(lambda now: [answer_pair(now, *pair, "different", "Boris") for pair in ((a, b), (c, d))])
    assert "and 1 more" not in page.get("/contradictions").text + page.get("/agreement").text
    monkeypatch.setattr(contradictions, "SHOWN", 1)
    monkeypatch.setattr(agreement, "SHOWN", 1)
    text = page.get("/contradictions").text
    quarrels, names = text.split("<h2>Individuals with several names")
    assert quarrels.count("and 1 more") == names.count("and 1 more") == 1
    assert page.get("/agreement").text.count("and 1 more") == 1


def test_a_refused_name_is_listed_apart_from_the_decisions_without_effect_of_photos_that_have_gone(
    state, page, monkeypatch
):
    who = state.identities().who
    (one, old), (_, new) = [(each.sightings[0], each.name) for each in who.individuals if each.name][:2]
    gone = draft("pair", "Anna", "same", side_a=("gone",), side_b=("away",))
    rename = draft("rename", "Anna", new, side_a=who.sightings[one].annotations, side_b=(old,))
    for row in (gone, gone, rename):
        state.append(lambda now, row=row: [row])
    monkeypatch.setattr(contradictions, "SHOWN", 1)
    _, text = page.get("/contradictions").text.split("<h2>Names that decisions chose, and that other individuals have")
    refused, idle = text.split("<h2>Decisions without effect")
    assert f"the name {new!r} existed already" in html.unescape(refused)
    assert "and 1 more" not in refused
    assert "its photos are not in the catalog" in idle
    assert "and 1 more" in idle


def test_the_history_has_no_link_to_a_pair_that_is_one_sighting(state, page):
    who = state.identities().who
    whole = next(s for s in who.sightings if len(s.annotations) > 1)
    one, other = ((name,) for name in whole.annotations[:2])
    state.append(lambda now: [draft("pair", "Anna", "same", side_a=one, side_b=other)])
    html = page.get(address_of(state.identities(), who.of[who.number_of[one[0]]])).text
    assert "same animal" in html
    assert f"/review?a={whole.key}&amp;b={whole.key}" not in html


def test_split_of_whole_sightings_and_of_single_photos(state, page):
    old = first_named(state)
    who = state.identities().who
    whole = who.sightings[old.sightings[-1]]
    preview, _ = change(page, kind="split", key=key_of(state, old), photos=list(whole.annotations), name="Bars")
    assert any("Bars" in line for line in preview["lines"])
    assert {who.sightings[n].key for n in state.identities().who.named("Bars").sightings} == {whole.key}
    two = next(s for s in state.identities().who.sightings if len(s.annotations) > 1)
    change(page, kind="split", key=two.key, photos=[two.annotations[1]], name="Third")
    found = state.identities().who
    third = found.named("Third")
    assert [found.sightings[n].annotations for n in third.sightings] == [(two.annotations[1],)]
    assert not third.quarrels
    assert found.of[found.number_of[two.annotations[0]]] != found.of[found.number_of[two.annotations[1]]]
    everything = [name for n in found.named("Bars").sightings for name in found.sightings[n].annotations]
    for photos in ([], everything, ["x"], [two.annotations[0]]):
        assert page.post("/changes", json={"kind": "split", "key": whole.key, "photos": photos}).status_code == 400


def test_names_in_dispute_are_listed_and_settled_by_naming_the_sighting_on_its_page(state, page):
    who = state.identities().who
    number = next(n for n, s in enumerate(who.sightings) if who.individuals[who.of[n]].name)
    photos = list(who.sightings[number].annotations)[:1]
    change(page, kind="name", photos=photos, name="Umai")
    assert [(row.role, row.answer) for row in state.identities().rows] == [("observer", "Umai")]  # overrules nobody
    state.append(lambda now: [name_sightings(now, [number], "Bars", "Boris")])
    html = page.get("/contradictions").text
    assert "Anna – Umai; Boris – Bars" in html
    address = address_of_sighting(state.identities(), number)
    assert f'href="{address}"' in html
    assert 'data-change="name"' in page.get(address.partition("#")[0]).text
    preview, _ = change(page, kind="name", photos=photos, name="Umai")
    assert "settled" in preview["lines"][0]
    assert not state.identities().who.disputed_names
    assert state.identities().rows[-1].role == "adjudicator"
    back = page.post("/changes", json={"kind": "undo", "ids": [state.identities().rows[-1].id]}).json()
    assert "1 more sighting with different names of observers" in back["lines"]
    assert "Boris – Bars" not in page.get("/contradictions").text
    for wrong in ({"photos": [], "name": "Bars"}, {"photos": ["x"], "name": "Bars"}, {"photos": photos, "name": ""}):
        assert page.post("/changes", json={"kind": "name", **wrong}).status_code == 400


def test_a_name_for_a_sighting_that_answers_join_to_another_name_is_told(state, page):
    old = first_named(state)
    one, other = old.sightings[:2]
    state.append(lambda now: [name_sightings(now, [one], "", "Boris"), answer_pair(now, one, other, "same", "Boris")])
    photos = list(state.identities().who.sightings[one].annotations)
    lines = page.post("/changes", json={"kind": "name", "photos": photos, "name": "Umai"}).json()["lines"]
    assert f"One individual has several names then: {old.name}, Umai. Merge them, or split the individual." in lines


def test_quality_sex_remark_and_the_picture_that_represents(state, page):
    old = first_named(state)
    key = key_of(state, old)
    address = address_of(state.identities(), state.identities().who.of[old.sightings[0]])
    photos = [n for k in old.sightings for n in state.identities().who.sightings[k].annotations]
    change(page, kind="quality", photos=photos[:2], value="poor", stay=True)
    change(page, kind="sex", key=key, value="female")
    change(page, kind="note", key=key, value="<b>ear</b> torn")
    several = page.post("/changes", json={"kind": "portrait", "key": key, "photos": photos})
    assert several.status_code == 400
    assert "photos to represent an individual: choose one" in several.text
    change(page, kind="portrait", key=key, photos=[photos[-1]])
    rows = state.identities().rows
    assert [(row.kind, row.answer) for row in rows] == [
        ("quality", "poor"),
        ("sex", "female"),
        ("note", "<b>ear</b> torn"),
        ("note", ""),
    ]
    assert len(rows[1].side_a) == len(photos)
    html = page.get(address).text
    assert "&lt;b&gt;ear&lt;/b&gt; torn" in html
    assert "represents" in html
    gallery = page.get("/individuals?sex=female").text
    assert gallery.count('class="animal-card"') == 1
    assert f"/picture/animal/320/{photos[-1]}" in gallery
    for kind, value in (("quality", "great"), ("sex", "x"), ("note", "")):
        assert page.post("/changes", json={"kind": kind, "photos": photos, "value": value}).status_code == 400


def test_a_corrected_body_part_counts_on_the_pages_of_individuals(state, page):
    who = state.identities().who
    number = next(n for n, s in enumerate(who.sightings) if s.body_parts == ("left_flank",))
    keys = who.sightings[number].annotations
    change(page, kind="name", photos=list(keys), name="Corrected")
    assert state.identities().corrected(who.sightings[number].rows[0]).body_part == "left_flank"
    change(page, kind="body_part", photos=list(keys), value="right_flank", stay=True)
    text = page.get("/individuals/Corrected").text
    assert "<span>right flank" in text
    assert 'alt="left flank' not in text
    assert "<span>left flank" not in text
    identities = state.identities()
    card = animals.card_of(identities, animals.known_of(state, identities), find_number(identities, "Corrected"))
    assert [face and face[1] for face in card["faces"]] == [None, "right_flank"]


def test_several_photos_are_corrected_at_once_with_what_was_said_before(state, page):
    photos = [a for a in state.identities().named if a.annotation and a.body_part == "left_flank"][:3]
    keys = [a.annotation for a in photos]
    before, _ = change(page, kind="body_part", photos=keys[:2], value="right_flank", stay=True)
    assert "2 photos" in before["lines"][-2]
    assert before["lines"][-1] == "So far, 2 photos: left flank (the table)"
    named = {a.annotation: a for a in state.identities().named}
    assert [named[key].body_part for key in keys] == ["right_flank", "right_flank", "left_flank"]
    assert page.get("/photos?body_part=right_flank").text.count(f'data-photo="{keys[0]}"') == 1
    state.observer = "Boris"
    before, _ = change(page, kind="body_part", photos=keys, value="head", stay=True)
    assert [line.split("(")[-1].rstrip(")") for line in before["lines"][-2:]] == [
        "Anna, " + state.identities().rows[0].decided_at[:10],
        "the table",
    ]
    change(page, kind="species", photos=keys, value=" Panthera  uncia <b>", stay=True)
    named = {a.annotation: a for a in state.identities().named}
    assert {named[key].species for key in keys} == {"Panthera uncia <b>"}
    for key in keys:
        assert "Panthera uncia &lt;b&gt;" in page.get(f"/photos/{key}").text
    change(page, kind="undo", ids=[state.identities().rows[1].id], stay=True)
    named = {a.annotation: a for a in state.identities().named}
    assert [named[key].body_part for key in keys] == ["right_flank", "right_flank", "left_flank"]
    change(page, kind="body_part", photos=keys, value="", stay=True)
    change(page, kind="species", photos=keys, value="", stay=True)
    named = {a.annotation: a for a in state.identities().named}
    assert [(named[key].body_part, named[key].species) for key in keys] == [(a.body_part, a.species) for a in photos]
    change(page, kind="note", photos=keys[:1], value="collar", stay=True)
    change(page, kind="sex", photos=keys[:2], value="male", stay=True)
    text = page.get(f"/photos/{keys[0]}").text
    assert "collar" in text
    assert text.count("Boris") == 9  # in the history, and twice as the observer of the page
    assert "taken back" in text
    for kind, value in (("body_part", "wing"), ("note", ""), ("species", "x" * 5001)):
        assert page.post("/changes", json={"kind": kind, "photos": keys, "value": value}).status_code == 400


def test_names_from_people_are_text_on_every_page(state, page):
    who = state.identities().who
    for n, name in enumerate(HOSTILE):
        state.append(lambda i, n=n, name=name: [name_sightings(i, [n], name, "<i>Anna</i>")])
    identities = state.identities()
    assert len(who.sightings) > len(HOSTILE)
    for name in HOSTILE:
        number = identities.who.of[identities.who.named(name).sightings[0]]
        address = address_of(identities, number)
        for part in ("", "/passport", "/links"):
            answer = once_known(page, address + part)
            assert answer.status_code == 200, (name, address + part)
            assert "<script>alert" not in answer.text
            assert "<i>Anna" not in answer.text
            assert "\u202e" not in answer.text
        assert find_number(identities, unquote(address.removeprefix("/individuals/"))) == number
    key = identities.annotations[0].annotation
    for address in ("/photos", f"/photos/{key}", "/photos?view=outline"):
        shown = re.sub(r'(<option) value="[^"]*"', r"\1", page.get(address).text)  # what is sent is the name itself
        assert "<script>alert" not in shown
        assert "\u202e" not in shown
    for address in (
        "/individuals",
        "/contradictions",
        "/agreement",
        "/survey",
        "/doctor",
        "/doctor/findings",
        "/count",
    ):
        text = page.get(address).text
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_filters(state, page):
    who = state.identities().who
    total = page.get("/individuals").text.count('class="animal-card"')
    assert total == len(who.individuals)
    station = who.sightings[0].station
    there = {who.of[n] for n, s in enumerate(who.sightings) if s.station == station}
    assert page.get(f"/individuals?station={station}").text.count('class="animal-card"') == len(there)
    named = [each for each in who.individuals if each.name]
    assert page.get("/individuals?show=named").text.count('class="animal-card"') == len(named)
    assert page.get("/individuals?from=2999-01-01").text.count('class="animal-card"') == 0
    assert page.get(f"/individuals?text={named[0].name}").text.count('class="animal-card"') >= 1
    nameless = next(each for each in who.individuals if not each.name)
    sign = nameless.handle.removeprefix(UNNAMED)[:8]
    assert quoted(nameless.handle) in page.get(f"/individuals?text={sign}").text
    for text in ("unnam", sign[3:]):  # what stands for an animal without a name is no name
        found = page.get(f"/individuals?text={text}").text
        assert quoted(nameless.handle) not in found, text


def test_a_contradiction_is_explained_with_the_answers_that_quarrel(state, page):
    identities = state.identities()
    numbers = [n for n, s in enumerate(identities.who.sightings) if s.named is None]
    a, b = numbers[:2]
    c = next(n for n, s in enumerate(identities.who.sightings) if n not in (a, b))
    for one, other, answer, certainty in ((a, b, "same", 4), (b, c, "same", 1), (a, c, "different", 4)):
        state.append(lambda i, o=one, t=other, s=answer, k=certainty: [answer_pair(i, o, t, s, "Anna", certainty=k)])
    (found,) = contradictions_of(state.identities().who, lambda _: 0.97)
    assert [{v.a, v.b} for v in found.different] == [{a, c}]
    assert [{v.a, v.b} for v in found.same] == [{b, c}]  # the less certain one
    assert found.suspects == "same"
    html = page.get("/contradictions").text
    assert html.count('<li class="voice') == 2
    assert html.count('<li class="voice suspect"') == 1
    assert "/review?a=" in html


def test_an_individual_with_two_names_is_listed_with_its_pictures(state, page):
    who = state.identities().who
    a, b = [each.sightings[0] for each in who.individuals if each.name][:2]
    state.append(lambda i: [answer_pair(i, a, b, "same", "Anna")])
    html = page.get("/contradictions").text
    for n in who.individuals[who.of[a]].sightings[:3]:
        assert f"/picture/animal/160/{who.sightings[n].annotations[0]}" in html
    assert html.count('<div class="thumbs">') == 1


@pytest.mark.slow
def test_a_link_is_weak_if_the_photos_speak_against_it_or_if_one_answer_alone_holds(state):
    evidence = state.evidence()
    pairs = sorted((pair for pair in evidence.pairs.values() if pair.speaks), key=lambda pair: pair.probability)
    who = state.identities().who
    loose = [
        p
        for p in pairs
        if all(
            who.sightings[n].named is None or len(who.individuals[who.of[n]].sightings) == 1 for n in (p.one, p.other)
        )
    ]
    low = (loose or pairs)[0]
    assert low.probability < 0.5
    state.append(lambda i: [answer_pair(i, low.one, low.other, "same", "Anna")])
    who = state.identities().who
    links = links_of(who, who.individuals[who.of[low.one]], evidence)
    (link,) = [each for each in links if (each.a, each.b) == (low.one, low.other)]
    assert (link.weak, link.answers, link.how) == ("unlikely", 1, ("answer",))
    assert all(not each.weak for each in links_of(who, who.individuals[who.of[low.one]], None))


@pytest.mark.parametrize(
    ("language", "share", "shown"),
    [
        ("en", 0.9997, "99.97 % by the photos"),
        ("en", 0.4, "40 % by the photos"),
        ("en", 0.0002, "&lt; 0.1 % by the photos"),
        ("ru", 0.9997, "99,97 %"),
        ("ru", 0.0002, "&lt; 0,1 %"),
    ],
)
def test_no_link_is_impossible_or_certain(language, share, shown):
    link = {"a": "x", "b": "y", "words": ("one", "two"), "weak": "single", "probability": share}
    template = environment(language).get_template("links.html")
    text = template.render(t=translator(language), links=[link], compared=True, card=None)
    assert shown in text


def test_the_passport_has_no_coordinates_unless_asked(state, page):
    (state.folder / "stations.csv").write_text("station,location,x,y\nst01,naryn,76.54321,41.98765\n", encoding="utf-8")
    old = first_named(state)
    address = address_of(state.identities(), state.identities().who.of[old.sightings[0]])
    for part in ("", "/passport"):
        text = page.get(address + part).text
        assert "76.54" not in text
        assert "41.98" not in text
    assert "76.54" not in page.get("/survey").text
    passport = next(
        text
        for n, found in enumerate(state.identities().who.individuals)
        if "naryn st01" in (text := page.get(f"{address_of(state.identities(), n)}/passport?coordinates=exact").text)
    )
    assert "st01: 76.54321, 41.98765" in html.unescape(passport)
    rounded = page.get(address + "/passport?coordinates=rounded:5").text
    assert "76.54321" not in rounded
    assert "longitude, latitude; rounded to 5 km" in rounded  # on paper, too
    assert (
        "долгота, широта; округлено до 2,5 км" in page.get(address + "/passport?coordinates=rounded:2.5&lang=ru").text
    )
    assert page.get(address + "/passport?coordinates=near").status_code == 400


def test_links_wait_for_the_comparison_and_say_how_far_it_is(state, page, monkeypatch):
    found, go_on = first_named(state), threading.Event()
    address = address_of(state.identities(), state.identities().who.of[found.sightings[0]])

    def slow(session, sightings, progress):
        progress(3, 7)
        assert go_on.wait(60)
        return gather_evidence(session, sightings)

    monkeypatch.setattr(state_module, "gather_evidence", slow)
    waits = until(lambda: answer if "3 / 7" in (answer := page.get(f"{address}/links?lang=en")).text else None)
    go_on.set()
    assert waits.status_code == 202
    assert "index the catalog" not in waits.text
    links = once_known(page, f"{address}/links?lang=en").text
    assert "index the catalog" not in links


def test_the_sightings_in_the_timeline_of_a_passport_lead_to_the_page_of_the_individual(state, page):
    address = address_of(state.identities(), state.identities().who.of[first_named(state).sightings[0]])
    for part in ("", "/passport"):
        links = re.findall(r'<a href="([^"]*)#([^"]+)"[^>]*><path class="dot', page.get(address + part).text)
        assert links
        for there, key in links:
            assert f'id="{unquote(key)}"' in page.get(there or address + part).text


ODD = ["x", "~", "~x", "%00", "%ff", "..%2f..", "a" * 3000, "%F0%9F%90%86", "unnamed%20x", "%3Cb%3E"]


def test_odd_addresses_are_missing_pages_and_odd_changes_are_refused(state, page):
    for odd in ODD:
        for part in ("", "/passport", "/links"):
            assert page.get(f"/individuals/{odd}{part}").status_code in (400, 404), odd
        for name in ("show", "text", "location", "station", "part", "from", "to", "sex", "flanks", "page"):
            assert page.get(f"/individuals?{name}={odd}").status_code == 200, (name, odd)
    key = key_of(state, first_named(state))
    for values in (
        {},
        {"kind": "rename"},
        {"kind": ["rename"]},
        {"kind": "rename", "key": 3, "name": "x"},
        {"kind": "rename", "key": key, "name": ""},
        {"kind": "rename", "key": key, "name": "unnamed x"},
        {"kind": "rename", "key": key, "name": ["x"]},
        {"kind": "rename", "key": key, "name": "x" * 300},
        {"kind": "rename", "key": key, "name": "\ud800"},
        {"kind": "merge", "keys": "abc"},
        {"kind": "merge", "keys": [key]},
        {"kind": "merge", "keys": [key, key]},
        {"kind": "undo", "ids": ["x"]},
        {"kind": "undo", "ids": [1]},
        {"kind": "portrait", "photos": ["x"]},
        {"kind": "delete", "key": key},
    ):
        answer = page.post("/changes", content=json.dumps(values), headers={"accept": "application/json"})
        assert answer.status_code == 400, values
        assert answer.json()["error"]
    assert state.identities().rows == ()


def test_every_page_is_in_both_languages_and_without_inline_code(state, page):
    old = first_named(state)
    address = address_of(state.identities(), state.identities().who.of[old.sightings[0]])
    pages = ["/review", "/review?mode=blind", "/individuals", address, address + "/passport", "/contradictions"]
    for where in [*pages, "/agreement", "/doctor", "/count", "/survey"]:
        english, russian = (page.get(where, params={"lang": lang}).text for lang in ("en", "ru"))
        assert '<html lang="ru">' in russian
        assert re.search("[а-яё]{5}", russian)
        for text in (english, russian):
            assert not re.search(
                r"<script>|<style|style=\"|\son\w+=\"|https?://", text.replace("http://www.w3.org", "")
            )
            assert not re.search(r"<img(?![^>]*\balt=)", text)
            assert text.count("<h1") == 1


def test_survey_counts_every_sighting_with_a_time(state, page):
    who = state.identities().who
    text = page.get("/survey").text
    totals = [int(number) for number in re.findall(r"<strong>(\d+)</strong>", text)]
    assert totals[-1] == sum(bool(s.time) for s in who.sightings)


def test_the_sums_of_a_long_survey_are_those_of_the_months_that_are_shown(tmp_path):
    months = [f"{2020 + n // 12}-{n % 12 + 1:02}" for n in range(40)]  # the last 36 of them are shown
    photos = [("bars" if n < 4 else "aika", "S1", month) for n, month in enumerate(months)]
    photos += [("cholpon", "S2", months[0]), ("aika", "S2", months[-1])]
    lines = ["path,individual,body_part,location,station,timestamp,annotation"]
    lines += [
        f"{n}.jpg,{name},left_flank,naryn,{at},{month}-05T10:00,a{n}" for n, (name, at, month) in enumerate(photos)
    ]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = client_of(tmp_path).get("/survey?lang=en").text
    sums = re.findall(r"<strong>(\d+)</strong></td><td class=\"number\">(\d+)</td></tr>", text)
    assert sums == [("36", "1"), ("1", "1")]
    totals = [int(number) for number in re.findall(r"<strong>(\d+)</strong>", text)]
    assert totals[-1] == sum(totals[2:-1]) == 37
    assert "4 earlier months are not shown" in text


class Held:
    """What a key stands for."""


def test_what_is_kept_for_a_catalog_holds_it(tmp_path, monkeypatch):
    """Another catalog would get its place in memory otherwise, and what is known of the first one."""
    monkeypatch.setattr(animals, "read_traits", lambda folder, found: {"sex": {}})
    monkeypatch.setattr(animals, "_shown_in", lambda identities: None)
    state, data = State(tmp_path, None, "Anna"), Held()
    data.folder, alive = tmp_path, weakref.ref(data)
    now = SimpleNamespace(data=data, annotations=(), rows=(), stored=SimpleNamespace(head=""))
    first = animals.known_of(state, now)
    assert animals.known_of(state, now) is first
    del now, data
    assert alive() is not None


def test_a_value_is_that_of_the_very_object(tmp_path):
    value, seen = background(State(tmp_path, None, "Anna"), "value"), []
    for n in range(20):
        held = Held()
        until(lambda held=held, n=n: value.get(Same(held), lambda: n)[1])
        seen.append(value.get(Same(held), lambda: -1)[0])
        del held
    assert seen == list(range(20))
