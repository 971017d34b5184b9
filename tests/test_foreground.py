"""The foreground of photos without box or mask."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import drawn_classifier
import numpy as np
import pytest
from PIL import Image

import snowmatch
import snowmatch.demo.survey
from snowmatch.cli.advice import advice
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.home import database_path
from snowmatch.core.types import Matches
from snowmatch.matching import gallery_foreground as foreground_module
from snowmatch.matching.gallery import make_gallery
from snowmatch.matching.geometry.frames import Geometry
from snowmatch.matching.matchers.lnbnn import Lnbnn
from snowmatch.matching.query import match_photos, score_query
from snowmatch.matching.search import blocks as searching
from snowmatch.matching.search import inverted_file
from snowmatch.photos.chips import clip_bbox
from snowmatch.photos.pixels import read_photo
from snowmatch.screening import foreground
from snowmatch.screening.classifiers._layers import FEATURES
from snowmatch.screening.foreground import (
    LEAST_CENTRED,
    SPREAD,
    ForegroundMap,
    centre_weights,
    foreground_weights,
    foreground_weights_of,
)
from snowmatch.screening.head import Head, save_head
from snowmatch.screening.maps import save_maps
from snowmatch.screening.stored_maps import open_maps

pytestmark = pytest.mark.usefixtures("seen_once")


def test_the_weight_is_a_gaussian_around_the_centre_of_the_photo():
    width, height = 200, 100
    centre = [99.5, 49.5]
    sigma = [99.5 + SPREAD[0] * width, 49.5]
    below = [99.5, 49.5 + SPREAD[1] * height]
    weights = centre_weights(np.array([centre, sigma, below, [0, 0], [199, 99]]), (width, height))
    assert weights.dtype == np.float32
    assert weights == pytest.approx([1, np.exp(-0.5), np.exp(-0.5), 0, 0])


def test_weights_are_zero_or_at_least_the_minimum():
    rng = np.random.default_rng(0)
    weights = centre_weights(rng.uniform(0, 640, (5000, 2)), (640, 640))
    assert weights.max() <= 1
    assert weights[weights > 0].min() >= LEAST_CENTRED
    assert 0.1 < (weights == 0).mean() < 0.9


def test_each_keypoint_may_have_its_own_photo_size_and_no_keypoints_give_no_weights():
    keypoints = np.array([[49.5, 49.5], [49.5, 49.5]])
    assert centre_weights(keypoints, np.array([[100, 100], [1000, 1000]])) == pytest.approx([1, 0])
    assert centre_weights(np.zeros((0, 2)), (10, 10)).shape == (0,)


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """Return a survey's gallery, and the same gallery without boxes and masks but with the features of the boxes."""
    folder = tmp_path_factory.mktemp("foreground") / "catalog"
    snowmatch.demo.survey.make_survey(folder, individuals=3, stations=2, encounters=2, seed=3, size=(480, 320))
    catalog = snowmatch.open_catalog(folder)
    catalog.index("hesaff", workers=1)
    outlined = catalog.session(extractor="hesaff").gallery
    bare = [replace(a, bbox=None, mask="") for a in outlined.annotations]
    made = make_gallery(bare, outlined.keys, outlined.reader, outlined.index_folder, outlined.extractor_key)
    assert made.keys == outlined.keys
    return outlined, made


def test_a_subject_has_weights_only_without_a_box_and_mask(lone):
    outlined, bare = lone
    features = outlined.reader.read(outlined.keys[0])
    weights = outlined.subject(0).weights
    assert weights is None or (weights == 1).all()  # the photo has a bar, where the mask has no keypoints
    assert bare.subject(0).weights == pytest.approx(centre_weights(features.keypoints, features.image_size))


def test_the_box_of_a_subject_is_its_clipped_box_or_the_whole_photo(lone):
    outlined, bare = lone
    size = outlined.reader.read(outlined.keys[0]).image_size
    assert outlined.subject(0).box == clip_bbox(outlined.annotations[0].bbox, size)
    assert bare.subject(0).box == (0, 0, *size)


