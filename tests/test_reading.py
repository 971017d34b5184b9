"""Real files and real folders: each case is one that made wrong encounters, wrong boxes or wrong times in silence."""

import os
import zipfile
from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import snowmatch
from snowmatch.catalog.cells import CellError, RelativeBox, read_body_part, read_box
from snowmatch.catalog.clocks import clock_runs
from snowmatch.catalog.encounters import group_shots
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.settings import CatalogSettings, load_settings
from snowmatch.catalog.shots import Shot
from snowmatch.catalog.times import read_times
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.identify.question import make_question
from snowmatch.photos.facts import read_facts
from snowmatch.photos.likeness import NEARLY_EQUAL, Likenesses, difference, likeness, nearly_equal_pairs
from snowmatch.photos.pixels import read_photo

pytestmark = pytest.mark.usefixtures("seen_once")

START = datetime(2012, 9, 17, 8, 0)
SERIAL, ORIGINAL, CHANGED = 0xA431, 0x9003, 0x0132


def texture(seed, size=(96, 64)):
    """A picture like no other seed's, with structure at every scale."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.integers(0, 256, (n, n), np.uint8), size, interpolation=cv2.INTER_CUBIC) for n in (3, 7, 17)
    ]
    grey = np.mean(layers, axis=0).astype(np.uint8)
    return np.dstack([grey] * 3)


def photo(path, minutes=None, serial="", seed=None, tag=ORIGINAL, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x010F] = "maker"
    inner = exif.get_ifd(0x8769)
    if minutes is not None:
        text = (START + timedelta(minutes=minutes)).strftime("%Y:%m:%d %H:%M:%S")
        (exif if tag == CHANGED else inner)[tag] = text
    if serial:
        inner[SERIAL] = serial
    pixels = texture(abs(hash(str(path))) if seed is None else seed) if pixels is None else pixels
    Image.fromarray(pixels).save(path, format="JPEG", quality=95, exif=exif)
    return path


def table(folder, text, name="catalog.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return load_catalog(folder)


def codes(data):
    return [note.code for note in data.notes]


def note_of(data, code):
    (note,) = [note for note in data.notes if note.code == code]
    return note.text


def encounters(data):
    return [a.encounter for a in data.annotations]


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
    assert "4 photos without a station" in note_of(data, "no-station")
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
    assert "EXIF's DateTime was used, which editing programs change" in note_of(data, "other-times")


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


def test_a_date_alone_is_a_whole_day(tmp_path):
    data = table(tmp_path, "path,station,timestamp\na.jpg,S1,2012-09-17\nb.jpg,S1,2012-09-17\nc.jpg,S1,2012-09-18\n")
    assert encounters(data) == ["/S1 2012-09-17", "/S1 2012-09-17", "/S1 2012-09-18"]
    assert "3 timestamps without a time of day" in note_of(data, "dates-without-time")


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


# --- 6: two unidentified animals --------------------------------------------------------------------------------------

LEFT, RIGHT = "10,10,50,40", "200,10,50,40"


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


# --- 7: copies --------------------------------------------------------------------------------------------------------


@pytest.fixture
def copies(tmp_path):
    """Two animals; aika's photo is there three times: as it is, under another name, and saved at half its size."""
    shown = texture(5, (640, 480))
    photo(tmp_path / "a.jpg", 0, pixels=shown)
    (tmp_path / "same.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    Image.fromarray(shown).resize((320, 240)).save(tmp_path / "small.jpg", quality=70)
    for n in range(3):
        photo(tmp_path / f"bars{n}.jpg", seed=50 + n, pixels=texture(50 + n, (640, 480)))
    rows = ["a.jpg,aika,e1", "same.jpg,aika,e2", "small.jpg,aika,e3", *(f"bars{n}.jpg,bars,b{n}" for n in range(3))]
    (tmp_path / "catalog.csv").write_text("path,individual,encounter\n" + "\n".join(rows))
    catalog = snowmatch.open_catalog(tmp_path)
    catalog.index(workers=1)
    return catalog


def test_copies_are_never_evidence_and_are_told(copies):
    text = note_of(copies.data, "copies")
    assert "a.jpg and same.jpg" in text
    assert "a.jpg and small.jpg" in text
    assert [a.passage for a in copies.data.annotations] == ["e1", "e1", "e1", "b0", "b1", "b2"]
    table = copies.evaluate().table
    own = table.individual[table.queries] == "aika"
    assert np.isnan(table.scores[own][:, table.individual[table.gallery] == "aika"]).all()
    assert any(note.code == "copies" for note in copies.evaluate().notes)
    shown = CliRunner().invoke(main, ["show", str(copies.folder)])
    assert "the same picture" in shown.stderr
    answer = copies.query(copies.folder / "a.jpg")
    assert set(answer.excluded_encounters) == {"e1", "e2", "e3"}


def test_a_copy_that_is_not_on_record_has_no_evidence_in_its_original(copies, tmp_path):
    other = tmp_path / "elsewhere.jpg"
    Image.open(copies.folder / "bars1.jpg").resize((500, 375)).save(other, quality=80)
    answer = copies.query(other)
    assert answer.excluded_encounters == ("b1",)
    assert any(note.code == "copy-on-record" and "bars1.jpg" in note.text for note in answer.notes)


def test_one_picture_with_two_names_is_told(copies):
    table = copies.folder / "catalog.csv"
    table.write_text(table.read_text().replace("same.jpg,aika", "same.jpg,bars"))
    text = note_of(snowmatch.open_catalog(copies.folder).data, "copies-with-two-names")
    assert "a.jpg (aika) and same.jpg (bars)" in text


def test_likenesses():
    one = likeness(texture(1)[..., 0])
    assert len(one) == 32
    assert likeness(np.zeros((50, 40), np.uint8)) == b""  # a black photo is like every other one
    assert likeness(np.zeros((0, 0), np.uint8)) == b""
    many = [likeness(texture(seed)[..., 0]) for seed in range(60)]
    bits = np.unpackbits(np.frombuffer(one, np.uint8))
    for flips, close in ((NEARLY_EQUAL, True), (NEARLY_EQUAL + 1, False)):
        changed = bits.copy()
        changed[np.random.default_rng(flips).permutation(256)[:flips]] ^= 1
        other = np.packbits(changed).tobytes()
        assert difference(one, other) == flips
        assert Likenesses([b"", other]).nearly_equal(one) == ([1] if close else [])
        assert nearly_equal_pairs([b"", *many, other]) == ([(2, 61)] if close else [])
    assert difference(one, b"") == 256
    assert (
        Likenesses(many).nearly_equal(b"")
        == Likenesses([]).nearly_equal(one)
        == nearly_equal_pairs([])
        == nearly_equal_pairs([one])
        == []
    )


# --- 8: boxes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10,10,300,200", (10, 10, 300, 200)),
        ("[10, 10, 300, 200]", (10, 10, 300, 200)),
        ("10;10;300;200", (10, 10, 300, 200)),
        ("10 10 300 200", (10, 10, 300, 200)),
        ("10.4,10.4,300.2,200", (10, 10, 301, 201)),
        ("10,5;20,25;300;200", (10, 20, 301, 201)),
        ("-3,5,60.6,40", (-3, 5, 61, 40)),
        ("0.05,0.2,0.9,0.6", RelativeBox(0.05, 0.2, 0.9, 0.6)),
        ("-0.001,0.2,0.9,0.6", RelativeBox(-0.001, 0.2, 0.9, 0.6)),
        ("-2,0,1,1", (-2, 0, 1, 1)),
        ("0,05;0,2;0,9;0,6", RelativeBox(0.05, 0.2, 0.9, 0.6)),
        ("0,05,0,2,0,9,0,6", RelativeBox(0.05, 0.2, 0.9, 0.6)),
        ("", None),
        ("[]", None),
    ],
)
def test_boxes_are_read_in_the_ways_that_programs_write_them(text, box):
    assert read_box(text) == box


