"""A watched folder: photos that arrive, that are half copied, that come back; nothing twice."""

import json
import os
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import read_rows

from snowmatch.catalog.settings import CatalogSettings
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of
from snowmatch.core.locks import file_lock
from snowmatch.review.arriving import Places, is_whole, list_photos, place_of
from snowmatch.review.watch import Watch
from snowmatch.review.watched import (
    Memory,
    Watched,
    append_events,
    check_events,
    events_since,
    read_memory,
    watched_path,
)


@pytest.fixture
def place(own_survey, tmp_path):
    """Return the catalog, an empty folder and some photos to put there."""
    folder = tmp_path / "card"
    folder.mkdir()
    photos = sorted((own_survey / "queries").rglob("*.jpg"))
    return own_survey / "catalog", folder, photos


def test_a_photo_is_asked_when_it_is_complete(place):
    catalog, folder, photos = place
    watch = Watch(folder, catalog, quiet=2)
    assert watch.look(now=0).events == ()
    whole = photos[0].read_bytes()
    copy = folder / "DCIM" / "IMG_0001.JPG"
    copy.parent.mkdir()
    copy.write_bytes(whole[: len(whole) // 2])
    assert watch.look(now=10).waiting == 1
    copy.write_bytes(whole)
    assert watch.look(now=13).waiting == 1  # it has changed
    arrival = watch.look(now=16)
    assert len(arrival.events) == 1
    assert arrival.failed == ()
    assert watch.look(now=20).events == ()


def test_nothing_is_asked_twice_after_a_restart(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    watch = Watch(folder, catalog, quiet=0)
    assert len(watch.look(now=1).events) == 1
    again = Watch(folder, catalog, quiet=0)
    assert again.look(now=2).events == ()
    shutil.copy(photos[-1], folder / "b.jpg")
    assert len(again.look(now=3).events) == 1


def test_the_card_is_pulled_out_and_put_back(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    watch = Watch(folder, catalog, quiet=0)
    watch.look(now=1)
    folder.rename(folder.with_name("gone"))
    assert not watch.look(now=2).here
    folder.with_name("gone").rename(folder)
    arrival = watch.look(now=3)
    assert arrival.here
    assert arrival.events == ()


def test_a_damaged_memory_asks_again(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    Watch(folder, catalog, quiet=0).look(now=1)
    watched_path(catalog).write_text("{not json\n[1]\n", encoding="utf-8")
    assert read_memory(catalog).asked == {}
    assert len(Watch(folder, catalog, quiet=0).look(now=2).events) == 1


def test_a_damaged_line_is_told_and_a_torn_one_is_not(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    Watch(folder, catalog, quiet=0).look(now=1)
    line, *more = watched_path(catalog).read_bytes().splitlines()
    watched_path(catalog).write_bytes(line[: len(line) // 2] + b"\n")
    assert [note.code for note in Watch(folder, catalog, quiet=0).look(now=2).notes if "watched" in note.code] == []
    watched_path(catalog).write_bytes(b"\n".join([line.replace(b'"events"', b'"eve"ts"'), *more, b""]))
    again = Watch(folder, catalog, quiet=0).look(now=3)
    (note,) = [note for note in again.notes if note.code == "watched-damaged"]
    assert note.text.startswith("1 line of ")
    assert len(again.events) == 1


def test_a_file_that_is_no_photo_is_told(place):
    catalog, folder, _ = place
    (folder / "broken.jpg").write_bytes(b"no photo")
    arrival = Watch(folder, catalog, quiet=0).look(now=1)
    assert [path for path, _ in arrival.failed] == [str(folder / "broken.jpg")]


def test_a_file_that_stays_empty_is_told_and_asked_when_it_is_filled(place):
    catalog, folder, photos = place
    for name in ("a.jpg", "b.jpg"):
        (folder / name).touch()
    watch = Watch(folder, catalog, quiet=0)
    assert watch.look(now=0) == watch.look(now=59)
    assert watch.look(now=59).waiting == 2
    arrival = watch.look(now=60)
    assert [path for path, _ in arrival.failed] == [str(folder / name) for name in ("a.jpg", "b.jpg")]
    assert {reason.partition(":")[0] for _, reason in arrival.failed} == {"it is empty (0 bytes)"}
    assert (arrival.waiting, arrival.left) == (0, 0)
    assert not watch.look(now=200).news  # told once
    shutil.copy(photos[0], folder / "a.jpg")
    assert [event["photos"] for event in watch.look(now=201).events] == [[str(folder / "a.jpg")]]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_path_that_is_no_text_is_told(place):
    catalog, folder, photos = place
    card = os.fsencode(folder) + b"/\xea\xe0\xf0\xf2\xe0"  # cp1251
    os.mkdir(card)
    shutil.copy(photos[0], card + b"/IMG_0001.JPG")
    shutil.copy(photos[0], folder / "named.jpg")
    watch = Watch(folder, catalog, quiet=0)
    arrival = watch.look(now=1)
    ((path, reason),) = arrival.failed
    assert os.fsencode(path) == card + b"/IMG_0001.JPG"
    assert "not valid text: rename" in reason
    assert [event["photos"] for event in arrival.events] == [[str(folder / "named.jpg")]]
    assert list(watch.memory.asked) == [str(folder / "named.jpg")]
    assert not watch.look(now=2).news  # told once


def test_hidden_files_are_left_out(tmp_path):
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "a.jpg").write_bytes(b"x")
    (tmp_path / "._b.jpg").write_bytes(b"x")
    (tmp_path / "c.jpg").write_bytes(b"x")
    assert [path for path, _ in list_photos(tmp_path).photos] == [str(tmp_path / "c.jpg")]


def test_what_is_left_out_is_told_once_and_nothing_is_said_to_be_asked(place, tmp_path):
    catalog, folder, photos = place
    (tmp_path / "other").mkdir()
    shutil.copy(photos[0], tmp_path / "other" / "a.jpg")
    (folder / "VID_1.MP4").write_bytes(b"film")
    (folder / "linked").symlink_to(tmp_path / "other", target_is_directory=True)
    (folder / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    watch = Watch(folder, catalog, quiet=0)
    skipped = watch.look(now=1).skipped
    kinds = {"VID_1.MP4": "video", "linked": "link to a folder", "broken.jpg": "unreadable"}
    assert {Path(path).name: kind for path, kind in skipped} == kinds
    assert not watch.look(now=2).news
    words = ["watch", str(folder), "--catalog", str(catalog), "--once", "--quiet", "0", "--every", "0.1"]
    output = CliRunner().invoke(main, words).output
    assert "1 video left out" in output
    assert "1 link to a folder left out" in output
    assert "1 folder or file that cannot be read left out" in output
    assert f"nothing new in {folder}.\n" in output
    assert "asked before" not in output


def test_a_folder_that_cannot_be_read_is_told_and_read_later(place, monkeypatch):
    catalog, folder, photos = place
    (folder / "secret").mkdir()
    shutil.copy(photos[0], folder / "secret" / "a.jpg")
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    watch = Watch(folder, catalog, quiet=0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        assert watch.look(now=1).skipped == ((str(folder / "secret"), "unreadable"),)
    arrival = watch.look(now=2)
    assert (len(arrival.events), arrival.skipped) == (1, ())


def test_the_command_writes_events(place, tmp_path):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    events = tmp_path / "events.jsonl"
    words = ["watch", str(folder), "--catalog", str(catalog), "--once", "--quiet", "0", "--every", "0.1"]
    result = CliRunner().invoke(main, [*words, "--events", str(events)])
    assert result.exit_code == 0, result.output
    (event,) = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    assert event["schema"] == "snowmatch.sighting/1"
    assert event["photos"] == [str(folder / "a.jpg")]
    assert "a.jpg" in result.output
    assert "note: not calibrated on this catalog" in result.output  # what an answer's probabilities rest on is told


def test_a_whole_photo_waits_shorter_than_one_whose_end_is_missing(place):
    catalog, folder, photos = place
    watch = Watch(folder, catalog, quiet=60)
    whole = photos[0].read_bytes()
    (folder / "whole.jpg").write_bytes(whole)
    (folder / "half.jpg").write_bytes(whole[:-2] + bytes(2))  # some programs make the file as long as it will be
    watch.look(now=0)
    arrival = watch.look(now=1)
    assert [event["photos"] for event in arrival.events] == [[str(folder / "whole.jpg")]]
    assert arrival.waiting == 1


def test_the_end_of_a_file_tells_whether_it_is_whole(tmp_path):
    for name, content, whole in (
        ("a.jpg", b"\xff\xd8 and \xff\xd9", True),
        ("b.jpg", b"\xff\xd8 and \xff\xd9\0", False),
        ("c.png", b"\x89PNG IEND\xaeB`\x82", True),
        ("d.png", b"\x89PNG", False),
        ("e.jpg", b"", False),
    ):
        (tmp_path / name).write_bytes(content)
        assert is_whole(str(tmp_path / name)) == whole, name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("S01/DCIM/100MEDIA/IMG_1.JPG", ("S01", "naryn")),
        ("S01/2024-05-01/IMG_1.JPG", ("S01", "naryn")),  # a known name counts more than a nearer one
        ("S09/DCIM/100_BTCF/IMG_1.JPG", ("S09", "")),
        ("sarychat/S03/IMG_1.JPG", ("S03", "sarychat")),
        ("S03/IMG_1.JPG", ("S03", "")),  # in two locations
        ("DCIM/100MEDIA/IMG_1.JPG", ("", "")),
        ("IMG_1.JPG", ("", "")),
    ],
)
def test_a_folder_names_the_station(tmp_path, path, expected):
    places = Places({"S01": ["naryn"], "S03": ["naryn", "sarychat"]}, {"naryn", "sarychat"})
    assert place_of(str(tmp_path / path), tmp_path, places) == expected
    assert place_of(str(tmp_path / path), tmp_path, places, "S07")[0] == "S07"


def test_the_same_content_and_what_is_on_record_are_told_and_not_asked(place):
    catalog, folder, photos = place
    row = next(row for row in read_rows(catalog / "catalog.csv") if row["individual"])
    shutil.copy(photos[0], folder / "a.jpg")
    shutil.copy(catalog / row["path"], folder / "known.jpg")
    watch = Watch(folder, catalog, quiet=0)
    events = {event["photos"][0]: event for event in watch.look(now=1).events}
    known = events[str(folder / "known.jpg")]
    assert (known["decision"], known["individual"]) == ("on record", row["individual"])
    assert known["probability"] is None
    (folder / "again").mkdir()
    shutil.copy(photos[0], folder / "again" / "b.jpg")
    arrival = watch.look(now=2)
    assert arrival.events == ()
    assert arrival.copies == 1


def test_a_copy_of_a_photo_that_failed_is_asked_itself(place, monkeypatch):
    catalog, folder, photos = place
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(photos[0], folder / name)
    watch = Watch(folder, catalog, quiet=0)

    def no_memory(catalog, new):
        return [], (), dict.fromkeys(new, "not enough memory"), ""

    with monkeypatch.context() as patch:
        patch.setattr(watch, "_answers", no_memory)
        arrival = watch.look(now=1)
    assert [path for path, _ in arrival.failed] == [str(folder / "a.jpg")]
    assert (arrival.copies, arrival.left) == (0, 1)
    assert watch.look(now=2).events[0]["photos"] == [str(folder / "b.jpg")]
    again = Watch(folder, catalog, quiet=0)
    assert again.look(now=3).copies == 1  # another run tries a.jpg again, and it was asked under another name


def test_photos_that_go_away_while_they_are_read_are_asked_when_they_return(place, monkeypatch):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    watch = Watch(folder, catalog, quiet=0)

    def pulled_out(path):
        (folder / "a.jpg").rename(folder.parent / "away.jpg")
        raise SnowmatchError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("snowmatch.review.watch.file_sha256", pulled_out)
        arrival = watch.look(now=1)
    assert arrival.events == arrival.failed == ()
    (folder.parent / "away.jpg").rename(folder / "a.jpg")
    assert len(watch.look(now=2).events) == 1


def test_what_was_not_told_is_told_after_a_restart_and_once_in_the_file(place, tmp_path):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    events = tmp_path / "events.jsonl"
    watch = Watch(folder, catalog, quiet=0)
    arrival = watch.look(now=1)
    append_events(events, arrival.events, again=False)  # and here the program is killed, before `tell`
    words = ["watch", str(folder), "--catalog", str(catalog), "--once", "--quiet", "0", "--every", "0.1"]
    result = CliRunner().invoke(main, [*words, "--events", str(events)])
    assert result.exit_code == 0, result.output
    assert "told again" in result.output
    assert len(events.read_text(encoding="utf-8").splitlines()) == 1
    again = CliRunner().invoke(main, [*words, "--events", str(events)])
    assert "told again" not in again.output
    assert "a.jpg" not in again.output
    assert "nothing new" in again.output
    added = CliRunner().invoke(main, [*words, "--add"]).output
    assert "asked without --add are not added later" in added


def test_a_torn_line_of_the_journal_counts_for_nothing(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    first = Watch(folder, catalog, quiet=0).look(now=1)
    path = watched_path(catalog)
    path.write_bytes(path.read_bytes()[:-5])
    again = Watch(folder, catalog, quiet=0).look(now=2)
    assert [event["id"] for event in again.events] == [event["id"] for event in first.events]
    assert len(read_memory(catalog).asked) == 1
    events, end = events_since(catalog, None)
    assert len(events) == 1
    assert events_since(catalog, end) == ([], end)


def two_of_a_passage(photos):
    folder, by_passage = photos[0].parent.parent, {}
    for row in read_rows(folder / "queries.csv"):
        by_passage.setdefault(row["encounter"], []).append(folder / row["path"])
    return next(each for each in by_passage.values() if len(each) == 2)


def test_the_second_part_of_a_passage_is_asked_with_the_first(place):
    catalog, folder, photos = place
    one, two = two_of_a_passage(photos)
    shutil.copy(one, folder / "a.jpg")
    watch = Watch(folder, catalog, quiet=0)
    (first,) = watch.look(now=1).events
    assert first["continues"] == []
    shutil.copy(two, folder / "b.jpg")
    (second,) = watch.look(now=2).events
    assert second["continues"] == [first["id"]]
    assert len(second["photos"]) == 2


def test_photos_of_a_long_chain_that_can_be_of_no_encounter_with_the_new_one_are_not_asked_again():
    """A photo every 50 minutes for ten days, and then one more."""
    start, step = datetime(2023, 5, 1), timedelta(minutes=50)
    chain = [Watched(f"{n}.jpg", 1, 1, str(n), (start + n * step).isoformat()) for n in range(288)]
    memory = Memory(by_folder={"": chain})
    near = memory.near("", [start + 288 * step], CatalogSettings())
    assert sorted(int(photo.sha256) for photo in near) == list(range(260, 288))  # of the last 24 hours
    assert len(memory.near("", [start + 288 * step], CatalogSettings(longest_encounter=300.0))) == 288
    assert not memory.near("", [start + 288 * step], CatalogSettings(encounter_gap=40.0))


def test_photos_are_remembered_and_told_by_their_full_paths(place, monkeypatch):
    """The next run may be started in another folder, and other programs read the events."""
    catalog, folder, photos = place
    one, two = two_of_a_passage(photos)
    shutil.copy(one, folder / "a.jpg")
    monkeypatch.chdir(folder.parent)
    (first,) = Watch(Path(folder.name), catalog, quiet=0).look(now=1).events
    assert first["photos"] == [str(folder / "a.jpg")]
    shutil.copy(two, folder / "b.jpg")
    (second,) = Watch(folder, catalog, quiet=0).look(now=2).events
    assert second["continues"] == [first["id"]]


def test_two_programs_do_not_watch_for_one_catalog(place):
    catalog, folder, _ = place
    with file_lock(home_of(catalog) / "watch.lock"):
        result = CliRunner().invoke(main, ["watch", str(folder), "--catalog", str(catalog), "--once"])
    assert result.exit_code == 1
    assert "another program watches" in result.output


def test_a_file_of_events_that_cannot_be_written_holds_nothing_back_for_ever(place, tmp_path):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    words = ["watch", str(folder), "--catalog", str(catalog), "--once", "--quiet", "0", "--every", "0.1"]
    result = CliRunner().invoke(main, [*words, "--events", str(tmp_path / "missing" / "events.jsonl")])
    assert result.exit_code == 1
    assert "cannot be written" in result.output
    result = CliRunner().invoke(main, [*words, "--events", str(tmp_path / "events.jsonl")])
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert "a.jpg" in result.output


def test_events_are_added_to_no_other_file(tmp_path):
    events = tmp_path / "events.jsonl"
    check_events(events, tmp_path / "catalog")
    append_events(events, [{"id": "1", "continues": []}], again=False)
    check_events(events, tmp_path / "catalog")
    events.write_bytes(b"")
    check_events(events, tmp_path / "catalog")
    append_events(events, [{"id": "1", "photos": ["IMG_0001.JPG"] * 20_000, "continues": []}], again=False)
    check_events(events, tmp_path / "catalog")
    for content in (b"path,individual\n", b"[1]\n", b"7\n", b"\xff\xd8\xff", b'{"features": []}\n'):
        events.write_bytes(content)
        with pytest.raises(SnowmatchError, match="is not a file of events"):
            check_events(events, tmp_path / "catalog")
    for place in (tmp_path, tmp_path / "none" / "events.jsonl"):
        with pytest.raises(SnowmatchError, match="cannot be"):
            check_events(place, tmp_path / "catalog")


@pytest.mark.parametrize("name", ["events.jsonl", "images/events.jsonl"])
def test_events_lie_in_no_catalog(tmp_path, name):
    folder = tmp_path / "catalog"
    (folder / "images").mkdir(parents=True)
    with pytest.raises(SnowmatchError, match="lies in the catalog"):
        check_events(folder / name, folder)


def test_a_run_with_a_photo_that_fails_has_the_status_1_and_names_that_nobody_has_are_told(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    words = ["watch", str(folder), "--catalog", str(catalog), "--once", "--quiet", "0", "--every", "0.1"]
    name = next(row["individual"] for row in read_rows(catalog / "catalog.csv") if row["individual"])
    chosen = ["--notify", f"{name}a", "--notify", name, "--notify", "new"]
    result = CliRunner().invoke(main, [*words, *chosen])
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "nobody is called" in line]
    assert f"'{name}a' (did you mean '{name}'?): no notice comes unless somebody is" in line
    (folder / "b.jpg").write_bytes(b"no photo")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "failed: " in result.output


def test_a_watch_does_not_touch_a_table_named_as_events(tmp_path):
    table = tmp_path / "catalog.csv"
    table.write_text("path,individual\n")
    words = ["watch", str(tmp_path), "--catalog", str(tmp_path), "--once", "--events", str(table)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "lies in the catalog" in result.stderr
    assert table.read_text() == "path,individual\n"
