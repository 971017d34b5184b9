"""An import as a whole: bad input is refused at once and whole, photos are found, corrections stay, nothing doubles."""

import csv
import json
import os
import random
import shutil
import threading
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import read_rows, texts
from import_sources import (
    EACH,
    IDS,
    camtrap_dp,
    megadetector,
    photo,
    photos,
    table,
    wildbook,
    wildlife_datasets,
    write_csv,
    write_json,
)
from PIL import Image, ImageOps

from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.records import Records, save_records, take_fingerprint
from snowmatch.catalog.stations import examine_stations, read_stations
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.imported import ImportedRow
from snowmatch.interchange import importing, photo_files
from snowmatch.interchange.boxes import box_in_photo
from snowmatch.interchange.importing import import_source
from snowmatch.interchange.merging import merge
from snowmatch.interchange.photo_files import find_files
from snowmatch.photos.turned import upright_edges
from snowmatch.review.adding import NewPhoto, add_photos


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def change(path, line, **cells):
    """Correct cells of a row of a table, as a person does."""
    rows = read_rows(path)
    rows[line].update(cells)
    return write_csv(path, rows)


def keep_content(home):
    """Keep what the index keeps of the photos of a catalog."""
    paths = {row["path"] for row in read_rows(home / "catalog.csv")}
    save_records(home, Records({path: take_fingerprint(home / path, photo=True) for path in paths}))


def simple(folder, rows, **settings):
    """Write a table of photos, and the photos."""
    for row in rows:
        photo(folder / row["File"])
    return write_csv(folder / "cats.csv", rows, **settings)


# --- bad input --------------------------------------------------------------------------------------------------------


def refused(source, catalog, match, **settings):
    before = files_of(catalog) if catalog.exists() else None
    with pytest.raises(SnowmatchError, match=match) as error:
        import_source(source, catalog, **settings)
    assert (files_of(catalog) if catalog.exists() else None) == before
    return error.value


def test_all_problems_are_in_one_list(tmp_path):
    rows = [
        {"File": "a.jpg", "bbox": "1,2,3", "Date": "2024-05-04"},
        {"File": "b.jpg", "bbox": "1,2,0,4", "Date": "4th of May"},
        {"File": "", "bbox": "", "Date": "2024-13-04"},
    ]
    photos(tmp_path, "a.jpg", "b.jpg")
    error = refused(write_csv(tmp_path / "cats.csv", rows), tmp_path / "catalog", "has 4 problems")
    for part in ("line 2: '1,2,3' is no box", "line 3: '1,2,0,4'", "line 4: no photo", "'4th of May' is no time"):
        assert part in str(error)
    assert len(error.data["problems"]) == 4


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_a_file_is_refused(tmp_path, share):
    source = megadetector(tmp_path)
    text = source.read_text()
    source.write_text(text[: int(len(text) * share)])
    refused(source, tmp_path / "catalog", "not complete JSON")


def test_half_a_workbook_is_refused(tmp_path):
    source = wildbook(tmp_path)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    refused(source, tmp_path / "catalog", "no Excel file that can be read")


def test_an_empty_file_and_a_folder_without_photos_are_refused(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "nothing").mkdir()
    refused(tmp_path / "empty.csv", tmp_path / "catalog", "no known format")
    refused(tmp_path / "nothing", tmp_path / "catalog", "no known format")
    refused(tmp_path / "nothing", tmp_path / "catalog", "no photos", format="folders")
    refused(tmp_path / "missing", tmp_path / "catalog", "does not exist")
    refused(write_csv(tmp_path / "head.csv", [{"File": ""}]), tmp_path / "catalog", "no rows")


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Name": "Zoë"}], encoding="latin-1")
    refused(source, tmp_path / "catalog", "line 2 is not UTF-8")


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_marks_of_excel_are_read(tmp_path, separator, encoding):
    source = simple(tmp_path, [{"File": "a.jpg", "Name": "Zoë"}], separator=separator, encoding=encoding)
    import_source(source, tmp_path)
    assert read_rows(tmp_path / "catalog.csv")[0]["individual"] == "Zoë"


def test_an_unclear_order_of_day_and_month_is_asked_about(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Date": "3/4/2021"}, {"File": "b.jpg", "Date": "5/6/2021"}])
    error = refused(source, tmp_path, "'3/4/2021', and 1 more may begin with the day or with the month")
    assert error.code == "unclear-import-dates"
    result = CliRunner().invoke(main, ["import", str(source), str(tmp_path)])
    assert "--dates dmy" in result.output
    import_source(source, tmp_path, dates="mdy")
    assert [row["timestamp"] for row in read_rows(tmp_path / "catalog.csv")] == ["2021-03-04", "2021-05-06"]


def test_one_date_that_is_clear_tells_the_order(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Date": "3/4/2021"}, {"File": "b.jpg", "Date": "25/6/2021"}])
    import_source(source, tmp_path)
    assert [row["timestamp"] for row in read_rows(tmp_path / "catalog.csv")] == ["2021-04-03", "2021-06-25"]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"Lat": "106.25", "Lon": "41.5"}, "y: no latitude"),
        ({"Lat": "76°15'E", "Lon": "41°30'N"}, "x has the letter of a latitude"),
        ({"Lat": "41°61'N", "Lon": "76°15'E"}, "y: no number"),
        ({"Easting": "436500", "Northing": "4600000"}, "expected their EPSG code"),
        ({"X": "436500", "Y": "4600000"}, "expected their EPSG code"),
        ({"X": "76,25", "Y": "41,5", "EPSG": "32643"}, "look like degrees"),
        ({"Lat": "41.5", "Lon": ""}, "x: empty"),
    ],
)
def test_positions_that_are_none_are_told_at_once(tmp_path, place, told):
    rows = [{"File": "a.jpg", "Station": "S01", **place}, {"File": "b.jpg", "Station": "S02", **place, "Name": "x"}]
    rows[1] |= {"Lat": "41.6", "Lon": "76.3"} if "Lat" in place else {}
    error = refused(simple(tmp_path, rows), tmp_path / "catalog", f"station S01, .*{told}")
    assert not any(
        text in str(error) for name, text in place.items() if text and name != "EPSG"
    )  # people send such lists around


def test_a_table_of_photos_has_positions_in_x_and_y_unless_they_are_of_a_box(tmp_path):
    rows = [{"File": "a.jpg", "Station": "S01", "x": "436500", "y": "4600000", "EPSG": "32643"}]
    import_source(simple(tmp_path, rows), tmp_path)
    assert [(r["x"], r["y"], r["crs"]) for r in read_rows(tmp_path / "stations.csv")] == [
        ("436500", "4600000", "32643")
    ]
    assert "436500" not in (tmp_path / "catalog.csv").read_text()
    boxes = [{"File": "b.jpg", "Station": "S01", "x": "10", "y": "20", "w": "30", "h": "40"}]
    import_source(simple(tmp_path / "b", boxes), tmp_path / "b")
    assert read_rows(tmp_path / "b" / "catalog.csv")[0]["x"] == "10"


def test_a_table_that_breaks_off_is_refused(tmp_path):
    rows = [{"File": f"{n}.jpg", "Name": "Aika", "Station": "S01"} for n in "abc"]
    source = simple(tmp_path, rows)
    whole = source.read_bytes()
    source.write_bytes(whole[: whole.rindex(b",")])
    refused(source, tmp_path / "catalog", "line 4: 2 of 3 values, and no end of the line: it may be half a file")
    source.write_bytes(whole.rstrip())  # editors leave the last end out
    assert import_source(source, tmp_path / "catalog").added == 3


def test_a_line_that_is_in_a_table_twice_is_one_animal(tmp_path):
    rows = [{"ID": "1", "File": "a.jpg", "Name": "Aika"}, {"ID": "2", "File": "b.jpg", "Name": "Berk"}]
    report = import_source(simple(tmp_path, [*rows, rows[0]]), tmp_path)
    assert (report.added, dict(report.left_out)) == (2, {"lines that are in the table twice": 1})
    clash = write_csv(tmp_path / "cats.csv", [*rows, {**rows[0], "Name": "Berk"}])
    told = "line 4: the identifier '1' is already that of cats.csv line 2, in the column id; expected another one"
    refused(clash, tmp_path, told)


def test_what_was_done_with_time_zones_is_told(tmp_path):
    times = ["2024-05-04T10:00:00+06:00", "2024-05-04T05:00:00Z", "2024-05-04T12:00:00"]
    rows = [{"File": f"{n}.jpg", "Timestamp": time} for n, time in zip("abc", times, strict=True)]
    report = import_source(simple(tmp_path, rows), tmp_path)
    assert [row["timestamp"][11:13] for row in read_rows(tmp_path / "catalog.csv")] == ["10", "11", "12"]
    assert "2 times with different zones converted to +06:00, that of most of them; 1 time without" in texts(
        report.notes
    )
    report = import_source(simple(tmp_path / "b", rows[1:]), tmp_path / "b")
    assert "the time zone (UTC) of 1 time was left out" in texts(report.notes)


def test_a_table_that_the_catalog_could_not_read_is_not_written(tmp_path):
    rows = [{"File": "a.jpg", "Name": "Aika", "Station": "S01"}, {"File": "a.jpg", "Name": "Berk", "Station": "S02"}]
    refused(simple(tmp_path, rows), tmp_path / "catalog", "'S02' contradicts line 2 of the same photo")


def test_a_path_out_of_the_folder_is_no_photo(tmp_path):
    photos(tmp_path, "secret.jpg", "in/a.jpg")
    source = write_csv(tmp_path / "in" / "cats.csv", [{"File": "../secret.jpg"}, {"File": "a.jpg"}])
    report = import_source(source, tmp_path / "in")
    assert [name for name, _ in report.failed] == ["../secret.jpg"]


def test_any_damage_gives_one_clear_error_and_no_half_catalog(tmp_path):
    chance, said = random.Random(5), []
    for number, (_, make) in enumerate(EACH):
        folder = tmp_path / str(number)
        source = make(folder)
        parts = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".jpg", ".xlsx")]
        for trial in range(12 if parts else 0):
            path = chance.choice(parts)
            good = path.read_bytes()
            path.write_bytes(damaged(good, chance))
            catalog = tmp_path / f"{number}-{trial}"
            try:
                import_source(source, catalog)
            except SnowmatchError as error:
                said.append(str(error))
                assert not catalog.exists(), "an import that failed has written something"
            else:
                loaded = load_catalog(catalog)
                assert all(".." not in each.path for each in loaded.annotations)
            path.write_bytes(good)
    assert len(said) > 50
    assert all(said)


