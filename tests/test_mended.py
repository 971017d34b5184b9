"""What the stress tests found: each fault that was mended, by itself."""

import json
import os
import sqlite3
import struct
import subprocess
import time
import zipfile
from contextlib import closing
from dataclasses import replace
from unittest import mock

import cv2
import pytest
from click.testing import CliRunner
from PIL import Image

import snowmatch
from snowmatch.catalog.evidence import evidence_notes
from snowmatch.catalog.records import Records
from snowmatch.catalog.settings import CatalogSettings, keep_settings, load_settings
from snowmatch.cli import main
from snowmatch.cli.shared import Bar
from snowmatch.confidence.score_table import is_table
from snowmatch.core import files
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import replace_together
from snowmatch.core.home import home_of, imported_path, indexes_path, mended_path, settings_path
from snowmatch.core.mended import forget_mended, keep_mended, note_on_mended
from snowmatch.core.plain import read_json, read_summed_json, with_json_sum
from snowmatch.core.types import Annotation
from snowmatch.decisions.file import append, read_decisions
from snowmatch.decisions.row import Decision
from snowmatch.features.checked import CHECKED, Check, checks_are_damaged, checks_to_json, read_checks
from snowmatch.identify.spots import spots_between
from snowmatch.interchange.table_files import read_memory, write_memory
from snowmatch.photos.pixels import read_photo
from snowmatch.review import watched
from snowmatch.review.accounts import accounts_path, add_account, read_accounts
from snowmatch.review.doctor.stored import findings_of_stored
from snowmatch.review.identities import open_identities
from snowmatch.review.likely import gather_evidence
from snowmatch.review.observer_name import observer_name
from snowmatch.review.turns import are_damaged, skip, skipped_by, take
from snowmatch.review.uploads import find_upload, keep_upload, upload_file
from snowmatch.review.watched import append_events, event_id, watched_path
from snowmatch.screening.detectors._description import read_toml
from snowmatch.screening.head import load_head
from snowmatch.survey.folder import MANIFEST, check_output, write_output
from snowmatch.views.previews import preview
from snowmatch.web.asked import Asked, find_question, keep_question
from snowmatch.web.job import run_job
from snowmatch.web.jobs import jobs_path, list_jobs, read_output, start_job

DEEP = "[" * 100_000


class PowerCutError(BaseException):
    """Stands for a kill: nothing catches it."""


def killed_after(number, act):
    """Run `act`, and let the so-manyth renaming of a temporary file be the last thing that it does."""
    usual, done = files._rename, []

    def rename(temporary, path):
        if len(done) == number:
            raise PowerCutError
        done.append(path)
        usual(temporary, path)

    with mock.patch.object(files, "_rename", rename), pytest.raises(PowerCutError):
        act()


# --- files that belong together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(5))
def test_an_export_that_was_killed_is_continued(tmp_path, number):
    out, catalog = tmp_path / "out", tmp_path / "catalog"
    catalog.mkdir()
    manifest = {"schema": "snowmatch.files/1"}
    old = {"a.csv": b"1", "b.csv": b"2", "gone.csv": b"3"}
    new = {"a.csv": b"4", "b.csv": b"5", "new.csv": b"6"}
    write_output(out, catalog, old, manifest, force=False)
    killed_after(number, lambda: write_output(out, catalog, new, manifest, force=False))
    write_output(out, catalog, new, manifest, force=False)
    assert {path.name: path.read_bytes() for path in out.glob("*.csv")} == new
    assert set(json.loads((out / MANIFEST).read_text())["files"]) == set(new)
    assert "replaced" not in json.loads((out / MANIFEST).read_text())


def test_a_file_that_somebody_edited_after_a_killed_export_stays(tmp_path):
    out, catalog = tmp_path / "out", tmp_path / "catalog"
    catalog.mkdir()
    write_output(out, catalog, {"a.csv": b"1"}, {"schema": "snowmatch.files/1"}, force=False)
    killed_after(1, lambda: write_output(out, catalog, {"a.csv": b"2"}, {"schema": "snowmatch.files/1"}, force=False))
    (out / "a.csv").write_bytes(b"mine")
    with pytest.raises(SnowmatchError, match=r"a\.csv, which snowmatch did not write"):
        check_output(out, catalog, ["a.csv"], {}, force=False)


