"""Damage in the tables of catalog.sqlite: the answers stay, or a note tells of it, and one command mends it."""

import itertools
import shutil
import sqlite3
from contextlib import closing

import fake_classifier
import fake_detector
import pytest
from click.testing import CliRunner
from fake_classifier import BOX, make_catalog, results

import snowmatch
from snowmatch.catalog.damage import count_damaged
from snowmatch.catalog.database import SCHEMA
from snowmatch.catalog.found import BY_SCREENING, Found, load_found, save_found
from snowmatch.catalog.records import load_records
from snowmatch.catalog.screened import save_flanks
from snowmatch.cli import main
from snowmatch.core.home import database_path
from snowmatch.review.batch import run_batch
from snowmatch.review.doctor.examine import examine

ROWS = [
    ("a.jpg", "leopard", "S1", "E1", "aika"),
    ("b.jpg", "leopard", "S2", "E2", ""),
    ("c.jpg", "empty", "S2", "E3", ""),
    ("d.jpg", "ibex", "S3", "E4", ""),
    ("e.jpg", "empty", "S3", "E5", ""),
    ("f.jpg", "leopard", "S4", "E6", "bars"),
]
TWO = [("1", 0.9, BOX), ("1", 0.8, [0, 0, 0.4, 0.4])]  # two animals in one photo
# For every table that a screening or its boxes fill: the columns to damage
TABLES = {
    "found": ("sha256", "origin", "number", "bbox", "box_by", "label", "confidence", "sum"),
    "screened": ("sha256", "mark", "classes", "sum"),
    "detected": ("sha256", "mark", "detections", "sum"),
    "screening": ("sha256", "answer", "sum"),
    "maps": ("photo", "mark", "evidence", "height", "width", "cells_sum", "sum", "cells"),
}
# Of the tables whose damaged entries are deleted: the columns, the key first
DROPPED = {
    "annotations": ("annotation", "path", "bbox", "mask", "sha256", "sum"),
    "answers": ("key", "answer", "sum"),
    "screened": TABLES["screened"],
    "flanks": ("sha256", "mark", "left", "sum"),
}
WRONG = [
    (table, column, value)
    for table, (key, *others) in DROPPED.items()
    for column in (key, *others)
    for value in (b"\xff", b"\x00\x01", 5, *((None,) if column != key else ()))
]
CASES = [(table, column) for table, columns in TABLES.items() for column in columns]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A catalog that was screened with a detector and with results, and indexed; and its answers."""
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        fake_classifier.use(patch)
        fake_detector.use(patch)
        catalog = make_catalog(folder / "catalog", ROWS)
        results(folder / "md.json", {"a.jpg": TWO, "b.jpg": TWO, "c.jpg": [], "e.jpg": [("2", 0.9, BOX)]})
        assert not snowmatch.open_catalog(catalog).index(workers=1).failed  # features without the boxes of the results
        mend(catalog)
        return catalog, folder / "md.json", answers(catalog)


@pytest.fixture
def catalog(whole, tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    fake_detector.use(monkeypatch)
    return shutil.copytree(whole[0], tmp_path / "catalog")


def screen(catalog, *words):
    return CliRunner().invoke(main, ["screen", str(catalog), "--workers", "1", *map(str, words)]).exit_code


def mend(catalog):
    """Run the commands that a note on damage names. The results of the other program lie beside the catalog, and list
    some of the photos.
    """
    assert screen(catalog, "--detector", "eyes") == 0
    assert screen(catalog, "--results", catalog.parent / "md.json") == 0
    snowmatch.open_catalog(catalog).index(workers=1)


def answers(catalog):
    """Return the annotations, the rows of a batch, and the codes of all notes."""
    opened = snowmatch.open_catalog(catalog)
    found = run_batch(opened, again=True)
    codes = {note.code for note in (*found.notes, *opened.data.notes)}
    return ([(a.path, a.bbox, a.box_by, a.individual) for a in opened.data.annotations], found.rows), codes


def rows_of(catalog, table):
    with closing(sqlite3.connect(database_path(catalog))) as database:
        return database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()


def fill(catalog):
    """Store flanks of three photos, and the answers of a batch."""
    known = [known.sha256 for known in load_records(catalog).photos.values()][:3]
    save_flanks(catalog, dict.fromkeys(known, ("a network", 0.75)))
    run_batch(snowmatch.open_catalog(catalog))


def damage(catalog, table, column, number):
    """Change one value of one row, as a wrong byte in the file would."""
    key = {"found": ("sha256", "origin", "number"), "maps": ("photo",)}.get(table, ("sha256",))
    row = dict(zip(TABLES[table], rows_of(catalog, table)[number], strict=True))
    value = row[column]
    if isinstance(value, bytes):
        other = bytes([value[0] ^ 1]) + value[1:] if value else b"x"
    elif not isinstance(value, str):
        other = value + 7
    else:
        other = f"{value[:-1]}{chr(ord(value[-1]) ^ 1)}" if value else "x"
    where = " AND ".join(f"{name} = ?" for name in key)
    with closing(sqlite3.connect(database_path(catalog))) as database:
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (other, *(row[name] for name in key)))
        database.commit()


def test_every_table_of_the_screening_is_here_and_full(whole):
    made = {statement.split()[2] for statement in SCHEMA if statement.startswith("CREATE TABLE")}
    assert made == {"files", "failures", "annotations", "answers", "flanks", *TABLES}  # flanks: see test_flank.py
    for table in TABLES:
        assert len(rows_of(whole[0], table)) >= len(ROWS), table
    told = {row.encounter: row.decision for row in whole[2][0][1]}
    assert (told["E3"], told["E4"], told["E5"]) == ("nothing", "other species", "person")


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), CASES)
def test_a_damaged_value_gives_the_same_answers_or_a_note(whole, catalog, tmp_path, table, column):
    _, file, (expected, codes) = whole
    shutil.copy(file, tmp_path / "md.json")
    original = database_path(catalog).read_bytes()
    for number in range(len(rows_of(catalog, table))):
        damage(catalog, table, column, number)
        found, now = answers(catalog)
        assert found == expected or now - codes, number  # never in silence
        if table in ("screened", "detected"):
            assert found == expected  # they only save time
        database_path(catalog).write_bytes(original)


@pytest.mark.slow
@pytest.mark.parametrize(("table", "column"), CASES)
def test_the_named_commands_mend_a_damaged_value(whole, catalog, tmp_path, table, column):
    _, file, expected = whole
    shutil.copy(file, tmp_path / "md.json")
    for number in (0, len(rows_of(catalog, table)) // 2):
        damage(catalog, table, column, number)
        mend(catalog)
        assert answers(catalog) == expected


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_an_index_run_tells_what_it_cannot_make_again(catalog, table):
    before = answers(catalog)[0]
    original, count = database_path(catalog).read_bytes(), len(rows_of(catalog, table))
    for column, number in itertools.product(TABLES[table], range(1, count, 3) if table != "found" else range(count)):
        damage(catalog, table, column, number)
        report = snowmatch.open_catalog(catalog).index(workers=1)
        found, codes = answers(catalog)
        told = codes | {note.code for note in report.notes}
        assert found == before or told & {"found-damaged", "screening-damaged", "maps-mended", "database-mended"}, (
            column,
            number,
        )
        database_path(catalog).write_bytes(original)


@pytest.mark.parametrize("table", TABLES)
def test_damaged_pages_of_one_table_are_told(whole, catalog, table):
    """The rest of the file is sound, so photos and features are still found."""
    expected, codes = whole[2]
    with closing(sqlite3.connect(database_path(catalog))) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(database_path(catalog).read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    database_path(catalog).write_bytes(content)
    found, now = answers(catalog)
    assert found == expected or now - codes
    if table in ("found", "screening"):
        assert now - codes
    copy = shutil.copytree(catalog, catalog.parent / "copy")
    report = snowmatch.open_catalog(catalog).index(workers=1)
    (note,) = [note for note in report.notes if note.code == "database-mended"]
    assert "if the catalog was screened, screen it again" in note.text
    assert "the database of photos was damaged and was made again" in screened(copy)


def screened(catalog):
    """Return what the command `screen` says, without line breaks."""
    told = CliRunner().invoke(main, ["screen", str(catalog), "--workers", "1"])
    assert told.exit_code == 0, told.output
    return " ".join(told.output.split())


@pytest.mark.slow
@pytest.mark.parametrize("by", ["index", "screen"])
@pytest.mark.parametrize(("table", "column", "value"), WRONG)
def test_a_damaged_entry_of_any_type_is_told_and_deleted_and_the_others_stay(catalog, table, column, value, by):
    fill(catalog)
    before = rows_of(catalog, table)
    with closing(sqlite3.connect(database_path(catalog))) as database, database:
        key, where = before[len(before) // 2][0], f"{DROPPED[table][0]} = ?"
        cast = "CAST(? AS TEXT)" if value == b"\xff" else "?"  # the first is a text that is no UTF-8
        database.execute(f"UPDATE {table} SET {column} = {cast} WHERE {where}", (value, key))
    assert count_damaged(catalog) == 1
    assert "records-damaged" in {finding.code for finding in examine(catalog).findings}
    if by == "screen":
        assert "1 entry of the database of photos was damaged and made again" in screened(catalog)
    else:
        notes = {note.code: note for note in snowmatch.open_catalog(catalog).index(workers=1).notes}
        assert notes["database-mended"].data == {"count": 1}
    assert count_damaged(catalog) == 0
    left = set(rows_of(catalog, table))
    assert set(before) - left <= {row for row in before if row[0] == key}
    if table in ("screened", "annotations") and by == "index":
        assert left == set(before)  # made again


def test_identifiers_are_rescued_beside_one_that_is_no_text(catalog):
    before = rows_of(catalog, "annotations")
    with closing(sqlite3.connect(database_path(catalog))) as database, database:
        database.execute("UPDATE annotations SET path = CAST(x'ff' AS TEXT) WHERE annotation = ?", before[0][:1])
        database.execute("CREATE TABLE other (a)")  # another layout: the database is replaced
    snowmatch.open_catalog(catalog).index(workers=1)
    assert set(rows_of(catalog, "annotations")) == set(before)


def test_damaged_detections_are_a_finding_until_the_next_screening(catalog):
    assert not {"detections-damaged"} & {f.code for f in examine(catalog).findings}
    with closing(sqlite3.connect(database_path(catalog))) as database, database:
        database.execute("UPDATE detected SET detections = CAST(x'ff' AS TEXT)")
    assert {"detections-damaged"} <= {f.code for f in examine(catalog).findings}
    assert screen(catalog, "--detector", "eyes") == 0
    assert not {"detections-damaged"} & {f.code for f in examine(catalog).findings}


ANIMALS = (Found((1, 2, 30, 40), "isnet"), Found((50, 2, 30, 40), "isnet"))


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("column", TABLES["found"])
def test_of_two_animals_one_alone_is_never_the_answer(tmp_path, column, number):
    found = {"aa": ANIMALS, "bb": ANIMALS[:1]}
    save_found(tmp_path, BY_SCREENING, found)
    damage(tmp_path, "found", column, number)
    told = []
    assert load_found(tmp_path, notes=told).get("aa", ()) in ((), ANIMALS[:1] if number else ())
    assert [note.code for note in told] == ["found-damaged"]
    save_found(tmp_path, BY_SCREENING, found)
    assert load_found(tmp_path, notes=told) == found
    assert len(told) == 1
