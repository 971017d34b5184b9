"""Exporters: each format is read again by the rules of the program that reads it, and tells the same captures."""

import csv
import io
import json
import pathlib
import re
import zipfile
from datetime import datetime
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SHARED, read_rows
from drawn_table import HEAD, ROWS, STATIONS, write_catalog
from PIL import Image
from python_calamine import CalamineWorkbook

import snowmatch
from snowmatch.cli import main
from snowmatch.confidence.score_table import ScoreTable, save_table
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.plugins import make_plugin, plugin_class, plugin_names
from snowmatch.features.reader import list_features, open_features
from snowmatch.interchange.exporting import export_survey
from snowmatch.interchange.importing import import_source
from snowmatch.survey.abundance import m0
from snowmatch.survey.captures import history
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import make_survey
from snowmatch.survey.summaries import estimates
from snowmatch.survey.tables import survey_tables

OPTIONS = {name: {"timezone": "+06:00"} for name in ("camtrap_dp", "darwin_core")}
FORMATS = [name for name in plugin_names("exporters") if name not in ("scr_pairwise", "hloc")]  # scores, an index
EXACT = Coordinates()


def export(tmp_path, name, rows=ROWS, stations=STATIONS, coordinates=EXACT, options=None, **counting):
    """Export a drawn survey; return the folder of its files and the survey."""
    folder = write_catalog(tmp_path / "catalog", rows, stations)
    survey = make_survey(snowmatch.open_catalog(folder).data, **counting)
    options = {**OPTIONS.get(name, {}), **(options or {})}
    export_survey(survey, name, tmp_path / "out", options=options, coordinates=coordinates)
    return tmp_path / "out", survey


# --- all formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_the_same_bytes_again_and_has_a_manifest(tmp_path, name):
    out, survey = export(tmp_path, name)
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    export(tmp_path, name)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == first
    manifest = json.loads(first["manifest.json"])
    assert manifest["format"]["name"] == name
    assert manifest["captures"] == len({c.cell for c in survey.captures})
    assert set(manifest["files"]) == set(first) - {"manifest.json"}


# Formats that leave nothing of this survey out: all annotations, or all tables
WHOLE = {"catalog", "coco", "csv", "geojson", "kml", "timelapse", "wildlife_datasets", "xlsx"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_manifest_says_what_the_format_leaves_out_and_so_does_the_command(tmp_path, name):
    rows = [*ROWS, ("aika", "head", "S1", "2023-05-25T10:00:00", "e9", "")]  # shows no side
    folder = write_catalog(tmp_path / "catalog", rows, STATIONS.replace(",cliff", ","))
    options = [part for key, value in OPTIONS.get(name, {}).items() for part in ("-o", f"{key}={value}")]
    command = ["export", str(folder), str(tmp_path / "out"), "--format", name, *options]
    if plugin_class("exporters", name).COORDINATES != "never":
        command += ["--coordinates", "exact"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())["format_notes"]
    assert all(text in result.output for text in said)
    told = "\n".join(said)
    assert (name in WHOLE) is not ("1 unidentified sighting left out: the format has identified animals only" in told)
    assert ("1 capture left out: it shows no side" in told) is (name in ("multimark", "spim"))
    assert ("1 repeated capture left out" in told) is (
        name in ("secr", "oscr", "spacecap", "spim", "mark", "capture", "rmark")
    )
    assert ("1 covariate left out: some stations lack a value: habitat" in told) is (name in ("secr", "oscr"))
    assert ("names of animals left out" in told) is (name == "darwin_core")


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_tells_a_position_unless_asked(tmp_path, name):
    if plugin_class("exporters", name).COORDINATES == "needed":
        with pytest.raises(SnowmatchError, match="not written unless asked for") as error:
            export(tmp_path, name, coordinates=None)
        assert error.value.code == "ask-coordinates"
        assert not (tmp_path / "out").exists()
        return
    out, survey = export(tmp_path, name, coordinates=None)
    content = b"".join(_plain_bytes(p) for p in sorted(out.iterdir()))
    for x, y in survey.positions.values():
        for secret in (f"{x:.0f}", f"{y:.0f}", "76.1", "41.5"):
            assert secret.encode() not in content


def _plain_bytes(path):
    if path.suffix != ".xlsx":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(n) for n in archive.namelist() if "theme" not in n and "styles" not in n)


