"""The benchmark of found boxes: figures of made-up boxes, maps and masks, and a run on drawn photos."""

import csv
import json
from functools import partial

import cv2
import fake_classifier
import found_boxes
import found_boxes_figures as figures
import found_boxes_tables
import numpy as np
import pytest
import tables
from fake_classifier import COLOURS, SIZE, write_rows
from found_boxes_figures import Case
from hypothesis import given
from hypothesis import strategies as st
from store import put_run, read_runs

from snowmatch.confidence import kinds
from snowmatch.confidence.metrics import interval
from snowmatch.core.errors import SnowmatchError
from snowmatch.screening.foreground import ForegroundMap


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Draw few samples for intervals."""
    monkeypatch.setattr(kinds, "interval", partial(interval, replicates=50))


def block(x, y, width, height, shape=(60, 80)):
    mask = np.zeros(shape, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def case(name="a", encounter="E1", **given):
    known = {"light": "colour", "burst": 1, "evidence": "burst", "box": (0, 0, 2, 2)}
    known |= dict.fromkeys(("person", "mask_box", "rough", "inside", "map_area"))
    return Case(name, encounter, **{**known, **given})


# One photo


def test_the_largest_piece_of_a_mask_is_kept():
    animal, bar = block(10, 10, 20, 15), block(0, 57, 80, 3)
    assert (figures.largest_piece(animal | bar) == animal).all()
    assert figures.box_round(animal) == (10, 10, 20, 15)
    assert not figures.largest_piece(block(0, 0, 0, 0)).any()
    assert figures.box_round(block(0, 0, 0, 0)) is None


def test_the_share_of_a_mask_inside_a_box():
    mask = block(10, 10, 20, 10)
    assert figures.share_inside(mask, (10, 10, 20, 10)) == 1
    assert figures.share_inside(mask, (0, 0, 20, 60)) == 0.5
    assert figures.share_inside(mask, (40, 10, 20, 10)) == 0
    with pytest.raises(ValueError, match="black"):
        figures.share_inside(block(0, 0, 0, 0), (0, 0, 5, 5))


def test_a_map_is_judged_by_its_cells_on_and_off_the_animal():
    animal = block(20, 20, 20, 20)
    right = (block(5, 5, 5, 5, (15, 20)) * 255).astype(np.uint8)  # cells of 4 px
    assert figures.map_area(right, animal, animal) == 1
    assert figures.map_area(255 - right, animal, animal) == 0
    assert figures.map_area(np.full((15, 20), 7, np.uint8), animal, animal) == 0.5
    half = (block(5, 5, 5, 5, (15, 20)) * 255).astype(np.uint8)
    half[5:10, 5:7] = 0  # 10 of 25 cells are equal to the scenery
    assert figures.map_area(half, animal, animal) == pytest.approx(15 / 25 + 10 / 25 / 2)


def test_other_pieces_of_a_mask_are_neither_animal_nor_scenery():
    animal, bar = block(20, 20, 20, 20), block(0, 56, 80, 4)
    shown = (block(5, 5, 5, 5, (15, 20)) * 200).astype(np.uint8)
    shown[14] = 255  # the bar has the highest values
    assert figures.map_area(shown, animal | bar, animal) == 1
    assert figures.map_area(shown, animal, animal) < 1


def test_a_map_without_cells_on_or_off_the_animal_is_not_judged():
    values = np.zeros((15, 20), np.uint8)
    everywhere, speck = block(0, 0, 80, 60), block(0, 0, 1, 1)
    assert figures.map_area(values, everywhere, everywhere) is None
    assert figures.map_area(values, speck, speck) is None


def test_a_found_box_is_compared_with_the_person_and_the_mask():
    mask = block(10, 10, 20, 10) | block(70, 50, 5, 5)
    found = ForegroundMap(cv2.resize(mask.astype(np.uint8) * 255, (20, 15), interpolation=cv2.INTER_AREA), "burst")
    told = figures.judge(found, (10, 10, 10, 10), mask, (10, 10, 10, 20))
    assert told == {"person": 0.5, "mask_box": 0.5, "rough": pytest.approx(1 / 3), "inside": 0.5, "map_area": 1}
    assert figures.judge(None, None, mask, None) == dict.fromkeys(told)
    nothing = figures.judge(found, (10, 10, 10, 10), block(0, 0, 0, 0), (10, 10, 10, 20))
    assert nothing == {**dict.fromkeys(told), "person": 0.5}


@given(st.lists(st.integers(0, 255), min_size=12, max_size=12), st.integers(0, 20), st.integers(1, 40))
def test_the_area_of_a_map_turns_round_with_the_map(cells, left, width):
    animal = block(left, 10, width, 40)
    values = np.array(cells, np.uint8).reshape(3, 4)
    area, other = (figures.map_area(each, animal, animal) for each in (values, 255 - values))
    assert (area is None) == (other is None)
    if area is not None:
        assert 0 <= area <= 1
        assert area + other == pytest.approx(1)


# Many photos


def test_figures_leave_out_cases_without_a_value():
    cases = [
        case(person=0.8, mask_box=0.5, inside=0.9, map_area=1.0, rough=0.7),
        case(mask_box=0.3, inside=0.4),
        case(mask_box=0.1, inside=0.5, encounter="E2"),
        case(box=None, map_area=0.5, rough=0.9, encounter="E2"),
    ]
    told = figures.figures_of_cases(cases)
    assert (told["photos"], told["encounters"], told["person_boxes"]) == (4, 2, 1)
    values = {name: told[name] and told[name][0] for name in figures.FIGURES}
    assert values == {
        "found": 0.75,
        "person_median": 0.8,
        "person_half": 1,
        "mask_median": 0.3,
        "mask_half": 0.3333,
        "rough_median": 0.8,
        "inside": 0.6,
        "missed": 0.3333,  # one half is not missed
        "map_area": 0.75,
    }
    assert figures.figures_of_cases([case(box=None)])["person_median"] is None


def test_intervals_draw_whole_passages():
    one = [case(inside=float(n % 2), encounter=f"E{n}") for n in range(40)]
    few = [case(inside=float(n < 20), encounter=f"E{n // 10}") for n in range(40)]
    wide, narrow = (figures.figures_of_cases(each)["inside"] for each in (few, one))
    assert wide[0] == narrow[0] == 0.5
    assert wide[2] - wide[1] > narrow[2] - narrow[1] > 0


def test_every_photo_is_in_one_group_of_each_kind():
    cases = [
        case(evidence="burst and classifier", burst=3),
        case(evidence="classifier", burst=2),
        case(evidence="", light="infrared", burst=12, box=None),
        case(evidence="station"),
    ]
    groups = figures.groups_of(cases)
    assert [(g["by"], g["group"], g["photos"]) for g in groups] == [
        ("all", "all photos", 4),
        ("evidence", "classifier", 1),
        ("evidence", "station", 1),
        ("evidence", "burst and classifier", 1),
        ("evidence", "no map", 1),
        ("light", "colour", 3),
        ("light", "infrared", 1),
        ("burst", "1", 1),
        ("burst", "2", 1),
        ("burst", "3 or more", 2),
    ]


def test_the_worst_boxes_come_first():
    cases = [
        case("good", mask_box=0.9, inside=1.0),
        case("beside", mask_box=0.0, inside=0.0),
        case("aside", mask_box=0.0, inside=0.1),
        case("unknown"),
        case("large", mask_box=0.2, inside=1.0),
    ]
    assert [each.name for each in figures.worst_of(cases, 3)] == ["beside", "aside", "large"]
    assert len(figures.worst_of(cases, 9)) == 4


# A run


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder with a small set of drawn photos: a red animal moves before a wall, in bursts of two photos."""
    fake_classifier.use(monkeypatch)
    folder = tmp_path / "data" / "snow_leopard"
    folder.mkdir(parents=True)
    rows = []
    for n in range(6):
        wall = np.random.default_rng(n // 2).integers(60, 180, (SIZE[1] // 4, SIZE[0] // 4), dtype=np.uint8)
        picture = cv2.cvtColor(cv2.resize(wall, SIZE, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2RGB)
        x = 40 * (n % 2)
        mask = block(x, 0, 40, 40, SIZE[::-1])
        picture[mask] = COLOURS["leopard"]
        cv2.imwrite(str(folder / f"{n}.png"), picture[..., ::-1])
        cv2.imwrite(str(folder / f"{n}-mask.png"), mask.astype(np.uint8) * 255)
        box = "" if n % 2 else f"{x},0,40,40"
        rows.append((f"{n}.png", f"S{n // 2}", f"E{n // 2}", f"cat{n // 4}", box, "" if n == 5 else f"{n}-mask.png"))
    write_rows(folder, rows, ("path", "station", "encounter", "individual", "bbox", "mask"))
    return tmp_path / "data"


def words(data, tmp_path):
    return ["--data", str(data), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "found_boxes.json")]


def test_a_run_on_drawn_photos_keeps_its_results(data, tmp_path):
    threads = cv2.getNumThreads()
    found_boxes.main([*words(data, tmp_path), "--worst", str(tmp_path / "pictures")])
    assert cv2.getNumThreads() == threads
    alone, classified = read_runs(tmp_path / "found_boxes.json")
    assert (alone["run"], classified["run"]) == ("classifier=none", "classifier=efficientnet_lite0")
    assert {g["group"] for g in alone["groups"] if g["by"] == "evidence"} == {"burst"}
    assert {g["group"] for g in classified["groups"] if g["by"] == "evidence"} == {"burst and classifier"}
    for run in (alone, classified):
        everything = run["groups"][0]
        assert (everything["photos"], everything["encounters"], everything["person_boxes"]) == (6, 3, 3)
        assert everything["found"][0] == 1
        assert everything["rough_median"] == [1, 1, 1]
        assert everything["map_area"][0] > 0.7
        assert str(tmp_path) not in json.dumps(run)
        assert len(json.dumps(run)) < 20_000
    # without the classifier one box goes round both places of the burst, so less than half of it is the animal
    assert alone["groups"][0]["person_half"][0] == alone["groups"][0]["missed"][0] == 0
    assert classified["groups"][0]["person_half"][0] == 1
    with open(tmp_path / "work" / "found_boxes" / "none.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["mask_box"] == "" for row in rows] == [False] * 5 + [True]  # one photo has no mask
    assert {row["burst"] for row in rows} == {"2"}
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert len(pictures) == 10
    assert pictures[-1] == "none-05.jpg"
    check_page(tmp_path, [alone, classified])


def test_boxes_and_masks_on_record_do_not_change_what_is_found(data, tmp_path):
    found_boxes.main(words(data, tmp_path))
    before = read_runs(tmp_path / "found_boxes.json")
    catalog = data / "snow_leopard" / "catalog.csv"
    with catalog.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    write_rows(catalog.parent, [tuple({**row, "bbox": "0,0,80,60"}.values()) for row in rows], tuple(rows[0]))
    found_boxes.main(words(data, tmp_path))
    after = read_runs(tmp_path / "found_boxes.json")
    for one, other in zip(before, after, strict=True):
        for name in ("found", "mask_median", "inside", "map_area"):
            assert [g[name] for g in one["groups"]] == [g[name] for g in other["groups"]]
        assert one["groups"][0]["person_median"] != other["groups"][0]["person_median"]


def test_a_photo_that_cannot_be_read_is_an_error(data, tmp_path):
    (data / "snow_leopard" / "3.png").write_bytes(b"not a photo")
    with pytest.raises(SnowmatchError, match=r"2\.png or a photo of its place"):
        found_boxes.main(words(data, tmp_path))


def check_page(folder, runs):
    """Put the runs among results of a folder, and check that the page shows their tables."""
    results = folder / "benchmarks" / "results"
    for run in runs:
        put_run(results / "found_boxes.json", run | {"commit": "abc1234"})
    tables.main([str(results)])
    page = (folder / "docs" / "results.md").read_text(encoding="utf-8")
    assert "\n## The animal found by itself\n" in page
    assert "\n| evidence: burst and classifier | 6 | 3 | 100 % (100–100) | 3 | " in page


def test_tables_show_values_with_their_intervals_and_a_dash_for_unknown_ones():
    group = {"by": "burst", "group": "3 or more", "photos": 9, "encounters": 2, "person_boxes": 0}
    group |= {name: [0.5, 0.25, 0.75] for name in figures.FIGURES} | dict.fromkeys(("person_median", "person_half"))
    group["missed"] = [0, None, None]
    assert found_boxes_tables.found_boxes_table({"groups": [group]}).splitlines()[2] == (
        "| burst of 3 or more | 9 | 2 | 50 % (25–75) | 0 | – | – | 0.50 (0.25–0.75) | 50 % (25–75) | 50 % (25–75) "
        "| 0 % | 0.50 (0.25–0.75) |"
    )
