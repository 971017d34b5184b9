"""Foreground maps in index runs: what is made, kept, renewed and mended."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest
from drawn_scenes import WALK, catalog, coats, frame_of, grey_file, make_survey, station_survey
from fake_extractor import Fake
from PIL import Image
from test_maps import CHANGES, lose, rows_of, spoil, stored
from test_scenery import animal_area, rocks, take

from snowmatch.catalog.found import BY_MAPS, load_found, save_found
from snowmatch.catalog.ids import load_ids
from snowmatch.catalog.load import CatalogData
from snowmatch.core import executor
from snowmatch.core.files import file_sha256
from snowmatch.core.home import home_of, old_maps_path
from snowmatch.core.types import Annotation
from snowmatch.features import tasks
from snowmatch.features.indexing import index_catalog
from snowmatch.screening import mapping, scenes
from snowmatch.screening.maps import load_marks
from snowmatch.screening.scenes import CELL
from snowmatch.screening.stored_maps import open_maps

__all__ = ["catalog", "coats", "station_survey"]  # fixtures

# --- index runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A survey that was indexed: its photos have maps."""
    data = make_survey(tmp_path_factory.mktemp("drawn") / "catalog")
    assert index_catalog(data, Fake(), 1).mapped == 12
    return data


@pytest.fixture
def data(drawn, tmp_path):
    """The survey, not yet indexed."""
    scenes.kept_preview.cache_clear()
    shutil.copytree(drawn.folder, tmp_path / "catalog", ignore=shutil.ignore_patterns(home_of(drawn.folder).name))
    return CatalogData(tmp_path / "catalog", drawn.annotations, ())


@pytest.fixture
def indexed(drawn, tmp_path):
    """The survey with its maps, in a copy whose photos are on record."""
    scenes.kept_preview.cache_clear()
    data = CatalogData(shutil.copytree(drawn.folder, tmp_path / "catalog"), drawn.annotations, ())
    assert index_catalog(data, Fake(), 1).mapped == 0
    return data


def with_rows(data, annotations):
    return CatalogData(data.folder, tuple(dataclasses.replace(a, row=n) for n, a in enumerate(annotations)), ())


def with_mask(data, annotation):
    grey_file(data.folder / "mask.png", np.full((160, 240), 255, np.uint8))
    return dataclasses.replace(annotation, mask="mask.png")


def maps_of(data):
    """Return the entries of the maps on disk, by path."""
    entries = stored(data.folder)
    paths = {file_sha256(data.folder / a.path)[:16]: a.path for a in data.annotations}
    assert set(entries) <= set(paths)
    return {paths[photo]: entry for photo, entry in entries.items()}


