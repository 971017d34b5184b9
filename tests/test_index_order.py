"""The order of an index run: read, look, extract. What changes in the catalog meanwhile, and what the bars show."""

import fake_classifier
import pytest
from fake_classifier import draw, make_catalog, write_rows
from fake_extractor import Fake, age

import snowmatch
from snowmatch.catalog.ids import load_ids
from snowmatch.features import hashing
from snowmatch.features.indexing import index_catalog
from snowmatch.screening import mapping

ROWS = [(f"{n}.jpg", "leopard" if n % 2 else "empty", "S1", f"E{n // 2}", "") for n in range(6)]


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    return make_catalog(tmp_path / "catalog", ROWS)


def index(folder, **told):
    return index_catalog(snowmatch.open_catalog(folder).data, Fake(), 1, again=True, **told)


def test_each_bar_reaches_its_end_one_after_the_other(catalog):
    calls = []
    told = {name: lambda *now, name=name: calls.append((name, *now)) for name in ("reading", "mapping", "progress")}
    report = index(catalog, **told)
    assert report.done == 6
    names = [name for name, *_ in calls]
    assert list(dict.fromkeys(names)) == ["reading", "mapping", "progress"]
    assert names == sorted(names, key=["reading", "mapping", "progress"].index)
    for asked in told:
        of = [now for name, *now in calls if name == asked]
        assert of[-1] == [6, 6]
        assert of == sorted(of)


def test_the_bars_reach_their_end_with_photos_that_fail(catalog):
    (catalog / "1.jpg").write_bytes(b"no photo")
    (catalog / "2.jpg").unlink()
    last = {}
    told = {name: lambda *now, name=name: last.update({name: now}) for name in ("reading", "mapping", "progress")}
    report = index(catalog, **told)
    assert [path for path, _ in report.failed] == ["1.jpg", "2.jpg"]
    assert (last["reading"], last["progress"]) == ((6, 6), (6, 6))
    assert last["mapping"][0] == last["mapping"][1] > 0


@pytest.mark.parametrize("when", ["reading", "mapping"])
def test_a_row_that_is_added_meanwhile_is_indexed(catalog, when):
    def add(done, total):
        if done == 3:
            draw(catalog / "late.jpg", "leopard", 50)
            rows = [(name, *rest) for name, _, *rest in ROWS]
            write_rows(catalog, [*rows, ("late.jpg", "S1", "E9", "")])

    report = index(catalog, **{when: add})
    assert [a.path for a in report.catalog.annotations][-1] == "late.jpg"
    assert (report.done, report.reused, report.failed) == (7, 0, ())
    assert len(load_ids(catalog)) == 7
    again = index(catalog)
    assert (again.done, again.reused) == ((0, 7) if when == "reading" else (1, 6))  # the map that it gets now has a box
    assert index(catalog).done == 0


def test_a_photo_that_vanishes_while_it_is_looked_at_is_listed(catalog):
    report = index(catalog, mapping=lambda *now: (catalog / "4.jpg").unlink(missing_ok=True))
    assert [path for path, _ in report.failed] == ["4.jpg"]
    assert report.done == 5


# --- hashing ----------------------------------------------------------------------------------------------------------


def hash_all(folder, records=None, processes=1, told=None, save=lambda: None):
    records = hashing.Records() if records is None else records
    data = snowmatch.open_catalog(folder).data
    return hashing.hash_photos(folder, records, data.annotations, processes, told, save), records


def test_photos_on_record_are_not_read_and_new_content_is_no_failure_any_more(catalog):
    for name, *_ in ROWS:
        age(catalog / name)
    _, records = hash_all(catalog)
    calls = []
    assert hash_all(catalog, records, told=lambda *now: calls.append(now))[0] == {}
    assert calls == []
    records.failures.update({"0.jpg": "broken", "1.jpg": "broken"})
    draw(catalog / "0.jpg", "leopard", 99)
    hash_all(catalog, records, told=lambda *now: calls.append(now))
    assert calls == [(1, 1)]
    assert records.failures == {"1.jpg": "broken"}


def test_a_missing_photo_keeps_its_record(catalog):
    _, records = hash_all(catalog)
    before = records.photos["3.jpg"]
    (catalog / "3.jpg").unlink()
    unreadable, _ = hash_all(catalog, records)
    assert list(unreadable) == ["3.jpg"]
    assert records.photos["3.jpg"] == before


def test_records_are_saved_during_a_long_run(catalog, monkeypatch):
    monkeypatch.setattr(hashing, "SAVE_SECONDS", -1.0)
    saved = []
    hash_all(catalog, save=lambda: saved.append(1))
    assert len(saved) == 6


def test_a_catalog_without_new_photos_starts_no_process(catalog, monkeypatch):
    for name, *_ in ROWS:
        age(catalog / name)
    index(catalog)
    monkeypatch.setattr(hashing, "FEW_PHOTOS", 1)
    monkeypatch.setattr("snowmatch.core.executor.Pool", lambda *_: pytest.fail("a process was started"))
    monkeypatch.setattr(mapping, "look", lambda *_: pytest.fail("a photo was looked at"))
    report = index_catalog(snowmatch.open_catalog(catalog).data, Fake(), 4, again=True)
    assert (report.done, report.reused, report.mapped) == (0, 6, 0)
