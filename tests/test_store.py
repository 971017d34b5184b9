"""The store keeps its features if the process stops, the disk is full or files are damaged."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress

import h5py
import numpy as np
import pytest
from fake_extractor import contents, random_features, same_features
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core import files
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import empty_features
from snowmatch.features import writer
from snowmatch.features.checked import is_trusted, read_checks
from snowmatch.features.reader import list_features, open_features, unused_features
from snowmatch.features.segments import COLUMNS, Segment
from snowmatch.features.writer import FeatureWriter

DESCRIBED = {"name": "fake", "revision": 1, "chip_size": 64}


def key(i):
    return hashlib.sha256(str(i).encode()).hexdigest()[:32]


def make(count, seed=0, **kind):
    rng = np.random.default_rng(seed)
    return {key(i): random_features(rng, **kind) for i in range(count)}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "catalog").mkdir()
    return tmp_path / "catalog" / ".snowmatch" / "features"


def put(home, features, each=5, described=DESCRIBED):
    """Store `features` in segments of `each` annotations."""
    with FeatureWriter(home, described) as out:
        for i, (k, value) in enumerate(features.items()):
            out.add(k, value)
            if i % each == each - 1:
                out.commit()


def segments(home):
    return sorted(home.glob("*/features-*.h5"))


def check(reader, features):
    assert reader.keys == tuple(sorted(features))
    assert all(same_features(reader.read(k), features[k]) for k in features)


@pytest.mark.parametrize("frames", [True, False])
def test_added_features_are_read_in_key_order(home, frames):
    features = make(23, frames=frames)
    features[key("none")] = empty_features(16, np.uint8, (30, 20), frames=frames)
    put(home, features)
    reader = open_features(home, DESCRIBED)
    check(reader, features)
    assert len(segments(home)) == 5
    assert reader.counts.tolist() == [len(features[k]) for k in reader.keys]
    assert reader.counts.dtype == np.int64
    assert reader.image_sizes.tolist() == [list(features[k].image_size) for k in reader.keys]
    assert reader.image_sizes.dtype == np.int32
    assert (reader.dimension, reader.dtype, reader.frames) == (16, np.uint8, frames)
    assert key(3) in reader
    assert "0" * 32 not in reader
    for name in COLUMNS if frames else COLUMNS[:-1]:
        wanted = [key(7), key(3), key("none"), key(7)]
        for array, k in zip(reader.column(name, wanted), wanted, strict=True):
            np.testing.assert_array_equal(array, getattr(features[k], name))
    with pytest.raises(ValueError, match="no column"):
        reader.column("colours" if frames else "shapes", [key(1)])


def test_a_store_of_empty_features(home):
    features = {key(i): empty_features(16, np.uint8, (5, 4)) for i in range(3)}
    put(home, features, each=2)
    with FeatureWriter(home, DESCRIBED) as out:
        out.compact()
    check(open_features(home, DESCRIBED), features)
    assert open_features(home, DESCRIBED).column("descriptors", [key(1)])[0].shape == (0, 16)


def test_an_empty_store_has_no_keys_and_writes_nothing(home):
    reader = open_features(home, DESCRIBED)
    assert (reader.keys, len(reader.counts), reader.image_sizes.shape, reader.frames) == ((), 0, (0, 2), False)
    assert reader.column("descriptors", []) == []
    assert list_features(home) == []
    assert not home.parent.exists()


def test_columns_are_views_of_the_mapped_files_and_cannot_be_written(home):
    put(home, make(9))
    reader = open_features(home, DESCRIBED)
    first, again = reader.column("descriptors", [key(1), key(1)])
    assert np.shares_memory(first, again)
    assert not first.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    assert reader.read(key(1)).descriptors.flags.writeable


def test_segments_are_plain_hdf5_in_native_width_without_pickles(home):
    put(home, make(4))
    with h5py.File(segments(home)[0], "r") as h5:
        assert h5["descriptors"].dtype == np.uint8
        assert {h5[name].dtype.kind for name in h5} <= set("fiuS")
        assert all(h5[name].chunks is None and h5[name].compression is None for name in h5)
        assert json.loads(h5.attrs["settings"]) == DESCRIBED
        assert h5["descriptors"].id.get_offset() % 64 == 0
        total = sum(h5[name].nbytes for name in h5)
    assert segments(home)[0].stat().st_size < total + 16_384


def test_the_same_features_give_the_same_file(home, tmp_path):
    features = make(6)
    put(home, features)
    put(tmp_path / "b" / "features", dict(reversed(features.items())), each=2)
    for folder in (home, tmp_path / "b" / "features"):
        time.sleep(1.1)  # HDF5 can store times, in seconds
        with FeatureWriter(folder, DESCRIBED) as out:
            out.compact()
    (a,), (b,) = segments(home), segments(tmp_path / "b" / "features")
    assert a.name == b.name
    assert hashlib.sha256(a.read_bytes()).digest() == hashlib.sha256(b.read_bytes()).digest()


def test_other_settings_have_another_store(home):
    put(home, make(3))
    other = {**DESCRIBED, "chip_size": 65}
    assert open_features(home, other).keys == ()
    put(home, make(2, seed=1), described=other)
    check(open_features(home, DESCRIBED), make(3))
    check(open_features(home, other), make(2, seed=1))
    assert sorted(d["chip_size"] for d in list_features(home)) == [64, 65]


@pytest.mark.parametrize("wrong", ["", "xyz", "A" * 32, "0" * 31, "0" * 33, key(1)])
def test_a_key_has_32_hex_digits_and_must_be_new(home, wrong):
    put(home, make(2))
    with FeatureWriter(home, DESCRIBED) as out, pytest.raises(ValueError, match="32 hex digits"):
        out.add(wrong, make(1)[key(0)])


def test_features_of_one_store_have_one_kind(home):
    one, other = (random_features(np.random.default_rng(0), frames=frames) for frames in (True, False))
    with pytest.raises(ValueError, match="differ"):
        put(home, {key(1): one, key(2): other})


def test_only_committed_features_count_and_an_error_does_not_commit(home):
    def work():
        with FeatureWriter(home, DESCRIBED) as out:
            out.add(key(1), make(2)[key(1)])
            assert out.keys == set()
            out.commit()
            assert out.keys == {key(1)}
            assert open_features(home, DESCRIBED).keys == (key(1),)
            out.add(key(0), make(2)[key(0)])
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert open_features(home, DESCRIBED).keys == (key(1),)


def test_a_commit_is_due_by_size_or_by_time(home, monkeypatch):
    features = random_features(np.random.default_rng(0), n=50)
    with FeatureWriter(home, DESCRIBED) as out:
        monkeypatch.setattr(writer, "COMMIT_SECONDS", 3600.0)
        assert not out.due
        out.add(key(1), features)
        assert not out.due
        monkeypatch.setattr(writer, "BUFFER_BYTES", 1000)
        assert out.due
        out.commit()
        monkeypatch.setattr(writer, "COMMIT_SECONDS", 0.0)
        assert not out.due
        monkeypatch.setattr(writer, "BUFFER_BYTES", 1 << 30)
        out.add(key(2), features)
        assert out.due


@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    cuts=st.sets(st.integers(0, 12)),
    gone=st.sets(st.integers(0, 11)),
    target=st.sampled_from([1, 6000, 12_000, 1 << 20]),
)
@settings(max_examples=40)
def test_merging_and_removing_keep_exactly_the_other_features(tmp_path_factory, counts, cuts, gone, target):
    home = tmp_path_factory.mktemp("store") / "features"
    rng = np.random.default_rng(len(counts))
    features = {key(i): random_features(rng, n=n) for i, n in enumerate(counts)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "SEGMENT_BYTES", target)
        with FeatureWriter(home, DESCRIBED) as out:
            for i, (k, value) in enumerate(features.items()):
                out.add(k, value)
                if i in cuts:
                    out.commit()
            out.compact()
            check(open_features(home, DESCRIBED), features)
            if target == 1 << 20:
                assert len(segments(home)) == 1
            out.remove(key(i) for i in gone)
            left = {k: v for k, v in features.items() if k not in {key(i) for i in gone}}
            check(open_features(home, DESCRIBED), left)
            assert out.keys == set(left)
            assert out.disk_bytes() > 0 or not left
            out.compact()
            check(open_features(home, DESCRIBED), left)


def test_removed_features_are_gone_from_disk(home):
    features = make(10)
    put(home, features)
    secret = features[key(3)].descriptors.tobytes()
    assert any(secret in path.read_bytes() for path in segments(home))
    with FeatureWriter(home, DESCRIBED) as out:
        out.remove([key(3), key("never there")])
    assert not any(secret in path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert len(open_features(home, DESCRIBED)) == 9


def test_many_small_segments_are_merged_while_writing(home, monkeypatch):
    monkeypatch.setattr(writer, "MANY_SEGMENTS", 4)
    features = make(40)
    put(home, features, each=1)
    assert len(segments(home)) < 4
    check(open_features(home, DESCRIBED), features)


def test_a_merge_that_was_killed_before_deleting_has_no_effect(home):
    features = make(10)
    put(home, features, each=3)
    old = {path: path.read_bytes() for path in segments(home)}
    with FeatureWriter(home, DESCRIBED) as out:
        out.compact()
    (merged,) = segments(home)
    for path, data in old.items():
        path.write_bytes(data)
    (merged.parent / "features-0123.h5.tmp").write_bytes(b"half")
    check(open_features(home, DESCRIBED), features)
    with FeatureWriter(home, DESCRIBED) as out:
        assert out.keys == set(features)
        out.compact()
    assert segments(home) == [merged]
    assert not list(home.rglob("*.tmp"))


def test_an_open_reader_keeps_its_state_during_writing(home):
    features = make(12)
    put(home, features, each=3)
    reader = open_features(home, DESCRIBED)
    with FeatureWriter(home, DESCRIBED) as out:
        out.compact()
        out.remove([key(1), key(2)])
        out.add(key(99), features[key(1)])
    check(reader, features)
    assert len(open_features(home, DESCRIBED)) == 11


WRITE = """
import sys; sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_store import *
writer.MANY_SEGMENTS = 3
print("ready", flush=True)
with FeatureWriter(Path(sys.argv[1]), DESCRIBED) as out:
    for k, value in make(80).items():
        out.add(k, value)
        out.commit()
