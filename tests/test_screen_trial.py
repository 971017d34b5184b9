"""The proof of a screening: labels, groups, folds, figures, pages, and what a wrong input says."""

import csv
import json
import re
from functools import partial

import drawn_classifier
import fake_classifier
import numpy as np
import pytest
from click.testing import CliRunner
from fake_classifier import BOX, make_catalog, results, write_rows
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import snowmatch.screening.classifiers.learned as learning
from snowmatch.api import open_catalog
from snowmatch.catalog.species import NOTHING, label_of
from snowmatch.cli import main
from snowmatch.confidence import kinds
from snowmatch.confidence.metrics import interval
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.files import file_sha256
from snowmatch.review import screen_folds, screen_looks, screen_trial
from snowmatch.review.labels import grouped, read_groups, read_labels
from snowmatch.review.screen_figures import Case, measure_kept, measure_told, passages_of
from snowmatch.review.screen_looks import Seen
from snowmatch.review.screen_trial import prove
from snowmatch.screening.augment import views_of
from snowmatch.screening.cam import class_activation
from snowmatch.screening.classifiers import efficientnet_lite0
from snowmatch.screening.folds import folds_of
from snowmatch.screening.head import learn_head
from snowmatch.views.curves import curves_svg
from snowmatch.views.screen_trial import proof_to_json

