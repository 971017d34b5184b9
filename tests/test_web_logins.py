"""The app for several observers: every rule of the login and the roles, each with an attack."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient
from test_web_pages import make_catalog

from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.review import accounts
from snowmatch.review.accounts import accounts_path, add_account, read_accounts, remove_account, set_password
from snowmatch.web.app import app_behind
from snowmatch.web.attempts import MOST, OF_ADDRESS, OF_NAME, WINDOW, Attempts
from snowmatch.web.logins import IDLE, WHOLE, LoginDoor
from snowmatch.web.logins import MOST as MOST_SESSIONS
from snowmatch.web.network import check_certificate, is_loopback
from snowmatch.web.rights import PUBLIC, RIGHTS
from snowmatch.web.routes import ROUTES, events
from snowmatch.web.routes.changes import KINDS
from snowmatch.web.state import State

PORT, ADDRESS = 8123, "192.168.1.5"
HERE = f"http://{ADDRESS}:{PORT}"
PEOPLE = {"anna": "observer", "bek": "adjudicator", "chyngyz": "administrator"}
PASSWORD = "snow on the pass of "
HTML = {"accept": "text/html,*/*;q=0.8"}
JSON = {"accept": "application/json"}
ALSO_HERE = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"  # an address that the server knows by asking


@pytest.fixture(scope="module", autouse=True)
def cheap():
    """Passwords that cost nothing: a real hash takes a third of a second."""
    before, accounts.COST = accounts.COST, (16, 8, 1)
    yield
    accounts.COST = before


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = make_catalog(tmp_path_factory.mktemp("logins"))
    for name, role in PEOPLE.items():
        add_account(folder, name, role, PASSWORD + name)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "catalog")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def server(folder):
    return Lan(folder)


class Lan:
    """A server for several people, and browsers that ask it."""

    def __init__(self, folder, scheme="http", names=("camp.local",)):
        self.folder, self.clock, self.state = folder, Clock(), State(folder)
        self.door = LoginDoor(folder, PORT, scheme, names, self.clock)
        self.app = app_behind(self.door, self.state)
        self.address = f"{scheme}://{ADDRESS}:{PORT}"

    def browser(self, computer="192.168.1.77"):
        found = TestClient(self.app, base_url=self.address, client=(computer, 5000), follow_redirects=False)
        found.headers["origin"] = self.address
        return found

    def log_in(self, name, password=None, browser=None, computer="192.168.1.77", **values):
        browser = browser or self.browser(computer)
        said = {"name": name, "password": PASSWORD + name if password is None else password, **values}
        return browser, browser.post("/login", data=said)

    def person(self, name):
        browser, answer = self.log_in(name)
        assert answer.status_code == 303, answer.text
        return browser

    def secret(self, browser):
        return browser.cookies[self.door.cookie]


def refused(answer):
    """Whether an answer shows nothing but the way to the login."""
    leads = answer.status_code == 200 and 'http-equiv="refresh" content="0; url=/login?next=' in answer.text
    return (answer.status_code == 403 or leads) and "aika" not in answer.text and len(answer.content) < 1000


# --- who is let in ---------------------------------------------------------------------------------------------------


def test_a_person_logs_in_and_decides_under_the_own_name(server):
    anna, bek = server.person("anna"), server.person("bek")
    key = anna.get("/photos").text.split("/photos/")[1].split('"')[0]
    photo = server.state.annotation(key).annotation
    for browser, value in ((anna, "good"), (bek, "poor")):
        values = {"kind": "quality", "photos": [photo], "value": value, "stay": True, "observer": "chyngyz"}
        head = browser.post("/changes", json=values).json()["head"]
        assert browser.post("/changes", json={**values, "store": True, "head": head}).json()["stored"]
    assert [row.observer for row in server.state.identities().rows] == ["anna", "bek"]
    assert ">anna</a>" in anna.get("/").text
    assert ">bek</a>" in bek.get("/").text


def fill(path):
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))


EVERY = [(route.path, method) for route in ROUTES for method in sorted(route.methods - {"HEAD"})]


def test_nobody_sees_anything_before_the_login(server):
    browser = server.browser()
    for path, method in EVERY:
        for headers in (HTML, JSON, {}):
            answer = browser.request(method, fill(path), headers=headers)
            assert path in PUBLIC or refused(answer), (path, method)


def test_the_login_page_says_nothing_of_the_catalog(server):
    answer = server.browser().get("/login")
    assert answer.status_code == 200
    assert not any(word in answer.text for word in ("aika", "naryn", server.folder.name, *PEOPLE))
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert server.browser().get("/static/style.css").status_code == 200
    for outside in ("../logins.py", "..%2flogins.py", "%2e%2e/logins.py", "nowhere"):
        answer = server.browser().get(f"/static/{outside}")
        assert answer.status_code in (403, 404)
        assert "LoginDoor" not in answer.text


def test_a_token_in_the_address_opens_nothing(server):
    assert refused(server.browser().get("/", params={"token": "x"}, headers=HTML))


@pytest.mark.parametrize("change", [str.swapcase, lambda s: s[:-1], lambda s: s + "x", lambda s: "", lambda s: "é"])
def test_a_forged_cookie_is_refused(server, change):
    secret = server.secret(server.person("anna"))
    for value in (change(secret), hashlib.sha256(secret.encode()).hexdigest()):
        headers = {"cookie": f"{server.door.cookie}={value}".encode()}
        assert refused(server.browser().get("/photos", headers=headers))
    headers = {"cookie": f"snowmatch-{PORT + 1}={secret}"}
    assert refused(server.browser().get("/photos", headers=headers))
    assert server.browser().get("/photos", headers={"cookie": f"{server.door.cookie}={secret}"}).status_code == 200


def test_a_session_of_another_start_is_worthless(server):
    cookies = server.person("anna").cookies
    browser = Lan(server.folder).browser()
    browser.cookies = cookies
    assert refused(browser.get("/photos"))


def test_the_cookie_is_strict_and_no_script_reads_it(server, folder):
    _, answer = server.log_in("anna")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie
    assert "domain" not in cookie
    _, answer = Lan(folder, "https").log_in("anna")
    assert answer.headers["set-cookie"].startswith(f"__Host-snowmatch-{PORT}=")
    assert "; secure" in answer.headers["set-cookie"].lower()


# --- host and origin -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        ADDRESS,
        f"{ADDRESS}:{PORT + 1}",
        f"192.168.1.6:{PORT}",
        f"{ADDRESS}.evil.example:{PORT}",
        f"camp.local.evil.example:{PORT}",
        f"camp.local:{PORT}:{PORT}",
        f"camp.local:{PORT}x",
        f"@camp.local:{PORT}",
        f"[{ADDRESS}:{PORT}",
        "",
    ],
)
def test_another_host_is_refused_with_and_without_a_session(server, host):
    for browser in (server.person("anna"), server.browser()):
        for path in ("/", "/login", "/static/style.css"):
            answer = browser.get(path, headers={"host": host})
            assert answer.status_code == 421
            assert "catalog" not in answer.text
    assert server.log_in("anna")[0].post("/login", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", [f"{ADDRESS}:{PORT}", f"camp.local:{PORT}", f"CAMP.local:{PORT}", f"localhost:{PORT}"])
def test_the_names_of_the_server_are_known(server, host):
    assert server.person("anna").get("/", headers={"host": host}).status_code == 200


def test_usual_ports_and_ipv6():
    for scheme, port, host, known in [
        ("https", 443, "camp.local", True),
        ("http", 80, "camp.local", True),
        ("https", 80, "camp.local", False),
        ("https", 443, "[fe80::1]", True),
        ("https", 8443, "[fe80::1]:8443", True),
        ("https", 8443, "[FE80:0::1]:8443", True),
        ("https", 8443, "fe80::1:8443", False),
        ("https", 8443, "[fe80::2]:8443", False),
    ]:
        door = LoginDoor(None, port, scheme, ("camp.local",))
        assert door.knows({"server": ("fe80::1%eth0", port)}, host) is known, host
    assert door.knows({"server": ("::ffff:192.168.1.5", port)}, f"192.168.1.5:{port}")
    assert not door.knows({"server": None}, f"192.168.1.5:{port}")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{ADDRESS}:{PORT}"},
        {"origin": f"http://{ADDRESS}:{PORT + 1}"},
        {"origin": f"http://camp.local:{PORT}"},  # not the name that was asked
        {"origin": HERE, "sec-fetch-site": "cross-site"},
        {"origin": HERE, "sec-fetch-site": "same-site"},
    ],
)
def test_a_post_from_elsewhere_does_nothing(server, headers):
    anna = server.person("anna")
    assert anna.post("/logout", headers=headers).status_code == 403
    assert anna.get("/photos").status_code == 200
    said = {"name": "anna", "password": PASSWORD + "anna"}
    answer = server.browser().post("/login", data=said, headers=headers)  # one would review under another's name
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    browser = server.browser()
    del browser.headers["origin"]
    assert browser.post("/login", data=said).status_code == 403


def test_pictures_are_not_shown_on_other_sites(server):
    anna = server.person("anna")
    path = "/picture/photo/160/" + anna.get("/photos").text.split("/picture/animal/320/")[1].split('"')[0]
    assert anna.get(path).status_code == 200
    assert anna.get(path, headers={"sec-fetch-site": "same-site"}).status_code == 403


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/photos?q=a%20b", "/photos?q=a%20b"),
        ("", "/"),
        ("//evil.example/x", "/evil.example/x"),
        ("///evil.example", "/evil.example"),
        ("https://evil.example", "/https://evil.example"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/login?next=/login", "/"),
        ("javascript:alert(1)", "/javascript:alert(1)"),
        ("/x" * 2000, "/"),
    ],
)
def test_the_login_leads_to_pages_of_this_server_alone(server, asked, target):
    browser, answer = server.log_in("anna", next=asked)
    assert answer.headers["location"] == target
    assert browser.get("/login", params={"next": asked}).headers["location"] == target
    page = server.browser().get("/login", params={"next": asked}).text
    assert f'name="next" value="{target}"' in page.replace("&#39;", "'")


def test_a_link_that_somebody_sent_leads_on_after_the_login(server):
    """Browsers send no strict cookie with a link in a letter: a page of our own leads on, and then they do."""
    hop = server.browser().get("/photos", params={"q": '"><script>'}, headers={**HTML, "sec-fetch-site": "cross-site"})
    assert refused(hop)
    assert "<script>" not in hop.text
    assert "/login?next=%2Fphotos%3Fq%3D" in hop.text
    hop = server.browser().get("/login", headers={**HTML, "sec-fetch-site": "cross-site"})
    assert 'url=/login"' in hop.text


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_prepared_session_is_not_taken_over(server):
    """Somebody who put a cookie into the browser of another does not get in with it after that person's login."""
    mallory = server.secret(server.person("bek"))
    for planted in ("chosen-by-mallory", mallory):
        victim = server.browser()
        victim.cookies.set(server.door.cookie, planted, domain=ADDRESS, path="/")
        _, answer = server.log_in("anna", browser=victim)
        fresh = answer.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        assert fresh not in (planted, mallory)
        cookie = {"cookie": f"{server.door.cookie}={planted}"}
        assert refused(server.browser().get("/photos", headers=cookie))