def test_the_weight_of_a_match_in_the_gallery_is_that_of_its_keypoint(lone):
    outlined, bare = lone
    rng = np.random.default_rng(0)
    annotation = np.sort(rng.integers(0, len(bare.keys), 200))
    annotation = annotation[annotation != 1]  # one annotation has no matches
    keypoint1 = np.array([rng.integers(0, bare.feature_count(a)) for a in annotation])
    order = np.arange(len(annotation))
    matches = Matches(order, annotation, keypoint1, np.ones(len(order), np.float32))
    expected = []
    for a, k in zip(annotation, keypoint1, strict=True):
        expected.append(bare.subject(a).weights[k])
    assert bare.foreground.match_weights(matches) == pytest.approx(expected)
    assert (outlined.foreground.match_weights(matches) == 1).all()
    assert len(bare.foreground.match_weights(matches.take(order[:0]))) == 0


def test_a_vote_is_multiplied_by_the_geometric_mean_of_both_weights(lone):
    _, bare = lone
    query = bare.subject(0)
    weights = query.weights
    allowed = np.arange(len(bare.keys)) > 0
    (auto,) = match_photos([query], bare, allowed, "unknown", Lnbnn())
    on = np.flatnonzero(weights > 0)  # only these are searched
    (given,) = match_photos([query.take(on)], bare, allowed, "unknown", Lnbnn(foreground="given"))
    assert 0 < len(auto) < len(given)
    assert (weights[auto.keypoint0] > 0).all()
    place = {
        (q, a, k): w
        for q, a, k, w in zip(on[given.keypoint0], given.annotation, given.keypoint1, given.weights, strict=True)
    }
    found = [place.get((q, a, k)) for q, a, k in zip(auto.keypoint0, auto.annotation, auto.keypoint1, strict=True)]
    assert all(f is not None for f in found)
    expected = np.array(found) * np.sqrt(weights[auto.keypoint0] * bare.foreground.match_weights(auto))
    assert auto.weights == pytest.approx(expected, rel=1e-5)
    order = np.lexsort((auto.keypoint1, auto.keypoint0, auto.annotation))
    assert (order == np.arange(len(auto))).all()


def test_two_animals_in_one_photo_without_boxes_both_get_votes(lone):
    """Mother and cub are listed by image: each spot of the photo is one of either."""
    _, bare = lone
    cub = replace(bare.annotations[1], row=len(bare.keys), individual="cub")
    made = (bare.reader, bare.index_folder, bare.extractor_key)
    both = make_gallery([*bare.annotations, cub], [*bare.keys, bare.keys[1]], *made)
    (matches,) = match_photos([both.subject(1)], both, np.ones(len(both.keys), bool), "unknown", Lnbnn())
    votes = [
        np.bincount(matches.annotation, minlength=len(both.keys))[both.keys.index(bare.keys[1]) + n] for n in (0, 1)
    ]
    assert min(votes) > 0.5 * (both.subject(1).weights > 0).sum()


def halves(gallery):
    """Return two maps, cells (2, 100): one shows the left half of the features of annotation 1, one the right half."""
    middle = int(100 * np.median(gallery.subject(1).features.keypoints[:, 0]) / gallery.foreground.sizes[1][0])
    left, right = np.zeros((2, 2, 100), np.uint8)
    left[:, :middle], right[:, middle:] = 255, 255
    return left, right, middle / 100


@pytest.fixture
def large(monkeypatch):
    """Let every gallery count as a large one, whose scenery is not searched."""
    monkeypatch.setattr(foreground_module, "MANY_ROWS", 0)


