"""The app for several observers: every rule of the login, its sessions and of guessing, each with an attack."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from web_accounts import (
    ADDRESS,
    EVERY,
    HTML,
    JSON,
    PASSWORD,
    PEOPLE,
    PORT,
    Clock,
    Lan,
    cheap,
    fill,
    folder,
    original,
    refused,
    server,
)

from snowmatch.review.accounts import accounts_path, add_account, read_accounts, remove_account, set_password
from snowmatch.web.attempts import MOST, OF_ADDRESS, OF_NAME, WINDOW, Attempts
from snowmatch.web.logins import IDLE, WHOLE
from snowmatch.web.logins import MOST as MOST_SESSIONS
from snowmatch.web.rights import PUBLIC
from snowmatch.web.routes import events

__all__ = ["cheap", "folder", "original", "server"]  # fixtures

# --- who is let in ----------------------------------------------------------------------------------------------------


def test_a_person_logs_in_and_decides_under_the_own_name(server):
    anna, bek = server.person("anna"), server.person("bek")
    key = anna.get("/photos").text.split("/photos/")[1].split('"')[0]
    photo = server.state.annotation(key).annotation
    for browser, value in ((anna, "good"), (bek, "poor")):
        values = {"kind": "quality", "photos": [photo], "value": value, "stay": True}
        assert browser.post("/changes", json={**values, "observer": "chyngyz"}).status_code == 400
        head = browser.post("/changes", json=values).json()["head"]
        assert browser.post("/changes", json={**values, "store": True, "head": head}).json()["stored"]
    assert [row.observer for row in server.state.identities().rows] == ["anna", "bek"]
    assert ">anna</a>" in anna.get("/").text
    assert ">bek</a>" in bek.get("/").text


def test_nobody_sees_anything_before_the_login(server):
    browser = server.browser()
    for path, method in EVERY:
        for headers in (HTML, JSON, {}):
            answer = browser.request(method, fill(path), headers=headers)
            assert path in PUBLIC or refused(answer), (path, method)


@pytest.mark.parametrize(("language", "told"), [("en", "Log in first"), ("ru", "Сначала войдите")])
def test_a_script_whose_session_has_ended_is_told_so_in_the_language_of_the_page(server, language, told):
    anna = server.person("anna")
    anna.get("/", params={"lang": language})
    server.door._sessions.clear()
    assert anna.post("/changes", json={"kind": "undo"}, headers=JSON).text.startswith(told)


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


# --- sessions ---------------------------------------------------------------------------------------------------------


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
    anna, bek, boss = (server.person(name) for name in ("anna", "bek", "chyngyz"))
    set_password(server.folder, "anna", "another password")
    assert refused(anna.get("/photos"))
    remove_account(server.folder, "bek")
    assert refused(bek.get("/photos"))
    remove_account(server.folder, "chyngyz")
    add_account(server.folder, "chyngyz", "observer", PASSWORD + "chyngyz")
    assert refused(boss.get("/jobs"))
    assert server.person("chyngyz").get("/jobs").status_code == 403


def test_an_open_page_that_looks_for_news_does_not_keep_a_session(server):
    """Its stream looks each second, and the browser opens a new one every ten minutes, also when nobody sits there."""
    anna = server.person("anna")
    for _ in range(3):
        server.clock.now += IDLE / 4
        assert anna.head("/events").status_code == 200
        assert server.door.person(server.secret(anna), asks=False).name == "anna"
    assert anna.get("/photos").status_code == 200
    for _ in range(4):
        server.clock.now += IDLE / 4
        assert anna.head("/events").status_code == 200
    server.clock.now += 1
    assert refused(anna.head("/events"))
    assert refused(anna.get("/photos"))


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


# --- guessing ---------------------------------------------------------------------------------------------------------


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
