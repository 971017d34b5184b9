"""Real tables and folders: names, spellings, problems and settings. Each case is one that was wrong in silence."""

import os
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from camera_files import START, codes, encounters, note_of, photo, table
from click.testing import CliRunner

from snowmatch.catalog.cells import CellError, read_body_part
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.settings import CatalogSettings, keep_settings
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError

pytestmark = pytest.mark.usefixtures("seen_once")

# --- 5: names that are used at several places -------------------------------------------------------------------------


def test_a_station_of_one_location_is_not_that_of_another(tmp_path):
    rows = "".join(
        f"{who}{n}.jpg,{who},left_flank,{where},S01,{(START + timedelta(days=n)).isoformat()}\n"
        for who in ("aika", "bars")
        for n, where in enumerate(("naryn", "sarychat"))
    )
    data = table(tmp_path, f"path,individual,body_part,location,station,timestamp\n{rows}")
    from snowmatch.confidence.trial import make_trial

    trial = make_trial(data.annotations, "cross-station")
    rows = data.annotations
    for q, row in enumerate(trial.queries):
        for g, other in enumerate(trial.gallery):
            assert trial.allowed[q, g] == (rows[row].location != rows[other].location)


def test_an_encounter_number_that_every_station_uses_is_an_encounter_at_each(tmp_path):
    rows = "".join(f"{n}.jpg,naryn,S{n},1\n" for n in range(4))
    data = table(tmp_path, f"path,location,station,encounter\n{rows}5.jpg,naryn,S0,1\n6.jpg,naryn,S0,2\n")
    assert encounters(data) == ["naryn/S0 1", "naryn/S1 1", "naryn/S2 1", "naryn/S3 1", "naryn/S0 1", "2"]
    assert "1 encounter name used at several stations" in note_of(data, "encounters-at-several-places")
    one = table(tmp_path, "path,station,encounter\na.jpg,S1,7\nb.jpg,,7\n")  # where it is not filled in, it may be S1
    assert encounters(one) == ["7", "7"]


LEFT, RIGHT = "10,10,50,40", "200,10,50,40"


# --- 6: two unidentified animals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_two_unidentified_animals_are_followed_by_their_place_and_not_by_their_row(tmp_path, second):
    moved = [box.replace(",10,50", ",14,50") for box in second]
    rows = [("a.jpg", 0, LEFT), ("a.jpg", 0, RIGHT), ("b.jpg", 1, moved[0]), ("b.jpg", 1, moved[1])]
    text = "".join(f'{path},S1,{(START + timedelta(seconds=s)).isoformat()},"{box}"\n' for path, s, box in rows)
    data = table(tmp_path, f"path,station,timestamp,bbox\n{text}")
    by_side = {(a.path, "left" if a.bbox[0] < 100 else "right"): a.animal for a in data.annotations}
    assert (
        by_side["a.jpg", "left"] == by_side["b.jpg", "left"] != by_side["a.jpg", "right"] == by_side["b.jpg", "right"]
    )
    assert "1 encounter with several unidentified animals" in note_of(data, "animals-told-apart")


def test_animals_that_cannot_be_followed_are_not_joined(tmp_path):
    rows = [("a.jpg", LEFT), ("a.jpg", RIGHT), ("b.jpg", "100,10,50,40"), ("b.jpg", "120,10,50,40"), ("c.jpg", LEFT)]
    text = "".join(f'{path},e1,"{box}"\n' for path, box in rows)
    data = table(tmp_path, f"path,encounter,bbox\n{text}")
    assert len({a.animal for a in data.annotations}) == 5


def test_one_unidentified_animal_a_photo_is_one_animal(tmp_path):
    data = table(tmp_path, 'path,encounter,bbox\na.jpg,e1,"1,1,5,5"\nb.jpg,e1,"90,1,5,5"\n')
    assert [a.animal for a in data.annotations] == [0, 0]
    assert codes(data) == []


# --- 10, 11: names and tables -----------------------------------------------------------------------------------------


def test_names_that_differ_in_case_or_blanks_are_told(tmp_path):
    rows = (
        "a.jpg,Cat1,naryn,S01\nb.jpg,cat1,Naryn,S1\nc.jpg,Cat 1,naryn,S01\nd.jpg,Bars,naryn,S01\ne.jpg,Barś,naryn,S02\n"
    )
    data = table(tmp_path, f"path,individual,location,station\n{rows}")
    alike = note_of(data, "individuals-alike")
    assert "'Cat 1', 'Cat1', 'cat1'" in alike
    assert "'Bars', 'Barś'" in alike
    assert "'Naryn', 'naryn'" in note_of(data, "locations-alike")
    assert "'S01', 'S1'" in note_of(data, "stations-alike")


def test_one_name_in_two_locations_is_one_animal_with_a_note(tmp_path):
    data = table(tmp_path, "path,individual,location\na.jpg,aika,naryn\nb.jpg,aika,sarychat\n")
    assert "aika (naryn, sarychat)" in note_of(data, "individuals-in-several-locations")


