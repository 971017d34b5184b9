"""Catalogs: both forms load, errors and notes name every doubtful value, and encounters follow the rule."""

import os
import re
import stat
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snowmatch.catalog import load
from snowmatch.catalog.find import find_catalog
from snowmatch.catalog.further import read_further
from snowmatch.catalog.load import check_body_part, check_locations, load_catalog
from snowmatch.catalog.records import Fingerprint, Records
from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.facts import PhotoFacts
from snowmatch.review.arriving import list_photos

REAL = Path(__file__).parents[2] / "shared" / "data"


def photo(path, taken=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken:
        exif[0x010F] = "maker"
        exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path, format="JPEG", exif=exif)
    return path


def write(folder, text, encoding="utf-8"):
    (folder / "catalog.csv").write_bytes(text.encode(encoding))
    return folder


def load_text(folder, text):
    return load_catalog(write(folder, text))


def error_of(folder, text):
    with pytest.raises(SnowmatchError) as caught:
        load_text(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def codes(data):
    return [note.code for note in data.notes]


def note_of(data, code):
    (note,) = [note for note in data.notes if note.code == code]
    return note.text


# --- catalog.csv ------------------------------------------------------------------------------------------------------


def test_a_csv_row_has_every_value(tmp_path):
    data = load_text(
        tmp_path,
        "path,individual,body_part,location,station,camera,timestamp,encounter,bbox,mask,split\n"
        'images/a.jpg,Aika,left_flank,naryn,S01,2,2012-09-17T19:42:18.5,E7,"-3,5,60.6,40",masks/a.png,train\n'
        "images/b.jpg,,,,,,,,,,\n",
    )
    a, b = data.annotations
    assert (a.row, a.path, a.individual, a.body_part, a.location) == (0, "images/a.jpg", "Aika", "left_flank", "naryn")
    assert (a.station, a.camera, a.encounter, a.mask, a.split) == ("S01", "2", "E7", "masks/a.png", "train")
    assert a.timestamp == datetime(2012, 9, 17, 19, 42, 18, 500_000)
    assert a.bbox == (-3, 5, 61, 40)
    assert all(type(v) is int for v in a.bbox)
    assert (b.row, b.individual, b.body_part, b.bbox, b.timestamp, b.mask, b.split) == (
        1,
        None,
        "unknown",
        None,
        None,
        "",
        "",
    )
    assert data.notes == ()
    assert data.folder == tmp_path


def test_only_the_path_is_required_and_one_annotation_is_a_catalog(tmp_path):
    data = load_text(tmp_path, "path\nx.jpg")
    assert [a.path for a in data.annotations] == ["x.jpg"]


def test_the_csv_goes_before_the_folders(tmp_path):
    photo(tmp_path / "Aika" / "head" / "1.jpg")
    assert [a.path for a in load_text(tmp_path, "path\nother.jpg\n").annotations] == ["other.jpg"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n"])
def test_csv_files_of_all_spreadsheets_are_read(tmp_path, mark, encoding, end):
    text = end.join(
        mark.join(row) for row in [("Path", " individual", "bbox"), ("a.jpg", "Барс", '"1,2,3,4"'), ("", "", "")]
    )
    data = load_catalog(write(tmp_path, text, encoding))
    assert [(a.path, a.individual, a.bbox) for a in data.annotations] == [("a.jpg", "Барс", (1, 2, 3, 4))]


@pytest.mark.parametrize("above", ["\n", "\r\n \r\n", ";;\r\n"])
def test_empty_lines_above_the_head_are_skipped_and_counted(tmp_path, above):
    data = load_catalog(write(tmp_path, f"{above}path;individual\na.jpg;Aika\n", "utf-8-sig"))
    assert [(a.path, a.individual) for a in data.annotations] == [("a.jpg", "Aika")]
    line = above.count("\n") + 3
    message = error_of(tmp_path, f"{above}path;body_part\na.jpg;head\nb.jpg;hed\n")
    assert f"line {line}, column body_part: 'hed' is not allowed" in message


def test_a_semicolon_csv_need_not_quote_boxes(tmp_path):
    assert load_text(tmp_path, "path;bbox\na.jpg;1,2,3,4\n").annotations[0].bbox == (1, 2, 3, 4)


def test_empty_cells_at_the_end_may_be_missing(tmp_path):
    assert load_text(tmp_path, "path,individual,split\na.jpg\nb.jpg,Aika\n").annotations[1].individual == "Aika"


CELLS = {
    "body_part": ("left_flnk", ["left_flank, right_flank, head, tail, other, unknown", "did you mean 'left_flank'?"]),
    "split": ("training", ["train, test", "did you mean 'train'?"]),
    "timestamp": ("17th of May", ["2012-09-17T19:42:18"]),
    "bbox": ("1;2;3", ["x,y,w,h"]),
    "path": ("../a.jpg", ["inside the catalog's folder", "without '..'"]),
    "mask": ("/home/me/a.png", ["inside the catalog's folder"]),
}


@pytest.mark.parametrize("column", CELLS)
def test_the_error_of_a_bad_value_names_file_line_column_and_allowed_values(tmp_path, column):
    value, expected = CELLS[column]
    names = ["individual", *(["path"] if column != "path" else []), column]
    good = {"individual": "Aika", "path": "a.jpg", column: "a.jpg" if column == "path" else ""}
    rows = [names, [good[n] for n in names], [{**good, "individual": "two\nlines"}[n] for n in names]]
    rows.append([{**good, column: value}[n] for n in names])
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    message = error_of(tmp_path, text)
    assert f"{tmp_path / 'catalog.csv'} line 5, column {column}: {value!r} is not allowed" in message
    assert all(part in message for part in expected)


@pytest.mark.parametrize(
    "bbox", ["1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,-4", "a,b,c,d", "1,2,nan,4", "1,2,inf,4", "1,2,1e99,4", ",,,"]
)
def test_bad_boxes_are_refused(tmp_path, bbox):
    assert f"column bbox: {bbox!r}" in error_of(tmp_path, f'path,bbox\na.jpg,"{bbox}"\n')


@pytest.mark.parametrize(
    "text",
    [
        "19:42",
        "2012-13-01T00:00:00",
        "2012-02-30T00:00",
        "2012:09:17 19:42:61",
        "17.13.2012 19:42",
        "2012-09-17 13:42 PM",
        "yesterday",
        "20120917T1942",
    ],
)
def test_timestamps_that_mean_nothing_are_refused(tmp_path, text):
    assert f"column timestamp: {text!r}" in error_of(tmp_path, f"path,timestamp\na.jpg,{text}\n")


def test_a_time_zone_that_all_have_is_dropped_with_one_note(tmp_path):
    data = load_text(
        tmp_path,
        "path,timestamp\na.jpg,2012-09-17T19:42:18+06:00\nb.jpg,2012-09-17 19:42+0600\n"
        'c.jpg,2012-09-17T19:42:18 +06:00\nd.jpg,"2012-09-17T19:42:18,25"\n',
    )
    clock = datetime(2012, 9, 17, 19, 42)
    assert [a.timestamp - clock for a in data.annotations] == [timedelta(seconds=s) for s in (18, 0, 18, 18.25)]
    assert "time zone of 3 timestamps was ignored" in note_of(data, "zones-dropped")


def test_times_of_several_zones_are_compared_by_one_clock(tmp_path):
    data = load_text(
        tmp_path,
        "path,station,timestamp\na.jpg,S1,2012-09-17T13:42:18Z\nb.jpg,S1,2012-09-17T19:45:18+06:00\n"
        "c.jpg,S1,2012-09-17T19:50+06:00\nd.jpg,S1,2012-09-17T19:55\n",
    )
    assert [a.timestamp.isoformat()[11:16] for a in data.annotations] == ["19:42", "19:45", "19:50", "19:55"]
    assert len({a.encounter for a in data.annotations}) == 1
    assert "time zone of 3 timestamps differs" in note_of(data, "zones-converted")


def test_a_day_without_a_time_stays_that_day_in_every_zone(tmp_path):
    rows = "a.jpg,2021-05-04+06:00\nb.jpg,2021-05-04T10:00:00Z\nc.jpg,2021-05-05T10:00:00Z\n"
    data = load_text(tmp_path, f"path,timestamp\n{rows}")
    assert data.annotations[0].timestamp == datetime(2021, 5, 4)


@pytest.mark.parametrize(
    "path",
    ["/a.jpg", "C:\\photos\\a.jpg", "c:a.jpg", "\\\\server\\a.jpg", "..\\a.jpg", "x/../../a.jpg", "x/..", "a\0.jpg"],
)
def test_paths_out_of_the_folder_are_refused(tmp_path, path):
    for column, text in (("path", f"path\n{path}\n"), ("mask", f"path,mask\na.jpg,{path}\n")):
        assert f"column {column}: {path!r}" in error_of(tmp_path, text)


def test_backslashes_are_converted_with_a_note_and_single_dots_are_removed(tmp_path):
    data = load_text(tmp_path, "path\nimages\\S 1\\a.jpg\n./x//./y..z/..b.jpg\nx//y.jpg\n.hidden/._x.jpg\n")
    assert [a.path for a in data.annotations] == ["images/S 1/a.jpg", "x/y..z/..b.jpg", "x/y.jpg", ".hidden/._x.jpg"]
    assert codes(data) == ["backslashes", "no-times"]
    assert "1 rows" in data.notes[0].text


def test_names_may_have_any_characters_and_accents_are_normalised(tmp_path):
    names = ["Aika 2", "Ёлка (old) [x]", "O'Hara", 'the "big" one', "café", "cafe\u0301", "й", "и\u0306"]
    rows = "\n".join('p{}.jpg,"{}"'.format(n, name.replace('"', '""')) for n, name in enumerate(names))
    found = [a.individual for a in load_text(tmp_path, f"path,individual\n{rows}\n").annotations]
    assert found[:4] == names[:4]
    assert found[4] == found[5] == "café"
    assert found[6] == found[7] == "й"


def test_long_paths_and_spaces_in_paths_are_kept(tmp_path):
    path = "/".join(["d" * 59] * 5) + "/ a .jpg"
    assert load_text(tmp_path, f"path\n{path}\n").annotations[0].path == path


def test_unknown_columns_give_one_note_with_the_nearest_match(tmp_path):
    data = load_text(tmp_path, "path,bodypartt,weather\na.jpg,head,snow\n")
    assert data.annotations[0].body_part == "unknown"
    assert len(data.notes) == 1
    assert "bodypartt (did you mean 'body_part'?), weather" in data.notes[0].text
    assert load_text(tmp_path, "Path, Body Part \na.jpg,head\n").annotations[0].body_part == "head"
    assert load_text(tmp_path, "PATH,bodypart\na.jpg,head\n").annotations[0].body_part == "head"


def test_the_error_of_a_broken_table_names_the_line(tmp_path):
    assert "line 1: no column 'path' in foto, individual" in error_of(tmp_path, "foto,individual\na.jpg,x\n")
    assert "no column 'path' in an empty file" in error_of(tmp_path, "")
    assert "no rows" in error_of(tmp_path, "path,individual\n\n,\n")
    assert "line 2, column path: '' is not allowed" in error_of(tmp_path, "path,individual\n,Aika\n")
    assert "line 1: column 'path' appears twice" in error_of(tmp_path, "path,individual,path\n")
    message = error_of(tmp_path, "path,bbox,split\na.jpg,,\nb.jpg,1,2,3,4,train\n")
    assert "line 3: 6 values for 3 columns" in message
    assert "quotes" in message
    assert "line 3 cannot be split" in error_of(tmp_path, 'path,individual\na.jpg,x\nb.jpg,"y\nc.jpg,z\n')


def test_a_csv_that_is_not_utf8_names_the_line_and_the_remedy(tmp_path):
    text = "path,individual\na.jpg,Aika\nb.jpg,Барс\n"
    with pytest.raises(SnowmatchError, match="line 3 is not UTF-8 text: save the file as UTF-8"):
        load_catalog(write(tmp_path, text, "cp1251"))
    assert load_catalog(write(tmp_path, text.replace(",", "\t"), "utf-16")).annotations[1].individual == "Барс"


def test_repeated_rows_are_left_out_with_one_note(tmp_path):
    data = load_text(tmp_path, "path,individual\na.jpg,Aika\nb.jpg,Aika\na.jpg,Aika\n./a.jpg,Aika\n")
    assert [(a.row, a.path) for a in data.annotations] == [(0, "a.jpg"), (1, "b.jpg")]
    assert codes(data) == ["repeated-rows", "no-times"]
    assert "2 rows" in data.notes[0].text
    assert "4, 5" in data.notes[0].text


def test_several_animals_in_one_photo_are_kept_and_one_box_with_two_names_gets_a_note(tmp_path):
    data = load_text(tmp_path, 'path,individual,bbox\na.jpg,Aika,"1,2,3,4"\na.jpg,Bars,"9,2,3,4"\n')
    assert [a.individual for a in data.annotations] == ["Aika", "Bars"]
    assert data.notes == ()
    data = load_text(tmp_path, "path,individual\na.jpg,Aika\na.jpg,Bars\n")
    assert len(data.annotations) == 2
    assert "lines 2 and 3" in data.notes[0].text


def test_rows_of_one_photo_share_its_place_and_time(tmp_path):
    data = load_text(
        tmp_path,
        'path,bbox,location,station,timestamp,split\na.jpg,"1,2,3,4",,,,\n'
        'a.jpg,"5,2,3,4",naryn,S1,2012-01-01T00:00,test\nb.jpg,,,,,\n',
    )
    first, second, other = data.annotations
    assert (first.location, first.station, first.timestamp, first.split) == ("naryn", "S1", second.timestamp, "test")
    assert first.encounter == second.encounter != other.encounter
    assert (other.location, other.timestamp) == ("", None)
    message = error_of(tmp_path, 'path,bbox,station\na.jpg,"1,2,3,4",S1\nb.jpg,,S9\na.jpg,"5,2,3,4",S2\n')
    assert "line 4, column station: 'S2' contradicts line 2 of the same photo" in message


@pytest.mark.parametrize(("column", "what"), [("Location", "an area"), ("station", "a camera site")])
def test_a_place_that_is_a_position_is_refused_once(tmp_path, column, what):
    message = error_of(tmp_path, f'path,{column}\na.jpg,naryn\nb.jpg,"47.1, 88.2"\nc.jpg,"47.3, 88.1"\n')
    assert f"line 3, column {column.lower()}: a position (and 1 more); expected the name of {what}" in message
    assert "line 4" not in message
    assert "47.1" not in message


@pytest.mark.parametrize(
    ("place", "shown"), [("41.51234, 75.51234/S01", ".../S01"), ("naryn/N41 30 44 E75 30 44", "naryn/...")]
)
def test_a_folder_of_a_place_that_is_a_position_is_refused(tmp_path, place, shown):
    (tmp_path / place / "aika" / "left_flank").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / place / "aika" / "left_flank" / name).touch()
    with pytest.raises(SnowmatchError, match="is a position; expected that of") as error:
        load_catalog(tmp_path)
    assert str(error.value).count("position;") == 1
    assert f"{shown}/aika/left_flank/a.jpg (and 1 more): the name" in str(error.value)
    assert not any(secret in str(error.value) for secret in ("51234", "30 44"))


def test_names_that_are_no_names_are_noted(tmp_path):
    data = load_text(tmp_path, "path,individual\na.jpg,unknown\nb.jpg,_unidentified\nc.jpg,new\nd.jpg,100RECNX\n")
    assert [a.individual for a in data.annotations] == ["unknown", None, "new", "100RECNX"]
    assert "new, unknown is read as the name of one animal" in note_of(data, "doubtful-names")
    assert "100RECNX looks like a camera's folder" in note_of(data, "camera-folders")


def test_names_that_stand_for_animals_without_a_name_are_noted(tmp_path):
    data = load_text(tmp_path, "path,individual\na.jpg,unnamed 1\nb.jpg,Unnamed\n")
    assert "unnamed 1: names that begin with 'unnamed ' stand for animals without" in note_of(data, "unnamed-names")


def test_errors_of_a_spreadsheet_and_russian_words_are_noted_as_names(tmp_path):
    data = load_text(tmp_path, "path,individual\na.jpg,#N/A\nb.jpg,#N/A\nc.jpg,Неизвестно\n")
    assert "#N/A, Неизвестно is read as the name of one animal" in note_of(data, "doubtful-names")


def test_kinds_of_animals_that_nobody_knows_are_noted_as_names(tmp_path):
    names = ("Unknown male", "unidentified_cub", "Неизвестная самка", "unid.", "Unknown 7", "UNK01", "Aika")
    data = load_text(tmp_path, "path,individual\n" + "".join(f"{n}.jpg,{name}\n" for n, name in enumerate(names)))
    (note,) = [note for note in data.notes if note.code == "doubtful-names"]
    assert note.data == {"names": sorted(names[:4])}


def test_a_table_with_day_and_month_swapped_is_told_by_exif(tmp_path):
    exposed = datetime(2021, 3, 4, 10, 30, 12)
    facts = PhotoFacts((40, 30), exposed, "DateTimeOriginal")
    times = ("2021-04-03T10:30:00", "2021-04-03", "2021-04-03T11:30:00", "2021-03-04T10:30:12", "2022-04-03T10:30:00")
    text = "path,timestamp\n" + "".join(f"{n}.jpg,{time}\n" for n, time in enumerate(times))
    (tmp_path / "catalog.csv").write_text(text)
    photos = {f"{n}.jpg": Fingerprint(1, 1, 1, 1, str(n), facts) for n in range(len(times))}
    (note,) = [note for note in load_catalog(tmp_path, Records(photos)).notes if note.code == "dates-swapped"]
    assert note.data == {"photos": ["0.jpg", "1.jpg"]}
    assert "in EXIF (0.jpg: 2021-04-03, EXIF 2021-03-04, 1.jpg: 2021-04-03," in note.text


@pytest.mark.parametrize("column", ["individual", "station"])
def test_names_that_a_spreadsheet_rewrote_are_noted(tmp_path, column):
    names = (
        "2-Jan",
        "Mar-01",
        "2021-01-02 00:00:00",
        "1.23457E+11",
        "1E+05",
        "E12",
        "7E",
        "2021-01-02",
        "12-01",
        "May",
        "SEP-01",
        "12-MAR",
    )
    text = f"path;{column}\n" + "".join(f"{n}.jpg;{name}\n" for n, name in enumerate(names))
    (note,) = [note for note in load_text(tmp_path, text).notes if note.code == f"{column}s-rewritten"]
    assert note.data == {"names": sorted(names[:5])}


def test_names_that_list_individuals_are_noted(tmp_path):
    names = ("Aika", "Berk", "Aika, Berk", "Aika + cub", "Берк и Aika", "Old One", "Tom and Jerry", "K-12/3", "K-12")
    data = load_text(tmp_path, "path;individual\n" + "".join(f"{n}.jpg;{name}\n" for n, name in enumerate(names)))
    (note,) = [note for note in data.notes if note.code == "individuals-together"]
    assert note.data == {"names": ["Aika + cub", "Aika, Berk", "Берк и Aika"]}


def test_unidentified_means_nobody_in_any_case(tmp_path):
    data = load_text(tmp_path, "path,individual\na.jpg,_Unidentified\nb.jpg,_UNIDENTIFIED\nc.jpg,Aika\n")
    assert [a.individual for a in data.annotations] == [None, None, "Aika"]
    photo(tmp_path / "nested" / "naryn" / "_Unidentified" / "head" / "a.jpg")
    assert [a.individual for a in load_catalog(tmp_path / "nested").annotations] == [None]


def test_letters_of_two_alphabets_that_look_alike_are_noted(tmp_path):
    data = load_text(tmp_path, "path,individual,station\na.jpg,Aika,C01\nb.jpg,\u0410ika,\u042101\nc.jpg,Bars,C02\n")
    assert [note.data["names"] for note in data.notes if note.code == "individuals-alike"] == [[["Aika", "\u0410ika"]]]
    assert [note.data["names"] for note in data.notes if note.code == "stations-alike"] == [[["C01", "\u042101"]]]


def test_a_day_without_a_time_is_no_evidence_for_the_other_passages_of_that_day(tmp_path):
    data = load_text(
        tmp_path,
        "path,station,timestamp,encounter\na.jpg,S1,2021-05-04,\nb.jpg,S1,2021-05-04T10:00:00,\n"
        "c.jpg,S1,2021-05-05T10:00:00,\nd.jpg,S2,2021-05-04T10:00:00,\ne.jpg,S1,2021-05-04T18:00:00,E1\n",
    )
    assert len({a.encounter for a in data.annotations}) == 5
    passages = [a.passage for a in data.annotations]
    assert passages[0] == passages[1]
    assert len(set(passages)) == 4  # an encounter that the table names is what a person said


def test_a_further_column_that_appears_twice_is_told(tmp_path):
    data = load_text(tmp_path, "path,sex,Sex,remark,,\na.jpg,male,female,x,,\n")
    assert note_of(data, "columns-twice").endswith("left out: sex; expected once")
    data = load_text(tmp_path, "path,remark,remark,more\na.jpg,x,y,z\n")
    assert note_of(data, "columns-left-out").endswith("does not use: more")  # the others are told of once


def test_a_repeated_row_with_another_remark_gives_it_to_no_other_animal(tmp_path):
    rows = 'a.jpg,Aika,"1,1,10,10",f,\na.jpg,Aika,"1,1,10,10",f,seen twice\na.jpg,Bars,"20,20,10,10",m,\n'
    data = load_text(tmp_path, f"path,individual,bbox,sex,remark\n{rows}")
    assert [a.individual for a in data.annotations] == ["Aika", "Bars"]
    assert read_further(tmp_path, data.annotations) == {"sex": {0: "f", 1: "m"}, "remark": {}}


@pytest.mark.parametrize(
    "again",
    [
        './a.jpg,Aika,left,2021-05-01T10:00:00,"1,1,10,10",f',
        'a.jpg, Aika,LF,2021-05-01T10:00:00,"[1, 1, 10, 10]",f',
        'a.jpg,Aika,left_flank,01.05.2021 10:00,"1,1,10,10",f',
    ],
)
def test_the_sex_of_a_row_that_is_repeated_in_other_spellings_is_given_to_no_other_animal(tmp_path, again):
    first = 'a.jpg,Aika,left_flank,2021-05-01T10:00:00,"1,1,10,10",f\n'
    last = 'a.jpg,Bars,left,2021-05-01T10:00:00,"20,20,10,10",m\n'
    data = load_text(tmp_path, f"path,individual,BodyPart,timestamp,bbox,sex\n{first}{again}\n{last}")
    assert [a.individual for a in data.annotations] == ["Aika", "Bars"]
    assert read_further(tmp_path, data.annotations) == {"sex": {0: "f", 1: "m"}}


def test_photos_beside_an_encounter_of_the_table_that_have_none_are_noted(tmp_path):
    head = "path,station,timestamp,encounter\na.jpg,S1,2021-05-01T10:00:00,E1\n"
    data = load_text(tmp_path, f"{head}b.jpg,S1,2021-05-01T10:00:20,\nc.jpg,S1,2021-05-01T10:59:00,\n")
    assert "2 photos without an encounter taken within 60 min" in note_of(data, "encounters-half-named")
    assert "(E1)" in note_of(data, "encounters-half-named")
    data = load_text(tmp_path, f"{head}b.jpg,S2,2021-05-01T10:00:20,\nc.jpg,S1,2021-05-01T11:00:01,\nd.jpg,S1,,\n")
    assert "encounters-half-named" not in codes(data)


# --- nested folders ---------------------------------------------------------------------------------------------------


def test_folders_load_with_and_without_locations(tmp_path):
    for name in ("naryn/Aika/left_flank/b.JPG", "naryn/_unidentified/unknown/c.Png", "Bars 2/head/a.jpeg"):
        photo(tmp_path / name)
    data = load_catalog(tmp_path)
    assert [(a.row, a.path, a.individual, a.body_part, a.location, a.station) for a in data.annotations] == [
        (0, "Bars 2/head/a.jpeg", "Bars 2", "head", "", ""),
        (1, "naryn/Aika/left_flank/b.JPG", "Aika", "left_flank", "naryn", ""),
        (2, "naryn/_unidentified/unknown/c.Png", None, "unknown", "naryn", ""),
    ]
    assert codes(data) == ["no-times"]


def test_both_forms_give_the_same_catalog(tmp_path):
    moments = [datetime(2012, 9, 17, 19, 0) + timedelta(minutes=m) for m in (0, 50, 115)]
    for n, taken in enumerate(moments):
        photo(tmp_path / "naryn" / "Aika" / "head" / f"{n}.jpg", taken)
    nested = load_catalog(tmp_path)
    rows = "".join(f"naryn/Aika/head/{n}.jpg,Aika,head,naryn\n" for n in range(3))
    assert (
        load_catalog(write(tmp_path, "path,individual,body_part,location\n" + rows)).annotations == nested.annotations
    )
    assert [a.timestamp for a in nested.annotations] == moments
    assert [a.encounter for a in nested.annotations] == ["naryn 2012-09-17T19:00:00 0"] * 2 + [
        "naryn 2012-09-17T20:55:00 2"
    ]


def test_notes_count_the_files_that_are_left_out(tmp_path):
    photo(tmp_path / "Aika" / "head" / "1.jpg")
    for name in (".hidden.jpg", "._1.jpg", ".DS_Store", "Thumbs.db", "notes.txt", "clip.AVI", "LICENSE"):
        (tmp_path / "Aika" / "head" / name).write_bytes(b"")
    photo(tmp_path / ".trash" / "Bars" / "head" / "1.jpg")
    photo(tmp_path / ".snowmatch" / "Bars" / "head" / "1.jpg")
    data = load_catalog(tmp_path)
    assert [a.path for a in data.annotations] == ["Aika/head/1.jpg"]
    assert data.notes[0].text.startswith("2 files or folders whose names begin with a dot")
    assert (data.notes[1].code, data.notes[1].text) == ("videos-skipped", "1 video was skipped: 1 .avi")
    assert data.notes[2].text.startswith("2 files that are not photos")
    assert {"1 .txt", "1 without extension"} <= set(data.notes[2].text.split(": ")[1].split(", "))
    assert len(data.notes) == 3


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("naryn/2021/S01", "stations: 2021, so {} is of location naryn, station 2021, individual S01;"),
        ("2021-06/_unidentified/left_flank", "locations: 2021-06, so {} is of location 2021-06;"),
        ("2021_2022", "individuals: 2021_2022, so {} is of individual 2021_2022;"),
        ("naryn/S2021/12345", ""),
    ],
)
def test_folders_of_years_that_are_read_as_places_or_animals_are_noted(tmp_path, folder, told):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "a.jpg").touch()
    notes = [note.text for note in load_catalog(tmp_path).notes if note.code == "folders-of-years"]
    start = "folders called like a year or a date are read as "
    expected = [start + told.format(f"{folder}/a.jpg")] if told else []
    assert [text.partition(" if that")[0] for text in notes] == expected


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information", "lost+found"])
def test_folders_of_the_system_hold_no_photos(tmp_path, name):
    photo(tmp_path / "Aika" / "head" / "1.jpg")
    photo(tmp_path / name / "S-1-5-21" / "$RABC12.jpg")
    data = load_catalog(tmp_path)
    assert [a.path for a in data.annotations] == ["Aika/head/1.jpg"]
    assert data.notes == ()
    assert [path for path, _ in list_photos(tmp_path).photos] == [str(tmp_path / "Aika" / "head" / "1.jpg")]


