"""Exporters of every kind: same bytes again, no positions unless asked, and what goes out comes back."""

import csv
import json
import pathlib
import re
import sys
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import read_rows
from drawn_table import HEAD, ROWS, STATIONS, write_catalog
from exported import EXACT, OPTIONS, TWO_CAMERAS, export, photo_catalog
from import_sources import photo, timelapse_csv, timelapse_ddb, write_csv
from PIL import Image
from python_calamine import CalamineWorkbook

import snowmatch
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.plugins import make_plugin, plugin_class, plugin_names
from snowmatch.features.reader import list_features, open_features
from snowmatch.features.writer import FeatureWriter
from snowmatch.interchange.exporters import xlsx
from snowmatch.interchange.exporting import export_survey
from snowmatch.interchange.importing import import_source
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import make_survey, uncounted_survey
from snowmatch.testing import EXPORTER_CHECKS

PLUGINS = plugin_names("exporters")
FORMATS = [name for name in plugin_names("exporters") if name not in ("scr_pairwise", "hloc")]  # scores, an index


# --- all formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("check", EXPORTER_CHECKS.values(), ids=list(EXPORTER_CHECKS))
def test_an_exporter_passes_every_conformance_check(name, check):
    check(make_plugin("exporters", name, OPTIONS.get(name)))


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_the_same_bytes_again_and_has_a_manifest(tmp_path, name):
    out, survey = export(tmp_path, name)
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    export(tmp_path, name)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == first
    manifest = json.loads(first["manifest.json"])
    assert manifest["format"]["name"] == name
    counted = getattr(plugin_class("exporters", name), "COUNTS", True)
    assert manifest.get("captures") == (len({c.cell for c in survey.captures}) if counted else None)
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
    assert (name in WHOLE) is not ("1 unidentified sighting left out: only captures of individuals are written" in told)
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


@pytest.mark.parametrize("name", [n for n in FORMATS if plugin_class("exporters", n).COORDINATES == "optional"])
def test_positions_that_were_asked_for_and_that_no_station_has_are_told(tmp_path, name):
    folder = write_catalog(tmp_path / "catalog", stations=None)
    out, options = tmp_path / "out", [f"-o{key}={value}" for key, value in OPTIONS.get(name, {}).items()]
    command = ["export", str(folder), str(out), "--format", name, *options]
    told = "positions were asked for, but no station has one: fill in x and y in stations.csv"
    without = CliRunner().invoke(main, command)
    asked = CliRunner().invoke(main, [*command, "--coordinates", "exact", "--force"])
    assert (without.exit_code, asked.exit_code) == (0, 0), asked.output
    assert told not in without.output
    assert (told in asked.output) is (name != "catalog")  # that has all annotations, and its own columns
    assert (told in json.loads((out / "manifest.json").read_text())["format_notes"]) is (name != "catalog")
    if name == "camtrapr":
        assert "needs positions: fill in x and y" in (out / "read.R").read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_a_survey_without_captures_is_written_or_refused_in_one_line(tmp_path, name):
    rows = [("", *row) for _, *row in ROWS]
    of_captures = {"camtrapr", "wildbook", "secr", "oscr", "spacecap", "mark", "capture", "rmark", "multimark", "spim"}
    if name in of_captures:
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


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("coco", "no effect on the format coco: --coordinates, --flanks, --session"),
        ("catalog", "no effect on the format catalog: --flanks, --session"),
        ("mark", "no effect on the format mark: --coordinates"),
        ("csv", ""),
    ],
)
def test_an_option_that_changes_nothing_in_a_format_is_told(tmp_path, name, told):
    words = ["export", str(write_catalog(tmp_path / "c")), str(tmp_path / name), "--format", name]
    more = ["--coordinates", "exact", "--flanks", "left", "--session", "a=2023-05-01..2023-05-30"]
    result = CliRunner().invoke(main, [*words, *more])
    assert result.exit_code == 0, result.output
    assert ("no effect" in result.stderr) is bool(told)
    assert told in result.stderr
    (tmp_path / name).rename(tmp_path / "first")
    assert "no effect" not in CliRunner().invoke(main, words).stderr


