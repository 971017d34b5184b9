"""Every file that snowmatch keeps in a catalog, damaged in every way: the answer stays, or one line says what to do."""

import csv
import os
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import enough, read_rows

import snowmatch
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of
from snowmatch.review.batch import run_batch

# For every file in `.snowmatch`: the command that makes it again if it is damaged; "" if nothing is lost without it.
# A new kind of file must be added here: then all tests of this page run over it.
FILES = {
    r"catalog\.sqlite": "index",
    r"settings\.json": "",
    r"foreground\.npz": "index",
    r"calibration\.json": "calibrate",
    r"calibration\.png": "",
    r"calibration\.lock|writer\.lock|writer\.json|large-photo\.lock": "",
    r"features/hesaff-[0-9a-f]+/features-[0-9a-f]+\.h5": "index",
    r"features/hesaff-[0-9a-f]+/settings\.json": "index",
    r"features/hesaff-[0-9a-f]+/checked\.json": "",
    r"index/hesaff-[0-9a-f]+/[a-z_]+-\d+-[0-9a-f]+\.(npy|faiss|sums)": "",
}


@pytest.fixture(scope="module")
def whole(survey, tmp_path_factory):
    """A catalog with every kind of file, a photo to ask about, and the answer."""
    folder = shutil.copytree(survey, tmp_path_factory.mktemp("damage") / "survey")
    catalog = folder / "catalog"
    with pytest.MonkeyPatch.context() as patch:
        enough(patch)
        _without_boxes(catalog)
        opened = snowmatch.open_catalog(catalog, encounter_gap=50)
        opened.index()
        assert CliRunner().invoke(main, ["calibrate", str(catalog)]).exit_code == 0
        run_batch(opened)
    row = next(r for r in read_rows(folder / "queries" / "queries.csv") if r["body_part"] == "left_flank")
    photo = folder / "queries" / row["path"]
    return catalog, photo, _answer(catalog, photo)


def _without_boxes(catalog):
    """Remove boxes and masks of some rows, so that foreground maps are made."""
    rows = read_rows(catalog / "catalog.csv")
    for row in rows[::3]:
        row |= {"bbox": "", "mask": ""}
    with (catalog / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _answer(catalog, photo):
    opened = snowmatch.open_catalog(catalog)
    answer = opened.query(photo, body_part="left_flank")
    found = [(c.individual, c.score, c.probability, c.level) for c in answer.candidates]
    codes = {note.code for note in answer.notes} | {note.code for note in opened.data.notes}
    return (found, answer.compared, answer.new_probability, answer.decision), codes


def _kept(catalog):
    return sorted(p for p in home_of(catalog).rglob("*") if p.is_file())


def _kind(catalog, path):
    name = path.relative_to(home_of(catalog)).as_posix()
    return next((pattern for pattern in FILES if re.fullmatch(pattern, name)), None)


def test_every_kept_file_is_in_the_table_and_every_kind_exists(whole):
    catalog, _, _ = whole
    kinds = {_kind(catalog, path) for path in _kept(catalog)}
    assert None not in kinds, [p for p in _kept(catalog) if _kind(catalog, p) is None]
    missing = set(FILES) - kinds
    assert all("lock" in kind for kind in missing), missing


def _damages(content, rng):
    """Several damaged versions of a file's content."""
    size = len(content)
    yield b""
    yield b"\0" * size
    yield b"[" * 100_000
    yield os.urandom(min(size, 5000))
    yield b"{}"
    for length in (1, size // 2, max(size - 1, 0)):
        yield content[:length]
    yield content + content[:100]
    for place in (*rng.integers(0, max(size, 1), 4), *rng.integers(0, max(min(size, 4096), 1), 3)):
        changed = bytearray(content)
        if size:
            changed[place] ^= 1 << int(rng.integers(8))
        yield bytes(changed)


@pytest.mark.parametrize("kind", FILES)
def test_damage_never_gives_another_answer(whole, tmp_path, kind):
    original, photo, expected = whole
    catalog = shutil.copytree(original, tmp_path / "catalog")
    rng = np.random.default_rng(0)
    paths = [path for path in _kept(catalog) if _kind(catalog, path) == kind]
    for path in paths[:1]:
        content = path.read_bytes()
        for damaged in _damages(content, rng):
            path.write_bytes(damaged)
            try:
                found = _answer(catalog, photo)
            except SnowmatchError as error:
                text = str(error)
                assert "\n" not in text
                assert str(path) in text or str(catalog) in text
                assert "delete" not in text
            else:
                (result, codes), (before, codes_before) = found, expected
                assert result == before or codes - codes_before, (path.name, damaged[:40])  # never in silence
                if kind == r"calibration\.json":
                    assert [each[:2] for each in result[0]] == [each[:2] for each in before[0]]
            path.write_bytes(content)
    assert _answer(catalog, photo) == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, command in FILES.items() if command])
def test_one_command_mends_each_file(whole, tmp_path, kind, monkeypatch):
    enough(monkeypatch)
    original, photo, expected = whole
    catalog = shutil.copytree(original, tmp_path / "catalog")
    rng = np.random.default_rng(1)
    (path, *_) = [path for path in _kept(catalog) if _kind(catalog, path) == kind]
    content = path.read_bytes()
    for damaged in _damages(content, rng):
        path.write_bytes(damaged)
        if FILES[kind] == "calibrate":
            snowmatch.open_catalog(catalog).calibrate()
        else:
            assert snowmatch.open_catalog(catalog).index(verify=True).failed == ()
        assert _answer(catalog, photo) == expected
        if path.exists():
            path.write_bytes(content)
        else:
            shutil.rmtree(catalog)
            shutil.copytree(original, catalog)