def damaged(content, chance):
    """Return content with bytes changed, cut off, taken out or repeated."""
    at, to = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    kind = chance.randrange(5)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[to:]
    if kind == 2:
        return content[:to] + content[at:]
    if kind == 3:
        return content[:at] + bytes(chance.randrange(256) for _ in range(4)) + content[at + 4 :]
    return content.replace(
        *chance.choice([(b"1", b"-1e400"), (b'"', b""), (b",", b";"), (b"jpg", b"../x"), (b"0", b"\0")])
    )


# --- photos -----------------------------------------------------------------------------------------------------------


def test_missing_photos_are_listed_and_the_rest_is_imported(tmp_path):
    source = megadetector(tmp_path)
    (tmp_path / "naryn/S02/100RECNX/a.jpg").unlink()
    result = CliRunner().invoke(main, ["import", str(source), str(tmp_path)])
    assert result.exit_code == 1
    assert "failed: naryn/S02/100RECNX/a.jpg: no such photo" in result.output
    assert len(read_rows(tmp_path / "catalog.csv")) == 1
    photo(tmp_path / "naryn/S02/100RECNX/a.jpg")  # somebody has found it
    assert import_source(source, tmp_path).added == 1


def test_without_any_photo_the_error_says_what_to_do(tmp_path):
    source = megadetector(tmp_path / "there")
    shutil.move(source, tmp_path / "here.json")
    refused(
        tmp_path / "here.json",
        tmp_path / "catalog",
        "none of the 2 photos",
        photos=tmp_path / "there" / "naryn" / "S01",
    )
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(
        main, ["import", str(tmp_path / "here.json"), str(tmp_path / "c"), "--photos", str(tmp_path / "empty")]
    )
    assert result.exit_code == 1
    assert "--photos DIR" in result.output


@pytest.mark.parametrize(
    ("first", "second", "order", "advised"),
    [("13/4/2021", "4/13/2021", "", False), ("13/4/2021", "4/13/2021", "dmy", False), ("3/4/2021", "", "", True),
     ("13/4/2021", "", "mdy", True)],
)  # fmt: skip
def test_an_order_of_dates_is_advised_only_where_one_order_can_be(tmp_path, first, second, order, advised):
    source = simple(tmp_path, [{"File": "a.jpg", "Date": first}, {"File": "b.jpg", "Date": second}])
    result = CliRunner().invoke(main, ["import", str(source), *(["--dates", order] if order else [])])
    assert result.exit_code == 1
    assert ("(--dates dmy, or mdy)" in result.output) is advised


@pytest.mark.parametrize(
    ("name", "next_step"), [("wi.ZIP", "unpack it, and import its folder"), ("cats.xls", r"save it as .*xlsx")]
)
def test_a_file_that_has_to_be_converted_is_told_with_what_to_do(tmp_path, name, next_step):
    (tmp_path / name).write_bytes(b"PK")
    refused(tmp_path / name, tmp_path, f"{name} cannot be read as it is: {next_step}")


def test_windows_paths_and_longer_paths_find_their_photos(tmp_path):
    photos(tmp_path, "naryn/S01/a.jpg", "naryn/S02/a.jpg")
    rows = [{"File": "D:\\cards\\naryn\\S01\\a.jpg"}, {"File": "S02/A.JPG"}]
    import_source(write_csv(tmp_path / "cats.csv", rows), tmp_path)
    assert [row["path"] for row in read_rows(tmp_path / "catalog.csv")] == ["naryn/S01/a.jpg", "naryn/S02/a.jpg"]


def test_a_name_in_other_case_is_one_photo_where_the_system_finds_it(tmp_path, monkeypatch):
    photos(tmp_path, "Naryn/S01/IMG_1.JPG")
    exists = os.path.isfile

    def is_file(path):  # as on Windows and macOS
        parts = Path(path).relative_to(tmp_path).parts if Path(path).is_relative_to(tmp_path) else ()
        names = {str(each.relative_to(tmp_path)).lower() for each in tmp_path.rglob("*.JPG")}
        return exists(path) or "/".join(parts).lower() in names

    import_source(tmp_path / "Naryn", tmp_path, "folders")
    monkeypatch.setattr(os.path, "isfile", is_file)
    import_source(write_csv(tmp_path / "cats.csv", [{"File": "naryn/S01/img_1.jpg", "Cat": "Aika"}]), tmp_path)
    (row,) = read_rows(tmp_path / "catalog.csv")
    assert (row["path"], row["individual"]) == ("Naryn/S01/IMG_1.JPG", "Aika")


def test_a_name_in_other_case_is_looked_up_and_not_compared_with_all_names_of_its_folder(tmp_path, monkeypatch):
    names = [f"IMG_{n:04}.JPG" for n in range(40)]
    for name in names:
        (tmp_path / name).touch()
    compared = []
    monkeypatch.setattr(photo_files, "same_name", lambda name: compared.append(name) or name)
    listed = {}
    assert [photo_files._as_listed(tmp_path, name.title(), listed) for name in names] == names
    assert len(compared) == 2 * len(names)


def test_a_name_that_fits_two_photos_is_not_guessed(tmp_path):
    photos(tmp_path, "S01/a.jpg", "S02/a.jpg", "S02/b.jpg")
    rows = [{"File": "a.jpg"}, {"File": "b.jpg"}]
    report = import_source(write_csv(tmp_path / "cats.csv", rows), tmp_path)
    assert [name for name, _ in report.failed] == ["a.jpg"]
    assert "several files" in report.failed[0][1]


def test_the_file_of_a_photo_that_is_left_out_is_not_taken_for_another_cards(tmp_path):
    photos(tmp_path / "S05", "DCIM/100RECNX/IMG_1.JPG", "DCIM/100RECNX/IMG_2.JPG", "DCIM/101RECNX/IMG_9.JPG")
    animals = ("S01/DCIM/100RECNX/IMG_1.JPG", "S05/DCIM/100RECNX/IMG_2.JPG", "S05/DCIM/101RECNX/IMG_9.JPG")
    box = [{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}]
    files = [f"{card}/DCIM/100RECNX/IMG_{n}.JPG" for card in ("S01", "S05") for n in (1, 2)] + [animals[2]]
    about = {"info": {"format_version": "1.5", "detector": "md_v5a"}, "detection_categories": {"1": "animal"}}
    images = [{"file": file, "detections": box if file in animals else []} for file in files]
    source = write_json(tmp_path / "found.json", {**about, "images": images})
    report = import_source(source, tmp_path / "catalog", photos=tmp_path / "S05")
    assert [name for name, _ in report.failed] == [*animals[:2]]  # each may be a photo of either card
    paths = [row["path"] for row in read_rows(tmp_path / "catalog/catalog.csv")]
    assert paths == ["photos/S05/DCIM/101RECNX/IMG_9.JPG"]
    report = import_source(source, tmp_path / "other", photos=tmp_path)  # now the paths tell the card
    assert [name for name, _ in report.failed] == [*animals[:1]]
    (tmp_path / "S05/DCIM/101RECNX/IMG_9.JPG").unlink()
    refused(source, tmp_path / "third", "say in which folder their paths begin", photos=tmp_path / "S05")


@pytest.mark.parametrize("blank", [True, False])
def test_a_photo_of_a_deployment_is_not_taken_from_the_folder_of_another(tmp_path, blank):
    photos(tmp_path / "photos", "D1/a.jpg", "D1/b.jpg")
    common = {"project_id": "1", "identified_by": "Ann", "timestamp": "2024-05-01 10:00:00", "is_blank": "0"}
    cat = {**common, "common_name": "Snow Leopard"}
    rows = [{**cat, "image_id": "1", "deployment_id": "D1", "filename": "b.jpg", "individual_id": "Aika"},
            {**cat, "image_id": "2", "deployment_id": "D2", "filename": "a.jpg", "individual_id": "Berk"},
            {**common, "image_id": "3", "deployment_id": "D1", "filename": "a.jpg", "is_blank": "1"}]  # fmt: skip
    write_csv(tmp_path / "images.csv", rows if blank else rows[:2])
    report = import_source(tmp_path / "images.csv", tmp_path / "catalog", photos=tmp_path / "photos")
    assert [name for name, _ in report.failed] == ["a.jpg"]
    assert [row["individual"] for row in read_rows(tmp_path / "catalog/catalog.csv")] == ["Aika"]


def test_the_whole_path_of_a_photo_counts_more_than_the_end_of_one_that_is_left_out(tmp_path):
    photos(tmp_path, "S01/a.jpg")
    wanted = [("S01/a.jpg", ()), ("S02/a.jpg", ())]
    found = find_files(wanted, [tmp_path], tmp_path / "catalog", [("cards/S01/a.jpg", ())])
    assert found.files == {wanted[0]: (tmp_path, "S01/a.jpg")}
    assert found.missing == wanted[1:]


@pytest.mark.parametrize("more", [True, False])
def test_a_photo_in_a_folder_that_is_named_like_another_station_is_not_called_missing(tmp_path, more):
    package = camtrap_dp(tmp_path)
    media = read_rows(package / "media.csv")
    write_csv(package / "media.csv", [{**row, "filePath": f"{'abc'[n]}.jpg"} for n, row in enumerate(media)])
    photos(tmp_path / "cards", "S02/ridge/a.jpg", *(["S02/b.jpg"] if more else []))
    if not more:
        refused(package, tmp_path / "catalog", "say in which folder their paths begin", photos=tmp_path / "cards")
        return
    report = import_source(package, tmp_path / "catalog", photos=tmp_path / "cards")
    assert [(name, why.split(":")[0]) for name, why in report.failed] == [
        ("a.jpg", "such files are only in folders named like other stations or deployments"),
        ("c.jpg", "no such photo in the folders that were searched"),
    ]


def test_a_flat_folder_has_the_photos_of_one_deployment_where_another_has_the_same_names(tmp_path):
    package = camtrap_dp(tmp_path)
    media = read_rows(package / "media.csv")
    for row, name in zip(media, ("a.jpg", "b.jpg", "a.jpg"), strict=True):  # the third is without an observation
        row.update(filePath=f"https://example.org/{row['mediaID']}", fileName=name)
    media[2]["timestamp"] = "2024-06-01T10:00:00+06:00"
    write_csv(package / "media.csv", media)
    report = import_source(package, tmp_path / "catalog", photos=tmp_path / "media")
    assert [name for name, _ in report.failed] == ["a.jpg"]
    assert [row["individual"] for row in read_rows(tmp_path / "catalog/catalog.csv")] == ["Berk"]


def test_photos_elsewhere_are_linked_once_and_never_copied(tmp_path):
    source = megadetector(tmp_path / "cards")
    for _ in range(2):
        report = import_source(source, tmp_path / "catalog")
    assert report.links == {}  # the second time it is there
    assert sorted((tmp_path / "catalog" / "photos").iterdir()) == [tmp_path / "catalog" / "photos" / "cards"]
    assert (tmp_path / "catalog" / "photos" / "cards").resolve() == (tmp_path / "cards").resolve()
    assert not any(p.suffix == ".jpg" and not p.is_symlink() for p in (tmp_path / "catalog").iterdir())
    other = megadetector(tmp_path / "more" / "cards")  # another folder of the same name
    import_source(other, tmp_path / "catalog")
    assert (tmp_path / "catalog" / "photos" / "cards-2").resolve() == (tmp_path / "more" / "cards").resolve()
    loaded = load_catalog(tmp_path / "catalog")
    assert all((loaded.folder / each.path).is_file() for each in loaded.annotations)