# path, what is drawn, station, encounter, individual, species
ROWS = [
    ("a1.jpg", "leopard", "S1", "E1", "", "snow leopard"),
    ("a2.jpg", "empty", "S1", "E1", "", "blank"),
    ("b1.jpg", "empty", "S2", "E2", "", "Empty"),
    ("b2.jpg", "empty", "S2", "E2", "", "nothing"),
    ("c1.jpg", "ibex", "S2", "E3", "", "ibex"),
    ("d1.jpg", "faint", "S3", "E4", "", "snow leopard"),
    ("e1.jpg", "empty", "S3", "E5", "", ""),
]
COLUMNS = ("path", "station", "encounter", "individual", "species")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Draw few samples for intervals."""
    monkeypatch.setattr(kinds, "interval", partial(interval, replicates=20))


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Return the folder of a labelled catalog of drawn photos; the classifier tells by colour."""
    fake_classifier.use(monkeypatch)
    folder = make_catalog(tmp_path / "catalog", [row[:5] for row in ROWS])
    write_rows(folder, [(name, *rest) for name, _, *rest in ROWS], COLUMNS)
    return folder


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def table(path, *rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


# Labels


def test_words_for_empty_photos_are_nothing():
    assert [label_of(text) for text in ("Blank", " empty ", "NOTHING", "ibex ", "")] == [NOTHING] * 3 + ["ibex", ""]


def test_labels_come_from_the_column_from_folders_or_from_a_table(catalog, tmp_path):
    data = open_catalog(catalog).data
    found = read_labels(data, "species", [])
    assert found == {"a1.jpg": "snow leopard", "c1.jpg": "ibex", "d1.jpg": "snow leopard"} | dict.fromkeys(
        ("a2.jpg", "b1.jpg", "b2.jpg"), NOTHING
    )
    notes = []
    path = table(tmp_path / "t.csv", ("species", "path"), ("fox", "b1.jpg"), ("empty", "no.jpg"), ("hare", "c1.jpg"))
    assert read_labels(data, str(path), notes) == {"b1.jpg": "fox", "c1.jpg": "hare"}
    assert "1 photo of" in notes[0].text
    assert "no.jpg" in notes[0].text
    with pytest.raises(SnowmatchError, match="expected photos in folders"):
        read_labels(data, "folders", [])
    folder = make_catalog(
        tmp_path / "sorted", [("ibex/a.jpg", "ibex", "", "", ""), ("blank/b.jpg", "empty", "", "", "")]
    )
    assert read_labels(open_catalog(folder).data, "folders", []) == {"blank/b.jpg": NOTHING, "ibex/a.jpg": "ibex"}


def test_one_species_has_one_label_whatever_it_is_called(catalog):
    spellings = {"a1.jpg": "Panthera uncia", "c1.jpg": "Ibex", "d1.jpg": "SNOW LEOPARD"}
    rows = [(name, *rest[:-1], spellings.get(name, rest[-1])) for name, _, *rest in ROWS]
    write_rows(catalog, [*rows, ("c1.jpg", "S2", "E3", "x", "ibex ")], COLUMNS)
    found = read_labels(open_catalog(catalog).data, "species", [])
    assert {path: found[path] for path in spellings} == {
        "a1.jpg": "snow leopard",
        "c1.jpg": "ibex",
        "d1.jpg": "snow leopard",
    }
    (trial,) = prove(open_catalog(catalog).data, species="Panthera uncia", workers=1).trials
    assert trial.kept.figures["recall"][0] == 1
    assert set(trial.photo.kinds) == {"snow leopard", NOTHING}


def test_a_photo_of_two_species_is_left_out_with_a_note(catalog):
    rows = [*[(name, *rest) for name, _, *rest in ROWS], ("c1.jpg", "S2", "E3", "x", "argali")]
    write_rows(catalog, rows, COLUMNS)
    notes = []
    assert "c1.jpg" not in read_labels(open_catalog(catalog).data, "species", notes)
    assert [note.code for note in notes] == ["several-species"]


def test_groups_take_the_place_of_species_and_others_stay_with_a_note(tmp_path):
    path = table(tmp_path / "g.csv", ("species", "group"), ("snow leopard", "endangered"), ("ibex", "endangered"))
    notes = []
    labels = {"a": "ibex", "b": NOTHING, "c": "fox", "d": "snow leopard"}
    found = grouped(labels, read_groups(path, notes), notes)
    assert found == {"a": "endangered", "b": NOTHING, "c": "fox", "d": "endangered"}
    assert [note.text for note in notes] == ["species that are in no group stay as they are: fox (1)"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("species", "kind"), ("a", "b")], "has no column group"),
        ([("species", "group")], "has no rows"),
        ([("species", "group"), ("a", "")], "line 2: an empty group"),
        ([("species", "group"), ("", "b")], "line 2: an empty species"),
        ([("species", "group"), ("a", "b"), ("a", "c")], "line 3: 'a' is in the groups 'b' and 'c'"),
        ([], "has no column species and no column group"),
    ],
)
def test_a_wrong_table_is_one_line(catalog, tmp_path, rows, told):
    result = run("screen", catalog, "--evaluate", "--groups", table(tmp_path / "g.csv", *rows), "--workers", 1)
    assert result.exit_code == 1
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1


# Folds


GROUPS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=1, max_size=40)


@given(GROUPS, st.randoms(use_true_random=False))
def test_folds_hold_groups_together_in_any_order(pairs, random):
    groups, labels = [f"S{n}" for n, _ in pairs], [kind for _, kind in pairs]
    folds = folds_of(groups, labels)
    of = dict(zip(groups, folds.tolist(), strict=True))
    assert [of[group] for group in groups] == folds.tolist()
    assert len(set(folds.tolist())) == min(5, len(set(groups)))
    order = list(range(len(pairs)))
    random.shuffle(order)
    again = folds_of([groups[n] for n in order], [labels[n] for n in order])
    assert again.tolist() == [int(folds[n]) for n in order]


def test_each_fold_gets_its_share_of_a_rare_kind():
    """A placing in turn would put all stations with foxes into one fold."""
    groups = [f"S{n:02}" for n in range(20) for _ in range(4)]
    labels = ["fox" if n in (0, 4, 8, 12) and k < 2 else NOTHING for n in range(20) for k in range(4)]
    folds = folds_of(groups, labels, 4)
    assert [sum(f == k and label == "fox" for f, label in zip(folds, labels, strict=True)) for k in range(4)] == [2] * 4


