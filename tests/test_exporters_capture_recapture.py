"""Exports for programs of capture-recapture: each is read again by the program's rules, and tells the same captures."""

import csv
import json
import re

import numpy as np
import pytest
from conftest import SHARED, read_rows
from drawn_table import HEAD, ROWS, STATIONS, write_catalog
from exported import EXACT, TWO_CAMERAS, export

import snowmatch
from snowmatch.confidence.cells import cells_of
from snowmatch.confidence.score_table import ScoreTable, save_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.interchange.exporting import export_survey
from snowmatch.survey.abundance import m0
from snowmatch.survey.captures import history
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import make_survey
from snowmatch.survey.summaries import estimates
from snowmatch.survey.tables import survey_tables

# --- secr -------------------------------------------------------------------------------------------------------------


def read_secr(captures, traps):
    """Read captures and traps as read.capthist does (fmt = trapID); raise AssertionError where it or verify would stop.

    Returns the capture rows (session, id, occasion, detector, covariates), and for each session the traps: name to x,
    y and usage.
    """
    found = []
    for line in _lines(captures):
        session, animal, occasion, detector, *covariates = line.split()
        assert int(occasion) != 0
        assert not {"'", '"'} & set(line)
        found.append((session, animal, int(occasion), detector, covariates))
    sessions = list(dict.fromkeys(row[0] for row in found))
    ordered = sorted(sessions, key=int) if all(s.isdigit() for s in sessions) else sorted(sessions)
    assert len(traps) in (1, len(sessions))
    tables = {}
    for session, text in zip(ordered, traps * (len(ordered) if len(traps) == 1 else 1), strict=True):
        table = {}
        for line in _lines(text):
            before = line.partition("/")[0].split()
            name, x, y = before[:3]
            assert name not in table
            table[name] = (float(x), float(y), [float(v) for v in before[3:]])
        assert len({len(usage) for *_, usage in table.values()}) == 1
        tables[session] = table
    for session, animal, occasion, detector, _ in found:
        usage = tables[session][detector][2]
        if animal != "NONE" and usage:
            assert usage[occasion - 1] > 0, "a detection at a detector that was not used"
    return found, tables


def _lines(text):
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]


@pytest.mark.real
def test_the_reader_of_this_test_reads_the_samples_of_secr():
    folder = SHARED / "formats" / "secr"
    if not folder.exists():
        pytest.skip("no samples of secr beside the project")
    captures, tables = read_secr((folder / "stoatcapt.txt").read_text(), [(folder / "stoattrap.txt").read_text()])
    assert len(captures) == 30
    assert len({row[1] for row in captures}) == 20
    assert [len(table) for table in tables.values()] == [94]


@pytest.mark.real
def test_equal_data_give_the_lines_of_the_sample_of_secr(tmp_path):
    folder = SHARED / "formats" / "secr"
    if not folder.exists():
        pytest.skip("no samples of secr beside the project")
    captures, tables = read_secr((folder / "stoatcapt.txt").read_text(), [(folder / "stoattrap.txt").read_text()])
    (traps,) = tables.values()
    shift = 4_000_000  # positions near 0 could be degrees
    lines = [f"{n},{x + shift},{y + shift},2193,2001-12-15,2001-12-21" for n, (x, y, _) in traps.items()]
    rows = [
        (animal, "left_flank", trap, f"2001-12-{14 + k}T05:{n % 60:02}:00", f"e{n}", "")
        for n, (_, animal, k, trap, _) in enumerate(captures)
    ]
    table = "\n".join(["station,x,y,crs,from,to", *lines])
    folder_of, _ = export(
        tmp_path, "secr", rows, table, occasion="1d", sessions=["MatakitakiStoats=2001-12-15..2001-12-21"]
    )
    ours, (our_traps,) = _secr_of(folder_of)
    assert {row[:4] for row in ours} == {row[:4] for row in captures}
    theirs = {" ".join(line.split()) for line in _lines((folder / "stoatcapt.txt").read_text())}
    assert set(_lines((folder_of / "captures.txt").read_text())) == theirs
    assert {n: (x - shift, y - shift) for n, (x, y, _) in our_traps.items()} == {
        n: (x, y) for n, (x, y, _) in traps.items()
    }


def _secr_of(out):
    names = re.findall(r'"(traps[^"]*)"', (out / "fit.R").read_text())
    captures, tables = read_secr((out / "captures.txt").read_text(), [(out / n).read_text() for n in names])
    return captures, list(tables.values())


def test_secr_tells_captures_usage_and_covariates(tmp_path):
    out, survey = export(tmp_path, "secr")
    captures, (traps,) = _secr_of(out)
    assert [row[1:] for row in captures] == [
        ("aika", 1, "S1", ["F"]),
        ("bars", 1, "S1", ["M"]),
        ("aika", 2, "S2", ["F"]),
        ("bars", 4, "S3", ["M"]),
        ("cholpon", 5, "S2", ["NA"]),
        ("bars", 6, "S3", ["M"]),
    ]
    assert [usage for *_, usage in traps.values()] == survey.occasion_effort(survey.sessions[0]).tolist()
    assert "/ ridge" in (out / "traps.txt").read_text()
    script = (out / "fit.R").read_text()
    assert "noccasions = c(6)" in script
    assert 'trapcovnames = c("habitat")' in script


