"""The catalog's database can always be rebuilt: damage is noticed and costs time, but never gives wrong values."""

import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from fake_extractor import age, make_photo

import snowmatch
from snowmatch.catalog.database import VERSION, DamagedError, _opened, reading, writing
from snowmatch.catalog.ids import KeptId, load_ids, save_ids
from snowmatch.catalog.records import Fingerprint, Records, load_records, paths_with, save_records
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import sqlite_address
from snowmatch.core.home import database_path
from snowmatch.decisions import opening
from snowmatch.interchange.importers._sqlite import open_sqlite
from snowmatch.photos.facts import PhotoFacts

CONTENT = "ab" * 32
FACTS = PhotoFacts((30, 20), datetime(2012, 5, 6, 7, 8, 9), "DateTimeOriginal", "H500", bytes(range(32)))
SOME = Records(
    {f"photos/{n}.jpg": Fingerprint(n, 2, 3, 4, f"{n:064x}", FACTS) for n in range(40)},
    {"masks/1.png": Fingerprint(9, 8, 7, 6, CONTENT)},
    {"photos/bad.jpg": "is truncated"},
)
IDS = [KeptId(f"a{n}", f"photos/{n}.jpg", (n, 1, 2, 3) if n % 2 else None, "", f"{n:064x}") for n in range(40)]


@pytest.fixture
def folder(tmp_path):
    save_records(tmp_path, SOME)
    save_ids(tmp_path, IDS)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (PureWindowsPath("//server/share/a 1/x#?%.sqlite"), "file:////server/share/a%201/x%23%3F%25.sqlite?mode=ro"),
        (PureWindowsPath("C:/a/ä.sqlite"), "file:///C:/a/%C3%A4.sqlite?mode=ro"),
        (PurePosixPath("/a/x.sqlite"), "file:///a/x.sqlite?mode=ro"),
    ],
)
def test_sqlite_understands_the_address_of_every_path(path, address):
    assert sqlite_address(path, "mode=ro") == address
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):  # not: invalid uri authority
        sqlite3.connect(address.replace("/a/", "/none/").replace("server", "none"), uri=True)


class OnShare(type(Path())):
    """A path as of a network share of Windows: its usual address has an authority, which SQLite refuses."""

    def as_uri(self):
        return PureWindowsPath(f"//server/share{self}").as_uri()

    def resolve(self):
        return self


def test_databases_on_a_network_share_are_opened(tmp_path):
    path = OnShare(tmp_path) / "decisions.sqlite"
    with opening.writing(path):
        pass
    with opening.reading(path), open_sqlite(path):
        pass
    with _opened(path, write=False):
        pass