def test_no_photos_have_no_folds():
    assert folds_of([], []).shape == (0,)


def seen(content):
    return Seen(content, {}, np.zeros((1, 2)))


def places(rows):
    """Return annotations by path. rows: (path, station, encounter)."""
    from snowmatch.core.types import Annotation

    return {
        path: Annotation(n, path, None, "unknown", "", station=station, encounter=encounter)
        for n, (path, station, encounter) in enumerate(rows)
    }


# Figures


def case(shown, scores, encounter="E", fold=0, path="p"):
    return Case(path, encounter, shown, fold, scores)


def test_figures_by_hand():
    cases = [
        case("fox", {"fox": 0.9, NOTHING: 0.1}, "E1"),
        case("fox", {"fox": 0.4, NOTHING: 0.6}, "E2"),
        case(NOTHING, {"fox": 0.2, NOTHING: 0.8}, "E3"),
        case("owl", {"fox": 0.7, NOTHING: 0.3}, "E4"),
    ]
    told = measure_told(cases)
    assert told.confusion == {"fox": {"fox": 1, NOTHING: 1}, NOTHING: {NOTHING: 1}, "owl": {"fox": 1}}
    assert told.accuracy[0] == pytest.approx(2 / 3)  # the owl is no kind that it knows
    fox = told.kinds["fox"]
    assert set(told.kinds) == {"fox", NOTHING}
    assert fox.cases == 2
    assert fox.figures["precision"][0] == pytest.approx(0.5)  # the owl counts against it
    assert fox.figures["recall"][0] == pytest.approx(0.5)
    assert fox.figures["auroc"][0] == pytest.approx(3 / 4)
    assert fox.figures["average_precision"][0] == pytest.approx((1 + 2 / 3) / 2)
    assert told.calibration_error[0] == pytest.approx((0.1 + 0.6 + 0.2) / 3)
    assert measure_told([]).kinds == {}
    assert np.isnan(measure_told([]).accuracy[0])


def test_a_passage_shows_what_any_of_its_photos_shows():
    cases = [
        case(NOTHING, {"fox": 0.1, "owl": 0.3, NOTHING: 0.9}, "E1", path="a"),
        case("fox", {"fox": 0.7, "owl": 0.2, NOTHING: 0.2}, "E1", path="b"),
        case("fox", {"fox": 0.7, "owl": 0.2, NOTHING: 0.2}, "E2"),
        case("owl", {"fox": 0.7, "owl": 0.2, NOTHING: 0.2}, "E2"),
        case(NOTHING, {"fox": 0.1, "owl": 0.0, NOTHING: 0.9}, "E3"),
    ]
    passages, mixed = passages_of(cases)
    assert mixed == ["E2"]
    assert [(p.encounter, p.shown, p.told, p.path) for p in passages] == [
        ("E1", "fox", "fox", "b"),
        ("E3", NOTHING, NOTHING, "p"),
    ]
    assert passages[0].scores == {"fox": 0.7, "owl": 0.3, NOTHING: 0.2}


def test_a_threshold_never_comes_from_its_own_fold():
    """Fold 1 has the only low score: there the threshold of the others loses it; its own would not."""
    cases = [case("fox", {"fox": 0.9, NOTHING: 0.1}, f"E{n}", 0) for n in range(9)]
    cases.append(case("fox", {"fox": 0.2, NOTHING: 0.8}, "E9", 1))
    kept = measure_kept(cases, "fox", 0.8, None)
    assert kept.promised == 1  # nine others; of fold 0 only one is elsewhere
    assert kept.figures["recall"][0] == pytest.approx(0.9)
    assert kept.thresholds == (0.01, 0.9)
    assert measure_kept(cases, "fox", 0.8, 0.1).figures["recall"][0] == 1
    assert measure_kept(cases, "owl", 0.8, None) is None
    assert measure_kept([], "fox", 0.8, None) is None


