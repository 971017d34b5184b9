"""Which flank a photo shows: the mirrored photo gives the other one; what a screening tells and stores."""

import json
import sqlite3
from contextlib import closing

import fake_classifier
import numpy as np
import pytest
from click.testing import CliRunner
from fake_classifier import BOX, draw, read_table, results, write_rows
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from snowmatch.catalog.screened import forget_screened, load_flanks
from snowmatch.cli import main
from snowmatch.core.home import database_path
from snowmatch.photos.pixels import read_photo
from snowmatch.review import screen
from snowmatch.review.uploads import guess_body_part
from snowmatch.screening import finders, flank
from snowmatch.screening.classifiers._layers import FEATURES
from snowmatch.screening.flank import LEFT, RIGHT, SHIPPED, SURE, UNKNOWN, Flanks, crop_of, features, flank_of

COLUMNS = ("path", "station", "encounter", "individual", "bbox", "body_part")


def brightness(crop, size):
    """Stand in for the network: the features are the brightness of each cell, and its square."""
    cells = crop.astype(np.float32).reshape(10, 32, 10, 32, 3).mean(axis=(1, 3, 4)) / 255
    return np.stack([cells, cells**2]), cells[None]


def lopsided(crop, size):
    """Stand in for a network that is not the same left and right."""
    cells = brightness(crop, size)[0]
    return cells * np.linspace(0.3, 2, cells.shape[2], dtype=np.float32), cells


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(flank, "see", brightness)
    monkeypatch.setattr(flank, "shipped_weights", lambda: np.array([-60.0, 0.0]))  # the dark side is the head
    monkeypatch.setattr(screen, "weights_are_here", lambda name: True)
    fake_classifier.use(monkeypatch)


def animal(path, head, seed=0):
    """Draw a red animal whose head is dark. head: "left", "right", or "" for none."""
    draw(path, "leopard", seed)
    pixels = np.array(Image.open(path))
    if head:
        pixels[15:45, slice(20, 33) if head == "left" else slice(47, 60), 0] = 0
    Image.fromarray(pixels).save(path, quality=95)


@pytest.fixture
def catalog(tmp_path, network):
    """Return a catalog of drawn animals with boxes, one without, one with a body part, and one that is not kept."""
    folder = tmp_path / "catalog"
    box = "20,15,40,30"
    rows = [
        ("left.png", "S1", "E1", "", box, ""),
        ("right.png", "S1", "E1", "", box, ""),
        ("front.png", "S1", "E1", "", box, ""),
        ("named.png", "S1", "E1", "", box, "right_flank"),
        ("ibex.png", "S2", "E2", "", box, ""),
        ("unboxed.png", "S1", "E1", "", "", ""),
    ]
    for seed, (name, head) in enumerate([("left", "left"), ("right", "right"), ("front", ""), ("named", "left")]):
        animal(folder / f"{name}.png", head, seed)
    draw(folder / "ibex.png", "ibex", 9)
    draw(folder / "unboxed.png", "faint", 10)
    write_rows(folder, rows, COLUMNS)
    return folder


def table(catalog, tmp_path, *words):
    result = CliRunner().invoke(
        main, ["screen", str(catalog), "--out", str(tmp_path / "out"), "--workers", "1", "--force", *map(str, words)]
    )
    assert result.exit_code == 0, result.output
    return read_table(tmp_path / "out.csv")


# --- the model --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.sampled_from([brightness, lopsided]))
def test_a_mirrored_crop_gives_exactly_the_negative(seed, sight):
    crop = np.random.default_rng(seed).integers(0, 256, (320, 320, 3), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flank, "see", sight)
        there, back = features(crop), features(np.ascontiguousarray(crop[:, ::-1]))
    assert np.array_equal(there, -back)
    assert there.any()


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("box", [(20, 16, 40, 20), (0, 0, 100, 80), (80, 50, 20, 30), (10, -10, 61, 30)])
def test_a_mirrored_photo_with_a_mirrored_box_gives_one_minus_the_probability(box):
    photo = np.random.default_rng(3).integers(0, 256, (80, 100, 3), np.uint8)
    photo[:, :40] //= 2
    x, y, width, height = box
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    there, back = Flanks().left(photo, box), Flanks().left(mirrored, (100 - x - width, y, width, height))
    assert there + back == pytest.approx(1, abs=0.01)  # a resized photo is not mirrored to the last bit
    assert abs(there - 0.5) > 0.01