@pytest.mark.parametrize("name", FORMATS)
def test_a_survey_without_captures_is_written_or_refused_in_one_line(tmp_path, name):
    rows = [("", *row) for _, *row in ROWS]
    if name in ("secr", "oscr", "mark", "capture", "rmark"):
        with pytest.raises(SnowmatchError, match="name individuals first"):
            export(tmp_path, name, rows)
        assert not (tmp_path / "out").exists()
    else:
        out, _ = export(tmp_path, name, rows)
        assert (out / "manifest.json").exists()


def test_the_command_names_what_is_missing(tmp_path):
    folder = write_catalog(tmp_path / "c")
    result = CliRunner().invoke(main, ["export", str(folder), str(tmp_path / "out"), "--format", "secr"])
    assert result.exit_code == 1
    assert "--coordinates exact" in result.output
    words = ["export", str(folder), str(tmp_path / "out"), "--format", "camtrap-dp", "--coordinates", "exact"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "-o timezone=+06:00" in result.output
    assert CliRunner().invoke(main, [*words, "-o", "timezone=Asia/Bishkek"]).exit_code == 0
    result = CliRunner().invoke(main, ["export", str(folder), str(tmp_path / "x"), "--format", "sec"])
    assert "did you mean 'secr'" in result.output


def test_a_station_without_a_position_is_an_error(tmp_path):
    stations = STATIONS.replace("76.15,41.45", ",")
    with pytest.raises(SnowmatchError, match="no position of S3"):
        export(tmp_path, "secr", stations=stations)


def test_files_of_somebody_else_are_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "captures.inp").write_text("mine")
    with pytest.raises(SnowmatchError, match=r"captures.inp, which snowmatch did not write"):
        export(tmp_path, "mark")
    assert (tmp_path / "out" / "captures.inp").read_text() == "mine"


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
    out, _ = export(tmp_path, "secr", rows, STATIONS.replace("S1,", "S 1,"))
    captures, _ = _secr_of(out)
    assert len({row[1] for row in captures}) == 3
    assert "NONE" not in {row[1] for row in captures}
    back = {row["written_as"]: row["name_in_catalog"] for row in read_rows(out / "names.csv")}
    assert {back[row[1]] for row in captures} == set(new.values())


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


def test_oscr_has_no_session_without_captures(tmp_path):
    sessions = ["b=2023-05-01..2023-05-10", "a=2023-05-16..2023-05-25", "C=2023-05-26..2023-05-27"]
    out, _survey = export(tmp_path, "oscr", sessions=sessions)
    assert {row["session"] for row in read_rows(out / "edf.csv")} == {"1", "2"}
    assert sorted(path.name for path in out.glob("tdf-*")) == ["tdf-1.csv", "tdf-2.csv"]
    told = json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "1 session left out: oSCR reads no session without captures" in told


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


def test_camtrapr_has_no_effort_outside_the_sessions(tmp_path):
    out, _ = export(tmp_path, "camtrapr", sessions=["early=2023-05-01..2023-05-12"])
    assert {row["DateTimeOriginal"][:10] for row in read_rows(out / "records.csv")} <= {
        f"2023-05-{d:02}" for d in range(1, 13)
    }
    ends = [(row["Retrieval_date"], "Problem1_from" in row) for row in read_rows(out / "cameras.csv")]
    assert ends == [("2023-05-13 00:00:00", False), ("2023-05-11 00:00:00", False), ("2023-05-13 00:00:00", False)]


@pytest.mark.parametrize("name", ["secr", "spacecap"])
def test_a_session_in_which_no_camera_worked_is_an_error(tmp_path, name):
    with pytest.raises(SnowmatchError, match="no camera worked in the session late"):
        export(tmp_path, name, sessions=["early=2023-05-01..2023-05-12", "late=2024-05-01..2024-05-12"])


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


TWO_CAMERAS = """station,location,camera,x,y,from,to
S1,naryn,A,76.10,41.50,2023-05-01,2023-05-03
S1,naryn,A,76.10,41.50,2023-05-06,2023-05-12
S1,naryn,B,76.10,41.50,2023-05-03T12:00,2023-05-07
S1,naryn,C,76.10,41.50,2023-05-09,2023-05-12
"""


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
        scores=scores,
        individual_names=np.array(["aika", "bars", "cholpon"]),
        prior=zero,
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
    with pytest.raises(SnowmatchError, match="not of this catalog"):
        export(tmp_path, "scr_pairwise", ROWS[1:], options={"scores": str(tmp_path / "scores.npz")})