def test_photos_of_one_content_are_never_apart():
    first = places([(f"{n}.jpg", f"S{n}", f"E{n}") for n in range(12)])
    photos = list(first)
    contents = {path: seen("same" if n in (0, 7) else path) for n, path in enumerate(photos)}
    shown = ["fox", NOTHING] * 6
    by, folds = screen_folds.hold_out(photos, shown, first, contents, [])
    assert folds[0] == folds[7]
    assert by == "encounter"  # six of each kind: without any fold of stations, one has fewer than five


@pytest.mark.parametrize(("stations", "by"), [(4, "station"), (1, "encounter"), (0, "encounter")])
def test_photos_are_held_out_by_station_or_a_note_says_why_not(stations, by):
    rows = [(f"{n}.jpg", f"S{n % stations}" if stations else "", f"E{n // 2}") for n in range(40)]
    first, notes = places(rows), []
    photos = list(first)
    shown = ["fox" if n // 2 % 2 else NOTHING for n in range(40)]
    found, folds = screen_folds.hold_out(photos, shown, first, {path: seen(path) for path in photos}, notes)
    assert found == by
    assert [note.code for note in notes] == ([] if by == "station" else ["not-by-station"])
    group = [row[1] if by == "station" else row[2] for row in rows]
    assert all(len({f for f, g in zip(folds, group, strict=True) if g == each}) == 1 for each in set(group))


# Where it looks


def test_the_map_is_grad_cam_of_the_difference():
    """Grad-CAM: the maps of features, weighted with the mean gradient of the score, and cut at zero."""
    rng = np.random.default_rng(0)
    maps, weights, bias = rng.random((6, 3, 4)), rng.normal(size=(3, 6)), rng.normal(size=3)

    def score(features):  # of class 1 against the mean of all
        scores = weights @ features.mean(axis=(1, 2)) + bias
        return scores[1] - scores.mean()

    gradient = np.zeros_like(maps)
    for place in np.ndindex(maps.shape):
        moved = maps.copy()
        moved[place] += 1e-6
        gradient[place] = (score(moved) - score(maps)) / 1e-6
    expected = np.maximum((gradient.mean(axis=(1, 2))[:, None, None] * maps).sum(axis=0), 0)
    cells = np.tensordot(weights, maps, axes=1)  # the activations without the bias
    assert class_activation(cells, 1) == pytest.approx(expected / expected.max(), abs=1e-4)
    assert (class_activation(np.zeros((3, 2, 2)), 0) == 0).all()


# Views


def test_views_are_the_photo_its_brighter_mirror_and_a_darker_one():
    photo = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    same, mirrored, darker = views_of(photo)
    assert (same == photo).all()
    assert mirrored[:, ::-1].astype(int) == pytest.approx(np.minimum(photo * 1.25, 255), abs=0.51)
    assert darker.astype(int) == pytest.approx(photo * 0.8, abs=0.51)


def test_views_teach_that_the_side_tells_nothing():
    rng = np.random.default_rng(0)
    labels = ["fox"] * 20 + [NOTHING] * 20
    features = rng.normal(0, 1, (40, 1, 3))
    features[:20, :, 0] += 2  # what tells
    features[:20, :, 1] += 2  # the side: as telling, by chance
    mirrored = features * [1, -1, 1]
    alone = learn_head(features, labels).weights
    both = learn_head(np.concatenate([features, mirrored], axis=1), labels).weights
    assert abs(both[0, 1]) < 1e-6 < abs(alone[0, 1])
    assert (learn_head(features[:, 0], labels).weights == alone).all()


# The command


def test_the_classifier_in_use_is_measured(catalog, tmp_path):
    before = sorted(path.name for path in catalog.iterdir())
    result = run("screen", catalog, "--evaluate", "--json", "--out", tmp_path / "proof", "--workers", 1)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["labelled"] == {"ibex": 1, NOTHING: 3, "snow leopard": 2}
    (trial,) = found["trials"]
    assert trial["photo"]["confusion"] == {
        "ibex": {"other mammal": 1},
        NOTHING: {NOTHING: 3},
        "snow leopard": {NOTHING: 1, "snow leopard": 1},
    }
    assert trial["photo"]["accuracy"][0] == pytest.approx(4 / 5)
    assert trial["passage"]["cases"] == 4
    assert trial["kept"]["recall"][0] == 1
    assert "has no answer for ibex (1)" in result.stderr
    assert "no model is learned" in result.stderr
    page = (tmp_path / "proof" / "index.html").read_text()
    for word in ("ROC", "Precision and recall", "Calibration", "By passage", "d1.jpg"):
        assert word in page
    linked = set(re.findall(r'src="pictures/([^"]+)"', page))
    assert linked == {path.name for path in (tmp_path / "proof" / "pictures").iterdir()}
    assert "in-use-wrong-01.jpg" in linked
    assert sorted(path.name for path in catalog.iterdir()) == before
    again = run("screen", catalog, "--evaluate", "--json", "--out", tmp_path / "proof", "--workers", 1)
    assert again.stdout == result.stdout
    assert (tmp_path / "proof" / "index.html").read_text() == page


@pytest.mark.parametrize(("taught", "told"), [(2, "learned from 2 of 6 labelled photos"), (None, "does not tell its")])
def test_a_classifier_that_learned_from_the_labelled_photos_is_told(catalog, monkeypatch, taught, told):
    contents = None if taught is None else {file_sha256(catalog / row[0]) for row in ROWS[: taught - 1] + ROWS[-2:]}
    monkeypatch.setattr(screen_trial, "learned_from", lambda classifier: contents)
    (text,) = [note.text for note in prove(open_catalog(catalog).data, workers=1).notes if "learned-from" in note.code]
    assert told in text


def test_groups_of_species_are_told_apart(catalog, tmp_path):
    path = table(
        tmp_path / "g.csv",
        ("species", "group"),
        ("snow leopard", "endangered"),
        ("ibex", "common"),
        ("other mammal", "common"),
    )
    result = run("screen", catalog, "--evaluate", "--groups", path, "--out", tmp_path / "proof", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "common 1, endangered 2, nothing 3" in result.stdout
    assert "Kept passages of endangered" in result.stdout
    assert "no answer for" not in result.stderr
    with Image.open(tmp_path / "proof" / "pictures" / "in-use-wrong-01.jpg") as picture:
        assert picture.size == (3 * 420, 315)  # the photo, where the answer comes from, and the right one


def test_the_notes_of_the_catalog_are_told_last(catalog, tmp_path):
    write_rows(catalog, [(*row[:1], *row[2:], "x") for row in ROWS], (*COLUMNS, "weather"))
    result = run("screen", catalog, "--evaluate", "--workers", 1)
    assert result.exit_code == 0, result.output
    (unused,) = [note.text for note in open_catalog(catalog).notes() if note.code == "columns-left-out"]
    assert result.stderr.splitlines()[-1] == f"note: {unused}"


def test_photos_of_persons_get_no_picture(catalog, tmp_path):
    rows = [(name, *rest[:-1], "person" if name == "c1.jpg" else rest[-1]) for name, _, *rest in ROWS]
    write_rows(catalog, rows, COLUMNS)
    assert run("screen", catalog, "--evaluate", "--out", tmp_path / "proof", "--workers", 1).exit_code == 0
    assert "c1.jpg" not in (tmp_path / "proof" / "index.html").read_text()


@pytest.mark.parametrize("by", ["a label in a group", "a detector"])
def test_photos_of_persons_get_no_picture_whatever_they_are_called_here(catalog, tmp_path, by):
    words = ()
    if by == "a detector":
        seen = results(tmp_path / "md.json", {"c1.jpg": [("2", 0.9, BOX)]})
        assert run("screen", catalog, "--results", seen, "--workers", 1).exit_code == 0
        rows = [(name, *rest[:-1], "other mammal" if name == "c1.jpg" else rest[-1]) for name, _, *rest in ROWS]
    else:
        path = table(tmp_path / "g.csv", ("species", "group"), ("person", "other mammal"))
        words = ("--groups", path)
        rows = [(name, *rest[:-1], "person" if name == "c1.jpg" else rest[-1]) for name, _, *rest in ROWS]
    write_rows(catalog, rows, COLUMNS)
    result = run("screen", catalog, "--evaluate", "--out", tmp_path / "proof", "--workers", 1, *words)
    assert result.exit_code == 0, result.output
    assert "other mammal 1" in result.stdout
    assert "c1.jpg" not in (tmp_path / "proof" / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--labels", "no.csv"], "no.csv"),
        (["--labels", "folders"], "expected photos in folders"),
        (["--groups", "no.csv"], "no.csv"),
        (["--keep", "2"], "the share to keep is 2.0"),
        (["--threshold", "7"], "the threshold is 7.0"),
        (["--classifier", "none"], "nothing can be measured without a classifier"),
        (["--out", "CATALOG/proof"], "lies in the catalog"),
    ],
)
def test_a_wrong_value_is_one_line(catalog, words, told):
    words = [word.replace("CATALOG", str(catalog)) for word in words]
    result = run("screen", catalog, "--evaluate", *words, "--workers", 1)
    assert result.exit_code == 1
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--labels", "folders"],
        ["--json"],
        ["--evaluate", "--learn", "a.npz"],
        ["--evaluate", "--explain", "a"],
        ["--keep", "0.9", "--threshold", "0.5"],
        ["--evaluate", "--keep", "0.9", "--threshold", "0.5"],
        ["--forget-results", "--force"],
    ],
)
def test_options_that_do_not_belong_together_are_refused(catalog, words):
    assert run("screen", catalog, *words).exit_code == 2