@pytest.mark.parametrize("content", [b"", b"x", b"no database at all\n" * 100, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_file_that_is_not_a_database_gives_no_records_and_is_replaced(folder, content):
    database_path(folder).write_bytes(content)
    assert load_records(folder) == Records()
    assert paths_with(folder, CONTENT) == {}
    assert load_ids(folder) == []
    save_records(folder, SOME)
    assert load_records(folder) == SOME


def test_with_any_wrong_byte_the_records_are_right_or_missing(folder):
    good = database_path(folder).read_bytes()
    lost = 0
    for place in range(0, len(good), 101):
        database_path(folder).write_bytes(good[:place] + bytes([good[place] ^ 0x15]) + good[place + 1 :])
        found = load_records(folder)
        assert found.photos.items() <= SOME.photos.items()
        assert found.masks.items() <= SOME.masks.items()
        assert found.failures.items() <= SOME.failures.items()
        assert set(load_ids(folder)) <= set(IDS)
        lost += found != SOME
    assert lost > 10


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_with_a_truncated_file_the_records_are_right_or_missing(folder, share):
    good = database_path(folder).read_bytes()
    database_path(folder).write_bytes(good[: int(share * len(good))])
    assert load_records(folder).photos.items() <= SOME.photos.items()
    save_records(folder, SOME)
    assert load_records(folder) == SOME


def test_the_checksum_of_a_row_finds_a_changed_value(folder):
    with sqlite3.connect(database_path(folder)) as database:
        database.execute("UPDATE files SET sha256 = ? WHERE path = 'photos/3.jpg'", (CONTENT,))
        database.execute("UPDATE annotations SET path = 'photos/4.jpg' WHERE annotation = 'a5'")
    database.close()
    found = load_records(folder)
    assert found.unsound == 1
    assert set(SOME.photos) - set(found.photos) == {"photos/3.jpg"}
    assert paths_with(folder, CONTENT) == {}
    assert {k.annotation for k in IDS} - {k.annotation for k in load_ids(folder)} == {"a5"}


@pytest.mark.parametrize(("table", "column"), [("files", "path"), ("files", "size"), ("failures", "reason")])
def test_a_damaged_record_is_noticed_and_gone_after_the_next_saving(folder, table, column):
    with sqlite3.connect(database_path(folder)) as database:
        database.execute(f"UPDATE {table} SET {column} = 'x' WHERE path IN ('photos/3.jpg', 'photos/bad.jpg')")
    database.close()
    before = load_records(folder)
    assert before.unsound == 1
    save_records(folder, SOME, before)
    assert (load_records(folder), load_records(folder).unsound) == (SOME, 0)


def test_a_database_with_another_layout_gives_no_records(folder):
    with sqlite3.connect(database_path(folder)) as database:
        database.execute("DROP TABLE failures")
        database.execute("CREATE VIEW failures AS SELECT path, sha256 AS reason, sum FROM files")
    database.close()
    assert load_records(folder) == Records()
    with pytest.raises(DamagedError), reading(folder):
        pass


def test_a_database_of_a_newer_version_raises_an_error_and_does_not_change(folder):
    with sqlite3.connect(database_path(folder)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    before = database_path(folder).read_bytes()
    for use in (load_records, lambda f: save_records(f, SOME), load_ids):
        with pytest.raises(SnowmatchError, match="install a newer snowmatch"):
            use(folder)
    assert database_path(folder).read_bytes() == before


def test_an_exception_while_writing_changes_nothing(folder):
    def stopped():
        with writing(folder) as database:
            database.execute("DELETE FROM files")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert load_records(folder) == SOME


def test_a_killed_writer_changes_nothing(folder):
    code = (
        "import os, sys; from pathlib import Path; from snowmatch.catalog.database import writing\n"
        "with writing(Path(sys.argv[1])) as database:\n"
        "    database.execute('DELETE FROM files')\n"
        "    database.execute('PRAGMA cache_spill = 1')\n"
        "    os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert load_records(folder) == SOME


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user without root rights")
def test_the_database_of_a_read_only_catalog_is_read(folder):
    home = database_path(folder).parent
    database_path(folder).chmod(0o400)
    home.chmod(0o500)
    try:
        assert load_records(folder) == SOME
    finally:
        home.chmod(0o700)


def test_the_index_run_rebuilds_a_damaged_entry_with_a_note(own_survey):
    catalog = own_survey / "catalog"
    snowmatch.open_catalog(catalog).index()
    whole = load_records(catalog)
    path = next(iter(whole.photos))
    with sqlite3.connect(database_path(catalog)) as database:
        database.execute("UPDATE files SET sha256 = ? WHERE path = ?", (CONTENT, path))
    database.close()
    report = snowmatch.open_catalog(catalog).index()
    assert [note.code for note in report.notes] == ["database-mended"]
    assert report.done == 0
    assert load_records(catalog).photos[path].sha256 == whole.photos[path].sha256


def test_opening_a_catalog_reads_no_photo_on_record(tmp_path, monkeypatch):
    folder = tmp_path / "catalog"
    for n in range(3):
        photo = folder / "aika" / "left_flank" / f"{n}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        make_photo(photo.with_suffix(".png"), n)
        age(photo.with_suffix(".png"))
    snowmatch.open_catalog(folder).index("sift", workers=1)
    real = os.stat

    def stat(path, *args, **kwargs):
        assert not str(path).endswith(".png"), f"opening the catalog called stat on {path}"
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr("snowmatch.photos.formats.open_photo", lambda path: pytest.fail(f"{path} was read"))
    catalog = snowmatch.open_catalog(folder)
    assert len(catalog.data.annotations) == 3


def test_identifiers_stay_the_same_after_the_home_folder_was_deleted(own_survey, seen_once):
    catalog = own_survey / "catalog"
    lines = (catalog / "catalog.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (catalog / "catalog.csv").write_text("".join(lines[:9]), encoding="utf-8")
    shutil.rmtree(catalog / ".snowmatch")
    snowmatch.open_catalog(catalog).index(workers=1)
    before = {k.annotation for k in load_ids(catalog)}
    assert len(before) == 8
    shutil.rmtree(catalog / ".snowmatch")
    snowmatch.open_catalog(catalog).index(workers=1)
    assert {k.annotation for k in load_ids(catalog)} == before
