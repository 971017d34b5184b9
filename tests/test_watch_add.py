"""Photos that arrive become part of the catalog: screened, copied, given a row, indexed; once, also if it is killed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_classifier
import pytest
from click.testing import CliRunner
from conftest import read_rows
from PIL import ExifTags, Image

import snowmatch
from snowmatch.catalog.load import load_catalog
from snowmatch.catalog.screened import Screened, save_screened
from snowmatch.catalog.settings import CatalogSettings, keep_settings
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.core.home import HOME, home_of, path_inside
from snowmatch.decisions.file import append, decisions_path
from snowmatch.review.adding import NewPhoto, add_photos
from snowmatch.review.identities import name_sightings, open_identities
from snowmatch.review.taking_in import take_in
from snowmatch.review.watch import Watch
from snowmatch.review.watched import ToAdd, read_memory
from snowmatch.views.explorer import states_of
from snowmatch.views.watch import format_arrival


@pytest.fixture
def place(own_survey, tmp_path):
    """Return the catalog, an empty card of station S09 and some photos to put there."""
    folder = tmp_path / "card"
    (folder / "S09" / "DCIM" / "100MEDIA").mkdir(parents=True)
    return own_survey / "catalog", folder, sorted((own_survey / "queries").rglob("*.jpg"))


def put(folder, photo, name="a.jpg"):
    return shutil.copy(photo, folder / "S09" / "DCIM" / "100MEDIA" / name)


def test_a_photo_is_asked_then_added_then_indexed(place):
    catalog, folder, photos = place
    before = (catalog / "catalog.csv").read_bytes()
    put(folder, photos[0])
    watch = Watch(folder, catalog, quiet=0, body_part="left_flank", add=True)
    (event,) = watch.look(now=1).events
    assert event["station"] == "S09"
    assert not any(key == "x" or "lat" in key or "lon" in key for key in event)
    assert (catalog / "catalog.csv").read_bytes() == before  # the answer comes first
    settled = watch.settle(now=10)
    assert settled.indexed
    (path,) = settled.added
    row = next(row for row in read_rows(catalog / "catalog.csv") if row["path"] == path)
    assert (row["station"], row["body_part"], row["individual"]) == ("S09", "left_flank", "")
    assert (catalog / path).read_bytes() == photos[0].read_bytes()
    (kept,) = catalog.glob("catalog.before-*.csv")
    assert kept.read_bytes() == before
    opened = snowmatch.open_catalog(catalog)
    assert states_of(catalog, opened.data.annotations)[-1][0] == "indexed"
    assert not watch.busy
    put(folder, photos[0], "again.jpg")
    assert watch.look(now=11).copies == 1
    fresh = Watch(folder, catalog, quiet=0, add=True)
    assert not fresh.look(now=12).news
    assert not fresh.settle(now=30).news


@pytest.mark.parametrize(
    ("inside", "station", "part"),
    [
        ("S09/left/DCIM/100MEDIA", "S09", "left_flank"),
        ("right_flank", "", "right_flank"),
        ("left/S09", "S09", ""),
        ("101Ridge/unknown", "101Ridge", ""),
        ("101Ridge", "101Ridge", ""),
        ("100MEDIA", "", ""),
        ("Images/100media", "", ""),
    ],
)
def test_a_folder_that_names_a_side_is_no_station(place, inside, station, part):
    catalog, folder, photos = place
    (folder / inside).mkdir(parents=True, exist_ok=True)
    shutil.copy(photos[0], folder / inside / "a.jpg")
    watch = Watch(folder, catalog, quiet=0, add=True)
    (event,) = watch.look(now=1).events
    (waiting,) = watch.memory.to_add.values()
    assert (event["station"], waiting.station, waiting.body_part) == (station, station, part)


def test_the_rest_of_a_passage_names_the_event_of_what_was_added(place):
    catalog, folder, photos = place
    for name, when, photo in zip(("a.jpg", "b.jpg", "c.jpg"), ("10:00", "10:20", "12:00"), photos[:3], strict=True):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"2031:06:01 {when}:00"
        with Image.open(photo) as image:
            image.save(folder / name, exif=exif)
    later = [(folder / name).rename(folder.parent / name) for name in ("b.jpg", "c.jpg")]
    watch = Watch(folder, catalog, quiet=0, add=True)
    (first,) = watch.look(now=1).events
    assert watch.settle(now=10).indexed
    for path in later:
        path.rename(folder / path.name)
    told = {Path(event["photos"][0]).name: event["continues"] for event in watch.look(now=20).events}
    assert told == {"b.jpg": [first["id"]], "c.jpg": []}


def test_photos_inside_the_catalog_are_named_where_they_lie(place):
    catalog, _, photos = place
    folder = catalog / "incoming"
    (folder / "S01").mkdir(parents=True)
    shutil.copy(photos[0], folder / "S01" / "a.jpg")
    watch = Watch(folder, catalog, quiet=0, add=True)
    watch.look(now=1)
    assert watch.settle(now=1).added == ("incoming/S01/a.jpg",)
    assert not (catalog / "added").exists()
    assert read_rows(catalog / "catalog.csv")[-1]["path"] == "incoming/S01/a.jpg"


def test_a_card_that_is_pulled_out_is_added_when_it_returns(place):
    catalog, folder, photos = place
    put(folder, photos[0])
    watch = Watch(folder, catalog, quiet=0, add=True)
    watch.look(now=1)
    folder.rename(folder.with_name("gone"))
    settled = watch.settle(now=2)
    assert settled.added == ()
    assert len(settled.failed) == 1
    assert watch.settle(now=3).failed == ()  # told once
    folder.with_name("gone").rename(folder)
    assert len(Watch(folder, catalog, quiet=0, add=True).settle(now=4).added) == 1


def test_other_settings_count_for_what_arrives_next(place):
    catalog, folder, photos = place
    put(folder, photos[0])
    watch = Watch(folder, catalog, quiet=0)
    watch.look(now=1)
    keep_settings(catalog, CatalogSettings(encounter_gap=7.0))
    put(folder, photos[1], "b.jpg")
    watch.look(now=2)
    assert watch._catalog().data.settings.encounter_gap == 7.0


def test_decisions_of_one_step_of_a_coarse_clock_count_for_what_arrives_next(place):
    """The time stamps of FAT32 are those of even seconds."""
    catalog, folder, _ = place
    file, moments, seen = decisions_path(catalog), [], []
    watch = Watch(folder, catalog, quiet=0)
    for name in ("umai", "aika"):
        who = open_identities(catalog)
        append(file, [name_sightings(who, [0], name, "Anna")])
        moments.append((file.stat().st_size, os.utime(file, ns=(10**18, 10**18))))
        seen.append(snowmatch.open_catalog(catalog).data.annotations)
        assert watch._catalog().data.annotations == seen[-1]
    assert moments[0] == moments[1]
    assert seen[0] != seen[1]


def test_what_another_program_indexes_is_compared_with_what_arrives_next(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    catalog = fake_classifier.make_catalog(tmp_path / "catalog", [("a.jpg", "leopard", "S1", "E1", "")])
    snowmatch.open_catalog(catalog, segmenter="none").index(workers=1)
    fake_classifier.draw(tmp_path / "card" / "c.jpg", "leopard", 100)
    watch = Watch(tmp_path / "card", catalog, quiet=0)
    watch.look(now=1)
    fake_classifier.draw(catalog / "b.jpg", "leopard", 7)
    fake_classifier.write_rows(catalog, [("a.jpg", "S1", "E1", ""), ("b.jpg", "S1", "E2", "")])
    assert [a.box_by for a in watch._catalog().data.annotations] == ["classifier", ""]
    snowmatch.open_catalog(catalog).index(workers=1)
    assert [a.box_by for a in watch._catalog().data.annotations] == ["classifier", "classifier"]


def test_a_photo_that_is_renamed_before_it_is_added_is_added(place):
    catalog, folder, photos = place
    path = Path(put(folder, photos[0]))
    watch = Watch(folder, catalog, quiet=0, add=True)
    watch.look(now=1)
    path.rename(path.with_name("b.jpg"))
    assert len(watch.settle(now=2).failed) == 1
    assert watch.look(now=20).copies == 1
    (added,) = watch.settle(now=30).added
    assert (catalog / added).read_bytes() == photos[0].read_bytes()
    assert not read_memory(catalog).to_add


def test_blank_photos_are_counted_and_not_added(tmp_path, monkeypatch):
    fake_classifier.use(monkeypatch)
    rows = [(f"S1/{what}{n}.jpg", what, "S1", f"E{n}", "") for n, what in enumerate(("leopard", "empty"))]
    catalog = fake_classifier.make_catalog(tmp_path / "catalog", rows)
    snowmatch.open_catalog(catalog, segmenter="none").index(workers=1)
    folder = tmp_path / "card"
    for seed, what in enumerate(("leopard", "empty", "ibex")):
        fake_classifier.draw(folder / what / "a.jpg", what, 100 + seed)
    watch = Watch(folder, catalog, quiet=0, add=True)
    arrival = watch.look(now=1)
    assert dict(arrival.left_out) == {"nothing": 1, "other species": 1}
    (line,) = format_arrival(arrival, True)
    assert line == "2 photos not added, as the screening keeps the species snow leopard: nothing 1, other species 1"
    assert {event["decision"] for event in arrival.events} >= {"nothing", "other species"}
    (path,) = watch.settle(now=1).added
    assert (catalog / path).read_bytes() == (folder / "leopard" / "a.jpg").read_bytes()


def test_a_catalog_of_folders_gets_the_photo_in_its_own_form(tmp_path, place):
    survey, folder, photos = place
    catalog = tmp_path / "folders"
    for row in read_rows(survey / "catalog.csv")[:4]:
        into = catalog / "naryn" / "S01" / (row["individual"] or "_unidentified") / "left_flank"
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(survey / row["path"], into)
    snowmatch.open_catalog(catalog).index(workers=1)
    put(folder, photos[0])
    watch = Watch(folder, catalog, quiet=0, add=True, station="S01", body_part="left_flank")
    watch.look(now=1)
    (path,) = watch.settle(now=9).added
    assert path.startswith("naryn/S01/_unidentified/left_flank/a-")
    assert snowmatch.open_catalog(catalog).data.annotations
    put(folder, photos[1], "b.jpg")
    other = Watch(folder, catalog, quiet=0, add=True)  # S09 is of no known location
    other.look(now=1)
    ((_, reason),) = other.settle(now=2).failed
    assert "no known location" in reason


@pytest.mark.parametrize("restarted", [True, False])
def test_a_station_of_a_new_area_gets_its_location_from_the_table_of_stations(tmp_path, place, restarted):
    survey, folder, photos = place
    catalog = tmp_path / "folders"
    for row in read_rows(survey / "catalog.csv")[:2]:
        (catalog / row["individual"] / "left_flank").mkdir(parents=True, exist_ok=True)
        shutil.copy(survey / row["path"], catalog / row["individual"] / "left_flank")
    snowmatch.open_catalog(catalog).index(workers=1)
    put(folder, photos[0])
    watch = Watch(folder, catalog, quiet=0, add=True)
    watch.look(now=1)
    ((_, reason),) = watch.settle(now=2).failed
    assert "name its location in stations.csv of the catalog" in reason
    (catalog / "stations.csv").write_text("station,location\nS09,sarychat\n")
    if restarted:
        watch.close()
        watch = Watch(folder, catalog, quiet=0, add=True)
    (path,) = watch.settle(now=1e9).added
    assert path.startswith("sarychat/S09/_unidentified/a-")
    (new,) = [a for a in snowmatch.open_catalog(catalog).data.annotations if a.individual is None]
    assert (new.location, new.station) == ("sarychat", "S09")


def test_below_a_station_called_like_a_body_part_a_photo_gets_a_folder_of_its_own_one(tmp_path):
    source = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(source)
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    sha256 = file_sha256(source)
    for part, written in (("", "unknown"), ("right_flank", "right_flank")):
        taken = take_in(catalog, [ToAdd(str(source), sha256, part, "naryn", "L")])
        assert taken.added[sha256].startswith(f"naryn/L/_unidentified/{written}/a-")
    found = {(a.station, a.individual, a.body_part) for a in load_catalog(catalog).annotations}
    assert found == {("L", None, "unknown"), ("L", None, "right_flank")}


@pytest.mark.parametrize("inside", ["", "incoming", "naryn/S01"])
def test_a_folder_inside_a_catalog_of_folders_is_watched_only_if_it_names_nobody(tmp_path, inside):
    (tmp_path / inside / "_unidentified").mkdir(parents=True)
    with pytest.raises(SnowmatchError, match=r"lies in a catalog of folders .* Watch a folder outside of it"):
        Watch(tmp_path / inside, tmp_path, add=True)
    Watch(tmp_path / inside, tmp_path)
    Watch(tmp_path / inside / "_unidentified", tmp_path, add=True)
    (tmp_path / "catalog.csv").write_text("path\n", encoding="utf-8")
    Watch(tmp_path / inside, tmp_path, add=True)


def test_a_spreadsheet_is_not_added_to(tmp_path):
    (tmp_path / "catalog.xlsx").write_bytes(b"x")
    with pytest.raises(SnowmatchError, match="spreadsheet"):
        Watch(tmp_path, tmp_path, add=True)
    with pytest.raises(SnowmatchError, match="station"):
        Watch(tmp_path, tmp_path / "other", add=True, station="../S01")


def test_no_place_of_an_added_photo_is_a_position(place):
    catalog, _, photos = place
    before = (catalog / "catalog.csv").read_bytes()
    position = "41.51234, 75.51234"
    with pytest.raises(SnowmatchError, match="its location is a position"):
        add_photos(catalog, [NewPhoto(photos[0], "a.jpg", "0" * 64, location=position)])
    taken = take_in(catalog, [ToAdd(str(photos[0]), "0" * 64, "left_flank", "", position)])
    assert "its station is a position" in taken.failed["0" * 64][1]
    assert (catalog / "catalog.csv").read_bytes() == before
    with pytest.raises(SnowmatchError, match="cannot be the name of a station"):
        Watch(catalog, catalog, add=True, station=position)


def test_a_photo_with_a_row_in_another_spelling_gets_no_second_one(tmp_path):
    (tmp_path / "catalog.csv").write_text(
        "path,individual\nimages\\a.jpg,aika\n./images/b.jpg,bars\n", encoding="utf-8"
    )
    photos = [NewPhoto(tmp_path / name, name, "0" * 64, inside=name) for name in ("images/a.jpg", "images/b.jpg")]
    before = (tmp_path / "catalog.csv").read_bytes()
    add_photos(tmp_path, photos)
    assert (tmp_path / "catalog.csv").read_bytes() == before


def test_paths_inside_a_catalog(tmp_path):
    (tmp_path / "catalog" / "in").mkdir(parents=True)
    assert path_inside(tmp_path / "catalog", str(tmp_path / "catalog" / "in" / "a.jpg")) == "in/a.jpg"
    assert path_inside(tmp_path / "catalog", str(tmp_path / "a.jpg")) == ""
    assert path_inside(tmp_path / "catalog", str(tmp_path / "catalog" / HOME / "a.jpg")) == ""


def test_the_command_adds(place):
    catalog, folder, photos = place
    put(folder, photos[0])
    words = ["watch", str(folder), "--catalog", str(catalog), "--add", "--once", "--quiet", "0", "--every", "0.1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "1 photo in the catalog now" in result.output
    assert "photos are not screened" in result.output  # never in silence
    assert "the catalog is indexed" in result.output


def test_photos_that_no_classifier_sees_are_told_in_a_catalog_that_was_screened(place):
    catalog, folder, photos = place
    put(folder, photos[0])
    save_screened(catalog, Screened({}, "snow leopard", 0.01))
    keep_settings(catalog, CatalogSettings(classifier="none"))
    words = ["watch", str(folder), "--catalog", str(catalog), "--add", "--once", "--quiet", "0", "--every", "0.1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "set to use no classifier, so new photos are not screened" in result.output
    assert "screen CATALOG --classifier auto" in result.output


def test_photos_that_a_classifier_of_another_species_sees_are_told(place, monkeypatch):
    catalog, folder, photos = place
    put(folder, photos[0])
    fake_classifier.use(monkeypatch)
    monkeypatch.setattr(fake_classifier, "NAMES", ("ibex", *fake_classifier.NAMES[1:]))
    words = ["watch", str(folder), "--catalog", str(catalog), "--add", "--once", "--quiet", "0", "--every", "0.1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "1 photo in the catalog now" in result.output
    told = "the classifier does not know the species snow leopard: new photos are not screened, but all asked about"
    assert f"{told} (snowmatch screen CATALOG --species NAME)" in result.output


KILLED = """
import json, os, shutil, signal, sys
from pathlib import Path
from snowmatch.models import cache
from snowmatch.review.watched import append_events
from snowmatch.review.watching import watch
from snowmatch.review.folder_changes import Changes