def test_secr_counts_repeat_rows(tmp_path):
    out, survey = export(tmp_path, "secr", options={"detector": "count"})
    captures, _ = _secr_of(out)
    assert len(captures) == len(survey.captures) == 7
    with pytest.raises(SnowmatchError, match="expected one of proximity, count"):
        export(tmp_path, "secr", options={"detector": "multi"})


def test_secr_sessions_keep_their_order_and_empty_ones_stay(tmp_path):
    sessions = ["b=2023-05-01..2023-05-10", "a=2023-05-16..2023-05-25", "C=2023-05-26..2023-05-27"]
    out, _survey = export(tmp_path, "secr", sessions=sessions)
    captures, tables = _secr_of(out)
    assert captures[0][0] == "s01.C"
    assert ("s01.C", "NONE", 1) in [row[:3] for row in captures]
    assert len(tables) == 3
    assert "noccasions = c(1, 2, 2)" in (out / "fit.R").read_text()
    assert {"01", "1"} & {row["written_as"] for row in read_rows(out / "names.csv")} == set()


def test_names_that_secr_cannot_read_are_replaced_and_told(tmp_path):
    new = {"aika": "Айка #1 'x'", "bars": "NONE", "cholpon": "Айка №1 'x'"}
    rows = [(new.get(name, name), part, st.replace("S1", "S 1"), *rest) for name, part, st, *rest in ROWS]
    rows.append(("NA", "left_flank", "na", "2023-05-12T05:00:00", "e9", ""))  # R reads NA as a missing value
    out, _ = export(
        tmp_path, "secr", rows, STATIONS.replace("S1,", "S 1,") + "na,naryn,76.1,41.6,2023-05-01,2023-05-30,,,x"
    )
    captures, _ = _secr_of(out)
    assert len({row[1] for row in captures}) == 4
    assert not {"NONE", "NA", "na"} & {text for row in captures for text in (row[1], row[3])}
    back = {row["written_as"]: row["name_in_catalog"] for row in read_rows(out / "names.csv")}
    assert {back[row[1]] for row in captures} == {*new.values(), "NA"}


