"""Foreground maps: which photos are compared, what is stored, and the effect on indexing, queries and evaluation."""

import dataclasses
import hashlib
import random
import shutil
from collections import Counter
from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from fake_extractor import Fake, age
from PIL import Image
from test_maps import CHANGES, lose, rows_of, spoil, stored
from test_scenery import PLACES, animal_area, rocks, take

import snowmatch
from snowmatch.catalog.found import BY_MAPS, load_found, save_found
from snowmatch.catalog.ids import load_ids
from snowmatch.catalog.load import CatalogData
from snowmatch.core import executor
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import home_of, old_maps_path
from snowmatch.core.types import Annotation
from snowmatch.demo.coats import grow_coat
from snowmatch.features import tasks
from snowmatch.features.indexing import index_catalog
from snowmatch.photos.pixels import read_grey, read_photo
from snowmatch.screening import mapping, scenes
from snowmatch.screening.maps import load_marks
from snowmatch.screening.scenery import PREVIEW, make_preview
from snowmatch.screening.scenes import CELL, MOST, Companions, Finders, companions, look, make_map
from snowmatch.screening.stored_maps import open_maps

NOON = datetime(2024, 5, 1, 12)
WALK = ((50, 60), (120, 90), (185, 60))  # where the animal is in a burst of new photos


def note(path, **fields):
    return Annotation(0, path, **{"location": "naryn", "station": "S1", "encounter": "E1", **fields})


def contents(annotations):
    return {a.path: f"sha-{a.path}" for a in annotations}


def planned(annotations, known=None):
    """Return the companions by path: {path: (burst paths, station paths)}."""
    found = companions(annotations, contents(annotations) if known is None else known)
    return {c.photo[0]: (sorted(path for path, _ in c.burst), sorted(path for path, _ in c.station)) for c in found}


# ------------------------------------------------------------------------------------------------------ companions


def test_companions_are_frames_of_the_passage_and_photos_of_the_stations_other_passages():
    annotations = [note("a1"), note("a2"), note("b1", encounter="E2"), note("c1", encounter="E3", station="S2")]
    assert planned(annotations) == {
        "a1": (["a2"], ["b1"]),
        "a2": (["a1"], ["b1"]),
        "b1": ([], ["a1", "a2"]),
        "c1": ([], []),
    }


def test_a_station_belongs_to_its_location_and_an_empty_name_is_no_station():
    annotations = [
        note("a"),
        note("b", encounter="E2", location="sarychat"),
        note("c", encounter="E3", station=""),
        note("d", encounter="E4", station=""),
        note("e", encounter="E5"),
    ]
    assert planned(annotations) == {"a": ([], ["e"]), "b": ([], []), "c": ([], []), "d": ([], []), "e": ([], ["a"])}


def test_a_copy_of_the_photo_in_its_own_burst_is_no_companion():
    annotations = [note("a"), note("copy"), note("b")]
    known = {"a": "1", "copy": "1", "b": "2"}
    assert planned(annotations, known)["a"] == (["b"], [])
    assert planned(annotations, known)["copy"] == (["b"], [])


def test_a_copy_of_the_photo_in_another_encounter_is_no_companion():
    annotations = [note("a"), note("copy", encounter="E2"), note("b", encounter="E3")]
    known = {"a": "1", "copy": "1", "b": "2"}
    assert planned(annotations, known)["a"] == ([], ["b"])
    assert planned(annotations, known)["copy"] == ([], ["b"])


def test_only_photos_without_a_mask_have_companions_but_all_photos_are_companions():
    annotations = [
        note("a"),
        note("box", bbox=(1, 2, 3, 4)),
        note("mask", mask="m.png"),
        note("two", mask="n.png"),
    ]
    annotations += [note("two"), note("two"), note("visit", encounter="E2", mask="o.png")]
    assert planned(annotations) == {
        "a": (["box", "mask", "two"], ["visit"]),
        "box": (["a", "mask", "two"], ["visit"]),
        "two": (["a", "box", "mask"], ["visit"]),
        "mask": ([], []),
        "visit": ([], []),
    }
    assert {c.photo[0] for c in companions(annotations, contents(annotations)) if c.masked} == {"mask", "visit"}