def test_the_logout_ends_the_session_also_for_who_kept_the_cookie(server):
    anna, other = server.person("anna"), server.person("anna")
    kept = {"cookie": f"{server.door.cookie}={server.secret(anna)}"}
    assert server.browser().get("/photos", headers=kept).status_code == 200
    answer = anna.post("/logout")
    assert answer.headers["location"] == "/login"
    assert server.door.cookie not in anna.cookies
    assert "cache" in answer.headers["clear-site-data"]
    assert refused(server.browser().get("/photos", headers=kept))
    assert other.get("/photos").status_code == 200
    assert anna.get("/logout").status_code in (403, 405)  # a picture elsewhere cannot log somebody out


def test_a_stream_ends_with_its_session(server, monkeypatch):
    monkeypatch.setattr(events, "LOOK", 0.05)
    monkeypatch.setattr(events, "LONGEST", 30.0)
    anna, also = server.person("anna"), server.browser()
    also.cookies = anna.cookies
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(anna.get, "/events")
        until = time.monotonic() + 20
        while not server.state.kept.get("streams") and time.monotonic() < until:
            time.sleep(0.02)
        assert server.state.kept["streams"]
        before = time.monotonic()
        assert also.post("/logout").status_code == 303
        assert stream.result(60).status_code == 200
    assert time.monotonic() - before < 15