COVARIATES = {
    "slope": ("-12.5", "-12.5"), "ndvi": (".25", "0,123456"), "height": ("1 250", "2\u202f300,5"), "low": ("<1", ">1"),
    "ruggedness": ("\N{MINUS SIGN}0.5", "NA"), "地形": ("山", "谷"), "水": ("Гребень", "pass"),
}  # fmt: skip
WRITTEN = {
    "slope": ("-12.5", "-12.5"), "ndvi": (".25", "0.123456"), "height": ("1250", "2300.5"), "low": ("x1", "x1.2"),
    "ruggedness": ("-0.5", "NA"), "x": ("x", "x.2"), "x.2": ("Greben", "pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["secr", "oscr", "spacecap", "spim", "camtrapr", "multimark", "mark", "wildbook"])
def test_rounded_positions_are_told_where_a_density_comes_from_them(tmp_path, name):
    told = "positions are rounded to {} km: a density from them is wrong, unless that is small against the distances"
    for step in (1, 100):
        folder = tmp_path / str(step)
        folder.mkdir()
        out, _ = export(folder, name, coordinates=Coordinates(step * 1000.0))
        notes = " ".join(json.loads((out / "manifest.json").read_text())["format_notes"])
        assert (told.format(step) in notes) is (name not in ("mark", "wildbook"))
        assert ("stations at the position of another one" in notes) is (step == 100 and told.format(step) in notes)
    (tmp_path / "exact").mkdir()
    out, _ = export(tmp_path / "exact", name)
    assert "rounded" not in (out / "manifest.json").read_text()


@pytest.mark.parametrize("name", ["secr", "oscr"])
def test_covariates_keep_their_numbers_and_differ_where_the_catalog_does(tmp_path, name):
    lines = [STATIONS.splitlines()[0].replace("habitat", ";".join(COVARIATES)).replace(",", ";")]
    for n, line in enumerate(STATIONS.splitlines()[1:]):
        values = [both[n > 0] for both in COVARIATES.values()]
        lines.append(";".join([*line.split(",")[:-1], *values]))
    out, _ = export(tmp_path, name, stations="\n".join(lines))
    if name == "oscr":
        rows = read_rows(out / "tdf-1.csv")
        found = {c: tuple(row[c] for row in rows[:2]) for c in [*rows[0]][10:-1]}
        asked = re.findall(r'"([^"]+)"', (out / "read.R").read_text().partition("trapcov.names")[2])
    else:
        rows = [line.partition("/")[2].split() for line in (out / "traps.txt").read_text().splitlines()]
        found = {c: tuple(row[n] for row in rows[1:3]) for n, c in enumerate(rows[0])}
        asked = re.findall(r'"([^"]+)"', (out / "fit.R").read_text().partition("trapcovnames")[2].splitlines()[0])
    written = {(c.replace(".", "_") if name == "oscr" else c): values for c, values in WRITTEN.items()}
    assert found == written
    assert [c for c in asked if c != "camera_days"] == list(found)
    back = {(row["what"], row["written_as"]): row["name_in_catalog"] for row in read_rows(out / "names.csv")}
    assert (back["covariate", "x"], back["covariate 地形", "x.2"], back["covariate low", "x1"]) == ("地形", "谷", "<1")
    assert not any(what == "covariate slope" for what, _ in back)


# --- oSCR, SPACECAP, camtrapR -----------------------------------------------------------------------------------------


def test_oscr_has_one_sex_an_animal_and_all_traps(tmp_path):
    out, _survey = export(tmp_path, "oscr")
    edf = read_rows(out / "edf.csv")
    assert len(edf) == 6
    sexes = {}
    for row in edf:
        sexes.setdefault(row["ID"], set()).add(row["sex"])
    assert sexes == {"1": {"F"}, "2": {"M"}, "3": {"U"}}
    tdf = read_rows(out / "tdf-1.csv")
    assert {row["trap"] for row in edf} <= {row["Trap_ID"] for row in tdf}
    assert [row["3"] for row in tdf] == ["1", "0", "1"]
    assert {row["sep"] for row in tdf} == {"/"}
    assert list(tdf[0]) == ["Trap_ID", "X", "Y", "1", "2", "3", "4", "5", "6", "sep", "habitat", "camera_days"]
    assert (tdf[0]["habitat"], tdf[1]["camera_days"]) == ("ridge", "25")
    assert "K = c(6), ntraps = c(3)" in (out / "read.R").read_text()
    assert 'trapcov.names = c("habitat", "camera_days")' in (out / "read.R").read_text()
    for row in edf:
        assert next(t for t in tdf if t["Trap_ID"] == row["trap"])[row["occasion"]] == "1"


def test_oscr_takes_no_covariate_for_one_of_an_occasion(tmp_path):
    """data2oscr takes NAME.2 for the covariate NAME on the second occasion."""
    stations = STATIONS.replace("habitat", "elev;elev_2;elev.2;camera_days").replace(",", ";")
    stations = stations.replace(";ridge", ";1;2;3;4").replace(";cliff", ";5;6;7;8")
    out, _ = export(tmp_path, "oscr", stations=stations)
    names = [row for row in read_rows(out / "names.csv") if row["what"] == "covariate"]
    back = {row["written_as"]: row["name_in_catalog"] for row in names}
    assert [*back] == ["camera_days_2", "elev", "elev_2", "elev_2_2"]
    rows = read_rows(out / "tdf-1.csv")
    assert [*rows[0]][-5:] == [*back, "camera_days"]
    values = {"elev": "1", "elev_2": "2", "elev.2": "3", "camera_days": "4"}
    assert all(rows[0][written] == values[name] for written, name in back.items())


def test_oscr_has_no_session_without_captures(tmp_path):
    sessions = ["b=2023-05-01..2023-05-10", "a=2023-05-16..2023-05-25", "C=2023-05-26..2023-05-27"]
    out, _survey = export(tmp_path, "oscr", sessions=sessions)
    assert {row["session"] for row in read_rows(out / "edf.csv")} == {"1", "2"}
    assert sorted(path.name for path in out.glob("tdf-*")) == ["tdf-1.csv", "tdf-2.csv"]
    told = json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "1 session left out: oSCR reads no session without captures" in told


def test_spacecap_leaves_out_a_session_without_captures(tmp_path):
    sessions = ["a=2023-05-01..2023-05-09", "b=2023-05-10..2023-05-19", "c=2023-05-20..2023-05-29"]
    no_camera = "d=2023-07-01..2023-07-09"
    out, survey = export(tmp_path, "spacecap", sessions=[*sessions, no_camera])
    assert {c.session for c in survey.captures} == {"a", "c"}
    assert sorted(p.name for p in out.glob("captures*.csv")) == ["captures-a.csv", "captures-c.csv"]
    assert "2 sessions left out: SPACECAP reads no session without captures" in (out / "manifest.json").read_text()


def test_spacecap_numbers_the_animals_and_the_rows_of_traps_in_each_session(tmp_path):
    """A LOC_ID is a row of the table of traps for SPACECAP, and the largest ANIMAL_ID the number of animals."""
    table = STATIONS + "S0,naryn,76.25,41.55,,,,,ridge\n" + "S15,naryn,76.12,41.52,2023-05-20,2023-05-30,,,cliff\n"
    sessions = ["early=2023-05-01..2023-05-12", "late=2023-05-18..2023-05-29"]
    out, survey = export(tmp_path, "spacecap", stations=table, sessions=sessions)
    back = {(row["what"], row["written_as"]): row["name_in_catalog"] for row in read_rows(out / "names.csv")}
    for name in ("early", "late"):
        captures, traps = (read_rows(out / f"{kind}-{name}.csv") for kind in ("captures", "traps"))
        assert [row["LOC_ID"] for row in traps] == [str(n + 1) for n in range(len(traps))]
        animals = {int(row["ANIMAL_ID"]) for row in captures}
        assert animals == set(range(1, len(animals) + 1))
        labels = [min(survey.positions, key=lambda label: _away(survey.positions[label], row)) for row in traps]
        assert labels == [back[f"station of session {name}", row["LOC_ID"]] for row in traps]
        told = {(labels[int(row["LOC_ID"]) - 1], back[f"individual of session {name}", row["ANIMAL_ID"]], row["SO"])
                for row in captures}  # fmt: skip
        assert told == {(c.place, c.individual, str(c.occasion)) for c in survey.captures if c.session == name}


def _away(position, row):
    return np.hypot(position[0] - float(row["X_COORD"]), position[1] - float(row["Y_COORD"]))


def test_spacecap_has_numbers_only_and_points_around_the_stations(tmp_path):
    out, survey = export(tmp_path, "spacecap", options={"buffer": "3000"})
    captures, traps = read_rows(out / "captures.csv"), read_rows(out / "traps.csv")
    assert len(captures) == 6
    assert {row["LOC_ID"] for row in captures} <= {row["LOC_ID"] for row in traps}
    assert all(value.isdigit() for row in captures for value in row.values())
    points = read_rows(out / "statespace.csv")
    positions = np.array(list(survey.positions.values()))
    for row in points:
        away = np.hypot(*(positions - [float(row["X_COORD"]), float(row["Y_COORD"])]).T)
        assert away.min() <= 3000.01
    with pytest.raises(SnowmatchError, match="use a larger spacing"):
        export(tmp_path, "spacecap", options={"spacing": "10"})


def test_camtrapr_tells_records_and_when_cameras_did_not_work(tmp_path):
    out, survey = export(tmp_path, "camtrapr")
    records, cameras = read_rows(out / "records.csv"), read_rows(out / "cameras.csv")
    assert len(records) == len(survey.captures)
    again = [r for r in records if (r["Individual"], r["Station"]) == ("aika", "S2")]
    assert [r["delta.time.hours"] for r in again] == ["0", "6"]
    assert {r["DateTimeOriginal"] for r in records} >= {"2023-05-02 10:00:00"}
    assert cameras[1]["Problem1_from"] == "2023-05-11 00:00:00"
    assert cameras[1]["Problem1_to"] == "2023-05-16 00:00:00"
    assert cameras[2]["Setup_date"] == "2023-05-01 12:00:00"
    assert float(cameras[0]["utm_x"]) == pytest.approx(survey.positions["S1"][0], abs=0.01)


def test_names_that_camtrapr_refuses_are_told(tmp_path):
    told = "camtrapR stops at names with two underscores in a row: rename S__1"
    stations = "station,x,y,from,to\n{},76.1,41.5,2023-05-01,2023-05-30\n"
    for name, notes in (("S__1", [told]), ("S_1", [])):
        folder = tmp_path / name
        folder.mkdir()
        row = ("aika", "left_flank", name, "2023-05-02T10:00:00", "e1", "")
        out, _ = export(folder, "camtrapr", [row], stations.format(name))
        assert json.loads((out / "manifest.json").read_text())["format_notes"] == notes


def test_the_script_for_camtrapr_counts_the_first_second_of_an_occasion_to_it(tmp_path):
    rows = [("aika", "left_flank", "S1", day, f"e{n}", "") for n, day in enumerate(("2023-05-01", "2023-05-06"))]
    for hour, begin in ((0, "00:00:00"), (12, "12:00:00")):
        folder = tmp_path / str(hour)
        folder.mkdir()
        out, survey = export(folder, "camtrapr", rows, start_hour=hour)
        assert [c.occasion for c in survey.captures] == [1, 2]
        assert {row["Time"] for row in read_rows(out / "records.csv")} == {"00:00:00"}  # a day without a time of day
        line = f'records$DateTimeOriginal <- sub(" {begin}$", " {begin[:-1]}1", records$DateTimeOriginal)'
        assert line in (out / "read.R").read_text()


def test_the_script_for_camtrapr_names_cameras_without_a_name(tmp_path):
    stations = "".join(f"S1,{camera},76.1,41.5,2023-05-01,2023-05-30\n" for camera in (1, 2))
    stations += "".join(f"{station},,76.{n},41.5,2023-05-01,2023-05-30\n" for n, station in ((2, "S2"), (3, "S3")))
    out, _ = export(tmp_path, "camtrapr", stations=f"station,camera,x,y,from,to\n{stations}")
    assert [row["Camera"] for row in read_rows(out / "cameras.csv")] == ["1", "2", "", ""]
    script = (out / "read.R").read_text()
    assert 'cameraCol = "Camera"' in script  # at which camtrapR 3.0.3 stops if one has no name: empty, or NA beside 1
    assert 'read("cameras.csv", Station = "character", Camera = "character")' in script
    assert 'cameras$Camera[cameras$Camera == ""] <- "camera"' in script


def test_the_script_for_camtrapr_counts_the_species_of_the_records(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    table = (folder / "catalog.csv").read_text().splitlines()
    rows = [f"{line},{word}" for line, word in zip(table, ["species", *["snow leopard"] * 5, *[""] * 4], strict=True)]
    (folder / "catalog.csv").write_text("\n".join(rows))
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "camtrapr", tmp_path / "out", coordinates=EXACT)
    assert {row["Species"] for row in read_rows(tmp_path / "out" / "records.csv")} == {"snow leopard", "Panthera uncia"}
    script = (tmp_path / "out" / "read.R").read_text()
    (asked,) = re.findall(r', species = "([^"]+)"', script)
    assert f'records$Species <- "{asked}"' in script  # camtrapR stops at a species that no record has, and drops others


def test_camtrapr_has_no_effort_outside_the_sessions(tmp_path):
    out, _ = export(tmp_path, "camtrapr", sessions=["early=2023-05-01..2023-05-12"])
    assert {row["DateTimeOriginal"][:10] for row in read_rows(out / "records.csv")} <= {
        f"2023-05-{d:02}" for d in range(1, 13)
    }
    ends = [(row["Retrieval_date"], "Problem1_from" in row) for row in read_rows(out / "cameras.csv")]
    assert ends == [("2023-05-13 00:00:00", False), ("2023-05-11 00:00:00", False), ("2023-05-13 00:00:00", False)]


SEASONS = """station,session,camera,x,y,from,to,problem_from,problem_to
S1,2023,A,76.10,41.50,2023-05-01,2023-05-30,2023-05-11,2023-05-12
S1,2024,A,76.10,41.50,2024-05-01,2024-05-30,,
S1,2024,B,76.10,41.50,2024-05-06,2024-05-30,,
S2,2024,A,76.20,41.52,2024-05-01,2024-05-30,,
S3,2025,A,76.15,41.45,2024-05-01,2025-05-30,,
"""  # the third season has no captures, and was at work during the second one


def test_camtrapr_keeps_seasons_apart(tmp_path):
    years = [("aika", "left_flank", "S1", f"{year}-05-02T10:00:00", year, "") for year in ("2023", "2024")]
    out, _ = export(tmp_path, "camtrapr", years, SEASONS)
    cameras = read_rows(out / "cameras.csv")
    assert [(row["Station"], row["session"], row["Camera"], row["Setup_date"][:10]) for row in cameras] == [
        ("S1", "1", "A", "2023-05-01"),
        ("S1", "2", "A", "2024-05-01"),
        ("S1", "2", "B", "2024-05-06"),
        ("S2", "2", "A", "2024-05-01"),
    ]
    assert [row["Problem1_from"][:10] for row in cameras] == ["2023-05-11", "", "", ""]  # and none for the winter
    records = read_rows(out / "records.csv")
    assert [(row["session"], row["delta.time.days"]) for row in records] == [("1", "0"), ("2", "0")]
    script = (out / "read.R").read_text()
    assert 'sessions <- c("2023", "2024")' in script
    assert "MS.capthist" in script
    notes = json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "1 session left out: camtrapR makes no detection history without captures" in notes


def test_camtrapr_keeps_the_seasons_of_both_sides_apart(tmp_path):
    years = [("aika", side, "S1", f"{year}-05-02T10:00:00", f"{side} {year}", "")
             for year in ("2023", "2024") for side in ("left_flank", "right_flank")]  # fmt: skip
    out, _ = export(tmp_path, "camtrapr", years, SEASONS, flanks="sessions")
    found = [(row["Station"], row["session"], row["Camera"]) for row in read_rows(out / "cameras.csv")]
    seasons = {True: [("S1", "A")], False: [("S1", "A"), ("S1", "B"), ("S2", "A")]}
    names = re.search(r"sessions <- c\((.*)\)", (out / "read.R").read_text())[1].replace('"', "").split(", ")
    assert len(names) == 4
    expected = [(s, str(n), c) for n, name in enumerate(names, 1) for s, c in seasons["2023" in name]]
    assert found == expected


def test_camtrapr_keeps_seasons_apart_where_photos_tell_the_effort(tmp_path):
    undated = "station,session,x,y\nS1,a,76.1,41.5\nS2,b,76.2,41.5\n"  # each camera worked in its own season
    rows = [("aika", "left_flank", station, f"2023-05-{day}T10:00:00", f"{station} {day}", "")
            for station, days in (("S1", ("02", "12")), ("S2", ("08", "20"))) for day in days]  # fmt: skip
    out, _ = export(tmp_path, "camtrapr", rows, undated)
    assert [(r["Station"], r["session"]) for r in read_rows(out / "cameras.csv")] == [("S1", "1"), ("S2", "2")]


def test_camtrapr_has_the_effort_of_sessions_without_captures_where_it_makes_no_histories(tmp_path):
    row = [("aika", "left_flank", "S1", "2023-05-02T10:00:00", "2023", "")]
    out, _ = export(tmp_path, "camtrapr", row, SEASONS, coordinates=None)
    cameras = read_rows(out / "cameras.csv")
    assert [(row["Station"], row["session"]) for row in cameras] == [
        *(("S1", "1"), ("S1", "2"), ("S1", "2"), ("S2", "2"), ("S3", "3"))
    ]
    assert 'sessions <- c("2023", "2024", "2025")' in (out / "read.R").read_text()
    asked = ["early=2023-05-01..2023-05-12", "late=2024-05-01..2024-05-12"]
    (tmp_path / "asked").mkdir()
    out, _ = export(tmp_path / "asked", "camtrapr", coordinates=None, sessions=asked)
    assert "1 session left out: no camera worked" in json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "session" not in read_rows(out / "cameras.csv")[0]


def test_camtrapr_keeps_left_and_right_apart_as_sessions(tmp_path):
    out, survey = export(tmp_path, "camtrapr", flanks="sessions")
    records, cameras = read_rows(out / "records.csv"), read_rows(out / "cameras.csv")
    assert [(row["Station"], row["session"]) for row in cameras] == [(f"S{n}", s) for s in "12" for n in (1, 2, 3)]
    names = {c.individual for c in survey.captures if c.session == "1 right"}
    assert {row["Individual"] for row in records if row["session"] == "2"} == names == {"aika", "bars"}
    assert 'sessions <- c("s01.1.left", "s02.1.right")' in (out / "read.R").read_text()
    names = [(row["what"], row["written_as"], row["name_in_catalog"]) for row in read_rows(out / "names.csv")]
    assert names == [("session", "1", "1 left"), ("session", "2", "1 right")]


def test_a_session_in_which_no_camera_worked_is_an_error_for_secr(tmp_path):
    with pytest.raises(SnowmatchError, match="no camera worked in the session late"):
        export(tmp_path, "secr", sessions=["early=2023-05-01..2023-05-12", "late=2024-05-01..2024-05-12"])


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("camtrapr", {"records.csv": ("Station", "Individual"), "cameras.csv": ("Station",)}),
        ("oscr", {"edf.csv": ("trap",), "tdf-1.csv": ("Trap_ID",)}),
    ],
)
def test_scripts_read_the_names_of_stations_and_animals_as_text(tmp_path, name, tables):
    """Else R reads 01 as 1 where a column has numbers only, and finds no station of that name in the other table."""
    out, _ = export(tmp_path, name)
    script = (out / "read.R").read_text()
    for file, columns in tables.items():
        (line,) = [line for line in script.splitlines() if f'"{file}"' in line]
        assert set(columns) <= read_rows(out / file)[0].keys()
        told = line if "= text" not in line else script
        assert all(f'{column} = "character"' in told for column in columns)