@pytest.mark.parametrize("name", ["1.jpg", "x/y/naryn/Aika/head/1.jpg", "x/y/naryn/Aika/1.jpg"])
def test_photos_at_another_depth_are_an_error(tmp_path, name):
    photo(tmp_path / "Aika" / "head" / "2.jpg")
    photo(tmp_path / name)
    with pytest.raises(SnowmatchError, match=r"folders deep, expected \[<location>/\[<station>/\]\]<individual>/"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("name", ["Aika/left_flnk/1.jpg", "naryn/Aika/left_flnk/1.jpg"])
def test_the_error_of_an_unknown_body_part_folder_names_the_nearest_body_part(tmp_path, name):
    photo(tmp_path / name)
    with pytest.raises(
        SnowmatchError, match=r"folder 'left_flnk', which is not a body part; .*tail.*did you mean 'left_flank'\?"
    ):
        load_catalog(tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path):
    real = photo(tmp_path / "elsewhere" / "1.jpg").parent
    catalog = tmp_path / "catalog"
    (catalog / "Aika").mkdir(parents=True)
    try:
        (catalog / "Aika" / "head").symlink_to(real, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    (catalog / "Aika" / "again").symlink_to(catalog, target_is_directory=True)
    photo(catalog / "Aika" / "tail" / "1.jpg")
    (catalog / "Aika" / "tail" / "2.jpg").symlink_to(real / "1.jpg")
    (catalog / "Aika" / "tail" / "3.jpg").symlink_to(real / "gone.jpg")
    (catalog / "Aika" / "tail" / "4.jpg").symlink_to(catalog / "Aika" / "tail" / "4.jpg")
    data = load_catalog(catalog)
    assert [a.path for a in data.annotations] == ["Aika/head/1.jpg", *(f"Aika/tail/{n}.jpg" for n in (1, 2, 3, 4))]
    assert any(note.text.startswith("1 links to folders that were already read") for note in data.notes)


def test_a_file_name_that_is_not_valid_text_raises_an_error(tmp_path):
    folder = photo(tmp_path / "Aika" / "head" / "1.jpg").parent
    try:
        (folder / "\udce9t\udce9.jpg").write_bytes(b"")
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system takes valid text only")
    with pytest.raises(SnowmatchError, match=r"'Aika/head/\\udce9t\\udce9.jpg' is not valid text: rename the file"):
        load_catalog(tmp_path)


def test_a_folder_that_is_not_a_catalog_raises_an_error(tmp_path):
    with pytest.raises(SnowmatchError, match="nowhere does not exist, expected the catalog's folder"):
        load_catalog(tmp_path / "nowhere")
    with pytest.raises(SnowmatchError, match="does not exist"):
        load_catalog(tmp_path / ("x" * 300))
    with pytest.raises(SnowmatchError, match=r"contains no photos; expected catalog\.csv, or photos in \[<location>"):
        load_catalog(tmp_path)
    (tmp_path / "Aika").mkdir()
    (tmp_path / "Aika" / "list.txt").write_text("nothing")
    with pytest.raises(SnowmatchError, match=r"contains no photos \(only 1 \.txt\)"):
        load_catalog(tmp_path)
    with pytest.raises(SnowmatchError, match=r"list\.txt is a file, expected the catalog's folder"):
        load_catalog(tmp_path / "Aika" / "list.txt")
    write(tmp_path, "path\na.jpg\n")
    with pytest.raises(SnowmatchError, match=re.escape(f"use {tmp_path}")):
        load_catalog(tmp_path / "catalog.csv")


def test_loading_writes_nothing_and_works_in_a_read_only_folder(tmp_path):
    photo(tmp_path / "Aika" / "head" / "1.jpg")
    before = sorted(tmp_path.rglob("*"))
    mode = stat.S_IMODE(tmp_path.stat().st_mode)
    os.chmod(tmp_path, 0o555)
    try:
        assert len(load_catalog(tmp_path).annotations) == 1
    finally:
        os.chmod(tmp_path, mode)
    assert sorted(tmp_path.rglob("*")) == before


# --- encounters -------------------------------------------------------------------------------------------------------


def encounters(folder, rows):
    """Return the encounter of each row (path, location, station, minutes or None, given encounter)."""
    start = datetime(2012, 9, 17, 8, 0)
    lines = [
        f"{path},{location},{station},{'' if m is None else (start + timedelta(minutes=m)).isoformat()},{given}"
        for path, location, station, m, given in rows
    ]
    text = "path,location,station,timestamp,encounter\n" + "\n".join(lines) + "\n"
    return [a.encounter for a in load_text(folder, text).annotations]


def test_neighbours_up_to_60_minutes_apart_are_one_encounter(tmp_path):
    minutes = [130, 0, 60, 191, 120, 251.02]  # unsorted; a gap of 60 minutes joins, 61 does not
    names = encounters(tmp_path, [(f"{m}.jpg", "naryn", "S1", m, "") for m in minutes])
    first, second, third = "naryn/S1 2012-09-17T08:00:00", "naryn/S1 2012-09-17T11:11:00", names[-1]
    assert names == [first, first, first, second, first, third]
    assert third.startswith("naryn/S1 2012-09-17T12:11:01")


def test_stations_and_locations_are_separate_and_an_empty_station_is_no_station(tmp_path):
    places = [("naryn", "S1"), ("naryn", "S2"), ("sarychat", "S1"), ("naryn", ""), ("", "naryn"), ("", "")]
    rows = [(f"{n}{k}.jpg", *place, k, "") for n, place in enumerate(places) for k in (0, 5)]
    names = encounters(tmp_path, rows)
    stations = [bool(station) for _, station in places]
    assert [a == b for a, b in zip(names[::2], names[1::2], strict=True)] == stations  # no station is no station
    assert len(set(names)) == len(places) + 2
    assert names[6:8] == ["naryn 2012-09-17T08:00:00 30", "naryn 2012-09-17T08:05:00 35"]


def test_similar_names_of_places_give_different_encounters(tmp_path):
    places = [("a", "b/c"), ("a/b", "c"), ("a/b/c", ""), ("", "a/b/c"), ("a%2Fb", "c")]
    names = encounters(tmp_path, [(f"{n}.jpg", *place, 0, "") for n, place in enumerate(places)])
    assert len(set(names)) == len(places)
    assert not any("+" in name for name in names)  # a name with + would depend on the other names


def test_a_photo_without_time_is_an_encounter_of_its_own(tmp_path):
    rows = [("a.jpg", "naryn", "S1", None, ""), ("b.jpg", "naryn", "S1", None, ""), ("c.jpg", "naryn", "S1", 0, "")]
    names = encounters(tmp_path, rows)
    assert names[:2] == ["photo a.jpg", "photo b.jpg"]
    assert len(set(names)) == 3
    data = load_text(tmp_path, 'path,bbox\na.jpg,"1,1,5,5"\na.jpg,"9,1,5,5"\n')
    assert [a.encounter for a in data.annotations] == ["photo a.jpg"] * 2


def test_given_encounter_names_are_kept_and_derived_names_differ_from_them(tmp_path):
    taken = "naryn/S1 2012-09-17T08:00:00"
    rows = [
        ("a.jpg", "naryn", "S1", 0, ""),
        ("b.jpg", "naryn", "S9", 900, taken),
        ("c.jpg", "x", "y", 0, "photo d.jpg"),
    ]
    names = encounters(tmp_path, [*rows, ("d.jpg", "", "", None, "")])
    assert names[1:3] == [taken, "photo d.jpg"]
    assert len(set(names)) == 4
    assert names[0].startswith(taken)


def test_encounter_names_do_not_change_when_photos_of_other_encounters_are_added(tmp_path):
    rows = [(f"{n}.jpg", "naryn", f"S{n % 3}", n * 37, "") for n in range(20)] + [("t.jpg", "naryn", "S1", None, "")]
    before = encounters(tmp_path, rows)
    more = [("new.jpg", "naryn", "S7", 3, ""), ("z.jpg", "sarychat", "S1", 0, ""), ("u.jpg", "naryn", "S1", None, "")]
    more += [("later.jpg", "naryn", "S1", 5000, "")]
    assert encounters(tmp_path, [*more, *rows])[len(more) :] == before


def test_one_photo_under_two_body_parts_is_one_encounter(tmp_path):
    moment = datetime(2020, 5, 7, 12, 0)
    for part, taken in (("head", None), ("tail", None), ("left_flank", moment)):
        photo(tmp_path / "naryn" / "Aika" / part / "05070009 Aika_000.jpg", taken if part != "head" else moment)
        photo(tmp_path / "naryn" / "Bars" / part / "no time.jpg")
    photo(tmp_path / "naryn" / "Ayana" / "head" / "no time.jpg")
    data = load_catalog(tmp_path)
    names = {a.individual: set() for a in data.annotations}
    for a in data.annotations:
        names[a.individual].add(a.encounter)
    assert names["Aika"] == {"naryn 2020-05-07T12:00:00 05070009 Aika_000"}
    assert names["Bars"] == {"photo naryn/Bars/no time.jpg"}
    assert names["Ayana"] == {"photo naryn/Ayana/no time.jpg"}


def test_the_time_is_read_from_exif_once_per_photo_and_only_if_the_csv_has_none(tmp_path, monkeypatch):
    asked = []
    real = load.read_facts
    monkeypatch.setattr(load, "read_facts", lambda path: asked.append(path.name) or real(path))
    photo(tmp_path / "b.jpg", datetime(2015, 1, 1))
    rows = ["a.jpg,2012-01-01T00:00,,S1", 'b.jpg,,"1,1,5,5",', 'b.jpg,,"9,1,5,5",', "broken.jpg,,,"]
    text = "path,timestamp,bbox,station\n" + "\n".join(rows)
    data = load_catalog(write(tmp_path, text))
    assert [a.timestamp and a.timestamp.year for a in data.annotations] == [2012, 2015, 2015, None]
    assert asked == ["b.jpg", "broken.jpg"]


# --- checks of filters, and the search for a catalog ------------------------------------------------------------------


def test_body_parts_and_locations_are_checked_with_the_nearest_match(tmp_path):
    assert check_body_part("tail") == "tail"
    with pytest.raises(SnowmatchError, match=r"'rigth_flank' is not a body part; .*left_flank.*mean 'right_flank'"):
        check_body_part("rigth_flank")
    data = load_text(tmp_path, "path,location\na.jpg,naryn\nb.jpg,sarychat\nc.jpg,\n")
    check_locations(data, ["naryn", "sarychat"])
    with pytest.raises(SnowmatchError, match=r"no location 'nary'; it has: naryn, sarychat \(did you mean 'naryn'"):
        check_locations(data, ["sarychat", "nary"])
    with pytest.raises(SnowmatchError, match="none of its photos has a location"):
        check_locations(load_text(tmp_path, "path\na.jpg\n"), ["naryn"])


def test_a_catalog_is_found_by_the_first_rule_that_applies(tmp_path):
    start = tmp_path / "work" / "deep"
    start.mkdir(parents=True)
    with pytest.raises(SnowmatchError, match=r"no catalog in .*name one, or set \$SNOWMATCH_CATALOG"):
        find_catalog(start, {})
    (start / "catalogs" / "one" / ".snowmatch").mkdir(parents=True)
    assert find_catalog(start, {}) == (start / "catalogs" / "one", "the only catalog below the working directory")
    (start / "two" / ".snowmatch").mkdir(parents=True)
    with pytest.raises(SnowmatchError, match="several catalogs") as caught:
        find_catalog(start, {})
    assert str(start / "catalogs" / "one") in str(caught.value)
    assert str(start / "two") in str(caught.value)
    (tmp_path / ".snowmatch").mkdir()
    assert find_catalog(start, {})[0] == tmp_path
    (tmp_path / "work" / ".snowmatch").mkdir()
    assert find_catalog(start, {})[0] == tmp_path / "work"
    (start / ".snowmatch").mkdir()
    assert find_catalog(start, {"SNOWMATCH_CATALOG": ""}) == (start, "the working directory")
    assert find_catalog(start, {"SNOWMATCH_CATALOG": str(start / "two")}) == (start / "two", "from $SNOWMATCH_CATALOG")
    with pytest.raises(SnowmatchError, match=r"\$SNOWMATCH_CATALOG is '.*gone'"):
        find_catalog(start, {"SNOWMATCH_CATALOG": str(tmp_path / "gone")})


@pytest.mark.real
def test_the_real_catalogs_load():
    if not REAL.exists():
        pytest.skip("no real photos beside the project")
    leopards = load_catalog(REAL / "snow_leopard")
    assert len(leopards.annotations) == 465
    assert len({a.individual for a in leopards.annotations}) == 10
    assert sum(a.bbox is not None for a in leopards.annotations) == 134
    assert leopards.notes == ()
    nyala = load_catalog(REAL / "nyala")
    assert (len(nyala.annotations), len({a.individual for a in nyala.annotations})) == (952, 119)


@pytest.mark.real
def test_derived_encounters_agree_with_those_of_the_field_team(tmp_path):
    """The field team has the same rule: one station, gaps up to 60 minutes."""
    if not REAL.exists():
        pytest.skip("no real photos beside the project")
    given = load_catalog(REAL / "snow_leopard").annotations
    rows = "".join(f"{a.path},{a.location},{a.station},{a.timestamp.isoformat()}\n" for a in given)
    derived = load_text(tmp_path, "path,location,station,timestamp\n" + rows).annotations
    pairs = {(a.encounter, b.encounter) for a, b in zip(given, derived, strict=True)}
    assert len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})
