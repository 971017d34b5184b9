"""The start page: it leads from photos to names, and the machine's part can be taken back."""

import csv
import io
import os
import re
import shutil
import threading
import time
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.testclient import TestClient
from web_small import jpeg

from snowmatch.catalog.evidence import count_encounter_pairs
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.review import likely
from snowmatch.review.counting import Counts, Part
from snowmatch.review.identities import answer_pair, decide, draft
from snowmatch.review.learnable import learnable_pairs
from snowmatch.web import state as state_module
from snowmatch.web.app import make_app
from snowmatch.web.jobs import commands_of, jobs_path
from snowmatch.web.page import environment
from snowmatch.web.state import State
from snowmatch.web.texts import translator
from snowmatch.web.waiting import Waiting


@pytest.fixture
def state(survey, tmp_path):
    return State(shutil.copytree(survey / "catalog", tmp_path / "catalog"), None, "Anna")


def client(state):
    found = TestClient(make_app(state, 80, "token"), base_url="http://127.0.0.1")
    found.headers["sec-fetch-site"] = "same-origin"
    assert found.get("/?token=token").status_code == 200
    return found


def waits(page):
    """Return what waits, once all of it is known."""
    for _ in range(600):
        answer = page.get("/home/waits")
        if answer.status_code == 200:
            return answer.text
        assert answer.status_code == 202, answer.text
        time.sleep(0.1)
    raise AssertionError("it is never known")


@pytest.mark.parametrize(("language", "told"), [("en", "a clock ran backwards"), ("ru", "часы отставали")])
def test_a_clock_that_ran_backwards_between_decisions_is_told(tmp_path, language, told):
    rows = "path,encounter,annotation\na.jpg,e1,a1\nb.jpg,e2,a2\n"
    (tmp_path / "catalog.csv").write_text(rows, encoding="utf-8")
    state = State(tmp_path, None, "Anna")
    pair = answer_pair(state.identities(), 0, 1, "same", "Anna")
    state.append(lambda now: [pair, pair._replace(decided_at="2020-01-01T00:00:00.000Z")])
    page = client(state)
    page.get("/", params={"lang": language})
    assert told in waits(page)


@pytest.mark.parametrize(("language", "told"), [("en", "comparisons are not kept"), ("ru", "сравнения не сохраняются")])
def test_comparisons_that_cannot_be_kept_are_told(state, monkeypatch, language, told):
    def full(folder, records):
        raise SnowmatchError("no space left on the disk")

    monkeypatch.setattr(likely, "keep", full)
    page = client(state)
    page.get("/", params={"lang": language})
    (line,) = re.findall(f"<li>[^<]*{told}[^<]*</li>", waits(page))
    assert "no space left on the disk" in line


def test_a_catalog_that_is_not_indexed_is_led_to_index(tmp_path):
    (tmp_path / "catalog.csv").write_text("path\nphoto.jpg\n", encoding="utf-8")
    text = client(State(tmp_path, None, "")).get("/home/waits").text
    assert 'name="kind" value="index"' in text
    assert 'href="#observer"' in text
    assert "names.csv" not in text


def test_a_catalog_with_identifiers_that_is_not_indexed_is_led_to_index_as_well(tmp_path):
    rows = "path,annotation\na.jpg,aaaa000000000001\nb.jpg,aaaa000000000002\n"
    (tmp_path / "catalog.csv").write_text(rows, encoding="utf-8")
    page = client(State(tmp_path, None, "Anna"))
    for _ in range(2):  # what is computed in the background must not become an error
        text = waits(page)
        assert "2 pictures of animals are not read yet" in text
        assert 'name="kind" value="index"' in text


def test_no_page_waits_for_the_look_at_all_files(state, monkeypatch):
    looking, go_on = threading.Event(), threading.Event()

    def slow(folder, annotations):
        looking.set()
        assert go_on.wait(30)
        return tuple(("indexed", "") for _ in annotations)

    monkeypatch.setattr(state_module, "states_of", slow)
    look = threading.Thread(target=state.states)
    look.start()
    assert looking.wait(30)
    other = threading.Thread(target=state.identities)
    other.start()
    other.join(10)
    waited = other.is_alive()
    go_on.set()
    look.join(30)
    assert not waited


