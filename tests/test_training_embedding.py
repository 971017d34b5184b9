"""Parts of deep models: losses by hand and compared with a library, batches, inputs, networks."""

import importlib
import json
import os
from dataclasses import replace
from math import asin, cos, exp, log, log1p, sin

import cv2
import numpy as np
import pytest
from embedding.weights import name_operators
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.types import Annotation

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
name_operators(torch)  # before timm: with some builds of torch its import needs this
timm = pytest.importorskip("timm")
pytest.importorskip("kornia")

from embedding import inputs, losses, networks
from embedding.batches import batches, flank_classes, singletons
from embedding.inputs import Augmentation, Shape, as_tensor, check_masks, normalised, read_input, read_inputs
from embedding.losses import CosFace, adaptive_margin, constant_margin, cosface_loss, triplet_loss
from embedding.networks import BACKBONES, RANDOM, build, load_network, save_network

SMALL = Shape(64, 64)


def on_circle(chords):
    """Return vectors of length 1, each `chord` away from the first; to the left if the chord is negative."""
    angles = [2 * asin(chord / 2) for chord in (0, *chords)]
    return torch.tensor([[cos(a), sin(a)] for a in angles], dtype=torch.float64)


# triplets


@pytest.mark.parametrize(
    ("chords", "labels", "expected"),
    [
        ((0.6, -0.7), [0, 0, 1], 0.1),  # 0.6 - 0.7 + 0.2; from the positive, the negative is far: about 1.2
        ((0.6, -0.7, -0.65), [0, 0, 1, 2], 0.125),  # the mean of 0.1 and 0.15
        ((0.6, -0.5), [0, 0, 1], 0),  # nearer than the positive: hard
        ((0.6, -0.9), [0, 0, 1], 0),  # further by more than the margin: easy
        ((0.6, -0.7, -0.5, -0.9), [0, 0, 1, 2, 3], 0.1),  # the hard and the easy one are ignored, not 0
        ((0.6, -0.7), [5, 5, 5], 0),  # one class only
        ((0.6, -0.7), [1, 2, 3], 0),  # three classes of one
    ],
)
def test_the_triplet_loss_by_hand(chords, labels, expected):
    vectors = on_circle(chords)
    assert triplet_loss(vectors, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-9)
    lengths = torch.linspace(0.5, 3, len(vectors), dtype=torch.float64)[:, None]
    assert triplet_loss(vectors * lengths, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-9)


def test_the_triplet_losss_margin_can_be_set():
    # 0.6 - 0.9 + 0.4 and, the other way round, 0.6 - 0.7 + 0.05 < 0
    assert triplet_loss(on_circle((0.6, -0.9)), torch.tensor([0, 0, 1]), 0.4).item() == pytest.approx(0.1)
    assert triplet_loss(on_circle((0.6, -0.7)), torch.tensor([0, 0, 1]), 0.05).item() == 0


def test_without_semi_hard_triplets_loss_and_gradients_are_0():
    embeddings = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = triplet_loss(embeddings, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert not embeddings.grad.any()


@pytest.mark.parametrize("seed", range(5))
def test_identical_embeddings_give_finite_gradients(seed):
    """After rounding, their squared distance is 0, or a little above or below 0."""
    one = torch.randn(16, generator=torch.Generator().manual_seed(seed))
    near = one + 0.1 * one.norm() * torch.eye(16)[3]
    embeddings = torch.stack([one, one, one, near]).requires_grad_()
    loss = triplet_loss(embeddings, torch.tensor([0, 0, 0, 1]))
    loss.backward()
    assert 0 < loss.item() < 0.2
    assert torch.isfinite(embeddings.grad).all()
    assert embeddings.grad[3].any()


@pytest.mark.parametrize("margin", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_triplets_agree_with_pytorch_metric_learning(seed, margin):
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner

    random = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.randint(5, (19,), generator=random), torch.tensor([7, 8])])  # two classes of one photo
    ours = torch.randn(21, 6, dtype=torch.float64, generator=random).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    loss = triplet_loss(ours, labels, margin)
    mined = TripletMarginMiner(margin=margin, type_of_triplets="semihard")(theirs, labels)
    expected = TripletMarginLoss(margin=margin)(theirs, labels, mined)
    assert len(mined[0]) > 20
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)


