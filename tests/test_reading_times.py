"""Real times, clocks and stations: each case is one that made wrong encounters in silence."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from camera_files import CHANGED, ORIGINAL, START, codes, encounters, note_of, photo, table, texture
from click.testing import CliRunner
from conftest import read_rows
from fake_extractor import age
from PIL import ExifTags, Image

import snowmatch
from snowmatch.catalog.clocks import clock_runs
from snowmatch.catalog.database import with_sum
from snowmatch.catalog.encounters import group_shots
from snowmatch.catalog.evidence import evidence_notes
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.settings import CatalogSettings, load_settings
from snowmatch.catalog.shots import Shot
from snowmatch.catalog.stations import read_stations
from snowmatch.catalog.table import read_table
from snowmatch.catalog.times import read_times, to_one_zone
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path
from snowmatch.identify.question import make_question
from snowmatch.survey.run import make_survey
from snowmatch.views.catalog import format_overview

COLUMNS = "path, kind, size, mtime_ns, ctime_ns, checked_ns, sha256, width, height, taken, time_tag, serial, likeness"

pytestmark = pytest.mark.usefixtures("seen_once")

# --- 1, 2: stations, cameras, chains ----------------------------------------------------------------------------------


def test_cameras_are_told_apart_where_there_is_no_station(tmp_path):
    for n, serial in enumerate(("H500A", "H500B", "H500A", "H500B")):
        photo(tmp_path / "naryn" / f"cat{n % 2}" / "left_flank" / f"{n}.jpg", n, serial)
    data = load_catalog(tmp_path)
    assert encounters(data) == [
        "naryn camera H500A 2012-09-17T08:00:00",
        "naryn camera H500A 2012-09-17T08:00:00",
        "naryn camera H500B 2012-09-17T08:01:00",
        "naryn camera H500B 2012-09-17T08:01:00",
    ]
    assert "4 photos with a time, but without a station" in note_of(data, "no-station")
    assert all(a.camera == "" for a in data.annotations)  # a serial number is not exported with the rows


def test_two_animals_of_one_hour_are_two_encounters_where_neither_station_nor_camera_is_known(tmp_path):
    for n, who in enumerate(("aika", "bars", "aika", "bars", "_unidentified", "_unidentified")):
        photo(tmp_path / "naryn" / who / "left_flank" / f"{n}.jpg", n)
    data = load_catalog(tmp_path)
    found = {}
    for a in data.annotations:
        found.setdefault(a.encounter, []).append(a.individual)
    assert sorted(found.values(), key=str) == [["aika"] * 2, ["bars"] * 2, [None], [None]]
    text = note_of(data, "no-station-no-camera")
    assert "2 unidentified photos that no other frame resembles are an encounter each" in text
    assert text.startswith("6 photos with a time of day, but without a station, and without a camera's name or serial")


def test_folders_may_have_a_level_of_stations(tmp_path):
    for n, station in enumerate(("S01", "S02", "S01")):
        photo(tmp_path / "naryn" / station / "aika" / "left_flank" / f"{n}.jpg", n)
    photo(tmp_path / "sarychat" / "S01" / "bars" / "9.jpg", 1)
    data = load_catalog(tmp_path)
    assert [(a.location, a.station, a.individual, a.body_part) for a in data.annotations] == [
        ("naryn", "S01", "aika", "left_flank"),
        ("naryn", "S01", "aika", "left_flank"),
        ("naryn", "S02", "aika", "left_flank"),
        ("sarychat", "S01", "bars", "unknown"),
    ]
    assert len(set(encounters(data))) == 3
    assert "no-station" not in codes(data)
    assert "1 photo in no folder of a body part" in note_of(data, "folders-without-body-part")


def test_a_chain_is_cut_at_24_hours_or_at_what_is_set(tmp_path):
    rows = "".join(f"{n}.jpg,S1,{(START + timedelta(minutes=50 * n)).isoformat()}\n" for n in range(40))
    data = table(tmp_path, f"path,station,timestamp\n{rows}")
    assert len(set(encounters(data))) == 2
    for name in set(encounters(data)):
        times = [a.timestamp for a in data.annotations if a.encounter == name]
        assert max(times) - min(times) <= timedelta(hours=24)
    assert "lasts more than 24 h and was cut" in note_of(data, "long-encounters")
    data = load_catalog(tmp_path, settings={"longest_encounter": 48.0})
    assert (len(set(encounters(data))), codes(data)) == (1, [])
    data = load_catalog(tmp_path, settings={"encounter_gap": 30.0})
    assert len(set(encounters(data))) == 40


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("2022-05-01T10:00:00", "2023-05-01T10:00:00", "(1: 8760 h)"),
        ("2022-05-01T10:00:00", "2022-05-02T10:00:01", "(1: 24 h)"),
        ("2022-05-01T10:00:00", "2022-05-02T10:00:00", ""),
        ("2022-05-01", "2022-05-04", "(1: 72 h)"),
        ("2022-05-01", "2022-05-03", ""),  # midnight may be between them
    ],
)
def test_a_named_encounter_that_is_used_again_later_is_noted_in_catalog_and_survey(tmp_path, first, last, told):
    rows = f"a.jpg,aika,S01,{first},1\nb.jpg,aika,S01,{last},1\n"
    data = table(tmp_path, f"path,individual,station,timestamp,encounter\n{rows}")
    for notes in (data.notes, evidence_notes(data), make_survey(data).notes):
        assert [told in note.text for note in notes if note.code == "named-encounters-long"] == [True] * bool(told)
    again = load_catalog(tmp_path, settings={"longest_encounter": 366 * 24.0})
    assert "named-encounters-long" not in codes(again)


# --- 3: no times ------------------------------------------------------------------------------------------------------


def burst(folder, first, seed, frames=4, **more):
    """Frames of one scene in which a patch moves."""
    for n in range(frames):
        pixels = texture(seed, (320, 240)).copy()
        pixels[100:140, 40 + 8 * n : 80 + 8 * n] = texture(seed + 1000, (40, 40))
        photo(folder / f"IMG_{first + n:04d}.JPG", pixels=pixels, **more)


def test_frames_of_a_burst_without_times_are_one_encounter_once_they_are_indexed(tmp_path):
    burst(tmp_path / "aika" / "left_flank", 1, 1)
    burst(tmp_path / "aika" / "left_flank", 5, 2)
    burst(tmp_path / "bars" / "left_flank", 40, 3)
    before = load_catalog(tmp_path)
    assert len(set(encounters(before))) == 12
    assert "12 photos have no time" in note_of(before, "no-times")
    catalog = snowmatch.open_catalog(tmp_path)
    catalog.index(workers=1)
    assert len(set(encounters(catalog.data))) == 3
    assert "(3 bursts)" in note_of(catalog.data, "no-times")
    assert encounters(snowmatch.open_catalog(tmp_path).data) == encounters(catalog.data)
    session = catalog.session()
    answer = catalog.query(tmp_path / "aika" / "left_flank" / "IMG_0001.JPG", session=session)
    assert set(answer.excluded_encounters) == {"photo aika/IMG_0001.JPG"}
    notes = [note.code for note in catalog.evaluate().notes]
    assert "no-times" in notes
    apart = load_catalog(tmp_path, settings={"bursts": False})
    assert len(set(encounters(apart))) == 12


def test_only_exif_datetime_is_used_with_a_note(tmp_path):
    photo(tmp_path / "a.jpg", 3, tag=CHANGED)
    data = table(tmp_path, "path,station\na.jpg,S1\n")
    assert data.annotations[0].timestamp == START + timedelta(minutes=3)
    said = "1 photo without a time in DateTimeOriginal: EXIF's DateTime was used, which editing programs change"
    assert said in note_of(data, "other-times")


def test_the_next_index_run_reads_again_what_an_earlier_version_read_without_datetimeoriginal(tmp_path):
    for n, tag in enumerate((ORIGINAL, ORIGINAL, CHANGED)):
        photo(tmp_path / f"{n}.jpg", n, tag=tag)
        age(tmp_path / f"{n}.jpg", 30)
    table(tmp_path, "path,station\n0.jpg,S1\n1.jpg,S1\n2.jpg,S1\n")
    catalog = snowmatch.open_catalog(tmp_path)
    catalog.index(workers=1)
    right = [a.timestamp for a in snowmatch.open_catalog(tmp_path).data.annotations]
    assert right == [START + timedelta(minutes=n) for n in range(3)]
    # as an earlier version stored it, which could not read the second DateTimeOriginal
    with closing(sqlite3.connect(database_path(tmp_path))) as database, database:
        database.execute("UPDATE files SET taken = '2024-06-01T12:00:00', time_tag = 'DateTime' WHERE path <> '0.jpg'")
        for row in database.execute(f"SELECT {COLUMNS} FROM files").fetchall():
            database.execute("UPDATE files SET sum = ? WHERE path = ?", (with_sum(row)[-1], row[0]))
    catalog = snowmatch.open_catalog(tmp_path)
    assert [a.timestamp.year for a in catalog.data.annotations] == [2012, 2024, 2024]
    told = note_of(catalog.data, "times-of-earlier-version")
    assert told.startswith("2 photos in which an earlier version found no DateTimeOriginal")
    read = []
    catalog.index(workers=1, reading=lambda done, total: read.append(total))
    assert read == [2, 2]
    again = snowmatch.open_catalog(tmp_path)
    assert [a.timestamp for a in again.data.annotations] == right
    assert "times-of-earlier-version" not in [note.code for note in again.data.notes]
    again.index(workers=1, reading=lambda done, total: read.append(total))
    assert read == [2, 2]


# --- 4: clocks and zones ----------------------------------------------------------------------------------------------


def shots_of(minutes, **more):
    return [
        Shot(f"card/IMG_{n + 1:04d}.JPG", "card", taken=None if m is None else START + timedelta(minutes=m), **more)
        for n, m in enumerate(minutes)
    ]


def test_photos_from_before_and_after_a_reset_of_the_clock_are_not_one_encounter():
    shots = shots_of([0, 1, 3000, 3001, 0.5, 2, 4000], station="S1")  # after the battery the clock began again
    runs, resets = clock_runs(shots, timedelta(minutes=60))
    assert runs == [0, 0, 0, 0, 1, 1, 1]
    assert [(r.before, r.after) for r in resets] == [("card/IMG_0004.JPG", "card/IMG_0005.JPG")]
    groups, notes = group_shots(shots, CatalogSettings())
    assert sorted(e.shots for e in groups) == [(0, 1), (2, 3), (4, 5), (6,)]
    assert [note.code for note in notes] == ["clock-set-back"]


def test_two_resets_in_a_small_folder_are_found():
    shots = shots_of([0, 60, 3000, 0.5, 61, 0.7, 62, 3001], station="S1")
    runs, resets = clock_runs(shots, timedelta(minutes=60))
    assert len(set(runs)) == 3
    assert len(resets) == 2


def test_a_counter_that_begins_again_is_no_reset_of_the_clock():
    shots = shots_of([5000, 5001, 6000, 0, 1, 4999])  # IMG_9999 was followed by IMG_0001
    assert clock_runs(shots, timedelta(minutes=60)) == ([0] * 6, [])
    shuffled = shots_of([0, 900, 100, 800, 200, 700, 300, 600, 400, 500])  # names that have nothing to do with time
    assert clock_runs(shuffled, timedelta(minutes=60)) == ([0] * 10, [])


@pytest.mark.parametrize(
    ("one", "other"),
    [("A_{:04}.JPG", "B_{:04}.JPG"), ("S01A_{:04}.JPG", "S01B_{:04}.JPG"), ("IMG_{:04}.JPG", "VID_{:04}_000.jpg")],
)
def test_two_cameras_and_frames_of_videos_in_one_folder_are_no_reset_of_the_clock(one, other):
    days = [START + timedelta(days=day) for day in range(8)]
    pairs = [(name.format(n + 1), day + timedelta(seconds=more)) for n, day in enumerate(days)
             for name, more in ((one, 0), (other, 20))]  # fmt: skip
    shots = [Shot(f"S01/{name}", "S01", station="S01", taken=taken) for name, taken in pairs]
    groups, notes = group_shots(shots, CatalogSettings())
    assert ([len(e.shots) for e in groups], notes) == ([2] * 8, [])


def test_a_reset_of_the_clock_between_two_videos_is_found():
    names = [f"VID_{video:04}_{frame:03}.jpg" for video in range(1, 5) for frame in (0, 29)]
    minutes = (0, 1, 3000, 3001, 0.5, 2, 4000, 4001)
    shots = [Shot(f"S01/{n}", "S01", taken=START + timedelta(minutes=m)) for n, m in zip(names, minutes, strict=True)]
    runs, resets = clock_runs(shots, timedelta(minutes=60))
    assert runs == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [(r.before, r.after) for r in resets] == [("S01/VID_0002_029.jpg", "S01/VID_0003_000.jpg")]


def test_frames_of_videos_beside_photos_with_a_reset_of_the_clock_are_told():
    photos = shots_of([0, 1, 3000, 3001, 0.5, 2, 4000], station="S1")
    frames = [Shot(f"{card}/VID_0001.jpg", card, station="S1", taken=START) for card in ("card", "other")]
    (note,) = group_shots([*photos, *frames], CatalogSettings())[1]
    told = "names of another kind in those folders count as from before it (1 photo: card/VID_0001.jpg)"
    assert told in note.text
    assert note.code == "clock-set-back"
    assert "another kind" not in group_shots(photos, CatalogSettings())[1][0].text


def test_photos_on_record_as_two_animals_are_told(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    first = {
        a.individual: a for a in reversed(catalog.data.annotations) if a.individual and a.body_part == "left_flank"
    }
    (one, other), alike = list(first.values())[:2], [a for a in catalog.data.annotations if a.individual == "aika"][:2]
    told = {note.code: note.text for note in catalog.query([one, other]).notes}
    assert (
        f"{min(one.individual, other.individual)} and {max(one.individual, other.individual)}"
        in told["several-animals"]
    )
    assert "several-animals" not in [note.code for note in catalog.query(alike).notes]


def test_places_of_a_query_are_read_as_those_of_the_table():
    asked = make_question("a.jpg", locations=[" \u0418\u0306\u043e\u043b"], station="\u0418\u0306 ")
    assert (asked.locations, asked.station) == (("\u0419\u043e\u043b",), "\u0419")


def test_a_query_with_a_time_zone_is_a_usage_error(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    first = catalog.folder / catalog.data.annotations[0].path
    asked = ["query", str(first), "--catalog", str(catalog.folder), "--timestamp", "2012-09-17T19:42:18Z"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 2
    assert "has a time zone" in result.stderr
    with pytest.raises(SnowmatchError, match="without a time zone"):
        catalog.query(first, timestamp=datetime.fromisoformat("2012-09-17T19:42:18+06:00"))


def test_times_are_read_in_the_ways_that_programs_write_them():
    texts = ["2012:09:17 19:42:18", "17.09.2012 19:42", "2012-09-17T19:42", "2012/09/17 7:42 PM", "20/9/2012 19:42"]
    times, mixed = read_times(texts)
    assert not mixed
    assert [t.moment.isoformat()[:16] for t in times] == ["2012-09-17T19:42"] * 4 + ["2012-09-20T19:42"]
    assert read_times(["3/4/2021", "13/4/2021"])[0][0].moment == datetime(2021, 4, 3)
    assert read_times(["3/4/2021", "4/13/2021"])[0][0].moment == datetime(2021, 3, 4)
    assert read_times(["3/4/2021"], "mdy")[0][0].moment == datetime(2021, 3, 4)
    assert read_times(["3/4/2021"])[0][0].unclear
    assert not read_times(["4/4/2021"])[0][0].unclear
    assert read_times(["13/4/2021", "4/13/2021"])[1]
    assert read_times(["4/13/2021"], "dmy")[1]
    assert read_times([]) == ([], False)


def test_dates_that_may_begin_with_day_or_month_are_asked_about_once(tmp_path):
    rows = "".join(f"{n}.jpg,S1,{n}/4/2021 10:00\n" for n in range(1, 4))
    with pytest.raises(
        SnowmatchError, match=r"line 2, column timestamp: '1/4/2021 10:00', and 2 more may begin"
    ) as caught:
        table(tmp_path, f"path,station,timestamp\n{rows}")
    assert caught.value.code == "unclear-dates"
    for n in range(1, 4):
        photo(tmp_path / f"{n}.jpg")
    refused = CliRunner().invoke(main, ["index", str(tmp_path)])
    assert (refused.exit_code, "--dates dmy" in refused.stderr) == (1, True)
    assert CliRunner().invoke(main, ["index", str(tmp_path), "--dates", "dmy", "--workers", "1"]).exit_code == 0
    assert load_settings(tmp_path, []).dates == "dmy"
    opened = snowmatch.open_catalog(tmp_path)  # it is not asked again
    assert [a.timestamp for a in opened.data.annotations] == [datetime(2021, 4, n, 10) for n in range(1, 4)]


@pytest.mark.parametrize(
    ("day", "dates", "code"),
    [("13/4/2021", "", "bad-table"), ("13/4/2021", "dmy", "bad-table"), ("3/4/2021", "dmy", "unclear-dates")],
)
def test_dates_in_both_orders_are_not_told_to_be_read_in_one(tmp_path, day, dates, code):
    """Of two dates, the second begins with the month. dates: the order that is set; another one may help."""
    tables = (
        (tmp_path / "catalog.csv", f"path,timestamp\na.jpg,{day}\nb.jpg,4/13/2021\n"),
        (tmp_path / "stations.csv", f"station,from,to\nS1,{day},4/13/2021\n"),
    )
    for (path, text), read in zip(tables, (read_table, read_stations), strict=True):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SnowmatchError, match="some dates begin with the day, others with the month") as caught:
            read(path, [], dates)
        assert caught.value.code == code


def test_a_date_alone_is_a_whole_day(tmp_path):
    data = table(tmp_path, "path,station,timestamp\na.jpg,S1,2012-09-17\nb.jpg,S1,2012-09-17\nc.jpg,S1,2012-09-18\n")
    assert encounters(data) == ["/S1 2012-09-17", "/S1 2012-09-17", "/S1 2012-09-18"]
    assert "3 timestamps without a time of day" in note_of(data, "dates-without-time")
    shown = format_overview(snowmatch.open_catalog(tmp_path)).splitlines()
    assert sum(" 2012-09-1" in line for line in shown) == 2
    assert not any("00:00" in line for line in shown)


def test_an_empty_date_is_no_error_among_several_time_zones():
    texts = [
        "0001-01-01T00:00:00Z",
        "2023-05-01T10:00:00-05:00",
        "2023-05-01T11:00:00-05:00",
        "9999-12-31T23:59:59-06:00",
    ]
    moments, done = to_one_zone(read_times(texts)[0])
    assert (moments[0], moments[3], done) == (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), "converted")


def test_an_answer_that_may_be_of_the_querys_own_passage_is_told(survey, tmp_path):
    catalog = snowmatch.open_catalog(survey / "catalog")
    rows = read_rows(survey / "queries" / "queries.csv")
    known = next(row for row in rows if catalog.query(survey / "queries" / row["path"]).decided is not None)
    best = catalog.query(survey / "queries" / known["path"]).decided.best
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{best.timestamp:%Y:%m:%d %H:%M:%S}"
    with Image.open(survey / "queries" / known["path"]) as image:
        image.save(tmp_path / "again.jpg", quality=95, exif=exif)
    note = note_of(catalog.query(tmp_path / "again.jpg"), "perhaps-same-passage")
    assert f"{best.path} was taken within 60 min of the query" in note
    told = snowmatch.open_catalog(survey / "catalog").query(tmp_path / "again.jpg", station=best.station)
    assert best.encounter in told.excluded_encounters
    assert "perhaps-same-passage" not in {each.code for each in told.notes}
