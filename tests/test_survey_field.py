"""What stations saw: rates, who met where, activity, gaps, hot spots, and a part of a survey. Values are by hand."""

import math
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import read_rows
from drawn_table import ROWS, write_catalog
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.optimize import brentq
from scipy.special import iv

import snowmatch
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporting import export_survey
from snowmatch.survey.activity import bandwidth, clock_times_of, hour_counts, hour_density, month_activity, times_of
from snowmatch.survey.co_use import co_use
from snowmatch.survey.field_tables import hours_table
from snowmatch.survey.gaps import AFTER, BEFORE, BETWEEN, NEVER, effort_gaps, runs
from snowmatch.survey.hot_spots import hot_spots
from snowmatch.survey.layout import Layout
from snowmatch.survey.rates import session_rates, station_rates
from snowmatch.survey.run import make_survey
from snowmatch.survey.selection import only, select
from snowmatch.survey.summaries import individuals
from snowmatch.survey.tables import survey_table, survey_tables
from snowmatch.views.station_map import make_map


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_catalog(tmp_path_factory.mktemp("field") / "c")


@pytest.fixture(scope="module")
def survey(folder):
    return make_survey(snowmatch.open_catalog(folder).data)


def at(day, hour=0):
    return datetime(2023, 5, day, hour)


# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stations", "labels"),
    [(("S1", "S2"), ["S1"]), (("", ""), ["naryn"])],
)
def test_a_station_whose_location_no_table_tells_is_where_its_photos_are(tmp_path, stations, labels):
    folder = tmp_path / "c"
    folder.mkdir()
    lines = ["path,individual,body_part,location,station,timestamp,encounter"]
    for n, location in enumerate(("naryn", "sarychat")):
        lines.append(f"p{n}.jpg,aika,left_flank,{location},{stations[n]},2023-05-0{n + 1}T10:00,e{n}")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if stations[0]:
        table = "station,from,to\nS1,2023-05-01,2023-05-10\nS2,2023-05-01,2023-05-10\n"
        (folder / "stations.csv").write_text(table, encoding="utf-8")
    survey = make_survey(snowmatch.open_catalog(folder).data)
    head, rows = survey_table(survey, "captures.csv")
    assert [row[head.index("location")] for row in rows] == ["naryn", "sarychat"]
    part = select(survey, location="naryn")
    assert [p.label for p in part.places] == labels
    assert [c.encounters for c in part.captures] == [("e0",)]
    with pytest.raises(SnowmatchError, match="no station is in the location"):
        select(survey, location="elsewhere")
    if stations[0]:
        export_survey(survey, "wildbook", tmp_path / "out")
        sheet = read_rows(tmp_path / "out" / "wildbook-1.csv")
        assert [row["Encounter.locationID"] for row in sheet] == ["naryn", "sarychat"]


def test_rates_are_counts_for_100_camera_days(survey):
    found = {r.place: (r.days, r.sightings, r.unidentified, r.individuals) for r in station_rates(survey)}
    assert found == {"S1": (30, 2, 0, 2), "S2": (25, 4, 1, 2), "S3": (29.5, 2, 0, 1)}
    rates = {r.place: (r.sightings_rate, r.individuals_rate) for r in session_rates(survey)}
    assert rates["S2"] == (16, 8)
    assert rates["S3"] == (pytest.approx(200 / 29.5), pytest.approx(100 / 29.5))


def test_a_station_without_effort_has_no_rate(survey):
    without = replace(survey, effort={s.name: np.zeros_like(survey.effort[s.name]) for s in survey.sessions})
    assert [r.sightings_rate for r in station_rates(without)] == [None, None, None]


# --- who met where ----------------------------------------------------------------------------------------------------