def with_maps(gallery, folder, cells):
    """Return a gallery with these maps, by key, and those that it had, and a search index of its own."""
    save_maps(folder, {key[:16]: ("mark", ForegroundMap(values, "burst")) for key, values in cells.items()})
    return replace(gallery, maps=open_maps(folder), index_folder=folder / "index", _blocks={})


def test_a_small_gallery_searches_scenery_as_well(lone, tmp_path):
    _, bare = lone
    gallery = with_maps(bare, tmp_path, dict.fromkeys(bare.keys, halves(bare)[0]))
    assert gallery.foreground.searched(np.array([0, 1]))[1].all()
    gallery.build_indexes()
    auto, given = (gallery.blocks("faiss", "unknown", foreground) for foreground in ("auto", "given"))
    assert [block.path for block in auto] == [block.path for block in given]
    allowed, plain = np.arange(len(bare.keys)) > 0, replace(bare.subject(0), weights=None)
    found, same = (Lnbnn().match(plain.features, each, allowed, bare.kin, bare.rivals(None)) for each in (auto, given))
    assert (found.weights == same.weights).all()
    assert (gallery.foreground.match_weights(found) == 0).any()  # such a match loses its vote later


@pytest.mark.usefixtures("large")
def test_only_features_that_a_map_shows_on_the_animal_are_searched_unless_the_foreground_is_given(lone, tmp_path):
    _, bare = lone
    query, allowed = bare.subject(0), np.arange(len(bare.keys)) > 0
    gallery = with_maps(bare, tmp_path, dict.fromkeys(bare.keys, halves(bare)[0]))
    plain = replace(query, weights=None)
    found = Lnbnn().match(query.features, gallery.blocks("faiss", "unknown"), allowed, bare.kin, bare.rivals(None))
    assert len(found)
    assert (gallery.foreground.match_weights(found) > 0).all()
    (auto,) = match_photos([plain], gallery, allowed, "unknown", Lnbnn())
    assert len(auto) == len(found)
    (given,) = match_photos([plain], gallery, allowed, "unknown", Lnbnn(foreground="given"))
    assert 0.1 < (gallery.foreground.match_weights(given) == 0).mean() < 0.9


@pytest.mark.usefixtures("large")
def test_a_search_among_few_features_leaves_out_the_scenery_as_well(lone, tmp_path, monkeypatch):
    _, bare = lone
    monkeypatch.setattr(inverted_file, "EXHAUSTIVE_ROWS", 10_000)  # all are compared
    allowed, boxed = np.arange(len(bare.keys)) > 0, replace(bare.subject(0), weights=None)
    left, _, _ = halves(bare)
    for cells, some in ((left, True), (np.zeros_like(left), False)):
        gallery = with_maps(bare, tmp_path, dict.fromkeys(bare.keys, cells))
        blocks = gallery.blocks("faiss", "unknown")
        found = Lnbnn().match(boxed.features, blocks, allowed, bare.kin, bare.rivals(None))
        assert bool(len(found)) is some
        assert (gallery.foreground.match_weights(found) > 0).all()


@pytest.mark.usefixtures("large")
def test_another_map_lets_other_features_of_its_photo_be_searched(lone, tmp_path):
    """The search index on disk knows which features it holds: after a new map it is brought up to date."""
    _, bare = lone
    left, right, middle = halves(bare)
    x = bare.subject(1).features.keypoints[:, 0] / bare.foreground.sizes[1][0]

    def searched(maps):
        gallery = with_maps(bare, tmp_path, maps)
        assert gallery.build_indexes() == 0
        blocks = gallery.blocks("faiss", "unknown")
        assert not gallery.prepare("faiss", "unknown", np.ones(len(gallery.keys), bool))  # nothing is missing
        found = searching.search(blocks, bare.subject(0).features.descriptors, np.arange(len(bare.keys)) == 1, 400)
        rows = found.keypoints[found.entries == 1]
        assert len(rows)
        assert (gallery.subject(1).weights[rows] > 0).all()
        return blocks, x[rows]

    blocks, found = searched(dict.fromkeys(bare.keys, left))
    assert found.max() < middle + 0.01
    again, found = searched({bare.keys[1]: right})
    assert found.min() > middle - 0.01
    assert {b.path for b in blocks} & {b.path for b in again}  # what other photos show is not written again


