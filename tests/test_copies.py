"""More photos of one animal on record, up to copies of one photo, neither silence it nor let a wrong animal win."""

import csv
import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import snowmatch
from snowmatch.cli import main
from snowmatch.core.errors import SnowmatchError
from snowmatch.demo.survey import make_survey
from snowmatch.photos.pixels import read_photo
from snowmatch.screening.foreground import ForegroundMap

pytestmark = pytest.mark.usefixtures("seen_once")

COLUMNS = ("path", "individual", "body_part", "station", "timestamp", "encounter", "mask")
ANIMALS = 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a survey, the row of one left flank on record for each animal, and a later left flank of each."""
    folder = tmp_path_factory.mktemp("drawn") / "survey"
    passages = [(animal, "left") for _ in range(2) for animal in range(ANIMALS)]
    make_survey(folder, individuals=ANIMALS, stations=4, passages=passages, photos=(1, 1), seed=5, size=(640, 430))
    with (folder / "catalog.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["individual"] for row in rows})
    found = [[row for row in rows if row["individual"] == name] for name in names]
    return folder, {name: of[0] for name, of in zip(names, found, strict=True)}, dict(zip(names, found, strict=True))


def catalog_of(folder, survey, rows):
    """Write a catalog with these (row, pixels or None for the file, name of its encounter), index and return it."""
    folder.mkdir()
    lines = []
    for number, (row, pixels, encounter) in enumerate(rows):
        photo = read_photo(survey / row["path"]) if pixels is None else pixels
        cv2.imwrite(str(folder / f"{number}.jpg"), photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        mask = cv2.imread(str(survey / row["mask"]), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(folder / f"{number}-mask.png"), mask)
        when = f"2023-01-{1 + number % 28:02d}T{number // 28:02d}:00:00"
        lines.append(
            (f"{number}.jpg", row["individual"], "left_flank", f"S{number}", when, encounter, f"{number}-mask.png")
        )
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    catalog = snowmatch.open_catalog(folder)
    catalog.index(workers=1)
    return catalog


def asked(catalog, survey, row):
    """Return the answer to a photo with its mask."""
    return catalog.query(survey / row["path"], body_part="left_flank", mask=survey / row["mask"], top=ANIMALS)


def score_of(answer, name):
    return next(c for c in answer.candidates if c.individual == name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("copies", marks=pytest.mark.slow), "noisy copies"])
def test_copies_of_the_right_photo_never_lower_its_rank(drawn, tmp_path, kind):
    survey, first, every = drawn
    name = min(first)
    rng = np.random.default_rng(0)
    photo = read_photo(survey / first[name]["path"])
    base = [(row, None, f"e-{who}") for who, row in first.items()]
    copies = []
    for number in range(10):
        noise = 0 if kind == "copies" else rng.normal(0, 6, photo.shape)
        made = np.clip(photo + noise, 0, 255).astype(np.uint8)
        copies.append((first[name], made, f"copy{number}"))
    alone = asked(catalog_of(tmp_path / "alone", survey, base), survey, every[name][1])
    beside = asked(catalog_of(tmp_path / "beside", survey, base + copies), survey, every[name][1])
    assert alone.candidates[0].individual == beside.candidates[0].individual == name
    before, after = score_of(alone, name), score_of(beside, name)
    assert after.inliers > 20  # of one photo: the copies share the votes
    assert after.score > 0.8 * before.score
    assert not beside.decision.new


@pytest.mark.slow
def test_a_wrong_animal_with_many_photos_does_not_win(drawn, tmp_path):
    """The right animal has one photo, a wrong one has one and its own photo at many sizes, at other stations."""
    survey, first, every = drawn
    name, wrong = sorted(first)[:2]
    base = [(row, None, f"e-{who}") for who, row in first.items()]
    more = []
    for number in range(20):
        photo = read_photo(survey / every[wrong][number % 2]["path"])
        light = np.clip(photo * (0.6 + 0.04 * number), 0, 255).astype(np.uint8)
        more.append((every[wrong][number % 2], light, f"more{number}"))
    answer = asked(catalog_of(tmp_path / "many", survey, base + more), survey, every[name][1])
    assert answer.candidates[0].individual == name
    assert answer.decision.individual == name


def test_with_one_photo_of_each_animal_a_known_one_is_not_called_new(drawn, tmp_path):
    """The catalog is a list and says nothing about how many animals are new: the evidence decides."""
    survey, first, every = drawn
    catalog = catalog_of(tmp_path / "list", survey, [(row, None, f"e-{who}") for who, row in first.items()])
    called_new, right = [], 0
    for name in sorted(first):
        answer = asked(catalog, survey, every[name][1])
        assert answer.expected_new == pytest.approx(0.2)
        right += answer.candidates[0].individual == name
        assert 0 < answer.candidates[0].covered <= 1
        called_new += [answer.decision.level] if answer.decision.new else []
    assert right >= ANIMALS - 1
    assert called_new == ["uncertain"] * len(called_new)
    assert len(called_new) < ANIMALS / 2


def test_the_share_of_new_animals_can_be_set(drawn, tmp_path):
    survey, first, every = drawn
    catalog = catalog_of(tmp_path / "list", survey, [(row, None, f"e-{who}") for who, row in first.items()])
    row = every[min(first)][1]
    photo, mask = survey / row["path"], survey / row["mask"]
    told = [catalog.query(photo, body_part="left_flank", mask=mask, new=new) for new in (0.01, 0.2, 0.9)]
    assert [answer.expected_new for answer in told] == [0.01, 0.2, 0.9]
    chances = [answer.new_probability for answer in told]
    assert chances == sorted(chances)
    assert chances[0] < chances[2]
    for bad in (0, 1, 1.5):
        with pytest.raises(SnowmatchError, match="above 0 and below 1"):
            catalog.query(photo, new=bad)
    result = CliRunner().invoke(main, ["query", str(photo), "--catalog", str(catalog.folder), "--new", "0.3", "--json"])
    assert json.loads(result.stdout)["new_individual"]["expected"] == 0.3


def test_a_photo_that_says_nothing_gets_what_was_expected_and_a_note(drawn, tmp_path):
    survey, first, _ = drawn
    catalog = catalog_of(tmp_path / "list", survey, [(row, None, f"e-{who}") for who, row in first.items()])
    photo = np.full((430, 640, 3), 90, np.uint8)
    cv2.circle(photo, (300, 200), 9, (250, 250, 250), -1)
    answer = catalog.query(photo, body_part="left_flank", bbox=(100, 50, 400, 300), new=0.4)
    assert 0 < answer.photos[0].features < 30
    assert "nothing-to-go-by" in [note.code for note in answer.notes]
    assert answer.new_probability == pytest.approx(0.4)
    assert answer.decision.level == "uncertain"


def test_a_photo_of_which_no_spot_is_compared_says_nothing(drawn, tmp_path, monkeypatch):
    survey, first, every = drawn
    catalog = catalog_of(tmp_path / "list", survey, [(row, None, f"e-{who}") for who, row in first.items()])
    row = every[min(first)][1]
    nowhere = ForegroundMap(np.array([[0, 0], [0, 255]], np.uint8), "burst")
    monkeypatch.setattr("snowmatch.identify.foreground.make_map", lambda *given: nowhere)
    answer = catalog.query(survey / row["path"], body_part="left_flank", bbox=(0, 0, 300, 200), new=0.4)
    assert answer.photos[0].features > 100
    (note,) = [note for note in answer.notes if note.code == "nothing-to-go-by"]
    assert f"0 of {answer.photos[0].features} features were compared" in note.text
    assert answer.new_probability == pytest.approx(0.4)
    assert answer.decision.level == "uncertain"
