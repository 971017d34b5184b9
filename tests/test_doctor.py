"""The doctor: each planted fault is found, a clean catalog has none, and the list says what was not looked at."""

import csv
import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import read_rows

from snowmatch.api import open_catalog
from snowmatch.cli import main
from snowmatch.cli.advice import quoted
from snowmatch.cli.doctor_advice import WHAT_TO_DO, finding_advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path, middle_path
from snowmatch.core.types import Annotation
from snowmatch.demo.survey import make_survey
from snowmatch.review.doctor import examine as examination
from snowmatch.review.doctor.examine import examine
from snowmatch.review.doctor.finding import SEVERITIES, Finding, Patient
from snowmatch.review.doctor.labels import findings_of_labels
from snowmatch.review.doctor.stations import Position, Stations, distance_km, read_stations
from snowmatch.review.identities import answer_pair, decide, draft, open_identities
from snowmatch.review.watch_events import recorded_row
from snowmatch.views.catalog import format_overview
from snowmatch.views.doctor import examination_to_json, format_examination

pytestmark = pytest.mark.usefixtures("seen_once")

COLUMNS = (
    "path",
    "individual",
    "body_part",
    "location",
    "station",
    "camera",
    "timestamp",
    "encounter",
    "bbox",
    "species",
    "mask",
)
NOW = datetime(2025, 6, 1)
BOX = "4,4,60,40"