def test_an_index_run_makes_a_map_for_every_animal(data):
    calls = []
    report = index_catalog(data, Fake(), 1, mapping=lambda *now: calls.append(now))
    assert report.mapped == len(data.annotations) == 12
    assert calls == [(n, 12) for n in range(1, 13)]
    assert "12 photos in which the animal was looked for" in report.summary()
    maps = open_maps(data.folder)
    assert len(maps.photos) == 12
    for a in data.annotations:
        found = maps.of_content(file_sha256(data.folder / a.path))
        assert found.evidence == "burst and station"
        shot, encounter = int(a.path[-5]), int(a.path[-7])
        rows, columns = (
            slice(s.start // CELL + 2, s.stop // CELL - 2) for s in animal_area(WALK[(shot + encounter) % 3])
        )
        assert found.values[rows, columns].mean() > 230
        assert (found.values > 127).mean() < 0.07


def test_a_second_run_reads_no_photo_and_writes_no_map(indexed, monkeypatch):
    before = rows_of(indexed.folder)
    monkeypatch.setattr(scenes, "read_grey", lambda path, least: pytest.fail(f"{path} was read"))
    scenes.kept_preview.cache_clear()
    report = index_catalog(indexed, Fake(), 1, mapping=lambda *now: pytest.fail("a photo was looked at"))
    assert report.mapped == 0
    assert "compared with" not in report.summary()
    assert index_catalog(indexed, Fake(seed=1), 1).mapped == 0  # other features, the same photos
    assert rows_of(indexed.folder) == before


def test_photos_with_masks_are_only_searched_for_bars(data):
    masked = with_rows(data, [with_mask(data, a) for a in data.annotations])
    assert index_catalog(masked, Fake(), 1).mapped == 12
    assert {entry[1] for entry in maps_of(data).values()} == {None}
    path = data.folder / data.annotations[0].path
    grey = np.array(Image.open(path).convert("L"))
    grey[:12] = 0
    grey_file(path, grey)
    assert index_catalog(masked, Fake(), 1).mapped == 1
    evidence, shape, values = maps_of(data)[data.annotations[0].path][1]
    bar = np.frombuffer(values, np.uint8).reshape(shape)
    assert evidence == ""
    assert not bar[:3].any()
    assert (bar[3:] == 255).all()


def test_a_new_photo_renews_only_maps_of_its_burst_and_station(data):
    lone = with_rows(data, [a for a in data.annotations if "e0" in a.path])
    index_catalog(lone, Fake(), 1)
    before = maps_of(lone)
    assert {entry[1][0] for entry in before.values()} == {"burst"}
    grey_file(data.folder / "photos/s0e0n3.png", take(rocks(0), (160, 30), coat=0))
    added = Annotation(0, "photos/s0e0n3.png", station="S0", encounter="s0e0", location="naryn")
    more = with_rows(data, [*lone.annotations, added])
    assert index_catalog(more, Fake(), 1).mapped == 4
    after = maps_of(more)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {f"photos/s0e0n{n}.png" for n in range(4)}
    # another passage at the station: its three photos, and four photos that have it as a new companion
    visited = with_rows(data, [*more.annotations, *(a for a in data.annotations if "s0e1" in a.path)])
    assert index_catalog(visited, Fake(), 1).mapped == 7
    last = maps_of(visited)
    assert {path for path in last if last[path] != after.get(path)} == {p for p in last if "s0" in p}
    assert {last[path][1][0] for path in last if "s0" in path} == {"burst and station"}


def test_a_photo_with_new_content_renews_maps_of_its_burst(data):
    lone = with_rows(data, [a for a in data.annotations if "e0" in a.path])
    index_catalog(lone, Fake(), 1)
    before = maps_of(lone)
    grey_file(data.folder / "photos/s1e0n1.png", take(rocks(1), (120, 40), coat=10))
    assert index_catalog(lone, Fake(), 1).mapped == 3
    after = maps_of(lone)
    assert {path for path in after if after[path] != before.get(path)} == {f"photos/s1e0n{n}.png" for n in range(3)}
    assert len(after) == len(before) == 6


def test_photos_that_leave_the_catalog_lose_their_map_and_a_mask_replaces_it(indexed):
    fewer = with_rows(indexed, [a for a in indexed.annotations if "s0" in a.path])
    assert index_catalog(fewer, Fake(), 1).mapped == 0
    assert set(maps_of(indexed)) == {a.path for a in fewer.annotations}
    masked = [with_mask(indexed, a) if "e0" in a.path else a for a in fewer.annotations]
    assert index_catalog(with_rows(indexed, masked), Fake(), 1).mapped == 3  # a mask changes nothing for the others
    kept = maps_of(indexed)
    assert {path for path, entry in kept.items() if entry[1]} == {f"photos/s0e1n{n}.png" for n in range(3)}
    masked.pop(0)
    assert index_catalog(with_rows(indexed, masked), Fake(), 1).mapped == 3
    assert index_catalog(fewer, Fake(), 1).mapped == 6


def test_one_and_two_processes_make_the_same_maps(indexed, monkeypatch):
    pools = []

    class Counting(executor.Pool):
        def __init__(self, workers, *args):
            pools.append(workers)
            super().__init__(workers, *args)

    here = stored(indexed.folder)
    monkeypatch.setattr(executor, "Pool", Counting)
    lose(indexed.folder)
    assert index_catalog(indexed, Fake(), 2).mapped == 12
    assert pools == []  # to make few maps is faster than to start a process
    monkeypatch.setattr(mapping, "FEW_MAPS", 3)
    lose(indexed.folder)
    assert index_catalog(indexed, Fake(), 2).mapped == 12
    assert pools == [2]
    assert stored(indexed.folder) == here


def test_the_order_of_the_rows_changes_no_map(indexed):
    first = stored(indexed.folder)
    lose(indexed.folder)
    scenes.kept_preview.cache_clear()
    turned = with_rows(indexed, indexed.annotations[::-1])
    assert index_catalog(turned, Fake(), 1).mapped == 12
    assert stored(indexed.folder) == first


def test_a_stopped_run_keeps_its_maps_and_the_next_run_continues(data):
    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_catalog(data, Fake(), 1, mapping=stop)
    kept = maps_of(data)
    assert len(kept) == 5
    calls = []
    report = index_catalog(data, Fake(), 1, mapping=lambda *now: calls.append(now))
    assert (report.done, report.reused, report.mapped) == (12, 0, 7)  # the boxes come before the features
    assert calls[-1] == (7, 7)
    stopped = stored(data.folder)
    assert maps_of(data).items() >= kept.items()
    lose(data.folder)
    scenes.kept_preview.cache_clear()
    index_catalog(data, Fake(), 1)
    assert stored(data.folder) == stopped


def test_maps_are_saved_during_a_long_run(data, monkeypatch):
    monkeypatch.setattr(mapping, "SAVE_SECONDS", -1.0)
    monkeypatch.setattr(mapping, "SAVE_SHARE", 1e9)
    on_disk = []
    index_catalog(data, Fake(), 1, mapping=lambda done, total: on_disk.append(len(load_marks(data.folder))))
    assert on_disk == list(range(12))


def test_a_bad_photo_is_ignored_and_the_others_get_maps(data):
    bad = data.folder / "photos/s0e0n1.png"
    bad.write_bytes(bad.read_bytes()[:300])
    report = index_catalog(data, Fake(), 1)
    assert [path for path, _ in report.failed] == ["photos/s0e0n1.png"]
    maps = maps_of(data)
    assert maps.pop("photos/s0e0n1.png") == ("", None)
    assert all(entry[1] is not None for entry in maps.values())
    index_catalog(data, Fake(), 1)  # the photo is known as bad now
    assert maps_of(data)["photos/s0e0n1.png"] == ("", None)  # what is known stays while the catalog has the photo
    assert index_catalog(data, Fake(), 1).mapped == 0
    grey_file(bad, frame_of(0, 0, 1))
    assert index_catalog(data, Fake(), 1).mapped > 0
    assert all(entry[1] is not None for entry in maps_of(data).values())
    assert len(maps_of(data)) == 12


def test_photos_without_common_scenery_have_an_entry_without_a_map(tmp_path):
    annotations = []
    for n in range(3):
        path = f"{n}.png"
        grey_file(tmp_path / path, take(rocks(20 + n), WALK[n]))
        annotations.append(Annotation(n, path, station="S1", encounter="E1"))
    data = CatalogData(tmp_path, tuple(annotations), ())
    assert index_catalog(data, Fake(), 1).mapped == 3
    assert [found for _, found in maps_of(data).values()] == [None] * 3
    assert index_catalog(data, Fake(), 1).mapped == 0


def test_maps_of_the_same_photo_in_two_passages_are_not_made_again_and_again(data):
    grey_file(data.folder / "photos/copy.png", frame_of(0, 0, 0))
    copy = Annotation(0, "photos/copy.png", station="S1", encounter="s1e0", location="naryn")
    data = with_rows(data, [*data.annotations, copy])
    index_catalog(data, Fake(), 1)
    before = stored(data.folder)
    for _ in range(2):
        assert index_catalog(data, Fake(), 1).mapped == 0
        assert stored(data.folder) == before


@pytest.mark.parametrize("size", [(3000, 5), (1, 1), (4, 900)])
def test_photos_of_unusual_shapes_do_not_stop_a_run(tmp_path, size):
    annotations = []
    for n in range(3):
        grey = np.random.default_rng(n).integers(0, 256, size[::-1], dtype=np.uint8)
        grey_file(tmp_path / f"{n}.png", grey)
        annotations.append(Annotation(n, f"{n}.png", station="S1", encounter=f"E{n // 2}"))
    report = index_catalog(CatalogData(tmp_path, tuple(annotations), ()), Fake(), 1)
    assert (report.done, report.mapped, report.failed) == (3, 3, ())


@pytest.mark.parametrize("column", CHANGES)
def test_a_damaged_map_is_made_again_alone_and_without_new_features(indexed, column):
    sound = stored(indexed.folder)
    spoil(indexed.folder, column, sorted(sound)[5])
    report = index_catalog(indexed, Fake(), 1)
    assert (report.done, report.reused, report.mapped) == (0, 12, 1)
    (note,) = [note for note in report.notes if note.code == "maps-mended"]
    assert note.text == "1 foreground map in the database of photos was damaged and made again"
    assert stored(indexed.folder) == sound
    assert len(rows_of(indexed.folder)) == 12
    again = index_catalog(indexed, Fake(), 1)
    assert again.mapped == 0
    assert not [note for note in again.notes if note.code == "maps-mended"]


def test_the_file_of_maps_of_older_versions_is_not_read_and_goes(indexed):
    before = stored(indexed.folder)
    old_maps_path(indexed.folder).write_bytes(b"of an older version")
    assert index_catalog(indexed, Fake(), 1).mapped == 0
    assert not old_maps_path(indexed.folder).exists()
    old_maps_path(indexed.folder).mkdir()
    assert index_catalog(indexed, Fake(), 1).mapped == 0
    assert stored(indexed.folder) == before


def test_lost_boxes_of_many_maps_are_made_again_in_parts(data, monkeypatch):
    monkeypatch.setattr(mapping, "AT_ONCE", 5)
    index_catalog(data, Fake(), 1)
    before = load_found(data.folder, BY_MAPS)
    assert sum(map(len, before.values())) >= 6
    save_found(data.folder, BY_MAPS, {})
    assert index_catalog(data, Fake(), 1).mapped == 0
    assert load_found(data.folder, BY_MAPS) == before


def test_a_map_is_made_again_if_a_companion_could_not_be_read(data, monkeypatch):
    read, away = scenes.read_preview, data.folder / "photos/s0e0n1.png"
    monkeypatch.setattr(scenes, "read_preview", lambda path, *of: None if path == away else read(path, *of))
    index_catalog(data, Fake(), 1)
    monkeypatch.undo()
    report = index_catalog(data, Fake(), 1)
    assert 0 < report.mapped <= 12
    fresh = maps_of(data)
    lose(data.folder)
    index_catalog(data, Fake(), 1)
    assert maps_of(data) == fresh
    assert index_catalog(data, Fake(), 1).mapped == 0


@pytest.mark.parametrize("lost", ["read_photo", "take_photo"])
def test_photos_that_once_needed_too_much_memory_are_compared_by_the_next_run(data, monkeypatch, lost):
    """As if nothing had failed: also where the photo was known to the first run, and in the same process."""
    notes = index_catalog(data, Fake(), 1).notes
    fresh = stored(data.folder), load_found(data.folder, BY_MAPS), load_ids(data.folder)
    shutil.rmtree(home_of(data.folder))
    scenes.kept_preview.cache_clear()
    small, failing = {"s0e0n1.png", "s1e0n0.png"}, ["photos/s0e0n1.png", "photos/s1e0n0.png"]
    for module, name in ((tasks, lost), (scenes, "read_grey")):
        read = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda path, *a, read=read, **k: too_large(path, small) or read(path, *a, **k)
        )
    assert [path for path, _ in index_catalog(data, Fake(), 1).failed] == failing
    monkeypatch.undo()
    report = index_catalog(data, Fake(), 1)
    assert (report.failed, report.notes) == ((), notes)
    assert (stored(data.folder), load_found(data.folder, BY_MAPS), load_ids(data.folder)) == fresh
    assert index_catalog(data, Fake(), 1).mapped == 0


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("Insufficient memory")])
def test_a_map_that_needed_too_much_memory_is_made_by_the_next_run(indexed, monkeypatch, error):
    error.code = cv2.Error.StsNoMem
    fresh = stored(indexed.folder)
    lose(indexed.folder)

    def fail(*_):
        raise error

    monkeypatch.setattr(scenes, "foreground_map", fail)
    assert index_catalog(indexed, Fake(), 1).failed == ()
    assert set(maps_of(indexed).values()) == {("", None)}
    error.code = cv2.Error.StsAssert
    if isinstance(error, cv2.error):
        with pytest.raises(cv2.error):  # a mistake of the program is not hidden
            index_catalog(indexed, Fake(), 1)
    monkeypatch.undo()
    assert index_catalog(indexed, Fake(), 1).mapped == 12
    assert stored(indexed.folder) == fresh


def too_large(path, names):
    if path.name in names:
        raise MemoryError