"""


def start(code, *args):
    tests = os.path.dirname(__file__)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args), tests, *sys.path], stdout=subprocess.PIPE, text=True
    )


def test_a_reader_during_writing_sees_complete_annotations_and_never_fewer(home):
    features = make(80)
    counts = [0]
    with start(WRITE, home) as process:
        process.stdout.readline()
        while process.poll() is None:
            reader = open_features(home, DESCRIBED)
            counts.append(len(reader))
            assert all(same_features(reader.read(k), features[k]) for k in reader.keys)
    assert process.returncode == 0
    assert counts == sorted(counts)
    assert len(set(counts)) > 5
    check(open_features(home, DESCRIBED), features)


def test_the_error_of_a_second_writer_names_the_holder_of_the_lock(home):
    with FeatureWriter(home, DESCRIBED):
        with pytest.raises(SnowmatchError, match=f"being indexed by process {os.getpid()} on .*: wait") as error:
            FeatureWriter(home, {**DESCRIBED, "chip_size": 9}).__enter__()
        assert "\n" not in str(error.value)
        (home.parent / "writer.json").write_text("{")
        with pytest.raises(SnowmatchError, match="by another process"):
            FeatureWriter(home, DESCRIBED).__enter__()
    put(home, make(1))


def test_a_second_writer_can_wait(home):
    entered = threading.Event()

    def hold():
        with FeatureWriter(home, DESCRIBED) as out:
            entered.set()
            time.sleep(0.3)
            out.add(key(0), make(1)[key(0)])

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with FeatureWriter(home, DESCRIBED, wait=30) as out:
        assert out.keys == {key(0)}
    thread.join()


HOLD = """
import sys; sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_store import *
with FeatureWriter(Path(sys.argv[1]), DESCRIBED):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_released(home):
    with start(HOLD, home) as process:
        process.stdout.readline()
        with pytest.raises(SnowmatchError, match=f"process {process.pid} on"):
            FeatureWriter(home, DESCRIBED).__enter__()
        process.kill()
    put(home, make(2))
    check(open_features(home, DESCRIBED), make(2))