@pytest.mark.parametrize("number", range(2))
def test_of_files_that_belong_together_none_is_old_beside_a_new_first_one(tmp_path, number):
    first, other = tmp_path / "a.jsonl", tmp_path / "a.csv"
    replace_together((first, b"old"), (other, b"old"))
    killed_after(number, lambda: replace_together((first, b"new"), (other, b"new")))
    assert (first.read_bytes(), other.exists()) == ((b"old", b"new")[number], False)
    replace_together((first, b"new"), (other, b"new"))
    assert (first.read_bytes(), other.read_bytes()) == (b"new", b"new")
    assert sorted(tmp_path.iterdir()) == [other, first]


def test_a_full_disk_leaves_both_old_files(tmp_path, monkeypatch):
    first, other = tmp_path / "a.jsonl", tmp_path / "a.csv"
    replace_together((first, b"old"), (other, b"old"))
    monkeypatch.setattr(files.os, "fsync", mock.Mock(side_effect=[None, OSError(28, "No space left on device")]))
    with pytest.raises(SnowmatchError, match="No space left"):
        replace_together((first, b"new"), (other, b"new"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.jsonl": b"old", "a.csv": b"old"}


# --- a watched folder -------------------------------------------------------------------------------------------------


def test_what_was_not_told_is_told_by_the_next_run(own_survey, tmp_path):
    from snowmatch.review.watch import Watch

    folder = tmp_path / "card"
    folder.mkdir()
    photo = next((own_survey / "queries").rglob("*.jpg"))
    (folder / "a.jpg").write_bytes(photo.read_bytes())
    first = Watch(folder, own_survey / "catalog", quiet=0)
    (event,) = first.look(now=1).events  # and then the power is cut
    again = Watch(folder, own_survey / "catalog", quiet=0)
    assert again.memory.untold == {event["id"]: event}
    again.tell([event])
    assert watched.read_memory(own_survey / "catalog").untold == {}


def test_half_a_line_of_events_stays_a_line_of_its_own(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"photos": ["a')
    events = [{"id": event_id([name], 1)} for name in "bcd"]
    append_events(path, events[:2], again=False)
    append_events(path, events[2:], again=False)
    lines = path.read_text().splitlines()
    assert lines[0] == '{"photos": ["a'
    assert [read_json(line) for line in lines[1:]] == events


# --- damaged JSON -----------------------------------------------------------------------------------------------------


def test_json_that_is_nested_too_deeply_is_damaged():
    with pytest.raises(ValueError, match="too deeply"):
        read_json(DEEP)


def damaged(path):
    """Damage each byte of a file in turn, and put it right at the end."""
    good = path.read_bytes()
    for at, byte in enumerate(good):
        value = (byte ^ 1, byte ^ 16, 255 - byte)[at % 3]
        path.write_bytes(good[:at] + bytes([value]) + good[at + 1 :])
        os.utime(path, ns=(at, at))  # what is kept by time is read again
        yield at
    path.write_bytes(good)


def test_no_damaged_byte_of_the_journal_of_watch_goes_unnoticed(tmp_path):
    event = {"id": "e", "individual": "aika"}
    watched.write_step(tmp_path, watched.Memory(), photos=[watched.Watched("a.jpg", 1, 2, "ab")], events=[event])
    add = watched.ToAdd("a.jpg", "ab", "left_flank", "naryn", "st01")
    watched.write_step(tmp_path, watched.Memory(), to_add=[add], told=["e"])
    good = watched.read_memory(tmp_path)
    assert (good.to_add, good.damaged) == ({"ab": add}, 0)
    for at in damaged(watched_path(tmp_path)):
        found = watched.read_memory(tmp_path)
        assert found == good or found.damaged, at
        assert watched.events_since(tmp_path, None)[0] in ([event], [])


def test_no_part_of_a_line_of_the_journal_of_watch_counts_as_damaged(tmp_path):
    watched.write_step(tmp_path, watched.Memory(), told=["e"])
    whole = watched_path(tmp_path).read_bytes()
    for length in range(len(whole) - 2):
        watched_path(tmp_path).write_bytes(whole[:length])
        assert watched.read_memory(tmp_path).damaged == 0, whole[:length]


def test_no_damaged_byte_of_a_job_goes_unnoticed(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", mock.Mock())
    place = jobs_path(tmp_path) / start_job(tmp_path, "batch").id
    monkeypatch.undo()
    monkeypatch.setenv("SNOWMATCH_PROGRESS", str(place / "progress.json"))
    Bar("asking", "animal").update(3, 3)
    with mock.patch.object(subprocess, "Popen", finished):
        run_job(place)
    (good,) = list_jobs(tmp_path)
    assert (good.state, good.said, good.messages, good.done) == ("done", "a,b\n1,2", "a note", 3)
    assert sorted(p.name for p in place.iterdir() if p.stat().st_size) == [
        "ended.json", "job.json", "progress.json", "stderr", "stdout"
    ]  # fmt: skip
    for path in [p for p in place.iterdir() if p.stat().st_size]:
        for at in damaged(path):
            (found,) = list_jobs(tmp_path)
            assert found == good or f"{path} is damaged" in found.messages, (path.name, at)
            if path.name == "stdout":
                with pytest.raises(SnowmatchError, match="stdout is damaged"):
                    read_output(tmp_path, good.id)
    assert read_output(tmp_path, good.id).read_bytes() == b"a,b\n1,2\n"


def finished(arguments, stdout, stderr, **options):
    """Stands for a process that has written something and ended."""
    stdout.write(b"a,b\n1,2\n")
    stderr.write(b"a note\n")
    return mock.Mock(wait=lambda seconds: 0, returncode=0)


def test_a_damaged_byte_never_makes_another_skipped_pair_or_another_check(tmp_path):
    skip(tmp_path, "Anna", ("a", "b"))
    for at in damaged(home_of(tmp_path) / "turns.json"):
        pairs = skipped_by(tmp_path, "Anna")
        told = {finding.code for finding in findings_of_stored(tmp_path, Records())}
        assert (pairs, told) in (((("a", "b"),), set()), ((), {"turns-damaged"})), at
    (home_of(tmp_path) / "turns.json").write_text("{")
    assert are_damaged(tmp_path)
    assert take(tmp_path, "Anna", ("a", "c"))  # writes it again
    assert not are_damaged(tmp_path)
    checks = {"features-1.h5": Check(1700000000.5, (1, 2, 3, 4)), "features-2.h5": Check(1700000001.5, (5, 6, 7, 8))}
    path = tmp_path / CHECKED
    path.write_text(json.dumps(checks_to_json(checks)))
    assert read_checks(tmp_path) == checks
    for at in damaged(path):
        assert (read_checks(tmp_path), checks_are_damaged(tmp_path)) in ((checks, False), ({}, True)), at


def test_every_changed_value_of_summed_json_is_noticed():
    values = {"name": "Anna", "size": [20, 30], "taken": None}
    text = json.dumps(with_json_sum(values))
    assert read_summed_json(text) == values
    assert read_summed_json(json.dumps(values)) == values  # of an older version
    for n, letter in enumerate(text):
        changed = text[:n] + ("1" if letter != "1" else "2") + text[n + 1 :]
        try:
            found = read_summed_json(changed)
        except ValueError:
            continue
        assert {k: v for k, v in found.items() if k in values} == values  # a letter of the key "sum" itself


def test_the_small_files_of_the_app_may_hold_anything(tmp_path):
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    upload = keep_upload(tmp_path, content, "a.jpg")
    question = keep_question(tmp_path, Asked((upload.id,), (None,), "", "", "", "", ""))
    observer_name(tmp_path, "Anna")
    watched.write_step(tmp_path, watched.read_memory(tmp_path), photos=[watched.Watched("a.jpg", 1, 2, "ab")])
    skip(tmp_path, "Anna", ("a", "b"))
    home = home_of(tmp_path)
    job = jobs_path(tmp_path) / "20240504-100000-index"
    job.mkdir(parents=True)
    good = '{"kind": "index", "arguments": [], "started": 1}'
    (job / "job.json").write_text(good)
    (job / "ended.json").write_text('{"ended": [], "status": 0}')
    (job / "progress.json").write_text('{"done": 1e999, "total": "x", "seconds": null}')
    (found,) = list_jobs(tmp_path)
    assert (found.ended, found.done, found.total, found.seconds) == (0, 0, 0, 0)
    for text in (DEEP, "[1]", '{"a": 1e999}', "null", '["a.jpg", 1e999, 1]'):
        for path in (
            job / "job.json",
            home / "uploads" / f"{upload.id}.json",
            home / "uploads" / "questions" / f"{question}.json",
            home / "turns.json",
            home / "observers.json",
            watched_path(tmp_path),
        ):
            path.write_text(text)
        (damaged,) = list_jobs(tmp_path)
        assert (damaged.kind, damaged.arguments) == ("index", ())
        assert watched.read_memory(tmp_path).asked == {}
        assert skipped_by(tmp_path, "Anna") == ()
        assert [found.code for found in findings_of_stored(tmp_path, Records())] == ["turns-damaged"]
        for act in (
            lambda: find_upload(tmp_path, upload.id),
            lambda: find_question(tmp_path, question),
            lambda: observer_name(tmp_path),
        ):
            with pytest.raises(SnowmatchError):
                act()


def test_a_changed_setting_or_name_is_not_used(tmp_path):
    keep_settings(tmp_path, replace(CatalogSettings(), encounter_gap=50))
    path = settings_path(tmp_path)
    path.write_text(path.read_text().replace("50", "90"))
    notes = []
    assert load_settings(tmp_path, notes) == CatalogSettings()
    assert [note.code for note in notes] == ["settings-damaged"]
    observer_name(tmp_path, "Anna")
    names = home_of(tmp_path) / "observers.json"
    names.write_text(names.read_text().replace("Anna", "Anne"))
    with pytest.raises(SnowmatchError, match="nobody's name is known"):
        observer_name(tmp_path)


def test_damaged_settings_are_told_with_each_answer_and_are_not_replaced(own_survey):
    catalog = own_survey / "catalog"
    keep_settings(catalog, CatalogSettings(encounter_gap=10.0))
    path = settings_path(catalog)
    path.write_text(path.read_text().replace("10.0", "15"))  # as by hand
    said = path.read_bytes()
    opened = snowmatch.open_catalog(catalog, classifier="none")
    for notes in (opened.session().notes, evidence_notes(opened.data)):
        assert [note.code for note in notes].count("settings-damaged") == 1
    with pytest.raises(SnowmatchError, match=r"was changed by hand, so nothing was stored: delete the file") as refused:
        opened.index(workers=1)
    assert refused.value.code == "settings-damaged"
    keep_settings(catalog, CatalogSettings())  # what holds already
    assert path.read_bytes() == said
    path.unlink()
    keep_settings(catalog, opened.data.settings)
    assert load_settings(catalog, []) == CatalogSettings(classifier="none")


def test_an_upload_whose_photo_was_damaged_is_gone(tmp_path):
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / "a.jpg")
    upload = keep_upload(tmp_path, (tmp_path / "a.jpg").read_bytes(), "a.jpg")
    assert find_upload(tmp_path, upload.id) == upload
    path = upload_file(tmp_path, upload)
    path.write_bytes(path.read_bytes()[:-2] + b"xx")
    with pytest.raises(SnowmatchError, match="choose it again"):
        find_upload(tmp_path, upload.id)


def test_every_damaged_byte_of_a_kept_picture_makes_it_again(tmp_path):
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / "a.jpg")
    content = preview(tmp_path, Annotation(0, "a.jpg"), "photo", 160)
    (kept,) = (home_of(tmp_path) / "previews").rglob("*.jpg")
    stored = kept.read_bytes()
    for n in range(0, len(stored), 7):
        kept.write_bytes(stored[:n] + bytes([stored[n] ^ 4]) + stored[n + 1 :])
        assert preview(tmp_path, Annotation(0, "a.jpg"), "photo", 160) == content
        assert kept.read_bytes() == stored
        (name,) = note_on_mended(tmp_path).data["files"]
        assert home_of(tmp_path) / name == kept
        forget_mended(tmp_path)


def test_files_that_were_made_again_are_told_by_doctor_until_an_index_run_has_told_them(tmp_path):
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / "a.jpg")
    (tmp_path / "catalog.csv").write_text("path\na.jpg\n")
    snowmatch.open_catalog(tmp_path).index(workers=1)

    def told():
        return [found for found in findings_of_stored(tmp_path, Records()) if found.code == "files-mended"]

    assert told() == []
    for name in ("b/z.jpg", "opened.json", "b/z.jpg"):
        keep_mended(home_of(tmp_path) / name)
    (found,) = told()
    assert "2 files" in found.text
    assert [case.partition(" ")[0] for case in found.cases] == ["b/z.jpg", "opened.json"]
    lines = mended_path(tmp_path).read_text().replace("opened", "opaned")
    mended_path(tmp_path).write_text(lines)
    assert [case.partition(" ")[0] for case in told()[0].cases] == ["b/z.jpg", "mended.jsonl"]
    (note,) = [note for note in snowmatch.open_catalog(tmp_path).index(workers=1).notes if note.code == "files-mended"]
    assert note.data["count"] == 2
    assert told() == []
    keep_mended(tmp_path / "elsewhere.jpg")  # not a file of a catalog
    assert told() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_the_list_of_files_that_were_made_again_waits_for_no_pipe_and_follows_no_link(tmp_path):
    home = home_of(tmp_path)
    home.mkdir()
    os.mkfifo(mended_path(tmp_path))
    keep_mended(home / "opened.json")
    assert list(note_on_mended(tmp_path).data["files"]) == ["mended.jsonl"]  # a list that cannot be read is told
    mended_path(tmp_path).unlink()
    assert note_on_mended(tmp_path) is None
    home.rmdir()
    (tmp_path / "elsewhere").mkdir()
    home.symlink_to(tmp_path / "elsewhere")
    keep_mended(home / "opened.json")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_changed_memory_of_an_import_is_told(tmp_path):
    path = imported_path(tmp_path)
    memory = {("table", "catalog.csv"): {"a": {"path": "a.jpg", "station": "S1"}, "b": {"path": "b.jpg"}}}
    write_memory(path, memory)
    notes = []
    assert (read_memory(path, notes), notes) == (memory, [])
    text = path.read_text()
    path.write_text("".join(text.splitlines(keepends=True)[:-1]))  # of an older version
    assert (read_memory(path, notes), notes) == (memory, [])
    for damaged in (text.replace("S1", "S2"), text.replace("\nsum,", "\n{um,")):
        assert damaged != text
        path.write_text(damaged)
        assert read_memory(path, notes) == {}
    assert [note.code for note in notes] == ["memory-damaged"] * 2


# --- readers ----------------------------------------------------------------------------------------------------------


def test_accounts_with_impossible_numbers_are_damaged(tmp_path):
    add_account(tmp_path, "Anna", "observer", "a long password")
    path = accounts_path(tmp_path)
    path.write_text(path.read_text().replace('"n": ', '"n": 1e999, "m": '))
    with pytest.raises(SnowmatchError, match="is damaged"):
        read_accounts(tmp_path)


def test_an_array_whose_header_is_no_python_is_damaged(tmp_path):
    path = tmp_path / "head.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, ".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("names", "weights", "bias"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(SnowmatchError, match="is damaged"):
        load_head(path)


def test_an_archive_of_a_later_version_is_no_table(tmp_path):
    path = tmp_path / "table.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"")
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 6] = 148  # the version that is needed to read it
    path.write_bytes(bytes(content))
    assert not is_table(path)


def test_a_tiff_without_dimensions_is_no_photo(tmp_path):
    path = tmp_path / "a.tif"
    Image.new("RGB", (40, 30)).save(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 25, 4, 1)))
    assert path.read_bytes() != content
    with pytest.raises(SnowmatchError, match=r"is not a readable photo|is damaged|cannot be"):
        read_photo(path)


