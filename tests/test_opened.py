"""A large catalog is kept as it was read: it opens from one file, and always as if it had been read anew."""

import json
import os
import random
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from snowmatch.catalog import opened
from snowmatch.catalog.database import writing
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.opened import open_data
from snowmatch.catalog.records import load_records
from snowmatch.catalog.settings import CatalogSettings, keep_settings
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import opened_path
from snowmatch.core.mended import forget_mended, note_on_mended


@pytest.fixture
def catalog(own_survey, monkeypatch):
    """An indexed catalog, as large as those that are kept. One photo has no record, and must be looked at."""
    monkeypatch.setattr(opened, "LEAST", 1)
    folder = own_survey / "catalog"
    table = folder / "catalog.csv"
    lines = table.read_text().splitlines()
    first = next(iter(sorted(folder.rglob("*.jpg"))))
    shutil.copy(first, folder / "new.jpg")
    cells = dict(zip(lines[0].split(","), [""] * 99, strict=False)) | {"path": "new.jpg", "annotation": ""}
    table.write_text("\n".join([*lines, ",".join(cells.values())]) + "\n")
    return folder


def read_anew(folder, options=None):
    return load_catalog(folder, load_records(folder), options)


def same(one, other):
    assert one == other
    assert list(one.facts.items()) == list(other.facts.items())
    assert [json.loads(json.dumps(dict(n.data))) for n in one.notes] == [
        json.loads(json.dumps(dict(n.data))) for n in other.notes
    ]
    assert [type(v) for a in one.annotations for v in vars(a).values()] == [
        type(v) for a in other.annotations for v in vars(a).values()
    ]


@pytest.fixture
def no_reading(monkeypatch):
    def read(*_):
        raise AssertionError("the table was read")

    return lambda: monkeypatch.setattr(opened, "load_catalog", read)


def test_a_catalog_that_did_not_change_opens_from_one_file(catalog, no_reading):
    expected, records = read_anew(catalog), load_records(catalog)
    same(open_data(catalog), expected)
    no_reading()
    same(open_data(catalog), expected)
    assert load_records(catalog) == records
    assert any(a.path == "new.jpg" and a.timestamp == expected.facts["new.jpg"].taken for a in expected.annotations)


def test_a_small_catalog_is_not_kept(catalog, monkeypatch):
    monkeypatch.setattr(opened, "LEAST", 10_000)
    open_data(catalog)
    assert not opened_path(catalog).exists()


def test_a_copied_catalog_opens_from_the_file(catalog, tmp_path, no_reading):
    open_data(catalog)
    shutil.copytree(catalog, tmp_path / "copy")
    no_reading()
    assert open_data(tmp_path / "copy").folder == tmp_path / "copy"


def another_row(folder):
    table = folder / "catalog.csv"
    table.write_text(table.read_text().replace("new.jpg", "other.jpg"))


def another_time(folder):
    """A letter of the table, and its time stays."""
    table, status = folder / "catalog.csv", os.stat(folder / "catalog.csv")
    text = table.read_text()
    table.write_text(text.replace("left_flank", "head", 1) if "left_flank" in text else text + "\n")
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))


def another_record(folder):
    with closing(sqlite3.connect(folder / ".snowmatch" / "catalog.sqlite")) as database, database:
        database.execute("DELETE FROM files")  # by another program: the file stays


def no_photo(folder):
    (folder / "new.jpg").unlink()


def other_settings(folder):
    keep_settings(folder, CatalogSettings(encounter_gap=7.0, boxes=False))


def no_database(folder):
    (folder / ".snowmatch" / "catalog.sqlite").unlink()


@pytest.mark.parametrize("change", [another_row, another_time, another_record, no_photo, other_settings, no_database])
def test_whatever_changes_is_seen(catalog, change):
    before = open_data(catalog)
    change(catalog)
    now = open_data(catalog)
    same(now, read_anew(catalog))
    assert now != before or now.facts != before.facts or change is no_database
    same(open_data(catalog), now)


def test_other_settings_of_one_command_are_heard(catalog):
    open_data(catalog)
    same(open_data(catalog, {"encounter_gap": 5000.0}), read_anew(catalog, {"encounter_gap": 5000.0}))
    same(open_data(catalog), read_anew(catalog))


def test_a_damaged_file_is_made_again(catalog):
    expected = open_data(catalog)
    path = opened_path(catalog)
    whole, rng = path.read_bytes(), random.Random(7)
    for n in range(20):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged if n % 3 else whole[: rng.randrange(len(whole))])
        same(open_data(catalog), expected)
        assert path.read_bytes() == whole
        assert list(note_on_mended(catalog).data["files"]) == ["opened.json"], n
        forget_mended(catalog)


def test_a_file_of_an_older_version_or_of_another_catalog_is_not_called_damaged(catalog):
    open_data(catalog)
    path = opened_path(catalog)
    whole = path.read_bytes()
    path.write_bytes(b'{"stamp": [1], "sum": 1}\n{}')
    open_data(catalog)
    assert path.read_bytes() == whole
    another_record(catalog)
    open_data(catalog)
    assert path.read_bytes() != whole
    assert note_on_mended(catalog) is None


def test_what_is_deleted_from_the_database_leaves_the_file(catalog):
    open_data(catalog)
    assert b"new.jpg" in opened_path(catalog).read_bytes()
    with writing(catalog):
        pass
    assert not opened_path(catalog).exists()


def test_records_of_a_database_that_changes_while_the_catalog_opens_are_not_taken_for_its_new_ones(
    catalog, monkeypatch
):
    open_data(catalog)
    kept = opened._kept

    def meanwhile(folder, stamp):
        found = kept(folder, stamp)
        another_record(folder)
        return found

    monkeypatch.setattr(opened, "_kept", meanwhile)
    open_data(catalog)
    assert load_records(catalog).photos == {}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="an administrator may write everywhere")
def test_a_catalog_that_cannot_be_written_opens(catalog):
    home = catalog / ".snowmatch"
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        same(open_data(catalog), read_anew(catalog))
        assert not opened_path(catalog).exists()
    finally:
        home.chmod(0o755)


def test_a_full_disk_does_not_stop_the_opening(catalog, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise SnowmatchError(f"{path} cannot be written: {len(content)} bytes")

    monkeypatch.setattr(opened, "keep_file", full)
    same(open_data(catalog), read_anew(catalog))
