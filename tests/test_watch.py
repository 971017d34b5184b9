"""A watched folder: photos that arrive, that are half copied, that come back; nothing twice."""

import json
import shutil

import pytest
from click.testing import CliRunner

from snowmatch.cli import main
from snowmatch.review.watch import Watch, list_photos, read_asked, watched_path


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
    assert watch.look(now=0).rows == ()
    whole = photos[0].read_bytes()
    copy = folder / "DCIM" / "IMG_0001.JPG"
    copy.parent.mkdir()
    copy.write_bytes(whole[: len(whole) // 2])
    assert watch.look(now=10).waiting == 1
    copy.write_bytes(whole)
    assert watch.look(now=13).waiting == 1  # it has changed
    arrival = watch.look(now=16)
    assert len(arrival.rows) == 1
    assert arrival.failed == ()
    assert watch.look(now=20).rows == ()


def test_nothing_is_asked_twice_after_a_restart(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    watch = Watch(folder, catalog, quiet=0)
    assert len(watch.look(now=1).rows) == 1
    again = Watch(folder, catalog, quiet=0)
    assert again.look(now=2).rows == ()
    shutil.copy(photos[-1], folder / "b.jpg")
    assert len(again.look(now=3).rows) == 1


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
    assert arrival.rows == ()


def test_a_damaged_memory_asks_again(place):
    catalog, folder, photos = place
    shutil.copy(photos[0], folder / "a.jpg")
    Watch(folder, catalog, quiet=0).look(now=1)
    watched_path(catalog).write_text("{not json\n[1]\n", encoding="utf-8")
    assert read_asked(catalog) == {}
    assert len(Watch(folder, catalog, quiet=0).look(now=2).rows) == 1


def test_a_file_that_is_no_photo_is_told(place):
    catalog, folder, _ = place
    (folder / "broken.jpg").write_bytes(b"no photo")
    arrival = Watch(folder, catalog, quiet=0).look(now=1)
    assert [path for path, _ in arrival.failed] == [str(folder / "broken.jpg")]


def test_hidden_files_are_left_out(tmp_path):
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "a.jpg").write_bytes(b"x")
    (tmp_path / "._b.jpg").write_bytes(b"x")
    (tmp_path / "c.jpg").write_bytes(b"x")
    assert [path for path, _ in list_photos(tmp_path)] == [str(tmp_path / "c.jpg")]


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
