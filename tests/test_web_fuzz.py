"""A fuzzer over all routes of the application: right requests, and what becomes of them when parts are strange.

No answer may be an error of the server. SNOWMATCH_FUZZ_REQUESTS=20000 asks more often; `-s` shows the answers.
"""

import itertools
import json
import os
import random
import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from web_accounts import cheap  # noqa: F401, passwords that cost nothing
from web_small import jpeg

import snowmatch.web
from snowmatch.review.accounts import add_account, read_accounts, set_password
from snowmatch.review.history import WAYS
from snowmatch.review.identities import answer_pair
from snowmatch.survey.captures import FLANKS
from snowmatch.views.previews import SIZES, key_of
from snowmatch.web.app import app_behind
from snowmatch.web.dashboard import TABLES
from snowmatch.web.logins import LoginDoor
from snowmatch.web.routes import jobs
from snowmatch.web.routes.downloads import FILES
from snowmatch.web.security import TokenDoor
from snowmatch.web.state import State

pytestmark = pytest.mark.slow
REQUESTS = int(os.environ.get("SNOWMATCH_FUZZ_REQUESTS", "1500"))
PORT, JOB, PASSWORD = 8123, "20260101-000000-batch", "password of Anna"
WORDS = ["", "0", "-1", "1e400", "..", "%00", "\x00", "é\u202e", "'\"<>", "9" * 40, "null", "a" * 3000, "~", "unnamed "]
NUMBERS = [0, -1, 2**80, 1e308, float("nan"), float("inf"), True]
NESTED = [None, [], {}, [[]], [None], {"a": []}, [{"b": [1]}] * 3, ["\ud800"], "\ud800"]
ENDLESS = "/events"  # a stream; its HEAD is asked for
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PART = b"--x\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--x--"
FORMS = ("/observer", "/log", "/account", "/jobs", "/identify/{name}/add")


def names_of_values():
    """The names under which the sources read what a request says."""
    texts = [path.read_text(encoding="utf-8") for path in Path(snowmatch.web.__file__).parent.rglob("*.py")]
    found = {name for text in texts for name in re.findall(r"""(?:\.get|_text|_keys)\((?:\w+, )?"(\w+)\"""", text)}
    assert {"mode", "coordinates", "certainty", "boxes", "store"} <= found
    return sorted(found | {"q", "state", "outline", "station", "body_part", "token", "ids", "keys", "password", "next"})


def quoted(text):
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    return "".join(chr(b) if b in plain else f"%{b:02X}" for b in text.encode("utf-8", "surrogatepass"))


