"""The pages of the app: what they show, and what they write."""

import csv
import html
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from snowmatch.api import open_catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.locks import file_lock
from snowmatch.core.plain import with_json_sum
from snowmatch.core.version import __version__
from snowmatch.review import adding as adding_photos
from snowmatch.review.adding import NewPhoto, add_photos, with_rows
from snowmatch.review.identities import answer_pair, name_sightings, open_identities
from snowmatch.review.uploads import forget_old_uploads
from snowmatch.web import adding, texts
from snowmatch.web import job as job_process
from snowmatch.web.app import make_app
from snowmatch.web.jobs import list_jobs, read_job
from snowmatch.web.network import listen
from snowmatch.web.page import called, with_calls
from snowmatch.web.routes import identify
from snowmatch.web.security import TokenDoor
from snowmatch.web.state import State

PORT, TOKEN = 8123, "A-token-of-one-start"
PACKAGE = Path(texts.__file__).parent
SETTINGS = {"chip_size": "300"}


def coat(seed, size=(240, 320), shift=0):
    """A picture with blots of one animal: the same seed is the same animal, shifted."""
    rng = np.random.default_rng(seed)
    pixels = np.full((*size, 3), 150, np.uint8)
    for x, y, r in zip(rng.integers(40, 280, 60), rng.integers(40, 200, 60), rng.integers(3, 9, 60), strict=True):
        down, across = np.ogrid[: size[0], : size[1]]
        pixels[(across - x - shift) ** 2 + ((down - y) * 1.3) ** 2 < r * r] = rng.integers(20, 90)
    return pixels


def jpeg(seed=0, shift=0):
    held = io.BytesIO()
    Image.fromarray(coat(seed, shift=shift)).save(held, "JPEG", quality=92)
    return held.getvalue()


