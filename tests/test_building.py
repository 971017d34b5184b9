"""The progress of building the search index: it counts up to a total that is true."""

import signal

import pytest
from fake_extractor import Fake, make_catalog

from snowmatch.features.indexing import index_catalog
from snowmatch.identify.session import Galleries, build_index
from snowmatch.matching.search import encoding, inverted_file


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