@pytest.mark.parametrize("name", ["coco", "catalog", "wildlife-datasets", "timelapse", "csv"])
def test_a_format_of_all_annotations_needs_no_station_and_no_time(tmp_path, name):
    rows = [(who, side, "", "", *rest) for who, side, _, _, *rest in ROWS]
    folder = write_catalog(tmp_path / "c", rows, None)
    result = CliRunner().invoke(main, ["export", str(folder), str(tmp_path / "out"), "--format", name])
    if name == "csv":
        assert result.exit_code == 1
        assert "write one common name in the column station" in " ".join(result.output.split())
        return
    assert result.exit_code == 0, result.output
    assert "sighting" not in result.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {"files", "format_notes"} <= set(manifest)
    assert not {"settings", "captures", "individuals", "left_out", "notes"} & set(manifest)


@pytest.mark.parametrize("name", ["secr", "camtrapr", "multimark"])
def test_a_station_without_a_position_is_an_error(tmp_path, name):
    stations = STATIONS.replace("76.15,41.45", ",")
    with pytest.raises(SnowmatchError, match="no position of S3"):
        export(tmp_path, name, stations=stations)


@pytest.mark.parametrize("name", [n for n in FORMATS if plugin_class("exporters", n).COORDINATES == "needed"])
def test_without_pyproj_a_format_of_positions_names_the_package(tmp_path, monkeypatch, name):
    monkeypatch.setattr("snowmatch.survey.projection._MADE", {})
    monkeypatch.setitem(sys.modules, "pyproj", None)
    with pytest.raises(SnowmatchError, match=r'^positions in EPSG:4326 .*pip install "snowmatch\[survey\]"') as error:
        export(tmp_path, name)
    assert error.value.code == "no-pyproj"


def test_notes_on_the_survey_are_told_before_the_export_fails(tmp_path):
    folder = write_catalog(tmp_path / "c", stations=STATIONS.replace("\nS", "\nX"))
    words = ["export", str(folder), str(tmp_path / "out"), "--format", "secr", "--coordinates", "exact"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    why, failed = (
        result.stderr.index("S1 is not in the table of stations"),
        result.stderr.index("no captures to export"),
    )
    assert why < failed
    told = CliRunner().invoke(main, ["export", str(folder), str(tmp_path / "t"), "--format", "csv"]).stderr.splitlines()
    assert len(told) == len(set(told))  # each note once


def test_files_of_somebody_else_are_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "captures.inp").write_text("mine")
    with pytest.raises(SnowmatchError, match=r"captures.inp, which snowmatch did not write"):
        export(tmp_path, "mark")
    assert (tmp_path / "out" / "captures.inp").read_text() == "mine"