def draw(path, seed, quality=95, size=(96, 64)):
    """Write a photo of blurred noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    blurred = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    cv2.imwrite(str(path), blurred, [cv2.IMWRITE_JPEG_QUALITY, quality])


def rows_of(folder):
    """Write the photos of a catalog without a fault, and return its rows: two cats, both flanks, far apart in time."""
    rows = []
    for n in range(8):
        path = f"S{n % 2}/IMG_{n + 1:04d}.JPG"
        draw(folder / path, n)
        rows.append(
            {
                "path": path,
                "individual": ("aika", "bars")[n // 2 % 2],
                "body_part": ("left_flank", "right_flank")[n // 4],
                "location": "naryn",
                "station": f"S{n % 2}",
                "camera": "1",
                "timestamp": (datetime(2023, 3, 1) + timedelta(days=n, hours=3)).isoformat(),
                "bbox": BOX,
            }
        )
    return rows


def write(folder, rows, stations=""):
    """Write the table of a catalog, and its stations.csv if it has one."""
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    if stations:
        (folder / "stations.csv").write_text(stations, encoding="utf-8")


def found_in(folder, **options):
    return examine(folder, now=NOW, **options)


def by_code(examination):
    return {finding.code: finding for finding in examination.findings}


def seen(folder, *, index=False):
    """Return the findings of a catalog by code."""
    if index:
        open_catalog(folder).index(workers=1)
    return by_code(found_in(folder))


STATIONS = "station,location,x,y,crs\nS0,naryn,76.0,42.0,4326\nS1,naryn,76.5,42.0,4326\n"  # 41 km apart


# --- a clean catalog --------------------------------------------------------------------------------------------------


def test_a_clean_catalog_has_no_finding(tmp_path):
    write(tmp_path, rows_of(tmp_path), STATIONS)
    assert set(seen(tmp_path)) == {"not-indexed"}
    open_catalog(tmp_path).index(workers=1)
    found = found_in(tmp_path)
    assert not {finding.code for finding in found.findings} - {"photos-without-features"}
    assert [note.code for note in found.unseen] == ["names-unseen"]


def test_without_an_index_and_stations_the_list_says_what_was_not_seen(tmp_path):
    write(tmp_path, rows_of(tmp_path))
    assert [note.code for note in found_in(tmp_path).unseen] == ["photos-unseen", "no-places", "names-unseen"]


def test_stations_in_several_coordinate_systems_are_told_to_have_no_distances(tmp_path):
    rows = rows_of(tmp_path)
    two_at_once(rows)
    write(tmp_path, rows, "station,x,y,crs\nS0,500000,4600000,32643\nS1,500000,4600000,32644\nS2,,,\n")
    found = found_in(tmp_path)
    assert [f.severity for f in found.findings if f.code == "two-places"] == ["check"]
    assert [note.code for note in found.unseen] == ["photos-unseen", "several-systems", "names-unseen"]


def test_a_path_that_tells_a_position_is_found_and_its_digits_are_not_shown(tmp_path):
    rows = rows_of(tmp_path)
    path = f"41.51234_76.11234/{rows[0]['path']}"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / rows[0]["path"]).rename(tmp_path / path)
    rows[0]["path"] = path
    write(tmp_path, rows, STATIONS)
    finding = seen(tmp_path)["paths-with-positions"]
    assert finding.severity == "check"
    assert finding.cases[0].startswith("##.#####_##.#####/")
    assert "41.5" not in str(finding)


# --- planted faults that need no index --------------------------------------------------------------------------------


def same_name(rows):
    rows[0]["individual"], rows[1]["individual"] = "Aika", "aika "
    rows[4]["individual"] = "bars 07"
    rows[6]["individual"] = "bars7"


def marks(rows):
    rows[0]["individual"] = "ai-ka"


def station_names(rows):
    for row in rows[:4:2]:
        row["station"] = "s0"


def no_name(rows):
    rows[0]["individual"] = "unknown"


def two_boxes(rows):
    rows.append({**rows[0], "bbox": "70,4,20,40"})


def two_parts(rows):
    rows.append({**rows[0], "body_part": "head", "bbox": "4,4,20,40"})


def two_names(rows):
    rows.append({**rows[0], "individual": "bars"})


def two_at_once(rows):
    rows[1]["individual"], rows[1]["timestamp"] = "aika", rows[0]["timestamp"]


def too_fast(rows):
    rows[1]["timestamp"] = (datetime.fromisoformat(rows[0]["timestamp"]) + timedelta(minutes=30)).isoformat()


def no_time(rows):
    rows[3]["timestamp"] = ""


def early(rows):
    rows[0]["timestamp"] = "2004-12-31T23:59:59"


def future(rows):
    rows[7]["timestamp"] = "2025-06-02T00:00:01"


def backwards(rows):
    rows[4]["timestamp"] = "2016-01-01T03:17:00"  # IMG_0005 of S0, between 2023-03-03 and 2023-03-07


def reset(rows):
    for n in (0, 3):
        rows[n]["timestamp"] = f"2015-01-01T00:00:{n:02d}"


def long(rows):
    for n in range(4):
        start = datetime(2023, 3, 1, 3)
        rows[2 * n]["timestamp"] = (start + timedelta(minutes=55 * 2 * n)).isoformat()
        rows[2 * n]["encounter"] = "E1"


def cameras(rows):
    rows[2]["timestamp"], rows[2]["camera"] = rows[0]["timestamp"], "2"


def half_named(rows):
    rows[2].update(timestamp=rows[0]["timestamp"], individual="")


def one_flank(rows):
    rows[4]["body_part"] = rows[5]["body_part"] = "left_flank"


def no_part(rows):
    rows[0]["body_part"] = ""


def no_box(rows):
    rows[6]["bbox"] = ""


def unnamed(rows):
    rows[0]["individual"] = "unnamed 1"


FAULTS = [
    (same_name, "individuals-same-name", "serious", "'Aika' and 'aika'"),
    (marks, "individuals-alike", "check", "'ai-ka' and 'aika'"),
    (station_names, "stations-same-name", "check", "'S0' and 's0'"),
    (no_name, "doubtful-names", "check", "unknown"),
    (unnamed, "unnamed-names", "check", "unnamed 1"),
    (two_boxes, "one-animal-twice", "serious", "S0/IMG_0001.JPG (aika)"),
    (two_parts, "same-animal-rows", "hint", "S0/IMG_0001.JPG (aika)"),
    (two_names, "two-names", "serious", ""),
    (two_at_once, "two-places", "serious", "IMG_0001.JPG and S1/IMG_0002.JPG"),
    (too_fast, "too-fast", "serious", "aika: naryn/S0 at 2023-03-01 03:00:00 and naryn/S1 30 min later, 41.3 km apart"),
    (no_time, "no-times", "check", "IMG_0004.JPG"),
    (early, "early-times", "check", "IMG_0001.JPG (2004-12-31 23:59:59)"),
    (future, "future-times", "check", "IMG_0008.JPG"),
    (backwards, "times-backwards", "check", "IMG_0005.JPG (2016-01-01 03:17:00) follows S0/IMG_0003.JPG"),
    (reset, "clock-reset", "check", "2015-01-01 00:00"),
    (long, "encounters-long", "check", "E1 (5.5 h, 4 photos)"),
    (cameras, "encounters-of-cameras", "hint", "(cameras 1, 2)"),
    (half_named, "half-named", "check", "1 row of 2 without a name"),
    (one_flank, "one-flank", "hint", "aika: no right flank"),
    (no_part, "body-part-unknown", "hint", "IMG_0001.JPG"),
    (no_box, "no-box", "hint", "IMG_0007.JPG"),
]


@pytest.mark.parametrize(("plant", "code", "severity", "words"), FAULTS, ids=[code for _, code, *_ in FAULTS])
def test_a_planted_fault_is_found(tmp_path, plant, code, severity, words):
    rows = rows_of(tmp_path)
    plant(rows)
    write(tmp_path, rows, STATIONS)
    finding = seen(tmp_path)[code]
    assert finding.severity == severity
    assert not words or any(words in case for case in finding.cases), finding.cases
    assert words == "" or finding.photos
    assert finding_advice(code, {"catalog": str(tmp_path), **finding.data})


def test_photos_that_show_no_animal_have_no_name_body_part_or_box_and_need_none(tmp_path):
    aika = Annotation(0, "0.jpg", "aika", body_part="left_flank", encounter="e", bbox=(0, 0, 9, 9))
    empty = Annotation(1, "1.jpg", None, body_part="unknown", encounter="e")
    blank = [replace(empty, left_out="nothing"), *(replace(empty, species=each) for each in ("Blank", "person"))]
    for rows, number in (((aika, *blank), 0), ((aika, *blank, empty), 1)):
        rows = tuple(replace(a, row=n) for n, a in enumerate(rows))
        data = SimpleNamespace(annotations=rows, folder=tmp_path, notes=())
        found = {f.code: f for f in findings_of_labels(Patient(data, None, Stations(), NOW))}
        assert found.keys() - {"one-flank"} == ({"half-named", "body-part-unknown", "no-box"} if number else set())
        if number:
            assert found["half-named"].cases == ("e: 1 row of 2 without a name, others 'aika'",)
            assert found["no-box"].text.startswith("1 annotation of 2 has")
            assert found["body-part-unknown"].text.startswith("1 annotation of 2 has")


def test_photos_from_days_without_a_camera_are_told_for_each_station(tmp_path):
    rows = rows_of(tmp_path)
    rows[7]["timestamp"] = "2023-02-25T04:00:00"  # set up before its first day: usual
    for row in rows[::2]:
        row["timestamp"] = row["timestamp"].replace("2023", "2022")  # of the clock of S0
    rows[2]["timestamp"] = "2023-03-02T04:00:00"
    worked = "station,location,from,to\nS0,,2023-03-01,2023-03-20\nS1,naryn,2023-03-02,2023-03-07\nS2,,,\n"
    write(tmp_path, rows, worked)
    serious, check = (f for f in found_in(tmp_path).findings if f.code == "photos-without-camera")
    assert (serious.severity, check.severity) == ("serious", "check")
    assert serious.cases == (
        "naryn/S0: 3 of 4 photos, from 2022-03-01 to 2022-03-07, 358 to 364 days before a camera stood there "
        "(2023-03-01 to 2023-03-20); one year later, all of these would fit",
    )
    assert check.cases == (
        "naryn/S1: 1 of 4 photos, from 2023-02-25 to 2023-02-25, 4 days before a camera stood there "
        "(2023-03-02 to 2023-03-07)",
    )
    assert check.photos == ("S1/IMG_0008.JPG",)
    assert finding_advice(check.code, {"catalog": "c"})
    rows[7]["timestamp"] = "9999-12-31T04:00:00"
    write(tmp_path, rows)
    assert "2913472 days after" in [f for f in found_in(tmp_path).findings if f.code == check.code][1].cases[0]
    for near in ("2023-03-01", "2023-03-08T04:00:00"):  # a day before, and some hours after
        rows[7]["timestamp"] = near
        write(tmp_path, [row for row in rows if row["station"] == "S1"])
        assert "photos-without-camera" not in seen(tmp_path)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ("2024-03-01,2024-03-20", True),
        ("2023-03-01,", False),
        ("2023-03-01,2023-02-30", False),
        (",", False),
        ("03/01/2023,03/02/2023", False),  # which of them is the month?
    ],
)
def test_of_a_station_with_a_row_without_a_period_no_photo_is_without_a_camera(tmp_path, second, told):
    rows = rows_of(tmp_path)
    for location in ("naryn", ""):
        write(
            tmp_path, rows, f"station,location,from,to\nS0,{location},2022-03-01,2022-03-20\nS0,{location},{second}\n"
        )
        assert ("photos-without-camera" in seen(tmp_path)) == told


def test_times_that_are_dates_alone_are_neither_reset_nor_two_places(tmp_path):
    rows = rows_of(tmp_path)
    for row in rows:
        row["timestamp"] = "2015-01-01"
    write(tmp_path, rows, STATIONS)
    assert not {"clock-reset", "two-places", "too-fast", "times-backwards"} & set(seen(tmp_path))


def test_a_day_without_a_time_of_day_does_not_make_an_encounter_long(tmp_path):
    rows = rows_of(tmp_path)
    for n, time in enumerate(("2023-03-01", "2023-03-01T18:00:00", "2023-03-01T18:01:00")):
        rows[n] |= {"encounter": "E1", "station": "S0", "timestamp": time}
    write(tmp_path, rows, STATIONS)
    assert "encounters-long" not in seen(tmp_path)


def test_a_file_counter_that_starts_again_is_no_clock_running_backwards(tmp_path):
    rows = rows_of(tmp_path)
    for number, day, row in zip((9998, 9999, 1, 2), range(4), rows[::2], strict=True):
        row["path"] = f"S0/IMG_{number:04d}.JPG"
        row["timestamp"] = datetime(2023, 3, 1 + day, 3).isoformat()
        draw(tmp_path / row["path"], 100 + number)
    write(tmp_path, rows, STATIONS)
    assert "times-backwards" not in seen(tmp_path)


def test_two_cameras_in_one_folder_are_no_clock_running_backwards(tmp_path):
    rows = rows_of(tmp_path)
    for n, row in enumerate(rows[:8]):
        row["path"] = f"S0/{'AB'[n % 2]}_{n // 2 + 1:04d}.JPG"
        row |= {"station": "S0", "timestamp": datetime(2023, 3, 1 + n // 2, 3, 0, n % 2).isoformat()}
        draw(tmp_path / row["path"], 100 + n)
    write(tmp_path, rows, STATIONS)
    assert not {"times-backwards", "clock-set-back"} & set(seen(tmp_path))


def test_without_places_only_one_minute_decides_and_a_person_has_to_check(tmp_path):
    rows = rows_of(tmp_path)
    too_fast(rows)
    write(tmp_path, rows)
    assert not {"too-fast", "two-places"} & set(seen(tmp_path))
    two_at_once(rows)
    write(tmp_path, rows)
    assert seen(tmp_path)["two-places"].severity == "check"


def test_one_distance_does_not_make_cases_without_a_distance_serious(tmp_path):
    rows = rows_of(tmp_path)
    two_at_once(rows)  # between S0 and S1
    rows[5].update(individual="bars", timestamp=rows[4]["timestamp"], station="S9")
    rows[4]["individual"] = "bars"
    write(tmp_path, rows, STATIONS)
    found = [f for f in found_in(tmp_path).findings if f.code == "two-places"]
    assert [(f.severity, len(f.cases), "km apart" in f.cases[0]) for f in found] == [
        ("serious", 1, True),
        ("check", 1, False),
    ]


@pytest.mark.parametrize(("location", "station"), [("", ""), ("naryn", ""), ("naryn", "S9")])
def test_a_photo_of_an_unknown_place_hides_no_impossible_step(tmp_path, location, station):
    rows = rows_of(tmp_path)
    too_fast(rows)
    between = (datetime.fromisoformat(rows[0]["timestamp"]) + timedelta(minutes=15)).isoformat()
    rows[2].update(timestamp=between, individual=rows[0]["individual"], location=location, station=station)
    rows[1]["individual"] = rows[0]["individual"]
    write(tmp_path, rows, STATIONS)
    assert "30 min later, 41.3 km apart" in seen(tmp_path)["too-fast"].cases[0]


def test_two_stations_side_by_side_are_one_walk(tmp_path):
    rows = rows_of(tmp_path)
    two_at_once(rows)
    near = "station,x,y,crs\nS0,500000,4600000,EPSG:32643\nS1,500300,4600000,EPSG:32643\n"
    write(tmp_path, rows, near)
    assert not {"too-fast", "two-places", "stations-unread"} & set(seen(tmp_path))


# --- stations.csv -----------------------------------------------------------------------------------------------------


def test_distances_on_the_earth_and_on_a_map():
    assert distance_km(Position(0, 0, 4326), Position(1, 0, 4326)) == pytest.approx(111.195, abs=0.01)
    assert distance_km(Position(179.5, 0, 4326), Position(-179.5, 0, 4326)) == pytest.approx(111.195, abs=0.01)
    assert distance_km(Position(10, 60, 4326), Position(11, 60, 4326)) == pytest.approx(55.6, abs=0.1)
    for metres in (32643, 4087, 4484, 4491, 4547):  # systems in metres have numbers among those in degrees
        assert distance_km(Position(0, 0, metres), Position(3000, 4000, metres)) == 5
    assert distance_km(Position(0, 0, 32643), Position(0, 0, 4326)) is None


def test_rows_of_stations_that_cannot_be_used_are_listed(tmp_path):
    text = (
        "Station;X;Y;CRS\nA;76,1;42;\nB;76.1;42;here\nC;500000;42;\n;1;1;\nD;76.1;42.1;\nD;76.2;42.1;\nE;75;41;4326\n"
    )
    (tmp_path / "stations.csv").write_text(text, encoding="utf-8")
    stations = read_stations(tmp_path)
    assert set(stations.positions) == {("", "A"), ("", "D"), ("", "E")}  # a decimal comma is a number
    assert {problem.split(",")[0] for problem in stations.problems} == {f"line {n}" for n in (3, 4, 5, 7)}
    (tmp_path / "stations.csv").write_text("name\nA\n", encoding="utf-8")
    assert "no column 'station' in name" in read_stations(tmp_path).problems[0]
    assert read_stations(tmp_path / "elsewhere").problems == ()


def test_problems_of_stations_are_findings_and_no_place_is_printed(tmp_path):
    rows = rows_of(tmp_path)
    too_fast(rows)
    write(tmp_path, rows, STATIONS + "S9,naryn,76.123456,,4326\n")
    found = found_in(tmp_path)
    assert {"stations-unread", "too-fast"} <= set(by_code(found))
    write(tmp_path, rows, "station,x,y\nS1,76.123456,42.654321\n")
    found = found_in(tmp_path)
    assert by_code(found)["stations-without-place"].cases == ("naryn/S0",)
    text = format_examination(found, finding_advice) + json.dumps(examination_to_json(found, finding_advice))
    assert "76.12" not in text
    assert "42.65" not in text


@pytest.mark.parametrize(
    ("stations", "elsewhere", "without"),
    [
        ("S0,Naryn\nS1,Naryn\n", ("serious", ("naryn/S0: Naryn/S0 in stations.csv",
                                              "naryn/S1: Naryn/S1 in stations.csv")), None),
        ("S0,Naryn\nS1,naryn\n", ("check", ("naryn/S0: Naryn/S0 in stations.csv",)), ("hint", ("naryn/S1",))),
        ("S0,Naryn\nS0,b\n", ("serious", ("naryn/S0: Naryn/S0, b/S0 in stations.csv",)), ("serious", ("naryn/S1",))),
        ("S8,naryn\n", None, ("serious", ("naryn/S0", "naryn/S1"))),
        ("S0,\nS8,naryn\n", None, ("hint", ("naryn/S0", "naryn/S1"))),
        ("c1,naryn\n", None, ("hint", ("naryn/S0", "naryn/S1"))),  # a survey takes the camera where there is no station
    ],
)  # fmt: skip
def test_stations_that_a_survey_does_not_find_are_findings(tmp_path, stations, elsewhere, without):
    rows = rows_of(tmp_path)
    rows.append(rows[-1] | {"path": "x.jpg", "station": "", "camera": "c1"})
    write(tmp_path, rows, f"station,location\n{stations}")
    found = by_code(found_in(tmp_path))
    for code, expected in (("stations-elsewhere", elsewhere), ("stations-without-place", without)):
        assert (code in found and (found[code].severity, found[code].cases)) == (expected or False)


@pytest.mark.parametrize(("second", "code"), [("S1,naryn", "too-fast"), ("S1,naryn,76.4,41.6\nS1,sary", None)])
def test_a_catalog_without_locations_has_the_stations_that_a_survey_finds(tmp_path, second, code):
    rows = rows_of(tmp_path)
    too_fast(rows)
    for row in rows:
        row["location"] = ""
    write(tmp_path, rows, f"station,location,x,y\nS0,naryn,76.1,41.3\n{second},76.5,41.6\n")
    found = by_code(found_in(tmp_path))
    assert ("too-fast" in found) == (code == "too-fast")
    assert not {"stations-elsewhere", "stations-without-place"} & set(found)
    assert ("stations-without-location" in found) == (code is None)
    if code is None:
        told = found["stations-without-location"]
        assert (told.severity, told.cases) == ("check", ("S1: naryn/S1, sary/S1 in stations.csv",))
        assert told.text.startswith("1 station of the catalog has no location there, and several in stations.csv: a ")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [False, True])
def test_equal_files_are_found_with_and_without_an_index(tmp_path, index):
    rows = rows_of(tmp_path)
    for name, row in (("copy.JPG", {"individual": "bars"}), ("again.JPG", {}), ("beside.JPG", {})):
        shutil.copy(tmp_path / rows[0]["path"], tmp_path / name)
        rows.append({**rows[0], "path": name, **row})
    rows[-2]["timestamp"] = "2023-05-01T00:01:00"
    shutil.copy(tmp_path / rows[0]["path"], tmp_path / "0-nobody.JPG")
    rows.append({**rows[0], "path": "0-nobody.JPG", "individual": ""})
    write(tmp_path, rows, STATIONS)
    found = seen(tmp_path, index=index)
    assert found["copies-with-two-names"].severity == "serious"
    assert all("the same file" in case for case in found["copies-with-two-names"].cases)
    assert {"copy.JPG", "S0/IMG_0001.JPG"} <= set(found["copies-with-two-names"].photos)
    assert {"copies", "copies-in-encounter"} <= set(found)
    assert bool(found["copies"].annotations) == index


def test_a_copy_that_was_replaced_by_the_right_photo_is_none_before_the_next_index_run(tmp_path):
    rows = rows_of(tmp_path)
    lost, copy = rows[0]["path"], "copy.JPG"
    shutil.copy(tmp_path / lost, tmp_path / copy)
    write(tmp_path, [*rows, {**rows[2], "path": copy, "timestamp": "2023-05-01T00:01:00"}], STATIONS)
    found = seen(tmp_path, index=True)["copies-with-two-names"]
    assert found.cases == (f"{lost} (aika) and {copy} (bars): the same file",)
    draw(tmp_path / copy, 99)
    assert "copies-with-two-names" not in seen(tmp_path)
    (tmp_path / lost).unlink()
    assert seen(tmp_path)["files-missing"].cases == (f"{lost}: the file does not exist",)


def test_nearly_equal_pictures_are_found_once_they_are_indexed(tmp_path):
    rows = rows_of(tmp_path)
    draw(tmp_path / "saved.JPG", 0, quality=60)
    rows.append({**rows[2], "path": "saved.JPG", "timestamp": "2023-05-01T00:01:00"})
    write(tmp_path, rows, STATIONS)
    assert "copies-with-two-names" not in seen(tmp_path)
    (case,) = seen(tmp_path, index=True)["copies-with-two-names"].cases
    assert case == "S0/IMG_0001.JPG (aika) and saved.JPG (bars): nearly the same picture"


def test_missing_empty_damaged_stale_and_new_photos_are_told_apart(tmp_path):
    rows = rows_of(tmp_path)
    (tmp_path / rows[4]["path"]).write_bytes((tmp_path / rows[4]["path"]).read_bytes()[:300])
    write(tmp_path, rows, STATIONS)
    open_catalog(tmp_path).index(workers=1)
    (tmp_path / rows[0]["path"]).unlink()
    (tmp_path / rows[1]["path"]).write_bytes(b"")
    draw(tmp_path / rows[2]["path"], 77, size=(110, 70))
    draw(tmp_path / "new.JPG", 78)
    rows.append({**rows[3], "path": "new.JPG", "timestamp": "2023-06-01T00:00:00"})
    rows[3]["mask"] = "mask.png"
    write(tmp_path, rows, STATIONS)
    found = seen(tmp_path)
    assert found["files-missing"].cases == (
        "S0/IMG_0001.JPG: the file does not exist",
        "S1/IMG_0002.JPG: the file is empty",
        "mask.png: the file does not exist",
    )
    assert found["failed"].photos == (rows[4]["path"],)
    assert rows[2]["path"] in found["stale-annotations"].photos
    assert found["missing-annotations"].photos == ("new.JPG",)


def test_what_snowmatch_stored_and_is_damaged_is_a_finding_and_not_an_error(tmp_path):
    write(tmp_path, rows_of(tmp_path), STATIONS)
    open_catalog(tmp_path).index(workers=1)
    (settings,) = (tmp_path / ".snowmatch" / "features").glob("*/settings.json")
    shutil.copytree(settings.parent, copy := settings.parent.with_name(f"{settings.parent.name} (1)"))
    settings.write_text("{")
    found = seen(tmp_path)
    assert "files-mended" in found
    assert found["features-unused"].data["folders"] == [str(copy)]
    asked = open_catalog(tmp_path).session
    assert "features-unused" not in [note.code for note in asked().notes]  # those that count are there
    shutil.rmtree(copy)
    open_catalog(tmp_path).index("sift", workers=1)
    settings.parent.rename(hidden := settings.parent.with_name("hesaff-0123456789ab"))
    (note,) = [note for note in asked().notes if note.code == "features-unused"]
    assert note.data["folders"] == [str(hidden)]
    hidden.rename(settings.parent)
    shutil.rmtree(next(settings.parent.parent.glob("sift-*")))
    (features,) = settings.parent.glob("features-*.h5")
    settings.write_text("{")
    features.write_bytes(features.read_bytes()[::-1])
    found = found_in(tmp_path, deep=True)
    assert "damaged-settings" in by_code(found)
    assert not found.deep
    open_catalog(tmp_path).index(workers=1)
    (checked,) = (tmp_path / ".snowmatch" / "features").glob("*/checked.json")
    checked.write_text(checked.read_text().replace("1", "2"))
    assert "checks-damaged" in seen(tmp_path)
    open_catalog(tmp_path).index(workers=1)
    assert "checks-damaged" not in seen(tmp_path)
    middle_path(tmp_path).write_bytes(b"no")
    assert "middle-damaged" in seen(tmp_path)
    database_path(tmp_path).write_bytes(b"no database at all" * 100)
    assert "records-damaged" in seen(tmp_path)


# --- the coats --------------------------------------------------------------------------------------------------------

ANIMALS = 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return an indexed survey with three left flanks of each of five cats."""
    folder = tmp_path_factory.mktemp("drawn") / "survey"
    passages = [(animal, "left") for _ in range(3) for animal in range(ANIMALS)]
    make_survey(folder, individuals=ANIMALS, stations=4, passages=passages, photos=(1, 1), seed=5, size=(640, 430))
    open_catalog(folder).index(workers=1)
    return folder


