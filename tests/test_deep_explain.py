"""Grad-CAM beside matched spots: the heat of networks with a known answer, the choice of pairs, and the page."""

import importlib
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from snowmatch.api import open_catalog
from snowmatch.confidence.trial import make_trial
from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation
from snowmatch.demo.survey import make_survey
from snowmatch.identify.answer import Candidate
from snowmatch.matching.gallery import Gallery
from snowmatch.views.side_by_side import BACKGROUND

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")
pytest.importorskip("captum")
weights = importlib.import_module("embedding.weights")
try:
    weights.packages("deep")
except SnowmatchError as error:
    pytest.skip(str(error), allow_module_level=True)
answers = importlib.import_module("deep.answers")
explain = importlib.import_module("deep.explain")
gradcam = importlib.import_module("deep.gradcam")
pictures = importlib.import_module("deep.pictures")
inputs = importlib.import_module("embedding.inputs")
networks = importlib.import_module("embedding.networks")

SMALL = inputs.Shape(64, 64)


class Bright(torch.nn.Module):
    """A network with two maps: how bright and how dark each square of 16 px is. The embedding is their means."""

    def __init__(self):
        super().__init__()
        self.shape = SMALL
        self.maps = torch.nn.Conv2d(3, 2, 16, stride=16)
        with torch.no_grad():
            self.maps.weight[0], self.maps.weight[1] = 1 / 768, -1 / 768
            self.maps.bias[:] = torch.tensor([0.0, 1.0])

    def forward(self, values):
        return self.maps(values).mean(dim=(2, 3))

    def last_maps(self):
        return self.maps