def test_copies_are_made_only_when_asked_for(tmp_path):
    source = megadetector(tmp_path / "cards")
    report = import_source(source, tmp_path / "catalog", copy=True)
    paths = [tmp_path / "catalog" / row["path"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")]
    assert report.copies == len(paths) == 2
    assert all(path.is_file() and not path.resolve().is_relative_to(tmp_path / "cards") for path in paths)
    assert import_source(source, tmp_path / "catalog", copy=True).copies == 0
    later = import_source(source, tmp_path / "catalog")  # the copies stay the catalog's photos
    assert (later.changed, later.links) == (0, {})
    paths[0].write_bytes(b"another file")
    with pytest.raises(SnowmatchError, match="already another file"):
        import_source(source, tmp_path / "catalog", copy=True)


def test_photos_that_were_linked_are_copied_when_that_is_asked_for_later(tmp_path):
    home = tmp_path / "catalog"
    for card, colour in (("one/cards", 10), ("two/cards", 20)):  # the link to the first is no place for the second
        (tmp_path / card).mkdir(parents=True)
        for name in "ab" if card.startswith("one") else "c":
            Image.new("RGB", (40, 30), (colour, ord(name), 0)).save(tmp_path / card / f"{name}.jpg")
    import_source(tmp_path / "one/cards", home)
    assert import_source(tmp_path / "one/cards", home, copy=True).copies == 2
    assert import_source(tmp_path / "two/cards", home, copy=True).copies == 1
    assert sorted(path.name for path in (tmp_path / "one/cards").iterdir()) == ["a.jpg", "b.jpg"]
    paths = [home / row["path"] for row in read_rows(home / "catalog.csv")]
    assert len(paths) == 3
    shutil.rmtree(tmp_path / "one")
    shutil.rmtree(tmp_path / "two")
    assert all(path.is_file() for path in paths)


def test_a_catalog_below_or_above_the_photos_needs_no_link(tmp_path):
    source = megadetector(tmp_path / "cards")
    import_source(source, tmp_path)
    assert not (tmp_path / "photos").exists()
    assert read_rows(tmp_path / "catalog.csv")[0]["path"].startswith("cards/naryn/S01")


def test_a_catalog_inside_the_photos_is_not_found_again_as_photos(tmp_path):
    cards = tmp_path / "cards"
    source = megadetector(cards)
    shutil.move(source, cards / "x.json")
    data = json.loads((cards / "x.json").read_text())
    for image in data["images"]:
        image["file"] = "E:/" + image["file"].replace("\\", "/")
    write_json(cards / "x.json", data)
    for _ in range(2):
        report = import_source(cards / "x.json", cards / "catalog")
        assert report.failed == ()
        assert len(read_rows(cards / "catalog" / "catalog.csv")) == 2


# --- boxes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_stored_pixels_are_turned_as_the_photo_is(tmp_path, orientation):
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[10:30, 20:70] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))[:, :, 0] > 127
    down, across = np.nonzero(upright)
    left, top = int(across.min()), int(down.min())
    expected = (left, top, int(across.max()) + 1 - left, int(down.max()) + 1 - top)
    row = ImportedRow("a.png", "1", box=(20, 10, 50, 20), unit="stored px")
    assert box_in_photo(row, tmp_path / "a.png").bbox == expected
    if orientation >= 5:  # the size that the source gives tells it too
        row = ImportedRow("a.png", "1", box=(20, 10, 50, 20), unit="px", image_size=(100, 60))
        assert box_in_photo(row, tmp_path / "a.png").bbox == expected
        row = ImportedRow("a.png", "1", box=(10, 5, 25, 10), unit="px", image_size=(50, 30))  # of a smaller copy
        assert box_in_photo(row, tmp_path / "a.png").bbox == expected
        row = ImportedRow("a.png", "1", box=(0.2, 10 / 60, 0.5, 20 / 60), unit="share", image_size=(100, 60))
        assert box_in_photo(row, tmp_path / "a.png").bbox == expected


def test_an_upright_photo_turns_no_box():
    assert upright_edges((1, 2, 3, 4), 1, (10, 20)) == (1, 2, 3, 4)


def test_boxes_are_scaled_and_clipped(tmp_path):
    path = photo(tmp_path / "a.jpg", (200, 100))
    scaled = ImportedRow("a.jpg", "1", box=(40, 40, 200, 100), unit="px", image_size=(400, 200))
    assert box_in_photo(scaled, path).bbox == (20, 20, 100, 50)
    beyond = box_in_photo(ImportedRow("a.jpg", "1", box=(0.9, 0.5, 0.4, 0.9), unit="share"), path)
    assert (beyond.bbox, beyond.clipped) == ((180, 50, 20, 50), True)


@pytest.mark.parametrize(
    ("box", "size", "match"),
    [((300, 10, 20, 20), None, "no part of the box"), ((1, 1, 20, 20), (300, 300), "300 x 300 px in the source"),
     ((1, 1, 20, 20), (100, 200), "no EXIF says")],
)  # fmt: skip
def test_a_box_of_another_photo_is_refused(tmp_path, box, size, match):
    path = photo(tmp_path / "a.jpg", (200, 100))
    with pytest.raises(SnowmatchError, match=match):
        box_in_photo(ImportedRow("a.jpg", "1", box=box, unit="px", image_size=size), path)


def test_a_photo_of_another_size_is_listed_with_the_reason(tmp_path):
    source = wildlife_datasets(tmp_path)
    photo(tmp_path / "images/a.jpg", (15, 15))
    result = CliRunner().invoke(main, ["import", str(source), str(tmp_path)])
    assert result.exit_code == 1
    assert "no part of the box 20,20,100,50 lies in the photo of 15 x 15 px" in result.output
    assert [row["path"] for row in read_rows(tmp_path / "catalog.csv")] == ["images/b.jpg"]


# --- again ------------------------------------------------------------------------------------------------------------


def test_corrections_stay_and_changes_of_the_source_arrive(tmp_path):
    rows = [{"File": f"{n}.jpg", "Name": "Aika", "Site": "S01", "Sex": ""} for n in "abc"]
    source = simple(tmp_path, rows)
    import_source(source, tmp_path)
    change(tmp_path / "catalog.csv", 0, individual="Berk", station="")
    write_csv(source, [{**rows[0], "Name": "Cira", "Sex": "female"}, {**rows[1], "Name": "Dana"}, rows[2]])
    report = import_source(source, tmp_path)
    found = [(r["individual"], r["station"], r["sex"]) for r in read_rows(tmp_path / "catalog.csv")]
    assert found == [("Berk", "", "female"), ("Dana", "S01", ""), ("Aika", "S01", "")]
    assert {(column, here, there) for _, column, here, there in report.kept} == {
        ("individual", "Berk", "Cira"),
        ("station", "", "S01"),
    }
    assert "2 cells corrected here, or of another source, stay: " in report.summary()


def test_a_second_table_keeps_what_the_first_said_in_columns_that_it_does_not_have(tmp_path):
    photos(tmp_path, "a.jpg", "b.jpg")
    flanks, names = tmp_path / "flanks.csv", tmp_path / "names.csv"
    flanks.write_text("path,body_part\na.jpg,left\nb.jpg,right\n")
    names.write_text("file,cat_id\na.jpg,aika\nb.jpg,berk\n")
    for source in (flanks, names, flanks, names):
        import_source(source, tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(r["individual"], r["body_part"]) for r in rows] == [("aika", "left_flank"), ("berk", "right_flank")]
    flanks.write_text("path,body_part\na.jpg,\nb.jpg,left\n")  # what the table has a column for still changes
    names.write_text("file,cat_id\na.jpg,\nb.jpg,berk\n")
    import_source(flanks, tmp_path)
    import_source(names, tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(r["individual"], r["body_part"]) for r in rows] == [("", ""), ("berk", "left_flank")]