def renamed(drawn, folder, change):
    """Copy the survey and give rows other names. Nothing is indexed again."""
    shutil.copytree(drawn, folder)
    rows = read_rows(folder / "catalog.csv")
    change(rows)
    write(folder, rows)
    return rows


@pytest.mark.slow
def test_a_survey_with_right_names_agrees_with_its_coats(drawn):
    counts = []
    found = found_in(drawn, deep=True, progress=lambda done, total: counts.append((done, total)))
    assert found.deep
    assert counts[-1] == (3 * ANIMALS, 3 * ANIMALS)
    assert [finding.code for finding in found.findings if finding.severity != "hint"] == []
    assert "names-unseen" not in [note.code for note in found.unseen]


@pytest.mark.slow
def test_an_encounter_with_the_name_of_another_animal_is_found(drawn, tmp_path):
    names = sorted({row["individual"] for row in read_rows(drawn / "catalog.csv")})
    at = next(n for n, row in enumerate(read_rows(drawn / "catalog.csv")) if row["individual"] == names[0])
    rows = renamed(drawn, tmp_path / "survey", lambda rows: rows[at].update(individual=names[1]))
    found = by_code(found_in(tmp_path / "survey", deep=True))
    wrong = found["wrong-name"]
    assert wrong.photos == (rows[at]["path"],)
    (told,) = wrong.data["encounters"]
    assert (told["named"], told["looks_like"]) == (names[1], names[0])
    assert told["probability"] > 0.9 > 0.1 > told["named_probability"]
    assert "look-like-one" not in found
    typed = finding_advice("wrong-name", {"catalog": str(tmp_path / "survey"), **wrong.data})
    assert rows[at]["path"] in typed
    assert "--bodypart left_flank" in typed