def test_sessions_end(server):
    anna = server.person("anna")
    for _ in range(int(WHOLE / IDLE) * 2 - 1):
        server.clock.now += IDLE / 2
        assert anna.get("/photos").status_code == 200
    server.clock.now += IDLE / 2 + 1
    assert refused(anna.get("/photos"))  # at the latest after a day, also of who never pauses
    bek = server.person("bek")
    server.clock.now += IDLE + 1
    assert refused(bek.get("/photos"))


def test_a_changed_account_ends_its_sessions_at_once(server):
    anna, bek, boss = (server.person(name) for name in PEOPLE)
    set_password(server.folder, "anna", "another password")
    assert refused(anna.get("/photos"))
    remove_account(server.folder, "bek")
    assert refused(bek.get("/photos"))
    remove_account(server.folder, "chyngyz")
    add_account(server.folder, "chyngyz", "observer", PASSWORD + "chyngyz")
    assert refused(boss.get("/jobs"))
    assert server.person("chyngyz").get("/jobs").status_code == 403


def test_a_name_has_a_limited_number_of_sessions(server):
    first = server.person("anna")
    server.clock.now += 1
    for _ in range(MOST_SESSIONS):
        server.door.begin(read_accounts(server.folder)[0])
    assert refused(first.get("/photos"))
    assert len(server.door._sessions) == MOST_SESSIONS


