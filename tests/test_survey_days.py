"""Sightings with a day without a time of day: no table, export or count takes them for sightings at midnight."""

import json

import pytest
from conftest import read_rows
from drawn_table import ROWS, write_catalog
from exported import export

import snowmatch
from snowmatch.survey.co_use import co_use
from snowmatch.survey.run import make_survey
from snowmatch.survey.tables import cell_text, survey_table
from snowmatch.views.survey import format_survey

DAYS = [
    ("aika", "left_flank", "S1", "2023-05-02", "e0", ""),
    *ROWS[2:],
    ("bars", "left_flank", "S2", "2023-05-29", "e9", ""),
]


def survey_of(folder, rows, **counting):
    return make_survey(snowmatch.open_catalog(write_catalog(folder, rows)).data, **counting)


def cells_of(survey, name):
    head, rows = survey_table(survey, name)
    return [dict(zip(head, map(cell_text, row), strict=True)) for row in rows]


def test_tables_have_a_day_without_a_time_of_day(tmp_path):
    rows = [*DAYS, ("dastan", "left_flank", "S9", "2023-05-07", "e10", "")]
    survey = survey_of(tmp_path / "c", rows)
    first, *_, last = cells_of(survey, "captures.csv")
    assert (first["start"], first["end"], last["start"]) == ("2023-05-02", "2023-05-02", "2023-05-29")
    aika, bars, _ = cells_of(survey, "individuals.csv")
    assert (aika["first_seen"], aika["last_seen"]) == ("2023-05-02", "2023-05-08T09:00:00")
    assert (bars["first_seen"], bars["last_seen"]) == ("2023-05-03T04:00:00", "2023-05-29")
    assert [m["left"] for m in cells_of(survey, "movements.csv") if m["individual_id"] == "aika"] == ["2023-05-02"]
    assert [e["start"] for e in cells_of(survey, "left-out.csv")] == ["2023-05-07"]
    assert "00:00" not in "".join(line for line in format_survey(survey).splitlines() if line.startswith("aika"))


@pytest.mark.parametrize("name", ["camtrap_dp", "wildlife_insights", "timelapse", "camtrapr"])
def test_a_format_that_needs_a_time_has_midnight_and_a_note(tmp_path, name):
    out, _ = export(tmp_path, name, DAYS)
    (told,) = [n for n in json.loads((out / "manifest.json").read_text())["format_notes"] if "time of day" in n]
    assert told.startswith("2 ")
    assert "00:00 is written" in told


@pytest.mark.parametrize("name", ["coco", "wildlife_datasets", "wildbook", "darwin_core", "geojson", "kml"])
def test_a_format_with_days_has_no_midnight(tmp_path, name):
    out, _ = export(tmp_path, name, DAYS)
    texts = [p.read_text() for p in out.iterdir() if p.name != "manifest.json"]
    assert not any(f"{day}{sign}00:00" in text for text in texts for sign in "T " for day in ("05-02", "05-29"))
    if name == "wildbook":
        aika = read_rows(out / "wildbook-1.csv")[0]
        assert (aika["Encounter.day"], aika["Encounter.hour"], aika["Encounter.minutes"]) == ("2", "", "")
    elif name == "darwin_core":
        assert {"2023-05-02", "2023-05-29"} <= {row["eventDate"] for row in read_rows(out / "occurrence.csv")}
        assert {"2023-05-02", "2023-05-29"} <= {row["CreateDate"] for row in read_rows(out / "multimedia.csv")}


def test_sightings_of_one_day_are_one_if_those_nearer_than_minutes_are(tmp_path):
    times = ["2023-05-02", "2023-05-02T22:00", "2023-05-03", "2023-05-04T00:10"]
    rows = [("aika", "left_flank", "S1", time, f"e{n}", "") for n, time in enumerate(times)]
    joined = survey_of(tmp_path / "c", rows, independence=240).captures
    assert [c.encounters for c in joined] == [("e0", "e1"), ("e2",), ("e3",)]
    assert len(survey_of(tmp_path / "c", rows).captures) == 4
    assert len(survey_of(tmp_path / "c", rows, independence=24 * 60 + 1).captures) == 1


def test_who_met_has_no_hours_from_midnight(tmp_path):
    rows = [
        ("aika", "left_flank", "S1", "2023-05-02", "e0", ""),
        ("bars", "left_flank", "S1", "2023-05-02T22:00", "e1", ""),
        ("bars", "left_flank", "S1", "2023-05-09T22:00", "e2", ""),
    ]
    captures = survey_of(tmp_path / "c", rows).captures
    (met,) = co_use(captures, 7)
    assert (met.meetings, met.hours, cell_text(met.last)) == (2, None, "2023-05-09T22:00:00")
    (met,) = co_use(captures, 0.5)
    assert (met.meetings, met.hours) == (1, None)
    rows.append(("aika", "left_flank", "S1", "2023-05-10T01:00", "e3", ""))
    (met,) = co_use(survey_of(tmp_path / "d", rows).captures, 7)
    assert met.hours == 3


def test_a_day_on_which_a_camera_was_set_up_is_one_on_which_it_worked_and_a_note_says_where_noon_puts_it(tmp_path):
    rows = [
        *ROWS,
        ("aika", "left_flank", "S3", "2023-05-01", "e9", ""),
    ]  # the camera of S3 worked from noon of that day
    codes = {note.code for note in survey_of(tmp_path / "c", rows).notes}
    assert not codes & {"captures-without-camera", "days-before"}
    (note,) = [n for n in survey_of(tmp_path / "c", rows, start_hour=12).notes if n.code == "days-before"]
    assert note.text.startswith("1 sighting with a day without a time of day: days begin at 12:00")
