"""A survey: stations, effort, occasions, captures, flanks, movements, tables and the command."""

import json
import math
import socket
import sys
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyproj
import pytest
from click.testing import CliRunner
from conftest import read_rows, texts
from drawn_table import ROWS, STATIONS, write_catalog
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import snowmatch
from snowmatch.catalog.positions import holds_position, is_position
from snowmatch.catalog.stations import Span, read_stations
from snowmatch.cli import main
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.notes import Note
from snowmatch.survey import figures, places, projection
from snowmatch.survey.abundance import m0
from snowmatch.survey.captures import choose_flanks, history
from snowmatch.survey.coordinates import read_coordinates, shown_degrees, shown_positions
from snowmatch.survey.effort import day_effort
from snowmatch.survey.figures import survey_figures
from snowmatch.survey.folder import survey_manifest
from snowmatch.survey.movements import largest_moves, mmdm, movements, spatial_recaptures
from snowmatch.survey.occasions import make_session, read_length, read_session
from snowmatch.survey.run import make_survey
from snowmatch.survey.summaries import accumulation, estimates, frequencies, individuals
from snowmatch.survey.tables import survey_tables, to_csv
from snowmatch.views.survey import format_survey


def survey_of(folder, **options):
    return make_survey(snowmatch.open_catalog(folder).data, **options)


def stations_of(tmp_path, text, **options):
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    notes = []
    return read_stations(tmp_path / "s.csv", notes, **options), notes


def at(day, hour=0):
    return datetime(2023, 5, day, hour)


# --- stations ---------------------------------------------------------------------------------------------------------


def test_headings_of_other_programs_and_whole_days(tmp_path):
    (first, second, third), notes = stations_of(tmp_path, STATIONS)
    assert (first.station, first.location, first.x, first.y, first.crs) == ("S1", "naryn", 76.1, 41.5, 4326)
    assert first.working == Span(at(1), at(31))  # the last day belongs to it
    assert second.problems == (Span(at(11), at(16)),)
    assert third.working.start == at(1, 12)
    assert first.traits == {"habitat": "ridge"}
    assert not notes


def test_a_sighting_is_of_the_session_whose_camera_took_it_where_two_sessions_share_a_day(tmp_path):
    rows = [("aika", "left_flank", "S1", f"2023-05-{day}", f"e{day}", "") for day in ("15T20:00", "16T08:00")]
    stations = "station,session,from,to\nS1,a,2023-05-01,2023-05-15\nS1,b,2023-05-16,2023-05-30\n"
    folder = write_catalog(tmp_path / "c", rows, stations)
    for hour in (0, 12):  # from noon on, both sessions have the day that begins on the 15th
        assert [c.session for c in survey_of(folder, start_hour=hour).captures] == ["a", "b"]


def test_a_date_of_a_session_is_the_day_that_begins_at_the_start_hour(tmp_path):
    days = ("01T08:00", "01T12:00", "15T20:00", "16T08:00", "16T12:00", "31T11:00", "31T12:00")
    rows = [("aika", "left_flank", "S1", f"2023-05-{day}", f"e{day}", "") for day in days]
    folder = write_catalog(tmp_path / "c", rows, "station,from,to\nS1,2023-04-01,2023-06-30\n")
    asked = ["a=2023-05-01..2023-05-15", "b=2023-05-16..2023-05-30"]
    survey = survey_of(folder, sessions=asked, start_hour=12)
    assert [(s.first, s.days) for s in survey.sessions] == [(at(1, 12), 15), (at(16, 12), 15)]
    assert [(c.session, c.encounters) for c in survey.captures] == [
        (name, (f"e{day}",)) for name, day in zip("aaabb", days[1:6], strict=False)
    ]
    assert [each.encounter for each in survey.left_out] == ["e01T08:00", "e31T12:00"]
    assert read_session("a=2023-05-01T08:00..2023-05-02", 12) == ("a", Span(at(1, 8), at(3, 12)))
    with pytest.raises(SnowmatchError, match="is not clear"):
        read_session("a=2023-05-01..2023-05-01T08:00", 12)


def test_a_passage_before_two_cameras_without_a_station_is_a_capture(tmp_path):
    lines = ["path,individual,body_part,location,camera,timestamp,encounter"]
    photos = (("c2", "2023-05-01T10:01", "x"), ("c1", "2023-05-01T10:00", "x"), ("c1", "2023-05-09T10:00", "y"))
    lines += [f"p{n}.jpg,aika,left_flank,naryn,{','.join(photo)}" for n, photo in enumerate(photos)]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    survey = survey_of(tmp_path)
    assert not survey.left_out
    assert [(c.place, c.encounters, c.cameras) for c in survey.captures] == [
        ("c1", ("x",), ("c1", "c2")),
        ("c1", ("y",), ("c1",)),
    ]


def test_semicolons_decimal_commas_degrees_minutes_and_repeated_problem_columns(tmp_path):
    text = (
        "station;x;y;from;to;problem_from;problem_to;problem_from;problem_to\n"
        "A;76,5;41,25;01.05.2023;30.05.2023;03.05.2023;04.05.2023;10.05.2023 12:00;11.05.2023 12:00\n"
        "B;76°30'00\"E;41°15'36\"N;01.05.2023;30.05.2023;;;;\n"
    )
    (a, b), _ = stations_of(tmp_path, text)
    assert (a.x, a.y) == (76.5, 41.25)
    assert a.problems == (Span(at(3), at(5)), Span(at(10, 12), at(11, 12)))
    assert b.x == 76.5
    assert b.y == pytest.approx(41.26)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("N41°33.512'", 41.558533),  # as GPS receivers show it
        ("N 41° 33.5'", 41.558333),
        ("41.5° N", 41.5),
        ("41,5 S", -41.5),
        ("41 30 36 s", -41.51),
        ("41d30m36s", 41.51),
        ("-41:30:36", -41.51),
        ("41°30′36,0″N", 41.51),
        ("41°30'N 5", None),
        ("N41°30'N", None),
        ("-41°30'S", None),
        ("41.5°30'", None),
        ("41°30'60\"", None),
        ("north", None),
    ],
)
def test_degrees_as_people_write_them(tmp_path, text, degrees):
    quoted = text.replace('"', '""')
    if degrees is None:
        with pytest.raises(SnowmatchError, match="no number"):
            stations_of(tmp_path, f'station,x,y\nA,76,"{quoted}"\n')
    else:
        (station,), _ = stations_of(tmp_path, f'station,x,y\nA,76,"{quoted}"\n')
        assert station.y == pytest.approx(degrees, abs=1e-6)


def test_all_problems_are_in_one_list(tmp_path):
    text = (
        "station,camera,x,y,crs,from,to,problem_from,problem_to\n"
        "A,,436500,4600000,,2023-05-01,2023-05-30,,\n"  # metres without a code
        "B,,76,41,32643,2023-05-01,2023-05-30,,\n"  # degrees with the code of metres
        "C,,41,176,,2023-05-01,2023-05-30,,\n"  # swapped
        "D,,76,41,abc,2023-05-30,2023-05-01,,\n"  # end before start, and no code
        "E,,76.1,41,,2023-05-01,,,\n"  # no end
        "F,,76.2,41,,2023-05-01,2023-05-30,2023-06-01,2023-06-02\n"  # problem outside
        "G,,76.3,41,,2023-05-01,2023-05-30,,\n"
        "G,,76.4,41,,2023-05-20,2023-06-30,,\n"  # moved, and the periods overlap
        ",,76.5,41,3857,2023-05-01,soon,,\n"
        "H,,76.6,41,,,,2023-06-01,2023-06-30\n"  # effort from the photos would count the broken month
        "I,,76.7,41,,soon,,2023-06-01,2023-06-30\n"
    )
    with pytest.raises(SnowmatchError) as error:
        stations_of(tmp_path, text)
    lines = {(p["line"], p["column"]) for p in error.value.data["problems"]}
    expected = {(2, "crs"), (3, "crs"), (4, "y"), (5, "crs"), (5, "to"), (6, "to"), (7, "problem_from"), (9, "x")}
    assert lines == expected | {(9, "from"), (10, "station"), (10, "crs"), (10, "to"), (11, "from"), (12, "from")}
    assert [p["line"] for p in error.value.data["problems"]].count(12) == 1


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("A,76,41,,2023-01-01,9999-12-31", "no time of a survey"),
        ("A,76,41,,0001-01-01,2023-01-01", "no time of a survey"),
        ("A,1e300,1e300,32643,,", "no position on the earth"),
        ("A,inf,41,,,", "no number"),
        ("A,76,41,,2023-01-01,2023-01-02,x", "more cells than headings"),
    ],
)
def test_impossible_times_and_positions_are_problems(tmp_path, row, told):
    with pytest.raises(SnowmatchError, match=told) as error:
        stations_of(tmp_path, f"station,x,y,crs,from,to\n{row}\n")
    assert "1e300" not in str(error.value)


@pytest.mark.parametrize(
    ("heading", "cell"),
    [
        ("gps_point", "41.5 N"),
        ("position", "41.51234; 76.11234"),
        ("note", "N 41 30 44 E 76 06 44"),
        ("N,E", "1.5,2.5"),
    ],
)
def test_a_column_with_positions_is_no_trait(tmp_path, heading, cell):
    (row,), notes = stations_of(tmp_path, f"station,{heading},habitat\nA,{cell},ridge\n")
    assert row.traits == {"habitat": "ridge"}
    (note,) = (note for note in notes if note.code == "positions-no-covariates")
    assert note.data["columns"] == sorted(heading.split(","))