cache._in_package = lambda file: None  # no screening, as in the other tests
source, work = Path(sys.argv[1]), Path(sys.argv[2])

def run(catalog, folder, events, kill_at):
    real, count = os.fsync, 0
    def fsync(handle):
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)
    os.fsync = fsync
    def show(arrival, again):
        append_events(events, arrival.events, again)
    watch(folder, catalog, show, every=0.01, quiet=0, add=True, once=True)
    os._exit(0)

def forked(*args):
    child = os.fork()  # before any thread is there
    if child == 0:
        run(*args)
    return os.waitpid(child, 0)[1]

point = int(sys.argv[3])
while True:
    here = work / str(point)
    shutil.copytree(source, here)
    args = here / "catalog", here / "card", here / "events.jsonl"
    status = forked(*args, point)
    print(json.dumps([point, status, forked(*args, 0)]), flush=True)
    if status == 0:
        break
    point += int(sys.argv[4])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_killed_at_every_third_write_nothing_is_lost_and_nothing_is_there_twice(place, tmp_path):
    catalog, folder, photos = place
    source, work = tmp_path / "source", tmp_path / "work"
    source.mkdir()
    work.mkdir()
    for number, photo in enumerate(photos[:3]):
        put(folder, photo, f"{number}.jpg")
    shutil.move(catalog, source / "catalog")
    shutil.move(folder, source / "card")
    rows = len(read_rows(source / "catalog" / "catalog.csv"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(work), "1", "3"],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) > 8, done.stderr  # so many points at which it was killed
    for point, _, second in runs:
        assert second == 0, (point, done.stderr)
        here = work / str(point)
        table = read_rows(here / "catalog" / "catalog.csv")
        added = [row["path"] for row in table[rows:]]
        assert len(added) == len(set(added)) == 3, point
        contents = {(here / "catalog" / path).read_bytes() for path in added}
        assert contents == {photo.read_bytes() for photo in photos[:3]}, point
        memory = read_memory(here / "catalog")
        assert not memory.to_add
        assert not memory.to_index
        assert not memory.untold
        told = [json.loads(line) for line in (here / "events.jsonl").read_text(encoding="utf-8").splitlines()]
        assert len({event["id"] for event in told}) == len(told)
        names = [photo for event in told if not event["continues"] for photo in event["photos"]]
        assert sorted(Path(name).name for name in names) == ["0.jpg", "1.jpg", "2.jpg"], point
        opened = snowmatch.open_catalog(here / "catalog")
        assert {state for state, _ in states_of(here / "catalog", opened.data.annotations)} == {"indexed"}, point
        assert not list(home_of(here / "catalog").rglob("*.tmp.new"))