def test_one_kind_alone_is_one_line(catalog):
    write_rows(catalog, [(name, *rest[:-1], "ibex") for name, _, *rest in ROWS], COLUMNS)
    result = run("screen", catalog, "--evaluate", "--workers", 1)
    assert result.exit_code == 1
    assert "all labelled photos show 'ibex', expected two kinds or more" in result.output


def test_a_broken_photo_is_listed(catalog):
    (catalog / "b1.jpg").write_bytes(b"no photo")
    result = run("screen", catalog, "--evaluate", "--workers", 1)
    assert result.exit_code == 1
    assert "failed: b1.jpg" in result.output
    assert "nothing 2" in result.output


def test_a_name_with_markup_stays_text(catalog, tmp_path):
    write_rows(catalog, [(name, *rest[:-1], rest[-1].replace("ibex", "<b>x")) for name, _, *rest in ROWS], COLUMNS)
    assert run("screen", catalog, "--evaluate", "--out", tmp_path / "proof", "--workers", 1).exit_code == 0
    assert "<b>x" not in (tmp_path / "proof" / "index.html").read_text()
    assert "<b>" not in curves_svg("<b>", "<b>", "<b>", {"<b>": [(0, 0), (1, 1)]})


# A model that is learned


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """Return a catalog of stripes (fox) and plain photos at four stations; the network has random values."""
    path = drawn_classifier.write(tmp_path / "made.onnx")
    monkeypatch.setattr(efficientnet_lite0, "find_weights", lambda name: path)
    monkeypatch.setattr(efficientnet_lite0.EfficientnetLite0.__init__, "__defaults__", (96,))
    monkeypatch.setattr(learning.tell, "__defaults__", (96,))
    folder = tmp_path / "lesson"
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for n in range(24):
        photo = np.full((48, 64, 3), 90.0)
        if n % 2:
            photo[:, ::8] = photo[:, 1::8] = 240
        Image.fromarray((photo + rng.integers(-9, 10, photo.shape)).astype(np.uint8)).save(folder / f"{n}.png")
        rows.append((f"{n}.png", f"S{n // 2 % 4}", f"E{n}", "", "fox" if n % 2 else "blank"))
    write_rows(folder, rows, COLUMNS)
    return folder