class FullDisk:
    """Return an open() for a disk with space for `room` more bytes."""

    def __init__(self, room):
        self.room = room

    def __call__(self, path, mode):
        return Limited(open(path, "xb", buffering=0), self)


class Limited:
    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def write(self, data):
        size = memoryview(data).nbytes
        if size > self.disk.room:
            self.file.write(memoryview(data).cast("B")[: self.disk.room] if size else b"")
            self.disk.room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.disk.room -= size
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 150, 400, 3000, 8000, 20_000, 40_000, 45_000, 60_000, 90_000, 120_000])
def test_a_full_disk_is_an_error_of_one_line_and_the_store_still_opens(home, monkeypatch, room):
    features, committed = make(30), []

    def work():
        with FeatureWriter(home, DESCRIBED) as out:
            for i, (k, value) in enumerate(features.items()):
                out.add(k, value)
                if i % 5 == 4:
                    out.commit()
                    committed.append(i + 1)
            out.compact()

    with monkeypatch.context() as patch:
        patch.setattr(files, "_create", FullDisk(room))
        with pytest.raises(SnowmatchError, match="No space left on device; what is stored is kept: free") as error:
            work()
    assert "\n" not in str(error.value)
    assert not list(home.parent.rglob("*.tmp"))
    check(open_features(home, DESCRIBED), dict(list(features.items())[: max(committed, default=0)]))
    with FeatureWriter(home, DESCRIBED) as out:
        for k in set(features) - out.keys:
            out.add(k, features[k])
        out.compact()
    check(open_features(home, DESCRIBED), features)