TEXTS = ("individual", "body_part", "encounter", "station")


# --- tables -----------------------------------------------------------------------------------------------------------


def test_an_exported_catalog_is_the_same_catalog(tmp_path):
    rows = [*ROWS, ('a, "b"', "head", "S1", "2023-05-25T05:00:00", "=e9", "m")]
    out, survey = export(tmp_path, "catalog", rows)
    again = snowmatch.open_catalog(out).data
    assert again.annotations == survey.data.annotations
    assert make_survey(again, stations=tmp_path / "catalog" / "stations.csv").captures == survey.captures


def test_a_workbook_has_a_sheet_for_each_table(tmp_path):
    out, survey = export(tmp_path, "xlsx")
    with CalamineWorkbook.from_path(out / "survey.xlsx") as book:
        assert {"captures", "effort", "individuals"} <= set(book.sheet_names)
        head, *rows = book.get_sheet_by_name("captures").to_python()
    assert len(rows) == len(survey.captures)
    assert rows[0][head.index("individual_id")] == "aika"


def test_timelapse_and_wildlife_insights_have_a_row_a_photo(tmp_path):
    out, _ = export(tmp_path, "timelapse", [(*row,) for row in ROWS])
    rows = read_rows(out / "timelapse.csv")
    assert len(rows) == len(ROWS)
    assert rows[0] == {
        "RelativePath": "",
        "File": "p0.jpg",
        "DateTime": "2023-05-02 10:00:00",
        "Individual": "aika",
        "BodyPart": "left_flank",
    }
    (tmp_path / "b").mkdir()
    out, _ = export(tmp_path / "b", "wildlife_insights")
    assert len(read_rows(out / "images.csv")) == 8
    deployments = read_rows(out / "deployments.csv")
    assert float(deployments[0]["longitude"]) == pytest.approx(76.1, abs=1e-6)


def test_wildbook_has_a_row_an_encounter_with_unapproved_names(tmp_path):
    out, survey = export(tmp_path, "wildbook")
    rows = read_rows(out / "wildbook-1.csv")
    assert len(rows) == len(survey.captures)
    assert {row["Encounter.state"] for row in rows} == {"unapproved"}
    assert (rows[0]["Encounter.mediaAsset0"], rows[0]["Encounter.mediaAsset1"]) == ("p0.jpg", "p1.jpg")
    assert all(0 <= int(row["Encounter.minutes"]) <= 59 for row in rows)
    assert all(re.fullmatch(r"[a-z0-9_-]+", row["Encounter.sightingID"]) for row in rows)
    assert not any(all(not row[column] for row in rows) for column in rows[0])


def test_wildlife_insights_tells_when_the_cameras_of_a_station_did_not_work(tmp_path):
    out, _ = export(tmp_path, "wildlife_insights")
    deployments = read_rows(out / "deployments.csv")
    assert [(d["placename"], d["start_date"][:10], d["end_date"][:10]) for d in deployments] == [
        ("S1", "2023-05-01", "2023-05-31"),
        ("S2", "2023-05-01", "2023-05-11"),
        ("S2", "2023-05-16", "2023-05-31"),
        ("S3", "2023-05-01", "2023-05-31"),
    ]
    periods = {d["deployment_id"]: d for d in deployments}
    assert len(periods) == 4
    for image in read_rows(out / "images.csv"):
        own = periods[image["deployment_id"]]
        assert own["start_date"] <= image["timestamp"] < own["end_date"]


@pytest.mark.parametrize(("name", "file"), [("camtrap_dp", "media.csv"), ("wildlife_insights", "images.csv")])
def test_a_photo_is_of_the_deployment_of_its_own_camera(tmp_path, name, file):
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "stations.csv").write_text(TWO_CAMERAS)
    rows = [f"{c}.jpg,aika,{side}_flank,naryn,S1,{c},2023-05-12T10:00:0{n},e1" for n, (c, side) in
            enumerate((("A", "left"), ("C", "right")))]  # fmt: skip
    head = "path,individual,body_part,location,station,camera,timestamp,encounter"
    (folder / "catalog.csv").write_text("\n".join([head, *rows]))
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, name, tmp_path / "out", options=OPTIONS.get(name), coordinates=EXACT)
    key, camera, photo = (
        ("deploymentID", "cameraID", "fileName") if name == "camtrap_dp" else ("deployment_id", "camera_id", "filename")
    )
    cameras = {d[key]: d[camera] for d in read_rows(tmp_path / "out" / "deployments.csv")}
    assert {row[photo]: cameras[row[key]] for row in read_rows(tmp_path / "out" / file)} == {"A.jpg": "A", "C.jpg": "C"}