@pytest.mark.usefixtures("network")
def test_a_plain_photo_shows_no_flank():
    assert Flanks().left(np.full((60, 80, 3), 90, np.uint8), (20, 10, 40, 40)) == 0.5


def test_the_crop_is_a_square_round_the_box_and_grey_outside_the_photo():
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[40:60, 100:140] = 255
    crop = crop_of(photo, (100, 40, 40, 20))  # 48 px a side: the box fills 5/6 of the width
    white = crop[:, :, 0] > 128
    assert white.any(axis=0).sum() == pytest.approx(320 * 40 / 48, abs=3)
    assert white.any(axis=1).sum() == pytest.approx(320 * 20 / 48, abs=3)
    outside = crop_of(photo, (0, 0, 20, 20))
    assert (outside[0] == 127).all()
    assert (outside[-1, -1] == 0).all()
    with pytest.raises(ValueError, match="outside the photo"):
        crop_of(photo, (300, 0, 20, 20))


@given(st.floats(0, 1))
def test_a_flank_is_named_only_if_it_is_likely(left):
    name, probability = flank_of(left)
    assert probability == max(left, 1 - left)
    assert name == (UNKNOWN if probability < SURE else LEFT if left > 0.5 else RIGHT)


def test_the_shipped_model_is_small_and_fits_the_network():
    weights = flank.shipped_weights()
    assert weights.shape == (FEATURES,)
    assert np.isfinite(weights).all()
    assert weights.any()
    assert SHIPPED.stat().st_size < 20_000


# --- the screening ----------------------------------------------------------------------------------------------------


def test_the_table_tells_the_flank_of_kept_animals_with_a_box(catalog, tmp_path):
    rows = table(catalog, tmp_path)
    assert {path.removesuffix(".png"): row["flank"] for path, row in rows.items()} == {
        "left": "left_flank",
        "right": "right_flank",
        "front": "unknown",
        "named": "",  # a person has told
        "ibex": "",  # not kept
        "unboxed": "",
    }
    assert float(rows["left.png"]["flank_probability"]) >= 0.9 > float(rows["front.png"]["flank_probability"]) >= 0.5
    assert rows["ibex.png"]["flank_probability"] == ""
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["flank"] for line in lines] == [row["flank"] for row in rows.values()]
    assert lines[4]["flank_probability"] is None


def test_a_mirrored_catalog_has_the_other_flanks(catalog, tmp_path):
    before = table(catalog, tmp_path)
    for path in catalog.glob("*.png"):
        ImageOps.mirror(Image.open(path)).save(path)
    after = table(catalog, tmp_path)
    other = {"left_flank": "right_flank", "right_flank": "left_flank"}
    for path, row in before.items():
        assert after[path]["flank"] == other.get(row["flank"], row["flank"])
        if row["flank"]:
            told = float(after[path]["flank_probability"])
            assert told == pytest.approx(float(row["flank_probability"]), abs=0.01)


