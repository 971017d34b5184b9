"""The dashboard and the report: figures with their tables, filters, files, no coordinates; figures that are kept."""

import csv
import io
import json
import re
import time
import zipfile
from types import SimpleNamespace

import drawn_table
import pytest
import web_accounts as logins
from web_small import client_of

from snowmatch.catalog.records import Fingerprint, Records, save_records
from snowmatch.catalog.screened import KEPT, PERSON, UNKNOWN, Screened, save_screened
from snowmatch.catalog.species import NOTHING
from snowmatch.decisions.row import Decision
from snowmatch.review.accounts import add_account
from snowmatch.review.identities import name_sightings, read_head
from snowmatch.web import surveys
from snowmatch.web.dashboard import SCREENED, SCREENING, TABLES, Wishes, figures_of, read_wishes, table_of
from snowmatch.web.page import environment
from snowmatch.web.places import layout_of
from snowmatch.web.state import State
from snowmatch.web.texts import translator

ROWS = drawn_table.ROWS
STATIONS = drawn_table.STATIONS.replace("76.10,41.50", "76.10123,41.50321").replace("76.20,41.52", "76.20123,41.52321")
POSITIONS = re.compile(r"76\.[12]0?123|41\.5[02]321|\b459\d{4}\b|\b460\d{4}\b|32643")


def write_catalog(folder, rows=drawn_table.ROWS, stations=STATIONS):
    return drawn_table.write_catalog(folder, rows, stations)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_catalog(tmp_path_factory.mktemp("dashboard") / "c")


@pytest.fixture(scope="module")
def page(folder):
    return client_of(folder)


def figures(folder, **wishes):
    return figures_of(State(folder), read_wishes(wishes), translator("en"), "en")


# --- the figures ------------------------------------------------------------------------------------------------------


def test_the_page_asks_for_its_figures_with_the_same_filters(page):
    text = page.get("/dashboard?lang=en&from=2023-05-05&individual=aika&location=naryn&flanks=left&within=3").text
    query = "from=2023-05-05&amp;location=naryn&amp;individual=aika&amp;flanks=left&amp;within=3"
    assert f'data-load="/dashboard/figures?{query}"' in text
    assert f'href="/report?{query}"' in text
    assert '<option value="naryn" selected>' in text
    assert '<option value="bars">bars</option>' in text


def test_every_figure_has_a_title_a_description_and_its_table(page):
    text = page.get("/dashboard/figures?lang=en").text
    charts = re.findall(r'<svg class="chart[^>]*aria-labelledby="(\S+) (\S+)"', text)
    assert len(charts) == 5
    for name in (each for pair in charts for each in pair):
        assert re.search(rf'<(title|desc) id="{name}">[^<]+<', text), name
    for name in TABLES:
        assert f'href="/dashboard/table/{name}"' in text, name
    assert len(set(re.findall(r'data-keep="([^"]+)"', text))) == text.count("data-keep=")
    assert "<b>3</b> individuals<br>" in text  # also those that nobody named yet


def test_names_that_differ_at_their_ends_differ_in_the_drawings_and_are_told_whole(tmp_path):
    long = [(f"sarychat-ertash-{row[0]}", *row[1:]) if row[0] else row for row in ROWS]
    long = [(*row[:2], f"kumtor-valley-{row[2]}" if row[2] else "", *row[3:]) for row in long]
    client = client_of(write_catalog(tmp_path / "c", long, STATIONS.replace("\nS", "\nkumtor-valley-S")))
    text = client.get("/dashboard/figures?lang=en").text
    whole = re.findall(r">([^<]*…[^<]*)<title>([^<]+)</title></text>", text)
    assert {"kumtor-valley-S1", "kumtor-valley-S2", "sarychat-ertash-aika"} <= {name for _, name in whole}
    assert len({short for short, _ in whole}) == len(set(whole))


def test_the_map_knows_the_order_of_dates_that_was_set_meanwhile(tmp_path):
    state = State(tmp_path)
    (tmp_path / "stations.csv").write_text("station,x,y,from,to\nst1,76.1,41.5,01/02/2023,03/04/2023\n")

    def seen(dates):
        return layout_of(state, SimpleNamespace(data=SimpleNamespace(settings=SimpleNamespace(dates=dates))))

    assert "may begin with the day" in seen("")[1]
    layout, problem = seen("dmy")
    assert (set(layout.places), problem) == ({("", "st1")}, "")


def test_the_first_and_the_last_day_of_the_calendar_can_be_asked_for(folder):
    assert figures(folder, **{"from": "0001-01-01", "to": "9999-12-31"})["sightings"] == 8