def test_wildbook_gives_no_two_events_one_sighting(tmp_path):
    told = (("Айка", "Лес", "02", ""), ("Барс", "Яр", "02", ""), ("鸟", "S1", "03", "e"), ("虎", "S1", "04", "e"))
    rows = [(name, "left_flank", where, f"2023-05-{day}T10:00:00", passage, "") for name, where, day, passage in told]
    out, _ = export(tmp_path, "wildbook", rows, None, coordinates=None)
    sightings = [row["Encounter.sightingID"] for row in read_rows(out / "wildbook-1.csv")]
    assert len(set(sightings)) == 4
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in sightings)


# --- Camtrap DP -------------------------------------------------------------------------------------------------------


def package(tmp_path, **given):
    out, survey = export(tmp_path, "camtrap_dp", **given)
    return json.loads((out / "datapackage.json").read_text()), out, survey


def test_camtrap_dp_keys_lead_to_rows_and_events_do_not_overlap(tmp_path):
    about, out, survey = package(tmp_path)
    deployments, media, observations = (read_rows(out / f"{n}.csv") for n in ("deployments", "media", "observations"))
    known = {row["deploymentID"] for row in deployments}
    photos = {row["mediaID"] for row in media}
    assert {row["deploymentID"] for row in (*media, *observations)} <= known
    assert {row["mediaID"] for row in observations} - {""} <= photos
    events = [row for row in observations if row["observationLevel"] == "event"]
    assert len(events) == len(survey.captures)
    assert {row["individualID"] for row in events} == {"aika", "bars", "cholpon"}
    assert events[0]["eventStart"] == "2023-05-02T10:00:00+06:00"
    assert {row["filePublic"] for row in media} == {"false"}
    assert about["project"]["individualAnimals"] is True


def test_rounded_positions_say_how_uncertain_they_are(tmp_path):
    _, out, _ = package(tmp_path, coordinates=Coordinates(5000.0))
    (row, *_) = read_rows(out / "deployments.csv")
    assert int(row["coordinateUncertainty"]) == 3566  # half the diagonal of 5 km, and 30 m of the receiver


@pytest.mark.real
def test_camtrap_dp_holds_to_the_official_schemas(tmp_path):
    schemas = SHARED / "formats" / "camtrap-dp"
    if not schemas.exists():
        pytest.skip("no schemas of Camtrap DP beside the project")
    about, out, _ = package(tmp_path)
    profile = json.loads((schemas / "camtrap-dp-profile.json").read_text())
    required = {name for part in profile.get("allOf", [profile]) for name in part.get("required", [])}
    assert required <= set(about)
    for name in ("deployments", "media", "observations"):
        schema = json.loads((schemas / f"{name}-table-schema.json").read_text())
        assert check_table(schema, (out / f"{name}.csv").read_bytes()) == []
        example = (schemas / "example" / f"{name}.csv").read_bytes()
        assert check_table(schema, example) == []  # the check knows what is right
        assert check_table(schema, example.replace(b"T0", b" 0", 1))


def check_table(schema, content):
    """Return what is wrong with a table by its schema: heads, types and constraints."""
    assert not content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    names = [field["name"] for field in schema["fields"]]
    wrong = [] if rows and list(rows[0]) == names else ["head"]
    for field in schema["fields"]:
        limits = field.get("constraints", {})
        values = [row.get(field["name"], "") for row in rows]
        given = [v for v in values if v not in ("", "NA", "NaN", "nan")]
        if limits.get("required") and len(given) < len(values):
            wrong.append(f"{field['name']} is required")
        if limits.get("unique") and len(set(given)) < len(given):
            wrong.append(f"{field['name']} is not unique")
        for value in given:
            if problem := _problem(field, limits, value):
                wrong.append(f"{field['name']} {value!r}: {problem}")
    return wrong


PATTERNS = {
    "datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:?\d\d)",
    "integer": r"-?\d+",
    "number": r"-?\d+(\.\d+)?([eE]-?\d+)?",
    "boolean": "true|false",
}