# --- histories --------------------------------------------------------------------------------------------------------


def test_mark_capture_and_rmark_have_the_same_histories(tmp_path):
    out, survey = export(tmp_path, "mark")
    names, table = history(survey.captures, "1", 6)
    expected = {n: "".join(str(int(v)) for v in row) for n, row in zip(names, table, strict=True)}
    lines = (out / "captures.inp").read_text().splitlines()
    assert lines[0] == "/* groups: F M U */"
    found = dict(re.fullmatch(r"/\* (\S+) \*/ ([01]+) [01] [01] [01];", line).groups() for line in lines[1:])
    assert found == expected
    (tmp_path / "b").mkdir()
    export(tmp_path / "b", "capture")
    text = (tmp_path / "b" / "out" / "capture.txt").read_text()
    assert "format='(a7,6f1.0)'" in text
    assert [line[7:] for line in text.splitlines() if line[:7].strip() in names] == list(expected.values())
    (tmp_path / "c").mkdir()
    export(tmp_path / "c", "rmark")
    rows = read_rows(tmp_path / "c" / "out" / "captures.csv")
    assert {row["id"]: row["ch"] for row in rows} == expected
    script = (tmp_path / "c" / "out" / "read.R").read_text()  # without share, RMark fits another model for recaptures
    assert "m0 <- list(p = list(formula = ~1, share = TRUE))" in script
    assert 'mark(process.data(data, model = "Closed"), model.parameters = m0,' in script