def test_the_figures_show_the_numbers_of_the_survey(folder):
    values = figures(folder)
    assert (values["camera_days"], values["sightings"], values["unidentified"]) == (84.5, 8, 1)
    assert (values["individuals"], values["captures"], values["stations"]) == (3, 6, 3)
    assert values["gap_days"] == 5
    assert [(bar.what, bar.value) for bar in values["hours"].bars if bar.value] == [
        *(("3", 1), ("4", 1), ("5", 4), ("9", 1), ("10", 1))
    ]
    assert values["hours"].curve == ""  # eight sightings
    assert [bar.value for bar in values["months"].bars].count(None) == 11
    assert [(p.first, p.second, p.count) for p in values["pairs"].pairs] == [("aika", "bars", 1), ("bars", "aika", 1)]
    drawn = values["map"][0]
    assert {dot.name: dot.count for dot in drawn.dots} == {"S1": 2, "S2": 4, "S3": 2}
    assert {(link.first, link.second): link.count for link in drawn.links} == {("S1", "S2"): 1, ("S1", "S3"): 1}
    assert drawn.hexagons
    assert 2 / 0.3 <= drawn.highest <= 16
    assert values["steps"].lines[0][2] == 3


def test_filters_narrow_all_figures(folder):
    values = figures(folder, **{"from": "2023-05-05", "to": "2023-05-25", "individual": "aika"})
    assert (values["camera_days"], values["sightings"], values["individuals"]) == (58, 2, 1)
    assert (values["first"], values["last"]) == ("2023-05-05", "2023-05-25")
    assert values["steps"].lines[0][2] == 3  # of all animals, and the page says so
    assert figures(folder, individual="aika")["map"][0].ways[0].number == 1
    assert figures(folder, within="0")["pairs"] is None
    assert figures(folder, flanks="right")["sightings"] == 3  # aika once, bars twice
    assert figures(folder, flanks="left")["unidentified"] == 1


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("query", ["", "?individual=aika", "?from=2023-05-28&flanks=hybrid"])
def test_pages_are_made_in_both_languages(page, language, query):
    mark = "&" if query else "?"
    for path in ("/dashboard/figures", "/report"):
        answer = page.get(f"{path}{query}{mark}lang={language}")
        assert answer.status_code == 200, answer.text
        assert not POSITIONS.search(answer.text)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=soon", "no date"),
        ("from=2024-05-01", "no day of the survey"),
        ("location=osh", "no station is in the location"),
        ("individual=nobody", "no individual is called"),
        ("within=-1", "no number of days"),
        ("within=nan", "no number of days"),
        ("within=many", "no number of days"),
        ("to=" + "9" * 60, "no date"),
    ],
)
def test_what_cannot_be_chosen_is_said(page, query, told):
    for path in ("/dashboard/figures", "/dashboard/table/co-use.csv", "/report"):
        answer = page.get(f"{path}?{query}&lang=en")
        assert (answer.status_code, told in answer.text) == (400, True), answer.text


def test_a_catalog_without_times_says_so_and_keeps_its_filters(tmp_path):
    client = client_of(write_catalog(tmp_path / "c", [("aika", "left_flank", "S1", "", "e1", "")], None))
    assert client.get("/dashboard").status_code == 200
    answer = client.get("/dashboard/figures?lang=en")
    assert (answer.status_code, "time" in answer.text) == (400, True)
    assert "Ни у одной встречи нет и времени, и станции" in client.get("/dashboard/figures?lang=ru").text


def test_names_are_text(tmp_path):
    rows = [("<b>$\"'&", "left_flank", "S1", "2023-05-02T10:00:00", "e1", "")]
    rows += [("=1+1", "left_flank", "S1", "2023-05-02T12:00:00", "e2", "")]
    client = client_of(write_catalog(tmp_path / "c", rows))
    for path in ("/dashboard", "/dashboard/figures", "/report"):
        assert "<b>$" not in client.get(path).text
    assert "'=1+1" in client.get("/dashboard/table/individuals.csv").text
    answer = client.get("/dashboard/figures", params={"individual": "<b>$\"'&", "lang": "en"}).text
    assert "<b>1</b> sighting<" in answer


# --- files ------------------------------------------------------------------------------------------------------------


def test_animals_without_a_name_are_called_in_the_language_of_the_page(tmp_path):
    handle = "unnamed a1b2c3d4e5f60718"
    client = client_of(
        write_catalog(tmp_path / "c", [(handle if row[0] == "bars" else row[0], *row[1:]) for row in ROWS])
    )
    figures = client.get("/dashboard/figures?lang=ru").text
    assert "unnamed" not in re.sub("<li>unnamed [^<]*</li>", "", figures)  # a note: the table has such a name here
    assert "a1b2c3d4e5f60718, aika: 1" in figures
    assert f'<option value="{handle}">без имени (a1b2c3d4)</option>' in client.get("/dashboard?lang=ru").text
    report = client.get("/report", params={"lang": "ru", "individual": handle}).text
    assert "Особь: без имени (a1b2c3d4)." in report


