"""Identify: photos are sent, asked about, and added to the catalog."""

import csv
import hashlib
import io
import os
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from web_small import SETTINGS, asked, client, client_of, folder, jpeg, make_catalog, screened_out, sent

from snowmatch.api import Catalog, open_catalog
from snowmatch.catalog.found import BY_SCREENING, Found, save_found
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.locks import WRITER, file_lock
from snowmatch.features.extractors.hesaff import Hesaff
from snowmatch.features.extractors.sift import Sift
from snowmatch.review.adding import NewPhoto, add_photos, with_rows
from snowmatch.review.identities import answer_pair, decide, name_sightings, open_identities
from snowmatch.review.taking_in import index_added
from snowmatch.web import adding, texts
from snowmatch.web.routes import identify
from snowmatch.web.state import State

__all__ = ["client", "folder"]  # fixtures

# --- identify ---------------------------------------------------------------------------------------------------------


def test_a_photo_is_identified_and_added_under_a_name(tmp_path):
    catalog = make_catalog(tmp_path)
    before = (catalog / "catalog.csv").read_bytes()
    client = client_of(catalog)
    photo = sent(client, jpeg(1, shift=12), "IMG 7 <b>.JPG")
    assert photo["size"] == [320, 240]
    assert "known" not in photo
    address = asked(
        client, photo, boxes=[[25, 15, 280, 210]], body_part="left_flank", station="st9", timestamp="2025-04-01T10:00"
    )
    page = client.get(address)
    assert page.status_code == 200
    assert re.search(r"1\.\s+aika", page.text)
    assert "<b>.JPG" not in page.text
    (picture,) = re.findall(rf'data-base="({address}/\w+/)"[^>]* alt="[^"]*aika on the right"', page.text)
    for kind in ("matches", "plain"):
        assert client.get(f"{picture}{kind}").headers["content-type"] == "image/jpeg"
    number = re.search(r'value="(\w+)" required[^>]*> <span>aika<', page.text)[1]
    refused = client.post(f"{address}/add", data={"who": number, "name": "", "observer": "bek"})
    assert "asel decides now: load the page again" in refused.text
    assert 'name="observer" value="asel"' in page.text
    chosen = {"who": number, "name": "", "observer": "asel"}
    added = client.post(f"{address}/add", data=chosen, follow_redirects=False)
    assert added.status_code == 303, added.text
    after = (catalog / "catalog.csv").read_bytes()
    assert after.startswith(before)
    rows = list(csv.DictReader(io.StringIO(after.decode())))
    assert rows[-1]["station"] == "st9"
    assert rows[-1]["individual"] == ""  # the name is a decision
    assert rows[-1]["bbox"] == "25,15,280,210"
    assert (catalog / rows[-1]["path"]).read_bytes() == jpeg(1, shift=12)
    (kept,) = catalog.glob("catalog.before-*.csv")
    assert kept.read_bytes() == before
    identities = open_identities(catalog)
    assert identities.named[-1].individual == "aika"
    (decision,) = identities.rows
    assert (decision.kind, decision.answer, decision.observer) == ("name", "aika", "asel")
    assert decision.shown["rank"] == 1
    assert "aika" in client.get(added.headers["location"]).text
    # the same photo again: known, and named without another row
    photo = sent(client, jpeg(1, shift=12))
    assert photo["known"]["individual"] == "aika"
    address = asked(client, photo)
    client.post(f"{address}/add", data={"who": "new", "name": "cholpon"})
    assert (catalog / "catalog.csv").read_bytes() == after
    assert open_identities(catalog).named[-1].individual == "cholpon"


@pytest.mark.parametrize("asked_time", ["2025-04-01T10:00", "2026-04-01T10:00"])
def test_photos_of_a_passage_keep_their_own_times_unless_the_person_gives_another(tmp_path, asked_time):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    photos = []
    for minute in (0, 7):
        exif, held = Image.Exif(), io.BytesIO()
        exif.get_ifd(0x8769)[0x9003] = f"2025:04:01 10:{minute:02}:00"
        Image.open(io.BytesIO(jpeg(1, shift=12 + minute))).save(held, "JPEG", exif=exif)
        photos.append(sent(client, held.getvalue()))
    address = asked(client, *photos, station="st9", timestamp=asked_time)  # the page takes the time of the first photo
    client.post(f"{address}/add", data={"who": "unknown"})
    with (catalog / "catalog.csv").open(newline="") as file:
        times = [row["timestamp"] for row in csv.DictReader(file)][-2:]
    own = ["2025-04-01T10:00:00", "2025-04-01T10:07:00"]
    assert times == (own if asked_time.startswith("2025") else ["2026-04-01T10:00:00"] * 2)


