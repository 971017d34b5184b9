"""The app for several observers: what each role may do, and no more."""

import pytest
from web_accounts import ADDRESS, EVERY, HTML, JSON, PASSWORD, PEOPLE, cheap, fill, folder, original, server

from snowmatch.review.accounts import read_accounts
from snowmatch.web.rights import PUBLIC, RIGHTS
from snowmatch.web.routes.changes import KINDS

__all__ = ["cheap", "folder", "original", "server"]  # fixtures

# What each role may send. Everything else that is sent needs an administrator.
MAY_SEND = {
    "reader": {
        *("/logout", "/account/password"),
        *("/review/answer", "/review/undo", "/review/open", "/review/skip"),
    },
    "observer": {
        *("/logout", "/account/password", "/changes"),
        *("/identify/photo", "/identify/guess", "/identify/ask", "/identify/{name}/add"),
        *("/review/answer", "/review/undo", "/review/open", "/review/skip"),
    },
}
MAY_SEND["adjudicator"] = MAY_SEND["observer"]
# Pages without more; of own questions more, see test_web_reader.py
READERS_SEE = {"/", "/account", "/review", "/review/results", *PUBLIC}
ADMINISTRATORS_SEE = {"/jobs", "/jobs/{name}/progress", "/jobs/{name}/table.csv"}


# --- roles ------------------------------------------------------------------------------------------------------------


def test_every_route_that_changes_something_has_a_role():
    writing = {path for path, method in EVERY if method != "GET" and path not in PUBLIC}
    assert writing <= set(RIGHTS)
    assert set(RIGHTS) <= {path for path, _ in EVERY}


@pytest.mark.parametrize("name", PEOPLE)
def test_no_role_reaches_a_route_of_a_higher_one(server, name):
    """A walk over all routes: what is not for the role is refused, and nothing else is."""
    role = PEOPLE[name]
    account = next(a for a in read_accounts(server.folder) if a.name == name)
    for path, method in EVERY:
        if path == "/events":  # for all who have logged in, and it does not end
            continue
        browser = server.browser()
        browser.cookies.set(server.door.cookie, server.door.begin(account), domain=ADDRESS, path="/")
        allowed = path not in ADMINISTRATORS_SEE if method == "GET" else path in MAY_SEND.get(role, set())
        if role == "reader" and method == "GET":
            allowed = path in READERS_SEE
        allowed = path != "/observer" if role == "administrator" and path not in PUBLIC else allowed
        if path in (*PUBLIC, "/account/password"):  # it asks for the password
            continue
        for headers in (HTML, JSON) if path != "/logout" else (HTML,):
            body = {"json": {"mode": "blind"}} if path.startswith("/review/") and method == "POST" else {}
            answer = browser.request(method, fill(path), headers=headers, **body)
            assert (answer.status_code != 403) == allowed, (path, method)
            assert answer.status_code < 500
    assert not (server.folder / ".snowmatch" / "jobs").exists()


def test_positions_of_stations_are_saved_by_administrators_only(server):
    for name, role in PEOPLE.items():
        account = next(a for a in read_accounts(server.folder) if a.name == name)
        browser = server.browser()
        browser.cookies.set(server.door.cookie, server.door.begin(account), domain=ADDRESS, path="/")
        assert (browser.get("/survey/file/captures.csv", headers=JSON).status_code == 403) == (role == "reader")
        answer = browser.get("/survey/file/captures.csv?coordinates=exact", headers=JSON)
        assert (answer.status_code == 403) == (role != "administrator")


def test_every_kind_of_change_has_its_role(server):
    anna, bek = server.person("anna"), server.person("bek")
    higher = {"name", "rename", "merge", "split", "auto", "auto-undo"}
    for kind in KINDS:
        assert (anna.post("/changes", json={"kind": kind}, headers=JSON).status_code == 403) == (kind in higher), kind
        assert bek.post("/changes", json={"kind": kind}, headers=JSON).status_code != 403


@pytest.mark.parametrize("kind", [["merge"], {"merge": 1}, "Merge", "merge ", None, 7])
def test_a_strange_kind_of_change_is_no_way_round(server, kind):
    answer = server.person("anna").post("/changes", json={"kind": kind, "keys": ["a", "b"]}, headers=JSON)
    assert answer.status_code == 400


def test_only_an_adjudicator_adjudicates(server):
    anna, bek = server.person("anna"), server.person("bek")
    for path in ("answer", "undo", "open", "skip"):
        body = {"mode": "adjudicate", "pair": ["a", "b"], "answer": "same"}
        assert anna.post(f"/review/{path}", json=body, headers=JSON).status_code == 403
        assert bek.post(f"/review/{path}", json=body, headers=JSON).status_code != 403
    assert anna.get("/review/next?mode=adjudicate", headers=JSON).status_code == 403
    assert anna.get("/review/next?mode=blind", headers=JSON).status_code == 200
    assert "mode=adjudicate" not in anna.get("/review").text
    assert "mode=adjudicate" in bek.get("/review").text


def test_an_observer_takes_back_own_decisions_alone(server):
    anna, bek = server.person("anna"), server.person("bek")
    photo = server.state.identities().annotations[0].annotation

    def stored(browser, **values):
        values = {"photos": [photo], "stay": True, **values}
        head = browser.post("/changes", json=values).json()["head"]
        return browser.post("/changes", json={**values, "store": True, "head": head}, headers=JSON)

    own = stored(anna, kind="quality", value="good").json()["stored"]
    of_bek = stored(bek, kind="sex", value="female").json()["stored"]
    assert anna.post("/changes", json={"kind": "undo", "ids": of_bek}, headers=JSON).status_code == 403
    assert anna.post("/changes", json={"kind": "undo", "ids": [*own, *of_bek]}, headers=JSON).status_code == 403
    end = of_bek[0][-8:]  # an id may be given by its end
    assert anna.post("/changes", json={"kind": "undo", "ids": [end]}, headers=JSON).status_code == 403
    assert stored(anna, kind="undo", ids=own).json()["stored"]
    assert stored(bek, kind="undo", ids=of_bek).json()["stored"]


def test_nobody_decides_under_another_name(server):
    for name in PEOPLE:
        browser = server.person(name)
        assert browser.post("/observer", data={"observer": "mallory"}).status_code == 403
        assert "mallory" not in browser.get("/", follow_redirects=True).text
    assert 'action="/observer"' not in browser.get("/").text


def test_names_of_all_are_for_administrators(server):
    anna, boss = server.person("anna"), server.person("chyngyz")
    assert "bek" not in anna.get("/account").text
    assert "bek" in boss.get("/account").text
    assert "/jobs" not in anna.get("/").text
    assert "/jobs" in boss.get("/").text


def test_without_accounts_the_pages_of_the_login_do_not_exist(folder):
    from web_small import client_of

    client = client_of(folder)
    for path in ("/login", "/account"):
        assert client.get(path).status_code == 404
    for path in ("/login", "/logout", "/account/password"):
        assert client.post(path, data={"name": "anna", "password": PASSWORD + "anna"}).status_code == 404
    assert client.get("/jobs").status_code == 200


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_pages_are_there_in_each_language(server, language):
    browser = server.person("chyngyz")
    assert f'lang="{language}"' in server.browser().get("/login", params={"lang": language}).text
    assert f'lang="{language}"' in browser.get("/account", params={"lang": language}).text
