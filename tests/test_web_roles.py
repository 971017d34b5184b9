"""No page offers to a person what the role does not allow: every link, button and form on every page is tried."""

import csv
import html
import json
import re

import pytest
from starlette.routing import Match
from web_accounts import ADDRESS, HTML, JSON, PEOPLE, cheap, folder, original, server  # noqa: F401
from web_small import jpeg, screened_out

from snowmatch.review.accounts import read_accounts
from snowmatch.review.identities import answer_pair, name_sightings, open_identities
from snowmatch.review.traits import trait_drafts
from snowmatch.web.page import NAV
from snowmatch.web.rights import CHANGES, RIGHTS, may_open
from snowmatch.web.routes import ROUTES

PARTS = ("/home/facts", "/home/waits", "/doctor/findings", "/dashboard/figures", "/report", "/account")
FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


@pytest.fixture
def people(server):  # noqa: F811
    """A browser of each role, on a catalog with decisions, a contradiction and a disagreement of others."""
    keep = server.state.append
    a, b, c = 0, 1, 2  # sightings
    for who, one, other, said in (("bek", a, b, "same"), ("anna", b, c, "same"), ("bek", a, c, "different")):
        keep(lambda i, o=one, t=other, s=said, w=who: [answer_pair(i, o, t, s, w)])
    keep(lambda i: [answer_pair(i, b, c, "different", "bek", mode="blind")])
    keep(lambda i: [name_sightings(i, [len(i.who.sightings) - 1], "mara", "bek")])
    photo = server.state.identities().annotations[0].annotation
    for who in ("anna", "bek"):
        keep(lambda i, w=who: trait_drafts(i, "quality", [photo], "good", w))
    found = {}
    for name, role in PEOPLE.items():
        account = next(each for each in read_accounts(server.folder) if each.name == name)
        browser = server.browser()
        browser.cookies.set(server.door.cookie, server.door.begin(account), domain=ADDRESS, path="/")
        found[role] = name, browser
    return found


def pages_of(server, browser):  # noqa: F811
    """Return the text of every page, by its address."""
    photo = server.state.identities().annotations[0].annotation
    sent = browser.post("/identify/photo", params={"name": "new.jpg"}, content=jpeg(1), headers=JSON).json()
    body = {"photos": [sent.get("id", "")], "boxes": [None]}
    asked = browser.post("/identify/ask", json=body, headers=JSON).json().get("address", "/identify/x")
    modes = [f"/review?mode={mode}" for mode in ("open", "blind", "adjudicate", "training")]
    own = [f"/photos/{photo}", f"/individuals/~{photo}", f"/individuals/~{photo}/passport", asked]
    found = {}
    for address in [*(address for address, _, _ in NAV), *PARTS, *modes, *own]:
        answer = browser.get(address, headers=HTML)
        while answer.status_code == 202:
            answer = browser.get(address, headers=HTML)
        found[address] = answer.text if answer.status_code in (200, 403) else ""  # a refusal has a menu, too
    return found


def path_of(address):
    """Return the path of the route at an address; None for files."""
    scope = {"type": "http", "path": address.partition("?")[0].partition("#")[0], "method": "GET"}
    for route in ROUTES:
        if route.matches(scope)[0] is not Match.NONE:
            return route.path
    return None


@pytest.mark.slow
@pytest.mark.parametrize("role", PEOPLE.values())
def test_every_link_and_button_is_allowed(server, people, role):  # noqa: F811
    name, browser = people[role]
    rows = {row.id: row for row in server.state.identities().rows}
    seen, ranks = set(), list(PEOPLE.values())

    def allowed(needed):
        return needed in ranks and ranks.index(needed) <= ranks.index(role)

    for page, text in pages_of(server, browser).items():
        for address in set(re.findall(r'href="(/[^"]*)"', text)):
            address = html.unescape(address)
            if not address.startswith("/static/"):
                assert browser.get(address, headers=HTML).status_code != 403, (page, address)
                assert role != "observer" or "mode=adjudicate" not in address, page
        for head, _ in FORM.findall(text):
            values = {key: html.unescape(value) for key, value in ATTRIBUTE.findall(head)}
            if kind := values.get("data-change"):
                assert allowed(CHANGES.get(kind, "observer")), (page, kind)
                seen.add(kind)
                if kind == "undo" and role == "observer":
                    assert {rows[each].observer for each in json.loads(values["data-ids"])} == {name}, page
            if values.get("method") == "post":
                assert allowed(RIGHTS.get(path_of(values["action"]), "observer")), (page, values["action"])
        if role != "administrator":
            assert 'name="coordinates"' not in text, page
            assert 'action="/survey/file/secr' not in text, page
            assert "data-pick" not in text or role == "adjudicator", page
    assert (not seen) == (role == "reader")
    assert ({"undo", "quality"} <= seen) == (role != "reader")
    assert ("merge" in seen) == (role in ("adjudicator", "administrator"))