def test_a_number_of_decisions_that_is_a_text_is_damage(tmp_path):
    path = tmp_path / "decisions.sqlite"
    append(path, [Decision("", "", "Anna", "pair", ("a",), ("b",), "same")])
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE sqlite_sequence SET seq = 'x'")
        database.commit()
    with pytest.raises(SnowmatchError, match="is damaged: its number of decisions is 'x'"):
        read_decisions(path)


def test_a_number_of_thousands_of_digits_is_no_setting():
    with pytest.raises(SnowmatchError, match="is not a TOML file"):
        read_toml(f"pad = {'9' * 5000}", "a.toml")


def test_a_library_that_finds_no_memory_is_told_in_one_line(monkeypatch, tmp_path):
    text = "libcrypto.so.3: failed to map segment from shared object"
    monkeypatch.setattr("snowmatch.api.open_catalog", mock.Mock(side_effect=ImportError(text)))
    said = CliRunner().invoke(main, ["index", str(tmp_path)])
    assert (said.exit_code, said.output.strip()) == (
        1,
        "Error: not enough memory to load the program: close other programs",
    )


def test_opencv_without_memory_is_told_in_one_line_and_its_other_errors_are_mistakes(monkeypatch, tmp_path):
    text = "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 153600 bytes"
    monkeypatch.setattr("snowmatch.api.open_catalog", mock.Mock(side_effect=cv2.error(text)))
    said = CliRunner().invoke(main, ["index", str(tmp_path)])
    line = "Error: not enough memory (for a photo): use fewer photos or smaller settings"
    assert (said.exit_code, said.output.strip()) == (1, line)
    monkeypatch.setattr("snowmatch.api.open_catalog", mock.Mock(side_effect=cv2.error("Assertion failed")))
    assert isinstance(CliRunner().invoke(main, ["index", str(tmp_path)]).exception, cv2.error)