def _problem(field, limits, value):
    if field["type"] in PATTERNS and not re.fullmatch(PATTERNS[field["type"]], value):
        return f"no {field['type']}"
    if "enum" in limits and value not in limits["enum"]:
        return "not in the list"
    if "pattern" in limits and not re.search(limits["pattern"], value):
        return "pattern"
    if "minimum" in limits and float(value) < float(limits["minimum"]):
        return "too small"
    if "maximum" in limits and float(value) > float(limits["maximum"]):
        return "too large"
    return ""


# --- round trips ------------------------------------------------------------------------------------------------------

KEPT = ("individual", "body_part", "location", "station", "camera", "timestamp", "encounter", "bbox")
COMES_BACK = {
    "catalog": ("catalog.csv", "table", KEPT),
    "coco": ("coco.json", "coco", KEPT),
    "wildlife_datasets": ("metadata.csv", "wildlife_datasets", KEPT),
    "camtrap_dp": (
        "datapackage.json", "camtrap_dp", ("individual", "body_part", "location", "station", "timestamp", "bbox")
    ),
    "timelapse": ("timelapse.csv", "timelapse", ("individual", "timestamp")),
    "wildbook": ("wildbook-1.csv", "wildbook", ("individual", "location", "station")),
    "wildlife_insights": ("", "wildlife_insights", ("individual", "body_part", "station", "timestamp")),
}  # fmt: skip
OF_CAPTURES = ("camtrap_dp", "wildbook", "wildlife_insights")  # they have no other photos


def photo_catalog(tmp_path):
    """Write a catalog with photos of cards with the same file names, with boxes, and two animals in one photo."""
    folder = write_catalog(tmp_path / "catalog")
    rows = read_rows(folder / "catalog.csv")
    for n, row in enumerate(rows):
        row["bbox"] = f"{n + 1},2,{60 + n},40"
        number = sum(r["station"] == row["station"] for r in rows[:n])
        row["path"] = f"cards/naryn/{row['station']}/100RECNX/IMG_{number:04}.JPG"
        row["timestamp"] = row["timestamp"] or "2023-05-25T05:00:00"
    rows.append({**rows[2], "individual": "dastan", "body_part": "right_flank", "bbox": "70,10,20,30"})
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 60)).save(folder / row["path"])
    return folder


@pytest.mark.parametrize("name", COMES_BACK)
def test_what_goes_out_comes_back(tmp_path, name):
    folder = photo_catalog(tmp_path)
    table = (folder / "catalog.csv").read_text().replace("cholpon", '"-Cholpon, ""2"""')  # a name like a formula
    (folder / "catalog.csv").write_text(table)
    data = snowmatch.open_catalog(folder).data
    survey = make_survey(data)
    export_survey(survey, name, tmp_path / "out", options=OPTIONS.get(name), coordinates=EXACT)
    file, importer, columns = COMES_BACK[name]
    again = tmp_path / "again"
    (tmp_path / "out" / "manifest.json").unlink()
    source = tmp_path / "out" / file
    import_source(source, again, importer, photos=folder)
    back = snowmatch.open_catalog(again).data
    captured = {row for c in survey.captures for row in c.rows}
    sent = [a for a in data.annotations if name not in OF_CAPTURES or a.row in captured]

    def told(annotations):
        return sorted(
            (*pathlib.PurePosixPath(a.path).parts[-3:], *(str(getattr(a, column)) for column in columns))
            for a in annotations
        )

    assert told(back.annotations) == told(sent)


# --- photos and features ----------------------------------------------------------------------------------------------


def test_the_effort_of_a_survey_comes_back_from_camtrap_dp(tmp_path):
    folder = photo_catalog(tmp_path)
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "camtrap_dp", tmp_path / "out", options=OPTIONS["camtrap_dp"], coordinates=EXACT)
    import_source(tmp_path / "out", tmp_path / "again", photos=folder)
    back = make_survey(snowmatch.open_catalog(tmp_path / "again").data)
    assert [(p.location, p.station) for p in back.places] == [(p.location, p.station) for p in survey.places]
    for label, position in survey.positions.items():
        assert back.positions[label] == pytest.approx(position, abs=1)  # degrees have six decimals
    (ours,), (theirs,) = survey.sessions, back.sessions
    assert np.allclose(back.occasion_effort(theirs), survey.occasion_effort(ours))
    assert {c.cell[1:] for c in back.captures} == {c.cell[1:] for c in survey.captures}