def test_the_files_have_all_rows_of_the_filters(page, folder):
    for name in TABLES:
        answer = page.get(f"/dashboard/table/{name}?from=2023-05-05&to=2023-05-25")
        rows = list(csv.reader(io.StringIO(answer.text)))
        head, expected = table_of(State(folder), Wishes(start="2023-05-05", end="2023-05-25"), name)
        assert rows[0] == list(head)
        assert len(rows) - 1 == len(expected)
        assert not POSITIONS.search(answer.text)
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert page.get("/dashboard/table/captures.csv").status_code == 404
    met = page.get("/dashboard/table/co-use.csv?within=14&individual=bars").text
    assert met.count("\n") == 2
    assert "cholpon" not in met


def test_the_screening_is_counted(tmp_path):
    folder = write_catalog(tmp_path / "c")
    client = client_of(folder)
    assert "No screening yet" in client.get("/dashboard/figures?lang=en").text
    photos = {f"p{n}.jpg": Fingerprint(1, 1, 1, 1, f"{n:064x}") for n in range(5)}
    save_records(folder, Records(photos))
    answers = dict(zip(map("{:064x}".format, range(5)), [*["kept"] * 3, "ibex", "unknown"], strict=True))
    answers |= {"f" * 64: "kept"}  # one is gone
    save_screened(folder, Screened(answers, "snow_leopard", 0.1))
    text = client.get("/dashboard/figures?lang=en").text
    assert '4 of 9 photos screened <progress max="9" value="4">' in text
    assert "3 photos may show snow leopard" in text
    words = [
        re.findall(r"<td>([^<]+)</td>", client.get(f"/dashboard/figures?lang={each}").text) for each in ("en", "ru")
    ]
    assert {"may show it", "ibex", "not screened"} <= set(words[0])
    assert {"может быть", "ibex", "не просмотрено"} <= set(words[1])
    assert client.get(f"/dashboard/table/{SCREENING}").text == (
        "answer,photos\nkept,3\nibex,1\nunknown,1\nnot screened,4\n"
    )


def test_words_of_the_screening_are_those_that_it_writes():
    assert {KEPT, NOTHING, PERSON, UNKNOWN, "not screened"} == set(SCREENED)


@pytest.mark.parametrize(
    ("days", "english", "russian"),
    [
        (1.0, "1</b> camera-day<", "1</b> ловушко-сутки"),
        (1.4, "1.4</b> camera-days<", "1,4</b> ловушко-суток"),
        (21.3, "21.3</b> camera-days<", "21,3</b> ловушко-суток"),
        (22.0, "22</b> camera-days<", "22</b> ловушко-суток"),
    ],
)
def test_days_with_a_fraction_have_the_word_of_fractions(days, english, russian):
    values = dict.fromkeys(("stations", "sightings", "unidentified", "individuals", "captures"), 1)
    for language, told in (("en", english), ("ru", russian)):
        macro = environment(language).get_template("dashboard_parts.html").module.facts
        assert told in macro(translator(language), {"camera_days": days, "first": "", "last": "", **values})


# --- the report -------------------------------------------------------------------------------------------------------


def test_the_report_has_what_reviewers_ask_for_and_positions_only_if_asked(page):
    text = page.get("/report?lang=en").text
    for told in ("unidentified sightings", "Cohen&#39;s kappa", "alpha, machine", "Individuals were identified with"):
        assert told in text
    assert 'class="map"' not in text
    exact, rounded = (page.get(f"/report?lang=en&coordinates={how}").text for how in ("exact", "rounded:5"))
    assert 'class="map"' in exact
    assert 'class="map"' in rounded
    east = {name: float(x) for name, x in re.findall(r"<td>(S\d)</td><td>naryn</td><td[^>]*>(\d+)", rounded)}
    assert set(east) == {"S1", "S2", "S3"}
    assert all(x % 5000 == 0 for x in east.values())
    assert POSITIONS.search(exact)
    dots = [re.findall(r'<circle class="seen" cx="(\d+)" cy="(\d+)"', each) for each in (exact, rounded)]
    assert len(dots[0]) == len(dots[1]) == 3
    assert dots[0] != dots[1]  # the map is as exact as the table
    assert page.get("/report?coordinates=near").status_code == 400
    assert "Positions: rounded to 5 km (EPSG:" in rounded
    assert "Положения: округлено до 5 км (EPSG:" in page.get("/report?lang=ru&coordinates=rounded:5").text


