"""Every file that snowmatch keeps in a catalog, damaged in every way: the answer stays, or one line says what to do."""

import csv
import os
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import enough, extract_once, read_rows
from fake_classifier import Colours
from PIL import Image

import snowmatch
from snowmatch.catalog.database import reading, writing
from snowmatch.catalog.found import BY_MAPS, BY_SCREENING, Found, load_found, save_found
from snowmatch.catalog.records import load_records
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import home_of
from snowmatch.review.batch import run_batch
from snowmatch.screening import finders

pytestmark = pytest.mark.usefixtures("seen_once")  # only what is kept is damaged, never the photo that is asked about

# For every file in `.snowmatch`: the command that makes it again if it is damaged; "" if nothing is lost without it.
# A new kind of file must be added here: then all tests of this page run over it.
FILES = {
    r"catalog\.sqlite": "index",
    r"settings\.json": "",
    r"calibration\.json": "calibrate",
    r"calibration\.png": "",
    r"calibration\.lock|writer\.lock|writer\.json|large-photo\.lock": "",
    r"features/hesaff-[0-9a-f]+/features-[0-9a-f]+\.h5": "index",
    r"features/hesaff-[0-9a-f]+/settings\.json": "index",
    r"features/hesaff-[0-9a-f]+/checked\.json": "",
    r"index/hesaff-[0-9a-f]+/[a-z_]+-([0-9a-f]+|few)-[0-9a-f]+\.(keys|faiss|sums)": "",
    r"index/hesaff-[0-9a-f]+/[a-z_]+-[0-9a-f]+(_2)?\.(codebook|sums)": "",
}


@pytest.fixture(scope="module")
def whole(survey, tmp_path_factory):
    """A catalog with every kind of file, a photo to ask about, and the answer."""
    folder = shutil.copytree(survey, tmp_path_factory.mktemp("damage") / "survey")
    catalog = folder / "catalog"
    with pytest.MonkeyPatch.context() as patch:
        enough(patch)
        extract_once(patch)
        _with_fewer_animals_and_boxes(catalog)
        opened = snowmatch.open_catalog(catalog, encounter_gap=50)
        opened.index(workers=1)
        assert CliRunner().invoke(main, ["calibrate", str(catalog)]).exit_code == 0
        run_batch(opened)
    row = next(r for r in read_rows(folder / "queries" / "queries.csv") if r["body_part"] == "left_flank")
    photo = folder / "queries" / row["path"]
    return catalog, photo, _answer(catalog, photo)


def _with_fewer_animals_and_boxes(catalog):
    """Leave four animals, and remove boxes and masks of some rows, so that foreground maps are made."""
    rows = read_rows(catalog / "catalog.csv")
    names = sorted({row["individual"] for row in rows} - {""})[:4]
    rows = [row for row in rows if row["individual"] in ("", *names)]
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


@pytest.mark.slow
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


# ---------------------------------------------------------------------------------- what the screening and maps store

# Colours of the classifier of the tests: red is the species, blue another mammal, grey nothing
PASSAGES = {"a.png": (230, 20, 20), "b.png": (20, 20, 230), "c.png": (120, 120, 120), "d.png": (225, 30, 20)}
# Another value for every column. A changed sha256 is the worst case: the entry does not look like one of the photo.
CHANGES = {
    "found": {
        "sha256": "'ff' || substr(sha256, 3)",
        "origin": "'x'",
        "number": "number + 7",
        "bbox": "'1,2,30,40'",
        "box_by": "'person'",
        "label": "'ibex'",
        "confidence": "0.123",
        "sum": "sum + 1",
    },
    "screening": {"sha256": "'ff' || sha256", "answer": "'other mammal'", "sum": "NULL"},
    "screened": {
        "sha256": "'ff' || substr(sha256, 3)",
        "mark": "'x'",
        "classes": """'{"snow leopard": 0.0, "nothing": 1.0}'""",
        "sum": "sum + 1",
    },
}


def _with_colours(patch):
    patch.setattr(finders, "_classifier", lambda name: None if name == "none" else Colours())


@pytest.fixture(scope="module")
def once_screened(tmp_path_factory):
    """Return a catalog with a screening, and two animals in one photo; none has a box in the table."""
    with pytest.MonkeyPatch.context() as patch:
        _with_colours(patch)
        return _screened(tmp_path_factory.mktemp("screened"))


@pytest.fixture
def screened(once_screened, tmp_path, monkeypatch):
    """Return a copy of this catalog that a test may change, with its photos on record."""
    _with_colours(monkeypatch)
    folder = shutil.copytree(once_screened, tmp_path / "screened")
    snowmatch.open_catalog(folder).index("sift", workers=1)
    return folder