@pytest.mark.usefixtures("large")
def test_blocks_of_a_version_in_which_weaker_places_counted_are_made_again(lone, tmp_path, monkeypatch):
    _, bare = lone
    left, _, _ = halves(bare)
    maps = dict.fromkeys(bare.keys, np.maximum(left, 51))  # 0.2 on the right
    marks = foreground_module.GalleryForeground.marks.func
    with monkeypatch.context() as patch:
        patch.setattr(foreground, "LEAST_MAPPED", 0.05)
        patch.setattr(
            foreground_module.GalleryForeground, "marks", property(lambda its: marks(its) & np.uint64((1 << 63) - 1))
        )
        old = with_maps(bare, tmp_path, maps)
        assert old.build_indexes() == 0
        assert old.foreground.searched(np.array([1]))[0].all()
    gallery = with_maps(bare, tmp_path, maps)
    assert gallery.build_indexes() == 0
    blocks, only = gallery.blocks("faiss", "unknown"), np.arange(len(bare.keys)) == 1
    found = searching.search(blocks, bare.subject(0).features.descriptors, only, 400)
    rows = found.keypoints[found.entries == 1]
    assert len(rows)
    assert (gallery.subject(1).weights[rows] > 0).all()


@pytest.mark.usefixtures("large")
def test_blocks_without_the_spots_of_a_box_in_which_the_map_is_weak_are_made_again(lone, tmp_path, monkeypatch):
    outlined, _ = lone
    drawn = [replace(a, mask="") for a in outlined.annotations]
    made = (outlined.keys, outlined.reader, outlined.index_folder, outlined.extractor_key)
    boxed = make_gallery(drawn, *made)
    (width, height), (x, y, w, h) = boxed.foreground.sizes[1], boxed.foreground.boxes[1]
    weak = np.full((height, width), 255, np.uint8)
    weak[y : y + h, x : x + w] = 60
    maps = dict.fromkeys(boxed.keys, np.full((3, 4), 255, np.uint8)) | {boxed.keys[1]: weak}
    marks = foreground_module.GalleryForeground.marks.func
    cells_of = foreground._cells_of
    with monkeypatch.context() as patch:  # as 0.3.0 was at first
        patch.setattr(foreground, "_cells_of", lambda boxes, *sizes: cells_of([None] * len(boxes), *sizes))
        patch.setattr(foreground_module.GalleryForeground, "marks", property(lambda its: marks(its) | np.uint64(1)))
        old = with_maps(boxed, tmp_path, maps)
        assert old.build_indexes() == 0
        assert not old.foreground.searched(np.array([1]))[0].any()
    gallery = with_maps(boxed, tmp_path, maps)
    assert gallery.build_indexes() == 0
    blocks, only = gallery.blocks("faiss", "unknown"), np.arange(len(boxed.keys)) == 1
    found = searching.search(blocks, boxed.subject(1).features.descriptors, only, 2)
    assert (found.entries[:, 0] == 1).all()
    assert (gallery.subject(1).weights > 0).all()


@pytest.mark.usefixtures("large")
def test_all_features_are_searched_if_a_map_is_damaged(lone, tmp_path):
    _, bare = lone
    save_maps(tmp_path, {bare.keys[0][:16]: ("mark", ForegroundMap(np.zeros((3, 4), np.uint8), "burst"))})
    gallery = replace(bare, maps=open_maps(tmp_path), _blocks={})
    assert not gallery.foreground.searched(np.array([0]))[0].any()
    with closing(sqlite3.connect(database_path(tmp_path))) as database, database:
        database.execute("UPDATE maps SET cells = x'0102'")
    gallery = replace(bare, maps=open_maps(tmp_path), _blocks={})
    assert gallery.foreground.searched(np.array([0]))[0].all()


