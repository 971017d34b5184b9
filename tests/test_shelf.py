"""The search blocks of a body part on disk: they never change, whatever is added or removed; always complete."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of, indexes_path
from snowmatch.core.locks import WRITER, file_lock
from snowmatch.core.mended import note_on_mended
from snowmatch.core.sums import read_sums, write_sums, write_with_sums
from snowmatch.matching.search import blocks as searching
from snowmatch.matching.search import encoding, files, holders, inverted_file, loaded, rows, shelf
from snowmatch.matching.search.block import Block, Home, LazyIndex
from snowmatch.matching.search.forest import forest_rows

DIMENSION = 32
CENTRES = np.random.default_rng(0).uniform(0, 200, (40, DIMENSION))


def key(n):
    return f"{n:032x}"


def rows_of(name, count=50, dtype=np.uint8):
    """Return the descriptors of the annotation with this key: clustered, like real ones."""
    rng = np.random.default_rng(int(name, 16))
    values = CENTRES[rng.integers(0, 40, count)] + rng.normal(0, 12, (count, DIMENSION))
    values = np.clip(np.round(values), 0, 255)
    return values.astype(np.uint8) if dtype == np.uint8 else (values / 800).astype(np.float32)


def content(numbers, count=50, dtype=np.uint8):
    names = sorted(key(n) for n in numbers)
    return shelf.Content(
        np.array(names, "S32"),
        np.full(len(names), count, np.int64),
        np.zeros(len(names), np.uint64),
        lambda asked: [rows_of(name, count, dtype) for name in asked],
    )


def partly(held, versions):
    """Return the content with some rows of each annotation searched. versions: (U,), other rows for another number."""
    versions = np.asarray(versions)

    def searched(places):
        return [(np.arange(held.counts[p]) * 7 + versions[p]) % 5 < 2 for p in places.tolist()]

    return replace(held, marks=versions.astype(np.uint64) + 1, searched=searched)


def shelf_in(folder, limit=1 << 20):
    return shelf.Shelf(folder, "left_flank", "x", limit)


def blocks_of(place, held, memory=None):
    """Return the blocks that a query would search. Entry n is the n-th key of the content."""
    found = []
    for one in shelf.plan_blocks(place, held):
        name = one.path.name
        offsets = np.concatenate([[0], np.cumsum(one.counts)])
        index = LazyIndex(name, one.open_it, memory, str(one.path), one.memory, one.gone)
        home = Home(one.path, one.codebook)
        group = name.rpartition("-")[0]
        found.append(Block(one.places, offsets, index, group, one.rows, home, held.searched))
    return found


def answer(place, held, queries, allowed, k=5, **more):
    found = searching.search(blocks_of(place, held), queries, allowed, k, **more)
    return found.distances, found.entries, found.keypoints


def brute_force(held, queries, allowed, k):
    norm = 512.0 if queries.dtype == np.uint8 else 1.0
    rows = held.rows_of(held.keys)
    entry = np.repeat(np.arange(len(rows)), held.counts)
    searched = True if held.searched is None else np.concatenate(held.searched(np.arange(len(rows))))
    keep = np.flatnonzero(allowed[entry] & searched)
    every = np.concatenate(rows).astype(np.float32)[keep]
    squared = ((queries[:, None].astype(np.float32) - every) ** 2).sum(axis=2)
    away = np.sqrt(squared / (2 * norm * norm), dtype=np.float32)
    order = np.argsort(away, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(away, order, axis=1), entry[keep][order]


def files_in(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def same(one, other):
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def queries_like(held, every=7, dtype=np.uint8):
    rng = np.random.default_rng(5)
    seen = np.concatenate(held.rows_of(held.keys))[:: every * 50 // 7][:60]
    moved = seen + rng.normal(0, 4, seen.shape) / (1 if dtype == np.uint8 else 800)
    return np.clip(np.round(moved), 0, 255).astype(dtype) if dtype == np.uint8 else moved.astype(dtype)


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "remove"]), st.integers(1, 12)), min_size=1, max_size=9
)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@given(steps=STEPS, seed=st.integers(0, 999))
@settings(max_examples=10)
def test_blocks_of_any_history_answer_as_one_block_does(tmp_path_factory, dtype, steps, seed):
    """With a codebook that does not change, the division into blocks, masks and merges does not change a byte."""
    place = shelf_in(tmp_path_factory.mktemp("index"), limit=3000)
    alive = list(range(30))
    new = itertools.count(30)
    shelf.arrange_blocks(place, content(alive, dtype=dtype))
    rng = np.random.default_rng(seed)
    for what, count in steps:
        if what == "add":
            alive += [next(new) for _ in range(count)]
        else:
            alive = [alive[i] for i in sorted(rng.permutation(len(alive))[count:])] if count < len(alive) else alive
        if len(alive) * 4 < 30:
            break
        shelf.arrange_blocks(place, content(alive, dtype=dtype))
    held = content(alive, dtype=dtype)
    queries = queries_like(held, dtype=dtype)
    allowed = rng.random(len(alive)) < rng.choice([0.3, 0.8, 1.0])
    allowed[0] = True
    several = answer(place, held, queries, allowed)
    for every in (2, 1 << 20):  # all lists: nothing is left out by the coarse step
        distances, _, _ = answer(place, held, queries, allowed, probes=every)
        exact, _ = brute_force(held, queries, allowed, 5)
        assert (distances >= exact * (1 - 1e-5)).all()  # the sums are rounded in another order
        if every > 2:
            assert np.isclose(distances[:, 0], exact[:, 0], rtol=1e-4).mean() > 0.9
    books = list(place.folder.glob("*[!2].codebook"))
    if len(books) == 1 and held.rows > inverted_file.EXHAUSTIVE_ROWS:  # one block by the same codebook
        book = files.read_codebook(books[0].with_suffix(""))
        rows = held.rows_of(held.keys)
        whole = inverted_file.FaissIndex(np.concatenate(rows), encoding.encode(book, rows), book)
        offsets = np.concatenate([[0], np.cumsum(held.counts)])
        one = Block(np.arange(len(alive)), offsets, LazyIndex("x", lambda: (whole, "read")))
        found = searching.search([one], queries, allowed, 5)
        same(several, (found.distances, found.entries, found.keypoints))


@given(
    changes=st.lists(st.tuples(st.integers(20, 60), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=5),
    few=st.booleans(),
)
@settings(max_examples=10)
def test_only_searched_rows_answer_also_when_others_are_searched_later(tmp_path_factory, changes, few):
    """A foreground map changes: the annotation's rows are written again, and keep their numbers."""
    place, count = shelf_in(tmp_path_factory.mktemp("index"), limit=3000), 10 if few else 60
    for alive, changed, version in changes:
        versions = np.where(np.arange(alive) % 10 == changed, version, 0)
        held = partly(content(range(alive), count), versions)
        shelf.arrange_blocks(place, held)
        queries, allowed = queries_like(held), np.arange(alive) % 4 > 0
        distances, entries, keypoints = answer(place, held, queries, allowed, probes=1 << 20)
        searched = held.searched(np.arange(alive))
        assert all(searched[e][k] for e, k in zip(entries.ravel(), keypoints.ravel(), strict=True))
        exact, _ = brute_force(held, queries, allowed, 5)
        assert np.isclose(distances[:, 0], exact[:, 0], rtol=1e-4).mean() > 0.9
        used = [one for one in shelf.plan_blocks(place, held) if files.with_ending(one.path, files.LISTS).exists()]
        lists = [one.open_it()[0].lists.ntotal for one in used]
        assert few or sum(lists) >= sum(map(np.sum, searched))
        assert all(each < sum(one.counts) * 0.5 for each, one in zip(lists, used, strict=True))