def test_damaged_accounts_let_nobody_in_and_tell_no_path(server):
    anna = server.person("anna")
    accounts_path(server.folder).write_text("{")
    for browser in (anna, server.browser()):
        answer = browser.get("/photos")
        assert answer.status_code in (403, 503)
        assert str(server.folder) not in answer.text
    answer = server.log_in("anna")[1]
    assert answer.status_code == 503
    assert "accounts.json" not in answer.text


def test_ones_own_password(server):
    anna, elsewhere = server.person("anna"), server.person("anna")
    said = {"old": PASSWORD + "anna", "new": "a new password", "again": "a new password"}
    for wrong, status in (({"old": "wrong"}, 403), ({"again": "other"}, 400), ({"new": "x", "again": "x"}, 400)):
        assert anna.post("/account/password", data={**said, **wrong}).status_code == status
    assert anna.post("/account/password", data={**said, "name": "chyngyz"}).status_code == 303
    assert anna.get("/account").status_code == 200
    assert refused(elsewhere.get("/account"))
    assert server.log_in("anna")[1].status_code == 403
    assert server.log_in("anna", "a new password")[1].status_code == 303
    assert server.log_in("chyngyz")[1].status_code == 303


# --- guessing --------------------------------------------------------------------------------------------------------


def test_guessing_is_stopped_also_for_the_right_password(server):
    for _ in range(OF_ADDRESS):
        assert server.log_in("anna", "wrong password")[1].status_code == 403
    answer = server.log_in("anna")[1]
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) == WINDOW
    assert "set-cookie" not in answer.headers
    browser, _ = server.log_in("bek")
    assert refused(browser.get("/photos"))  # another name from the same computer
    browser = server.browser()
    browser.headers["x-forwarded-for"] = "10.1.1.1"
    assert server.log_in("anna", browser=browser)[1].status_code == 429
    assert server.log_in("anna", computer="192.168.1.78")[1].status_code == 303  # the person elsewhere still gets in
    server.clock.now += WINDOW + 1
    assert server.log_in("anna")[1].status_code == 303