# CosFace


def test_the_adaptive_margin_by_hand():
    cosine = torch.tensor([0, 1, -1, 0.5, -0.5], dtype=torch.float64)
    # (1 - 0.25)^4 = 0.31640625
    shares = [1.1 / 1.1, 0.1 / 1.1, 0.1 / 1.1, 0.41640625 / 1.1, 0.41640625 / 1.1]
    assert adaptive_margin()(cosine).tolist() == pytest.approx([0.28 * share for share in shares])
    assert adaptive_margin(0.5)(cosine).tolist() == pytest.approx([0.5 * share for share in shares])


def test_the_constant_margin_is_the_same_at_every_angle():
    assert constant_margin()(torch.tensor([-1, 0, 0.5])).tolist() == pytest.approx([0.35] * 3)
    assert constant_margin(0.1)(torch.tensor([-1, 0, 0.5])).tolist() == pytest.approx([0.1] * 3)


@pytest.mark.parametrize(
    ("own", "margin", "shown"),
    [
        (0.8, constant_margin(0.1), 0.7),
        (0.2, constant_margin(0.5), -0.3),
        (0, adaptive_margin(0.28), -0.28),
        (1, adaptive_margin(0.28), 1 - 0.28 / 11),
        (-1, adaptive_margin(0.28), -1 - 0.28 / 11),
    ],
)
def test_cosface_by_hand(own, margin, shown):
    """Two classes: log(1 + e^(s x (other - (own - margin)))); the mean over two photos, one of each class."""
    cosines = torch.tensor([[own, 0.2], [0.2, own]], dtype=torch.float64)
    expected = log1p(exp(10 * (0.2 - shown)))
    assert cosface_loss(cosines, torch.tensor([0, 1]), margin, 10).item() == pytest.approx(expected)
    both = torch.cat([cosines, torch.tensor([[0.3, 0.3 - margin(torch.tensor(0.3)).item()]], dtype=torch.float64)])
    labels = torch.tensor([0, 1, 0])  # the third photo's logits are equal: log 2
    assert cosface_loss(both, labels, margin, 10).item() == pytest.approx((2 * expected + log(2)) / 3, abs=1e-6)


def test_cosface_does_not_change_its_scale_or_its_input():
    cosines = torch.tensor([[0.5, 0.45]], dtype=torch.float64)
    before = cosines.clone()
    loss = cosface_loss(cosines, torch.tensor([0]), constant_margin(0.06))
    assert loss.item() == pytest.approx(log1p(exp(64 * 0.01)))
    assert torch.equal(cosines, before)


def test_the_gradient_of_the_adaptive_margin():
    """The derivative of c - 0.28 ((1 - c^2)^4 + 0.1) / 1.1 is 1 + 0.28 x 8 c (1 - c^2)^3 / 1.1, times s (p - 1)."""
    cosines = torch.tensor([[0.5, 0.4]], dtype=torch.float64, requires_grad=True)
    cosface_loss(cosines, torch.tensor([0]), adaptive_margin(0.28), 4).backward()
    other = 1 / (1 + exp(4 * (0.5 - 0.28 * 0.41640625 / 1.1 - 0.4)))  # the other class's probability
    slope = 1 + 0.28 * 8 * 0.5 * 0.421875 / 1.1
    assert cosines.grad.tolist()[0] == pytest.approx([-4 * other * slope, 4 * other])


