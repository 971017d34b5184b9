"""The progress of building the search index: it counts up to a total that is true. Forests, which are not stored."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from fake_extractor import Fake, make_catalog, make_photo

from snowmatch.api import Catalog
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import features_path
from snowmatch.core.plugins import make_plugin
from snowmatch.features.indexing import index_catalog
from snowmatch.identify.method import as_method
from snowmatch.identify.session import Galleries, build_index, indexed
from snowmatch.matching import gallery as galleries
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.search import encoding, inverted_file
from snowmatch.matching.search.blocks import search


@pytest.fixture
def data(tmp_path):
    return make_catalog(tmp_path / "catalog", 12)


def build(data):
    """Build the search index, and return what was told."""
    calls = []
    build_index(data, Fake(), Galleries(), lambda *now: calls.append(now))
    return calls


@pytest.mark.parametrize("few", [True, False])
def test_each_descriptor_counts_once_and_the_end_is_the_total(data, monkeypatch, few):
    features = index_catalog(data, Fake(), 1).features
    if not few:
        monkeypatch.setattr(inverted_file, "EXHAUSTIVE_ROWS", 20)
        monkeypatch.setattr(encoding, "ROWS_AT_ONCE", 50)
    calls = build(data)
    assert calls[-1] == (features, features)
    assert calls == sorted(calls)
    assert len({done for done, _ in calls}) > (1 if few else 3)
    assert all(done <= total for done, total in calls)
    assert build(data) == []  # nothing is left to do


def test_ctrl_c_stops_it_between_two_pieces(data, monkeypatch):
    index_catalog(data, Fake(), 1)
    monkeypatch.setattr(inverted_file, "EXHAUSTIVE_ROWS", 20)
    monkeypatch.setattr(encoding, "ROWS_AT_ONCE", 10)
    calls = []

    def stop(*now):
        calls.append(now)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the background jobs of a shell ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            build_index(data, Fake(), Galleries(), stop)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(calls) == 3
    assert calls[-1][0] < calls[-1][1]


def test_no_other_run_begins_while_an_index_run_builds_the_search_index(data, monkeypatch):
    """The slower one would delete the blocks of the newer one."""
    tried = []

    def other_run(done, total):
        with pytest.raises(SnowmatchError, match="is being indexed by process"):
            index_catalog(data, Fake(), 1)
        tried.append(done)

    monkeypatch.setattr("snowmatch.identify.opened_catalog.make_plugin", lambda *_: Fake())
    Catalog(data).index(workers=1, building=other_run)
    assert tried
    assert not index_catalog(data, Fake(), 1).done
    assert build(data) == []


def test_extractors_that_share_no_indexed_annotation_are_refused_with_the_next_step(data):
    few, many = Fake(), Fake(seed=1)
    index_catalog(replace(data, annotations=data.annotations[:4]), few, 1)
    index_catalog(replace(data, annotations=data.annotations[4:]), many, 1)
    method = as_method([many, few], make_plugin("matchers", "lnbnn"), Geometry())
    text = r"is indexed with all of (\w+) and \1: index it with \1, which has 4 anno"
    with pytest.raises(SnowmatchError, match=text) as refused:
        indexed(data, method, Galleries())
    assert refused.value.code == "not-indexed"
    assert refused.value.data["settings"]["seed"] == 0
    index_catalog(data, few, 1)
    assert len(indexed(data, method, Galleries())[1][0].annotations) == len(data.annotations) - 4


def test_features_that_were_damaged_and_extracted_again_are_read_again_while_the_catalog_is_open(data):
    """The new file has the name and the keys of the damaged one."""
    index_catalog(data, Fake(), 1)
    cache, method = Galleries(), as_method([Fake()], make_plugin("matchers", "lnbnn"), Geometry())
    (path,) = features_path(data.folder).glob("*/features-*.h5")
    damaged = bytearray(path.read_bytes())
    damaged[json.loads(damaged[:512].rstrip(b"\0"))["arrays"][-1][1] - 1] ^= 255  # the last byte of an array
    path.write_bytes(damaged)

    def read():
        _, (gallery,) = indexed(data, method, cache)
        return [gallery.subject(n) for n in range(len(gallery.annotations))]

    with pytest.raises(SnowmatchError, match="has damaged features: index again"):
        read()
    index_catalog(data, Fake(), 1)
    assert list(path.parent.glob("features-*.h5")) == [path]
    assert len(read()) == len(data.annotations)


def test_forests_share_the_memory_of_the_catalog_and_another_content_is_another_forest(data, monkeypatch):
    def open_gallery():
        _, (found,) = indexed(data, as_method([Fake()], matcher, Geometry()), cache)
        return found

    def neighbours(gallery):
        blocks = gallery.blocks("flann", "unknown")
        everything = np.ones(len(gallery.annotations), bool)
        return len(blocks), search(blocks, gallery.subject(0).features.descriptors, everything, 5)

    matcher, cache = make_plugin("matchers", "lnbnn", {"backend": "flann"}), Galleries()
    monkeypatch.setattr(galleries, "forest_rows", lambda *of: 100)
    index_catalog(data, Fake(), 1)
    count, plenty = neighbours(open_gallery())
    held = cache.loaded.bytes
    assert count > 2
    assert held == 2 * 4 * Fake.DIMENSION * sum(open_gallery().feature_count(n) for n in range(12))
    cache.loaded.bound(held // 2)
    _, little = neighbours(open_gallery())
    assert held // 2 >= cache.loaded.bytes > 0
    assert (little.distances == plenty.distances).all()
    cache.loaded.bound(10 * held)
    make_photo(data.folder / data.annotations[0].path, 99)
    index_catalog(data, Fake(), 1)
    _, changed = neighbours(open_gallery())
    assert (changed.distances[:, 0] == 0).all()  # the photo is compared with itself