@given(sizes=st.lists(st.integers(1, 15), min_size=1, max_size=6), seed=st.integers(0, 99), k=st.integers(1, 8))
@settings(max_examples=30)
def test_the_merged_lists_of_exact_blocks_are_the_gallerys_neighbours(sizes, seed, k):
    rng = np.random.default_rng(seed)
    total = sum(sizes)
    held = content(range(total), count=9)
    owner = rng.permutation(total)
    blocks, start = [], 0
    for size in sizes:
        entries = np.sort(owner[start : start + size])
        start += size
        gone = rng.random(size) < 0.2
        rows = np.concatenate(held.rows_of(held.keys[entries]))
        index = LazyIndex("x", lambda rows=rows: (inverted_file.FaissIndex(rows, None), "read"))
        blocks.append(Block(np.where(gone, -1, entries), np.arange(size + 1) * 9, index, "same"))
    present = np.isin(np.arange(total), np.concatenate([b.entries for b in blocks]))
    allowed = present & (rng.random(total) < 0.7)
    queries = queries_like(held)
    found = searching.search(blocks, queries, allowed, k)
    exact, entries = brute_force(held, queries, allowed, k)
    there = exact.shape[1]
    assert found.distances[:, :there].tobytes() == exact.tobytes()
    assert (found.entries[:, :there] == entries).all()
    assert (found.entries[:, there:] == -1).all()
    assert np.isinf(found.distances[:, there:]).all()


def test_many_equal_rows_are_found_whatever_the_blocks(tmp_path):
    """A logo in each photo gives more equal rows than candidates: the first by entry and keypoint are the answer."""
    logo = rows_of(key(9999), 1)
    answers = []
    for limit in (1 << 20, 900):
        held = content(range(100))
        held = replace(held, descriptors=lambda asked: [np.concatenate([logo, rows_of(n, 49)]) for n in asked])
        place = shelf_in(tmp_path / str(limit))
        shelf.arrange_blocks(place, held)
        answers.append(answer(shelf_in(place.folder), held, logo, np.ones(100, bool)))
    same(*answers)
    assert answers[0][1].tolist() == [[0, 1, 2, 3, 4]]
    assert not answers[0][0].any()