def taken_at(seed, moment, serial="", shift=0):
    """A photo with a time, and perhaps the serial number of its camera."""
    exif, held = Image.Exif(), io.BytesIO()
    exif.get_ifd(0x8769)[0x9003] = f"2025:04:01 {moment}"
    if serial:
        exif.get_ifd(0x8769)[0xA431] = serial
    Image.open(io.BytesIO(jpeg(seed, shift))).save(held, "JPEG", exif=exif)
    return held.getvalue()


@pytest.mark.parametrize(
    ("moments", "station", "serial", "expected"),
    [
        (("10:00:00", "10:00:10"), "", "", [2]),
        (("10:00:00", "10:00:10"), "st9", "", [2]),
        (("10:00:00", "10:00:10"), "", "HC1", [2]),
        (("10:00:00", "10:00:10", "15:00:00"), "", "", [2, 1]),  # further apart than an encounter may be
    ],
)
def test_photos_sent_together_are_one_sighting(tmp_path, moments, station, serial, expected):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    photos = [sent(client, taken_at(7 + n, moment, serial)) for n, moment in enumerate(moments)]
    client.post(f"{asked(client, *photos, station=station)}/add", data={"who": "new", "name": "umai"})
    new = open_identities(catalog).named[5:]
    assert [a.individual for a in new] == ["umai"] * len(moments)
    encounters = [a.encounter for a in new]
    assert [encounters.count(each) for each in dict.fromkeys(encounters)] == expected
    assert any(each.startswith("added ") for each in encounters) == (not station and not serial)


def test_a_photo_sent_with_one_on_record_is_of_its_encounter(tmp_path):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    first = [sent(client, taken_at(7, moment, shift=n)) for n, moment in enumerate(("10:00:00", "10:00:10"))]
    client.post(f"{asked(client, *first)}/add", data={"who": "unknown"})
    third = sent(client, taken_at(7, "10:00:20", shift=2))
    client.post(f"{asked(client, first[0], third)}/add", data={"who": "unknown"})
    later = sent(client, taken_at(7, "20:00:00", shift=3))  # of another passage
    client.post(f"{asked(client, first[0], later)}/add", data={"who": "unknown"})
    there = sent(client, (catalog / "images" / "4.jpg").read_bytes())  # at st0, in an encounter of the table
    for n, station in ((4, "st9"), (5, "")):
        photo = sent(client, taken_at(7, "10:00:40", shift=n))
        question = asked(client, there, photo, station=station, timestamp="2025-03-05T10:00")
        client.post(f"{question}/add", data={"who": "unknown"})
    first, second, third, later, elsewhere, same = [a.encounter for a in open_identities(catalog).annotations[5:]]
    assert first == second == third
    assert same == "e4"
    assert len({first, later, elsewhere, same}) == 4


def test_an_answer_has_the_names_and_body_parts_that_were_decided_since_the_app_started(tmp_path):
    catalog = make_catalog(tmp_path)
    client, state = client_of(catalog), State(catalog, observer="asel")
    address = asked(client, sent(client, jpeg(3, shift=12)), body_part="left_flank")
    before = client.get(address).text
    assert "the unnamed animal of e4" in before
    assert "5 of 5 animals in photos" in before
    state.append(lambda now: [name_sightings(now, [4], "umai", "asel")])
    now = client.get(address).text
    assert re.search(r"\d\.\s+umai", now)
    assert "unnamed animal" not in now
    key = state.identities().named[0].annotation
    change = {"kind": "body_part", "photos": [key], "value": "right_flank", "stay": True}
    shown = client.post("/changes", json=change).json()
    assert client.post("/changes", json={**change, "store": True, "head": shown["head"]}).json()["stored"]
    assert "4 of 5 animals in photos" in client.get(address).text