SPELLED = ["Left", "LF", "left flank", "L", "left-flank", " LEFT_FLANK ", "left side", "lhs", "Side left"]


@pytest.mark.parametrize("text", SPELLED)
def test_obvious_spellings_of_body_parts(text):
    assert read_body_part(text) == "left_flank"
    other = text.lower().replace("left", "right").replace("lf", "rf").replace("lhs", "rhs")
    assert read_body_part("r" if text == "L" else other) == "right_flank"


def test_body_parts_that_are_none():
    assert [read_body_part(text) for text in ("", " ", "?", "unknown", "N/A")] == ["unknown"] * 5
    for text in ("lft flnk", "both", "left right"):
        with pytest.raises(CellError):
            read_body_part(text)


def test_all_problems_of_a_table_are_in_one_list(tmp_path):
    text = (
        "path,body_part,timestamp,bbox,split,annotation\n"
        "a.jpg,wing,yesterday,\"1,2,3\",train,x1\n"
        "../b.jpg,Left,2012-02-30,,testing,x1\n"
        ",,,,,\n"
        ",head,,,,\n"
        "c.jpg,head,,,,,,7\n"
    )  # fmt: skip
    with pytest.raises(SnowmatchError) as caught:
        table(tmp_path, text)
    lines = str(caught.value).split("\n")
    assert lines[0] == f"{tmp_path / 'catalog.csv'} has 9 problems:"
    starts = (
        "line 2, column bbox",
        "line 2, column body_part",
        "line 2, column timestamp",
        "line 3, column annotation",
    )
    starts += (
        "line 3, column path",
        "line 3, column split",
        "line 3, column timestamp",
        "line 5, column path",
        "line 6:",
    )
    assert [line.strip().startswith(start) for line, start in zip(lines[1:], starts, strict=True)] == [True] * 9
    assert caught.value.data["problems"][0]["line"] == 2
    result = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert result.exit_code == 1
    assert len(result.stderr.strip().split("\n")) == 10


def test_a_long_list_of_problems_is_cut_and_counted(tmp_path):
    rows = "".join(f"{n}.jpg,wing\n" for n in range(500))
    with pytest.raises(SnowmatchError, match=r"has 500 problems:(.|\n)*and 460 more$") as caught:
        table(tmp_path, f"path,body_part\n{rows}")
    assert len(caught.value.data["problems"]) == 500


def test_a_table_with_excels_separator_line_and_brackets(tmp_path):
    data = table(tmp_path, 'sep=;\npath;station;timestamp;bbox\na.jpg;S1;17.09.2012 19:42;"[10, 10, 300, 200]"\n')
    (a,) = data.annotations
    assert (a.bbox, a.timestamp, a.station) == ((10, 10, 300, 200), datetime(2012, 9, 17, 19, 42), "S1")
    with pytest.raises(SnowmatchError, match="line 3, column bbox"):
        table(tmp_path, "sep=;\npath;bbox\na.jpg;x\n")


def test_an_excel_file_is_read(tmp_path):
    pytest.importorskip("python_calamine")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [
        [],
        ["Path", "Individual", "Body part", "Station", "Timestamp"],
        ["a.jpg", "007", "Left", 7, datetime(2012, 9, 17, 19, 42, 18)],
        ["b.jpg", "NA", None, 7, "17.09.2012 20:00"],
    ]:
        sheet.append(row)
    book.create_sheet("other")
    book.save(tmp_path / "catalog.xlsx")
    data = load_catalog(tmp_path)
    assert [(a.path, a.individual, a.body_part, a.station) for a in data.annotations] == [
        ("a.jpg", "007", "left_flank", "7"),
        ("b.jpg", "NA", "unknown", "7"),
    ]
    assert len(set(encounters(data))) == 1
    assert "only the first one" in note_of(data, "other-sheets")
    (tmp_path / "catalog.csv").write_text("path\nc.jpg\n")
    data = load_catalog(tmp_path)
    assert [a.path for a in data.annotations] == ["c.jpg"]
    assert "two-tables" in codes(data)
    (tmp_path / "catalog.csv").unlink()
    (tmp_path / "catalog.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(SnowmatchError, match="is no Excel file that can be read"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("where", ["XFD1048576", "A999999999", "ZZZZZZ3"])
def test_an_excel_file_with_a_cell_far_out_is_refused_before_it_fills_the_memory(tmp_path, where):
    pytest.importorskip("python_calamine")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["path"])
    book.active.append(["a.jpg"])
    book.save(tmp_path / "good.xlsx")
    with zipfile.ZipFile(tmp_path / "good.xlsx") as good, zipfile.ZipFile(tmp_path / "catalog.xlsx", "w") as far:
        for name in good.namelist():
            far.writestr(name, good.read(name).replace(b'r="A2"', b'r="%s"' % where.encode()))
    with pytest.raises(SnowmatchError, match=r"has cells as far out as row .* delete the cells outside of the table"):
        load_catalog(tmp_path)