@pytest.mark.slow
def test_an_animal_with_two_names_looks_like_one(drawn, tmp_path):
    names = sorted({row["individual"] for row in read_rows(drawn / "catalog.csv")})
    at = next(n for n, row in enumerate(read_rows(drawn / "catalog.csv")) if row["individual"] == names[2])
    renamed(drawn, tmp_path / "survey", lambda rows: rows[at].update(individual="stranger"))
    found = by_code(found_in(tmp_path / "survey", deep=True))
    assert found["look-like-one"].data["pairs"][0]["individuals"] == [names[2], "stranger"]
    assert len(found["look-like-one"].cases) == 1
    assert "wrong-name" not in found


def test_the_coats_cannot_be_seen_without_an_index_or_names(tmp_path):
    write(tmp_path, rows_of(tmp_path), STATIONS)
    found = found_in(tmp_path, deep=True)
    assert not found.deep
    assert found.unseen[-1].code == "not-indexed"
    assert finding_advice("not-indexed", found.unseen[-1].data) == f"snowmatch index {tmp_path}"


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def test_the_command_lists_the_worst_first_and_exits_with_1(tmp_path):
    rows = rows_of(tmp_path)
    for plant in (early, two_boxes, no_box):
        plant(rows)
    write(tmp_path, rows, STATIONS)
    done = run(tmp_path)
    assert done.exit_code == 1
    heads = [line for line in done.output.splitlines() if line in ("Serious:", "To check:", "Hints:", "Not looked at:")]
    assert heads == ["Serious:", "To check:", "Hints:", "Not looked at:"]
    assert f"  > snowmatch index {tmp_path}" in done.output
    assert not (tmp_path / ".snowmatch").exists()
    write(tmp_path, rows_of(tmp_path), STATIONS)
    assert run(tmp_path).exit_code == 0


