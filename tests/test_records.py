"""Records of photos are right: only changed files are read again, and coordinates are never stored."""

import os
import time
from datetime import datetime

import pytest
from fake_extractor import age
from PIL import Image

from snowmatch.catalog import records
from snowmatch.catalog.records import (
    Fingerprint,
    Records,
    annotation_key,
    copy_of,
    load_records,
    paths_with,
    save_records,
    take_fingerprint,
)
from snowmatch.catalog.states import annotation_states
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256, replace_file, replace_together
from snowmatch.core.home import database_path
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


def test_the_states_of_photos_take_one_look_at_each_file(catalog, monkeypatch):
    for n in range(5):
        photo_with_exif(catalog / "photos" / f"{n}.jpg")
    taken = {f"photos/{n}.jpg": take_fingerprint(catalog / "photos" / f"{n}.jpg", photo=True) for n in range(5)}
    old = {path: one._replace(checked_ns=one.checked_ns + 10_000_000_000) for path, one in taken.items()}
    rows = [Annotation(n, path) for n, path in enumerate([*old, *old])]
    looked, stat = [], os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: looked.append(str(path)) or stat(path, **how))
    states = annotation_states(catalog, rows, Records(old), {annotation_key(k.sha256, None, "") for k in old.values()})
    monkeypatch.undo()
    assert {state.state for state in states} == {"indexed"}
    assert sorted(looked) == [f"{catalog}/{path}" for path in sorted(old)]


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
    assert annotation_key(CONTENT, (1, 2, 3, 4), "") == "abababababababab7cd3186b09cd0b7c"  # existing stores have it


def test_a_fingerprint_has_content_upright_size_and_time_but_no_coordinates(catalog):
    taken = remember(catalog)
    path = catalog / "photos" / "a.jpg"
    assert taken.sha256 == file_sha256(path)
    assert (taken.size, taken.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (taken.facts.image_size, taken.facts.taken) == ((20, 40), TAKEN)
    held = database_path(catalog).read_bytes()
    assert b"2012-05-06T07:08:09" in held
    assert not any(word in held.lower() for word in (b"gps", b"45.678", b"41.0", b"latitude"))


def test_records_are_loaded_as_they_were_saved(catalog):
    known = Records(
        {"photos/a.jpg": take_fingerprint(catalog / "photos/a.jpg", photo=True)},
        {"masks/ü б.png": Fingerprint(1, 2, 3, 4, CONTENT)},
        {"photos/b.jpg": 'is "bad"\nреально'},
    )
    save_records(catalog, known)
    assert load_records(catalog) == known
    assert load_records(catalog).failures == known.failures


def test_only_changed_records_are_written_and_those_of_missing_photos_removed(catalog):
    known = Records({f"{n}.jpg": Fingerprint(n, 2, 3, 4, CONTENT) for n in range(5)}, {}, {"bad.jpg": "is truncated"})
    save_records(catalog, known)
    before = copy_of(known)
    known.photos["3.jpg"] = Fingerprint(33, 2, 3, 4, CONTENT)
    del known.photos["0.jpg"]
    known.failures = {"worse.jpg": "is empty"}
    save_records(catalog, known, before)
    assert load_records(catalog) == known
    held = database_path(catalog).read_bytes()
    assert b"bad.jpg" not in held
    assert b"0.jpg" not in held


def test_photos_are_found_by_content(catalog):
    assert paths_with(catalog, CONTENT) == {}
    other = Fingerprint(1, 2, 3, 4, "cd" * 32)
    same = {"a.jpg": Fingerprint(1, 2, 3, 4, CONTENT), "copy.jpg": Fingerprint(5, 6, 7, 8, CONTENT)}
    save_records(catalog, Records({**same, "b.jpg": other}, {"m.png": Fingerprint(1, 2, 3, 4, CONTENT)}, {}))
    assert paths_with(catalog, CONTENT) == same
    assert paths_with(catalog, "cd" * 32) == {"b.jpg": other}


def test_without_a_file_records_are_empty_and_nothing_is_written(tmp_path):
    assert load_records(tmp_path) == Records()
    assert load_records(tmp_path).failures == {}
    assert load_records(tmp_path / "not there") == Records()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [0.0, 1.9, -1.9])