@pytest.mark.parametrize(
    ("role", "left", "told"),
    [
        ("observer", {"disputed": 1}, "an adjudicator has something to do"),
        ("observer", {"disputed": 1, "questions": 2}, "About 2 questions"),
        ("observer", {}, "Nothing."),
        ("adjudicator", {"disputed": 1}, "/review?mode=adjudicate"),
    ],
)
def test_an_observer_is_told_when_only_others_have_something_to_do(role, left, told):
    now = Waiting(**dict.fromkeys([each.name for each in fields(Waiting)], 0) | {"comparing": None} | left)
    may = {"observer": False, "adjudicator": role == "adjudicator", "administrator": False}.get
    known = {"t": translator("en"), "may": may, "state": SimpleNamespace(observer="Bek"), "notes": ()}
    text = environment("en").get_template("home_waits.html").render(found=now, **known)
    (lines,) = re.findall(r"<ol class=\"waits\">(.*?)</ol>", text, re.DOTALL)
    assert lines.count("<li>") == 1
    assert told in lines


def test_photos_that_come_into_a_catalog_of_folders_are_noticed(tmp_path, monkeypatch):
    def put(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(len(path.parts)))

    def count():
        state._took = 0.0  # as if loading had taken no time
        return len(state.identities().annotations)

    folder = tmp_path / "catalog"
    put(folder / "naryn" / "Aika" / "left_flank" / "1.jpg")
    (folder / "naryn" / "Bars" / "left_flank").mkdir(parents=True)  # a folder that waits for photos
    (folder / "naryn" / "Aika" / "round").symlink_to(folder / "naryn", target_is_directory=True)
    for path in [path for path in folder.rglob("*") if path.is_dir()]:
        os.utime(path, (1e9, 1e9))
    state = State(folder, None, "Anna")
    state.identities()
    data = state.identities().data
    decide(state.identities(), [draft("note", "Anna", "x", side_a=("none",))])
    assert count() == 1
    assert state.identities().data is data  # a decision is no new photo
    put(folder / "naryn" / "Bars" / "left_flank" / "2.jpg")
    assert count() == 2
    put(folder / "naryn" / "Aika" / "left_flank" / "3.jpg")
    assert count() == 3
    put(folder / "naryn" / "Aika" / "right_flank" / "4.jpg")
    assert count() == 4
    put(folder / "sarychat" / "_unidentified" / "5.jpg")
    assert count() == 5
    loaded = state_module.open_identities

    def meanwhile(*given):
        found = loaded(*given)
        monkeypatch.setattr(state_module, "open_identities", loaded)
        put(folder / "sarychat" / "_unidentified" / "7.jpg")
        return found

    monkeypatch.setattr(state_module, "open_identities", meanwhile)
    put(folder / "sarychat" / "_unidentified" / "6.jpg")
    assert count() == 6
    assert count() == 7


def test_what_waits_leads_to_the_machine_to_review_and_to_adjudication(state):
    page = client(state)
    text = waits(page)
    assert 'data-change="auto"' in text
    assert 'href="/review"' in text
    assert "/contradictions" not in text
    evidence = state.evidence()
    surest = max(evidence.pairs.values(), key=lambda each: each.probability)
    state.append(lambda i: [answer_pair(i, surest.one, surest.other, "different", "Boris")])
    text = waits(page)
    assert text.count("/review?mode=adjudicate") == 1  # the photos contradict Boris
    state.append(lambda i: [answer_pair(i, surest.one, surest.other, "same", "Clara")])
    assert "Observers disagree about 1 pair" in waits(page)


def test_the_machine_joins_after_a_preview_and_one_click_takes_all_back(state):
    page = client(state)
    waits(page)
    before = state.identities().who.of
    found = page.post("/changes", json={"kind": "auto", "stay": True}).json()
    assert "The machine joins" in found["lines"][0]
    assert not [line for line in found["lines"] if "unnamed" in line]
    assert 0 < len(found["pairs"]) <= 6
    for pair in found["pairs"]:
        assert all(page.get(f"/picture/animal/320/{photo}").status_code == 200 for photo in pair["photos"])
        assert all(pair["labels"])
    assert not state.identities().rows
    stored = page.post("/changes", json={"kind": "auto", "stay": True, "store": True, "head": found["head"]}).json()
    rows = state.identities().rows
    assert [row.id for row in rows] == stored["stored"]
    assert {(row.observer, row.role, row.answer) for row in rows} == {("machine", "machine", "same")}
    text = waits(page)
    assert 'data-change="auto"' not in text
    assert 'data-change="auto-undo"' in text
    found = page.post("/changes", json={"kind": "auto-undo", "stay": True}).json()
    page.post("/changes", json={"kind": "auto-undo", "stay": True, "store": True, "head": found["head"]})
    assert state.identities().who.of == before
    assert 'data-change="auto-undo"' not in waits(page)
    nothing = page.post("/changes", json={"kind": "auto-undo", "stay": True}).json()
    assert nothing["empty"]
    again = page.post("/changes", json={"kind": "auto-undo", "stay": True, "store": True, "head": nothing["head"]})
    assert (again.json()["stored"], again.json()["empty"], again.json()["changed"]) == ([], True, False)