def test_a_long_list_is_cut_but_for_all_and_json(tmp_path):
    rows = rows_of(tmp_path)
    for row in rows:
        row["bbox"] = ""
    write(tmp_path, rows, STATIONS)
    cut, whole = run(tmp_path), run(tmp_path, "--all")
    assert "and 3 more (--all)" in cut.output
    assert "IMG_0008.JPG" not in cut.output
    assert "IMG_0008.JPG" in whole.output
    values = json.loads(run(tmp_path, "--json").stdout)
    assert values["schema"] == "snowmatch.doctor/1"
    (finding,) = [finding for finding in values["findings"] if finding["code"] == "no-box"]
    assert len(finding["cases"]) == len(finding["photos"]) == 8
    fill = "fill in the column bbox or mask"
    assert finding["advice"].startswith(f"{fill}; if these are snow leopards: snowmatch screen ")
    assert values["counts"] == {"serious": 0, "check": 0, "hint": 2}


@pytest.mark.parametrize(("species", "screened"), [("nyala", False), ("Snow leopard", True), ("nothing", True)])
def test_a_screening_for_snow_leopards_is_not_advised_for_another_species(tmp_path, species, screened):
    rows = [{**row, "bbox": "", "species": species} for row in rows_of(tmp_path)]
    write(tmp_path, rows, STATIONS)
    values = json.loads(run(tmp_path, "--json").stdout)
    (finding,) = [finding for finding in values["findings"] if finding["code"] == "no-box"]
    assert ("snowmatch screen" in finding["advice"]) == screened