@pytest.mark.parametrize("name", ["mark", "capture", "rmark", "multimark", "spacecap"])
def test_names_of_animals_and_sessions_lead_back_from_histories(tmp_path, name):
    animals = {"aika": "雪豹", "bars": "a name of more than 17 letters", "cholpon": "Чолпон"}
    rows = [(animals.get(who, who), *rest) for who, *rest in ROWS]
    sessions = ["весна=2023-05-01..2023-05-15", "лето=2023-05-16..2023-05-30"]
    out, _ = export(tmp_path, name, rows, sessions=sessions)
    told = read_rows(out / "names.csv")
    written = [row for row in told if row["what"].startswith("individual")]
    assert {row["name_in_catalog"] for row in written} == {*animals.values()}
    files = {path.stem.rpartition("-")[2] for path in out.glob("*-*")}
    back = {row["written_as"]: row["name_in_catalog"] for row in told if row["what"] == "session"}
    assert {back[ending] for ending in files} == {"весна", "лето"}
    texts = "".join(path.read_text() for path in out.glob("*-*"))
    assert all(row["written_as"] in texts for row in written)
    (tmp_path / "one").mkdir()
    out, _ = export(tmp_path / "one", name)
    assert "session" not in {row["what"] for row in read_rows(out / "names.csv")}