def patch(row, column):
    """Return a black image, (1, 3, 64, 64), with a white square of 16 px."""
    values = torch.zeros(1, 3, 64, 64)
    values[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 1
    return values


def four_scores():
    """Return a trial and scores of 0: two animals with two encounters each, and one with one. A photo each."""
    names = ("ann", "ann", "bob", "bob", "cid")
    trial = make_trial(
        [Annotation(i, f"{i}.jpg", n, encounter=f"e{i}") for i, n in enumerate(names)], "cross-encounter"
    )
    return trial, np.zeros((5, 5))


def pair(query, individual, photo, other, similarity):
    return answers.Pair(
        query, Annotation(query, f"{query}.jpg", individual), Annotation(photo, f"{photo}.jpg", other), similarity
    )


def rows(pairs):
    return [(p.query.row, p.photo.row) for p in pairs]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a small catalog that is not indexed."""
    folder = tmp_path_factory.mktemp("photos") / "catalog"
    make_survey(folder, individuals=3, stations=2, encounters=4, photos=(1, 1), seed=3, size=(640, 427), unidentified=1)
    return folder


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Return the file of a small network with random weights."""
    path = tmp_path_factory.mktemp("network") / "net.safetensors"
    network = networks.build("resnet18", 8, SMALL, networks.RANDOM, 0)
    networks.save_network(path, network, {"backbone": "resnet18", "dimensions": 8, "data": "<data>"})
    return path


def command(source, network, folder, *more):
    given = [str(source), "--network", str(network), "--work", str(folder / "work"), "--out", str(folder / "page")]
    explain.main([*given, "--threads", "1", "--device", "cpu", *more])


def state(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if not path.is_dir()}


# heat


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (3, 3)])
def test_grad_cam_is_highest_at_the_square_that_makes_photos_alike(row, column):
    heat = gradcam.grad_cam(Bright(), patch(row, column), torch.tensor([1.0, 0.0]))
    assert heat.shape == (64, 64)
    assert heat.dtype == np.float32
    assert (heat.min(), heat.max()) == (0, 1)
    brightest = np.unravel_index(heat.argmax(), heat.shape)
    assert (brightest[0] // 16, brightest[1] // 16) == (row, column)
    far = np.ones((64, 64), bool)  # without the neighbouring squares, which upsampling reaches
    far[max(16 * row - 16, 0) : 16 * row + 32, max(16 * column - 16, 0) : 16 * column + 32] = False
    assert not heat[far].any()


def test_grad_cam_is_low_at_the_bright_square_if_darkness_makes_photos_alike():
    heat = gradcam.grad_cam(Bright(), patch(1, 1), torch.tensor([0.0, 1.0]))
    assert heat[24, 24] < 0.1
    assert heat[56, 56] == 1


def test_grad_cam_is_zero_for_two_equal_photos():
    network = Bright()
    same = network(patch(2, 1))[0]
    assert not gradcam.grad_cam(network, patch(2, 1), same).any()


def test_grad_cam_computes_no_gradient_of_the_other_embedding():
    other = torch.tensor([1.0, 0.0], requires_grad=True)
    gradcam.grad_cam(Bright(), patch(0, 0), other)
    assert other.grad is None


def test_a_backbone_without_maps_is_refused():
    with pytest.raises(SnowmatchError, match="convolutional"):
        gradcam.check_maps(Bright(), torch.device("cpu"))
    tokens = networks.build("vit_tiny_patch16_224", 4, inputs.Shape(32, 32), networks.RANDOM, 0)
    with pytest.raises(SnowmatchError, match=r"gives \(1, 5, 192\)"):
        gradcam.check_maps(tokens.eval(), torch.device("cpu"))


def test_maps_of_every_compared_backbone_are_found():
    for name in networks.BACKBONES:
        network = networks.build(name, 4, inputs.Shape(128, 64), networks.RANDOM, 0).eval()
        assert gradcam.check_maps(network, torch.device("cpu")) == (2, 4)


def test_heat_is_drawn_only_where_it_is_above_zero():
    pixels = np.full((40, 80, 3), 100, np.uint8)
    heat = np.zeros((64, 64), np.float32)
    assert (pictures.overlay(pixels, heat) == pixels).all()
    heat[:, 48:] = 1
    shown = pictures.overlay(pixels, heat).astype(int)
    assert shown.shape == pixels.shape
    assert (shown[:, :58] == 100).all()
    assert (shown[:, 62:, 0] > shown[:, 62:, 2] + 50).all()  # red


# choice of pairs


def test_the_best_pair_of_a_query_has_the_highest_allowed_score():
    trial, scores = four_scores()
    scores[0, [1, 2]] = 0.9, 0.8
    scores[1, [0, 4]] = 0.2, 0.3
    scores[2, [2, 3]] = 1.0, 0.5  # the photo itself is not an answer
    scores[3, [0, 2]] = 0.7, 0.7  # in a tie, the wrong photo is first
    scores[4, 0] = 0.95  # no photo can be right, so there is no pair
    pairs = answers.best_pairs(trial, scores)
    assert rows(pairs) == [(0, 1), (1, 4), (2, 3), (3, 0)]
    assert [p.right for p in pairs] == [True, False, True, False]
    assert [p.similarity for p in pairs] == [0.9, 0.3, 0.5, 0.7]


def test_without_an_individual_in_two_encounters_there_are_no_pairs():
    trial = make_trial([Annotation(i, f"{i}.jpg", n, encounter=f"e{i}") for i, n in enumerate("ab")], "cross-encounter")
    assert answers.best_pairs(trial, np.ones((2, 2))) == []
    assert answers.choose([], 3) == []


def test_the_most_similar_pairs_of_each_individual_are_chosen():
    pairs = [
        pair(0, "ann", 1, "ann", 0.99),
        pair(1, "ann", 0, "ann", 0.99),  # the same two photos
        pair(2, "ann", 3, "ann", 0.98),
        pair(4, "bob", 5, "bob", 0.5),
        pair(6, "cid", 7, "cid", 0.7),
        pair(8, "ann", 4, "bob", 0.6),
        pair(9, "bob", 0, "ann", 0.8),
    ]
    assert rows(answers.choose(pairs, 2)) == [(0, 1), (6, 7), (9, 0), (8, 4)]
    assert rows(answers.choose(pairs, 3)) == [(0, 1), (6, 7), (4, 5), (9, 0), (8, 4)]
    assert rows(answers.choose(pairs, 9)) == [(0, 1), (2, 3), (6, 7), (4, 5), (9, 0), (8, 4)]
    assert answers.choose(pairs[::-1], 9) == answers.choose(pairs, 9)


def test_frames_of_a_burst_are_chosen_last():
    burst = [pair(row, "ann", 9, "ann", 0.9 - row / 100) for row in range(3)]
    burst = [replace(p, query=replace(p.query, encounter="e1"), photo=replace(p.photo, encounter="e2")) for p in burst]
    others = [pair(5, "ann", 6, "ann", 0.4), pair(7, "bob", 8, "bob", 0.3)]
    assert rows(answers.choose([*burst, *others], 3)) == [(0, 9), (5, 6), (7, 8)]
    assert rows(answers.choose([*burst, *others], 4)) == [(0, 9), (1, 9), (5, 6), (7, 8)]


# the command


@pytest.fixture(scope="module")
def written(photos, untrained, tmp_path_factory):
    """Return a folder with the page of the photos and its work folder. The page replaces an older one."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "page" / "pictures").mkdir(parents=True)
    for name in ("77-wrong.jpg", "mine.jpg"):
        (folder / "page" / "pictures" / name).write_bytes(b"x")
    before = state(photos)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        command(photos, untrained, folder, "--pairs", "2")
    assert state(photos) == before
    return folder


def test_the_command_writes_only_pictures_and_a_page(written):
    assert sorted(path.name for path in written.iterdir()) == ["page", "work"]
    assert sorted(path.name for path in (written / "page").iterdir()) == ["index.html", "pictures"]
    names = sorted(path.name for path in (written / "page" / "pictures").iterdir())
    assert "77-wrong.jpg" not in names
    names.remove("mine.jpg")
    assert set(names) <= {"01-right.jpg", "02-right.jpg", "01-wrong.jpg", "02-wrong.jpg"}
    assert "01-wrong.jpg" in names
    for name in names:
        with Image.open(written / "page" / "pictures" / name) as picture:
            assert not picture.getexif()
            pixels = np.asarray(picture).astype(int)
        assert 1000 < pixels.shape[1] < 2000
        # both rows have photos: each quarter has pixels that differ from the background
        filled = np.abs(pixels - BACKGROUND).sum(axis=2) > 60
        for half in (filled[: len(filled) // 3], filled[len(filled) // 2 :]):
            assert half[:, : half.shape[1] // 2].mean() > 0.05
            assert half[:, half.shape[1] // 2 :].mean() > 0.05
    text = (written / "page" / "index.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r'src="pictures/([^"]+)"', text)) == names
    assert all((written / "page" / link).is_file() for link in re.findall(r'(?:src|href)="([^#"]+)"', text))
    for absent in ("<script", "http", "<data>", str(written)):
        assert absent not in text
    assert "net.safetensors: resnet18, trained on &lt;data&gt;" in text
    assert {path.suffix for path in (written / "work").rglob("*") if path.is_file()}.isdisjoint({".jpg", ".png"})


# the answer of snowmatch


@pytest.fixture(scope="module")
def indexed(written):
    """Return the trial on the command's own catalog, and the gallery, matcher and geometry for `ask`."""
    catalog = open_catalog(next((written / "work" / "datasets").iterdir()))
    return make_trial(catalog.data.annotations, explain.PROTOCOL), explain.index(catalog, "hesaff", 1)


def test_snowmatch_answers_about_the_same_pair(indexed):
    trial, method = indexed
    own = trial.own() & trial.allowed
    verified = 0
    for n in np.flatnonzero(own.any(axis=1)):
        for column in np.flatnonzero(own[n]):
            query, photo = (trial.annotations[row] for row in (trial.queries[n], trial.gallery[column]))
            seen = answers.ask(trial, answers.Pair(int(n), query, photo, 0.5), *method)
            match = seen.candidate
            assert match.best == photo
            assert len(match.weights) == len(match.keypoints0) == len(match.keypoints1) == match.inliers
            assert match.accepted == (match.inliers > 0)
            assert (match.rank == 1) == (seen.best == photo)
            assert seen.right or match.rank > 1
            if match.accepted:
                assert match.weights.sum() == pytest.approx(match.score, rel=1e-4)
            verified += match.accepted
    assert verified


def test_a_photo_that_was_not_indexed_has_no_match(indexed):
    trial, (gallery, matcher, geometry) = indexed
    bare = Gallery((), (), gallery.reader, gallery.index_folder, gallery.extractor_key)
    first = answers.best_pairs(trial, np.where(trial.own(), 1.0, 0.0))[0]
    seen = answers.ask(trial, first, bare, matcher, geometry)
    assert (seen.best, seen.right, seen.candidate.accepted) == (None, False, False)
    assert seen.candidate.rank == seen.answering > 0


# errors


def test_bad_input_raises_an_error(photos, untrained, tmp_path):
    with pytest.raises(SnowmatchError, match="pairs is 0"):
        command(photos, untrained, tmp_path, "--pairs", "0")
    with pytest.raises(SnowmatchError, match="does not load"):
        command(photos, tmp_path / "none.safetensors", tmp_path)
    with pytest.raises(SnowmatchError, match="no key 'everything'"):
        command(f"{photos},everything=2", untrained, tmp_path)
    with pytest.raises(SnowmatchError, match="no answer can be right"):
        command(f"{photos},first=2", untrained, tmp_path)
    with pytest.raises(SnowmatchError, match="hesaf"):
        command(photos, untrained, tmp_path, "--extractor", "hesaf")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "catalog.csv").write_text("path,individual\na/a.jpg,A\na/b.jpg,A\n", encoding="utf-8")
    with pytest.raises(SnowmatchError, match=r"a\.jpg"):
        command(tmp_path / "bare", untrained, tmp_path)
    (tmp_path / "page").write_text("a file", encoding="utf-8")
    with pytest.raises(SnowmatchError, match="cannot write"):
        explain.write(tmp_path / "page", ["x"], [])


def test_names_are_escaped_on_the_page():
    odd = pair(0, "<i>A</i>", 1, 'B & "C"\u202e', 0.5)
    none = np.zeros((0, 2))
    match = Candidate(3, None, 0.0, 0, False, True, odd.photo, 0, none, none, *[none[:, 0]] * 3)
    text = pictures.page(["<title>"], [(odd, answers.Seen(match, odd.photo, False, False, 9), "01-wrong.jpg")])
    for raw in ("<i>", "<title><title>", '"C"', "\u202e"):
        assert raw not in text
    assert "&lt;i&gt;A&lt;/i&gt;" in text
    assert "no verified match" in text
    assert "(unverified), wrong" in text
    assert "Wrong best answers (1)" in text
    assert "Right best answers (0)" in pictures.page([], [])