def test_guessing_from_many_computers_is_stopped(server):
    for n in range(OF_NAME):
        assert server.log_in("anna", "wrong password", computer=f"10.0.0.{n}")[1].status_code == 403
    assert server.log_in("anna", "wrong password", computer="10.0.1.1")[1].status_code == 429
    assert server.log_in("bek", computer="10.0.1.1")[1].status_code == 303


def test_an_own_account_gives_no_more_guesses(server):
    for _ in range(OF_ADDRESS):
        assert server.log_in("bek")[1].status_code == 303
        assert server.log_in("anna", "wrong password")[1].status_code == 403
    assert server.log_in("anna", "wrong password")[1].status_code == 429


def test_the_own_password_cannot_be_guessed_on_its_page(server):
    anna = server.person("anna")
    said = {"old": "wrong", "new": "a new password", "again": "a new password"}
    found = [anna.post("/account/password", data=said).status_code for _ in range(OF_ADDRESS + 1)]
    assert found == [403] * OF_ADDRESS + [429]


def test_a_name_that_does_not_exist_is_answered_as_a_wrong_password(server):
    def seen(answer):
        return answer.status_code, answer.text, sorted(answer.headers.items())

    one, other = (server.log_in(name, "wrong password")[1] for name in ("anna", "nobody"))
    assert seen(one) == seen(other)
    for name in ("nobody", "anna"):
        for n in range(OF_NAME):
            server.log_in(name, "wrong password", computer=f"10.0.0.{n}")
    one, other = (server.log_in(name, "wrong", computer="10.9.9.9")[1] for name in ("anna", "nobody"))
    assert one.status_code == 429
    assert seen(one) == seen(other)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", "x" * 100_000),
        ("a" * 100_000, "x"),
        ("", ""),
        ("anna\x00", "x"),
        ("\ud800".encode("utf-8", "surrogatepass"), "x"),
    ],
)
def test_strange_logins_get_a_plain_no(server, name, password):
    assert server.log_in(name, password)[1].status_code in (400, 403)
    for body in (b"", b"\xff" * 100, b"name=anna&name=bek&password=x", b"--x\r\n"):
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"):
            answer = server.browser("10.0.0.9").post("/login", content=body, headers={"content-type": kind})
            assert answer.status_code in (400, 403, 429)


@pytest.mark.parametrize("charset", ["undefined", "unicode_escape", "utf-7"])
def test_a_form_in_a_strange_encoding_is_refused(server, charset):
    field = b"--x\r\ncontent-disposition: form-data; name=name\r\n\r\n\\ud800+2AA-\r\n--x--\r\n"
    kind = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    assert server.browser().post("/login", content=field, headers=kind).status_code == 400


def test_attempts_at_once_are_all_counted():
    attempts, passed = Attempts(Clock()), []
    barrier = threading.Barrier(8)

    def guess():
        barrier.wait()
        passed.extend(attempts.begin("10.0.0.1", "anna") == 0 for _ in range(20))

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == OF_ADDRESS


