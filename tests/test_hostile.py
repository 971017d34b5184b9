"""Small files that ask for much: each one is refused with one line, or bounded."""

import io
import json
import multiprocessing
import os
import re
import shutil
import struct
import zipfile
import zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

import snowmatch
from snowmatch.catalog.database import with_sum, writing
from snowmatch.catalog.records import Fingerprint
from snowmatch.confidence.file import (
    CalibrationFile,
    MethodCalibration,
    load_calibrations,
    save_calibrations,
    update_calibrations,
)
from snowmatch.confidence.levels import Levels
from snowmatch.confidence.model import Model
from snowmatch.core.arrays import load_arrays
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import calibration_path, features_path, home_of
from snowmatch.core.plugins import parse_setting
from snowmatch.features import tasks
from snowmatch.photos.facts import PhotoFacts
from snowmatch.photos.pixels import read_photo
from snowmatch.screening.foreground import ForegroundMap
from snowmatch.screening.maps import load_maps, save_maps
from snowmatch.views.text import format_answer

MODEL = Model((1.0,), 2.0, (1.5, 1.5), 2.0, 0.0, 1000.0, 6.0, 0.0)


def stored(name, encounters=9):
    return MethodCalibration({"name": name}, {"name": "lnbnn"}, "1", encounters, {"whole": (MODEL,)})


# --- calibrations -----------------------------------------------------------------------------------------------------


def _store(arguments):
    folder, name = arguments
    update_calibrations(folder, lambda held: held.put(stored(name)))


def test_calibrations_of_several_processes_are_all_kept(tmp_path):
    names = [f"method{n}" for n in range(8)]
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_store, [(tmp_path, name) for name in names]))
    assert [m.extractor["name"] for m in load_calibrations(tmp_path).methods] == names


def test_every_changed_value_of_a_calibration_is_found(tmp_path):
    save_calibrations(tmp_path, CalibrationFile(Levels(0.98, 0.9, 0.7), (stored("hesaff"),)))
    path = calibration_path(tmp_path)
    content = path.read_text(encoding="utf-8")
    for found in re.finditer(r"\d+\.?\d*|hesaff|whole", content):
        changed = "7" if found.group()[0] != "7" else "8"
        path.write_text(content[: found.start()] + changed + content[found.start() + 1 :], encoding="utf-8")
        if found.start() < 40:  # the schema
            assert load_calibrations(tmp_path).unread
            continue
        with pytest.raises(SnowmatchError, match="is damaged") as caught:
            load_calibrations(tmp_path)
        assert "\n" not in str(caught.value)
    path.write_text(content, encoding="utf-8")
    assert load_calibrations(tmp_path).methods


@pytest.mark.parametrize(
    ("place", "value"),
    [("levels", {"excellent": float("nan"), "good": 0.9, "fair": 0.7}), ("levels", []), ("levels", None),
     ("methods", {}), ("methods", [3]), ("methods", [{}]), ("encounters", -1), ("encounters", "9"), ("groups", []),
     ("groups", {"whole": []}), ("groups", {"whole": [3]}), ("extractor", {}), ("extractor", "hesaff"),
     ("knots", [float("nan")]), ("knots", []), ("slopes", [float("inf"), 1]), ("new", 1e300), ("usual_features", 0),
     ("new", None), ("new", "x")],
)  # fmt: skip
def test_odd_values_are_damage_even_with_a_right_checksum(tmp_path, monkeypatch, place, value):
    save_calibrations(tmp_path, CalibrationFile(methods=(stored("hesaff"),)))
    path = calibration_path(tmp_path)
    held = json.loads(path.read_text(encoding="utf-8"))
    method = held["methods"][0]
    for part in (held, method, method["groups"]["whole"][0]):
        if place in part:
            part[place] = value
            break
    path.write_text(json.dumps(held), encoding="utf-8")
    monkeypatch.setattr("snowmatch.confidence.file._sum", lambda held: held["sum"])
    with pytest.raises(SnowmatchError, match=r"is damaged|levels are"):
        load_calibrations(tmp_path)


def test_a_damaged_calibration_is_put_aside_when_a_new_one_is_stored(tmp_path):
    save_calibrations(tmp_path, CalibrationFile(methods=(stored("old"),)))
    calibration_path(tmp_path).write_text("[" * 100_000)
    with pytest.raises(SnowmatchError, match="is damaged"):
        load_calibrations(tmp_path)
    update_calibrations(tmp_path, lambda held: held.put(stored("new")))
    assert [m.extractor["name"] for m in load_calibrations(tmp_path).methods] == ["new"]
    assert (home_of(tmp_path) / "calibration-damaged.json").exists()


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_an_entry_of_maps_cannot_ask_for_much_memory(tmp_path):
    save_maps(tmp_path, {"0" * 16: ("mark", ForegroundMap(np.zeros((3, 3), np.uint8), "burst"))})
    listed = ("0" * 16, "mark", "burst", 300_000, 300_000, zlib.crc32(bytes(9)))
    with writing(tmp_path) as database:
        database.execute("UPDATE maps SET height = ?, width = ?, sum = ?", (*listed[3:5], with_sum(listed)[-1]))
    assert load_maps(tmp_path, ["0" * 16]) == {"0" * 16: None}