def test_files_of_another_format_or_command_are_not_removed(tmp_path):
    out, survey = export(tmp_path, "secr")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(SnowmatchError, match=r"out holds an export as secr: choose another folder") as error:
        export(tmp_path, "oscr")
    assert error.value.code == "output-exists"
    words = ["survey", str(tmp_path / "catalog"), "--no-figures", "--out", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "out holds an export as secr: choose another folder" in result.output
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    export(tmp_path, "secr", occasion="10d")  # the same format may be written again
    export_survey(survey, "oscr", out, coordinates=EXACT, force=True)
    assert set(before) < {path.name for path in out.iterdir()}  # replaced where the names are the same, not removed
    assert CliRunner().invoke(main, [*words[:-1], str(tmp_path / "survey")]).exit_code == 0
    with pytest.raises(SnowmatchError, match="survey holds what snowmatch survey writes"):
        export_survey(survey, "csv", tmp_path / "survey")
    for path in out.iterdir():
        if path.name != "manifest.json":
            path.unlink()
    export(tmp_path, "mark")  # a manifest alone keeps nobody out


# --- tables -----------------------------------------------------------------------------------------------------------


def test_an_exported_catalog_is_the_same_catalog(tmp_path):
    rows = [
        *ROWS,
        ('a, "b"', "head", "S1", "2023-05-25T05:00:00", "=e9", "m"),
        ("", "head", "S1", "2023-05-26", "", ""),
    ]
    out, survey = export(tmp_path, "catalog", rows)
    again = snowmatch.open_catalog(out).data
    assert again.annotations[-1].dated
    assert again.annotations == survey.data.annotations
    assert make_survey(again, stations=tmp_path / "catalog" / "stations.csv").captures == survey.captures


def test_a_workbook_has_a_sheet_for_each_table(tmp_path):
    out, survey = export(tmp_path, "xlsx")
    with CalamineWorkbook.from_path(out / "survey.xlsx") as book:
        assert {"captures", "effort", "individuals"} <= set(book.sheet_names)
        head, *rows = book.get_sheet_by_name("captures").to_python()
    assert len(rows) == len(survey.captures)
    assert rows[0][head.index("individual_id")] == "aika"


def test_the_tables_have_the_numbers_of_covariates_as_numbers(tmp_path):
    values = {"slope": "-1.25", "height": "1 250", "ndvi": "-0,50", "code": "007", "large": "-1e999", "note": "-x"}
    stations = "station;x;y;from;to;{}\n".format(";".join(values))
    for n in (1, 2, 3):
        stations += f"S{n};76.{n};41.5;2023-05-01;2023-05-30;{';'.join(values.values())}\n"
    out, _ = export(tmp_path, "csv", stations=stations)
    row = read_rows(out / "stations.csv")[0]
    texts = {"slope": "-1.25", "height": "1250", "ndvi": "-0.50", "code": "007", "large": "-1e999", "note": "'-x"}
    assert {name: row[name] for name in values} == texts
    (tmp_path / "b").mkdir()
    out, _ = export(tmp_path / "b", "xlsx", stations=stations)
    with CalamineWorkbook.from_path(out / "survey.xlsx") as book:
        head, first, *_ = book.get_sheet_by_name("stations").to_python()
    numbers = {"slope": -1.25, "height": 1250, "ndvi": -0.5}
    assert {name: first[head.index(name)] for name in values} == values | numbers


@pytest.mark.parametrize(
    ("head", "rows", "told"),
    [
        (("day",), [()] * 1_048_576, "effort.csv has 1,048,577 rows, and Excel allows 1,048,576"),
        (["day"] * 16_385, [], "effort.csv has 16,385 columns"),
        (("day",), [("x" * 32_768,)], "effort.csv has 32,768 letters in a cell"),
    ],
)
def test_a_table_that_is_too_large_for_a_workbook_is_not_cut(tmp_path, monkeypatch, head, rows, told):
    monkeypatch.setattr(xlsx, "survey_tables", lambda *given: {"effort.csv": (head, rows)})
    with pytest.raises(SnowmatchError, match=f"{told}.*--format csv"):
        export(tmp_path, "xlsx")


def test_exported_tables_have_the_days_of_co_use_that_were_asked_for(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    for number, (days, animals) in enumerate((("7", ["bars"]), ("13", ["bars", "cholpon"]))):
        words = ["-o", f"co_use={days}", "--format"]
        out = tmp_path / str(number)
        for name in ("csv", "xlsx"):
            result = CliRunner().invoke(main, ["export", str(folder), str(out / name), *words, name])
            assert result.exit_code == 0, result.output
        assert [row["individual_b"] for row in read_rows(out / "csv" / "co-use.csv")] == animals
        with CalamineWorkbook.from_path(out / "xlsx" / "survey.xlsx") as book:
            assert len(book.get_sheet_by_name("co-use").to_python()) == 1 + len(animals)
        assert json.loads((out / "csv" / "manifest.json").read_text())["format"]["co_use"] == float(days)
    with pytest.raises(SnowmatchError, match="co_use is 400 days, expected 0 to 366"):
        export(tmp_path, "csv", options={"co_use": "400"})


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


@pytest.mark.parametrize("kind", [timelapse_csv, timelapse_ddb])
@pytest.mark.parametrize("where", ["elsewhere", "above", "inside"])
def test_timelapse_gets_the_paths_that_it_has(tmp_path, kind, where):
    source = kind(tmp_path / "home" / "cards")
    catalog = {"elsewhere": tmp_path / "c", "above": tmp_path / "home", "inside": source.parent / "c"}[where]
    import_source(source, catalog)
    notes = []
    export_survey(uncounted_survey(snowmatch.open_catalog(catalog).data), "timelapse", tmp_path / "out", notes=notes)
    rows = read_rows(tmp_path / "out" / "timelapse.csv")
    assert [(row["RelativePath"], row["File"]) for row in rows] == [("S01", "a.jpg"), ("S02", "a.jpg")]
    assert not any(note.code.startswith("paths") for note in notes)


@pytest.mark.parametrize(
    ("paths", "told", "code"),
    [
        (["own/c.jpg", "photos/one/a.jpg", "photos/two/b.jpg"], ["own/c.jpg", "a.jpg", "b.jpg"], "paths-below-links"),
        (["photos/one/a.jpg", "photos/two/a.jpg"], ["photos/one/a.jpg", "photos/two/a.jpg"], "paths-not-known"),
        (["photos/three/a.jpg"], ["photos/three/a.jpg"], ""),  # no link
    ],
)
def test_timelapse_gets_paths_below_links_and_two_photos_never_one_name(tmp_path, paths, told, code):
    folder = tmp_path / "c"
    (folder / "photos" / "three").mkdir(parents=True)
    for card in ("one", "two"):
        (tmp_path / card).mkdir()
        (folder / "photos" / card).symlink_to(tmp_path / card, target_is_directory=True)
    write_csv(folder / "catalog.csv", [{"path": path, "individual": "aika"} for path in paths])
    notes = []
    export_survey(uncounted_survey(snowmatch.open_catalog(folder).data), "timelapse", tmp_path / "out", notes=notes)
    rows = read_rows(tmp_path / "out" / "timelapse.csv")
    assert ["/".join(filter(None, (r["RelativePath"].replace("\\", "/"), r["File"]))) for r in rows] == told
    assert [note.code for note in notes] == [code] * bool(code)
    data, notes = snowmatch.open_catalog(folder).data, []
    screened = tuple(replace(a, left_out="person" if a.row else "") for a in data.annotations)  # only the first is kept
    export_survey(uncounted_survey(replace(data, annotations=screened)), "timelapse", tmp_path / "out", notes=notes)
    row, texts = read_rows(tmp_path / "out" / "timelapse.csv")[0], " ".join(note.text for note in notes)
    assert (row["File"], row["RelativePath"] == "") == (paths[0].rpartition("/")[2], "one" in paths[0])
    assert not any(path in texts for path in paths[1:])
    assert "two" not in texts


def test_wildbook_has_a_row_an_encounter_with_unapproved_names(tmp_path):
    out, survey = export(tmp_path, "wildbook")
    rows = read_rows(out / "wildbook-1.csv")
    assert len(rows) == len(survey.captures)
    assert {row["Encounter.state"] for row in rows} == {"unapproved"}
    assert (rows[0]["Encounter.mediaAsset0"], rows[0]["Encounter.mediaAsset1"]) == ("p0.jpg", "p1.jpg")
    assert all(0 <= int(row["Encounter.minutes"]) <= 59 for row in rows)
    assert all(re.fullmatch(r"[a-z0-9_-]+", row["Encounter.sightingID"]) for row in rows)
    assert not any(all(not row[column] for row in rows) for column in rows[0])


def test_wildbook_has_a_photo_of_two_animals_under_its_name(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    table = (folder / "catalog.csv").read_text()
    (folder / "catalog.csv").write_text(f"{table}p0.jpg,dastan,head,naryn,S1,S1a,2023-05-02T10:00:00,e1,\n")
    export_survey(make_survey(snowmatch.open_catalog(folder).data), "wildbook", tmp_path / "out")
    assert not (tmp_path / "out" / "photos.csv").exists()  # no photo has to be uploaded under another name
    rows = read_rows(tmp_path / "out" / "wildbook-1.csv")
    assert [row["MarkedIndividual.individualID"] for row in rows if row["Encounter.mediaAsset0"] == "p0.jpg"] == [
        "aika",
        "dastan",
    ]


@pytest.mark.parametrize(
    ("name", "file", "columns"),
    [
        ("wildbook", "wildbook-1.csv", ("Encounter.genus", "Encounter.specificEpithet")),
        ("wildlife_insights", "images.csv", ("genus", "species")),
    ],
)
def test_the_species_of_a_capture_is_that_of_the_catalog(tmp_path, name, file, columns):
    folder = photo_catalog(tmp_path)
    table = read_rows(folder / "catalog.csv")
    kinds = {"aika": "Panthera pardus", "bars": "Snow leopard", "cholpon": "ibex"}
    with (folder / "catalog.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, [*table[0], "species"])
        writer.writeheader()
        writer.writerows({**row, "species": kinds.get(row["individual"], "")} for row in table)
    notes = []
    survey = make_survey(snowmatch.open_catalog(folder).data)
    export_survey(survey, name, tmp_path / "out", options={"species": "Lynx lynx"}, coordinates=EXACT, notes=notes)
    told = {tuple(row[column] for column in columns) for row in read_rows(tmp_path / "out" / file)}
    assert told == {("Panthera", "pardus"), ("Panthera", "uncia"), ("", ""), ("Lynx", "lynx")}
    assert any("may be no scientific names, which the format needs: ibex" in note.text for note in notes)
    table = [{**row, "species": "ibex"} for row in table]
    write_csv(folder / "catalog.csv", table)
    survey = make_survey(snowmatch.open_catalog(folder).data)
    for species, expected in (("Capra sibirica", ("Capra", "sibirica")), ("Panthera uncia", ("", ""))):
        out = tmp_path / species
        export_survey(survey, name, out, options={"species": species}, coordinates=EXACT)
        assert {tuple(row.get(column, "") for column in columns) for row in read_rows(out / file)} == {expected}


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


@pytest.mark.parametrize(
    ("name", "file", "photos", "told"),
    [
        ("camtrap_dp", "media.csv", 7, "left out: it has no time; the event has those of its other photos"),
        ("darwin_core", "multimedia.csv", 7, "left out: it has no time; the event has those of its other photos"),
        ("wildlife_insights", "images.csv", 8, "without a time: that of its event is written"),
    ],
)
def test_what_becomes_of_a_photo_without_a_time_is_told(tmp_path, name, file, photos, told):
    rows = [(*row[:3], "" if row[1] == "right_flank" and row[4] == "e1" else row[3], *row[4:]) for row in ROWS]
    out, survey = export(tmp_path, name, rows)
    assert len(survey.captures) == 7
    assert len(read_rows(out / file)) == photos
    assert f"1 photo {told}" in json.loads((out / "manifest.json").read_text())["format_notes"]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("camtrap_dp", ("locationID", "deploymentStart", "deploymentEnd")),
        ("wildlife_insights", ("placename", "start_date", "end_date")),
    ],
)
def test_deployments_are_cut_to_the_sessions(tmp_path, name, columns):
    """Outside the sessions the captures are not exported: effort there would tell that no animal was seen."""
    sessions = ["a=2023-05-01..2023-05-10", "b=2023-05-14..2023-05-17", "c=2023-05-18..2023-05-19"]
    late = "S4,naryn,76.25,41.55,2023-05-25,2023-05-30,,,ridge\n"
    out, _ = export(tmp_path, name, stations=STATIONS + late, sessions=sessions)
    rows = read_rows(out / "deployments.csv")
    place, start, end = columns
    found = [(row[place], f"{row[start][5:10]} to {row[end][5:10]}") for row in rows]
    first, second = "05-01 to 05-11", "05-14 to 05-20"  # b and c touch
    second_of_s2 = second if name == "camtrap_dp" else "05-16 to 05-20"  # a problem until then
    assert found == [
        *(("S1", first), ("S1", second), ("S2", first), ("S2", second_of_s2), ("S3", first), ("S3", second)),
    ]
    tags = [row["deploymentTags"] for row in rows if row.get("deploymentTags")]
    assert tags == ["notWorking:2023-05-14T00:00:00+06:00/2023-05-16T00:00:00+06:00"] * (name == "camtrap_dp")
    told = json.loads((out / "manifest.json").read_text())["format_notes"]
    assert "4 working times of cameras not wholly in the sessions: cut to the sessions" in told
    (tmp_path / "whole").mkdir()
    out, _ = export(tmp_path / "whole", name)
    assert "cut to the sessions" not in (out / "manifest.json").read_text()


def test_camtrap_dp_needs_a_camera_that_worked_in_the_sessions(tmp_path):
    with pytest.raises(SnowmatchError, match="no camera worked in the sessions: choose other sessions"):
        export(tmp_path, "camtrap_dp", sessions=["a=2024-05-01..2024-05-10"])


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


def test_wildbook_tells_photos_of_two_cameras_with_one_name_apart(tmp_path):
    folder = tmp_path / "catalog"
    folder.mkdir()
    rows = [f"{c}/RCNX0001.JPG,aika,{side}_flank,S1,{c},2023-05-12T10:00:0{n},e1" for n, (c, side) in
            enumerate((("A", "left"), ("B", "right")))]  # fmt: skip
    (folder / "catalog.csv").write_text(
        "\n".join(["path,individual,body_part,station,camera,timestamp,encounter", *rows])
    )
    export_survey(make_survey(snowmatch.open_catalog(folder).data), "wildbook", tmp_path / "out")
    (row,) = read_rows(tmp_path / "out" / "wildbook-1.csv")
    assert (row["Encounter.mediaAsset0"], row["Encounter.mediaAsset1"]) == ("A RCNX0001.JPG", "B RCNX0001.JPG")
    told = {each["path"]: each["upload_as"] for each in read_rows(tmp_path / "out" / "photos.csv")}
    assert told == {"A/RCNX0001.JPG": "A RCNX0001.JPG", "B/RCNX0001.JPG": "B RCNX0001.JPG"}


def test_wildbook_tells_photos_in_folders_of_all_alphabets_apart(tmp_path):
    """Two cards each have an RCNX0001.JPG; letters of the folders' names may be Cyrillic, or of no alphabet we know."""
    stations = ("Гребень", "Седло", "Ак-Суу 2", "2", "Cedlo", "Сёдло", "雪", "豹", "a-b", "a b")
    folder = tmp_path / "catalog"
    for n, station in enumerate(stations):
        photo(folder / station / "DCIM/100RECNX/RCNX0001.JPG", (200 + n, 100))
    photo(folder / "雪.JPG")
    rows = [f"{s}/DCIM/100RECNX/RCNX0001.JPG,aika,left_flank,{s},2023-05-{n + 1:02}T10:00,e{n}" for n, s in
            enumerate(stations)]  # fmt: skip
    rows.append("雪.JPG,aika,left_flank,2,2023-05-20T10:00,e99")
    head = "path,individual,body_part,station,timestamp,encounter"
    (folder / "catalog.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    export_survey(make_survey(snowmatch.open_catalog(folder).data), "wildbook", tmp_path / "out")
    told = {each["path"]: each["upload_as"] for each in read_rows(tmp_path / "out" / "photos.csv")}
    assert told["Гребень/DCIM/100RECNX/RCNX0001.JPG"] == "Greben DCIM 100RECNX RCNX0001.JPG"
    assert told["Ак-Суу 2/DCIM/100RECNX/RCNX0001.JPG"] == "Ak Suu 2 DCIM 100RECNX RCNX0001.JPG"
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9. ]+\.JPG", name) for name in told.values())
    assert len({re.sub(r"\W", "", name.lower()) for name in told.values()}) == len(told) == 11  # as Wildbook compares
    (tmp_path / "out" / "manifest.json").unlink()
    report = import_source(tmp_path / "out" / "wildbook-1.csv", tmp_path / "again", "wildbook", photos=folder)
    assert not report.failed
    back = {
        row["path"].removeprefix("photos/catalog/"): row["station"] for row in read_rows(tmp_path / "again/catalog.csv")
    }
    assert back == {path: path.split("/")[0] if "/" in path else "2" for path in told}
    assert [name for name in told.values() if re.search(r" [0-9a-f]{8}\.", name)]
    fewer = (folder / "catalog.csv").read_text(encoding="utf-8").splitlines()
    (folder / "catalog.csv").write_text(
        "\n".join(line for line in fewer if not line.startswith("a-b")), encoding="utf-8"
    )
    export_survey(make_survey(snowmatch.open_catalog(folder).data), "wildbook", tmp_path / "fewer")
    names = {each["upload_as"]: each["path"] for each in read_rows(tmp_path / "fewer" / "photos.csv")}
    assert not any(told[path] != name and name in told.values() for name, path in names.items())


def test_wildbook_gives_no_two_events_one_sighting(tmp_path):
    told = (("Айка", "Лес", "02", ""), ("Барс", "Яр", "02", ""), ("鸟", "S1", "03", "e"), ("虎", "S1", "04", "e"))
    rows = [(name, "left_flank", where, f"2023-05-{day}T10:00:00", passage, "") for name, where, day, passage in told]
    out, _ = export(tmp_path, "wildbook", rows, None, coordinates=None)
    sightings = [row["Encounter.sightingID"] for row in read_rows(out / "wildbook-1.csv")]
    assert len(set(sightings)) == 4
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in sightings)


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


# --- round trips ------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", ["catalog", "coco", "wildlife_datasets"])
def test_a_day_without_a_time_of_day_comes_back_as_a_day(tmp_path, name):
    folder = photo_catalog(tmp_path)
    rows = read_rows(folder / "catalog.csv")
    for row in rows:
        row["timestamp"] = row["timestamp"][:10]
    write_csv(folder / "catalog.csv", rows)
    export_survey(make_survey(snowmatch.open_catalog(folder).data), name, tmp_path / "out", coordinates=EXACT)
    file, importer, _ = COMES_BACK[name]
    (tmp_path / "out" / "manifest.json").unlink()
    import_source(tmp_path / "out" / file, tmp_path / "again", importer, photos=folder)
    assert all(a.dated for a in snowmatch.open_catalog(tmp_path / "again").data.annotations)


# --- photos and features ----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", ["coco", "wildlife_datasets", "timelapse"])
def test_what_the_screening_left_out_is_no_animal_in_an_export(tmp_path, name):
    data = snowmatch.open_catalog(photo_catalog(tmp_path)).data
    row = next(a.row for a in data.annotations if a.individual is None)
    herder = data.annotations[row].path
    screened = tuple(replace(a, left_out="person" if a.row == row else "") for a in data.annotations)
    notes = []
    export_survey(uncounted_survey(replace(data, annotations=screened)), name, tmp_path / "out", notes=notes)
    assert "1 annotation left out: the screening kept no photo of it" in [note.text for note in notes]
    out = tmp_path / "out" / COMES_BACK[name][0]
    if name == "coco":
        told = [a["image_id"] for a in json.loads(out.read_text())["annotations"]]
        assert {image["id"] for image in json.loads(out.read_text())["images"]} == {*told}
    elif name == "timelapse":
        told = [f"{r['RelativePath']}\\{r['File']}".replace("\\", "/") for r in read_rows(out)]
    else:
        told = [r["path"] for r in read_rows(out)]
    others = [a.path for a in data.annotations if a.row != row]
    assert herder not in others
    assert sorted(told) == sorted({*others} if name == "timelapse" else others)


@pytest.mark.parametrize("word", ["nothing", "Blank", " empty"])
def test_an_empty_photo_is_category_0_in_coco(tmp_path, word):
    data = snowmatch.open_catalog(photo_catalog(tmp_path)).data
    told = tuple(replace(a, species=word if a.individual is None else "ibex") for a in data.annotations)
    export_survey(uncounted_survey(replace(data, annotations=told)), "coco", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert about["categories"] == [{"id": 0, "name": "empty"}, {"id": 1, "name": "ibex"}]
    empty = [a for a in about["annotations"] if a["category_id"] == 0]
    assert len(empty) == 1
    assert "bbox" not in empty[0]
    named = tuple(replace(a, species=word) for a in data.annotations)  # a named animal is there
    export_survey(uncounted_survey(replace(data, annotations=named)), "coco", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]
    assert {"individual_id" in a for a in told if a["category_id"] == 0} == {False}
    assert {"individual_id" in a for a in told if a["category_id"] == 1} == {True}


def test_spellings_of_one_species_are_one_category_in_coco(tmp_path):
    data = snowmatch.open_catalog(photo_catalog(tmp_path)).data
    words = ("snow leopard", "Panthera  uncia")
    told = tuple(replace(a, species=words[n % 2]) for n, a in enumerate(data.annotations))
    export_survey(uncounted_survey(replace(data, annotations=told)), "coco", tmp_path / "out")
    about = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [each["id"] for each in about["categories"]] == [0, 1]
    assert {each["category_id"] for each in about["annotations"]} == {1}


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


def test_hloc_has_the_features_of_two_animals_without_boxes_once(tmp_path):
    (folder := tmp_path / "catalog").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "0.png")
    (folder / "catalog.csv").write_text("path,individual\n0.png,aika\n0.png,bars\n")
    catalog = snowmatch.open_catalog(folder, classifier="none")
    catalog.index("sift", workers=1)
    export_survey(uncounted_survey(snowmatch.open_catalog(folder).data), "hloc", tmp_path / "out")
    (described,) = list_features(features_path(folder))
    (count,) = open_features(features_path(folder), described).counts
    with h5py.File(tmp_path / "out" / "features.h5") as store:
        assert len(store["0.png"]["keypoints"]) == count
    assert [row["individual_id"] for row in read_rows(tmp_path / "out" / "images.csv")] == ["aika", "bars"]


def test_hloc_has_the_features_that_queries_use(own_survey, tmp_path):
    """Of several settings of an extractor, those not changed; of two versions, the newer."""
    folder = own_survey / "catalog"
    survey, notes = make_survey(snowmatch.open_catalog(folder).data), []
    export_survey(survey, "hloc", tmp_path / "out", notes=notes)
    expected = (tmp_path / "out" / "features.h5").read_bytes()
    assert not notes
    (described,) = list_features(features_path(folder))
    reader = open_features(features_path(folder), described)
    key = next(iter(reader.keys))
    others = [{"chip_size": 500}, {"chip_size": 600}, {"revision": described["revision"] - 1}]
    for changed in others:
        with FeatureWriter(features_path(folder), described | changed) as writer:
            writer.add(key, reader.read(key))
    export_survey(survey, "hloc", tmp_path / "out", notes=notes)
    assert (tmp_path / "out" / "features.h5").read_bytes() == expected
    told = f"features of {described['name']} in several settings or versions: those with defaults are written"
    assert [note.text for note in notes] == [told]


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


# --- maps -------------------------------------------------------------------------------------------------------------


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


# --- further columns --------------------------------------------------------------------------------------------------


def test_an_exported_catalog_keeps_further_columns_but_no_position(tmp_path):
    folder = write_catalog(tmp_path / "catalog")
    rows = read_rows(folder / "catalog.csv")
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*HEAD, "Collar", "GPS lat", "X", "Position", "N", "E", "Grid"])
        writer.writeheader()
        more = {"GPS lat": "41.5", "X": "591809", "N": "4595123", "E": "590123", "Grid": "43T 590123 4595123"}
        writer.writerows(
            {**row, "Collar": f"c{n}", **more, "Position": "" if n else "47.1, 88.2"} for n, row in enumerate(rows)
        )
    survey = make_survey(snowmatch.open_catalog(folder).data)
    for name, asked in (("out", None), ("rounded", Coordinates(5000.0))):
        notes = []
        export_survey(survey, "catalog", tmp_path / name, coordinates=asked, notes=notes)
        table = tmp_path / name / "catalog.csv"
        assert [row["Collar"] for row in read_rows(table)] == [f"c{n}" for n in range(len(rows))]
        text = table.read_text()
        assert not any(secret in text for secret in ("41.5", "591809", "47.1", "590123", "4595123"))
        assert "ask with --coordinates exact: E, GPS lat, Grid, N, Position, ..." in notes[0].text
    export_survey(survey, "catalog", tmp_path / "with", coordinates=EXACT)
    assert {row["GPS lat"] for row in read_rows(tmp_path / "with" / "catalog.csv")} == {"41.5"}