def test_a_column_that_was_read_wrongly_is_not_kept(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Name": "ridge"}])
    import_source(source, tmp_path)
    import_source(source, tmp_path, options={"columns": "station=Name"})
    assert [(r["individual"], r["station"]) for r in read_rows(tmp_path / "catalog.csv")] == [("", "ridge")]


def test_a_table_of_working_days_keeps_the_positions_of_another_table(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Site": "S01"}])
    (tmp_path / "places.csv").write_text("Station,Longitude,Latitude\nS01,76.1,41.5\n")
    (tmp_path / "days.csv").write_text("Station,Setup_date,Retrieval_date\nS01,2023-05-01,2023-08-01\n")
    for name in ("places", "days", "days", "places"):
        report = import_source(source, tmp_path, stations=tmp_path / f"{name}.csv")
        assert "station-positions-replaced" not in {note.code for note in report.notes}
    (row,) = read_rows(tmp_path / "stations.csv")
    assert (row["x"], row["y"], row["from"], row["to"]) == ("76.1", "41.5", "2023-05-01", "2023-08-01")
    (tmp_path / "days.csv").write_text("Station,Setup_date,Retrieval_date\nS01,2023-05-01,\n")
    import_source(source, tmp_path, stations=tmp_path / "days.csv")
    assert read_rows(tmp_path / "stations.csv")[0]["to"] == ""


@pytest.mark.parametrize("step", ["make_links_and_copies", "replace_table"])
def test_rows_that_another_program_adds_during_an_import_stay(tmp_path, monkeypatch, step):
    rows = [{"File": f"{n}.jpg", "Name": n} for n in "ab"]
    source = simple(tmp_path, rows)
    import_source(source, tmp_path)
    new = photo(tmp_path / "cards" / "new.jpg")
    asked = NewPhoto(new, "new.jpg", sha256(new.read_bytes()).hexdigest())
    adding = threading.Thread(target=add_photos, args=(tmp_path, [asked]))
    original = getattr(importing, step)

    def meanwhile(*args):
        adding.start()
        adding.join(0.5)  # it waits, if the table is being written
        return original(*args)

    monkeypatch.setattr(importing, step, meanwhile)
    simple(tmp_path, [*rows, {"File": "c.jpg", "Name": "c"}])
    assert import_source(source, tmp_path).added == 1
    adding.join()
    paths = {row["path"] for row in read_rows(tmp_path / "catalog.csv")}
    assert {"a.jpg", "b.jpg", "c.jpg"} < paths
    assert len(paths) == 4


def test_a_cell_that_says_the_same_in_other_words_is_no_correction(tmp_path):
    head, own = "path,individual,body_part,bbox,timestamp", "Aika,left,[1 2 30 20],17.09.2012 19:42:18"
    photo(tmp_path / "cards" / "a.jpg")
    (tmp_path / "catalog.csv").write_text(f"{head}\ncards\\a.jpg,{own}\n")
    cells = {"File": "cards/a.jpg", "Name": "Umut", "Side": "L", "bbox": "1,2,30,20", "Date": "2012-09-17 19:42:18"}
    report = import_source(write_csv(tmp_path / "cats.csv", [cells]), tmp_path)
    assert report.kept == (("cards/a.jpg", "individual", "Aika", "Umut"),)
    (row,) = read_rows(tmp_path / "catalog.csv")
    assert [row[column] for column in head.split(",")] == ["cards\\a.jpg", *own.split(",")]


def test_corrections_stay_without_the_memory_of_the_last_import(tmp_path):
    source = table(tmp_path)
    import_source(source, tmp_path)
    change(tmp_path / "catalog.csv", 0, individual="Berk")
    shutil.rmtree(tmp_path / ".snowmatch")
    import_source(source, tmp_path)
    assert [row["individual"] for row in read_rows(tmp_path / "catalog.csv")] == ["Berk", ""]


def test_a_row_that_was_deleted_stays_deleted_and_a_row_that_is_gone_stays(tmp_path):
    rows = [{"File": f"{n}.jpg", "Name": n} for n in "abc"]
    source = simple(tmp_path, rows)
    import_source(source, tmp_path)
    write_csv(tmp_path / "catalog.csv", read_rows(tmp_path / "catalog.csv")[1:])
    write_csv(source, rows[:2])
    report = import_source(source, tmp_path)
    assert [row["path"] for row in read_rows(tmp_path / "catalog.csv")] == ["b.jpg", "c.jpg"]
    notes = {note.code: note.text for note in report.notes}
    assert "rows-deleted-here" in notes
    assert notes["rows-gone"].startswith("1 row of an earlier import that this source does not have; they stay: ")


@pytest.mark.parametrize("copy", [False, True])
def test_a_second_card_with_the_same_names_does_not_take_the_rows_of_the_first(tmp_path, copy):
    home = tmp_path / "catalog"
    for n, card in enumerate(("one", "two", "one", "two")):
        photo = tmp_path / card / "100RECNX" / "RCNX0001.JPG"
        photo.parent.mkdir(parents=True, exist_ok=True)
        if n < 2:
            Image.new("RGB", (40, 30), (90 * n, 0, 0)).save(photo)
        report = import_source(tmp_path / card, home, copy=copy)
        assert (report.added, report.changed, report.same) == ((1, 0, 0) if n < 2 else (0, 0, 1))
    rows = read_rows(home / "catalog.csv")
    assert [row["path"] for row in rows] == [f"photos/{card}/100RECNX/RCNX0001.JPG" for card in ("one", "two")]
    with (home / "catalog.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerow(rows[0])
    assert import_source(tmp_path / "two", home, copy=copy).added == 0  # a row that was deleted stays away
    assert read_rows(home / "catalog.csv") == rows[:1]


def test_a_second_source_in_a_folder_below_or_above_completes_the_rows(tmp_path):
    source = megadetector(tmp_path / "cards")
    below = write_csv(tmp_path / "cards" / "naryn" / "cats.csv", [{"file": "S01/100RECNX/a.jpg", "cat_id": "Aika"}])
    for n, order in enumerate(([source, below, source, below], [below, source, below, source])):
        home = tmp_path / f"catalog{n}"
        for each in order:
            report = import_source(each, home)
        rows = {row["path"]: row for row in read_rows(home / "catalog.csv")}
        assert len(rows) == 2
        assert [
            (row["bbox"], row["megadetector_id"] != "") for row in rows.values() if row["individual"] == "Aika"
        ] == [("20,20,100,50", True)]
        assert (report.added, report.changed) == (0, 0)


def test_videos_in_a_table_are_left_out_and_counted(tmp_path):
    photo(tmp_path / "a.jpg")
    (tmp_path / "v.MP4").write_bytes(b"a video")
    (tmp_path / "cats.csv").write_text("file,cat_id\na.jpg,aika\nv.MP4,berk\n")
    report = import_source(tmp_path / "cats.csv", tmp_path / "catalog")
    assert [row["individual"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")] == ["aika"]
    assert report.left_out == {"rows of videos": 1}


def test_rows_of_a_source_that_numbers_them_stay_with_their_photos(tmp_path):
    for n, name in enumerate("abcd"):
        Image.new("RGB", (40, 30), (50 * n, 0, 0)).save(tmp_path / f"{name}.jpg")
    names = {"a": "aika", "b": "berk", "c": "cholpon", "d": "dastan"}
    for photos_now in ("abc", "adbc"):  # a new line shifts the numbers of the others
        lines = [f"{n},{name}.jpg,{names[name]},left\n" for n, name in enumerate(photos_now)]
        (tmp_path / "cats.csv").write_text("id,file,cat_id,side\n" + "".join(lines))
        report = import_source(tmp_path / "cats.csv", tmp_path / "catalog")
        if photos_now == "abc":
            change(tmp_path / "catalog" / "catalog.csv", 1, body_part="right_flank", remark="limps")
    assert report.added == 1
    rows = {row["path"][-5]: row for row in read_rows(tmp_path / "catalog" / "catalog.csv")}
    assert {name: row["individual"] for name, row in rows.items()} == names
    assert {name: row["body_part"] for name, row in rows.items() if row["body_part"] != "left_flank"} == {
        "b": "right_flank"
    }
    assert [name for name, row in rows.items() if row["remark"]] == ["b"]


def test_a_deleted_row_of_a_source_that_numbers_them_stays_away_and_a_new_one_comes(tmp_path):
    for n, name in enumerate("abcd"):
        Image.new("RGB", (40, 30), (50 * n, 0, 0)).save(tmp_path / f"{name}.jpg")
    table = tmp_path / "catalog" / "catalog.csv"
    for photos_now in ("abc", "adbc"):  # the new line has the number of the row that was deleted
        lines = [f"{n},{name}.jpg\n" for n, name in enumerate(photos_now)]
        (tmp_path / "cats.csv").write_text("id,file\n" + "".join(lines))
        report = import_source(tmp_path / "cats.csv", tmp_path / "catalog")
        if photos_now == "abc":
            write_csv(table, [row for row in read_rows(table) if row["path"][-5:] != "b.jpg"])
    assert [row["path"][-5:] for row in read_rows(table)] == ["a.jpg", "c.jpg", "d.jpg"]
    assert any(note.code == "rows-deleted-here" for note in report.notes)


def test_a_second_table_with_numbers_of_its_own_does_not_take_the_rows_of_the_first(tmp_path):
    for n, name in enumerate("abc"):
        Image.new("RGB", (40, 30), (50 * n, 0, 0)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "one.csv").write_text("id,file,cat_id\n1,a.jpg,aika\n2,b.jpg,berk\n")
    (tmp_path / "two.csv").write_text("id,file,cat_id\n1,c.jpg,cholpon\n")
    for name in ("one", "two", "one", "two"):
        import_source(tmp_path / f"{name}.csv", tmp_path / "catalog")
        found = {row["path"][-5:]: row["individual"] for row in read_rows(tmp_path / "catalog" / "catalog.csv")}
        assert found == {"a.jpg": "aika", "b.jpg": "berk"} | ({} if len(found) == 2 else {"c.jpg": "cholpon"})
    assert len(found) == 3


def test_rows_without_names_are_not_taken_by_those_of_a_second_table_either(tmp_path):
    for n, name in enumerate("abc"):
        Image.new("RGB", (40, 30), (50 * n, 0, 0)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "one.csv").write_text("id,file\n1,a.jpg\n2,b.jpg\n")
    (tmp_path / "two.csv").write_text("id,file\n1,c.jpg\n")
    for name in ("one", "two"):
        report = import_source(tmp_path / f"{name}.csv", tmp_path / "catalog")
    assert (report.added, report.changed) == (1, 0)
    assert [row["path"][-5:] for row in read_rows(tmp_path / "catalog" / "catalog.csv")] == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_second_table_with_numbers_of_its_own_changes_no_correction_in_rows_of_the_first(tmp_path):
    for n, name in enumerate("abcd"):
        Image.new("RGB", (40, 30), (50 * n, 0, 0)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "one.csv").write_text("id,file,cat_id\n1,a.jpg,aika\n2,b.jpg,berk\n3,d.jpg,dastan\n")
    (tmp_path / "two.csv").write_text("id,file,cat_id,station\n1,c.jpg,cholpon,S01\n")
    table = tmp_path / "catalog" / "catalog.csv"
    import_source(tmp_path / "one.csv", tmp_path / "catalog")
    change(table, 0, individual="cholpon", station="S01")  # as the second table says of its own photo
    rows = read_rows(table)
    for name in ("two", "one", "two", "one"):
        report = import_source(tmp_path / f"{name}.csv", tmp_path / "catalog")
        assert not any(note.code == "photos-replaced" for note in report.notes)
        found = {row["path"][-5:]: (row["individual"], row["station"]) for row in read_rows(table)}
        assert found == {
            "a.jpg": ("cholpon", "S01"),
            "b.jpg": ("berk", ""),
            "c.jpg": ("cholpon", "S01"),
            "d.jpg": ("dastan", ""),
        }
    write_csv(table, [row for row in rows if row["path"][-5:] != "a.jpg"])
    report = import_source(tmp_path / "two.csv", tmp_path / "catalog")  # what was deleted is not of this table
    assert report.added == 1
    assert not any(note.code == "rows-deleted-here" for note in report.notes)


def test_a_station_of_another_survey_with_the_same_name_is_noted(tmp_path):
    for n, place in enumerate(("76.1,41.5", "77.1,42.5")):
        (tmp_path / f"{n}").mkdir()
        Image.new("RGB", (40, 30), (50 * n, 0, 0)).save(tmp_path / f"{n}" / "a.jpg")
        (tmp_path / f"{n}" / "cats.csv").write_text(f"file,station,longitude,latitude\na.jpg,S01,{place}\n")
        report = import_source(tmp_path / f"{n}" / "cats.csv", tmp_path / "catalog")
        told = [note.text for note in report.notes if note.code == "station-positions-replaced"]
        assert len(told) == n
    assert "S01" in told[0]
    assert "77" not in told[0]


def test_an_animal_that_leaves_a_photo_does_not_give_its_row_to_another(tmp_path):
    photo(tmp_path / "a.jpg")
    head, aika, berk = "file,cat_id,bbox\n", 'a.jpg,aika,"1,1,30,30"\n', 'a.jpg,berk,"60,20,30,30"\n'
    for text in (head + aika + berk, head + berk, head + berk, head + berk + aika):
        (tmp_path / "cats.csv").write_text(text)
        report = import_source(tmp_path / "cats.csv", tmp_path / "catalog")
        rows = [(row["individual"], row["bbox"]) for row in read_rows(tmp_path / "catalog" / "catalog.csv")]
        assert rows == [("aika", "1,1,30,30"), ("berk", "60,20,30,30")]
    assert (report.added, report.kept) == (0, ())


def test_a_row_that_a_person_copied_keeps_its_cells(tmp_path):
    photo(tmp_path / "a.jpg")
    (tmp_path / "cats.csv").write_text("file,cat_id\na.jpg,aika\n")
    import_source(tmp_path / "cats.csv", tmp_path / "catalog")
    (row,) = read_rows(tmp_path / "catalog" / "catalog.csv")
    write_csv(tmp_path / "catalog" / "catalog.csv", [row, {**row, "individual": "berk", "bbox": "1,1,30,30"}])
    before = read_rows(tmp_path / "catalog" / "catalog.csv")
    (tmp_path / "cats.csv").write_text("file,cat_id,sex\na.jpg,aika,female\n")
    report = import_source(tmp_path / "cats.csv", tmp_path / "catalog")
    assert not any(note.code == "rows-gone" for note in report.notes)
    assert read_rows(tmp_path / "catalog" / "catalog.csv") == [{**before[0], "sex": "female"}, {**before[1], "sex": ""}]


@pytest.mark.parametrize("indexed", [False, True])
def test_a_second_card_is_told_from_the_first_that_was_pulled_out(tmp_path, indexed):
    home = tmp_path / "catalog"
    for n, card in enumerate(("one", "two", "two")):
        photo = tmp_path / card / "100RECNX" / "RCNX0001.JPG"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (90 * min(n, 1), 0, 0)).save(photo)
        report = import_source(tmp_path / card, home)
        if n == 0 and indexed:
            keep_content(home)
        if n == 0:
            shutil.rmtree(tmp_path / "one")
        told = [note for note in report.notes if note.code == "photos-not-compared"]
        assert len(told) == (n == 1 and not indexed), report.notes
        assert report.added == (n == 0 or (n == 1 and indexed))
    cards = [row["path"].split("/")[1] for row in read_rows(home / "catalog.csv")]
    assert cards == (["one", "two"] if indexed else ["two"])


def test_a_second_card_in_the_place_of_the_first_is_refused_unless_it_is_copied(tmp_path):
    home, photo = tmp_path / "catalog", tmp_path / "CARD" / "100RECNX" / "RCNX0001.JPG"
    photo.parent.mkdir(parents=True)
    for n in range(2):
        Image.new("RGB", (40, 30), (90 * n, 0, 0)).save(photo)
        if n == 0:
            import_source(tmp_path / "CARD", home)
            keep_content(home)
            assert import_source(tmp_path / "CARD", home).same == 1
    boxes = {"file": "100RECNX/RCNX0001.JPG", "detections": [{"category": "1", "conf": 0.9, "bbox": [0, 0, 0.5, 0.5]}]}
    about = {"info": {"format_version": "1.6", "detector": "md"}, "detection_categories": {"1": "animal"}}
    write_json(tmp_path / "CARD" / "detections.json", about | {"images": [boxes]})
    for source in (tmp_path / "CARD", tmp_path / "CARD" / "detections.json"):
        with pytest.raises(SnowmatchError, match="another memory card has taken the place of the first, copy the"):
            import_source(source, home, photos=tmp_path / "CARD")
    assert import_source(tmp_path / "CARD", home, copy=True).added == 1
    assert import_source(tmp_path / "CARD", home, copy=True).same == 1
    folders = [row["path"].split("/")[1] for row in read_rows(home / "catalog.csv")]
    assert folders == ["CARD", "CARD-2"]


def test_a_second_card_in_the_place_of_the_first_is_copied_beside_it(tmp_path):
    home, table = tmp_path / "catalog", tmp_path / "catalog" / "catalog.csv"
    for n in range(2):
        for name in range(1 + n):  # the second has more photos
            photo = tmp_path / "CARD" / "100RECNX" / f"RCNX000{name}.JPG"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (90 * n, name, 0)).save(photo)
        assert import_source(tmp_path / "CARD", home, copy=True).added == 1 + n
        assert import_source(tmp_path / "CARD", home, copy=True).copies == 0
    later = import_source(tmp_path / "CARD", home)  # the copies stay the catalog's photos
    assert (later.added, later.changed, later.links) == (0, 0, {})
    assert [row["path"].split("/")[1] for row in read_rows(table)] == ["CARD", "CARD-2", "CARD-2"]


def test_a_source_may_name_another_photo_for_a_row(tmp_path):
    for n, name in enumerate("ab"):
        Image.new("RGB", (40, 30), (90 * n, 0, 0)).save(tmp_path / f"{name}.jpg")
    for name in "ab":
        (tmp_path / "cats.csv").write_text(f"image_id,file,cat_id\n7,{name}.jpg,aika\n")
        report = import_source(tmp_path / "cats.csv", tmp_path / "catalog")
    (row,) = read_rows(tmp_path / "catalog" / "catalog.csv")
    assert row["path"].endswith("/b.jpg")
    assert any(note.code == "photos-replaced" for note in report.notes)


def test_rows_of_a_person_keep_their_order_columns_and_headings(tmp_path):
    source = table(tmp_path)
    write_csv(
        tmp_path / "catalog.csv",
        [{"Path": "pics/b.jpg", "Individual": "Berk", "My notes": "cub"}, {"Path": "z.jpg", "Individual": "Aika"}],
    )
    photo(tmp_path / "z.jpg")
    import_source(source, tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert list(rows[0])[:3] == ["Path", "Individual", "My notes"]
    assert [(r["Path"], r["Individual"], r["My notes"]) for r in rows] == [
        ("pics/b.jpg", "Berk", "cub"),
        ("z.jpg", "Aika", ""),
        ("pics/a.jpg", "Aika", ""),
    ]


@pytest.mark.parametrize(
    ("column", "imported", "rewritten", "corrected"),
    [
        ("timestamp", "2024-05-06T07:08:09", "06.05.2024 07:08:09", "2024-05-06T08:08:09"),
        ("timestamp", "2024-05-06T07:08:09", "2024/5/6 7:08:09", "2024-05-06T08:08:09"),
        ("bbox", "1,1,20,20", "1;1;20;20", "2,2,20,20"),
        ("weight", "0.950", "0,95", "0.97"),
    ],
)
def test_a_cell_that_a_spreadsheet_rewrote_is_not_corrected(tmp_path, column, imported, rewritten, corrected):
    source = simple(tmp_path, [{"File": "a.jpg", column: imported}])
    import_source(source, tmp_path)
    change(tmp_path / "catalog.csv", 0, **{column: rewritten})
    same = import_source(source, tmp_path)
    assert (same.same, same.kept, same.written) == (1, (), ())
    write_csv(source, [{"File": "a.jpg", column: corrected}])
    assert import_source(source, tmp_path).kept == ()
    assert read_rows(tmp_path / "catalog.csv")[0][column] == corrected


@pytest.mark.parametrize(
    ("column", "before", "now"),
    [
        ("collar", "7", "007"),
        ("collar", "12345678901234567890", "12345678901234567891"),
        ("firmware", "1.1", "1.10"),
        ("remark", "1.024", "1,024"),
    ],
)
def test_a_cell_that_nobody_touched_takes_the_new_text_of_the_source_also_of_an_equal_number(
    tmp_path, column, before, now
):
    source = simple(tmp_path, [{"File": "a.jpg", column: before}])
    import_source(source, tmp_path)
    write_csv(source, [{"File": "a.jpg", column: now}])
    assert import_source(source, tmp_path).kept == ()
    assert read_rows(tmp_path / "catalog.csv")[0][column] == now


def test_names_that_differ_as_texts_are_two_even_if_they_are_equal_numbers(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Name": "007"}])
    import_source(source, tmp_path)
    change(tmp_path / "catalog.csv", 0, individual="7")
    assert [kept[1:] for kept in import_source(source, tmp_path).kept] == [("individual", "7", "007")]


def test_the_old_tables_are_kept_and_never_replaced(tmp_path):
    rows = [{"File": "a.jpg", "Name": "Aika"}]
    source = simple(tmp_path, rows)
    kept = []
    for number in range(3):
        old = (tmp_path / "catalog.csv").read_bytes() if (tmp_path / "catalog.csv").exists() else None
        write_csv(source, [{"File": "a.jpg", "Name": f"cat {number}"}])
        import_source(source, tmp_path)
        kept += [old] if old else []
    assert [(tmp_path / f"catalog.csv.before-import-{n}").read_bytes() for n in (1, 2)] == kept


def test_a_detector_that_was_run_again_doubles_no_animal(tmp_path):
    source = megadetector(tmp_path)
    import_source(source, tmp_path)
    change(tmp_path / "catalog.csv", 0, individual="Aika")
    megadetector(tmp_path, box=(0.11, 0.21, 0.5, 0.5))
    import_source(source, tmp_path)
    rows = read_rows(tmp_path / "catalog.csv")
    assert [(row["individual"], row["bbox"]) for row in rows] == [("Aika", "22,21,100,50"), ("", "22,21,100,50")]


@pytest.mark.parametrize("order", [("seen.json", "flanks.csv"), ("flanks.csv", "seen.json")])
def test_a_row_that_does_not_say_which_boxed_animal_it_means_is_told(tmp_path, order):
    photos(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    two = [{"category": "1", "conf": 0.9, "bbox": box} for box in ([0, 0, 0.3, 0.5], [0.5, 0.3, 0.4, 0.5])]
    images = [{"file": "a.jpg", "detections": two}, {"file": "b.jpg", "detections": two[:1]}]
    seen = {"images": images, "detection_categories": {"1": "animal"}, "info": {"format_version": "1.3"}}
    write_json(tmp_path / "seen.json", seen)
    (tmp_path / "flanks.csv").write_text("path,body_part\na.jpg,left\nb.jpg,right\nc.jpg,left\n")
    first, second, again = (import_source(tmp_path / name, tmp_path) for name in (*order, order[1]))
    (told,) = (note.text for note in second.notes if note.code == "rows-without-box")
    assert told.startswith("1 photo with rows that have a box and rows that have none")
    assert ": a.jpg;" in told
    assert not {note.code for note in (*first.notes, *again.notes)} & {"rows-without-box"}
    assert len(read_rows(tmp_path / "catalog.csv")) == 5


def flanks(folder, *paths, **more):
    return write_csv(folder / "flanks.csv", [{"path": path, "body_part": "left", **more} for path in paths])


def test_a_photo_that_a_table_adds_to_a_catalog_is_told_and_has_the_place_of_its_folder(tmp_path):
    """The detector has left it out as empty, and a person saw an animal."""
    import_source(megadetector(tmp_path), tmp_path)
    photos(tmp_path, "naryn/S02/101RECNX/b.jpg", "naryn/S09/100RECNX/a.jpg")
    here, empty, next_folder, bare = ("naryn/S01/100RECNX/a.jpg", "naryn/S02/100RECNX/empty.jpg",
                                      "naryn/S02/101RECNX/b.jpg", "naryn/S09/100RECNX/a.jpg")  # fmt: skip
    change(tmp_path / "catalog.csv", 1, station="Ridge 2")  # its folder is S02
    report = import_source(flanks(tmp_path, here, empty, next_folder, bare), tmp_path)
    assert (report.added, report.changed) == (3, 1)
    assert [note.text for note in report.notes if note.code == "photos-added"] == [
        f"3 photos that the catalog did not have added: {empty}, {next_folder}, {bare}; 2 with the place of the other "
        "photos of the folder; 1 without a station and 3 without a box: fill in catalog.csv, or delete rows "
        "of photos without an animal"
    ]
    places = {row["path"]: (row["location"], row["station"]) for row in read_rows(tmp_path / "catalog.csv")}
    assert places[empty] == places[next_folder] == ("naryn", "Ridge 2")
    assert places[bare] == ("", "")
    again = import_source(tmp_path / "flanks.csv", tmp_path)
    assert (again.written, [note for note in again.notes if note.code == "photos-added"]) == ((), [])
    photos(tmp_path, "naryn/S02/101RECNX/c.jpg")
    import_source(flanks(tmp_path, here, empty, next_folder, bare, "naryn/S02/101RECNX/c.jpg"), tmp_path)
    assert {row["path"]: row["station"] for row in read_rows(tmp_path / "catalog.csv")}[next_folder] == "Ridge 2"
    assert read_rows(tmp_path / "catalog.csv")[-1]["station"] == "Ridge 2"


@pytest.mark.parametrize("why", ["not by folders", "several", "the table says it", ""])
def test_a_photo_that_a_table_adds_has_no_place_that_its_folder_does_not_tell(tmp_path, why):
    photos(tmp_path, "S01/a.jpg", "S01/b.jpg", "S01/c.jpg")
    place = "hill" if why == "not by folders" else "S01"
    rows = [{"Encounter.mediaAsset0": f"S01/{n}.jpg", "Encounter.verbatimLocality": place} for n in "ab"]
    import_source(write_csv(tmp_path / "wildbook.csv", rows), tmp_path)
    if why == "several":
        change(tmp_path / "catalog.csv", 1, station="S02")
    more = {"Station": ""} if why == "the table says it" else {}
    report = import_source(flanks(tmp_path, "S01/a.jpg", "S01/c.jpg", **more), tmp_path)
    found = {row["path"]: row["station"] for row in read_rows(tmp_path / "catalog.csv")}["S01/c.jpg"]
    (text,) = (note.text for note in report.notes if note.code == "photos-added")
    assert found == ("" if why else "S01")
    lacking, placed = "; 1 without a station: fill", "; 1 with the place of the other photos of the folder"
    assert f"added: S01/c.jpg{lacking if why else placed}" in text


def test_names_of_a_second_program_join_the_boxes_of_the_first(tmp_path):
    import_source(megadetector(tmp_path), tmp_path)
    names = [{"File": "naryn/S01/100RECNX/a.jpg", "Name": "Aika"}, {"File": "naryn/S02/100RECNX/a.jpg", "Name": "Berk"}]
    for _ in range(2):
        import_source(write_csv(tmp_path / "cats.csv", names), tmp_path)
        rows = read_rows(tmp_path / "catalog.csv")
        assert [(r["individual"], r["bbox"]) for r in rows] == [("Aika", "20,20,100,50"), ("Berk", "20,20,100,50")]
    assert import_source(tmp_path / "detections.json", tmp_path).written == ()


def test_corrections_in_the_table_of_stations_stay(tmp_path):
    source = table(tmp_path)
    import_source(source, tmp_path)
    change(tmp_path / "stations.csv", 0, x="76.9", crs="4326")
    import_source(source, tmp_path)
    assert [(row["station"], row["x"]) for row in read_rows(tmp_path / "stations.csv")] == [
        ("S01", "76.9"),
        ("S02", "76,35"),
    ]


def import_posts(tmp_path, *posts):
    """Import photos with a table of stations: (station, x, from, to)."""
    file = write_csv(
        tmp_path / "posts.csv",
        [{"Site": s, "Longitude": x, "Latitude": "41.5", "Setup_date": a, "Retrieval_date": b} for s, x, a, b in posts],
    )
    report = import_source(megadetector(tmp_path), tmp_path, stations=file)
    rows = read_rows(tmp_path / "stations.csv")
    return [(r["station"], r["x"], r["from"], r["to"]) for r in rows], {n.code: n.text for n in report.notes}


S01, S02, S03 = (f"S0{n}" for n in (1, 2, 3))
MAY, JUNE = ("2024-05-01", "2024-05-30"), ("2024-06-01", "2024-06-30")


def test_a_station_that_somebody_wrote_is_not_taken_for_another(tmp_path):
    own = "station,x,y,from,to\nS09,76.9,41.9,2024-05-01,2024-05-30\nS01,76.11,41.5,2024-05-01,2024-05-30\n"
    (tmp_path / "stations.csv").write_text(own)
    rows, _ = import_posts(tmp_path, (S01, "76.1", *MAY), (S01, "76.1", *JUNE), (S03, "76.3", *MAY))
    assert rows == [
        ("S09", "76.9", *MAY),
        (S01, "76.11", *MAY),  # what somebody wrote stays
        (S01, "76.1", *JUNE),
        (S03, "76.3", *MAY),
    ]


def test_a_corrected_position_stays_with_its_station(tmp_path):
    import_posts(tmp_path, (S01, "76.1", *MAY), (S02, "76.2", *MAY))
    change(tmp_path / "stations.csv", 1, x="76.25")
    later = ("2024-05-03", "2024-06-02")
    rows, notes = import_posts(tmp_path, (S01, "76.1", *later), (S03, "76.3", *later), (S02, "76.2", *later))
    assert sorted(rows) == [(S01, "76.1", *later), (S02, "76.25", *later), (S03, "76.3", *later)]
    assert "stations-gone" not in notes
    assert notes["station-dates-replaced"].startswith(
        "4 dates of stations not as in the import before; the source's stay: "
        "from of S01/2024-05-03 was '2024-05-01', is '2024-05-03', to of S01/2024-05-03 was '2024-05-30'"
    )
    rows, notes = import_posts(tmp_path, (S01, "76.1", *later))
    assert len(rows) == 3
    assert notes["stations-gone"].startswith("2 rows of stations of an earlier import that this source does not have")


@pytest.mark.parametrize("begins", ["2024-06-01", "2024-05-30"])  # a day later, or when the card was changed
def test_the_next_season_of_a_station_is_a_row_of_its_own(tmp_path, begins):
    import_posts(tmp_path, (S01, "76.1", *MAY), (S02, "76.2", *MAY))
    change(tmp_path / "stations.csv", 1, x="76.25")
    season = (begins, "2024-06-30")
    rows, notes = import_posts(tmp_path, (S01, "76.1", *season), (S02, "76.2", *season))
    assert rows == [
        (S01, "76.1", *MAY),
        (S02, "76.25", *MAY),
        (S01, "76.1", *season),
        (S02, "76.25", *season),  # the corrected position is that of the station
    ]
    assert notes["stations-gone"].startswith("2 rows of stations of an earlier import that this source does not have")


def test_a_corrected_position_is_that_of_the_next_season_however_the_source_writes_its_numbers(tmp_path):
    import_posts(tmp_path, (S01, "76.10", *MAY), (S02, "76.20", *MAY), (S03, "76.30", *MAY))
    change(tmp_path / "stations.csv", 0, x="76.1")  # the same
    change(tmp_path / "stations.csv", 1, x="76.25")
    change(tmp_path / "stations.csv", 2, x="436500", y="4595000", crs="32643")
    posts = [{"Site": s, "Longitude": x, "Latitude": "41.50", "Setup_date": JUNE[0], "Retrieval_date": JUNE[1]}
             for s, x in ((S01, "76.100"), (S02, "76.2"), (S03, "76.3"))]  # fmt: skip
    report = import_source(megadetector(tmp_path), tmp_path, stations=write_csv(tmp_path / "next.csv", posts))
    rows = read_rows(tmp_path / "stations.csv")[3:]
    assert [(r["x"], r["y"], r["crs"]) for r in rows] == [
        ("76.100", "41.50", ""),
        ("76.25", "41.50", ""),
        ("436500", "4595000", "32643"),
    ]
    assert [(key.split("/")[0], column) for key, column, _, _ in report.kept] == [
        (S02, "x"), (S03, "x"), (S03, "y"), (S03, "crs")
    ]  # fmt: skip


def test_two_sources_that_name_a_deployment_with_other_dates_are_told(tmp_path):
    photos = {"File": "naryn/S01/100RECNX/a.jpg", "Name": "Aika", "Site": S01}
    posts = [{"deployment": "d1", "Site": S01, "Setup_date": MAY[0], "Retrieval_date": MAY[1]},
             {"deployment": "d1", "Site": S01, "Setup_date": MAY[0], "Retrieval_date": JUNE[1]}]  # fmt: skip
    megadetector(tmp_path)
    source = write_csv(tmp_path / "cats.csv", [photos])

    def told(name, *rows):
        report = import_source(source, tmp_path, stations=write_csv(tmp_path / name, rows))
        assert [(r["deployment"], r["from"]) for r in read_rows(tmp_path / "stations.csv")] == [("d1", MAY[0])]
        (row,) = read_rows(tmp_path / "stations.csv")
        return row["to"], {note.code: note.text for note in report.notes if note.code.startswith("station-dates")}

    left_out = "1 date of stations left out, since an earlier row of the same deployment says otherwise: "
    assert told("one.csv", *posts) == (
        MAY[1],
        {"station-dates-left-out": left_out + "to of d1 is '2024-05-30' in one.csv, '2024-06-30' in one.csv"},
    )
    replaced = "1 date of stations not as in the import before; the source's stay: "
    assert told("two.csv", posts[1]) == (
        JUNE[1],
        {"station-dates-replaced": replaced + "to of d1 was '2024-05-30', is '2024-06-30'"},
    )
    assert told("two.csv", posts[1]) == (JUNE[1], {})


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"Longitude": "76.3"}, "worked at the same time in line 2; expected other dates, or the column camera"),
        ({"Habitat": "cliff"}, "worked at the same time in line 2; expected other dates, or the column camera"),
        ({"Retrieval_date": JUNE[1]}, "worked at the same time in line 2; expected other dates"),
        ({"Setup_date": "", "Retrieval_date": "", "Habitat": "cliff"}, "appears twice, also in line 2; expected from"),
    ],
)
def test_two_rows_of_a_station_at_one_time_are_refused_as_those_beside_a_catalog(tmp_path, second, told):
    first = {"Site": S01, "Longitude": "76.1", "Latitude": "41.5", "Setup_date": MAY[0], "Retrieval_date": MAY[1],
             "Habitat": "ridge"}  # fmt: skip
    first |= {column: "" for column, text in second.items() if not text}
    posts = write_csv(tmp_path / "posts.csv", [first, first | second])
    refused(megadetector(tmp_path), tmp_path / "c", f"posts.csv line 3: '{S01}' {told}", stations=posts)
    with pytest.raises(SnowmatchError, match=r"same time in line 2|appears twice|another position"):
        read_stations(posts, [])


def test_a_line_that_a_table_of_stations_has_twice_counts_once_and_is_told(tmp_path):
    row = {"Site": S01, "Longitude": "76.1", "Latitude": "41.5", "Setup_date": MAY[0], "Retrieval_date": MAY[1]}
    report = import_source(megadetector(tmp_path), tmp_path, stations=write_csv(tmp_path / "posts.csv", [row, row]))
    assert len(read_rows(tmp_path / "stations.csv")) == 1
    assert "1 line that posts.csv has twice left out" in texts(report.notes)


def test_cells_of_a_second_row_of_a_deployment_are_told_and_no_position(tmp_path):
    posts = [{"deployment": "d1", "Site": S01, "Longitude": x, "Latitude": "41.5", "Habitat": h}
             for x, h in (("76.1", "cliff"), ("76.3", "ridge"))]  # fmt: skip
    report = import_source(megadetector(tmp_path), tmp_path, stations=write_csv(tmp_path / "posts.csv", posts))
    (note,) = (note.text for note in report.notes if note.code == "station-cells-left-out")
    assert note.endswith("another or none: x of d1 in posts.csv, habitat of d1 in posts.csv")


def test_a_table_of_stations_completes_the_stations_of_a_table_of_photos(tmp_path):
    megadetector(tmp_path)
    where = {"Station": "S01", "Latitude": "41.5", "Longitude": "76.1"}
    source = write_csv(tmp_path / "cats.csv", [{"File": "naryn/S01/100RECNX/a.jpg", "Name": "Aika", **where}])
    posts = {"Station": "S01", "Longitude": "700000", "Latitude": "4600000", "EPSG": "32643", "Habitat": "ridge"}
    report = import_source(source, tmp_path, stations=write_csv(tmp_path / "posts.csv", [posts]))
    (row,) = read_rows(tmp_path / "stations.csv")
    assert (row["x"], row["y"], row.get("crs", ""), row["habitat"]) == ("76.1", "41.5", "", "ridge")
    (note,) = (note.text for note in report.notes if note.code == "station-cells-left-out")
    assert note.startswith("3 cells of stations left out")


def test_the_own_table_of_stations_keeps_its_headings_and_can_be_read_afterwards(tmp_path):
    text = "Site;Longitude;Latitude;Setup_date;Retrieval_date\nS01;76,1;41,5;01.05.2023;30.05.2023\n"
    (tmp_path / "stations.csv").write_text(text)
    posts = [{"Site": "S01", "Longitude": "76.1", "Latitude": "41.5", "Setup_date": a, "Retrieval_date": b}
             for a, b in (MAY, JUNE)]  # fmt: skip
    import_source(megadetector(tmp_path), tmp_path, stations=write_csv(tmp_path / "posts.csv", posts))
    found = read_stations(tmp_path / "stations.csv", [])
    assert [(d.station, d.x, f"{d.working.start:%Y-%m}") for d in found] == [
        ("S01", 76.1, "2023-05"),
        ("S01", 76.1, "2024-05"),
        ("S01", 76.1, "2024-06"),
    ]
    head, first, *_ = (tmp_path / "stations.csv").read_text().splitlines()
    assert head.startswith("Site;Longitude;Latitude;Setup_date;Retrieval_date")
    assert first.startswith("S01;76,1;41,5;01.05.2023;30.05.2023")


@pytest.mark.parametrize(
    ("encoding", "separator", "above"),
    [("utf-8-sig", ";", ""), ("utf-16", "\t", ""), ("utf-8", ";", "sep=;\r\n"), ("utf-8", "|", "sep=|\r\n")],
)
def test_a_table_that_a_spreadsheet_program_saved_opens_in_it_as_before(tmp_path, encoding, separator, above):
    def lines(*rows):
        return above + "".join(separator.join(row) + "\r\n" for row in rows)

    remark = f'"да{separator} ""нет"""'
    head, row = ("path", "individual", "bbox", "Примечание"), ("a.jpg", "Айка", "1 2 30 20", remark)
    content = lines(head, row).encode(encoding)
    (tmp_path / "catalog.csv").write_bytes(content)
    source = simple(tmp_path, [{"File": "a.jpg", "Side": "L"}, {"File": "b.jpg", "Side": "R"}])
    import_source(source, tmp_path)
    new = ("b.jpg", "", "", "", "right_flank", "b.jpg")
    now = lines((*head, "body_part", "table_id"), (*row, "left_flank", "a.jpg"), new)
    assert (tmp_path / "catalog.csv").read_bytes() == now.encode(encoding)
    assert (tmp_path / "catalog.csv.before-import-1").read_bytes() == content
    assert import_source(source, tmp_path).written == ()


def test_cells_without_a_value_in_a_table_of_stations_are_empty(tmp_path):
    source = simple(tmp_path, [{"File": "a.jpg", "Station": "S01"}])
    about = {"Setup_date": "2021-05-01", "Retrieval_date": "2021-06-01"}
    none = dict.fromkeys(("Camera", "Session", "Problem1_from", "Problem1_to", "Longitude", "Latitude", "Slope"), "NA")
    posts = write_csv(tmp_path / "posts.csv", [{"Station": "S01", **about, **none}])
    report = import_source(source, tmp_path, stations=posts)
    (row,) = read_rows(tmp_path / "stations.csv")
    assert {column for column, cell in row.items() if cell} == {"station", "from", "to", "deployment", "slope"}
    assert "cells such as NA of posts.csv were read as empty, by column: camera (1), problem_from (1)" in texts(
        report.notes
    )


def test_a_station_whose_name_is_read_as_an_empty_cell_is_told_so(tmp_path):
    posts = write_csv(tmp_path / "posts.csv", [{"Station": "NA", "Longitude": "76.1", "Latitude": "41.5"}])
    with pytest.raises(SnowmatchError, match="line 2: no station; expected its name; NA is read as an empty cell"):
        import_source(simple(tmp_path, [{"File": "a.jpg"}]), tmp_path, stations=posts)


def test_a_table_of_stations_is_read_with_any_headings(tmp_path):
    source = megadetector(tmp_path)
    posts = write_csv(
        tmp_path / "posts.csv",
        [{"Site": "S01", "utm_x": "436500", "utm_y": "4600000", "EPSG": "32643", "Setup_date": "4.5.2024",
          "Retrieval_date": "30.9.2024", "Problem1_from": "1.6.2024", "Problem1_to": "8.6.2024", "Ridge": "yes"}],
    )  # fmt: skip
    import_source(source, tmp_path, stations=posts)
    (row,) = read_rows(tmp_path / "stations.csv")
    assert row == {
        "station": "S01", "location": "", "x": "436500", "y": "4600000", "crs": "32643", "from": "2024-05-04",
        "to": "2024-09-30", "camera": "", "session": "", "problem_from": "2024-06-01", "problem_to": "2024-06-08",
        "deployment": "S01/4.5.2024", "ridge": "yes",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last"),
    [("Deployed", "Retrieved"), ("Date_set", "Date_out"), ("Deployment date", "Collection date"),
     ("Installation date", "Removal date"), ("Installed", "Removed"), ("Setup_date", "Retrieval_date"),
     ("Start", "Collected")],
)  # fmt: skip
def test_usual_headings_of_dates_are_the_working_period(tmp_path, first, last):
    text = f"Station;Location;Latitude;Longitude;{first};{last}\nS01;naryn;41,5;76,1;01.07.2012;30.09.2012\n"
    (tmp_path / "posts.csv").write_text(text)
    report = import_source(megadetector(tmp_path), tmp_path, stations=tmp_path / "posts.csv")
    (row,) = read_rows(tmp_path / "stations.csv")
    assert (row["location"], row["from"], row["to"]) == ("naryn", "2012-07-01", "2012-09-30")
    for name in ("posts.csv", "stations.csv"):
        notes = []
        (found,) = read_stations(tmp_path / name, notes)
        assert (found.working.start.day, dict(found.traits), notes) == (1, {}, [])
    assert "dates-not-read" not in {note.code for note in report.notes}


def test_less_usual_headings_mean_nothing_beside_surer_ones_or_alone(tmp_path):
    file = tmp_path / "stations.csv"
    file.write_text("Station,from,to,Deployed,Removed\nS01,2012-07-01,2012-09-30,2011-01-01,Anna\n")
    (found,) = read_stations(file, [])
    assert (found.working.start.year, found.traits) == (2012, {"Deployed": "2011-01-01", "Removed": "Anna"})
    file.write_text("Station,Deployed\nS01,yes\n")
    assert read_stations(file, [])[0].traits == {"Deployed": "yes"}


@pytest.mark.parametrize(
    ("columns", "first", "second", "told"),
    [
        ("Deployed,Retrieved", "yes,no", "yes,yes", ""),
        ("Deployed,Retrieved", "1 Jul 2012,", "2 Jul 2012,30 Sep 2012", "Deployed, Retrieved"),
        ("Deployed,Retrieved", "2012-07-01,", "2012-07-02,2012-09-30", "Deployed, Retrieved"),  # still out
        ("Deployed,Retrieved", "2012-07-01,2012-09-31", "2012-07-02,2012-09-30", "Deployed, Retrieved"),
        ("Deployed,Retrieved", "13/4/2012,14/4/2012", "4/15/2012,4/16/2012", "Deployed, Retrieved"),
        ("Collected,Set_date", "5 samples,2012-07-01", "3 samples,2012-07-02", "Set_date"),
        ("Deployed,Installed,Removed", "2012-07-01,2012-07-01,2012-09-30", ",,", "Deployed, Installed, Removed"),
        ("Setup_date,Collected", ",2012-07-01", ",2012-07-02", "Collected"),
    ],
)
def test_less_usual_headings_count_only_if_all_their_cells_are_periods(tmp_path, columns, first, second, told):
    posts, notes = tmp_path / "stations.csv", []
    posts.write_text(f"Station,{columns}\nS01,{first}\nS02,{second}\n")
    found = read_stations(posts, notes)
    assert {d.working for d in found} == {None}
    assert [set(d.traits) for d in found] == [set(columns.split(",")) - {"Setup_date"}] * 2
    text = {note.code: note.text for note in notes}.get("dates-not-read", "")
    assert f"the dates in {told} count" in text if told else not text
    if "Jul" not in first:  # an import reads the names of months
        (tmp_path / "c").mkdir()
        report = import_source(megadetector(tmp_path / "c"), tmp_path / "c", stations=posts)
        assert {row.get("from", "") for row in read_rows(tmp_path / "c" / "stations.csv")} == {""}
        assert ("dates-not-read" in {note.code for note in report.notes}) == bool(told)


def test_of_less_usual_headings_the_one_with_times_counts(tmp_path):
    posts = tmp_path / "stations.csv"
    posts.write_text("Station,Deployed,Date_deployed,Date_retrieved\nS01,yes,2012-07-01,2012-09-30\nS02,no\n")
    first, second = read_stations(posts, [])
    assert (first.working.start.month, first.working.end.month, first.traits) == (7, 10, {"Deployed": "yes"})
    assert second.working is None
    import_source(megadetector(tmp_path), tmp_path / "c", photos=tmp_path, stations=posts)
    row = read_rows(tmp_path / "c" / "stations.csv")[0]
    assert (row["from"], row["to"], row["deployed"]) == ("2012-07-01", "2012-09-30", "yes")
    posts.write_text("Station,Setup_date,Removed\nS01,2012-07-01,no\n")
    _, problems = examine_stations(posts, [])
    assert list(problems.lines()) == ["line 2, column to: no value beside '2012-07-01'; expected both or neither"]
    posts.write_text("Station,Setup_date,Removed\nS01,2012-07-01,2012-09-30\nS02,2012-07-01,\n")
    _, problems = examine_stations(posts, [])
    assert list(problems.lines()) == ["line 3, column to: no value beside '2012-07-01'; expected both or neither"]


@pytest.mark.parametrize("own", ["Aufbau,Abbau", "Setup_date,Abbau"])
def test_columns_of_dates_that_are_no_working_period_are_told(tmp_path, own):
    posts = tmp_path / "posts.csv"
    posts.write_text(f"Station,{own},Team\nS01,2012-07-01,30 Sep 2012,Anna\nS02,2012-07-02,,Boris\n")
    report = import_source(megadetector(tmp_path), tmp_path, stations=posts)
    (text,) = (note.text for note in report.notes if note.code == "dates-not-read")
    missing, named = ("to", "abbau") if "Setup" in own else ("from and to", "aufbau, abbau")
    assert text.startswith(f"no row of posts.csv has {missing}, and the dates in {named} count as covariates: if ")
    assert "Setup_date and Retrieval_date" in text
    posts.write_text("Station,Aufbau,Abbau\nS01,2012-07-01,2012-09-30\n")
    notes = []
    read_stations(posts, notes)
    assert "the dates in Aufbau, Abbau count" in {note.code: note.text for note in notes}["dates-not-read"]
    posts.write_text("Station,from,to,Visited\nS01,2012-07-01,2012-09-30,2012-08-01\nS02,,,2012-08-02\n")
    notes = []
    read_stations(posts, notes)
    assert "dates-not-read" not in {note.code for note in notes}


def test_a_site_beside_a_camera_station_is_no_station(tmp_path):
    (tmp_path / "posts.csv").write_text("Camera station;Site\nS01;Naryn\nS02;Naryn\n")
    import_source(megadetector(tmp_path), tmp_path, stations=tmp_path / "posts.csv")
    assert [row["station"] for row in read_rows(tmp_path / "stations.csv")] == ["S01", "S02"]
    source = simple(tmp_path / "t", [{"File": "a.jpg", "Name": "Aika", "Site": "Naryn", "Camera station": "S01"}])
    import_source(source, tmp_path / "t")
    assert read_rows(tmp_path / "t" / "catalog.csv")[0]["station"] == "S01"


def test_no_rows_leave_a_table_as_it_is():
    here = [{"path": "a.jpg", "individual": "Aika"}]
    merged = merge(here, {}, [], "table_id")
    assert (merged.rows, merged.added, merged.changed) == (here, 0, 0)


def test_two_animals_in_one_photo_are_told_apart_by_name(tmp_path):
    here = [{"path": "a.jpg", "individual": "Berk"}, {"path": "a.jpg", "individual": "Aika"}]
    source = [{"path": "a.jpg", "individual": n, "sex": s, "k": n} for n, s in (("Aika", "female"), ("Berk", "male"))]
    merged = merge(here, {}, source, "k")
    assert [(r["individual"], r["sex"]) for r in merged.rows] == [("Berk", "male"), ("Aika", "female")]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "make"), EACH, ids=IDS)