def test_no_name_alters_the_terminal(tmp_path):
    rows = rows_of(tmp_path)
    rows[0]["individual"], rows[1]["individual"] = "\x1b[31mred", "\x1b[31mRED"
    write(tmp_path, rows, STATIONS)
    assert "\x1b" not in run(tmp_path).output + run(tmp_path, "--json").output


@pytest.mark.parametrize("text", ["", "name\nx\n", "path,bbox\na.jpg,here\n"])
def test_a_damaged_or_unknown_catalog_is_one_clear_line(tmp_path, text):
    (tmp_path / "catalog.csv").write_text(text, encoding="utf-8")
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = run(folder)
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
        assert len(done.output.splitlines()) == 1
        with pytest.raises(SnowmatchError):
            open_catalog(folder)


def test_advice_names_existing_commands():
    for code, what in WHAT_TO_DO.items():
        about = {"catalog": "c", "encounters": [{"photos": ["a b.jpg"], "body_part": "left_flank"}]}
        text = what(about)
        command = text.split("snowmatch ")[1].split()[0] if "snowmatch " in text else "doctor"
        assert main.get_command(None, command) is not None, code


def test_a_finding_has_a_known_severity():
    with pytest.raises(ValueError, match="severity"):
        Finding("x", "grave", "text")
    assert [Finding("x", severity, "text").severity for severity in SEVERITIES] == list(SEVERITIES)


def test_decisions_that_contradict_are_serious(own_survey):
    folder = own_survey / "catalog"
    who = open_identities(folder)
    a, b = next(each.sightings[:2] for each in who.who.individuals if len(each.sightings) > 1)
    decide(who, [answer_pair(who, a, b, "different", "Anna")])
    result = CliRunner().invoke(main, ["doctor", str(folder), "--json"])
    assert result.exit_code == 1
    found = {each["code"]: each for each in json.loads(result.output)["findings"]}
    assert found["contradictions"]["severity"] == "serious"
    assert found["contradictions"]["annotations"] == [who.who.sightings[n].annotations[0] for n in (a, b)]
    elsewhere = (folder / "decisions.sqlite").rename(own_survey / "elsewhere.sqlite")
    for decisions, told in ((None, False), (elsewhere, True)):
        assert ("contradictions" in {each.code for each in examine(folder, decisions).findings}) is told
    result = CliRunner().invoke(main, ["doctor", str(folder), "--decisions", str(elsewhere)])
    assert f"snowmatch identities {quoted(str(folder))} check --decisions {quoted(str(elsewhere))}" in result.output


def test_the_commands_of_the_advice_use_the_file_of_decisions_that_was_given():
    first = {"photos": ["a b.jpg"], "body_part": "left_flank"}
    about = {"catalog": "c", "encounters": [first], "decided": True, "pair": ["a0", "a1"], "decisions": "my file"}
    for code in (*WHAT_TO_DO, "not-indexed"):
        told = finding_advice(code, about)
        assert told.count("snowmatch ") == told.count(f"--decisions {quoted('my file')}"), code
    assert "--decisions" not in finding_advice("contradictions", {"catalog": "c"})


def test_names_by_decisions_are_not_corrected_in_the_table(tmp_path):
    head = "path,individual,body_part,station,timestamp,encounter,bbox,annotation\n"
    lines = [
        'a.jpg,Aika,left_flank,S0,2023-03-01T03:00:00,e0,"0,0,9,9",a0\n',
        'a.jpg,Bars,left_flank,S0,2023-03-01T03:00:00,e0,"50,0,9,9",a1\n',
        "b.jpg,,left_flank,S1,2023-03-01T03:00:30,e1,,a2\n",
        "c.jpg,,left_flank,S1,2023-03-09T03:00:00,e2,,a3\n",
        "d.jpg,aika,left_flank,S1,2023-03-19T03:00:00,e3,,a4\n",
    ]
    (tmp_path / "catalog.csv").write_text(head + "".join(lines))
    for name in "abcd":
        (tmp_path / f"{name}.jpg").write_text("one" if name in "cd" else name)
    codes = "individuals-same-name", "one-animal-twice", "two-places", "copies-with-two-names"

    def advised():
        found = seen(tmp_path)
        return {code: finding_advice(code, {"catalog": "c", **found[code].data}) for code in codes if code in found}

    assert "rows or folders" in advised()["individuals-same-name"]
    who = open_identities(tmp_path)
    decide(who, [draft("name", "Anna", "Aika", side_a=(name,)) for name in ("a1", "a2", "a3")])
    told = advised()
    assert told["individuals-same-name"] == "snowmatch identities c merge NAME NAME"
    for code in codes[1:]:
        assert "snowmatch identities c name NAME" in told[code]
        assert "individual" not in told[code]
    assert "correct station or timestamp in catalog.csv" in told["two-places"]
    decide(open_identities(tmp_path), [draft("undo", "Anna", row.id) for row in open_identities(tmp_path).rows])
    assert "rows or folders" in advised()["individuals-same-name"]