def test_a_box_of_shares_becomes_pixels_of_the_upright_photo(tmp_path):
    photo(tmp_path / "a.jpg", pixels=texture(1, (200, 100)))
    data = table(tmp_path, 'path,bbox\na.jpg,"0.05,0.2,0.9,0.6"\ngone.jpg,"0.1,0.1,0.5,0.5"\n')
    assert [a.bbox for a in data.annotations] == [(10, 20, 180, 60), None]
    assert "2 boxes with values up to 1" in note_of(data, "relative-boxes")
    assert "gone.jpg" in note_of(data, "boxes-without-photo")
    assert RelativeBox(0.0, 0.0, 1.0, 1.0).of_photo((640, 480)) == (0, 0, 640, 480)


# --- 9: TIFF ----------------------------------------------------------------------------------------------------------


def test_the_largest_page_of_a_tiff_is_read(tmp_path):
    small, large = Image.fromarray(texture(1, (160, 120))), Image.fromarray(texture(2, (640, 480)))
    small.save(tmp_path / "a.tif", save_all=True, append_images=[large, small])
    assert read_facts(tmp_path / "a.tif").image_size == (640, 480)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif"), np.asarray(large))


def test_a_raw_file_is_no_thumbnail(tmp_path):
    """As DNG and NEF have it: a small picture on the first page, the photo in a directory below it."""
    import struct

    def directory(tags):
        rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        return struct.pack("<H", len(tags)) + rows + b"\0\0\0\0"

    def picture(width, height, strip, more=()):
        tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, strip), (277, 3, 1)]
        return directory(sorted([*tags, (278, 4, height), (279, 4, width * height), *more]))

    thumbnail = bytes(16 * 12)
    start = 8 + len(thumbnail)
    length = len(picture(16, 12, 8, [(330, 4, 0)]))
    raw = picture(4000, 3000, 8)
    content = struct.pack("<2sHI", b"II", 42, start) + thumbnail + picture(16, 12, 8, [(330, 4, start + length)]) + raw
    (tmp_path / "a.dng").write_bytes(content)
    with pytest.raises(SnowmatchError, match="is a raw file, of which only a preview of 16 x 12 px can be read"):
        read_photo(tmp_path / "a.dng")
    with pytest.raises(SnowmatchError, match="save it as a JPEG"):
        read_facts(tmp_path / "a.dng")


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("extension", ["tif", "png"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_fewer_bits_than_16_in_a_16_bit_file_are_scaled(tmp_path, bits, extension, channels):
    values = (np.random.default_rng(0).random((40, 60, 3)) * ((1 << bits) - 1)).astype(np.uint16)
    expected = (values >> (bits - 8)).astype(np.uint8)
    opaque = np.full((40, 60, 1), 65535, np.uint16)
    stored = {1: values[..., 0], 3: values[..., ::-1], 4: np.dstack([values[..., ::-1], opaque])}[channels]
    cv2.imwrite(str(tmp_path / f"a.{extension}"), stored)
    np.testing.assert_array_equal(
        read_photo(tmp_path / f"a.{extension}"), expected if channels > 1 else np.dstack([expected[..., 0]] * 3)
    )


def write_planes(path, planes, photometric, order, *, compressed=False, strip=11):
    """Write a TIFF with each of the colours (H, W, C) in strips of its own."""
    import struct
    import zlib

    height, width, count = planes.shape
    deep = planes.dtype.newbyteorder(order)
    strips = [planes[y : y + strip, :, c].astype(deep).tobytes() for c in range(count) for y in range(0, height, strip)]
    strips = [zlib.compress(each) for each in strips] if compressed else strips
    places = np.cumsum([8, *map(len, strips)]).tolist()
    tags = [(256, "I", [width]), (257, "I", [height]), (258, "H", [8 * planes.itemsize] * count)]
    tags += [(259, "H", [8 if compressed else 1]), (262, "H", [photometric]), (273, "I", places[:-1])]
    tags += [(277, "H", [count]), (278, "I", [strip]), (279, "I", [len(each) for each in strips]), (284, "H", [2])]
    tags += [(338, "H", [2])] if count in (2, 4) and photometric < 5 else []
    held, rows = b"".join(strips), b""
    for tag, kind, values in tags:
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > 4:
            held, packed = held + packed, struct.pack(f"{order}I", 8 + len(held))
        rows += struct.pack(f"{order}HHI4s", tag, {"H": 3, "I": 4}[kind], len(values), packed)
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(held))
    path.write_bytes(head + held + struct.pack(f"{order}H", len(tags)) + rows + bytes(4))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("order", "<>")
def test_planes_of_16_bits_are_read_in_full(tmp_path, bits, channels, order):
    random = np.random.default_rng(0)
    values = random.integers(0, 1 << bits, (40, 60, channels)).astype(np.uint8 if bits == 8 else np.uint16)
    values[..., 3:] = (1 << bits) - 1 if bits == 8 else 65535  # opaque
    write_planes(tmp_path / "a.tif", values, 1 if channels == 1 else 2, order)
    expected = (values >> (bits - 8)).astype(np.uint8)
    expected = np.repeat(expected, 3, axis=2) if channels == 1 else expected[..., :3]
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif"), expected)
    assert read_facts(tmp_path / "a.tif").image_size == (60, 40)


def test_compressed_planes_of_16_bits_are_read_or_refused(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (40, 60, 3)).astype(np.uint16)
    write_planes(tmp_path / "a.tif", values, 2, "<", compressed=True)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif"), (values >> 8).astype(np.uint8))
    write_planes(tmp_path / "dark.tif", values >> 4, 2, "<", compressed=True)
    with pytest.raises(SnowmatchError, match=r"10 to 14 bits lie in separate, compressed planes\): copy it again"):
        read_photo(tmp_path / "dark.tif")


def test_other_planes_are_read_right_or_refused(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (40, 60, 4)).astype(np.uint8)
    write_planes(tmp_path / "white.tif", values[..., :1], 0, "<")  # 0 is white
    np.testing.assert_array_equal(read_photo(tmp_path / "white.tif"), np.repeat(255 - values[..., :1], 3, axis=2))
    for compressed in (False, True):
        deep = values[..., :1].astype(np.uint16) << 8
        write_planes(tmp_path / "white.tif", deep, 0, "<", compressed=compressed)
        np.testing.assert_array_equal(read_photo(tmp_path / "white.tif"), np.repeat(255 - values[..., :1], 3, axis=2))
        write_planes(tmp_path / "clear.tif", values[..., :2], 1, "<", compressed=compressed)
        with pytest.raises(SnowmatchError, match="grey and transparency lie in separate planes"):
            read_photo(tmp_path / "clear.tif")
    write_planes(tmp_path / "ink.tif", values.astype(np.uint16) << 8, 5, "<")
    with pytest.raises(SnowmatchError, match="save it as an 8-bit JPEG or PNG"):
        read_photo(tmp_path / "ink.tif")


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
        assert "settings-damaged" in codes(data)
