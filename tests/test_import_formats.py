"""Every format is recognised by looking, and its names, sides, places, times, boxes and identifiers arrive."""

import json
import random
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import date, datetime, timedelta
from itertools import zip_longest
from pathlib import Path

import openpyxl
import pytest
from conftest import read_rows, texts
from import_sources import EACH, IDS, REAL, SOURCES, photo, photos, write_csv, write_json
from import_sources import camtrap_dp as make_camtrap_dp
from import_sources import coco as make_coco
from import_sources import ibeis as make_ibeis
from import_sources import megadetector as make_megadetector

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, plugin_names
from snowmatch.decisions.file import read_decisions
from snowmatch.interchange.importers import camtrap_dp, timelapse
from snowmatch.interchange.importing import choose_importer, import_source
from snowmatch.review.identities import open_identities
from snowmatch.testing import IMPORTER_CHECKS


def test_every_importer_has_a_source():
    assert plugin_names("importers") == sorted(SOURCES)


@pytest.mark.parametrize("name", plugin_names("importers"))
@pytest.mark.parametrize("check", IMPORTER_CHECKS.values(), ids=list(IMPORTER_CHECKS))
def test_an_importer_passes_every_conformance_check(name, check):
    check(make_plugin("importers", name))


@pytest.mark.parametrize(("name", "make"), EACH, ids=IDS)
def test_the_format_is_found_by_looking_and_is_the_only_one(tmp_path, name, make):
    source = make(tmp_path)
    assert choose_importer(source, None, {}).__class__.__module__.endswith(name)


EXPECTED = {
    "megadetector": [
        ("naryn/S01/100RECNX/a.jpg", "", "", "S01", "", "20,20,100,50"),
        ("naryn/S02/100RECNX/a.jpg", "", "", "S02", "", "20,20,100,50"),
    ],
    "speciesnet": [("S01/a.jpg", "", "", "S01", "", "20,20,100,50"), ("S02/b.jpg", "", "", "S02", "", "20,20,100,50")],
    "camtrap_dp": [
        ("media/a.jpg", "Aika", "left_flank", "S01", "2024-05-04T10:00:00", "20,20,100,50"),
        ("media/b.jpg", "Berk", "", "S02", "2024-05-06T11:00:00", ""),
        ("media/c.jpg", "Berk", "", "S02", "2024-05-06T11:01:00", ""),
    ],
    "coco": [
        ("images/a.jpg", "Aika", "left_flank", "S01", "2024-05-04T10:00:00", "20,20,100,50"),
        ("images/b.jpg", "", "", "S02", "", "20,20,100,50"),
    ],
    "wildlife_insights": [
        ("d1/a.jpg", "Aika", "", "S01", "2024-05-04T10:00:00", ""),
        ("d2/a.jpg", "", "", "S02", "2024-05-06T11:00:00", ""),
    ],
    "timelapse_csv": [
        ("S01/a.jpg", "Aika", "left_flank", "S01", "2024-05-04T10:00:00", ""),
        ("S02/a.jpg", "", "right_flank", "S02", "2024-05-06T11:00:00", ""),
    ],
    "timelapse_ddb": [
        ("S01/a.jpg", "Aika", "", "S01", "2024-05-04T10:00:00", "20,20,100,50"),
        ("S02/a.jpg", "", "", "S02", "2024-05-06T11:00:00", ""),
    ],
    "wildbook": [
        ("a.jpg", "Aika", "left_flank", "S01", "2024-05-04T10:00:00", "20,20,100,50"),
        ("b.jpg", "Aika", "", "S01", "2024-05-04T10:00:00", ""),
        ("c.jpg", "", "", "S02", "", ""),
    ],
    "hotspotter": [
        ("images/a.jpg", "Aika", "", "", "", "20,20,100,50"),
        ("images/b.jpg", "", "", "", "", "75,0,50,100"),
    ],
    "ibeis": [
        ("_ibsdb/images/a.jpg", "Aika", "left_flank", "", "2024-05-04T10:00:00", "20,20,100,50"),
        ("_ibsdb/images/b.jpg", "", "right_flank", "", "", "20,20,100,50"),
    ],
    "earthtoolsmaker": [
        ("database/naryn/Aika/images/head/x 1.jpg", "Aika", "head", "", "", ""),
        ("database/naryn/Aika/images/left_flank/x 1.jpg", "Aika", "left_flank", "", "", ""),
        ("database/sarychat/Berk/images/misc/y.jpg", "Berk", "other", "", "", ""),
    ],
    "wildlife_datasets": [
        ("images/a.jpg", "Aika", "left_flank", "", "2024-05-04T10:00:00", "20,20,100,50"),
        ("images/b.jpg", "", "", "", "", ""),
    ],
    "traptagger": [
        ("S01/a.jpg", "Aika", "", "S01", "2024-05-04T10:00:00", ""),
        ("S01/a.jpg", "Berk", "", "S01", "2024-05-04T10:00:00", ""),
        ("S02/b.jpg", "", "", "S02", "2024-05-06T11:00:00", ""),
    ],
    "folders": [
        ("Aika/left/a.jpg", "Aika", "left_flank", "", "", ""),
        ("Aika/right flank/a.jpg", "Aika", "right_flank", "", "", ""),
        ("Berk/LF/b.jpg", "Berk", "left_flank", "", "", ""),
        ("_unidentified/left/c.jpg", "", "left_flank", "", "", ""),
    ],
    "table": [
        ("pics/a.jpg", "Aika", "left_flank", "S01", "2024-05-17T10:00:00", ""),
        ("pics/b.jpg", "", "right_flank", "S02", "2024-05-18T11:00:00", ""),
    ],
}


@pytest.mark.parametrize(("name", "make"), EACH, ids=IDS)
def test_names_sides_places_times_and_boxes_arrive(tmp_path, name, make):
    source = make(tmp_path)
    report = import_source(source, tmp_path)
    assert (report.format, report.failed) == (name, ())
    rows = read_rows(tmp_path / "catalog.csv")
    columns = ("path", "individual", "body_part", "station", "timestamp", "bbox")
    assert sorted(tuple(row[c] for c in columns) for row in rows) == sorted(EXPECTED[make.__name__])
    identifiers = [row[f"{name}_id"] for row in rows]
    assert len(set(identifiers)) == len(rows)
    assert all(identifiers)


