"""Many observers at once, and servers that are killed: no acknowledged decision is lost or doubled.

SNOWMATCH_STRESS_SECONDS=600 lets the observers work for ten minutes; `-s` shows what they did.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from starlette.testclient import TestClient

from snowmatch.decisions.file import read_decisions
from snowmatch.decisions.who import who_is_who
from snowmatch.review.accounts import add_account
from snowmatch.review.identities import open_identities
from snowmatch.review.uploads import find_upload, upload_file
from snowmatch.web.app import app_behind, make_app
from snowmatch.web.logins import LoginDoor
from snowmatch.web.state import State

pytestmark = pytest.mark.slow
OBSERVERS = 8
SECONDS = float(os.environ.get("SNOWMATCH_STRESS_SECONDS", "20"))  # 600 for a long run
LONGEST = 60  # seconds after which a request counts as locked up, also on a slow computer
ROUNDS = 3  # times that the server is killed
JSON = {"accept": "application/json"}


@pytest.fixture
def folder(survey, tmp_path):
    folder = shutil.copytree(survey / "catalog", tmp_path / "catalog")
    State(folder).evidence()
    return folder


def own_server(folder, name):
    """An own server on the one file of decisions, as each of several persons starts it."""
    state = State(folder, None, name)
    page = TestClient(make_app(state, 80, "token"), base_url="http://127.0.0.1")
    page.headers["sec-fetch-site"] = "same-origin"
    page.get("/?token=token")
    return state, page


def one_server(folder):
    """One server for all, where everybody logs in."""
    door, state = LoginDoor(folder, 80, "http"), State(folder)
    app = app_behind(door, state)

    def log_in(folder, name):
        add_account(folder, name, "observer", f"password of {name}")
        page = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
        page.headers["origin"] = "http://127.0.0.1"
        said = {"name": name, "password": f"password of {name}"}
        assert page.post("/login", data=said).status_code == 303
        return state, page

    return log_in


class Observer(threading.Thread):
    """A person who answers as fast as the server does."""

    until = 0.0  # of the monotonic clock

    def __init__(self, folder, name, enter):
        super().__init__(name=name, daemon=True)
        self.draw = random.Random(name)
        self.stored, self.undone, self.slowest, self.requests, self.error = [], [], 0.0, 0, None
        self.state, self.page = enter(folder, name)

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.step()
        except Exception as error:  # told by the test, in its own thread
            self.error = error

    def step(self):
        act = self.draw.random()
        if act < 0.1:
            undone = self.post("/review/undo", {})["undone"]
            if undone is not None:
                self.undone.append(undone["id"])
            return
        if act < 0.2:
            keys = [a.annotation for a in self.state.identities().annotations if a.annotation]
            self.change({"kind": "quality", "photos": self.draw.sample(keys, 3), "value": "good", "stay": True})
            return
        found = self.timed(lambda: self.page.get("/review/next", headers=JSON)).json()
        if not found.get("questions"):
            time.sleep(0.01)
            self.change({"kind": "note", "photos": self.some(), "value": f"seen by {self.name}", "stay": True})
            return
        question = self.draw.choice(found["questions"])
        self.post("/review/open", {"pair": question["pair"]})
        answer = self.draw.choice(("same", "different", "different", "cannot_tell"))
        opened = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 10**6 % 1000:03d}Z"
        values = {"pair": question["pair"], "answer": answer, "opened_at": opened}
        twice = [self.post("/review/answer", values)["id"] for _ in range(2)]  # the net may send an answer twice
        assert twice[0] == twice[1]
        self.stored.append(twice[0])

    def some(self):
        return [next(a.annotation for a in self.state.identities().annotations if a.annotation)]

    def change(self, values):
        found = self.post("/changes", values)
        found = self.post("/changes", {**values, "store": True, "head": found["head"]})
        assert found["stored"] or found["changed"]
        self.stored += found["stored"]

    def post(self, address, values):
        return self.timed(lambda: self.page.post(address, json=values, headers=JSON)).json()

    def timed(self, act):
        start = time.monotonic()
        answer = act()
        self.slowest = max(self.slowest, time.monotonic() - start)
        self.requests += 1
        assert answer.status_code == 200, answer.text
        return answer


@pytest.mark.parametrize("servers", ["own", "one"])
def test_eight_observers_lose_and_double_nothing(folder, servers):
    enter = own_server if servers == "own" else one_server(folder)
    observers = [Observer(folder, f"Observer {n}", enter) for n in range(OBSERVERS)]
    until = time.monotonic() + SECONDS
    for each in observers:
        each.until = until
    for each in observers:
        each.start()
    for each in observers:
        each.join(max(until + 3 * LONGEST - time.monotonic(), 0))
    assert not [each.name for each in observers if each.is_alive()], "locked up"
    assert [each.error for each in observers] == [None] * OBSERVERS
    requests, slowest = sum(each.requests for each in observers), max(each.slowest for each in observers)
    told = sum(len(each.stored) + len(each.undone) for each in observers)
    print(f"{servers}: {SECONDS:.0f} s, {requests} requests, {told} decisions acknowledged, slowest {slowest:.2f} s")
    identities = open_identities(folder)
    rows = identities.rows  # reading checks the chain of hashes
    ids = [row.id for row in rows]
    assert len(set(ids)) == len(ids) == told
    for each in observers:
        own = [row for row in rows if row.observer == each.name]
        assert sorted(each.stored) == [row.id for row in own if row.kind != "undo"]
        assert sorted(each.undone) == sorted(row.answer for row in own if row.kind == "undo")
    again = who_is_who(identities.annotations, rows)
    for each in observers:
        who = each.state.identities().who
        assert (who.of, who.individuals, who.idle) == (again.of, again.individuals, again.idle)


class Server:
    """A server in a process of its own."""

    def __init__(self, folder):
        command = [sys.executable, "-m", "snowmatch.cli", "serve", str(folder), "--no-browser", "--observer", "Anna"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        address, _, token = self.process.stdout.readline().split()[-1].partition("/?token=")
        self.page = httpx2.Client(base_url=address, headers={"sec-fetch-site": "same-origin", **JSON}, timeout=60)
        assert self.page.get("/", params={"token": token}).status_code == 200

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process.stdout.close()
        self.page.close()


@pytest.fixture
def serve(folder):
    """Return a function that starts a server; at the end none is left."""
    servers = []

    def start():
        servers.append(Server(folder))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


def keep_deciding(page, stored):
    """Answer and change until the server is gone. Only what it acknowledged counts."""
    try:
        while True:
            found = page.get("/review/next").json()
            for question in found.get("questions", []):
                answer = page.post("/review/answer", json={"pair": question["pair"], "answer": "cannot_tell"})
                stored.append(answer.json()["id"])
            key = page.get("/photos").text.partition('data-photo="')[2].partition('"')[0]
            values = {"kind": "sex", "photos": [key], "value": "female", "stay": True}
            head = page.post("/changes", json=values).json()["head"]
            stored += page.post("/changes", json={**values, "store": True, "head": head}).json()["stored"]
    except (httpx2.HTTPError, RuntimeError):  # RuntimeError: the client was closed
        return


def keep_sending(page, photos, sent):
    """Send photos until the server is gone."""
    try:
        while True:
            for content in photos:
                # Bytes after the end of a JPEG do not matter: each upload is another file
                answer = page.post("/identify/photo", params={"name": "a.jpg"}, content=content + os.urandom(8))
                sent.append(answer.json()["id"])
    except (httpx2.HTTPError, RuntimeError):
        return


def test_a_server_killed_during_decisions_and_uploads_keeps_what_it_acknowledged(folder, survey, serve):
    photos = [path.read_bytes() for path in sorted((survey / "queries").glob("**/*.jpg"))[:3]]
    assert photos
    stored, sent = [], []
    for number in range(ROUNDS):
        server = serve()
        threads = [
            threading.Thread(target=keep_deciding, args=(server.page, stored), daemon=True),
            threading.Thread(target=keep_sending, args=(server.page, photos, sent), daemon=True),
        ]
        before = len(stored), len(sent)
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while len(stored) < before[0] + 3 or len(sent) < before[1] + 3:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)
        time.sleep(0.3 * number)  # each time at another moment
        server.kill()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        ids = [row.id for row in read_decisions(folder / "decisions.sqlite").rows]
        assert len(set(ids)) == len(ids)
        assert set(stored) <= set(ids)
        # At most one decision was on the disk, and the server died before it could say so
        assert len(ids) <= len(stored) + number + 1
        for name in sent:
            assert upload_file(folder, find_upload(folder, name)).stat().st_size > 0
    server = serve()
    assert server.page.get("/individuals").status_code == 200
    assert server.page.get(f"/identify/photo/320/{sent[-1]}").status_code == 200
