"""The map of stations: where they stand to each other, the way of an animal, no coordinates; files to take along."""

import csv
import io
import json
import re
import shutil
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_small import client_of, make_catalog

from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.zipped import zipped
from snowmatch.review.identities import open_identities
from snowmatch.survey import layout, projection
from snowmatch.survey.layout import Layout, station_layout
from snowmatch.views.station_map import EDGE, WIDTH, make_map
from snowmatch.web.places import map_of
from snowmatch.web.state import State

STATIONS = """station,location,x,y,from,to
st0,naryn,76.15123,41.45321,2025-03-01,2025-05-01
st1,naryn,76.26123,41.50321,2025-03-01,2025-05-01
st2,naryn,76.20123,41.43321,2025-03-01,2025-05-01
"""
NUMBERS = re.compile(r"76\.\d|41\.\d|4592\d\d\d|45[89]\d\d\d\d")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = make_catalog(tmp_path_factory.mktemp("map"))
    (folder / "stations.csv").write_text(STATIONS, encoding="utf-8")
    return folder


# --- the drawing -----------------------------------------------------------------------------------------------------


def test_distances_are_in_metres_and_nothing_else_is_known(made):
    places = station_layout(made).places
    (x0, y0), (x1, y1) = places["naryn", "st0"], places["naryn", "st1"]
    assert ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 == pytest.approx(10740, rel=0.01)
    assert min(x for x, _ in places.values()) == min(y for _, y in places.values()) == 0


def test_without_pyproj_degrees_are_drawn_all_the_same(made, monkeypatch):
    expected = station_layout(made).places

    def missing(points, names):
        raise SnowmatchError("no pyproj", "no-pyproj")

    monkeypatch.setattr(layout, "to_metres", missing)
    found = station_layout(made).places
    for site, (x, y) in expected.items():
        assert found[site] == pytest.approx((x, y), abs=300)


def test_without_pyproj_stations_on_both_sides_of_180_degrees_are_neighbours(tmp_path, monkeypatch):
    (tmp_path / "stations.csv").write_text("station,x,y\na,179.9,66.5\nb,-179.9,66.5\n", encoding="utf-8")
    monkeypatch.setattr(projection, "_MADE", {})
    monkeypatch.setitem(sys.modules, "pyproj", None)
    places = station_layout(tmp_path).places
    assert places["", "a"] == pytest.approx((0, 0), abs=1e-3)
    assert places["", "b"] == pytest.approx((8867, 0), rel=0.01)


def test_north_is_up_and_the_bar_tells_the_scale():
    drawn = make_map(Layout({("", "a"): (0, 0), ("", "b"): (4000, 0), ("", "c"): (0, 2000)}, ()), {("", "a"): 4})
    at = {dot.name: (dot.x, dot.y) for dot in drawn.dots}
    assert at["c"][1] < at["a"][1] == at["b"][1]
    pixels, metres = drawn.bar
    assert (at["b"][0] - at["a"][0]) / 4000 == pytest.approx(pixels / metres, rel=0.02)
    assert str(metres).strip("0") in ("1", "2", "5")
    radius = {dot.name: dot.radius for dot in drawn.dots}
    assert radius["a"] > radius["b"] == radius["c"]


def test_one_station_and_none():
    assert make_map(Layout({}, ()), {}) is None
    drawn = make_map(Layout({("", "a"): (0, 0)}, ()), {("", "a"): 1})
    assert [dot.name for dot in drawn.dots] == ["a"]


SITES = st.dictionaries(
    st.tuples(st.sampled_from(["", "n", "s"]), st.text("abcdefgh12", min_size=1, max_size=12)),
    st.tuples(st.floats(0, 3e5), st.floats(0, 3e5)),
    max_size=40,
)