def test_a_query_with_all_weights_zero_scores_zero(lone):
    _, bare = lone
    query = replace(bare.subject(0), weights=np.zeros(bare.feature_count(0), np.float32))
    allowed = np.ones(len(bare.keys), bool)
    scores = score_query([query], bare, allowed, "unknown", Lnbnn(), Geometry())
    assert not scores.pre_scores.any()
    assert not scores.scores.any()


def test_unknown_foreground_is_refused():
    with pytest.raises(ValueError, match="expected one of auto, given"):
        Lnbnn(foreground="sky")


def test_a_note_says_that_the_answer_uses_the_centre_of_the_photo(lone, tmp_path):
    outlined, _ = lone
    folder = outlined.index_folder.parents[2]
    catalog = snowmatch.open_catalog(folder)
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (320, 480, 3)).astype(np.uint8)
    text = "spots near the centre of the photo count most"
    assert any(text in note.text for note in catalog.query(photo).notes)
    assert not any(text in note.text for note in catalog.query(photo, options={"foreground": "given"}).notes)
    assert not any(text in note.text for note in catalog.query(photo, bbox=(100, 100, 200, 150)).notes)


@pytest.mark.slow
def test_a_photo_of_no_animal_gets_a_note_and_the_same_probabilities(survey, monkeypatch):
    """Noise and an empty wall get the note. A box, or a likely animal on record, speaks for an animal."""
    catalog = snowmatch.open_catalog(survey / "catalog")
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (320, 480, 3)).astype(np.uint8)
    wall = np.full((320, 480, 3), 90, np.uint8)

    def noted(photo, **asked):
        answer = catalog.query(photo, **asked)
        notes = [note for note in answer.notes if note.code == "no-animal-found"]
        assert not any(advice(note.code, note.data) for note in notes)  # a screening sees only photos of the catalog
        return answer, [note.text for note in notes]

    answer, (text,) = noted(noise)
    assert answer.photos[0].features > 30
    assert text.startswith("no animal on record is likelier than not, ")
    assert text.endswith("no outline of an animal was found in the photo; the photo may show no animal")
    assert noted(wall)[1] == ["no outline of an animal was found in the photo; the photo may show no animal"]
    assert not noted(noise, bbox=(100, 100, 200, 150))[1]
    photos = sorted((survey / "queries" / "images").iterdir())[:3]
    told = [noted(read_photo(photo)) for photo in photos]
    likely = [max(c.probability for c in found.candidates) >= 0.5 for found, _ in told]
    assert any(likely)
    assert [not texts for _, texts in told] == likely
    monkeypatch.setattr("snowmatch.identify.judge.CONVINCING", 0.0)
    before, none = noted(noise)
    assert not none
    assert before.new_probability == answer.new_probability
    assert [c.probability for c in before.candidates] == [c.probability for c in answer.candidates]


def test_in_a_box_the_weights_are_1_except_where_the_map_is_0():
    keypoints = np.array([[5, 5], [95, 45], [50, 25]], np.float32)
    assert foreground_weights(keypoints, (100, 50), box=(0, 0, 100, 50)).tolist() == [1, 1, 1]
    values = np.array([[255, 0], [0, 255]], np.uint8)
    for evidence in ("burst", "station", "burst and station"):
        weights = foreground_weights(keypoints, (100, 50), ForegroundMap(values, evidence), box=(0, 0, 100, 50))
        assert weights.tolist() == [1, 1, 1]  # the last one lies in the lower right quarter
        off = np.array([[95.0, 5.0]])
        assert foreground_weights(off, (100, 50), ForegroundMap(values, evidence), box=(0, 0, 100, 50)) == 0