@pytest.mark.parametrize(
    ("name", "files", "why"),
    [
        ("mark", "captures-*.inp", "the format has none without captures"),
        ("capture", "capture-*.txt", "the format has none without captures"),
        ("rmark", "captures-*.csv", "the format has none without captures"),
        ("multimark", "encounters-[!b]*.csv", "multimark reads no session without captures of a side"),
    ],
)
def test_histories_have_no_session_without_captures(tmp_path, name, files, why):
    sessions = ["a=2023-05-01..2023-05-09", "m=2023-05-10..2023-05-19", "z=2023-05-20..2023-05-29"]
    out, survey = export(tmp_path, name, sessions=sessions)
    assert {c.session for c in survey.captures} == {"a", "z"}
    assert [path.stem.rpartition("-")[2] for path in sorted(out.glob(files))] == ["a", "z"]
    assert not (out / "read.R").exists() or "-m." not in (out / "read.R").read_text()
    assert f"1 session left out: {why}" in json.loads((out / "manifest.json").read_text())["format_notes"]


@pytest.mark.parametrize("name", ["multimark", "spim"])
def test_models_of_two_sides_need_a_capture_that_shows_one(tmp_path, name):
    with pytest.raises(SnowmatchError, match="no capture shows a side"):
        export(tmp_path, name, [(who, "head", *rest) for who, _, *rest in ROWS])


