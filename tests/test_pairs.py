"""Pairwise matchers in the engine: they re-rank LNBNN's shortlist, or match every pair."""

import json
import pickle
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import the_pair

import snowmatch
from snowmatch.cli import main
from snowmatch.confidence.model import Model
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin
from snowmatch.core.types import Annotation, Features, Subject
from snowmatch.features.reader import open_features
from snowmatch.features.writer import FeatureWriter
from snowmatch.identify import pairs
from snowmatch.identify.pairs import compare_sightings
from snowmatch.identify.spots import spots_between
from snowmatch.matching.gallery import make_gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.matchers.lnbnn import Lnbnn
from snowmatch.matching.matchers.mutual import Mutual
from snowmatch.matching.query import match_pairs, match_photos, score_query
from snowmatch.review.batch import Asker

pytestmark = pytest.mark.usefixtures("seen_once")

SIZE = (1000, 800)
DESCRIBED = {"name": "hesaff", "revision": 2}


def spots(n, seed, frames=True):
    """Return N keypoints all over a photo, each with its own descriptor."""
    rng = np.random.default_rng(seed)
    descriptors = rng.standard_normal((n, 128)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    keypoints = (rng.random((n, 2)) * (np.array(SIZE) - 120) + 60).astype(np.float32)
    scales = np.full(n, 20, np.float32)
    shapes = np.stack([scales / 2, 0 * scales, scales / 2], axis=1) if frames else None
    return Features(keypoints, descriptors, np.linspace(1, 0.5, n, dtype=np.float32), scales, 0 * scales, shapes, SIZE)


def seen_again(features, rows, noise, seed=9):
    """Return the spots at `rows`, 40 px to the right, with noise in their descriptors, and as many other spots."""
    rng = np.random.default_rng(seed)
    part, rest = features.take(rows), spots(len(features) - len(rows), seed)
    wobble = rng.standard_normal(part.descriptors.shape).astype(np.float32)
    wobble /= np.linalg.norm(wobble, axis=1, keepdims=True)
    descriptors = part.descriptors + noise * wobble
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    columns = [
        np.concatenate([a, b])
        for a, b in (
            (part.keypoints + np.float32([40, 0]), rest.keypoints),
            (descriptors, rest.descriptors),
            (part.scores, rest.scores),
            (part.scales, rest.scales),
            (part.oris, rest.oris),
            (part.shapes, rest.shapes),
        )
    ]
    order = np.argsort(-columns[2], kind="stable")
    return Features(*(c[order] for c in columns), SIZE)


@pytest.fixture
def gallery_of(tmp_path):
    """Return a gallery of the given features, each a photo of another animal."""

    def make(photos, boxes=None):
        keys = [f"{i:032x}" for i in range(len(photos))]
        with FeatureWriter(tmp_path / "features", DESCRIBED) as writer:
            for key, features in zip(keys, photos, strict=True):
                writer.add(key, features)
            writer.commit()
        boxes = boxes or [(0, 0, *SIZE)] * len(photos)
        annotations = [Annotation(i, f"{i}.jpg", f"cat{i}", encounter=f"e{i}", bbox=box) for i, box in enumerate(boxes)]
        reader = open_features(tmp_path / "features", DESCRIBED)
        return make_gallery(annotations, keys, reader, tmp_path / "index", "x")

    return make


def asked(features):
    return Subject(features, (0, 0, *SIZE))


def test_two_hundred_good_matches_beat_a_few_perfect_ones(gallery_of):
    """The mean certainty of matches, which other programs rank by, has the opposite result."""
    query = spots(300, 0)
    many = seen_again(query, np.arange(200), noise=0.5)
    few = seen_again(query, np.arange(200, 206), noise=0.0)
    gallery = gallery_of([many, few])
    scores = score_query([asked(query)], gallery, np.ones(2, bool), "unknown", Mutual(candidates=0), Geometry())
    weights = [scores.matches[0].weights[scores.matches[0].annotation == entry] for entry in range(2)]
    assert len(weights[0]) > 180
    assert len(weights[1]) == 6
    assert weights[0].mean() < weights[1].mean()
    assert scores.ranking[0] > 10 * scores.ranking[1] > 0
    assert scores.individual_ranking[0] > 10 * scores.individual_ranking[1]


def test_a_single_match_is_never_verified(gallery_of):
    query = spots(300, 0)
    gallery = gallery_of([seen_again(query, np.arange(1), noise=0.0)])
    scores = score_query([asked(query)], gallery, np.ones(1, bool), "unknown", Mutual(candidates=0), Geometry())
    assert not scores.accepted.any()


def test_only_the_shortlist_is_matched_and_the_others_keep_their_order_below(gallery_of):
    query = spots(200, 0)
    shared = [60, 30, 45, 0, 15]
    parts = np.split(np.arange(200), np.cumsum(shared))  # each spot is on one animal
    gallery = gallery_of([seen_again(query, rows, 0.4, seed) for seed, rows in enumerate(parts[:5], start=3)])
    allowed = np.ones(5, bool)
    plain = score_query([asked(query)], gallery, allowed, "unknown", Lnbnn(), Geometry())
    scores = score_query([asked(query)], gallery, allowed, "unknown", Mutual(candidates=2), Geometry())
    order = np.argsort([int(a.path[0]) for a in gallery.annotations])
    assert np.flatnonzero(scores.checked[order]).tolist() == [0, 2]
    assert scores.accepted[order].tolist() == [True, False, True, False, False]
    np.testing.assert_array_equal(scores.pre_scores, plain.pre_scores)
    lower = scores.ranking[order]
    assert lower[0] > lower[2] > lower[1] > lower[4] > lower[3]


def test_every_pair_is_matched_if_candidates_is_0(gallery_of):
    query = spots(200, 0)
    gallery = gallery_of([seen_again(query, np.arange(n), 0.4, n) for n in (80, 40)])
    matcher = Mutual(candidates=0)
    (found,) = match_photos([asked(query)], gallery, np.ones(2, bool), "unknown", matcher)
    again = match_pairs(asked(query), gallery, np.array([0, 1]), matcher)
    for name in ("keypoint0", "annotation", "keypoint1", "weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    (none,) = match_photos([asked(query)], gallery, np.array([False, True]), "unknown", matcher)
    assert set(none.annotation) == {1}


def test_scores_come_from_the_pairs_matches_and_not_from_the_votes(gallery_of):
    query = spots(200, 0)
    gallery = gallery_of([seen_again(query, np.arange(n), 0.4, n) for n in (80, 40)])
    scores = score_query([asked(query)], gallery, np.ones(2, bool), "unknown", Mutual(), Geometry())
    pairs = match_pairs(asked(query), gallery, np.array([0, 1]), Mutual())
    found = {(q, a, k): w for q, a, k, w in zip(*vars(pairs).values(), strict=True)}
    assert len(scores.matches[0]) > 100
    for q, a, k, w in zip(*vars(scores.matches[0]).values(), strict=True):
        assert found[q, a, k] == w
    assert len(scores.pre_matches[0]) != len(pairs)  # the matches of LNBNN, which made the shortlist


@pytest.mark.slow
def test_an_evaluation_matches_no_pair_twice(survey, monkeypatch):
    seen = []
    one_pair = Mutual._pair

    def counted(self, number, one, other):
        seen.append((one.tobytes(), other.tobytes()))
        return one_pair(self, number, one, other)

    monkeypatch.setattr(Mutual, "_pair", counted)
    snowmatch.open_catalog(survey / "catalog").evaluate(matcher="mutual")
    assert len(seen) == len(set(seen)) > 100


def test_a_remembered_pair_is_matched_only_once(gallery_of, monkeypatch):
    query = asked(spots(100, 0))
    gallery = gallery_of([seen_again(query.features, np.arange(50), 0.4)])
    matcher, memory = Mutual(), {}
    first = match_pairs(query, gallery, np.array([0]), matcher, memory)
    monkeypatch.setattr(Mutual, "_pair", None)
    again = match_pairs(query, gallery, np.array([0]), matcher, memory)
    np.testing.assert_array_equal(first.weights, again.weights)


def test_only_the_strongest_keypoints_on_the_animal_are_compared(gallery_of):
    query = spots(100, 0)
    gallery = gallery_of([seen_again(query, np.arange(100), 0.2)])
    weights = np.ones(100, np.float32)
    weights[:10] = 0  # the ten strongest keypoints are scenery
    weights[10:20] = 0.25
    found = match_pairs(Subject(query, (0, 0, *SIZE), weights), gallery, np.array([0]), Mutual(keypoints=40))
    assert set(found.keypoint0) <= set(range(20, 60))
    found = match_pairs(Subject(query, (0, 0, *SIZE), weights), gallery, np.array([0]), Mutual())
    plain = match_pairs(asked(query), gallery, np.array([0]), Mutual())
    half = dict(zip(plain.keypoint0.tolist(), plain.weights.tolist(), strict=True))
    for keypoint, weight in zip(found.keypoint0.tolist(), found.weights.tolist(), strict=True):
        assert weight == pytest.approx(half[keypoint] * np.sqrt(weights[keypoint]), rel=1e-5)
    given = match_pairs(Subject(query, (0, 0, *SIZE), weights), gallery, np.array([0]), Mutual(foreground="given"))
    np.testing.assert_array_equal(given.weights, plain.weights)


@pytest.mark.parametrize("matcher", [Mutual(), Mutual(candidates=0)], ids=["shortlist", "every pair"])
def test_no_keypoints_on_either_side_give_no_answer_and_no_error(gallery_of, matcher):
    query, nothing = spots(50, 0), spots(0, 1)
    gallery = gallery_of([nothing, seen_again(query, np.arange(30), 0.3)])
    scores = score_query([asked(nothing)], gallery, np.ones(2, bool), "unknown", matcher, Geometry())
    assert not scores.ranking.any()
    scores = score_query([asked(query)], gallery, np.ones(2, bool), "unknown", matcher, Geometry())
    assert scores.accepted.sum() == 1


def test_keypoints_without_frames_are_verified_by_position_only(gallery_of):
    query = spots(120, 0, frames=False)
    other = seen_again(spots(120, 0), np.arange(70), 0.3)
    bare = Features(*(getattr(other, n) for n in ("keypoints", "descriptors", "scores", "scales", "oris")), None, SIZE)
    gallery = gallery_of([bare])
    scores = score_query([asked(query)], gallery, np.ones(1, bool), "unknown", Mutual(), Geometry())
    matches = scores.matches[0]
    assert 60 < len(matches) <= 75
    moved = bare.keypoints[matches.keypoint1] - query.keypoints[matches.keypoint0]
    assert np.abs(moved - [40, 0]).max() < 60


@pytest.mark.slow
def test_a_query_and_an_evaluation_with_mutual_find_the_right_cats(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    result = catalog.evaluate(matcher="mutual")
    assert result.matcher["name"] == "mutual"
    assert result.measured.figures["annotation_top1"].value > 0.7
    row = next(a for a in catalog.data.annotations if a.individual)
    answer = catalog.query(survey / "catalog" / row.path, bbox=row.bbox, body_part=row.body_part, matcher="mutual")
    assert answer.candidates[0].accepted
    assert answer.candidates[0].inliers == len(answer.candidates[0].weights)


@pytest.mark.slow
def test_the_spots_of_two_photos_are_those_that_the_evidence_of_pairs_counts(survey):
    session = snowmatch.open_catalog(survey / "catalog").session()
    passages = {}
    for a in session.gallery.annotations:
        passages.setdefault(a.passage, []).append(a.row)
    sightings = list(passages.values())
    counted = {}
    for found in compare_sightings(session, sightings, range(len(sightings))):
        pair = frozenset(found.rows)
        counted.setdefault(pair, []).append(found.spots)
    both_ways = {pair: max(spots) for pair, spots in counted.items() if len(spots) == 2}
    assert len(both_ways) > 10
    assert {pair: len(spots_between(session, *sorted(pair)).weights) for pair in both_ways} == both_ways


def test_a_pair_says_less_where_other_sightings_match_too():
    model = Model((0.0,), 1.0, (2.0, 3.0), 5.0, 0.0, 1000.0, 10.0, 0.0)
    alone, quiet, loud = (
        pairs._log_odds((model,), np.array([2.0, *others]), 1000.0)[:, 0] for others in ((), [0.1] * 10, [0.5] * 10)
    )
    assert loud[0] < alone[0] < quiet[0]
    assert loud[1] < alone[1] == quiet[1]  # the lower bound does not rise


@pytest.mark.parametrize("outlined", [True, False])
def test_photos_without_box_or_mask_say_no_more_than_the_limit_with_both_flanks(monkeypatch, outlined):
    parts = ("left_flank", "right_flank", "left_flank", "right_flank")
    annotations = [
        SimpleNamespace(row=n, individual=f"{n // 2:09d}", passage=f"p{n // 2}", body_part=part)
        for n, part in enumerate(parts)
    ]
    gallery = SimpleNamespace(
        annotations=annotations,
        individuals=[annotations[0], annotations[2]],
        individual_numbers=np.array([0, 0, 1, 1]),
        feature_count=lambda entry: 10,
        subject=lambda entry: [1] * 10,
        foreground=SimpleNamespace(evidence=lambda entry: "box" if outlined else ""),
    )

    none = SimpleNamespace(annotation=np.zeros(0, np.int64))

    def scores(subjects, matched, gallery, allowed, *_):
        one_or_other = np.array([float(allowed[:2].any()), float(allowed[2:].any())])
        return SimpleNamespace(evidence=one_or_other, ranking=np.ones(4), matches=[none])

    monkeypatch.setattr(pairs, "by_sighting", lambda gallery, sightings, supposed: gallery)
    monkeypatch.setattr(pairs, "voter", lambda matcher: None)
    monkeypatch.setattr(pairs, "match_many", lambda asked, *_: [() for _ in asked])
    monkeypatch.setattr(pairs, "score_matches", scores)
    monkeypatch.setattr(pairs, "_models", lambda *_: ())

    def log_odds(models, scores, features):
        assert len(scores) == 1  # without the asked sighting itself, which is not compared
        return np.full((2, 1), 2.0)

    monkeypatch.setattr(pairs, "_log_odds", log_odds)
    session = SimpleNamespace(gallery=gallery, method=SimpleNamespace(matcher=None, geometry=None))
    found = compare_sightings(session, [[0, 1], [2, 3]], [0, 1])
    assert [each.odds for each in found] == [4.0 if outlined else pairs.MOST_WHOLE] * 2


def test_too_few_candidates_give_a_note_with_the_setting_that_changes_it(survey):
    catalog = snowmatch.open_catalog(survey / "catalog")
    row = catalog.data.annotations[0]
    photo = survey / "catalog" / row.path
    answer = catalog.query(photo, bbox=row.bbox, matcher="mutual", options={"candidates": "1"})
    assert any("the setting candidates limits how many are checked" in note.text for note in answer.notes)
    answer = catalog.query(photo, bbox=row.bbox, matcher="mutual", options={"candidates": "0"})
    assert answer.candidates


@pytest.fixture
def plain(plain_lightglue):
    return {"weights": str(plain_lightglue)}


@pytest.mark.slow
def test_lightglue_in_the_engine(own_survey, plain):
    catalog = snowmatch.open_catalog(own_survey / "catalog")
    result = catalog.evaluate(matcher="lightglue", options=plain)
    assert result.measured.figures["annotation_top1"].value > 0.7
    arguments = ["evaluate", str(own_survey / "catalog"), "--matcher", "lightglue", "--json"]
    done = CliRunner().invoke(main, [*arguments, "-o", f"weights={plain['weights']}"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["method"]["matcher"]["name"] == "lightglue"


def test_a_worker_of_a_batch_in_another_folder_finds_the_file_of_weights(own_survey, plain_lightglue, monkeypatch):
    monkeypatch.chdir(plain_lightglue.parent)
    chosen = {"matcher": "lightglue", "options": {"weights": plain_lightglue.name}}
    session = snowmatch.open_catalog(own_survey / "catalog").session(**chosen)
    sent = pickle.dumps((session.method.matcher, Asker(session, None, chosen, (), None)))
    monkeypatch.chdir(own_survey)
    matcher, asker = pickle.loads(sent)
    assert matcher.check(session.method.extractor) == session.method.matching["networks"][0]
    assert asker.session.method.matching["networks"] == session.method.matching["networks"]


def test_lightglues_certainties_by_hand(plain_lightglue):
    """If the layers do nothing, the result is the dual softmax of the descriptors' cosines (LightGlue, equation 5)."""
    import random_weights

    one, other = spots(30, 0), seen_again(spots(30, 0), np.arange(20), 0.3)
    matcher = make_plugin("matchers", "lightglue", {"weights": str(plain_lightglue)})
    pair = the_pair(matcher, asked(one), asked(other), {"name": "hesaff"})
    keypoint0, keypoint1, weights = pair.keypoint0, pair.keypoint1, pair.weights
    likeness = random_weights.SHARPNESS * (one.descriptors @ other.descriptors.T).astype(float)
    rows = np.exp(likeness) / np.exp(likeness).sum(axis=1, keepdims=True)
    columns = np.exp(likeness) / np.exp(likeness).sum(axis=0, keepdims=True)
    expected = rows * columns
    assert len(weights) >= 20
    assert weights == pytest.approx(expected[keypoint0, keypoint1], rel=1e-3)
    assert (expected.argmax(axis=1)[keypoint0] == keypoint1).all()


def test_lightglues_input_from_a_photo(plain_lightglue):
    """Its image is the box: keypoints start at the box's corner, sizes are shares of the box."""
    import torch

    from snowmatch.matching.matchers.lightglue import OFFICIAL, find_trained, side

    features = spots(5, 0)
    told, _ = find_trained(str(plain_lightglue), {"name": "hesaff"})
    box = (50, 40, 400, 200)
    inside = Features(
        np.float32([[49.7, 40], [60, 45], [450, 240], [449.9, 41], [100, 100]]),
        features.descriptors * 3,
        features.scores,
        features.scales,
        features.oris + np.float32(0.5),
        features.shapes,
        SIZE,
    )
    given = side(Subject(inside, box), told, torch.device("cpu"))
    assert given["image_size"].tolist() == [[400, 200]]
    assert given["keypoints"][0].numpy() == pytest.approx(
        np.array([[0, 0], [10, 5], [400, 200], [399.9, 1], [50, 60]]), abs=1e-4
    )
    assert torch.linalg.norm(given["descriptors"][0], dim=1).tolist() == pytest.approx([1] * 5, abs=1e-5)
    assert given["scales"][0].tolist() == pytest.approx([np.log2(64 * 20 / 400)] * 5)
    assert given["oris"][0].tolist() == pytest.approx([0.5] * 5)
    sift = next(t for t in OFFICIAL if t.extractor == "sift")
    assert side(Subject(inside, box), sift, torch.device("cpu"))["scales"][0].tolist() == pytest.approx([25.6] * 5)
    aliked = next(t for t in OFFICIAL if t.extractor == "aliked")
    assert "scales" not in side(Subject(inside, box), aliked, torch.device("cpu"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--matcher", "lightglue"], "no LightGlue was trained for 'hesaff', only for aliked, disk, sift"),
        (["--matcher", "lightglue", "-o", "weights=aliked_lightglue"], "trained for 'aliked', not for 'hesaff'"),
        (["--matcher", "lightglue", "-o", "weights=nowhere.safetensors"], "no weights and no file called"),
        (["--fast"], "has a setting 'fast'"),
        (["--matcher", "lightglue", "-o", "device=cuda:77", "-o", "weights=PLAIN"], "torch sees"),
        (["--matcher", "lightglue", "-o", "device=abacus", "-o", "weights=PLAIN"], "device is 'abacus'"),
        (["--matcher", "mutual", "-o", "ratio=7"], "ratio is 7.0, expected above 0, at most 1"),
    ],
)
def test_features_that_do_not_fit_are_an_error_of_one_line(survey, plain_lightglue, arguments, said):
    arguments = [a.replace("PLAIN", str(plain_lightglue)) for a in arguments]
    done = CliRunner().invoke(main, ["evaluate", str(survey / "catalog"), *arguments])
    assert done.exit_code == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_network_of_another_extractor_or_without_a_description_is_refused(plain_lightglue, tmp_path):
    import random_weights
    from safetensors.torch import load_file, save_file

    from snowmatch.matching.matchers.lightglue import find_trained

    other = random_weights.write_plain_lightglue(tmp_path / "other.safetensors", "sift")
    with pytest.raises(SnowmatchError, match="was trained for 'sift', not for 'hesaff'"):
        find_trained(str(other), {"name": "hesaff"})
    save_file(load_file(plain_lightglue), tmp_path / "bare.safetensors")
    with pytest.raises(SnowmatchError, match="does not say what it was trained for"):
        find_trained(str(tmp_path / "bare.safetensors"), {"name": "hesaff"})


def test_a_network_of_the_same_extractor_with_other_settings_is_refused(tmp_path):
    pytest.importorskip("kornia")
    import random_weights

    from snowmatch.matching.matchers.lightglue import find_trained

    extractor = {"name": "sift", "revision": 1, "chip_size": 700, "upright": True}
    path = random_weights.write_plain_lightglue(tmp_path / "plain.safetensors", **extractor)
    find_trained(str(path), {**extractor, "chip_size": 512})
    with pytest.raises(SnowmatchError, match="was trained for sift with upright=true, the features were made with"):
        find_trained(str(path), {**extractor, "upright": False})


def test_a_file_that_describes_no_network_is_an_error_of_one_line(tmp_path, plain_lightglue):
    from safetensors.torch import load_file, save_file

    for number, wrong in enumerate(({"num_heads": 7}, {"n_layers": "many"})):
        told = {"input_dim": 128, "descriptor_dim": 128, "num_heads": 1, "n_layers": 1, "add_scale_ori": True, **wrong}
        path = tmp_path / f"{number}.safetensors"
        text = json.dumps({**told, "extractor": {"name": "hesaff"}})
        save_file(load_file(plain_lightglue), path, metadata={"snowmatch": text})
        with pytest.raises(SnowmatchError, match="describes a network that cannot be built"):
            make_plugin("matchers", "lightglue", {"weights": str(path)}).check({"name": "hesaff"})


def test_a_new_file_with_an_old_name_is_read_again(tmp_path):
    pytest.importorskip("kornia")
    import random_weights

    path = tmp_path / "mine.safetensors"
    query, other = asked(spots(30, 0)), asked(seen_again(spots(30, 0), np.arange(20), 0.3))
    found = []
    for sharpness in (40.0, 4.0):
        random_weights.write_plain_lightglue(path, sharpness=sharpness)
        matcher = make_plugin("matchers", "lightglue", {"weights": str(path), "certainty": "0"})
        found.append(the_pair(matcher, query, other, {"name": "hesaff"}).weights.max())
    assert found[0] > 2 * found[1]


def test_an_answer_names_its_network(survey, plain):
    catalog = snowmatch.open_catalog(survey / "catalog")
    row = catalog.data.annotations[0]
    answer = catalog.query(survey / "catalog" / row.path, bbox=row.bbox, matcher="lightglue", options=plain)
    (used,) = answer.matcher["networks"]
    assert used.startswith("plain.safetensors ")
    assert answer.matcher["shortlist"]["name"] == "lnbnn"


def test_an_extractor_without_an_index_is_an_error_that_names_the_indexed_ones(own_survey):
    done = CliRunner().invoke(main, ["evaluate", str(own_survey / "catalog"), "--extractor", "sift"])
    assert done.exit_code == 1
    assert "indexed with: hesaff (defaults)" in done.stderr


def test_the_device_is_not_part_of_the_settings_of_stored_features():
    pytest.importorskip("kornia")
    from snowmatch.core.plugins import settings

    one, other = (make_plugin("extractors", "xfeat", {"device": d}) for d in ("cpu", "auto"))
    assert settings(one) == settings(other)
    assert "device" not in settings(one)
    assert "device" not in settings(make_plugin("matchers", "lightglue"))


def test_without_torch_the_message_says_what_to_install(survey, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "snowmatch.matching.matchers.lightglue", raising=False)
    monkeypatch.delitem(sys.modules, "snowmatch.models.torch_io", raising=False)
    done = CliRunner().invoke(main, ["evaluate", str(survey / "catalog"), "--matcher", "lightglue"])
    assert done.exit_code == 1
    assert 'pip install "snowmatch[deep]"' in done.stderr


def test_features_of_a_network_do_not_disturb_an_installation_without_torch(own_survey, monkeypatch):
    import sys

    described = {"name": "xfeat", "revision": 1, "chip_size": 1024, "threshold": 0.05}
    with FeatureWriter(own_survey / "catalog" / ".snowmatch" / "features", described) as writer:
        writer.add("0" * 32, spots(5, 0, frames=False))
        writer.commit()
    for name in list(sys.modules):
        if name in (
            "torch",
            "snowmatch.features.extractors.xfeat",
            "snowmatch.features.extractors._network",
            "snowmatch.models.torch_io",
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    shown = CliRunner().invoke(main, ["show", str(own_survey / "catalog")])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"xfeat +defaults", shown.output)
    asked_with = ["evaluate", str(own_survey / "catalog"), "--extractor", "hesaff", "-o", "chip_size=333"]
    done = CliRunner().invoke(main, asked_with)
    assert "indexed with: hesaff (defaults); xfeat (defaults)" in done.stderr


def test_a_package_that_cannot_be_imported_is_an_error_of_one_line(monkeypatch):
    import sys
    from types import ModuleType

    old = ModuleType("kornia.feature")
    monkeypatch.setitem(sys.modules, "kornia", ModuleType("kornia"))
    monkeypatch.setitem(sys.modules, "kornia.feature", old)
    monkeypatch.delitem(sys.modules, "snowmatch.matching.matchers.lightglue", raising=False)
    with pytest.raises(SnowmatchError, match=r"snowmatch\[deep\]"):
        make_plugin("matchers", "lightglue")


@pytest.mark.slow
def test_a_copied_survey_gives_the_same_answers(survey, tmp_path):
    shutil.copytree(survey / "catalog", tmp_path / "catalog")
    again = snowmatch.open_catalog(tmp_path / "catalog")
    again.index()
    first = snowmatch.open_catalog(survey / "catalog").evaluate(matcher="mutual").table
    np.testing.assert_array_equal(first.scores, again.evaluate(matcher="mutual").table.scores)
