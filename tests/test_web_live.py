"""Open pages are told what happens: by a stream that only the person may open, and that ends with the server."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import httpx2
import pytest
import uvicorn
from conftest import until
from starlette.testclient import TestClient
from web_small import make_catalog

from snowmatch.core.home import home_of
from snowmatch.review.identities import answer_pair, name_sightings
from snowmatch.review.likely import gather_evidence
from snowmatch.review.watched import read_memory, write_step
from snowmatch.web import live
from snowmatch.web import state as web_state
from snowmatch.web.app import make_app
from snowmatch.web.background import background
from snowmatch.web.live import live_of, sighting_of
from snowmatch.web.people import Person, asking
from snowmatch.web.routes import events as route
from snowmatch.web.server import listen
from snowmatch.web.state import State
from snowmatch.web.texts import translator
from snowmatch.web.waiting import waiting_now

EVENT = {
    **dict.fromkeys(("encounter", "location", "camera", "date", "time", "same_as", "runner_up"), ""),
    **dict.fromkeys(("careful", "runner_up_probability", "new_probability")),
    "id": "0123", "animal": 1, "station": "S01", "photos": ["/home/me/card/S01/a.jpg"], "annotations": [],
    "body_parts": ["left_flank"], "decision": "individual", "individual": "aika", "probability": 0.97,
    "level": "good", "reasons": [],
}  # fmt: skip


@pytest.fixture
def catalog(tmp_path):
    (tmp_path / "catalog.csv").write_text("path\nphoto.jpg\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def served(catalog):
    """Return a state, its server and a client with the cookie."""
    state, listener = State(catalog, None, "Anna"), listen(0)
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(state, port, "token"), log_level="error", ws="none"))
    state.kept["stopping"] = lambda: server.should_exit
    state.identities()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    headers = {"sec-fetch-site": "same-origin"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        client.get("/", params={"token": "token"})
        yield state, server, client
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    listener.close()


def messages(answer):
    """Yield (name, number, data) of a stream."""
    found = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "event" in found:
            yield found["event"], found.get("id"), json.loads(found["data"])
            found = {}


def tell(catalog, event=EVENT):
    write_step(catalog, read_memory(catalog), photos=[], events=[event])


@pytest.mark.slow
def test_a_sighting_is_told_while_the_page_is_open(served):
    state, _, client = served
    tell(state.folder, EVENT | {"id": "before"})
    with client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = messages(answer)
        seen = [next(found), next(found)]
        assert {name for name, *_ in seen} == {"jobs", "waiting"}
        assert next(data for name, _, data in seen if name == "waiting")["unindexed"] == 1
        tell(state.folder)
        name, number, data = next(found)
        assert (name, data["id"], data["individual"]) == ("sighting", "0123", "aika")  # not the one of before
        assert "a.jpg" in data["text"]
        assert "/home/me" not in json.dumps(data)
    tell(state.folder, EVENT | {"id": "4567"})
    with client.stream("GET", "/events", headers={"last-event-id": number}) as answer:
        (missed,) = [next(m for m in messages(answer) if m[0] == "sighting")]
        assert missed[2]["id"] == "4567"
    recent = client.get("/events/recent").json()["sightings"]
    assert [each["id"] for each in recent] == ["4567", "0123", "before"]


@pytest.mark.parametrize("number", ["-1", "x", "9" * 15, "9" * 40, "\u0662".encode()])
def test_a_strange_number_of_the_last_event_is_that_of_a_new_page(served, number):
    state, _, client = served
    tell(state.folder)
    with client.stream("GET", "/events", headers={"last-event-id": number}) as answer:
        assert answer.status_code == 200
        found = messages(answer)
        assert next(found)[0] != "sighting"


def test_what_waits_is_asked_again_until_all_of_it_is_known(catalog, monkeypatch):
    """Evidence that is gathered between two looks changes nothing else that what waits depends on."""
    state = State(catalog, None, "Anna")
    state.identities()
    monkeypatch.setattr(live, "LOOK", 0.0)
    found, asked = waiting_now(state)[0], []

    def waiting(state):
        asked.append(len(asked))
        return (replace(found, questions=None), False) if len(asked) == 1 else (replace(found, questions=7), True)

    monkeypatch.setattr(live, "waiting_now", waiting)
    until(lambda: (live_of(state).look().waiting or {}).get("questions") == 7)
    for _ in range(5):
        live_of(state).look()
    assert asked == [0, 1]


def test_what_waits_is_not_asked_again_while_the_kept_evidence_is_read(tmp_path, monkeypatch):
    state = State(make_catalog(tmp_path), None, "Anna")
    state.identities()
    reading, end, asked = threading.Event(), threading.Event(), []

    def gather(*args, **options):
        reading.set()
        assert end.wait(60)
        return gather_evidence(*args, **options)

    def waiting(state):
        asked.append(state.comparing)
        return waiting_now(state)

    monkeypatch.setattr(web_state, "gather_evidence", gather)
    monkeypatch.setattr(live, "waiting_now", waiting)
    monkeypatch.setattr(live, "LOOK", 0.0)
    until(lambda: live_of(state).look() and reading.is_set() and asked[-1] == (0, 5), 20)
    before = len(asked)
    for _ in range(20):
        live_of(state).look()
        time.sleep(0.02)
    assert len(asked) <= before + 1
    end.set()
    until(lambda: (live_of(state).look().waiting or {}).get("questions") is not None)


def test_pages_are_told_of_decisions_that_leave_the_number_of_questions(tmp_path, monkeypatch):
    """Start shows how many decisions there are, and unnamed groups: a page that is not told keeps the old numbers."""
    state = State(make_catalog(tmp_path), None, "Anna")
    monkeypatch.setattr(live, "LOOK", 0.0)
    state.identities()
    told = until(lambda: found if (found := live_of(state).look().waiting or {}).get("questions") is not None else None)
    who = state.identities().who
    assert (told["decisions"], told["groups"]) == (0, 0)
    aika = who.named("aika")
    state.append(lambda now: [name_sightings(now, [n], "", "Anna") for n in aika.sightings])
    state.append(lambda now: [answer_pair(now, *aika.sightings, "same", "Anna")])
    told = until(lambda: found if (found := live_of(state).look().waiting)["decisions"] == 3 else None)
    assert told["groups"] == 1


def test_work_is_told(served):
    state, _, client = served
    with client.stream("GET", "/events") as answer:
        found = (m for m in messages(answer) if m[0] == "jobs")
        assert next(found)[2] == {}
        job = home_of(state.folder) / "jobs" / "20260101-000000-index"
        job.mkdir(parents=True)
        (job / "ended.json").write_text(json.dumps({"status": 0, "ended": 2.0}))  # first: else it is lost for a moment
        (job / "job.json").write_text(json.dumps({"kind": "index", "arguments": [], "started": 1.0}))
        assert next(found)[2] == {job.name: {"state": "done", "title": "", "done": 0, "total": 0}}


def test_the_stream_is_for_the_person_alone(catalog):
    client = TestClient(make_app(State(catalog), 80, "token"), base_url="http://127.0.0.1")
    assert client.get("/events").status_code == 403
    assert client.get("/events/recent").status_code == 403
    client.get("/?token=token")
    assert client.get("/events", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post("/events", headers={"sec-fetch-site": "same-origin"}).status_code in (404, 405)
    assert client.head("/events", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_there_are_not_too_many_streams_and_a_closed_one_counts_no_more(served, monkeypatch):
    state, _, client = served
    monkeypatch.setattr(route, "MOST", 2)
    with client.stream("GET", "/events") as one, client.stream("GET", "/events") as two:
        open_now = messages(one), messages(two)  # held: an iterator that is gone closes its stream
        assert all(next(each) for each in open_now)
        refused = client.get("/events")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "60"
    until(lambda: not state.kept["streams"])


def test_a_quiet_stream_beats(served, monkeypatch):
    _, _, client = served
    monkeypatch.setattr(route, "BEAT", 0.5)
    with client.stream("GET", "/events") as answer:
        assert any(line.startswith(":") for line in answer.iter_lines())


def test_a_stream_does_not_keep_the_server(served):
    _, server, client = served
    with client.stream("GET", "/events") as answer:
        found = messages(answer)
        next(found)
        server.should_exit = True
        started = time.monotonic()
        assert list(found) is not None  # it ends
        assert time.monotonic() - started < 10


def test_ctrl_c_stops_the_app_while_a_page_is_open(catalog):
    command = [sys.executable, "-m", "snowmatch.cli", "serve", str(catalog), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            address, _, token = line.split()[-1].partition("?token=")
            with httpx2.Client(base_url=address, headers={"sec-fetch-site": "same-origin"}, timeout=60) as client:
                client.get("/", params={"token": token})
                with client.stream("GET", "/events") as answer:
                    found = messages(answer)
                    next(found)
                    process.send_signal(signal.SIGINT)
                    assert list(found) is not None  # it ends
            assert process.wait(30) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


SLOW = """
import sys, time
from pathlib import Path
from starlette.routing import Route
from snowmatch.web import app, server
app.ROUTES.append(Route("/slow", lambda request: time.sleep(60)))
server.serve(Path(sys.argv[1]), browser=False, say=lambda text: print(text, flush=True))
"""


@pytest.mark.slow
def test_ctrl_c_stops_the_app_without_a_word_while_it_computes(catalog):
    command = [sys.executable, "-c", SLOW, str(catalog)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address, _, token = process.stdout.readline().split()[-1].partition("?token=")
            with httpx2.Client(base_url=address, headers={"sec-fetch-site": "same-origin"}, timeout=60) as client:
                client.get("/", params={"token": token})
                asking = threading.Thread(target=lambda: client.get("/slow"), daemon=True)
                asking.start()
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 0
                asking.join(10)
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_what_a_page_is_told_has_no_paths():
    for path in ("/home/me/S01/a.jpg", "C:\\cards\\S01\\a.jpg"):
        told = json.dumps(sighting_of(EVENT | {"photos": [path]}, translator("en")))
        assert "a.jpg" in told
        assert "me" not in told.replace("name", "")
        assert "cards" not in told


@pytest.mark.parametrize(
    ("event", "english", "russian"),
    [
        ({}, "aika 97 % · S01 · a.jpg", "aika 97 % · S01 · a.jpg"),
        ({"photos": ["a.jpg", "b.jpg", "c.jpg"]}, "aika 97 % · S01 · a.jpg and 2 more", None),
        ({"individual": "", "decision": "new", "probability": None}, "a new animal · S01 · a.jpg", "новый зверь"),
        ({"individual": "", "decision": "unidentified", "same_as": "e7"}, "as e7 97 % · S01 · a.jpg", "как e7 97 %"),
        ({"decision": "on record", "probability": None}, "the catalog has it: aika · S01 · a.jpg", "уже есть"),
        ({"individual": "", "decision": "person", "probability": None}, "a person · S01 · a.jpg", "человек"),
        ({"individual": "", "decision": "", "date": "2023-05-01", "time": "10:00:00", "probability": None},
         "no answer · 2023-05-01 10:00:00 · S01 · a.jpg", "нет ответа"),
        ({"individual": "unnamed a1b2c3d4e5", "probability": 0.0004},
         "without a name (a1b2c3d4) < 0.1 % · S01 · a.jpg", "без имени (a1b2c3d4) < 0,1 %"),
        ({"photos": None, "station": None, "individual": ["x"]}, "['x'] 97 %", None),  # what is no event
    ],
)  # fmt: skip
def test_a_sighting_is_told_in_the_language_of_the_page(event, english, russian):
    told = [sighting_of(EVENT | event, translator(language)) for language in ("en", "ru")]
    assert told[0]["text"] == english
    assert told[1]["text"].startswith(russian or english[:4])
    assert [each["word"] for each in told] == ["good", translator("ru")("level.good")]


def test_a_sighting_of_which_little_is_known_is_told():
    assert sighting_of({"id": "1", "decision": "new"}, translator("en"))["text"] == "a new animal"
    assert sighting_of({"id": "1", "level": "odd"}, translator("en"))["word"] == ""


def test_a_journal_that_was_made_anew_is_read_from_its_start(catalog):
    live = live_of(State(catalog))
    tell(catalog)
    end = live.look().end
    assert end > 0
    (home_of(catalog) / "watched.jsonl").unlink()
    live._looked = 0
    assert live.look().end == 0
    tell(catalog, EVENT | {"id": "new"})
    live._looked = 0
    assert [event["id"] for _, event in live.look().events][-1] == "new"


def test_the_pages_have_the_script(catalog):
    client = TestClient(make_app(State(catalog, None, "Anna"), 80, "token"), base_url="http://127.0.0.1")
    client.get("/?token=token")
    for page in ("/", "/review", "/jobs"):
        assert "/static/live.js" in client.get(page).text
    assert 'data-live="sightings"' in client.get("/").text


def test_each_observer_is_told_the_own_number(catalog):
    """The computation knows who asks, and what one person waits for is not shown to another."""
    state = State(catalog)
    seen = []
    for name in ("Anna", "Bek"):
        before = asking.set(Person(name, "observer"))
        try:
            seen.append(live_of(state))
            known = background(state, f"name of {name}")
            until(lambda known=known: known.get("key", lambda: state.observer)[1])
            assert known.get("key", lambda: state.observer)[0] == name
        finally:
            asking.reset(before)
    assert seen[0] is not seen[1]