@given(SITES, st.lists(st.integers(0, 39), max_size=12))
def test_everything_is_inside_and_no_label_covers_another(places, visited):
    sites = list(places)
    visits = [(f"2025-01-{n + 1:02d}", sites[k % len(sites)]) for n, k in enumerate(visited) if sites]
    drawn = make_map(Layout(places, ()), {}, visits)
    if drawn is None:
        assert not places
        return
    for dot in drawn.dots:
        assert EDGE - 1 <= dot.x <= WIDTH - EDGE + 1
        assert EDGE - 1 <= dot.y <= drawn.height - EDGE + 1
    assert len(drawn.dots) == len(places)
    assert [way.number for way in drawn.ways] == list(range(1, len(drawn.ways) + 1))
    labels = [dot.label for dot in drawn.dots if dot.label]
    assert len(set(labels)) == len(labels)


def test_the_way_of_an_animal_is_in_the_order_of_time(made):
    state = State(made)
    identities = state.identities()
    aika = identities.who.named("aika")
    drawn, without, problem = map_of(state, identities, reversed(aika.sightings))
    assert (len(drawn.ways), without, problem) == (1, 0, "")
    assert (drawn.ways[0].first, drawn.ways[0].then) == ("2025-03-01", "2025-03-02")
    back = make_map(
        station_layout(made), {}, [("2", ("naryn", "st0")), ("1", ("naryn", "st1")), ("3", ("naryn", "st1"))]
    )
    assert len({way.path for way in back.ways}) == 2  # there and back are two curves


# --- the pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/survey", "/individuals/aika", "/individuals/aika/passport", "/home/names.csv"])
def test_no_page_tells_coordinates(made, path):
    text = client_of(made).get(path).text
    assert not NUMBERS.search(text)
    assert ('class="map"' in text) == (path in ("/survey", "/individuals/aika"))


def test_a_table_of_stations_with_problems_is_told_on_the_page(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "catalog")
    (folder / "stations.csv").write_text("station,x,y\nst0,500,41\n", encoding="utf-8")
    answer = client_of(folder).get("/survey?lang=en")
    assert answer.status_code == 200
    assert "stations.csv" in answer.text
    (folder / "stations.csv").unlink()
    assert "No station has a position" in client_of(folder).get("/survey?lang=en").text


@pytest.mark.parametrize(
    "own",  # locations of two photos at stations of one name
    [["naryn", "naryn"], ["", ""], ["", "naryn"], ["naryn", "s"]],
)
@pytest.mark.parametrize("path", ["/survey", "/individuals/aika", "/dashboard/figures"])
def test_a_station_on_the_map_leads_to_its_photos(made, tmp_path, own, path):
    folder = shutil.copytree(made, tmp_path / "catalog")
    (folder / "stations.csv").write_text(STATIONS.replace("st0", "st9"), encoding="utf-8")
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    rows = [re.sub("naryn,st.", f"{where},st9", line) for line, where in zip(lines[1:], own, strict=False)]
    (folder / "catalog.csv").write_text("\n".join([lines[0], *rows, *lines[3:]]), encoding="utf-8")
    client = client_of(folder)
    address = re.search(r'href="(/photos\?[^"]*st9)"', client.get(path).text)[1]
    assert client.get(address.replace("&amp;", "&")).text.count('data-photo="') == sum(where != "s" for where in own)


def test_sightings_at_a_station_without_a_position_are_counted(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "catalog")
    (folder / "stations.csv").write_text(STATIONS.replace("76.26123,41.50321", ","), encoding="utf-8")
    state = State(folder)
    assert map_of(state, state.identities())[1] == 1