WINTER = """station,location,x,y,from,to
S1,naryn,76.10,41.50,2023-05-01,2023-05-10
S1,naryn,76.10,41.50,2023-10-08,2023-10-17
"""
YEAR = [  # two occasions, 30 without a camera, two occasions
    (name, "left_flank", "S1", f"2023-{day}T10:00:00", f"{name}{day}", "")
    for name, days in (("aika", ("05-02", "10-09")), ("bars", ("05-07",)), ("cholpon", ("10-16",)))
    for day in days
]


@pytest.mark.parametrize(
    ("name", "file"), [("mark", "captures.inp"), ("rmark", "captures.csv"), ("capture", "capture.txt")]
)
def test_occasions_without_any_camera_are_no_occasions(tmp_path, name, file):
    out, survey = export(tmp_path, name, YEAR, WINTER)
    assert survey.sessions[0].occasions == 34
    assert re.findall(r"(?<![.\d])[01]{4}(?!\d)", (out / file).read_text()) == ["1010", "0100", "0001"]
    notes = json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "30 occasions left out: no camera worked, so that nothing could be captured" in notes
    table = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    assert estimates(survey.captures, survey.sessions[0], survey.worked(survey.sessions[0]))["m0"] == m0(table)
    (estimated,) = [row for row in survey_tables(survey, None)["estimates.csv"][1] if row[1] == "m0"]
    assert estimated[3] == pytest.approx(m0(table).value, rel=1e-4)


def test_multimark_has_no_occasions_without_any_camera(tmp_path):
    out, _ = export(tmp_path, "multimark", YEAR, WINTER)
    assert list(read_rows(out / "encounters.csv")[0]) == ["id", "occ1", "occ2", "occ33", "occ34"]


def test_multimark_tells_the_side_of_each_capture(tmp_path):
    out, _ = export(tmp_path, "multimark")
    rows = {row.pop("id"): list(row.values()) for row in read_rows(out / "encounters.csv")}
    assert rows == {
        "aika": ["4", "1", "0", "0", "0", "0"],
        "bars": ["2", "0", "0", "1", "0", "2"],
        "cholpon": ["0", "0", "0", "0", "1", "0"],
    }
    assert {r["id"]: r["known"] for r in read_rows(out / "known.csv")} == {"aika": "1", "bars": "1", "cholpon": "0"}
    spatial = read_rows(out / "encounters-by-trap.csv")
    assert len(spatial[0]) == 1 + 3 * 6
    assert spatial[1]["trap3_occ6"] == "2"


def test_sides_of_two_passages_that_count_as_one_are_not_seen_together(tmp_path):
    rows = [
        ("aika", f"{side}_flank", "S1", f"2023-05-02T1{n}:00:00", f"e{n}", "")
        for n, side in enumerate(("left", "right"))
    ]
    out, survey = export(tmp_path, "multimark", rows, independence=240.0)
    assert [c.flank for c in survey.captures] == ["B"]
    assert read_rows(out / "encounters.csv")[0]["occ1"] == "3"
    (tmp_path / "two").mkdir()
    table = TWO_CAMERAS.replace("2023-05-03T12:00", "2023-05-01")
    out, _ = export(tmp_path / "two", "spim", rows, table, independence=240.0)
    assert [row["array"] for row in read_rows(out / "captures.csv")] == ["L", "R"]


def test_spim_numbers_linked_animals_first_and_alike(tmp_path):
    rows = [*ROWS, ("dastan", "right_flank", "S1", "2023-05-25T05:00:00", "e9", "")]
    out, _ = export(tmp_path, "spim", rows)
    cells = [tuple(row.values()) for row in read_rows(out / "captures.csv")]
    assert cells == [
        ("L", "1", "1", "1"),  # aika, both sides by one camera: the model reads B only where two worked
        ("L", "1", "2", "2"),
        ("L", "2", "3", "4"),  # bars
        ("L", "3", "2", "5"),  # cholpon, left only
        ("R", "1", "1", "1"),
        ("R", "2", "1", "1"),
        ("R", "2", "3", "6"),
        ("R", "3", "1", "5"),  # dastan, right only: another animal than cholpon for the model
    ]
    assert "n.fixed <- 2" in (out / "read.R").read_text()
    assert [list(row.values()) for row in read_rows(out / "K2D.csv")][1] == ["1", "1", "0", "1", "1", "1"]


@pytest.mark.parametrize("name", ["spim", "multimark"])
@pytest.mark.parametrize("flanks", ["left", "right", "hybrid", "sessions"])
def test_models_of_two_sides_get_no_choice_of_one(tmp_path, name, flanks):
    with pytest.raises(SnowmatchError, match=f"flanks is {flanks}, and .*: expected --flanks both"):
        export(tmp_path, name, flanks=flanks)


def test_spim_counts_the_cameras_that_worked_at_once(tmp_path):
    sides = [(f"{side}_flank", second) for side, second in (("left", "00"), ("right", "03"))]
    rows = [("aika", part, "S1", f"2023-05-{day}T10:00:{s}", day, "") for day in ("03", "12") for part, s in sides]
    out, _ = export(tmp_path, "spim", rows, TWO_CAMERAS)
    # A and B together for half a day; then A and C; the last occasion has two days
    assert [tuple(row.values()) for row in read_rows(out / "K2D.csv")] == [("2", "2", "2")]
    assert [tuple(row.values()) for row in read_rows(out / "captures.csv")] == [
        ("B", "1", "1", "1"),
        ("B", "1", "1", "3"),
    ]
    (tmp_path / "one").mkdir()
    swapped = TWO_CAMERAS.replace("2023-05-03T12:00", "2023-05-04")
    out, _ = export(tmp_path / "one", "spim", rows, swapped)
    assert next(iter(read_rows(out / "K2D.csv")))["occ1"] == "1"  # one after the other
    notes = json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "1 capture of both sides by one camera: a left and a right capture each" in notes