def test_one_computer_is_one_computer_and_the_memory_is_limited():
    attempts = Attempts(Clock())
    for n in range(OF_ADDRESS):
        assert attempts.begin(f"2001:db8::{n:x}", f"name {n}") == 0
    assert attempts.begin("2001:db8::ffff:1", "anna") > 0  # of the same network of 64 bits
    for n in range(OF_ADDRESS):
        assert attempts.begin("::ffff:10.0.0.1" if n % 2 else "10.0.0.1", f"name {n}") == 0
    assert attempts.begin("10.0.0.1", "anna") > 0
    for n in range(MOST):
        attempts.begin(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", f"name {n}")
    assert len(attempts._times) <= MOST
    assert attempts.begin("11.0.0.1", "anna") > 0  # full: nobody new may guess
    attempts._clock.now += WINDOW + 1
    assert attempts.begin("11.0.0.1", "anna") == 0


# --- roles -----------------------------------------------------------------------------------------------------------

# What each role may send. Everything else that is sent needs an administrator.
MAY_SEND = {
    "observer": {
        *("/logout", "/account/password", "/changes"),
        *("/identify/photo", "/identify/guess", "/identify/ask", "/identify/{name}/add"),
        *("/review/answer", "/review/undo", "/review/open", "/review/skip"),
    },
}
MAY_SEND["adjudicator"] = MAY_SEND["observer"]
ADMINISTRATORS_SEE = {"/jobs", "/jobs/{name}/progress", "/jobs/{name}/table.csv"}


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
        allowed = path != "/observer" if role == "administrator" and path not in PUBLIC else allowed
        if path in (*PUBLIC, "/account/password"):  # it asks for the password
            continue
        for headers in (HTML, JSON) if path != "/logout" else (HTML,):
            answer = browser.request(method, fill(path), headers=headers)
            assert (answer.status_code != 403) == allowed, (path, method)
            assert answer.status_code < 500
    assert not (server.folder / ".snowmatch" / "jobs").exists()


def test_positions_of_stations_are_saved_by_administrators_only(server):
    for name, role in PEOPLE.items():
        account = next(a for a in read_accounts(server.folder) if a.name == name)
        browser = server.browser()
        browser.cookies.set(server.door.cookie, server.door.begin(account), domain=ADDRESS, path="/")
        assert browser.get("/survey/file/captures.csv", headers=JSON).status_code != 403
        answer = browser.get("/survey/file/captures.csv?coordinates=exact", headers=JSON)
        assert (answer.status_code == 403) == (role != "administrator")


def test_every_kind_of_change_has_its_role(server):
    anna, bek = server.person("anna"), server.person("bek")
    higher = {"rename", "merge", "split", "auto", "auto-undo"}
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
        assert "mallory" not in browser.get("/").text
    assert 'action="/observer"' not in browser.get("/").text


def test_names_of_all_are_for_administrators(server):
    anna, boss = server.person("anna"), server.person("chyngyz")
    assert "bek" not in anna.get("/account").text
    assert "bek" in boss.get("/account").text
    assert "/jobs" not in anna.get("/").text
    assert "/jobs" in boss.get("/").text


def test_without_accounts_the_pages_of_the_login_do_not_exist(folder):
    from test_web_pages import client_of

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


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "0.0.0.0"], "--certificate FILE --key FILE, or --insecure-lan"),
        (["--host", "192.168.1.5"], "--certificate FILE --key FILE, or --insecure-lan"),
        (["--host", "::"], "--certificate FILE --key FILE, or --insecure-lan"),
        (["--host", "camp.local", "--name", "camp.local"], "--insecure-lan"),
        (["--insecure-lan"], "need --host"),
        (["--certificate", "c.pem"], "need --host"),
        (["--host", "0.0.0.0", "--insecure-lan", "--observer", "Anna"], "--observer is of no use"),
        (["--host", "0.0.0.0", "--insecure-lan", "--certificate", "c.pem"], "exclude each other"),
        (["--host", "0.0.0.0", "--insecure-lan", "--key", "k.pem"], "--key needs --certificate"),
    ],
)
def test_the_app_opens_to_no_network_by_mistake(folder, arguments, expected):
    result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", *arguments])
    assert result.exit_code == 2
    assert expected in result.output
    assert len([line for line in result.output.splitlines() if line.startswith("Error")]) == 1