def test_the_command_imports_and_says_what_it_did(tmp_path, name, make):
    source = make(tmp_path / "there")
    result = CliRunner().invoke(main, ["import", str(source), str(tmp_path / "catalog"), "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["schema"], said["format"]) == ("snowmatch.import/1", name)
    assert said["added"] == len(read_rows(tmp_path / "catalog" / "catalog.csv"))


def test_the_sides_and_columns_that_were_read_are_told(tmp_path):
    report = import_source(table(tmp_path), tmp_path)
    assert "cat_id as individual" in texts(report.notes)
    assert "R as right_flank (1)" in texts(report.notes)
    assert "? (1)" in texts(report.notes)


def test_a_source_is_never_the_catalogs_own_table(tmp_path):
    import_source(table(tmp_path), tmp_path)
    with pytest.raises(SnowmatchError, match="own table"):
        import_source(tmp_path / "catalog.csv")


def test_many_photos_are_imported_in_one_pass(tmp_path):
    """20,000 photos, of which one in fifty has an animal: only those are opened."""
    (tmp_path / "S01").mkdir()
    photo(tmp_path / "one.jpg")
    images = []
    for number in range(20_000):
        name = f"S01/{number:06}.jpg"
        found = [{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}] if number % 50 == 0 else []
        if found:
            shutil.copy(tmp_path / "one.jpg", tmp_path / name)
        images.append({"file": name, "detections": found})
    about = {"info": {"format_version": "1.5", "detector": "x"}, "detection_categories": {"1": "animal"}}
    report = import_source(write_json(tmp_path / "md.json", {**about, "images": images}), tmp_path)
    assert (report.added, report.failed, dict(report.left_out)) == (400, (), {"empty photos": 19_600})


def test_the_csv_is_plain(tmp_path):
    import_source(table(tmp_path), tmp_path)
    with (tmp_path / "catalog.csv").open(newline="", encoding="utf-8") as file:
        head = next(csv.reader(file))
    assert head[:9] == [
        "path",
        "individual",
        "body_part",
        "location",
        "station",
        "camera",
        "timestamp",
        "encounter",
        "bbox",
    ]


def test_a_table_of_stations_with_dates_takes_the_positions_of_the_photo_table(tmp_path):
    rows = [{"File": f"{n}.jpg", "Station": n, "Long": "75.5", "Lat": "41.5"} for n in "abc"]
    posts = [
        {"Station": "a", "Long": "", "Lat": "", "Setup_date": "2021-05-01", "Retrieval_date": "2021-06-01"},
        {"Station": "b", "Long": "75.7", "Lat": "41.7", "Setup_date": "2021-05-01", "Retrieval_date": "2021-06-01"},
    ]
    table = write_csv(tmp_path / "posts.csv", posts)
    report = import_source(simple(tmp_path, rows), tmp_path, stations=table)
    found = {row["station"]: (row["x"], row["y"], row["from"]) for row in read_rows(tmp_path / "stations.csv")}
    assert found == {
        "a": ("75.5", "41.5", "2021-05-01"),
        "b": ("75.7", "41.7", "2021-05-01"),
        "c": ("75.5", "41.5", ""),
    }
    assert len(read_rows(tmp_path / "stations.csv")) == 3
    assert [note.text for note in report.notes if note.code == "station-cells-left-out"] == [
        "positions left out, since the table of stations has others: b"
    ]


def test_one_position_that_two_tables_write_otherwise_is_no_other_position(tmp_path):
    rows = [{"File": f"{n}.jpg", "Station": n, "Long": "75.5", "Lat": "41.5"} for n in "abc"]
    others = [("a", "75.50", "41,5", ""), ("b", "75.5", "41.5", "4326"), ("c", "75.6", "41.5", "")]
    posts = [
        {"Station": name, "Long": x, "Lat": y, "CRS": crs, "Setup_date": "2021-05-01", "Retrieval_date": "2021-06-01"}
        for name, x, y, crs in others
    ]
    source, table = simple(tmp_path, rows), write_csv(tmp_path / "posts.csv", posts)
    reports = [import_source(source, tmp_path, stations=stations) for stations in (None, table, None)]
    told = [[note.text for note in report.notes if note.code.startswith("station-")] for report in reports]
    moved = "1 station with another position than in the import before; the source's stay: {}; if two surveys name "
    moved += "their stations alike, give each its location"
    left_out = "positions left out, since the table of stations has others: c"
    assert told == [[], [left_out, moved.format("c/2021-05-01")], [moved.format("c")]]


def test_one_position_that_two_rows_of_a_deployment_write_otherwise_is_not_told(tmp_path):
    posts = [{"deployment": "d1", "Site": S01, "Longitude": x, "Latitude": "41.5", "EPSG": crs}
             for x, crs in (("76.1", ""), ("76.10", "4326"))]  # fmt: skip
    report = import_source(megadetector(tmp_path), tmp_path, stations=write_csv(tmp_path / "posts.csv", posts))
    assert "station-cells-left-out" not in {note.code for note in report.notes}


@pytest.mark.parametrize("with_location", ["photos", "stations"])
def test_a_station_is_one_where_only_one_of_two_tables_tells_its_location(tmp_path, with_location):
    """But not where the station may be in two locations."""
    places = [("a", "naryn"), ("b", "naryn"), ("b", "sarychat")]
    photo_places, post_places = [(n, "") for n, _ in places], [(n, "") for n in "ab"]
    if with_location == "photos":
        photo_places = places
    else:
        post_places = places
    rows = [
        {"File": f"{n}.jpg", "Station": name, "Area": area, "Long": "75.5", "Lat": "41.5"}
        for n, (name, area) in enumerate(photo_places)
    ]
    posts = [
        {"Station": name, "Area": area, "Setup_date": "2021-05-01", "Retrieval_date": "2021-06-01"}
        for name, area in post_places
    ]
    import_source(simple(tmp_path, rows), tmp_path, stations=write_csv(tmp_path / "posts.csv", posts))
    found = sorted(
        (row["station"], row.get("location", ""), row["x"], row["from"]) for row in read_rows(tmp_path / "stations.csv")
    )
    one = ("a", "naryn" if with_location == "stations" else "", "75.5", "2021-05-01")
    assert [row for row in found if row[0] == "a"] == [one]
    assert {row[2:] for row in found if row[0] == "b"} == {("75.5", ""), ("", "2021-05-01")}
