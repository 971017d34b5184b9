"""Training LightGlue: true matches, training, continuing after a stop, held-out individuals."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
from held_out import divide
from lightglue import views as views_module
from lightglue.views import Truth, View, mutual_matches, strangers, truth, verified, views_of, warped_view
from lightglue.warps import Warp
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.plugins import make_plugin, settings
from snowmatch.core.types import Annotation, Features
from snowmatch.demo.survey import make_survey

torch = pytest.importorskip("torch")
kornia = pytest.importorskip("kornia.feature")
safetensors = pytest.importorskip("safetensors")
network = importlib.import_module("lightglue.network")
examples_module = importlib.import_module("lightglue.examples")
training_module = importlib.import_module("lightglue.train")
judge = importlib.import_module("lightglue.judge")
command = importlib.import_module("lightglue.command")
Training = importlib.import_module("lightglue.settings").Training

TINY = Training(keypoints=64, layers=2, dim=16, steps=8, batch=2, rate=3e-3, warps=1)


class Grid:
    """Replaces an extractor: a keypoint on every eighth pixel; its descriptor is the pixel's colour."""

    REVISION, CHANNELS, DIMENSION, DTYPE, FRAMES = 1, "rgb", 3, np.uint8, False
    chip_size = 160

    def extract(self, chip):
        h, w = chip.pixels.shape[:2]
        x, y = (c.ravel() for c in np.meshgrid(np.arange(4, w, 8), np.arange(4, h, 8)))
        if chip.mask is not None:
            x, y = x[chip.mask[y, x]], y[chip.mask[y, x]]
        ones = np.ones(len(x), np.float32)
        points = np.stack([x, y], axis=1).astype(np.float32)
        return Features(points, chip.pixels[y, x], ones, 4 * ones, 0 * ones, None, (w, h))


def random_view(seed, n=80, size=(300, 200), dimension=128):
    random = np.random.default_rng(seed)
    places = (random.random((n, 2)) * size).astype(np.float32)
    shapes = np.tile(np.array([[4, 0, 4]], np.float32), (n, 1))
    ones = np.ones(n, np.float32)
    return View(places, random.random((n, dimension), np.float32), 8 * ones, 0 * ones, shapes, places, np.array(size))