@pytest.mark.parametrize(("margin", "scale"), [(0.35, 64), (0.1, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_cosface_agrees_with_pytorch_metric_learning(seed, margin, scale):
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.losses import CosFaceLoss

    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(5, (12,), generator=random)
    vectors = 3 * torch.randn(12, 6, dtype=torch.float64, generator=random)
    ours = CosFace(6, 5, constant_margin(margin), scale).double()
    theirs = CosFaceLoss(5, 6, margin=margin, scale=scale)
    theirs.W.data = ours.weight.detach().T.clone()  # theirs has a class's direction in each column
    gradients = []
    for criterion, weight in ((ours, ours.weight), (theirs, theirs.W)):
        embeddings = vectors.clone().requires_grad_()
        loss = criterion(embeddings, labels)
        loss.backward()
        gradients.append((loss, embeddings.grad, weight.grad))
    (our_loss, our_slope, our_weight), (their_loss, their_slope, their_weight) = gradients
    assert our_loss.item() == pytest.approx(their_loss.item())
    torch.testing.assert_close(our_slope, their_slope)
    torch.testing.assert_close(our_weight, their_weight.T)


def test_cosface_accepts_vectors_and_directions_of_any_length():
    criterion = CosFace(4, 3, adaptive_margin())
    assert (criterion.scale, tuple(criterion.weight.shape)) == (64, (3, 4))
    random = torch.Generator().manual_seed(0)
    vectors, labels = torch.randn(5, 4, generator=random), torch.tensor([0, 1, 2, 0, 1])
    loss = criterion(vectors, labels)
    criterion.weight.data *= torch.tensor([[2.0], [0.5], [7]])
    assert criterion(vectors * 5, labels).item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_published_margins_and_scale():
    numbers = (losses.TRIPLET_MARGIN, losses.COSFACE_MARGIN, losses.ADAPTIVE_MARGIN, losses.SCALE)
    assert numbers == (0.2, 0.35, 0.28, 64)


# batches


def test_each_flank_is_a_class():
    individuals, parts = ["b", "a", "b", "a", "b"], ["left", "right", "right", "right", "left"]
    classes = flank_classes(individuals, parts)
    assert (classes.tolist(), classes.dtype) == ([1, 0, 2, 0, 1], np.int64)
    assert flank_classes([], []).shape == (0,)


def test_singletons_are_alone_in_their_class():
    alone = singletons(np.array([1, 0, 2, 0, 1]))
    assert (alone.tolist(), alone.dtype) == ([False, False, True, False, False], bool)
    assert singletons(np.zeros(0, np.int64)).shape == (0,)


photos = st.lists(st.tuples(st.sampled_from("aaaaabcdef"), st.sampled_from(["left", "right", "unknown"])), max_size=80)


@given(photos=photos, size=st.integers(8, 40), seed=st.integers(0, 9))
def test_every_photo_is_in_one_batch_chosen_by_the_seed(photos, size, seed):
    individuals, parts = [name for name, _ in photos], [part for _, part in photos]
    classes = flank_classes(individuals, parts)
    made = batches(individuals, classes, size, np.random.default_rng(seed))
    assert sorted(row for batch in made for row in batch) == list(range(len(photos)))
    assert all(len(batch) and batch.dtype == np.int64 for batch in made)
    assert len(made) == (max(1, round(len(photos) / size)) if photos else 0)
    again = batches(individuals, classes, size, np.random.default_rng(seed))
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in made]


def herd(left, right, animals):
    """Return names and classes of `animals` animals with `left` and `right` photos each, and the photos' flanks."""
    names = [f"animal {i}" for i in range(animals) for _ in range(left + right)]
    parts = (["left"] * left + ["right"] * right) * animals
    return names, flank_classes(names, parts), np.array(parts)


def test_groups_of_four_have_two_photos_of_each_flank():
    names, classes, parts = herd(4, 4, 6)
    made = batches(names, classes, 8, np.random.default_rng(0))
    assert len(made) == 6
    for batch in made:
        held = [(names[row], parts[row]) for row in batch]
        for name in {name for name, _ in held}:
            assert held.count((name, "left")) == held.count((name, "right")) == 2


def test_groups_have_one_flank_if_the_other_has_no_photos_left():
    names, classes, parts = herd(6, 2, 3)
    for batch in batches(names, classes, 8, np.random.default_rng(1)):
        for name in {names[row] for row in batch}:
            flanks = sorted(parts[row] for row in batch if names[row] == name)
            assert flanks in (["left", "left", "right", "right"], ["left"] * 4, ["left"] * 6 + ["right"] * 2)
    (lonely,) = batches(["a"] * 3, flank_classes(["a"] * 3, ["left", "right", "left"]), 8, np.random.default_rng(0))
    assert sorted(lonely) == [0, 1, 2]


def test_groups_have_pairs_if_there_are_three_flanks():
    names = ["a"] * 12 + ["b"] * 12
    parts = ["left", "right", "head"] * 8
    for batch in batches(names, flank_classes(names, parts), 8, np.random.default_rng(0)):
        held = [(names[row], parts[row]) for row in batch]
        assert all(held.count(flank) % 2 == 0 for flank in held)


def test_an_animals_photos_meet_others_in_other_epochs():
    random = np.random.default_rng(0)
    epochs = [batches(["a"] * 16, np.zeros(16, np.int64), 8, random) for _ in range(2)]
    assert {frozenset(batch) for batch in epochs[0]} != {frozenset(batch) for batch in epochs[1]}


def test_an_animal_with_many_photos_is_spread_over_the_batches():
    names = ["much seen"] * 200 + [f"animal {i // 4}" for i in range(80)]
    made = batches(names, flank_classes(names, ["left"] * 280), 32, np.random.default_rng(0))
    assert len(made) == 9
    assert {len(batch) for batch in made} <= {28, 32}
    assert {sum(names[row] == "much seen" for row in batch) for batch in made} <= {20, 24}  # 50 groups in 9 batches


def test_epochs_have_different_batches():
    names, classes, _ = herd(4, 4, 6)
    random = np.random.default_rng(0)
    first, second = (batches(names, classes, 16, random) for _ in range(2))
    assert [sorted(batch) for batch in first] != [sorted(batch) for batch in second]
    together = [{frozenset(names[row] for row in batch) for batch in epoch} for epoch in (first, second)]
    assert together[0] != together[1]


# inputs of networks


@pytest.fixture
def folder(tmp_path):
    """Photos of 96 x 64 px: noise.png, flat.png (one colour), red.png (its right third is blue); a mask, an ellipse."""
    random = np.random.default_rng(0)
    noise = cv2.resize(random.integers(0, 256, (16, 24, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
    red = np.full((64, 96, 3), (255, 0, 0), np.uint8)
    red[:, 64:] = (0, 0, 255)
    flat = np.full((64, 96, 3), (90, 120, 40), np.uint8)
    for name, pixels in (("noise", noise), ("red", red), ("flat", flat)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(ellipse()).save(tmp_path / "mask.png")
    return tmp_path


def ellipse():
    return cv2.ellipse(np.zeros((64, 96), np.uint8), (40, 30), (30, 20), 0, 0, 360, 255, -1)


def test_the_pixels_of_the_box_are_not_changed(folder):
    shown = read_input(folder, Annotation(0, "noise.png", bbox=(20, 10, 64, 32)), Shape(64, 32))
    photo = np.asarray(Image.open(folder / "noise.png"))
    assert np.array_equal(shown, photo[10:42, 20:84])
    red = read_input(folder, Annotation(0, "red.png"), Shape(48, 32))
    assert red.shape == (32, 48, 3)
    assert (red[0, 0].tolist(), red[-1, -1].tolist()) == ([255, 0, 0], [0, 0, 255])


@pytest.mark.parametrize("background", ["kept", "removed"])
@pytest.mark.parametrize(("channels", "depth"), [("rgb", 3), ("rgb+edges", 4), ("edges", 1)])
def test_channels_are_colours_edges_or_both(folder, channels, depth, background):
    noise = Annotation(0, "noise.png", mask="mask.png")
    shape = Shape(80, 40, channels, background)
    shown = read_input(folder, noise, shape)
    assert (shown.shape, shown.dtype, shape.depth) == ((40, 80, depth), np.uint8, depth)
    both = read_input(folder, noise, Shape(80, 40, "rgb+edges", background))
    assert np.array_equal(shown, {"rgb": both[:, :, :3], "rgb+edges": both, "edges": both[:, :, 3:]}[channels])


def test_edges_are_where_colours_change(folder):
    edges = read_input(folder, Annotation(0, "red.png"), Shape(96, 64, "edges"))[:, :, 0]
    assert set(np.unique(edges)) == {0, 255}
    assert np.all((edges == 255).sum(axis=1) == 1)  # a line, one pixel wide
    assert np.abs(np.nonzero(edges)[1] - 63.5).max() < 2
    assert not read_input(folder, Annotation(0, "flat.png"), Shape(96, 64, "edges")).any()


def test_faint_edges_count_like_strong_ones(folder):
    """Grey values are equalised first: a step of three grey values is the strongest edge of the photo."""
    faint = np.full((64, 96, 3), 100, np.uint8)
    faint[:, 48:] = 103
    Image.fromarray(faint).save(folder / "faint.png")
    assert read_input(folder, Annotation(0, "faint.png"), Shape(96, 64, "edges")).any()


def test_the_removed_background_is_black_in_every_channel(folder):
    photo = Annotation(0, "noise.png", bbox=(8, 4, 80, 56), mask="mask.png")
    kept, removed = (read_input(folder, photo, Shape(80, 56, "rgb+edges", b)) for b in ("kept", "removed"))
    animal = ellipse()[4:60, 8:88] > 0
    assert kept[~animal].any(axis=0).all()
    assert not removed[~animal].any()
    assert np.array_equal(removed[animal], kept[animal])


def test_the_border_of_the_mask_is_no_edge(folder):
    flat = Annotation(0, "flat.png", mask="mask.png")
    assert not read_input(folder, flat, Shape(96, 64, "edges", "removed")).any()


def test_without_a_mask_the_background_stays(folder):
    photo = Annotation(0, "noise.png")
    kept, removed = (read_input(folder, photo, Shape(48, 32, "rgb+edges", b)) for b in ("kept", "removed"))
    assert np.array_equal(kept, removed)


def test_annotations_that_keep_their_background_are_counted():
    with_mask, without = Annotation(0, "a.png", mask="m.png"), Annotation(1, "b.png")
    removed = Shape(64, 64, background="removed")
    assert check_masks([with_mask, without, without], removed) == 2
    assert check_masks([with_mask], removed) == 0
    assert check_masks([without, without], SMALL) == 0
    with pytest.raises(SnowmatchError, match="background is 'removed', but no annotation has a mask: add masks"):
        check_masks([without, without], removed)


def test_inputs_are_read_once_and_kept(folder, monkeypatch):
    annotations = [Annotation(0, "red.png"), Annotation(1, "noise.png", bbox=(20, 10, 64, 32))]
    shape = Shape(64, 32, "rgb+edges")
    made = read_inputs(folder, annotations, shape, folder / "work")
    assert isinstance(made, np.memmap)
    assert (made.shape, made.dtype) == ((2, 32, 64, 4), np.uint8)
    for row, annotation in enumerate(annotations):
        assert np.array_equal(made[row], read_input(folder, annotation, shape))
    (described,) = (folder / "work" / "inputs").glob("*.json")
    assert json.loads(described.read_text(encoding="utf-8"))["shape"]["channels"] == "rgb+edges"

    read = []
    monkeypatch.setattr(inputs, "read_input", lambda f, a, s: read.append(a.path) or read_input(f, a, s))
    assert np.array_equal(read_inputs(folder, annotations, shape, folder / "work"), made)
    assert not read
    read_inputs(folder, annotations, Shape(32, 32), folder / "work")  # another shape
    read_inputs(folder, annotations[::-1], shape, folder / "work")  # another order
    read_inputs(folder, [annotations[0], replace(annotations[1], bbox=None)], shape, folder / "work")  # another box
    assert len(read) == 6


@pytest.mark.parametrize("name", ["noise.png", "mask.png"])
def test_a_changed_file_is_read_again(folder, name):
    annotations = [Annotation(0, "noise.png", mask="mask.png")]
    shape = Shape(64, 32, background="removed")
    before = np.array(read_inputs(folder, annotations, shape, folder / "work"))
    stat = (folder / name).stat()
    Image.fromarray(255 - np.asarray(Image.open(folder / name))).save(folder / name)
    os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    after = read_inputs(folder, annotations, shape, folder / "work")
    assert not np.array_equal(before, after)
    assert np.array_equal(after[0], read_input(folder, annotations[0], shape))


def test_inputs_of_an_interrupted_run_are_made_again(folder):
    annotations = [Annotation(0, "red.png"), Annotation(1, "noise.png")]
    whole = (folder / "noise.png").read_bytes()
    (folder / "noise.png").write_bytes(b"no photo")
    with pytest.raises(SnowmatchError, match=r"noise\.png"):
        read_inputs(folder, annotations, Shape(64, 32), folder / "work")
    (folder / "noise.png").write_bytes(whole)
    made = read_inputs(folder, annotations, Shape(64, 32), folder / "work")
    assert np.array_equal(made[1], read_input(folder, annotations[1], Shape(64, 32)))


@pytest.mark.parametrize("missing", ["noise.png", "mask.png"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(SnowmatchError, match=rf"{missing}"):
        read_inputs(folder, [Annotation(0, "noise.png", mask="mask.png")], Shape(64, 32), folder / "work")


def test_tensors_are_from_0_to_1():
    pixels = np.zeros((2, 32, 64, 3), np.uint8)
    pixels[1, 5, 7] = (255, 51, 0)
    values = as_tensor(pixels, Shape(64, 32))
    assert (tuple(values.shape), values.dtype) == ((2, 3, 32, 64), torch.float32)
    assert values[1, :, 5, 7].tolist() == pytest.approx([1, 0.2, 0])
    assert values.sum().item() == pytest.approx(1.2)
    with pytest.raises(ValueError, match=r"pixels are \(2, 32, 64, 3\), expected \(B, 64, 32, 4\)"):
        as_tensor(pixels, Shape(32, 64, "rgb+edges"))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ("rgb", [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        ("rgb+edges", [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225, (1 - 0.456) / 0.225]),
        ("edges", [(1 - 0.456) / 0.225]),
    ],
)
def test_normalised_values_by_hand(channels, expected):
    shape = Shape(64, 32, channels)
    white = normalised(torch.ones(2, shape.depth, 32, 64), shape)
    assert white.shape == (2, shape.depth, 32, 64)
    assert white[1, :, 3, 50].tolist() == pytest.approx(expected, rel=1e-5)
    black = normalised(torch.zeros(2, shape.depth, 32, 64), shape)
    assert (white - black)[0, 0, 0, 0].item() == pytest.approx(1 / (0.225 if channels == "edges" else 0.229), rel=1e-5)


@pytest.mark.parametrize("channels", ["rgb", "rgb+edges", "edges"])
def test_augmentation_keeps_the_shape_and_repeats_with_its_seed(channels):
    shape = Shape(64, 32, channels)
    augment = Augmentation(shape)
    values = torch.rand(3, shape.depth, 32, 64, generator=torch.Generator().manual_seed(0))
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(augment(values))
    assert made[0].shape == values.shape
    assert made[0].min() >= 0
    assert made[0].max() <= 1
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert not torch.allclose(made[0], values, atol=0.1)


def test_augmentation_moves_edges_with_the_colours():
    """Equal values in all four channels stay equal after a move; only colours are changed otherwise."""
    augment = Augmentation(Shape(64, 32, "rgb+edges"))
    values = torch.rand(4, 1, 32, 64, generator=torch.Generator().manual_seed(0)).expand(4, 4, 32, 64)
    colour, augment.colour = augment.colour, torch.nn.Identity()
    moved = augment(values)
    for channel in range(3):
        assert torch.equal(moved[:, channel], moved[:, 3])
    assert all((moved[i, 3] - values[i, 3]).abs().mean() > 0.05 for i in range(4))
    augment.place, augment.colour = torch.nn.Identity(), colour
    shaken = augment(values)
    assert torch.equal(shaken[:, 3], values[:, 3])
    assert all((shaken[i, :3] - values[i, :3]).abs().mean() > 0.01 for i in range(4))


def test_every_photo_is_moved_differently():
    augment = Augmentation(Shape(64, 32, "edges"))
    torch.manual_seed(0)
    made = augment(torch.rand(1, 1, 32, 64, generator=torch.Generator().manual_seed(0)).expand(3, 1, 32, 64))
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])


def test_augmentation_turns_and_cuts_only_a_little():
    """Values grow from 0 to 1, left to right: the centre stays near 0.5, and most of the width stays visible."""
    augment = Augmentation(Shape(64, 32, "edges"))
    torch.manual_seed(0)
    made = augment(torch.linspace(0, 1, 64).expand(20, 1, 32, 64))
    middle = made[:, 0, 14:18]
    assert (middle[:, :, 31:33].mean(dim=(1, 2)) - 0.5).abs().max() < 0.12
    slope = (middle[:, :, 48] - middle[:, :, 16]).mean(dim=1) / (32 / 63)
    assert 0.8 < slope.min() < slope.max() < 1.01
    assert slope.std() > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": "rbg"}, r"channels is 'rbg', expected one of rgb, rgb\+edges, edges \(did you mean 'rgb'"),
        ({"background": "gone"}, "background is 'gone', expected one of kept, removed"),
        ({"width": 31}, "width is 31, expected at least 32"),
        ({"height": 0}, "height is 0, expected at least 32"),
    ],
)
def test_the_error_of_an_impossible_shape_has_the_expected_values(settings, message):
    with pytest.raises(SnowmatchError, match=message) as caught:
        Shape(**settings)
    assert "\n" not in str(caught.value)


# networks


@pytest.mark.parametrize("backbone", [*BACKBONES, "lcnet_035"])  # and one with a layer after the pooling
def test_each_backbone_gives_vectors(backbone):
    network = build(backbone, 12, SMALL, RANDOM, 0).eval()
    maps = []
    network.last_maps().register_forward_hook(lambda module, shown, made: maps.append(made.shape))
    with torch.inference_mode():
        made = network(torch.rand(2, 3, 64, 64))
    assert made.shape == (2, 12)
    assert torch.isfinite(made).all()
    assert [(shape[0], *shape[2:]) for shape in maps] == [(2, 2, 2)]  # 64 px, halved five times


def small(backbone="test_resnet", dimensions=8, shape=SMALL, weights=RANDOM, seed=0):
    return build(backbone, dimensions, shape, weights, seed)


def same(one, other):
    """Return whether two networks have the same tensors, bit by bit."""
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_seed_determines_the_start_of_a_network():
    assert same(small(seed=3), small(seed=3))
    assert not torch.equal(small(seed=3).head.weight, small(seed=4).head.weight)
    assert not same(small(seed=3).backbone, small(seed=4).backbone)


def test_with_0_dimensions_the_embedding_is_the_backbones_features():
    network = small(dimensions=0).eval()
    values = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(values), network.backbone(normalised(values, SMALL)))


def test_networks_normalise_their_input():
    """Values equal to ImageNet's mean become 0 for the backbone."""
    network = small(shape=Shape(64, 64, "rgb+edges")).eval()
    mean = torch.tensor([0.485, 0.456, 0.406, 0.456])[:, None, None].expand(1, 4, 64, 64)
    with torch.inference_mode():
        expected = network.head(network.backbone(torch.zeros(1, 4, 64, 64)))
        assert torch.allclose(network(mean), expected, atol=1e-5)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Return (folder, tensors) of a ResNet-18 with a thousand classes, in timm's form, with random values."""
    folder = tmp_path_factory.mktemp("official")
    torch.manual_seed(7)
    tensors = timm.create_model("resnet18", num_classes=1000).state_dict()
    tensors["bn1.running_mean"] += torch.rand(64)
    tensors["mask_token"] = torch.zeros(1)  # a tensor that only its training used
    safetensors.save_file(tensors, folder / "resnet18.safetensors")
    torch.save(tensors, folder / "resnet18.pth")
    return folder, tensors


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_in_timms_form_fills_the_backbone(official, suffix):
    folder, tensors = official
    network = build("resnet18", 16, SMALL, str(folder / f"resnet18.{suffix}"), 0)
    filled = network.backbone.state_dict()
    assert set(tensors) - set(filled) == {"fc.weight", "fc.bias", "mask_token"}
    assert all(torch.equal(filled[name], tensors[name]) for name in filled)
    assert network.head.weight.shape == (16, 512)


def test_the_head_of_a_filled_network_starts_from_the_seed(official):
    path = str(official[0] / "resnet18.safetensors")
    heads = [build("resnet18", 16, SMALL, path, seed).head.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_file_for_three_channels_fills_other_channels_too(official):
    """Four channels: timm uses red's weights for edges, and all weights times 3/4. One channel: it adds the colours."""
    folder, tensors = official
    colours = tensors["conv1.weight"]
    path = str(folder / "resnet18.safetensors")
    both = build("resnet18", 16, Shape(64, 64, "rgb+edges"), path, 0).backbone
    torch.testing.assert_close(both.conv1.weight, torch.cat([colours, colours[:, :1]], dim=1) * 0.75)
    assert torch.equal(both.layer4[1].conv2.weight, tensors["layer4.1.conv2.weight"])
    edges = build("resnet18", 16, Shape(64, 64, "edges"), path, 0).backbone
    torch.testing.assert_close(edges.conv1.weight, colours.sum(dim=1, keepdim=True))


def test_files_of_another_network_are_refused(official, tmp_path):
    tensors = dict(official[1])
    wrong = {
        "less": {name: t for name, t in tensors.items() if name != "layer1.0.conv1.weight"},
        # a layer of ResNet-34
        "more": tensors | {"layer1.2.conv1.weight": torch.zeros(1)},
        "other": tensors | {"layer1.0.conv1.weight": torch.zeros(64, 32, 3, 3)},
    }
    reasons = {
        "less": r"it has no 'layer1\.0\.conv1\.weight' \(1 missing\)",
        "more": r"it has 'layer1\.2\.conv1\.weight' \(1 unknown\)",
        "other": "size mismatch",
    }
    for name, held in wrong.items():
        safetensors.save_file(held, tmp_path / "w.safetensors")
        with pytest.raises(
            SnowmatchError, match=rf"w\.safetensors is not timm's resnet18: .*{reasons[name]}"
        ) as caught:
            build("resnet18", 16, SMALL, str(tmp_path / "w.safetensors"), 0)
        assert "\n" not in str(caught.value)


def test_other_files_than_weights_are_refused(tmp_path):
    with pytest.raises(SnowmatchError, match=r"none\.pth is no file, expected timm's file of tf_efficientnetv2_b2, or"):
        build("efficientnetv2_b2", 16, SMALL, str(tmp_path / "none.pth"), 0)
    for name in ("w.safetensors", "w.pth"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(SnowmatchError, match=rf"{name} does not load"):
            small(weights=str(tmp_path / name))
    with pytest.raises(
        SnowmatchError, match="backbone is 'resnet19', expected efficientnetv2_b2, resnet18, mobilenetv"
    ):
        small("resnet19")


@pytest.mark.parametrize("channels", ["rgb", "edges"])
def test_a_loaded_network_gives_the_same_embeddings(tmp_path, channels):
    shape = Shape(64, 32, channels, "removed")
    network = small(shape=shape)
    values = torch.rand(3, shape.depth, 32, 64, generator=torch.Generator().manual_seed(1))
    network.train()
    network(values)  # changes the running means of the start
    save_network(tmp_path / "new" / "n.safetensors", network, {"backbone": "test_resnet", "dimensions": 8, "seed": 5})
    loaded, described = load_network(tmp_path / "new" / "n.safetensors")
    assert (loaded.shape, described["seed"], loaded.training) == (shape, 5, False)
    assert same(loaded, network)
    with torch.inference_mode():
        assert loaded(values).numpy().tobytes() == network.eval()(values).numpy().tobytes()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["n.safetensors"]


def test_other_files_than_networks_are_refused(tmp_path, official):
    path = tmp_path / "n.safetensors"
    with pytest.raises(SnowmatchError, match=r"n\.safetensors does not load .*expected a file that training wrote"):
        load_network(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(SnowmatchError, match=r"n\.safetensors does not load"):
        load_network(path)
    with pytest.raises(SnowmatchError, match=r"resnet18\.safetensors does not load"):
        load_network(official[0] / "resnet18.safetensors")
    networks.write_tensors(path, {"a": torch.zeros(1)}, {"epoch": 3})  # a checkpoint
    with pytest.raises(SnowmatchError, match=r"is no network that `python training embedding` wrote"):
        load_network(path)
    save_network(path, small(), {"backbone": "test_resnet", "dimensions": 9})
    with pytest.raises(SnowmatchError, match="is not a test_resnet of 9 dimensions: 2 of another shape"):
        load_network(path)
    save_network(path, small(), {"backbone": "test_resnet9", "dimensions": 8})
    with pytest.raises(SnowmatchError, match="backbone is 'test_resnet9'"):
        load_network(path)


def test_torchvisions_operators_are_declared_once_and_timm_imports():
    name_operators(torch)
    name_operators(torch)
    assert hasattr(torch.ops.torchvision, "nms")
    assert importlib.import_module("timm") is timm