def test_coco_has_no_position_and_numbers_frames(tmp_path):
    out, survey = export(tmp_path, "coco")
    about = json.loads((out / "coco.json").read_text())
    assert len(about["annotations"]) == len(survey.data.annotations)
    assert [(i["seq_id"], i["frame_num"], i["seq_num_frames"]) for i in about["images"][:3]] == [
        ("e1", 0, 2),
        ("e1", 1, 2),
        ("e2", 0, 1),
    ]
    assert sum("individual_id" not in a for a in about["annotations"]) == 1


def test_hloc_has_the_stored_features_in_its_layout(own_survey, tmp_path):
    folder = own_survey / "catalog"
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "hloc", tmp_path / "out")
    first = (tmp_path / "out" / "features.h5").read_bytes()
    session = snowmatch.open_catalog(folder).session()
    rows = read_rows(tmp_path / "out" / "images.csv")
    assert len(rows) == sum(state.key is not None for state in session.states)
    (described,) = list_features(features_path(folder))
    reader = open_features(features_path(folder), described)
    state = next(s for s in session.states if s.key is not None)
    features = reader.read(state.key)
    path = next(a.path for a, s in zip(session.data.annotations, session.states, strict=True) if s is state)
    with h5py.File(tmp_path / "out" / "features.h5") as store:
        group = store[path]
        assert set(group) == {"keypoints", "descriptors", "scores", "image_size"}
        np.testing.assert_array_equal(group["keypoints"], features.keypoints)
        assert group["descriptors"].shape == features.descriptors.T.shape
        norms = np.linalg.norm(group["descriptors"][:].astype(np.float32), axis=0)
        np.testing.assert_allclose(norms, 1, atol=0.02)
        assert tuple(group["image_size"]) == features.image_size
        found = []
        store.visititems(lambda name, each: found.append(name) if isinstance(each, h5py.Dataset) else None)
        assert {name.rpartition("/")[0] for name in found} == {row["image"] for row in rows}
    export_survey(survey, "hloc", tmp_path / "out")
    assert (tmp_path / "out" / "features.h5").read_bytes() == first
    with pytest.raises(SnowmatchError, match="extractor 'orb'"):
        export_survey(survey, "hloc", tmp_path / "out", options={"extractor": "orb"})


def test_features_and_matches_come_back_from_hloc(own_survey, tmp_path):
    folder = own_survey / "catalog"
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "hloc", tmp_path / "out")
    session = snowmatch.open_catalog(folder).session()
    (described,) = list_features(features_path(folder))
    reader = open_features(features_path(folder), described)
    stored = {
        a.path: reader.read(s.key)
        for a, s in zip(session.data.annotations, session.states, strict=True)
        if s.key is not None
    }
    with h5py.File(tmp_path / "out" / "features.h5", libver="latest") as store:
        names = hloc_names(store)
        assert set(names) == set(stored)
        back = {name: {key: value[()] for key, value in store[name].items()} for name in names}
    for name, features in stored.items():
        np.testing.assert_array_equal(back[name]["keypoints"], features.keypoints)
        width, height = back[name]["image_size"]
        assert (back[name]["keypoints"] < [width, height]).all()
        assert all(value.size and value.dtype.kind in "fi" for value in back[name].values())  # hloc stacks all of them
    one, other = names[:2]
    ours = mutual(*(stored[n].descriptors.astype(np.float32) / 512 for n in (one, other)))
    matches = mutual(*(back[n]["descriptors"].T.astype(np.float32) for n in (one, other)))
    with h5py.File(tmp_path / "matches.h5", "w", libver="latest") as store:  # as hloc's match_features writes it
        group = store.create_group(f"{one.replace('/', '-')}/{other.replace('/', '-')}")
        group["matches0"] = matches.astype(np.int16)
    with h5py.File(tmp_path / "matches.h5") as store:
        found = store[f"{one.replace('/', '-')}/{other.replace('/', '-')}"]["matches0"][()]
    assert len(found) == len(stored[one].keypoints)
    assert (found == ours).mean() > 0.98  # descriptors are float16 there
    assert (found >= 0).sum() > 10


def hloc_names(store):
    """Return the names of images as hloc lists them: the parents of all data."""
    names = []
    store.visititems(
        lambda _, each: names.append(each.parent.name.strip("/")) if isinstance(each, h5py.Dataset) else None
    )
    return sorted(set(names))