def test_a_file_written_just_before_it_was_hashed_is_not_trusted(catalog, seconds):
    path = catalog / "photos" / "a.jpg"
    age(path, seconds)
    taken = take_fingerprint(path, photo=True)
    assert taken.matches(path.stat(), strictly=True)
    assert taken.racy


@pytest.mark.parametrize("seconds", [2.5, 3600.0, -3600.0])
def test_an_older_file_is_trusted_and_one_with_a_time_in_the_future_too(catalog, seconds):
    path = catalog / "photos" / "a.jpg"
    age(path, seconds)
    assert not take_fingerprint(path, photo=True).racy


def test_new_content_with_the_same_size_and_time_is_noticed_by_the_inode(catalog):
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


def test_unreadable_files_are_an_error_of_one_line(tmp_path):
    with pytest.raises(SnowmatchError, match="does not exist: put the file back"):
        file_sha256(tmp_path / "no.jpg")
    with pytest.raises(SnowmatchError, match="does not exist"):
        take_fingerprint(tmp_path / "no.jpg", photo=True)
    with pytest.raises(SnowmatchError, match="cannot be read"):
        take_fingerprint(tmp_path, photo=False)


def test_a_bad_photo_has_a_fingerprint_without_size(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    taken = take_fingerprint(tmp_path / "bad.jpg", photo=True)
    assert (taken.sha256, taken.facts) == (file_sha256(tmp_path / "bad.jpg"), None)


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


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"
    replace_file(path, lambda f: f.write(b"old"))

    def fail(file):
        file.write(b"new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_records_are_read_again_only_if_the_database_has_changed(tmp_path, monkeypatch):
    known = Fingerprint(1, 2, 3, 4, "a" * 64)
    save_records(tmp_path, Records({"a.jpg": known}, {}, {}))
    first = load_records(tmp_path)
    first.photos.clear()  # what a caller does with them is its own affair
    with monkeypatch.context() as patch:
        patch.setattr(records, "_load_records", lambda folder: pytest.fail("read again"))
        assert load_records(tmp_path).photos == {"a.jpg": known}
    save_records(tmp_path, Records({"b.jpg": known}, {}, {}))
    assert load_records(tmp_path).photos == {"b.jpg": known}
    status = database_path(tmp_path).stat()
    for count in range(3):  # equal size and time: the counter in the file tells
        save_records(tmp_path, Records({f"{count}.jpg": known}, {}, {}))
        os.utime(database_path(tmp_path), ns=(status.st_atime_ns, status.st_mtime_ns))
        assert load_records(tmp_path).photos == {f"{count}.jpg": known}
    database_path(tmp_path).unlink()
    assert load_records(tmp_path) == Records({}, {}, {})


@pytest.mark.parametrize("write", ["one", "together"])
def test_what_killed_commands_left_beside_an_output_goes_after_a_day(tmp_path, write):
    old, young, foreign, link = (
        tmp_path / name
        for name in (
            f".snowmatch-{'a' * 16}.tmp",
            f".snowmatch-{'b' * 16}.tmp",
            ".snowmatch-notes.tmp",
            f".snowmatch-{'c' * 16}.tmp",
        )
    )
    for path in (old, young, foreign):
        path.write_bytes(b"half")
    link.symlink_to(foreign)
    before = time.time() - 90_000
    for path in (old, foreign):
        os.utime(path, (before, before))
    if write == "one":
        replace_file(tmp_path / "out.csv", lambda file: file.write(b"whole"))
    else:
        replace_together((tmp_path / "out.csv", b"whole"), (tmp_path / "out.jsonl", b"whole"))
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()
    assert link.is_symlink()
    assert (tmp_path / "out.csv").read_bytes() == b"whole"