def test_a_problem_leads_nowhere_that_is_closed(server, people):  # noqa: F811
    (server.folder / ".snowmatch" / "features").rename(server.folder / ".snowmatch" / "elsewhere")
    link = {}
    for role, (_, browser) in people.items():
        if role == "reader":  # who identifies nothing
            continue
        sent = browser.post("/identify/photo", params={"name": "new.jpg"}, content=jpeg(1)).json()
        body = {"photos": [sent["id"]], "boxes": [None]}
        answer = browser.post("/identify/ask", json=body, headers=JSON)
        assert answer.status_code == 400
        link[role] = answer.json()["link"]
    assert link == {"observer": "", "adjudicator": "", "administrator": "/jobs"}
    assert may_open("/jobs")  # without accounts, everything is open


def identified(browser, content, **values):
    """Ask who a photo shows; return the address of the answer, its page, and what stands for the candidate aika."""
    sent = browser.post("/identify/photo", params={"name": "a.jpg"}, content=content).json()
    body = {"photos": [sent["id"]], "boxes": [None], "body_part": "left_flank", **values}
    address = browser.post("/identify/ask", json=body, headers=JSON).json()["address"]
    page = browser.get(address, headers=HTML).text
    return address, page, re.search(r'value="(\w+)" required[^>]*> <span>aika<', page)[1]


@pytest.mark.parametrize("name", ["anna", "bek", "chyngyz"])
def test_only_an_adjudicator_names_photos_on_record_by_identifying_them(server, name):  # noqa: F811
    browser = server.person(name)
    address, page, aika = identified(browser, (server.folder / "images" / "2.jpg").read_bytes())  # it is called bars
    free = PEOPLE[name] != "observer"
    assert ('value="new"' in page) == ('name="name"' in page) == free
    answer = browser.post(f"{address}/add", data={"who": "new", "name": "umai"}, headers=JSON)
    assert (answer.status_code == 403) == (not free)
    assert browser.post(f"{address}/add", data={"who": aika}, headers=JSON).status_code == 303
    identities = open_identities(server.folder)
    assert [(row.kind, row.answer) for row in identities.rows] == (
        [("name", "umai"), ("name", "aika")] if free else [("pair", "same")]
    )
    assert identities.who.names[2] == ("aika" if free else "bars")


def test_an_observer_does_not_name_a_photo_on_record_that_the_screening_left_out(server):  # noqa: F811
    screened_out(server.folder, "images/4.jpg")
    browser = server.person("anna")
    address, _, aika = identified(browser, (server.folder / "images" / "4.jpg").read_bytes())
    assert browser.post(f"{address}/add", data={"who": aika}, headers=JSON).status_code == 303
    assert [(row.kind, row.answer) for row in open_identities(server.folder).rows] == [("pair", "same")]


def test_an_observer_names_what_is_new_but_not_the_passage_that_it_joins(server):  # noqa: F811
    browser = server.person("anna")
    address, page, _ = identified(browser, jpeg(6), station="st8", timestamp="2025-05-01T10:00")
    assert 'value="new"' in page
    assert browser.post(f"{address}/add", data={"who": "new", "name": "umai"}, headers=JSON).status_code == 303
    with (server.folder / "catalog.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file))[-1]["station"] == "st8"
    when = {"station": "st8", "timestamp": "2025-05-01T10:05"}
    address, _, aika = identified(browser, jpeg(6, shift=3), **when)
    answer = browser.post(f"{address}/add", data={"who": "new", "name": "mara"}, headers=JSON)
    assert answer.status_code == 403
    assert "without a name" in answer.json()["error"]
    address, _, aika = identified(browser, jpeg(6, shift=5), **when)
    assert browser.post(f"{address}/add", data={"who": aika}, headers=JSON).status_code == 303
    identities = open_identities(server.folder)
    assert len({a.encounter for a in identities.annotations[5:]}) == 1
    assert [(row.kind, row.answer) for row in identities.rows] == [("name", "umai"), ("pair", "same")]
    assert identities.who.names[-1] == "umai"