def test_an_aspect_and_a_range_stay_traits(tmp_path):
    (row,), _ = stations_of(tmp_path, "station,aspect,ridge\nS1.2022,90° E,12.5/14.2\n")
    assert (row.station, row.traits) == ("S1.2022", {"aspect": "90° E", "ridge": "12.5/14.2"})


@pytest.mark.parametrize("column", ["station", "location"])
def test_a_place_of_the_table_that_is_a_position_is_refused(tmp_path, column):
    row = {"station": "S1", "location": "naryn"} | {column: "41.51234; 76.11234"}
    with pytest.raises(SnowmatchError, match=f"column {column}: a position; expected a name") as error:
        stations_of(tmp_path, f"station,location\n{row['station']},{row['location']}\n")
    assert "51234" not in str(error.value)


@pytest.mark.parametrize(("x", "y"), [("590,123", "4595123"), ("590123", "495,123"), ("590,123", "495,123")])
def test_a_comma_of_metres_that_may_separate_thousands_is_a_problem(tmp_path, x, y):
    with pytest.raises(SnowmatchError, match="comma that may separate thousands; expected metres") as error:
        stations_of(tmp_path, f'station,x,y,crs\nA,"{x}","{y}",32643\n')
    assert not any(secret in str(error.value) for secret in ("590,123", "495,123", "590123"))
    (row,), _ = stations_of(tmp_path, "station;x;y;crs\nA;590123,25;4595123,125;32643\n")
    assert (row.x, row.y) == (590123.25, 4595123.125)
    (row,), _ = stations_of(tmp_path, "station;x;y\nA;76,125;41,512\n")
    assert (row.x, row.y) == (76.125, 41.512)


@pytest.mark.parametrize(
    ("cells", "told"),
    [(("3,850", "980"), True), (("3,850", "2,5"), False), (("0,123", "0,456"), False), (("ridge", "1,2,3"), False)],
)
def test_a_comma_of_a_covariate_that_may_separate_thousands_is_told(tmp_path, cells, told):
    _, notes = stations_of(tmp_path, f"station;elevation\nA;{cells[0]}\nB;{cells[1]}\n")
    texts = [note.text for note in notes if note.code == "unclear-commas"]
    assert bool(texts) is told
    assert all("3,850 of elevation as 3.850;" in text for text in texts)


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (("3,850", "3900.5"), ("3850", "3900.5")),
        (("3,850", "3,900.5"), ("3850", "3900.5")),
        (("3,850", "2.5", "2,5"), ("3,850", "2.5", "2,5")),  # both are decimal points
        (("3,850", "4.100"), ("3,850", "4.100")),
    ],
)
def test_a_decimal_point_shows_that_commas_separate_thousands(tmp_path, cells, read):
    rows = "".join(f"S{n};{cell}\n" for n, cell in enumerate(cells))
    found, notes = stations_of(tmp_path, f"station;elevation\n{rows}")
    assert tuple(row.traits["elevation"] for row in found) == read
    assert ("unclear-commas" in [note.code for note in notes]) is (cells[1] == "4.100")


def test_degrees_with_commas_and_a_wrong_code_are_told_as_degrees(tmp_path):
    with pytest.raises(SnowmatchError, match="x, y look like degrees, not EPSG:32643"):
        stations_of(tmp_path, "station;x;y;crs\nA;76,123;41,512;32643\n")


def test_n_and_e_are_traits_unless_both_are_numbers(tmp_path):
    (row,), notes = stations_of(tmp_path, "station,N,E,s\nA,3,yes,4\n")
    assert row.traits == {"N": "3", "E": "yes", "s": "4"}
    assert [note.code for note in notes] == ["stations-without-position"]


@pytest.mark.parametrize(
    "heading",
    [
        *("latlong", "latlng", "XCoord", "POINT_X", "MGRS", "footprintWKT"),
        *("Широта", "долгота", "Координаты N", "с.ш.", "X_WGS84", "x_m", "DD_N", "Latitud", "Rechtswert"),
    ],
)
def test_positions_are_known_by_many_headings(heading):
    assert holds_position(heading)
    assert not any(map(holds_position, ("habitat", "N", "x_max", "elevation_m")))


@pytest.mark.parametrize(
    "cell",
    [
        *("N 41 30 44 E 76 06 44", "N41 30, E76 06", "41 30 44 N, 76 06 44 E", "N41 30.733", "N41.51234"),
        *("43T 590123 4595123", "UTM zone 43 T, 590123E 4595123N", "N 41d30m44s", "41.51234/75.51234"),
        *("590123.5/4595123.5", "41.5N / 75.5E", "41.5, 75.5", "41° 33 N", "41.512° N", "41° N, 76° E", "41°33.512'"),
        *("41°33N 76°06E", "N41 5.733", "41° 33 44", "41.51234°, -75.51234°", "N41'30'44", "N41'30.733"),
        *("41° 33' 12\" N", "camp at 41°33.5' N, collar visible", "N41° 30.733", "590123 4595123", "43TFG 90123 95123"),
        *("camp at 41.51234, 76.11234, two cubs", "DCIM/41.51234_76.11234/a.jpg", "N41-30-44_E76-06-44/a.jpg"),
        *("lat 41.51234 lon 76.11234", "seen at N41 30 44 E 76 06 44 by Aibek", "den at 43T 590123 4595123, old"),
        *("POINT (76.11234 41.51234)", "https://maps.test/@41.51234,-76.11234,15z", "at 590123E 4595123N"),
        *("N4130.733 E07606.733", "4130.733N 07606.733E", "N4130.733, E07606.733", "N413044.5 E0760644.2"),
        *("41.5123 N76.1", "41.5N 76.1", "N 41.5, E -76.1", "N4595123.5 E590123.5", "590123 0595123"),
        *("den, lat 41.51 lon 76.11", "Longitude: 76,112; Latitude: 41,512", "с.ш. 41.512, в.д. 76.112"),
        *("широта 41.512 долгота 76.112", "41,512 с.ш., 76,112 в.д.", "POINT(76.112 41.512)", "geo:41.512,76.112"),
        *("lat_41.512_lon_76.112/a.jpg", "$GPGLL,4130.733,N,07606.733,E", "UTM 590123 4595123"),
        *("N4130.733_E07606.733/a.jpg", "den at 4130.733N/07606.733E, old", "N 41° 30, E 76° 06", "41 30N76 06E"),
    ],
)
def test_positions_are_known_in_texts(cell):
    assert is_position(cell)


def test_names_remarks_shares_and_boxes_are_no_positions():
    words = ("S01", "S01 02", "S1 2 A", "N1 E2", "N2 3", "1d 20m 30s", "43T", "north 12", "S12-03-04", "12CAT1234")
    stations = ("S1.2022", "S01.2023", "E12.2021", "S1 01 02", "S2 10.2022", "S12 10.2022", "W1:2:3", "S01.20230415")
    remarks = ("12° 2 cubs, collar visible", "slope 30° N side, two cubs", "temp 5º 3 animals", "2º valle")
    remarks += ("late 12.30, long 13.45", "point 12.5, 14.2", "long 1.25, wide 0.45", "С.Ш. 41.51")
    traits = ("90° E", "270° W", "22.5° E", "12.5/14.2", "3.850/4.100", "12°")
    alone = ("S12 10 22", "N41 30 44", "12:30 S", "S12-03_W04-05")
    paths = ("2C/20230415/123456.jpg", "S1.20230415_S2.20240101.jpg", "S01/100RECNX/IMG_0042.JPG", "1234/1234567.jpg")
    numbers = ("163,256,274,133", "0.1234, 0.2345, 0.3456, 0.4567", "ibex 0.9812, puma 0.0123", "2023-05-01 12:30:44")
    times = ("210315 081500", "210315/143000", "150321 081500")
    lists = ("S1.2, S1.3", "N1.5 S2.5", "S1.2022, E2.2022", "S1.2022 2.2023")
    none = (*words, *stations, *remarks, *traits, *alone, *paths, *numbers, *times, *lists)
    assert not [text for text in none if is_position(text)]


def test_a_clock_that_was_reset_makes_no_survey_of_fifty_years(tmp_path):
    rows = [*ROWS, ("aika", "left_flank", "S1", "1970-01-01T00:00:00", "x1", "")]
    photos = (
        "it begins with the photos of S1 and ends with the photos of S3; correct the clock of the camera, or choose"
    )
    with pytest.raises(SnowmatchError, match=f"from 1970-01-01 to 2023-05-28, expected 7306 days at most: {photos}"):
        survey_of(write_catalog(tmp_path / "c", rows, None))
    folder = write_catalog(tmp_path / "d", [*ROWS, ("aika", "left_flank", "S1", "9999-12-31T23:59:59", "x1", "")])
    assert [e.reason for e in survey_of(folder).left_out] == ["outside all sessions"]