def test_photos_that_could_not_be_read_have_no_companions_and_are_none():
    annotations = [note("a"), note("bad"), note("b")]
    assert planned(annotations, {"a": "1", "b": "2"}) == {"a": (["b"], []), "b": (["a"], [])}
    assert planned(annotations, {}) == {}


def test_the_order_of_the_rows_changes_no_companions():
    annotations = [note(f"{n:02}", timestamp=NOON + timedelta(seconds=50 - n)) for n in range(6)]
    annotations.append(note("undated"))
    shuffled = random.Random(0).sample(annotations, len(annotations))
    assert companions(shuffled, contents(annotations)) == companions(annotations, contents(annotations))


def many(count):
    """Return a burst of 40 photos, and `count` visits of one photo each."""
    return [note(f"{n:03}") for n in range(40)] + [note(f"v{n:03}", encounter=f"V{n}") for n in range(count)]


def test_of_many_photos_only_a_few_are_companions():
    for found in companions(many(100), contents(many(100))):
        own = found.photo[0]
        assert len({path for path, _ in found.burst}) == (MOST if not own.startswith("v") else 0)
        assert len({path for path, _ in found.station}) == MOST == 8
        assert own not in {path for path, _ in (*found.burst, *found.station)}


def test_every_photo_is_a_companion_of_some_and_a_new_one_changes_few():
    hashed = {a.path: hashlib.sha256(a.path.encode()).hexdigest() for a in many(101)}
    before, after = ({c.photo[0]: c for c in companions(many(n), hashed)} for n in (100, 101))
    told = Counter(path for c in after.values() for path, _ in c.station)
    assert set(told) == set(after)
    changed = [path for path, c in before.items() if c != after[path]]
    assert 0 < len(changed) <= 2 * MOST + 40  # its neighbours, and photos next to the burst before it
    assert set(after) - set(before) == {"v100"}


def test_names_of_individuals_have_no_effect():
    annotations = [note(f"{n}", encounter=f"E{n % 3}") for n in range(9)]
    named = [dataclasses.replace(a, individual=f"cat{n % 2}", body_part="head") for n, a in enumerate(annotations)]
    assert companions(annotations, contents(annotations)) == companions(named, contents(named))


def test_the_mark_depends_only_on_the_contents_of_photos_and_the_classifier():
    whole = Companions(("a", "1"), (("b", "2"), ("c", "3")), (("d", "4"),))
    renamed = Companions(("A", "1"), (("B", "2"), ("C", "3")), (("D", "4"),))
    others = [
        Companions(("a", "9"), whole.burst, whole.station),
        Companions(whole.photo, (("b", "9"), ("c", "3")), whole.station),
        Companions(whole.photo, whole.burst, (("d", "9"),)),
        Companions(whole.photo, whole.burst[:1], whole.station),
        Companions(whole.photo, whole.burst, ()),
        Companions(whole.photo, whole.burst[:1], (("c", "3"), *whole.station)),
    ]
    assert whole.mark("") == renamed.mark("")
    marks = {c.mark("") for c in (whole, *others)} | {whole.mark("other")}
    assert len(marks) == len(others) + 2
    masked = Companions(("a", "1"), (), (), masked=True)
    assert masked.mark("") == masked.mark("other")  # the classifier does not see the photo
    assert all(len(mark) == 32 and set(mark) <= set("0123456789abcdef") for mark in marks)


# ------------------------------------------------------------------------------------------------------------ maps


