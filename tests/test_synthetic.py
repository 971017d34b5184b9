"""The drawn survey: reproducible, with true tables, and with the difficult cases that it promises."""

import csv
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations

import cv2
import numpy as np
import pytest
from PIL import Image

from snowmatch.catalog.stations import read_stations
from snowmatch.demo.coats import Pose, draw_animal, grow_coat
from snowmatch.demo.stations import write_stations
from snowmatch.demo.survey import COLUMNS, _coat, make_demo, make_survey
from snowmatch.survey.effort import working_time

SMALL = {"individuals": 4, "stations": 2, "encounters": 2, "photos": (1, 2), "size": (480, 320), "decoys": 1}
STANDING = Pose("left", 420, 480, 300, 0, 0, 0, 0, 0, 0.5, 1, (0, -0.6, 0.8))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    more = {"unidentified": 2, "queries": folder / "queries", "query_encounters": 2, "new_individuals": 1}
    return folder, make_survey(folder / "catalog", seed=5, **SMALL, **more)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def drawn(coat, pose):
    bright, opacity = draw_animal(coat, pose, (960, 640))
    return (255 * (bright * opacity + 0.4 * (1 - opacity))).astype(np.uint8)


def matches(image0, image1, mask0=None, mask1=None):
    """Return how many SIFT matches two pictures have, and how many of them agree on one position."""
    sift = cv2.SIFT_create()
    (found0, described0), (found1, described1) = (
        sift.detectAndCompute(image0, mask0),
        sift.detectAndCompute(image1, mask1),
    )
    pairs = cv2.BFMatcher().knnMatch(described0, described1, 2)
    close = [a for a, b in pairs if a.distance < 0.8 * b.distance]
    if len(close) < 4:
        return len(close), 0
    points0 = np.array([found0[m.queryIdx].pt for m in close])
    points1 = np.array([found1[m.trainIdx].pt for m in close])
    cv2.setRNGSeed(0)
    return len(close), int(cv2.estimateAffine2D(points0, points1, ransacReprojThreshold=12)[1].sum())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    few = {**SMALL, "encounters": 1}
    make_survey(tmp_path / "a", seed=9, **few)
    make_survey(tmp_path / "b", seed=9, **few)
    make_survey(tmp_path / "c", seed=10, **few)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert not {v for k, v in a.items() if k.endswith(".jpg")} & {v for k, v in c.items() if k.endswith(".jpg")}


def test_tables_photos_and_masks_agree(made):
    folder, survey = made
    for part, rows, table in (("catalog", survey.catalog, "catalog.csv"), ("queries", survey.queries, "queries.csv")):
        with (folder / part / table).open(newline="", encoding="utf-8") as file:
            assert list(csv.DictReader(file)) == [{c: row[c] for c in COLUMNS} for row in rows]
        assert len({row["path"] for row in rows}) == len(rows) == len(list((folder / part / "images").iterdir()))
        for row in rows:
            with Image.open(folder / part / row["path"]) as photo, Image.open(folder / part / row["mask"]) as mask:
                assert (photo.format, photo.size, mask.format, mask.size) == ("JPEG", (480, 320), "PNG", (480, 320))
                animal, exif = np.asarray(mask.convert("L")) > 127, photo.getexif()
            x, y, w, h = map(int, row["bbox"].split(","))
            assert animal[y : y + h, x : x + w].sum() == animal.sum() > 500
            assert all(edge.any() for edge in (animal[y], animal[y + h - 1], animal[:, x], animal[:, x + w - 1]))
            taken = exif.get_ifd(0x8769)[0x9003]
            assert datetime.strptime(taken, "%Y:%m:%d %H:%M:%S").isoformat() == row["timestamp"]
            assert 0x8825 not in exif  # no GPS
            assert "synthetic" in exif[0x010E]
        assert (folder / part / "README.txt").read_text(encoding="utf-8").startswith("SYNTHETIC")