@pytest.mark.parametrize("changed", [lambda rows: rows[::-1], lambda rows: rows[:2]])
def test_a_catalog_that_is_changed_meanwhile_is_examined_by_one_reading(tmp_path, monkeypatch, changed):
    table = tmp_path / "catalog.csv"
    taken = [("Aika", "S0", "03:00:00"), ("Aika", "S1", "03:00:30"), ("Bars", "S1", "09:00:00")]  # Aika is too fast
    rows = [f"p{n}.png,{name},{post},2023-03-01T{time},e{n},a{n}\n" for n, (name, post, time) in enumerate(taken)]
    table.write_text("path,individual,station,timestamp,encounter,annotation\n" + "".join(rows))
    decide(open_identities(tmp_path), [draft("name", "Anna", "Dara", side_a=("a2",))])
    before, read = seen(tmp_path), examination.open_data

    def read_before_a_change(folder):
        data = read(folder)
        head, *lines = table.read_text().splitlines()
        table.write_text("\n".join([head, *changed(lines)]) + "\n")
        return data

    monkeypatch.setattr(examination, "open_data", read_before_a_change)
    monkeypatch.setattr("snowmatch.review.identities.open_data", read_before_a_change)
    after = seen(tmp_path)
    assert before == after
    assert not before["two-places"].data.keys() & {"decided", "renamed"}
    assert {code: each.data for code, each in before.items()} == {code: each.data for code, each in after.items()}


def test_a_name_that_stands_for_none_is_told_until_it_is_another_one(tmp_path):
    lines = [f"p{n}.png,{name},e{n},a{n}\n" for n, name in enumerate(["unnamed 1", "", "", "aika"])]
    (tmp_path / "catalog.csv").write_text("".join(["path,individual,encounter,annotation\n", *lines]))
    for act in (
        draft("pair", "Anna", "same", side_a=("a1",), side_b=("a2",)),
        draft("name", "Anna", "bars", side_a=("a3",)),
    ):
        decide(open_identities(tmp_path), [act])
        assert seen(tmp_path)["unnamed-names"].cases == ("unnamed 1",)
    decide(open_identities(tmp_path), [draft("rename", "Anna", "umut", side_a=("a0",), side_b=("unnamed 1",))])
    assert "unnamed-names" not in seen(tmp_path)


def test_dates_of_which_a_spreadsheet_has_swapped_half_are_to_check(tmp_path):
    days = [f"2021-{month:02}-04" if month < 13 else f"{month}/4/2021" for month in range(8, 18)]
    lines = ["path,individual,timestamp", *(f"{n}.jpg,aika,{day}" for n, day in enumerate(days))]
    (tmp_path / "catalog.csv").write_text("\n".join(lines) + "\n")
    assert seen(tmp_path)["dates-half-swapped"].severity == "check"


@pytest.mark.parametrize("kind", ["rename", "merge"])
def test_a_chosen_name_that_newer_rows_have_is_to_check_until_its_advice_is_followed(tmp_path, kind):
    table = tmp_path / "catalog.csv"
    table.write_text("path,individual,body_part,encounter,annotation\np0,Aika,,e0,a0\np1,Bars,,e1,a1\n")
    sides = {"rename": {"side_a": ("a0",), "side_b": ("Aika",)}, "merge": {"side_a": ("a0",), "side_b": ("a1",)}}
    decide(open_identities(tmp_path), [draft(kind, "Anna", "Cat7", **sides[kind])])
    assert not {"names-refused", "idle-decisions"} & seen(tmp_path).keys()
    table.write_text(table.read_text() + "p2,Cat7,,e2,a2\n")
    found = seen(tmp_path)
    assert not {"idle-decisions", "decisions-idle"} & found.keys()
    assert (found["names-refused"].severity, found["names-refused"].annotations) == ("check", ("a0", "a2"))
    (case,) = found["names-refused"].cases
    assert case.startswith("'Aika' should be called 'Cat7' (")
    assert case.endswith(" of Anna), but that is a name of 'Cat7'")
    told = finding_advice("names-refused", {"catalog": "c", **found["names-refused"].data})
    assert told == "if they are one animal: snowmatch identities c merge OLD NEW --into NEW, else rename one"
    command = [str(tmp_path), "merge", "Aika", "Cat7", "--into", "Cat7", "--observer", "Anna"]
    assert CliRunner().invoke(main, ["identities", *command]).exit_code == 0
    assert not {"names-refused", "idle-decisions"} & seen(tmp_path).keys()


def test_the_name_of_a_renamed_animal_is_not_written_in_the_table(tmp_path):
    head = "path,individual,body_part,station,timestamp,encounter,annotation\n"
    lines = [
        "a.jpg,Aika,left_flank,S0,2023-03-01T03:00:00,e0,a0\n",
        "b.jpg,Aika,left_flank,S1,2023-03-01T03:00:30,e1,a1\n",
        "c.jpg,umut,left_flank,S1,2023-03-09T03:00:00,e2,a2\n",
        "d.jpg,Bars,left_flank,S1,2023-03-19T03:00:00,e3,a3\n",
    ]
    (tmp_path / "catalog.csv").write_text(head + "".join(lines))
    for name in "abcd":
        (tmp_path / f"{name}.jpg").write_text("one" if name in "bd" else name)

    def advised(code):
        return finding_advice(code, {"catalog": "c", **seen(tmp_path)[code].data})

    codes = "two-places", "copies-with-two-names"
    assert all("column individual" in advised(code) or "correct individual" in advised(code) for code in codes)
    decide(open_identities(tmp_path), [draft("rename", "Anna", "Umut", side_a=("a0", "a1"), side_b=("Aika",))])
    assert advised("individuals-same-name") == "snowmatch identities c merge NAME NAME"
    for code in codes:
        assert "snowmatch identities c name NAME PHOTO" in advised(code)
        assert "individual" not in advised(code)
    for command in (["merge", "Umut", "umut"], ["name", "Umut", "a3"]):
        command = [str(tmp_path), *command, "--observer", "Anna"]
        assert CliRunner().invoke(main, ["identities", *command]).exit_code == 0
    assert not {"individuals-same-name", "copies-with-two-names"} & seen(tmp_path).keys()
    assert [each.name for each in open_identities(tmp_path).who.individuals] == ["Umut"]


