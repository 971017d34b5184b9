"""Notes and errors in Russian: by their codes, and in English where a translation or a value is missing."""

import csv
import re
import shutil
import threading
from pathlib import Path

import pytest
from conftest import until
from web_small import client_of, make_catalog

import snowmatch
from snowmatch.core.notes import Note
from snowmatch.review.doctor.examine import examine
from snowmatch.review.doctor.finding import Finding
from snowmatch.web.routes import doctor as routes
from snowmatch.web.routes.doctor import _text
from snowmatch.web.texts import plural_form, words_of
from snowmatch.web.told import told, told_note

PACKAGE = Path(snowmatch.__file__).parent
JSON = {"accept": "application/json"}
RUSSIAN, ENGLISH = (
    {key.removeprefix("told."): word for key, word in words_of(language).items() if key.startswith("told.")}
    for language in ("ru", "en")
)


def found_by(client, address):
    """Return the answer of a page of findings when all are there."""
    return until(lambda: answer if (answer := client.get(address)).status_code != 202 else None)


def test_every_translated_message_exists():
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    made = {f"{state}-annotations" for state in ("missing", "stale", "failed")}
    made |= {f"{column}s-same-name" for column in ("individual", "station", "location")}
    codes = {code.removeprefix("doctor-") for code in RUSSIAN}  # of a finding: the code of its own, or of a note
    assert not [code for code in codes if code not in made and f'"{code}"' not in source]


def test_english_messages_in_plainer_words_have_all_plurals_and_a_russian_one():
    assert ENGLISH.keys() < RUSSIAN.keys()
    for code, word in ENGLISH.items():
        assert set(word) == {plural_form("en", n) for n in range(3)}
        assert not [form for form in word.values() if "annotation" in form or "encounter" in form], code


def test_russian_messages_tell_the_same_values():
    def values(word):
        return set(re.findall(r"{(\w+)", " ".join(word.values())))

    assert {code: values(RUSSIAN[code]) for code in ENGLISH} == {code: values(word) for code, word in ENGLISH.items()}


def test_the_pages_say_pictures_of_animals_where_the_command_line_says_annotations():
    note = Note("named-by-decisions", "decisions name 2 annotations otherwise than the table", {"count": 2})
    assert told_note("en", note) == "decisions name 2 pictures of animals otherwise than the table"


@pytest.mark.parametrize("code", sorted(RUSSIAN))
def test_translations_are_russian_and_have_all_plurals(code):
    word = RUSSIAN[code]
    forms = [word] if isinstance(word, str) else list(word.values())
    assert all(re.search("[а-яё]", form) for form in forms)
    if not isinstance(word, str):
        assert set(word) == {plural_form("ru", n) for n in range(200)}


def test_a_note_with_a_count_has_its_plural():
    text = [told_note("ru", Note("decisions-idle", "english", {"count": n})) for n in (1, 3, 5, 21)]
    assert text == [
        "1 решение без последствий",
        "3 решения без последствий",
        "5 решений без последствий",
        "21 решение без последствий",
    ]


def test_a_list_counts_and_is_named():
    note = Note("decisions-quarrel", "english", {"individuals": ["Aika", "Bars"]})
    assert told_note("ru", note) == "2 особи с решениями, которые противоречат друг другу: Aika, Bars"


def test_findings_of_the_doctor_are_in_the_language_of_the_page(tmp_path):
    client = client_of(make_catalog(tmp_path))
    found = {}
    for language in ("en", "ru"):
        answer = found_by(client, f"/doctor/findings?lang={language}")
        found[language] = re.findall(r"<strong>(.*?)</strong>", answer.text)
    assert len(found["en"]) == len(found["ru"]) > 0
    assert any(text.startswith("2 individuals of 2 without both flanks") for text in found["en"])
    assert "2 особи без обоих боков: снимки другого бока не определить" in found["ru"]
    assert "<b>1</b> hint</li>" in client.get("/doctor/findings?lang=en").text
    assert "<b>1</b> совет</li>" in client.get("/doctor/findings?lang=ru").text


