"""Index runs: a run extracts only what is missing, with any number of processes, also after a run that was killed."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import catalog_state, until
from fake_extractor import Batched, Fake, age, contents, make_catalog, make_photo
from PIL import Image
from test_store import damage_one

from snowmatch.catalog import records
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import annotation_key, load_records
from snowmatch.core import executor, files
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import HOME, database_path
from snowmatch.core.plugins import settings
from snowmatch.core.types import Annotation
from snowmatch.features import indexing, tasks, writer
from snowmatch.features.indexing import index_catalog
from snowmatch.features.reader import open_features

PHOTOS = 12


@pytest.fixture
def data(tmp_path):
    return make_catalog(tmp_path / "catalog", PHOTOS)


def stored(data, extractor=None):
    return open_features(Path(data.folder) / HOME / "features", settings(extractor or Fake()))


def states(data, extractor=None):
    return [s.state for s in catalog_state(data, settings(extractor or Fake()))]


def changed(data, row, **fields):
    annotations = list(data.annotations)
    annotations[row] = dataclasses.replace(annotations[row], **fields)
    return CatalogData(data.folder, tuple(annotations), ())


def without(data, *rows):
    return CatalogData(data.folder, tuple(a for a in data.annotations if a.row not in rows), ())


def counts(report):
    return report.done, report.reused, len(report.failed)


@pytest.fixture
def extracted(monkeypatch):
    """Return the list of photos that this process decodes, in order."""
    seen = []
    real = tasks.read_photo
    monkeypatch.setattr(tasks, "read_photo", lambda path: seen.append(Path(path).name) or real(path))
    return seen


def test_one_process_and_many_store_the_same_bytes(data, tmp_path):
    first = index_catalog(data, Fake(), 1)
    other = CatalogData(
        shutil.copytree(data.folder, tmp_path / "b", ignore=shutil.ignore_patterns(HOME)), *data_of(data)
    )
    second = index_catalog(other, Fake(), 3)
    assert counts(first) == counts(second) == (PHOTOS, 0, 0)
    assert first.features == second.features == stored(data).counts.sum() > 0
    assert contents(stored(data)) == contents(stored(other))
    assert load_records(data.folder).failures == {}
    assert states(data) == states(other) == ["indexed"] * PHOTOS


def data_of(data):
    return data.annotations, data.notes


@pytest.mark.parametrize("count", [1, 2])
def test_chips_in_batches_and_single_chips_give_the_same_features(data, tmp_path, count):
    """The photos include a broken one, one that makes its batch fail, and one with two animals."""
    (data.folder / "photos/004.png").write_bytes(b"no photo")
    Image.fromarray(np.full((36, 48, 3), 255, np.uint8)).save(data.folder / "photos/006.png")
    rows = (*data.annotations, Annotation(PHOTOS, "photos/001.png", bbox=(3, 4, 30, 20)))
    data = CatalogData(data.folder, rows, ())
    other = CatalogData(shutil.copytree(data.folder, tmp_path / "b"), rows, ())
    one_by_one = index_catalog(data, Fake(), 1)
    Batched.asked.clear()
    together = index_catalog(other, Batched(), count)
    assert counts(one_by_one) == counts(together) == (PHOTOS, 0, 1)
    assert contents(stored(data)) == contents(stored(other))
    if count == 1:
        assert max(Batched.asked) == 3
        assert Batched.asked.count(1) >= 3  # the batch that failed is repeated one by one


def test_a_second_run_reads_and_extracts_nothing(data, extracted, monkeypatch):
    index_catalog(data, Fake(), 1)
    assert len(extracted) == PHOTOS
    monkeypatch.setattr(records, "file_sha256", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(executor.subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    for count in (1, 4):
        assert counts(index_catalog(data, Fake(), count)) == (0, PHOTOS, 0)
    assert len(extracted) == PHOTOS


def test_other_settings_extract_everything_again_and_keep_the_old_features(data):
    index_catalog(data, Fake(), 1)
    before = contents(stored(data))
    assert states(data, Fake(seed=1)) == ["missing"] * PHOTOS
    assert counts(index_catalog(data, Fake(seed=1), 1)) == (PHOTOS, 0, 0)
    assert contents(stored(data)) == before
    assert contents(stored(data, Fake(seed=1))) != before
    assert states(data) == states(data, Fake(seed=1)) == ["indexed"] * PHOTOS


def test_only_what_changed_is_extracted_again(data, extracted):
    index_catalog(data, Fake(), 1)
    extracted.clear()
    make_photo(data.folder / "photos/003.png", 1003)
    age(data.folder / "photos/003.png", 30)
    data = changed(data, 5, bbox=(1, 2, 30, 20))
    Image.fromarray(np.full((36, 48), 255, np.uint8)).save(data.folder / "mask.png")
    data = changed(data, 7, mask="mask.png")
    assert [i for i, s in enumerate(states(data)) if s != "indexed"] == [3, 5, 7]
    assert {states(data)[i] for i in (3, 5, 7)} == {"stale"}
    assert counts(index_catalog(data, Fake(), 1)) == (3, PHOTOS - 3, 0)
    assert extracted == ["003.png", "005.png", "007.png"]
    assert states(data) == ["indexed"] * PHOTOS
    mask = np.full((36, 48), 255, np.uint8)
    mask[:9] = 0
    Image.fromarray(mask).save(data.folder / "mask.png")
    age(data.folder / "mask.png", 30)
    assert states(data)[7] == "stale"
    assert counts(index_catalog(data, Fake(), 1)) == (1, PHOTOS - 1, 0)


def test_a_photo_replaced_with_the_same_size_and_time_is_extracted_again(data):
    index_catalog(data, Fake(), 1)
    path = data.folder / "photos/002.png"
    status = path.stat()
    other = np.random.default_rng(99).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    Image.fromarray(other).save(path)
    path.write_bytes(path.read_bytes().ljust(status.st_size, b"\0")[: status.st_size])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = index_catalog(data, Fake(), 1)
    assert report.done + len(report.failed) == (1 if os.name != "nt" else 0)


def test_a_photo_changed_right_after_it_was_hashed_is_noticed(data):
    path = data.folder / "photos/002.png"
    age(path, 0)
    index_catalog(data, Fake(), 1)
    status = path.stat()
    Image.fromarray(np.array(Image.open(path))[::-1]).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    # Give the photo the same size and time stamps, as on a disk whose time stamps are whole seconds
    before = load_records(data.folder)
    values = {"size": path.stat().st_size, "ctime_ns": path.stat().st_ctime_ns}
    before.photos["photos/002.png"] = before.photos["photos/002.png"]._replace(**values)
    records.save_records(data.folder, before)
    assert states(data)[2] == "stale"
    assert counts(index_catalog(data, Fake(), 1)) == (1, PHOTOS - 1, 0)


def test_if_one_of_two_equal_photos_changes_only_that_one_is_stale(data):
    shutil.copy2(data.folder / "photos/000.png", data.folder / "photos/001.png")
    index_catalog(data, Fake(), 1)
    make_photo(data.folder / "photos/001.png", 77)
    age(data.folder / "photos/001.png", 30)
    assert states(data) == ["indexed", "stale"] + ["indexed"] * (PHOTOS - 2)


@pytest.mark.parametrize("name", ["photos/002.png", "mask.png"])
def test_a_file_that_changes_between_hashing_and_decoding_is_not_stored(data, monkeypatch, name):
    Image.fromarray(np.full((36, 48), 255, np.uint8)).save(data.folder / "mask.png")
    data = changed(data, 2, mask="mask.png")
    real = tasks.read_photo

    def read(path):
        if path.name == "002.png":
            (data.folder / name).write_bytes((data.folder / "photos/005.png").read_bytes())
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "read_photo", read)
        report = index_catalog(data, Fake(), 1)
    assert counts(report) == (PHOTOS - 1, 0, 1)
    assert "changed while it was being indexed" in report.failed[0][1]
    assert counts(index_catalog(data, Fake(), 1)) == (1, PHOTOS - 1, 0)


def test_output_of_a_library_does_not_disturb_the_results(data, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_CHATTY", "1")
    assert counts(index_catalog(data, Fake(), 2)) == (PHOTOS, 0, 0)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "a library that prints\n" * PHOTOS)


def test_a_copied_catalog_is_ready_and_not_extracted_again(data, tmp_path, extracted):
    index_catalog(data, Fake(), 1)
    copy = CatalogData(shutil.copytree(data.folder, tmp_path / "copy"), *data_of(data))
    extracted.clear()
    assert states(copy) == ["indexed"] * PHOTOS
    assert counts(index_catalog(copy, Fake(), 1)) == (0, PHOTOS, 0)
    assert extracted == []


def test_lost_records_are_rebuilt_without_extraction(data, extracted):
    index_catalog(data, Fake(), 1)
    extracted.clear()
    database_path(data.folder).unlink()
    assert states(data) == ["missing"] * PHOTOS
    assert counts(index_catalog(data, Fake(), 2)) == (0, PHOTOS, 0)
    assert extracted == []
    assert states(data) == ["indexed"] * PHOTOS


def test_a_photo_with_several_annotations_is_decoded_once(data, extracted):
    boxes = [(0, 0, 20, 20), (10, 5, 20, 20), None, (10, 5, 20, 20)]
    rows = tuple(Annotation(i, "photos/000.png", bbox=b) for i, b in enumerate(boxes))
    report = index_catalog(CatalogData(data.folder, rows, ()), Fake(), 1)
    assert extracted == ["000.png"]
    assert counts(report) == (3, 1, 0)  # the fourth annotation equals the second
    content = file_sha256(data.folder / "photos/000.png")
    keys = [s.key for s in catalog_state(CatalogData(data.folder, rows, ()), settings(Fake()))]
    assert keys == [annotation_key(content, box, "") for box in boxes]


@pytest.mark.parametrize("count", [1, 2])
def test_equal_photos_are_extracted_once(data, count):
    for i in (3, 9):
        shutil.copy2(data.folder / "photos/000.png", data.folder / f"photos/{i:03}.png")
    calls = []
    report = index_catalog(data, Fake(), count, progress=lambda *now: calls.append(now))
    assert counts(report) == (PHOTOS - 2, 2, 0)
    assert calls[-1] == (PHOTOS, PHOTOS)
    assert states(data) == ["indexed"] * PHOTOS


def spoil(data):
    """Make photos fail in different ways. Return the data and, by path, a part of each reason."""
    folder = data.folder / "photos"
    (folder / "001.png").write_bytes((folder / "001.png").read_bytes()[:700])
    (folder / "003.png").write_text("no photo at all")
    (folder / "004.png").unlink()
    (folder / "006.png").unlink()
    (folder / "006.png").mkdir()
    data = changed(data, 8, bbox=(100, 100, 5, 5))
    data = changed(data, 9, mask="no-mask.png")
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(data.folder / "small.png")
    return changed(data, 10, mask="small.png"), {
        "photos/001.png": "truncated",
        "photos/003.png": "",
        "photos/004.png": "does not exist",
        "photos/006.png": "cannot be read",
        "photos/008.png": "outside",
        "photos/009.png": "mask no-mask.png does not exist",
        "photos/010.png": "5 x 5",
    }


@pytest.mark.parametrize("count", [1, 2])
def test_bad_photos_are_listed_and_tried_again_and_do_not_stop_the_run(data, count):
    data, reasons = spoil(data)
    calls = []
    report = index_catalog(data, Fake(), count, progress=lambda *now: calls.append(now))
    assert counts(report) == (PHOTOS - len(reasons), 0, len(reasons))
    assert [path for path, _ in report.failed] == sorted(reasons)
    for path, why in report.failed:
        assert reasons[path] in why
        assert "\n" not in why
        assert str(data.folder) not in why or "small.png" in why
    assert load_records(data.folder).failures == dict(report.failed)
    failed = {a.row for a in data.annotations if a.path in reasons}
    assert {i for i, s in enumerate(states(data)) if s == "failed"} == failed
    assert calls[-1] == (PHOTOS, PHOTOS)

    (data.folder / "photos/006.png").rmdir()
    for i in (1, 3, 4, 6):
        make_photo(data.folder / f"photos/{i:03}.png", i)
    for row in (8, 9, 10):
        data = changed(data, row, bbox=None, mask="")
    assert "failed" not in [states(data)[i] for i in (1, 3)]
    mended = index_catalog(data, Fake(), count)
    assert counts(mended) == (len(reasons), PHOTOS - len(reasons), 0)
    assert load_records(data.folder).failures == {}
    assert states(data) == ["indexed"] * PHOTOS


def test_a_bad_box_fails_only_its_annotation_and_not_the_photo(data):
    rows = (Annotation(0, "photos/000.png"), Annotation(1, "photos/000.png", bbox=(99, 99, 2, 2)))
    data = CatalogData(data.folder, rows, ())
    report = index_catalog(data, Fake(), 1)
    assert counts(report) == (1, 0, 1)
    assert states(data) == ["indexed", "failed"]


def test_a_photo_that_is_missing_for_a_time_keeps_its_features(data):
    index_catalog(data, Fake(), 1)
    before = contents(stored(data))
    for i in range(PHOTOS):
        (data.folder / f"photos/{i:03}.png").rename(data.folder / f"{i}.away")
    assert states(data) == ["stale"] * PHOTOS
    assert counts(index_catalog(data, Fake(), 1, prune=True)) == (0, 0, PHOTOS)
    for i in range(PHOTOS):
        (data.folder / f"{i}.away").rename(data.folder / f"photos/{i:03}.png")
    assert counts(index_catalog(data, Fake(), 1)) == (0, PHOTOS, 0)
    assert contents(stored(data)) == before


def test_a_photo_without_features_is_indexed(data):
    Image.fromarray(np.zeros((36, 48, 3), np.uint8)).save(data.folder / "photos/000.png")
    assert counts(index_catalog(data, Fake(), 2)) == (PHOTOS, 0, 0)
    assert sorted(stored(data).counts)[0] == 0
    assert states(data) == ["indexed"] * PHOTOS


def test_removed_rows_are_not_used_and_prune_deletes_their_features(data):
    index_catalog(data, Fake(), 1)
    gone = [s.key for s in catalog_state(data, settings(Fake()))][2:4]
    secret = stored(data).read(gone[0]).descriptors.tobytes()
    left = without(data, 2, 3)
    assert not set(gone) & {s.key for s in catalog_state(left, settings(Fake()))}
    report = index_catalog(left, Fake(), 1)
    assert (report.removed, report.freed_bytes) == (0, 0)
    assert set(gone) <= set(stored(data).keys)
    report = index_catalog(left, Fake(), 1, prune=True)
    assert report.removed == 2
    assert report.freed_bytes > len(secret)
    assert "pruned 2" in report.summary()
    assert not set(gone) & set(stored(data).keys)
    assert len(stored(data)) == PHOTOS - 2
    files = [path for path in (data.folder / HOME).rglob("*") if path.is_file()]
    assert not any(secret in path.read_bytes() for path in files)
    assert not any(b"photos/002.png" in path.read_bytes() for path in files)
    assert counts(index_catalog(data, Fake(), 1)) == (2, PHOTOS - 2, 0)


def test_features_that_a_merge_finds_damaged_are_told_and_come_back(data, monkeypatch):
    index_catalog(without(data, 11), Fake(), 1)
    (path,) = (Path(data.folder) / HOME / "features").glob("*/features-*.h5")
    damage_one(path)
    monkeypatch.setattr(indexing, "CHECK_BYTES", 0)  # more is stored than one run checks
    report = index_catalog(data, Fake(), 1)
    (note,) = (note for note in report.notes if note.code == "features-of-others-damaged")
    assert note.text.startswith("features of the extractor fake_extractor were damaged and removed: index with this")
    assert states(data).count("missing") == 1
    report = index_catalog(data, Fake(), 1)
    assert (report.done, note.code in [note.code for note in report.notes]) == (1, False)


def test_progress_reports_only_stored_features(data, monkeypatch):
    monkeypatch.setattr(writer, "COMMIT_SECONDS", 0.02)
    monkeypatch.setenv("FAKE_SECONDS", "0.01")
    calls = []

    def progress(done, total):
        calls.append((done, total))
        assert len(stored(data)) >= done

    index_catalog(data, Fake(), 2, progress=progress)
    assert calls == sorted(calls)
    assert calls[0] == (0, PHOTOS)
    assert calls[-1] == (PHOTOS, PHOTOS)
    assert len(set(calls)) > 3
    make_photo(data.folder / "photos/001.png", 555)
    calls.clear()
    index_catalog(data, Fake(), 1, progress=lambda *now: calls.append(now))
    assert calls[-1] == (1, 1)


@pytest.mark.parametrize("count", [1, 2])
def test_the_number_of_tasks_in_progress_is_bounded(tmp_path, count):
    handed, taken = [0], [0]

    class Counting:
        window = executor.Pool(count, ()).window

        def submit(self, task):
            handed[0] += 1
            assert handed[0] - taken[0] <= self.window
            return executor.Here(()).submit(task)

    class Task:
        def run(self, *context):
            return 1

    for _ in executor.in_order(Counting(), range(1000), lambda i: Task()):
        taken[0] += 1
    assert (handed[0], taken[0]) == (1000, 1000)


def test_paths_may_be_long_and_have_spaces_and_any_script(tmp_path):
    names = [
        "a" * 100 + "/" + "b" * 100 + "/" + "c" * 96 + ".png",
        "снежный барс/мать № 1.png",
        "100% #1 'x' & \"y\".png",
    ]
    if sys.platform == "win32":
        names = ["снежный барс/мать № 1.png"]
    for i, name in enumerate(names):
        make_photo(tmp_path / name, i)
    data = CatalogData(tmp_path, tuple(Annotation(i, name) for i, name in enumerate(names)), ())
    assert counts(index_catalog(data, Fake(), 2)) == (len(names), 0, 0)
    assert states(data) == ["indexed"] * len(names)


def test_a_relative_folder_with_linked_photos_is_indexed(tmp_path, monkeypatch, data):
    os.symlink(data.folder / "photos", data.folder / "linked")
    rows = tuple(dataclasses.replace(a, path=a.path.replace("photos", "linked")) for a in data.annotations)
    monkeypatch.chdir(tmp_path)
    linked = CatalogData(Path("catalog"), rows, ())
    assert counts(index_catalog(linked, Fake(), 2)) == (PHOTOS, 0, 0)
    assert states(linked) == ["indexed"] * PHOTOS


def test_an_empty_catalog_is_indexed_without_progress(tmp_path):
    data = CatalogData(tmp_path, (), ())
    assert counts(index_catalog(data, Fake(), 2, progress=lambda *now: pytest.fail("progress was reported"))) == (
        0,
        0,
        0,
    )
    assert catalog_state(data, settings(Fake())) == ()


def test_reading_the_state_writes_nothing(data):
    index_catalog(data, Fake(), 1)
    before = {p: p.stat().st_mtime_ns for p in data.folder.rglob("*")}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert states(data) == ["indexed"] * PHOTOS
        assert len(stored(data)) == PHOTOS
        assert {p: p.stat().st_mtime_ns for p in data.folder.rglob("*")} == before
    finally:
        for path in before:
            path.chmod(0o755)


def test_a_catalog_that_cannot_be_written_raises_an_error_of_one_line(data):
    (data.folder / HOME).write_text("in the way")
    with pytest.raises(SnowmatchError, match="cannot write in") as error:
        index_catalog(data, Fake(), 1)
    assert "\n" not in str(error.value)


def test_a_second_run_at_the_same_time_raises_an_error(data):
    with (
        writer.FeatureWriter(data.folder / HOME / "features", settings(Fake())),
        pytest.raises(SnowmatchError, match=f"being indexed by process {os.getpid()}"),
    ):
        index_catalog(data, Fake(seed=1), 1)
    assert counts(index_catalog(data, Fake(), 1)) == (PHOTOS, 0, 0)


def test_a_full_disk_keeps_the_reported_features(data, monkeypatch):
    monkeypatch.setattr(writer, "COMMIT_SECONDS", 0.0)
    reported, room = [0], [5]
    real = writer.write_segment

    def write(*args):
        room[0] -= 1
        if room[0] < 0:
            raise files.unwritable(data.folder, OSError(28, "No space left on device"))
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_segment", write)
        with pytest.raises(SnowmatchError, match="No space left on device"):
            index_catalog(data, Fake(), 1, progress=lambda done, total: reported.append(done))
    assert reported[-1] == len(stored(data)) == 5
    assert counts(index_catalog(data, Fake(), 1)) == (PHOTOS - 5, 5, 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_killed_worker_raises_an_error_and_finished_photos_are_kept(data, monkeypatch):
    Image.fromarray(np.full((36, 48, 3), 255, np.uint8)).save(data.folder / "photos/008.png")
    extractor = Fake(deadly=True)
    with pytest.raises(
        SnowmatchError, match=r"killed at photos/008\.png .*memory.*is kept.*with fewer processes"
    ) as error:
        index_catalog(data, extractor, 2)
    assert "\n" not in str(error.value)
    assert len(stored(data, extractor)) == 8
    make_photo(data.folder / "photos/008.png", 8)
    assert counts(index_catalog(data, extractor, 2)) == (PHOTOS - 8, 8, 0)


SCRIPT = """
import sys; sys.path[:0] = sys.argv[2:]
from pathlib import Path
import fake_extractor
print("printed once")
fake_extractor.run(Path(sys.argv[1]), 2)
"""


def test_a_script_without_a_main_guard_can_index_in_parallel(data, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(data.folder), os.path.dirname(__file__), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count("printed once") == 1
    assert done.stdout.splitlines()[-1] == f"end {PHOTOS} 0"
    assert done.stderr == ""


def start(folder, count, seconds, stuck=None):
    """Start a run in its own process, wait until it begins to work, and return the process.

    stuck: an empty folder; the run then does not end by itself: it goes on to about the sixth photo.
    """
    more = {} if stuck is None else {"FAKE_STUCK": str(stuck)}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fake_extractor.py")), str(folder), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FAKE_SECONDS": str(seconds), "PYTHONPATH": os.pathsep.join(sys.path), **more},
    )
    assert process.stdout.readline() == "ready\n"
    return process


def reported(out):
    lines = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n") and line[0].isdigit()]
    return int(lines[-1][0]) if lines else 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT")
@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_keeps_finished_photos(data, count, tmp_path_factory):
    process = start(data.folder, count, 0.1, tmp_path_factory.mktemp("extracted"))
    for line in process.stdout:
        if int(line.split()[0]) >= 3:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    assert err.count("Traceback") <= 2  # of the main process, not of its workers
    assert "executor.py" not in err.split("KeyboardInterrupt")[-1]
    kept = len(stored(data))
    assert max(3, reported(out)) <= kept < PHOTOS
    report = index_catalog(data, Fake(), count)
    assert counts(report) == (PHOTOS - kept, kept, 0)


def kill_runs(tmp_path, kills, photos, seconds):
    """Kill runs at random times, half of them while features are extracted, which is a small part of the time.

    Check after each that no finished photo is lost and the next run completes.
    """
    whole = make_catalog(tmp_path / "whole", photos)
    begin = time.monotonic()
    process = start(whole.folder, 1, seconds)
    ready = time.monotonic()
    process.stdout.readline()
    first = time.monotonic()
    out, err = process.communicate()
    whole_time, extracting = time.monotonic() - ready, time.monotonic() - first
    assert process.returncode == 0, err
    assert ready - begin < 60
    expected = contents(stored(whole))
    assert len(expected) == photos
    chance = random.Random(7)
    stored_counts = []
    for trial in range(kills):
        workers_count = 1 + trial % 2
        folder = shutil.copytree(whole.folder, tmp_path / str(trial), ignore=shutil.ignore_patterns(HOME))
        data = CatalogData(folder, whole.annotations, ())
        process = start(folder, workers_count, seconds)
        if trial % 4 < 2:
            process.stdout.readline()
        time.sleep(chance.uniform(0, (extracting if trial % 4 < 2 else whole_time) * 1.02))
        process.kill()
        out, _ = process.communicate()
        reader = stored(data)
        kept = len(reader)
        stored_counts.append(kept)
        assert reported(out) <= kept
        assert set(contents(reader)) <= set(expected)
        for path in (folder / HOME).glob("*.tmp"):  # another command may be writing it, until it is a day old
            os.utime(path, times=(time.time() - 2 * files.LEFT_OVER,) * 2)
        report = index_catalog(data, Fake(), 1)
        assert counts(report) == (photos - kept, kept, 0)
        assert contents(stored(data)) == expected
        assert not list(folder.rglob("*.tmp"))
        assert states(data) == ["indexed"] * photos
        shutil.rmtree(folder)
    return stored_counts


@pytest.mark.slow
def test_a_killed_run_loses_no_finished_photo(tmp_path):
    assert len(kill_runs(tmp_path, 4, 16, 0.03)) == 4


@pytest.mark.slow
def test_thirty_killed_runs_lose_no_finished_photo(tmp_path):
    kept = kill_runs(tmp_path, 30, 40, 0.02)
    print("photos that were finished:", sorted(kept))  # the runs were killed in different states


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_the_workers_of_a_killed_run_end(data, tmp_path_factory):
    process = start(data.folder, 2, 0.2, tmp_path_factory.mktemp("extracted"))
    for line in process.stdout:
        if int(line.split()[0]) >= 1:
            break
    children = set()
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            children |= set((thread / "children").read_text().split())
    process.kill()
    process.communicate()
    assert len(children) == 2
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_the_number_of_workers_is_checked_and_defaults_to_the_cores(data):
    with pytest.raises(ValueError, match="workers is 0"):
        index_catalog(data, Fake(), 0)
    assert 1 <= executor.cores() <= (os.cpu_count() or 1)
    assert counts(index_catalog(data, Fake())) == (PHOTOS, 0, 0)