def test_a_wrong_year_in_the_table_is_told_with_its_station(tmp_path):
    table = STATIONS.replace("41.52,2023-05-01", "41.52,2003-05-01")
    told = "S2 in the table of stations and ends with S1 in the table of stations; correct the table, or choose a"
    with pytest.raises(SnowmatchError, match=f"from 2003-05-01 to 2023-05-30, .* it begins with {told} session"):
        survey_of(write_catalog(tmp_path / "c", stations=table))
    table = table.replace("S3,naryn,76.15,41.45,2023-05-01T12:00,2023-05-30", "S3,naryn,76.15,41.45,,")
    rows = [*ROWS, ("bars", "left_flank", "S3", "2023-06-28T05:00:00", "e9", "")]
    told = (
        "S2 in the table of stations and ends with the photos of S3; correct the clock of the camera or the table, or"
    )
    with pytest.raises(SnowmatchError, match=f"to 2023-06-28, .* it begins with {told} choose"):
        survey_of(write_catalog(tmp_path / "d", rows, table))
    with pytest.raises(SnowmatchError, match="from 1990-01-01 to 2023-05-30, expected 7306 days at most: choose a"):
        survey_of(write_catalog(tmp_path / "e"), sessions=["1=1990-01-01..2023-05-30"])


def test_a_short_occasion_is_told_as_the_last_or_the_only_one(tmp_path):
    for number, (last, told) in enumerate({
        "2023-05-06": "the last occasion of session 1 has 1 day, the others 5",
        "2023-05-01": "the only occasion of session 1 has 1 day, not 5",
    }.items()):  # fmt: skip
        folder = write_catalog(tmp_path / str(number), ROWS[:2], f"station,from,to\nS1,2023-05-01,{last}\n")
        assert [note.text for note in survey_of(folder).notes if note.code == "short-occasion"] == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x,y\n1,2\n", "no column 'station'"),
        ("station\n", "no rows"),
        ("site,trap\na,b\n", "all mean 'station'"),
        ("station,x,easting\na,1,2\n", "all mean 'x'"),
        ("station,habitat,habitat\na,b,c\n", "'habitat' occurs twice"),
        ("station,problem_from\na,\n", "expected pairs"),
        ("station,from,to\na,3/4/2023,5/4/2023\n", "may begin with the day or with the month"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path, text, told):
    with pytest.raises(SnowmatchError, match=told):
        stations_of(tmp_path, text)


def test_two_cameras_of_a_station_may_work_at_the_same_time(tmp_path):
    text = "station,camera,from,to\nA,left,2023-05-01,2023-05-10\nA,right,2023-05-01,2023-05-10\n"
    folder = write_catalog(tmp_path / "c", [("aika", "left_flank", "A", "2023-05-02T10:00:00", "e1", "")], text)
    survey = survey_of(folder)
    assert survey.effort["1"].tolist() == [[2.0] * 10]


# --- sessions, occasions, effort --------------------------------------------------------------------------------------


def test_effort_is_the_share_of_each_day():
    session = make_session("1", Span(at(1, 12), at(4)), 2, 0)
    assert (session.first, session.days, session.occasions) == (at(1), 3, 2)
    assert day_effort([Span(at(1, 12), at(3, 6))], session).tolist() == [0.5, 1, 0.25]
    assert day_effort([], session).tolist() == [0, 0, 0]
    assert day_effort([Span(datetime(2020, 1, 1), datetime(2030, 1, 1))], session).sum() == 3


def test_a_day_can_begin_at_noon():
    session = make_session("1", Span(at(1), at(3)), 1, 12)
    assert session.first == datetime(2023, 4, 30, 12)
    assert session.days == 3
    assert session.occasion(at(1, 11)) == 0
    assert session.occasion(at(1, 12)) == 1
    assert session.occasion(at(3, 12)) is None
    assert session.occasion(datetime(2023, 4, 30, 11)) is None


UNCLEAR = ("a=03/04/2023..05/06/2023", "a=13/04/2023..04/25/2023")  # March or April; two orders


def test_texts_of_occasions_and_sessions():
    assert [read_length(t) for t in ("5d", "5", "2w", "1 day")] == [5, 5, 14, 1]
    assert read_session("a=2023-05-01..2023-05-31") == ("a", Span(at(1), datetime(2023, 6, 1)))
    for bad in ("", "0d", "5h", "1000d"):
        with pytest.raises(SnowmatchError, match="expected one such as 5d"):
            read_length(bad)
    for bad in ("a=2023-05-01", "a=..", "=2023-05-01..2023-05-02", "a=2023-05-09..2023-05-01", *UNCLEAR):
        with pytest.raises(SnowmatchError, match="is not clear"):
            read_session(bad)