def test_a_model_is_learned_and_told_by_stations_that_it_has_not_seen(lesson, tmp_path, monkeypatch):
    learned = []

    def learn(features, labels, names):
        learned.append((features.shape, tuple(sorted(set(labels))), names))
        return learn_head(features, labels, names)

    monkeypatch.setattr(screen_folds, "learn_head", learn)
    data = open_catalog(lesson, classifier="efficientnet_lite0").data
    proof = prove(data, species="fox", workers=1)
    assert (proof.by, proof.folds) == ("station", 4)
    assert learned == [((18, 3, 1280), ("fox", NOTHING), ("fox", NOTHING))] * 4
    in_use, trial = proof.trials
    assert "fox" not in in_use.photo.kinds
    assert trial.photo.cases == 24
    assert trial.photo.accuracy[0] == 1  # stripes are easy, also for random values
    assert trial.kept.figures["recall"][0] == 1
    found = proof_to_json(proof)["trials"][1]
    assert found["network"] == "efficientnet_lite0"
    assert {photo["fold"] for photo in found["photos"]} == {0, 1, 2, 3}
    words = ("--classifier", "efficientnet_lite0", "--out", tmp_path / "proof", "--workers", 1)
    result = run("screen", lesson, "--evaluate", "--species", "fox", *words)
    assert result.exit_code == 0, result.output
    assert "A model learned from the labelled photos" in result.stdout
    assert (tmp_path / "proof" / "pictures" / "learned-right-01.jpg").exists()