def test_animals_and_stations_are_as_planned(made):
    _, survey = made
    named = {row["individual"] for row in survey.catalog if row["individual"]}
    assert len(named) == 4
    assert {row["animal"] for row in survey.catalog if not row["individual"]}
    assert len({row["encounter"] for row in survey.catalog if not row["individual"]}) == 2
    asked = {row["individual"] for row in survey.queries}
    assert named < asked
    assert len(asked - named) == 1
    assert {row["body_part"] for row in survey.queries} == {"left_flank", "right_flank"}
    assert not {row["encounter"] for row in survey.catalog} & {row["encounter"] for row in survey.queries}
    assert set(survey.decoys) | set(survey.decoys.values()) <= named


def test_encounters_are_separate_in_time(made):
    _, survey = made
    rows = survey.catalog + survey.queries
    for a, b in combinations(rows, 2):
        minutes = (
            abs((datetime.fromisoformat(a["timestamp"]) - datetime.fromisoformat(b["timestamp"])).total_seconds()) / 60
        )
        assert minutes < 1 if a["encounter"] == b["encounter"] else minutes > 60
    assert all(len({(r["station"], r["animal"]) for r in rows if r["encounter"] == e["encounter"]}) == 1 for e in rows)


def test_progress_ends_at_the_total_number(tmp_path):
    told = []
    survey = make_survey(tmp_path, seed=1, progress=lambda *numbers: told.append(numbers), **{**SMALL, "encounters": 1})
    assert told[-1] == (len(survey.catalog),) * 2
    assert told == sorted(told)


@pytest.mark.parametrize(
    "wrong",
    [
        {"individuals": 0},
        {"photos": (2, 1)},
        {"size": (100, 100)},
        {"decoys": 3},
        {"passages": [(4, "left")]},
        {"passages": [(0, "top")]},
    ],
)
def test_impossible_surveys_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected"):
        make_survey(tmp_path, seed=1, **{**SMALL, **wrong})


def test_passages_are_drawn_as_they_are_listed(tmp_path):
    listed = [(1, "left"), (0, "left"), (1, "left"), (0, "right")]
    small = {**SMALL, "decoys": 0}
    survey = make_survey(tmp_path / "catalog", seed=1, passages=listed, unidentified=1, **small)
    first = {row["encounter"]: row for row in reversed(survey.catalog)}  # first photo of each passage
    in_time = sorted(first.values(), key=lambda row: row["timestamp"])
    seen = [(row["animal"], row["body_part"]) for row in in_time[:4]]
    assert seen == [("bars", "left_flank"), ("aika", "left_flank"), ("bars", "left_flank"), ("aika", "right_flank")]
    assert [row["individual"] for row in in_time[3:]] == ["aika", ""]  # animals without a name come last