class Fuzzer:
    """Asks one application. told: the statuses of its answers, by route and method."""

    def __init__(self, app, state, enter, seed):
        self.app, self.state, self.enter = app, state, enter
        self.rng, self.told, self.names = random.Random(seed), defaultdict(Counter), names_of_values()
        base = f"http://127.0.0.1:{PORT}"
        self.page = TestClient(app, base_url=base, follow_redirects=False, headers={"sec-fetch-site": "same-origin"})
        enter(self.page)
        self.photo = self.page.post("/identify/photo", params={"name": "a.jpg"}, content=jpeg(1)).json()["id"]
        self.question = {"photos": [self.photo], "boxes": [None], "body_part": "left_flank", "location": "naryn"}
        self.asked = self.page.post("/identify/ask", json=self.question).json()["address"].rpartition("/")[2]
        text = self.page.get(f"/identify/{self.asked}").text
        self.signs = re.findall(r'name="who" value="([0-9a-f]{16})"', text)
        identities = state.identities()
        self.animals = [key_of(a) for a in identities.annotations]
        self.sightings = [sighting.key for sighting in identities.who.sightings]
        self.pairs = [list(pair) for pair in itertools.pairwise(self.sightings)]

    def holes(self, pattern):
        """Right values of the changing parts of an address."""
        who = [each.handle for each in self.state.identities().who.individuals]
        names = {"identify/photo": [self.photo], "identify": [self.asked], "jobs": [JOB], "dashboard": TABLES}
        kinds = ("plain", "matches") if pattern.startswith("/identify") else ("photo", "animal", "outline")
        name = next((found for start, found in names.items() if pattern.startswith(f"/{start}/")), FILES)
        return {
            "key": self.animals, "size": list(map(str, SIZES)), "sign": self.signs, "kind": kinds, "name": name,
            "handle": [*who, f"~{self.sightings[0]}"],
        }  # fmt: skip

    def query(self, pattern):
        """Right values of what stands behind the question mark."""
        one, other = self.rng.sample(self.animals, 2) if "spots" in pattern else self.rng.choice(self.pairs)
        return {
            "a": one, "b": other, "mode": self.rng.choice(list(WAYS)), "lang": self.rng.choice(["en", "ru"]),
            "count": "3", "page": "1", "q": "a", "name": "a.jpg", "view": "outline", "from": "2023-01-01",
            "to": "2024-01-01", "coordinates": "rounded:5", "flanks": self.rng.choice(FLANKS), "within": "7",
            "individual": "-", "station": "st01", "body_part": "left_flank", "show": "lone", "days": "5",
        }  # fmt: skip

    def body(self, pattern):
        """Right values of a request that changes something."""
        rng, photos, key = self.rng, self.rng.sample(self.animals, 2), self.rng.choice(self.sightings)
        identities = self.state.identities()
        changes = [
            {"kind": "rename", "key": key, "name": "Aika"},
            {"kind": "merge", "keys": rng.choice(self.pairs), "other": "Bars"},
            {"kind": "split", "key": key, "photos": photos[:1], "name": "Cholpon"},
            {"kind": "undo", "ids": [row.id for row in identities.rows[-1:]]},
            {"kind": rng.choice(["auto", "auto-undo"])},
            {"kind": "portrait", "photos": photos[:1], "key": key},
            {"kind": "body_part", "photos": photos, "value": "tail", "stay": True},
            {"kind": "quality", "photos": photos, "value": "good"},
            {"kind": "sex", "key": key, "value": "female"},
            {"kind": "note", "key": key, "value": "by the river"},
            {"kind": "species", "photos": photos, "value": "Lynx lynx"},
        ]
        pair, mode = rng.choice(self.pairs), rng.choice(["open", "blind"])
        if pattern == "/review/answer":  # only what was asked can be answered
            asked = {"a": pair[0], "b": pair[1], "mode": mode}
            found = self.page.get("/review/next", params=asked, headers={"accept": JSON}).json()
            pair = found["questions"][0]["pair"] if found.get("questions") else pair
        answer = {"pair": pair, "mode": mode, "answer": rng.choice(["same", "different"]), "note": "tail"}
        return {
            "/changes": {**rng.choice(changes), "store": True, "head": identities.stored.head},
            "/review/answer": {**answer, "certainty": 4, "marks": []},
            "/review/open": {"pair": pair, "mode": mode},
            "/review/skip": {"pair": pair, "mode": mode, "again": rng.random() < 0.5},
            "/review/undo": {"mode": mode},
            "/identify/ask": self.question,
            "/identify/guess": {"photo": self.photo, "bbox": [1, 2, 30, 40]},
            "/identify/{name}/add": {"who": rng.choice([*self.signs, "new", "unknown"]), "name": "Dastan"},
            "/observer": {"observer": "Anna"},
            "/login": {"name": "Anna", "password": PASSWORD, "next": "/photos"},
            "/account/password": {"old": PASSWORD, "new": "another password", "again": "another password"},
        }.get(pattern, {})

    def strange(self):
        return self.rng.choice(self.rng.choice([WORDS, WORDS, NUMBERS, NESTED]))

    def spoilt(self, values):
        """Values of which some are strange, missing, or of another name."""
        found = dict(values)
        for _ in range(self.rng.choice([0, 0, 1, 1, 2])):
            name = self.rng.choice([*values, self.rng.choice(self.names)])
            if self.rng.random() < 0.2:
                found.pop(name, None)
            else:
                found[name] = self.strange()
        return found

    def text(self, value):
        return value if isinstance(value, str) else json.dumps(value)

    def ask(self, pattern, method):
        rng, holes = self.rng, self.holes(pattern)
        right = {name: rng.choice(holes[name]) for name in re.findall(r"{(\w+)[^}]*}", pattern)}
        inside = self.spoilt(right) | {name: right[name] for name in right if rng.random() < 0.5}
        path = re.sub(r"{(\w+)[^}]*}", lambda hole: quoted(self.text(inside.get(hole[1], ""))), pattern)
        query = self.query(pattern)
        chosen = ["a", "b"] if "spots" in pattern else rng.sample(sorted(query), rng.randrange(6))
        query = self.spoilt({name: query[name] for name in chosen})
        values = self.spoilt(self.body(pattern))
        usual = FORM if pattern.startswith(FORMS) else JSON
        kind = rng.choice([usual] * 6 + [FORM, JSON, "multipart/form-data; boundary=x"])
        content = json.dumps(values).encode()
        if kind == FORM:
            content = "&".join(f"{name}={quoted(self.text(value))}" for name, value in values.items()).encode()
        if kind.startswith("multipart") or rng.random() < 0.05:
            content = rng.choice([b"", b"\x00\xff", b"--x\r\n", PART])
        if pattern == "/identify/photo" and rng.random() < 0.7:
            content = jpeg(1)[: rng.choice([10**9, 10**9, 300])]
        path += "?" + "&".join(f"{name}={quoted(self.text(value))}" for name, value in query.items())
        answer = self.page.request(
            method,
            path,
            headers={"content-type": kind, "accept": rng.choice(["*/*", JSON])},
            **({"content": content} if method == "POST" else {}),
        )
        assert answer.status_code < 500, (method, path, content[:500], answer.text[:300])
        self.told[pattern, method][answer.status_code] += 1
        if pattern in ("/logout", "/account/password", "/login") or answer.status_code == 403:
            self.enter(self.page)
        return answer.status_code