def test_photos_right_in_an_individuals_folder_have_no_body_part(tmp_path):
    photo(tmp_path / "Cat1" / "photo.jpg", 0)
    photo(tmp_path / "Cat2" / "Left" / "photo.jpg", 0)
    data = load_catalog(tmp_path)
    assert [(a.individual, a.body_part) for a in data.annotations] == [("Cat1", "unknown"), ("Cat2", "left_flank")]
    assert "Left as left_flank (1 photos)" in note_of(data, "body-parts-read")


def test_a_folder_is_not_an_individual_and_a_location_at_once(tmp_path):
    photo(tmp_path / "Cat1" / "photo.jpg")
    photo(tmp_path / "Cat1" / "2019" / "photo.jpg")
    with pytest.raises(SnowmatchError, match="'Cat1' is an individual for some photos and a location for others"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("loose", ["IMG_0001.jpg", "other/IMG_0001.jpg"])
def test_loose_photos_in_a_folder_of_a_station_are_not_an_animal(tmp_path, loose):
    photo(tmp_path / "naryn" / "S01" / "aika" / "left_flank" / "a.jpg")
    photo(tmp_path / "naryn" / "S01" / loose)
    told = r"'naryn/S01' is an individual for some photos and a station for others.* into naryn/S01/_unidentified"
    with pytest.raises(SnowmatchError, match=told):
        load_catalog(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "aika/left_flank/2023/a.jpg",
        "left/aika/a.jpg",
        "naryn/LF/_unidentified/a.jpg",
        "_unidentified/left/card1/c.jpg",
        "naryn/_unidentified/S02/x.jpg",
        "naryn/_Unidentified/S02/left_flank/x.jpg",
    ],
)
def test_a_body_part_or_an_animal_without_a_name_is_no_place(tmp_path, path):
    photo(tmp_path / path)
    with pytest.raises(SnowmatchError, match=f"{path} lies below '.*(reads as a body part|folder of another animal)"):
        load_catalog(tmp_path)


def test_a_station_called_like_a_body_part_is_one_if_the_photos_have_their_own(tmp_path):
    photo(tmp_path / "naryn" / "L" / "aika" / "right_flank" / "a.jpg")
    photo(tmp_path / "naryn" / "L" / "_unidentified" / "unknown" / "b.jpg")
    found = [(a.station, a.individual, a.body_part) for a in load_catalog(tmp_path).annotations]
    assert found == [("L", None, "unknown"), ("L", "aika", "right_flank")]


def test_special_files_and_deep_or_endless_folders_end_well(tmp_path):
    photo(tmp_path / "Cat1" / "head" / "1.jpg", 0)
    os.mkfifo(tmp_path / "Cat1" / "head" / "pipe.jpg")
    os.symlink("/dev/zero", tmp_path / "Cat1" / "head" / "endless.jpg")
    deep = tmp_path / "Cat1" / "head" / "levels"
    for n in range(12):  # each level leads to the one above it twice: 2^12 ways
        deep.mkdir(parents=True)
        os.symlink(deep.parent, deep / "a")
        os.symlink(deep.parent, deep / "b")
        deep = deep / f"level{n}"
    data = load_catalog(tmp_path)
    assert [a.path for a in data.annotations] == ["Cat1/head/1.jpg"]
    assert "2 pipes, devices or sockets" in note_of(data, "special-files")
    assert "links to folders that were already read" in note_of(data, "links-to-folders")


def test_1500_nested_folders_are_no_problem(tmp_path):
    photo(tmp_path / "Cat1" / "head" / "1.jpg", 0)
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        with pytest.raises(SnowmatchError, match=r"cannot be read: File name too long|contains no photos"):
            load_catalog(tmp_path / "d")
        for _ in range(1500):
            os.chdir("..")
            os.rmdir("d")
    finally:
        os.chdir(here)


def test_the_file_of_a_classifier_is_kept_for_commands_from_any_folder(tmp_path, monkeypatch):
    photo(tmp_path / "catalog" / "Cat1" / "1.jpg")
    monkeypatch.chdir(tmp_path)
    keep_settings(Path("catalog"), load_catalog(Path("catalog"), settings={"classifier": "ours.npz"}).settings)
    monkeypatch.chdir(tmp_path / "catalog")
    assert load_catalog(tmp_path / "catalog").settings.classifier == str(tmp_path / "ours.npz")


def test_settings_are_checked_and_a_damaged_file_is_told(tmp_path):
    for name, value in (
        ("dates", "ymd"),
        ("encounter_gap", 0),
        ("encounter_gap", float("nan")),
        ("longest_encounter", -1),
    ):
        with pytest.raises(SnowmatchError, match=name):
            CatalogSettings(**{name: value})
    photo(tmp_path / "Cat1" / "1.jpg")
    (tmp_path / ".snowmatch").mkdir()
    for text in ("[]", "{", '{"encounter_gap": "60"}', '{"gap": 3}', '{"dates": 5}', "[" * 90_000, '{"bursts": 1}'):
        (tmp_path / ".snowmatch" / "settings.json").write_text(text)
        data = load_catalog(tmp_path)
        assert data.settings == CatalogSettings()
        assert "delete the file" in note_of(data, "settings-damaged")  # no command sets what is in use already