def test_an_array_that_declares_more_than_its_file_holds_is_refused(tmp_path):
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", held.getvalue() + b"\0" * 80)
    with pytest.raises(SnowmatchError, match="is damaged"):
        load_arrays(tmp_path / "x.npz", ["a"], "test", "make it again")


def test_an_npz_whose_header_names_an_outdated_type_is_damaged(tmp_path):
    held = io.BytesIO()
    np.lib.format.write_array(held, np.array([b"Cat1", b"Cat2"]))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", held.getvalue().replace(b"|S4", b"|a4"))
    with pytest.raises(SnowmatchError, match="is damaged"):
        load_arrays(tmp_path / "x.npz", ["a"], "test", "make it again")


def test_a_bmp_cannot_declare_more_pixels_than_its_bytes_hold(tmp_path):
    path = tmp_path / "bomb.bmp"
    Image.new("P", (64, 48)).save(path)
    content = bytearray(path.read_bytes())
    content[18:26] = struct.pack("<ii", 13_000, 13_000)
    content[30:34] = struct.pack("<I", 1)  # run-length code
    path.write_bytes(content)
    with pytest.raises(SnowmatchError, match=r"13000 x 13000 px cannot be in \d+ bytes"):
        read_photo(path)


def test_large_photos_are_read_one_at_a_time(tmp_path, monkeypatch):
    home_of(tmp_path).mkdir()
    monkeypatch.setattr(tasks, "LARGE", 100)
    large = Fingerprint(1, 1, 1, 1, "0" * 64, PhotoFacts((20, 20)))
    small = large._replace(facts=PhotoFacts((5, 5)))
    inside, most = 0, {large: 0, small: 0}

    def read(photo):
        nonlocal inside
        with tasks._turn(tmp_path, photo):
            inside += 1
            most[photo] = max(most[photo], inside)
            started.wait(0.05)
            inside -= 1

    from threading import Event

    started = Event()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, [large] * 4))
    assert most[large] == 1


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "default"),
    [("9223372036854775808", 5), ("-99999999999", 5), ("1e400", 0.5), ("nan", 0.5), ("-inf", 0.5), ("9" * 4000, 5),
     ("9" * 5000, 5)],
)  # fmt: skip
def test_a_setting_is_finite_and_fits_in_32_bits(text, default):
    with pytest.raises(SnowmatchError, match=r"expected a (whole )?number"):
        parse_setting("k", text, default)
    assert parse_setting("k", "-7", 5) == -7
    assert parse_setting("k", "1e9", 0.5) == 1e9


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_link_in_a_catalog_leads_to_a_file_of_the_user(own_survey, tmp_path):
    """Every file that snowmatch keeps is a link to a file of the user, in a catalog from somebody else."""
    catalog = own_survey / "catalog"
    snowmatch.open_catalog(catalog).index()
    save_calibrations(catalog, CalibrationFile(methods=(stored("hesaff"),)))
    kept = sorted(p for p in home_of(catalog).rglob("*") if p.is_file())
    names = {p.relative_to(home_of(catalog)) for p in kept}
    names |= {p.with_name(p.name + ".tmp") for p in names} | {p.with_name(p.name + "-journal") for p in names}
    for name in sorted(names, key=str):
        path, precious = home_of(catalog) / name, tmp_path / "precious.txt"
        precious.write_text("precious")
        before = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.symlink_to(precious)
        with suppress(SnowmatchError):  # some links are refused, others are replaced
            snowmatch.open_catalog(catalog).index()
            update_calibrations(catalog, lambda held: held.put(stored("sift")))
        assert precious.read_text() == "precious", name
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)


def test_no_folder_of_a_catalog_is_a_link(own_survey, tmp_path):
    catalog = own_survey / "catalog"
    snowmatch.open_catalog(catalog).index()
    for folder in sorted((p for p in home_of(catalog).rglob("*") if p.is_dir()), reverse=True):
        away = tmp_path / "away"
        away.mkdir(exist_ok=True)
        aside = folder.rename(tmp_path / "aside")
        folder.symlink_to(away, target_is_directory=True)
        with suppress(SnowmatchError):
            snowmatch.open_catalog(catalog).index()
        assert os.listdir(away) == []
        folder.unlink()
        aside.rename(folder)


