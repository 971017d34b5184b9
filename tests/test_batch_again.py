"""A batch that was stopped, or is run again: what is kept, and what is asked anew."""

import csv
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from batch_answers import AIKA, BARS, NOON, answers, long, photo, same_files, says
from conftest import read_rows
from fake_classifier import Colours
from PIL import Image

import snowmatch
from snowmatch.api import Catalog
from snowmatch.catalog.database import writing
from snowmatch.catalog.settings import CatalogSettings
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path
from snowmatch.core.mended import forget_mended, note_on_mended
from snowmatch.core.notes import Note
from snowmatch.core.types import Annotation
from snowmatch.matching.gallery_foreground import GalleryForeground
from snowmatch.review import batch
from snowmatch.review.batch import run_batch
from snowmatch.review.groups import unidentified_groups
from snowmatch.review.identities import open_identities
from snowmatch.review.kept import group_keys
from snowmatch.review.likely import gather_evidence
from snowmatch.screening.scenes import Finders

__all__ = ["long", "says"]  # fixtures

# --- runs that are stopped, and run again -----------------------------------------------------------------------------


def stop_after(monkeypatch, count):
    """Ctrl-C while the next animal is asked about."""
    ask = batch._ask_group

    def stopping(*arguments):
        nonlocal count
        count -= 1
        if count < 0:
            raise KeyboardInterrupt
        return ask(*arguments)

    monkeypatch.setattr(batch, "_ask_group", stopping)
    return lambda: monkeypatch.setattr(batch, "_ask_group", ask)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_stopped_run_continues_and_gives_the_same_bytes(long, tmp_path, monkeypatch, count):
    go_on = stop_after(monkeypatch, count)
    result = answers(tmp_path)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: stopped; the catalog keeps the finished answers, and the same command continues"
    )
    assert not (tmp_path / "answers.csv").exists()
    go_on()
    before = len(long.asked)
    result = answers(tmp_path)
    assert result.exit_code == 0
    assert (f"{count} of 5 animals were answered" in result.stderr) == bool(count)
    assert len(long.asked) - before == 5 - count
    assert same_files(tmp_path, "answers", "whole")


def test_a_second_run_asks_only_what_is_new(long, tmp_path):
    answers(tmp_path)
    long.asked.clear()
    result = answers(tmp_path)
    assert not long.asked
    assert "5 of 5 animals were answered by an earlier run, and their answers are kept\n" in result.stderr
    data = long.catalog.data
    photo(long.catalog.folder / "new.jpg", colour=99)
    rows = (Annotation(0, "new.jpg", encounter="e9"), *(replace(a, row=a.row + 1) for a in data.annotations))
    long.catalog = Catalog(replace(data, annotations=rows))
    result = answers(tmp_path)
    assert [names for names, _, _ in long.asked] == [["new.jpg"]]
    assert "5 of them before other unidentified annotations were added or removed (--again)" in result.stderr
    assert [row["encounter"] for row in read_rows(tmp_path / "answers.csv")] == ["e0", "e1", "e2", "e3", "e3", "e9"]
    answers(tmp_path, "--again")
    assert len(long.asked) == 7


@pytest.mark.parametrize("change", ["label", "time", "box", "photo", "body part", "location", "settings", "network"])
def test_what_an_answer_depends_on_is_asked_again(long, tmp_path, monkeypatch, change):
    answers(tmp_path)
    long.asked.clear()
    data = long.catalog.data
    more = ()
    if change == "label":
        named = tuple(replace(a, individual="bars") if a.path == "aika.jpg" else a for a in data.annotations)
        long.catalog = Catalog(replace(data, annotations=named))
        long.answers = {}
    elif change in ("time", "box"):  # a wrong clock is mended, or a person confirms the box that was found
        now = {"timestamp": NOON} if change == "time" else {"box_by": "burst"}
        named = tuple(replace(a, **now) if a.path == "aika.jpg" else a for a in data.annotations)
        long.catalog = Catalog(replace(data, annotations=named))
    elif change == "photo":
        photo(long.catalog.folder / "2.jpg", colour=200)
    elif change == "body part":
        more = ("--bodypart", "head")
        long.answers = {}
    elif change == "settings":
        long.catalog = Catalog(replace(data, settings=CatalogSettings(encounter_gap=30.0)))
    elif change == "network":  # its weights were downloaded since
        monkeypatch.setattr("snowmatch.identify.session.finders_here", lambda *_: Finders(Colours()))
    else:
        named = tuple(replace(a, location="naryn") for a in data.annotations)
        long.catalog = Catalog(replace(data, annotations=named))
        more = ("--location", "naryn")
    answers(tmp_path, *more)
    assert len(long.asked) == (1 if change == "photo" else 5)