def mutual(one, other):
    """Return for each descriptor of one photo its mutual nearest neighbour, or -1."""
    likeness = one @ other.T
    there, back = likeness.argmax(1), likeness.argmax(0)
    return np.where(back[there] == np.arange(len(one)), there, -1)


def test_names_that_hloc_takes_for_one_are_refused(own_survey, tmp_path):
    folder = own_survey / "catalog"
    table = (folder / "catalog.csv").read_text()
    photo = read_rows(folder / "catalog.csv")[0]["path"]
    twin = photo.replace("/", "-")
    (folder / twin).write_bytes((folder / photo).read_bytes())
    (folder / "catalog.csv").write_text(table + table.splitlines()[1].replace(photo, twin) + "\n")
    snowmatch.open_catalog(folder).index()
    with pytest.raises(SnowmatchError, match="are one name for hloc"):
        export_survey(make_survey(snowmatch.open_catalog(folder).data), "hloc", tmp_path / "out")


def test_hloc_of_a_catalog_without_an_index_says_so(tmp_path):
    with pytest.raises(SnowmatchError, match="index it first") as error:
        export(tmp_path, "hloc")
    assert error.value.code == "not-indexed"


# --- maps and GBIF ----------------------------------------------------------------------------------------------------


def test_geojson_and_kml_have_stations_and_movements(tmp_path):
    out, survey = export(tmp_path, "geojson")
    stations = json.loads((out / "stations.geojson").read_text())["features"]
    assert [f["properties"]["label"] for f in stations] == ["S1", "S2", "S3"]
    assert stations[0]["geometry"]["coordinates"] == [76.1, 41.5]
    moves = json.loads((out / "movements.geojson").read_text())["features"]
    assert [f["properties"]["individual"] for f in moves] == ["aika", "bars"]
    assert "ends" not in moves[0]["properties"]
    (tmp_path / "b").mkdir()
    rows = [(f"<{name}> & \x07" if name else "", *more) for name, *more in ROWS]
    out, survey = export(tmp_path / "b", "kml", rows)
    root = ElementTree.fromstring((out / "survey.kml").read_text(encoding="utf-8"))
    space = "{http://www.opengis.net/kml/2.2}"
    assert len(root.findall(f".//{space}Placemark")) == len(survey.places) + 2
    assert root.find(f".//{space}Point/{space}coordinates").text == "76.1,41.5,0"


def test_darwin_core_hides_individuals_unless_asked(tmp_path):
    rows = [(name, part, st, time, enc, sex) for name, part, st, time, enc, sex in ROWS]
    out, survey = export(tmp_path, "darwin_core", rows, coordinates=Coordinates(5000.0))
    occurrences, media = read_rows(out / "occurrence.csv"), read_rows(out / "multimedia.csv")
    assert len(occurrences) == len(survey.captures)
    assert {row["occurrenceID"] for row in media} == {row["occurrenceID"] for row in occurrences}
    assert occurrences[0]["dataGeneralizations"] == "coordinates rounded to 0.04492 degree"
    assert {row["coordinateUncertaintyInMeters"] for row in occurrences} == {"3566"}
    for name in ("occurrence.csv", "multimedia.csv"):
        assert not any(secret in (out / name).read_text() for secret in ("aika", "bars", "cholpon", "p0.jpg"))
    (tmp_path / "b").mkdir()
    out, _ = export(tmp_path / "b", "darwin_core", options={"individuals": "true"})
    assert {row["organismID"] for row in read_rows(out / "occurrence.csv")} == {"aika", "bars", "cholpon"}
    meta = ElementTree.fromstring((out / "meta.xml").read_text())
    space = "{http://rs.tdwg.org/dwc/text/}"
    for table, file in (("core", "occurrence.csv"), ("extension", "multimedia.csv")):
        terms = [field.get("term").rpartition("/")[2] for field in meta.findall(f"{space}{table}/{space}field")]
        head = [name.rpartition(":")[2] for name in read_rows(out / file)[0]]
        assert terms == head


# --- further columns, ages, flanks as sessions ------------------------------------------------------------------------