def test_a_box_outside_its_photo_is_listed_and_a_huge_one_is_that_of_the_photo(catalog, tmp_path):
    text = (catalog / "catalog.csv").read_text().replace("20,15,40,30", "500,500,10,10", 1)
    huge = "-400000000,-400000000,900000000,900000000"
    (catalog / "catalog.csv").write_text(text.replace("20,15,40,30", huge, 1))
    words = ["screen", str(catalog), "--out", str(tmp_path / "out"), "--workers", "1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    failed = [line for line in result.output.splitlines() if line.startswith("failed: ")]
    assert failed[0].startswith("failed: left.png: box 500,500,10,10 lies outside the photo, which is 80 x 60 px")
    assert len(failed) == 1
    rows = read_table(tmp_path / "out.csv")
    assert rows["left.png"]["flank"] == ""
    whole = Flanks().left(read_photo(catalog / "right.png"), (0, 0, 80, 60))
    assert float(rows["right.png"]["flank_probability"]) == pytest.approx(max(whole, 1 - whole), abs=1e-4)


def test_the_catalogs_body_part_stays(catalog, tmp_path):
    before = (catalog / "catalog.csv").read_bytes()
    table(catalog, tmp_path)
    assert (catalog / "catalog.csv").read_bytes() == before


def test_probabilities_are_stored_and_told_again_for_the_same_box_only(catalog, tmp_path, monkeypatch):
    first = table(catalog, tmp_path)
    assert len(load_flanks(catalog)) == 3
    seen = []
    monkeypatch.setattr(flank, "see", lambda crop, size: seen.append(1) or brightness(crop, size))
    assert table(catalog, tmp_path) == first
    assert not seen
    text = (catalog / "catalog.csv").read_text()
    (catalog / "catalog.csv").write_text(text.replace('left.png,S1,E1,,"20,15,40,30"', 'left.png,S1,E1,,"20,15,38,30"'))
    table(catalog, tmp_path)
    assert len(seen) == 2  # one photo, and its mirror
    monkeypatch.setattr(screen, "weights_are_here", lambda name: False)
    assert {row["flank"] for row in table(catalog, tmp_path).values()} == {""}


def test_a_damaged_entry_is_told_again(catalog, tmp_path):
    first = table(catalog, tmp_path)
    with closing(sqlite3.connect(database_path(catalog))) as database:
        database.execute("UPDATE flanks SET left = 0.5")
        database.commit()
    assert load_flanks(catalog) == {}
    assert table(catalog, tmp_path) == first
    assert len(load_flanks(catalog)) == 3


def test_what_is_stored_about_photos_that_are_gone_is_deleted(catalog, tmp_path):
    table(catalog, tmp_path)
    one = sorted(load_flanks(catalog))[0]
    forget_screened(catalog, [one])
    assert list(load_flanks(catalog)) == [one]


def test_without_a_classifier_no_flank_is_told(catalog, tmp_path):
    file = results(tmp_path / "md.json", {f"{name}.png": [("1", 0.9, BOX)] for name in ("left", "right")})
    rows = table(catalog, tmp_path, "--classifier", "none", "--results", file)
    assert rows["left.png"]["answer"] == "kept"
    assert {row["flank"] for row in rows.values()} == {""}


# --- a photo that was sent to the app ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(("head", "flank"), [("left", "left_flank"), ("right", "right_flank"), ("", None)])
def test_the_flank_is_guessed_in_a_box_or_where_the_classifier_sees_the_animal(tmp_path, head, flank):
    sent = tmp_path / "sent.png"
    draw(sent, "leopard")
    pixels = np.array(Image.open(sent))
    if head:
        pixels[:, slice(0, 40) if head == "left" else slice(40, 80)] //= np.uint8([1, 10, 10])
        pixels[:, slice(0, 40) if head == "left" else slice(40, 80), 0] = 190  # still an animal, and darker
    Image.fromarray(pixels).save(sent)
    for box in ((0, 0, 80, 60), None):
        assert (guess_body_part(sent, box) or (None,))[0] == flank


@pytest.mark.usefixtures("network")
def test_nothing_is_guessed_where_no_animal_is_seen_or_nothing_looks(tmp_path, monkeypatch):
    draw(tmp_path / "ibex.png", "ibex")
    assert guess_body_part(tmp_path / "ibex.png", None) is None
    animal(tmp_path / "sent.png", "left")
    monkeypatch.setattr(finders, "_classifier", lambda name: None)
    assert guess_body_part(tmp_path / "sent.png", None) is None
    assert guess_body_part(tmp_path / "sent.png", (20, 15, 40, 30)) is not None


@pytest.mark.usefixtures("network")
def test_a_box_that_is_far_larger_than_the_photo_or_outside_takes_no_memory_and_fails_nothing(tmp_path):
    animal(tmp_path / "sent.png", "left")
    whole = guess_body_part(tmp_path / "sent.png", (0, 0, 80, 60))
    assert guess_body_part(tmp_path / "sent.png", (-400_000_000, -400_000_000, 900_000_000, 900_000_000)) == whole
    assert guess_body_part(tmp_path / "sent.png", (500, 500, 10, 10)) is None