LIMIT = """
import sys; sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_store import *
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    put(Path(sys.argv[1]), {**make(4), **{key("big"): random_features(np.random.default_rng(1), n=2000)}}, each=4)
except SnowmatchError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files there")
def test_a_disk_that_is_really_full(home):
    with start(LIMIT, home) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert "File too large; what is stored is kept" in out
    assert out.count("\n") == 1
    check(open_features(home, DESCRIBED), make(4))


def complaint(work):
    try:
        work()
    except SnowmatchError as error:
        return str(error)
    return ""


def test_damage_is_an_error_of_one_line_and_never_a_wrong_value(home):
    features = make(6)
    put(home, features, each=6)
    (path,) = segments(home)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:n] for n in (0, 1, 100, 3000, len(whole) - 1, *rng.integers(0, len(whole), 20))]
    for place in (*range(0, 4096, 17), *rng.integers(0, len(whole), 300)):
        copy = bytearray(whole)
        copy[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(copy))
    damaged.append(b"no HDF5 at all" * 999)
    told = 0
    for data in damaged:
        path.unlink()  # a reader can still use its mapping of the old file
        path.write_bytes(data)
        text = complaint(lambda: check(open_features(home, DESCRIBED), features))
        if text:
            told += 1
            assert "\n" not in text
            assert str(path) in text
            assert "index again" in text or "install a newer" in text
    assert told > len(damaged) / 2


def damage_one(path):
    """Change one byte of the last array of a segment."""
    data = bytearray(path.read_bytes())
    frame = json.loads(bytes(data[:512]).rstrip(b"\0"))
    data[frame["arrays"][-1][1] - 1] ^= 255
    path.write_bytes(data)


def test_a_damaged_array_is_not_copied_into_a_merged_file(home):
    put(home, make(6), each=3)
    path = segments(home)[0]
    damage_one(path)
    with FeatureWriter(home, DESCRIBED) as out:
        out.compact()
        assert len(out.keys) == 5
    check(open_features(home, DESCRIBED), {k: f for k, f in make(6).items() if k in out.keys})


def test_a_merge_of_a_file_without_a_sound_annotation_keeps_the_other_file(home):
    features = make(3)
    put(home, features, each=2)
    damage_one(min(segments(home), key=lambda path: path.stat().st_size))  # one of two, the other one has two
    with FeatureWriter(home, DESCRIBED) as out:
        out.compact()
        assert len(out.keys) == 2
    check(open_features(home, DESCRIBED), {k: f for k, f in features.items() if k in out.keys})


def test_a_damaged_byte_costs_one_annotation(home):
    features = make(6)
    put(home, features, each=6)
    (path,) = segments(home)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.integers(5000, len(whole), 60):
        for old in segments(home):
            old.unlink()
        data = bytearray(whole)
        data[place] ^= 255
        path.write_bytes(data)
        with FeatureWriter(home, DESCRIBED) as out:
            gone = out.check(None)
            assert gone + out.damaged_files <= 1
            kept = dict(features) if not out.damaged_files else {}
            assert len(out.keys) == len(kept) - gone
        check(open_features(home, DESCRIBED), {k: f for k, f in features.items() if k in out.keys})


def test_each_check_begins_with_what_was_written_since_and_then_with_what_was_checked_longest_ago(home):
    put(home, make(6), each=2)
    paths = segments(home)
    size = paths[0].stat().st_size
    for damaged, found in ((paths[-1], [1, 0, 0]), (paths[0], [1])):
        damage_one(damaged)
        for count in found:
            with FeatureWriter(home, DESCRIBED) as out:
                assert out.check(size // 2) == count
    checked = []
    for _ in range(6):
        before = read_checks(paths[0].parent)
        with FeatureWriter(home, DESCRIBED) as out:
            assert out.check(1) == 0
        after = read_checks(paths[0].parent)
        checked += [name for name in after if after[name] != before.get(name)]
    assert len(checked) == 6
    assert checked[:3] == checked[3:]
    assert set(checked) == {path.name for path in segments(home)}


def test_a_file_that_was_checked_is_read_without_a_check_until_somebody_writes_it(home, monkeypatch):
    features = make(3)
    put(home, features, each=3)
    (path,) = segments(home)
    keys = sorted(features)
    looked = []
    real = Segment.is_sound
    monkeypatch.setattr(Segment, "is_sound", lambda *given: looked.append(1) or real(*given))
    open_features(home, DESCRIBED).column("descriptors", keys)
    assert not looked
    times = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    reader = open_features(home, DESCRIBED)  # the time of the content is as before, that of the change is not
    reader.column("descriptors", keys)
    reader.column("descriptors", keys)
    assert len(looked) == 3
    with FeatureWriter(home, DESCRIBED) as out:
        assert out.check(None) == 0
    looked.clear()
    open_features(home, DESCRIBED).column("descriptors", keys)
    assert not looked
    monkeypatch.setattr("snowmatch.features.checked.TRUSTED", 0.0)
    open_features(home, DESCRIBED).column("descriptors", keys)
    assert len(looked) == 3


def test_a_file_that_is_damaged_while_its_writer_is_open_is_not_trusted(home):
    features = make(2)
    with FeatureWriter(home, DESCRIBED) as out:
        for key, value in features.items():
            out.add(key, value)
        out.commit()
        damage_one(segments(home)[0])
    reader = open_features(home, DESCRIBED)
    with pytest.raises(SnowmatchError, match="damaged"):
        [reader.column(name, reader.keys) for name in COLUMNS[: 6 if reader.frames else 5]]


@pytest.mark.parametrize("way", ["column", "read"])
def test_a_file_in_which_reading_found_damage_is_checked_first_and_in_any_case(home, monkeypatch, way):
    monkeypatch.setattr("snowmatch.features.writer.SEGMENT_BYTES", 1)  # so that no two files are merged
    features = make(3)
    put(home, features, each=1)
    paths = segments(home)
    for path in paths[1:]:
        damage_one(path)
    reader = open_features(home, DESCRIBED)
    columns = COLUMNS[: 6 if reader.frames else 5]
    for key in reader.keys:
        with suppress(SnowmatchError):
            reader.read(key) if way == "read" else [reader.column(name, [key]) for name in columns]
    del reader
    with FeatureWriter(home, DESCRIBED) as out:
        assert out.check(1) == 2
    with FeatureWriter(home, DESCRIBED) as out:
        assert out.check(None) == 0
    assert {path.name for path in paths[0].parent.iterdir()} == {paths[0].name, "settings.json", "checked.json"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": []}', '{"a": ["b", 1]}', '{"a": [1e999, 2]}'])
def test_a_damaged_list_of_checks_trusts_nothing(home, text):
    features = make(2)
    put(home, features, each=2)
    (path,) = segments(home)
    (path.parent / "checked.json").write_text(text, encoding="utf-8")
    assert read_checks(path.parent) == {} or not is_trusted(path, read_checks(path.parent).get(path.name))
    check(open_features(home, DESCRIBED), features)
    damage_one(path)
    reader = open_features(home, DESCRIBED)
    with pytest.raises(SnowmatchError, match="damaged"):
        [reader.column(name, reader.keys) for name in COLUMNS[: 6 if reader.frames else 5]]


def test_the_system_is_not_damage(home, monkeypatch):
    put(home, make(2))
    before = [path.read_bytes() for path in segments(home)]

    def no_handles(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    for name in ("open_regular", "mmap.mmap", "h5py.File"):
        with monkeypatch.context() as patch:
            patch.setattr(f"snowmatch.features.segments.{name}", no_handles)
            for use in (lambda: open_features(home, DESCRIBED), lambda: FeatureWriter(home, DESCRIBED).__enter__()):
                with pytest.raises(SnowmatchError, match="cannot be read: Too many open files"):
                    use()
        assert [path.read_bytes() for path in segments(home)] == before


def test_a_store_of_a_newer_version_is_an_error(home):
    put(home, make(2))
    path = segments(home)[0]
    path.write_bytes(path.read_bytes().replace(b'"format": 2', b'"format": 3', 1))
    for use in (lambda: open_features(home, DESCRIBED), lambda: FeatureWriter(home, DESCRIBED).__enter__()):
        with pytest.raises(SnowmatchError, match="install a newer snowmatch"):
            use()
    put_elsewhere = {**DESCRIBED, "chip_size": 1}
    put(home, make(1), described=put_elsewhere)  # and the lock was released


def test_a_segment_of_other_settings_is_refused(home):
    put(home, make(2))
    other = {**DESCRIBED, "chip_size": 1}
    put(home, make(2, seed=3), described=other)
    a, b = segments(home)
    b.write_bytes(a.read_bytes())
    with pytest.raises(SnowmatchError, match="does not fit"):
        [open_features(home, d) for d in (DESCRIBED, other)]


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "fake"}'])
def test_damaged_settings_are_written_again_from_the_features(home, text):
    put(home, make(1))
    settings = next(home.glob("*/settings.json"))
    before = settings.read_bytes()
    settings.write_text(text)
    assert list_features(home) == [DESCRIBED]
    assert settings.read_bytes() == before
    settings.unlink()
    assert list_features(home) == [DESCRIBED]
    assert settings.read_bytes() == before


def test_a_folder_to_which_no_settings_belong_is_not_used(home):
    put(home, make(1))
    (folder,) = home.iterdir()
    shutil.copytree(folder, copy := home / f"{folder.name} (1)")
    assert list_features(home) == [DESCRIBED]
    assert unused_features(home) == [copy]
    (copy / "settings.json").write_text("{")
    (copy / "features-none.h5").write_bytes(b"no features")
    assert list_features(home) == [DESCRIBED]


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "fake"}'])
def test_damaged_settings_beside_damaged_features_are_an_error_and_the_next_index_run_mends_them(home, text):
    put(home, make(1))
    next(home.glob("*/settings.json")).write_text(text)
    (segment,) = segments(home)
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1])
    with pytest.raises(SnowmatchError, match="index again with the extractor fake"):
        list_features(home)
    segment.write_bytes(whole)
    with FeatureWriter(home, DESCRIBED) as out:
        assert len(out.keys) == 1
    assert list_features(home) == [DESCRIBED]


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(home):
    home.parent.write_text("in the way")
    with pytest.raises(SnowmatchError, match="cannot write in"):
        FeatureWriter(home, DESCRIBED).__enter__()


def test_a_read_only_store_can_be_read_and_nothing_is_written(home):
    put(home, make(3))
    before = {p: p.stat().st_mtime_ns for p in home.parent.rglob("*")}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    check(open_features(home, DESCRIBED), make(3))
    assert list_features(home) == [DESCRIBED]
    assert {p: p.stat().st_mtime_ns for p in home.parent.rglob("*")} == before
    for path in before:
        path.chmod(0o755)


def test_contents_lists_each_store(home):
    put(home, make(3))
    first = contents(open_features(home, DESCRIBED))
    put(home, {key(50): random_features(np.random.default_rng(9))})
    assert contents(open_features(home, DESCRIBED)) != first


def test_features_that_are_checked_are_read_from_the_disk_at_once(home, monkeypatch):
    """A search lets the system read single pages, which takes twenty times as long for all features of a photo."""
    features = make(3) | {key(9): empty_features(16, np.uint8, (40, 30))}
    put(home, features, each=4)
    fetched = []

    def fetch(column, first, stop):
        fetched.append((column, first.tolist(), stop.tolist()))

    monkeypatch.setattr("snowmatch.features.segments.fetch_rows", fetch)
    monkeypatch.setattr("snowmatch.features.checked.TRUSTED", 0.0)
    reader = open_features(home, DESCRIBED)
    names = sorted(features)
    ends = np.cumsum([len(features[name]) for name in names])
    runs = [([end - len(features[n])], [end]) for n, end in zip(names, ends.tolist(), strict=True) if len(features[n])]
    reader.column("descriptors", names)
    assert [run[1:] for run in fetched] == runs
    reader.column("descriptors", names)  # they were checked
    assert len(fetched) == len(runs) == 3
    assert all(column.shape == (ends[-1], reader.dimension) for column, *_ in fetched)
    fetched.clear()
    reader.read(key(0))
    assert [len(column) for column, *_ in fetched] == [ends[-1]] * len(COLUMNS)