def test_positions_are_for_administrators(tmp_path, monkeypatch):
    monkeypatch.setattr("snowmatch.review.accounts.COST", (16, 8, 1))
    folder = write_catalog(tmp_path / "c")
    for name, role in logins.PEOPLE.items():
        add_account(folder, name, role, logins.PASSWORD + name)
    server = logins.Lan(folder)
    bek, chyngyz = server.person("bek"), server.person("chyngyz")
    for path in ("/dashboard", "/dashboard/figures", "/report", "/dashboard/table/rates.csv"):
        assert bek.get(path).status_code == 200
    assert "coordinates" not in bek.get("/report").text
    refused = bek.get("/report?coordinates=exact")
    assert refused.status_code == 403
    assert not POSITIONS.search(refused.text)
    assert POSITIONS.search(chyngyz.get("/report?coordinates=exact").text)
    assert bek.get("/individuals/x/passport?coordinates=exact").status_code == 403


def test_the_manifest_has_the_hash_of_the_decisions_that_were_used(tmp_path):
    folder, file = tmp_path / "catalog", tmp_path / "other.sqlite"
    folder.mkdir()
    rows = ["path,individual,body_part,location,station,timestamp,encounter,annotation"]
    rows += [f"{n}.jpg,aika,left_flank,naryn,S{n},2023-05-0{n}T10:00:00,e{n},a{n}" for n in (1, 2)]
    (folder / "catalog.csv").write_text("\n".join(rows))
    (folder / "stations.csv").write_text(STATIONS)
    client = client_of(folder, decisions=file)
    client.app.state.snowmatch.append(lambda who: [name_sightings(who, [0], "bars", "asel")])
    content = client.get("/survey/file/tables.zip").content
    manifest = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("manifest.json"))
    assert manifest["decisions_hash"] == read_head(file) != ""


# --- live -------------------------------------------------------------------------------------------------------------


def test_the_notes_with_the_figures_are_of_the_names_and_decisions_that_count(tmp_path):
    rows = "path,individual,body_part,location,station,timestamp,encounter,annotation\n"
    for day, name in enumerate(("aika", "unknown", "bars", ""), start=2):
        rows += f"{day}.jpg,{name},left_flank,naryn,S1,2023-05-0{day}T10:00:00,e{day},a{day}\n"
    (tmp_path / "catalog.csv").write_text(rows)
    state = client_of(tmp_path).app.state.snowmatch

    def notes():
        return {note.code for note in surveys.survey_of(state, 5, "both").notes}

    assert "doubtful-names" in notes()
    state.append(lambda who: [name_sightings(who, [who.who.number_of["a3"]], "cholpon", "asel")])
    assert not notes() & {"doubtful-names", "several-names"}
    state.append(lambda who: [Decision("", "", "asel", "pair", (a,), ("a5",), "same") for a in ("a2", "a4")])
    assert "several-names" in notes()


def test_figures_are_kept_until_a_decision_or_the_stations_change(tmp_path, monkeypatch):
    rows = "path,individual,body_part,location,station,timestamp,encounter,annotation\n"
    rows += "a.jpg,aika,left_flank,naryn,S1,2023-05-02T10:00:00,e1,a1\n"
    rows += "b.jpg,,left_flank,naryn,S2,2023-05-03T10:00:00,e2,a2\n"
    folder = tmp_path
    (folder / "catalog.csv").write_text(rows)
    (folder / "stations.csv").write_text(STATIONS)
    made, real = [], surveys.make_survey
    monkeypatch.setattr(surveys, "make_survey", lambda *a, **k: made.append(1) or real(*a, **k))
    client = client_of(folder)
    first = client.get("/dashboard/figures?lang=en").text
    assert "1 of them unidentified" in first
    assert "1 sighting without a name is not in these numbers" in first
    assert "1 sighting without a name is not in these numbers" in client.get("/report?lang=en").text
    assert client.get("/dashboard/figures").text == first
    of_one = client.get("/dashboard/figures?individual=aika").text
    assert "<b>1</b> sighting<" in of_one
    assert "1 sighting without a name is not in these numbers" in of_one  # they are of all animals
    assert len(made) == 1
    state = client.app.state.snowmatch
    state.append(lambda who: [name_sightings(who, [who.who.number_of["a2"]], "bars", "asel")])
    later = client.get("/dashboard/figures").text
    assert "0 of them unidentified" in later
    assert "in these numbers" not in later
    assert len(made) == 2
    time.sleep(0.01)
    (folder / "stations.csv").write_text(STATIONS.replace("2023-05-30,,", "2023-06-30,,"))
    assert client.get("/dashboard/figures").text != later
    assert len(made) == 3