def test_a_map_that_is_weak_in_the_whole_box_leaves_its_spots():
    """Another animal in the photo is nearer, and the map is strong only there."""
    keypoints, box = np.array([[5, 5], [95, 45]]), (0, 0, 40, 50)
    two = ForegroundMap(np.array([[50, 50, 255, 255], [5, 50, 255, 255]], np.uint8), "classifier")
    weights = foreground_weights(keypoints, (100, 50), two, box=box)
    assert weights == pytest.approx([50 / 255, 1])
    assert (foreground_weights(keypoints, (100, 50), two, box=(0, 0, 60, 50)) > 0).tolist() == [False, True]
    assert (foreground_weights(keypoints, (100, 50), two) > 0).tolist() == [False, True]
    assert foreground_weights(np.array([[5, 45]]), (100, 50), two, box=box) == 0


def test_weights_of_many_photos_are_those_of_each_alone():
    rng = np.random.default_rng(5)
    evidences = ["burst", "station", "classifier and station", ""]
    maps = [
        None if n % 5 == 0 else ForegroundMap(rng.integers(0, 256, rng.integers(1, 30, 2), np.uint8), evidences[n % 4])
        for n in range(20)
    ]
    sizes, boxed = rng.integers(50, 4000, (20, 2)), rng.random(20) < 0.5
    photos = np.repeat(np.arange(20), rng.integers(0, 9, 20))
    keypoints = (rng.uniform(-0.1, 1.1, (len(photos), 2)) * sizes[photos]).astype(np.float32)
    boxes = [(0, 0, w // 2, h) if inside else None for inside, (w, h) in zip(boxed, sizes.tolist(), strict=True)]
    together = foreground_weights_of(keypoints, photos, sizes, maps, boxes)
    assert together.dtype == np.float32
    for n in range(20):
        alone = foreground_weights(keypoints[photos == n], tuple(sizes[n]), maps[n], box=boxes[n])
        assert (together[photos == n] == alone).all()
    assert foreground_weights_of(keypoints[:0], photos[:0], sizes[:0], [], []).shape == (0,)


def test_a_taught_classifier_that_is_gone_is_told_and_the_command_says_how_to_choose_another(tmp_path, monkeypatch):
    network = drawn_classifier.write(tmp_path / "made.onnx")
    monkeypatch.setattr("snowmatch.screening.classifiers.efficientnet_lite0.find_weights", lambda name: network)
    folder, taught = tmp_path / "catalog", tmp_path / "ours.npz"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8)).save(folder / f"{n}.png")
    (folder / "2.png").rename(tmp_path / "query.png")
    (folder / "catalog.csv").write_text('path,individual,bbox\n0.png,aika,"0,0,60,60"\n1.png,bars,"0,0,60,60"\n')
    save_head(taught, Head(("fox", "nothing"), np.zeros((2, FEATURES)), np.zeros(2)))
    catalog = snowmatch.open_catalog(folder, classifier=str(taught))
    catalog.index("sift", workers=1)
    taught.unlink()  # as on another computer
    answer = snowmatch.open_catalog(folder).query(tmp_path / "query.png", bbox=(0, 0, 60, 60))
    assert len(answer.candidates) == 2
    (note,) = [note for note in answer.notes if note.code == "classifier-gone"]
    assert str(taught) in note.text
    assert advice(note.code, note.data) == f"snowmatch index {folder} --classifier auto, or --classifier FILE.npz"
    with pytest.raises(SnowmatchError, match="does not exist") as refused:
        snowmatch.open_catalog(folder).index("sift", workers=1)
    told = "snowmatch index CATALOG --classifier auto, or --classifier FILE.npz"
    assert advice(refused.value.code, refused.value.data) == told
    snowmatch.open_catalog(folder, classifier="none").index("sift", workers=1)
    answer = snowmatch.open_catalog(folder).query(tmp_path / "query.png", bbox=(0, 0, 60, 60))
    assert "classifier-gone" not in [note.code for note in answer.notes]