def test_pictures_of_an_answer_do_not_ask_again_after_a_decision(tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path)
    client, other = client_of(catalog), State(catalog, observer="bek")
    queries, query = [], Catalog.query
    monkeypatch.setattr(Catalog, "query", lambda *given, **more: queries.append(1) or query(*given, **more))
    address = asked(client, sent(client, jpeg(1, shift=12)), body_part="left_flank")
    (picture, *_) = re.findall(rf'data-base="({address}/\w+/)"', client.get(address).text)
    assert len(queries) == 1
    other.append(lambda now: [name_sightings(now, [4], "umai", "bek")])
    client.app.state.snowmatch.session()  # another page asked
    for kind in ("matches", "plain"):
        assert client.get(f"{picture}{kind}").status_code == 200
    assert len(queries) == 1
    client.get(address)  # the page itself does
    assert len(queries) == 2
    os.utime(catalog / "catalog.csv", (1e9, 1e9))  # no decision: a file has changed
    client.get(f"{picture}plain")
    assert len(queries) == 3


def test_a_photo_is_added_to_an_animal_that_was_joined_and_has_no_name(tmp_path):
    catalog = make_catalog(tmp_path)
    client, state = client_of(catalog), State(catalog, observer="asel")
    state.append(lambda now: [name_sightings(now, [0, 1], "", "asel"), answer_pair(now, 0, 1, "same", "asel")])
    address = asked(client, sent(client, jpeg(1, shift=12)), body_part="left_flank")
    number = re.search(r'value="(\w+)" required[^>]*> <span>without a name \(', client.get(address).text)[1]
    added = client.post(f"{address}/add", data={"who": number, "name": ""}, follow_redirects=False)
    assert added.status_code == 303, added.text
    who = open_identities(catalog).who
    assert {who.of[n] for n in (0, 1, 5)} == {who.of[0]}
    assert who.individuals[who.of[0]].name is None


def test_who_was_chosen_is_who_was_shown_although_others_decide_meanwhile(tmp_path):
    catalog = make_catalog(tmp_path)
    client, other = client_of(catalog), State(catalog, observer="bek")
    before = (catalog / "catalog.csv").read_bytes()
    address = asked(client, sent(client, jpeg(1, shift=12)), body_part="left_flank")
    text = client.get(address).text
    signs = {who: re.search(rf'value="(\w+)" required[^>]*> <span>{who}<', text)[1] for who in ("aika", "bars")}
    other.append(lambda now: [name_sightings(now, [0, 1], "bars", "bek"), name_sightings(now, [2, 3], "aika", "bek")])
    for sign in ("0", *signs.values()):
        answer = client.post(f"{address}/add", data={"who": sign}, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "answer-changed")
        assert client.get(f"{address}/{sign}/plain").status_code == 404  # no picture of another animal
    assert (catalog / "catalog.csv").read_bytes() == before
    sign = re.search(r'value="(\w+)" required[^>]*> <span>bars<', client.get(address).text)[1]
    other.append(lambda now: [name_sightings(now, [4], "umai", "bek")])  # of another animal
    assert client.post(f"{address}/add", data={"who": sign}, follow_redirects=False).status_code == 303
    assert open_identities(catalog).named[-1].individual == "bars"


def test_nobody_is_chosen_whose_photo_is_not_what_was_indexed(tmp_path):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    before = (catalog / "catalog.csv").read_bytes()
    address = asked(client, sent(client, jpeg(1, shift=12)), body_part="left_flank")
    sign = re.search(r'value="(\w+)" required[^>]*> <span>aika<', client.get(address).text)[1]
    for n in (0, 1):
        (catalog / "images" / f"{n}.jpg").write_bytes(jpeg(2, shift=n))
    answer = client.post(f"{address}/add", data={"who": sign}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "photo-changed")
    assert (catalog / "catalog.csv").read_bytes() == before


def test_an_animal_whose_folder_has_an_undecodable_name_is_told_from_others():
    candidates = [
        SimpleNamespace(individual=name, best=SimpleNamespace(annotation="a")) for name in ("x", "x\udcff", None)
    ]
    assert len({adding.sign_of(each) for each in candidates}) == 3


def test_a_new_animal_never_takes_a_name_that_is_there(tmp_path):
    catalog = make_catalog(tmp_path, "\u0419\u043e\u043b")
    client = client_of(catalog)
    address = asked(client, sent(client, jpeg(5)))
    client.get(address)
    before = (catalog / "catalog.csv").read_bytes()
    for name in ("\u0418\u0306\u043e\u043b", "_unidentified"):  # the same name as macOS stores it
        assert (
            client.post(f"{address}/add", data={"who": "new", "name": name}, follow_redirects=False).status_code == 400
        )
    assert (catalog / "catalog.csv").read_bytes() == before


