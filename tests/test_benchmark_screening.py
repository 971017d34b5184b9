"""The benchmark of screening: figures of made-up cases, photos without their animal, and a run on drawn photos."""

import csv
import itertools
import json
from functools import partial
from types import SimpleNamespace

import cv2
import fake_classifier
import measure
import numpy as np
import painting
import pytest
import scenery
import screening
import screening_figures as figures
import screening_tables
import tables
from fake_classifier import COLOURS, SIZE, draw, write_rows
from hypothesis import given
from hypothesis import strategies as st
from light import light_of
from screening_figures import LEOPARD, NYALA, PAINTED, Case
from store import put_run, read_runs

from snowmatch.confidence import kinds
from snowmatch.confidence.metrics import interval
from snowmatch.core.types import Annotation
from snowmatch.screening.passages import DEFAULT, SPECIES


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Draw few samples for intervals."""
    monkeypatch.setattr(kinds, "interval", partial(interval, replicates=100))


def case(kind, score, encounter="E1", station="S1", *, nothing=None, mammal=0.0, light="colour", cluster=None):
    classes = {SPECIES: score, "other mammal": mammal, "nothing": 1 - score if nothing is None else nothing}
    return Case(kind, "photo", encounter, station, cluster or encounter, light, (classes,))


def columns(scores, right, threshold=0.5):
    score = np.array(scores, float)
    return score, np.array(right, bool), score >= threshold


# Figures


def test_figures_of_a_few_photos_are_those_computed_by_hand():
    of = columns([0.9, 0.8, 0.3, 0.6, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
    assert kinds.precision(*of) == pytest.approx(2 / 3)
    assert kinds.recall(*of) == pytest.approx(2 / 3)
    assert kinds.f1(*of) == pytest.approx(2 / 3)
    assert kinds.spared(*of) == pytest.approx(2 / 3)
    assert kinds.roc_area(*of) == pytest.approx(8 / 9)
    assert kinds.pr_area(*of) == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert kinds.clean_recall(*of) == pytest.approx(2 / 3)
    # bins: 0.9 and 0.8 alone, 0.6 alone, 0.3 alone, 0.2 alone, 0.1 alone
    assert kinds.calibration_error(*of) == pytest.approx((0.1 + 0.2 + 0.7 + 0.6 + 0.2 + 0.1) / 6)


def test_the_calibration_error_compares_the_means_of_a_bin():
    sure = columns([0.75] * 4, [1, 1, 1, 0])
    assert kinds.calibration_error(*sure) == pytest.approx(0)
    assert kinds.calibration_error(*columns([1.0, 0.95], [1, 0])) == pytest.approx(0.475)  # 1 is in the last bin
    assert np.isnan(kinds.calibration_error(*columns([], [])))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_figures_are_shares_or_undefined(pairs):
    of = columns(*zip(*pairs, strict=True))
    for name, statistic in kinds.FIGURES.items():
        value = statistic(*of)
        assert np.isnan(value) or -1e-9 <= value <= 1 + 1e-9, name


def test_without_leopards_or_without_others_figures_are_unknown():
    alone = figures.separation([case(LEOPARD, 0.9), case(LEOPARD, 0.8, "E2")], 0.5)
    assert alone[NYALA]["auroc"] is None
    assert alone[NYALA]["recall"] == [1, 1, 1]
    none = figures.separation([case(NYALA, 0.9)], 0.5)[NYALA]
    assert none["recall"] is None
    assert none["spared"] == [0, None, None]  # one cluster gives no interval


def test_leopards_are_compared_with_each_kind_alone_and_with_both():
    cases = [case(LEOPARD, 0.9), case(LEOPARD, 0.4, "E2"), case(NYALA, 0.1, cluster="n"), case(PAINTED, 0.5, "E2")]
    found = figures.separation(cases, 0.3)
    assert {name: each["auroc"][0] for name, each in found.items()} == {NYALA: 1, PAINTED: 0.5, "both": 0.75}
    assert {name: each["spared"][0] for name, each in found.items()} == {NYALA: 1, PAINTED: 0, "both": 0.5}


def test_intervals_draw_whole_clusters():
    one = [case(LEOPARD, 0.9 if n % 2 else 0.1, f"E{n}") for n in range(40)]
    few = [case(LEOPARD, 0.9 if n < 20 else 0.1, f"E{n // 10}") for n in range(40)]
    wide, narrow = (figures.separation(each, 0.5)[NYALA]["recall"] for each in (few, one))
    assert wide[0] == narrow[0] == 0.5
    assert wide[2] - wide[1] > narrow[2] - narrow[1] > 0


def test_answers_are_counted_by_what_is_shown():
    cases = [
        case(LEOPARD, 0.4),
        case(LEOPARD, 0.0, mammal=0.9),
        case(NYALA, 0.1, mammal=0.9),
        case(NYALA, 0.1, mammal=0.2),
        case(PAINTED, 0.2),
    ]
    assert figures.confusion(cases, 0.2) == {
        LEOPARD: {"kept": 1, "other mammal": 1},
        NYALA: {"nothing": 1, "other mammal": 1},
        PAINTED: {"kept": 1},
    }


def test_a_passage_has_the_best_score_of_its_photos_and_its_own_kind():
    cases = [case(LEOPARD, 0.1), case(PAINTED, 0.9), case(LEOPARD, 0.7), case(LEOPARD, 0.2, "E2")]
    passages = figures.passages_of(cases)
    assert [(p.kind, p.name, p.score, len(p.photos)) for p in passages] == [
        (LEOPARD, "E1", 0.7, 2),
        (PAINTED, "E1", 0.9, 1),
        (LEOPARD, "E2", 0.2, 1),
    ]


def test_the_light_of_painted_photos_is_that_of_the_leopards_beside_them():
    cases = [
        case(LEOPARD, 0.9, light="infrared"),
        case(PAINTED, 0.8, light="infrared"),
        case(LEOPARD, 0.5, "E2"),
        case(PAINTED, 0.6, "E2"),
        case(NYALA, 0.1, "N", cluster="n"),
    ]
    found = figures.by_light(cases, 0.3)
    assert {light: (each["photos"], each["passages"]) for light, each in found.items()} == {
        "colour": (1, 1),
        "infrared": (1, 1),
    }
    assert {light: each[PAINTED]["auroc"][0] for light, each in found.items()} == {"colour": 0, "infrared": 1}
    assert all(each[NYALA]["auroc"][0] == 1 for each in found.values())


def test_a_station_is_judged_by_a_threshold_of_the_other_stations():
    # ten passages a station; those of S2 are faint, so that thresholds of S1 lose them
    cases = [case(LEOPARD, 0.8 + n / 100, f"A{n}", "S1") for n in range(10)]
    cases += [case(LEOPARD, 0.1 + n / 100, f"B{n}", "S2") for n in range(10)]
    cases += [case(PAINTED, 0.15, "A1", "S1"), case(PAINTED, 0.15, "B1", "S2"), case(NYALA, 0.5, "N", "")]
    found = figures.by_station(cases, 0.9)
    assert (found["stations"], found["promised"], found["passages"], found["whole"]) == (2, 2, 20, 1)
    assert found["threshold"] == [0.1, 0.8]  # of 10 known passages, the lowest may be the limit
    assert found["kept"][0] == 0.5  # all of S1, none of S2
    assert found["spared"][0] == 0.5  # 0.15 is above 0.1, below 0.8
    assert found["nyala"] == [0.5, 0, 1]
    few = figures.by_station(cases, 0.99)
    assert (few["promised"], few["threshold"]) == (0, [DEFAULT, DEFAULT])


def test_curves_end_with_everything_kept():
    cases = [case(LEOPARD, n / 300) for n in range(100, 300)] + [case(NYALA, n / 300, cluster="n") for n in range(150)]
    found = figures.curves(cases)[NYALA]
    assert len(found) <= figures.POINTS
    assert found[-1] == [1, 1, pytest.approx(200 / 350, abs=1e-4)]
    assert found[0] == [1 / 200, 0, 1]  # the highest score is a leopard's, and is kept
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(found))


# Photos


def test_the_animal_is_painted_out_and_the_rest_stays():
    photo = np.full((120, 160, 3), 90, np.uint8)
    mask = np.zeros((120, 160), bool)
    mask[50:70, 60:100] = True
    photo[mask] = 255
    empty = painting.paint_out(photo, mask)
    assert np.abs(empty.astype(int) - 90).max() <= 5
    assert (empty[:30] == 90).all()
    assert (photo[mask] == 255).all()
    assert (painting.paint_out(photo, np.zeros_like(mask)) == photo).all()


def test_a_grey_photo_is_infrared():
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 1), dtype=np.uint8)
    grey = np.repeat(noise, 3, axis=2)
    assert light_of(grey) == "infrared"
    tinted = grey.astype(int) + np.array([20, 0, -20])
    assert light_of(tinted.clip(0, 255).astype(np.uint8)) == "colour"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder with two small sets of drawn photos; the leopards are red spots with masks."""
    fake_classifier.use(monkeypatch)
    leopards, nyala = tmp_path / "data" / "snow_leopard", tmp_path / "data" / "nyala"
    rows = []
    for n in range(8):
        picture = np.random.default_rng(n).integers(111, 130, (SIZE[1], SIZE[0], 1)).repeat(3, axis=2).astype(np.uint8)
        picture[10:40, 20:60] = COLOURS["leopard"]
        mask = (picture[..., 1] == COLOURS["leopard"][1]).astype(np.uint8) * 255
        leopards.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(leopards / f"{n}.png"), picture[..., ::-1])
        cv2.imwrite(str(leopards / f"{n}-mask.png"), mask)
        rows.append((f"{n}.png", f"S{n // 4}", f"E{n // 2}", f"cat{n // 4}", "" if n == 7 else f"{n}-mask.png"))
    write_rows(leopards, rows, ("path", "station", "encounter", "individual", "mask"))
    for n in range(3):
        draw(nyala / f"n{n}.jpg", "ibex", n)
    (nyala / "n3.jpg").write_bytes((nyala / "n0.jpg").read_bytes())
    write_rows(nyala, [(f"n{n}.jpg", "", f"N{n}", f"nyala{n}") for n in range(4)])
    return tmp_path / "data"