def make_catalog(folder, name="aika"):
    catalog = folder / "catalog"
    (catalog / "images").mkdir(parents=True)
    lines = [["path", "individual", "body_part", "location", "station", "timestamp", "encounter", "bbox"]]
    for n, (seed, who) in enumerate([(1, name), (1, name), (2, "bars"), (2, "bars"), (3, "")]):
        (catalog / "images" / f"{n}.jpg").write_bytes(jpeg(seed, shift=n))
        place = ["naryn", f"st{n % 2}", f"2025-03-0{n + 1}T10:00:00", f"e{n}", "20,20,280,200"]
        lines.append([f"images/{n}.jpg", who, "left_flank", *place])
    with (catalog / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    open_catalog(catalog, classifier="none", boxes=False).index("sift", SETTINGS, workers=1)
    return catalog


def client_of(folder, observer="asel", **state):
    client = TestClient(
        make_app(State(folder, observer=observer, **state), PORT, TOKEN), base_url=f"http://127.0.0.1:{PORT}"
    )
    client.get("/", params={"token": TOKEN})
    client.headers.update({"sec-fetch-site": "same-origin"})
    return client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_catalog(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def client(folder):
    return client_of(folder)


def sent(client, content, name="new.jpg"):
    return client.post("/identify/photo", params={"name": name}, content=content).json()


def asked(client, *photos, boxes=None, **values):
    body = {"photos": [p["id"] for p in photos], "boxes": boxes or [None] * len(photos), **values}
    return client.post("/identify/ask", json=body).json()["address"]


# --- words -----------------------------------------------------------------------------------------------------------


def test_all_languages_have_the_same_words():
    def page_words(language):
        return {key: word for key, word in texts.words_of(language).items() if not key.startswith("told.")}

    english = page_words("en")
    for language in texts.LANGUAGES:
        words = page_words(language)
        assert words.keys() == english.keys()
        forms = {texts.plural_form(language, n) for n in range(200)}
        for key, word in words.items():
            assert isinstance(word, str) == isinstance(english[key], str), key
            if not isinstance(word, str):
                assert set(word) == forms, (language, key)
            holes = [set(re.findall(r"{(\w+)}", str(each))) for each in (word, english[key])]
            assert holes[0] == holes[1], (language, key)


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_all_plural_forms_tell_the_same_values(language):
    """In Russian, the form for 1 is also that for 21: it cannot leave the number out if the others tell it."""
    for key, word in texts.words_of(language).items():
        if not isinstance(word, str):
            holes = [set(re.findall(r"{(\w+)}", form)) for form in word.values()]
            assert all(each == holes[0] for each in holes), key


def test_every_word_that_pages_use_exists_and_none_is_spare():
    sources = [p.read_text(encoding="utf-8") for p in (*PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.py"))]
    used = {
        key for text in sources for key in re.findall(r"""\bt(?:ranslator_of\(request\))?\(f?['"]([\w.]+?)['"]""", text)
    }
    used |= {key for text in sources for key in re.findall(r'"(nav\.\w+)"', text)}
    starts = {key for text in sources for key in re.findall(r"""\bt\('([\w.]+[._])' ~""", text)} | {"answer.no."}
    known = {key for key in texts.words_of("en") if not key.startswith("told.")}  # messages have theirs by their codes
    assert used - starts - {"answer.no."} <= known
    spare = {key for key in known - used if not key.startswith(tuple(starts))}
    scripts = [p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.js")]
    # Scripts and routes name the words of a page by their last part, such as words.left or "left_flank"
    named = {word for text in (*sources, *scripts) for word in re.findall(r"""["'.](\w+)\b""", text)}
    spare = {key for key in spare if key.rpartition(".")[2] not in named}
    # The survey's tables name the words of their columns and kinds
    tables = [p.read_text(encoding="utf-8") for p in (PACKAGE.parent / "survey").glob("*.py")]
    columns = {word for text in tables for word in re.findall(r"""["'](\w+)["']""", text)}
    begins = tuple(f"{kind}." for kind in ("col", "gap", "model"))
    spare = {key for key in spare if not (key.startswith(begins) and key.partition(".")[2] in columns)}
    assert not spare


@pytest.mark.parametrize(
    ("name", "english", "russian"),
    [
        ("aika", "aika", "aika"),
        (None, "no name", "без имени"),
        ("unnamed a2b815b2044da69b6", "without a name (a2b815b2)", "без имени (a2b815b2)"),
        ("unnamed 7", "unnamed 7", "unnamed 7"),  # the table called it so
    ],
)
def test_an_individual_without_a_name_is_called_in_short(name, english, russian):
    assert [called(texts.translator(language), name) for language in ("en", "ru")] == [english, russian]
    if name is not None:
        text = with_calls(texts.translator("en"), f"{name} and {name}: 3 encounters")
        assert text == f"{english} and {english}: 3 encounters"


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "language"),
    [
        ("ru", "en", "en", "ru"),
        (None, "ru", "en", "ru"),
        (None, None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, None, "kk,en;q=0.5,ru;q=0.7", "ru"),
        ("xx", "yy", "zz;q=x,,;q=", "en"),
        (None, None, "", "en"),
    ],
)
def test_the_language_is_chosen(asked, remembered, accepted, language):
    assert texts.choose_language(asked, remembered, accepted) == language


def test_the_language_is_remembered(client):
    assert 'lang="ru"' in client.get("/?lang=ru").text
    assert 'lang="ru"' in client.get("/photos").text


def test_the_answer_to_a_form_leads_to_a_page_in_the_other_language(client):
    """The address of a form shows nothing to who only follows a link."""
    for address, above in (("/jobs/start", "/jobs"), ("/observer", "/"), ("/identify/x/add", "/identify")):
        text = client.post(address, data={"kind": "none", "observer": "machine"}, headers={"accept": "text/html"}).text
        (link,) = re.findall(r'<a href="([^"]*)" lang="ru"', text)
        assert link == f"{above}?lang=ru"
        assert client.get(above, params={"lang": "en"}).status_code == 200
    assert '<a href="?lang=ru" lang="ru"' in client.get("/photos").text


def test_numbers_on_russian_pages_have_a_comma(tmp_path):
    catalog = make_catalog(tmp_path)
    lines = ["station,location,x,y", "st0,naryn,76.1,41.2", "st1,naryn,76.25,41.31", "st2,naryn,76.4,41.1"]
    (catalog / "stations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    client, state = client_of(catalog), State(catalog, observer="asel")
    for who, said, mode in (("bek", "same", "open"), ("anna", "different", "blind")):
        state.append(lambda now, w=who, s=said, m=mode: [answer_pair(now, 0, 4, s, w, mode=m)])
    commas = 0
    for address in ("/agreement", "/dashboard/figures", "/report?coordinates=rounded:2.5"):
        text = client.get(address, params={"lang": "ru"}).text.replace(f" {__version__} ", "")
        text = re.sub(r'<(\w+)[^>]* lang="en".*?</\1>', "", text, flags=re.DOTALL)  # what is in English only
        text = html.unescape(re.sub("<[^>]*>", "|", text))
        assert re.findall(r".*\d\.\d.*", text) == [], address
        commas += len(re.findall(r"\d,\d", text))
    assert commas > 20


def test_no_page_has_scripts_or_styles_of_its_own_or_from_elsewhere():
    for path in PACKAGE.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", text), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", text), path
    for path in (PACKAGE / "static").iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|eval\(", path.read_text(encoding="utf-8")), (
            path
        )


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_first_page_needs_no_catalog(tmp_path):
    state = State(tmp_path)
    answer = client_of(tmp_path).get("/")
    assert answer.status_code == 200
    assert not state.ready


def test_a_missing_catalog_is_told_on_the_page(tmp_path):
    answer = client_of(tmp_path / "nowhere").get("/home/facts")
    assert answer.status_code == 400
    assert "does not exist" in answer.text


def test_the_first_page_counts(client):
    text = re.sub(r"\s+", " ", client.get("/home/facts").text)
    assert "<b>5</b> photos" in text
    assert "<b>2</b> individuals with a name" in text
    assert "<b>5</b> sightings" in text
    assert ">1 of them without a name<" in text


def test_photos_of_one_passage_are_one_sighting_on_the_first_page(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "catalog.csv"
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    for n, row in enumerate(rows[1:]):
        row[1], row[3:7] = "", ["naryn", "st1", f"2025-03-01T10:00:0{n}", "e1"]
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    text = re.sub(r"\s+", " ", client_of(folder).get("/home/facts").text)
    assert "<b>5</b> photos" in text
    assert "5 pictures of animals in them" in text
    assert "<b>1</b> sighting" in text
    assert ">1 of them without a name<" in text
    assert "animal without a name" not in text


def test_the_observer_is_remembered(folder):
    client = client_of(folder, observer="")
    assert client.post("/observer", data={"observer": " Bolot  B. "}, follow_redirects=False).status_code == 303
    assert "Bolot B." in client.get("/").text
    assert client.post("/observer", data={"observer": "machine"}).status_code == 400


def test_photos_are_listed_and_filtered(client):
    keys = re.findall(r'href="/photos/(\w+)"', client.get("/photos").text)
    assert len(keys) == 5
    assert len(re.findall(r'href="/photos/(\w+)"', client.get("/photos?individual=aika").text)) == 2
    assert len(re.findall(r'href="/photos/(\w+)"', client.get("/photos?individual=+").text)) == 1
    assert len(re.findall(r'href="/photos/(\w+)"', client.get("/photos?station=st0&body_part=left_flank").text)) == 3
    assert not re.findall(r'href="/photos/(\w+)"', client.get("/photos?state=failed").text)
    page = client.get(f"/photos/{keys[0]}").text
    assert "images/0.jpg" in page
    assert "20, 20, 280, 200" in page


def test_photos_without_a_name_are_those_that_the_first_page_counts(tmp_path):
    folder = make_catalog(tmp_path, name="")
    state = State(folder)  # two sightings without a name are one animal: it has no name all the same
    state.append(lambda now: [answer_pair(now, 0, 1, "same", "asel")])
    client = client_of(folder)
    address = re.search(r'href="(/photos[^"]+)">3 of them without a name', client.get("/home/facts").text)[1]
    assert len(re.findall(r'href="/photos/([\w-]+)"', client.get(html.unescape(address)).text)) == 3


def test_an_individual_without_times_tells_none(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "catalog.csv"
    table.write_text(re.sub(r"2025-03-0.T10:00:00", "", table.read_text(encoding="utf-8")), encoding="utf-8")
    assert "2 sightings, 2 photos; naryn st0, naryn st1</p>" in client_of(folder).get("/individuals/aika").text


def test_odd_names_are_found_among_the_photos(tmp_path):
    """A dash is a name like another one, and a long name is not cut."""
    for name in ("-", "x" * 260):
        client = client_of(make_catalog(tmp_path / name[:3], name=name))
        assert len(re.findall(r'href="/photos/([\w-]+)"', client.get("/photos", params={"individual": name}).text)) == 2


def test_a_search_among_photos_does_not_hit_the_middle_of_identifiers(client):
    key = re.search(r'href="/photos/(\w+)"', client.get("/photos").text)[1]
    assert f'href="/photos/{key}"' in client.get("/photos", params={"q": key[:8]}).text
    assert 'href="/photos/' not in client.get("/photos", params={"q": key[4:9]}).text


def test_pages_of_a_catalog_that_was_never_indexed_say_so(tmp_path):
    """No individual and no sighting is known, but not because of filters or of missing times."""
    folder = make_catalog(tmp_path)
    shutil.rmtree(folder / ".snowmatch")
    client = client_of(folder)
    for address, other in (("/individuals", "No individual fits"), ("/survey", "No sighting has a time")):
        text = client.get(address).text
        assert 'No photo is read yet (indexed), so no sighting is known. <a href="/jobs">' in text
        assert other not in text
    assert "No individual fits" in client_of(make_catalog(tmp_path / "other")).get("/individuals?text=nobody").text


def test_photos_that_were_never_indexed_are_shown_with_their_state(tmp_path):
    catalog = make_catalog(tmp_path)
    (catalog / "images" / "9.jpg").write_bytes(jpeg(9))
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.write("images/9.jpg,,,,,,,\nimages/gone.jpg,,,,,,,\n")
    client = client_of(catalog)
    text = client.get("/photos?state=missing").text
    keys = re.findall(r'href="/photos/(\w+)"', text)
    assert len(keys) == 2
    assert client.get(f"/picture/photo/160/{keys[0]}").status_code == 200
    assert client.get(f"/picture/photo/160/{keys[1]}").status_code == 404


def test_previews_are_small_upright_and_without_exif(tmp_path):
    catalog = make_catalog(tmp_path)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    Image.fromarray(coat(1)).save(catalog / "images" / "0.jpg", exif=exif)
    client = client_of(catalog)
    key = re.findall(r'href="/photos/(\w+)"', client.get("/photos").text)[0]
    answer = client.get(f"/picture/photo/160/{key}")
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (120, 160)
    assert b"secret" not in answer.content
    assert not picture.getexif()
    kept = list((catalog / ".snowmatch" / "previews").rglob("*.jpg"))
    assert [path.read_bytes()[:-4] for path in kept] == [answer.content]  # a checksum follows
    Image.fromarray(coat(2)).save(catalog / "images" / "0.jpg")  # another picture under the same name
    assert client.get(f"/picture/photo/160/{key}").content != answer.content
    for kind in ("animal", "outline"):
        assert client.get(f"/picture/{kind}/320/{key}").status_code == 200


# --- identify --------------------------------------------------------------------------------------------------------


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
    added = client.post(f"{address}/add", data={"who": number, "name": ""}, follow_redirects=False)
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


# --- adding ----------------------------------------------------------------------------------------------------------


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


# --- work ------------------------------------------------------------------------------------------------------------


def test_work_runs_in_its_own_process(tmp_path):
    catalog = make_catalog(tmp_path)
    client = client_of(catalog)
    assert client.post("/jobs/start", data={"kind": "rm -rf"}).status_code == 400
    assert client.post("/jobs/start", data={"kind": "index", "extractor": "--help"}).status_code == 400
    assert client.post("/jobs/start", data={"kind": "batch"}, follow_redirects=False).status_code == 303
    (job,) = list_jobs(catalog)
    assert job.state == "running"
    assert client.post("/jobs/start", data={"kind": "index"}).status_code == 400  # one at a time
    until = time.monotonic() + 60
    while (job := read_job(catalog, job.id)).state == "running" and time.monotonic() < until:
        time.sleep(0.2)
    assert job.state == "done", job.messages
    assert (job.done, job.total, job.title) == (1, 1, "matching")
    table = client.get(f"/jobs/{job.id}/table.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert "images/4.jpg" in table.text
    assert "done" in client.get("/jobs").text
    assert "What waits next" in client.get("/jobs").text
    assert client.get(f"/jobs/{job.id}/progress").json()["state"] == "done"


@pytest.mark.slow
def test_work_is_stopped_and_keeps_what_is_done(tmp_path):
    catalog = make_catalog(tmp_path)
    for n in range(300):
        (catalog / "images" / f"m{n}.jpg").write_bytes(jpeg(n))
    with (catalog / "catalog.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"images/m{n}.jpg,,,,,,,\n" for n in range(300))
    client = client_of(catalog)
    client.post("/jobs/start", data={"kind": "index", "extractor": "sift"})
    (job,) = list_jobs(catalog)
    time.sleep(3)
    client.post(f"/jobs/{job.id}/stop")
    until = time.monotonic() + 60
    while (job := read_job(catalog, job.id)).state == "running" and time.monotonic() < until:
        time.sleep(0.2)
    assert job.state in ("stopped", "done")


def test_work_starts_although_somebody_looks_whether_it_lives(tmp_path, monkeypatch):
    (tmp_path / "job.json").write_text(json.dumps(with_json_sum({"arguments": ["index"]})))
    work = SimpleNamespace(wait=lambda seconds: None, returncode=0)
    monkeypatch.setattr(job_process.subprocess, "Popen", lambda *_, **__: work)
    looks = threading.Event()

    def look():
        with file_lock(tmp_path / "alive.lock").acquire(timeout=0):
            looks.set()
            time.sleep(0.2)

    looking = threading.Thread(target=look)
    looking.start()
    looks.wait()
    assert job_process.run_job(tmp_path) == 0
    looking.join()
    assert (tmp_path / "ended.json").exists()


def test_who_adds_photos_for_long_is_waited_for_and_told(folder, monkeypatch):
    monkeypatch.setattr(adding_photos, "WAIT", 0.1)
    with file_lock(folder / ".snowmatch" / "table.lock"), pytest.raises(SnowmatchError, match="another program has"):
        add_photos(folder, [NewPhoto(folder / "images" / "0.jpg", "a.jpg", "0" * 64)])


def test_a_job_whose_process_died_is_lost(folder):
    place = folder / ".snowmatch" / "jobs" / "20200101-000000-index"
    place.mkdir(parents=True)
    (place / "job.json").write_text(json.dumps({"kind": "index", "arguments": [], "started": 0}))
    assert read_job(folder, place.name).state == "lost"


# --- the server ------------------------------------------------------------------------------------------------------


def test_the_server_listens_on_this_computer_alone():
    with listen(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(SnowmatchError, match=f"port {port} cannot be used"):
            listen(port)
    assert f"127.0.0.1:{port}" in TokenDoor(port, "x").hosts


def test_decisions_of_others_are_seen(folder):
    one, other = State(folder, observer="a"), State(folder, observer="b")
    before = len(other.identities().rows)
    one.append(lambda now: [name_sightings(now, [4], "umai", "a")])
    assert len(other.identities().rows) == before + 1
    assert other.identities().named[4].individual == "umai"


def test_the_command_serves_and_stops_cleanly(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "snowmatch.cli", "serve", str(folder), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    address = process.stdout.readline().split()[-1]
    with urllib.request.urlopen(address) as entered:
        cookie = entered.headers["set-cookie"].split(";")[0]
    place = address.partition("?")[0]
    with urllib.request.urlopen(urllib.request.Request(place, headers={"cookie": cookie})) as page:
        assert b"snowmatch" in page.read()
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(place)
    refused.value.close()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert not said


def test_old_uploads_are_forgotten(tmp_path):
    place = tmp_path / ".snowmatch" / "uploads" / "questions"
    place.mkdir(parents=True)
    for name, days in (("old.json", 31), ("new.json", 29)):
        (place / name).write_text("{}")
        os.utime(place / name, (time.time() - days * 86400,) * 2)
    assert forget_old_uploads(tmp_path) == 1
    assert [path.name for path in place.iterdir()] == ["new.json"]


def test_a_server_that_runs_for_long_forgets_old_uploads_too(client, folder):
    old = folder / ".snowmatch" / "uploads" / "old.json"
    sent(client, jpeg(1))
    old.write_text("{}")
    os.utime(old, (time.time() - 31 * 86400,) * 2)
    sent(client, jpeg(2))
    assert not old.exists()


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_words_can_be_read_on_every_ground(scheme):
    style = (PACKAGE / "static" / "style.css").read_text("utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    colours = {name: each[scheme] for name, *each in found}
    for ground in ("ground", "card", "raised"):
        for words in ("text", "faint", "accent", "warning", "excellent", "good", "fair", "uncertain"):
            assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    for ground in ("ground", "card"):
        assert contrast(colours["edge"], colours[ground]) >= 3, ground  # where a field begins