@pytest.mark.parametrize(("asked", "told"), [(None, True), (Coordinates(5000.0), True), (EXACT, False)])
def test_paths_that_tell_a_position_are_told_unless_exact_ones_may_leave(tmp_path, asked, told):
    folder = write_catalog(tmp_path / "catalog")
    table = folder / "catalog.csv"
    first = read_rows(table)[0]["path"]
    table.write_text(table.read_text().replace(f"{first},", f"DCIM/41.51234_76.11234/{first},"))
    survey = make_survey(snowmatch.open_catalog(folder).data)
    notes = []
    export_survey(survey, "csv", tmp_path / "out", coordinates=asked, notes=notes)
    texts = [note.text for note in notes if note.code == "paths-with-positions"]
    assert bool(texts) is told
    assert not texts or texts[0].startswith("1 photo whose path tells a position (DCIM/##.#####_##.#####/")


@pytest.mark.parametrize(("asked", "told"), [(None, True), (Coordinates(5000.0), True), (EXACT, False)])
@pytest.mark.parametrize("column", ["camera", "encounter", "individual"])
def test_names_that_tell_a_position_are_told_unless_exact_ones_may_leave(tmp_path, column, asked, told):
    folder = write_catalog(tmp_path / "catalog")
    rows = read_rows(folder / "catalog.csv")
    write_csv(folder / "catalog.csv", [{**rows[0], column: "A 41.51234, 76.11234"}, *rows[1:]])
    survey = make_survey(snowmatch.open_catalog(folder).data)
    notes = []
    export_survey(survey, "csv", tmp_path / "out", coordinates=asked, notes=notes)
    texts = [note.text for note in notes if note.code == "names-with-positions"]
    assert bool(texts) is told
    assert not texts or "with a position (A ##.#####, ##.#####): files" in texts[0]


# --- plugins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plugin_names("exporters"))
def test_an_exporter_is_a_plugin(name):
    exporter = make_plugin("exporters", name)
    assert exporter.COORDINATES in ("needed", "optional", "never")
    assert (type(exporter).__doc__ or "").strip()