def test_groups_without_a_name_are_no_individuals_with_a_name(state):
    page = client(state)
    named = len([each for each in state.identities().who.individuals if each.name])
    lone = [each for each in state.identities().who.individuals if each.name is None]
    state.append(lambda i: [answer_pair(i, lone[0].sightings[0], lone[1].sightings[0], "same", "Anna")])
    assert any(each.name is None and len(each.sightings) > 1 for each in state.identities().who.individuals)
    assert f"<b>{named}</b> individuals with a name" in page.get("/home/facts").text


def test_a_catalog_with_enough_names_is_offered_to_calibrate(state, monkeypatch, tmp_path):
    page = client(state)
    named = state.identities().named
    pairs = count_encounter_pairs(named)
    assert 0 < pairs < 30
    assert 'value="calibrate"' not in waits(page)
    monkeypatch.setattr("snowmatch.review.learnable.ENOUGH_PAIRS", pairs)
    text = waits(page)
    assert f"{pairs} pairs of sightings have one name" in text
    assert text.count('name="kind" value="calibrate"') == 1
    elsewhere = tmp_path / "decisions.sqlite"  # the work gets the same file
    assert "--decisions" in commands_of("calibrate", state.folder, elsewhere, "")[0]
    assert 'value="calibrate"' in waits(client(State(state.folder, elsewhere, "Anna")))
    failed = jobs_path(state.folder) / "20260101-000000-calibrate"
    failed.mkdir(parents=True)
    (failed / "job.json").write_text('{"kind": "calibrate", "arguments": [], "started": 1.0}')
    (failed / "ended.json").write_text('{"status": 2, "ended": 2.0}')
    assert 'value="calibrate"' not in waits(page)  # the page of work tells why it failed


def test_a_calibration_of_the_catalog_is_offered_again_when_it_is_outgrown():
    named = [Annotation(n, f"{n}.jpg", f"cat{n % 4}", encounter=f"e{n}", passage=f"e{n}") for n in range(40)]
    for source, before, offered in (("shipped", 0, True), ("catalog", 30, False), ("catalog", 26, True)):
        calibration = SimpleNamespace(source=source, named=before)
        assert bool(learnable_pairs(SimpleNamespace(calibration=calibration), named)) == offered
    assert learnable_pairs(SimpleNamespace(calibration=None), named) == 180
    assert learnable_pairs(SimpleNamespace(calibration=None), []) == 0


def test_no_comparison_that_is_left_is_told_as_none(state, monkeypatch):
    counts = Counts((Part("all", 2, 2, 2.0, 1, 3),), np.zeros((0, 2), int), 0, 3.0)
    monkeypatch.setattr("snowmatch.web.routes.count.counts_now", lambda state: (counts, True))
    text = client(state).get("/count/numbers?lang=en").text
    assert "Nothing that matters is left to ask" in text
    assert "by 3" in text
    assert "About 0" not in text


def test_the_table_of_names_has_every_annotation_and_no_formula(state):
    page = client(state)
    key = state.identities().who.sightings[0].key
    values = {"kind": "rename", "key": key, "name": "=1+1"}
    head = page.post("/changes", json=values).json()["head"]
    page.post("/changes", json={**values, "store": True, "head": head})
    answer = page.get("/home/names.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == len(state.identities().annotations)
    assert not {row["individual"][:1] for row in rows} & set("=+-@")
    assert not [name for name in rows[0] if "lat" in name or "lon" in name]


def test_the_pictures_of_the_first_question_are_made_before_it_is_opened(state, monkeypatch):
    page = client(state)
    waits(page)
    question = page.get("/review/next?count=1").json()["questions"][0]
    for thread in threading.enumerate():
        if thread.name == "snowmatch-ahead":
            thread.join()
    monkeypatch.setattr("snowmatch.views.previews.read_parts", lambda *_: pytest.fail("a photo was decoded"))
    for side in question["sides"]:
        frame = side["frames"][side["first"]]
        for address in (f"photo/640/{frame['key']}", f"animal/1280/{frame['key']}?box={frame['box']}"):
            assert page.get(f"/picture/{address}").status_code == 200