def test_what_is_no_name_is_taken_away_where_it_was_given(tmp_path):
    lines = "p0.png,unknown,e0,a0", "p1.png,,e1,a1"
    (tmp_path / "catalog.csv").write_text("\n".join(["path,individual,encounter,annotation", *lines]) + "\n")
    for name, code in (("unknown", "doubtful-names"), ("100RECNX", "camera-folders")):
        decide(open_identities(tmp_path), [draft("name", "Anna", name, side_a=("a1",))])
        found = seen(tmp_path)[code]
        assert "a1" in found.annotations
        told = finding_advice(code, {"catalog": "c", **found.data})
        assert told == 'snowmatch identities c name "" PHOTO'
        command = [str(tmp_path), "name", "", "p1.png", "--observer", "Anna"]
        assert CliRunner().invoke(main, ["identities", *command]).exit_code == 0
    found = seen(tmp_path)
    assert "camera-folders" not in found
    assert "column individual" in finding_advice("doubtful-names", {"catalog": "c", **found["doubtful-names"].data})


@pytest.mark.parametrize(
    ("kind", "sides"), [("rename", {"side_b": ("aika",)}), ("name", {"side_a": ("a0", "a1")})], ids=["rename", "name"]
)
def test_the_advice_about_one_animal_twice_ends_it(tmp_path, kind, sides):
    head = "path,individual,body_part,encounter,bbox,annotation\n"
    lines = [f'a.jpg,aika,left_flank,e0,"{50 * n},0,9,9",a{n}\n' for n in range(2)]
    (tmp_path / "catalog.csv").write_text("".join([head, *lines]))
    (tmp_path / "a.jpg").write_text("a")
    decide(open_identities(tmp_path), [draft(kind, "Anna", "Umut", **sides)])
    told = finding_advice("one-animal-twice", {"catalog": "c", **seen(tmp_path)["one-animal-twice"].data})
    if kind == "rename":  # the table says which of the two is the renamed animal
        assert told.startswith("correct the column individual")
        (tmp_path / "catalog.csv").write_text("".join([head, lines[0], lines[1].replace("aika", "bars")]))
    else:  # a name is one of both: they are one sighting
        assert told == "snowmatch identities c decide a0 a1 different, then: snowmatch identities c name NAME a1"
        for command in told.split(", then: "):
            words = [str(tmp_path) if word == "c" else word for word in command.split()[1:]]
            assert CliRunner().invoke(main, [*words, "--observer", "Anna"]).exit_code == 0
    assert not {"one-animal-twice", "contradictions"} & seen(tmp_path).keys()


def test_animals_that_were_joined_without_a_name_count_as_unidentified(tmp_path):
    lines = ["p0.png,,left_flank,e0,a0", "p1.png,,left_flank,e1,a1", "p2.png,aika,left_flank,e1,a2"]
    (tmp_path / "catalog.csv").write_text("\n".join(["path,individual,body_part,encounter,annotation", *lines]) + "\n")
    who = open_identities(tmp_path)
    decide(who, [draft("pair", "Anna", "same", side_a=("a0",), side_b=("a1",))])
    opened = open_catalog(tmp_path)
    assert [a.individual for a in opened.data.annotations] == ["unnamed a0", "unnamed a0", "aika"]
    examined = examine(tmp_path, now=NOW)
    found = by_code(examined)
    assert examined.individuals == 1
    assert found["one-flank"].cases == ("aika: no right flank",)
    assert found["half-named"].cases == ("e1: 1 row of 2 without a name, others 'aika'",)
    assert " 1 individual, " in format_overview(opened)
    recorded = [recorded_row("p.png", opened.data.annotations[n : n + 2]).individual for n in (0, 1)]
    assert recorded == ["", "aika"]


def test_what_is_wrong_with_decisions_is_told_once(tmp_path):
    rows = "".join(f"p{n}.png,aika,left_flank,e{n},a{n}\n" for n in range(2))
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    gone = answer_pair(who, 0, 1, "same", "Anna")._replace(side_b=("a9",))
    decide(who, [answer_pair(who, 0, 1, "different", "Anna"), gone])
    codes = {finding.code for finding in found_in(tmp_path).findings}
    assert {"contradictions", "idle-decisions"} <= codes
    assert not codes & {"decisions-quarrel", "decisions-idle"}


def test_a_clock_that_ran_backwards_between_decisions_is_told(tmp_path):
    rows = "".join(f"p{n}.png,aika,left_flank,e{n},a{n}\n" for n in range(2))
    (tmp_path / "catalog.csv").write_text(f"path,individual,body_part,encounter,annotation\n{rows}")
    who = open_identities(tmp_path)
    pair = answer_pair(who, 0, 1, "same", "Anna")
    decide(who, [pair, pair._replace(decided_at="2020-01-01T00:00:00.000Z")])
    (found,) = [each for each in found_in(tmp_path).findings if each.code == "decisions-clock"]
    assert found.severity == "hint"
    assert "a clock ran backwards" in found.text
    told = CliRunner().invoke(main, ["identities", str(tmp_path), "check"])
    assert found.text in told.stderr


def test_findings_about_decisions_have_the_photos_of_their_pairs(own_survey):
    folder = own_survey / "catalog"
    who = open_identities(folder)
    one, other = [each for each in who.who.individuals if each.name][:2]
    pair = one.sightings[0], other.sightings[0]
    decide(who, [answer_pair(who, *pair, "same", "Anna")])
    decide(open_identities(folder), [answer_pair(open_identities(folder), *pair, "different", "Boris")])
    result = CliRunner().invoke(main, ["doctor", str(folder), "--json"])
    found = {each["code"]: each for each in json.loads(result.output)["findings"]}
    first = [who.who.sightings[n].annotations[0] for n in range(len(who.who.sightings))]
    assert found["disagreements"]["annotations"] == [first[n] for n in pair]
    decide(open_identities(folder), [answer_pair(open_identities(folder), *pair, "same", "Boris")])
    found = {
        each["code"]: each
        for each in json.loads(CliRunner().invoke(main, ["doctor", str(folder), "--json"]).output)["findings"]
    }
    assert set(found["several-names"]["annotations"]) == {first[n] for n in (*one.sightings, *other.sightings)}


def test_a_renamed_photo_is_told_as_such_and_is_no_copy_with_two_names(tmp_path):
    rows = rows_of(tmp_path)
    write(tmp_path, rows, STATIONS)
    open_catalog(tmp_path).index(workers=1)
    old, new = rows[0]["path"], "renamed.JPG"
    (tmp_path / old).rename(tmp_path / new)
    write(tmp_path, [*rows, {**rows[0], "path": new, "individual": "another"}], STATIONS)
    open_catalog(tmp_path).index(workers=1)
    found = by_code(found_in(tmp_path))
    (case,) = found["files-missing"].cases
    assert case == f"{old}: the file does not exist; {new} is the same photo: if it was renamed, remove this row"
    assert "copies-with-two-names" not in found