def test_effort_of_a_survey(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c"))
    (session,) = survey.sessions
    assert (session.first, session.days, session.occasions) == (at(1), 30, 6)
    assert survey.occasion_effort(session).tolist() == [
        [5, 5, 5, 5, 5, 5],
        [5, 5, 0, 5, 5, 5],
        [4.5, 5, 5, 5, 5, 5],
    ]


def test_without_a_table_the_effort_is_that_of_the_photos_and_gaps_are_told(tmp_path):
    folder = write_catalog(tmp_path / "c", [*ROWS, ("aika", "left_flank", "S1", "2023-06-20T10:00:00", "e9", "")], None)
    survey = survey_of(folder)
    assert survey.effort["1"][0].sum() == 50  # S1: 2 May to 20 June
    (told,) = (note.text for note in survey.notes if note.code == "effort-from-photos")  # one, however many stations
    assert "of 3 stations worked: their effort is from the first photo to the last (S1 2023-05-02 to 2023-06-20" in told
    assert told.endswith("with gaps of up to 48 days without a photo")


# --- captures ---------------------------------------------------------------------------------------------------------


def test_without_a_table_a_station_that_saw_only_other_species_has_effort(tmp_path):
    photos = [("aika", "S1", 1, "snow leopard"), ("aika", "S1", 30, "snow leopard"), ("", "S1", 31, "ibex")]
    photos += [("", station, day, kind) for station, kind in (("S2", "ibex"), ("S3", "nothing")) for day in (2, 11)]
    lines = ["path,individual,body_part,location,station,timestamp,species"]
    for n, (name, station, day, kind) in enumerate(photos):
        lines.append(f"p{n}.jpg,{name},left_flank,naryn,{station},2023-05-{day:02}T10:00,{kind}")
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    survey = survey_of(tmp_path)
    effort = dict(zip([p.label for p in survey.places], survey.effort["1"].sum(axis=1), strict=True))
    assert effort == {"S1": 31, "S2": 10, "S3": 10}
    assert {c.place for c in survey.captures} == {"S1"}
    assert not survey.unnamed


def test_other_species_at_a_location_without_a_station_make_no_station(tmp_path):
    lines = ["path,individual,location,station,camera,timestamp,species"]
    lines += [f"p{day}.jpg,aika,naryn,S1,,2023-05-{day:02}T10:00,snow leopard" for day in (1, 20)]
    lines += [f"i{day}.jpg,,naryn,,,2023-05-{day:02}T10:00,ibex" for day in (2, 12)]
    lines += [f"c{day}.jpg,,naryn,,C2,2023-05-{day:02}T10:00,ibex" for day in (2, 12)]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [p.label for p in survey_of(tmp_path).places] == ["C2", "S1"]


@pytest.mark.parametrize("sessions", [(), ("a=2023-04-20..2023-05-25",)])
def test_photos_of_other_species_do_not_make_the_survey_longer(tmp_path, sessions):
    photos = [("aika", "S1", f"2023-05-{day:02}", "snow leopard") for day in (1, 10, 20)]
    days = ("2012-01-01", "2023-04-25", "2023-05-03", "2023-05-05", "2023-06-30")
    photos += [("", "S2", day, "ibex") for day in days]
    photos += [("", "S3", "2012-01-02", "ibex")]  # its clock was never set
    lines = ["path,individual,location,station,timestamp,species"]
    lines += [f"p{n}.jpg,{who},naryn,{at},{day}T10:00,{kind}" for n, (who, at, day, kind) in enumerate(photos)]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    survey = survey_of(tmp_path, sessions=sessions)
    (session,) = survey.sessions
    assert session.days == (36 if sessions else 20)
    effort = {p.label: each.sum() for p, each in zip(survey.places, survey.effort[session.name], strict=True)}
    notes = {note.code: note.text for note in survey.notes}
    if sessions:  # they bound the effort, as they do at stations with sightings
        assert effort == {"S1": 20, "S2": 36, "S3": 0}
        assert "photos-outside" not in notes
    else:
        assert effort == {"S1": 20, "S2": 3}
        assert notes["photos-outside"] == (
            "4 photos at stations without a sighting, before 2023-05-01 or after 2023-05-20: no effort is counted for "
            "them"
        )
        assert "S3" not in notes["effort-from-photos"]


def test_photos_of_other_species_alone_make_no_survey(tmp_path):
    text = "path,individual,station,timestamp,species\na.jpg,aika,S1,,snow leopard\nb.jpg,,S2,2023-05-02T10:00,ibex\n"
    (tmp_path / "catalog.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SnowmatchError, match="no sighting has both a time and a station"):
        survey_of(tmp_path)


def test_many_stations_without_a_table_take_one_look_at_each_photo(tmp_path, monkeypatch):
    looks = []
    is_timed = places._is_timed
    monkeypatch.setattr(places, "_is_timed", lambda a: bool(looks.append(a)) or is_timed(a))
    lines = ["path,individual,station,timestamp"] + [f"p{n}.jpg,aika,S{n},2023-05-02T10:00" for n in range(60)]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [effort.sum() for effort in survey_of(tmp_path).effort["1"]] == [1] * 60
    assert len(looks) <= 4 * 60


def test_captures_are_sightings_at_stations_on_occasions(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c"))
    found = [(c.individual, c.place, c.occasion, c.flank, c.simultaneous, len(c.photos)) for c in survey.captures]
    assert found == [
        ("aika", "S1", 1, "B", True, 2),
        ("bars", "S1", 1, "R", False, 1),
        ("aika", "S2", 2, "L", False, 1),
        ("aika", "S2", 2, "L", False, 1),
        ("bars", "S3", 4, "L", False, 1),
        ("cholpon", "S2", 5, "L", False, 1),
        ("bars", "S3", 6, "R", False, 1),
    ]
    assert {c.individual: c.sex for c in survey.captures} == {"aika": "female", "bars": "male", "cholpon": ""}
    assert survey.unidentified["1"].sum() == 1
    assert survey.unidentified["1"][1, 4] == 1  # S2, fifth occasion
    assert not survey.left_out


def test_sightings_near_in_time_can_be_one_capture(tmp_path):
    folder = write_catalog(tmp_path / "c")
    assert len(survey_of(folder, independence=359).captures) == 7
    merged = survey_of(folder, independence=361).captures
    assert len(merged) == 6
    assert [c.encounters for c in merged if c.place == "S2" and c.individual == "aika"] == [("e2", "e3")]
    table = folder / "catalog.csv"  # one of them without the location, which the table of stations tells
    table.write_text(table.read_text().replace("naryn,S2,S2a,2023-05-08T09", ",S2,S2a,2023-05-08T09"))
    assert len(survey_of(folder, independence=361).captures) == 6


@pytest.mark.parametrize(
    ("photos", "apart", "flanks", "at_once", "whole"),
    [
        ([("left", "10:00:00", "e1"), ("right", "10:00:10", "e1")], 0, ["B"], [True], "B"),
        ([("left", "10:00:00", "e1"), ("right", "10:00:11", "e1")], 0, ["B"], [False], "B"),
        ([("left", "10:00:00", "e1"), ("right", "12:00:00", "e2")], 240, ["B"], [False], "B"),
        ([("left", "10:00:00", "e1"), ("right", "12:00:00", "e2")], 0, ["L", "R"], [False, False], "LR"),
    ],
)
def test_flanks_of_captures_and_of_animals_are_those_of_the_guide(tmp_path, photos, apart, flanks, at_once, whole):
    rows = [("aika", f"{side}_flank", "S1", f"2023-05-02T{time}", e, "") for side, time, e in photos]
    tables = survey_tables(survey_of(write_catalog(tmp_path / "c", rows), independence=float(apart)), None)
    found = {}
    for name, columns in (("captures.csv", ("flank", "both_simultaneous")), ("individuals.csv", ("flanks",))):
        head, cells = tables[name]
        found |= {column: [row[list(head).index(column)] for row in cells] for column in columns}
    assert found == {"flank": flanks, "both_simultaneous": at_once, "flanks": [whole]}
    guide = (Path(__file__).parents[1] / "docs" / "survey.md").read_text(encoding="utf-8")
    assert "`flank` in `captures.csv` is `L`, `R`, `B` (both, in one passage or in several that" in guide


def test_what_is_no_capture_is_listed_with_the_reason(tmp_path):
    more = [
        ("dastan", "left_flank", "S9", "2023-05-02T10:00:00", "x1", ""),  # not in the table
        ("dastan", "left_flank", "S2", "2023-05-12T10:00:00", "x2", ""),  # the camera did not work
        ("dastan", "left_flank", "S2", "2023-07-12T10:00:00", "x3", ""),  # after the survey
        ("dastan", "left_flank", "S2", "", "x4", ""),  # no time
        ("", "left_flank", "S2", "2023-07-12T10:00:00", "x5", ""),  # after the survey, of nobody
        ("", "left_flank", "S2", "2022-05-12T10:00:00", "x6", ""),
        ("", "left_flank", "", "", "x7", ""),
    ]
    survey = survey_of(write_catalog(tmp_path / "c", [*ROWS, *more]))
    assert {e.encounter: e.reason for e in survey.left_out} == {
        "x1": "station S9 is not in the table of stations",
        "x2": "no camera of S2 worked on that occasion",
        "x3": "outside all sessions",
        "x4": "no time",
        "x5": "outside all sessions",
        "x6": "outside all sessions",
        "x7": "no time",
    }
    left_out = to_csv(survey_tables(survey, None)["left-out.csv"]).decode().splitlines()
    assert ",x5,S2,naryn,2023-07-12T10:00:00,outside all sessions" in left_out
    assert {each["location"] for each in survey_manifest(survey, None, {})["left_out"]} == {"naryn"}
    assert [note.text for note in survey.notes if note.code == "unidentified-left-out"] == [
        "1 unidentified sighting left out, no time: naryn",
        "2 unidentified sightings left out, outside all sessions: S2 2022-05-12 to 2023-07-12",
    ]
    assert len(survey.captures) == 7
    assert "x3" in texts(survey.notes)


def test_a_location_that_is_spelled_otherwise_in_the_table_is_told(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    rows = [("aika", "Нарын", "Ridge 3", "e1"), ("aika", "", "S1", "e2"), ("", "Нарын", "Ridge 3", "e3"),
            ("", "Нарын", "Ridge 9", "e4"), ("", "Нарын", "Ridge 3", "e5")]  # fmt: skip
    lines = [f"{n}.jpg,{name},left_flank,{where},{station},2023-05-02T10:0{n},{passage}"
             for n, (name, where, station, passage) in enumerate(rows)]  # fmt: skip
    head = "path,individual,body_part,location,station,timestamp,encounter"
    (folder / "catalog.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    table = "station,location,from,to\nRidge 3,Naryn,2023-05-01,2023-05-30\nS1,a,2023-05-01,2023-05-30\n"
    (folder / "stations.csv").write_text(table + "S1,b,2023-05-01,2023-05-30\n", encoding="utf-8")
    survey = survey_of(folder)
    under = (
        "station Ridge 3 is in the table of stations under Naryn, not Нарын: write the location alike in both, or add"
    )
    assert {e.encounter: e.reason for e in survey.left_out} == {
        "e1": f"{under} the station",
        "e2": "station S1 is in the table of stations under a, b, and the catalog tells no location: fill in the "
        "column location",
        "e3": f"{under} the station",
        "e4": "station Ridge 9 is not in the table of stations",
        "e5": f"{under} the station",
    }
    assert [note.text for note in survey.notes if note.code == "unidentified-left-out"] == [
        f"2 unidentified sightings left out, {under} the station: Ridge 3 2023-05-02",
        "1 unidentified sighting left out, station Ridge 9 is not in the table of stations: Ridge 9 2023-05-02",
    ]


def test_a_catalog_without_times_is_an_error(tmp_path):
    folder = write_catalog(tmp_path / "c", [("aika", "left_flank", "S1", "", "e1", "")], None)
    for sessions in ((), ("a=2023-05-01..2023-05-10",)):
        with pytest.raises(SnowmatchError, match="fill in the columns timestamp and station") as error:
            survey_of(folder, sessions=sessions)
        assert error.value.code == "no-occasions"


def test_sessions_come_from_the_table_or_from_the_option(tmp_path):
    table = "station,session,from,to\nS1,spring,2023-05-01,2023-05-10\nS1,summer,2023-05-16,2023-05-25\n"
    rows = [("aika", "left_flank", "S1", f"2023-05-{d}T10:00:00", f"e{d}", "") for d in ("02", "12", "17")]
    folder = write_catalog(tmp_path / "c", rows, table)
    survey = survey_of(folder)
    assert [(s.name, s.days) for s in survey.sessions] == [("spring", 10), ("summer", 10)]
    assert [(c.session, c.occasion) for c in survey.captures] == [("spring", 1), ("summer", 1)]
    assert [e.encounter for e in survey.left_out] == ["e12"]
    own = survey_of(folder, sessions=["a=2023-05-01..2023-05-03"])
    assert [(c.session, c.individual) for c in own.captures] == [("a", "aika")]
    with pytest.raises(SnowmatchError, match="overlap"):
        survey_of(folder, sessions=["a=2023-05-01..2023-05-03", "b=2023-05-03..2023-05-04"])


def test_the_end_of_a_session_is_that_of_the_guide_and_the_tables_are_those_of_the_export(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c", stations="station,from,to\nS1,2023-05-01,2023-05-30\n"))
    guide = (Path(__file__).parents[1] / "docs" / "survey.md").read_text(encoding="utf-8")
    head, (row,) = survey_tables(survey, None)["sessions.csv"]
    assert dict(zip(head, row, strict=True))["end"] == datetime(2023, 5, 31)
    assert "`end`, the moment after its last day" in guide
    assert "best-practice.csv" not in survey_tables(survey, None)
    assert "the tables of `snowmatch survey`, without `best-practice.csv` and those of `--draws`" in guide


@pytest.mark.parametrize(
    ("flanks", "names"),
    [
        ("both", ["aika", "bars", "aika", "aika", "bars", "cholpon", "bars"]),
        ("left", ["aika", "aika", "aika", "bars", "cholpon"]),
        ("right", ["aika", "bars", "bars"]),
        ("hybrid", ["aika", "bars", "aika", "aika", "cholpon", "bars"]),  # bars by its right side
    ],
)
def test_flanks(tmp_path, flanks, names):
    survey = survey_of(write_catalog(tmp_path / "c"), flanks=flanks)
    assert [c.individual for c in survey.captures] == names
    (told,) = [c for c in survey.choices if c.flanks == flanks]
    cells = {c.cell for c in survey.captures}
    assert (told.individuals, told.captures) == (len(set(names)), len(cells))
    assert told.recaptures == told.captures - told.individuals
    assert choose_flanks(survey.captures, flanks) == list(survey.captures)  # chosen again, nothing changes


def test_models_of_two_flanks_get_what_is_known_of_each_side(tmp_path):
    rows = [
        ("aika", "left_flank", "S1", "2023-05-02T10:00:00", "e1", ""),
        ("aika", "right_flank", "S1", "2023-05-02T10:01:00", "e1", ""),
        ("bars", "left_flank", "S2", "2023-05-03T10:00:00", "e2", ""),
        ("cholpon", "left_flank", "S2", "2023-05-08T10:00:00", "e3", ""),
        ("dastan", "right_flank", "S2", "2023-05-09T10:00:00", "e4", ""),
    ]
    told = "1 individual known from both, 2 from the left only, 1 from the right only, thus 3 to 4 animals"
    for flanks in ("both", "left", "sessions"):
        assert told in format_survey(survey_of(write_catalog(tmp_path / flanks, rows), flanks=flanks))
    assert "thus 1 animal\n" in format_survey(survey_of(write_catalog(tmp_path / "one", rows[:2])))


def test_an_animal_with_equally_many_captures_of_both_sides_counts_by_its_left_side(tmp_path):
    rows = [("aika", f"{side}_flank", "S1", f"2023-05-{day}T10:00:00", side, "") for side, day in SIDES]
    survey = survey_of(write_catalog(tmp_path / "c", rows), flanks="hybrid")
    assert [c.flank for c in survey.captures] == ["L"]


SIDES = (("right", "02"), ("left", "12"))


def test_left_and_right_as_sessions_tell_the_effort_once_and_what_shows_no_side(tmp_path):
    rows = [*ROWS, ("", "unknown", "S2", "2023-05-23T05:00:00", "e9", "")]
    survey = survey_of(write_catalog(tmp_path / "c", rows), flanks="sessions")
    assert "3 stations, 84.5 camera-days" in format_survey(survey)
    notes = {note.code: note.text for note in survey.notes}
    assert notes["unidentified-without-side"].startswith("1 unidentified sighting without a side: not counted")
    both = survey_of(tmp_path / "c")
    assert "3 stations, 84.5 camera-days" in format_survey(both)
    assert "unidentified-without-side" not in {note.code for note in both.notes}


def test_one_side_leaves_out_unidentified_sightings_of_the_other_side_and_of_none(tmp_path):
    rows = [*ROWS, ("", "unknown", "S2", "2023-05-23T05:00:00", "e9", ""), ("", "right_flank", "S1", AT, "e10", "")]
    folder = write_catalog(tmp_path / "c", rows)
    for flanks, expected in (("left", ["S2"]), ("right", ["S1"]), ("both", ["S1", "S2", "S2"])):
        survey = survey_of(folder, flanks=flanks)
        assert sorted(u.place for u in survey.unnamed) == expected
        assert survey.unidentified["1"].sum() == len(expected)
        notes = {note.code: note.text for note in survey.notes}
        told = f"1 unidentified sighting without a side: not counted, as only the {flanks} side counts"
        assert notes.get("unidentified-without-side") == (None if flanks == "both" else told)


AT = "2023-05-24T05:00:00"


def test_a_camera_without_dates_beside_one_with_dates_is_told(tmp_path):
    posts = "station,camera,from,to\nS1,a,2023-05-01,2023-05-30\nS1,b,,\nS2,,2023-05-01,2023-05-30\nS3,,,\n"
    survey = survey_of(write_catalog(tmp_path / "c", stations=posts))
    notes = {note.code: note.text for note in survey.notes}
    assert "no effort is counted for S1/b;" in notes["cameras-without-dates"]
    assert "(S3 2023-05-20" in notes["effort-from-photos"]


def test_a_station_with_neither_dates_nor_photos_is_told(tmp_path):
    stations = (
        "station,location,from,to\nS1,naryn,2023-05-01,2023-05-30\nS2,naryn,,\nS3,naryn,,\nT1,naryn,,\nT2,naryn,,\n"
    )
    survey = survey_of(write_catalog(tmp_path / "c", stations=stations))
    (note,) = (note for note in survey.notes if note.code == "stations-without-dates")
    assert note.data == {"stations": ["T1", "T2"]}
    assert "no effort is counted for T1, T2; fill in from and to" in note.text
    survey = survey_of(write_catalog(tmp_path / "d"))
    assert "stations-without-dates" not in {note.code for note in survey.notes}


def located(folder, photos, table):
    """Write a catalog of photos (individual, location, station, day of May, species) and a table of stations."""
    lines = ["path,individual,body_part,location,station,timestamp,species"]
    lines += [
        f"p{n}.jpg,{who},left_flank,{location},{station},2023-05-{day:02}T10:00,{species}"
        for n, (who, location, station, day, species) in enumerate(photos)
    ]
    folder.mkdir()
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if table:
        (folder / "stations.csv").write_text(table, encoding="utf-8")
    return folder


def effort_of(survey):
    return {p.label: each.sum() for p, each in zip(survey.places, survey.effort["1"], strict=True)}


def test_photos_tell_the_effort_of_the_station_that_their_sightings_are_at(tmp_path):
    aika = [("aika", "", station, day, "") for station in ("S01", "S02") for day in (2, 11)]
    table = "station,location,from,to\nS01,naryn,{},{}\nS02,naryn,,\n"
    survey = survey_of(located(tmp_path / "no-dates", aika, table.format("", "")))
    assert effort_of(survey) == {"S01": 10, "S02": 10}
    assert len(survey.captures) == 4
    survey = survey_of(located(tmp_path / "dates-of-one", aika, table.format("2023-05-01", "2023-05-20")))
    assert effort_of(survey) == {"S01": 20, "S02": 10}
    assert (len(survey.captures), survey.left_out) == (4, ())
    assert "stations-without-dates" not in {note.code for note in survey.notes}
    # where two places have the name, photos without a location are at neither, and those with one are at theirs
    two = "station,location,from,to\nS01,naryn,,\nS01,sarychat,,\n"
    here = [("aika", "naryn", "S01", 5, "")]
    assert effort_of(survey_of(located(tmp_path / "two", [*aika, *here], two))) == {"naryn/S01": 1, "sarychat/S01": 0}
    one = "station,location,from,to\nS01,,,\nS01,naryn,,\n"
    assert effort_of(survey_of(located(tmp_path / "one", [*aika, *here], one))) == {"/S01": 10, "naryn/S01": 1}
    with pytest.raises(SnowmatchError, match="has both a time and a station of the table of stations, so there are"):
        survey_of(located(tmp_path / "none", aika, two))


@pytest.mark.parametrize(("here", "there"), [("naryn", ""), ("", "naryn")])
def test_without_a_table_a_photo_of_other_species_is_at_the_station_of_its_name(tmp_path, here, there):
    photos = [("aika", here, "S1", 3, "snow leopard"), ("", there, "S1", 12, "ibex")]
    survey = survey_of(located(tmp_path / "c", photos, ""))
    assert effort_of(survey) == {"S1": 10}
    assert "photos-outside" not in {note.code for note in survey.notes}


def test_without_a_table_a_sighting_without_a_location_is_at_the_station_of_its_name(tmp_path):
    photos = [("aika", "naryn", "S1", 3, ""), ("aika", "", "S1", 12, ""), ("bars", "", "S2", 4, "")]
    survey = survey_of(located(tmp_path / "one", photos, ""))
    assert effort_of(survey) == {"S1": 10, "S2": 1}
    assert [c.place for c in survey.captures] == ["S1", "S2", "S1"]
    assert not movements(survey.captures, {})  # aika stayed there
    survey = survey_of(located(tmp_path / "two", [*photos, ("bars", "sarychat", "S1", 5, "")], ""))
    assert effort_of(survey) == {"/S1": 1, "S2": 1, "naryn/S1": 1, "sarychat/S1": 1}
    told = [note.text for note in survey.notes if note.code == "station-without-location"]
    assert len(told) == 1
    assert told[0].startswith("station S1 has sightings without a location, and naryn, sarychat have a station of this")


def test_names_and_clocks_that_make_the_numbers_wrong_are_told(tmp_path):
    photos = [(name, "naryn", "S1", day, "") for day, name in enumerate(("aika", "Aika", "unknown"), start=2)]
    photos += [("aika", "sarychat", "s1", 9, "")]
    survey = survey_of(located(tmp_path / "c", photos, ""))
    told = {note.code: note.text for note in survey.notes}
    assert told["doubtful-names"].startswith("unknown is read as the name of one animal")
    assert told["individuals-alike"].endswith("count as different: 'Aika', 'aika'")
    assert told["stations-alike"].endswith("count as different: 'S1', 's1'")
    assert told["individuals-in-several-locations"].endswith("are one animal each: aika (naryn, sarychat)")
    named = [("unnamed 1", "S1"), ("aika", "2-Jan"), ("aika + cub", "S1"), ("1.23457E+11", "S1")]
    named_so = [(name, "naryn", station, day, "") for day, (name, station) in enumerate(named, start=2)]
    found = {note.code for note in survey_of(located(tmp_path / "names", named_so, "")).notes}
    assert {"unnamed-names", "individuals-together", "individuals-rewritten", "stations-rewritten"} <= found
    copies = Note("copies", "1 pair of photos in different encounters is the same picture")  # one passage counts twice
    swapped = Note("dates-swapped", "1 photo whose day and month are the other way round")
    given = replace(survey.data, notes=(copies, swapped, Note("no-times", "2 photos have no time")))
    assert make_survey(given).notes[:2] == (copies, swapped)
    assert "no-times" not in {note.code for note in make_survey(given).notes}
    clock = located(tmp_path / "d", photos[:1], "")
    table = (clock / "catalog.csv").read_text()
    (clock / "catalog.csv").write_text(table.replace("2023-05-02", "1999-01-01"))
    assert "early-times" in {note.code for note in survey_of(clock).notes}
    fine = survey_of(located(tmp_path / "e", [("aika", "naryn", "S1", 2, "")], ""))
    assert fine.notes[0].code == "effort-from-photos"


def test_captures_without_a_body_part_are_told(tmp_path):
    rows = [(name, "unknown" if n in (2, 3, 4) else part, *more) for n, (name, part, *more) in enumerate(ROWS)]
    notes = {note.code: note.text for note in survey_of(write_catalog(tmp_path / "a", rows)).notes}
    assert notes["sides-unknown"].startswith("3 of 7 sightings without a body part: an animal that")
    notes = {note.code: note.text for note in survey_of(tmp_path / "a", flanks="left").notes}
    assert notes["sides-unknown"].startswith("3 of 7 sightings without a body part: left out, as flanks left needs")
    assert "sides-unknown" not in {note.code for note in survey_of(write_catalog(tmp_path / "b")).notes}


@pytest.mark.parametrize(("flanks", "told"), [("both", True), ("hybrid", True), ("left", False), ("sessions", False)])
def test_animals_that_may_count_twice_once_a_side_are_told(tmp_path, flanks, told):
    def notes(folder, rows):
        survey = survey_of(write_catalog(tmp_path / folder, rows), flanks=flanks)
        return [note.text for note in survey.notes if note.code == "sides-apart"]

    assert not notes("left", ROWS)  # cholpon is known from the left only, and none from the right only
    more = [(name, "right_flank", "S1", "2023-05-09T10:00:00", name, "") for name in ("dastan", "elnura")]
    text = "1 individual known from the left side only and 2 from the right side only: up to 1 animal may count twice"
    assert [each.startswith(text) for each in notes("both", [*ROWS, *more])] == [True] * told


def test_captures_of_a_head_alone_are_told_where_a_side_counts(tmp_path):
    folder = write_catalog(tmp_path / "a", [*ROWS, ("dastan", "head", "S2", "2023-05-23T05:00:00", "e9", "")])
    for flanks in ("both", "left", "hybrid", "sessions"):
        notes = {note.code: note.text for note in survey_of(folder, flanks=flanks).notes}
        assert "sides-unknown" not in notes
        told = f"1 of 8 sightings with other body parts than flanks: left out, as flanks {flanks} needs a side"
        assert notes.get("no-side") == (None if flanks == "both" else told)


def test_the_age_class_of_an_individual_is_the_last_one_known(tmp_path):
    folder = write_catalog(tmp_path / "c")
    lines = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    ages = {"e1": "cub", "e2": "adult", "e4": "adult"}  # aika was seen once more afterwards, bars twice
    lines = [lines[0] + ",age_class", *(f"{line},{ages.get(line.split(',')[7], '')}" for line in lines[1:])]
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = individuals(survey_of(folder).captures)
    assert {i.name: i.age_class for i in found} == {"aika": "adult", "bars": "adult", "cholpon": ""}


def test_two_sexes_in_one_encounter_make_the_sex_unknown_with_a_note(tmp_path):
    rows = [
        ("aika", "left_flank", "S1", "2023-05-02T10:00:00", "e1", "f"),
        ("aika", "left_flank", "S1", "2023-05-02T10:00:05", "e1", "m"),
        ("aika", "left_flank", "S1", "2023-05-12T10:00:00", "e2", "f"),
    ]
    survey = survey_of(write_catalog(tmp_path / "c", rows))
    assert {c.sex for c in survey.captures} == {""}
    assert "sexes-contradict" in {note.code for note in survey.notes}


def notes_of(tmp_path, rows, stations=STATIONS):
    survey = survey_of(write_catalog(tmp_path / "c", rows, stations))
    return survey, {note.code: note.text for note in survey.notes}


def test_a_session_in_which_no_camera_worked_is_told(tmp_path):
    asked = ["a=2023-05-01..2023-05-30", "b=2024-05-01..2024-05-30"]
    notes = survey_of(write_catalog(tmp_path / "c"), sessions=asked).notes
    told = [note.text for note in notes if note.code == "session-without-effort"]
    assert len(told) == 1
    assert told[0].startswith("no camera worked in session b, 2024-05-01 to 2024-05-30: nothing could be captured")


def test_two_seasons_in_one_session_are_told(tmp_path):
    head = "station,session,from,to\n"
    for n, (days, told) in enumerate((("06-30", False), ("07-01", True))):
        rows = f"S1,,2023-05-01,2023-05-15\nS2,,2023-05-01,2023-05-30\nS1,,2023-{days},2023-07-30\n"
        (tmp_path / str(n)).mkdir()
        notes = notes_of(tmp_path / str(n), ROWS, head + rows)[1]
        assert ("gap-in-session" in notes) == told, days
    assert notes["gap-in-session"].startswith("no camera worked from 2023-05-31 to 2023-06-30 (31 days) in session 1: ")
    rows = "S1,a,2023-05-01,2023-05-15\nS2,a,2023-05-01,2023-05-30\nS1,b,2023-07-01,2023-07-30\n"
    (tmp_path / "named").mkdir()
    assert "gap-in-session" not in notes_of(tmp_path / "named", ROWS, head + rows)[1]
    first = survey_of(tmp_path / "1" / "c", sessions=["a=2023-01-01..2023-05-30"])
    assert "gap-in-session" not in {note.code for note in first.notes}


TWO_SEASONS = "station,from,to\nS1,2023-05-01,2023-05-15\nS1,2023-08-01,2023-08-15\n"


@pytest.mark.parametrize(
    ("table", "asked", "end", "typed"),
    [
        (TWO_SEASONS, (), "of the table of stations", "or -"),
        (TWO_SEASONS, ("a=2023-05-01..2023-08-30",), "; if these are two, ask for two sessions", "--session"),
        ("station\nS1\nS2\n", (), "; if these are two, ask for two sessions", "--session"),
        (None, (), "; if these are two, ask for two sessions", "--session"),
    ],
)
def test_two_seasons_are_told_to_be_named_where_they_can_be(tmp_path, table, asked, end, typed):
    rows = [
        ("aika", "left_flank", "S1", "2023-05-03T10:00:00", "e1", ""),
        ("aika", "left_flank", "S2", "2023-08-09T10:00:00", "e2", ""),
    ]
    survey = survey_of(write_catalog(tmp_path / "c", rows, table), sessions=asked)
    (note,) = (note for note in survey.notes if note.code == "gap-in-session")
    assert note.text.endswith(end)
    assert advice(note.code, note.data).startswith(typed)


def test_a_capture_of_a_time_without_a_camera_is_told(tmp_path):
    gap = ("dastan", "left_flank", "S2", "2023-05-13T05:00:00", "e9", "")  # a whole occasion without a camera
    day = ("dastan", "left_flank", "S3", "2023-05-01T05:00:00", "e10", "")  # before the camera was set up
    survey, notes = notes_of(tmp_path, [*ROWS, gap, day])
    assert [e.encounter for e in survey.left_out] == ["e9"]
    assert notes["captures-without-camera"].startswith("1 capture of a time when no camera of the station worked")
    assert notes["captures-without-camera"].endswith(": e10")
    nameless = ("", "left_flank", "S3", "2023-05-01T06:00:00", "e11", "")
    (tmp_path / "nameless").mkdir()
    told = notes_of(tmp_path / "nameless", [*ROWS, nameless])[1]["unidentified-without-camera"]
    assert told.startswith("1 unidentified sighting of a time when no camera of the station worked")
    assert told.endswith(": S3 2023-05-01")
    (tmp_path / "all").mkdir()
    assert not {"captures-without-camera", "unidentified-without-camera"} & set(notes_of(tmp_path / "all", ROWS)[1])
    for flanks, told in (("right", False), ("left", True), ("sessions", True)):  # of the captures that count, each once
        found = survey_of(tmp_path / "c", flanks=flanks).notes
        notes = [note.text for note in found if note.code == "captures-without-camera"]
        assert [text.startswith("1 capture ") for text in notes] == [True] * told


def test_words_that_are_no_sex_are_told(tmp_path):
    words = ("самка", "Male", "", "unknown", "male?", "2", "m", "м", "")
    rows = [(name, *more, word) for (name, *more, _), word in zip(ROWS, words, strict=True)]
    rows = [(f"a{n}" if row[0] else "", *row[1:]) for n, row in enumerate(rows)]
    survey, notes = notes_of(tmp_path, rows)
    assert {c.individual: c.sex for c in survey.captures if c.sex} == {
        "a0": "female", "a1": "male", "a6": "male", "a7": "male"
    }  # fmt: skip
    assert notes["sexes-unread"] == "no sex: 2, male? in the column sex; expected female or male"


def test_several_values_of_a_covariate_are_told(tmp_path):
    table = "station,x,y,from,to,bait\nS1,76.1,41.5,2023-05-01,2023-05-09,no\nS1,76.1,41.5,2023-05-10,2023-05-30,yes\n"
    survey, notes = notes_of(tmp_path, ROWS[:2], table)
    assert survey.places[0].traits == {"bait": "no"}
    assert notes["several-values"].endswith("the first counts: bait of S1")


def test_one_name_of_stations_in_two_locations_is_told(tmp_path):
    folder = write_catalog(tmp_path / "c", ROWS[:5], "station,x,y,from,to\nS1,76.1,41.5,2023-05-01,2023-05-30\n")
    text = (folder / "catalog.csv").read_text()
    (folder / "catalog.csv").write_text(text.replace("naryn,S1,S1a,2023-05-03", "sarychat,S1,S1a,2023-05-03"))
    codes = {note.code: note.text for note in survey_of(folder).notes}
    assert codes["station-in-several-locations"].startswith("station S1 has sightings in naryn, sarychat")


def test_empty_photos_are_no_sightings_and_other_species_are_told(tmp_path):
    folder = write_catalog(
        tmp_path / "c", [*ROWS, *(("", "", "S1", f"2023-05-0{n}T05:00:00", f"o{n}", "") for n in "67")]
    )
    lines = (folder / "catalog.csv").read_text().splitlines()
    species = ["species", *[""] * len(ROWS), "nothing", "ibex"]
    (folder / "catalog.csv").write_text("\n".join(f"{line},{kind}" for line, kind in zip(lines, species, strict=True)))
    survey = survey_of(folder)
    assert {u.start.day for u in survey.unnamed} == {7, 22}
    assert {n.code: n.text for n in survey.notes}["species-of-none"].endswith(
        "1 unidentified sighting counted, of ibex"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["Snow leopard", "snow leopard", "Empty"], None),
        (["Panthera uncia", "uncia uncia", "Снежный барс"], None),
        (["Snow leopard", "snow leopard", "ibex"], "individuals of 2 species are counted together: ibex, snow leopard"),
    ],
)
def test_several_species_are_not_several_spellings(tmp_path, words, told):
    folder = write_catalog(tmp_path / "c", ROWS)
    lines = (folder / "catalog.csv").read_text().splitlines()
    species = ["species", *words, *["snow leopard"] * (len(ROWS) - len(words))]
    (folder / "catalog.csv").write_text("\n".join(f"{line},{kind}" for line, kind in zip(lines, species, strict=True)))
    assert {n.code: n.text for n in survey_of(folder).notes}.get("several-species") == told


def test_an_unknown_choice_of_flanks_is_an_error(tmp_path):
    with pytest.raises(SnowmatchError, match="did you mean 'left'"):
        survey_of(write_catalog(tmp_path / "c"), flanks="lef")


# --- summaries and movements ------------------------------------------------------------------------------------------


def test_summaries_agree_with_the_history(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c"))
    (session,) = survey.sessions
    names, table = history(survey.captures, "1", 6)
    assert names == ["aika", "bars", "cholpon"]
    assert table.astype(int).tolist() == [[1, 1, 0, 0, 0, 0], [1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 1, 0]]
    assert frequencies(survey.captures, session) == {1: 1, 2: 1, 3: 1}
    assert [n for *_, n in accumulation(survey.captures, session)] == [2, 2, 2, 2, 3, 3]
    assert estimates(survey.captures, session, survey.worked(session))["m0"] == m0(table)
    assert {i.name: (i.captures, i.sightings, i.flanks) for i in individuals(survey.captures)} == {
        "aika": (2, 3, "B"),
        "bars": (3, 3, "LR"),
        "cholpon": (1, 1, "L"),
    }


def test_movements_are_distances_on_the_ground(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c"))
    steps = movements(survey.captures, survey.positions)
    assert [(m.individual, m.origin, m.target) for m in steps] == [("aika", "S1", "S2"), ("bars", "S1", "S3")]
    # 0.1 degrees of longitude at 41.51 N, and 0.02 of latitude, on a sphere of 6371 km
    expected = math.hypot(0.1 * math.cos(math.radians(41.51)), 0.02) * math.pi / 180 * 6371e3
    assert steps[0].distance == pytest.approx(expected, rel=0.005)
    moves = largest_moves(survey.captures, survey.positions)
    assert set(moves) == {("1", "aika"), ("1", "bars")}  # cholpon was captured once
    assert mmdm(survey.captures, survey.positions, "1") == pytest.approx(np.mean(list(moves.values())))
    assert mmdm([], {}, "1") is None
    assert spatial_recaptures(survey.captures) == {("1", "aika"): 1, ("1", "bars"): 1, ("1", "cholpon"): 0}


def test_an_animal_at_a_station_without_a_position_has_no_largest_distance(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c", stations=STATIONS.replace("76.15,41.45", ",")))
    moves = largest_moves(survey.captures, survey.positions)
    assert moves["1", "bars"] is None  # S1 and S3
    assert mmdm(survey.captures, survey.positions, "1") == moves["1", "aika"] > 8000
    (_, rows) = survey_tables(survey, None)["spatial-recaptures.csv"]
    assert {row[1]: row[2:] for row in rows}["bars"] == (1, None)
    assert f"{moves['1', 'aika'] / 1000:.2f} km (without 1 animal captured at stations" in format_survey(survey)


def test_positions_in_two_systems_agree(tmp_path):
    degrees = survey_of(write_catalog(tmp_path / "c"))
    assert degrees.crs == 32643
    metres = "\n".join(
        ["station,x,y,crs,from,to"]
        + [f"{p},{x},{y},32643,2023-05-01,2023-05-30" for p, (x, y) in degrees.positions.items() if p != "S3"]
        + ["S3,76.15,41.45,4326,2023-05-01,2023-05-30"]
    )
    both = survey_of(write_catalog(tmp_path / "d", stations=metres))
    assert both.crs == 32643
    for label, position in both.positions.items():
        assert position == pytest.approx(degrees.positions[label], abs=1e-3)


def test_without_pyproj_the_rest_of_the_survey_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "_MADE", {})
    monkeypatch.setitem(__import__("sys").modules, "pyproj", None)
    survey = survey_of(write_catalog(tmp_path / "c"))
    assert not survey.positions
    assert len(survey.captures) == 7
    assert 'pip install "snowmatch[survey]"' in texts(survey.notes)


def of_system(folder, crs):
    """Write a survey with all stations in one system."""
    rows = [f"S{n},{500000 + n * 5000},4600000,{crs},2023-05-01,2023-05-30" for n in (1, 2, 3)]
    return survey_of(write_catalog(folder, stations="\n".join(["station,x,y,crs,from,to", *rows])))


@pytest.mark.parametrize(("crs", "told"), [(2229, "EPSG:2229 is not in metres"), (99999, "EPSG:99999 is not known")])
def test_positions_of_one_system_that_is_not_in_metres_are_no_metres(tmp_path, crs, told):
    with pytest.raises(SnowmatchError, match=told):
        of_system(tmp_path / "c", crs)


def test_without_pyproj_only_systems_in_metres_are_taken_as_metres(tmp_path, monkeypatch):
    for codes in projection.IN_METRES:
        for code in codes:
            assert {axis.unit_name for axis in pyproj.CRS.from_epsg(code).axis_info} == {"metre"}
    assert of_system(tmp_path / "grid", 2180).crs == 2180
    monkeypatch.setitem(sys.modules, "pyproj", None)
    assert of_system(tmp_path / "utm", 32643).positions["S1"] == (505000, 4600000)
    feet = of_system(tmp_path / "feet", 2229)
    assert not feet.positions
    assert "whether positions in EPSG:2229 are in metres is not known" in texts(feet.notes)


def test_the_zone_of_stations_on_both_sides_of_180_degrees_is_there(tmp_path):
    rows = [f"S{n},{x},66.5,2023-05-01,2023-05-30" for n, x in ((1, 179.9), (2, -179.9), (3, -179.8))]
    stations = "\n".join(["station,x,y,from,to", *rows])
    survey = survey_of(write_catalog(tmp_path / "c", stations=stations))
    assert survey.crs == 32601
    assert math.dist(survey.positions["S1"], survey.positions["S2"]) == pytest.approx(8890, rel=0.01)
    assert "far-stations" not in {note.code for note in survey.notes}


def test_stations_far_from_their_zone_are_told_without_a_position(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c", stations=STATIONS.replace("76.15,41.45", "95.15,41.45")))
    (note,) = (note for note in survey.notes if note.code == "far-stations")
    assert note.data == {"stations": ["S3"]}
    assert not any(character.isdigit() for character in note.text.replace("S3", ""))


def test_a_position_outside_its_system_is_told_by_its_station(tmp_path):
    rows = ["S1,43500123,4612345,32643", "S2,500000,4600000,32644", "S3,510000,4600000,32644"]
    stations = "\n".join(["station,location,x,y,crs", *(row.replace(",", ",naryn,", 1) for row in rows)])
    with pytest.raises(SnowmatchError, match=r"position of naryn/S1 \(crs 32643\) is outside the system") as error:
        survey_of(write_catalog(tmp_path / "c", stations=stations))
    assert "435" not in str(error.value)
    assert "4.6" not in str(error.value)


def test_coordinates_are_given_only_as_asked(tmp_path):
    survey = survey_of(write_catalog(tmp_path / "c"))
    assert shown_positions(survey, None) == {}
    rounded = read_coordinates("rounded:5")
    assert all(x % 5000 == 0 and y % 5000 == 0 for x, y in shown_positions(survey, rounded).values())
    for label, position in shown_positions(survey, rounded).items():
        assert math.dist(position, survey.positions[label]) <= rounded.uncertainty
    assert shown_degrees(survey, read_coordinates("exact"))["S1"] == pytest.approx((76.1, 41.5), abs=1e-6)
    for bad in ("yes", "rounded", "rounded:0", "rounded:x"):
        with pytest.raises(SnowmatchError, match="expected exact or rounded:KM"):
            read_coordinates(bad)


# --- files ------------------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(main, ["survey", *map(str, words)])


def test_the_command_prints_and_writes_the_same_files_again(tmp_path):
    folder, out = write_catalog(tmp_path / "c"), tmp_path / "out"
    result = run(folder, "--out", out)
    assert result.exit_code == 0, result.output
    for told in ("3 individuals, 6 captures", "hybrid", "assumes a closed population", "mean maximum distance moved"):
        assert told in result.output
    assert "not in these numbers: 1 unidentified sighting, perhaps of further animals" in result.output
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    assert {"captures.csv", "effort.png", "timeline.svg", "manifest.json"} <= set(first)
    assert "map.png" not in first
    assert run(folder, "--out", out).exit_code == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == first
    manifest = json.loads(first["manifest.json"])
    assert manifest["settings"]["occasion"] == "5d"
    assert set(manifest["files"]) == set(first) - {"manifest.json"}


def test_no_file_tells_a_position_unless_asked(tmp_path):
    folder = write_catalog(tmp_path / "c")
    survey = survey_of(folder)
    secrets = [f"{v:.0f}" for xy in survey.positions.values() for v in xy] + ["76.1", "41.5", "ridge"]
    assert run(folder, "--out", tmp_path / "out", "--no-figures").exit_code == 0
    content = "".join(p.read_text() for p in (tmp_path / "out").iterdir())
    assert not [s for s in secrets if s in content]
    assert run(folder, "--out", tmp_path / "all", "--coordinates", "exact").exit_code == 0
    assert (tmp_path / "all" / "map.svg").exists()
    rows = read_rows(tmp_path / "all" / "stations.csv")
    assert float(rows[0]["x"]) == pytest.approx(survey.positions["S1"][0], abs=0.01)


def test_the_helps_say_that_the_path_of_a_photo_may_tell_a_position(tmp_path):
    folder = write_catalog(tmp_path / "c", [*ROWS, ("aika", "left_flank", "S1", "", "", "")])
    table, path = folder / "catalog.csv", "DCIM/41.51234_76.11234/a.jpg"
    table.write_text(table.read_text().replace(f"p{len(ROWS)}.jpg", path))
    result = run(folder, "--out", tmp_path / "out", "--no-figures")
    assert result.exit_code == 0
    assert path in (tmp_path / "out" / "left-out.csv").read_text()  # the encounter of a photo without a time
    told = "1 sighting whose name tells a position (photo DCIM/##.#####_##.#####/a.jpg): captures.csv, left-out.csv"
    assert told in result.output
    assert told not in run(folder, "--out", tmp_path / "all", "--no-figures", "--coordinates", "exact").output
    assert told not in run(folder).output  # nothing is written
    early = "DCIM/41.51234_76.11234/b.jpg"  # the manifest has the notes, which name photos
    write_catalog(folder, [*ROWS, ("aika", "left_flank", "S1", "1970-01-01T00:10:00", "e99", "")])
    table.write_text(table.read_text().replace(f"p{len(ROWS)}.jpg", early))
    result = run(folder, "--out", tmp_path / "early", "--no-figures")
    assert early in (tmp_path / "early" / "manifest.json").read_text()
    told = "notes name photos whose path tells a position (DCIM/##.#####_##.#####/b.jpg), and the manifest has"
    assert told in result.output
    assert told not in run(folder, "--out", tmp_path / "all", "--no-figures", "--coordinates", "exact").output
    for command in ("survey", "export"):
        words = " ".join(CliRunner().invoke(main, [command, "--help"]).output.split())
        assert "unless you ask with --coordinates, or the path of a photo tells one" in words


def test_positions_that_were_asked_for_and_that_no_station_has_are_told(tmp_path):
    for name, table, told in (("c", None, True), ("d", STATIONS, False)):
        folder = write_catalog(tmp_path / name, stations=table)
        result = run(folder, "--out", tmp_path / f"out-{name}", "--no-figures", "--coordinates", "rounded:5")
        assert result.exit_code == 0
        assert ("positions were asked for, but no station has one" in result.output) is told


def test_an_edited_file_is_not_replaced(tmp_path):
    folder, out = write_catalog(tmp_path / "c"), tmp_path / "out"
    assert run(folder, "--out", out, "--no-figures").exit_code == 0
    (out / "captures.csv").write_text("mine")
    result = run(folder, "--out", out, "--no-figures")
    assert result.exit_code == 1
    assert "captures.csv" in result.output
    assert (out / "captures.csv").read_text() == "mine"
    assert run(folder, "--out", out, "--no-figures", "--force").exit_code == 0
    assert run(folder, "--out", folder / "x").exit_code == 1
    assert run(folder, "--out", folder).exit_code == 1


def test_without_matplotlib_the_tables_are_written_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run(write_catalog(tmp_path / "c"), "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert 'pip install "snowmatch[survey]"' in result.output
    assert not list((tmp_path / "out").glob("*.png"))


def test_figures_need_no_internet_and_take_any_name(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    rows = [(n or None, *row) for n, *row in ROWS]
    rows = [("$x_1^$ Айка" if name == "aika" else name or "", *row) for name, *row in rows]
    survey = survey_of(write_catalog(tmp_path / "c", rows))
    long = [("x" * 300 if "Айка" in name else name or "", *row) for name, *row in rows]  # a warning is an error here
    assert survey_figures(survey_of(write_catalog(tmp_path / "long", long)), None)
    drawn = survey_figures(survey, read_coordinates("exact"))
    assert {n for n in drawn if n.endswith(".png")} == {"map.png", "timeline.png", "accumulation.png", "effort.png"}
    assert drawn == survey_figures(survey, read_coordinates("exact"))


def test_letters_that_the_font_of_the_figures_lacks_are_told(tmp_path):
    told = "the figures have boxes in place of letters in 1 name (雪豹): their font lacks these letters"
    rows = [("雪豹" if name == "bars" else name, *row) for name, *row in ROWS]
    for name, own in (("a", rows), ("b", [("Айка" if name == "aika" else name, *row) for name, *row in ROWS])):
        folder = write_catalog(tmp_path / name, own)
        result = run(folder, "--out", tmp_path / f"out-{name}")  # a warning of matplotlib is an error here
        assert (result.exit_code, told in result.output) == (0, name == "a"), result.output
    assert told not in run(tmp_path / "a", "--out", tmp_path / "tables", "--no-figures").output


@pytest.mark.parametrize(("number", "names"), [(20, 20), (300, 300), pytest.param(700, 350, marks=pytest.mark.slow)])
def test_the_names_of_rows_of_figures_never_cover_each_other(tmp_path, number, names):
    rows = [
        (f"animal {n}", "left_flank", f"S{n}", f"2023-05-{n % 28 + 1:02}T10:00:00", f"e{n}", "") for n in range(number)
    ]
    survey = survey_of(write_catalog(tmp_path / "c", rows, None))
    for name, draw, height in figures._plans(survey, None):
        if name not in ("timeline", "effort"):
            continue
        figure = Figure(figsize=(8, height), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(axes)
        canvas.draw()
        boxes = sorted((b.y0, b.y1) for b in (label.get_window_extent() for label in axes.get_yticklabels()))
        assert len(boxes) == names
        assert all(below[1] <= above[0] for below, above in pairwise(boxes))
        assert ("one of 2 names is written" in axes.get_title()) is (names < number)
        assert {label.get_fontsize() == 9 for label in axes.get_yticklabels()} == {number == 20}


def test_a_seed_without_draws_is_a_usage_error(tmp_path):
    folder = write_catalog(tmp_path / "c", ROWS)
    result = run(folder, "--seed", "3")
    assert result.exit_code == 2
    assert "--seed belongs to --draws" in result.stderr


def test_a_catalog_without_individuals_has_an_empty_survey(tmp_path):
    rows = [("", *row) for _, *row in ROWS]
    folder = write_catalog(tmp_path / "c", rows)
    result = run(folder, "--out", tmp_path / "out", "--coordinates", "rounded:1")
    assert result.exit_code == 0, result.output
    assert "no animal was captured" in result.output
    assert read_rows(tmp_path / "out" / "captures.csv") == []


def test_no_cell_is_a_formula(tmp_path):
    rows = [("=SUM(A1)" if name == "aika" else name, *row) for name, *row in ROWS]
    survey = survey_of(write_catalog(tmp_path / "c", rows))
    for name, table in survey_tables(survey, None).items():
        assert b",=" not in to_csv(table), name
    cells = ["-1.5", "+2e-3", "-1+1", "+1*2", "@1", "--1", "-"]
    assert to_csv((("cell",), [(cell,) for cell in cells])).decode().split() == ["cell", *cells[:2]] + [
        f"'{cell}" for cell in cells[2:]
    ]