def _screened(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "screened"
    folder.mkdir()
    for name, colour in PASSAGES.items():
        Image.fromarray((np.array(colour) + rng.integers(-9, 10, (60, 80, 3))).clip(0, 255).astype(np.uint8)).save(
            folder / name
        )
    (folder / "catalog.csv").write_text(
        "path,individual,encounter,station\na.png,,E1,S1\nb.png,,E2,S1\nc.png,,E3,S2\nd.png,Aika,E4,S2\n"
    )
    catalog = snowmatch.open_catalog(folder, boxes=False)
    catalog.index("sift", workers=1)  # features of the whole photos stay stored: a lost box needs no new ones
    assert CliRunner().invoke(main, ["screen", str(folder), "--out", str(tmp_path / "out")]).exit_code == 0
    contents = {path: known.sha256 for path, known in load_records(folder).photos.items()}
    two = (Found((2, 3, 30, 30), "detector", confidence=0.9), Found((40, 5, 30, 50), "detector", confidence=0.5))
    save_found(folder, BY_SCREENING, {contents["d.png"]: two, contents["a.png"]: ()})
    snowmatch.open_catalog(folder, boxes=True).index("sift", workers=1)
    return folder


def _told(folder):
    """Return what users see: the boxes, the rows of a batch; and the codes of all notes."""
    opened = snowmatch.open_catalog(folder)
    boxes = [(a.path, a.individual, a.bbox, a.box_by, a.found) for a in opened.data.annotations]
    batch = run_batch(opened, extractor="sift", again=True)
    rows = [(row.photos, row.decision) for row in batch.rows]
    codes = {note.code for note in (*opened.data.notes, *batch.notes)}
    return (boxes, rows), codes


def _entries(folder, table):
    with reading(folder) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


def _spoil(folder, table, column, entry):
    """Change one column of one entry, without its checksum."""
    keys = ("sha256", "origin", "number") if table == "found" else ("sha256",)
    where = " AND ".join(f"{key} = ?" for key in keys)
    with writing(folder) as database:
        statement = f"UPDATE {table} SET {column} = {CHANGES[table][column]} WHERE {where}"
        database.execute(statement, entry[: len(keys)])


def test_every_column_of_the_tables_of_the_screening_has_its_damage(screened):
    for table, changes in CHANGES.items():
        with reading(screened) as database:
            columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
        assert columns == list(changes)
        assert _entries(screened, table)


@pytest.mark.slow
def test_damaged_entries_of_the_screening_never_give_another_answer_in_silence(screened, tmp_path):
    expected, before = _told(screened)
    assert [box for *_, box, _, _ in expected[0]].count((40, 5, 30, 50)) == 1
    assert {decision for _, decision in expected[1]} >= {"nothing", "other species"}
    n = 0
    for table, changes in CHANGES.items():
        for entry in _entries(screened, table):
            for column in changes:
                copy = shutil.copytree(screened, tmp_path / f"copy{n}")
                n += 1
                _spoil(copy, table, column, entry)
                found, codes = _told(copy)
                assert found == expected or codes - before, (table, column, entry)
                names = {(who, box) for _, who, box, _, _ in found[0] if who}
                assert names <= {("Aika", (2, 3, 30, 30)), ("Aika", None)}, (table, column, entry)
                shutil.rmtree(copy)


@pytest.mark.parametrize("column", CHANGES["found"])
def test_the_next_index_run_makes_damaged_boxes_of_maps_again(screened, column, monkeypatch):
    """Also the last animal of a photo, whose entry no longer looks like one of that photo."""
    contents = {path: known.sha256 for path, known in load_records(screened).photos.items()}
    save_found(screened, BY_SCREENING, {})
    animals = tuple(Found((n, 3, 20, 30), "segmenter") for n in (1, 30, 55))
    monkeypatch.setattr("snowmatch.screening.mapping._boxes", lambda found, size: animals)
    save_found(screened, BY_MAPS, dict.fromkeys(contents.values(), animals))
    for number in range(3):
        _spoil(screened, "found", column, (contents["d.png"], BY_MAPS, number))
        assert load_found(screened, BY_MAPS) != dict.fromkeys(contents.values(), animals)
        assert "found-damaged" in {note.code for note in snowmatch.open_catalog(screened).data.notes}
        report = snowmatch.open_catalog(screened).index("sift", workers=1)
        assert report.mapped == 0
        assert load_found(screened, BY_MAPS)[contents["d.png"]] == animals
        assert "found-damaged" not in {note.code for note in report.catalog.notes}
