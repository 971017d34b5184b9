"""Catalogs where snowmatch finds the boxes by itself: in the photos on record, in queries, and again after a loss."""

import csv
import json
import shutil
from datetime import timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_scenes import ANIMALS, COAT, NOON, SHOTS, SMALL, STATIONS, coats, grey_file, new_burst, stand_before
from test_scenery import animal_area

import snowmatch
from snowmatch.catalog.found import BY_MAPS, load_found
from snowmatch.cli import main
from snowmatch.core.home import HOME
from snowmatch.views.json import answer_to_json

__all__ = ["coats", "new_burst"]  # fixtures
INSIDE, FILLED = 0.85, 0.4  # a box has a margin of a tenth on each side, and the cells of a map are coarse
NEW = ((70, 60), (160, 95))  # the same in the photos of `new_burst`
SPOTS = ((60, 55), (125, 100), (185, 70))  # centres of the animal


def place(animal, station, shot):
    """Return where an animal stands in a photo of the catalog."""
    return SPOTS[(animal + 2 * station + shot) % 3]


def box_of(where):
    """Return (x, y, width, height) of the drawn animal."""
    rows, columns = animal_area(where, length=COAT)
    return columns.start, rows.start, COAT[0], COAT[1]


def shares(box, truth):
    """Return the share of the true box that `box` contains, and the share of `box` that is in the true one."""
    width = min(box[0] + box[2], truth[0] + truth[2]) - max(box[0], truth[0])
    height = min(box[1] + box[3], truth[1] + truth[3]) - max(box[1], truth[1])
    common = max(width, 0) * max(height, 0)
    return common / (truth[2] * truth[3]), common / (box[2] * box[3])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, coats):
    """Return a catalog that was never indexed: every animal passes every station once; no boxes, no masks."""
    folder = tmp_path_factory.mktemp("own") / "catalog"
    rows = [("path", "individual", "station", "timestamp", "encounter", "bbox", "species")]
    for animal in range(ANIMALS):
        for station in range(STATIONS):
            for shot in range(SHOTS):
                path = f"a{animal}s{station}n{shot}.png"
                where, seed = place(animal, station, shot), 10 * animal + shot
                light, shift = 0.8 + 0.06 * animal, (animal - 1.5, station - 1)
                grey_file(folder / path, stand_before(station, coats[animal], where, light, shift, seed=seed))
                when = NOON + timedelta(days=animal * STATIONS + station, seconds=2 * shot)
                rows.append((path, f"cat{animal}", f"S{station}", when.isoformat(), f"a{animal}s{station}", "", ""))
    write(folder, rows)
    return folder