def test_a_note_that_all_answers_have_tells_its_option_also_when_they_are_kept(long, tmp_path):
    long.notes = (Note("not-checked", "7 annotations had too few votes", {"count": 7, "setting": "shortlist"}),)
    for _ in range(2):
        result = answers(tmp_path)
        assert result.exit_code == 0, result.exception
        assert "note: 7 annotations had too few votes (-o shortlist=N)\n" in result.stderr


def test_search_indexes_that_one_answer_had_built_are_told_by_the_run_that_built_them(long, tmp_path):
    text = "the search index left_flank-0 was built for this query and kept, because the one on disk was damaged"
    made = Note("index-made", text, {"index": "left_flank-0", "kept": True, "damaged": True})
    long.warned = {"2.jpg": (made,)}
    assert answers(tmp_path).stderr.count(text) == 1
    long.warned = {}
    long.notes = (made,)  # several processes built it: all answers have the note
    assert answers(tmp_path, "--again").stderr.count(text) == 1
    long.notes = ()
    assert text not in answers(tmp_path).stderr  # answers of the run before


def test_photos_without_a_map_are_told_also_if_each_query_misses_other_ones(own_survey, monkeypatch):
    def missing(self, entries, folder):
        return [Note("maps-missing", f"{len(entries)} photos", {"count": len(entries)})]

    monkeypatch.setattr(GalleryForeground, "evidence_notes", missing)
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    for again in (True, False):
        found = run_batch(catalog, again=again)
        assert [n.data["count"] for n in found.notes if n.code == "maps-missing"] == [len(catalog.data.annotations)]


def test_answers_without_maps_are_asked_again_when_the_maps_are_made(own_survey, monkeypatch):
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    with monkeypatch.context() as patch:
        missing = [Note("maps-missing", "3 photos", {"count": 3})]
        patch.setattr(GalleryForeground, "evidence_notes", lambda *_: missing)
        run_batch(catalog)
        assert "answers-kept" in [note.code for note in run_batch(catalog).notes]
    assert "answers-kept" not in [note.code for note in run_batch(catalog).notes]


def test_a_note_on_the_catalog_is_not_kept_with_the_answers(long, tmp_path):
    long.notes_of_session = (Note("copied-annotations", "1 annotation was copied", {"catalog": "catalog"}),)
    assert answers(tmp_path).stderr.count("1 annotation was copied") == 1
    long.notes_of_session = ()  # it was indexed since
    result = answers(tmp_path)
    assert "5 of 5 animals were answered by an earlier run" in result.stderr
    assert "copied" not in result.stderr


def test_a_mask_of_a_photo_without_features_is_looked_at_again(says):
    said = says(AIKA, {"path": "1.jpg", "mask": "mask.png"})
    session = said.session(said.catalog)
    bare = replace(session, states=tuple(state._replace(state="missing", key=None) for state in session.states))
    keys = []
    for colour in (0, 255):
        Image.new("L", (64, 48), colour).save(said.catalog.folder / "mask.png")
        keys.append(group_keys(bare, unidentified_groups(bare, None), None, (), None))
    assert keys[0] != keys[1]


def test_a_named_photo_that_was_renamed_since_is_not_told_by_its_old_path(long):
    session = long.session(long.catalog)
    renamed = tuple(replace(a, path="renamed.jpg") if a.path == "aika.jpg" else a for a in session.data.annotations)
    after = replace(session, data=replace(session.data, annotations=renamed))  # the features go with the content
    keys = [group_keys(each, unidentified_groups(each, None), None, (), None) for each in (session, after)]
    assert set(keys[0]).isdisjoint(keys[1])