@pytest.mark.slow
def test_the_demo_has_the_documented_size(tmp_path):
    survey = make_demo(tmp_path, seed=1, size=(360, 240))
    assert len(survey.catalog) <= 120
    passages = {(r["encounter"], r["individual"], r["body_part"]) for r in survey.catalog if r["individual"]}
    counts = Counter((individual, part) for _, individual, part in passages)
    assert sum(n * (n - 1) // 2 for n in counts.values()) >= 30
    known = {individual for individual, _ in counts}
    sides = Counter((r["individual"] in known, r["body_part"]) for r in survey.queries)
    assert len(sides) == 4  # known and new animals, with both flanks
    everything = (tmp_path / "catalog" / "stations.csv").read_text()
    write_stations(tmp_path, (*survey.catalog, *survey.queries), 1)
    assert (tmp_path / "stations.csv").read_text() == everything


def test_every_drawn_photo_is_in_a_period_of_its_station(tmp_path):
    rng, rows = np.random.default_rng(3), []
    for n in range(60):
        when = datetime(2023, 3, 1) + timedelta(hours=int(rng.integers(24 * 300)))
        place = {"station": f"st{n % 4 + 1:02d}", "location": ("naryn", "sarychat")[n % 2]}
        rows.append({**place, "timestamp": when.isoformat()})
    rows = [r for r in rows if r["station"] != "st01" or not "2023-05" < r["timestamp"] < "2023-09"]
    write_stations(tmp_path, rows)
    notes = []
    found = {d.station: d for d in read_stations(tmp_path / "stations.csv", notes)}
    assert notes == []
    assert len({(d.x, d.y) for d in found.values()}) == 4
    for row in rows:
        spans = working_time(found[row["station"]])
        assert any(datetime.fromisoformat(row["timestamp"]) in span for span in spans)
    assert len(found["st01"].problems) == 1


def test_rocks_are_the_same_for_every_animal_of_a_station(made):
    folder, survey = made
    by_day = [r for r in survey.catalog if 5 <= datetime.fromisoformat(r["timestamp"]).hour < 22]

    def scenery(row):
        mask = cv2.imread(str(folder / "catalog" / row["mask"]), cv2.IMREAD_GRAYSCALE)
        rocks = cv2.erode(255 - mask, np.ones((15, 15)))
        rocks[-20:] = 0  # the info bar
        return cv2.imread(str(folder / "catalog" / row["path"]), cv2.IMREAD_GRAYSCALE), rocks

    agreeing = {True: [], False: []}
    for a, b in combinations(by_day, 2):
        if a["animal"] != b["animal"] and len(agreeing[a["station"] == b["station"]]) < 4:
            (photo0, rocks0), (photo1, rocks1) = scenery(a), scenery(b)
            agreeing[a["station"] == b["station"]].append(matches(photo0, photo1, rocks0, rocks1)[1])
    assert np.median(agreeing[True]) > 3 * max(agreeing[False])


def test_a_flank_matches_itself_only_and_never_its_mirror_image():
    coat = grow_coat(0, 0, "left")
    assert np.array_equal(coat, grow_coat(0, 0, "left"))
    image = drawn(coat, STANDING)
    again = drawn(coat, replace(STANDING, yaw=0.25, roll=0.1, length=380, stretch=2, gait=2))
    same = matches(again, image)[1]
    others = [
        drawn(grow_coat(0, 0, "right"), replace(STANDING, side="right")),
        drawn(grow_coat(0, 1, "left"), STANDING),
        drawn(grow_coat(1, 0, "left"), STANDING),
        drawn(coat, replace(STANDING, side="right")),  # the wrong flank: body coordinates run backwards
    ]
    assert same > 2 * max(matches(again, cv2.GaussianBlur(other, (0, 0), 0.5))[1] for other in others)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "decoy", "side", "other"), [(0, 5, "left", "right"), (1, 4, "right", "left")])
def test_decoys_pass_if_a_check_is_left_out(model, decoy, side, other):
    pose = replace(STANDING, side=side)
    query = drawn(_coat(0, model, side, 6, 2), replace(pose, stretch=2, yaw=0.15))
    same, turned, shuffled, stranger = (
        matches(query, drawn(_coat(0, animal, flank, 6, 2), replace(pose, side=flank)))
        for animal, flank in ((model, side), (decoy, other), (decoy, side), (2, side))
    )
    assert turned[1] > 3 * stranger[1]  # only the body part is different
    assert shuffled[0] > 1.2 * stranger[0]  # only the layout is different
    assert shuffled[1] < 0.4 * same[1]


def test_the_two_flanks_of_an_animal_do_not_match():
    left, right = (grow_coat(0, 0, side)[..., 0].astype(float) for side in ("left", "right"))
    for other in (right, right[:, ::-1]):
        assert abs(np.corrcoef(left.ravel(), other.ravel())[0, 1]) < 0.1


def test_animals_walk_towards_the_side_they_show():
    for side, ahead in (("left", -1), ("right", 1)):
        _, opacity = draw_animal(grow_coat(0, 0, side), replace(STANDING, side=side), (960, 640))
        columns = np.flatnonzero(opacity.sum(axis=0) > 1)
        head, tail = (columns[0], columns[-1]) if ahead < 0 else (columns[-1], columns[0])
        assert abs(tail - 480) > 1.3 * abs(head - 480)  # the tail is the long end
        assert opacity.min() >= 0
        assert opacity.max() <= 1


def test_an_animal_outside_the_picture_is_refused():
    with pytest.raises(ValueError, match="expected a position"):
        draw_animal(grow_coat(0, 0, "left"), replace(STANDING, x=-5), (960, 640))