def test_a_server_that_nobody_could_use_does_not_start(folder, tmp_path):
    accounts_path(folder).unlink()
    result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", "--host", "127.0.0.1", "--insecure-lan"])
    assert result.exit_code == 1
    assert "snowmatch observers" in result.output
    add_account(folder, "anna", "observer", PASSWORD)
    (tmp_path / "wrong.pem").write_text("no certificate")
    for certificate in ("missing.pem", "wrong.pem"):
        arguments = ["--host", "127.0.0.1", "--certificate", str(tmp_path / certificate)]
        result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", *arguments])
        assert result.exit_code == 1
        assert len(result.output.splitlines()) == 1
    arguments = ["--host", "203.0.113.7", "--insecure-lan"]
    result = CliRunner().invoke(main, ["serve", str(folder), "--no-browser", *arguments])
    assert result.exit_code == 1
    assert "203.0.113.7" in result.output


def test_what_is_this_computer_alone():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.5", "camp.local", "", "localhost.x"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this computer, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    place = tmp_path_factory.mktemp("certificate")
    names = ["-subj", "/CN=snowmatch test", "-addext", "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"]
    for key, secret in (("key.pem", ["-nodes"]), ("locked.pem", ["-passout", "pass:secret word"])):
        command = [program, "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-out", f"{key}.cert"]
        subprocess.run([*command, "-keyout", key, *secret, *names], cwd=place, check=True, capture_output=True)
    return place


def test_a_key_with_a_password_is_told(certificate):
    check_certificate(certificate / "key.pem.cert", certificate / "key.pem")
    with pytest.raises(SnowmatchError, match="without a password"):
        check_certificate(certificate / "locked.pem.cert", certificate / "locked.pem")
    with pytest.raises(SnowmatchError, match="cannot be used"):
        check_certificate(certificate / "locked.pem.cert", certificate / "key.pem")


@pytest.fixture(params=["https", "http"])
def running(request, folder, certificate):
    """A server in a process of its own; returns its address."""
    pem = ["--certificate", certificate / "key.pem.cert", "--key", certificate / "key.pem"]
    how = pem if request.param == "https" else ["--insecure-lan"]
    command = [sys.executable, "-m", "snowmatch.cli", "serve", folder, "--no-browser", "--host", ALSO_HERE, *how]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment)
    address = process.stdout.readline().split()[-1].rstrip("/")
    assert "log in" in process.stdout.readline()
    assert address.startswith(f"{request.param}://{ALSO_HERE}:")
    yield address
    process.terminate()
    process.wait(10)
    process.stdout.close()


def test_a_real_server(running, certificate):
    import ssl

    trust = ssl.create_default_context(cafile=certificate / "key.pem.cert")
    with httpx2.Client(base_url=running, verify=trust, timeout=30) as page:
        assert refused(page.get("/photos", headers=HTML))
        for host in ("evil.example", "127.0.0.3"):
            assert page.get("/", headers={"host": f"{host}:{running.rpartition(':')[2]}"}).status_code == 421
        said = {"name": "anna", "password": PASSWORD + "anna"}
        assert page.post("/login", data=said, headers={"origin": "http://evil.example"}).status_code == 403
        answer = page.post("/login", data=said, headers={"origin": running})
        assert answer.status_code == 303
        assert ("secure" in answer.headers["set-cookie"].lower()) == running.startswith("https")
        assert page.get("/photos").status_code == 200
        assert page.get("/jobs").status_code == 403
        assert page.post("/logout", headers={"origin": running}).status_code == 303
        assert refused(page.get("/photos"))
    if running.startswith("https"):
        with pytest.raises(httpx2.HTTPError):  # never without encryption
            httpx2.get(running.replace("https", "http") + "/login", timeout=10)