def test_pairs_at_a_station_within_days(survey):
    (met,) = co_use(survey.captures, 1)
    assert (met.first, met.second, met.place) == ("aika", "bars", "S1")
    assert (met.meetings, met.hours, met.together, met.last) == (1, 18, 0, at(3, 4))
    assert co_use(survey.captures, 0.5) == []
    assert len(co_use(survey.captures, 18 / 24)) == 1  # just so far apart is near enough
    assert co_use(survey.captures, (18 * 3600 - 2) / 86400) == []  # from start to start, not from the last photo
    later = {m.second: (m.meetings, m.hours) for m in co_use(survey.captures, 13)}
    assert later == {"bars": (1, 18), "cholpon": (1, 308)}  # of aika at S2, the 8th at 9:00; not the one at 3:00
    assert {m.second: m.meetings for m in co_use(survey.captures, 14)} == {"cholpon": 2, "bars": 1}
    with pytest.raises(ValueError, match="0 or more"):
        co_use(survey.captures, -1)


def test_two_animals_in_one_encounter_are_together(tmp_path):
    rows = [*ROWS, ("dastan", "left_flank", "S3", "2023-05-20T05:00:05", "e5", "")]
    made = make_survey(snowmatch.open_catalog(write_catalog(tmp_path / "c", rows)).data)
    (met,) = [m for m in co_use(made.captures, 1) if m.place == "S3"]
    assert (met.first, met.second, met.together, met.meetings) == ("bars", "dastan", 1, 1)
    assert met.hours == 0


def test_who_met_does_not_depend_on_the_order(survey):
    assert co_use(survey.captures[::-1], 14) == co_use(survey.captures, 14)


# --- activity ---------------------------------------------------------------------------------------------------------


def test_hours_and_months(survey):
    counts = hour_counts(times_of(survey))
    assert {h: int(n) for h, n in enumerate(counts) if n} == {3: 1, 4: 1, 5: 4, 9: 1, 10: 1}
    months = {m.month: m for m in month_activity(survey)}
    assert (months[5].days, months[5].sightings, months[5].individuals) == (84.5, 8, 3)
    assert months[5].rate == pytest.approx(800 / 84.5)
    assert months[6].rate is None
    assert hour_counts([]).sum() == 0
    assert hour_density(times_of(survey), [0.0]) is None  # eight times say nothing about a shape


def test_a_day_without_a_time_of_day_is_in_no_hour_and_shows_no_two_sides_at_one_moment(tmp_path):
    sides = [("aika", f"{side}_flank", "S1", "2023-05-02", "e0", "") for side in ("left", "right")]
    rows = [*sides, *(row for row in ROWS if row[4] != "e1"), ("", "head", "S2", "2023-05-24", "e9", "")]
    dated = make_survey(snowmatch.open_catalog(write_catalog(tmp_path / "c", rows)).data)
    counts = hour_counts(clock_times_of(dated))
    assert {h: int(n) for h, n in enumerate(counts) if n} == {3: 1, 4: 1, 5: 4, 9: 1}
    head, hours = hours_table(dated)
    assert dict(zip(head, hours[0], strict=True))["sightings"] == 0
    assert len(times_of(dated)) == 9
    assert month_activity(dated)[4].sightings == 9
    (both,) = [c for c in dated.captures if c.flank == "B"]
    assert not both.simultaneous


def moments(hours):
    return [datetime(2023, 5, 1) + timedelta(hours=float(h)) for h in hours]


def test_the_density_is_that_of_the_published_kernel():
    hours = np.array([22, 23, 23.5, 0, 0.2, 1, 1.5, 2, 9, 10, 21, 4])
    angles = hours * 2 * np.pi / 24
    strengths = []
    for p in (1, 2, 3):  # Taylor 2008, as Ridout & Linkie 2009 apply it
        moment = abs(np.exp(1j * p * angles).mean())
        strengths.append(brentq(lambda k, p=p, m=moment: iv(p, k) / iv(0, k) - m, 1e-9, 400))
    k, n = max(strengths), len(hours)
    width = (3 * n * k**2 * iv(2, 2 * k) / (4 * math.sqrt(math.pi) * iv(0, k) ** 2)) ** 0.4
    assert bandwidth(angles) == pytest.approx(width, rel=1e-6)
    at = np.array([0, 6, 12, 23.9])
    kernel = np.exp(width * np.cos(at[:, None] * 2 * np.pi / 24 - angles)) / (2 * np.pi * iv(0, width))
    assert hour_density(moments(hours), at) == pytest.approx(kernel.mean(axis=1) * 2 * np.pi / 24, rel=1e-5)


