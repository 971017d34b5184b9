"""Real photo files: copies, boxes and TIFFs. Each case is one that was read wrong in silence."""

from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from camera_files import CHANGED, note_of, photo, table, texture
from click.testing import CliRunner
from PIL import Image

import snowmatch
from snowmatch.catalog.cells import RelativeBox, read_box
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.photos.facts import read_facts
from snowmatch.photos.likeness import NEARLY_EQUAL, Likenesses, difference, likeness, nearly_equal_pairs
from snowmatch.photos.pixels import read_photo

pytestmark = pytest.mark.usefixtures("seen_once")

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


@pytest.fixture
def still(tmp_path):
    """Photos of a fixed camera that hardly change from one month to the next, but much from May to July."""
    folder = tmp_path / "still"
    steps = [texture(5, (640, 480)), texture(6, (640, 480))]
    mixed = [np.rint((1 - share) * steps[0] + share * steps[1]).astype(np.uint8) for share in (0, 0.08, 0.16, 0.24)]
    for n, (name, pixels) in enumerate(zip(("leo1", "empty1", "empty2", "leo2"), mixed, strict=True)):
        photo(folder / f"{name}.jpg", n * 30 * 24 * 60, pixels=pixels)
    table(folder, "path,individual,station\nleo1.jpg,leo,S1\nempty1.jpg,,S1\nempty2.jpg,,S1\nleo2.jpg,leo,S1\n")
    catalog = snowmatch.open_catalog(folder)
    catalog.index(workers=1)
    return catalog


def test_exposures_at_different_times_are_no_copies(still, tmp_path):
    paths = [a.path for a in still.data.annotations]
    facts = [still.data.facts[path] for path in paths]
    bits = [difference(facts[0].likeness, each.likeness) for each in facts]
    assert bits[1] <= NEARLY_EQUAL < bits[-1]
    assert len({a.passage for a in still.data.annotations}) == 4
    assert not [note for note in still.data.notes if note.code == "copies"]
    answer = still.query(still.folder / "leo1.jpg")
    assert len(answer.excluded_encounters) == 1
    later = photo(tmp_path / "later.jpg", 90000, pixels=read_photo(still.folder / "leo1.jpg"))
    assert still.query(later).excluded_encounters == ()
    soon = photo(tmp_path / "soon.jpg", 1, pixels=read_photo(still.folder / "leo1.jpg"))  # of the same passage
    assert still.query(soon).excluded_encounters == answer.excluded_encounters


@pytest.mark.parametrize(("minutes", "told"), [(1, True), (90000, False)])
def test_alike_frames_of_one_encounter_with_two_names_are_told(tmp_path, minutes, told):
    for name, taken in (("a.jpg", 0), ("b.jpg", minutes)):
        photo(tmp_path / name, taken, pixels=texture(5, (640, 480)))
    table(tmp_path, "path,individual,station\na.jpg,aika,S1\nb.jpg,bars,S1\n")
    catalog = snowmatch.open_catalog(tmp_path)
    catalog.index(workers=1)
    assert ("copies-with-two-names" in [note.code for note in catalog.data.notes]) == told


@pytest.mark.parametrize("tag", [None, CHANGED])
def test_a_copy_whose_time_was_lost_or_changed_is_found(still, tag):
    pixels = read_photo(still.folder / "leo1.jpg")
    copy = photo(still.folder / "copy.jpg", None if tag is None else 90000, tag=tag, pixels=pixels)
    first, *_, last = [a.encounter for a in still.data.annotations]
    excluded = still.query(copy).excluded_encounters
    assert first in excluded
    assert last not in excluded
    rows = (still.folder / "catalog.csv").read_text()
    (still.folder / "catalog.csv").write_text(rows + "copy.jpg,leo,S1\n")
    still = snowmatch.open_catalog(still.folder)
    still.index(workers=1)
    by_path = {a.path: a for a in still.data.annotations}
    assert by_path["copy.jpg"].passage == by_path["leo1.jpg"].passage
    assert "copy.jpg and leo1.jpg" in note_of(still.data, "copies")


def test_alike_photos_are_joined_without_all_their_pairs():
    rng = np.random.default_rng(0)
    bits = np.unpackbits(np.frombuffer(likeness(texture(1)[..., 0]), np.uint8))
    alike = []
    for _ in range(600):
        changed = bits.copy()
        changed[rng.choice(256, 4, replace=False)] ^= 1
        alike.append(np.packbits(changed).tobytes())
    pairs = nearly_equal_pairs(alike)
    assert {n for pair in pairs for n in pair} == set(range(600))
    assert len(pairs) < 2000  # all are 179,700
    assert nearly_equal_pairs(alike, groups=[7] * 600) == []
    assert nearly_equal_pairs(alike, moments=[datetime(2023, 1, 1) + timedelta(days=n) for n in range(600)]) == []
    names = ["aika", None, "bars", *[None] * 597]
    assert nearly_equal_pairs(alike, groups=[7] * 600, names=names) == [(0, 2)]
    for name_of in (lambda n: n, lambda n: n % 2, lambda n: n // 300, lambda n: n == 7):
        names = [name_of(n) for n in range(600)]
        pairs = nearly_equal_pairs(alike, groups=[7] * 600, names=names)
        assert {n for pair in pairs for n in pair} == set(range(600))  # each has one with another name
        assert all(names[one] != names[other] for one, other in pairs)
        assert len(pairs) < 1200


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
        ("-0.002,0,1.0001,1", RelativeBox(-0.002, 0.0, 1.0001, 1.0)),
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


@pytest.mark.parametrize("compression", [34713, 52546, 999])  # of a Nikon, JPEG XL, a damaged byte
def test_a_page_that_cannot_be_read_leaves_the_others(tmp_path, compression):
    import struct

    large, small = Image.fromarray(texture(1, (64, 48))), Image.fromarray(texture(2, (32, 24)))

    def write(pages, damaged):
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")
        content, row = (tmp_path / "a.tif").read_bytes(), struct.pack("<HHI", 259, 3, 1)
        at = (content.rindex(row) if damaged else content.index(row)) + len(row)
        (tmp_path / "a.tif").write_bytes(content[:at] + struct.pack("<H", compression) + content[at + 2 :])

    write([large, small], 1)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif"), np.asarray(large))
    assert read_facts(tmp_path / "a.tif").image_size == (64, 48)
    write([small, large], 1)
    with pytest.raises(SnowmatchError, match="is a raw file, of which only a preview of 32 x 24 px can be read"):
        read_photo(tmp_path / "a.tif")
    write([large, small], 0)
    with pytest.raises(SnowmatchError, match="is not a readable photo"):
        read_facts(tmp_path / "a.tif")


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
