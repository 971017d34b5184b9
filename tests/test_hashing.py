"""The order of an index run: photos are read, looked at, and extracted; what each step tells, and what it remembers."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
from drawn_scenes import make_survey
from fake_extractor import Fake, age, contents, make_catalog, make_photo
from PIL import Image

import snowmatch
from snowmatch.catalog.load import CatalogData
from snowmatch.catalog.records import load_records
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.core.home import features_path
from snowmatch.core.plugins import settings
from snowmatch.features import hashing
from snowmatch.features.indexing import index_catalog
from snowmatch.features.reader import open_features
from snowmatch.photos import formats

PHOTOS = 6


@pytest.fixture
def data(tmp_path):
    return make_catalog(tmp_path / "catalog", PHOTOS)


class Told:
    """The calls of the three progress functions, in order."""

    def __init__(self):
        self.calls = []

    def options(self):
        return {name: self._of(name) for name in ("reading", "mapping", "progress")}

    def _of(self, name):
        return lambda done, total: self.calls.append((name, done, total))

    def of(self, name):
        return [(done, total) for step, done, total in self.calls if step == name]


def no_boxes(data):
    return dataclasses.replace(data, settings=CatalogSettings(classifier="none"))


# -------------------------------------------------------------------------------------------------------- progress


def test_every_step_counts_up_to_its_total_and_the_steps_follow_each_other(tmp_path):
    data = no_boxes(make_survey(tmp_path / "catalog"))
    told = Told()
    index_catalog(data, Fake(), 1, **told.options())
    for step in ("reading", "mapping"):
        assert told.of(step) == [(n, 12) for n in range(1, 13)]
    done = [n for n, _ in told.of("progress")]
    assert done == sorted(done)
    assert told.of("progress")[-1] == (12, 12)
    steps = list(dict.fromkeys(step for step, _, _ in told.calls))
    assert steps == ["reading", "mapping", "progress"]
    assert [step for step, _, _ in told.calls] == sorted((s for s, _, _ in told.calls), key=steps.index)


def test_a_run_with_nothing_to_do_tells_nothing(data):
    index_catalog(data, Fake(), 1)
    told = Told()
    index_catalog(data, Fake(), 1, **told.options())
    assert told.calls == []


def test_only_new_and_changed_photos_are_read(data):
    index_catalog(data, Fake(), 1)
    make_photo(data.folder / "photos/002.png", 100)
    make_photo(data.folder / "photos/new.png", 101)
    more = CatalogData(data.folder, (*data.annotations, dataclasses.replace(data.annotations[0], row=PHOTOS,
                                                                         path="photos/new.png")), ())  # fmt: skip
    told = Told()
    report = index_catalog(more, Fake(), 1, **told.options())
    assert told.of("reading") == [(1, 2), (2, 2)]
    assert told.of("progress")[-1] == (2, 2)
    assert (report.done, report.reused) == (2, PHOTOS - 1)


def test_a_photo_with_several_animals_and_its_masks_is_read_as_one(data):
    Image.fromarray(np.full((36, 48), 255, np.uint8)).save(data.folder / "mask.png")
    age(data.folder / "mask.png")
    twice = dataclasses.replace(data.annotations[0], row=PHOTOS, mask="mask.png")
    told = Told()
    index_catalog(CatalogData(data.folder, (*data.annotations, twice), ()), Fake(), 1, **told.options())
    assert told.of("reading")[-1] == (PHOTOS, PHOTOS)
    assert told.of("progress")[-1] == (PHOTOS + 1, PHOTOS + 1)
    assert set(load_records(data.folder).masks) == {"mask.png"}


def test_photos_that_cannot_be_read_count_too(data):
    (data.folder / "photos/001.png").unlink()
    (data.folder / "photos/003.png").write_bytes(b"no photo")
    told = Told()
    report = index_catalog(data, Fake(), 1, **told.options())
    assert told.of("reading")[-1] == (PHOTOS, PHOTOS)
    assert told.of("progress")[-1] == (PHOTOS, PHOTOS)
    assert [path for path, _ in report.failed] == ["photos/001.png", "photos/003.png"]


# -------------------------------------------------------------------------------------------------------- new rows


def write_table(folder, names):
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "individual", "bbox"], *([name, "cat", "1,2,40,30"] for name in names)])


def test_a_row_that_is_added_while_the_run_reads_is_indexed(data):
    names = [a.path for a in data.annotations]
    write_table(data.folder, names)
    make_photo(data.folder / "late.png", 77)

    def add(done, total):
        if done == 2:
            write_table(data.folder, [*names, "late.png"])

    catalog = snowmatch.open_catalog(data.folder, classifier="none")
    report = catalog.index("sift", workers=1, reading=add)
    assert report.failed == ()
    assert report.done == PHOTOS + 1
    assert report.catalog.annotations[-1].path == "late.png"
    assert "late.png" in load_records(data.folder).photos
    again = snowmatch.open_catalog(data.folder).index("sift", workers=1)
    assert (again.done, again.reused) == (0, PHOTOS + 1)


def test_a_row_that_is_removed_while_the_run_reads_is_not_indexed(data):
    names = [a.path for a in data.annotations]
    write_table(data.folder, names)

    def remove(done, total):
        if done == 2:
            write_table(data.folder, names[1:])

    report = snowmatch.open_catalog(data.folder, classifier="none").index("sift", workers=1, reading=remove)
    assert (report.done, report.failed) == (PHOTOS - 1, ())
    assert [a.path for a in report.catalog.annotations] == names[1:]


# ----------------------------------------------------------------------------------------------------------- notes


def codes(report):
    return [note.code for note in report.notes]


@pytest.fixture
def without_weights(monkeypatch):
    monkeypatch.setattr("snowmatch.screening.finders.weights_are_here", lambda *_: False)


@pytest.mark.usefixtures("without_weights")
def test_the_note_on_a_missing_classifier_counts_photos_without_box_and_mask(data):
    Image.fromarray(np.full((36, 48), 255, np.uint8)).save(data.folder / "mask.png")
    boxed = [dataclasses.replace(a, bbox=(1, 2, 30, 20)) for a in data.annotations]
    masked = [dataclasses.replace(a, mask="mask.png") for a in data.annotations]
    for annotations, count in (
        (data.annotations, PHOTOS),
        (boxed, 0),
        (masked, 0),
        ((*boxed[:2], *masked[2:4], *data.annotations[4:]), PHOTOS - 4),
    ):
        report = index_catalog(CatalogData(data.folder, tuple(annotations), ()), Fake(), 1)
        assert [note.data["count"] for note in report.notes if note.code == "no-classifier"] == [count] * bool(count)


@pytest.mark.usefixtures("without_weights")
def test_a_box_that_snowmatch_found_does_not_hide_the_note(data):
    found = tuple(dataclasses.replace(a, bbox=(1, 2, 30, 20), box_by="burst") for a in data.annotations)
    assert "no-classifier" in codes(index_catalog(CatalogData(data.folder, found, ()), Fake(), 1))


@pytest.mark.usefixtures("without_weights")
def test_who_wants_no_classifier_gets_no_note(data):
    assert codes(index_catalog(no_boxes(data), Fake(), 1)) == []


# -------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("bad", [b"no photo", b""])
def test_a_photo_that_was_replaced_is_no_failure_any_more(data, bad):
    path = data.folder / "photos/003.png"
    good = path.read_bytes()
    path.write_bytes(bad)
    age(path, 50)
    assert [name for name, _ in index_catalog(data, Fake(), 1).failed] == ["photos/003.png"]
    assert set(load_records(data.folder).failures) == {"photos/003.png"}
    path.write_bytes(good)
    age(path, 40)
    report = index_catalog(data, Fake(), 1)
    assert (report.done, report.failed) == (1, ())
    assert load_records(data.folder).failures == {}


def test_in_the_run_that_finds_a_new_photo_it_is_a_companion_again(tmp_path):
    """The failure is forgotten before the maps are made, so that the maps of its burst need no further run."""
    data = no_boxes(make_survey(tmp_path / "catalog"))
    path = data.folder / "photos/s0e0n1.png"
    good = path.read_bytes()
    path.write_bytes(good[:300])
    age(path, 50)
    for _ in range(2):
        assert [name for name, _ in index_catalog(data, Fake(), 1).failed] == ["photos/s0e0n1.png"]
    path.write_bytes(good)
    age(path, 40)
    assert index_catalog(data, Fake(), 1).failed == ()
    assert index_catalog(data, Fake(), 1).mapped == 0


def test_a_photo_that_can_be_read_later_gets_its_facts(data, monkeypatch):
    """Such as a HEIC photo after its package was installed: the file is the same."""
    index_catalog(data, Fake(), 1)
    known = load_records(data.folder).photos["photos/003.png"]
    shutil.rmtree(data.folder / ".snowmatch")
    with monkeypatch.context() as lacking:
        lacking.setattr(formats, "FORMATS", ("JPEG",))
        assert len(index_catalog(data, Fake(), 1).failed) == PHOTOS
    report = index_catalog(data, Fake(), 1)
    assert (report.done, report.failed) == (PHOTOS, ())
    assert load_records(data.folder).photos["photos/003.png"].facts == known.facts


def test_a_photo_that_is_still_bad_stays_a_failure(data):
    path = data.folder / "photos/003.png"
    for text in (b"no photo", b"no photo again"):
        path.write_bytes(text)
        assert [name for name, _ in index_catalog(data, Fake(), 1).failed] == ["photos/003.png"]


# --------------------------------------------------------------------------------------------------------- workers


def facts(records):
    """Return what the records say about the content of files: not when they were checked."""
    known = {(kind, path): f for kind in ("photos", "masks") for path, f in getattr(records, kind).items()}
    return {name: (f.sha256, f.facts) for name, f in known.items()}


def test_one_and_two_workers_give_the_same_records(data, tmp_path, monkeypatch):
    monkeypatch.setattr(hashing, "FEW_PHOTOS", 1)
    started = []
    real = hashing.open_pool
    monkeypatch.setattr(hashing, "open_pool", lambda count, *more: started.append(count) or real(count, *more))
    (data.folder / "photos/001.png").write_bytes(b"no photo")
    Image.fromarray(np.full((36, 48), 255, np.uint8)).save(data.folder / "mask.png")
    rows = (*data.annotations, dataclasses.replace(data.annotations[2], row=PHOTOS, mask="mask.png"))
    results = []
    for workers in (1, 2):
        told = Told()
        index_catalog(no_boxes(CatalogData(data.folder, rows, ())), Fake(), workers, **told.options())
        records = load_records(data.folder)
        stored = open_features(features_path(data.folder), settings(Fake()))
        results.append((facts(records), records.failures, contents(stored), told.of("reading")))
        home = data.folder / ".snowmatch"
        home.rename(tmp_path / f"home{workers}")
    assert results[0] == results[1]
    assert len(results[0][0]) >= PHOTOS
    assert started == [1, 2]
