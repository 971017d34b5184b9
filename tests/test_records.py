"""What is remembered of photos is true: a file that changed is read again, one that did not is not, places stay out."""

import json
import os
import time
from datetime import datetime

import pytest
from fake_extractor import age, make_photo
from PIL import Image

from snowmatch.catalog import records
from snowmatch.catalog.records import (
    Fingerprint,
    Records,
    annotation_key,
    exif_times,
    load_records,
    read_failures,
    records_path,
    save_records,
    take_fingerprint,
)
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file
from snowmatch.core.types import Annotation

CONTENT = "ab" * 32
TAKEN = datetime(2012, 5, 6, 7, 8, 9)


def photo_with_exif(path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = TAKEN.strftime("%Y:%m:%d %H:%M:%S")
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (41.0, 23.0, 45.678)
    exif[0x0112] = 6  # upright, it is 20 wide and 40 high
    Image.new("RGB", (40, 20), (90, 120, 30)).save(path, exif=exif)
    age(path)


@pytest.fixture
def catalog(tmp_path):
    (tmp_path / "photos").mkdir()
    photo_with_exif(tmp_path / "photos" / "a.jpg")
    return tmp_path


def remember(folder, path="photos/a.jpg"):
    known = Records({path: take_fingerprint(folder / path, photo=True)}, {}, {})
    save_records(folder, known)
    return known.photos[path]


def test_the_key_depends_on_photo_box_and_mask_and_begins_with_the_photo():
    variants = [
        (CONTENT, None, ""),
        (CONTENT, (1, 2, 3, 4), ""),
        (CONTENT, (1, 2, 34, 4), ""),
        (CONTENT, (12, 3, 4, 4), ""),
        (CONTENT, None, "cd" * 32),
        (CONTENT, (1, 2, 3, 4), "cd" * 32),
        ("ef" * 32, None, ""),
        ("ab" * 31 + "00", None, ""),
    ]
    keys = [annotation_key(*v) for v in variants]
    assert len(set(keys)) == len(keys)
    assert all(len(k) == 32 and set(k) <= set("0123456789abcdef") for k in keys)
    assert {k[:16] for k in keys} == {"ab" * 8, "ef" * 8}
    assert annotation_key(CONTENT, (1, 2, 3, 4), "") == "abababababababab7cd3186b09cd0b7c"  # stores hold on to it


def test_a_fingerprint_has_content_upright_size_and_time_but_no_place(catalog):
    taken = remember(catalog)
    path = catalog / "photos" / "a.jpg"
    assert taken.sha256 == file_sha256(path)
    assert (taken.size, taken.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (taken.image_size, taken.timestamp) == ((20, 40), "2012-05-06T07:08:09")
    text = records_path(catalog).read_text()
    assert set(json.loads(text)["photos"]["photos/a.jpg"]) == {
        *("size", "mtime_ns", "ctime_ns", "checked_ns", "sha256", "image_size", "timestamp")
    }
    assert not any(word in text.lower() for word in ("gps", "45.678", "41.0", "latitude"))


def test_records_come_back_as_they_were_saved(catalog):
    known = Records(
        {"photos/a.jpg": take_fingerprint(catalog / "photos/a.jpg", photo=True)},
        {"masks/ü \udce4.png": Fingerprint(1, 2, 3, 4, CONTENT)},
        {"photos/b.jpg": 'is "bad"\nреально'},
    )
    save_records(catalog, known)
    assert load_records(catalog) == known
    assert read_failures(catalog) == known.failures
    before = records_path(catalog).read_bytes()
    save_records(catalog, Records(dict(reversed(known.photos.items())), known.masks, known.failures))
    assert records_path(catalog).read_bytes() == before


def test_no_records_are_empty_records_and_nothing_is_written(tmp_path):
    assert load_records(tmp_path) == Records()
    assert read_failures(tmp_path) == {}
    assert load_records(tmp_path / "not there") == Records()
    assert list(tmp_path.iterdir()) == []


def entry(**values):
    good = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "checked_ns": 1, "sha256": CONTENT}
    one = {**good, "image_size": None, "timestamp": None, **values}
    return json.dumps({"format": 1, "masks": {}, "failures": {}, "photos": {"a": one}})


def test_the_entries_that_are_damaged_below_are_otherwise_good(tmp_path):
    records_path(tmp_path).parent.mkdir()
    records_path(tmp_path).write_text(entry())
    assert load_records(tmp_path).photos == {"a": Fingerprint(1, 1, 1, 1, CONTENT)}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"format": "x"}', '{"format": 1}'),
        '{"format": 1, "photos": [], "masks": {}, "failures": 1}',
        '{"format": 1, "photos": {"a": null}, "masks": {}, "failures": {}}',
        '{"format": 1, "photos": {"a": {}}, "masks": {}, "failures": {}}',
        *(entry(size=1.5), entry(mtime_ns="1"), entry(sha256="ab"), entry(sha256=None), entry(more=1)),
        *(
            entry(image_size=5),
            entry(image_size=[1]),
            entry(image_size=["a", 2]),
            entry(timestamp="noon"),
            entry(timestamp=3),
        ),
    ],
)
def test_damaged_records_say_what_to_do(tmp_path, text):
    records_path(tmp_path).parent.mkdir()
    records_path(tmp_path).write_text(text)
    with pytest.raises(SnowmatchError, match=r"photos\.json is damaged: delete it and run snowmatch index") as error:
        load_records(tmp_path)
    assert "\n" not in str(error.value)