def test_one_new_annotation_makes_one_new_block_and_changes_no_other(tmp_path):
    place = shelf_in(tmp_path)
    shelf.arrange_blocks(place, content(range(60)))
    before = files_in(tmp_path)
    shelf.arrange_blocks(place, content(range(61)))
    after = files_in(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 3
    (new,) = [block for block in files.list_blocks(tmp_path, "left_flank")[0] if block.rows == 50]
    assert new.keys.tolist() == [key(60).encode()]


def test_blocks_are_merged_rarely_and_each_row_is_written_few_times(tmp_path, monkeypatch):
    place = shelf_in(tmp_path, limit=40 * 50)
    shelf.arrange_blocks(place, content(range(40)))
    written = []
    write = shelf.write_block
    monkeypatch.setattr(
        shelf, "write_block", lambda path, keys, *rest: (written.append(len(keys)), write(path, keys, *rest))
    )
    most = 0
    for n in range(41, 100):
        shelf.arrange_blocks(place, content(range(n)))
        most = max(most, len(files.list_blocks(tmp_path, "left_flank")[0]))
    assert sum(written) <= 59 * 4
    assert most <= 1 + 3 * 3
    stored, _ = files.list_blocks(tmp_path, "left_flank")
    assert sorted(k for block in stored for k in block.keys.tolist()) == [key(n).encode() for n in range(99)]


def test_what_is_gone_is_masked_then_left_out_when_half_is_gone(tmp_path):
    place = shelf_in(tmp_path)
    shelf.arrange_blocks(place, content(range(60)))
    before = files_in(tmp_path)
    held = content(range(20, 60))
    shelf.arrange_blocks(place, held)
    assert files_in(tmp_path) == before
    gone = rows_of(key(3))[:5]
    found = answer(place, held, gone, np.ones(40, bool))
    assert (found[0][:, 0] > 0).all()
    shelf.arrange_blocks(place, content(range(31, 60)))
    (block,) = files.list_blocks(tmp_path, "left_flank")[0]
    assert block.keys.tolist() == [key(n).encode() for n in range(31, 60)]
    assert not files_in(tmp_path).keys() & {name for name in before if "few" not in name and name.count("-") == 2}


def test_the_same_history_gives_the_same_files(tmp_path):
    for name in ("one", "two"):
        for n in (30, 31, 40, 41, 42, 43, 44, 90):
            shelf.arrange_blocks(shelf_in(tmp_path / name), content(range(n)))
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_a_codebook_is_trained_anew_when_the_part_has_grown(tmp_path):
    place = shelf_in(tmp_path)
    books = []
    for n in (10, 30, 100, 130):
        shelf.arrange_blocks(place, content(range(n)))
        books.append(sorted(path.name for path in tmp_path.glob("*.codebook")))
    assert books[0] == []  # few rows: all are compared
    assert len(books[1]) == 2  # it and its copy
    assert books[2] == books[1]
    assert books[3] != books[1]
    fresh = shelf_in(tmp_path / "fresh")
    shelf.arrange_blocks(fresh, content(range(130)))
    assert files_in(fresh.folder) == files_in_flat(tmp_path)


def files_in_flat(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_part_without_annotations_has_no_blocks(tmp_path):
    place = shelf_in(tmp_path / "none")
    nothing = content([])
    assert shelf.arrange_blocks(place, nothing) == 0
    assert shelf.plan_blocks(place, nothing) == []
    shelf.arrange_blocks(place, content(range(3)))
    shelf.arrange_blocks(place, nothing)
    assert files_in(place.folder) == {}


@pytest.mark.parametrize("searched", [False, True])
def test_each_row_that_is_written_is_told_and_merges_add_to_the_total(tmp_path, searched):
    place, wrote = shelf_in(tmp_path), []
    for count in (40, 50, 60, 70, 80):
        held, told = content(range(count)), []
        if searched:
            held = replace(held, searched=lambda at, held=held: [np.arange(held.counts[n]) % 3 > 0 for n in at])
        shelf.arrange_blocks(place, held, lambda done, total, told=told: told.append((done, total)))
        done, total = np.cumsum(told, axis=0).T
        assert (done <= total).all()
        assert done[-1] == total[-1]
        wrote.append(int(total[-1]))
    rows = int(content(range(80)).counts.sum())
    assert wrote[0] == rows // 2
    assert sum(wrote) > rows  # merged
    assert wrote.count(rows // 8) > 0  # only what is new


def origins(place, held):
    return [one.open_it()[1] for one in shelf.plan_blocks(place, held)]


def test_a_query_builds_what_is_missing_and_keeps_it(tmp_path):
    place = shelf_in(tmp_path)
    assert origins(place, content(range(60))) == ["kept"]
    before = files_in(tmp_path)
    assert origins(place, content(range(60))) == ["read"]
    assert origins(place, content(range(61))) == ["read", "kept"]
    assert before.items() <= files_in(tmp_path).items()
    shelf.arrange_blocks(place, content(range(60)))
    assert files_in(tmp_path) == before


def test_a_stored_block_has_no_rows_of_its_own(tmp_path):
    place, held = shelf_in(tmp_path), content(range(60))
    shelf.arrange_blocks(place, held)
    (one,) = shelf.plan_blocks(place, held)
    index, origin = one.open_it()
    assert origin == "read"
    assert index.rows is None
    assert not list(tmp_path.glob("*.npy"))


def in_segments(held, cuts):
    """Return the content, with its rows in a few large arrays as the features have them, and what was checked."""
    every, looked = held.rows_of(held.keys), []
    borders = [0, *cuts, len(every)]
    parts = [np.concatenate(every[a:b]) for a, b in itertools.pairwise(borders) if b > a]
    numbers = {key.decode(): n for n, key in enumerate(held.keys.tolist())}
    starts = [a for a, b in itertools.pairwise(borders) if b > a]

    def checked(names):
        looked.extend(names)
        return held.descriptors(names)

    def places(names):
        part = np.searchsorted(starts, [numbers[name] for name in names], side="right") - 1
        first = [(numbers[name] - starts[p]) * int(held.counts[0]) for name, p in zip(names, part, strict=True)]
        return parts, part, np.array(first, np.int64)

    return replace(held, descriptors=checked, places=places), looked


@given(
    cuts=st.lists(st.integers(1, 59), unique=True, max_size=5).map(sorted),
    gone=st.sets(st.integers(0, 59), max_size=25),
    limit=st.sampled_from([700, 1500, 1 << 20]),
)
@settings(max_examples=15)
def test_rows_are_read_from_the_features_wherever_they_lie(tmp_path_factory, cuts, gone, limit):
    place = shelf_in(tmp_path_factory.mktemp("index"), limit)
    shelf.arrange_blocks(place, content(range(60)))
    held = content(sorted(set(range(60)) - gone))
    queries, allowed = queries_like(held), np.ones(len(held.keys), bool)
    laid, looked = in_segments(held, [c for c in cuts if c < len(held.keys)])
    same(answer(place, laid, queries, allowed), answer(place, held, queries, allowed))
    found = answer(place, laid, queries, allowed)[1]
    assert {held.keys[n].decode() for n in np.unique(found[found >= 0])} <= set(looked)  # all that answers is checked


def test_damaged_features_do_not_answer(tmp_path):
    place = shelf_in(tmp_path)
    shelf.arrange_blocks(place, content(range(60)))
    held, _ = in_segments(content(range(60)), [20])

    def damaged(names):
        raise SnowmatchError(f"{len(names)} damaged")

    with pytest.raises(SnowmatchError, match="damaged"):
        answer(place, replace(held, descriptors=damaged), rows_of(key(3))[:5], np.ones(60, bool))


def with_copies(folder, held):
    """Give each block the copy of its rows that version 0.2 wrote."""
    for sums in list(folder.glob("*-*-*.sums")):
        path = sums.with_suffix("")
        rows = np.concatenate(held.rows_of(np.load(files.with_ending(path, files.KEYS))["key"]))
        file = files.with_ending(path, files.ROWS)
        made = write_with_sums(file, lambda opened, rows=rows: np.lib.format.write_array(opened, rows, (1, 0)))
        write_sums(sums, {**read_sums(sums), file.name: made})


@pytest.mark.parametrize("entries", [2, 60])
def test_an_index_run_drops_the_copies_of_an_older_version_and_answers_stay(tmp_path, entries):
    place, held = shelf_in(tmp_path), content(range(entries))
    shelf.arrange_blocks(place, held)
    new, queries, allowed = files_in(tmp_path), rows_of(key(1))[:9], np.ones(entries, bool)
    expected = answer(place, held, queries, allowed)
    with_copies(tmp_path, held)
    assert set(files_in(tmp_path)) > set(new)
    assert origins(place, held) == ["read"]  # they are used as they are
    same(answer(place, held, queries, allowed), expected)
    assert shelf.arrange_blocks(place, held) == 0
    assert files_in(tmp_path) == new
    same(answer(place, held, queries, allowed), expected)


@pytest.mark.parametrize("entries", [2, 60])
@pytest.mark.parametrize("left", ["all", "codebooks"])
def test_blocks_and_codebooks_of_another_format_are_not_used(tmp_path, monkeypatch, entries, left):
    place, held = shelf_in(tmp_path), content(range(entries))
    queries, allowed = rows_of(key(1))[:9], np.ones(entries, bool)
    shelf.arrange_blocks(place, held)
    before, expected = files_in(tmp_path), answer(place, held, queries, allowed)
    if left == "codebooks":
        shelf.drop_blocks(tmp_path)
    monkeypatch.setattr(files, "INDEX_FORMAT", files.INDEX_FORMAT + 1)
    same(answer(place, held, queries, allowed), expected)
    assert origins(place, held) == ["read"]  # it was built by the answer before, and kept
    assert shelf.arrange_blocks(place, held) == 0  # nothing was damaged
    assert not before.keys() & files_in(tmp_path).keys()
    same(answer(place, held, queries, allowed), expected)


def test_an_index_that_cannot_be_stored_is_built_in_memory(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    place, held = shelf_in(tmp_path / "file" / "index"), content(range(60))
    assert origins(place, held) == ["could not be kept"]
    with pytest.raises(shelf.NotKeptError):
        shelf.arrange_blocks(place, held)


def test_a_full_disk_leaves_the_old_blocks(tmp_path, monkeypatch):
    place = shelf_in(tmp_path)
    shelf.arrange_blocks(place, content(range(60)))
    before = files_in(tmp_path)

    def full(*_):
        raise SnowmatchError("disk full")

    monkeypatch.setattr(shelf, "write_block", full)
    with pytest.raises(shelf.NotKeptError, match="disk full"):
        shelf.arrange_blocks(place, content(range(70)))
    monkeypatch.setattr(shelf, "write_codebook", full)
    with pytest.raises(shelf.NotKeptError, match="disk full"):
        shelf.arrange_blocks(place, content(range(300)))
    assert files_in(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("ending", [ending for ending in files.ENDINGS if ending != files.ROWS])
@pytest.mark.parametrize("cut", [0, 7, 100, None])
@pytest.mark.parametrize("by", ["query", "run"])
def test_a_damaged_or_missing_file_is_made_again(tmp_path, ending, cut, by):
    place, held = shelf_in(tmp_path), content(range(60))
    shelf.arrange_blocks(place, held)
    before = files_in(tmp_path)
    queries, allowed = rows_of(key(3))[:5], np.ones(60, bool)
    expected = answer(place, held, queries, allowed)
    paths = [path for path in tmp_path.iterdir() if path.suffix == ending]
    assert paths
    for path in paths:
        if cut is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:cut])
    if by == "query":
        told = origins(place, held)
        assert len(told) == 1
        assert told[0].startswith("kept")
        if cut is not None or ending == files.LISTS:
            assert told[0] == "kept, because the one on disk was damaged"
    elif cut is not None:
        assert shelf.arrange_blocks(place, held) > 0
    else:
        shelf.arrange_blocks(place, held)
    same(answer(place, held, queries, allowed), expected)
    assert files_in(tmp_path) == before  # the same rows give the same files


def test_what_was_gone_when_a_damaged_block_was_built_is_found_when_it_is_back(tmp_path):
    """The app is open meanwhile, so that what is loaded stays."""
    place, held, memory = shelf_in(tmp_path), content(range(60)), loaded.Loaded(1 << 30)
    shelf.arrange_blocks(place, held)
    queries, fewer = rows_of(key(3))[:5], content([n for n in range(60) if n != 3])
    expected = answer(place, held, queries, np.ones(60, bool))
    (lists,) = tmp_path.glob(f"*{files.LISTS}")
    lists.write_bytes(lists.read_bytes()[:-1])
    (block,) = blocks_of(place, fewer, memory)
    assert block.index.get()[1].data == {"index": lists.stem, "kept": False, "damaged": True}
    assert blocks_of(place, fewer, memory)[0].index.get()[1] is None  # it stays while the photo is gone
    found = searching.search(blocks_of(place, held, memory), queries, np.ones(60, bool), 5)
    same((found.distances, found.entries, found.keypoints), expected)


@pytest.mark.parametrize("by", ["query", "run"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_codebook_of_a_part_that_has_grown_is_mended_from_its_copy(tmp_path, number, by):
    """It could not be trained again as it was: its sample was another one."""
    folder = indexes_path(tmp_path)
    folder.mkdir(parents=True)
    place = shelf_in(folder)
    for n in (40, 41, 60):
        shelf.arrange_blocks(place, content(range(n)))
    held, queries, allowed = content(range(60)), rows_of(key(3))[:20], np.ones(60, bool)
    expected, before = answer(place, held, queries, allowed), files_in(folder)
    assert note_on_mended(tmp_path) is None
    path = sorted(folder.glob("*.codebook"))[number]
    path.write_bytes(path.read_bytes()[:100])
    if by == "run":
        assert shelf.arrange_blocks(place, held) == 1  # it is told by the run
    same(answer(place, held, queries, allowed), expected)
    assert files_in(folder) == before
    note = note_on_mended(tmp_path)
    assert (list(note.data["files"]) if note else []) == ([f"index/{path.name}"] if by == "query" else [])


def test_a_query_during_an_index_run_leaves_no_codebook_of_what_is_there_so_far(tmp_path):
    """All later answers would depend on when somebody asked."""
    folder = indexes_path(tmp_path) / "fake"
    place = shelf_in(folder)
    with file_lock(home_of(tmp_path) / WRITER):
        assert origins(place, content(range(30))) == ["not kept, because the catalog is being indexed"]
    assert not folder.exists()
    shelf.arrange_blocks(place, content(range(60)))
    expected = files_in(folder)
    with file_lock(home_of(tmp_path) / WRITER):  # the codebook is known
        assert origins(place, content(range(70)))[-1] == "kept"
    shelf.arrange_blocks(place, content(range(60)))
    assert files_in(folder) == expected


def test_a_copy_of_a_codebook_that_another_process_is_writing_is_not_called_damaged(tmp_path, monkeypatch):
    folder = indexes_path(tmp_path)
    folder.mkdir(parents=True)
    place, held = shelf_in(folder), content(range(60))
    shelf.arrange_blocks(place, held)
    whole = files_in(folder)
    copy = next(folder.glob("*_2.codebook")).with_suffix("")
    files.remove(copy)
    real = files.read_codebook

    def read(path):
        found = real(path)
        if path == copy:  # the other process ends just now
            for ending in (files.CODES, files.SUMS):
                files.with_ending(copy, ending).write_bytes(whole[copy.name + ending])
        return found

    monkeypatch.setattr(shelf, "read_codebook", read)
    answer(place, held, rows_of(key(3))[:20], np.ones(60, bool))
    assert files_in(folder) == whole
    assert note_on_mended(tmp_path) is None


@pytest.mark.parametrize("entries", [2, 60])
@pytest.mark.slow
def test_every_changed_byte_of_an_index_is_found(tmp_path, entries):
    place, held = shelf_in(tmp_path), content(range(entries))
    shelf.arrange_blocks(place, held)
    whole = files_in(tmp_path)
    rng = np.random.default_rng(0)
    for name, data in whole.items():
        for where in (0, 1, len(data) // 2, len(data) - 1, *rng.integers(0, len(data), 30)):
            changed = bytearray(data)
            changed[where] ^= 1 << int(rng.integers(8))
            (tmp_path / name).write_bytes(changed)
            told = origins(place, held)
            if name.count("-") == 2:  # a codebook is mended from its copy
                assert any("damaged" in each for each in told), (name, where)
            shelf.arrange_blocks(place, held)
            assert files_in(tmp_path) == whole


def test_an_index_that_the_system_cannot_read_is_not_damaged(tmp_path, monkeypatch):
    place, held = shelf_in(tmp_path), content(range(60))
    shelf.arrange_blocks(place, held)
    before = files_in(tmp_path)

    def no_handles(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("snowmatch.core.sums.open_regular", no_handles)
    with pytest.raises(SnowmatchError, match="cannot be read: Too many open files"):
        shelf.plan_blocks(place, held)
    with pytest.raises(SnowmatchError, match="cannot be read: Too many open files"):
        shelf.arrange_blocks(place, held)
    assert files_in(tmp_path) == before


def test_a_block_that_another_process_merged_is_built_from_the_features(tmp_path):
    place, held = shelf_in(tmp_path), content(range(60))
    shelf.arrange_blocks(place, held)
    planned = shelf.plan_blocks(place, content(range(5, 60)))
    for path in list(tmp_path.iterdir()):
        path.unlink()
    (one,) = planned
    _, origin = one.open_it()
    assert origin == "could not be kept"  # annotations that are gone have no features any more
    found = rows.take(one.rows, np.arange(5 * 50, 60 * 50), DIMENSION)
    np.testing.assert_array_equal(found, np.concatenate(held.rows_of(held.keys[5:])))


def test_files_of_an_older_format_are_deleted(tmp_path):
    old = [tmp_path / f"left_flank-0-0123456789abcdef{ending}" for ending in (".npy", ".faiss", ".sums")]
    for path in old:
        path.write_bytes(b'{"files": "{}", "sum": 2745614147}')
    other = tmp_path / "right_flank-0-0123456789abcdef.sums"
    other.write_bytes(b"")
    shelf.arrange_blocks(shelf_in(tmp_path), content(range(60)))
    assert not any(path.exists() for path in old)
    assert other.exists()


def test_blocks_of_the_version_before_are_made_anew_and_are_not_called_damaged(tmp_path):
    """Its lists of keys did not tell which rows are searched."""
    place, held = shelf_in(tmp_path), content(range(60))
    shelf.arrange_blocks(place, held)
    before = files_in(tmp_path)
    for sums in list(tmp_path.glob("*-*-*.sums")):
        file = sums.with_suffix(files.KEYS)
        table = np.load(file)[["key", "rows"]].astype([("key", "S32"), ("rows", "<i8")])
        made = write_with_sums(file, lambda opened, table=table: np.lib.format.write_array(opened, table, (1, 0)))
        write_sums(sums, {**read_sums(sums), file.name: made})
    assert files.list_blocks(tmp_path, "left_flank") == ([], [])
    assert shelf.arrange_blocks(place, held) == 0
    assert files_in(tmp_path) == before


def test_left_over_files_are_deleted_when_they_are_old(tmp_path):
    place = shelf_in(tmp_path)
    shelf.arrange_blocks(place, content(range(60)))
    before = files_in(tmp_path)
    left = [tmp_path / "left_flank-few-00.npy", tmp_path / ".snowmatch-00.tmp"]
    for path in left:
        path.write_bytes(b"x")
    shelf.arrange_blocks(place, content(range(60)))
    assert all(path.exists() for path in left)  # another process may be writing them
    for path in left:
        os.utime(path, (1, 1))
    shelf.arrange_blocks(place, content(range(60)))
    assert files_in(tmp_path) == before


def test_the_memory_of_loaded_blocks_is_bounded(tmp_path):
    place, held = shelf_in(tmp_path, limit=1000), content(range(100))
    shelf.arrange_blocks(place, held)
    queries, allowed = rows_of(key(3))[:5], np.ones(100, bool)
    plenty, little = loaded.Loaded(1 << 30), loaded.Loaded(30_000)
    answers = []
    for memory in (plenty, little):
        blocks = blocks_of(place, held, memory)
        assert len(blocks) == 5
        found = searching.search(blocks, queries, allowed, 5)
        again = searching.search(blocks, queries, allowed, 5)
        same((found.distances, found.entries), (again.distances, again.entries))
        answers.append((found.distances, found.entries, found.keypoints))
    same(*answers)
    assert plenty.bytes > 30_000 >= little.bytes > 0


def loaded_now(alive):
    return sum(inverted_file.FaissIndex(None, lists).memory for lists in alive)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("tries", [1, 2])
def test_what_must_go_is_gone_before_the_next_block_is_loaded(tmp_path, monkeypatch, kept, tries):
    """Also where several tries are needed, and where the blocks are not on disk but built for the query."""
    place, held = shelf_in(tmp_path, limit=1000), content(range(100))
    if kept:
        shelf.arrange_blocks(place, held)
    sizes = {plan.path: plan.memory() for plan in shelf.plan_blocks(place, held)}
    assert len(sizes) == 5
    memory = loaded.Loaded(max(sizes.values()) * 3 // 2)
    alive, most = weakref.WeakSet(), []
    original = shelf.read_block if kept else shelf._build

    def opened(*arguments):
        path = arguments[0] if kept else arguments[1].path
        most.append(loaded_now(alive) + sizes[path])
        found = original(*arguments)
        index = found if kept else found[0]
        assert index.memory == sizes[path]
        alive.add(index.lists)
        return found

    monkeypatch.setattr(shelf, "read_block" if kept else "_build", opened)
    blocks = blocks_of(place, held, memory)
    searching.search(blocks, rows_of(key(3))[:5], np.ones(100, bool), 5 if tries == 1 else 400, probes=1)
    assert len(most) > 5 * (tries - 1)
    assert max(most) <= memory.most


def test_a_worker_holds_no_block_beside_the_next_one(tmp_path, monkeypatch):
    place, held = shelf_in(tmp_path, limit=1000), content(range(100))
    shelf.arrange_blocks(place, held)
    blocks = blocks_of(place, held)
    parts = [block.part(n, block.home.codebook().lists, {}) for n, block in enumerate(blocks)]
    alive, most = weakref.WeakSet(), []

    def opened(path, count):
        most.append(loaded_now(alive) + parts[0].memory)
        index = files.read_block(path, count)
        alive.add(index.lists)
        return index

    monkeypatch.setattr(holders, "read_block", opened)
    monkeypatch.setattr(holders, "_loaded", loaded.Loaded(1))
    bound = max(part.memory for part in parts) * 3 // 2
    found, missing = holders.LookAt(tuple(parts)).run(tmp_path, bound, {})
    assert (found, missing, len(most)) == ({}, [], 5)
    assert max(most) <= bound


def test_the_memory_of_lists_is_about_what_they_take():
    """Measured with 2 million rows: 44 bytes a row in 707 lists, 49 in 5,590; 1,000 rows in 5,590 lists: 1.3 MB."""
    for count, lists, taken in ((2_000_000, 707, 88e6), (2_000_000, 5590, 98e6), (1_000, 5590, 1.3e6)):
        assert inverted_file._memory(count, 32, lists) == pytest.approx(taken, rel=0.15)
    assert inverted_file.memory_bytes(10**6, 128) == 44_000_000


def test_without_a_limit_half_of_the_memory_is_used_on_every_system(monkeypatch):
    monkeypatch.setattr(loaded, "_limit", [])
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    monkeypatch.setattr(loaded, "GROUPS", Path("/nowhere"))
    assert loaded.default_memory() == psutil.virtual_memory().total // 2


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "6000000\n"}, 3_000_000),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/job/step\n", {"job/memory.max": "6000000\n", "job/step/memory.max": "max\n"}, 3_000_000),
        ("3:cpu:/a\n2:memory,x:/a\n", {"memory/a/memory.limit_in_bytes": "4000000\n"}, 2_000_000),
        ("2:memory:/docker/a\n", {"memory/memory.limit_in_bytes": "4000000\n"}, 2_000_000),
        ("2:memory:/\n0::/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("0::/../..\n", {}, None),
    ],
)
def test_the_default_memory_is_half_of_what_a_container_may_use(tmp_path, monkeypatch, groups, limits, expected):
    monkeypatch.setattr(loaded, "_limit", [])
    monkeypatch.setattr(loaded, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(loaded, "GROUP_FILES", tmp_path / "files")
    (tmp_path / "cgroup").write_text(groups)
    for name, text in limits.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(text)
    assert loaded.default_memory() == (expected or psutil.virtual_memory().total // 2)


def test_the_least_recently_used_index_goes_first():
    memory = loaded.Loaded(100)
    for name in "abc":
        memory.put(name, name.upper(), 40)
    assert [memory.get(name) for name in "abc"] == [None, "B", "C"]
    memory.get("b")
    memory.put("d", "D", 40)
    assert [memory.get(name) for name in "bcd"] == ["B", None, "D"]
    memory.put("large", "L", 1000)
    assert [memory.get(name) for name in ("b", "d", "large")] == [None, None, "L"]


def test_blocks_are_cut_at_the_limit_and_contain_every_entry():
    counts = np.array([5, 5, 5, 20, 1, 1])
    runs = shelf.cut_blocks(counts, 10)
    assert [list(range(6))[r] for r in runs] == [[0, 1], [2], [3], [4, 5]]
    assert shelf.cut_blocks(np.array([], int), 10) == []


def test_a_block_has_fewer_rows_of_larger_descriptors():
    assert shelf.block_rows(128) * 40 <= 1 << 30 < (shelf.block_rows(128) + 1) * 40  # 64 codes of 4 bits, and a number
    assert shelf.block_rows(256) < shelf.block_rows(128) < shelf.block_rows(64)
    assert forest_rows(128, np.dtype(np.uint8)) == 1 << 23
    assert forest_rows(256, np.dtype(np.float32)) == 1 << 20


KILLED = """
import sys
sys.path[:0] = sys.argv[1:3]
import test_shelf as t
from snowmatch.matching.search import shelf
place = t.shelf_in(t.Path(sys.argv[3]), limit=60 * 50)
print("ready", flush=True)
for n in map(int, sys.argv[4].split(",")):
    shelf.arrange_blocks(place, t.content(range(n)))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_a_valid_set_and_the_next_one_ends_equal(tmp_path):
    """kill -9 at many moments of building, merging and retraining."""
    root = Path(__file__).parents[1]
    steps = "60,61,62,63,64,80,100,101,102,103,104,300,301"
    plain = tmp_path / "plain"
    command = [sys.executable, "-c", KILLED, str(root), str(root / "tests")]
    subprocess.run([*command, str(plain), steps], check=True, capture_output=True)
    expected = files_in(plain)
    held, queries, allowed = content(range(301)), rows_of(key(3))[:20], np.ones(301, bool)
    rng = np.random.default_rng(0)
    kills = 0
    for trial in range(4):
        folder = tmp_path / str(trial)
        done = 0
        for n, step in enumerate(steps.split(",")):
            # each step is killed at a random moment, then run to its end
            process = subprocess.Popen([*command, str(folder), step], stdout=subprocess.PIPE)
            if (n + trial) % 4 == 0:
                process.stdout.readline()
                time.sleep(float(rng.uniform(0, 0.25)))
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += process.returncode == -signal.SIGKILL
                if folder.exists() and done:
                    stored, damaged = files.list_blocks(folder, "left_flank")
                    assert not damaged
                    kept = {name for block in stored for name in block.keys.tolist()}
                    assert kept >= {key(i).encode() for i in range(done)}
                process.stdout.close()
                process = subprocess.Popen([*command, str(folder), step], stdout=subprocess.PIPE)
            process.communicate()
            assert process.returncode == 0
            done = int(step)
        left = {name: data for name, data in files_in(folder).items() if not name.startswith(".snowmatch-")}
        assert {name: data for name, data in left.items() if name in expected} == expected
        same(answer(shelf_in(folder), held, queries, allowed), answer(shelf_in(plain), held, queries, allowed))
    print("runs that were killed before their end:", kills)