# --- folders that move ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("phase", ["reading", "progress"])
def test_a_catalog_that_is_renamed_during_a_run_does_not_return_as_a_ghost(own_survey, phase, workers):
    catalog, moved = own_survey / "catalog", own_survey / "moved"
    if phase == "progress":  # the features are made again, while every photo is known
        shutil.rmtree(features_path(catalog))

    def rename(done, total):
        if catalog.exists() and done:
            catalog.rename(moved)

    with pytest.raises(SnowmatchError, match=r"was renamed|does not exist any more") as caught:
        snowmatch.open_catalog(catalog).index(workers=workers, **{phase: rename})
    assert "\n" not in str(caught.value)
    assert not catalog.exists()
    assert snowmatch.open_catalog(moved).index().failed == ()


def test_a_copied_catalog_answers_by_content(own_survey, tmp_path):
    catalog = own_survey / "catalog"
    snowmatch.open_catalog(catalog).index()
    copy = tmp_path / "copy"
    shutil.copytree(catalog, copy, copy_function=shutil.copyfile)  # all times are new
    for path in copy.rglob("*.jpg"):
        os.utime(path, (1e9, 1e9))
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in copy.rglob("*") if p.is_file()}
    photo = next((own_survey / "queries").rglob("*.jpg"))
    told = snowmatch.open_catalog(copy).query(photo, body_part="left_flank")
    expected = snowmatch.open_catalog(catalog).query(photo, body_part="left_flank")
    assert [(c.individual, c.score) for c in told.candidates] == [(c.individual, c.score) for c in expected.candidates]
    assert told.compared == expected.compared
    assert [note.code for note in told.notes if note not in expected.notes] == ["copied-annotations"]
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in copy.rglob("*") if p.is_file()} == before
    changed = copy / snowmatch.open_catalog(copy).data.annotations[0].path
    data = bytearray(changed.read_bytes())
    data[-30] ^= 1  # another content of the same size
    changed.write_bytes(data)
    assert snowmatch.open_catalog(copy).query(photo, body_part="left_flank").compared < expected.compared
    snowmatch.open_catalog(copy).index()
    assert "copied-annotations" not in [note.code for note in snowmatch.open_catalog(copy).notes()]


@pytest.mark.slow
def test_verify_also_checks_the_features_of_other_extractors(own_survey):
    catalog = own_survey / "catalog"
    opened = snowmatch.open_catalog(catalog)
    opened.index()
    opened.index("sift")
    before = opened.query(next((own_survey / "queries").rglob("*.jpg")), extractor="sift").compared
    (path,) = (home_of(catalog) / "features").glob("sift-*/features-*.h5")
    data = bytearray(path.read_bytes())
    frame = json.loads(bytes(data[:512]).rstrip(b"\0"))
    data[frame["arrays"][-1][1] - 1] ^= 255
    path.write_bytes(data)
    assert "features-of-others-damaged" not in [note.code for note in opened.index().notes]
    (note,) = [n for n in opened.index(verify=True).notes if n.code == "features-of-others-damaged"]
    assert "sift" in note.text
    assert opened.index("sift").done == 1
    assert opened.query(next((own_survey / "queries").rglob("*.jpg")), extractor="sift").compared == before


# --- pipes and devices in place of files ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_a_device_in_place_of_a_kept_file_never_hangs(own_survey):
    catalog = own_survey / "catalog"
    photo = next((own_survey / "queries").rglob("*.jpg"))
    snowmatch.open_catalog(catalog).index()
    snowmatch.open_catalog(catalog, encounter_gap=50).index()
    save_calibrations(catalog, CalibrationFile(methods=(stored("hesaff"),)))
    for path in sorted(p for p in catalog.rglob("*") if p.is_file() and p.suffix not in (".jpg", ".png")):
        if path.suffix == ".lock":
            continue  # only opened for writing
        content = path.read_bytes()
        for make in (os.mkfifo, lambda place: os.symlink("/dev/zero", place), os.mkdir):
            path.unlink()
            make(path)
            for use in (
                lambda: snowmatch.open_catalog(catalog).query(photo, body_part="left_flank"),
                lambda: snowmatch.open_catalog(catalog).index(),
            ):
                try:
                    use()
                except SnowmatchError as error:
                    text = str(error)
                    assert ("\n" in text, "disk space" in text) == (False, False), text
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            path.write_bytes(content)


def test_a_query_photo_that_is_no_file_says_so(own_survey, tmp_path):
    os.symlink("/dev/zero", tmp_path / "zero.jpg")
    with pytest.raises(SnowmatchError, match=r"zero\.jpg is not a file, expected a photo"):
        snowmatch.open_catalog(own_survey / "catalog").query(tmp_path / "zero.jpg")
    with pytest.raises(SnowmatchError, match=r"is a folder, expected a photo: .*`snowmatch batch`"):
        snowmatch.open_catalog(own_survey / "catalog").query(tmp_path)


def test_a_wall_without_any_spot_has_the_answer_none(own_survey, tmp_path):
    Image.new("RGB", (640, 480), (150, 150, 150)).save(tmp_path / "wall.jpg")
    answer = snowmatch.open_catalog(own_survey / "catalog").query(tmp_path / "wall.jpg")
    assert "Answer: none" in format_answer(answer)
