"""The stored foreground maps: each is read alone, and damage is told and never gives another map."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest

import snowmatch
from snowmatch.catalog.database import VERSION, mend, reading, writing
from snowmatch.catalog.screened import load_detections, save_detections
from snowmatch.core.home import database_path
from snowmatch.screening import stored_maps
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.maps import forget_maps, load_maps, load_marks, maps_stamp, save_maps
from snowmatch.screening.stored_maps import open_maps


def some_maps(seed=0, count=7):
    rng = np.random.default_rng(seed)
    entries = {}
    for n in range(count):
        values = rng.integers(0, 256, rng.integers(1, 9, 2), dtype=np.uint8)
        found = (
            ForegroundMap(values, ("", "burst", "station", "burst and station and classifier")[n % 4])
            if n % 5
            else None
        )
        entries[f"{rng.integers(2**62):016x}"] = (f"{n:032x}", found)
    return entries


def plain(entries):
    return {
        photo: (mark, None if m is None else (m.evidence, m.values.shape, m.values.tobytes()))
        for photo, (mark, m) in entries.items()
    }


def stored(folder):
    """Return all stored entries, in a form that can be compared."""
    return plain(load_maps(folder, load_marks(folder)))


def lose(folder):
    """Remove all stored maps."""
    forget_maps(folder, load_marks(folder))
    assert stored(folder) == {}


def rows_of(folder):
    with reading(folder) as database:
        return database.execute("SELECT rowid, * FROM maps ORDER BY rowid").fetchall()


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_saved_maps_are_loaded(tmp_path, count):
    assert stored(tmp_path) == {}
    maps = some_maps(count, count)
    save_maps(tmp_path, maps)
    assert stored(tmp_path) == plain(maps)
    assert load_marks(tmp_path) == {photo: mark for photo, (mark, _) in maps.items()}


def test_maps_saved_in_any_order_and_in_parts_are_the_same(tmp_path):
    maps = some_maps(count=20)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    save_maps(tmp_path / "whole", maps)
    entries = list(maps.items())
    random.Random(1).shuffle(entries)
    for start in range(0, len(entries), 3):
        save_maps(tmp_path / "parts", dict(entries[start : start + 3]))
    assert stored(tmp_path / "parts") == stored(tmp_path / "whole") == plain(maps)
    assert maps_stamp(tmp_path / "parts") == maps_stamp(tmp_path / "whole")


def test_a_saved_map_replaces_only_that_of_its_photo(tmp_path):
    maps = some_maps(1, 10)
    save_maps(tmp_path, maps)
    new = dict(zip(maps, some_maps(2, 3).values(), strict=False))
    stamp = maps_stamp(tmp_path)
    save_maps(tmp_path, new)
    assert stored(tmp_path) == plain(maps | new)
    assert maps_stamp(tmp_path) != stamp
    forget_maps(tmp_path, list(new))
    assert stored(tmp_path) == {photo: entry for photo, entry in plain(maps).items() if photo not in new}


def test_a_map_is_found_by_its_photos_content(tmp_path):
    sha = "0123456789abcdef" + "0" * 48
    found = ForegroundMap(np.ones((2, 2), np.uint8), "burst")
    save_maps(tmp_path, {sha[:16]: ("mark", found), "f" * 16: ("mark", None)})
    maps = open_maps(tmp_path)
    for name in (sha, f"{sha[:16]}-box-mask"):
        assert (maps.of_content(name).values == found.values).all()
        assert maps.of_content(name).evidence == "burst"
    assert maps.of_content("f" * 64) is maps.of_content("a" * 64) is maps.of_content("") is None
    names = [sha, "f" * 64, "a" * 64, "", "0" * 64]
    assert maps.listed(names).tolist() == [True, True, False, False, False]
    assert maps.evidence(names) == ["burst", None, None, None, None]
    assert maps.listed([]).tolist() == maps.evidence([]) == maps.of_contents([]) == []
    assert maps.notes() == []


@pytest.mark.parametrize("keep", [0, 3, 1000])
def test_maps_that_are_read_again_are_the_same_however_many_stay_in_memory(tmp_path, monkeypatch, keep):
    entries = some_maps(3, 25)
    largest = stored_maps.OVERHEAD + max(found.values.nbytes for _, found in entries.values() if found is not None)
    monkeypatch.setattr(stored_maps, "KEPT_BYTES", keep * largest)
    save_maps(tmp_path, entries)
    maps = open_maps(tmp_path)
    asked = random.Random(0).choices([*entries, "a" * 16], k=200)
    for start in range(0, 200, 7):
        some = asked[start : start + 7]
        found = dict(zip(some, maps.of_contents(some), strict=True))
        assert plain({key: ("", found[key]) for key in some}) == plain(
            {key: ("", entries[key][1] if key in entries else None) for key in some}
        )
        assert maps._size == sum(stored_maps._bytes_of(found) for found in maps._kept.values()) <= keep * largest
    assert maps.evidence(list(entries)) == [None if m is None else m.evidence for _, m in entries.values()]


# For every column: another value
CHANGES = {
    "photo": "'ff' || substr(photo, 3)",
    "mark": "'x'",
    "evidence": "CASE evidence WHEN 'burst' THEN 'station' ELSE 'burst' END",
    "height": "height + 1",
    "width": "NULL",
    "cells_sum": "cells_sum + 1",
    "sum": "sum + 1",
    "cells": "CAST(substr(cells, 2) || X'07' AS BLOB)",
}


def spoil(folder, column, photo):
    with writing(folder) as database:
        database.execute(f"UPDATE maps SET {column} = {CHANGES[column]} WHERE photo = ?", (photo,))


@pytest.mark.parametrize("column", CHANGES)
def test_a_damaged_entry_is_told_and_the_others_are_read(tmp_path, column):
    entries = some_maps(4, 12)
    save_maps(tmp_path, entries)
    with reading(tmp_path) as database:
        assert {name for _, name, *_ in database.execute("PRAGMA table_info(maps)")} == set(CHANGES)
    bad = list(entries)[3]
    spoil(tmp_path, column, bad)
    others = [photo for photo in entries if photo != bad]
    maps = open_maps(tmp_path)
    found = dict(zip(others, maps.of_contents(others), strict=True))
    assert plain({photo: ("", found[photo]) for photo in others}) == plain(
        {photo: ("", entries[photo][1]) for photo in others}
    )
    # Only the cells are not looked at before they are used
    assert [note.code for note in maps.notes()] == ([] if column == "cells" else ["maps-damaged"])
    for _ in range(2):
        assert maps.of_content(bad) is None
        (note,) = maps.notes()
        assert (note.code, note.data["count"]) == ("maps-damaged", 1)
        assert "index again" in note.text
    marks = load_marks(tmp_path)
    assert {photo: mark for photo, mark in marks.items() if mark is not None} == {
        photo: entries[photo][0] for photo in others
    }
    assert list(marks.values()).count(None) == 1
    save_maps(tmp_path, {bad: entries[bad]})
    forget_maps(tmp_path, [photo for photo in load_marks(tmp_path) if photo not in entries])
    assert stored(tmp_path) == plain(entries)


def test_cells_of_a_photo_without_a_map_are_damage(tmp_path):
    save_maps(tmp_path, {"f" * 16: ("mark", None)})
    with writing(tmp_path) as database:
        database.execute("UPDATE maps SET cells = X'01'")
    assert load_marks(tmp_path) == {"f" * 16: None}


@pytest.mark.parametrize("content", [b"", b"no database at all\n" * 100])
def test_a_damaged_database_gives_no_maps_with_a_note(tmp_path, content):
    entries = some_maps()
    save_maps(tmp_path, entries)
    before = open_maps(tmp_path)
    database_path(tmp_path).write_bytes(content)
    maps = open_maps(tmp_path)
    assert maps.of_contents(list(entries)) == [None] * len(entries)
    assert load_marks(tmp_path) == {}
    assert maps_stamp(tmp_path) is None
    assert [note.code for note in maps.notes()] == ["maps-damaged"]
    assert before.of_contents(list(entries)) == [None] * len(entries)  # its list was read before the damage
    assert [note.code for note in before.notes()] == ["maps-damaged"]


def test_with_any_wrong_byte_in_the_file_maps_are_right_or_none(tmp_path):
    entries = some_maps()
    save_maps(tmp_path, entries)
    good = database_path(tmp_path).read_bytes()
    for place in range(0, len(good), 97):
        database_path(tmp_path).write_bytes(good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        marks = {photo: mark for photo, mark in load_marks(tmp_path).items() if mark is not None}
        assert marks.items() <= {photo: mark for photo, (mark, _) in entries.items()}.items()
        maps = open_maps(tmp_path)
        found = dict(zip(entries, maps.of_contents(list(entries)), strict=True))
        wrong = {photo for photo, (_, m) in entries.items() if plain({"": ("", m)}) != plain({"": ("", found[photo])})}
        assert all(found[photo] is None for photo in wrong)
        assert maps.notes() or not wrong


def test_a_database_of_version_2_is_read_and_gets_the_maps(tmp_path):
    save_detections(tmp_path, "mark", {"ab" * 32: ()})
    with writing(tmp_path) as database:
        database.execute("DROP TABLE maps")
        database.execute("DROP TABLE flanks")
        database.execute("PRAGMA user_version = 2")
    assert load_detections(tmp_path) == {"ab" * 32: ()}
    assert load_marks(tmp_path) == {}
    assert [note.code for note in open_maps(tmp_path).notes()] == ["maps-damaged"]
    assert not mend(tmp_path)
    save_maps(tmp_path, some_maps())
    assert stored(tmp_path) == plain(some_maps())
    assert load_detections(tmp_path) == {"ab" * 32: ()}
    with reading(tmp_path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user without root rights")
def test_maps_of_a_read_only_catalog_are_read(tmp_path):
    save_maps(tmp_path, some_maps())
    home = database_path(tmp_path).parent
    database_path(tmp_path).chmod(0o400)
    home.chmod(0o500)
    try:
        assert stored(tmp_path) == plain(some_maps())
        assert open_maps(tmp_path).of_content(next(iter(some_maps()))) is None  # the first has no map
    finally:
        home.chmod(0o700)


def test_two_processes_save_maps_at_the_same_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from snowmatch.screening.foreground import ForegroundMap\n"
        "from snowmatch.screening.maps import save_maps\n"
        "for n in range(20):\n"
        "    found = ForegroundMap(np.full((9, 9), n, np.uint8), 'burst')\n"
        "    save_maps(Path(sys.argv[1]), {f'{int(sys.argv[2]) * 100 + n:016x}': ('mark', found)})\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert set(stored(tmp_path)) == {f"{100 * p + n:016x}" for p in range(2) for n in range(20)}


def test_maps_that_were_damaged_and_made_again_are_used_while_the_catalog_is_open(own_survey):
    """Their stamp is that of the damaged ones."""
    catalog = snowmatch.open_catalog(own_survey / "catalog")

    def ask():
        session = catalog.session()
        found = session.gallery.maps.of_contents(list(session.gallery.keys))
        return sum(each is not None for each in found), [note.code for note in session.map_notes()]

    count, notes = ask()
    assert notes == []
    with writing(catalog.folder) as database:
        before = database.execute("SELECT cells, photo FROM maps").fetchall()
        database.execute(f"UPDATE maps SET cells = {CHANGES['cells']} WHERE length(cells) > 0")
    catalog = snowmatch.open_catalog(catalog.folder)
    assert ask() == (0, ["maps-damaged"])
    with writing(catalog.folder) as database:
        database.executemany("UPDATE maps SET cells = ? WHERE photo = ?", before)
    assert ask() == (count, [])