def test_another_name_makes_no_search_block_again(tmp_path):
    state = State(make_catalog(tmp_path), observer="asel")
    gallery = state.session().gallery
    blocks = gallery.blocks("faiss", "left_flank")
    state.append(lambda now: [name_sightings(now, [4], "umai", "asel")])
    now = state.session().gallery
    assert {a.individual for a in now.annotations} - {a.individual for a in gallery.annotations} == {"umai"}
    assert [id(block) for block in now.blocks("faiss", "left_flank")] == [id(block) for block in blocks]


def test_a_new_animal_never_takes_a_name_that_another_person_gives_meanwhile(tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path)
    client, other, index = client_of(catalog), State(catalog, observer="bek"), adding.index

    def meanwhile(state):
        index(state)
        other.append(lambda now: [name_sightings(now, [4], "umai", "bek")])

    monkeypatch.setattr(adding, "index", meanwhile)
    address = asked(client, sent(client, jpeg(5)))
    answer = client.post(f"{address}/add", data={"who": "new", "name": "umai"}, follow_redirects=False)
    assert answer.status_code == 400
    assert "umai" in answer.text
    assert [a.individual for a in open_identities(catalog).named].count("umai") == 1


def test_a_photo_is_named_by_who_adds_it_although_another_program_indexes_at_that_moment(tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    address = asked(client, sent(client, jpeg(5)))
    begun = threading.Event()

    def other_run():
        with file_lock(catalog / ".snowmatch" / WRITER):
            begun.set()
            time.sleep(0.5)

    other = threading.Thread(target=other_run)
    other.start()
    begun.wait()
    answer = client.post(f"{address}/add", data={"who": "new", "name": "umai"}, follow_redirects=False)
    other.join()
    assert answer.status_code == 303
    assert open_identities(catalog).who.named("umai") is not None
    monkeypatch.setattr(adding, "WAIT", 0.0)
    with file_lock(catalog / ".snowmatch" / WRITER), pytest.raises(SnowmatchError, match="is being indexed"):
        adding.index(State(catalog))


def test_photos_that_are_added_during_a_long_index_run_are_said_to_be_in_the_catalog(tmp_path, monkeypatch):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    address, rows = asked(client, sent(client, jpeg(5))), len(open_identities(catalog).annotations)
    monkeypatch.setattr(adding, "WAIT", 0.0)
    with file_lock(catalog / ".snowmatch" / WRITER):
        answer = client.post(f"{address}/add", data={"who": "new", "name": "umai"}, follow_redirects=False)
        assert answer.status_code == 400
        assert "the photos are in the catalog now, not read and without a name" in answer.text
        assert 'class="button mend" href="/jobs"' in answer.text
    assert len(open_identities(catalog).annotations) == rows + 1

    def broken(state):
        raise SnowmatchError("no disk space is left")

    monkeypatch.setattr(adding, "index", broken)
    address = asked(client, sent(client, jpeg(6)))
    answer = client.post(f"{address}/add", data={"who": "new", "name": "bugu"}, follow_redirects=False)
    assert "without a name: no disk space is left" in answer.text
    assert 'class="button mend" href="/jobs"' in answer.text

    def gone(state):
        raise SnowmatchError("the folder x does not exist", "no-catalog", folder="x")

    monkeypatch.setattr(adding, "index", gone)
    address = asked(client, sent(client, jpeg(7)))
    form = {"who": "new", "name": "bugu"}
    answer = client.post(f"{address}/add?lang=ru", data=form, headers={"accept": "application/json"})
    assert answer.json()["error"] == "Снимки теперь в каталоге, но не прочитаны и без имени: Папки каталога нет: x."


def test_a_photo_that_another_program_has_just_put_on_record_gets_no_second_row(tmp_path):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    state = client.app.state.snowmatch
    address = asked(client, sent(client, jpeg(5)))
    state.identities()
    state._took = 100.0  # as of a large catalog, which is not loaded again and again
    (catalog / "images" / "other.jpg").write_bytes(jpeg(5))
    digest = hashlib.sha256(jpeg(5)).hexdigest()
    add_photos(catalog, [NewPhoto(catalog / "images" / "other.jpg", "other.jpg", digest, inside="images/other.jpg")])
    index_added(open_catalog(catalog))
    answer = client.post(f"{address}/add", data={"who": "new", "name": "umai"}, follow_redirects=False)
    assert answer.status_code == 303
    found = open_identities(catalog)
    assert [a.path for a in found.annotations][5:] == ["images/other.jpg"]
    assert found.named[5].individual == "umai"


def test_a_name_that_another_program_gives_at_the_same_moment_is_not_given_twice(tmp_path):
    catalog = make_catalog(tmp_path)
    one, other = (State(catalog, observer=name) for name in ("asel", "bek"))

    def new(now, number, observer):
        adding._check_new(now, "umai")
        return [name_sightings(now, [number], "umai", observer)]

    def slow(now):
        drafts = new(now, 4, "asel")
        if now.who.named("umai") is None and not other.identities().rows:
            other.append(lambda now: new(now, 0, "bek"))
        return drafts

    with pytest.raises(SnowmatchError, match="is an individual already"):
        one.append(slow)
    assert [row.observer for row in open_identities(catalog).rows] == ["bek"]


def test_a_picture_of_an_answer_is_that_of_its_candidate(monkeypatch):
    monkeypatch.setattr(identify, "draw_candidate", lambda _, c, __: {"plain": Image.new("L", c.size)})
    sizes = []
    for n in range(1, 20):  # the place in memory of a candidate that is gone is given to the next one
        drawn = identify._pictures(None, SimpleNamespace(size=(n, 1)), Path())["plain"]
        sizes.append(Image.open(io.BytesIO(drawn)).width)
    assert sizes == list(range(1, 20))


def test_a_browser_never_shows_an_old_picture_of_a_candidate(client):
    address = asked(client, sent(client, jpeg(1, shift=14)), body_part="left_flank")
    address = re.search(rf'data-base="({address}/\w+/)"', client.get(address).text)[1] + "plain"
    first = client.get(address)
    assert "no-cache" in first.headers["cache-control"]
    again = client.get(address, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(address, headers={"if-none-match": '"x"'}).content == first.content


def test_a_burst_without_times_is_one_new_animal(tmp_path):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    photos = [sent(client, jpeg(7, shift=n), f"{n}.jpg") for n in range(3)]
    address = asked(client, *photos)
    assert client.post(f"{address}/add", data={"who": "new", "name": "aika"}).status_code == 400  # the name is taken
    assert client.post(f"{address}/add", data={"who": "new", "name": " "}).status_code == 400
    assert client.post(f"{address}/add", data={"who": "77"}).status_code == 400
    assert len(open_identities(catalog).annotations) == 5
    client.post(f"{address}/add", data={"who": "new", "name": "Жылдыз"})
    identities = open_identities(catalog)
    assert [a.individual for a in identities.named[5:]] == ["Жылдыз"] * 3
    assert len({a.encounter for a in identities.named[5:]}) == 1


def test_a_photo_of_two_animals_on_record_does_not_give_both_one_name(tmp_path):
    catalog = make_catalog(tmp_path)
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write('images/4.jpg,,left_flank,naryn,st0,2025-03-05T10:00:00,e4,"0,0,90,90"\n')
    client = client_of(catalog)
    photo = sent(client, (catalog / "images" / "4.jpg").read_bytes())
    assert photo["known"]["several"]
    address = asked(client, photo, boxes=[[20, 20, 280, 200]])
    answer = client.post(f"{address}/add", data={"who": "new", "name": "umai"}, follow_redirects=False)
    assert answer.status_code == 400
    assert "several animals" in answer.text
    assert not open_identities(catalog).rows


@pytest.mark.parametrize("who", ["new", "aika"])
def test_a_photo_that_the_screening_left_out_is_named(tmp_path, who):
    catalog = make_catalog(tmp_path)
    screened_out(catalog, "images/4.jpg")
    assert len(open_identities(catalog).who.sightings) == 4
    client = client_of(catalog)
    address = asked(client, sent(client, (catalog / "images" / "4.jpg").read_bytes()), body_part="left_flank")
    sign = re.search(r'value="(\w+)" required[^>]*> <span>aika<', client.get(address).text)[1]
    data = {"who": "new", "name": "umai"} if who == "new" else {"who": sign}
    added = client.post(f"{address}/add", data=data, follow_redirects=False)
    assert added.status_code == 303, added.text
    assert open_identities(catalog).named[4].individual == ("umai" if who == "new" else "aika")


@pytest.mark.parametrize("disputed", [False, True])
def test_who_identifies_a_photo_on_record_settles_that_another_observer_named_it(tmp_path, disputed):
    catalog = make_catalog(tmp_path)
    before = open_identities(catalog)
    if disputed:
        decide(before, [name_sightings(before, [4], "Bars", "Anna")])
    client = client_of(catalog)
    address = asked(client, sent(client, (catalog / "images" / "4.jpg").read_bytes()), body_part="left_flank")
    added = client.post(f"{address}/add", data={"who": "new", "name": "umai"}, follow_redirects=False)
    assert added.status_code == 303, added.text
    identities = open_identities(catalog)
    assert (identities.rows[-1].role, identities.named[4].individual) == (
        "adjudicator" if disputed else "observer",
        "umai",
    )
    assert not identities.who.disputed_names


def test_a_photo_is_added_to_an_animal_that_the_screening_left_out(tmp_path):
    catalog = make_catalog(tmp_path)
    screened_out(catalog, "images/4.jpg")
    client = client_of(catalog)
    address = asked(client, sent(client, jpeg(3, shift=12)), body_part="left_flank")
    sign = re.search(r'value="(\w+)" required[^>]*> <span>the unnamed animal of e4<', client.get(address).text)[1]
    added = client.post(f"{address}/add", data={"who": sign}, follow_redirects=False)
    assert added.status_code == 303, added.text
    who = open_identities(catalog).who
    assert who.of[4] == who.of[5]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["the app", "watch"])
def test_a_photo_is_added_with_all_settings_of_one_extractor(tmp_path, by):
    catalog = make_catalog(tmp_path)
    open_catalog(catalog).index("sift", workers=1)
    photo = catalog / "images" / "new.jpg"
    photo.write_bytes(jpeg(7))
    add_photos(catalog, [NewPhoto(photo, photo.name, hashlib.sha256(jpeg(7)).hexdigest(), inside="images/new.jpg")])
    if by == "the app":
        adding.index(State(catalog))
    else:
        index_added(open_catalog(catalog))
    for options in (SETTINGS, {}):
        session = open_catalog(catalog).session(extractor="sift", options=options)
        assert [each.state for each in session.states] == ["indexed"] * 6


@pytest.mark.parametrize("by", ["the app", "watch"])
def test_a_photo_is_added_although_an_extractor_of_the_catalog_cannot_be_used_here(tmp_path, monkeypatch, by):
    catalog = make_catalog(tmp_path)
    open_catalog(catalog).index("hesaff", workers=1)
    photo = catalog / "images" / "new.jpg"
    photo.write_bytes(jpeg(7))
    add_photos(catalog, [NewPhoto(photo, photo.name, hashlib.sha256(jpeg(7)).hexdigest(), inside="images/new.jpg")])

    def missing(self):
        raise SnowmatchError("hesaff needs a package that is not here")

    monkeypatch.setattr(Hesaff, "check", missing, raising=False)
    if by == "the app":
        adding.index(State(catalog))
    else:
        _, notes = index_added(open_catalog(catalog))
        assert [note.text for note in notes if "hesaff needs a package that is not here" in note.text]
    session = open_catalog(catalog).session(extractor="sift", options=SETTINGS)
    assert [each.state for each in session.states] == ["indexed"] * 6
    monkeypatch.setattr(Sift, "check", missing, raising=False)
    with pytest.raises(SnowmatchError, match="needs a package"):
        index_added(open_catalog(catalog))


@pytest.mark.parametrize("who", ["aika", "new"])
def test_a_new_photo_in_which_two_animals_are_found_does_not_give_both_one_name(tmp_path, who):
    """A segmenter finds both, say, when the photo is indexed."""
    catalog = make_catalog(tmp_path)
    open_catalog(catalog, classifier="none", boxes=True).index("sift", SETTINGS, workers=1)
    content = jpeg(1, shift=12)
    two = Found((20, 20, 140, 200), "isnet"), Found((170, 20, 140, 200), "isnet")
    save_found(catalog, BY_SCREENING, {hashlib.sha256(content).hexdigest(): two})
    client = client_of(catalog)
    address = asked(client, sent(client, content), body_part="left_flank")
    sign = re.search(r'value="(\w+)" required[^>]*> <span>aika<', client.get(address).text)[1]
    data = {"who": "new", "name": "umai"} if who == "new" else {"who": sign}
    answer = client.post(f"{address}/add", data=data, follow_redirects=False)
    assert answer.status_code == 400
    assert "shows several animals" in answer.text
    identities = open_identities(catalog)
    assert [a.individual for a in identities.named[5:]] == [None, None]
    assert not identities.rows


def test_an_answer_tells_how_many_of_its_photos_the_catalog_has(client, folder):
    old, new = sent(client, (folder / "images" / "0.jpg").read_bytes(), "old.jpg"), sent(client, jpeg(1, shift=9))
    for photos, told in (((old,), "has already: 1 of 1"), ((old, new), "has already: 1 of 2"), ((new,), None)):
        text = client.get(asked(client, *photos)).text
        assert told in text if told else "has already" not in text


def test_the_notes_of_an_answer_name_photos_as_the_person_does(client, folder):
    old, new = sent(client, (folder / "images" / "0.jpg").read_bytes(), "old.jpg"), sent(client, jpeg(1, shift=9))
    address = asked(client, old, new)
    for language in texts.LANGUAGES:
        text = client.get(address, params={"lang": language}).text
        assert str(folder) not in text
        assert "old.jpg" in text.partition("<details")[2]
        assert "new.jpg" in text.partition("<details")[2]


def test_nobody_adds_without_a_name_of_the_observer(folder):
    client = client_of(folder, observer="")
    address = asked(client, sent(client, jpeg(1, shift=20)))
    answer = client.post(f"{address}/add", data={"who": "unknown"})
    assert answer.status_code == 400
    assert 'href="/#observer"' in answer.text


def test_an_answer_has_an_address_that_outlives_the_server(folder):
    first = client_of(folder)
    address = asked(first, sent(first, jpeg(1, shift=12)), boxes=[[25, 15, 280, 210]], station="st9")
    assert re.search(r"1\.\s+aika", first.get(address).text)
    assert client_of(folder).get(address).text == first.get(address).text


def test_a_catalog_that_is_not_indexed_leads_to_the_page_of_the_work(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "catalog.csv").write_text("path\na.jpg\n")
    client = client_of(tmp_path)
    photo = sent(client, jpeg(2))
    answer = client.post(
        "/identify/ask", json={"photos": [photo["id"]], "boxes": [None]}, headers={"accept": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["link"] == "/jobs"


# --- adding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("path,bbox\na.jpg,\n", 'path,bbox\na.jpg,\nn.jpg,"1,2,3,4"\n'),
        ("path,bbox\r\na.jpg,", 'path,bbox\r\na.jpg,\r\nn.jpg,"1,2,3,4"\r\n'),
        ("sep=;\nBBOX;Path\n;a.jpg\n", "sep=;\nBBOX;Path\n;a.jpg\n1,2,3,4;n.jpg\n"),
        ("path\n007.jpg\n\n", 'path,bbox\n007.jpg,\n\nn.jpg,"1,2,3,4"\n'),
        ("\ufeffpath\tbbox\tmore\na\t\tx", "\ufeffpath\tbbox\tmore\na\t\tx\nn.jpg\t1,2,3,4\t\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_rows_are_added_as_the_table_is_written(before, after, encoding):
    if encoding == "utf-16":
        before, after = before.lstrip("\ufeff"), after.lstrip("\ufeff")
    added = with_rows(before.encode(encoding), [{"path": "n.jpg", "bbox": "1,2,3,4"}])
    assert added == after.encode(encoding)


def test_a_catalog_of_folders_is_not_added_to(tmp_path):
    (tmp_path / "aika" / "left_flank").mkdir(parents=True)
    (tmp_path / "aika" / "left_flank" / "a.jpg").write_bytes(jpeg())
    with pytest.raises(SnowmatchError, match="catalog of folders"):
        add_photos(tmp_path, [NewPhoto(tmp_path / "aika" / "left_flank" / "a.jpg", "a.jpg", "0" * 64)])
    assert not (tmp_path / "added").exists()