@pytest.mark.parametrize(
    ("locations", "table", "expected"),
    [
        ("naryn naryn", "st0,,76.1,41.4 st1,,76.2,41.5", "st0: 76.1, 41.4; st1: 76.2, 41.5"),  # none in the table
        ("- -", "st0,naryn,76.1,41.4 st1,naryn,76.2,41.5", "st0: 76.1, 41.4; st1: 76.2, 41.5"),  # none in the catalog
        ("naryn s", "st0,naryn,76.1,41.4 st0,s,76.2,41.5", "naryn/st0: 76.1, 41.4; s/st0: 76.2, 41.5"),
        ("naryn naryn", "st0,naryn,76.1,41.4 st1,naryn,,", "st0: 76.1, 41.4; without a position: naryn st1"),
        ("naryn naryn", "", "without a position: naryn st0, naryn st1"),
    ],
)
def test_a_passport_tells_of_each_station_the_position_or_that_it_has_none(made, tmp_path, locations, table, expected):
    folder = shutil.copytree(made, tmp_path / "catalog")
    (folder / "stations.csv").write_text("\n".join(["station,location,x,y", *table.split()]), encoding="utf-8")
    if not table:
        (folder / "stations.csv").unlink()
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    own = [line.replace("naryn", where.strip("-")) for line, where in zip(lines[1:], locations.split(), strict=False)]
    if locations == "naryn s":  # the same name of a station in both
        own[1] = own[1].replace("st1", "st0")
    (folder / "catalog.csv").write_text("\n".join([lines[0], *own, *lines[3:]]), encoding="utf-8")
    text = client_of(folder).get("/individuals/aika/passport?coordinates=exact&lang=en").text
    assert re.findall(r"WGS 84[^<]*</dt><dd>([^<]*)", text) == [expected]


# --- files -----------------------------------------------------------------------------------------------------------


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_tables_are_taken_along_without_coordinates(made):
    client = client_of(made)
    captures = client.get("/survey/file/captures.csv")
    assert captures.headers["content-disposition"] == 'attachment; filename="captures.csv"'
    assert {row["individual_id"] for row in rows(captures.content)} == {"aika", "bars"}
    assert len(rows(client.get("/survey/file/individuals.csv").content)) == 2
    assert rows(client.get("/survey/file/effort.csv").content)
    archive = zipfile.ZipFile(io.BytesIO(client.get("/survey/file/tables.zip").content))
    assert {"captures.csv", "stations.csv", "manifest.json"} <= set(archive.namelist())
    assert json.loads(archive.read("manifest.json"))["coordinates"] == "none"
    for name in archive.namelist():
        assert not NUMBERS.search(archive.read(name).decode()), name


def test_positions_are_written_only_if_they_are_asked_for(made):
    client = client_of(made)
    refused = client.get("/survey/file/secr.zip", headers={"accept": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (400, "ask-coordinates")
    archive = zipfile.ZipFile(io.BytesIO(client.get("/survey/file/secr.zip?coordinates=exact").content))
    assert {"captures.txt", "traps.txt", "fit.R", "manifest.json"} <= set(archive.namelist())
    assert "459" in archive.read("traps.txt").decode()
    rounded = zipfile.ZipFile(io.BytesIO(client.get("/survey/file/tables.zip?coordinates=rounded:5").content))
    assert json.loads(rounded.read("manifest.json"))["coordinates"] == "rounded:5"
    assert client.get("/survey/file/secr.zip?coordinates=all").status_code == 400


def test_the_flanks_and_days_are_those_that_were_chosen(made):
    client = client_of(made)
    assert not rows(client.get("/survey/file/captures.csv?flanks=right").content)
    five, one = (rows(client.get(f"/survey/file/captures.csv?days={n}").content) for n in (5, 1))
    assert max(int(row["occasion"]) for row in one) > max(int(row["occasion"]) for row in five)
    assert client.get("/survey/file/captures.csv?flanks=none").status_code == 400
    assert client.get("/survey/file/catalog.csv").status_code == 404


def test_a_decision_counts_in_the_next_file(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "catalog")
    client = client_of(folder)
    before = rows(client.get("/survey/file/individuals.csv").content)
    key = open_identities(folder).annotations[4].annotation
    told = client.post("/changes", json={"kind": "rename", "key": key, "name": "Umai"}).json()
    client.post("/changes", json={"kind": "rename", "key": key, "name": "Umai", "store": True, "head": told["head"]})
    after = rows(client.get("/survey/file/individuals.csv").content)
    assert len(after) == len(before) + 1


def test_the_same_files_are_the_same_zip():
    files = {"b.txt": b"two", "a.txt": b"one"}
    assert zipped(files) == zipped(dict(reversed(files.items())))
    assert zipfile.ZipFile(io.BytesIO(zipped(files))).namelist() == ["a.txt", "b.txt"]
    assert zipfile.ZipFile(io.BytesIO(zipped({}))).namelist() == []