@given(st.lists(st.integers(0, 24 * 60 - 1), min_size=10, max_size=60), st.integers(0, 23))
@settings(max_examples=20)
def test_the_density_is_one_over_a_day_and_turns_with_the_clock(minutes, turn):
    grid = np.linspace(0, 24, 24 * 60 + 1)
    hours = np.array(minutes) / 60
    density = hour_density(moments(hours), grid)
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    assert density[0] == pytest.approx(density[-1])
    turned = hour_density(moments((hours + turn) % 24), (grid + turn) % 24)
    assert (abs(turned - density) <= np.maximum(1e-4 * density, 1e-8)).all()


def test_animals_at_all_hours_have_a_flat_density():
    assert hour_density(moments(range(24)), [0, 5.5, 13]) == pytest.approx([1 / 24] * 3)


def test_both_sides_as_sessions_count_effort_and_sightings_once(folder, survey):
    split = make_survey(snowmatch.open_catalog(folder).data, flanks="sessions")
    assert station_rates(split) == station_rates(survey)
    assert month_activity(split) == month_activity(survey)
    assert times_of(split) == times_of(survey)
    days = {row[0]: row[2] for row in survey_tables(split, None)["stations.csv"][1]}
    assert days == {"S1": 30, "S2": 25, "S3": 29.5}
    assert {i.name: i.sightings for i in individuals(split.captures)} == {"aika": 3, "bars": 3, "cholpon": 1}


def test_a_part_of_a_survey_estimates_all_animals_that_it_has(tmp_path):
    rows = [("aika", "left_flank", "S1", "2023-05-05T10:00:00", "e1", "")]
    posts = "station,from,to\nS1,2023-05-01,2023-05-03\nS2,2023-05-10,2023-05-20\n"
    folder = write_catalog(tmp_path / "c", rows, posts)
    part = select(make_survey(snowmatch.open_catalog(folder).data), first=date(2023, 5, 4))
    assert len(part.captures) == 1
    assert {row[1]: row[2] for row in survey_table(part, "estimates.csv")[1]} == {"m0": 1, "chao": 1}


# --- gaps -------------------------------------------------------------------------------------------------------------


def test_gaps_are_whole_days_without_a_camera(survey):
    (gap,) = effort_gaps(survey)
    assert (gap.place, gap.first, gap.days, gap.kind) == ("S2", at(11), 5, BETWEEN)
    effort = {"1": np.array([[0, 0, 1, 0.5, 0, 2, 0], [0] * 7, [1] * 7])}
    session = replace(survey.sessions[0], days=7)
    found = effort_gaps(replace(survey, sessions=(session,), effort=effort))
    assert [(g.place, g.days, g.kind) for g in found] == [
        ("S1", 2, BEFORE),
        ("S1", 1, BETWEEN),
        ("S1", 1, AFTER),
        ("S2", 7, NEVER),
    ]
    assert runs(np.array([], bool)) == []


# --- hot spots --------------------------------------------------------------------------------------------------------

TWO_GROUPS = [(0, 0), (0, 1), (1, 0), (1, 1)]  # group, place in it
SQUARE = {"a": (0.0, 0.0), "b": (4000.0, 0.0), "c": (0.0, 4000.0), "d": (4000.0, 4000.0)}


def test_equal_rates_are_equal_everywhere():
    spots = hot_spots(SQUARE, {"a": 2, "b": 4, "c": 2, "d": 6}, {"a": 1, "b": 2, "c": 1, "d": 3})
    assert {round(rate, 9) for _, _, rate in spots.cells} == {2}
    assert spots.width == 4000
    assert len(spots.cells) > 50