def test_what_was_corrected_in_the_table_of_stations_is_a_finding_no_more(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "stations.csv"
    client = client_of(folder)
    shown = []
    for y in ("41.2x", "41.25"):
        table.write_text(f"station,location,x,y,from,to\nst0,naryn,75.1,{y},2025-01-01,2025-04-01\n")
        answer = found_by(client, "/doctor/findings")
        shown.append("problem of stations.csv" in answer.text)
    assert shown == [True, False]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_what_no_page_looks_at_is_told_with_its_command_and_leads_to_no_page(tmp_path, language):
    client = client_of(make_catalog(tmp_path))
    text = found_by(client, f"/doctor/findings?lang={language}").text
    (line,) = [each for each in re.findall(r"<li>.*?</li>", text) if "snowmatch doctor --deep" in each]
    assert "<a " not in line


def test_photos_that_were_lost_or_put_back_are_told_when_the_page_is_loaded_again(tmp_path):
    folder = make_catalog(tmp_path)
    photo, client, shown = folder / "images" / "0.jpg", client_of(folder), []
    for change in (None, lambda: photo.rename(tmp_path / "0.jpg"), lambda: (tmp_path / "0.jpg").rename(photo)):
        if change is not None:
            change()
        client.get("/doctor")
        shown.append("1 photo or mask cannot be read" in found_by(client, "/doctor/findings?lang=en").text)
    assert shown == [False, True, False]


def test_the_findings_of_before_are_shown_while_the_catalog_is_examined_anew(tmp_path, monkeypatch):
    client, done = client_of(make_catalog(tmp_path)), threading.Event()
    found = found_by(client, "/doctor/findings?lang=en").text
    monkeypatch.setattr(routes, "examine", lambda *given: done.wait(60) and examine(*given))
    assert "being examined" in client.get("/doctor?lang=en").text
    answer = client.get("/doctor/findings?lang=en")
    assert answer.status_code == 202
    mark, rest = answer.text.split("\n", 1)
    assert re.search(r"Found at 20\d\d-\d\d-\d\d \d\d:\d\d\. The catalog is being examined anew", mark)
    assert rest == found
    done.set()
    assert found_by(client, "/doctor/findings?lang=en").text == found


def test_pictures_of_a_finding_lead_to_their_sighting(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "catalog.csv"
    text = table.read_text(encoding="utf-8").replace(",e1,", ",e0,").replace("st1", "st0").replace("left_flank", "")
    table.write_text(text, encoding="utf-8")  # a sighting of two photos, and a finding about all photos
    client = client_of(folder)
    answer = found_by(client, "/doctor/findings")
    links = re.findall(r'<a href="(/individuals/[^"#]+)#([^"]+)"><img[^>]*/([\w-]+)" alt', answer.text)
    assert any(anchor != key for _, anchor, key in links)  # a sighting is named by one of its photos
    for address, anchor, _ in links:
        assert f'id="{anchor}"' in client.get(address).text


def test_what_the_doctor_says_of_a_catalog_that_is_not_indexed_is_russian(tmp_path):
    """No extractor ran, no stations are there, and the names were not looked at: all of it is told in Russian."""
    folder = make_catalog(tmp_path)
    shutil.rmtree(folder / ".snowmatch")
    client = client_of(folder)
    answer = found_by(client, "/doctor/findings?lang=ru")
    told_here = re.findall(r"<strong>(.*?)</strong>", answer.text)
    told_here += re.findall(r"<li>([^<]*)", answer.text.partition("Не проверено")[2])
    assert len(told_here) >= 5
    assert "ничего ещё не проиндексировано: 5 изображений зверей нельзя сравнить" in told_here
    assert not [text for text in told_here if not re.search("[а-яё]", text)]


@pytest.mark.parametrize("state", ["missing", "stale"])
def test_the_doctor_names_the_extractor_that_lacks_annotations_in_russian(state):
    found = Finding(f"{state}-annotations", "check", "english", data={"count": 2, "extractor": "sift"})
    assert _text(found, "ru").startswith("2 изображения зверей ")
    assert "(sift)" in _text(found, "ru")


def test_an_empty_catalog_says_so_in_russian(tmp_path):
    (tmp_path / "catalog.csv").write_text("path,individual\n", encoding="utf-8")
    text = client_of(tmp_path).get("/photos?lang=ru").text
    assert f"{tmp_path / 'catalog.csv'}: под заголовком нет строк" in text


def test_english_is_the_fallback():
    assert told("ru", "english", "unknown-code", {}) == "english"
    assert told("ru", "english", "", {}) == "english"
    assert told("ru", "english", "no-features", {}) == "english"  # the photo is missing
    assert told("ru", "english", "decisions-idle", {}) == "english"
    assert told("en", "english", "busy", {}) == "english"


def test_errors_are_in_the_language_of_the_page(tmp_path):
    folder = make_catalog(tmp_path)
    client = client_of(folder, observer="Anna")
    asked = {"kind": "rename", "key": "nobody", "name": "x"}
    english, russian = (
        client.post(f"/changes?lang={language}", json=asked, headers=JSON).json() for language in ("en", "ru")
    )
    assert "load the page again" in english["error"]
    assert russian["error"] == "Страница устарела: загрузите её снова."
    page = client.get("/survey/file/secr.zip?lang=ru", headers={"accept": "text/html"}).text
    assert "выберите округлённое или точное" in page


def test_findings_count_animals_where_a_photo_shows_two(tmp_path):
    folder = make_catalog(tmp_path)
    table = folder / "catalog.csv"
    head, *lines = table.read_text(encoding="utf-8").splitlines()
    names = head.split(",")
    cells = dict(zip(names, next(csv.reader(lines[:1])), strict=True)) | {"bbox": "", "body_part": ""}
    both = [",".join((cells | {"individual": name})[each] for each in names) for name in ("aika", "bars")]
    table.write_text("\n".join([head, *both, *lines[2:]]) + "\n", encoding="utf-8")
    found = {finding.code: finding for finding in examine(folder).findings}
    for code in ("no-box", "body-part-unknown", "stale-annotations"):
        assert len(found[code].cases) == 1
        told_in_russian = _text(found[code], "ru")
        assert re.search(r"\b2\b", told_in_russian), told_in_russian