def moved(view, shift, seed):
    """Return the same keypoints in another order, at other pixels, with slightly different descriptors."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(view))
    descriptors = view.descriptors + random.normal(0, 0.1, view.descriptors.shape).astype(np.float32)
    changed = replace(view, keypoints=view.keypoints + np.array(shift, np.float32), descriptors=descriptors)
    return View(
        **{f: getattr(changed, f)[order] for f in ("keypoints", "descriptors", "scales", "oris", "shapes", "places")},
        size=view.size,
    )


def pairs_of(seed):
    view = random_view(seed)
    return examples_module.Example(view, moved(view, (3, -2), seed + 1000))


def two_pairs(step):
    return [pairs_of(step % 2), pairs_of(2)]


# the truth of a pair


@pytest.mark.parametrize(
    ("homography", "bend", "point", "back"),
    [
        ([[0.5, 0, 3], [0, 0.5, 4], [0, 0, 1]], (0, 0), (10, 20), (8, 14)),
        ([[0.5, 0, 3], [0, 0.5, 4], [0, 0, 1]], (1, -2), (10, 20), (9, 12)),
        ([[0, -1, 60], [1, 0, 0], [0, 0, 1]], (0, 0), (10, 20), (40, 10)),  # a quarter turn
        ([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]], (0, 0), (100, 50), (50, 25)),
    ],
)
def test_a_warp_maps_back_to_the_photo(homography, bend, point, back):
    warp = Warp(np.array(homography, float), np.full((8, 8, 2), bend, np.float32), (100, 80))
    assert warp.back(np.array([point])) == pytest.approx(np.array([back]), abs=1e-4)


def test_bending_depends_on_the_place():
    bend = np.zeros((11, 11, 2), np.float32)
    bend[:, 5:, 0] = 4  # cells of 10 px: from the middle column to the right
    warp = Warp(np.eye(3), bend, (100, 100))
    points = np.array([[20, 50], [45, 50], [70, 50]])
    assert warp.back(points)[:, 0] == pytest.approx([20, 47, 74], abs=0.1)


def test_truth_of_a_known_homography():
    """View 1 shows view 0 at twice the size: places of its keypoints are half their pixels, by hand."""
    warp = Warp(np.diag([0.5, 0.5, 1]), np.zeros((4, 4, 2), np.float32), (200, 200))
    places0 = np.array([[10, 10], [50, 50], [90, 10], [150, 150], [np.nan, np.nan]])
    #     2 px from the first; 5 px from the second: not judged; nothing near; off the animal
    places1 = warp.back(np.array([[24, 20], [100, 110], [398, 40], [300, 300]]))
    places1[3] = np.nan
    known = truth(places0, places1)
    assert known.matches.tolist() == [[0, 0]]
    assert known.none0.tolist() == [False, False, True, True, True]
    assert known.none1.tolist() == [False, False, True, True]


def test_only_mutually_nearest_keypoints_match():
    known = truth(np.array([[0.0, 0], [2, 0]]), np.array([[1.5, 0]]))
    assert known.matches.tolist() == [[1, 0]]
    assert not known.none0.any()


def test_truth_without_keypoints():
    known = truth(np.zeros((0, 2)), np.array([[1.0, 1]]))
    assert (known.matches.shape, known.none0.shape, known.none1.tolist()) == ((0, 2), (0,), [True])


@pytest.mark.parametrize("seed", range(4))
def test_places_of_a_warped_view_are_the_origins_of_its_pixels(monkeypatch, seed):
    """Red and green of this photo are x and y, blue is 0, and the scenery is blue. So a colour is a place."""
    monkeypatch.setattr(views_module, "relight", lambda random, pixels: pixels)
    y, x = np.mgrid[0:200, 0:250].astype(np.uint8)
    photo = np.stack([x, y, np.zeros_like(x)], axis=2)
    mask = (x - 125.0) ** 2 / 90**2 + (y - 100.0) ** 2 / 70**2 < 1
    scenery = np.full((64, 64, 3), (0, 0, 255), np.uint8)
    box = (25, 20, 200, 160)
    view = warped_view(Grid(), photo, box, mask, scenery, np.random.default_rng(seed))
    known = ~np.isnan(view.places[:, 0])
    assert known.sum() > 30
    colour = view.descriptors.astype(float)
    back = view.places * max(box[2:]) / views_module.CHIP + box[:2]
    clear = known & (colour[:, 2] < 1)  # not on the soft edge of an occlusion
    assert clear.sum() > 0.9 * known.sum()
    assert np.abs(back[clear] - colour[clear, :2]).max() < 2
    assert not known[colour[:, 2] > 200].any()  # hidden, or scenery


def test_a_photo_without_a_mask_has_places_only_inside_its_box(monkeypatch):
    monkeypatch.setattr(views_module, "relight", lambda random, pixels: pixels)
    photo = np.zeros((200, 300, 3), np.uint8)
    view = warped_view(Grid(), photo, (100, 50, 100, 100), None, photo, np.random.default_rng(1))
    known = view.places[~np.isnan(view.places[:, 0])] / views_module.CHIP * 100
    assert len(known)
    assert known.min() >= 0
    assert known.max() <= 99


def test_the_truth_of_two_photos_of_one_animal():
    view = random_view(0)
    other = moved(view, (40, 0), 1)
    known = verified(view, other)
    there = np.argmax((other.places[None] == view.places[:, None]).all(axis=2), axis=1)
    assert len(known.matches) > 70
    assert (there[known.matches[:, 0]] == known.matches[:, 1]).all()
    assert not known.none0[known.matches[:, 0]].any()
    cut = views_module.strongest(other, 40)  # without half of the keypoints, some have nothing near
    known = verified(view, cut)
    gone = ~np.isin(np.arange(len(view)), known.matches[:, 0])
    assert known.none0[gone].any()
    assert verified(view, random_view(5)) is None


def test_different_animals_have_no_matches():
    known = strangers(random_view(0), random_view(1, n=70))
    assert (len(known.matches), known.none0.sum(), known.none1.sum()) == (0, 80, 70)


def test_mutual_matches_pass_the_ratio_test_in_both_directions():
    corner = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    view0 = replace(random_view(0, n=2), descriptors=corner)
    view1 = replace(random_view(0, n=2), descriptors=np.array([[0, 0.999, 0.04], [0.7, 0, 0.7]], np.float32))
    matches, weights = mutual_matches(view0, view1)
    assert matches.tolist() == [[0, 1], [1, 0]]
    assert weights == pytest.approx([1 - 0.765 / np.sqrt(2), 1 - 0.0403 / np.sqrt(2)], abs=0.01)
    # in this direction nothing else is near; in the other one the 2nd-nearest is nearly as near
    twins = replace(view0, descriptors=np.array([[1, 0, 0], [1, 0.021, 0]], np.float32))
    other = replace(view1, descriptors=np.array([[1, 0.01, 0], [0, 0, 1]], np.float32))
    assert len(mutual_matches(twins, other)[0]) == len(mutual_matches(other, twins)[0]) == 0


# the network


def test_loss_of_a_small_assignment_by_hand():
    scores = torch.full((3, 3), -9.0)
    scores[0, 1], scores[1, 2], scores[2, 0] = -0.5, -1.0, -3.0
    known = Truth(np.array([[0, 1]]), np.array([False, True]), np.array([True, False]))
    assert training_module.pair_loss(scores, known).item() == pytest.approx(0.5 + 1.0 / 2 + 3.0 / 2)
    longer = Truth(np.array([[0, 1], [2, 0]]), np.array([False, True, True]), np.array([True, False]))
    assert training_module.pair_loss(scores, longer).item() == pytest.approx(2.5)  # its third keypoint was cut off
    two = Truth(np.array([[0, 1], [1, 0]]), np.zeros(2, bool), np.zeros(2, bool))
    assert training_module.pair_loss(scores, two).item() == pytest.approx((0.5 + 9) / 2)
    nothing = Truth(np.zeros((0, 2), int), np.zeros(2, bool), np.zeros(2, bool))
    assert training_module.pair_loss(scores, nothing).item() == 0


def test_inputs_of_the_network_by_hand():
    view = random_view(0, n=2)
    view = replace(
        view,
        keypoints=np.array([[10, 20], [-0.3, 201]], np.float32),
        descriptors=np.tile(np.array([[3, 4]], np.uint8), (2, 1)),
        scales=np.array([150, 300], np.float32),
    )
    inputs = network.network_inputs([view])
    assert inputs["keypoints"].tolist() == [[[10, 20], [0, 200]]]
    assert inputs["descriptors"][0, 0].tolist() == pytest.approx([0.6, 0.8])
    assert inputs["scales"].tolist() == [[5, 6]]
    assert inputs["image_size"].tolist() == [[300, 200]]


def start():
    return network.build(TINY, random_view(9, n=300).unit_descriptors)


def test_training_and_inference_compute_the_same():
    net = start().eval()
    pair = pairs_of(0)
    sides = [network.network_inputs([v]) for v in (pair.view0, pair.view1)]
    with torch.inference_mode():
        ours = network.assignments(net, *sides)
        theirs = net(dict(zip(("image0", "image1"), sides, strict=True)))["log_assignment"]
    assert len(ours) == TINY.layers
    assert torch.equal(ours[-1], theirs)


def test_training_reduces_the_loss_and_does_not_change_unused_weights(tmp_path):
    net = start()
    before = training_module.batch_loss(net, two_pairs(0), "cpu").item()
    unused = net.token_confidence[0].token[0].weight.clone()
    training_module.train(net, two_pairs, replace(TINY, steps=20), tmp_path / "c.safetensors", "cpu")
    assert training_module.batch_loss(net, two_pairs(0), "cpu").item() < 0.8 * before
    assert torch.equal(net.token_confidence[0].token[0].weight, unused)


def test_a_continued_training_gives_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(training_module, "SAVE_EVERY", 3)
    whole = start()
    recorded = training_module.train(whole, two_pairs, TINY, tmp_path / "whole.safetensors", "cpu")

    def stopped(step):
        if step == 5:
            raise KeyboardInterrupt
        return two_pairs(step)

    checkpoint = tmp_path / "stopped.safetensors"
    with pytest.raises(KeyboardInterrupt):
        training_module.train(start(), stopped, TINY, checkpoint, "cpu")
    again, asked = start(), []
    resumed = training_module.train(again, lambda s: asked.append(s) or two_pairs(s), TINY, checkpoint, "cpu")
    assert asked == [3, 4, 5, 6, 7]
    assert resumed["losses"] == recorded["losses"]
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_the_learning_rate_rises_and_falls():
    training = replace(TINY, steps=100, rate=1.0)
    rates = [training_module.learning_rate(step, training) for step in range(100)]
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates[52] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 0.001


def test_the_written_file_has_kornias_names_and_gives_the_same_matches(tmp_path):
    net = start().eval()
    extractor = make_plugin("extractors", "hesaff", {"threshold": "4"})
    path = tmp_path / "coat.safetensors"
    network.save_network(path, net, TINY, extractor)
    with safetensors.safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["snowmatch"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    assert described == {
        "input_dim": 128,
        "descriptor_dim": 16,
        "num_heads": 1,
        "n_layers": 2,
        "add_scale_ori": True,
        "keypoints": 64,
        "extractor": settings(extractor),
    }
    shape = {k: described[k] for k in ("input_dim", "descriptor_dim", "num_heads", "n_layers", "add_scale_ori")}
    loaded = kornia.LightGlue(None, **shape, depth_confidence=-1, width_confidence=-1)
    missing = loaded.load_state_dict(tensors, strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == (["confidence_thresholds"], [])
    pair = pairs_of(0)
    expected = network.network_matcher(net)(pair.view0, pair.view1)
    assert len(expected[0]) > 20
    for other in (loaded.eval(), network.load_network(path)):
        found = network.network_matcher(other)(pair.view0, pair.view1)
        assert np.array_equal(found[0], expected[0])
        assert found[1] == pytest.approx(expected[1], abs=1e-6)


# figures


def perfect(view0, view1):
    matches = truth(view0.places, view1.places).matches
    return matches, np.ones(len(matches))


def test_precision_and_recall_by_hand():
    places = np.array([[10, 10], [50, 50], [90, 90], [130, 10]], np.float32)
    view0 = replace(random_view(0, n=4), places=places)
    view1 = replace(view0, places=places + np.array([[1, 0], [5, 0], [20, 20], [0, 2]], np.float32))
    animals = examples_module.Animals((), ((view0, view1),))

    def match(a, b):  # right, not judged, wrong; the fourth is not found
        return np.array([[0, 0], [1, 1], [2, 2]]), np.array([0.9, 0.5, 0.6])

    figures = {"precision": 0.5, "recall": 0.5, "recall_at_precision": 0.5, "pairs": 1}
    assert judge.judge_warped(match, animals) == figures
    weighed = judge.judge_warped(lambda a, b: (match(a, b)[0], np.array([0.5, 0.6, 0.9])), animals)
    assert weighed == figures | {"recall_at_precision": 0}
    every = {"precision": 1, "recall": 1, "recall_at_precision": 1, "pairs": 1}
    assert judge.judge_warped(perfect, animals) == every
    none = judge.judge_warped(lambda a, b: (np.zeros((0, 2), int), np.zeros(0)), animals)
    assert none == dict.fromkeys(every, 0) | {"pairs": 1}


def test_identification_by_hand():
    coats = [random_view(0), random_view(1)]
    coats.append(replace(coats[0], keypoints=coats[0].keypoints[::-1]))  # same spots, other places: another animal
    named = [("a", "e1", 0), ("b", "e2", 1), ("a", "e3", 0), ("a", "e3", 0), ("b", "e4", 1), ("c", "e5", 2)]
    annotations = tuple(
        Annotation(10 + i, "x.jpg", name, "left_flank", encounter=e) for i, (name, e, _) in enumerate(named)
    )
    random = np.random.default_rng(0)
    jitter = (random.normal(0, 2, (80, 2)).astype(np.float32) for _ in named)  # px; 14 px are tolerated
    views = tuple(
        (replace(coats[n], keypoints=coats[n].keypoints + by),) for (_, _, n), by in zip(named, jitter, strict=True)
    )
    animals = examples_module.Animals(annotations, views)
    right = judge.identify(mutual_matches, animals, "mutual")
    assert (right["photo_top_1"], right["queries"], right["pairs"]) == (1, 5, 14)
    blind = judge.identify(lambda a, b: (np.zeros((0, 2), int), np.zeros(0)), animals, "none")
    assert blind["photo_top_1"] == 0


# data


def test_held_out_individuals_are_never_learned_from(tmp_path, monkeypatch):
    """A whole small run: the data of the training, and the record of it."""
    make_survey(tmp_path / "survey", individuals=5, stations=2, encounters=3, photos=(1, 1), seed=1, size=(480, 320))
    learned = []

    class Watched(examples_module.Examples):
        def __init__(self, animals, training):
            super().__init__(animals, training)
            learned.extend(animals.annotations)
            self.known = {id(v) for views in animals.views for v in views}

        def __call__(self, step):
            drawn = super().__call__(step)
            assert all(id(v) in self.known for e in drawn for v in (e.view0, e.view1))
            return drawn

    monkeypatch.setattr(command, "Examples", Watched)
    judged = []
    monkeypatch.setattr(
        command, "judge_warped", lambda m, seen: judged.extend(seen.annotations) or judge.judge_warped(m, seen)
    )
    out = tmp_path / "coat.safetensors"
    words = f"--catalog {tmp_path / 'survey'} --work {tmp_path / 'work'} --out {out} -o chip_size=160 --steps 2"
    words += " --keypoints 64 --layers 1 --dim 16 --batch 2 --warps 1"
    words += f" --test {tmp_path / 'survey'},first=6,name=again --report {tmp_path / 'report.json'}"
    command.main(words.split())
    assert len({a.individual for a in learned}) == 3
    assert len({a.individual for a in judged}) == 2
    assert not {a.individual for a in learned} & {a.individual for a in judged}
    result = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert result["individuals"] == {"trained on": 3, "held out": 2}
    assert set(result["measured"]) == {"held out", "again"}
    assert set(result["measured"]["held out"]) == {"trained", "untrained start", command.MUTUAL}
    assert str(tmp_path) not in json.dumps(result)
    json.dumps(result, allow_nan=False)
    assert out.stat().st_size < 1e6


def test_a_training_is_done_again_after_a_change_of_a_photo_a_mask_or_a_body_part(tmp_path, monkeypatch):
    folder = tmp_path / "survey"
    make_survey(folder, individuals=4, stations=2, encounters=2, photos=(1, 1), seed=1, size=(320, 240))
    asked = []

    def stop(net, examples, training, checkpoint, device):
        asked.append(checkpoint)
        raise KeyboardInterrupt

    def checkpoint():
        with pytest.raises(KeyboardInterrupt):
            command.main(words.split())
        return asked[-1]

    monkeypatch.setattr(command, "train", stop)
    words = f"--catalog {folder} --work {tmp_path / 'work'} --out {tmp_path / 'o.safetensors'} -o chip_size=160"
    words += " --keypoints 64 --layers 1 --dim 16 --warps 1"
    first = checkpoint()
    assert checkpoint() == first
    learned, _ = divide(command.open_catalog(folder).data.annotations, Training().held_out, Training().seed)
    seen = {first}
    for name in (learned[0].path, learned[0].mask):
        with Image.open(folder / name) as image:
            changed = image.rotate(180)
        changed.save(folder / name)
        seen.add(checkpoint())
    table = folder / "catalog.csv"
    table.write_text(table.read_text().replace("left_flank", "right_flank"))
    seen.add(checkpoint())
    assert len(seen) == 4


def test_individuals_are_divided_into_two_sides():
    annotations = [Annotation(i, "x", None if i == 8 else "abcdefgh"[i]) for i in range(9)]
    learned, held_out = divide(annotations, 0.25, 0)
    assert (len(learned), len(held_out)) == (6, 2)  # the unnamed animal could be any of them
    assert divide(annotations, 0.25, 0) == (learned, held_out)
    assert {divide(annotations, 0.25, s)[1][0].individual for s in range(9)} != {"a"}
    with pytest.raises(SnowmatchError, match="3 individuals are too few"):
        divide(annotations[:3], 0.25, 0)


def test_pairs_have_the_right_kind():
    coats = [random_view(i) for i in range(2)]
    annotations, views = [], []
    for i, (name, encounter) in enumerate([("a", "1"), ("a", "2"), ("b", "3"), ("a", "1")]):
        annotations.append(Annotation(i, "x", name, "left_flank", encounter=encounter))
        coat = coats["ab".index(name)]
        views.append((moved(coat, (i, 0), i), moved(coat, (0, i), 10 + i)))
    annotations.append(Annotation(4, "x", "c", "right_flank", encounter="4"))  # the other flank has no pairs
    views.append((random_view(7),))
    examples = examples_module.Examples(examples_module.Animals(tuple(annotations), tuple(views)), TINY)
    assert examples.counts == {"warped": 4, "same": 2, "different": 3}
    owner = {id(v): a.individual for a, vs in zip(annotations, views, strict=True) for v in vs}
    drawn = [e for step in range(30) for e in examples(step)]
    assert len(drawn) == 60
    for e in drawn:
        same = owner[id(e.view0)] == owner[id(e.view1)]
        known = e.truth
        assert (len(known.matches) > 0) == same
        assert (known.none0.shape, known.none1.shape) == ((len(e.view0),), (len(e.view1),))
        places = e.view0.places[known.matches[:, 0]], e.view1.places[known.matches[:, 1]]
        assert np.array_equal(*places)
    again = examples_module.Examples(examples_module.Animals(tuple(annotations), tuple(views)), TINY)(7)
    assert [id(e.view0) for e in again] == [id(e.view0) for e in examples(7)]


def test_pairs_of_a_batch_have_similar_sizes_and_all_sizes_occur():
    annotations = tuple(Annotation(i, "x", str(i), "left_flank", encounter=str(i)) for i in range(16))
    views = tuple((views_module.strongest(random_view(i), 64 + i), random_view(i, n=64 + i)) for i in range(16))
    examples = examples_module.Examples(examples_module.Animals(annotations, views), TINY)
    sizes = [sorted(min(len(e.view0), len(e.view1)) for e in examples(step)) for step in range(examples_module.SORTED)]
    assert sizes != sorted(sizes)  # in random order
    assert max(sizes)[0] > min(sizes)[1] + 4
    flat = [size for batch in sorted(sizes) for size in batch]
    assert flat == sorted(flat)
    assert max(len(e.view0) for step in range(40) for e in examples(step)) == 79


def test_views_are_made_once(tmp_path, monkeypatch):
    make_survey(tmp_path, individuals=1, stations=1, encounters=2, photos=(1, 1), size=(480, 320))
    photos = sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "images").iterdir())
    a, b = (Annotation(i, path) for i, path in enumerate(photos))
    hesaff = make_plugin("extractors", "hesaff", {"chip_size": "160"})
    made, seconds = views_of(hesaff, tmp_path, a, b, 1, 0, tmp_path)
    assert len(made) == 2
    monkeypatch.setattr(views_module, "extract_from_photo", None)
    again, then = views_of(hesaff, tmp_path, a, b, 1, 0, tmp_path)
    assert then == seconds > 0
    for view0, view1 in zip(made, again, strict=True):
        assert np.array_equal(view0.descriptors, view1.descriptors)
        assert np.array_equal(view0.places, view1.places, equal_nan=True)
    with pytest.raises(TypeError):  # another seed needs other views
        views_of(hesaff, tmp_path, a, b, 1, 1, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("dim", 15), ("held_out", 1.0), ("keypoints", 10), ("steps", 0)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(SnowmatchError, match=f"{name} is {value}"):
        replace(TINY, **{name: value})


def test_the_engines_input_equals_the_input_in_training(plain_lightglue):
    """The matcher's input from a photo equals the input from the training's view."""
    from snowmatch.core.types import Subject
    from snowmatch.matching.matchers.lightglue import find_trained, side

    view = random_view(3, n=20)
    corner = np.array([40, 30], np.float32)
    features = Features(
        view.keypoints + corner, view.descriptors, view.scales, view.scales, view.oris, view.shapes, (900, 700)
    )
    told, _ = find_trained(str(plain_lightglue), {"name": "hesaff"})
    engine = side(Subject(features, (40, 30, 300, 200)), told, torch.device("cpu"))
    trained = network.network_inputs([view])
    assert engine.keys() == trained.keys()
    for name, tensor in trained.items():
        np.testing.assert_allclose(engine[name].numpy(), tensor.numpy(), atol=1e-4, err_msg=name)