def test_a_photo_in_two_folders_is_one_animal(says, tmp_path):
    said = says(AIKA, BARS)
    for name in ("backup/1.jpg", "card/1.jpg", "card/2.jpg"):
        photo(tmp_path / "in" / name, NOON, colour=int(name[-5]))
    found = run_batch(said.catalog, [tmp_path / "in"])
    assert [len(row.photos) for row in found.rows] == [1, 1]
    assert [names for names, _, _ in said.asked] == [["1.jpg"], ["2.jpg"]]
    told = next(note.text for note in found.notes if note.code == "given-twice")
    assert told.endswith("backup/1.jpg: used once")


def test_a_photo_that_failed_is_asked_again(long, tmp_path):
    long.bad = {"1.jpg"}
    assert answers(tmp_path).exit_code == 1
    long.asked.clear()
    long.bad = set()
    assert answers(tmp_path).exit_code == 0
    assert [names for names, _, _ in long.asked] == [["1.jpg"]]
    assert same_files(tmp_path, "answers", "whole")


def test_a_damaged_kept_answer_is_asked_again(long, tmp_path):
    answers(tmp_path)
    with closing(sqlite3.connect(database_path(long.catalog.folder))) as database, database:
        database.execute("UPDATE answers SET answer = replace(answer, 'aika', 'bars')")
    long.asked.clear()
    answers(tmp_path)
    assert len(long.asked) == 3  # those of whom nothing is said
    assert same_files(tmp_path, "answers", "whole")
    assert list(note_on_mended(long.catalog.folder).data["files"]) == ["catalog.sqlite"]
    forget_mended(long.catalog.folder)
    answers(tmp_path)
    assert note_on_mended(long.catalog.folder) is None


def test_a_catalog_that_cannot_be_written_keeps_nothing_and_says_so(long, tmp_path, monkeypatch):
    def full(folder, records):
        raise SnowmatchError("no space")

    monkeypatch.setattr(batch, "keep", full)
    result = answers(tmp_path)
    assert result.exit_code == 0
    assert "the answers are not kept for the next batch: no space" in result.stderr
    assert same_files(tmp_path, "answers", "whole")


# --- the files --------------------------------------------------------------------------------------------------------


def test_prune_deletes_the_kept_answers(own_survey, tmp_path):
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    catalog.index()
    run_batch(catalog)
    assert "answers-kept" in [note.code for note in run_batch(catalog).notes]
    catalog.index(prune=True)
    assert "answers-kept" not in [note.code for note in run_batch(catalog).notes]


@pytest.mark.slow
def test_answers_without_damaged_maps_are_not_kept(own_survey, tmp_path):
    folder = shutil.copytree(own_survey / "catalog", tmp_path / "catalog", copy_function=shutil.copy2)
    rows = [row for row in read_rows(folder / "catalog.csv") if row["individual"] in ("", "aika", "bars")]
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows({**row, "bbox": "", "mask": ""} for row in rows[:10])  # so that the maps count
    snowmatch.open_catalog(folder).index(workers=1)
    right = run_batch(snowmatch.open_catalog(folder)).rows
    with writing(folder) as database:
        database.execute("DELETE FROM answers")
        database.execute("UPDATE maps SET cells = CAST(substr(cells, 2) || X'07' AS BLOB)")
    other = run_batch(snowmatch.open_catalog(folder))
    assert other.rows != right
    assert {"maps-damaged", "answers-not-kept"} <= {note.code for note in other.notes}
    session, sightings = snowmatch.open_catalog(folder).session(), open_identities(folder).who.sightings
    assert [note.code for note in gather_evidence(session, sightings).notes] == ["evidence-not-kept"]
    snowmatch.open_catalog(folder).index(workers=1)
    again = run_batch(snowmatch.open_catalog(folder))
    assert again.rows == right
    assert not {"maps-damaged", "answers-not-kept", "answers-kept"} & {note.code for note in again.notes}