@pytest.mark.parametrize(("name", "make"), EACH, ids=IDS)
def test_a_source_imported_again_changes_no_byte(tmp_path, name, make):
    source = make(tmp_path)
    import_source(source, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert import_source(source, tmp_path).written == ()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


# Further headings of the sources themselves. A note names these, and never what the importer made
OWN_HEADINGS = {
    "hotspotter": ["side"],
    "table": ["scar"],
    "timelapse_csv": ["note0"],
    "traptagger": ["capture"],
    "wildbook": ["state", "occurrence_id", "year"],
    "wildlife_insights": ["project_id", "identified_by", "deployment_id", "wi_taxon_id"],
}


@pytest.mark.parametrize(("name", "make"), EACH, ids=IDS)
def test_the_catalog_loads_and_holds_no_position(tmp_path, name, make):
    from snowmatch.catalog.load import load_catalog

    source = make(tmp_path / "there")
    import_source(source, tmp_path / "catalog")
    catalog = load_catalog(tmp_path / "catalog")
    assert len(catalog.annotations) == len(EXPECTED[make.__name__])
    assert all((catalog.folder / each.path).is_file() for each in catalog.annotations)
    unused = [column for note in catalog.notes if note.code == "columns-left-out" for column in note.data["columns"]]
    assert sorted(unused) == sorted(OWN_HEADINGS.get(make.__name__, []))
    text = (tmp_path / "catalog" / "catalog.csv").read_text()
    assert not any(number in text for number in ("76.2", "41.5", "76,2", "41,5"))


STATIONS = {
    "camtrap_dp": [("S01", "76.25", "41.5", "2024-05-01T00:00:00"), ("S02", "76.35", "41.6", "2024-05-01T00:00:00")],
    "wildlife_insights": [
        ("S01", "76.2", "41.5", "2024-05-01T00:00:00"),
        ("S02", "76.2", "41.6", "2024-05-01T00:00:00"),
    ],
    "wildbook": [("S01", "76.25", "41.5", ""), ("S02", "76.3", "41.6", "")],
    "table": [("S01", "76,25", "41,5", ""), ("S02", "76,35", "41,6", "")],
    "traptagger": [("S01", "76.25", "41.5", ""), ("S02", "76.25", "41.5", "")],
}


@pytest.mark.parametrize("name", STATIONS)
def test_positions_and_periods_go_into_the_table_of_stations(tmp_path, name):
    import_source(SOURCES[name][0](tmp_path), tmp_path)
    rows = read_rows(tmp_path / "stations.csv")
    assert [(row["station"], row["x"], row["y"], row.get("from", "")) for row in rows] == STATIONS[name]


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.4", 1.5])
def test_older_versions_of_megadetector_are_read(tmp_path, version):
    assert import_source(make_megadetector(tmp_path, version), tmp_path).rows == 2


def test_a_later_version_is_refused(tmp_path):
    with pytest.raises(SnowmatchError, match="later format"):
        import_source(make_megadetector(tmp_path, "2.0"), tmp_path)
    with pytest.raises(SnowmatchError, match=r"Camtrap DP 1\.1, a later version"):
        import_source(make_camtrap_dp(tmp_path / "dp", "1.1"), tmp_path)
    with pytest.raises(SnowmatchError, match=r"Camtrap DP 0\.1, an earlier version"):
        import_source(make_camtrap_dp(tmp_path / "dp0", "0.1.7"), tmp_path)
    assert not (tmp_path / "catalog.csv").exists()


def test_settings_of_detectors_choose_animals(tmp_path):
    source = make_megadetector(tmp_path)
    assert import_source(source, tmp_path, options={"threshold": "0.01"}).rows == 3
    species = SOURCES["speciesnet"][0](tmp_path / "sn")
    report = import_source(species, tmp_path / "sn", options={"species": "Snow leopard"})
    assert (report.rows, dict(report.left_out)) == (1, {"photos of other species": 1})


def test_empty_photos_get_a_row_if_asked_for(tmp_path):
    import_source(make_megadetector(tmp_path), tmp_path, options={"empty": "true"})
    assert [row["species"] for row in read_rows(tmp_path / "catalog.csv")] == [
        "snow leopard",
        "snow leopard",
        "nothing",
    ]


# Identifiers that sources have beside those of their rows: column, and the texts in it
IDENTIFIERS = {
    "camtrap_dp": {"media": ["m1", "m2", "m3"], "deployment": ["d1", "d2", "d2"], "event": ["", "e1", "e1"]},
    "coco": {"image": ["1", "2"]},
    "hotspotter": {"image": ["1", "2"], "name_id": ["2", ""]},
    "ibeis": {
        "image": [f"{n:08}-0001-0002-8000-000000000000" for n in (1, 2)],
        "ibeis_id": [f"{n:08}-0001-0002-8000-000000000000" for n in (3, 4)],
    },
    "timelapse_ddb": {"data_id": ["1", "2"]},
    "wildbook": {"occurrence_id": ["occ1", "occ1", ""]},
    "wildlife_insights": {"project_id": ["p", "p"], "deployment_id": ["d1", "d2"], "wi_taxon_id": ["t7", "t7"]},
}


@pytest.mark.parametrize(("name", "make"), [each for each in EACH if each[1].__name__ in IDENTIFIERS])
def test_every_identifier_of_a_source_is_kept(tmp_path, name, make):
    import_source(make(tmp_path), tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    for column, values in IDENTIFIERS[make.__name__].items():
        assert [row.get(column, "") for row in rows] == values


@pytest.mark.parametrize(
    ("top", "places"),
    [
        ("", ("naryn", "S01", "")),
        ("D:\\Users\\anna\\2023\\", ("naryn", "S01", "")),  # as detectors write them that run on a whole folder
        ("/media/anna/disk/", ("naryn", "S01", "")),
        ("2023/cards/summer/", ("naryn", "S01", "")),
    ],
)
def test_folders_that_all_photos_share_are_no_places(tmp_path, top, places):
    source = make_megadetector(tmp_path)
    about = json.loads(source.read_text())
    for image in about["images"]:
        image["file"] = top + image["file"]
    write_json(source, about)
    report = import_source(source, tmp_path)
    first, second = read_rows(tmp_path / "catalog.csv")
    assert (first["location"], first["station"], first["camera"]) == places
    assert [row["station"] for row in (first, second)] == ["S01", "S02"]
    if ":" in top:
        import_source(source, tmp_path / "named", photos=tmp_path, options={"folders": "-/station"})
        assert {row["station"] for row in read_rows(tmp_path / "named" / "catalog.csv")} == {"S01", "S02"}
    levels = "-/location/station" if "summer" in top else "location/station"
    example = f"such as location naryn, station S01 of {top}naryn/S01".replace("\\", "/")
    assert f"folders were read as {levels} (2), {example}" in texts(report.notes)


@pytest.mark.parametrize(
    ("folders", "places"),
    [
        (("2021/naryn/S01", "2021/naryn/S02"), [("naryn", "S01", ""), ("naryn", "S02", "")]),
        (("2021/naryn/Ridge", "2021/naryn/Pass"), [("naryn", "Pass", ""), ("naryn", "Ridge", "")]),
        (("naryn/S01/A", "naryn/S01/B"), [("naryn", "S01", "A"), ("naryn", "S01", "B")]),
        (("naryn/Ridge/A", "naryn/Pass/A"), [("naryn", "Pass", "A"), ("naryn", "Ridge", "A")]),
        (
            ("a/2021/S01", "a/2021/S02", "b/2021/S01"),
            [("a", "S01", ""), ("a", "S02", ""), ("b", "S01", "")],
        ),
        (("naryn/2021/S01", "naryn/2021/S02"), [("naryn", "S01", ""), ("naryn", "S02", "")]),
        (("naryn/2021-06/Ridge", "naryn/2022/Ridge"), [("naryn", "Ridge", ""), ("naryn", "Ridge", "")]),
        (("S01/A", "S01/B"), [("", "S01", "A"), ("", "S01", "B")]),
        (("S01/cam1", "S02/cam1"), [("", "S01", "cam1"), ("", "S02", "cam1")]),
        (("S1/A", "S2/B"), [("S1", "A", ""), ("S2", "B", "")]),  # may be seasons
        (("S01/cam1", "S01/cam4"), [("S01", "cam1", ""), ("S01", "cam4", "")]),  # too many for one site
        (("Site 1/CT1", "Site 2/CT1"), [("Site 1", "CT1", ""), ("Site 2", "CT1", "")]),  # may be areas
        (("survey/naryn/S01", "survey/sary/S02"), [("naryn", "S01", ""), ("sary", "S02", "")]),
        (("2021/naryn/S01", "2022/naryn/S01"), [("naryn", "S01", ""), ("naryn", "S01", "")]),
        (("survey1/naryn/S01", "survey2/naryn/S01"), [("naryn", "S01", ""), ("naryn", "S01", "")]),
        (("naryn/north/S01", "sary/north/S01"), [("naryn", "north", "S01"), ("sary", "north", "S01")]),
        (("naryn/Ridge/C1", "naryn/Valley/C1"), [("naryn", "Ridge", "C1"), ("naryn", "Valley", "C1")]),
        (("S01/2021/C1", "S01/2022/C1"), [("S01", "2021", "C1"), ("S01", "2022", "C1")]),
        (("naryn/ridge/A", "naryn/ridge/B"), [("naryn", "ridge", "A"), ("naryn", "ridge", "B")]),
    ],
)
def test_the_third_folder_is_a_camera_or_the_station(tmp_path, folders, places):
    files = [f"{folder}/DCIM/100RECNX/a.jpg" for folder in folders]
    photos(tmp_path / "cards", *files)
    box = [{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}]
    about = {"info": {"format_version": "1.5"}, "detection_categories": {"1": "animal"}}
    found = {**about, "images": [{"file": file, "detections": box} for file in files]}
    lines = [{"File": "a.jpg", "RelativePath": file.removesuffix("/a.jpg"), "DeleteFlag": "false"} for file in files]
    sources = (
        tmp_path / "cards",
        write_json(tmp_path / "found.json", found),
        write_csv(tmp_path / "timelapse.csv", lines),
    )
    for source in sources:
        report = import_source(source, tmp_path / f"from-{source.name}", photos=tmp_path / "cards")
        rows = read_rows(tmp_path / f"from-{source.name}" / "catalog.csv")
        assert [(row["location"], row["station"], row["camera"]) for row in rows] == places
        where = f"location {places[0][0]}, " if places[0][0] else ""
        assert source.suffix == ".csv" or f", such as {where}station" in texts(report.notes)


def test_a_season_between_an_area_and_its_stations_is_none_of_them_in_whole_paths_and_above_animals(tmp_path):
    files = ["naryn/2021/S01/a.jpg", "naryn/2021/S02/a.jpg"]
    photos(tmp_path / "cards", *files)
    box = [{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}]
    about = {"info": {"format_version": "1.5"}, "detection_categories": {"1": "animal"}}
    found = {**about, "images": [{"file": f"/disk/{file}", "detections": box} for file in files]}
    report = import_source(write_json(tmp_path / "found.json", found), tmp_path / "a", photos=tmp_path / "cards")
    rows = read_rows(tmp_path / "a" / "catalog.csv")
    assert [(row["location"], row["station"]) for row in rows] == [("naryn", "S01"), ("naryn", "S02")]
    assert "folders were read as location/-/station (2)" in texts(report.notes)
    photos(tmp_path / "cats", "naryn/2021/Aika/a.jpg", "naryn/2021/S01/Berk/a.jpg")
    import_source(tmp_path / "cats", tmp_path / "b")
    rows = read_rows(tmp_path / "b" / "catalog.csv")
    assert [(row["location"], row["station"], row["individual"]) for row in rows] == [
        ("naryn", "", "Aika"),
        ("naryn", "S01", "Berk"),
    ]


def test_cards_are_folders_of_stations(tmp_path):
    photos(tmp_path, "naryn/hill/DCIM/100RECNX/a.jpg", "naryn/pass/DCIM/101RECNX/b.jpg")
    import_source(tmp_path, tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(row["location"], row["station"], row["individual"]) for row in rows] == [
        ("naryn", "hill", ""),
        ("naryn", "pass", ""),
    ]


@pytest.mark.parametrize("below", ["DCIM/100RECNX/", "100recnx/"])
def test_a_folder_of_capital_and_small_letters_is_no_cameras(tmp_path, below):
    names = ("101Ridge", "202North")
    photos(tmp_path, *(f"naryn/{name}/{below}a.jpg" for name in names))
    import_source(tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(row["location"], row["station"]) for row in rows] == [("naryn", name) for name in names]


@pytest.mark.parametrize("below", ["DCIM/100RECNX/", "dcim/101EK113/", "100RECNX/", ""])
@pytest.mark.parametrize("levels", ["station", "station/-/-", "camera", "-/location"])
def test_folders_that_look_like_cards_count_if_the_user_says_so(tmp_path, below, levels):
    names = ("card1", "sd-card 2", "101RIDGE", "102SEDLO")
    above = "2023/" if levels.startswith("-/") else ""
    photos(tmp_path, *(f"{above}{name}/{below}a.jpg" for name in names))
    import_source(tmp_path, tmp_path, options={"folders": levels})
    found = {row["path"]: row[levels.strip("-/")] for row in read_rows(tmp_path / "catalog.csv")}
    assert found == {f"{above}{name}/{below}a.jpg": name for name in names}
    assert import_source(tmp_path, tmp_path / "guessed").added == 4  # nobody says so: they are cards
    assert not any(row.get("station") in names for row in read_rows(tmp_path / "guessed" / "catalog.csv"))


@pytest.mark.parametrize("top", ["", "D:\\Users\\anna\\"])
def test_a_detectors_folders_that_look_like_cards_count_if_the_user_says_so(tmp_path, top):
    source = make_megadetector(tmp_path)
    about = json.loads(source.read_text())
    names = {"S01": "card1", "S02": "101Ridge"}
    for image in about["images"]:
        image["file"] = top + re.sub(r"S0\d", lambda match: names[match[0]], image["file"])
    write_json(source, about)
    for old, new in names.items():
        (tmp_path / "naryn" / old).rename(tmp_path / "naryn" / new)
    import_source(source, options={"folders": "location/station"})
    rows = read_rows(tmp_path / "catalog.csv")
    assert sorted((row["location"], row["station"]) for row in rows) == [("naryn", "101Ridge"), ("naryn", "card1")]


def test_a_body_part_above_a_cameras_folder_is_known_below_the_levels_that_the_user_says(tmp_path):
    photos(tmp_path, "Aika/left/100RECNX/a.jpg")
    import_source(tmp_path, options={"folders": "individual"})
    (row,) = read_rows(tmp_path / "catalog.csv")
    assert (row["individual"], row["body_part"]) == ("Aika", "left_flank")


def test_names_of_stations_are_no_animals(tmp_path):
    photos(tmp_path / "a", "S01/a.jpg", "S02/b.jpg")
    import_source(tmp_path / "a")
    assert {row["station"] for row in read_rows(tmp_path / "a" / "catalog.csv")} == {"S01", "S02"}
    photos(tmp_path / "b", "Aika/a.jpg", "Berk/b.jpg")
    import_source(tmp_path / "b")
    assert {row["individual"] for row in read_rows(tmp_path / "b" / "catalog.csv")} == {"Aika", "Berk"}


def test_folders_that_may_be_both_are_asked_about(tmp_path):
    photos(tmp_path, "S01/a.jpg", "Aika/b.jpg")
    with pytest.raises(SnowmatchError, match="look like stations") as error:
        import_source(tmp_path)
    assert error.value.code == "choose-folders"
    import_source(tmp_path, options={"folders": "individual"})
    assert {row["individual"] for row in read_rows(tmp_path / "catalog.csv")} == {"S01", "Aika"}


def test_a_final_answer_of_no_animal_counts_more_than_a_weak_box(tmp_path):
    photos(tmp_path, *(f"S01/{name}.jpg" for name in "abcd"))
    animal = {"category": "1", "label": "animal", "conf": 0.3, "bbox": [0.1, 0.1, 0.4, 0.8]}
    person = {"category": "2", "label": "human", "conf": 0.97, "bbox": [0.1, 0.1, 0.4, 0.8]}
    answers = {"a": ("homo;sapiens;human", [animal]), "b": (";;;;;;blank", [animal]), "c": ("x;vehicle", [animal]),
               "d": ("panthera;uncia;snow leopard", [animal, person])}  # fmt: skip
    found = [{"filepath": f"S01/{name}.jpg", "detections": seen, "prediction": what, "prediction_score": 0.9}
             for name, (what, seen) in answers.items()]  # fmt: skip
    source = write_json(tmp_path / "predictions.json", {"predictions": found})
    report = import_source(source, tmp_path / "catalog")
    assert report.left_out == {"photos of a person": 1, "empty photos": 1, "photos of a vehicle": 1}
    (row,) = read_rows(tmp_path / "catalog" / "catalog.csv")
    assert (row["path"][-5:], row["species"]) == ("d.jpg", "snow leopard")
    assert [note.data["photos"] for note in report.notes if note.code == "photos-of-persons"] == [["S01/d.jpg"]]
    import_source(source, tmp_path / "empty", options={"empty": "true"})
    kept = {row["path"][-5:]: row["species"] for row in read_rows(tmp_path / "empty" / "catalog.csv")}
    assert kept == {"b.jpg": "nothing", "d.jpg": "snow leopard"}


def test_photos_with_a_person_beside_the_animal_are_told(tmp_path):
    def told(source, photo):
        report = import_source(source, tmp_path / source.name / "catalog")
        assert [note.data["photos"] for note in report.notes if note.code == "photos-of-persons"] == [[photo]]
        return report

    told(make_megadetector(tmp_path / "md"), "naryn/S01/100RECNX/a.jpg")

    package = make_camtrap_dp(tmp_path / "dp")  # its first photo has an observation of a human
    observed = read_rows(package / "observations.csv")
    person = {**observed[0], "observationID": "o4", "scientificName": "Homo sapiens"}
    write_csv(package / "observations.csv", [*observed, person])
    assert told(package, "media/a.jpg").left_out["observations of type human"] == 2
    event = {**observed[1], "observationID": "o5", "observationType": "human", "scientificName": "", "individualID": ""}
    write_csv(package / "observations.csv", [*observed[1:2], event])
    report = import_source(package, tmp_path / "dp" / "again")
    assert [note.data["photos"] for note in report.notes if note.code == "photos-of-persons"] == [
        ["media/b.jpg", "media/c.jpg"]
    ]
    own = {**observed[1], "observationID": "o6", "observationLevel": "media", "mediaID": "m2"}
    for changes in ({"eventID": ""}, {"eventEnd": ""}):  # told by the time, and by the event
        write_csv(package / "observations.csv", [own, {**event, **changes}])
        told(package, "media/b.jpg")
        shutil.rmtree(package / "catalog")

    folder = make_coco(tmp_path / "coco")
    path = folder if folder.suffix else next(folder.rglob("*.json"))
    data = json.loads(path.read_text())
    data["categories"].append({"id": 99, "name": "human"})
    photo = next(i["file_name"] for i in data["images"] if i["id"] == data["annotations"][0]["image_id"])
    data["annotations"].append({"id": 999, "image_id": data["annotations"][0]["image_id"], "category_id": 99})
    write_json(path, data)
    told(folder, photo)

    common = {"project_id": "1", "deployment_id": "D1", "identified_by": "Ann", "timestamp": "2024-05-01 10:00:00",
              "filename": "a.jpg"}  # fmt: skip
    rows = [{**common, "image_id": n, "common_name": name} for n, name in enumerate(("Snow Leopard", "Human"), 1)]
    photos(tmp_path / "wi", "a.jpg")
    write_csv(tmp_path / "wi" / "images.csv", rows)
    told(tmp_path / "wi", "a.jpg")


@pytest.mark.parametrize("names", [True, False])
def test_what_nobody_labelled_and_timelapse_recognized_as_no_animal_is_left_out(tmp_path, names):
    seen = {"animal": (1, 0.9), "empty": (0, 0), "person": (2, 0.95), "weak": (1, 0.1), "named": (0, 0),
            "labelled": (2, 0.9), "both": (1, 0.8)}  # fmt: skip
    photos(tmp_path, *(f"{name}.jpg" for name in (*seen, "unseen")))
    with closing(sqlite3.connect(tmp_path / "t.ddb")) as data:
        data.execute("CREATE TABLE DataTable (Id, File, RelativePath, DateTime, DeleteFlag, Species, Individual)")
        data.execute("CREATE TABLE Detections (Id, category, conf, bbox)")
        if names:
            data.execute("CREATE TABLE DetectionCategories (category, label)")
            labels = [("0", "Empty"), ("1", "animal"), ("2", "person")]
            data.executemany("INSERT INTO DetectionCategories VALUES (?, ?)", labels)
        for n, name in enumerate((*seen, "unseen")):
            told = ("snow leopard" if name == "labelled" else "", "Aika" if name == "named" else "")
            row = (n, f"{name}.jpg", "", "2024-05-01 10:00:00", "false", *told)
            data.execute("INSERT INTO DataTable VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            found = [seen[name]] if name in seen else []
            for category, confidence in [*found, (2, 0.9)] if name == "both" else found:
                box = "0.1,0.1,0.3,0.3" if category else ""
                data.execute("INSERT INTO Detections VALUES (?, ?, ?, ?)", (n, str(category), confidence, box))
        data.commit()
    report = import_source(tmp_path / "t.ddb", tmp_path)
    kept = {row["path"]: row["species"] for row in read_rows(tmp_path / "catalog.csv")}
    assert set(kept) == {f"{name}.jpg" for name in ("animal", "named", "labelled", "both", "unseen")}
    assert report.left_out == {"empty photos": 2, "photos of people or vehicles": 1}
    told = {note.code: note.text for note in report.notes}
    assert told["below-threshold"].endswith(": weak.jpg")
    assert told["photos-of-persons"].endswith("(both.jpg, labelled.jpg)")
    import_source(tmp_path / "t.ddb", tmp_path / "all", options={"empty": "true"})
    kept = {Path(row["path"]).stem: row["species"] for row in read_rows(tmp_path / "all" / "catalog.csv")}
    assert {name for name, species in kept.items() if species == "nothing"} == {"empty", "weak"}


@pytest.mark.parametrize(
    ("column", "animal", "none"),
    [
        ("SnowLeopard", "true", "false"),
        ("Wildlife", "Snow leopard", ""),
        ("Wildlife", "Snow leopard", "Human"),
        ("Flank", "left", ""),
        ("Leopards", "1", "0"),
        ("Human", None, "true"),
        ("Station", None, "S01"),
        ("ImageQuality", None, "Dark"),
    ],
)
def test_a_photo_that_a_person_labelled_is_not_left_out_for_its_recognitions(tmp_path, column, animal, none):
    photos(tmp_path, "a.jpg", "b.jpg")
    with closing(sqlite3.connect(tmp_path / "t.ddb")) as data:
        data.execute(f"CREATE TABLE DataTable (Id, File, RelativePath, DateTime, DeleteFlag, {column}, Species)")
        for n, (name, told) in enumerate((("a.jpg", animal or none), ("b.jpg", none))):
            row = (n, name, "", "2024-05-01 10:00:00", "false", told, "" if animal or n else "snow leopard")
            data.execute("INSERT INTO DataTable VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        data.execute("CREATE TABLE Detections (Id, category, conf, bbox)")
        data.executemany("INSERT INTO Detections VALUES (?, '2', 0.9, '0.1,0.1,0.3,0.3')", [(0,), (1,)])
        data.commit()
    report = import_source(tmp_path / "t.ddb", tmp_path)
    assert [row["path"] for row in read_rows(tmp_path / "catalog.csv")] == ["a.jpg"]
    assert report.left_out == {"photos of people or vehicles": 1}


def test_the_recognitions_of_timelapse_are_not_gone_through_for_each_photo():
    class Keys(set):
        __iter__ = __sub__ = None  # such a step for each of 100,000 photos takes hours

    cells = {"id": "1", "file": "a.jpg", "relative_path": "S01", "species": ""}
    seen = timelapse._Detected(looked_at=Keys({"1"}))
    assert timelapse._rows(tuple(cells), [("Id 1", cells)], seen, False, [], [])[2] == {"empty photos": 1}


@pytest.mark.parametrize(
    ("shares", "pixels"),
    [("-0.002,0.6,0.7,0.39", "0,60,140,39"), ("0,0,1.0001,1", "0,0,200,100"), ("0.1,0.2,0.5,0.5", "20,20,100,50")],
)
def test_a_box_of_shares_may_reach_a_little_beyond_the_photo(tmp_path, shares, pixels):
    columns = dict(zip(("xmin", "ymin", "bbox_w", "bbox_h"), shares.split(","), strict=True))
    photos(tmp_path, "a.jpg")
    for more in (columns, {"bbox": shares}):
        catalog = tmp_path / f"of-{len(more)}"
        report = import_source(write_csv(tmp_path / "t.csv", [{"File": "a.jpg", **more}]), catalog)
        assert report.failed == ()
        assert read_rows(catalog / "catalog.csv")[0]["bbox"] == pixels


def boxed_package(folder, shares):
    """Write a Camtrap DP package with one box."""
    make_camtrap_dp(folder)
    rows = read_rows(folder / "observations.csv")
    (boxed,) = [row for row in rows if row["bboxX"]]
    boxed.update(zip(("bboxX", "bboxY", "bboxWidth", "bboxHeight"), shares, strict=True))
    write_csv(folder / "observations.csv", rows)
    return folder


@pytest.mark.parametrize(
    ("shares", "pixels", "noted"),
    [
        (("-0.002", "0.6", "0.7", "0.39"), "0,60,140,39", False),  # rounding
        (("0", "0", "1.0001", "1"), "0,0,200,100", False),
        (("-0.1", "0.2", "0.6", "0.5"), "0,20,100,50", True),
    ],
)
def test_a_box_of_camtrap_dp_may_reach_beyond_the_photo(tmp_path, shares, pixels, noted):
    report = import_source(boxed_package(tmp_path / "dp", shares), tmp_path)
    assert ("boxes-beyond-photo" in {note.code for note in report.notes}) is noted
    assert [row["bbox"] for row in read_rows(tmp_path / "catalog.csv") if row["bbox"]] == [pixels]


@pytest.mark.parametrize("shares", [("40", "20", "100", "50"), ("0.1", "0.2", "0", "0.5"), ("0.1", "0.2", "a", "0.5")])
def test_a_box_of_camtrap_dp_that_is_none_is_a_problem(tmp_path, shares):
    with pytest.raises(SnowmatchError, match="is not allowed; expected shares of the photo"):
        import_source(boxed_package(tmp_path / "dp", shares), tmp_path)


def test_excel_is_read_as_a_table(tmp_path):
    from datetime import date, time

    import openpyxl

    photos(tmp_path, "a.jpg")
    book = openpyxl.Workbook()
    book.active.append(["Photo", "Leopard", "Flank", "Date", "Time", "Station"])
    book.active.append(["a.jpg", 7, "Left", date(2024, 3, 4), time(10, 30), "S01"])
    book.save(tmp_path / "cats.xlsx")
    import_source(tmp_path / "cats.xlsx", tmp_path)
    (row,) = read_rows(tmp_path / "catalog.csv")
    assert (row["individual"], row["body_part"], row["timestamp"]) == ("7", "left_flank", "2024-03-04T10:30:00")


@pytest.mark.parametrize(
    ("headings", "told"),
    [(("x1", "y1", "x2", "y2"), True), (("bbox_left", "bbox_top", "bbox_right", "bbox_bottom"), True),
     (("Left", "Right", "Width", "Note"), False), (("x_min", "y_min", "x_max", "y_max"), False)],
)  # fmt: skip
def test_columns_of_boxes_that_are_not_read_are_told(tmp_path, headings, told):
    photos(tmp_path, "a.jpg")
    line = {"File": "a.jpg", **dict(zip(headings, ("1", "2", "30", "40"), strict=True))}
    report = import_source(write_csv(tmp_path / "t.csv", [line]), tmp_path)
    assert ("boxes-not-read" in [note.code for note in report.notes]) is told


def test_a_table_that_is_not_on_the_first_sheet_of_excel_is_told(tmp_path):
    photos(tmp_path, "a.jpg")
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    book.active.append(["Our survey"])
    sheet = book.create_sheet("Cats")
    sheet.append(["File", "Cat"])
    sheet.append(["a.jpg", "Aika"])
    book.save(tmp_path / "cats.xlsx")
    with pytest.raises(
        SnowmatchError, match=r"no known format; cats.xlsx has 2 sheets; only the first one, 'Read me',"
    ):
        import_source(tmp_path / "cats.xlsx", tmp_path)


def test_a_position_that_is_written_in_two_ways_is_one(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    places = (("S01", "76.11", "41.51"), ("S01", "76,110", "N41.51"), ("S02", "76.2", "41.6"))
    lines = [
        {"File": f"{name}.jpg", "Station": station, "Longitude": x, "Latitude": y}
        for name, (station, x, y) in zip("abc", places, strict=True)
    ]
    report = import_source(write_csv(tmp_path / "cats.csv", lines), tmp_path)
    stations = [(row["station"], row["x"], row["y"]) for row in read_rows(tmp_path / "stations.csv")]
    assert stations == [("S01", "76.11", "41.51"), ("S02", "76.2", "41.6")]
    assert "several positions" not in texts(report.notes)


@pytest.mark.parametrize("swapped", [True, False])
def test_dates_of_which_excel_has_swapped_half_are_told(tmp_path, swapped):
    days = [*range(8, 18)]
    photos(tmp_path, *(f"{day}.jpg" for day in days))
    book = openpyxl.Workbook()
    book.active.append(["File", "Cat", "Taken"])
    for day in days:  # 8/4/2021 to 17/4/2021, read by an Excel of the USA
        right = date(2021, 4, day)
        book.active.append(
            [f"{day}.jpg", "Aika", f"{day}/4/2021" if day > 12 else date(2021, day, 4) if swapped else right]
        )
    if not swapped:
        book.active["C8"] = date(2021, 4, 14)
    book.save(tmp_path / "cats.xlsx")
    told = [note.code for note in import_source(tmp_path / "cats.xlsx", tmp_path / "catalog").notes]
    assert ("dates-half-swapped" in told) is swapped


def test_a_merged_cell_of_excel_is_that_of_each_of_its_rows(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    book = openpyxl.Workbook()
    for row in (["File", "Station", "Cat"], ["a.jpg", "S01", "Aika"], ["b.jpg"], [], ["c.jpg", "S02"]):
        book.active.append(row)
    book.active.merge_cells("B2:B4")  # with an empty row
    book.active.merge_cells("B5:C5")  # to the right
    book.save(tmp_path / "cats.xlsx")
    report = import_source(tmp_path / "cats.xlsx", tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(row["station"], row["individual"]) for row in rows] == [("S01", "Aika"), ("S01", ""), ("S02", "")]
    assert "1 empty cell of cats.xlsx read with the value of the merged cell" in texts(report.notes)


def test_other_headings_are_named_by_a_setting(tmp_path):
    photos(tmp_path, "a.jpg")
    source = write_csv(tmp_path / "t.csv", [{"Bild": "a.jpg", "Tier Nr": "Aika"}])
    with pytest.raises(SnowmatchError, match="no known format"):
        import_source(source, tmp_path)
    import_source(source, tmp_path, "table", options={"columns": "path=Bild,individual=Tier Nr"})
    assert read_rows(tmp_path / "catalog.csv")[0]["individual"] == "Aika"
    with pytest.raises(SnowmatchError, match="columns has 'animal=Bild'"):
        import_source(source, tmp_path, "table", options={"columns": "animal=Bild"})


def test_a_heading_that_a_setting_names_counts_more_than_one_of_the_columns_own_name(tmp_path):
    photos(tmp_path, "a.jpg")
    line = {"File": "a.jpg", "Region": "naryn", "Location": "gate", "Cat": "Aika", "Individual": "2", "Path": "old/a"}
    settings = {"columns": "path=File,location=Region,individual=Cat"}
    import_source(write_csv(tmp_path / "t.csv", [line]), tmp_path, "table", options=settings)
    (row,) = read_rows(tmp_path / "catalog.csv")
    assert (row["path"], row["location"], row["individual"]) == ("a.jpg", "naryn", "Aika")
    assert (row["path_there"], row["location_there"], row["individual_there"]) == ("old/a", "gate", "2")


@pytest.mark.parametrize("text", ["NA", "NaN", "NULL", "#N/A"])
def test_cells_without_a_value_are_no_names_of_places_and_no_times(tmp_path, text):
    columns = ("Location", "Station", "Camera", "Taken", "Sex", "x_min", "y_min", "x_max", "y_max", "Longitude")
    photos(tmp_path, "a.jpg", "b.jpg")
    lines = [{"File": name, "ID": text, "Cat": name[0], **dict.fromkeys(columns, text)} for name in ("a.jpg", "b.jpg")]
    report = import_source(write_csv(tmp_path / "t.csv", lines), tmp_path)
    rows = [{column: cell for column, cell in row.items() if cell} for row in read_rows(tmp_path / "catalog.csv")]
    assert rows == [{"path": f"{n}.jpg", "individual": n, "table_id": f"{n}.jpg"} for n in ("a", "b")]
    assert "read as empty, by column: bbox_x (2)" in texts(report.notes)
    assert "station (2), timestamp (2)" in texts(report.notes)


def test_a_comma_of_thousands_in_the_columns_of_a_box_is_no_decimal_point(tmp_path):
    photo(tmp_path / "a.jpg", (1500, 1200))
    box = {"File": "a.jpg", "x_min": "1,024", "y_min": "512", "x_max": "1,400", "y_max": "900"}
    with pytest.raises(SnowmatchError, match=r"t.csv line 2: '1,024' of a box may have a comma of thousands; expected"):
        import_source(write_csv(tmp_path / "t.csv", [box]), tmp_path)
    box |= {"x_max": "90,25"}  # shows what the commas are
    import_source(write_csv(tmp_path / "t.csv", [box]), tmp_path)
    assert read_rows(tmp_path / "catalog.csv")[0]["bbox"] == "1,512,89,388"


def test_a_source_whose_photos_all_fail_is_told_why(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg")
    lines = [{"File": "a.jpg", "bbox": "900,900,20,20"}, {"File": "b.jpg", "bbox": "900,900,30,30"}]
    with pytest.raises(SnowmatchError, match=r"2 problems:\n  a.jpg: no part of the box 900,900,20,20 lies in the pho"):
        import_source(write_csv(tmp_path / "t.csv", lines), tmp_path)
    assert not (tmp_path / "catalog.csv").exists()


def two_photos(folder, kind, columns):
    """Write a source of two photos with further columns (heading -> cells), and the photos."""
    photos(folder, "S01/a.jpg", "S02/a.jpg")
    more = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    rows = [{"RelativePath": f"S0{n}", "File": "a.jpg", "DeleteFlag": "false", **m} for n, m in enumerate(more, 1)]
    if kind == "csv":
        return write_csv(folder / "TimelapseData.csv", rows)
    if kind == "table":
        return write_csv(folder / "cats.csv", [{"File": f"S0{n}/a.jpg", **m} for n, m in enumerate(more, 1)])
    with sqlite3.connect(folder / "TimelapseData.ddb") as database:
        database.execute(f"CREATE TABLE DataTable (Id INTEGER, {', '.join(f'[{name}] TEXT' for name in rows[0])})")
        for n, row in enumerate(rows, 1):
            database.execute(f"INSERT INTO DataTable VALUES (?{', ?' * len(row)})", (n, *row.values()))
    database.close()
    return folder / "TimelapseData.ddb"


@pytest.mark.parametrize("kind", ["csv", "ddb"])
@pytest.mark.parametrize(("offset", "local"), [("6.00", "2021-05-04T02:30:00"), ("-7,50", "2021-05-03T13:00:00")])
def test_times_of_earlier_versions_of_timelapse_are_in_utc_beside_their_offset(tmp_path, kind, offset, local):
    taken = "2021-05-03T20:30:00.000Z"
    report = import_source(two_photos(tmp_path, kind, {"DateTime": (taken, ""), "UtcOffset": (offset, "0")}), tmp_path)
    assert [row["timestamp"] for row in read_rows(tmp_path / "catalog.csv")] == [local, ""]
    assert "time zone" not in texts(report.notes)


@pytest.mark.parametrize("kind", ["csv", "ddb", "table"])
@pytest.mark.parametrize(
    "cells", [("true", "false"), ("0", "2"), ("Yes", ""), ("0", "?"), ("x", ""), ("Y", "n")], ids="/".join
)
@pytest.mark.parametrize("heading", ["Animal", "Snow leopard"])
def test_flags_and_counts_are_no_names(tmp_path, kind, cells, heading):
    report = import_source(two_photos(tmp_path, kind, {heading: cells}), tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    plain = heading.lower().replace(" ", "_")
    assert [row.get("individual", "") for row in rows] == ["", ""]
    assert [row[plain] for row in rows] == list(cells)  # it stays, as every further column
    assert f"not as individual, since the cells are yes and no or counts: {plain}" in texts(report.notes)


@pytest.mark.parametrize("kind", ["csv", "ddb", "table"])
@pytest.mark.parametrize(
    ("columns", "names", "told"),
    [
        ({"Cat": ("1", "2")}, ["1", "2"], "cat as individual"),
        ({"Cat": ("0", "1"), "Name": ("", "Aika")}, ["", "Aika"], "name as individual; not as individual, since"),
        ({"Cat": ("true", "Aika")}, ["true", "Aika"], "cat as individual"),
        ({"Name": ("X", "Y")}, ["X", "Y"], "name as individual"),
    ],
    ids=["numbers", "beside", "mixed", "letters"],
)
def test_numbers_may_be_names_and_a_flag_hides_no_column_of_names(tmp_path, kind, columns, names, told):
    report = import_source(two_photos(tmp_path, kind, columns), tmp_path)
    assert [row["individual"] for row in read_rows(tmp_path / "catalog.csv")] == names
    assert told in texts(report.notes)


@pytest.mark.parametrize("kind", ["csv", "ddb", "table"])
@pytest.mark.parametrize(
    ("columns", "names", "species", "told"),
    [
        ({"Animal": ("Snow leopard", "")}, ["", ""], ["Snow leopard", ""], "cells are kinds of animals: animal"),
        (
            {"Animal": ("Panthera_uncia", "ibex"), "Name": ("", "Aika")},
            ["", "Aika"],
            ["Panthera_uncia", "ibex"],
            "animal as species; not as individual, since the cells are kinds of animals: animal",
        ),
        ({"Cat": ("Leopard", "?"), "Species": ("x", "y")}, ["", ""], ["x", "y"], "kinds of animals: cat"),
        (
            {"Animal": ("Aika", "fox")},
            ["Aika", "fox"],
            [None, None],
            "animal as individual; names of individuals that are usually those of species: fox",
        ),
        ({"Cat ID": ("fox", "fox")}, ["fox", "fox"], [None, None], "cat_id as individual"),
        ({"Animal": ("ibex", ""), "Species": ("", "")}, ["", ""], ["ibex", ""], "animal as species; not as individual"),
        ({"Name": ("Zebra", "Lynx")}, ["Zebra", "Lynx"], [None, None], "usually those of species: lynx, zebra"),
    ],
    ids=["alone", "beside", "species", "mixed", "surer", "empty", "nicknames"],
)
def test_kinds_of_animals_are_no_names(tmp_path, kind, columns, names, species, told):
    report = import_source(two_photos(tmp_path, kind, columns), tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [row.get("individual", "") for row in rows] == names
    assert [row.get("species") for row in rows] == species
    assert told in texts(report.notes)


def test_a_setting_makes_names_of_yes_and_no(tmp_path):
    source = two_photos(tmp_path, "table", {"Cat": ("yes", "no")})
    report = import_source(source, tmp_path, options={"columns": "individual=Cat"})
    assert [row["individual"] for row in read_rows(tmp_path / "catalog.csv")] == ["yes", "no"]
    assert "not as individual" not in texts(report.notes)


@pytest.mark.parametrize("kind", ["csv", "ddb"])
def test_photos_of_nothing_and_of_people_in_timelapse_are_left_out_and_counted(tmp_path, kind):
    there, here = tmp_path / "there", tmp_path / "here"
    source = two_photos(there, kind, {"Species": ("Empty", "Snow leopard"), "Individual": ("?", "")})
    report = import_source(source, here)
    assert dict(report.left_out) == {"empty photos": 1}
    assert [row["species"] for row in read_rows(here / "catalog.csv")] == ["Snow leopard"]
    import_source(source, here, options={"empty": "true"})
    assert sorted(row["species"] for row in read_rows(here / "catalog.csv")) == ["Snow leopard", "nothing"]
    for word in ("Person", "Humans", "Vehicles", "Human-Camera Trapper"):
        cells = {"Species": (word, "Person"), "Individual": ("", "Aika")}
        report = import_source(two_photos(tmp_path / word, kind, cells), tmp_path / "third")
        assert dict(report.left_out) == {"photos of people or vehicles": 1}
    assert [row["individual"] for row in read_rows(tmp_path / "third" / "catalog.csv")] == ["Aika"]  # a name says more
    named = two_photos(tmp_path / "named", kind, {"Species": ("Empty", "ibex"), "Individual": ("Aika", "Berk")})
    report = import_source(named, tmp_path / "fourth")
    assert dict(report.left_out) == {"words such as Empty for named animals": 1}
    rows = read_rows(tmp_path / "fourth" / "catalog.csv")
    assert [(row["individual"], row["species"]) for row in rows] == [("Aika", ""), ("Berk", "ibex")]


def test_an_empty_photo_of_timelapse_has_no_box(tmp_path):
    source = two_photos(tmp_path, "ddb", {"Species": ("Empty", "ibex")})
    with sqlite3.connect(source) as database:
        database.execute("CREATE TABLE Detections (category TEXT, conf REAL, bbox TEXT, Id INTEGER)")
        database.executemany("INSERT INTO Detections VALUES ('1', 0.9, '0.1, 0.2, 0.5, 0.5', ?)", [(1,), (2,)])
    database.close()
    import_source(source, tmp_path, options={"empty": "true"})
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(row["species"], bool(row["bbox"])) for row in rows] == [("nothing", False), ("ibex", True)]


@pytest.mark.parametrize("word", ["human", "Persons", "vehicles", "Blank"])
def test_people_and_nothing_in_coco_and_wildlife_insights_are_left_out_and_counted(tmp_path, word):
    source = SOURCES["coco"][0](tmp_path / "coco")
    content = json.loads(source.read_text())
    content["categories"][0]["name"] = word
    write_json(source, content)
    assert dict(import_source(source, tmp_path / "a").left_out) == {f"annotations of {word}": 1}
    source = SOURCES["wildlife_insights"][0](tmp_path / "wi")
    table = next(source.glob("images*.csv"))
    rows = read_rows(table)
    rows[1]["common_name"] = word
    write_csv(table, rows)
    left_out = dict(import_source(source, tmp_path / "b").left_out)
    assert (left_out["blank images"], left_out.get("images of people", 0)) == ((2, 0) if word == "Blank" else (1, 1))


def test_a_table_of_photos_arrives_whole(tmp_path):
    report = import_source(two_photos(tmp_path, "table", {"Species": ("Empty", "ibex")}), tmp_path)
    assert not report.left_out
    assert [row["species"] for row in read_rows(tmp_path / "catalog.csv")] == ["Empty", "ibex"]


def test_further_columns_stay(tmp_path):
    import_source(SOURCES["table"][0](tmp_path), tmp_path)
    assert [row["scar"] for row in read_rows(tmp_path / "catalog.csv")] == ["yes", ""]


def test_hotspotters_boxes_are_of_the_stored_pixels(tmp_path):
    source = SOURCES["hotspotter"][0](tmp_path)
    photo(tmp_path / "images" / "a.jpg", (200, 100), orientation=6)  # upright it is 100 x 200
    import_source(source, tmp_path)
    # Turned to the right, the box 20,20,100,50 of 200 x 100 lies 100 - 70 = 30 px from the left, 20 px from the top
    assert read_rows(tmp_path / "catalog.csv")[0]["bbox"] == "30,20,50,100"


@pytest.mark.parametrize("inside", ["", "_hsdb"])
def test_a_hotspotter_database_takes_no_photo_from_outside_of_it(tmp_path, inside):
    source = SOURCES["hotspotter"][0](tmp_path / "db")
    photo(tmp_path / "secret.jpg")
    images = tmp_path / "db" / "_hsdb" / "image_table.csv"
    images.write_text(images.read_text().replace("b.jpg", "..\\secret.jpg"))
    report = import_source(source / inside, tmp_path / "catalog", "hotspotter")
    assert [row["path"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")] == ["photos/images/a.jpg"]
    assert "secret" in str(report.failed)


def test_half_a_table_of_hotspotter_is_noticed(tmp_path):
    source = SOURCES["hotspotter"][0](tmp_path)
    chips = tmp_path / "_hsdb" / "chip_table.csv"
    chips.write_text(chips.read_text().rsplit("\n", 2)[0] + "\n")
    with pytest.raises(SnowmatchError, match="1 rows, but it says 2"):
        import_source(source, tmp_path)


def test_three_dots_of_windows_in_a_name_of_hotspotter_end_no_line(tmp_path):
    source = SOURCES["hotspotter"][0](tmp_path / "db")
    names = tmp_path / "db" / "_hsdb" / "name_table.csv"
    names.write_bytes(names.read_bytes().replace(b"Aika", b"Ai\x85ka"))
    report = import_source(source, tmp_path / "catalog", "hotspotter")
    assert not report.failed
    assert [row["individual"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")] == ["Ai\x85ka", ""]


def reviews(folder, *rows):
    """Write the reviews of pairs into a database of ibeis: decision, meta decision, confidence, reviewer, time."""
    database = sqlite3.connect(folder / "_ibsdb" / "_ibeis_database.sqlite3")
    with database:
        database.execute("DELETE FROM annotmatch")
        for row in rows:
            database.execute("INSERT INTO annotmatch VALUES (NULL, 1, 2, ?, ?, ?, ?, ?, '')", row)
    database.close()


def answers(catalog):
    rows = read_decisions(catalog / "decisions.sqlite").rows
    return [(row.answer, row.observer, row.certainty, row.decided_at) for row in rows]


@pytest.mark.parametrize(("name", "make"), [each for each in EACH if each[0] not in ("megadetector", "speciesnet")])
def test_a_text_that_is_no_name_makes_no_individual_and_is_listed(tmp_path, name, make):
    source = make(tmp_path / "source" if name == "folders" else tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        if path.suffix == ".xlsx":
            book = openpyxl.load_workbook(path)
            for cell in (cell for row in book.active for cell in row if cell.value == "Aika"):
                cell.value = "None"
            book.save(path)
        elif path.suffix != ".jpg":
            path.write_bytes(path.read_bytes().replace(b"Aika", b"None"))
    for folder in [path for path in tmp_path.rglob("Aika") if path.is_dir()]:
        folder.rename(folder.with_name("None"))
    report = import_source(source, tmp_path / "catalog", name)
    assert {row["individual"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")} <= {"", "Berk"}
    (note,) = [note.text for note in report.notes if note.code == "names-left-empty"]
    assert "None (" in note


def test_errors_of_formulas_are_no_names(tmp_path):
    words = ["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "UNK", "Aika"]
    photos(tmp_path, *(f"{n}.jpg" for n in range(9)))
    source = write_csv(tmp_path / "cats.csv", [{"File": f"{n}.jpg", "Cat ID": word} for n, word in enumerate(words)])
    report = import_source(source, tmp_path)
    assert {row["individual"] for row in read_rows(tmp_path / "catalog.csv")} == {"", "Aika"}
    (note,) = [note.text for note in report.notes if note.code == "names-left-empty"]
    assert all(f"{word} (1)" in note for word in words[:8])


def test_dates_of_wildbook_may_have_the_decimals_of_a_spreadsheet(tmp_path):
    photo(tmp_path / "a.jpg")
    date = {"year": "2024.0", "month": "5.0", "day": "4.00", "hour": "10.0", "minutes": "7.0"}
    row = {"Encounter.mediaAsset0": "a.jpg", **{f"Encounter.{name}": text for name, text in date.items()}}
    write_csv(tmp_path / "wildbook.csv", [row])
    import_source(tmp_path / "wildbook.csv", tmp_path / "catalog")
    assert [row["timestamp"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")] == ["2024-05-04T10:07:00"]


def test_milliseconds_of_wildbook_count_only_without_parts_of_a_date(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    names = ("year", "month", "day", "hour", "dateInMilliseconds")
    dates = {
        "a.jpg": ("2012", "-1", "0", "-1", "1325376000000"),
        "b.jpg": ("0", "-1", "0", "-1", "1325376000000.0"),
        "c.jpg": ("0", "-1", "0", "-1", "0.0"),
        "d.jpg": ("2012", "5", "4", "10", "1325376000000"),
    }
    rows = [{"Encounter.mediaAsset0": photo, **{f"Encounter.{n}": text for n, text in zip(names, each, strict=True)}}
            for photo, each in dates.items()]  # fmt: skip
    report = import_source(write_csv(tmp_path / "wildbook.csv", rows), tmp_path / "catalog")
    found = read_rows(tmp_path / "catalog" / "catalog.csv")
    times = ["", "2012-01-01T00:00:00", "", "2012-05-04T10:00:00"]
    assert [row["timestamp"] for row in found] == times
    assert [row["year"] for row in found] == ["2012", "", "", ""]
    codes = {note.code: note for note in report.notes}
    assert codes["times-in-milliseconds"].text.startswith("the time of 1 encounter is in milliseconds")
    assert codes["incomplete-dates"].data == {"count": 1}


def test_parts_of_dates_of_wildbook_are_kept_and_told(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg")
    dates = {
        "a.jpg": ("2024.0", "5", ""),
        "b.jpg": ("2023", "", ""),
        "c.jpg": ("2024", "5", "4"),
        "d.jpg": ("", "", ""),
        "e.jpg": ("2023", "5", "0"),  # what Wildbook writes for unknown parts
        "f.jpg": ("0", "-1", "0.0"),
        "g.jpg": ("2023", "5", "4", "-1"),
    }
    names = ("Encounter.year", "Encounter.month", "Encounter.day", "Encounter.hour")
    rows = [{"Encounter.mediaAsset0": photo, **dict(zip_longest(names, each, fillvalue=""))}
            for photo, each in dates.items()]  # fmt: skip
    report = import_source(write_csv(tmp_path / "wildbook.csv", rows), tmp_path / "catalog")
    found = read_rows(tmp_path / "catalog" / "catalog.csv")
    assert [(row["timestamp"], row["year"], row["month"]) for row in found] == [
        ("", "2024", "5"),
        ("", "2023", ""),
        ("2024-05-04", "", ""),
        ("", "", ""),
        ("", "2023", "5"),
        ("", "", ""),
        ("2023-05-04", "", ""),
    ]
    (text,) = (note.text for note in report.notes if note.code == "incomplete-dates")
    assert text.startswith("3 encounters without a year, a month or a day: no time; what is there is kept in the col")


def test_two_data_sets_with_photos_of_the_same_names_are_not_mixed(tmp_path):
    for number, name in enumerate(("hyena", "leopard")):
        SOURCES["coco"][0](tmp_path / f"{name}.coco")
        for each in "ab":  # photos of other contents
            photo(tmp_path / f"{name}.coco" / "images" / f"{each}.jpg", (200 + 20 * number, 100 + 10 * number))
    with pytest.raises(SnowmatchError, match=r"both have a photo 'a\.jpg': import one after the other"):
        import_source(tmp_path, tmp_path / "catalog", "coco")
    for name in ("hyena", "leopard"):
        import_source(tmp_path / f"{name}.coco", tmp_path / "catalog", "coco")
    found = {row["path"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")}
    assert found == {f"photos/{folder}/{name}.jpg" for folder in ("images", "images-2") for name in "ab"}


def test_reviews_of_ibeis_are_answers_of_this_catalog_and_are_not_asked_again(tmp_path):
    source, catalog = make_ibeis(tmp_path / "db"), tmp_path / "catalog"
    report = import_source(source, catalog)
    assert (report.answers, "1 answer of persons added" in report.summary()) == (1, True)
    assert answers(catalog) == [("different", "ann@field", 3, "2024-05-05T09:06:40.000Z")]
    (row,) = read_decisions(catalog / "decisions.sqlite").rows
    assert (row.role, row.note) == ("import", "scenerymatch")
    who = open_identities(catalog).who
    assert [(pair, state.answer) for pair, state in who.pairs.items()] == [((0, 1), "different")]
    assert import_source(source, catalog).answers == 0
    reviews(source, (1, None, 4, "user:ann@field", 1714990000))  # she has changed her mind
    assert import_source(source, catalog).answers == 1
    assert open_identities(catalog).who.pairs[0, 1].answer == "same"


def test_only_dated_reviews_of_persons_are_taken_and_what_is_known_otherwise_counts(tmp_path):
    source, catalog = make_ibeis(tmp_path / "db"), tmp_path / "catalog"
    more = [
        (1, None, 2, "algo:vamp", 1714900000),
        (1, None, None, "user:bob", None),
        (None, None, None, "x", 1714900000),
    ]
    reviews(source, (2, 0, None, "", 1714900000), (3, None, 1, "user:cat", 1714900001), *more)
    report = import_source(source, catalog)
    assert [(a, who, sure) for a, who, sure, _ in answers(catalog)] == [
        ("different", "ibeis", None),
        ("cannot_tell", "cat", 1),
    ]
    assert "1 by a program, 1 without a date" in texts(report.notes)


def test_reviews_without_their_photos_come_when_the_photos_are_there(tmp_path):
    source, catalog = make_ibeis(tmp_path / "db"), tmp_path / "catalog"
    photo = source / "_ibsdb" / "images" / "b.jpg"
    content = photo.read_bytes()
    photo.unlink()
    report = import_source(source, catalog)
    assert (report.answers, (catalog / "decisions.sqlite").exists()) == (0, False)
    assert "1 answer about animals" in texts(report.notes)
    photo.write_bytes(content)
    assert import_source(source, catalog).answers == 1


def test_identifiers_of_annotations_stay_once_there_are_decisions(tmp_path):
    source, catalog = make_ibeis(tmp_path / "db"), tmp_path / "catalog"
    import_source(source, catalog)
    before = [row["annotation"] for row in read_rows(catalog / "catalog.csv")]
    database = sqlite3.connect(source / "_ibsdb" / "_ibeis_database.sqlite3")
    with database:  # ibeis gives another uuid to an annotation whose box changes
        database.execute(f"UPDATE annotations SET annot_uuid = X'{'ab' * 16}', annot_xtl = 22 WHERE annot_rowid = 1")
    database.close()
    report = import_source(source, catalog)
    rows = read_rows(catalog / "catalog.csv")
    assert [row["annotation"] for row in rows] == before
    assert (rows[0]["bbox"], rows[0]["ibeis_id"][:4], report.kept) == ("22,20,100,50", "abab", ())
    assert open_identities(catalog).who.pairs[0, 1].answer == "different"


def test_a_damaged_file_of_decisions_stops_the_import_before_anything_is_written(tmp_path):
    source, catalog = make_ibeis(tmp_path / "db"), tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "decisions.sqlite").write_bytes(b"no database")
    with pytest.raises(SnowmatchError, match=r"decisions\.sqlite"):
        import_source(source, catalog)
    assert [path.name for path in catalog.iterdir()] == ["decisions.sqlite"]


def test_a_database_in_use_is_not_read(tmp_path):
    source = SOURCES["timelapse"][1](tmp_path)
    (tmp_path / "TimelapseData.ddb-journal").touch()
    with pytest.raises(SnowmatchError, match="in use by another program"):
        import_source(source, tmp_path)


def test_an_event_with_one_name_names_its_photos(tmp_path):
    folder = make_camtrap_dp(tmp_path)
    rows = read_rows(folder / "observations.csv")
    photo_of_event = dict(rows[1], observationID="o4", observationLevel="media", mediaID="m3", individualID="")
    write_csv(folder / "observations.csv", [*rows, photo_of_event])
    import_source(folder)
    named = {row["path"]: row["individual"] for row in read_rows(folder / "catalog.csv")}
    assert named == {"media/a.jpg": "Aika", "media/b.jpg": "Berk", "media/c.jpg": "Berk"}


def test_the_photos_of_an_event_are_those_of_its_time_each_time_read_once(tmp_path, monkeypatch):
    """Also in a deployment of many events; times with a zone and times without one are never compared."""
    source, draw = make_camtrap_dp(tmp_path), random.Random(7)
    begin = datetime(2024, 5, 1)

    def moment(zone):
        return (begin + timedelta(minutes=draw.randrange(300))).isoformat() + zone

    zones = ["+06:00", "+06:00", "Z", ""]
    media = [
        {"mediaID": f"m{n}", "deploymentID": draw.choice(["d1", "d2"]), "timestamp": moment(draw.choice(zones)),
         "filePath": f"media/{n}.jpg", "filePublic": "false", "fileMediatype": "image/jpeg"}
        for n in range(120)
    ]  # fmt: skip
    common = {"observationType": "animal", "scientificName": "Panthera uncia"}
    events = []
    for n in range(60):
        first, last = draw.sample(zones, 2)
        events.append(
            {"observationID": f"o{n}", "deploymentID": draw.choice(["d1", "d2"]), "observationLevel": "event",
             "eventID": f"e{n}", "eventStart": moment(first), "eventEnd": moment(last), **common}
        )  # fmt: skip
    events.append({"observationID": "own", "deploymentID": media[0]["deploymentID"], "mediaID": "m0",
                   "observationLevel": "media", **common})  # fmt: skip
    write_csv(source / "media.csv", media)
    write_csv(source / "observations.csv", events)
    read = []
    usual = camtrap_dp._moment
    monkeypatch.setattr(camtrap_dp, "_moment", lambda text: read.append(text) or usual(text))
    found = [row.source_id for row in make_plugin("importers", "camtrap_dp").read(source).rows]
    assert len(read) == len(media) - 1 + 2 * (len(events) - 1)
    expected = ["own"]
    for event in events[:-1]:
        start, end = (datetime.fromisoformat(event[name]) for name in ("eventStart", "eventEnd"))
        for each in media[1:]:
            taken = datetime.fromisoformat(each["timestamp"])
            alike = len({time.tzinfo is None for time in (start, end, taken)}) == 1
            if alike and each["deploymentID"] == event["deploymentID"] and start <= taken <= end:
                expected.append(f"{event['observationID']}/{each['mediaID']}")
    assert found == expected
    assert len(expected) > 200


@pytest.mark.parametrize(
    ("table", "column", "told"),
    [
        ("media", "timestamp", r"media\.csv line 3: timestamp '06/05/2024 11:00' \(and 1 more\) is no time"),
        ("observations", "eventEnd", r"observations\.csv line 3: event_end '06/05/2024 11:00' is no time"),
    ],
)
def test_times_of_events_that_a_spreadsheet_rewrote_are_told(tmp_path, table, column, told):
    folder = make_camtrap_dp(tmp_path / "dp")
    rows = read_rows(folder / f"{table}.csv")
    write_csv(folder / f"{table}.csv", [{**row, column: row[column] and "06/05/2024 11:00"} for row in rows])
    with pytest.raises(SnowmatchError, match=rf"{told} of Camtrap DP; expected one such as 2024-05-06T05:00:00\+06:00"):
        import_source(folder, tmp_path)
    assert not (tmp_path / "catalog.csv").exists()


@pytest.mark.parametrize(
    ("event", "level", "allowed"),
    [
        ({"eventID": "e1", "individualID": "Berk"}, "media", True),  # both levels: the photos have their own
        ({"eventID": "e2", "scientificName": "Capra sibirica"}, "media", True),
        ({"eventID": "e2", "scientificName": "Capra sibirica", "individualID": "Berk"}, "media", False),
        ({"eventID": "e2", "scientificName": "Capra sibirica"}, "event", False),  # nothing else would arrive
        ({"eventID": "e2"}, "media", False),
        ({"eventID": ""}, "media", False),
    ],
)
def test_times_that_cannot_be_read_are_a_problem_only_where_they_are_needed(tmp_path, event, level, allowed):
    folder = make_camtrap_dp(tmp_path / "dp")
    known = dict(read_rows(folder / "observations.csv")[1], individualID="", eventStart="06/05/2024 11:00")
    own = {**known, "observationID": "o4", "observationLevel": "media", "mediaID": "m2", "individualID": ""}
    own["eventID"] = event["eventID"] and "e1"
    write_csv(folder / "observations.csv", [{**known, **event}, *([own] if level == "media" else [])])
    if not allowed:
        with pytest.raises(SnowmatchError, match=r"observations\.csv line 2: event_start .* is no time"):
            import_source(folder, tmp_path)
        return
    told = {note.code: note.text for note in import_source(folder, tmp_path).notes}
    assert told["event-times-unread"].endswith("observations of their own arrive: observations.csv line 2")
    (row,) = read_rows(tmp_path / "catalog.csv")
    assert (row["media"], row["individual"]) == ("m2", event.get("individualID", ""))


def test_an_event_without_times_is_one_without_photos(tmp_path):
    folder = make_camtrap_dp(tmp_path / "dp")
    rows = [{**row, "eventEnd": ""} for row in read_rows(folder / "observations.csv")]
    write_csv(folder / "observations.csv", rows)
    assert "1 event with an animal but without photos" in texts(import_source(folder, tmp_path).notes)


def test_the_name_of_an_event_is_not_that_of_another_species_in_it(tmp_path):
    folder = make_camtrap_dp(tmp_path / "s")
    rows = read_rows(folder / "observations.csv")
    shown = dict(rows[1], observationLevel="media", individualID="")
    kinds = {"m2": "Capra sibirica", "m3": "Felidae"}
    more = [dict(shown, observationID=m, mediaID=m, scientificName=kind) for m, kind in kinds.items()]
    write_csv(folder / "observations.csv", [*rows, *more])
    import_source(folder, tmp_path / "a")
    found = {row["media"]: row["individual"] for row in read_rows(tmp_path / "a" / "catalog.csv")}
    assert found == {"m1": "Aika", "m2": "", "m3": "Berk"}


def test_a_name_that_is_too_long_for_a_file_is_told(tmp_path):
    folder = make_camtrap_dp(tmp_path)
    resources = [{"name": n, "path": f"{n * 30}.csv"} for n in ("deployments", "media", "observations")]
    write_json(folder / "datapackage.json", {"resources": resources})
    with pytest.raises(SnowmatchError, match="does not exist, expected the table"):
        import_source(folder, format="camtrap_dp")
    with pytest.raises(SnowmatchError, match="does not exist, expected a file or folder"):
        import_source(tmp_path / ("a" * 300))
    with pytest.raises(SnowmatchError, match="is not a folder, expected the folder with the photos"):
        import_source(folder, photos=tmp_path / ("a" * 300))


def test_places_of_one_name_are_told_apart_by_their_identifiers(tmp_path):
    source = make_camtrap_dp(tmp_path)
    deployments = read_rows(source / "deployments.csv")
    for row, key in zip(deployments, ("L1", "L2"), strict=True):
        row |= {"locationName": "ridge", "locationID": key, "deploymentGroups": "area:naryn"}
    write_csv(source / "deployments.csv", deployments)
    import_source(source, tmp_path)
    assert [row["station"] for row in read_rows(tmp_path / "catalog.csv")] == ["L1", "L2", "L2"]
    places = [(row["station"], row["location"]) for row in read_rows(tmp_path / "stations.csv")]
    assert places == [("L1", "naryn"), ("L2", "naryn")]
    deployments[1] |= {"locationID": "L1"}  # a second period of one place
    write_csv(source / "deployments.csv", deployments)
    import_source(source, tmp_path / "again", photos=tmp_path)
    assert {row["station"] for row in read_rows(tmp_path / "again" / "catalog.csv")} == {"ridge"}


def test_a_package_cannot_name_files_outside_it(tmp_path):
    folder = make_camtrap_dp(tmp_path / "dp")
    write_json(
        folder / "datapackage.json",
        {"resources": [{"name": n, "path": f"../{n}.csv"} for n in ("deployments", "media", "observations")]},
    )
    for name in ("deployments", "media", "observations"):
        shutil.move(folder / f"{name}.csv", tmp_path / f"{name}.csv")
    with pytest.raises(SnowmatchError, match="does not exist"):
        import_source(folder, format="camtrap_dp")


def test_what_is_no_species_is_none(tmp_path):
    source = SOURCES["wildlife_insights"][0](tmp_path / "wi")
    table = source / "images_p.csv"
    table.write_text(table.read_text().replace("Panthera,uncia,Snow Leopard", ",,No CV Result"))
    import_source(source, tmp_path / "a")
    assert [row.get("species", "") for row in read_rows(tmp_path / "a" / "catalog.csv")] == ["", ""]


def test_photos_of_nothing_in_traptagger_are_left_out_and_counted(tmp_path):
    source = SOURCES["traptagger"][0](tmp_path / "t")
    text = source.read_text()
    source.write_text(text.replace("[Snow leopard],[None]", "[Nothing],[None]"))
    report = import_source(source, tmp_path / "a")
    assert report.left_out == {"photos without a label": 1, "photos without a wild animal": 1}
    assert {row["individual"] for row in read_rows(tmp_path / "a" / "catalog.csv")} == {"Aika", "Berk"}


def test_a_photo_with_a_line_for_each_label_in_traptagger_has_each_animal_once(tmp_path):
    photos(tmp_path, "S01/a.jpg", "S02/b.jpg")
    common = {"survey": "naryn", "trapgroup": "S01", "timestamp": "2024-05-04 10:00:00"}
    lines = [
        {"image": photo, **common, "image_labels": label, "image_individuals": names}
        for photo, names in (("S01/a.jpg", "[Aika]"), ("S02/b.jpg", "[None]"))
        for label in ("[Snow leopard]", "[Ibex]")
    ]
    import_source(write_csv(tmp_path / "t.csv", lines), tmp_path)
    rows = [(row["path"], row["individual"], row["species"]) for row in read_rows(tmp_path / "catalog.csv")]
    assert rows == [("S01/a.jpg", "Aika", "Snow leopard, Ibex"), ("S02/b.jpg", "", "Snow leopard, Ibex")]


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "camtrap-dp").is_dir(), reason="no sample files")
def test_the_published_example_of_camtrap_dp_is_imported(tmp_path):
    folder = tmp_path / "example"
    shutil.copytree(REAL / "camtrap-dp" / "example", folder)
    for row in read_rows(folder / "media.csv"):
        path = row["filePath"] if "://" not in row["filePath"] else f"media/{row['deploymentID']}/{row['fileName']}"
        photo(folder / path)
    report = import_source(folder)
    animals = [
        row
        for row in read_rows(folder / "observations.csv")
        if row["observationLevel"] == "media" and row["observationType"] == "animal"
    ]
    assert report.failed == ()
    assert report.rows >= len(animals) > 100
    assert len(read_rows(folder / "stations.csv")) == len(read_rows(folder / "deployments.csv"))


@pytest.mark.parametrize("names", [("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max")])
def test_edges_make_a_box_and_a_part_of_a_box_is_a_problem(tmp_path, names):
    photos(tmp_path, "a.jpg", "b.jpg")
    boxes = [("10", "20", "110", "70"), ("", "", "", "")]
    rows = [{"File": f, **dict(zip(names, box, strict=True))} for f, box in zip(("a.jpg", "b.jpg"), boxes, strict=True)]
    source = write_csv(tmp_path / "cats.csv", rows)
    import_source(source, tmp_path / "catalog")
    assert [row["bbox"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")] == ["10,20,100,50", ""]
    rows[1][names[0]] = "5"
    write_csv(source, rows)
    with pytest.raises(SnowmatchError, match="line 3: 1 of the 4 values of a box"):
        import_source(source, tmp_path / "other")


@pytest.mark.parametrize("cell", ["41.51234, 75.51234", "41,51234; 75,51234", "N41.51234 E75.51234", "41°30.7' N"])
@pytest.mark.parametrize("heading", ["Position", "Location"])
@pytest.mark.parametrize("kind", ["csv", "table"])
def test_a_column_of_coordinates_is_no_body_part_and_no_location(tmp_path, kind, heading, cell):
    more = {"Side": ("left", "right")} if heading == "Location" else {}
    report = import_source(two_photos(tmp_path, kind, {heading: (cell, ""), **more}), tmp_path)
    (note,) = [note for note in report.notes if note.code == "positions-left-out"]
    assert note.data == {"columns": [heading.lower()]}
    assert all(digits not in (tmp_path / "catalog.csv").read_text() for digits in ("51234", "30.7"))
    assert all(digits not in texts(report.notes) for digits in ("51234", "30.7"))


@pytest.mark.parametrize(
    "columns",
    [
        {"N": "4595123", "E": "590123"},
        {"Note": "43T 590123 4595123"},
        {"Camera": "43T 590123 4595123"},
        {"Note": "old den, 590123E 4595123N, two cubs"},
        {"A": "N41 30 44", "B": "E76 06 44"},  # one of them alone could be anything
    ],
)
def test_positions_of_other_columns_are_left_out(tmp_path, columns):
    source = two_photos(tmp_path, "table", {"Collar": ("c1", "c2"), **{h: (c, "") for h, c in columns.items()}})
    report = import_source(source, tmp_path)
    (note,) = [note for note in report.notes if note.code == "positions-left-out"]
    assert note.data == {"columns": sorted(h.lower() for h in columns)}
    assert not [cell for cell in columns.values() if cell in (tmp_path / "catalog.csv").read_text()]
    assert [row["collar"] for row in read_rows(tmp_path / "catalog.csv")] == ["c1", "c2"]


def test_remarks_with_degrees_stay_and_left_out_cells_are_counted(tmp_path):
    cells = ("12° 2 cubs, collar visible", "N41 30.733")
    report = import_source(
        two_photos(tmp_path, "table", {"Note": cells, "Slope": ("30° N side", "S12 10 22")}), tmp_path
    )
    (note,) = [note for note in report.notes if note.code == "positions-left-out"]
    assert note.text == "1 cell with positions left out of the catalog, by column: note (1)"
    rows = [(row["note"], row["slope"]) for row in read_rows(tmp_path / "catalog.csv")]
    assert rows == [(cells[0], "30° N side"), ("", "S12 10 22")]


def test_a_station_that_is_a_position_is_refused(tmp_path):
    source = two_photos(tmp_path, "table", {"Station": ("41.51234, 75.51234", "43T 590123 4595123")})
    with pytest.raises(SnowmatchError, match=r"line 2 \(and 1 more\): the station is a position; expected the name"):
        import_source(source, tmp_path)
    assert not (tmp_path / "catalog.csv").exists()


def test_stations_of_another_program_that_are_positions_are_one_problem(tmp_path):
    source = make_camtrap_dp(tmp_path)
    deployments = read_rows(source / "deployments.csv")
    placed = [{**row, "locationName": "41.51, 76.25", "locationID": "41.51, 76.25"} for row in deployments]
    write_csv(source / "deployments.csv", placed)
    with pytest.raises(SnowmatchError) as error:
        import_source(source, tmp_path / "catalog")
    number, names = len(placed), ", ".join(row["deploymentID"] for row in placed)
    assert f": a station is a position ({number} of {number} rows, deployments {names}); " in str(error.value)
    assert str(error.value).count("is a position") == 1
    assert "41.51" not in str(error.value)


def test_a_location_of_another_program_that_is_a_position_is_left_out(tmp_path):
    source = make_camtrap_dp(tmp_path)
    deployments = read_rows(source / "deployments.csv")
    write_csv(source / "deployments.csv", [{**row, "deploymentGroups": "area:41.51, 76.25"} for row in deployments])
    report = import_source(source, tmp_path / "catalog")
    assert "3 cells with positions left out of the catalog, by column: location (3)" in texts(report.notes)
    assert "41.51" not in (tmp_path / "catalog" / "catalog.csv").read_text()
    assert [row.get("location", "") for row in read_rows(tmp_path / "catalog" / "stations.csv")] == ["", ""]


def test_a_column_called_position_or_location_may_hold_words(tmp_path):
    cells = {"Position": ("left", "right"), "Location": ("Naryn 1.5", "2º valle")}
    import_source(two_photos(tmp_path, "table", cells), tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [row["body_part"] for row in rows] == ["left_flank", "right_flank"]
    assert [row["location"] for row in rows] == ["Naryn 1.5", "2º valle"]


def test_coco_takes_the_first_name_with_a_value_and_tells_outlines_that_are_not_read(tmp_path):
    photos(tmp_path, "a.jpg")
    one = {"id": 1, "image_id": 1, "category_id": 1, "individual_id": None, "name": "aika"}
    source = write_json(
        tmp_path / "coco.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{**one, "segmentation": {"counts": [5, 9], "size": [100, 200]}}],
            "categories": [{"id": 1, "name": "snow leopard"}],
        },
    )
    report = import_source(source, tmp_path / "catalog")
    (row,) = read_rows(tmp_path / "catalog" / "catalog.csv")
    assert row["individual"] == "aika"
    assert [note.data for note in report.notes if note.code == "outlines-not-read"] == [{"count": 1}]


@pytest.mark.parametrize(
    ("precision", "radius", "told"),
    [(0.04492, "3566", "are rounded to 0.04492 degrees: "), (None, "5000", "are unsure by 500 m or more (2): "),
     (0.00001, "30", ""), (None, "", "")],
)  # fmt: skip
def test_rounded_positions_of_camtrap_dp_are_told(tmp_path, precision, radius, told):
    source = make_camtrap_dp(tmp_path)
    about = json.loads((source / "datapackage.json").read_text())
    write_json(source / "datapackage.json", about | ({"coordinatePrecision": precision} if precision else {}))
    rows = [{**row, "coordinateUncertainty": radius} for row in read_rows(source / "deployments.csv")]
    write_csv(source / "deployments.csv", rows)
    notes = [
        note.text for note in import_source(source, tmp_path / "catalog").notes if note.code == "positions-rounded"
    ]
    assert len(notes) == bool(told)
    assert all(told in text for text in notes)


@pytest.mark.parametrize(("issues", "told"), [("true", True), ("TRUE", True), ("false", False), ("", False)])
def test_times_that_camtrap_dp_calls_wrong_are_told(tmp_path, issues, told):
    source = make_camtrap_dp(tmp_path)
    first, *others = read_rows(source / "deployments.csv")
    write_csv(source / "deployments.csv", [{**first, "timestampIssues": issues}, *others])
    notes = [note.text for note in import_source(source, tmp_path / "catalog").notes if note.code == "times-doubtful"]
    assert len(notes) == told
    assert all("times of 1 deployment are wrong, as the package says (timestampIssues): d1;" in text for text in notes)


@pytest.mark.parametrize(("state", "told"), [("Vandalism/Theft", True), ("Camera Functioning", False), ("", False)])
def test_cameras_of_wildlife_insights_that_failed_are_told(tmp_path, state, told):
    source = SOURCES["wildlife_insights"][0](tmp_path / "wi")
    (table,) = source.glob("deployments*.csv")
    first, *others = read_rows(table)
    write_csv(table, [{**first, "camera_functioning": state}, *others])
    notes = [note.text for note in import_source(source, tmp_path / "c").notes if note.code == "cameras-failed"]
    assert len(notes) == told
    assert all("count as working from the first day to the last: d1; write when they did not" in text for text in notes)


@pytest.mark.parametrize(("fuzzed", "told"), [("True", True), ("False", False), ("", False)])
def test_fuzzed_positions_of_wildlife_insights_are_told(tmp_path, fuzzed, told):
    source = SOURCES["wildlife_insights"][0](tmp_path / "wi")
    (table,) = source.glob("deployments*.csv")
    first, *others = read_rows(table)
    write_csv(table, [{**first, "Fuzzed": fuzzed}, *others])
    notes = import_source(source, tmp_path / "catalog").notes
    assert [note.data for note in notes if note.code == "positions-rounded"] == [{"count": 1}] * told


@pytest.mark.parametrize("kind", ["", "NA"])
def test_a_photo_of_camtrap_dp_without_a_media_type_is_a_photo(tmp_path, kind):
    source = make_camtrap_dp(tmp_path)
    rows = read_rows(tmp_path / "media.csv")
    write_csv(tmp_path / "media.csv", [{**row, "fileMediatype": kind} for row in rows])
    report = import_source(source, tmp_path / "catalog")
    assert report.added
    assert "videos and sounds" not in report.left_out


@pytest.mark.parametrize("above", ["\n", "\r\n\r\n", ",,\n"])
def test_empty_lines_above_the_head_of_a_table_are_skipped(tmp_path, above):
    photos(tmp_path, "a.jpg")
    (tmp_path / "cats.csv").write_bytes(f"{above}File,Cat ID\na.jpg,Aika\n".encode())
    import_source(tmp_path / "cats.csv", tmp_path)
    assert [row["individual"] for row in read_rows(tmp_path / "catalog.csv")] == ["Aika"]


@pytest.mark.parametrize("zero", ["12/30/1899", "1/0/1900", "30.12.1899"])
def test_a_date_with_midnight_and_a_time_with_the_first_day_of_excel_are_one_time(tmp_path, zero):
    photos(tmp_path, "a.jpg")
    source = write_csv(tmp_path / "cats.csv", [{"File": "a.jpg", "Date": "5/1/2021 0:00", "Time": f"{zero} 9:30"}])
    import_source(source, tmp_path, dates="mdy")
    assert read_rows(tmp_path / "catalog.csv")[0]["timestamp"] == "2021-05-01T09:30:00"