def read_archive(folder):
    """Return the tables of a Darwin Core archive, read by its meta.xml alone: (row type, key, rows by term) of each.

    Source: Darwin Core text guide, https://dwc.tdwg.org/text/.
    """
    space = "{http://rs.tdwg.org/dwc/text/}"
    root = ElementTree.fromstring((folder / "meta.xml").read_text(encoding="utf-8"))
    assert root.tag == f"{space}archive"
    assert [child.tag.removeprefix(space) for child in root] == ["core", "extension"]
    tables = []
    for part in root:
        about = part.attrib
        (location,) = part.findall(f"{space}files/{space}location")
        text = (folder / location.text).read_bytes().decode(about["encoding"])
        ending = about["linesTerminatedBy"].encode().decode("unicode_escape")
        assert text.endswith(ending)
        assert "\r" not in text
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=about["fieldsTerminatedBy"],
                                quotechar=about["fieldsEnclosedBy"], strict=True))  # fmt: skip
        head, lines = lines[: int(about["ignoreHeaderLines"])], lines[int(about["ignoreHeaderLines"]) :]
        fields = {int(f.attrib["index"]): f.attrib["term"] for f in part.findall(f"{space}field")}
        assert len(set(fields.values())) == len(fields) == len(part.findall(f"{space}field"))
        assert {len(line) for line in lines} <= {len(fields)}
        assert set(fields) == set(range(len(fields)))
        # The heading is for people; each column has to be the term that meta.xml says
        assert [name.rpartition(":")[2] for name in head[0]] == [
            fields[n].rpartition("/")[2] for n in range(len(fields))
        ]
        key = part.find(f"{space}{'id' if part.tag.endswith('core') else 'coreid'}")
        at = int(key.attrib["index"])
        rows = [{fields[n]: value for n, value in enumerate(line)} for line in lines]
        tables.append((about["rowType"], [line[at] for line in lines], rows))
    return tables


def test_darwin_core_is_an_archive_by_its_own_description(tmp_path):
    rows = [(name and f'"{name}", the cat', *more) for name, *more in ROWS]  # quotes and commas in names
    out, survey = export(tmp_path, "darwin_core", rows, options={"individuals": "true", "license": "CC0-1.0"})
    (core, keys, occurrences), (extension, links, media) = read_archive(out)
    dwc, ac = "http://rs.tdwg.org/dwc/terms/", "http://rs.tdwg.org/ac/terms/"
    assert (core, extension) == (f"{dwc}Occurrence", f"{ac}Multimedia")
    assert len(set(keys)) == len(keys) == len(survey.captures)
    assert set(links) <= set(keys)
    assert {row[f"{dwc}organismID"] for row in occurrences} == {c.individual for c in survey.captures}
    assert {row[f"{dwc}basisOfRecord"] for row in occurrences} == {"MachineObservation"}
    for row in occurrences:  # what GBIF asks of every occurrence
        assert row[f"{dwc}occurrenceID"]
        assert row[f"{dwc}scientificName"]
        assert -90 <= float(row[f"{dwc}decimalLatitude"]) <= 90
        assert -180 <= float(row[f"{dwc}decimalLongitude"]) <= 180
        assert all(datetime.fromisoformat(moment).tzinfo for moment in row[f"{dwc}eventDate"].split("/"))
    assert {row[f"{ac}accessURI"] for row in media} == {p for c in survey.captures for p in c.photos}


def test_an_exported_catalog_keeps_further_columns_but_no_position(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    rows = read_rows(folder / "catalog.csv")
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*HEAD, "Collar", "GPS lat", "X"])
        writer.writeheader()
        writer.writerows({**row, "Collar": f"c{n}", "GPS lat": "41.5", "X": "591809"} for n, row in enumerate(rows))
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, "catalog", tmp_path / "out")
    assert [row["Collar"] for row in read_rows(tmp_path / "out" / "catalog.csv")] == [f"c{n}" for n in range(len(rows))]
    text = (tmp_path / "out" / "catalog.csv").read_text()
    assert "41.5" not in text
    assert "591809" not in text
    export_survey(survey, "catalog", tmp_path / "with", coordinates=EXACT)
    assert {row["GPS lat"] for row in read_rows(tmp_path / "with" / "catalog.csv")} == {"41.5"}


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


# --- plugins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plugin_names("exporters"))
def test_an_exporter_is_a_plugin(name):
    exporter = make_plugin("exporters", name)
    assert exporter.COORDINATES in ("needed", "optional", "never")
    assert (type(exporter).__doc__ or "").strip()