def test_a_hexagon_is_the_weighted_mean_of_the_stations():
    counts, effort = {"a": 8, "b": 0, "c": 0, "d": 0}, {"a": 2, "b": 2, "c": 1, "d": 1}
    spots = hot_spots(SQUARE, counts, effort)
    for x, y, rate in spots.cells[:: len(spots.cells) // 9]:
        weight = {key: math.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 4000**2)) for key, (a, b) in SQUARE.items()}
        expected = sum(weight[k] * counts[k] for k in SQUARE) / sum(weight[k] * effort[k] for k in SQUARE)
        assert rate == pytest.approx(expected)
        assert min(math.dist((x, y), point) for point in SQUARE.values()) <= spots.width
    highest = max(spots.cells, key=lambda cell: cell[2])
    assert math.dist(highest[:2], SQUARE["a"]) < math.dist(highest[:2], SQUARE["d"])
    assert all(0 < rate < 4 for _, _, rate in spots.cells)


@pytest.mark.parametrize("apart", [150_000, 700_000, 9_000_000])
def test_two_groups_of_stations_have_hexagons_however_far_they_are_apart(apart):
    places = {("", f"S{n}"): (k * apart + j * 1000.0, k * apart + j * 300.0) for n, (k, j) in enumerate(TWO_GROUPS)}
    spots = hot_spots(places, {("", "S0"): 3}, dict.fromkeys(places, 1.0))
    for place in places.values():
        assert min(math.dist(cell[:2], place) for cell in spots.cells) <= spots.radius <= spots.width
    assert len(spots.cells) < 40
    drawn = make_map(Layout(places, ()), {}, spots=spots)
    assert {cell.shade for cell in drawn.hexagons if cell.rate > 1} == {5}


def test_two_places_make_no_hot_spots():
    assert hot_spots({"a": (0, 0), "b": (1, 1)}, {"a": 1}, {"a": 1, "b": 1}) is None
    assert hot_spots(SQUARE, {"a": 1}, {"a": 1, "b": 1}) is None  # two of them worked
    assert hot_spots({"a": (0, 0), "b": (0, 0), "c": (0, 0)}, {}, dict.fromkeys("abc", 1)) is None


# --- a part of a survey -----------------------------------------------------------------------------------------------


def test_a_part_has_its_days_and_its_sightings(survey):
    part = select(survey, date(2023, 5, 5), date(2023, 5, 25))
    (session,) = part.sessions
    assert (session.first, session.days) == (at(5), 21)
    assert [(r.days, r.sightings) for r in station_rates(part)] == [(21, 0), (16, 4), (21, 1)]
    assert [(c.encounters[0], c.occasion) for c in part.captures] == [("e2", 1), ("e3", 1), ("e5", 4), ("e7", 4)]
    assert part.unidentified["1"].sum() == 1
    assert part.unidentified["1"][1, 3] == 1  # at S2 on the 22nd
    assert survey_tables(part, None)["gaps.csv"][1] == [("1", "S2", "2023-05-11", 5, "between")]
    assert select(survey) is survey
    only_s2 = select(survey, last=date(2023, 5, 10))
    assert sum(r.days for r in station_rates(only_s2)) == 10 + 10 + 9.5


def test_days_that_begin_at_noon_are_whole_days_of_a_part(folder):
    noon = make_survey(snowmatch.open_catalog(folder).data, start_hour=12)
    (session,) = select(noon, date(2023, 5, 5), date(2023, 5, 25)).sessions
    assert (session.first, session.span.end) == (at(5, 12), at(25, 12))


def test_a_location_and_an_animal(tmp_path):
    stations = "station,location,from,to\nS1,naryn,2023-05-01,2023-05-30\nS2,sarychat,2023-05-01,2023-05-30\n"
    stations += "S3,naryn,2023-05-01,2023-05-30\n"
    folder = write_catalog(tmp_path / "c", stations=stations)
    text = (folder / "catalog.csv").read_text().replace("naryn,S2", "sarychat,S2")
    (folder / "catalog.csv").write_text(text)
    survey = make_survey(snowmatch.open_catalog(folder).data)
    part = select(survey, location="sarychat")
    assert [p.label for p in part.places] == ["S2"]
    assert {c.individual for c in part.captures} == {"aika", "cholpon"}
    assert part.effort["1"].shape == (1, 30)
    one = only(part, "aika")
    assert [r.sightings for r in station_rates(one)] == [2]  # the unidentified one is not hers
    assert [r.days for r in station_rates(one)] == [30]
    assert only(part, "").captures == part.captures
    assert only(part, "nobody").captures == ()
    with pytest.raises(SnowmatchError, match="no station is in the location 'osh'"):
        select(survey, location="osh")
    with pytest.raises(SnowmatchError, match="no day of the survey is in 2024-01-01"):
        select(survey, date(2024, 1, 1))