def test_a_database_that_asks_for_too_much_memory_is_told_and_stays(tmp_path, monkeypatch):
    from snowmatch.catalog import database
    from snowmatch.decisions import opening

    home_of(tmp_path).mkdir()
    for module, path, use in (
        (database, database.database_path(tmp_path), lambda: database.writing(tmp_path)),
        (opening, tmp_path / "decisions.sqlite", lambda: opening.reading(tmp_path / "decisions.sqlite")),
    ):
        path.write_bytes(b"SQLite format 3")
        connection = mock.Mock()
        connection.execute.side_effect = MemoryError
        monkeypatch.setattr(module.sqlite3, "connect", lambda *_, connection=connection, **__: connection)
        with pytest.raises(SnowmatchError, match="not enough memory, or its beginning is damaged"), use():
            pass
        assert path.read_bytes() == b"SQLite format 3"


def test_a_damaged_search_index_that_pairs_find_is_told(own_survey):
    folder = own_survey / "catalog"
    sightings = open_identities(folder).who.sightings
    rows = [sighting.rows[0] for sighting in sightings if sighting.body_parts == ("left_flank",)][:2]

    def damage():
        for path in indexes_path(folder).rglob("*.faiss"):
            path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
        return snowmatch.open_catalog(folder).session()

    gather_evidence(snowmatch.open_catalog(folder).session(), sightings)
    told = gather_evidence(damage(), sightings, again=True).notes
    assert all(note.code == "index-made" and note.data["damaged"] for note in told), told
    assert note_on_mended(folder).data["count"] == len(told) > 0
    forget_mended(folder)
    spots_between(damage(), *rows)
    assert note_on_mended(folder) is not None


def test_a_file_that_can_be_made_again_also_clears_what_killed_commands_left(tmp_path, monkeypatch):
    old, fresh = (tmp_path / f".snowmatch-{digit * 16}.tmp" for digit in "01")
    for left in (old, fresh):
        left.write_bytes(b"x")
    os.utime(old, times=(time.time() - 2 * files.LEFT_OVER,) * 2)
    files.keep_file(tmp_path / "a", b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, "a"]
    monkeypatch.setattr(files.os, "scandir", None)
    files.keep_file(tmp_path / "b", b"1")  # a folder of 100,000 previews is not listed for each of them