def test_a_run_on_drawn_photos_keeps_its_results(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(screening, "nearly_equal_pairs", lambda likenesses, names: [(0, 3)])  # drawn noise is all alike
    for module in (measure, screening):
        monkeypatch.setattr(module, "engine_commit", lambda: "abc1234")
    words = ["--data", str(data), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "screening.json")]
    threads = cv2.getNumThreads()
    screening.main(words)
    assert cv2.getNumThreads() == threads
    (run,) = read_runs(tmp_path / "screening.json")
    assert run["confusion"]["photo"] == {
        LEOPARD: {"kept": 8},
        NYALA: {"other mammal": 3},  # the copy is left out
        PAINTED: {"nothing": 7},  # one leopard has no mask
    }
    assert run["separation"]["passage"]["both"]["auroc"][0] == 1
    assert run["seconds"]["classify"] > 0
    assert str(tmp_path) not in json.dumps(run)
    assert len(json.dumps(run)) < 20_000
    with open(tmp_path / "work" / "screening" / "answers.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 18

    def looked(self, photo):
        pytest.fail("a photo was looked at again")

    monkeypatch.setattr(fake_classifier.Colours, "classify", looked)
    screening.main(words)
    (again,) = read_runs(tmp_path / "screening.json")
    assert {**again, "seconds": run["seconds"]} == run
    text = "\n\n".join(screening_tables.screening_parts([run]))
    assert "| snow leopard, by photo | 8 | 8 | 0 | 0 | 0 | 0 |" in text
    assert "| painted out, by passage | 4 | 0 | 0 | 0 | 0 | 4 |" in text
    check_pages(tmp_path, run)
    draw(data / "nyala" / "n0.jpg", "ibex", 9)  # another photo of the same name
    with pytest.raises(pytest.fail.Exception, match="looked at again"):
        screening.main(words)


@pytest.mark.parametrize(("commit", "times"), [("abc1234", 1), ("abc1234+", 2), ("", 2)])
def test_probabilities_of_an_engine_without_a_name_are_not_used_again(tmp_path, monkeypatch, commit, times):
    def photos():
        looked.append(1)
        yield from ()

    looked = []
    monkeypatch.setattr(measure, "engine_commit", lambda: commit)
    for _ in range(2):
        screening.kept(tmp_path / "nyala.json", {"commit": commit}, photos(), None)
    assert len(looked) == times


def test_a_pasted_cat_is_asked_without_the_encounter_that_it_was_cut_from(tmp_path):
    rows = [  # individual, station, encounter, side; Aika's passages show both flanks, Dara has one passage
        ("Aika", "S1", "E1", "left_flank"),
        ("Aika", "S1", "E2", "right_flank"),
        ("Bars", "S2", "E3", "left_flank"),
        ("Bars", "S2", "E4", "unknown"),
        ("Cholpon", "S3", "E5", "right_flank"),
        ("Cholpon", "S3", "E6", "right_flank"),
        ("Dara", "S4", "E7", "left_flank"),
    ]
    mask = np.zeros((90, 120), np.uint8)
    mask[40:50, 50:70] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    annotations = []
    for n, row in enumerate(rows):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((90, 120, 3), 20 * n, np.uint8))
        given = dict(zip(("individual", "station", "encounter", "body_part"), row, strict=True))
        annotations.append(Annotation(n, f"{n}.png", mask="mask.png", bbox=(50, 40, 20, 10), **given))
    made = list(scenery.cases(tmp_path, tuple(annotations), 40, 0))
    pasted = [case for case in made if case.kind == "pasted cat"]
    assert len(pasted) == 40
    for case in pasted:
        cat = annotations[case.photo[45, 60, 0] // 20]
        assert (case.right, case.encounter) == (cat.individual, cat.encounter)
    assert {case.right for case in pasted} == {"Bars", "Cholpon"}  # the others were not met again with this flank
    asked = []
    catalog = SimpleNamespace(query=lambda photo, **given: asked.append(given["exclude_encounters"]))
    for case in made:
        scenery.asked(catalog, None, case)
    assert asked == [(case.encounter,) if case.kind == "pasted cat" else () for case in made]


def check_pages(folder, run):
    """Put the run among results of a folder, and check that the page shows its table and picture."""
    pytest.importorskip("matplotlib")
    import plots

    results = folder / "benchmarks" / "results"
    put_run(results / "screening.json", run | {"commit": "abc1234"})
    plots.main([str(results)])
    picture = folder / "docs" / "images" / "results-screening.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    tables.main([str(results)])
    page = (folder / "docs" / "results.md").read_text(encoding="utf-8")
    assert "\n## Screening\n" in page
    assert "](images/results-screening.png)\n" in page


def test_tables_show_values_with_their_intervals_and_a_dash_for_unknown_ones():
    figure = [0.5, 0.25, 0.75]
    run = {
        "separation": {"photo": {name: dict.fromkeys(kinds.FIGURES, figure) for name in figures.AGAINST}},
        "stations": [
            {
                "keep": 0.95,
                "stations": 20,
                "promised": 19,
                "threshold": [0.01, 0.0253],
                "passages": 39,
                "whole": 18,
                "kept": figure,
                "spared": [None, 0, 1],
                "nyala": [1, 0.999, 1],
            }
        ],
    }
    run["separation"]["photo"][NYALA] = {**run["separation"]["photo"][NYALA], "auroc": None}
    assert screening_tables.separation_table(run).splitlines()[2] == (
        "| nyala, by photo | 50 % (25–75) | 50 % (25–75) | 50 % (25–75) | 50 % (25–75) | – | 0.500 (0.250–0.750) "
        "| 50 % (25–75) | 0.50 (0.25–0.75) |"
    )
    assert screening_tables.station_table(run).splitlines()[2] == (
        "| 95 % | 19 of 20 | 0.01 to 0.0253 | 50 % (25–75) of 39 | 18 of 20 | – | 100 % (>99–100) |"
    )