def test_a_map_has_one_cell_for_every_few_pixels_of_the_view():
    first, *others = (make_preview(take(rocks(0), where)) for where in PLACES)
    made = make_map(first, others, [])
    assert made.evidence == "burst"
    assert made.values.shape == (160 // CELL, 240 // CELL)
    rows, columns = (slice(s.start // CELL + 2, s.stop // CELL - 2) for s in animal_area(PLACES[0]))
    assert made.values[rows, columns].mean() > 240
    assert (made.values > 127).sum() < 2 * 48 * 32 / CELL**2
    assert make_map(first, [], []) is None


def grey_file(path, grey, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(path, **options)
    age(path)
    return path.name, file_sha256(path)


def test_missing_or_damaged_photos_are_ignored(tmp_path):
    files = [grey_file(tmp_path / f"{n}.png", take(rocks(0), where)) for n, where in enumerate(PLACES)]
    (tmp_path / "bad.png").write_bytes(b"no photo")
    away = (("bad.png", "x1"), ("gone.png", "x2"))
    complete, whole, _ = look(tmp_path, Companions(files[0], tuple(files[1:]), ()), Finders())
    assert complete
    assert whole.evidence == "burst"
    complete, some, _ = look(tmp_path, Companions(files[0], (away[0], *files[1:], away[1]), away), Finders())
    assert not complete
    assert (some.values == whole.values).all()
    assert look(tmp_path, Companions(files[0], away, away), Finders())[:2] == (False, None)
    assert look(tmp_path, Companions(away[0], tuple(files), ()), Finders())[:2] == (False, None)


# ------------------------------------------------------------------------------------------------------ index runs


def frame_of(station, encounter, shot, size=(240, 160)):
    """Return a photo of an artificial survey. A station has its own rocks, a passage its own coat, light and shift."""
    rng = np.random.default_rng([station, encounter])
    shift = tuple(rng.uniform(-20, 20, 2)) if encounter else (0, 0)
    where = WALK[(shot + encounter) % 3]
    coat = 10 * station + encounter
    return take(rocks(station, size), where, coat=coat, shift=shift, gain=rng.uniform(0.7, 1.1), bias=shot)


def make_survey(folder, stations=2, encounters=2, shots=3):
    annotations = []
    for s in range(stations):
        for e in range(encounters):
            for n in range(shots):
                path = f"photos/s{s}e{e}n{n}.png"
                grey_file(folder / path, frame_of(s, e, n))
                when = NOON + timedelta(days=e, seconds=n)
                fields = {"station": f"S{s}", "encounter": f"s{s}e{e}", "location": "naryn", "timestamp": when}
                annotations.append(Annotation(len(annotations), path, **fields))
    return CatalogData(folder, tuple(annotations), ())


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
    assert "12 photos compared with others of their place" in report.summary()
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
    assert "photos/s0e0n1.png" not in maps_of(data)
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
    monkeypatch.setattr(scenes, "read_preview", lambda path, sha: None if path == away else read(path, sha))
    index_catalog(data, Fake(), 1)
    monkeypatch.undo()
    report = index_catalog(data, Fake(), 1)
    assert 0 < report.mapped <= 12
    fresh = maps_of(data)
    lose(data.folder)
    index_catalog(data, Fake(), 1)
    assert maps_of(data) == fresh
    assert index_catalog(data, Fake(), 1).mapped == 0


@pytest.mark.parametrize("lost", ["read_photo", "take_fingerprint"])
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


# --------------------------------------------------------------------------------------------------------- queries

ANIMALS, STATIONS, SHOTS = 4, 3, 2
SMALL = {"chip_size": "240", "max_features": "300"}
COAT = (72, 48)  # px, of the animal in a photo


@pytest.fixture(scope="module")
def coats():
    """Return one piece of coat per animal, with mean 0 and deviation 1."""
    pieces = []
    for number in range(ANIMALS + 1):
        coat = cv2.resize(grow_coat(5, number, "left")[100:400, 100:550, 0], COAT, interpolation=cv2.INTER_AREA)
        pieces.append((coat.astype(np.float32) - coat.mean()) / coat.std())
    return pieces


def stand_before(station, coat, where, light=1.0, shift=(0, 0), seed=0):
    """Return a photo (160, 240) uint8: an animal with `coat` on a station's rocks, which have more contrast."""
    photo = take(1.3 * rocks(station) - 33, shift=shift, gain=light, noise=0).astype(np.float32)
    photo[animal_area(where, length=COAT)] = light * (120 + 35 * coat)
    noise = np.random.default_rng(seed).normal(0, 1.5, photo.shape)
    return np.clip(photo + noise, 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def station_survey(tmp_path_factory, coats):
    """Return an indexed catalog: every animal passes every station once, two photos each; no boxes, no masks."""
    folder = tmp_path_factory.mktemp("scenes") / "catalog"
    rows = ["path,individual,location,station,timestamp,encounter"]
    for animal in range(ANIMALS):
        for station in range(STATIONS):
            rng = np.random.default_rng([animal, station])
            light, shift = rng.uniform(0.75, 1.1), tuple(rng.uniform(-3, 3, 2))
            spots = rng.permutation([(60, 55), (125, 100), (185, 70)])[:SHOTS]
            for shot, where in enumerate(spots):
                path = f"a{animal}s{station}n{shot}.png"
                grey = stand_before(station, coats[animal], tuple(where.tolist()), light, shift, seed=animal + shot)
                grey_file(folder / path, grey)
                when = NOON + timedelta(days=animal * STATIONS + station, seconds=2 * shot)
                location = "sarychat" if station == 2 else "naryn"
                rows.append(f"{path},cat{animal},{location},S{station},{when.isoformat()},a{animal}s{station}")
    (folder / "catalog.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    report = snowmatch.open_catalog(folder, boxes=False).index("sift", SMALL, workers=1)
    assert report.mapped == report.done == ANIMALS * STATIONS * SHOTS
    return folder


@pytest.fixture(scope="module")
def catalog(station_survey):
    """Return the catalog without found boxes: these tests look at the weights of keypoints all over the photo."""
    return snowmatch.open_catalog(station_survey, boxes=False)


@pytest.fixture(scope="module")
def new_burst(tmp_path_factory, coats):
    """Return two photos of animal 1 at station 0 that are not on record."""
    folder = tmp_path_factory.mktemp("new")
    for n, where in enumerate([(70, 60), (160, 95)]):
        grey_file(folder / f"new{n}.png", stand_before(0, coats[1], where, 0.9, (1.5, -2), seed=90 + n))
    return [folder / f"new{n}.png" for n in range(2)]


def evidence(answer):
    return [photo.evidence for photo in answer.photos]


def said(answer, text):
    return sum(text in note.text for note in answer.notes)


def test_new_photos_of_one_query_are_companions(catalog, new_burst):
    answer = catalog.query(new_burst)
    assert evidence(answer) == ["burst", "burst"]
    first, second = (photo.foreground.values for photo in answer.photos)
    spots = [tuple(slice(s.start // CELL + 2, s.stop // CELL - 2) for s in animal_area(w, length=COAT))
             for w in ((70, 60), (160, 95))]  # fmt: skip
    assert first[spots[0]].mean() > 230
    assert second[spots[1]].mean() > 230
    assert first[-6:].mean() < 30
    assert said(answer, f"no box or mask of {new_burst[0]}, {new_burst[1]}: spots count where something moved") == 1
    assert not said(answer, "centre")


def test_a_single_photo_gets_a_map_from_its_station(catalog, new_burst):
    answer = catalog.query(new_burst[0], station="S0")
    assert evidence(answer) == ["station"]
    assert said(answer, "spots count where other photos of the station show something else, most near the") == 1
    both = catalog.query(new_burst, station="S0")
    assert evidence(both) == ["burst and station"] * 2
    assert (
        said(
            both,
            "spots count where something moved between the frames of the burst and other photos of the station",
        )
        == 1
    )
    assert (both.photos[0].foreground.values <= answer.photos[0].foreground.values).all()


def test_an_animal_far_from_the_centre_counts_if_the_burst_shows_it(catalog, coats, tmp_path):
    for n, where in enumerate([(38, 26), (200, 132)]):
        grey_file(tmp_path / f"{n}.png", stand_before(0, coats[1], where, 0.9, seed=50 + n))
    paths = sorted(tmp_path.glob("*.png"))
    options = {"exclude_encounters": [f"a{animal}s0" for animal in range(ANIMALS)]}
    together = catalog.query(paths, **options).candidates[0]
    alone = [catalog.query(path, **options).candidates[0] for path in paths]
    assert (together.individual, together.accepted) == ("cat1", True)
    assert together.score > 2 * sum(candidate.score for candidate in alone)


@pytest.mark.parametrize("station", [None, "S1", "S9"])
def test_without_companions_weights_depend_on_the_centre(catalog, new_burst, station):
    answer = catalog.query(new_burst[0], station=station)
    assert evidence(answer) == ["centre"]
    assert answer.photos[0].foreground is None
    assert said(answer, f"no box or mask of {new_burst[0]}: spots near the centre of the photo count most") == 1


def test_photos_of_different_places_in_one_query_use_the_centre(catalog, new_burst, tmp_path, coats):
    grey_file(tmp_path / "else.png", stand_before(1, coats[1], (120, 80)))
    assert evidence(catalog.query([new_burst[0], tmp_path / "else.png"])) == ["centre", "centre"]


def test_photos_as_arrays_are_companions_too(catalog, new_burst):
    photos = [read_photo(path) for path in new_burst]
    answer = catalog.query(photos)
    assert evidence(answer) == ["burst", "burst"]
    named = catalog.query(new_burst)
    assert all(
        (a.foreground.values == b.foreground.values).all() for a, b in zip(answer.photos, named.photos, strict=True)
    )
    assert [c.score for c in answer.candidates] == [c.score for c in named.candidates]


def test_only_stations_of_the_chosen_locations_are_used(catalog, new_burst):
    assert evidence(catalog.query(new_burst[0], station="S0", locations=["naryn"])) == ["station"]
    assert evidence(catalog.query(new_burst[0], station="S0", locations=["sarychat"])) == ["centre"]


def test_photos_of_the_same_passage_and_excluded_photos_are_no_companions(catalog, new_burst):
    visits = [f"a{animal}s0" for animal in range(ANIMALS)]
    assert evidence(catalog.query(new_burst[0], station="S0", exclude_encounters=visits[:-1])) == ["station"]
    assert evidence(catalog.query(new_burst[0], station="S0", exclude_encounters=visits)) == ["centre"]
    passage = NOON + timedelta(days=(ANIMALS - 1) * STATIONS, minutes=20)
    answer = catalog.query(new_burst[0], station="S0", timestamp=passage, exclude_encounters=visits[:-1])
    assert evidence(answer) == ["centre"]
    assert visits[-1] in answer.excluded_encounters


def test_with_foreground_given_everything_counts(catalog, new_burst):
    answer = catalog.query(new_burst, station="S0", options={"foreground": "given"})
    assert evidence(answer) == ["given", "given"]
    assert all(photo.foreground is None for photo in answer.photos)
    assert {c.evidence for c in answer.candidates} == {"given"}
    assert all(c.foreground is None for c in answer.candidates)
    assert not said(answer, "counts")
    assert not said(answer, "where the animal is in photos on record")


def test_a_photo_on_record_uses_its_stored_map(catalog, station_survey, monkeypatch, tmp_path):
    path = station_survey / "a2s1n0.png"
    kept = open_maps(station_survey).of_content(file_sha256(path))
    assert kept.evidence == "burst and station"
    monkeypatch.setattr("snowmatch.identify.foreground.read_preview", lambda *_: pytest.fail("a map was made"))
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    for photos, station in (
        ([path], None),
        ([path], "S1"),
        ([copy], "S2"),
        ([path, station_survey / "a0s0n1.png"], None),
    ):
        answer = catalog.query(photos, station=station)
        assert answer.photos[0].evidence == kept.evidence
        assert (answer.photos[0].foreground.values == kept.values).all()
        assert (
            said(
                answer,
                "spots count where something moved between the frames of the burst and other photos of the station",
            )
            == 1
        )


def test_the_answer_names_the_evidence_of_photos_on_record(catalog, new_burst, station_survey):
    answer = catalog.query(new_burst)
    allowed = ANIMALS * STATIONS * SHOTS
    assert said(answer, f"shown by: other frames of the burst and other photos of the station ({allowed})") == 1
    maps = open_maps(station_survey)
    for candidate in answer.candidates:
        kept = maps.of_content(file_sha256(station_survey / candidate.best.path))
        assert candidate.evidence == kept.evidence
        assert (candidate.foreground.values == kept.values).all()


def test_masks_do_not_change_and_boxes_lose_scenery_of_other_photos(catalog, new_burst):
    mask = np.zeros((160, 240), bool)
    mask[36:84, 34:106] = True
    alone = catalog.query(new_burst[0], bbox=(34, 36, 72, 48))
    beside = catalog.query(new_burst, bbox=[(34, 36, 72, 48), None], station="S0")
    assert evidence(alone) == ["box"]
    assert evidence(beside) == ["box", "burst and station"]
    assert alone.photos[0].foreground is None  # no other photo of the place was given
    assert beside.photos[0].foreground.evidence == "burst and station"
    assert alone.photos[0].features == beside.photos[0].features
    masked = catalog.query(new_burst[0], mask=mask, station="S0")
    assert evidence(masked) == ["mask"]
    assert masked.photos[0].foreground is None
    assert not said(alone, "no box or mask")
    given = catalog.query(new_burst[0], bbox=(34, 36, 72, 48), station="S0", options={"foreground": "given"})
    assert evidence(given) == ["box"]
    assert given.photos[0].foreground is None


def test_the_rocks_in_a_box_match_no_animal(catalog, tmp_path, coats):
    """A large box, as from a detector: the scenery around the animal is known from other passages."""
    paths = []
    for n, where in enumerate([(60, 60), (170, 90)]):
        grey_file(tmp_path / f"{n}.png", stand_before(1, coats[ANIMALS], where, 0.85, (-2, 1), seed=70 + n))
        paths.append(tmp_path / f"{n}.png")
    boxes = [(5, 5, 230, 150)] * 2
    told = catalog.query(paths, bbox=boxes, station="S1", top=ANIMALS).candidates
    everything = catalog.query(paths, bbox=boxes, options={"foreground": "given"}, top=ANIMALS).candidates
    assert {c.best.station for c in everything} == {"S1"}
    assert everything[0].score > 5 * max(c.score for c in told)


def test_a_new_animal_at_a_known_station_matches_no_animal_by_its_rocks(catalog, tmp_path, coats):
    paths = []
    for n, where in enumerate([(60, 60), (170, 90)]):
        grey_file(tmp_path / f"{n}.png", stand_before(1, coats[ANIMALS], where, 0.85, (-2, 1), seed=70 + n))
        paths.append(tmp_path / f"{n}.png")
    told = catalog.query(paths, station="S1", top=ANIMALS).candidates
    everything = catalog.query(paths, options={"foreground": "given"}, top=ANIMALS).candidates
    assert {c.best.station for c in everything} == {"S1"}
    assert everything[0].score > 5 * max(c.score for c in told)
    assert max(c.inliers for c in told) < min(c.inliers for c in everything)


def test_a_known_animal_is_found_at_a_station_that_others_visited(catalog, new_burst):
    found = catalog.query(new_burst, station="S0", exclude_encounters=["a1s0"]).candidates
    assert found[0].individual == "cat1"
    assert found[0].best.station != "S0"
    given = catalog.query(new_burst, exclude_encounters=["a1s0"], options={"foreground": "given"}).candidates
    assert given[0].individual != "cat1"
    assert given[0].best.station == "S0"


# ------------------------------------------------------------------------------------------------------ the control


def pairs(table):
    """Return scores (1-D each): different animals at one station, at different stations, and the same animal."""
    station, animal = table.station, table.individual
    same_place = station[table.queries][:, None] == station[table.gallery]
    same_animal = animal[table.queries][:, None] == animal[table.gallery]
    allowed = ~np.isnan(table.scores)
    return (
        table.scores[allowed & same_place & ~same_animal],
        table.scores[allowed & ~same_place & ~same_animal],
        table.scores[allowed & same_animal],
    )


@pytest.fixture(scope="module")
def evaluated(catalog):
    return {mode: pairs(catalog.evaluate(options={"foreground": mode}).table) for mode in ("auto", "given")}


def test_if_everything_counts_the_rocks_of_a_station_raise_scores_of_other_animals(evaluated):
    here, elsewhere, _ = evaluated["given"]
    assert len(here) > 100
    assert len(elsewhere) > 200
    assert np.median(here) > np.quantile(elsewhere, 0.99)
    assert np.median(here) > 3 * max(np.median(elsewhere), 1e-3)


def test_with_maps_different_animals_score_no_higher_at_the_same_station(evaluated):
    here, elsewhere, same = evaluated["auto"]
    hair = 0.03 * np.median(same)
    for share in (0.5, 0.9, 0.95):
        assert np.quantile(here, share) <= np.quantile(elsewhere, share) + hair
    assert here.max() < 0.2 * same.min()
    assert here.mean() < 0.01 * evaluated["given"][0].mean()


def test_with_maps_the_same_animal_is_still_recognised_at_another_station(evaluated):
    here, elsewhere, same = evaluated["auto"]
    assert np.quantile(same, 0.05) > max(here.max(), elsewhere.max())
    given = evaluated["given"][2]
    assert np.median(same) > 0.8 * np.median(given)


def test_evaluation_uses_the_stored_maps(catalog, station_survey, tmp_path, evaluated):
    bare = shutil.copytree(station_survey, tmp_path / "bare")
    lose(bare)
    centre = pairs(snowmatch.open_catalog(bare, boxes=False).evaluate().table)
    assert np.median(evaluated["auto"][2]) > np.median(centre[2])
    counted = Counter(np.sign(evaluated["auto"][0] - centre[0]).astype(int).tolist())
    assert counted[0] < len(centre[0]) / 2


# ------------------------------------------------------------------------------------------------------- read_grey


def picture(size, seed=0):
    """Return (h, w, 3) uint8 that is smooth, so that a smaller copy looks the same."""
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), dtype=np.uint8)
    return cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)


def alike(grey, whole):
    """Return whether `grey` is a smaller copy of `whole`; its border may be wrong by one pixel."""
    small = cv2.resize(whole, grey.shape[::-1], interpolation=cv2.INTER_AREA)
    assert abs(float(grey.mean()) - float(small.mean())) < 2
    return np.corrcoef(grey.ravel(), small.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    "size", [(1920, 1080), (1919, 1077), (481, 1000), (479, 300), (240, 160), (100, 30), (2000, 7)]
)
def test_a_small_grey_copy_of_a_jpeg_has_the_requested_size_and_looks_like_the_photo(tmp_path, size):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(size)).save(path, quality=95)
    grey = read_grey(path, PREVIEW)
    assert grey.dtype == np.uint8
    assert min(PREVIEW, max(size)) <= max(grey.shape) <= max(size)
    assert max(grey.shape) < 4 * PREVIEW
    assert grey.shape[1] / size[0] == pytest.approx(grey.shape[0] / size[1], abs=0.5 / min(size) + 0.02)
    whole = cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)
    assert alike(grey, whole)


def test_a_large_jpeg_is_decoded_at_a_reduced_size(tmp_path):
    Image.fromarray(picture((2000, 1200))).save(tmp_path / "photo.jpg")
    assert read_grey(tmp_path / "photo.jpg", PREVIEW).shape == (150, 250)
    assert read_grey(tmp_path / "photo.jpg", 251).shape == (300, 500)
    assert read_grey(tmp_path / "photo.jpg", 5000).shape == (1200, 2000)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_other_formats_are_read_in_full(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture((500, 350))).save(path, **({"lossless": True} if suffix == "webp" else {}))
    grey = read_grey(path, PREVIEW)
    assert grey.shape == (350, 500)
    assert np.abs(grey.astype(int) - cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_the_grey_copy_is_upright(tmp_path, suffix, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture((600, 400))).save(path, exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
    whole = cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)
    grey = read_grey(path, PREVIEW)
    assert (grey.shape[0] > grey.shape[1]) == (whole.shape[0] > whole.shape[1]) == (turn >= 5)
    assert alike(grey, whole)


def test_a_photo_that_cannot_be_read_is_an_error_with_its_name(tmp_path):
    Image.fromarray(picture((1200, 800))).save(tmp_path / "photo.jpg")
    path = tmp_path / "photo.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    for bad in (path, tmp_path / "gone.jpg"):
        with pytest.raises(SnowmatchError, match=bad.name):
            read_grey(bad, PREVIEW)