def test_the_scores_of_pairs_are_those_of_the_best_photos(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    data = snowmatch.open_catalog(folder).data
    named = np.array([a.row for a in data.annotations if a.individual is not None])
    n, texts = len(named), {f: np.array([str(getattr(a, f) or "") for a in data.annotations]) for f in TEXTS}
    scores = np.arange(n * n, dtype=np.float64).reshape(n, n)
    zero = np.zeros((n, 3), np.float32)
    parts = {"individual_scores": zero, "left_out_scores": zero, "group_scores": zero, "group_left_out_scores": zero}
    table = ScoreTable(
        paths=np.array([a.path for a in data.annotations]),
        **texts,
        queries=named,
        gallery=named,
        groups=np.arange(n),
        cells=cells_of(scores, n),
        individual_names=np.array(["aika", "bars", "cholpon"]),
        prior=zero,
        chance=np.ones(n),
        **parts,
    )
    save_table(tmp_path / "scores.npz", table)
    out, survey = export(tmp_path, "scr_pairwise", options={"scores": str(tmp_path / "scores.npz")})
    pairs = {(row["i"], row["j"]): float(row["score"]) for row in read_rows(out / "scores.csv")}
    samples = len(survey.captures)
    assert len(pairs) == samples * (samples - 1) / 2
    rows = [c.rows for c in survey.captures]
    best = max(max(scores[p, q], scores[q, p]) for p in rows[0] for q in rows[1])
    assert pairs["1", "2"] == best
    with pytest.raises(SnowmatchError, match="no scores of pairs"):
        export(tmp_path, "scr_pairwise")
    with pytest.raises(SnowmatchError, match="flanks is sessions: choose left or right"):
        export(tmp_path, "scr_pairwise", flanks="sessions")
    with pytest.raises(SnowmatchError, match="not of this catalog"):
        export(tmp_path, "scr_pairwise", ROWS[1:], options={"scores": str(tmp_path / "scores.npz")})


TEXTS = ("individual", "body_part", "encounter", "passage", "station")


# --- ages, flanks as sessions -----------------------------------------------------------------------------------------


def test_secr_has_the_age_of_each_animal(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    rows = read_rows(folder / "catalog.csv")
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*HEAD, "age"])
        writer.writeheader()
        writer.writerows(
            {**row, "age": {"aika": "Adult", "bars": "sub adult"}.get(row["individual"], "")} for row in rows
        )
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "secr", tmp_path / "out", coordinates=EXACT)
    captures, _ = _secr_of(tmp_path / "out")
    assert {row[1]: row[4] for row in captures} == {
        "aika": ["F", "adult"],
        "bars": ["M", "sub.adult"],
        "cholpon": ["NA", "NA"],
    }
    assert 'covnames = c("sex", "age")' in (tmp_path / "out" / "fit.R").read_text()
    left_out = "left out: it has several, and secr takes one for an animal"
    assert left_out not in (tmp_path / "out" / "manifest.json").read_text()
    table = (folder / "catalog.csv").read_text()
    (folder / "catalog.csv").write_text(table.replace("Adult", "cub", 2))  # aika grew up
    survey, notes = make_survey(snowmatch.open_catalog(folder).data), []
    export_survey(survey, "secr", tmp_path / "out", coordinates=EXACT, notes=notes)
    assert f"1 age class of an animal {left_out}: aika" in [note.text for note in notes]


def test_flanks_as_sessions_count_each_animal_once_a_side(tmp_path):
    out, survey = export(tmp_path, "secr", flanks="sessions")
    captures, tables = _secr_of(out)
    assert len(tables) == 2
    sides = {(row[0].split(".")[-1], row[1]) for row in captures}
    assert sides == {("left", "aika"), ("right", "aika"), ("left", "bars"), ("right", "bars"), ("left", "cholpon")}
    choice = next(c for c in survey.choices if c.flanks == "sessions")
    assert (choice.individuals, choice.captures, choice.recaptures) == (3, 7, 2)
    assert {name: int(table.sum()) for name, table in survey.unidentified.items()} == {"1 left": 1, "1 right": 0}


@pytest.mark.parametrize("name", ["camtrap_dp", "darwin_core", "wildbook", "wildlife_insights"])
def test_flanks_as_sessions_write_no_sighting_twice(tmp_path, name):
    both, _ = export(tmp_path, name)
    (tmp_path / "split").mkdir()
    split, _ = export(tmp_path / "split", name, flanks="sessions")
    for file in both.iterdir():
        if file.name not in ("manifest.json", "datapackage.json"):
            one, other = (sorted(f.read_text().splitlines()) for f in (file, split / file.name))
            assert one == other, file.name


def test_flanks_as_sessions_have_the_effort_of_the_stations_once(tmp_path):
    out, _ = export(tmp_path, "geojson", flanks="sessions")
    stations = json.loads((out / "stations.geojson").read_text())["features"]
    assert [s["properties"]["camera_days"] for s in stations] == [30, 25, 29.5]