def test_two_spellings_are_taught_as_one_species(lesson, tmp_path):
    path = lesson / "catalog.csv"
    path.write_text(path.read_text().replace("fox", "Fox", 5))
    result = run("screen", lesson, "--learn", tmp_path / "ours.npz", "--workers", 1)
    assert "learned from fox 12, nothing 12 photos" in result.output


def test_a_photo_is_told_by_the_model_of_its_own_fold(lesson, monkeypatch):
    """The model of a fold knows its fold's mark alone; another fold's model would tell something else."""
    asked = []

    def tell(head, photo, size=96):
        asked.append(head)
        return learning.tell(head, photo, size)

    monkeypatch.setattr(screen_looks, "tell", tell)
    data = open_catalog(lesson, classifier="efficientnet_lite0").data
    trial = prove(data, species="fox", workers=1).trials[1]
    assert [trial.heads[case.fold] is head for case, head in zip(trial.cases, asked, strict=True)] == [True] * 24


def test_without_empty_photos_a_model_is_learned_and_a_note_says_so(lesson):
    rows = [(f"{n}.png", f"S{n // 2 % 4}", f"E{n}", "", "fox" if n % 2 else "hare") for n in range(24)]
    write_rows(lesson, rows, COLUMNS)
    proof = prove(open_catalog(lesson, classifier="efficientnet_lite0").data, workers=1)
    assert proof.trials[1].photo.accuracy[0] == 1
    assert "no-empty-photos" in [note.code for note in proof.notes]
    assert all(sum(case.scores.values()) == pytest.approx(1) for case in proof.trials[1].cases)


def test_kinds_with_few_photos_are_not_learned(lesson):
    rows = [(f"{n}.png", f"S{n // 2 % 4}", f"E{n}", "", "fox" if n % 2 else "blank") for n in range(20)]
    rows += [(f"{n}.png", "S0", f"E{n}", "", "owl") for n in range(20, 24)]
    write_rows(lesson, rows, COLUMNS)
    proof = prove(open_catalog(lesson, classifier="efficientnet_lite0").data, workers=1)
    assert proof.trials[1].photo.cases == 20
    assert any("owl (4)" in note.text and note.code == "kinds-not-learned" for note in proof.notes)