def test_a_location_has_what_is_left_out_there_and_no_station_of_the_same_name_elsewhere(tmp_path):
    rows = [("naryn", "S01", 2), ("sarychat", "S01", 3), ("osh", "S02", 2), ("osh", "S03", 3)]  # these count
    rows += [("naryn", "S01", 20), ("sarychat", "S01", 21), ("naryn", "S09", 2), ("sarychat", "", 2), ("", "S01", 2)]
    rows += [("", "S09", 2), ("osh", "S02", 20), ("", "S02", 21), ("naryn", "S02", 22)]
    lines = ["path,individual,body_part,location,station,timestamp,encounter"]
    for n, (location, station, day) in enumerate(rows):
        lines.append(f"p{n}.jpg,aika,left_flank,{location},{station},2023-05-{day:02}T10:00,e{n}")
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    places = ("S01,naryn", "S01,sarychat", "S02,", "S03,", "S03,osh")
    table = ["station,location,from,to", *(f"{place},2023-05-01,2023-05-05" for place in places)]
    (tmp_path / "stations.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    survey = make_survey(snowmatch.open_catalog(tmp_path).data)
    assert len(survey.captures) == 4
    parts = {location: select(survey, location=location) for location in ("naryn", "sarychat", "osh")}
    assert {location: [p.label for p in part.places] for location, part in parts.items()} == {
        "naryn": ["S02", "naryn/S01"],
        "sarychat": ["sarychat/S01"],
        "osh": ["S02", "osh/S03"],
    }
    assert {location: {e.encounter for e in part.left_out} for location, part in parts.items()} == {
        "naryn": {"e4", "e6", "e8", "e10", "e11", "e12"},  # e8 may be of both; S02 is one station of two locations
        "sarychat": {"e5", "e7", "e8"},
        "osh": {"e10", "e11", "e12"},
    }
    assert len(survey.left_out) == 9


def test_both_sides_as_sessions_can_be_cut(folder):
    sides = make_survey(snowmatch.open_catalog(folder).data, flanks="sessions")
    part = select(sides, date(2023, 5, 5), date(2023, 5, 25))
    assert [s.name for s in part.sessions] == ["1 left", "1 right"]
    assert len(part.all_captures) == 4
    assert {c.session for c in part.captures} == {"1 left"}


# --- the tables -------------------------------------------------------------------------------------------------------


def test_the_command_writes_the_tables(folder, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["survey", str(folder), "--out", str(out), "--no-figures", "--co-use", "13"])
    assert result.exit_code == 0, result.output
    rates = {row["station"]: row for row in read_rows(out / "rates.csv")}
    assert (rates["S2"]["sightings_per_100_days"], rates["S2"]["of_them_unidentified"]) == ("16", "1")
    assert [row["individual_b"] for row in read_rows(out / "co-use.csv")] == ["bars", "cholpon"]
    assert [row["first_day"] for row in read_rows(out / "gaps.csv")] == ["2023-05-11"]
    assert sum(int(row["sightings"]) for row in read_rows(out / "activity-hours.csv")) == 8
    assert read_rows(out / "activity-months.csv")[4]["camera_days"] == "84.5"
    assert '"co_use_days": 13' in (out / "manifest.json").read_text()
    result = CliRunner().invoke(main, ["survey", str(folder), "--force"])
    assert result.exit_code == 2
    assert "--force and --co-use belong to --out" in result.output
    for path in out.glob("*.csv"):
        assert "76.1" not in path.read_text()  # no position


def test_one_table_is_that_of_all(survey):
    every = survey_tables(survey, None)
    assert all(survey_table(survey, name) == table for name, table in every.items())
    with pytest.raises(KeyError):
        survey_table(survey, "positions.csv")