@pytest.fixture
def folder(survey, tmp_path):
    """Return a catalog with decisions and work that has ended."""
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    state = State(folder, None, "Anna")
    state.evidence()
    for one, other, said in ((0, 1, "same"), (1, 2, "same"), (0, 2, "different")):
        state.append(lambda i, a=one, b=other, s=said: [answer_pair(i, a, b, s, "Anna")])
    job = folder / ".snowmatch" / "jobs" / JOB
    job.mkdir(parents=True)
    (job / "job.json").write_text(json.dumps({"kind": "batch", "arguments": [], "started": 1.0}))
    (job / "ended.json").write_text(json.dumps({"status": 0, "ended": 2.0}))
    for name in ("stdout", "stderr"):
        (job / name).write_text("a,b\n")
    return folder


def test_no_route_fails_whatever_it_is_asked(folder):
    add_account(folder, "Anna", "administrator", PASSWORD)
    token, login = TokenDoor(PORT, "token"), LoginDoor(folder, PORT, "http")
    alone, several = State(folder, None, "Anna"), State(folder)

    def by_token(page):
        page.get("/", params={"token": "token"})

    def by_login(page):
        set_password(folder, "Anna", PASSWORD)
        login.attempts = type(login.attempts)()
        page.cookies.clear()
        page.cookies.set(login.cookie, login.begin(read_accounts(folder)[0]), domain="127.0.0.1", path="/")

    done = set()
    for number, (door, state, enter) in enumerate(((token, alone, by_token), (login, several, by_login))):
        fuzzer = Fuzzer(app_behind(door, state), state, enter, number)
        routes = {(each.path, way) for each in fuzzer.app.routes for way in getattr(each, "methods", None) or ()}
        routes = sorted(each for each in routes if (each[1] == "HEAD") == (each[0] == ENDLESS))
        for turn in range(max(REQUESTS // 2, 12 * len(routes))):
            route = routes[turn % len(routes)]
            if fuzzer.ask(*route) in (200, 202, 301, 303):
                done.add(route)
        for route in routes:
            print(*route, dict(fuzzer.told[route]))
    assert len(routes) > 50
    # Each did at least once what it is there for. Work is started by other tests
    assert set(routes) - done <= {("/jobs/start", "POST")}
    assert jobs.list_jobs(folder)[0].id == JOB