def test_records_of_a_newer_version_say_so(tmp_path):
    save_records(tmp_path, Records())
    path = records_path(tmp_path)
    path.write_text(path.read_text().replace('"format":1', '"format":2'))
    with pytest.raises(SnowmatchError, match="install a newer snowmatch"):
        load_records(tmp_path)


@pytest.mark.parametrize("seconds", [0.0, 1.9, -1.9])
def test_a_file_written_just_before_it_was_hashed_is_not_trusted(catalog, seconds):
    path = catalog / "photos" / "a.jpg"
    age(path, seconds)
    taken = take_fingerprint(path, photo=True)
    assert taken.matches(path.stat(), strictly=True)
    assert taken.racy


@pytest.mark.parametrize("seconds", [2.5, 3600.0, -3600.0])
def test_an_older_file_is_trusted_and_so_is_one_from_a_camera_with_a_fast_clock(catalog, seconds):
    path = catalog / "photos" / "a.jpg"
    age(path, seconds)
    assert not take_fingerprint(path, photo=True).racy


def test_content_swapped_with_the_same_size_and_time_shows_in_the_inode(catalog):
    path = catalog / "photos" / "a.jpg"
    taken = take_fingerprint(path, photo=True)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    status = path.stat()
    time.sleep(0.02)
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert taken.matches(path.stat())
    assert os.name == "nt" or not taken.matches(path.stat(), strictly=True)


def test_a_file_that_is_being_written_is_refused(catalog, monkeypatch):
    path = catalog / "photos" / "a.jpg"
    read = records.file_sha256

    def write_meanwhile(p):
        with open(p, "ab") as file:
            file.write(b"more")
        return read(p)

    monkeypatch.setattr(records, "file_sha256", write_meanwhile)
    with pytest.raises(SnowmatchError, match="is being written"):
        take_fingerprint(path, photo=True)


def test_unreadable_files_are_one_clear_line(tmp_path):
    with pytest.raises(SnowmatchError, match="is not there: put it back"):
        file_sha256(tmp_path / "no.jpg")
    with pytest.raises(SnowmatchError, match="is not there"):
        take_fingerprint(tmp_path / "no.jpg", photo=True)
    with pytest.raises(SnowmatchError, match="cannot be read"):
        take_fingerprint(tmp_path, photo=False)


def test_a_bad_photo_has_a_fingerprint_without_size(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    taken = take_fingerprint(tmp_path / "bad.jpg", photo=True)
    assert (taken.sha256, taken.image_size) == (file_sha256(tmp_path / "bad.jpg"), None)


def test_the_key_of_an_annotation_needs_all_its_files(catalog):
    remember(catalog)
    known = load_records(catalog)
    content = known.photos["photos/a.jpg"].sha256
    assert known.key(Annotation(0, "photos/a.jpg")) == annotation_key(content, None, "")
    assert known.key(Annotation(0, "photos/a.jpg", bbox=(1, 2, 3, 4))) == annotation_key(content, (1, 2, 3, 4), "")
    assert known.key(Annotation(0, "photos/a.jpg", mask="m.png")) is None
    assert known.key(Annotation(0, "photos/b.jpg")) is None
    known.masks["m.png"] = Fingerprint(1, 2, 3, 4, CONTENT)
    assert known.key(Annotation(0, "photos/a.jpg", mask="m.png")) == annotation_key(content, None, CONTENT)


def test_exif_times_are_read_once_as_long_as_the_photo_stays(catalog, monkeypatch):
    read = []
    real = records.read_timestamp
    path = catalog / "photos" / "a.jpg"
    make_photo(catalog / "photos" / "none.png", 1)
    assert exif_times(catalog)("photos/a.jpg") == TAKEN  # nothing on record
    both = {p: take_fingerprint(catalog / p, photo=True) for p in ("photos/a.jpg", "photos/none.png")}
    save_records(catalog, Records(both, {}, {}))
    monkeypatch.setattr(records, "read_timestamp", lambda p: read.append(p) or real(p))
    assert exif_times(catalog)("photos/a.jpg") == TAKEN
    assert exif_times(catalog)("photos/none.png") is None
    assert read == []
    age(path, 30)
    assert exif_times(catalog)("photos/a.jpg") == TAKEN
    assert read == [path]
    path.unlink()
    assert exif_times(catalog)("photos/a.jpg") is None


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"
    replace_file(path, lambda f: f.write(b"old"))

    def fail(file):
        file.write(b"new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]