def write(folder, rows):
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def read(folder):
    with (folder / "catalog.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def index(folder, workers=1, **options):
    report = snowmatch.open_catalog(folder, classifier="none", **options).index("sift", SMALL, workers=workers)
    assert report.failed == ()
    return report


@pytest.fixture(scope="module")
def own(drawn, tmp_path_factory):
    """Return the same catalog, indexed with the default settings but for the classifier. Do not change it."""
    folder = shutil.copytree(drawn, tmp_path_factory.mktemp("indexed") / "catalog")
    index(folder)
    return folder


@pytest.fixture
def copy(own, tmp_path):
    return shutil.copytree(own, tmp_path / "catalog")


def told(folder, photos, **options):
    """Return an answer as the text that --json prints, without the catalog's path."""
    answer = answer_to_json(snowmatch.open_catalog(folder).query(photos, **options))
    answer["catalog"].pop("path")
    return json.dumps(answer).replace(str(folder), "")


def boxes(folder):
    return [(a.path, a.bbox, a.box_by, a.found, a.annotation) for a in snowmatch.open_catalog(folder).data.annotations]


# ------------------------------------------------------------------------------------------------------- the catalog


def test_every_animal_of_a_burst_gets_a_box_with_most_of_it_and_little_else(own):
    annotations = snowmatch.open_catalog(own).data.annotations
    assert len(annotations) == ANIMALS * STATIONS * SHOTS
    for a in annotations:
        where = place(*(int(a.path[n]) for n in (1, 3, 5)))
        inside, filled = shares(a.bbox, box_of(where))
        assert inside > INSIDE, a
        assert filled > FILLED, a
        assert a.box_by.startswith("burst")
        assert a.own_box is None
        assert not a.found
        assert a.individual == f"cat{a.path[1]}"


def test_an_index_run_with_own_boxes_is_complete(copy):
    state = boxes(copy)
    found = load_found(copy, BY_MAPS)
    report = index(copy)
    assert (report.done, report.reused, report.mapped) == (0, ANIMALS * STATIONS * SHOTS, 0)
    assert boxes(copy) == state
    assert load_found(copy, BY_MAPS) == found


def test_a_box_of_a_person_wins_and_others_stay(copy):
    before = {path: box for path, box, *_ in boxes(copy)}
    rows = read(copy)
    rows[1][5] = "5,6,70,80"
    write(copy, rows)
    report = index(copy)
    assert (report.done, report.reused) == (1, ANIMALS * STATIONS * SHOTS - 1)
    first, *others = snowmatch.open_catalog(copy).data.annotations
    assert (first.path, first.bbox, first.box_by, first.own_box) == (rows[1][0], (5, 6, 70, 80), "", (5, 6, 70, 80))
    assert {a.path: a.bbox for a in others} == {path: box for path, box in before.items() if path != rows[1][0]}


@pytest.mark.slow
def test_without_boxes_the_whole_photo_counts_and_with_them_again_nothing_is_extracted_twice(copy):
    state = boxes(copy)
    result = CliRunner().invoke(main, ["index", str(copy), "--no-boxes", "--workers", "1"])
    assert result.exit_code == 0, result.output
    annotations = snowmatch.open_catalog(copy).data.annotations
    assert {(a.bbox, a.box_by) for a in annotations} == {(None, "")}
    assert [a.annotation for a in annotations] == [annotation for *_, annotation in state]
    report = index(copy, boxes=True)
    assert (report.done, report.mapped) == (0, 0)
    assert boxes(copy) == state


def test_after_the_home_folder_is_deleted_boxes_and_answers_are_the_same(copy, new_burst):
    state, answer = boxes(copy), told(copy, new_burst)
    shutil.rmtree(copy / HOME)
    assert {box for _, box, *_ in boxes(copy)} == {None}
    index(copy)
    assert boxes(copy) == state
    assert told(copy, new_burst) == answer


def test_one_and_two_workers_give_the_same_answers(own, drawn, tmp_path, new_burst, monkeypatch):
    monkeypatch.setattr("snowmatch.screening.mapping.FEW_MAPS", 1)
    other = shutil.copytree(drawn, tmp_path / "catalog")
    index(other, 2)
    assert boxes(other) == boxes(own)
    assert told(other, new_burst) == told(own, new_burst)


# ----------------------------------------------------------------------------------------------------------- queries


def test_new_photos_get_boxes_and_the_answer_is_right(own, new_burst):
    answer = snowmatch.open_catalog(own).query(new_burst, station="S0")
    for photo, where in zip(answer.photos, NEW, strict=True):
        inside, filled = shares(photo.bbox, box_of(where))
        assert inside > INSIDE
        assert filled > FILLED
        assert photo.box_by == "burst and station"
    best, second, *_ = answer.candidates
    assert (best.individual, best.accepted) == ("cat1", True)
    assert best.score > 3 * second.score
    plain = answer_to_json(answer)["query"]
    assert plain["foreground"] == ["burst and station"] * 2
    assert plain["bbox"] == [list(photo.bbox) for photo in answer.photos]


def test_three_frames_show_where_the_animal_is_in_each(own, coats, tmp_path):
    for n, where in enumerate([*NEW, (125, 50)]):
        grey_file(tmp_path / f"{n}.png", stand_before(0, coats[1], where, 0.9, (1.5, -2), seed=90 + n))
    answer = snowmatch.open_catalog(own).query(sorted(tmp_path.glob("*.png")))
    for photo, where in zip(answer.photos, [*NEW, (125, 50)], strict=True):
        inside, filled = shares(photo.bbox, box_of(where))
        assert inside > INSIDE
        assert filled > FILLED
        assert photo.box_by == "burst"
    assert answer.candidates[0].individual == "cat1"


def test_a_box_in_one_of_two_frames_does_not_miss_the_animal(own, new_burst):
    answer = snowmatch.open_catalog(own).query(new_burst)
    for photo, where in zip(answer.photos, NEW, strict=True):
        assert photo.bbox is None or shares(photo.bbox, box_of(where))[0] > INSIDE


def test_a_box_that_is_given_with_the_query_wins(own, new_burst):
    given = (34, 36, 72, 48)
    answer = snowmatch.open_catalog(own).query(new_burst, bbox=[given, None])
    assert tuple(answer.photos[0].bbox) == given
    assert answer.photos[0].box_by == ""
    assert answer.photos[1].box_by.startswith("burst")


def test_a_photo_on_record_is_asked_with_its_box(own):
    for a in snowmatch.open_catalog(own).data.annotations[::5]:
        answer = snowmatch.open_catalog(own).query(own / a.path)
        assert answer.photos[0].bbox == a.bbox
        assert answer.candidates[0].individual == a.individual
        assert a.encounter in answer.excluded_encounters


def test_evaluation_works_with_own_boxes(own):
    table = snowmatch.open_catalog(own).evaluate().table
    assert len(table.queries) > 0
    best = table.gallery[np.nanargmax(table.scores, axis=1)]
    assert (table.individual[best] == table.individual[table.queries]).mean() > 0.9


# ----------------------------------------------------------------------------------------------------------- species


def test_the_column_species_reaches_the_annotation(copy):
    rows = read(copy)
    before = boxes(copy)
    for row, name in zip(rows[1:4], [" snow leopard ", "ibex", "снежный барс"], strict=True):
        row[6] = name
    write(copy, rows)
    opened = snowmatch.open_catalog(copy)
    assert [a.species for a in opened.data.annotations[:4]] == ["snow leopard", "ibex", "снежный барс", ""]
    assert not [note for note in opened.data.notes if note.code == "columns-left-out"]
    assert boxes(copy) == before  # it changes neither boxes nor identifiers
    assert index(copy).done == 0
